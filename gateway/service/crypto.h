#ifndef SG_GATEWAY_SERVICE_CRYPTO_H
#define SG_GATEWAY_SERVICE_CRYPTO_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/queue.h"

/*
 * A few threads for arithmetic that would hold up the loop: verifying signatures before they are
 * released, verifying for others, and steps of TLS handshakes. A task belongs to the pool from
 * submit until its `done` runs, on the loop. Short tasks that are done may wait a few milliseconds
 * for each other before the loop is told, while there are more.
 */
struct sg_crypto;

struct sg_crypto_task {
    void (*run)(struct sg_crypto_task *task); /* on a pool thread; touches the task's own only */
    void (*done)(
        struct sg_crypto_task *task); /* on the loop, once; the task is the caller's again */
    struct sg_queue_node node;        /* private */
};

/* `threads` 0: as many as there are cores. `tasks_max` bounds those that are not done. */
SG_MUST_USE enum sg_rc sg_crypto_new(struct sg_loop *loop, size_t threads, size_t tasks_max,
                                     struct sg_crypto **ret, struct sg_err *err);
/* Waits for the threads; the `done` of all that was submitted is called, so nothing leaks. */
void sg_crypto_free(struct sg_crypto *crypto);
SG_DEFINE_AUTO(struct sg_crypto, sg_crypto_free);

/* The threads get it at the end of this turn of the loop, together with what else there is by then.
 * Owns: takes the task on SG_OK. Errors: SG_E_LIMIT, there are too many. Thread: loop. */
SG_MUST_USE enum sg_rc sg_crypto_submit(struct sg_crypto *crypto, struct sg_crypto_task *task,
                                        struct sg_err *err);

#endif
