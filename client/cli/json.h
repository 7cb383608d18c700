#ifndef SG_CLI_JSON_H
#define SG_CLI_JSON_H

#include "base/buf.h"

/*
 * Writes JSON (RFC 8259), and only what is JSON: text that is not UTF-8 gets U+FFFD in the places
 * that are not, control characters are escaped, commas and nesting are kept here. Mistakes of the
 * caller (a member without a name, an end without a begin) are bugs and abort.
 *
 * `name` is NULL for the elements of an array and for the outermost value.
 */
enum { SG_JSON_DEPTH_MAX = 16 };

struct sg_json {
    struct sg_buf *out;
    unsigned depth;
    char ends[SG_JSON_DEPTH_MAX]; /* '}' or ']' of what is open */
    bool has_members;             /* a comma is due */
};

static inline struct sg_json sg_json_of(struct sg_buf *out)
{
    return (struct sg_json){.out = out};
}

void sg_json_begin_object(struct sg_json *json, const char *name);
void sg_json_begin_array(struct sg_json *json, const char *name);
void sg_json_end(struct sg_json *json);

void sg_json_text(struct sg_json *json, const char *name, struct sg_slice text);
/* NULL is the empty string. */
void sg_json_str(struct sg_json *json, const char *name, const char *text);
void sg_json_int(struct sg_json *json, const char *name, int64_t value);
/* With `decimals` (0 to 9) places behind the point. `value` is finite. */
void sg_json_real(struct sg_json *json, const char *name, double value, int decimals);
void sg_json_bool(struct sg_json *json, const char *name, bool value);
void sg_json_base64(struct sg_json *json, const char *name, struct sg_slice bytes);
void sg_json_hex(struct sg_json *json, const char *name, struct sg_slice bytes);
/* RFC 3339 in UTC with microseconds; null for 0. */
void sg_json_time(struct sg_json *json, const char *name, int64_t time_ns);

#endif
