#ifndef SG_PROTO_JSON_JSON_H
#define SG_PROTO_JSON_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "proto/pb/types.h"

/*
 * The JSON of Protocol Buffers (protobuf.dev, "ProtoJSON Format"), to the wire format and back,
 * by the descriptor. Neither side makes structs: what comes as JSON becomes the bytes that a gRPC
 * client would have sent and goes the same way through sg_pb_precheck(), and what is sent is made
 * JSON after it was packed. So handlers see one kind of message, and one place judges it.
 *
 * Stricter than the format where it leaves a choice, because what is signed must mean one thing:
 * unknown names and names given twice are refused, in either spelling, and so are two members of a
 * oneof, unknown names of enum values, base64 of mixed alphabets, and numbers that are not exact.
 * null is absent, but no element of a list. google.protobuf.Any is written and not read; no
 * request has one. Integers over 2^63-1 are taken as strings only, as all writers have them: the
 * library that reads the text has no number for them but one that is not exact.
 *
 * Thread: any.
 */

/*
 * Appends the message as wire bytes. Memory for reading is freed when this returns; `scratch_max`
 * is the most that it may take.
 *
 * Errors: SG_E_INVALID  MALFORMED_REQUEST or UNKNOWN_FIELD; the message names the field
 *         SG_E_LIMIT    MESSAGE_TOO_LARGE: no room in `out`, or over `scratch_max`
 */
SG_MUST_USE enum sg_rc sg_json_decode(const struct sg_pb_types *types,
                                      const ProtobufCMessageDescriptor *desc, struct sg_slice text,
                                      size_t scratch_max, struct sg_buf *out, struct sg_err *err);

/*
 * Appends the message as JSON: lowerCamel names, 64-bit numbers as strings, enum values by name,
 * and what the wire leaves out is left out. `wire` is as protobuf-c packs it: the values of a
 * repeated field stand together.
 *
 * Errors: SG_E_INTERNAL `wire` is not such a message, or has no JSON (a time out of range, an Any
 *                       of a type that is not in `types`)
 *         SG_E_LIMIT    no room in `out`
 */
SG_MUST_USE enum sg_rc sg_json_encode(const struct sg_pb_types *types,
                                      const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                                      struct sg_buf *out, struct sg_err *err);

/* Appends `text`, which is UTF-8, as a JSON string with its quotes. */
void sg_json_put_string(struct sg_buf *out, struct sg_slice text);

#endif
