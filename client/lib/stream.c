#include "client/lib/codec.h"
#include "client/lib/sign.h"
#include "proto/pb/unpack.h"

/* SignStream: items out as they come, results in as they are ready. */

/* The body of one answer. */
struct result {
    const char *item_id;
    bool is_signed;
    struct sealgate_signature signature;
    struct sealgate_error error;
};

static void add_item(struct sg_client_items *items, struct sg_client_item *item)
{
    struct sg_client_item **end = items->end == NULL ? &items->first : items->end;
    *end = item;
    items->end = &item->next;
}

/* Takes the item off the list; NULL: it was not asked for, or has been answered. */
static struct sg_client_item *take_item(struct sg_client_items *items, const char *id)
{
    for (struct sg_client_item **at = &items->first; *at != NULL; at = &(*at)->next) {
        struct sg_client_item *item = *at;
        if (strcmp(item->id, id) != 0)
            continue;
        *at = item->next;
        if (item->next == NULL)
            items->end = at == &items->first ? NULL : at;
        return item;
    }
    return NULL;
}

static enum sealgate_code stream_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    const Sealgate__V1__SignStreamResponse *in = (const Sealgate__V1__SignStreamResponse *)answer;
    struct result *result = body;
    struct sg_client_item *item = take_item(&call->items, in->item_id);

    result->item_id = in->item_id;
    if (in->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE) {
        /* A bad item is that item's failure; the others may be whole. */
        result->is_signed =
            sg_client_sign_decode(call, in->response, item == NULL ? NULL : &item->asked, arena,
                                  &result->signature, &result->error) == SEALGATE_OK;
        free(item);
        return SEALGATE_OK;
    }
    free(item);
    if (in->result_case != SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_ERROR)
        return sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "an item has neither a signature nor an error");
    (void)sg_client_fail_item(&result->error, in->error);
    return SEALGATE_OK;
}

static void stream_item(struct sealgate_call *call, void *body)
{
    const struct result *result = body;

    call->fn.stream.item(call->user, result->item_id, result->is_signed ? NULL : &result->error,
                         result->is_signed ? &result->signature : NULL);
}

static void stream_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                           void *body)
{
    (void)body;
    call->fn.stream.done(call->user, error);
}

static const struct sg_client_method stream_method = {
    .path = "/sealgate.v1.SigningService/SignStream",
    .output = &sealgate__v1__sign_stream_response__descriptor,
    .body_len = sizeof(struct result),
    .decode = stream_decode,
    .deliver = stream_deliver,
    .item = stream_item,
};

enum sealgate_code sealgate_sign_stream_start(struct sealgate_client *client, uint32_t timeout_ms,
                                              const struct sealgate_stream_events *events,
                                              void *user, struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    struct sealgate_call *call;
    enum sealgate_code code;

    if (events->item == NULL || events->done == NULL || ret == NULL)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a stream needs its events `item` and `done`, and `ret`");
    code = sg_client_call_new(client, &stream_method, timeout_ms, &call, error);
    if (code != SEALGATE_OK)
        return code;
    call->fn.stream = *events;
    call->user = user;
    return sg_client_call_submit(call, ret, error);
}

/* What cannot be sent now is not taken at all: the caller keeps it and waits for writable. */
static enum sealgate_code wait_for_room(struct sealgate_call *stream, struct sealgate_error *error)
{
    stream->is_full = true;
    return sg_client_fail(error, SG_CLIENT_TOO_MUCH_WAITING, SEALGATE_OUTCOME_NOT_DONE,
                          "too much is waiting to be sent on this stream");
}

enum sealgate_code sealgate_stream_send(struct sealgate_call *stream, const char *item_id,
                                        const struct sealgate_sign_request *request,
                                        struct sealgate_error *error)
{
    Sealgate__V1__SignStreamRequest item;
    struct sg_client_sign_message message;
    struct sg_client_item *kept;
    struct sg_buf packed;
    enum sealgate_code code;

    sealgate__v1__sign_stream_request__init(&item);
    if (stream->is_closed || stream->is_cancelled || (stream->conn != NULL && stream->rpc == NULL))
        return sg_client_fail(error, SG_CLIENT_STREAM_OVER, SEALGATE_OUTCOME_NOT_DONE,
                              "the stream takes no more items");
    kept = calloc(1, sizeof(*kept));
    if (kept == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not keep the item: out of memory");
    (void)snprintf(kept->id, sizeof(kept->id), "%s", item_id == NULL ? "" : item_id);
    code = sg_client_asked_of(request, &kept->asked, error);
    if (code != SEALGATE_OK) {
        free(kept);
        return code;
    }
    sg_client_sign_encode(request, &kept->asked, &message);
    item.item_id = sg_client_text(item_id);
    item.request = &message.request;
    sg_buf_init(&packed, SG_CLIENT_SEND_BYTES_MAX);
    sg_pb_pack(&item.base, &packed);

    if (packed.failed) {
        code = sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "the item is over %d bytes", SG_CLIENT_SEND_BYTES_MAX);
    } else if (stream->rpc != NULL) {
        if (sg_rpc_client_send(stream->rpc, sg_buf_slice(&packed), false, NULL) != SG_OK)
            code = wait_for_room(stream, error);
    } else if (stream->request.len + 4 + packed.len > SG_CLIENT_SEND_BYTES_MAX) {
        code = wait_for_room(stream, error);
    } else { /* no connection yet: the length tells the items apart until there is */
        sg_buf_add_be32(&stream->request, (uint32_t)packed.len);
        sg_buf_add_slice(&stream->request, sg_buf_slice(&packed));
        if (stream->request.failed)
            code = sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                                  "could not keep the item: out of memory");
    }
    if (code == SEALGATE_OK) {
        stream->has_dry_run |= request->dry_run;
        stream->client->has_news = true;
        add_item(&stream->items, SG_STEAL(kept));
    }
    free(kept);
    sg_buf_done(&packed);
    return code;
}

void sealgate_stream_close(struct sealgate_call *stream)
{
    if (stream->is_closed)
        return;
    stream->is_closed = true;
    stream->client->has_news = true;
    if (stream->rpc != NULL)
        sg_rpc_client_half_close(stream->rpc);
}
