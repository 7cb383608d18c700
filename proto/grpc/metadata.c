#include "proto/grpc/metadata.h"

#include "base/base64.h"
#include "base/secret.h"

bool sg_metadata_name_is_valid(struct sg_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool is_ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        if (!is_ok)
            return false;
    }
    return name.len > 0;
}

bool sg_metadata_name_is_reserved(struct sg_slice name)
{
    static const char *const reserved[] = {
        "te",         "host",         "trailer",       "upgrade",
        "connection", "trailer",      "keep-alive",    "transfer-encoding",
        "user-agent", "content-type", "content-length"};

    if (sg_slice_starts(name, SG_SLICE("grpc-")) || sg_slice_starts(name, SG_SLICE(":")))
        return true;
    for (size_t i = 0; i < SG_COUNT(reserved); i++)
        if (sg_slice_is(name, reserved[i]))
            return true;
    return false;
}

bool sg_metadata_name_is_bin(struct sg_slice name)
{
    return name.len >= 4 && memcmp(name.ptr + name.len - 4, "-bin", 4) == 0;
}

bool sg_metadata_value_is_valid(struct sg_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7E)
            return false;
    return value.len == 0 || (value.ptr[0] != ' ' && value.ptr[value.len - 1] != ' ');
}

/* An entry with its name and room for a value, in one piece; NULL when the arena is full. */
static struct sg_metadata_entry *entry_new(struct sg_arena *arena, struct sg_slice name,
                                           size_t value_max, uint8_t **ret_value)
{
    struct sg_metadata_entry *entry;
    if (name.len > SIZE_MAX / 4 || value_max > SIZE_MAX / 4)
        return NULL;
    entry = sg_arena_alloc(arena, sizeof(*entry) + name.len + value_max);
    if (entry == NULL)
        return NULL;
    uint8_t *bytes = (uint8_t *)(entry + 1);
    memcpy(bytes, name.ptr, name.len);
    entry->next = NULL;
    entry->name = sg_slice_of(bytes, name.len);
    *ret_value = bytes + name.len;
    return entry;
}

static void append(struct sg_metadata *metadata, struct sg_metadata_entry *entry)
{
    if (metadata->last == NULL)
        metadata->first = entry;
    else
        metadata->last->next = entry;
    metadata->last = entry;
    metadata->count++;
}

static enum sg_rc fail_full(struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "no room for the metadata of the call");
}

static enum sg_rc add_plain(struct sg_metadata *metadata, struct sg_arena *arena,
                            struct sg_slice name, struct sg_slice value, struct sg_err *err)
{
    uint8_t *bytes;
    struct sg_metadata_entry *entry = entry_new(arena, name, value.len, &bytes);
    if (entry == NULL)
        return fail_full(err);
    if (value.len > 0)
        memcpy(bytes, value.ptr, value.len);
    entry->value = sg_slice_of(bytes, value.len);
    append(metadata, entry);
    return SG_OK;
}

static enum sg_rc add_decoded(struct sg_metadata *metadata, struct sg_arena *arena,
                              struct sg_slice name, struct sg_slice text, struct sg_err *err)
{
    uint8_t *bytes;
    size_t max = sg_base64_decoded_max(text.len);
    struct sg_metadata_entry *entry = entry_new(arena, name, max, &bytes);
    if (entry == NULL)
        return fail_full(err);

    /* A buffer over arena memory: it has all the room it may take, so it never reallocates. */
    struct sg_buf value = {.ptr = bytes, .cap = max, .max = max};
    if (sg_base64_decode(text, SG_BASE64_STD, SG_BASE64_EITHER, &value, NULL) != SG_OK)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "metadata \"%.*s\" is not base64",
                         (int)(name.len < 64 ? name.len : 64), (const char *)name.ptr);
    entry->value = sg_buf_slice(&value);
    append(metadata, entry);
    return SG_OK;
}

enum sg_rc sg_metadata_add_wire(struct sg_metadata *metadata, struct sg_arena *arena,
                                struct sg_slice name, struct sg_slice value, struct sg_err *err)
{
    if (!sg_metadata_name_is_bin(name))
        return add_plain(metadata, arena, name, value, err);

    /* HTTP may have joined repeated fields: split before decoding (PROTOCOL-HTTP2.md). */
    while (true) {
        const uint8_t *comma = value.len == 0 ? NULL : memchr(value.ptr, ',', value.len);
        size_t len = comma == NULL ? value.len : (size_t)(comma - value.ptr);
        struct sg_slice part = sg_slice_take(&value, len);
        while (part.len > 0 && part.ptr[0] == ' ')
            (void)sg_slice_take(&part, 1);
        while (part.len > 0 && part.ptr[part.len - 1] == ' ')
            part.len--;
        SG_TRY(add_decoded(metadata, arena, name, part, err));
        if (comma == NULL)
            return SG_OK;
        (void)sg_slice_take(&value, 1);
    }
}

enum sg_rc sg_metadata_add_own(struct sg_metadata *metadata, struct sg_arena *arena,
                               struct sg_slice name, struct sg_slice value, struct sg_err *err)
{
    if (!sg_metadata_name_is_valid(name) || sg_metadata_name_is_reserved(name))
        return SG_FAIL(err, SG_E_INVALID, 0, "metadata may not be named \"%.*s\"",
                       (int)(name.len < 64 ? name.len : 64), (const char *)name.ptr);
    if (!sg_metadata_name_is_bin(name)) {
        if (!sg_metadata_value_is_valid(value))
            return SG_FAIL(err, SG_E_INVALID, 0, "metadata \"%.*s\" is not printable ASCII",
                           (int)(name.len < 64 ? name.len : 64), (const char *)name.ptr);
        return add_plain(metadata, arena, name, value, err);
    }

    uint8_t *bytes;
    size_t max = value.len > SIZE_MAX / 8 ? SIZE_MAX : (value.len + 2) / 3 * 4;
    struct sg_metadata_entry *entry = entry_new(arena, name, max, &bytes);
    if (entry == NULL)
        return fail_full(err);
    struct sg_buf text = {.ptr = bytes, .cap = max, .max = max};
    sg_base64_encode(value, SG_BASE64_STD, SG_BASE64_UNPADDED, &text);
    entry->value = sg_buf_slice(&text);
    append(metadata, entry);
    return SG_OK;
}

enum sg_rc sg_metadata_add_prefixed(struct sg_metadata *metadata, struct sg_arena *arena,
                                    struct sg_slice prefix, const struct sg_metadata_entry *entry,
                                    struct sg_err *err)
{
    size_t len = prefix.len + entry->name.len;
    uint8_t *name = sg_arena_alloc(arena, len);
    if (name == NULL)
        return fail_full(err);
    memcpy(name, prefix.ptr, prefix.len);
    memcpy(name + prefix.len, entry->name.ptr, entry->name.len);
    return add_plain(metadata, arena, sg_slice_of(name, len), entry->value, err);
}

void sg_metadata_wipe(struct sg_metadata *metadata, struct sg_slice name)
{
    for (struct sg_metadata_entry *entry = metadata->first; entry != NULL; entry = entry->next) {
        if (!sg_slice_eq(entry->name, name) || entry->value.len == 0)
            continue;
        /* The bytes lie behind the entry, in memory that is ours: entry_new(). */
        sg_wipe((uint8_t *)(uintptr_t)entry->value.ptr, entry->value.len);
        entry->value.len = 0;
    }
}

struct sg_slice sg_metadata_find(const struct sg_metadata *metadata, struct sg_slice name)
{
    for (const struct sg_metadata_entry *entry = metadata->first; entry; entry = entry->next)
        if (sg_slice_eq(entry->name, name))
            return entry->value;
    return (struct sg_slice){0};
}
