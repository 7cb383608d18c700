#include "client/cli/json.h"

#include <math.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "client/cli/text.h"

/* A string with its quotes. */
static void add_string(struct sg_buf *out, struct sg_slice text)
{
    sg_buf_add_u8(out, '"');
    while (text.len > 0) {
        uint32_t character;
        size_t len = sg_utf8_next(text, &character);
        uint8_t c = text.ptr[0];

        if (len == 0) {
            sg_buf_add_str(out, "\\ufffd");
            len = 1;
        } else if (c == '"' || c == '\\') {
            sg_buf_add_u8(out, '\\');
            sg_buf_add_u8(out, c);
        } else if (c == '\n') {
            sg_buf_add_str(out, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            sg_buf_printf(out, "\\u%04x", c);
        } else {
            sg_buf_add(out, text.ptr, len);
        }
        (void)sg_slice_take(&text, len);
    }
    sg_buf_add_u8(out, '"');
}

/* What stands before every value: the comma of the one before, and its name. */
static void begin_value(struct sg_json *json, const char *name)
{
    if (json->has_members)
        sg_buf_add_u8(json->out, ',');
    json->has_members = true;
    SG_ASSERT((name != NULL) == (json->depth > 0 && json->ends[json->depth - 1] == '}'));
    if (name == NULL)
        return;
    add_string(json->out, sg_slice_str(name));
    sg_buf_add_u8(json->out, ':');
}

static void begin(struct sg_json *json, const char *name, char first, char last)
{
    begin_value(json, name);
    SG_ASSERT(json->depth < SG_JSON_DEPTH_MAX);
    json->ends[json->depth++] = last;
    json->has_members = false;
    sg_buf_add_u8(json->out, (uint8_t)first);
}

void sg_json_begin_object(struct sg_json *json, const char *name)
{
    begin(json, name, '{', '}');
}

void sg_json_begin_array(struct sg_json *json, const char *name)
{
    begin(json, name, '[', ']');
}

void sg_json_end(struct sg_json *json)
{
    SG_ASSERT(json->depth > 0);
    sg_buf_add_u8(json->out, (uint8_t)json->ends[--json->depth]);
    json->has_members = true;
}

void sg_json_text(struct sg_json *json, const char *name, struct sg_slice text)
{
    begin_value(json, name);
    add_string(json->out, text);
}

void sg_json_str(struct sg_json *json, const char *name, const char *text)
{
    sg_json_text(json, name, sg_slice_str(text));
}

void sg_json_int(struct sg_json *json, const char *name, int64_t value)
{
    begin_value(json, name);
    sg_buf_printf(json->out, "%lld", (long long)value);
}

void sg_json_real(struct sg_json *json, const char *name, double value, int decimals)
{
    SG_ASSERT(isfinite(value));
    begin_value(json, name);
    sg_buf_printf(json->out, "%.*f", decimals, value);
}

void sg_json_bool(struct sg_json *json, const char *name, bool value)
{
    begin_value(json, name);
    sg_buf_add_str(json->out, value ? "true" : "false");
}

void sg_json_base64(struct sg_json *json, const char *name, struct sg_slice bytes)
{
    begin_value(json, name);
    sg_buf_add_u8(json->out, '"');
    sg_base64_encode(bytes, SG_BASE64_STD, SG_BASE64_PADDED, json->out);
    sg_buf_add_u8(json->out, '"');
}

void sg_json_hex(struct sg_json *json, const char *name, struct sg_slice bytes)
{
    begin_value(json, name);
    sg_buf_add_u8(json->out, '"');
    sg_cli_hex(bytes, json->out);
    sg_buf_add_u8(json->out, '"');
}

void sg_json_time(struct sg_json *json, const char *name, int64_t time_ns)
{
    char text[SG_CLI_TIME_BYTES];

    if (time_ns != 0) {
        sg_json_str(json, name, sg_cli_time(time_ns, text));
        return;
    }
    begin_value(json, name);
    sg_buf_add_str(json->out, "null");
}
