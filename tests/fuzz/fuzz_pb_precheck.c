/*
 * Property: what the precheck accepts, protobuf-c unpacks within the memory that the limits
 * promise, and packs to bytes that the precheck accepts again and that pack to themselves.
 *
 * The first byte chooses the message type, the second strictness.
 */
#include <stdlib.h>

#include "google/rpc/error_details.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/pb/unpack.h"
#include "sealgate/v1/keys.pb-c.h"
#include "sealgate/v1/signing.pb-c.h"
#include "sealgate/v1/verification.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &sealgate__v1__sign_request__descriptor,
    &sealgate__v1__batch_sign_request__descriptor,
    &sealgate__v1__batch_sign_response__descriptor,
    &sealgate__v1__verify_request__descriptor,
    &sealgate__v1__create_csr_request__descriptor,
    &sealgate__v1__list_keys_response__descriptor,
    &google__rpc__error_info__descriptor,
    &grpc__reflection__v1__server_reflection_response__descriptor,
};

/* An element is a message, a string, a value or a slot of protobuf-c's while it scans; the arena
 * may waste as much again at the ends of its chunks. */
static size_t memory_for(struct sg_slice wire)
{
    enum { ELEMENT_BYTES_MAX = 1024 };
    return 4096 + 4 * wire.len + wire.len * ELEMENT_BYTES_MAX / 2;
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const ProtobufCMessageDescriptor *desc = types[data[0] % SG_COUNT(types)];
    enum sg_pb_flags flags = (data[1] & 1) != 0 ? SG_PB_STRICT : SG_PB_LENIENT;
    struct sg_pb_limits limits = sg_pb_limits_default;
    limits.strict = flags == SG_PB_STRICT;
    struct sg_slice wire = sg_slice_of(data + 2, size - 2);

    struct sg_err err = {0};
    if (sg_pb_precheck(desc, wire, &limits, &err) != SG_OK) {
        require(err.reason != SG_R_NONE);
        return 0;
    }

    struct sg_arena arena;
    struct sg_buf first, second;
    ProtobufCMessage *message;
    sg_arena_init(&arena, memory_for(wire));
    sg_buf_init(&first, 2 * wire.len + 16);
    sg_buf_init(&second, 2 * wire.len + 16);
    require(sg_pb_unpack(desc, wire, &arena, flags, &message, NULL) == SG_OK);
    sg_pb_pack(message, &first);
    require(!first.failed);
    sg_arena_done(&arena);

    require(sg_pb_unpack(desc, sg_buf_slice(&first), &arena, flags, &message, NULL) == SG_OK);
    sg_pb_pack(message, &second);
    require(!second.failed && sg_slice_eq(sg_buf_slice(&first), sg_buf_slice(&second)));

    sg_arena_done(&arena);
    sg_buf_done(&first);
    sg_buf_done(&second);
    return 0;
}
