#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

struct sg_arena_chunk {
    struct sg_arena_chunk *older;
    size_t len;
    alignas(max_align_t) uint8_t bytes[];
};

enum { CHUNK_FIRST = 2048, CHUNK_MAX = 65536 };

void sg_arena_init(struct sg_arena *arena, size_t max_bytes)
{
    *arena = (struct sg_arena){.max = max_bytes};
}

void sg_arena_done(struct sg_arena *arena)
{
    for (struct sg_arena_chunk *chunk = arena->chunks, *older; chunk != NULL; chunk = older) {
        older = chunk->older;
        free(chunk);
    }
    sg_arena_init(arena, arena->max);
}

void sg_arena_reset(struct sg_arena *arena)
{
    struct sg_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL)
        return;
    while (chunk->older != NULL) {
        struct sg_arena_chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    sg_arena_init(arena, arena->max);
    arena->chunks = chunk;
    arena->next = chunk->bytes;
    arena->end = chunk->bytes + chunk->len;
    arena->taken = chunk->len;
}

/* Takes a chunk with room for `len` at least; the rest of the previous one is given up. */
static bool add_chunk(struct sg_arena *arena, size_t len)
{
    size_t size = arena->taken == 0 ? CHUNK_FIRST : arena->taken;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size > arena->max - arena->taken)
        size = arena->max - arena->taken;
    if (size < len)
        size = len;
    if (size > arena->max - arena->taken)
        return false;

    struct sg_arena_chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return false;
    chunk->older = arena->chunks;
    chunk->len = size;
    arena->chunks = chunk;
    arena->next = chunk->bytes;
    arena->end = chunk->bytes + size;
    arena->taken += size;
    return true;
}

void *sg_arena_alloc(struct sg_arena *arena, size_t len)
{
    const size_t align = alignof(max_align_t);
    if (len > SIZE_MAX - align)
        return NULL;
    len = len == 0 ? align : (len + align - 1) / align * align;

    if (len > (size_t)(arena->end - arena->next) && !add_chunk(arena, len))
        return NULL;
    void *ptr = arena->next;
    arena->next += len;
    return ptr;
}

void *sg_arena_zalloc(struct sg_arena *arena, size_t len)
{
    void *ptr = sg_arena_alloc(arena, len);
    if (ptr != NULL)
        memset(ptr, 0, len);
    return ptr;
}

char *sg_arena_strdup(struct sg_arena *arena, struct sg_slice str)
{
    char *copy = str.len == SIZE_MAX ? NULL : sg_arena_alloc(arena, str.len + 1);
    if (copy == NULL)
        return NULL;
    if (str.len > 0)
        memcpy(copy, str.ptr, str.len);
    copy[str.len] = '\0';
    return copy;
}
