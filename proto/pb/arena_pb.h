#ifndef SG_PROTO_PB_ARENA_PB_H
#define SG_PROTO_PB_ARENA_PB_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/*
 * protobuf-c's memory out of a request's arena: unpacking cannot take more than the arena's cap,
 * and nothing is freed by hand: never call protobuf_c_message_free_unpacked() on the result.
 * The allocator borrows the arena.
 */
ProtobufCAllocator sg_arena_pb(struct sg_arena *arena);

#endif
