#include "gateway/net/handshake.h"

#include <stdlib.h>

enum { STEP_BYTES = 16384 };

struct sg_handshake_step {
    struct sg_handshakes *all;      /* NULL: they are gone */
    struct sg_handshake *handshake; /* NULL: its connection is gone */
    LIST_ENTRY(sg_handshake_step) link;

    /* The crypto thread's until it is done. */
    struct sg_crypto_task task;
    struct sg_tls_conn *tls;
    struct sg_buf plain;
    enum sg_rc rc;
    struct sg_err err;
    size_t len;
    uint8_t in[STEP_BYTES];
};

void sg_handshakes_init(struct sg_handshakes *all, struct sg_crypto *crypto, size_t max)
{
    *all = (struct sg_handshakes){.crypto = crypto, .max = max};
    TAILQ_INIT(&all->waiting);
    LIST_INIT(&all->steps);
}

void sg_handshakes_done(struct sg_handshakes *all)
{
    struct sg_handshake_step *step;
    LIST_FOREACH(step, &all->steps, link) step->all = NULL;
}

static void run(struct sg_crypto_task *task)
{
    struct sg_handshake_step *step = SG_CONTAINER(task, struct sg_handshake_step, task);
    step->rc = sg_tls_feed(step->tls, sg_slice_of(step->in, step->len), &step->plain, &step->err);
}

/* Gives the connection, if it is still there, what is its own, and ends the step. */
static void end(struct sg_handshake_step *step)
{
    struct sg_handshake *handshake = step->handshake;
    if (handshake != NULL) {
        handshake->step = NULL;
        sg_conn_handshake_end(handshake->conn, SG_STEAL(step->tls), sg_buf_slice(&step->plain),
                              step->rc == SG_OK ? NULL : &step->err);
    }
    sg_tls_conn_free(step->tls);
    sg_buf_done(&step->plain);
    free(step);
}

static void begin_next(struct sg_handshakes *all);

static void on_done(struct sg_crypto_task *task)
{
    struct sg_handshake_step *step = SG_CONTAINER(task, struct sg_handshake_step, task);
    struct sg_handshakes *all = step->all;

    if (all != NULL) {
        LIST_REMOVE(step, link);
        all->running--;
    }
    end(step);
    if (all != NULL)
        begin_next(all);
}

/* Reads what there is and gives it to a thread; without bytes the step is over at once. */
static void begin(struct sg_handshakes *all, struct sg_handshake *handshake)
{
    struct sg_handshake_step *step = malloc(sizeof(*step));
    if (step == NULL) {
        struct sg_err err;
        SG_IGNORE(SG_FAIL(&err, SG_E_INTERNAL, 0, "out of memory")); /* told */
        sg_conn_handshake_end(handshake->conn, NULL, (struct sg_slice){0}, &err);
        return;
    }
    step->all = all;
    step->handshake = handshake;
    step->tls = NULL;
    step->rc = SG_OK;
    sg_buf_init(&step->plain, 2 * STEP_BYTES);
    handshake->step = step;

    ssize_t len = sg_conn_handshake_begin(handshake->conn, step->in, sizeof(step->in), &step->tls);
    if (len > 0) {
        step->len = (size_t)len;
        step->task = (struct sg_crypto_task){.run = run, .done = on_done};
        step->rc = sg_crypto_submit(all->crypto, &step->task, &step->err);
        if (step->rc == SG_OK) {
            all->running++;
            LIST_INSERT_HEAD(&all->steps, step, link);
            return;
        }
    }
    end(step);
}

static void begin_next(struct sg_handshakes *all)
{
    while (all->running < all->max && !TAILQ_EMPTY(&all->waiting)) {
        struct sg_handshake *handshake = TAILQ_FIRST(&all->waiting);
        TAILQ_REMOVE(&all->waiting, handshake, link);
        handshake->is_waiting = false;
        begin(all, handshake);
    }
}

void sg_handshake_want(struct sg_handshakes *all, struct sg_handshake *handshake)
{
    SG_ASSERT(!sg_handshake_is_under_way(handshake));
    handshake->is_waiting = true;
    TAILQ_INSERT_TAIL(&all->waiting, handshake, link);
    begin_next(all);
}

void sg_handshake_abandon(struct sg_handshakes *all, struct sg_handshake *handshake)
{
    if (handshake->is_waiting)
        TAILQ_REMOVE(&all->waiting, handshake, link);
    handshake->is_waiting = false;
    if (handshake->step != NULL)
        handshake->step->handshake = NULL;
    handshake->step = NULL;
}

bool sg_handshake_is_under_way(const struct sg_handshake *handshake)
{
    return handshake->is_waiting || handshake->step != NULL;
}
