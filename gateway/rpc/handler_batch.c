#include <stdlib.h>

#include "gateway/rpc/receipt_message.h"
#include "gateway/rpc/sign_message.h"

/*
 * BatchSign: items of one message, each its own success or failure, answered together in their
 * order. The batch is fed to the engine through a window, so that one caller's thousand items do
 * not fill the queue of all. Items that were not started when the client leaves never are.
 */
enum { WINDOW = 64 };

struct item {
    struct batch *batch;
    struct sg_sign_plan plan;
    struct sg_signing signing;
};

struct batch {
    struct sg_rpc *rpc;
    struct sg_call *call;                          /* NULL once closed */
    const Sealgate__V1__BatchSignRequest *request; /* in the call's arena */
    Sealgate__V1__BatchSignResult **results;       /* in the call's arena */
    struct item *items;                            /* one per item; freed with the batch */
    size_t next;                                   /* first item not started */
    size_t running;
};

static void batch_free(struct batch *batch)
{
    free(batch->items);
    free(batch);
}

static void set_error(struct batch *batch, size_t i, const struct sg_rpc_error *error,
                      const struct sg_audit_receipt *receipt)
{
    struct sg_arena *arena = sg_call_arena(batch->call);
    const char *request_id = sg_rpc_request_id(batch->call, arena);

    sg_rpc_note_refusal(batch->rpc, batch->call, request_id, &error->err);
    /* Without memory the result stays empty: not signed, by the zero value. */
    Google__Rpc__Status *status = sg_rpc_status_new(arena, error, request_id);
    if (status == NULL)
        return;
    batch->results[i]->result_case = SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_ERROR;
    batch->results[i]->error = status;
    if (receipt != NULL)
        batch->results[i]->receipt = sg_rpc_receipt_new(arena, receipt);
}

static void set_response(struct batch *batch, size_t i)
{
    const struct item *item = &batch->items[i];
    Sealgate__V1__SignResponse *response =
        sg_sign_response_new(batch->rpc, sg_call_arena(batch->call), &item->plan, &item->signing,
                             sg_call_started(batch->call));
    if (response == NULL)
        return;
    batch->results[i]->result_case = SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE;
    batch->results[i]->response = response;
}

static void reply(struct batch *batch)
{
    Sealgate__V1__BatchSignResponse response = SEALGATE__V1__BATCH_SIGN_RESPONSE__INIT;
    response.n_results = batch->request->n_items;
    response.results = batch->results;
    sg_rpc_reply(batch->rpc, batch->call, &response.base, true);
}

static void feed(struct batch *batch);

static void on_done(void *arg, struct sg_signing *signing)
{
    struct item *item = arg;
    struct batch *batch = item->batch;

    batch->running--;
    sg_sign_count(batch->rpc, signing);
    if (batch->call == NULL) {
        sg_signing_done(signing);
        if (batch->running == 0)
            batch_free(batch);
        return;
    }
    size_t i = (size_t)(item - batch->items);
    if (signing->is_signed) {
        set_response(batch, i);
    } else {
        const struct sg_rpc_error error = sg_signing_error(signing);
        set_error(batch, i, &error, signing->receipt);
    }
    sg_signing_done(signing);
    feed(batch);
}

/* A batch is admitted once: what is refused because of what waits, its own items among it, may come
 * again when one of them is done. */
static bool is_for_later(const struct batch *batch, const struct sg_err *err)
{
    return batch->running > 0 &&
           (err->reason == SG_R_QUEUE_FULL || err->reason == SG_R_CONNECTION_BUSY ||
            err->reason == SG_R_DEADLINE_UNREACHABLE);
}

/* Starts item `i`. SG_E_AGAIN: come again when another of this batch is done. */
static enum sg_rc start(struct batch *batch, size_t i, struct sg_rpc_error *error)
{
    struct item *item = &batch->items[i];
    const Sealgate__V1__SignRequest *request = batch->request->items[i]->request;

    *item = (struct item){.batch = batch};
    if (request == NULL) {
        error->field = "request";
        return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "the item has no request");
    }
    item->signing.done = on_done;
    item->signing.arg = item;
    enum sg_rc rc = sg_sign_plan_read(batch->rpc, batch->call, request, &item->plan, error);
    if (rc != SG_OK) {
        if (!sg_sign_plan_deny(batch->rpc, &item->plan, &item->signing, error))
            return rc;
        batch->running++;
        return SG_OK;
    }
    if (item->plan.is_dry_run) {
        SG_TRY(sg_sign_plan_try(batch->rpc, &item->plan, &item->signing.op, error));
        set_response(batch, i);
        return SG_OK;
    }
    rc = sg_sign_plan_start(batch->rpc, &item->plan, &item->signing, error);
    if (rc == SG_E_LIMIT && is_for_later(batch, &error->err))
        return SG_E_AGAIN;
    if (rc == SG_OK)
        batch->running++;
    return rc;
}

/* Starts what the window allows; replies when everything is over. */
static void feed(struct batch *batch)
{
    while (batch->next < batch->request->n_items && batch->running < WINDOW) {
        struct sg_rpc_error error = {0};
        enum sg_rc rc = start(batch, batch->next, &error);
        if (rc == SG_E_AGAIN)
            return;
        if (rc != SG_OK)
            set_error(batch, batch->next, &error, NULL);
        batch->next++;
    }
    if (batch->next == batch->request->n_items && batch->running == 0)
        reply(batch);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ids of 1 to 64 characters, none twice. */
static enum sg_rc check_ids(struct batch *batch, struct sg_arena *arena, struct sg_rpc_error *error)
{
    const size_t count = batch->request->n_items;
    const char **ids = sg_arena_alloc(arena, count * sizeof(*ids));
    if (ids == NULL)
        return SG_FAIL(&error->err, SG_E_LIMIT, 0, "no memory for a batch of %zu", count);

    error->field = "items.item_id";
    for (size_t i = 0; i < count; i++) {
        ids[i] = batch->request->items[i]->item_id;
        size_t len = strlen(ids[i]);
        if (len == 0 || len > SG_ITEM_ID_MAX)
            return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED,
                             "item %zu: item_id has 1 to %d characters, this has %zu", i,
                             SG_ITEM_ID_MAX, len);
    }
    qsort(ids, count, sizeof(*ids), by_id);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(ids[i - 1], ids[i]) == 0)
            return SG_REFUSE(&error->err, SG_R_DUPLICATE_ITEM_ID, "item_id \"%s\" comes twice",
                             ids[i]);
    }
    error->field = NULL;
    return SG_OK;
}

static enum sg_rc allocate(struct batch *batch, struct sg_arena *arena, struct sg_rpc_error *error)
{
    const size_t count = batch->request->n_items;

    batch->items = malloc(count * sizeof(*batch->items));
    batch->results = sg_arena_alloc(arena, count * sizeof(Sealgate__V1__BatchSignResult *));
    Sealgate__V1__BatchSignResult *results =
        sg_arena_alloc(arena, count * sizeof(Sealgate__V1__BatchSignResult));
    if (batch->items == NULL || batch->results == NULL || results == NULL)
        return SG_FAIL(&error->err, SG_E_LIMIT, 0, "no memory for a batch of %zu", count);

    for (size_t i = 0; i < count; i++) {
        sealgate__v1__batch_sign_result__init(&results[i]);
        results[i].item_id = batch->request->items[i]->item_id;
        batch->results[i] = &results[i];
    }
    return SG_OK;
}

static enum sg_rc begin(struct batch *batch, struct sg_arena *arena, struct sg_rpc_error *error)
{
    const size_t max = (size_t)batch->rpc->deps.config->batch_items_max;

    if (batch->request->n_items > max) {
        error->field = "items";
        return SG_REFUSE(&error->err, SG_R_BATCH_TOO_LARGE, "a batch has at most %zu items", max);
    }
    if (batch->request->n_items == 0)
        return SG_OK;
    SG_TRY(check_ids(batch, arena, error));
    return allocate(batch, arena, error);
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};
    const Sealgate__V1__BatchSignRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request == NULL)
        return;

    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    batch->rpc = rpc;
    batch->call = call;
    batch->request = request;
    sg_rpc_set_user(call, batch);
    if (begin(batch, sg_call_arena(call), &error) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
    else
        feed(batch);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct batch *batch = sg_rpc_user(call);
    if (batch == NULL)
        return;
    batch->call = NULL;
    if (batch->running == 0)
        batch_free(batch);
}

const struct sg_handler sg_handle_batch_sign = {.message = on_message, .closed = on_closed};
