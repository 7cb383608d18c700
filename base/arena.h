#ifndef SG_BASE_ARENA_H
#define SG_BASE_ARENA_H

#include "base/slice.h"

/*
 * Capped bump memory for one request: many small allocations, freed all at once.
 *
 * The cap is what makes a hostile message harmless: whatever it asks us to build, it cannot
 * take more than `max` bytes of chunks. The first chunk is taken at the first allocation.
 */
struct sg_arena {
    struct sg_arena_chunk *chunks; /* newest first */
    uint8_t *next, *end;           /* free part of the newest chunk */
    size_t taken;                  /* bytes of chunks so far */
    size_t max;
};

void sg_arena_init(struct sg_arena *arena, size_t max_bytes);
/* Frees everything; the arena is as after sg_arena_init. */
void sg_arena_done(struct sg_arena *arena);
/* As sg_arena_done, but keeps the first chunk, for the next request of the same kind. */
void sg_arena_reset(struct sg_arena *arena);

/* `len` bytes aligned for any object, not cleared; NULL when the cap or the memory is reached. */
void *sg_arena_alloc(struct sg_arena *arena, size_t len);
/* The same, cleared. */
void *sg_arena_zalloc(struct sg_arena *arena, size_t len);
/* A copy with a NUL behind it; NULL as above. */
char *sg_arena_strdup(struct sg_arena *arena, struct sg_slice str);

#endif
