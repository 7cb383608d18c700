#include "proto/pb/unpack.h"

#include "proto/pb/arena_pb.h"

const struct sg_pb_limits sg_pb_limits_default = {
    .depth_max = 32,
    .elements_max = 32768,
};

enum sg_rc sg_pb_unpack(const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                        struct sg_arena *arena, enum sg_pb_flags flags, ProtobufCMessage **ret,
                        struct sg_err *err)
{
    struct sg_pb_limits limits = sg_pb_limits_default;
    limits.strict = (flags & SG_PB_STRICT) != 0;
    SG_TRY(sg_pb_precheck(desc, wire, &limits, err));

    ProtobufCAllocator allocator = sg_arena_pb(arena);
    ProtobufCMessage *message = protobuf_c_message_unpack(desc, &allocator, wire.len, wire.ptr);
    /* The bytes are right, so only memory can have failed. */
    if (message == NULL)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE,
                         "could not unpack a %s of %zu bytes: it needs more than the call may use",
                         desc->name, wire.len);
    *ret = message;
    return SG_OK;
}

void sg_pb_pack(const ProtobufCMessage *message, struct sg_buf *buf)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len == 0)
        return;
    uint8_t *room = sg_buf_room(buf, len);
    if (room != NULL)
        sg_buf_claim(buf, protobuf_c_message_pack(message, room));
}
