#ifndef SG_GATEWAY_NET_SERVER_H
#define SG_GATEWAY_NET_SERVER_H

#include "proto/grpc/server.h"
#include "proto/h1/h1.h"

/*
 * What serves a connection after its handshake, by what ALPN agreed on: HTTP/2, or HTTP/1.1. The
 * functions are those of proto/grpc/server.h. {0} is not open yet.
 */
struct sg_net_server {
    struct sg_rpc_server *h2;
    struct sg_h1 *h1;
};

static inline bool sg_net_server_is_open(const struct sg_net_server *server)
{
    return server->h2 != NULL || server->h1 != NULL;
}

SG_MUST_USE enum sg_rc sg_net_server_open(struct sg_net_server *server, struct sg_slice alpn,
                                          const struct sg_rpc_limits *limits,
                                          const struct sg_method_table *table,
                                          const struct sg_call_handler *handler, void *connection,
                                          int64_t now_ns, struct sg_err *err);
/* It is as {0} again. */
void sg_net_server_close(struct sg_net_server *server);

SG_MUST_USE enum sg_rc sg_net_server_feed(struct sg_net_server *server, int64_t now_ns,
                                          struct sg_slice bytes, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_net_server_pull(struct sg_net_server *server, size_t max_bytes,
                                          struct sg_buf *out, struct sg_err *err);
/* False: a pull would give nothing. True: it may. */
bool sg_net_server_wants_pull(const struct sg_net_server *server);
/* False: what comes is not to be read, now or later (sg_h1_wants_feed). */
bool sg_net_server_wants_feed(const struct sg_net_server *server);
int64_t sg_net_server_due(const struct sg_net_server *server);
SG_MUST_USE enum sg_rc sg_net_server_tick(struct sg_net_server *server, int64_t now_ns,
                                          struct sg_err *err);
/* The two phases of a drain; HTTP/1.1 has but one. */
void sg_net_server_drain_notice(struct sg_net_server *server);
void sg_net_server_drain(struct sg_net_server *server);
bool sg_net_server_is_done(const struct sg_net_server *server);
/* Why it is not served any longer, and how many calls were reset for stalling since the last time.
 */
enum sg_why sg_net_server_why(const struct sg_net_server *server);
size_t sg_net_server_take_stalled(struct sg_net_server *server);

#endif
