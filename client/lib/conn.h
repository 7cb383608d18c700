#ifndef SG_CLIENT_CONN_H
#define SG_CLIENT_CONN_H

#include "base/cleanup.h"
#include "client/lib/error.h"
#include "client/lib/targets.h"
#include "proto/grpc/client.h"

/*
 * One connection: a socket, TLS on it, HTTP/2 in that. It tries the addresses of a name in turn,
 * and is ready once the server has said its first HTTP/2 word: what TLS 1.3 tells only after the
 * handshake (that our certificate is refused) is known before a call is sent, so that such a call
 * was certainly not done.
 */
struct sg_conn;
struct sg_tls_ctx;

/* How connections of one client are made. */
struct sg_conn_config {
    struct sg_tls_ctx *tls;
    char *user_agent;
    struct sg_rpc_client_limits limits;
};

/* Begins to connect, and gives up after `connect_ns`. Blocks only to resolve a name. `config` and
 * `target` outlive it; `epoll_fd` watches its socket from now on. */
enum sealgate_code sg_conn_new(const struct sg_conn_config *config, const struct sg_target *target,
                               int64_t connect_ns, int epoll_fd, int64_t now_ns,
                               struct sg_conn **ret, struct sealgate_error *error);
/* Its calls end first: with the error that the connection ended by, if it did. */
void sg_conn_free(struct sg_conn *conn);
SG_DEFINE_AUTO(struct sg_conn, sg_conn_free);

/* Takes and gives all the socket can now, and keeps the times. Not SEALGATE_OK: the connection is
 * over; free it. */
enum sealgate_code sg_conn_step(struct sg_conn *conn, int64_t now_ns, struct sealgate_error *error);

/* Calls can be started on it. */
bool sg_conn_is_ready(const struct sg_conn *conn);
/* It was ready once and takes no new calls any more. */
bool sg_conn_is_draining(const struct sg_conn *conn);
size_t sg_conn_open_calls(const struct sg_conn *conn);
struct sg_rpc_client *sg_conn_rpc(struct sg_conn *conn);
/* The server went away because of our keepalive pings. */
bool sg_conn_pinged_too_often(const struct sg_conn *conn);
/* What ended it, while its calls are told; NULL: nothing did. */
const struct sealgate_error *sg_conn_failure(const struct sg_conn *conn);
/* The next monotonic time for a step without an event; INT64_MAX: never. */
int64_t sg_conn_due(const struct sg_conn *conn);
/* Descriptor and POLL* bits to wait for. */
int sg_conn_fd(const struct sg_conn *conn, short *ret_events);

#endif
