#ifndef SG_PROTO_GRPC_SERVER_H
#define SG_PROTO_GRPC_SERVER_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/grpc/call.h"
#include "proto/grpc/cors.h"
#include "proto/h2/limits.h"
#include "proto/h2/why.h"

/*
 * The serving end of one HTTP/2 connection, without I/O: bytes from TLS in, calls out to the
 * handler, bytes for TLS out. It has no clock: every call that needs time is told it.
 *
 * Thread: one at a time; its owner's loop.
 */
struct sg_rpc_server;

struct sg_rpc_limits {
    size_t message_bytes_max;    /* one request message; also after inflating */
    size_t call_bytes_max;       /* arena of one call */
    size_t send_bytes_max;       /* waiting to be sent, one call */
    size_t header_bytes_max;     /* one header block: names + values + 32 each */
    uint32_t streams_max;        /* concurrent calls of a connection */
    size_t connection_bytes_max; /* half-received messages of a connection; beyond, the largest is
                                    shed (QUEUE_FULL). Never less than one message. */
    int64_t deadline_ns_max;     /* longest deadline a caller may ask for; also the default */
    int64_t header_ns_max;       /* from the first byte of a header block to its last */
    int64_t idle_ns_max;         /* without calls; 0: no bound */
    int64_t age_ns_max;          /* of a connection; 0: no bound */
    int64_t age_grace_ns;        /* for its calls after that */
    int64_t ping_interval_ns;    /* our keepalive; 0: none */
    int64_t ping_timeout_ns;
    int64_t client_ping_ns_min; /* gRFC A8/A9: pings more often than this are strikes */
    bool allow_ping_without_calls;
    int64_t stall_ns_max; /* that a call's answer may wait without its client taking any of it */
    struct sg_h2_flood flood;
    bool connect_version_required; /* Connect's requests must say which version they are */
    struct sg_cors cors;           /* off by default; its strings outlive the server */
};

/* The ordinary limits: 1 MiB messages, 128 streams, ... */
extern const struct sg_rpc_limits sg_rpc_limits_default;

/* `table` and `handler` outlive the server; `connection` is what sg_call_connection() gives. */
SG_MUST_USE enum sg_rc sg_rpc_server_new(const struct sg_rpc_limits *limits,
                                         const struct sg_method_table *table,
                                         const struct sg_call_handler *handler, void *connection,
                                         int64_t now_ns, struct sg_rpc_server **ret,
                                         struct sg_err *err);
/* Every call still open gets its `closed`. */
void sg_rpc_server_free(struct sg_rpc_server *server);
SG_DEFINE_AUTO(struct sg_rpc_server, sg_rpc_server_free);

/*
 * Takes what the peer sent. Any other result than SG_OK: pull once more (there may be a GOAWAY),
 * write that, and close.
 */
SG_MUST_USE enum sg_rc sg_rpc_server_feed(struct sg_rpc_server *server, int64_t now_ns,
                                          struct sg_slice bytes, struct sg_err *err);

/* Appends up to about `max_bytes` of what is to be sent; nothing appended: nothing to send. */
SG_MUST_USE enum sg_rc sg_rpc_server_pull(struct sg_rpc_server *server, size_t max_bytes,
                                          struct sg_buf *out, struct sg_err *err);

/* Whether pull would append something. */
bool sg_rpc_server_wants_pull(const struct sg_rpc_server *server);

/* The next monotonic time at which tick must be called; INT64_MAX: never. */
int64_t sg_rpc_server_due(const struct sg_rpc_server *server);
/* Deadlines, header and idle time-outs, keepalive. Result as for feed. */
SG_MUST_USE enum sg_rc sg_rpc_server_tick(struct sg_rpc_server *server, int64_t now_ns,
                                          struct sg_err *err);

/* First phase of a drain: GOAWAY with the highest stream id; calls are still taken. */
void sg_rpc_server_drain_notice(struct sg_rpc_server *server);
/* Second phase: GOAWAY with the last stream taken; new streams are refused (REFUSED_STREAM). */
void sg_rpc_server_drain(struct sg_rpc_server *server);
/* Why it is not served any longer; SG_WHY_OPEN while it is. */
enum sg_why sg_rpc_server_why(const struct sg_rpc_server *server);
/* How many calls were reset since the last time for stall_ns_max. */
size_t sg_rpc_server_take_stalled(struct sg_rpc_server *server);
/* Nothing open, nothing to send, and no more calls will be taken: close the connection. */
bool sg_rpc_server_is_done(const struct sg_rpc_server *server);
size_t sg_rpc_server_open_calls(const struct sg_rpc_server *server);

#endif
