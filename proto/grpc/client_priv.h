#ifndef SG_PROTO_GRPC_CLIENT_PRIV_H
#define SG_PROTO_GRPC_CLIENT_PRIV_H

#include <sys/queue.h>

#include "proto/grpc/client.h"
#include "proto/grpc/frame.h"
#include "proto/h2/h2.h"

/* The inside of client.c (the connection and time) and client_call.c (what becomes of a call). */
struct sg_rpc_client_call {
    struct sg_h2_stream stream; /* first: the connection hands back a pointer to it */
    TAILQ_ENTRY(sg_rpc_client_call) link;
    struct sg_rpc_client *client;
    struct sg_rpc_client_events events;
    int64_t deadline_ns;
    struct sg_frame_reader reader;

    /* As the server says. */
    int http_status;
    enum sg_rpc_content { SG_RPC_FOREIGN = 0, SG_RPC_OTHER_CODEC, SG_RPC_PROTO } content;
    bool has_head;   /* its headers are complete: what follows are trailers */
    bool has_status; /* grpc-status came */
    enum sg_grpc_code code;
    struct sg_buf message, details;

    /* As we find; overrides the server's. Static text. */
    const char *fault;
    enum sg_grpc_code fault_code;
};

struct sg_rpc_client {
    struct sg_h2 *h2;
    struct sg_h2_events events;
    struct sg_rpc_client_limits limits;
    char *authority, *user_agent;
    TAILQ_HEAD(, sg_rpc_client_call) calls;
    size_t open;
    bool has_failed; /* feed or tick did: the connection is over */
    bool pinged_too_often;
    int64_t now_ns;
    int64_t due_ns; /* not after the first thing to be done; made exact by every tick */
    int64_t received_ns;
    int64_t pinged_ns; /* our PING is under way since; 0: none is */
};

/* client_call.c: the stream's events, for sg_h2_events. */
void sg_rpc_client_call_field(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                              struct sg_slice value);
void sg_rpc_client_call_headers(void *arg, struct sg_h2_stream *stream);
void sg_rpc_client_call_data(void *arg, struct sg_h2_stream *stream, struct sg_slice bytes,
                             bool is_end);
void sg_rpc_client_call_writable(void *arg, struct sg_h2_stream *stream);
void sg_rpc_client_call_closed(void *arg, struct sg_h2_stream *stream, uint32_t error);

/* The call's last moment, with this status unless it has one already: forgets the stream, tells,
 * frees. `fault` is static text. */
void sg_rpc_client_call_end(struct sg_rpc_client_call *call, enum sg_grpc_code code,
                            const char *fault);

/* client.c: something is to happen at `at_ns`. */
static inline void sg_rpc_client_wake_at(struct sg_rpc_client *client, int64_t at_ns)
{
    if (at_ns < client->due_ns)
        client->due_ns = at_ns;
}

#endif
