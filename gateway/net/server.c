#include "gateway/net/server.h"

enum sg_rc sg_net_server_open(struct sg_net_server *server, struct sg_slice alpn,
                              const struct sg_rpc_limits *limits,
                              const struct sg_method_table *table,
                              const struct sg_call_handler *handler, void *connection,
                              int64_t now_ns, struct sg_err *err)
{
    if (sg_slice_is(alpn, "http/1.1"))
        return sg_h1_new(limits, table, handler, connection, now_ns, &server->h1, err);
    return sg_rpc_server_new(limits, table, handler, connection, now_ns, &server->h2, err);
}

void sg_net_server_close(struct sg_net_server *server)
{
    sg_rpc_server_free(server->h2);
    sg_h1_free(server->h1);
    *server = (struct sg_net_server){0};
}

enum sg_rc sg_net_server_feed(struct sg_net_server *server, int64_t now_ns, struct sg_slice bytes,
                              struct sg_err *err)
{
    return server->h1 != NULL ? sg_h1_feed(server->h1, now_ns, bytes, err)
                              : sg_rpc_server_feed(server->h2, now_ns, bytes, err);
}

enum sg_rc sg_net_server_pull(struct sg_net_server *server, size_t max_bytes, struct sg_buf *out,
                              struct sg_err *err)
{
    return server->h1 != NULL ? sg_h1_pull(server->h1, max_bytes, out, err)
                              : sg_rpc_server_pull(server->h2, max_bytes, out, err);
}

bool sg_net_server_wants_pull(const struct sg_net_server *server)
{
    return server->h1 != NULL ? sg_h1_wants_pull(server->h1) : sg_rpc_server_wants_pull(server->h2);
}

bool sg_net_server_wants_feed(const struct sg_net_server *server)
{
    return server->h1 == NULL || sg_h1_wants_feed(server->h1);
}

int64_t sg_net_server_due(const struct sg_net_server *server)
{
    return server->h1 != NULL ? sg_h1_due(server->h1) : sg_rpc_server_due(server->h2);
}

enum sg_rc sg_net_server_tick(struct sg_net_server *server, int64_t now_ns, struct sg_err *err)
{
    return server->h1 != NULL ? sg_h1_tick(server->h1, now_ns, err)
                              : sg_rpc_server_tick(server->h2, now_ns, err);
}

void sg_net_server_drain_notice(struct sg_net_server *server)
{
    if (server->h1 != NULL)
        sg_h1_drain(server->h1);
    else
        sg_rpc_server_drain_notice(server->h2);
}

void sg_net_server_drain(struct sg_net_server *server)
{
    if (server->h1 != NULL)
        sg_h1_drain(server->h1);
    else
        sg_rpc_server_drain(server->h2);
}

bool sg_net_server_is_done(const struct sg_net_server *server)
{
    return server->h1 != NULL ? sg_h1_is_done(server->h1) : sg_rpc_server_is_done(server->h2);
}

enum sg_why sg_net_server_why(const struct sg_net_server *server)
{
    return server->h1 != NULL ? sg_h1_why(server->h1) : sg_rpc_server_why(server->h2);
}

size_t sg_net_server_take_stalled(struct sg_net_server *server)
{
    return server->h1 != NULL ? sg_h1_take_stalled(server->h1)
                              : sg_rpc_server_take_stalled(server->h2);
}
