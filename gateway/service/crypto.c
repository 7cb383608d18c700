#include "gateway/service/crypto.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HOLD_NS = 4000000, /* a finished task, for others */
    FAST_NS = 500000,  /* the longest task that may be held */
};

struct sg_crypto {
    /* Set at start, read by every thread, never written again. */
    struct sg_loop *loop;
    struct sg_queue *todo, *finished; /* threads of any kind; their own locks */
    atomic_size_t busy;               /* pool threads that have work */

    /* Loop thread only. */
    size_t tasks_max, task_count;       /* not done */
    struct sg_queue_node *first, *last; /* submitted in this turn */
    struct sg_hook hand_over;
    struct sg_wake wake;
    size_t thread_count;
    pthread_t threads[];
};

static struct sg_crypto_task *task_of(struct sg_queue_node *node)
{
    return SG_CONTAINER(node, struct sg_crypto_task, node);
}

/* What a thread has finished and not handed back. */
struct finished {
    struct sg_queue_node *first, *last;
    int64_t since_ns;
};

/* Whether the thread may go on before it hands back: another such task would still come in time. */
static bool run_and_keep(struct sg_queue_node *node, struct finished *finished)
{
    int64_t start_ns = sg_mono_ns(&sg_clock_system);
    task_of(node)->run(task_of(node));
    int64_t end_ns = sg_mono_ns(&sg_clock_system);

    node->next = NULL;
    if (finished->first == NULL) {
        finished->first = node;
        finished->since_ns = end_ns;
    } else {
        finished->last->next = node;
    }
    finished->last = node;
    int64_t took_ns = end_ns - start_ns;
    return took_ns <= FAST_NS && end_ns - finished->since_ns + took_ns <= HOLD_NS;
}

static void hand_back(struct sg_crypto *crypto, struct finished *finished)
{
    /* Cannot fail: the queues have no bound of their own and are not closed yet. */
    if (finished->first != NULL)
        SG_ASSERT(sg_queue_push_all(crypto->finished, finished->first) == SG_OK);
    finished->first = NULL;
}

/*
 * One spell of work, from a first task until there are no more. To wake the loop for each task
 * costs both sides more than a small task's handling does: it is woken for those of a moment
 * together, and by the last of the threads that run out of work at about the same time.
 */
static void work_on(struct sg_crypto *crypto, struct sg_queue_node *node)
{
    struct finished finished = {0};

    atomic_fetch_add(&crypto->busy, 1);
    for (; node != NULL; node = sg_queue_try_pop(crypto->todo)) {
        if (run_and_keep(node, &finished))
            continue;
        hand_back(crypto, &finished);
        sg_wake_signal(&crypto->wake);
    }
    hand_back(crypto, &finished);
    if (atomic_fetch_sub(&crypto->busy, 1) == 1)
        sg_wake_signal(&crypto->wake);
}

static void *work(void *arg)
{
    struct sg_crypto *crypto = arg;

    for (;;) {
        struct sg_queue_node *node = sg_queue_pop(crypto->todo);
        if (node == NULL)
            return NULL;
        work_on(crypto, node);
    }
}

/*
 * What a turn has brought goes to the threads at once: a wake-up costs a tenth of what it brings a
 * thread to do, and the answers of a token come in handfuls.
 */
static void on_hand_over(void *arg)
{
    struct sg_crypto *crypto = arg;
    if (crypto->first == NULL)
        return;
    /* Cannot fail: as above. */
    SG_ASSERT(sg_queue_push_all(crypto->todo, crypto->first) == SG_OK);
    crypto->first = crypto->last = NULL;
}

static void finish_all(struct sg_crypto *crypto, struct sg_queue_node *node)
{
    while (node != NULL) {
        struct sg_queue_node *next = node->next; /* the task may be freed by its done */
        crypto->task_count--;
        task_of(node)->done(task_of(node));
        node = next;
    }
}

static void on_wake(void *arg)
{
    struct sg_crypto *crypto = arg;
    finish_all(crypto, sg_queue_take_all(crypto->finished));
}

static enum sg_rc start_threads(struct sg_crypto *crypto, size_t threads, struct sg_err *err)
{
    for (; crypto->thread_count < threads; crypto->thread_count++) {
        int failed = pthread_create(&crypto->threads[crypto->thread_count], NULL, work, crypto);
        if (failed != 0)
            return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)failed,
                           "could not start a crypto thread");
    }
    return SG_OK;
}

enum sg_rc sg_crypto_new(struct sg_loop *loop, size_t threads, size_t tasks_max,
                         struct sg_crypto **ret, struct sg_err *err)
{
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores < 1 ? 1 : (size_t)cores;
    }
    SG_AUTO(sg_crypto_free)
    struct sg_crypto *crypto = calloc(1, sizeof(*crypto) + threads * sizeof(crypto->threads[0]));
    if (crypto == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the crypto pool");

    crypto->loop = loop;
    crypto->tasks_max = tasks_max;
    crypto->hand_over = (struct sg_hook){.fn = on_hand_over, .arg = crypto};
    crypto->wake = (struct sg_wake){.fn = on_wake, .arg = crypto};
    sg_wake_add(loop, &crypto->wake);
    SG_TRY(sg_queue_new(SIZE_MAX, &crypto->todo, err));
    SG_TRY(sg_queue_new(SIZE_MAX, &crypto->finished, err));
    SG_TRY(start_threads(crypto, threads, err));

    *ret = SG_STEAL(crypto);
    return SG_OK;
}

void sg_crypto_free(struct sg_crypto *crypto)
{
    if (crypto == NULL)
        return;
    crypto->tasks_max = 0;
    sg_hook_disarm(&crypto->hand_over);
    if (crypto->todo != NULL) {
        on_hand_over(crypto);
        sg_queue_close(crypto->todo);
    }
    for (size_t i = 0; i < crypto->thread_count; i++)
        pthread_join(crypto->threads[i], NULL);
    sg_wake_remove(crypto->loop, &crypto->wake);
    if (crypto->finished != NULL)
        finish_all(crypto, sg_queue_take_all(crypto->finished));
    sg_queue_free(crypto->finished);
    sg_queue_free(crypto->todo);
    free(crypto);
}

enum sg_rc sg_crypto_submit(struct sg_crypto *crypto, struct sg_crypto_task *task,
                            struct sg_err *err)
{
    if (crypto->task_count >= crypto->tasks_max)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "too much waits for the crypto threads");
    task->node.next = NULL;
    if (crypto->first == NULL)
        crypto->first = &task->node;
    else
        crypto->last->next = &task->node;
    crypto->last = &task->node;
    crypto->task_count++;
    sg_hook_arm(crypto->loop, &crypto->hand_over);
    return SG_OK;
}
