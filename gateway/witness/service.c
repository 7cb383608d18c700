#include "gateway/witness/service.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/queue.h"
#include "gateway/rpc/rpc.h"

enum { WAITING_MAX = 64 };

struct sg_witness_service {
    struct sg_witness_service_options options;
    struct sg_call_handler handler;
    struct sg_queue *todo, *done;
    struct sg_wake wake;
    pthread_t thread;
    bool is_running;
    size_t waiting;
};

/* One request; the loop's, but for between todo and done. */
struct job {
    struct sg_witness_service *service;
    struct sg_call *call; /* NULL once closed; the loop's alone */
    char from[48];
    struct sg_buf body;
    struct sg_witness_reply reply;
    struct sg_queue_node node;
};

static const struct sg_method methods[] = {
    {.id = 1, .path = "/add-checkpoint", .service = "witness", .name = "add-checkpoint"}};
const struct sg_method_table sg_witness_methods = {
    .methods = methods, .count = SG_COUNT(methods), .is_plain = true};

static struct job *job_of(struct sg_queue_node *node)
{
    return SG_CONTAINER(node, struct job, node);
}

/* The thread --------------------------------------------------------------------------------- */

static void *cosign_all(void *arg)
{
    struct sg_witness_service *service = arg;
    const struct sg_witness_service_options *options = &service->options;
    struct sg_queue_node *node;

    while ((node = sg_queue_pop(service->todo)) != NULL) {
        struct job *job = job_of(node);
        sg_witness_keeper_answer(options->keeper, sg_buf_slice(&job->body),
                                 (uint64_t)(sg_wall_ns(options->clock) / SG_NS_PER_S), &job->reply);
        /* Cannot fail: it has no bound and is not closed. */
        SG_ASSERT(sg_queue_push(service->done, node) == SG_OK);
        sg_wake_signal(&service->wake);
    }
    return NULL;
}

/* The loop ----------------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
    sg_buf_done(&job->body);
    free(job);
}

static const char *text_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } rows[] = {{200, "200"}, {400, "400"}, {403, "403"}, {404, "404"}, {409, "409"}, {422, "422"}};

    for (size_t i = 0; i < SG_COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "500";
}

static void finish(struct job *job)
{
    const struct sg_witness_service_options *options = &job->service->options;
    const struct sg_witness_reply *reply = &job->reply;

    job->service->waiting--;
    options->told(options->arg, job->from, reply);
    if (job->call != NULL) {
        const struct sg_rpc_connection *connection = sg_call_connection(job->call);
        sg_call_set_user(job->call, NULL);
        sg_call_answer(job->call, text_of(reply->status), reply->type,
                       sg_slice_of(reply->body, reply->body_len));
        connection->wants_write(connection->wants_write_arg);
    }
    job_free(job);
}

static void on_wake(void *arg)
{
    struct sg_witness_service *service = arg;
    struct sg_queue_node *node = sg_queue_take_all(service->done);

    while (node != NULL) {
        struct sg_queue_node *next = node->next;
        finish(job_of(node));
        node = next;
    }
}

static struct job *job_new(struct sg_witness_service *service, struct sg_call *call,
                           struct sg_slice body)
{
    const struct sg_rpc_connection *connection = sg_call_connection(call);
    struct job *job = calloc(1, sizeof(*job));

    if (job == NULL)
        return NULL;
    job->service = service;
    job->call = call;
    memcpy(job->from, connection->from, strnlen(connection->from, sizeof(job->from) - 1));
    sg_buf_init(&job->body, SG_WITNESS_REQUEST_BYTES_MAX);
    sg_buf_add_slice(&job->body, body);
    if (job->body.failed) {
        job_free(job);
        return NULL;
    }
    return job;
}

static enum sg_rc on_begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    (void)arg, (void)call, (void)err;
    return SG_OK;
}

static void on_message(void *arg, struct sg_call *call, struct sg_slice body)
{
    struct sg_witness_service *service = arg;
    struct job *job = service->waiting < WAITING_MAX ? job_new(service, call, body) : NULL;

    if (job == NULL) {
        sg_call_answer(call, "503", "text/plain; charset=utf-8",
                       SG_SLICE("too many requests wait: try again\n"));
        return;
    }
    service->waiting++;
    sg_call_set_user(call, job);
    SG_ASSERT(sg_queue_push(service->todo, &job->node) == SG_OK); /* no bound, not closed */
}

static void on_nothing(void *arg, struct sg_call *call)
{
    (void)arg, (void)call;
}

static void on_closed(void *arg, struct sg_call *call)
{
    struct job *job = sg_call_user(call);
    (void)arg;
    if (job != NULL)
        job->call = NULL;
}

static void on_describe(void *arg, struct sg_call *call, const struct sg_err *err,
                        struct sg_buf *details)
{
    (void)arg, (void)call, (void)err, (void)details; /* a sentence will do */
}

enum sg_rc sg_witness_service_new(const struct sg_witness_service_options *options,
                                  struct sg_witness_service **ret, struct sg_err *err)
{
    SG_AUTO(sg_witness_service_free)
    struct sg_witness_service *service = calloc(1, sizeof(*service));
    if (service == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a witness");
    service->options = *options;
    service->handler = (struct sg_call_handler){.arg = service,
                                                .begin = on_begin,
                                                .message = on_message,
                                                .half_close = on_nothing,
                                                .writable = on_nothing,
                                                .closed = on_closed,
                                                .describe = on_describe};
    service->wake = (struct sg_wake){.fn = on_wake, .arg = service};
    sg_wake_add(options->loop, &service->wake);
    SG_TRY(sg_queue_new(SIZE_MAX, &service->todo, err));
    SG_TRY(sg_queue_new(SIZE_MAX, &service->done, err));
    const int failed = pthread_create(&service->thread, NULL, cosign_all, service);
    if (failed != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)failed, "could not start a thread");
    service->is_running = true;
    *ret = SG_STEAL(service);
    return SG_OK;
}

void sg_witness_service_free(struct sg_witness_service *service)
{
    if (service == NULL)
        return;
    if (service->todo != NULL)
        sg_queue_close(service->todo);
    if (service->is_running)
        pthread_join(service->thread, NULL);
    sg_wake_remove(service->options.loop, &service->wake);
    if (service->done != NULL)
        on_wake(service);
    sg_queue_free(service->todo);
    sg_queue_free(service->done);
    free(service);
}

const struct sg_call_handler *sg_witness_service_handler(struct sg_witness_service *service)
{
    return &service->handler;
}
