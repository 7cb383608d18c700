#include "gateway/config/table_priv.h"

enum { WIDTH = 98 };

/* A paragraph of comments, broken between words. */
static void add_comment(struct sg_buf *out, const char *indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > WIDTH) {
            sg_buf_add_u8(out, '\n');
            column = 0;
        }
        if (column == 0) {
            sg_buf_printf(out, "%s#", indent);
            column = strlen(indent) + 1;
        }
        sg_buf_printf(out, " %.*s", (int)len, text);
        column += 1 + len;
        text += len;
        text += strspn(text, " ");
    }
    sg_buf_add_u8(out, '\n');
}

static void add_words(struct sg_buf *out, const struct sg_field *field)
{
    int value = 0;
    for (size_t i = 0;; i++) {
        struct sg_slice word = sg_field_word(field, i, &value);
        if (word.len == 0)
            return;
        sg_buf_add_str(out, i == 0 ? "" : ", ");
        sg_buf_add_slice(out, word);
    }
}

/* What may stand there, as far as the type says. */
static void add_kind(struct sg_buf *out, const struct sg_field *field)
{
    switch (field->kind) {
    case SG_FIELD_INT:
        sg_buf_printf(out, "%lld to %lld", (long long)field->min, (long long)field->max);
        return;
    case SG_FIELD_BOOL:
        sg_buf_add_str(out, "true or false");
        return;
    case SG_FIELD_TEXT:
        sg_buf_add_str(out, "text");
        return;
    case SG_FIELD_PATH:
        sg_buf_add_str(out, "path, from the folder of this file");
        return;
    case SG_FIELD_SECRET:
        sg_buf_add_str(out, "path, from the folder of this file, or credential:NAME");
        return;
    case SG_FIELD_STORE:
        sg_buf_add_str(out, "sqlite:FOLDER, from the folder of this file, or postgresql://...");
        return;
    case SG_FIELD_NAME:
        sg_buf_add_str(out, "name: a-z, 0-9 and hyphens, at most 63");
        return;
    case SG_FIELD_HEX:
        sg_buf_printf(out, "%lld to %lld bytes in hexadecimal", (long long)field->min,
                      (long long)field->max);
        return;
    case SG_FIELD_CHOICE:
        sg_buf_add_str(out, "one of ");
        add_words(out, field);
        return;
    case SG_FIELD_CHOICES:
        sg_buf_add_str(out, "list of ");
        add_words(out, field);
        return;
    case SG_FIELD_TEXTS:
        sg_buf_add_str(out, "list of texts");
        return;
    case SG_FIELD_HASHES:
        sg_buf_printf(out, "list of at most %lld, 64 hexadecimal digits each",
                      (long long)field->max);
        return;
    case SG_FIELD_TIME:
        sg_buf_add_str(out, "time as 2027-01-31T00:00:00Z");
        return;
    case SG_FIELD_ITEMS:
        sg_buf_printf(out, "list of at most %lld, each with fields of its own",
                      (long long)field->max);
        return;
    case SG_FIELD_NONE:
        break;
    }
    SG_ASSERT(false);
}

/* The default as it would be written; "" when there is none to write. */
static void add_default(struct sg_buf *out, const struct sg_field *field)
{
    int value = 0;
    switch (field->kind) {
    case SG_FIELD_INT:
        sg_buf_printf(out, "%lld", (long long)field->def);
        return;
    case SG_FIELD_BOOL:
        sg_buf_add_str(out, field->def != 0 ? "true" : "false");
        return;
    case SG_FIELD_TEXT:
    case SG_FIELD_PATH:
    case SG_FIELD_STORE:
        if (field->text_def != NULL)
            sg_buf_printf(out, "\"%s\"", field->text_def);
        return;
    case SG_FIELD_CHOICE:
        if (field->words != NULL)
            sg_buf_add_slice(out, sg_field_word(field, (size_t)field->def, &value));
        return;
    case SG_FIELD_SECRET:
    case SG_FIELD_NAME:
    case SG_FIELD_HEX:
    case SG_FIELD_CHOICES:
    case SG_FIELD_TEXTS:
    case SG_FIELD_HASHES:
    case SG_FIELD_TIME:
    case SG_FIELD_ITEMS:
    case SG_FIELD_NONE:
        return;
    }
}

/* "1 to 64; default 8; a change needs a restart". */
static void add_facts(struct sg_buf *out, const struct sg_field *field, bool is_required,
                      bool is_option)
{
    struct sg_buf def;
    sg_buf_init(&def, 256);
    add_default(&def, field);
    add_kind(out, field);
    if (is_required)
        sg_buf_add_str(out, "; must be given");
    else if (field->def_help != NULL)
        sg_buf_printf(out, "; default: %s", field->def_help);
    else
        sg_buf_printf(out, "; default %.*s", (int)def.len, (const char *)def.ptr);
    if (is_option)
        sg_buf_add_str(out, field->when == SG_WHEN_BOOT ? "; a change needs a restart"
                                                        : "; read again on SIGHUP");
    sg_buf_done(&def);
}

static void add_value(struct sg_buf *out, const struct sg_field *field)
{
    if (field->example != NULL)
        sg_buf_add_str(out, field->example);
    else
        add_default(out, field);
}

/* A list inside a list: an example in the comment, with the help of its rows' fields. It names rows
 * that the rest of the example does not have. */
static void add_items(struct sg_buf *out, const struct sg_list *list)
{
    sg_buf_printf(out, "    # %s:\n", list->name);
    for (size_t i = 0; i < list->field_count; i++) {
        const struct sg_field *field = &list->fields[i];
        struct sg_buf facts;
        sg_buf_init(&facts, 1024);
        sg_buf_printf(&facts, "%s (", field->help);
        add_facts(&facts, field, field->is_required, false);
        sg_buf_add(&facts, ")\0", 2);
        add_comment(out, "    #     ", facts.failed ? field->help : (const char *)facts.ptr);
        sg_buf_done(&facts);
        sg_buf_printf(out, "    # %s%s: ", i == 0 ? "  - " : "    ", field->name);
        add_value(out, field);
        sg_buf_add_u8(out, '\n');
    }
}

/* Help as a comment, then the line itself: behind a '#' when it may be left out. */
static void add_field(struct sg_buf *out, const struct sg_field *field, const char *indent,
                      const char *first_indent, bool is_required, bool is_option)
{
    struct sg_buf facts;
    sg_buf_init(&facts, 1024);
    sg_buf_printf(&facts, "%s (", field->help);
    add_facts(&facts, field, is_required, is_option);
    sg_buf_add(&facts, ")\0", 2);
    add_comment(out, indent, facts.failed ? field->help : (const char *)facts.ptr);
    sg_buf_done(&facts);

    if (field->kind == SG_FIELD_ITEMS) {
        add_items(out, field->items);
        return;
    }
    const bool is_in_force = is_required || field->is_in_force;
    sg_buf_printf(out, "%s%s%s: ", is_in_force ? first_indent : indent, is_in_force ? "" : "#",
                  field->name);
    /* Options carry no example: those without a default are PEM files beside this one. */
    if (is_option && is_required)
        sg_buf_printf(out, "%.*s.pem", (int)(strlen(field->name) - strlen("_file")), field->name);
    else
        add_value(out, field);
    sg_buf_add_u8(out, '\n');
}

/* As a whole behind '#', help and all lines; each field with an example. */
static void add_rare_list(struct sg_buf *out, const struct sg_list *list)
{
    add_comment(out, "", list->help);
    sg_buf_printf(out, "#%s:\n", list->name);
    for (size_t i = 0; i < list->field_count; i++) {
        const struct sg_field *field = &list->fields[i];
        struct sg_buf facts;
        sg_buf_init(&facts, 1024);
        sg_buf_printf(&facts, "%s (", field->help);
        add_facts(&facts, field, field->is_required, false);
        sg_buf_add(&facts, ")\0", 2);
        add_comment(out, "    ", facts.failed ? field->help : (const char *)facts.ptr);
        sg_buf_done(&facts);
        sg_buf_printf(out, "#%s%s: ", i == 0 ? "  - " : "    ", field->name);
        add_value(out, field);
        sg_buf_add_u8(out, '\n');
    }
}

static void add_list(struct sg_buf *out, const struct sg_list *list)
{
    add_comment(out, "", list->help);
    sg_buf_printf(out, "%s:\n", list->name);
    for (size_t i = 0; i < list->field_count; i++) {
        add_field(out, &list->fields[i], "    ", i == 0 ? "  - " : "    ",
                  list->fields[i].is_required, false);
    }
}

void sg_config_example(struct sg_buf *out)
{
    add_comment(
        out, "",
        "Configuration of Sealgate. A line that begins with \"#\" and a name shows a default "
        "or an example; remove the \"#\" to set it. Check a file with: sealgated "
        "--check-config --config FILE");
    add_comment(out, "",
                "This file is generated from gateway/config/options.def and table.c; a test "
                "compares it.");
    for (size_t i = 0; i < sg_config_option_count; i++) {
        sg_buf_add_u8(out, '\n');
        add_field(out, &sg_config_options[i], "", "", sg_option_is_required(&sg_config_options[i]),
                  true);
    }
    for (size_t i = 0; i < sg_config_list_count; i++) {
        sg_buf_add_u8(out, '\n');
        if (sg_config_lists[i].is_rare)
            add_rare_list(out, &sg_config_lists[i]);
        else
            add_list(out, &sg_config_lists[i]);
    }
}

static void add_help(struct sg_buf *out, const struct sg_field *field, const char *indent,
                     bool is_required, bool is_option)
{
    sg_buf_printf(out, "%s%s\n%s    %s\n%s    (", indent, field->name, indent, field->help, indent);
    add_facts(out, field, is_required, is_option);
    sg_buf_add_str(out, ")\n");
    if (field->kind != SG_FIELD_ITEMS)
        return;
    for (size_t i = 0; i < field->items->field_count; i++) {
        const struct sg_field *inner = &field->items->fields[i];
        sg_buf_printf(out, "%s%s.%s\n%s    %s\n%s    (", indent, field->name, inner->name, indent,
                      inner->help, indent);
        add_facts(out, inner, inner->is_required, false);
        sg_buf_add_str(out, ")\n");
    }
}

void sg_config_help(struct sg_buf *out)
{
    for (size_t i = 0; i < sg_config_option_count; i++)
        add_help(out, &sg_config_options[i], "", sg_option_is_required(&sg_config_options[i]),
                 true);
    for (size_t i = 0; i < sg_config_list_count; i++) {
        const struct sg_list *list = &sg_config_lists[i];
        sg_buf_printf(out, "\n%s (a list)\n    %s\n", list->name, list->help);
        for (size_t j = 0; j < list->field_count; j++)
            add_help(out, &list->fields[j], "    ", list->fields[j].is_required, false);
    }
}
