#include <stdio.h>

#include "base/utf8.h"
#include "gateway/config/config.h"
#include "gateway/config/table_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Properties: a file gives a config or an error with a place in it, never both; all that a config
 * holds is within the bounds of its table; and a comment put in front of the file moves the place
 * of its first error down by one line and changes nothing else.
 */
static void require(bool cond)
{
    if (!cond)
        abort();
}

static void require_text(const char *text)
{
    struct sg_slice rest = sg_slice_str(text);
    require(sg_utf8_is_valid(rest));
    for (size_t i = 0; i < rest.len; i++)
        require(rest.ptr[i] >= 0x20 && rest.ptr[i] != 0x7f);
}

static void require_hashes(const struct sg_field *field, const void *base)
{
    const struct sg_slice *hashes = NULL;
    size_t count = 0;
    memcpy(&hashes, (const char *)base + field->offset, sizeof(hashes));
    memcpy(&count, (const char *)base + field->count_offset, sizeof(count));
    require(count <= (size_t)field->max);
    for (size_t i = 0; i < count; i++)
        require(hashes[i].len == 32);
}

static void require_field(const struct sg_field *field, const void *base)
{
    const char *member = (const char *)base + field->offset;
    const char *text = NULL;
    int64_t number = 0;
    struct sg_slice bytes;
    switch (field->kind) {
    case SG_FIELD_INT:
        memcpy(&number, member, sizeof(number));
        require(number >= field->min && number <= field->max);
        return;
    case SG_FIELD_TEXT:
    case SG_FIELD_PATH:
    case SG_FIELD_SECRET:
    case SG_FIELD_STORE:
    case SG_FIELD_NAME:
        memcpy(&text, member, sizeof(text));
        require(text != NULL || !field->is_required);
        if (text != NULL)
            require_text(text);
        if (text != NULL && field->kind == SG_FIELD_PATH)
            require(text[0] == '/' || text[0] == '\0');
        if (text != NULL && field->kind == SG_FIELD_STORE)
            require(strncmp(text, "sqlite:/", 8) == 0 || strncmp(text, "postgresql://", 13) == 0);
        return;
    case SG_FIELD_HEX:
        memcpy(&bytes, member, sizeof(bytes));
        require(bytes.len >= (size_t)field->min && bytes.len <= (size_t)field->max);
        return;
    case SG_FIELD_TIME:
        memcpy(&number, member, sizeof(number));
        require(number >= 0);
        return;
    case SG_FIELD_HASHES:
        require_hashes(field, base);
        return;
    case SG_FIELD_BOOL:
    case SG_FIELD_CHOICE:
    case SG_FIELD_CHOICES:
    case SG_FIELD_TEXTS:
    case SG_FIELD_ITEMS:
    case SG_FIELD_NONE:
        return;
    }
}

static void require_config(const struct sg_config *config)
{
    for (size_t i = 0; i < sg_config_option_count; i++)
        require_field(&sg_config_options[i], config);
    for (size_t i = 0; i < sg_config_list_count; i++) {
        const struct sg_list *list = &sg_config_lists[i];
        const char *items = NULL;
        size_t count = 0;
        memcpy(&items, (const char *)config + list->offset, sizeof(items));
        memcpy(&count, (const char *)config + list->count_offset, sizeof(count));
        for (size_t n = 0; n < count; n++) {
            for (size_t j = 0; j < list->field_count; j++)
                require_field(&list->fields[j], items + n * list->item_size);
        }
    }
    for (size_t i = 0; i < config->key_count; i++)
        require((config->keys[i].schemes & UINT32_C(1) << config->keys[i].default_scheme) != 0);
}

static enum sg_rc parse(struct sg_slice text, struct sg_err *err)
{
    const struct sg_config *config = NULL;
    struct sg_buf report;
    sg_buf_init(&report, 1 << 16);
    enum sg_rc rc = sg_config_parse(text, "/f", &report, &config, err);
    require((rc == SG_OK) == (config != NULL) && (rc == SG_OK) == (report.len == 0));
    if (rc == SG_OK)
        require_config(config);
    sg_config_free(config);
    sg_buf_done(&report);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char comment[] = "# one line more\n";
    struct sg_err err = {0}, moved_err = {0};
    size_t line = 0, moved_line = 0;

    enum sg_rc rc = parse(sg_slice_of(data, size), &err);
    uint8_t *moved = malloc(sizeof(comment) - 1 + size);
    require(moved != NULL);
    memcpy(moved, comment, sizeof(comment) - 1);
    if (size > 0)
        memcpy(moved + sizeof(comment) - 1, data, size);
    require(parse(sg_slice_of(moved, sizeof(comment) - 1 + size), &moved_err) == rc);
    free(moved);
    if (rc == SG_OK)
        return 0;

    require(sscanf(err.msg, "line %zu,", &line) == 1 && line >= 1);
    require(sscanf(moved_err.msg, "line %zu,", &moved_line) == 1);
    require(moved_line == line + 1);
    return 0;
}
