#include "proto/grpc/call_priv.h"

/* A header block becomes a call, or is refused. */

static bool is_name(struct sg_slice name, const char *literal, size_t len)
{
    return memcmp(name.ptr, literal, len) == 0;
}

/* The lengths have been compared by the switch that uses this. */
#define IS(name, literal) is_name((name), literal, sizeof(literal) - 1)

/* Where to say what is wrong; NULL when that has been said. It is told when the block ends. */
static struct sg_err *refuse(struct sg_call *call)
{
    static const struct sg_err no_room = {
        .rc = SG_E_LIMIT,
        .reason = SG_R_MESSAGE_TOO_LARGE,
        .where = SG_WHERE,
        .msg = "no room for the headers",
    };
    if (call->refusal != NULL)
        return NULL;
    struct sg_err *err = sg_arena_zalloc(&call->arena, sizeof(*err));
    call->refusal = err == NULL ? &no_room : err;
    return err;
}

/* The query is for GET, and means nothing elsewhere. */
static void take_query(struct sg_call *call, struct sg_slice *path)
{
    const uint8_t *mark = path->len == 0 ? NULL : memchr(path->ptr, '?', path->len);
    if (mark == NULL)
        return;
    struct sg_slice query = *path;
    path->len = (size_t)(mark - path->ptr);
    (void)sg_slice_take(&query, path->len + 1);
    uint8_t *copy = sg_arena_alloc(&call->arena, query.len + 1);
    if (copy == NULL) {
        struct sg_err *err = refuse(call);
        if (err != NULL)
            SG_IGNORE(SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE, "no room for the query"));
        return;
    }
    if (query.len > 0)
        memcpy(copy, query.ptr, query.len);
    call->query = sg_slice_of(copy, query.len);
}

static void take_path(struct sg_call *call, struct sg_slice path)
{
    struct sg_rpc_server *server = call->server;

    take_query(call, &path);
    /* Most clients call one method again and again. */
    if (server->last_method == NULL || !sg_slice_is(path, server->last_method->path))
        server->last_method = sg_method_find(server->table, path);
    call->method = server->last_method;
    if (call->method == NULL) {
        struct sg_err *err = refuse(call);
        if (err != NULL)
            SG_IGNORE(SG_REFUSE(err, SG_R_METHOD_NOT_SERVED, "no method \"%.*s\"",
                                (int)(path.len < 100 ? path.len : 100), (const char *)path.ptr));
    }
}

static void take_content_type(struct sg_call *call, struct sg_slice value)
{
    /* Said twice, it is not clear what the body is: then it is nothing. */
    if (call->has_content_type || !sg_codec_choose(call, value))
        call->codec = NULL;
    call->has_content_type = true;
}

static void keep(struct sg_call *call, struct sg_slice name, struct sg_slice value)
{
    struct sg_err why;
    if (sg_metadata_add_wire(&call->request, &call->arena, name, value, &why) != SG_OK) {
        struct sg_err *err = refuse(call);
        if (err != NULL)
            *err = why;
    }
}

void sg_request_field(struct sg_call *call, struct sg_slice name, struct sg_slice value)
{
    /* Trailers of a request mean nothing in gRPC. */
    if (call->has_headers)
        return;

    switch (name.len) {
    case 2: /* A hint for finding proxies that drop trailers; not our business to judge. */
        if (IS(name, "te"))
            return;
        break;
    case 5:
        if (IS(name, ":path")) {
            take_path(call, value);
            return;
        }
        break;
    case 7:
        if (IS(name, ":method")) {
            call->http_method = sg_slice_is(value, "POST")      ? SG_HTTP_POST
                                : sg_slice_is(value, "GET")     ? SG_HTTP_GET
                                : sg_slice_is(value, "OPTIONS") ? SG_HTTP_OPTIONS
                                                                : SG_HTTP_OTHER;
            return;
        }
        if (IS(name, ":scheme"))
            return;
        break;
    case 12:
        if (IS(name, "content-type")) {
            take_content_type(call, value);
            return;
        }
        break;
    default:
        break;
    }
    keep(call, name, value);
}

/* The deadline runs from the header block's end, and is never later than ours; a stream lasts as
 * long as its client wants. */
static void set_deadline(struct sg_call *call, int64_t timeout_ns)
{
    const struct sg_method *method = call->method;
    const bool is_stream = method != NULL && (method->client_streaming || method->server_streaming);
    const int64_t max =
        is_stream ? INT64_MAX - call->started_ns : call->server->limits.deadline_ns_max;
    call->deadline_ns = call->started_ns + (timeout_ns < max ? timeout_ns : max);
    sg_rpc_server_wake_at(call->server, call->deadline_ns);
}

bool sg_call_may_be_get(const struct sg_call *call)
{
    const struct sg_method *method = call->method;
    return method != NULL && method->no_side_effects && !method->client_streaming &&
           !method->server_streaming;
}

static bool is_mismatched(const struct sg_codec *codec, const struct sg_method *method)
{
    if (codec->takes == SG_CODEC_ANY || method == NULL)
        return false;
    const bool is_stream = method->client_streaming || method->server_streaming;
    return is_stream != (codec->takes == SG_CODEC_STREAM);
}

/* Of HTTP alone the path says everything; what the body is called does not matter. */
static const char *choose_plain(struct sg_call *call)
{
    if (call->method == NULL)
        return call->stream.is_header_over ? "431" : "404";
    call->codec = &sg_codec_plain;
    call->content_type = SG_SLICE("text/plain; charset=utf-8");
    call->is_json = false;
    return NULL;
}

/* Chooses the codec of a GET; the HTTP status of what is no call, or NULL. */
static const char *http_refusal(struct sg_call *call)
{
    const bool is_over = call->stream.is_header_over;
    switch (call->http_method) {
    case SG_HTTP_POST:
        if (call->server->table->is_plain)
            return choose_plain(call);
        if (call->codec == NULL)
            return is_over ? "431" : "415";
        return is_mismatched(call->codec, call->method) ? "415" : NULL;
    case SG_HTTP_GET:
        if (call->method == NULL)
            return is_over ? "431" : "404";
        if (!sg_call_may_be_get(call))
            return "405";
        call->codec = &sg_codec_connect_get;
        call->content_type =
            SG_SLICE("application/json"); /* of a refusal before the query is read */
        return NULL;
    case SG_HTTP_OPTIONS:
    case SG_HTTP_OTHER:
        break;
    }
    return is_over ? "431" : "405";
}

static void begin(struct sg_call *call)
{
    struct sg_rpc_server *server = call->server;
    call->started_ns = server->now_ns;
    set_deadline(call, INT64_MAX);

    const struct sg_cors *cors = &server->limits.cors;
    if (sg_cors_is_on(cors)) {
        struct sg_slice origin = sg_metadata_find(&call->request, SG_SLICE("origin"));
        if (sg_cors_allows(cors, origin))
            call->origin = origin;
        if (call->http_method == SG_HTTP_OPTIONS && !call->stream.is_header_over) {
            sg_call_respond_preflight(call);
            return;
        }
    }
    const char *refusal = http_refusal(call);
    if (refusal != NULL) {
        sg_call_respond_http(call, refusal);
        return;
    }

    struct sg_err err;
    int64_t timeout_ns = INT64_MAX;
    if (call->stream.is_header_over) {
        SG_IGNORE(SG_REFUSE(&err, SG_R_MESSAGE_TOO_LARGE, "headers are over the limit of %zu bytes",
                            server->limits.header_bytes_max));
        sg_call_refuse(call, &err);
        return;
    }
    if (call->refusal != NULL) {
        sg_call_refuse(call, call->refusal);
        return;
    }
    if (call->codec->begin(call, &timeout_ns, &err) != SG_OK) {
        sg_call_refuse(call, &err);
        return;
    }
    set_deadline(call, timeout_ns);

    call->is_begun = true;
    if (server->handler->begin(server->handler->arg, call, &err) != SG_OK) {
        call->is_begun = false;
        sg_call_fail(call, &err);
    }
}

void sg_request_headers(struct sg_call *call)
{
    if (call->has_headers)
        return;
    call->has_headers = true;
    begin(call);
    /* Whoever the call is for knows by now who makes it. */
    sg_metadata_wipe(&call->request, SG_SLICE("authorization"));
}
