#include "client/lib/codec.h"
#include "client/lib/sign.h"
#include "proto/pb/unpack.h"

/*
 * SignStream: items out as they come, results in as they are ready. Each item is kept until it has
 * its result. When the stream is cut off and the server knows each of them by its id, they are sent
 * again by another; so are those of a server that serves no ids, without.
 */

/* The body of one answer. */
struct result {
    const char *item_id;
    bool is_signed;
    bool is_none; /* nothing is to be told yet */
    struct sealgate_signature signature;
    struct sealgate_error error;
};

static void add_item(struct sg_client_items *items, struct sg_client_item *item)
{
    struct sg_client_item **end = items->end == NULL ? &items->first : items->end;
    *end = item;
    item->next = NULL;
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

/* What is kept counts like what waits to be sent, with its length before it. */
static size_t kept_bytes(const struct sg_client_item *item)
{
    return 4 + item->len;
}

static void drop_item(struct sealgate_call *call, struct sg_client_item *item)
{
    if (item == NULL)
        return;
    call->items.bytes -= kept_bytes(item);
    free(item);
}

/* Behind its length, for send_early(). */
static void write_item(struct sealgate_call *call, struct sg_client_item *item)
{
    sg_buf_add_be32(&call->request, (uint32_t)item->len);
    sg_buf_add(&call->request, item->bytes, item->len);
    item->is_unsent = false;
}

/* Now, where there is room; else with one of the next answers. Of a stream that was closed already,
 * by another. */
static void send_again(struct sealgate_call *call, struct sg_client_item *item)
{
    const struct sg_slice bytes = sg_slice_of(item->bytes, item->len);

    item->is_unsent = call->rpc == NULL || call->is_closed ||
                      sg_rpc_client_send(call->rpc, bytes, false, NULL) != SG_OK;
    call->items.has_unsent |= item->is_unsent && !call->is_closed;
    call->client->has_news = true;
}

/* The server serves no ids: the item goes again without ours. False: no memory. */
static bool go_without_id(struct sealgate_call *call, struct sg_client_item *item)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(
        &sealgate__v1__sign_stream_request__descriptor, NULL, item->len, item->bytes);
    struct sg_buf packed;

    if (message == NULL)
        return false;
    sg_client_strip_id(((Sealgate__V1__SignStreamRequest *)message)->request, &item->asked);
    sg_buf_init(&packed, item->len); /* it gets shorter */
    sg_pb_pack(message, &packed);
    protobuf_c_message_free_unpacked(message, NULL);
    const bool is_packed = !packed.failed;
    if (is_packed) {
        call->items.bytes -= item->len - packed.len;
        memcpy(item->bytes, packed.ptr, packed.len);
        item->len = packed.len;
        item->is_repeatable = false;
        call->client->ids_refused = true;
        add_item(&call->items, item);
        send_again(call, item);
    }
    sg_buf_done(&packed);
    return is_packed;
}

/* What has no result goes by another stream, if nothing of it can be done twice by that. */
static bool stream_resume(struct sealgate_call *call)
{
    if (call->items.first == NULL || call->retries > SG_CLIENT_REPEATS_MAX)
        return false;
    for (const struct sg_client_item *item = call->items.first; item != NULL; item = item->next)
        if (!item->is_unsent && !item->is_repeatable)
            return false;
    sg_buf_clear(&call->request);
    call->items.has_unsent = false;
    for (struct sg_client_item *item = call->items.first; item != NULL; item = item->next) {
        call->maybe_done |= !item->is_unsent;
        write_item(call, item);
    }
    return !call->request.failed;
}

static enum sealgate_code stream_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    const Sealgate__V1__SignStreamResponse *in = (const Sealgate__V1__SignStreamResponse *)answer;
    struct result *result = body;
    struct sg_client_item *item = take_item(&call->items, in->item_id);
    enum sealgate_code code = SEALGATE_OK;

    result->item_id = in->item_id;
    call->retries = 0; /* it gets on */
    if (in->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE) {
        /* A bad item is that item's failure; the others may be whole. */
        result->is_signed =
            sg_client_sign_decode(call, in->response, item == NULL ? NULL : &item->asked, arena,
                                  &result->signature, &result->error) == SEALGATE_OK;
    } else if (in->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_ERROR) {
        (void)sg_client_fail_item(&result->error, in->error);
        result->is_none = item != NULL && sg_client_refused_id(&item->asked, &result->error) &&
                          go_without_id(call, item);
    } else {
        code = sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                              "an item has neither a signature nor an error");
    }
    if (!result->is_none)
        drop_item(call, item);
    return code;
}

/* An answer makes room: for what goes again, and for what the caller was told to keep. */
static void use_room(struct sealgate_call *call)
{
    if (call->items.has_unsent && !call->is_closed) {
        call->items.has_unsent = false;
        for (struct sg_client_item *item = call->items.first; item != NULL; item = item->next)
            if (item->is_unsent)
                send_again(call, item);
    }
    if (call->is_full && call->items.bytes <= SG_CLIENT_SEND_BYTES_MAX / 2) {
        call->is_full = false;
        if (call->fn.stream.writable != NULL)
            call->fn.stream.writable(call->user);
    }
}

static void stream_item(struct sealgate_call *call, void *body)
{
    const struct result *result = body;

    if (!result->is_none)
        call->fn.stream.item(call->user, result->item_id, result->is_signed ? NULL : &result->error,
                             result->is_signed ? &result->signature : NULL);
    if (!call->is_cancelled)
        use_room(call);
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
    .resume = stream_resume,
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

/* The item as it is sent and kept. */
static enum sealgate_code make_item(const struct sealgate_call *stream, const char *item_id,
                                    const struct sealgate_sign_request *request,
                                    struct sg_client_item **ret, struct sealgate_error *error)
{
    Sealgate__V1__SignStreamRequest item;
    struct sg_client_sign_message message;
    struct sg_client_item *kept = NULL;
    struct sg_client_asked asked;
    struct sg_buf packed;
    enum sealgate_code code = sg_client_asked_of(request, &asked, error);

    if (code == SEALGATE_OK)
        code = sg_client_make_id(stream->client, request, &asked, error);
    if (code != SEALGATE_OK)
        return code;
    sealgate__v1__sign_stream_request__init(&item);
    sg_client_sign_encode(request, &asked, &message);
    item.item_id = sg_client_text(item_id);
    item.request = &message.request;
    sg_buf_init(&packed, SG_CLIENT_SEND_BYTES_MAX - 4);
    sg_pb_pack(&item.base, &packed);
    if (!packed.failed)
        kept = malloc(sizeof(*kept) + packed.len);
    if (kept != NULL) {
        *kept = (struct sg_client_item){
            .asked = asked,
            .is_repeatable = sg_client_is_repeatable(stream->client, request, &asked),
            .len = packed.len};
        (void)snprintf(kept->id, sizeof(kept->id), "%s", item_id == NULL ? "" : item_id);
        memcpy(kept->bytes, packed.ptr, packed.len);
        *ret = kept;
    } else if (packed.failed) {
        code = sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "the item is over %d bytes", SG_CLIENT_SEND_BYTES_MAX);
    } else {
        code = sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not keep the item: out of memory");
    }
    sg_buf_done(&packed);
    return code;
}

enum sealgate_code sealgate_stream_send(struct sealgate_call *stream, const char *item_id,
                                        const struct sealgate_sign_request *request,
                                        struct sealgate_error *error)
{
    struct sg_client_item *kept = NULL;
    enum sealgate_code code;

    if (stream->is_closed || stream->is_cancelled || (stream->conn != NULL && stream->rpc == NULL))
        return sg_client_fail(error, SG_CLIENT_STREAM_OVER, SEALGATE_OUTCOME_NOT_DONE,
                              "the stream takes no more items");
    code = make_item(stream, item_id, request, &kept, error);
    if (code != SEALGATE_OK)
        return code;
    if (stream->items.bytes + kept_bytes(kept) > SG_CLIENT_SEND_BYTES_MAX) {
        code = wait_for_room(stream, error);
    } else if (stream->rpc != NULL) {
        if (sg_rpc_client_send(stream->rpc, sg_slice_of(kept->bytes, kept->len), false, NULL) !=
            SG_OK)
            code = wait_for_room(stream, error);
    } else { /* no connection yet: the length tells the items apart until there is */
        write_item(stream, kept);
        if (stream->request.failed)
            code = sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                                  "could not keep the item: out of memory");
    }
    if (code == SEALGATE_OK) {
        stream->has_dry_run |= request->dry_run;
        stream->client->has_news = true;
        stream->items.bytes += kept_bytes(kept);
        add_item(&stream->items, SG_STEAL(kept));
    }
    free(kept);
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
