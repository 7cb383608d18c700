#include "gateway/config/bind_priv.h"

#include <stdarg.h>

void sg_config_complain(struct sg_config_bind *bind, struct sg_yaml_pos pos, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    if (bind->complaints++ == 0)
        SG_IGNORE(SG_FAIL(bind->err, SG_E_INVALID, 0, "line %zu, column %zu: %s", pos.line,
                          pos.column, text)); /* the caller returns it when all is read */
    if (bind->report != NULL && bind->complaints <= SG_CONFIG_REPORT_MAX)
        sg_buf_printf(bind->report, "%s:%zu:%zu: %s\n", bind->shown, pos.line, pos.column, text);
}

void *sg_config_alloc(struct sg_config_bind *bind, size_t len)
{
    void *ptr = sg_arena_zalloc(bind->arena, len);
    bind->no_memory = bind->no_memory || ptr == NULL;
    return ptr;
}

static void complain_unknown(struct sg_config_bind *bind, const struct sg_yaml_node *node,
                             const char *where, const char *const *known, size_t count)
{
    const char *near = sg_config_suggest(node->key, known, count);
    sg_config_complain(bind, node->key_pos, "there is no option \"%.40s\"%s%s%s%s%s", node->key,
                       where[0] == '\0' ? "" : " of ", where,
                       near == NULL ? "" : ": did you mean \"", near == NULL ? "" : near,
                       near == NULL ? "" : "\"?");
}

enum { KNOWN_MAX = 96 };

static void bind_list(struct sg_config_bind *bind, const struct sg_list *list,
                      const struct sg_yaml_node *node, size_t max, void *holder);

static void bind_value(struct sg_config_bind *bind, const struct sg_field *field,
                       const struct sg_yaml_node *node, void *base)
{
    if (field->kind == SG_FIELD_ITEMS)
        bind_list(bind, field->items, node, (size_t)field->max, base);
    else
        sg_config_bind_field(bind, field, node, base);
}

static void bind_item(struct sg_config_bind *bind, const struct sg_list *list,
                      const struct sg_yaml_node *node, void *item)
{
    const char *known[KNOWN_MAX];
    SG_ASSERT(list->field_count <= KNOWN_MAX);
    if (node->kind != SG_YAML_MAP) {
        sg_config_complain(bind, node->pos, "each of \"%s\" must have fields, as in \"%s: x\"",
                           list->name, list->fields[0].name);
        return;
    }
    for (size_t i = 0; i < list->field_count; i++) {
        const struct sg_field *field = &list->fields[i];
        const struct sg_yaml_node *value = sg_yaml_get(node, field->name);
        known[i] = field->name;
        sg_config_set_default(field, item);
        if (value != NULL)
            bind_value(bind, field, value, item);
        else if (field->is_required)
            sg_config_complain(bind, node->pos, "\"%s\" is missing here: %s", field->name,
                               field->help);
    }
    for (const struct sg_yaml_node *value = node->children; value != NULL; value = value->next) {
        bool is_known = false;
        for (size_t i = 0; i < list->field_count && !is_known; i++)
            is_known = strcmp(known[i], value->key) == 0;
        if (!is_known)
            complain_unknown(bind, value, list->name, known, list->field_count);
    }
}

/* `max` 0: as many as there are. Its depth is bounded by the tables. */
static void bind_list(struct sg_config_bind *bind, const struct sg_list *list,
                      const struct sg_yaml_node *node, size_t max, void *holder)
{
    if (node->kind != SG_YAML_LIST) {
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be a list: \"- %s: x\" in a line of its "
                           "own begins each",
                           list->name, list->fields[0].name);
        return;
    }
    if (max != 0 && node->count > max) {
        sg_config_complain(bind, node->pos, "\"%s\" has %zu entries, and may have %zu", list->name,
                           node->count, max);
        return;
    }
    char *items = sg_config_alloc(bind, node->count * list->item_size);
    size_t count = 0;
    if (items == NULL)
        return;
    for (const struct sg_yaml_node *item = node->children; item != NULL; item = item->next)
        bind_item(bind, list, item, items + list->item_size * count++);
    memcpy((char *)holder + list->offset, &items, sizeof(items));
    memcpy((char *)holder + list->count_offset, &count, sizeof(count));
}

static bool is_known_option(const char *name, const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

void sg_config_bind(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                    struct sg_config *config)
{
    const char *known[KNOWN_MAX];
    size_t known_count = 0;
    SG_ASSERT(sg_config_option_count + sg_config_list_count <= KNOWN_MAX);

    for (size_t i = 0; i < sg_config_option_count; i++) {
        const struct sg_field *option = &sg_config_options[i];
        const struct sg_yaml_node *node = sg_yaml_get(root, option->name);
        known[known_count++] = option->name;
        sg_config_set_default(option, config);
        if (node != NULL)
            sg_config_bind_field(bind, option, node, config);
        else if (sg_option_is_required(option))
            sg_config_complain(bind, root->pos, "\"%s\" is missing: %s", option->name,
                               option->help);
    }
    for (size_t i = 0; i < sg_config_list_count; i++) {
        const struct sg_yaml_node *node = sg_yaml_get(root, sg_config_lists[i].name);
        known[known_count++] = sg_config_lists[i].name;
        if (node != NULL)
            bind_list(bind, &sg_config_lists[i], node, 0, config);
    }
    for (const struct sg_yaml_node *node = root->children; node != NULL; node = node->next) {
        if (!is_known_option(node->key, known, known_count))
            complain_unknown(bind, node, "", known, known_count);
    }
}
