#ifndef SG_GATEWAY_NET_NET_H
#define SG_GATEWAY_NET_NET_H

#include "base/cleanup.h"
#include "base/loop.h"
#include "gateway/rpc/rpc.h"
#include "gateway/service/crypto.h"
#include "proto/grpc/server.h"
#include "proto/tls/tls.h"

/*
 * A listener of the services and its connections: socket, TLS, HTTP/2, calls. One of the few
 * places that log. There may be several, by who they are for; each has its own limits, so that a
 * crowd at one door leaves the other open. Thread: loop.
 */
struct sg_net;

struct sg_net_options {
    enum sg_listener listener; /* for logs and metrics, and how its callers are known */
    const char *proxy_from; /* networks, by spaces; NULL or "": nobody says whose a connection is */
    size_t connections_max, connections_per_source_max;
    size_t handshakes_max;    /* steps of handshakes under way on the crypto threads */
    int64_t handshake_ns_max; /* that the client may take; what we take does not count */
    int64_t write_stall_ns_max;
    struct sg_rpc_limits rpc;
};

/* Counted since start. */
struct sg_net_totals {
    uint64_t accepted;
    uint64_t ended[SG_WHY_COUNT]; /* by why; those that were closed at once too */
    uint64_t calls_stalled;       /* reset because their client took nothing of their answers */
};

/* Calls of `methods` go to `handler`; what sg_call_connection() gives it is a struct
 * sg_rpc_connection. */
SG_MUST_USE enum sg_rc sg_net_new(struct sg_loop *loop, const struct sg_net_options *options,
                                  const struct sg_method_table *methods,
                                  const struct sg_call_handler *handler, struct sg_crypto *crypto,
                                  struct sg_net **ret, struct sg_err *err);
/* Closes every connection; their calls get their end. */
void sg_net_free(struct sg_net *net);
SG_DEFINE_AUTO(struct sg_net, sg_net_free);

/* For new connections from now on; owned connections keep theirs. */
void sg_net_set_tls(struct sg_net *net, struct sg_tls_ctx *tls);

/* Begins to accept on the listening socket, which belongs to `net` from here on, on failure too. A
 * TLS context must have been set. */
SG_MUST_USE enum sg_rc sg_net_start(struct sg_net *net, int listener, struct sg_err *err);

/* First phase of the end: no new connections; clients are told to use others from now on. */
void sg_net_drain_notice(struct sg_net *net);
/* Second phase: no new calls; a connection closes with its last call. */
void sg_net_drain(struct sg_net *net);

size_t sg_net_connections(const struct sg_net *net);
struct sg_net_totals sg_net_totals(const struct sg_net *net);

#endif
