#include "proto/pb/wire.h"

enum { VARINT_MAX = 10, VARINT32_MAX = 5 };

enum sg_pb_wire_type sg_pb_wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return SG_PB_VARINT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return SG_PB_FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return SG_PB_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return SG_PB_BYTES;
}

bool sg_pb_take_varint(struct sg_slice *in, size_t bytes_max, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes_max && i < in->len; i++) {
        uint8_t byte = in->ptr[i];
        if (i == 9 && byte > 1)
            return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            (void)sg_slice_take(in, i + 1);
            *ret = value;
            return true;
        }
    }
    return false;
}

bool sg_pb_take_varint32(struct sg_slice *in, uint32_t *ret)
{
    uint64_t value;
    if (!sg_pb_take_varint(in, VARINT32_MAX, &value) || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

bool sg_pb_take_value(struct sg_slice *in, unsigned wire_type, struct sg_slice *ret)
{
    uint32_t len = 0;
    uint64_t ignored;
    const uint8_t *start = in->ptr;
    switch (wire_type) {
    case SG_PB_VARINT:
        if (!sg_pb_take_varint(in, VARINT_MAX, &ignored))
            return false;
        *ret = sg_slice_of(start, (size_t)(in->ptr - start));
        return true;
    case SG_PB_FIXED64:
        len = 8;
        break;
    case SG_PB_FIXED32:
        len = 4;
        break;
    case SG_PB_BYTES:
        if (!sg_pb_take_varint32(in, &len) || len > INT32_MAX)
            return false;
        break;
    default: /* groups, and what no version defines */
        return false;
    }
    if (in->len < len)
        return false;
    *ret = sg_slice_take(in, len);
    return true;
}

bool sg_pb_take_field(struct sg_slice *in, uint32_t *ret_number, unsigned *ret_wire_type,
                      struct sg_slice *ret_value)
{
    uint32_t tag;
    if (!sg_pb_take_varint32(in, &tag) || tag >> 3 == 0)
        return false;
    *ret_number = tag >> 3;
    *ret_wire_type = tag & 7;
    return sg_pb_take_value(in, tag & 7, ret_value);
}

static size_t varint_bytes(uint64_t value, uint8_t bytes[VARINT_MAX])
{
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    return len;
}

void sg_pb_put_varint(struct sg_buf *out, uint64_t value)
{
    uint8_t bytes[VARINT_MAX];
    sg_buf_add(out, bytes, varint_bytes(value, bytes));
}

void sg_pb_put_tag(struct sg_buf *out, uint32_t number, enum sg_pb_wire_type wire_type)
{
    sg_pb_put_varint(out, (uint64_t)number << 3 | (unsigned)wire_type);
}

void sg_pb_put_fixed(struct sg_buf *out, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    SG_ASSERT(len <= sizeof(bytes));
    sg_buf_add(out, bytes, len);
}

void sg_pb_put_bytes(struct sg_buf *out, struct sg_slice bytes)
{
    sg_pb_put_varint(out, bytes.len);
    sg_buf_add_slice(out, bytes);
}

void sg_pb_put_length_before(struct sg_buf *out, size_t from)
{
    uint8_t bytes[VARINT_MAX];
    if (out->failed)
        return;
    size_t payload_len = out->len - from, len = varint_bytes(payload_len, bytes);
    if (sg_buf_room(out, len) == NULL)
        return;
    sg_buf_claim(out, len);
    memmove(out->ptr + from + len, out->ptr + from, payload_len);
    memcpy(out->ptr + from, bytes, len);
}
