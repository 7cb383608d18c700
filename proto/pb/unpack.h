#ifndef SG_PROTO_PB_UNPACK_H
#define SG_PROTO_PB_UNPACK_H

#include "base/arena.h"
#include "base/buf.h"
#include "proto/pb/precheck.h"

/* 32 levels; 32,768 elements, which is a full BatchSign with every field set. Not strict. */
extern const struct sg_pb_limits sg_pb_limits_default;

enum sg_pb_flags {
    SG_PB_LENIENT = 0,
    SG_PB_STRICT = 1, /* sg_pb_limits.strict: for signing requests */
};

/*
 * A message out of its bytes: sg_pb_precheck() by the default limits, then protobuf-c.
 *
 * Owns:    `*ret` lies in `arena` and borrows nothing from `wire`; never free it by hand
 * Errors:  those of sg_pb_precheck(); SG_E_LIMIT, MESSAGE_TOO_LARGE, when the arena is full
 */
SG_MUST_USE enum sg_rc sg_pb_unpack(const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                                    struct sg_arena *arena, enum sg_pb_flags flags,
                                    ProtobufCMessage **ret, struct sg_err *err);

/* Appends the encoded message; a failure sticks to `buf` as any append's does. */
void sg_pb_pack(const ProtobufCMessage *message, struct sg_buf *buf);

#endif
