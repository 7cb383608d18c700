#ifndef SG_PROTO_PB_WIRE_H
#define SG_PROTO_PB_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/slice.h"

/*
 * The letters of the wire format (Protocol Buffers, Encoding), read and written. Reading cuts off
 * the front of `*in`; where it returns false, `*in` is of no further use.
 */
enum sg_pb_wire_type { /* the low three bits of a tag; 3 and 4 are groups, refused */
                       SG_PB_VARINT = 0,
                       SG_PB_FIXED64 = 1,
                       SG_PB_BYTES = 2,
                       SG_PB_FIXED32 = 5,
};

/* How a value of this type stands on the wire when it is not packed. */
enum sg_pb_wire_type sg_pb_wire_type_of(ProtobufCType type);

/* A varint of at most `bytes_max` bytes and 64 bits. */
bool sg_pb_take_varint(struct sg_slice *in, size_t bytes_max, uint64_t *ret);
/* Tags and lengths are at most 32 bits in at most five bytes: what protobuf-c reads. */
bool sg_pb_take_varint32(struct sg_slice *in, uint32_t *ret);
/* The value behind a tag; `*ret` is the payload of SG_PB_BYTES and else the value as it stands. */
bool sg_pb_take_value(struct sg_slice *in, unsigned wire_type, struct sg_slice *ret);
/* A tag that is one, and its value. */
bool sg_pb_take_field(struct sg_slice *in, uint32_t *ret_number, unsigned *ret_wire_type,
                      struct sg_slice *ret_value);

void sg_pb_put_varint(struct sg_buf *out, uint64_t value);
void sg_pb_put_tag(struct sg_buf *out, uint32_t number, enum sg_pb_wire_type wire_type);
/* Little endian, `len` bytes of it. */
void sg_pb_put_fixed(struct sg_buf *out, uint64_t value, size_t len);
/* The payload of SG_PB_BYTES with its length in front. */
void sg_pb_put_bytes(struct sg_buf *out, struct sg_slice bytes);
/* The same for a payload that was written from `from` on, up to the end of `out`. */
void sg_pb_put_length_before(struct sg_buf *out, size_t from);

#endif
