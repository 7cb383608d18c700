#ifndef SG_GATEWAY_RPC_RPC_H
#define SG_GATEWAY_RPC_RPC_H

#include "authz/authz.h"
#include "base/loop.h"
#include "gateway/config/config.h"
#include "gateway/metrics/metrics.h"
#include "gateway/net/listener.h"
#include "gateway/service/crypto.h"
#include "gateway/service/keys.h"
#include "gateway/service/signing.h"
#include "hsm/hsm.h"
#include "proto/grpc/call.h"
#include "proto/tls/peer.h"

/*
 * From calls to use-cases: which handler serves which method, who may call it, and how an error
 * becomes a google.rpc.Status. The only folder of the gateway that knows protobuf.
 *
 * Thread: loop.
 */
struct sg_rpc;

/* What the handlers work with; all of it outlives the sg_rpc. */
struct sg_rpc_deps {
    struct sg_loop *loop;
    const struct sg_clock *clock;
    const struct sg_config *config;
    const struct sg_authz *authz; /* until sg_rpc_set_authz() */
    struct sg_hsm *hsm;
    struct sg_keys *keys;
    struct sg_crypto *crypto;
    struct sg_signings *signings;
    struct sg_audit *audit;     /* NULL: nothing is recorded, for tests and benchmarks */
    struct sg_metrics *metrics; /* NULL: counted nowhere */

    /* Told of every call that ends with an error, and every item of one, for the log. */
    void (*on_error)(void *arg, const char *request_id, const char *method,
                     const struct sg_err *err);
    void *on_error_arg;
};

/* Who is at the other end; sg_call_connection() of every call. Kept by gateway/net. */
struct sg_rpc_connection {
    uint64_t id;
    enum sg_listener listener;
    const char *from;                  /* address, without a port; "" where it is not known */
    const struct sg_tls_peer *peer;    /* not present: nobody; by sg_rpc_connection_set_peer() */
    struct sg_authz_identity identity; /* the peer's */
    uint64_t calls;                    /* begun so far; id and this make a request id */
    struct sg_sign_tally *tally;       /* made for its first signature; NULL before */
    /* Something is to be pulled from the connection's server: call sg_rpc_server_pull() soon. */
    void (*wants_write)(void *arg);
    void *wants_write_arg;
};

/* Before its first call. `peer` lives as long as the connection. */
void sg_rpc_connection_set_peer(struct sg_rpc_connection *connection,
                                const struct sg_tls_peer *peer);

SG_MUST_USE enum sg_rc sg_rpc_new(const struct sg_rpc_deps *deps, struct sg_tls_trust *trust,
                                  struct sg_rpc **ret, struct sg_err *err);
/* No call may be open and no signature under way. */
void sg_rpc_free(struct sg_rpc *rpc);
SG_DEFINE_AUTO(struct sg_rpc, sg_rpc_free);

/* What the servers of all connections hand their calls to. */
const struct sg_call_handler *sg_rpc_handler(struct sg_rpc *rpc);

/* The client CAs and CRLs that count from now on; a reference is taken. */
void sg_rpc_set_trust(struct sg_rpc *rpc, struct sg_tls_trust *trust);

/* The callers that count from now on; it outlives the sg_rpc, or is replaced before.
 * Errors: SG_E_LIMIT: no memory; those from before still count. */
SG_MUST_USE enum sg_rc sg_rpc_set_authz(struct sg_rpc *rpc, const struct sg_authz *authz,
                                        struct sg_err *err);

/* Health says NOT_SERVING from now on, to watchers too, and their calls end. */
void sg_rpc_drain(struct sg_rpc *rpc);
/* Tokens, keys or the audit log may have changed: health watchers are told what is news to them. */
void sg_rpc_health_changed(struct sg_rpc *rpc);

#endif
