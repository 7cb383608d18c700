#include <malloc.h>
#include <stdlib.h>

#include "proto/h2/h2_priv.h"

/*
 * What the HTTP/2 library holds for one connection is counted and bounded, so that no peer can
 * make it grow in a way that our own limits do not see. Sizes are asked of the allocator, which
 * knows them; a header of ours before each piece would cost more.
 */

static bool has_room(const struct sg_h2_memory *memory, size_t len)
{
    /* The allocator rounds up, so `used` may be a little over `max` already. */
    return memory->used < memory->max && len <= memory->max - memory->used;
}

void *sg_h2_memory_alloc(size_t len, void *arg)
{
    struct sg_h2_memory *memory = arg;
    void *ptr = has_room(memory, len) ? malloc(len) : NULL;
    memory->used += malloc_usable_size(ptr);
    return ptr;
}

void *sg_h2_memory_calloc(size_t count, size_t len, void *arg)
{
    struct sg_h2_memory *memory = arg;
    size_t total;
    if (__builtin_mul_overflow(count, len, &total) || !has_room(memory, total))
        return NULL;
    void *ptr = calloc(count, len);
    memory->used += malloc_usable_size(ptr);
    return ptr;
}

void *sg_h2_memory_realloc(void *ptr, size_t len, void *arg)
{
    struct sg_h2_memory *memory = arg;
    size_t before = malloc_usable_size(ptr);
    if (len > before && !has_room(memory, len - before))
        return NULL;
    void *moved = realloc(ptr, len);
    if (moved == NULL && len > 0)
        return NULL;
    memory->used += malloc_usable_size(moved) - before;
    return moved;
}

void sg_h2_memory_free(void *ptr, void *arg)
{
    struct sg_h2_memory *memory = arg;
    memory->used -= malloc_usable_size(ptr);
    free(ptr);
}
