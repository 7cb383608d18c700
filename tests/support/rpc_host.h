#ifndef SG_TESTS_SUPPORT_RPC_HOST_H
#define SG_TESTS_SUPPORT_RPC_HOST_H

#include "base/loop.h"
#include "proto/grpc/server.h"

/*
 * A server for foreign clients: real sockets around the gateway's own TLS, HTTP and protocols, and
 * nothing of the gateway behind them. What it serves is up to the table and the handler, so a judge
 * can have the service that it wants to judge by.
 *
 * It listens on 127.0.0.1 at a port of the kernel's choice. Every failure of its own aborts.
 */
struct rpc_host;

/* How a connection begins. The gateway has TLS only; in clear text serve those judges that know no
 * other, and the first bytes must then be what is said here. */
enum rpc_host_wire { RPC_HOST_TLS = 0, RPC_HOST_CLEAR_HTTP1, RPC_HOST_CLEAR_HTTP2 };

struct rpc_host_options {
    enum rpc_host_wire wire;
    const char *cert_file, *key_file; /* PEM; with TLS */
    struct sg_rpc_limits limits;
    const struct sg_method_table *table;
    const struct sg_call_handler *handler;
};

/* What is pointed to outlives the host. */
struct rpc_host *rpc_host_new(const struct rpc_host_options *options);
/* Every call still open gets its `closed`. */
void rpc_host_free(struct rpc_host *host);
uint16_t rpc_host_port(const struct rpc_host *host);
/* Serves until SIGTERM or SIGINT. */
void rpc_host_run(struct rpc_host *host);

/* For handlers that answer later: timers are this loop's, and what one of them sends leaves after
 * rpc_host_flush(). */
struct sg_loop *rpc_host_loop(struct rpc_host *host);
void rpc_host_flush(struct rpc_host *host);

#endif
