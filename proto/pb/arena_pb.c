#include "proto/pb/arena_pb.h"

static void *arena_alloc(void *arena, size_t len)
{
    return sg_arena_alloc(arena, len);
}

/* The arena goes as a whole. */
static void arena_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

ProtobufCAllocator sg_arena_pb(struct sg_arena *arena)
{
    return (ProtobufCAllocator){arena_alloc, arena_free, arena};
}
