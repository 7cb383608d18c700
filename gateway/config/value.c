#include <time.h>

#include "gateway/config/bind_priv.h"

static char *copy_text(struct sg_config_bind *bind, const char *text)
{
    char *copy = sg_arena_strdup(bind->arena, sg_slice_str(text));
    bind->no_memory = bind->no_memory || copy == NULL;
    return copy;
}

static bool is_scalar(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node)
{
    if (node->kind != SG_YAML_SCALAR) {
        sg_config_complain(bind, node->pos, "\"%s\" must be one value, not a %s", field->name,
                           node->kind == SG_YAML_LIST ? "list" : "map");
        return false;
    }
    /* YAML reads an empty value as null; here that would hide a line that was never filled in. */
    if (node->is_plain && (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
                           strcmp(node->text, "null") == 0)) {
        sg_config_complain(bind, node->pos,
                           "\"%s\" has no value: give one, or remove the line for the default",
                           field->name);
        return false;
    }
    return true;
}

static void bind_int(struct sg_config_bind *bind, const struct sg_field *field,
                     const struct sg_yaml_node *node, int64_t *ret)
{
    int64_t value = 0;
    const char *at = node->text;
    /* No sign, no leading zero (which YAML reads as octal), no underscore, no quotes. */
    bool is_good = node->is_plain && *at != '\0' && strlen(at) <= 18 && (at[0] != '0' || !at[1]);
    for (; is_good && *at != '\0'; at++) {
        is_good = *at >= '0' && *at <= '9';
        value = 10 * value + (*at - '0');
    }
    if (!is_good || value < field->min || value > field->max) {
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be a whole number from %lld to %lld, not \"%.32s\"",
                           field->name, (long long)field->min, (long long)field->max, node->text);
        return;
    }
    *ret = value;
}

static void bind_bool(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, bool *ret)
{
    bool is_true = strcmp(node->text, "true") == 0;
    if (!node->is_plain || (!is_true && strcmp(node->text, "false") != 0)) {
        sg_config_complain(bind, node->pos, "\"%s\" must be true or false, not \"%.32s\"",
                           field->name, node->text);
        return;
    }
    *ret = is_true;
}

static void bind_text(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, const char **ret)
{
    size_t len = strlen(node->text);
    if (len == 0 && field->text_def == NULL)
        sg_config_complain(bind, node->pos, "\"%s\" must not be empty", field->name);
    else if (field->max != 0 && len > (size_t)field->max)
        sg_config_complain(bind, node->pos, "\"%s\" has %zu bytes, and may have %lld", field->name,
                           len, (long long)field->max);
    else
        *ret = copy_text(bind, node->text);
}

enum { PATH_BYTES_MAX = 4095 };

static void bind_path(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, const char **ret)
{
    const char *path = node->text;
    size_t folder_len = strlen(bind->folder), len = strlen(path);
    if (len == 0 || path[0] == '/') {
        bind_text(bind, field, node, ret);
    } else if (folder_len + 1 + len > PATH_BYTES_MAX) {
        sg_config_complain(bind, node->pos, "\"%s\" is too long", field->name);
    } else {
        char *copy = sg_config_alloc(bind, folder_len + 1 + len + 1);
        if (copy != NULL)
            snprintf(copy, folder_len + 1 + len + 1, "%s/%s", bind->folder, path);
        *ret = copy;
    }
}

/* Whether the address of a PostgreSQL has a password in it. */
static bool has_password(const char *url)
{
    const char *host = strstr(url, "://") + strlen("://");
    const char *at = strchr(host, '@'), *colon = strchr(host, ':');
    return strstr(url, "password=") != NULL || (at != NULL && colon != NULL && colon < at);
}

/* What stands there may hold a password in the wrong place, so it is not repeated. */
static void bind_store(struct sg_config_bind *bind, const struct sg_field *field,
                       const struct sg_yaml_node *node, const char **ret)
{
    static const char sqlite[] = "sqlite:", postgres[] = "postgresql://";
    const char *text = node->text, *path = text + sizeof(sqlite) - 1;
    size_t len = strlen(text) + strlen(bind->folder) + 2;

    if (len > PATH_BYTES_MAX) {
        sg_config_complain(bind, node->pos, "\"%s\" is too long", field->name);
    } else if (strncmp(text, postgres, sizeof(postgres) - 1) == 0) {
        if (has_password(text))
            sg_config_complain(bind, node->pos,
                               "\"%s\" has a password in it: name a file by passfile=, or a client "
                               "certificate by sslcert= and sslkey=",
                               field->name);
        else
            *ret = copy_text(bind, text);
    } else if (strncmp(text, sqlite, sizeof(sqlite) - 1) != 0 || *path == '\0') {
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be sqlite:FOLDER or postgresql://HOST/DATABASE",
                           field->name);
    } else if (*path == '/') {
        *ret = copy_text(bind, text);
    } else {
        char *copy = sg_config_alloc(bind, len);
        if (copy != NULL)
            snprintf(copy, len, "%s%s/%s", sqlite, bind->folder, path);
        *ret = copy;
    }
}

static void bind_secret(struct sg_config_bind *bind, const struct sg_field *field,
                        const struct sg_yaml_node *node, const char **ret)
{
    static const char prefix[] = "credential:";
    if (strncmp(node->text, prefix, sizeof(prefix) - 1) != 0) {
        bind_path(bind, field, node, ret);
        return;
    }
    const char *name = node->text + sizeof(prefix) - 1;
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (*name == '\0' || *name == '.' || name[strspn(name, letters)] != '\0') {
        /* What stands there may be a secret in the wrong place, so it is not repeated. */
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be a path, or credential:NAME with the name of a "
                           "credential of systemd's",
                           field->name);
        return;
    }
    *ret = copy_text(bind, node->text);
}

/* [a-z]([a-z0-9-]{0,61}[a-z0-9])? */
static bool is_name(const char *text)
{
    size_t len = strlen(text);
    if (len < 1 || len > 63 || text[0] < 'a' || text[0] > 'z' || text[len - 1] == '-')
        return false;
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static void bind_name(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, const char **ret)
{
    if (!is_name(node->text)) {
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be lower-case letters, digits and hyphens, at most 63, "
                           "beginning with a letter and not ending with a hyphen; not \"%.32s\"",
                           field->name, node->text);
        return;
    }
    *ret = copy_text(bind, node->text);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Two digits for each byte; `bytes` has the room, or is NULL: only look. */
static bool read_hex(const char *text, uint8_t *bytes)
{
    for (; text[0] != '\0'; text += 2) {
        if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
            return false;
        if (bytes != NULL)
            *bytes++ = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
    }
    return true;
}

static void bind_hex(struct sg_config_bind *bind, const struct sg_field *field,
                     const struct sg_yaml_node *node, struct sg_slice *ret)
{
    size_t len = strlen(node->text);
    bool is_good = len / 2 >= (size_t)field->min && len / 2 <= (size_t)field->max &&
                   read_hex(node->text, NULL);
    if (!is_good) {
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be %lld to %lld bytes in hexadecimal, two digits each, "
                           "not \"%.32s\"",
                           field->name, (long long)field->min, (long long)field->max, node->text);
        return;
    }
    uint8_t *bytes = sg_config_alloc(bind, len / 2);
    if (bytes != NULL)
        SG_ASSERT(read_hex(node->text, bytes)); /* it has been looked at */
    *ret = sg_slice_of(bytes, bytes == NULL ? 0 : len / 2);
}

static void bind_word(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, int *ret)
{
    char all[128] = "";
    size_t used = 0;
    int value = 0;
    for (size_t i = 0;; i++) {
        struct sg_slice word = sg_field_word(field, i, &value);
        if (word.len == 0)
            break;
        if (sg_slice_is(word, node->text)) {
            *ret = value;
            return;
        }
        if (used < sizeof(all))
            used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%.*s", i == 0 ? "" : ", ",
                                     (int)word.len, (const char *)word.ptr);
    }
    sg_config_complain(bind, node->pos, "\"%s\" must be one of %s; not \"%.32s\"", field->name, all,
                       node->text);
}

/* Lists of scalars ---------------------------------------------------------------------------- */

static bool is_list(struct sg_config_bind *bind, const struct sg_field *field,
                    const struct sg_yaml_node *node)
{
    if (node->kind == SG_YAML_LIST && node->count > 0)
        return true;
    sg_config_complain(bind, node->pos, "\"%s\" must be a list, as in [a, b]%s", field->name,
                       node->kind == SG_YAML_LIST ? "; for none, remove the line" : "");
    return false;
}

static void bind_words(struct sg_config_bind *bind, const struct sg_field *field,
                       const struct sg_yaml_node *node, uint32_t *ret)
{
    uint32_t bits = 0;
    if (!is_list(bind, field, node))
        return;
    for (const struct sg_yaml_node *item = node->children; item != NULL; item = item->next) {
        int value = 0;
        if (!is_scalar(bind, field, item))
            continue;
        bind_word(bind, field, item, &value);
        if (value > 0 && (bits & UINT32_C(1) << value) != 0)
            sg_config_complain(bind, item->pos, "\"%s\" has \"%s\" twice", field->name, item->text);
        if (value > 0)
            bits |= UINT32_C(1) << value;
    }
    *ret = bits;
}

/* A text of a list, to be sorted. */
struct text_item {
    const char *text;
    struct sg_yaml_pos pos;
};

static int text_order(const void *a, const void *b)
{
    const struct text_item *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    if (order == 0)
        order = (x->pos.line > y->pos.line) - (x->pos.line < y->pos.line);
    if (order == 0)
        order = (x->pos.column > y->pos.column) - (x->pos.column < y->pos.column);
    return order;
}

/* Sorted, because a caller may have thousands of keys. */
static void refuse_repeated(struct sg_config_bind *bind, const struct sg_field *field,
                            const struct sg_yaml_node *node)
{
    size_t count = 0;
    struct text_item *items = sg_arena_alloc(bind->scratch, node->count * sizeof(*items));
    if (items == NULL) {
        bind->no_memory = true;
        return;
    }
    for (const struct sg_yaml_node *item = node->children; item != NULL; item = item->next) {
        if (item->kind == SG_YAML_SCALAR)
            items[count++] = (struct text_item){item->text, item->pos};
    }
    if (count > 0)
        qsort(items, count, sizeof(*items), text_order);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(items[i - 1].text, items[i].text) == 0)
            sg_config_complain(bind, items[i].pos, "\"%s\" has \"%.64s\" twice", field->name,
                               items[i].text);
    }
}

static void bind_texts(struct sg_config_bind *bind, const struct sg_field *field,
                       const struct sg_yaml_node *node, const char *const **ret, size_t *ret_count)
{
    if (!is_list(bind, field, node))
        return;
    const char **texts = sg_config_alloc(bind, node->count * sizeof(*texts));
    size_t count = 0;
    for (const struct sg_yaml_node *item = node->children; item != NULL && texts != NULL;
         item = item->next) {
        if (!is_scalar(bind, field, item))
            continue;
        bind_text(bind, field, item, &texts[count]);
        if (texts[count] != NULL)
            count++;
    }
    refuse_repeated(bind, field, node);
    *ret = texts;
    *ret_count = count;
}

/* By kind ----------------------------------------------------------------------------------- */

/* Complaints repeat nothing of it: somebody may have put the token where its hash belongs. */
static void bind_hashes(struct sg_config_bind *bind, const struct sg_field *field,
                        const struct sg_yaml_node *node, const struct sg_slice **ret,
                        size_t *ret_count)
{
    enum { HASH_LEN = 32 };
    if (!is_list(bind, field, node))
        return;
    if (node->count > (size_t)field->max) {
        sg_config_complain(bind, node->pos, "\"%s\" may have %lld", field->name,
                           (long long)field->max);
        return;
    }
    struct sg_slice *hashes = sg_config_alloc(bind, node->count * sizeof(*hashes));
    size_t count = 0;
    for (const struct sg_yaml_node *item = node->children; item != NULL && hashes != NULL;
         item = item->next) {
        uint8_t *bytes = sg_config_alloc(bind, HASH_LEN);
        if (bytes == NULL || !is_scalar(bind, field, item))
            continue;
        if (strlen(item->text) != (size_t)2 * HASH_LEN || !read_hex(item->text, bytes)) {
            sg_config_complain(bind, item->pos,
                               "each of \"%s\" must be a SHA-256 in hexadecimal, 64 digits, as "
                               "\"sealgate token new\" prints it; not the token itself",
                               field->name);
            continue;
        }
        hashes[count++] = sg_slice_of(bytes, HASH_LEN);
    }
    *ret = hashes;
    *ret_count = count;
}

/* RFC 3339 §5.6, in UTC and whole seconds: nothing about it is to be guessed. */
static bool read_time(const char *text, int64_t *ret_s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    int parts[6] = {0};
    size_t part = 0;
    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++) {
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !is_digit : text[i] != form[i])
            return false;
        if (is_digit)
            parts[part] = 10 * parts[part] + (text[i] - '0');
        else
            part++;
    }
    struct tm tm = {.tm_year = parts[0] - 1900,
                    .tm_mon = parts[1] - 1,
                    .tm_mday = parts[2],
                    .tm_hour = parts[3],
                    .tm_min = parts[4],
                    .tm_sec = parts[5]};
    *ret_s = (int64_t)timegm(&tm);
    /* February 30 becomes March 2. */
    return *ret_s > 0 && tm.tm_mon == parts[1] - 1 && tm.tm_mday == parts[2] &&
           tm.tm_hour == parts[3] && tm.tm_min == parts[4] && tm.tm_sec == parts[5];
}

static void bind_time(struct sg_config_bind *bind, const struct sg_field *field,
                      const struct sg_yaml_node *node, int64_t *ret)
{
    int64_t value = 0;
    if (read_time(node->text, &value))
        *ret = value;
    else
        sg_config_complain(bind, node->pos,
                           "\"%s\" must be a time in UTC after 1970, as 2027-01-31T00:00:00Z; "
                           "not \"%.32s\"",
                           field->name, node->text);
}

void sg_config_bind_field(struct sg_config_bind *bind, const struct sg_field *field,
                          const struct sg_yaml_node *node, void *base)
{
    void *member = (char *)base + field->offset;
    if (field->kind != SG_FIELD_CHOICES && field->kind != SG_FIELD_TEXTS &&
        field->kind != SG_FIELD_HASHES && !is_scalar(bind, field, node))
        return;
    switch (field->kind) {
    case SG_FIELD_INT:
        bind_int(bind, field, node, member);
        return;
    case SG_FIELD_BOOL:
        bind_bool(bind, field, node, member);
        return;
    case SG_FIELD_TEXT:
        bind_text(bind, field, node, member);
        return;
    case SG_FIELD_PATH:
        bind_path(bind, field, node, member);
        return;
    case SG_FIELD_SECRET:
        bind_secret(bind, field, node, member);
        return;
    case SG_FIELD_STORE:
        bind_store(bind, field, node, member);
        return;
    case SG_FIELD_NAME:
        bind_name(bind, field, node, member);
        return;
    case SG_FIELD_HEX:
        bind_hex(bind, field, node, member);
        return;
    case SG_FIELD_CHOICE:
        bind_word(bind, field, node, member);
        return;
    case SG_FIELD_CHOICES:
        bind_words(bind, field, node, member);
        return;
    case SG_FIELD_TEXTS:
        bind_texts(bind, field, node, member, (void *)((char *)base + field->count_offset));
        return;
    case SG_FIELD_HASHES:
        bind_hashes(bind, field, node, member, (void *)((char *)base + field->count_offset));
        return;
    case SG_FIELD_TIME:
        bind_time(bind, field, node, member);
        return;
    case SG_FIELD_ITEMS: /* bind.c */
    case SG_FIELD_NONE:
        break;
    }
    SG_ASSERT(false);
}

void sg_config_set_default(const struct sg_field *field, void *base)
{
    void *member = (char *)base + field->offset;
    int word = (int)field->def;
    bool truth = field->def != 0;
    uint32_t words = (uint32_t)field->def;
    switch (field->kind) {
    case SG_FIELD_INT:
        memcpy(member, &field->def, sizeof(field->def));
        break;
    case SG_FIELD_BOOL:
        memcpy(member, &truth, sizeof(truth));
        break;
    case SG_FIELD_TEXT:
    case SG_FIELD_PATH:
    case SG_FIELD_STORE:
        memcpy(member, &field->text_def, sizeof(field->text_def));
        break;
    case SG_FIELD_CHOICE:
        memcpy(member, &word, sizeof(word));
        break;
    case SG_FIELD_CHOICES:
        memcpy(member, &words, sizeof(words));
        break;
    case SG_FIELD_SECRET:
    case SG_FIELD_NAME:
    case SG_FIELD_HEX:
    case SG_FIELD_TEXTS:
    case SG_FIELD_HASHES:
    case SG_FIELD_TIME:
    case SG_FIELD_ITEMS:
    case SG_FIELD_NONE:
        break; /* nothing given is all zeros */
    }
}
