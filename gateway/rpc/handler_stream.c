#include <stdlib.h>

#include "gateway/rpc/receipt_message.h"
#include "gateway/rpc/sign_message.h"
#include "proto/pb/unpack.h"

/*
 * SignStream: items as they come, results as they are ready. Every item has memory of its own,
 * given back with its result, so a stream may go on for days. While too many are under way, or
 * the client does not take its results, no further item is read: it waits at the client's.
 */
enum { ITEM_BYTES_MAX = 65536 };

struct item {
    struct sg_sign_stream *stream;
    struct item *next, **link; /* among the items under way */
    struct sg_arena arena;
    const Sealgate__V1__SignStreamRequest *message; /* in the arena */
    int64_t started_ns;
    struct sg_sign_plan plan;
    struct sg_signing signing;
};

struct sg_sign_stream {
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL once closed */
    struct item *items;   /* under way */
    size_t running;
    bool is_half_closed;
    bool is_full;                        /* results wait for the client to take them */
    struct sg_sign_stream *next, **link; /* of rpc->streams, while the call is open */
};

static void item_free(struct item *item)
{
    if (item->link != NULL) {
        *item->link = item->next;
        if (item->next != NULL)
            item->next->link = item->link;
        item->stream->running--;
    }
    sg_signing_done(&item->signing);
    sg_arena_done(&item->arena);
    free(item);
}

/* Reads on, or not, as the two bounds say. */
static void pace(struct sg_sign_stream *stream)
{
    const size_t max = (size_t)stream->rpc->deps.config->stream_items_max;

    if (stream->is_full || stream->running >= max)
        sg_call_pause(stream->call);
    else
        sg_call_resume(stream->call);
}

/* Ends the call once the client has got all, and has sent all or may send no more. */
static void end_if_over(struct sg_sign_stream *stream)
{
    if (stream->running > 0)
        return;
    if (stream->is_half_closed)
        sg_rpc_finish(stream->call, &(struct sg_status){.code = SG_GRPC_OK});
    else if (stream->rpc->is_draining)
        sg_rpc_fail_draining(stream->rpc, stream->call);
}

static void send_result(struct item *item, const Sealgate__V1__SignStreamResponse *result)
{
    struct sg_sign_stream *stream = item->stream;
    size_t len = protobuf_c_message_get_packed_size(&result->base);
    uint8_t *bytes = sg_arena_alloc(&item->arena, len);
    struct sg_rpc_error error = {0};

    enum sg_rc rc =
        bytes == NULL ? SG_FAIL(&error.err, SG_E_LIMIT, 0, "no memory for a result") : SG_OK;
    if (rc == SG_OK) {
        protobuf_c_message_pack(&result->base, bytes);
        rc = sg_rpc_send(stream->call, sg_slice_of(bytes, len), &stream->is_full, &error.err);
    }
    /* A client that takes no results loses the call: nothing is kept for it without bound. */
    if (rc != SG_OK)
        sg_rpc_fail(stream->rpc, stream->call, &error);
}

static void send_error(struct item *item, const struct sg_rpc_error *error,
                       const struct sg_audit_receipt *receipt)
{
    Sealgate__V1__SignStreamResponse result = SEALGATE__V1__SIGN_STREAM_RESPONSE__INIT;
    const char *request_id = sg_rpc_request_id(item->stream->call, &item->arena);

    sg_rpc_note_refusal(item->stream->rpc, item->stream->call, request_id, &error->err);
    result.item_id = item->message->item_id;
    result.error = sg_rpc_status_new(&item->arena, error, request_id);
    if (receipt != NULL)
        result.receipt = sg_rpc_receipt_new(&item->arena, receipt);
    if (result.error != NULL)
        result.result_case = SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_ERROR;
    send_result(item, &result);
}

static void send_response(struct item *item)
{
    Sealgate__V1__SignStreamResponse result = SEALGATE__V1__SIGN_STREAM_RESPONSE__INIT;

    result.item_id = item->message->item_id;
    result.response = sg_sign_response_new(item->stream->rpc, &item->arena, &item->plan,
                                           &item->signing, item->started_ns);
    if (result.response != NULL)
        result.result_case = SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE;
    send_result(item, &result);
}

static void on_done(void *arg, struct sg_signing *signing)
{
    struct item *item = arg;
    struct sg_sign_stream *stream = item->stream;

    sg_sign_count(stream->rpc, signing);
    if (stream->call == NULL) {
        item_free(item);
        if (stream->running == 0)
            free(stream);
        return;
    }
    if (signing->is_signed) {
        send_response(item);
    } else {
        const struct sg_rpc_error error = sg_signing_error(signing);
        send_error(item, &error, signing->receipt);
    }
    item_free(item);
    pace(stream);
    end_if_over(stream);
}

static bool is_under_way(const struct sg_sign_stream *stream, const char *item_id)
{
    for (const struct item *item = stream->items; item != NULL; item = item->next) {
        if (strcmp(item->message->item_id, item_id) == 0)
            return true;
    }
    return false;
}

static enum sg_rc check_item(const struct item *item, struct sg_rpc_error *error)
{
    const struct sg_sign_stream *stream = item->stream;
    const size_t id_len = strlen(item->message->item_id);

    error->field = "item_id";
    if (id_len == 0 || id_len > SG_ITEM_ID_MAX)
        return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "item_id has 1 to %d characters",
                         SG_ITEM_ID_MAX);
    if (is_under_way(stream, item->message->item_id))
        return SG_REFUSE(&error->err, SG_R_DUPLICATE_ITEM_ID, "item \"%s\" is under way already",
                         item->message->item_id);
    error->field = "request";
    if (item->message->request == NULL)
        return SG_REFUSE(&error->err, SG_R_FIELD_REQUIRED, "the item has no request");
    error->field = NULL;
    if (stream->rpc->is_draining)
        return SG_REFUSE(&error->err, SG_R_DRAINING, "this instance is shutting down");
    return SG_OK;
}

static void link_item(struct item *item)
{
    struct sg_sign_stream *stream = item->stream;

    item->next = stream->items;
    item->link = &stream->items;
    if (item->next != NULL)
        item->next->link = &item->next;
    stream->items = item;
    stream->running++;
}

/* Starts the item; *ret_running says whether its result comes later. */
static enum sg_rc start(struct item *item, bool *ret_running, struct sg_rpc_error *error)
{
    struct sg_sign_stream *stream = item->stream;

    *ret_running = false;
    SG_TRY(check_item(item, error));
    item->signing.done = on_done;
    item->signing.arg = item;
    enum sg_rc rc =
        sg_sign_plan_read(stream->rpc, stream->call, item->message->request, &item->plan, error);
    if (rc != SG_OK) {
        if (!sg_sign_plan_deny(stream->rpc, &item->plan, &item->signing, error))
            return rc;
        link_item(item);
        *ret_running = true;
        return SG_OK;
    }
    if (item->plan.is_dry_run) {
        SG_TRY(sg_sign_plan_try(stream->rpc, &item->plan, &item->signing.op, error));
        send_response(item);
        return SG_OK;
    }
    /* The call's deadline is the stream's; an item has no longer than a Sign would. */
    const int64_t item_deadline_ns =
        item->started_ns + stream->rpc->deps.config->deadline_ms_max * SG_NS_PER_MS;
    if (item->plan.request.deadline_ns > item_deadline_ns)
        item->plan.request.deadline_ns = item_deadline_ns;
    rc = sg_sign_plan_start(stream->rpc, &item->plan, &item->signing, error);
    if (rc == SG_OK) {
        link_item(item);
        *ret_running = true;
    }
    return rc;
}

static enum sg_rc on_begin(struct sg_rpc *rpc, struct sg_call *call, struct sg_err *err)
{
    if (rpc->is_draining)
        return SG_REFUSE(err, SG_R_DRAINING, "this instance is shutting down");
    struct sg_sign_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for another stream");
    *stream = (struct sg_sign_stream){
        .rpc = rpc, .call = call, .next = rpc->streams, .link = &rpc->streams};
    if (stream->next != NULL)
        stream->next->link = &stream->next;
    rpc->streams = stream;
    sg_rpc_set_user(call, stream);
    return SG_OK;
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_sign_stream *stream = sg_rpc_user(call);
    struct item *item = calloc(1, sizeof(*item));
    if (item == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    item->stream = stream;
    item->started_ns = sg_mono_ns(rpc->deps.clock);
    sg_arena_init(&item->arena, ITEM_BYTES_MAX);

    struct sg_rpc_error error = {0};
    ProtobufCMessage *unpacked;
    bool is_running = false;
    /* A stream may outlive its client's certificate. And a message that cannot be read has no
     * item_id to answer to. Either ends the call. */
    if (sg_rpc_authenticate(rpc, call, &error.err) != SG_OK) {
        sg_rpc_fail(rpc, call, &error);
    } else if (sg_pb_unpack(sg_call_method(call)->input, message, &item->arena, SG_PB_STRICT,
                            &unpacked, &error.err) != SG_OK) {
        sg_rpc_fail(rpc, call, &error);
    } else {
        item->message = (const Sealgate__V1__SignStreamRequest *)unpacked;
        if (start(item, &is_running, &error) != SG_OK)
            send_error(item, &error, NULL);
    }
    if (!is_running)
        item_free(item);
    pace(stream);
}

static void on_writable(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct sg_sign_stream *stream = sg_rpc_user(call);
    stream->is_full = false;
    pace(stream);
}

static void on_half_close(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct sg_sign_stream *stream = sg_rpc_user(call);
    stream->is_half_closed = true;
    end_if_over(stream);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct sg_sign_stream *stream = sg_rpc_user(call);
    stream->call = NULL;
    *stream->link = stream->next;
    if (stream->next != NULL)
        stream->next->link = stream->link;
    if (stream->running == 0)
        free(stream);
}

void sg_sign_streams_drain(struct sg_rpc *rpc)
{
    /* A call that ends stays on the list until it is closed, which is later. */
    for (struct sg_sign_stream *stream = rpc->streams; stream != NULL; stream = stream->next)
        end_if_over(stream);
}

const struct sg_handler sg_handle_sign_stream = {.begin = on_begin,
                                                 .message = on_message,
                                                 .half_close = on_half_close,
                                                 .writable = on_writable,
                                                 .closed = on_closed};
