#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>

struct sg_queue {
    /* Set at start, read by every thread, never written again. */
    size_t max;

    pthread_mutex_t lock;
    pthread_cond_t work; /* signalled once per node, and to all by the close */

    /* Any thread, only while holding `lock`. */
    struct sg_queue_node *head, **tail;
    size_t len;
    size_t waiting; /* pops that found nothing */
    bool is_closed;
};

enum sg_rc sg_queue_new(size_t max, struct sg_queue **ret, struct sg_err *err)
{
    SG_ASSERT(max > 0);
    struct sg_queue *queue = calloc(1, sizeof(*queue));
    if (queue == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a queue");

    queue->max = max;
    queue->tail = &queue->head;
    /* With default attributes neither can fail on Linux. */
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->work, NULL);
    *ret = queue;
    return SG_OK;
}

void sg_queue_free(struct sg_queue *queue)
{
    if (queue == NULL)
        return;
    SG_ASSERT(queue->head == NULL);
    pthread_cond_destroy(&queue->work);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static enum sg_rc push_locked(struct sg_queue *queue, struct sg_queue_node *first,
                              struct sg_queue_node *last, size_t count)
{
    if (queue->is_closed)
        return SG_E_UNAVAILABLE;
    if (count > queue->max - queue->len)
        return SG_E_LIMIT;

    last->next = NULL;
    *queue->tail = first;
    queue->tail = &last->next;
    queue->len += count;
    return SG_OK;
}

/* The signals come after the lock is free: who is woken would only wait for it. */
static enum sg_rc push(struct sg_queue *queue, struct sg_queue_node *first,
                       struct sg_queue_node *last, size_t count)
{
    pthread_mutex_lock(&queue->lock);
    enum sg_rc rc = push_locked(queue, first, last, count);
    size_t wanted = queue->waiting < count ? queue->waiting : count;
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; rc == SG_OK && i < wanted; i++)
        pthread_cond_signal(&queue->work);
    return rc;
}

enum sg_rc sg_queue_push(struct sg_queue *queue, struct sg_queue_node *node)
{
    return push(queue, node, node, 1);
}

enum sg_rc sg_queue_push_all(struct sg_queue *queue, struct sg_queue_node *nodes)
{
    struct sg_queue_node *last = nodes;
    size_t count = 1;
    for (; last->next != NULL; count++)
        last = last->next;
    return push(queue, nodes, last, count);
}

static struct sg_queue_node *pop_locked(struct sg_queue *queue)
{
    while (queue->head == NULL && !queue->is_closed) {
        queue->waiting++;
        pthread_cond_wait(&queue->work, &queue->lock);
        queue->waiting--;
    }

    struct sg_queue_node *node = queue->head;
    if (node == NULL)
        return NULL;
    queue->head = node->next;
    if (queue->head == NULL)
        queue->tail = &queue->head;
    queue->len--;
    node->next = NULL;
    return node;
}

struct sg_queue_node *sg_queue_pop(struct sg_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct sg_queue_node *node = pop_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return node;
}

struct sg_queue_node *sg_queue_try_pop(struct sg_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct sg_queue_node *node = queue->head == NULL ? NULL : pop_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return node;
}

struct sg_queue_node *sg_queue_take_all(struct sg_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct sg_queue_node *nodes = queue->head;
    queue->head = NULL;
    queue->tail = &queue->head;
    queue->len = 0;
    pthread_mutex_unlock(&queue->lock);
    return nodes;
}

void sg_queue_close(struct sg_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->work);
    pthread_mutex_unlock(&queue->lock);
}
