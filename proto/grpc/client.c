#include "proto/grpc/client.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/grpc/client_priv.h"

const struct sg_rpc_client_limits sg_rpc_client_limits_default = {
    .message_bytes_max = 4 << 20,
    .header_bytes_max = 16 << 10,
    .send_bytes_max = 4 << 20,
    .ping_interval_ns = 300 * SG_NS_PER_S,
    .ping_timeout_ns = 20 * SG_NS_PER_S,
};

static void on_ended(void *arg, struct sg_h2_stream *stream)
{
    (void)arg, (void)stream;
}

static void on_goaway(void *arg, uint32_t error, struct sg_slice debug)
{
    struct sg_rpc_client *client = arg;
    client->pinged_too_often |=
        error == SG_H2_ENHANCE_YOUR_CALM && sg_slice_is(debug, "too_many_pings");
}

/* --- opening and closing --- */

enum sg_rc sg_rpc_client_new(const struct sg_rpc_client_limits *limits, const char *authority,
                             const char *user_agent, int64_t now_ns, struct sg_rpc_client **ret,
                             struct sg_err *err)
{
    enum { WINDOW = 4 << 20, STREAM_WINDOW = 1 << 20, LIBRARY_MAX = 8 << 20 };

    SG_AUTO(sg_rpc_client_free) struct sg_rpc_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not open a connection: out of memory");
    TAILQ_INIT(&client->calls);
    client->limits = *limits;
    client->now_ns = client->received_ns = now_ns;
    client->due_ns = INT64_MAX;
    client->authority = strdup(authority);
    client->user_agent = strdup(user_agent);
    if (client->authority == NULL || client->user_agent == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not open a connection: out of memory");

    client->events = (struct sg_h2_events){
        .arg = client,
        .field = sg_rpc_client_call_field,
        .headers = sg_rpc_client_call_headers,
        .data = sg_rpc_client_call_data,
        .writable = sg_rpc_client_call_writable,
        .ended = on_ended,
        .closed = sg_rpc_client_call_closed,
        .goaway = on_goaway,
    };
    struct sg_h2_limits h2_limits = {
        .header_bytes_max = limits->header_bytes_max,
        .connection_window = WINDOW,
        .stream_window = STREAM_WINDOW,
        .send_bytes_max = 2 * limits->send_bytes_max + SG_FRAME_PREFIX_LEN,
        .library_memory_max = LIBRARY_MAX,
        .flood = SG_H2_FLOOD_DEFAULT,
    };
    /* What was under way to calls that we gave up: as much as the server may have sent. */
    h2_limits.flood.empty_bytes.burst = 2 * WINDOW;
    SG_TRY(sg_h2_client_new(&h2_limits, &client->events, now_ns, &client->h2, err));
    *ret = SG_STEAL(client);
    return SG_OK;
}

void sg_rpc_client_free(struct sg_rpc_client *client)
{
    if (client == NULL)
        return;
    struct sg_rpc_client_call *call;
    client->has_failed = true;
    while ((call = TAILQ_FIRST(&client->calls)) != NULL)
        sg_rpc_client_call_end(call, SG_GRPC_UNAVAILABLE, "the connection was closed");
    sg_h2_free(client->h2);
    free(client->authority);
    free(client->user_agent);
    free(client);
}

/* --- bytes and time --- */

enum sg_rc sg_rpc_client_feed(struct sg_rpc_client *client, int64_t now_ns, struct sg_slice bytes,
                              struct sg_err *err)
{
    client->now_ns = now_ns;
    client->received_ns = now_ns;
    if (client->pinged_ns != 0)
        sg_rpc_client_wake_at(client, now_ns + client->limits.ping_interval_ns);
    client->pinged_ns = 0;
    enum sg_rc rc = sg_h2_feed(client->h2, now_ns, bytes, err);
    client->has_failed |= rc != SG_OK;
    return rc;
}

enum sg_rc sg_rpc_client_pull(struct sg_rpc_client *client, size_t max_bytes, struct sg_buf *out,
                              struct sg_err *err)
{
    return sg_h2_pull(client->h2, max_bytes, out, err);
}

bool sg_rpc_client_wants_pull(const struct sg_rpc_client *client)
{
    return sg_h2_wants_pull(client->h2);
}

int64_t sg_rpc_client_due(const struct sg_rpc_client *client)
{
    return client->due_ns;
}

/* Silence while calls are open: is the server still there? */
static enum sg_rc tick_ping(struct sg_rpc_client *client, struct sg_err *err)
{
    const struct sg_rpc_client_limits *limits = &client->limits;
    if (limits->ping_interval_ns == 0 || client->open == 0)
        return SG_OK;
    if (client->pinged_ns == 0) {
        int64_t at_ns = client->received_ns + limits->ping_interval_ns;
        if (client->now_ns < at_ns) {
            sg_rpc_client_wake_at(client, at_ns);
            return SG_OK;
        }
        sg_h2_ping(client->h2);
        client->pinged_ns = client->now_ns;
    }
    if (client->now_ns >= client->pinged_ns + limits->ping_timeout_ns) {
        client->has_failed = true;
        return SG_FAIL(err, SG_E_TIMEOUT, 0, "closed the connection: no answer to a ping");
    }
    sg_rpc_client_wake_at(client, client->pinged_ns + limits->ping_timeout_ns);
    return SG_OK;
}

enum sg_rc sg_rpc_client_tick(struct sg_rpc_client *client, int64_t now_ns, struct sg_err *err)
{
    client->now_ns = now_ns;
    if (now_ns < client->due_ns)
        return SG_OK;
    client->due_ns = INT64_MAX;

    /* `done` may start and cancel other calls, so the list is begun again after each. */
    struct sg_rpc_client_call *call = TAILQ_FIRST(&client->calls);
    while (call != NULL) {
        if (call->deadline_ns > now_ns) {
            sg_rpc_client_wake_at(client, call->deadline_ns);
            call = TAILQ_NEXT(call, link);
            continue;
        }
        sg_rpc_client_call_end(call, SG_GRPC_DEADLINE_EXCEEDED, "the deadline has passed");
        call = TAILQ_FIRST(&client->calls);
    }
    return tick_ping(client, err);
}

bool sg_rpc_client_is_over(const struct sg_rpc_client *client)
{
    return sg_h2_is_over(client->h2);
}

bool sg_rpc_client_is_usable(const struct sg_rpc_client *client)
{
    return !client->has_failed && !sg_h2_is_over(client->h2) && !sg_h2_is_peer_leaving(client->h2);
}

int64_t sg_rpc_client_heard_ns(const struct sg_rpc_client *client)
{
    return client->received_ns;
}

bool sg_rpc_client_has_room(const struct sg_rpc_client *client)
{
    return sg_h2_has_room(client->h2);
}

bool sg_rpc_client_pinged_too_often(const struct sg_rpc_client *client)
{
    return client->pinged_too_often;
}

size_t sg_rpc_client_open_calls(const struct sg_rpc_client *client)
{
    return client->open;
}
