#include "proto/grpc/call.h"

#include "proto/grpc/call_priv.h"
#include "proto/grpc/gzip.h"
#include "proto/json/json.h"
#include "proto/pb/wire.h"

/* What handlers use, and the steps that every protocol has in common. */

const struct sg_method *sg_call_method(const struct sg_call *call)
{
    return call->method;
}

struct sg_arena *sg_call_arena(struct sg_call *call)
{
    return &call->arena;
}

int64_t sg_call_deadline(const struct sg_call *call)
{
    return call->deadline_ns;
}

int64_t sg_call_started(const struct sg_call *call)
{
    return call->started_ns;
}

void *sg_call_connection(const struct sg_call *call)
{
    return call->server->connection;
}

void *sg_call_user(const struct sg_call *call)
{
    return call->user;
}

void sg_call_set_user(struct sg_call *call, void *user)
{
    call->user = user;
}

struct sg_slice sg_call_metadata(const struct sg_call *call, const char *name)
{
    return sg_metadata_find(&call->request, sg_slice_str(name));
}

size_t sg_call_metadata_count(const struct sg_call *call, const char *name)
{
    size_t count = 0;
    for (const struct sg_metadata_entry *e = call->request.first; e != NULL; e = e->next)
        count += sg_slice_is(e->name, name);
    return count;
}

enum sg_protocol sg_call_protocol(const struct sg_call *call)
{
    return call->codec == NULL ? SG_PROTOCOL_NONE : call->codec->protocol;
}

bool sg_call_is_over(const struct sg_call *call)
{
    return call->is_finished || call->stream.is_closed;
}

enum sg_rc sg_call_add_metadata(struct sg_call *call, const char *name, struct sg_slice value,
                                struct sg_err *err)
{
    struct sg_metadata *to = call->is_answered ? &call->tail : &call->head;
    return sg_metadata_add_own(to, &call->arena, sg_slice_str(name), value, err);
}

enum sg_rc sg_call_add_trailer(struct sg_call *call, const char *name, struct sg_slice value,
                               struct sg_err *err)
{
    return sg_metadata_add_own(&call->tail, &call->arena, sg_slice_str(name), value, err);
}

/* --- the response --- */

static struct sg_h2_field *put_metadata(struct sg_h2_field *to, const struct sg_metadata *metadata)
{
    for (const struct sg_metadata_entry *e = metadata->first; e != NULL; e = e->next)
        *to++ = (struct sg_h2_field){e->name, e->value, true};
    return to;
}

/* Sends the head; with is_end also the status and the trailers, and nothing more. */
static enum sg_rc respond(struct sg_call *call, size_t status_count, bool is_end,
                          struct sg_err *err)
{
    enum { OWN = 4 };
    struct sg_h2_field few[OWN + SG_CORS_FIELDS_MAX + SG_CODEC_FIELDS_MAX], *fields = few;
    const bool has_tail = is_end && !call->codec->has_no_trailers;
    const size_t more = call->head.count + (has_tail ? call->tail.count : 0);
    if (more > 0) {
        fields = sg_arena_alloc(&call->arena, (SG_COUNT(few) + more) * sizeof(*fields));
        if (fields == NULL)
            return SG_FAIL(err, SG_E_LIMIT, 0, "could not respond: the call's memory is full");
    }

    struct sg_h2_field *to = fields;
    *to++ = (struct sg_h2_field){SG_SLICE(":status"), call->http_status, true};
    *to++ = (struct sg_h2_field){SG_SLICE("content-type"), call->content_type, true};
    if (call->offer_coding)
        *to++ = (struct sg_h2_field){call->codec->accept_field, SG_SLICE("identity,gzip"), true};
    /* Who may know an answer depends on the certificate, which no cache looks at. */
    if (call->http_method == SG_HTTP_GET)
        *to++ = (struct sg_h2_field){SG_SLICE("cache-control"), SG_SLICE("no-store"), true};
    to = sg_call_put_cors(to, call);
    to = put_metadata(to, &call->head);
    for (size_t i = 0; i < status_count; i++)
        *to++ = call->status_fields[i];
    if (has_tail)
        to = put_metadata(to, &call->tail);
    return sg_h2_respond(&call->stream, fields, (size_t)(to - fields), is_end, err);
}

/* Ends a response that has begun. Trailers that find no room lose the handler's metadata. */
static void end(struct sg_call *call, size_t status_count)
{
    struct sg_h2_field *fields = call->status_fields;
    size_t count = status_count;
    if (call->tail.count > 0 && !call->codec->has_no_trailers) {
        struct sg_h2_field *more =
            sg_arena_alloc(&call->arena, (status_count + call->tail.count) * sizeof(*fields));
        if (more != NULL) {
            memcpy(more, fields, status_count * sizeof(*fields));
            put_metadata(more + status_count, &call->tail);
            fields = more;
            count += call->tail.count;
        }
    }
    sg_h2_end(&call->stream, fields, count);
    sg_call_mind_stall(call);
}

void sg_call_finish(struct sg_call *call, const struct sg_status *status)
{
    if (sg_call_is_over(call))
        return;
    call->is_finished = true;

    enum sg_rc rc = SG_OK;
    struct sg_buf *out = sg_h2_out(&call->stream);
    size_t count = call->codec->finish(call, status, out, call->status_fields);
    /* One header block for all (Trailers-Only), unless there are headers that a client would then
     * take for trailers. */
    bool is_whole = sg_h2_waiting(&call->stream) == 0 &&
                    (call->head.count == 0 || call->codec->has_no_trailers);
    if (out->failed && call->codec->has_no_trailers)
        rc = SG_E_INTERNAL; /* no memory to say how it ended: half an answer must not look whole */
    else if (!call->stream.is_responded)
        rc = respond(call, is_whole ? count : 0, is_whole, NULL);
    if (rc != SG_OK)
        sg_h2_reset(&call->stream, SG_H2_INTERNAL_ERROR);
    else
        end(call, count);
}

static enum sg_rc send_bytes(struct sg_call *call, struct sg_slice message, bool *ret_full,
                             struct sg_err *err)
{
    size_t max = call->server->limits.send_bytes_max;
    size_t waiting = sg_h2_waiting(&call->stream);
    if (message.len > UINT32_MAX || waiting > max || message.len > max - waiting)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not send %zu bytes: %zu are waiting", message.len,
                       waiting);
    struct sg_buf *out = sg_h2_out(&call->stream);
    call->codec->message(call, message, out);
    SG_TRY(sg_buf_check(out, err));
    call->is_answered = true;
    if (!call->stream.is_responded && !call->codec->head_waits)
        SG_TRY(respond(call, 0, false, err));
    sg_h2_flush(&call->stream);
    sg_call_mind_stall(call);

    *ret_full = sg_h2_waiting(&call->stream) > max / 2;
    if (*ret_full)
        sg_h2_want_writable(&call->stream, max / 4);
    return SG_OK;
}

enum sg_rc sg_call_send(struct sg_call *call, struct sg_slice message, bool *ret_full,
                        struct sg_err *err)
{
    if (sg_call_is_over(call))
        return SG_FAIL(err, SG_E_CONFLICT, 0, "could not send: the call is over");
    if (!call->is_json)
        return send_bytes(call, message, ret_full, err);

    struct sg_buf text;
    sg_buf_init(&text, call->server->limits.send_bytes_max);
    enum sg_rc rc =
        sg_json_encode(call->server->table->types, call->method->output, message, &text, err);
    if (rc == SG_OK)
        rc = send_bytes(call, sg_buf_slice(&text), ret_full, err);
    sg_buf_done(&text);
    return rc;
}

void sg_call_answer(struct sg_call *call, const char *http_status, const char *content_type,
                    struct sg_slice body)
{
    bool is_full;
    SG_ASSERT(call->codec == &sg_codec_plain);
    if (sg_call_is_over(call))
        return;
    call->http_status = sg_slice_str(http_status);
    call->content_type = sg_slice_str(content_type);
    if (body.len > 0 && send_bytes(call, body, &is_full, NULL) != SG_OK) {
        sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_INTERNAL});
        return;
    }
    sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

/* --- failures --- */

/*
 * The message of an encoded google.rpc.Status (field 2), so that grpc-message says the same as
 * the details. Whatever `describe` left out or wrote badly gives the empty slice.
 */
static struct sg_slice message_of(struct sg_slice details)
{
    uint32_t number;
    unsigned wire_type;
    struct sg_slice value;
    while (details.len > 0 && sg_pb_take_field(&details, &number, &wire_type, &value))
        if (number == 2 && wire_type == SG_PB_BYTES)
            return value;
    return (struct sg_slice){0};
}

enum { DETAILS_MAX = 8192 };

static void fail(struct sg_call *call, const struct sg_err *err, struct sg_slice message)
{
    const struct sg_call_handler *handler = call->server->handler;
    if (sg_call_is_over(call))
        return;
    struct sg_buf details;
    sg_buf_init(&details, DETAILS_MAX);
    handler->describe(handler->arg, call, err, &details);
    if (details.failed)
        sg_buf_clear(&details);

    struct sg_status status = {sg_grpc_code_of(err->rc), message, sg_buf_slice(&details)};
    struct sg_slice said = message_of(status.details);
    if (said.len > 0)
        status.message = said;
    /* A failure is never OK, even when whoever failed forgot to say how. */
    if (status.code == SG_GRPC_OK)
        status.code = SG_GRPC_INTERNAL;
    sg_call_finish(call, &status);
    sg_buf_done(&details);
}

void sg_call_fail(struct sg_call *call, const struct sg_err *err)
{
    /* err->msg is the operator's: unless describe speaks, the client hears the advice only. */
    fail(call, err, sg_slice_str(sg_reason_next(err->reason)));
}

void sg_call_refuse(struct sg_call *call, const struct sg_err *err)
{
    fail(call, err, sg_slice_str(err->msg));
}

/* --- the request's messages --- */

enum sg_rc sg_call_set_coding(struct sg_call *call, struct sg_slice coding, struct sg_err *err)
{
    call->is_gzip = sg_slice_is(coding, "gzip");
    if (call->is_gzip || sg_slice_is(coding, "identity"))
        return SG_OK;
    call->offer_coding = true;
    return SG_REFUSE(err, SG_R_CODING_NOT_SERVED, "messages may be coded as identity or gzip only");
}

/* JSON becomes the bytes that another client would have sent. */
static void deliver_plain(struct sg_call *call, struct sg_slice body)
{
    const struct sg_rpc_limits *limits = &call->server->limits;
    const struct sg_call_handler *handler = call->server->handler;
    if (!call->is_json) {
        handler->message(handler->arg, call, body);
        return;
    }
    struct sg_err err;
    struct sg_buf wire;
    sg_buf_init(&wire, limits->message_bytes_max);
    if (sg_json_decode(call->server->table->types, call->method->input, body,
                       limits->call_bytes_max, &wire, &err) == SG_OK)
        handler->message(handler->arg, call, sg_buf_slice(&wire));
    else
        sg_call_refuse(call, &err);
    sg_buf_done(&wire);
}

void sg_call_deliver(struct sg_call *call, const struct sg_frame *frame)
{
    if (!frame->is_compressed) {
        deliver_plain(call, frame->body);
        return;
    }

    struct sg_err err;
    enum sg_rc rc;
    struct sg_buf plain;
    sg_buf_init(&plain, call->server->limits.message_bytes_max);
    if (call->is_gzip)
        rc = sg_gunzip(frame->body, &plain, &err);
    else
        rc = SG_REFUSE(&err, SG_R_MALFORMED_MESSAGE,
                       "message is compressed, but no coding was named");
    if (rc == SG_OK)
        deliver_plain(call, sg_buf_slice(&plain));
    else
        sg_call_refuse(call, &err);
    sg_buf_done(&plain);
}

void sg_call_half_close(struct sg_call *call)
{
    const struct sg_call_handler *handler = call->server->handler;
    call->is_half_closed = true;
    handler->half_close(handler->arg, call);
}

void sg_call_tell_closed(struct sg_call *call)
{
    const struct sg_call_handler *handler = call->server->handler;
    bool is_owed = call->is_begun && !call->is_told;
    call->is_told = true;
    call->is_finished = true;
    if (is_owed)
        handler->closed(handler->arg, call);
}

void sg_call_pause(struct sg_call *call)
{
    SG_ASSERT(call->method->client_streaming);
    if (call->is_resuming)
        call->server->resuming--;
    call->is_resuming = false;
    call->is_paused = true;
    sg_h2_hold(&call->stream, true);
}

void sg_call_resume(struct sg_call *call)
{
    if (!call->is_paused || call->is_resuming)
        return;
    call->is_resuming = true;
    call->server->resuming++;
}

enum sg_rc sg_call_park(struct sg_call *call, struct sg_slice bytes, bool is_end,
                        struct sg_err *err)
{
    if (call->parked.max == 0)
        sg_buf_init(&call->parked, call->server->limits.connection_bytes_max);
    sg_buf_add_slice(&call->parked, bytes);
    call->is_end_parked = call->is_end_parked || is_end;
    return sg_buf_check(&call->parked, err);
}
