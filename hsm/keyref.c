#include "hsm/keyref.h"

#include <stddef.h>

#define SCHEME "pkcs11:"

/* One row per attribute that holds bytes; `max` is the field's size in PKCS#11, or ours. */
static const struct attr {
    const char *name;
    enum sg_keyref_attr bit;
    size_t offset, max;
} attrs[] = {
    {"token", SG_KEYREF_TOKEN, offsetof(struct sg_keyref, token), 32},
    {"manufacturer", SG_KEYREF_MANUFACTURER, offsetof(struct sg_keyref, manufacturer), 32},
    {"serial", SG_KEYREF_SERIAL, offsetof(struct sg_keyref, serial), 16},
    {"model", SG_KEYREF_MODEL, offsetof(struct sg_keyref, model), 16},
    {"object", SG_KEYREF_OBJECT, offsetof(struct sg_keyref, object), 128},
    {"id", SG_KEYREF_ID, offsetof(struct sg_keyref, id), 64},
};

static const char *const types[] = {
    [SG_KEYREF_PUBLIC] = "public", [SG_KEYREF_PRIVATE] = "private",
    [SG_KEYREF_CERT] = "cert",     [SG_KEYREF_SECRET_KEY] = "secret-key",
    [SG_KEYREF_DATA] = "data",
};

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("-._~", c) != NULL);
}

/* pk11-path-res-avail and pk11-query-res-avail (RFC 7512 §2.3); the query also takes "/?|". */
static bool may_stand(uint8_t c, bool is_query)
{
    return is_unreserved(c) ||
           (c != 0 && strchr(is_query ? ":[]@!$'()*+,=/?|" : ":[]@!$'()*+,=&", c) != NULL);
}

/* Undoes percent-encoding into `out`; the length, or SIZE_MAX when malformed or too long. */
static size_t unescape(struct sg_slice in, bool is_query, uint8_t *out, size_t max)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        int v = in.ptr[i];
        if (v == '%') {
            if (in.len - i < 3)
                return SIZE_MAX;
            int high = hex_value(in.ptr[i + 1]), low = hex_value(in.ptr[i + 2]);
            if (high < 0 || low < 0)
                return SIZE_MAX;
            v = high << 4 | low;
            i += 2;
        } else if (!may_stand((uint8_t)v, is_query)) {
            return SIZE_MAX;
        }
        if (len == max)
            return SIZE_MAX;
        out[len++] = (uint8_t)v;
    }
    return len;
}

static enum sg_rc refuse(struct sg_slice name, const char *why, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_INVALID, 0, "could not read the pkcs11 URI: \"%.*s\" %s",
                   (int)(name.len > 32 ? 32 : name.len), (const char *)name.ptr, why);
}

static enum sg_rc set_type(struct sg_slice name, struct sg_slice value, struct sg_keyref *ref,
                           struct sg_err *err)
{
    for (size_t i = 1; i < SG_COUNT(types); i++) {
        if (sg_slice_is(value, types[i])) {
            ref->type = (enum sg_keyref_type)i;
            ref->has |= SG_KEYREF_TYPE;
            return SG_OK;
        }
    }
    return refuse(name, "has an unknown value", err);
}

static enum sg_rc set_path_attr(struct sg_slice name, struct sg_slice value, struct sg_keyref *ref,
                                struct sg_err *err)
{
    if (sg_slice_is(name, "type")) {
        if (ref->has & SG_KEYREF_TYPE)
            return refuse(name, "is given twice", err);
        return set_type(name, value, ref, err);
    }
    for (size_t i = 0; i < SG_COUNT(attrs); i++) {
        if (!sg_slice_is(name, attrs[i].name))
            continue;
        if (ref->has & attrs[i].bit)
            return refuse(name, "is given twice", err);
        struct sg_keyref_value *field = (void *)((char *)ref + attrs[i].offset);
        size_t len = unescape(value, false, field->bytes, attrs[i].max);
        if (len == SIZE_MAX)
            return refuse(name, "is malformed or too long", err);
        field->len = len;
        ref->has |= attrs[i].bit;
        return SG_OK;
    }
    if (sg_slice_starts(name, SG_SLICE("slot-")))
        return refuse(name, "is refused: slots change, say token= or serial=", err);
    return refuse(name, "is not something a token is chosen by here", err);
}

static enum sg_rc set_query_attr(struct sg_slice name, struct sg_slice value, struct sg_keyref *ref,
                                 struct sg_err *err)
{
    if (sg_slice_is(name, "pin-value") || sg_slice_is(name, "pin-source"))
        return refuse(name, "is refused: a PIN has its own setting", err);
    if (!sg_slice_is(name, "module-path"))
        return refuse(name, "is not served", err);
    if (ref->has & SG_KEYREF_MODULE_PATH)
        return refuse(name, "is given twice", err);

    size_t len = unescape(value, true, (uint8_t *)ref->module_path, sizeof(ref->module_path) - 1);
    if (len == SIZE_MAX || memchr(ref->module_path, 0, len) != NULL || ref->module_path[0] != '/')
        return refuse(name, "is not an absolute path", err);
    ref->module_path[len] = '\0';
    ref->has |= SG_KEYREF_MODULE_PATH;
    return SG_OK;
}

/* Cuts off what stands before `stop`, and the stop; all of it when there is none. */
static struct sg_slice cut(struct sg_slice *in, char stop)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->ptr, stop, in->len);
    if (end == NULL)
        return sg_slice_take(in, in->len);
    struct sg_slice head = sg_slice_take(in, (size_t)(end - in->ptr));
    (void)sg_slice_take(in, 1);
    return head;
}

typedef enum sg_rc (*set_fn)(struct sg_slice name, struct sg_slice value, struct sg_keyref *ref,
                             struct sg_err *err);

static enum sg_rc parse_part(struct sg_slice part, char separator, set_fn set,
                             struct sg_keyref *ref, struct sg_err *err)
{
    bool is_ended = part.len > 0 && part.ptr[part.len - 1] == (uint8_t)separator;
    while (part.len > 0) {
        struct sg_slice value = cut(&part, separator);
        if (value.len == 0 || memchr(value.ptr, '=', value.len) == NULL)
            return refuse(value, "is not name=value", err);
        struct sg_slice name = cut(&value, '=');
        SG_TRY(set(name, value, ref, err));
    }
    if (is_ended)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read the pkcs11 URI: nothing follows the last '%c'", separator);
    return SG_OK;
}

enum sg_rc sg_keyref_parse(struct sg_slice uri, struct sg_keyref *ret, struct sg_err *err)
{
    struct sg_keyref ref = {0};
    struct sg_slice rest = uri;

    if (!sg_slice_starts(uri, SG_SLICE(SCHEME)))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the pkcs11 URI: no \"pkcs11:\"");
    (void)sg_slice_take(&rest, strlen(SCHEME));

    struct sg_slice path = cut(&rest, '?');
    if (rest.len == 0 && uri.ptr[uri.len - 1] == '?')
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the pkcs11 URI: an empty query");
    SG_TRY(parse_part(path, ';', set_path_attr, &ref, err));
    SG_TRY(parse_part(rest, '&', set_query_attr, &ref, err));
    *ret = ref;
    return SG_OK;
}

enum sg_rc sg_keyref_parse_token(struct sg_slice uri, struct sg_keyref *ret, struct sg_err *err)
{
    const unsigned chooses = SG_KEYREF_TOKEN | SG_KEYREF_SERIAL;
    const unsigned matched = chooses | SG_KEYREF_MANUFACTURER | SG_KEYREF_MODEL;
    struct sg_keyref ref;

    SG_TRY(sg_keyref_parse(uri, &ref, err));
    if ((ref.has & chooses) == 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not choose a token: its URI has neither token= nor serial=");
    if ((ref.has & ~matched) != 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not choose a token: its URI says more than token=, serial=, "
                       "manufacturer= and model=; a module and keys have settings of their own");
    *ret = ref;
    return SG_OK;
}

static void format_bytes(struct sg_slice bytes, bool is_all_escaped, struct sg_buf *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (!is_all_escaped && is_unreserved(bytes.ptr[i]))
            sg_buf_add_u8(out, bytes.ptr[i]);
        else
            sg_buf_printf(out, "%%%02X", bytes.ptr[i]);
    }
}

void sg_keyref_format(const struct sg_keyref *ref, struct sg_buf *out)
{
    const char *separator = "";

    sg_buf_add_str(out, SCHEME);
    for (size_t i = 0; i < SG_COUNT(attrs); i++) {
        if (!(ref->has & attrs[i].bit))
            continue;
        const struct sg_keyref_value *field = (const void *)((const char *)ref + attrs[i].offset);
        sg_buf_printf(out, "%s%s=", separator, attrs[i].name);
        format_bytes(sg_keyref_slice(field), attrs[i].bit == SG_KEYREF_ID, out);
        separator = ";";
    }
    if (ref->has & SG_KEYREF_TYPE)
        sg_buf_printf(out, "%stype=%s", separator, types[ref->type]);
    if (ref->has & SG_KEYREF_MODULE_PATH) {
        sg_buf_add_str(out, "?module-path=");
        for (const char *c = ref->module_path; *c != '\0'; c++) {
            if (*c == '/')
                sg_buf_add_u8(out, '/');
            else
                format_bytes(sg_slice_of(c, 1), false, out);
        }
    }
}
