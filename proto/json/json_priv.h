#ifndef SG_PROTO_JSON_JSON_PRIV_H
#define SG_PROTO_JSON_JSON_PRIV_H

#include "proto/json/json.h"

/* Types whose JSON is not an object of their fields. */
enum sg_json_special {
    SG_JSON_PLAIN = 0,
    SG_JSON_TIMESTAMP,
    SG_JSON_DURATION,
    SG_JSON_ANY,
};

enum sg_json_special sg_json_special_of(const ProtobufCMessageDescriptor *desc);

/* Messages inside messages; the same as of the wire bytes (sg_pb_limits_default). */
enum { SG_JSON_DEPTH_MAX = 32 };

/* google.protobuf.Timestamp and Duration. */
struct sg_json_time {
    int64_t seconds;
    int32_t nanos;
};

/*
 * "1972-01-01T10:00:20.021Z" (RFC 3339, any offset; upper case; no leap second) and "-1.500s", up
 * to nine digits behind the point. False: it is none, or out of the range of its type.
 */
bool sg_json_timestamp_parse(struct sg_slice text, struct sg_json_time *ret);
bool sg_json_duration_parse(struct sg_slice text, struct sg_json_time *ret);

/* Appends it with its quotes: Z, and no, three, six or nine digits behind the point. False: out of
 * range; then nothing was appended. */
bool sg_json_timestamp_put(struct sg_buf *out, struct sg_json_time time);
bool sg_json_duration_put(struct sg_buf *out, struct sg_json_time time);

#endif
