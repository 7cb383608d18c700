#ifndef SG_BASE_QUEUE_H
#define SG_BASE_QUEUE_H

#include "base/err.h"

/*
 * A bounded queue between threads. Nodes live in the things they queue; the thing changes owner
 * with the push and again with the pop. It and sg_wake are the only two ways data crosses
 * threads.
 */
struct sg_queue_node {
    struct sg_queue_node *next;
};

struct sg_queue;

SG_MUST_USE enum sg_rc sg_queue_new(size_t max, struct sg_queue **ret, struct sg_err *err);
/* It must be empty, and nobody may be inside a call on it. */
void sg_queue_free(struct sg_queue *queue);

/* Owns: the queue takes the node on SG_OK. Thread: any. Errors: SG_E_LIMIT, full;
 * SG_E_UNAVAILABLE, closed. */
SG_MUST_USE enum sg_rc sg_queue_push(struct sg_queue *queue, struct sg_queue_node *node);

/* The same for a list, linked by `next`: all of it or nothing, by one lock and no more wake-ups
 * than there are threads that wait. Not for NULL. */
SG_MUST_USE enum sg_rc sg_queue_push_all(struct sg_queue *queue, struct sg_queue_node *nodes);

/* Waits for a node; NULL when the queue is closed and empty. Blocks. Thread: any. */
struct sg_queue_node *sg_queue_pop(struct sg_queue *queue);
/* A node, or NULL when there is none now. Thread: any. */
struct sg_queue_node *sg_queue_try_pop(struct sg_queue *queue);
/* All that is there, oldest first, linked by `next`; NULL when empty. Thread: any. */
struct sg_queue_node *sg_queue_take_all(struct sg_queue *queue);

/* No push is taken any more; pops get what is left, then NULL. Thread: any. */
void sg_queue_close(struct sg_queue *queue);

#define SG_CONTAINER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
