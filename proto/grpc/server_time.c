#include "base/clock.h"
#include "proto/grpc/call_priv.h"

/* Everything that a server does because time has passed: deadlines, keepalive, idleness, age. */

/* Between the two GOAWAYs: longer than any round trip. */
#define DRAIN_NS (2 * SG_NS_PER_S)

int64_t sg_rpc_server_due(const struct sg_rpc_server *server)
{
    return server->due_ns;
}

/* The handler hears of it at once; the client as soon as it reads. */
static void call_expired(struct sg_call *call)
{
    struct sg_err err;
    if (!call->is_finished) {
        SG_IGNORE(SG_REFUSE(&err, SG_R_DEADLINE, "the deadline has passed"));
        sg_call_refuse(call, &err);
    }
    sg_call_tell_closed(call);
    call->deadline_ns = INT64_MAX;
    /* What the client does not take now it will not want later. */
    sg_call_linger(call, call->server->now_ns + SG_LINGER_NS);
}

/*
 * An answer that waits is memory that its client holds, for as long as it likes by giving no
 * window (which costs it 13 bytes); so one of which nothing is taken for long is given up.
 */
void sg_call_mind_stall(struct sg_call *call)
{
    struct sg_rpc_server *server = call->server;
    if (sg_h2_waiting(&call->stream) == 0 || call->stall_due_ns != INT64_MAX)
        return;
    call->sent_seen = call->stream.sent_bytes;
    call->stall_due_ns = server->now_ns + server->limits.stall_ns_max;
    sg_rpc_server_wake_at(server, call->stall_due_ns);
}

static void tick_stall(struct sg_call *call)
{
    struct sg_rpc_server *server = call->server;

    if (server->now_ns < call->stall_due_ns) {
        sg_rpc_server_wake_at(server, call->stall_due_ns);
        return;
    }
    call->stall_due_ns = INT64_MAX;
    if (sg_h2_waiting(&call->stream) == 0 || call->stream.sent_bytes != call->sent_seen) {
        sg_call_mind_stall(call);
        return;
    }
    server->stalled++;
    sg_h2_reset(&call->stream, SG_H2_CANCEL);
}

static void tick_calls(struct sg_rpc_server *server)
{
    /* Nothing in here frees a call: that is for the connection's events. */
    struct sg_call *call;
    TAILQ_FOREACH(call, &server->calls, link)
    {
        if (call->deadline_ns <= server->now_ns)
            call_expired(call);
        if (call->linger_until_ns <= server->now_ns) {
            sg_h2_reset(&call->stream, call->stream.is_local_ended ? SG_H2_NO_ERROR : SG_H2_CANCEL);
            call->linger_until_ns = INT64_MAX;
        }
        tick_stall(call);
        sg_rpc_server_wake_at(server, call->deadline_ns);
        sg_rpc_server_wake_at(server, call->linger_until_ns);
    }
}

/* gRFC A9: our ping when nothing has come for long; without an answer the peer is gone. */
static enum sg_rc tick_ping(struct sg_rpc_server *server, struct sg_err *err)
{
    const struct sg_rpc_limits *limits = &server->limits;
    if (limits->ping_interval_ns == 0)
        return SG_OK;
    if (server->pinged_ns == 0) {
        int64_t at_ns = server->received_ns + limits->ping_interval_ns;
        if (server->now_ns < at_ns) {
            sg_rpc_server_wake_at(server, at_ns);
            return SG_OK;
        }
        sg_h2_ping(server->h2);
        server->pinged_ns = server->now_ns;
    }
    if (server->now_ns >= server->pinged_ns + limits->ping_timeout_ns) {
        server->why = SG_WHY_SILENT;
        return SG_FAIL(err, SG_E_TIMEOUT, 0, "closed the connection: no answer to a ping");
    }
    sg_rpc_server_wake_at(server, server->pinged_ns + limits->ping_timeout_ns);
    return SG_OK;
}

static void begin_drain(struct sg_rpc_server *server, enum sg_why why)
{
    sg_h2_goaway(server->h2, true, "");
    if (server->drain_due_ns == INT64_MAX) {
        server->drain_due_ns = server->now_ns + DRAIN_NS;
        server->why = why;
    }
}

/* As gRFC A9's servers say it. */
static const char *drain_debug(enum sg_why why)
{
    return why == SG_WHY_IDLE ? "max_idle" : why == SG_WHY_AGE ? "max_age" : "";
}

static enum sg_rc tick_age(struct sg_rpc_server *server, struct sg_err *err)
{
    const struct sg_rpc_limits *limits = &server->limits;
    int64_t idle_due_ns = INT64_MAX;
    if (limits->idle_ns_max > 0 && server->open == 0 && server->drain_due_ns == INT64_MAX)
        idle_due_ns = server->idle_since_ns + limits->idle_ns_max;

    if (idle_due_ns <= server->now_ns) {
        begin_drain(server, SG_WHY_IDLE);
        idle_due_ns = INT64_MAX;
    }
    if (server->age_due_ns <= server->now_ns) {
        begin_drain(server, SG_WHY_AGE);
        server->grace_due_ns = server->now_ns + limits->age_grace_ns;
        server->age_due_ns = INT64_MAX;
    }
    if (server->drain_due_ns <= server->now_ns)
        sg_h2_goaway(server->h2, false, drain_debug(server->why));
    else
        sg_rpc_server_wake_at(server, server->drain_due_ns);
    if (server->grace_due_ns <= server->now_ns) {
        server->why = SG_WHY_AGE;
        return SG_FAIL(err, SG_E_TIMEOUT, 0, "closed the connection: too old");
    }

    sg_rpc_server_wake_at(server, idle_due_ns);
    sg_rpc_server_wake_at(server, server->age_due_ns);
    sg_rpc_server_wake_at(server, server->grace_due_ns);
    return SG_OK;
}

enum sg_rc sg_rpc_server_tick(struct sg_rpc_server *server, int64_t now_ns, struct sg_err *err)
{
    server->now_ns = now_ns;
    if (now_ns < server->due_ns)
        return SG_OK;
    server->due_ns = INT64_MAX;

    int64_t began_ns = sg_h2_header_began(server->h2);
    if (began_ns != 0) {
        if (began_ns + server->limits.header_ns_max <= now_ns) {
            sg_h2_terminate(server->h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_SLOW_HEADERS);
            return SG_FAIL(err, SG_E_TIMEOUT, 0, "closed the connection: headers took too long");
        }
        sg_rpc_server_wake_at(server, began_ns + server->limits.header_ns_max);
    }
    if (server->open == 0)
        sg_rpc_server_spare_free(server);
    tick_calls(server);
    SG_TRY(tick_ping(server, err));
    return tick_age(server, err);
}
