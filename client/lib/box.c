#include "client/lib/box.h"

#include <stddef.h>

#include "client/include/sealgate.h"

struct box {
    struct sg_arena arena;
    max_align_t body[];
};

static struct box *box_of(void *body)
{
    return (struct box *)(void *)((uint8_t *)body - offsetof(struct box, body));
}

void *sg_box_new(size_t body_len, size_t arena_max)
{
    struct box *box = calloc(1, sizeof(*box) + body_len);

    if (box == NULL)
        return NULL;
    sg_arena_init(&box->arena, arena_max);
    return box->body;
}

struct sg_arena *sg_box_arena(void *body)
{
    return &box_of(body)->arena;
}

void sg_box_free(void *body)
{
    if (body == NULL)
        return;
    sg_arena_done(&box_of(body)->arena);
    free(box_of(body));
}

void sealgate_free(void *result)
{
    sg_box_free(result);
}
