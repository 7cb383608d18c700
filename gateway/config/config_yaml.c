#include "gateway/config/config_yaml_priv.h"

#include <yaml.h>

#include "base/utf8.h"

/* One parse under way. */
struct reading {
    yaml_parser_t parser;
    struct sg_arena *arena;
    size_t node_count;
    struct sg_yaml_pos *pos; /* where the failure is */
    struct sg_err *err;
};

static struct sg_yaml_pos pos_of(yaml_mark_t mark)
{
    return (struct sg_yaml_pos){mark.line + 1, mark.column + 1};
}

#define FAIL_AT(reading, where, rc, ...)                                                           \
    (*(reading)->pos = (where), SG_FAIL((reading)->err, (rc), 0, __VA_ARGS__))

/* libyaml's own words are good, but for where the context it adds begins. */
static enum sg_rc fail_syntax(struct reading *reading)
{
    const yaml_parser_t *parser = &reading->parser;
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    if (parser->error == YAML_MEMORY_ERROR)
        return FAIL_AT(reading, pos_of(parser->mark), SG_E_LIMIT, "no memory");
    if (parser->context != NULL)
        return FAIL_AT(reading, pos_of(parser->problem_mark), SG_E_INVALID, "%s, %s", problem,
                       parser->context);
    return FAIL_AT(reading, pos_of(parser->problem_mark), SG_E_INVALID, "%s", problem);
}

/* The caller deletes `*event` on SG_OK. */
static enum sg_rc next_event(struct reading *reading, yaml_event_t *event)
{
    if (yaml_parser_parse(&reading->parser, event) != 1)
        return fail_syntax(reading);
    return SG_OK;
}

/* What no editor shows, and what ends a line for libyaml but not for every editor. */
static bool is_hidden(uint32_t character)
{
    return (character < 0x20 && character != '\t' && character != '\n' && character != '\r') ||
           (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029 ||
           character == 0xfeff || character == 0xfffe || character == 0xffff;
}

/* Escapes and blocks can put into a value what check_characters() kept out of the file. */
static enum sg_rc check_text(struct reading *reading, struct sg_yaml_pos pos, struct sg_slice text)
{
    uint32_t character = 0;
    while (text.len > 0) {
        size_t len = sg_utf8_next(text, &character);
        if (len == 0)
            return FAIL_AT(reading, pos, SG_E_INVALID, "this is not UTF-8");
        if (character < 0x20 || is_hidden(character))
            return FAIL_AT(reading, pos, SG_E_INVALID,
                           "a value must be one line of text, and this holds U+%04X",
                           (unsigned)character);
        (void)sg_slice_take(&text, len);
    }
    return SG_OK;
}

static enum sg_rc refuse_decoration(struct reading *reading, struct sg_yaml_pos pos,
                                    const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        return FAIL_AT(reading, pos, SG_E_INVALID, "anchors are not taken");
    if (tag != NULL)
        return FAIL_AT(reading, pos, SG_E_INVALID, "tags are not taken");
    return SG_OK;
}

static enum sg_rc new_node(struct reading *reading, enum sg_yaml_kind kind, struct sg_yaml_pos pos,
                           struct sg_yaml_node **ret)
{
    if (++reading->node_count > SG_YAML_NODES_MAX)
        return FAIL_AT(reading, pos, SG_E_LIMIT, "the file has more than %d values",
                       SG_YAML_NODES_MAX);
    struct sg_yaml_node *node = sg_arena_zalloc(reading->arena, sizeof(*node));
    if (node == NULL)
        return FAIL_AT(reading, pos, SG_E_LIMIT, "the file takes too much memory");
    node->kind = kind;
    node->pos = pos;
    *ret = node;
    return SG_OK;
}

static enum sg_rc read_scalar(struct reading *reading, const yaml_event_t *event,
                              struct sg_yaml_node **ret)
{
    struct sg_yaml_pos pos = pos_of(event->start_mark);
    struct sg_slice text = {event->data.scalar.value, event->data.scalar.length};
    SG_TRY(refuse_decoration(reading, pos, event->data.scalar.anchor, event->data.scalar.tag));
    SG_TRY(check_text(reading, pos, text));
    SG_TRY(new_node(reading, SG_YAML_SCALAR, pos, ret));
    (*ret)->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    (*ret)->text = sg_arena_strdup(reading->arena, text);
    if ((*ret)->text == NULL)
        return FAIL_AT(reading, pos, SG_E_LIMIT, "the file takes too much memory");
    return SG_OK;
}

static enum sg_rc read_node(struct reading *reading, const yaml_event_t *event, unsigned depth,
                            struct sg_yaml_node **ret);

/* Reads on to `end` and hangs what comes into `parent`; in a map, keys and values in turn. */
static enum sg_rc read_children(struct reading *reading, yaml_event_type_t end, unsigned depth,
                                struct sg_yaml_node *parent)
{
    struct sg_yaml_node **link = &parent->children, *key = NULL;
    for (;;) {
        yaml_event_t event;
        struct sg_yaml_node *node = NULL;
        SG_TRY(next_event(reading, &event));
        if (event.type == end) {
            yaml_event_delete(&event);
            return SG_OK;
        }
        enum sg_rc rc = read_node(reading, &event, depth, &node);
        yaml_event_delete(&event);
        SG_TRY(rc);

        if (parent->kind == SG_YAML_MAP && key == NULL) {
            if (node->kind != SG_YAML_SCALAR)
                return FAIL_AT(reading, node->pos, SG_E_INVALID, "a key must be a word");
            if (strcmp(node->text, "<<") == 0)
                return FAIL_AT(reading, node->pos, SG_E_INVALID, "merge keys are not taken");
            if (sg_yaml_get(parent, node->text) != NULL)
                return FAIL_AT(reading, node->pos, SG_E_INVALID,
                               "\"%.64s\" is given twice, first in line %zu", node->text,
                               sg_yaml_get(parent, node->text)->key_pos.line);
            if (parent->count >= SG_YAML_KEYS_MAX)
                return FAIL_AT(reading, node->pos, SG_E_LIMIT, "a map has more than %d keys",
                               SG_YAML_KEYS_MAX);
            key = node;
            continue;
        }
        if (key != NULL) {
            node->key = key->text;
            node->key_pos = key->pos;
            key = NULL;
        }
        *link = node;
        link = &node->next;
        parent->count++;
    }
}

static enum sg_rc read_collection(struct reading *reading, const yaml_event_t *event,
                                  unsigned depth, struct sg_yaml_node **ret)
{
    struct sg_yaml_pos pos = pos_of(event->start_mark);
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    if (is_map)
        SG_TRY(refuse_decoration(reading, pos, event->data.mapping_start.anchor,
                                 event->data.mapping_start.tag));
    else
        SG_TRY(refuse_decoration(reading, pos, event->data.sequence_start.anchor,
                                 event->data.sequence_start.tag));
    if (depth >= SG_YAML_DEPTH_MAX)
        return FAIL_AT(reading, pos, SG_E_LIMIT, "more than %d maps and lists inside each other",
                       SG_YAML_DEPTH_MAX);
    SG_TRY(new_node(reading, is_map ? SG_YAML_MAP : SG_YAML_LIST, pos, ret));
    return read_children(reading, is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT,
                         depth + 1, *ret);
}

static enum sg_rc read_node(struct reading *reading, const yaml_event_t *event, unsigned depth,
                            struct sg_yaml_node **ret)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reading, event, ret);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return read_collection(reading, event, depth, ret);
    case YAML_ALIAS_EVENT:
        return FAIL_AT(reading, pos_of(event->start_mark), SG_E_INVALID, "aliases are not taken");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        break;
    }
    return FAIL_AT(reading, pos_of(event->start_mark), SG_E_INVALID, "a value is missing");
}

/* The event that must come here; what it carries does not matter. */
static enum sg_rc skip_event(struct reading *reading, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    SG_TRY(next_event(reading, &event));
    enum sg_rc rc = SG_OK;
    if (event.type != type)
        rc = FAIL_AT(reading, pos_of(event.start_mark), SG_E_INVALID, "%s", otherwise);
    yaml_event_delete(&event);
    return rc;
}

static enum sg_rc read_root(struct reading *reading, const yaml_event_t *start,
                            struct sg_yaml_node **ret)
{
    if (start->type == YAML_STREAM_END_EVENT)
        return new_node(reading, SG_YAML_MAP, pos_of(start->start_mark), ret);
    if (start->type != YAML_DOCUMENT_START_EVENT ||
        start->data.document_start.version_directive != NULL ||
        start->data.document_start.tag_directives.start !=
            start->data.document_start.tag_directives.end)
        return FAIL_AT(reading, pos_of(start->start_mark), SG_E_INVALID,
                       "directives are not taken");

    yaml_event_t event;
    SG_TRY(next_event(reading, &event));
    enum sg_rc rc = read_node(reading, &event, 0, ret);
    yaml_event_delete(&event);
    SG_TRY(rc);
    SG_ASSERT(*ret != NULL);
    if ((*ret)->kind == SG_YAML_SCALAR && (*ret)->is_plain && (*ret)->text[0] == '\0')
        (*ret)->kind = SG_YAML_MAP; /* "---" and nothing behind it */
    if ((*ret)->kind != SG_YAML_MAP)
        return FAIL_AT(reading, (*ret)->pos, SG_E_INVALID,
                       "the file must hold options, as in \"name: value\"");
    SG_TRY(skip_event(reading, YAML_DOCUMENT_END_EVENT, "the document must end here"));
    return skip_event(reading, YAML_STREAM_END_EVENT, "a second document is not taken");
}

static enum sg_rc read_document(struct reading *reading, struct sg_yaml_node **ret)
{
    yaml_event_t event;
    SG_TRY(skip_event(reading, YAML_STREAM_START_EVENT, "not YAML"));
    SG_TRY(next_event(reading, &event));
    enum sg_rc rc = read_root(reading, &event, ret);
    yaml_event_delete(&event);
    return rc;
}

/*
 * libyaml reports a bad byte at the beginning of the file, so they are looked for before. A byte
 * order mark is among what is refused: it would count as a column.
 */
static enum sg_rc check_characters(struct reading *reading, struct sg_slice text)
{
    struct sg_yaml_pos pos = {1, 1};
    uint32_t character = 0;
    if (text.len > SG_YAML_BYTES_MAX)
        return FAIL_AT(reading, pos, SG_E_LIMIT, "the file has more than %d bytes",
                       SG_YAML_BYTES_MAX);
    while (text.len > 0) {
        size_t len = sg_utf8_next(text, &character);
        if (len == 0)
            return FAIL_AT(reading, pos, SG_E_INVALID, "the byte 0x%02x is not UTF-8", text.ptr[0]);
        if (is_hidden(character))
            return FAIL_AT(reading, pos, SG_E_INVALID, "the character U+%04X is not taken%s",
                           (unsigned)character,
                           character == 0xfeff ? ": save the file without a byte order mark" : "");
        pos.column++;
        if (character == '\n')
            pos = (struct sg_yaml_pos){pos.line + 1, 1};
        (void)sg_slice_take(&text, len);
    }
    return SG_OK;
}

enum sg_rc sg_yaml_parse(struct sg_slice text, struct sg_arena *arena,
                         const struct sg_yaml_node **ret, struct sg_yaml_pos *ret_pos,
                         struct sg_err *err)
{
    struct reading reading = {.arena = arena, .pos = ret_pos, .err = err};
    struct sg_yaml_node *root = NULL;
    SG_TRY(check_characters(&reading, text));
    if (yaml_parser_initialize(&reading.parser) != 1)
        return FAIL_AT(&reading, ((struct sg_yaml_pos){1, 1}), SG_E_LIMIT, "no memory");
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reading.parser, text.len == 0 ? (const uint8_t *)"" : text.ptr,
                                 text.len);
    enum sg_rc rc = read_document(&reading, &root);
    yaml_parser_delete(&reading.parser);
    if (rc == SG_OK)
        *ret = root;
    return rc;
}

const struct sg_yaml_node *sg_yaml_get(const struct sg_yaml_node *map, const char *key)
{
    for (const struct sg_yaml_node *child = map->children; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0)
            return child;
    }
    return NULL;
}

struct sg_yaml_pos sg_yaml_pos_of(const struct sg_yaml_node *map, const char *key)
{
    const struct sg_yaml_node *node = map->kind == SG_YAML_MAP ? sg_yaml_get(map, key) : NULL;
    return node == NULL ? map->pos : node->pos;
}

const struct sg_yaml_node *sg_yaml_items(const struct sg_yaml_node *map, const char *key)
{
    const struct sg_yaml_node *node = map->kind == SG_YAML_MAP ? sg_yaml_get(map, key) : NULL;
    return node == NULL || node->kind != SG_YAML_LIST ? NULL : node->children;
}
