#include <stdlib.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/secret.h"
#include "proto/grpc/client_priv.h"
#include "proto/grpc/metadata.h"
#include "proto/grpc/percent.h"
#include "proto/grpc/timeout.h"

/* What of a status is kept; a server that sends more is cut, or loses its details. */
enum { MESSAGE_MAX = 4096, DETAILS_MAX = 16384, METADATA_MAX = 65536 };

static struct sg_rpc_client_call *call_of(struct sg_h2_stream *stream)
{
    return (struct sg_rpc_client_call *)stream;
}

/* --- how a call ends --- */

/* The status of a stream that is closed or has come to its end. */
static struct sg_status judge(const struct sg_rpc_client_call *call, uint32_t error,
                              enum sg_rpc_outcome *ret_outcome)
{
    *ret_outcome = SG_RPC_ANSWERED;
    if (call->fault != NULL) {
        *ret_outcome = SG_RPC_UNKNOWN;
        return (struct sg_status){.code = call->fault_code, .message = sg_slice_str(call->fault)};
    }
    /* A status counts where the answer ends, and a stream that was reset has no end. */
    if (call->has_status && call->stream.is_remote_ended)
        return (struct sg_status){call->code, sg_buf_slice(&call->message),
                                  sg_buf_slice(&call->details)};
    if (call->http_status != 0 && call->http_status != 200)
        return (struct sg_status){.code = sg_grpc_code_of_http(call->http_status),
                                  .message = SG_SLICE("the answer is HTTP without gRPC")};
    if (call->stream.is_remote_ended)
        return (struct sg_status){.code = SG_GRPC_UNKNOWN,
                                  .message = SG_SLICE("the answer ended without a status")};

    bool is_unprocessed = error == SG_H2_REFUSED_STREAM;
    *ret_outcome = is_unprocessed ? SG_RPC_UNPROCESSED : SG_RPC_UNKNOWN;
    return (struct sg_status){.code = sg_grpc_code_of_h2(error),
                              .message = is_unprocessed ? SG_SLICE("the server took no call")
                                                        : SG_SLICE("the stream was reset")};
}

/* The call's last moment: forgets the stream, tells, frees. */
static void complete(struct sg_rpc_client_call *call, uint32_t error)
{
    struct sg_rpc_client *client = call->client;
    enum sg_rpc_outcome outcome;
    struct sg_status status = judge(call, error, &outcome);
    if (outcome == SG_RPC_UNKNOWN && !call->stream.is_begun)
        outcome = SG_RPC_UNPROCESSED;

    if (!call->stream.is_closed && !(call->stream.is_local_ended && call->stream.is_remote_ended))
        sg_h2_reset(&call->stream, SG_H2_CANCEL);
    sg_h2_forget(&call->stream);
    TAILQ_REMOVE(&client->calls, call, link);
    client->open--;
    call->events.done(call->events.arg, call, &status, outcome);
    sg_frame_reader_done(&call->reader);
    sg_buf_done(&call->message);
    sg_buf_done(&call->details);
    free(call);
}

/* We end the call for a reason of our own; it completes when the stream is closed, or by the
 * next tick if that does not happen. */
static void give_up(struct sg_rpc_client_call *call, enum sg_grpc_code code, const char *fault)
{
    if (call->fault != NULL)
        return;
    call->fault = fault;
    call->fault_code = code;
    sg_h2_reset(&call->stream, SG_H2_CANCEL);
    call->deadline_ns = 0;
    call->client->due_ns = 0;
}

void sg_rpc_client_call_end(struct sg_rpc_client_call *call, enum sg_grpc_code code,
                            const char *fault)
{
    if (call->fault == NULL) {
        call->fault = fault;
        call->fault_code = code;
    }
    complete(call, SG_H2_CANCEL);
}

/* --- events of the stream --- */

/* Decimal, at most three digits; -1 for anything else. */
static int number(struct sg_slice text)
{
    int value = 0;
    if (text.len == 0 || text.len > 3)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

/* Whether an answer of this type has messages as we asked for them. Parameters mean nothing here.
 */
static enum sg_rpc_content content_of(struct sg_slice type)
{
    const uint8_t *semicolon = type.len == 0 ? NULL : memchr(type.ptr, ';', type.len);
    if (semicolon != NULL)
        type.len = (size_t)(semicolon - type.ptr);
    while (type.len > 0 && type.ptr[type.len - 1] == ' ')
        type.len--;
    if (sg_slice_is(type, "application/grpc") || sg_slice_is(type, "application/grpc+proto"))
        return SG_RPC_PROTO;
    return sg_slice_starts(type, SG_SLICE("application/grpc+")) ? SG_RPC_OTHER_CODEC
                                                                : SG_RPC_FOREIGN;
}

void sg_rpc_client_call_field(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                              struct sg_slice value)
{
    (void)arg;
    struct sg_rpc_client_call *call = call_of(stream);
    if (sg_slice_eq(name, SG_SLICE(":status"))) {
        call->http_status = number(value);
    } else if (sg_slice_eq(name, SG_SLICE("content-type"))) {
        call->content = content_of(value);
    } else if (sg_slice_eq(name, SG_SLICE("grpc-status"))) {
        int code = number(value);
        call->has_status = true;
        call->code =
            code < 0 || code > SG_GRPC_UNAUTHENTICATED ? SG_GRPC_UNKNOWN : (enum sg_grpc_code)code;
    } else if (sg_slice_eq(name, SG_SLICE("grpc-message"))) {
        sg_buf_clear(&call->message);
        sg_percent_decode(value, &call->message);
    } else if (sg_slice_eq(name, SG_SLICE("grpc-status-details-bin"))) {
        sg_buf_clear(&call->details);
        /* Details that cannot be read are none; the status itself stands. */
        SG_IGNORE(sg_base64_decode(value, SG_BASE64_STD, SG_BASE64_EITHER, &call->details, NULL));
    }
}

void sg_rpc_client_call_headers(void *arg, struct sg_h2_stream *stream)
{
    (void)arg;
    struct sg_rpc_client_call *call = call_of(stream);
    if (stream->is_header_over)
        give_up(call, SG_GRPC_RESOURCE_EXHAUSTED, "the answer's headers are over the limit");
    if (call->has_head || call->http_status < 200)
        return; /* trailers, or a 1xx before the answer */
    call->has_head = true;
    if (!stream->is_block_last) {
        /* A status counts where the answer ends. */
        call->has_status = false;
        sg_buf_clear(&call->message);
        sg_buf_clear(&call->details);
    }
    if (call->http_status == 200 && call->content == SG_RPC_FOREIGN)
        give_up(call, SG_GRPC_UNKNOWN, "the answer is not gRPC");
    else if (call->http_status == 200 && call->content == SG_RPC_OTHER_CODEC)
        give_up(call, SG_GRPC_INTERNAL, "the answer's messages are not protobuf's");
}

static void read_messages(struct sg_rpc_client_call *call, struct sg_slice bytes)
{
    struct sg_frame frame;
    enum sg_rc rc;
    while (call->fault == NULL &&
           (rc = sg_frame_reader_next(&call->reader, &bytes, &frame, NULL)) != SG_E_AGAIN) {
        if (rc == SG_E_LIMIT)
            give_up(call, SG_GRPC_RESOURCE_EXHAUSTED, "a message of the answer is over the limit");
        else if (rc != SG_OK)
            give_up(call, SG_GRPC_INTERNAL, "the answer is not made of messages");
        else if (frame.is_compressed)
            give_up(call, SG_GRPC_INTERNAL, "the answer is compressed, which was not offered");
        else
            call->events.message(call->events.arg, call, frame.body);
    }
}

void sg_rpc_client_call_data(void *arg, struct sg_h2_stream *stream, struct sg_slice bytes,
                             bool is_end)
{
    (void)arg;
    struct sg_rpc_client_call *call = call_of(stream);
    /* The body of an answer that is no 200 is a page for people. */
    if (call->http_status == 200)
        read_messages(call, bytes);
    sg_h2_keep(stream, 0);
    if (!is_end)
        return;
    bool is_failure = call->has_status && call->code != SG_GRPC_OK;
    if (call->fault == NULL && !is_failure && !sg_frame_reader_is_between(&call->reader)) {
        call->fault = "the answer ended inside a message";
        call->fault_code = SG_GRPC_INTERNAL;
    }
    complete(call, SG_H2_NO_ERROR);
}

void sg_rpc_client_call_writable(void *arg, struct sg_h2_stream *stream)
{
    (void)arg;
    struct sg_rpc_client_call *call = call_of(stream);
    if (call->events.writable != NULL && call->fault == NULL)
        call->events.writable(call->events.arg, call);
}

void sg_rpc_client_call_closed(void *arg, struct sg_h2_stream *stream, uint32_t error)
{
    (void)arg;
    complete(call_of(stream), error);
}

/* --- calls --- */

static enum sg_rc send_request(struct sg_rpc_client_call *call, const char *path,
                               const struct sg_metadata *metadata, struct sg_err *err)
{
    enum { OWN = 9 };
    struct sg_rpc_client *client = call->client;
    char timeout[SG_TIMEOUT_TEXT_MAX];
    struct sg_h2_field few[OWN + 8], *fields = few, *to;
    if (metadata->count > SG_COUNT(few) - OWN) {
        fields = calloc(OWN + metadata->count, sizeof(*fields));
        if (fields == NULL)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not begin a call: out of memory");
    }

    to = fields;
    *to++ = (struct sg_h2_field){SG_SLICE(":method"), SG_SLICE("POST"), true};
    *to++ = (struct sg_h2_field){SG_SLICE(":scheme"), SG_SLICE("https"), true};
    *to++ = (struct sg_h2_field){SG_SLICE(":path"), sg_slice_str(path), false};
    *to++ = (struct sg_h2_field){SG_SLICE(":authority"), sg_slice_str(client->authority), true};
    *to++ = (struct sg_h2_field){SG_SLICE("te"), SG_SLICE("trailers"), true};
    *to++ = (struct sg_h2_field){SG_SLICE("content-type"), SG_SLICE("application/grpc"), true};
    *to++ = (struct sg_h2_field){SG_SLICE("user-agent"), sg_slice_str(client->user_agent), true};
    *to++ = (struct sg_h2_field){SG_SLICE("grpc-accept-encoding"), SG_SLICE("identity"), true};
    if (call->deadline_ns != INT64_MAX) {
        size_t len = sg_timeout_format(call->deadline_ns - client->now_ns, timeout);
        *to++ = (struct sg_h2_field){SG_SLICE("grpc-timeout"), sg_slice_of(timeout, len), false};
    }
    for (const struct sg_metadata_entry *e = metadata->first; e != NULL; e = e->next)
        *to++ = (struct sg_h2_field){e->name, e->value, false};

    enum sg_rc rc = sg_h2_request(client->h2, &call->stream, fields, (size_t)(to - fields), err);
    if (fields != few)
        free(fields);
    return rc;
}

static enum sg_rc start(struct sg_rpc_client_call *call, const char *path,
                        const struct sg_rpc_metadata *metadata, size_t metadata_count,
                        struct sg_err *err)
{
    enum sg_rc rc = SG_OK;
    struct sg_metadata own = {0};
    struct sg_arena arena;
    sg_arena_init(&arena, METADATA_MAX);
    for (size_t i = 0; i < metadata_count && rc == SG_OK; i++)
        rc = sg_metadata_add_own(&own, &arena, sg_slice_str(metadata[i].name), metadata[i].value,
                                 err);
    if (rc == SG_OK)
        rc = send_request(call, path, &own, err);
    /* Credentials go through here; this copy of them does not outlive the call of this function. */
    for (struct sg_metadata_entry *e = own.first; e != NULL; e = e->next)
        sg_wipe((void *)(uintptr_t)e->value.ptr, e->value.len);
    sg_arena_done(&arena);
    return rc;
}

enum sg_rc sg_rpc_client_start(struct sg_rpc_client *client, const char *path, int64_t now_ns,
                               int64_t deadline_ns, const struct sg_rpc_metadata *metadata,
                               size_t metadata_count, const struct sg_rpc_client_events *events,
                               struct sg_rpc_client_call **ret, struct sg_err *err)
{
    client->now_ns = now_ns;
    if (!sg_rpc_client_is_usable(client))
        return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "could not begin a call: connection is closing");

    struct sg_rpc_client_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not begin a call: out of memory");
    call->client = client;
    call->events = *events;
    call->deadline_ns = deadline_ns == 0 ? INT64_MAX : deadline_ns;
    sg_frame_reader_init(&call->reader, client->limits.message_bytes_max);
    sg_buf_init(&call->message, MESSAGE_MAX);
    sg_buf_init(&call->details, DETAILS_MAX);

    enum sg_rc rc = start(call, path, metadata, metadata_count, err);
    if (rc != SG_OK) {
        free(call);
        return rc;
    }
    if (client->open++ == 0)
        client->received_ns = now_ns; /* silence counts from here */
    TAILQ_INSERT_TAIL(&client->calls, call, link);
    sg_rpc_client_wake_at(client, call->deadline_ns);
    if (client->limits.ping_interval_ns > 0)
        sg_rpc_client_wake_at(client, client->received_ns + client->limits.ping_interval_ns);
    *ret = call;
    return SG_OK;
}

enum sg_rc sg_rpc_client_send(struct sg_rpc_client_call *call, struct sg_slice message,
                              bool is_last, struct sg_err *err)
{
    size_t max = call->client->limits.send_bytes_max, waiting = sg_h2_waiting(&call->stream);
    if (call->fault != NULL || call->stream.is_closed || call->stream.is_ending)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "could not send: the call is over");
    if (call->events.writable != NULL && waiting + message.len > max / 2)
        sg_h2_want_writable(&call->stream, max / 4);
    if (message.len > UINT32_MAX || waiting > max || message.len > max - waiting)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not send %zu bytes: %zu are waiting", message.len,
                       waiting);

    struct sg_buf *out = sg_h2_out(&call->stream);
    uint8_t prefix[SG_FRAME_PREFIX_LEN];
    sg_frame_prefix(prefix, (uint32_t)message.len);
    uint8_t *to = sg_buf_room(out, sizeof(prefix) + message.len);
    if (to == NULL)
        return sg_buf_check(out, err);
    memcpy(to, prefix, sizeof(prefix));
    if (message.len > 0)
        memcpy(to + sizeof(prefix), message.ptr, message.len);
    sg_buf_claim(out, sizeof(prefix) + message.len);

    if (is_last)
        sg_h2_end(&call->stream, NULL, 0);
    else
        sg_h2_flush(&call->stream);
    return SG_OK;
}

void sg_rpc_client_half_close(struct sg_rpc_client_call *call)
{
    sg_h2_end(&call->stream, NULL, 0);
}

void sg_rpc_client_cancel(struct sg_rpc_client_call *call)
{
    give_up(call, SG_GRPC_CANCELLED, "cancelled");
}
