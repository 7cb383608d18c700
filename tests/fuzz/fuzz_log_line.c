#include <stdlib.h>

#include "base/log.h"
#include "tests/support/json_strict.h"

/*
 * Properties, for any values: a line is one line without control characters; as JSON it is
 * strict; as key=value it has just the fields that were given, and their values can be read back
 * byte for byte.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS_MAX = 6, VALUE_MAX = 512 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_one_line(struct sg_slice line)
{
    check(line.len > 0 && line.len <= SG_LOG_LINE_BYTES_MAX && line.ptr[line.len - 1] == '\n');
    for (size_t i = 0; i + 1 < line.len; i++)
        check(line.ptr[i] >= 0x20 && line.ptr[i] != 0x7f);
}

static uint32_t read_hex(struct sg_slice *line, size_t digits)
{
    uint32_t value = 0;
    check(line->len >= digits);
    for (size_t i = 0; i < digits; i++) {
        const char *at = strchr("0123456789abcdef", sg_slice_take(line, 1).ptr[0]);
        check(at != NULL);
        value = value * 16 + (uint32_t)(at - "0123456789abcdef");
    }
    return value;
}

/* Undoes one escape; returns how many bytes it stands for. */
static size_t read_escape(struct sg_slice *line, uint8_t *out)
{
    check(line->len > 0);
    char c = (char)sg_slice_take(line, 1).ptr[0];
    if (c == 'x') {
        out[0] = (uint8_t)read_hex(line, 2);
        return 1;
    }
    if (c == 'u') {
        uint32_t code = read_hex(line, 4);
        size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
        static const uint8_t leads[] = {0, 0, 0xc0, 0xe0};
        for (size_t i = len; i-- > 1; code >>= 6)
            out[i] = (uint8_t)(0x80 | (code & 0x3f));
        out[0] = (uint8_t)(leads[len] | code);
        return len;
    }
    check(c == '"' || c == '\\' || c == 'n' || c == 'r' || c == 't');
    out[0] = (uint8_t)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c);
    return 1;
}

/* Reads " k=value" as any reader of logfmt would, and compares. */
static void check_field(struct sg_slice *line, struct sg_slice value)
{
    uint8_t out[SG_LOG_LINE_BYTES_MAX];
    size_t len = 0;
    check(sg_slice_starts(*line, SG_SLICE(" k=")));
    (void)sg_slice_take(line, 3);

    bool is_quoted = sg_slice_starts(*line, SG_SLICE("\""));
    if (is_quoted)
        (void)sg_slice_take(line, 1);
    for (;;) {
        check(line->len > 0);
        char c = (char)line->ptr[0];
        if (is_quoted ? c == '"' : c == ' ' || c == '\n')
            break;
        (void)sg_slice_take(line, 1);
        if (is_quoted && c == '\\')
            len += read_escape(line, out + len);
        else
            out[len++] = (uint8_t)c;
    }
    if (is_quoted)
        (void)sg_slice_take(line, 1);
    if (value.len <= VALUE_MAX)
        check(sg_slice_eq(sg_slice_of(out, len), value));
}

/* The values: pieces of the input as long as the byte before each says. */
static size_t cut(struct sg_slice in, struct sg_slice *values)
{
    size_t count = 0;
    while (in.len > 0 && count < FIELDS_MAX) {
        size_t len = (size_t)sg_slice_take(&in, 1).ptr[0] * 3;
        values[count++] = sg_slice_take(&in, len < in.len ? len : in.len);
    }
    return count;
}

static void check_key_value(struct sg_slice line, const struct sg_slice *values, size_t count)
{
    static const char head[] = "time=1970-01-01T00:00:00.000Z level=info process=p event=e";
    bool is_cut = memmem(line.ptr, line.len, " truncated=true\n", 16) != NULL;
    check(sg_slice_starts(line, sg_slice_str(head)));
    (void)sg_slice_take(&line, strlen(head));
    if (is_cut)
        return; /* which fields are left out is the unit test's matter */
    for (size_t i = 0; i < count; i++)
        check_field(&line, values[i]);
    check(sg_slice_eq(line, SG_SLICE("\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice values[FIELDS_MAX];
    struct sg_log_field fields[FIELDS_MAX + 1];
    size_t count = cut(sg_slice_of(data, size), values);
    for (size_t i = 0; i < count; i++)
        fields[i] = SG_F_SLICE("k", values[i]);
    fields[count] = SG_F_STR(NULL, NULL);

    char out[SG_LOG_LINE_BYTES_MAX];
    size_t len =
        sg_log_format_line(out, sizeof(out), SG_LOG_JSON, 0, "p", SG_LOG_INFO, NULL, "e", fields);
    check_one_line(sg_slice_of(out, len));
    check(sg_json_is_strict(sg_slice_of(out, len)));
    len = sg_log_format_line(out, sizeof(out), SG_LOG_KEY_VALUE, 0, "p", SG_LOG_INFO, NULL, "e",
                             fields);
    check_one_line(sg_slice_of(out, len));
    check_key_value(sg_slice_of(out, len), values, count);
    return 0;
}
