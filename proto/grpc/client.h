#ifndef SG_PROTO_GRPC_CLIENT_H
#define SG_PROTO_GRPC_CLIENT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "proto/grpc/status.h"

/*
 * The calling end of one HTTP/2 connection, without I/O: the mirror of sg_rpc_server. libsealgate
 * puts sockets and TLS around it.
 *
 * Thread: one at a time; its owner's.
 */
struct sg_rpc_client;
struct sg_rpc_client_call; /* valid until its `done` returns */

struct sg_rpc_client_limits {
    size_t message_bytes_max; /* one response message */
    size_t header_bytes_max;
    size_t send_bytes_max;    /* waiting to be sent, one call */
    int64_t ping_interval_ns; /* keepalive while calls are open; 0: none */
    int64_t ping_timeout_ns;
};

extern const struct sg_rpc_client_limits sg_rpc_client_limits_default;

/* How a call ended, as far as sending it again is concerned. */
enum sg_rpc_outcome {
    SG_RPC_ANSWERED = 0, /* the server spoke: do as the status says */
    SG_RPC_UNPROCESSED,  /* certainly never reached a handler (REFUSED_STREAM, beyond GOAWAY) */
    SG_RPC_UNKNOWN,      /* the connection or the time ran out first: it may have been done */
};

struct sg_rpc_client_events {
    void *arg; /* of the call, from sg_rpc_client_start() */
    /* A whole message; dies when this returns. */
    void (*message)(void *arg, struct sg_rpc_client_call *call, struct sg_slice message);
    /* What was sent has left; may be NULL. */
    void (*writable)(void *arg, struct sg_rpc_client_call *call);
    /* The last event, exactly once. The status' slices die when this returns. */
    void (*done)(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                 enum sg_rpc_outcome outcome);
};

struct sg_rpc_metadata {
    const char *name; /* lower case; "-bin" values are encoded here */
    struct sg_slice value;
};

/* `authority` is the :authority of every call. */
SG_MUST_USE enum sg_rc sg_rpc_client_new(const struct sg_rpc_client_limits *limits,
                                         const char *authority, const char *user_agent,
                                         int64_t now_ns, struct sg_rpc_client **ret,
                                         struct sg_err *err);
/* Every open call gets its done: UNAVAILABLE, SG_RPC_UNKNOWN. */
void sg_rpc_client_free(struct sg_rpc_client *client);
SG_DEFINE_AUTO(struct sg_rpc_client, sg_rpc_client_free);

/*
 * Begins a call of `path`. deadline_ns 0: none; it is sent as grpc-timeout and kept here too.
 * Errors: SG_E_UNAVAILABLE the connection is going away, make another; SG_E_LIMIT the server
 * allows no more streams now.
 */
SG_MUST_USE enum sg_rc sg_rpc_client_start(struct sg_rpc_client *client, const char *path,
                                           int64_t now_ns, int64_t deadline_ns,
                                           const struct sg_rpc_metadata *metadata,
                                           size_t metadata_count,
                                           const struct sg_rpc_client_events *events,
                                           struct sg_rpc_client_call **ret, struct sg_err *err);
/* Sends one message, copied; `is_last` half-closes. Errors: SG_E_LIMIT too much is waiting. */
SG_MUST_USE enum sg_rc sg_rpc_client_send(struct sg_rpc_client_call *call, struct sg_slice message,
                                          bool is_last, struct sg_err *err);
void sg_rpc_client_half_close(struct sg_rpc_client_call *call);
/* RST_STREAM(CANCEL); done comes with CANCELLED, later. */
void sg_rpc_client_cancel(struct sg_rpc_client_call *call);

/* As for the server. When feed fails the connection is over: free it. */
SG_MUST_USE enum sg_rc sg_rpc_client_feed(struct sg_rpc_client *client, int64_t now_ns,
                                          struct sg_slice bytes, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_rpc_client_pull(struct sg_rpc_client *client, size_t max_bytes,
                                          struct sg_buf *out, struct sg_err *err);
bool sg_rpc_client_wants_pull(const struct sg_rpc_client *client);
int64_t sg_rpc_client_due(const struct sg_rpc_client *client);
SG_MUST_USE enum sg_rc sg_rpc_client_tick(struct sg_rpc_client *client, int64_t now_ns,
                                          struct sg_err *err);
/* The server has broken HTTP/2, and what was pulled tells it so: write that, and free this. Nothing
 * will come any more, and no call ends by itself. */
bool sg_rpc_client_is_over(const struct sg_rpc_client *client);
/* Whether new calls can be started at all (no GOAWAY yet). */
bool sg_rpc_client_is_usable(const struct sg_rpc_client *client);
/* When anything came from the server last, or its first open call began, if that was later. */
int64_t sg_rpc_client_heard_ns(const struct sg_rpc_client *client);
/* Whether the server allows one more call now, as far as is known. */
bool sg_rpc_client_has_room(const struct sg_rpc_client *client);
/* The server went away because our pings came too often (gRFC A8): ping the next connection to it
 * half as often. */
bool sg_rpc_client_pinged_too_often(const struct sg_rpc_client *client);
size_t sg_rpc_client_open_calls(const struct sg_rpc_client *client);

#endif
