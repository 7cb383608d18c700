#ifndef SG_CLIENT_BOX_H
#define SG_CLIENT_BOX_H

#include "base/arena.h"

/*
 * An answer with everything it points to, freed at once: a public struct (the body) with an arena
 * hidden before it. The answer is unpacked into that arena and never copied; sealgate_free() finds
 * it from the body.
 */

/* A cleared body of `body_len` bytes whose arena takes at most `arena_max` more; NULL: no memory.
 */
void *sg_box_new(size_t body_len, size_t arena_max);
/* The arena of a body that sg_box_new() gave. */
struct sg_arena *sg_box_arena(void *body);
void sg_box_free(void *body);

#endif
