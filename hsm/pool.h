#ifndef SG_HSM_POOL_H
#define SG_HSM_POOL_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/*
 * Threads of the token process that share its connections: whichever is free takes the next
 * packet off the socket, so the kernel's queue is the only queue, and no more is dealt out in
 * advance to a thread that may be stuck in a call than the gateway puts into one packet.
 *
 * Answers that took a moment only (SG_JOB_FAST_NS) wait for each other for a few more while there
 * is more to answer, and leave in one packet: each wakes the gateway, and at thousands of
 * signatures a second to be woken for each costs it more than to handle them.
 *
 * Each thread waits on an epoll of its own with EPOLLEXCLUSIVE, so that a message wakes one of
 * them; a shared epoll would wake a chain of them for each.
 */
struct sg_pool;

struct sg_pool_config {
    const char *name; /* of the threads, for ps and gdb */
    size_t threads;
    size_t answer_max; /* of one message; at most SG_JOB_PACKET_MAX */
    void *arg;

    /* All three run in thread `i`. */
    /* Before the first message; may be NULL. */
    void (*begin)(void *arg, size_t i);
    /* Appends the one answer to a message to `out`. False ends the connection instead. */
    bool (*handle)(void *arg, size_t i, struct sg_slice message, struct sg_buf *out);
    /* Whether this thread is to take packets now; if not it is asked again after `*ret_again_ns`,
     * or when the pool is stirred. May be NULL. */
    bool (*may_serve)(void *arg, size_t i, int64_t *ret_again_ns);
};

/* Strings and `config->arg` outlive the pool. */
SG_MUST_USE enum sg_rc sg_pool_start(const struct sg_pool_config *config, struct sg_pool **ret,
                                     struct sg_err *err);
/* Ends the threads after the packet each is at, and closes the connections. */
void sg_pool_stop(struct sg_pool *pool);
SG_DEFINE_AUTO(struct sg_pool, sg_pool_stop);

/* Owns: `fd`, also when it fails. Errors: SG_E_LIMIT, too many connections. */
SG_MUST_USE enum sg_rc sg_pool_add(struct sg_pool *pool, int fd, struct sg_err *err);

/* Threads that were not to serve are asked again now. Thread: any. */
void sg_pool_stir(struct sg_pool *pool);

/* Thread `i` takes no packet for so long once its answers have left. Thread: `i`, in its `handle`.
 */
void sg_pool_pause(struct sg_pool *pool, size_t i, int ms);

#endif
