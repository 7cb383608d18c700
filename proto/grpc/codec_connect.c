#include "proto/grpc/call_priv.h"
#include "proto/grpc/connect.h"
#include "proto/json/json.h"

/*
 * Connect (connectrpc.com/docs/protocol): a unary call is plain HTTP, by POST or, where nothing
 * changes, by GET, so that curl can make it; a stream has gRPC's frames, and its status is the last
 * of them.
 */

enum { END_STREAM = 0x02 };

/* What is common to requests: version, time-out, and the coding that `coding_field` names. */
static enum sg_rc read_fields(struct sg_call *call, struct sg_slice coding_field,
                              int64_t *ret_timeout_ns, bool *ret_has_version, struct sg_err *err)
{
    *ret_has_version = false;
    for (const struct sg_metadata_entry *e = call->request.first; e != NULL; e = e->next) {
        if (sg_slice_eq(e->name, SG_SLICE("connect-timeout-ms"))) {
            SG_TRY(sg_connect_timeout_parse(e->value, ret_timeout_ns, err));
        } else if (sg_slice_eq(e->name, SG_SLICE("connect-protocol-version"))) {
            if (!sg_slice_is(e->value, "1"))
                return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "connect-protocol-version is not 1");
            *ret_has_version = true;
        } else if (sg_slice_eq(e->name, coding_field)) {
            SG_TRY(sg_call_set_coding(call, e->value, err));
        }
    }
    return SG_OK;
}

static enum sg_rc check_version(const struct sg_call *call, bool has_version, struct sg_err *err)
{
    if (has_version || !call->server->limits.connect_version_required)
        return SG_OK;
    return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "connect-protocol-version is missing");
}

/* --- unary --- */

static enum sg_rc begin_post(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err)
{
    bool has_version;
    SG_TRY(read_fields(call, SG_SLICE("content-encoding"), ret_timeout_ns, &has_version, err));
    SG_TRY(check_version(call, has_version, err));
    sg_buf_init(&call->reader.held, call->server->limits.message_bytes_max);
    return SG_OK;
}

static void deliver_only(struct sg_call *call, struct sg_slice body)
{
    /* "Servers must not attempt to decompress zero-length HTTP request content." */
    const struct sg_frame frame = {.is_compressed = call->is_gzip && body.len > 0, .body = body};
    call->has_message = true;
    sg_call_deliver(call, &frame);
    if (!call->is_finished)
        sg_call_half_close(call);
}

size_t sg_connect_data(struct sg_call *call, struct sg_slice bytes, bool is_end)
{
    struct sg_buf *held = &call->reader.held;
    struct sg_err err;
    if (bytes.len > held->max - held->len) {
        SG_IGNORE(SG_REFUSE(&err, SG_R_MESSAGE_TOO_LARGE, "message is over the limit of %zu bytes",
                            held->max));
        sg_call_refuse(call, &err);
    } else if (is_end && held->len == 0) {
        deliver_only(call, bytes);
    } else {
        sg_buf_add_slice(held, bytes);
        if (sg_buf_check(held, &err) != SG_OK)
            sg_call_refuse(call, &err);
        else if (is_end)
            deliver_only(call, sg_buf_slice(held));
    }
    if (call->is_finished || call->is_half_closed)
        sg_buf_done(held);
    return held->len;
}

static enum sg_rc begin_get(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err)
{
    struct sg_connect_query query;
    bool has_version;
    SG_TRY(sg_connect_query_parse(call->query, &call->arena, &query, err));
    /* The body has no coding: there is none. */
    SG_TRY(read_fields(call, SG_SLICE(""), ret_timeout_ns, &has_version, err));
    if (query.version.ptr != NULL && !sg_slice_is(query.version, "v1"))
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query's connect is not v1");
    SG_TRY(check_version(call, query.version.ptr != NULL, err));
    if (query.message.ptr == NULL)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query has no message");
    if (query.message.len > call->server->limits.message_bytes_max)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "message is over the limit of %zu bytes",
                         call->server->limits.message_bytes_max);
    if (query.compression.ptr != NULL)
        SG_TRY(sg_call_set_coding(call, query.compression, err));

    call->is_json = sg_slice_is(query.encoding, "json");
    if (!call->is_json && !sg_slice_is(query.encoding, "proto"))
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the query's encoding is json or proto");
    call->content_type =
        call->is_json ? SG_SLICE("application/json") : SG_SLICE("application/proto");
    call->only = (struct sg_frame){.body = query.message};
    return SG_OK;
}

static size_t data_get(struct sg_call *call, struct sg_slice bytes, bool is_end)
{
    struct sg_err err;
    if (bytes.len > 0) {
        SG_IGNORE(SG_REFUSE(&err, SG_R_MALFORMED_REQUEST, "a GET has no body"));
        sg_call_refuse(call, &err);
    } else if (is_end) {
        deliver_only(call, call->only.body);
    }
    return 0;
}

static void message_bare(struct sg_call *call, struct sg_slice message, struct sg_buf *out)
{
    (void)call;
    sg_buf_add_slice(out, message);
}

/* Trailers of a unary answer are fields of its head with a prefix. */
static void move_trailers(struct sg_call *call)
{
    for (const struct sg_metadata_entry *e = call->tail.first; e != NULL; e = e->next)
        if (sg_metadata_add_prefixed(&call->head, &call->arena, SG_SLICE("trailer-"), e, NULL) !=
            SG_OK)
            break; /* as other trailers that find no room: an answer without them is one */
}

static size_t finish_unary(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                           struct sg_h2_field *fields)
{
    (void)fields;
    move_trailers(call);
    if (status->code == SG_GRPC_OK)
        return 0;
    /* Nothing of it has left: the head, which tells the status, comes first. */
    sg_buf_clear(out);
    /* A path that is no method is not found, whatever speaks HTTP there; its error says more. */
    call->http_status =
        call->method == NULL ? SG_SLICE("404") : sg_slice_str(sg_connect_http_status(status->code));
    call->content_type = SG_SLICE("application/json");
    sg_connect_put_error(call->server->table->types, status, out);
    return 0;
}

const struct sg_codec sg_codec_connect = {
    .protocol = SG_PROTOCOL_CONNECT,
    .begin = begin_post,
    .data = sg_connect_data,
    .message = message_bare,
    .finish = finish_unary,
    .accept_field = {(const uint8_t *)"accept-encoding", 15},
    .takes = SG_CODEC_UNARY,
    .head_waits = true,
    .has_no_trailers = true,
};

const struct sg_codec sg_codec_connect_get = {
    .protocol = SG_PROTOCOL_CONNECT,
    .begin = begin_get,
    .data = data_get,
    .message = message_bare,
    .finish = finish_unary,
    .accept_field = {(const uint8_t *)"accept-encoding", 15},
    .takes = SG_CODEC_UNARY,
    .head_waits = true,
    .has_no_trailers = true,
};

/* --- streams --- */

static enum sg_rc begin_stream(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err)
{
    bool has_version;
    SG_TRY(
        read_fields(call, SG_SLICE("connect-content-encoding"), ret_timeout_ns, &has_version, err));
    SG_TRY(check_version(call, has_version, err));
    sg_frame_reader_init(&call->reader, call->server->limits.message_bytes_max);
    return SG_OK;
}

/* {"name": ["value", ...], ...}: values of one name stand together. */
static void put_metadata(const struct sg_metadata *metadata, struct sg_buf *out)
{
    sg_buf_add_str(out, "{");
    for (const struct sg_metadata_entry *e = metadata->first; e != NULL; e = e->next) {
        bool is_told = false;
        for (const struct sg_metadata_entry *p = metadata->first; p != e && !is_told; p = p->next)
            is_told = sg_slice_eq(p->name, e->name);
        if (is_told)
            continue;
        if (e != metadata->first)
            sg_buf_add_str(out, ",");
        sg_json_put_string(out, e->name);
        sg_buf_add_str(out, ":[");
        for (const struct sg_metadata_entry *same = e; same != NULL; same = same->next) {
            if (!sg_slice_eq(same->name, e->name))
                continue;
            if (same != e)
                sg_buf_add_str(out, ",");
            sg_json_put_string(out, same->value);
        }
        sg_buf_add_str(out, "]");
    }
    sg_buf_add_str(out, "}");
}

/* EndStreamResponse: always there, and the only place that tells how a stream ended. */
static size_t finish_stream(struct sg_call *call, const struct sg_status *status,
                            struct sg_buf *out, struct sg_h2_field *fields)
{
    (void)fields;
    size_t from = out->len;
    sg_buf_add_u8(out, END_STREAM);
    sg_buf_add_be32(out, 0);
    sg_buf_add_str(out, "{");
    if (status->code != SG_GRPC_OK) {
        sg_buf_add_str(out, "\"error\":");
        sg_connect_put_error(call->server->table->types, status, out);
    }
    if (call->tail.count > 0) {
        sg_buf_add_str(out, status->code != SG_GRPC_OK ? ",\"metadata\":" : "\"metadata\":");
        put_metadata(&call->tail, out);
    }
    sg_buf_add_str(out, "}");
    if (!out->failed)
        sg_put_be32(out->ptr + from + 1, (uint32_t)(out->len - from - SG_FRAME_PREFIX_LEN));
    return 0;
}

const struct sg_codec sg_codec_connect_stream = {
    .protocol = SG_PROTOCOL_CONNECT,
    .begin = begin_stream,
    .data = sg_grpc_data,
    .message = sg_grpc_message,
    .finish = finish_stream,
    .accept_field = {(const uint8_t *)"connect-accept-encoding", 23},
    .takes = SG_CODEC_STREAM,
    .has_no_trailers = true,
};
