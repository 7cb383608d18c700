#include "proto/grpc/server.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/grpc/call_priv.h"

/* The connection of a server: which calls are open on it, and what its events mean for them. */

const struct sg_rpc_limits sg_rpc_limits_default = {
    .message_bytes_max = 1 << 20,
    .call_bytes_max = 4 << 20,
    .send_bytes_max = 1 << 20,
    .header_bytes_max = 16 << 10,
    .streams_max = 128,
    .connection_bytes_max = 4 << 20,
    .deadline_ns_max = 60 * SG_NS_PER_S,
    .header_ns_max = 5 * SG_NS_PER_S,
    .idle_ns_max = 300 * SG_NS_PER_S,
    .age_ns_max = 0,
    .age_grace_ns = 60 * SG_NS_PER_S,
    .ping_interval_ns = 7200 * SG_NS_PER_S,
    .ping_timeout_ns = 20 * SG_NS_PER_S,
    .client_ping_ns_min = 300 * SG_NS_PER_S,
    .allow_ping_without_calls = false,
    .stall_ns_max = 30 * SG_NS_PER_S,
    .flood = SG_H2_FLOOD_DEFAULT,
};

enum {
    SPARE_CALLS_MAX = 32,          /* kept for the next ones */
    LINGER_BYTES_MAX = 256 * 1024, /* of a request that nobody reads any more */
    STRIKES_MAX = 2,               /* pings too many that are forgiven: gRFC A8 */
};

/* gRFC A8: without calls, pings more often than this are strikes. */
#define IDLE_PING_NS (7200 * SG_NS_PER_S)

/* Calls are reused with their memory cleared, so that one costs few allocations. */
static struct sg_call *call_new(struct sg_rpc_server *server)
{
    struct sg_call *call = TAILQ_FIRST(&server->spare);
    struct sg_arena arena;
    sg_arena_init(&arena, server->limits.call_bytes_max);
    if (call != NULL) {
        TAILQ_REMOVE(&server->spare, call, link);
        server->spare_count--;
        arena = call->arena;
    } else if ((call = malloc(sizeof(*call))) == NULL) {
        return NULL;
    }
    *call = (struct sg_call){
        .server = server,
        .linger_until_ns = INT64_MAX,
        .stall_due_ns = INT64_MAX,
        .deadline_ns = INT64_MAX,
        .http_status = SG_SLICE("200"),
        .arena = arena,
    };
    TAILQ_INSERT_TAIL(&server->calls, call, link);
    server->open++;
    return call;
}

static void call_free(struct sg_call *call)
{
    struct sg_rpc_server *server = call->server;
    TAILQ_REMOVE(&server->calls, call, link);
    if (--server->open == 0) {
        server->idle_since_ns = server->now_ns;
        if (server->limits.idle_ns_max > 0)
            sg_rpc_server_wake_at(server, server->now_ns + server->limits.idle_ns_max);
    }
    if (call->is_resuming)
        server->resuming--;
    sg_frame_reader_done(&call->reader);
    sg_buf_done(&call->parked);
    sg_metadata_wipe(&call->request, SG_SLICE("authorization")); /* its headers never ended */
    if (server->spare_count < SPARE_CALLS_MAX) {
        sg_arena_reset(&call->arena);
        TAILQ_INSERT_HEAD(&server->spare, call, link);
        server->spare_count++;
    } else {
        sg_arena_done(&call->arena);
        free(call);
    }
}

void sg_rpc_server_spare_free(struct sg_rpc_server *server)
{
    struct sg_call *call;
    while ((call = TAILQ_FIRST(&server->spare)) != NULL) {
        TAILQ_REMOVE(&server->spare, call, link);
        sg_arena_done(&call->arena);
        free(call);
    }
    server->spare_count = 0;
}

/* --- events of the connection --- */

static struct sg_call *call_of(struct sg_h2_stream *stream)
{
    return (struct sg_call *)stream;
}

static struct sg_h2_stream *on_open(void *arg)
{
    struct sg_call *call = call_new(arg);
    return call == NULL ? NULL : &call->stream;
}

static void on_field(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                     struct sg_slice value)
{
    (void)arg;
    sg_request_field(call_of(stream), name, value);
}

static void on_headers(void *arg, struct sg_h2_stream *stream)
{
    (void)arg;
    sg_request_headers(call_of(stream));
}

void sg_call_linger(struct sg_call *call, int64_t at_ns)
{
    if (at_ns < call->linger_until_ns)
        call->linger_until_ns = at_ns;
    sg_rpc_server_wake_at(call->server, call->linger_until_ns);
}

/* Of a call that is over nothing is held any more, so that memory and window agree. */
static void drop_held(struct sg_call *call)
{
    sg_frame_reader_done(&call->reader);
    sg_buf_done(&call->parked);
    sg_h2_keep(&call->stream, 0);
}

/*
 * Half-sent messages of many calls may together be more than the connection may hold, and then
 * none of them could ever be completed. The largest gives way. Its client may try again.
 */
static void shed(struct sg_rpc_server *server)
{
    struct sg_call *call, *largest = NULL;
    TAILQ_FOREACH(call, &server->calls, link)
    {
        if (largest == NULL || call->stream.unconsumed > largest->stream.unconsumed)
            largest = call;
    }
    if (largest == NULL || largest->is_finished)
        return;
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_QUEUE_FULL,
                        "more is being sent at once than this connection may hold"));
    sg_call_refuse(largest, &err);
    drop_held(largest);
}

/* Hands bytes of the body to the call's codec; its own keeping and ours is what is held of them. */
static void take_body(struct sg_call *call, struct sg_slice bytes, bool is_end)
{
    size_t kept = call->codec->data(call, bytes, is_end) + call->parked.len;
    if (!call->is_finished)
        sg_h2_keep(&call->stream, kept);
}

static void unwrap_body(struct sg_call *call, struct sg_slice bytes, bool is_end)
{
    struct sg_err err;
    struct sg_buf plain;
    sg_buf_init(&plain, bytes.len + sizeof(call->web_text.carry));
    if (call->codec->unwrap(call, bytes, is_end, &plain, &err) == SG_OK)
        take_body(call, sg_buf_slice(&plain), is_end);
    else
        sg_call_refuse(call, &err);
    sg_buf_done(&plain);
}

static void on_data(void *arg, struct sg_h2_stream *stream, struct sg_slice bytes, bool is_end)
{
    struct sg_rpc_server *server = arg;
    struct sg_call *call = call_of(stream);

    if (!call->is_finished && call->codec->unwrap != NULL) {
        unwrap_body(call, bytes, is_end);
    } else if (!call->is_finished) {
        take_body(call, bytes, is_end);
    } else {
        call->linger_bytes += bytes.len;
        if (call->linger_bytes > LINGER_BYTES_MAX && stream->is_local_ended)
            sg_call_linger(call, server->now_ns);
    }
    if (call->is_finished)
        drop_held(call);
    if (sg_h2_unconsumed(server->h2) > server->held_max)
        shed(server);
}

static void on_ended(void *arg, struct sg_h2_stream *stream)
{
    struct sg_rpc_server *server = arg;
    struct sg_call *call = call_of(stream);
    drop_held(call);
    sg_h2_hold(stream, false); /* it may have ended while it was paused */
    sg_call_linger(call,
                   server->now_ns + (call->linger_bytes > LINGER_BYTES_MAX ? 0 : SG_LINGER_NS));
}

static void on_writable(void *arg, struct sg_h2_stream *stream)
{
    struct sg_rpc_server *server = arg;
    struct sg_call *call = call_of(stream);
    if (!call->is_finished)
        server->handler->writable(server->handler->arg, call);
}

static void on_closed(void *arg, struct sg_h2_stream *stream, uint32_t error)
{
    (void)arg, (void)error;
    sg_call_tell_closed(call_of(stream));
    call_free(call_of(stream));
}

/* gRFC A8, "Server Enforcement". */
static void on_ping(void *arg)
{
    struct sg_rpc_server *server = arg;
    bool is_idle = server->open == 0 && !server->limits.allow_ping_without_calls;
    int64_t min = is_idle ? IDLE_PING_NS : server->limits.client_ping_ns_min;
    if (server->client_ping_ns == INT64_MIN || server->now_ns - server->client_ping_ns >= min) {
        server->client_ping_ns = server->now_ns;
        return;
    }
    if (++server->strikes > STRIKES_MAX)
        sg_h2_terminate(server->h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_PINGS);
}

/* We have just sent what the client may measure by: its next ping is fair. */
static void on_progress(void *arg)
{
    struct sg_rpc_server *server = arg;
    server->client_ping_ns = INT64_MIN;
    server->strikes = 0;
}

/* --- opening and closing --- */

/* A tenth more or less, so that connections made together do not end together. No randomness
 * in here: the address and the time differ enough. */
static int64_t spread(int64_t ns, const void *seed, int64_t now_ns)
{
    uint64_t hash = ((uint64_t)(uintptr_t)seed ^ (uint64_t)now_ns) * UINT64_C(0x9E3779B97F4A7C15);
    return ns - ns / 10 + (int64_t)(hash >> 32) % (ns / 5 + 1);
}

enum sg_rc sg_rpc_server_new(const struct sg_rpc_limits *limits,
                             const struct sg_method_table *table,
                             const struct sg_call_handler *handler, void *connection,
                             int64_t now_ns, struct sg_rpc_server **ret, struct sg_err *err)
{
    /* The library's own: stream states and tables of full house, header blocks under way. */
    enum { LIBRARY_FIXED = 1 << 20, LIBRARY_PER_STREAM = 16 << 10, STREAM_WINDOW = 256 << 10 };

    SG_AUTO(sg_rpc_server_free) struct sg_rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not open a connection: out of memory");
    server->limits = *limits;
    /* One message must fit, whatever the limits say. */
    server->held_max = limits->connection_bytes_max > limits->message_bytes_max
                           ? limits->connection_bytes_max
                           : limits->message_bytes_max + SG_FRAME_PREFIX_LEN;
    server->table = table;
    server->handler = handler;
    server->connection = connection;
    server->now_ns = server->idle_since_ns = server->received_ns = now_ns;
    server->client_ping_ns = INT64_MIN;
    server->age_due_ns = server->drain_due_ns = server->grace_due_ns = INT64_MAX;
    server->due_ns = now_ns; /* the first tick finds out */
    if (limits->age_ns_max > 0)
        server->age_due_ns = now_ns + spread(limits->age_ns_max, server, now_ns);
    TAILQ_INIT(&server->calls);
    TAILQ_INIT(&server->spare);
    server->events = (struct sg_h2_events){
        .arg = server,
        .open = on_open,
        .field = on_field,
        .headers = on_headers,
        .data = on_data,
        .writable = on_writable,
        .ended = on_ended,
        .closed = on_closed,
        .ping = on_ping,
        .progress = on_progress,
    };

    /* A window is opened again when half of it has been used up, so twice of what may be held
     * lets a fair peer always go on. */
    size_t window = 2 * server->held_max;
    struct sg_h2_limits h2_limits = {
        .streams_max = limits->streams_max,
        .header_bytes_max = limits->header_bytes_max,
        .connection_window = window,
        .stream_window = window < STREAM_WINDOW ? window : STREAM_WINDOW,
        .send_bytes_max = 2 * limits->send_bytes_max + SG_FRAME_PREFIX_LEN,
        .library_memory_max = LIBRARY_FIXED + limits->streams_max * (size_t)LIBRARY_PER_STREAM,
        .flood = limits->flood,
    };
    SG_TRY(sg_h2_server_new(&h2_limits, &server->events, now_ns, &server->h2, err));
    *ret = SG_STEAL(server);
    return SG_OK;
}

void sg_rpc_server_free(struct sg_rpc_server *server)
{
    if (server == NULL)
        return;
    struct sg_call *call;
    while ((call = TAILQ_FIRST(&server->calls)) != NULL) {
        sg_call_tell_closed(call);
        sg_h2_forget(&call->stream);
        call_free(call);
    }
    sg_h2_free(server->h2);
    sg_rpc_server_spare_free(server);
    free(server);
}

/* --- bytes --- */

enum sg_rc sg_rpc_server_feed(struct sg_rpc_server *server, int64_t now_ns, struct sg_slice bytes,
                              struct sg_err *err)
{
    server->now_ns = now_ns;
    server->received_ns = now_ns;
    if (server->pinged_ns != 0)
        sg_rpc_server_wake_at(server, now_ns + server->limits.ping_interval_ns);
    server->pinged_ns = 0;
    SG_TRY(sg_h2_feed(server->h2, now_ns, bytes, err));
    if (sg_h2_header_began(server->h2) != 0)
        sg_rpc_server_wake_at(server,
                              sg_h2_header_began(server->h2) + server->limits.header_ns_max);
    return SG_OK;
}

/* What was parked is delivered as if it came now; the call may pause again meanwhile. */
static void resume(struct sg_call *call)
{
    struct sg_buf parked = call->parked;
    bool is_end = call->is_end_parked;

    call->server->resuming--;
    call->is_resuming = call->is_paused = call->is_end_parked = false;
    sg_buf_init(&call->parked, 0);
    sg_h2_hold(&call->stream, false);
    if (!call->is_finished)
        take_body(call, sg_buf_slice(&parked), is_end);
    if (call->is_finished)
        drop_held(call);
    sg_buf_done(&parked);
}

static void resume_calls(struct sg_rpc_server *server)
{
    /* Calls are freed by events of the connection only, none of which comes from here. */
    for (struct sg_call *call = TAILQ_FIRST(&server->calls); call != NULL && server->resuming > 0;
         call = TAILQ_NEXT(call, link))
        if (call->is_resuming)
            resume(call);
}

enum sg_rc sg_rpc_server_pull(struct sg_rpc_server *server, size_t max_bytes, struct sg_buf *out,
                              struct sg_err *err)
{
    if (server->resuming > 0)
        resume_calls(server);
    return sg_h2_pull(server->h2, max_bytes, out, err);
}

bool sg_rpc_server_wants_pull(const struct sg_rpc_server *server)
{
    return server->resuming > 0 || sg_h2_wants_pull(server->h2);
}

/* --- the end --- */

void sg_rpc_server_drain_notice(struct sg_rpc_server *server)
{
    sg_h2_goaway(server->h2, true, "");
}

void sg_rpc_server_drain(struct sg_rpc_server *server)
{
    if (server->why == SG_WHY_OPEN)
        server->why = SG_WHY_SHUTDOWN;
    sg_h2_goaway(server->h2, false, "");
    server->drain_due_ns = server->now_ns; /* it does not become idle or old any more */
}

enum sg_why sg_rpc_server_why(const struct sg_rpc_server *server)
{
    enum sg_why why = sg_h2_why(server->h2);
    if (why == SG_WHY_OPEN)
        why = server->why;
    return why == SG_WHY_OPEN && sg_h2_is_peer_leaving(server->h2) ? SG_WHY_CLIENT : why;
}

size_t sg_rpc_server_take_stalled(struct sg_rpc_server *server)
{
    size_t stalled = server->stalled;
    server->stalled = 0;
    return stalled;
}

bool sg_rpc_server_is_done(const struct sg_rpc_server *server)
{
    if (sg_h2_wants_pull(server->h2))
        return false;
    if (sg_h2_is_over(server->h2))
        return true;
    bool takes_none = sg_h2_is_leaving(server->h2) || sg_h2_is_peer_leaving(server->h2);
    return takes_none && server->open == 0;
}

size_t sg_rpc_server_open_calls(const struct sg_rpc_server *server)
{
    return server->open;
}
