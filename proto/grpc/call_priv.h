#ifndef SG_PROTO_GRPC_CALL_PRIV_H
#define SG_PROTO_GRPC_CALL_PRIV_H

#include <sys/queue.h>

#include "base/clock.h"
#include "proto/grpc/call.h"
#include "proto/grpc/frame.h"
#include "proto/grpc/metadata.h"
#include "proto/grpc/server.h"
#include "proto/grpc/web_text.h"
#include "proto/h2/h2.h"

/*
 * The inside of a call, for the files that make it up: server.c (the connection), server_time.c
 * (its timers), request.c (header fields become a call), http.c (what is no call), call.c (what
 * handlers use), and one codec per protocol.
 *
 * A protocol is a codec: how the bodies of its requests become messages, and how messages and a
 * status become a response. Nothing else knows which protocol a call speaks.
 */
enum sg_codec_takes { SG_CODEC_ANY = 0, SG_CODEC_UNARY, SG_CODEC_STREAM };

struct sg_codec {
    enum sg_protocol protocol;
    /* The request headers are complete: reads what they say of the protocol, and the time-out into
     * *ret_timeout_ns (INT64_MAX: none). Not SG_OK ends the call. */
    enum sg_rc (*begin)(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err);
    /* NULL, or takes what the body is wrapped in off its bytes: appends what `data` shall get. */
    enum sg_rc (*unwrap)(struct sg_call *call, struct sg_slice bytes, bool is_end,
                         struct sg_buf *out, struct sg_err *err);
    /* Bytes of the body: calls sg_call_deliver() and sg_call_half_close() as they say. Returns
     * how many bytes it still holds. */
    size_t (*data)(struct sg_call *call, struct sg_slice bytes, bool is_end);
    /* Appends a message to the body. The length is within limits. */
    void (*message)(struct sg_call *call, struct sg_slice message, struct sg_buf *out);
    /* How `status` is told at the end: appends to the body, or writes fields for the trailers
     * (at most SG_CODEC_FIELDS_MAX, living as long as the stream) and returns how many. */
    size_t (*finish)(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                     struct sg_h2_field *fields);
    /* The field that tells a client which codings of messages we take. */
    struct sg_slice accept_field;
    enum sg_codec_takes takes;
    /* How the call ends is told by the head, which therefore leaves with the status. */
    bool head_waits;
    /* finish() has put the handler's trailing metadata where it belongs; there are no trailers. */
    bool has_no_trailers;
};

enum { SG_CODEC_FIELDS_MAX = 3 };

extern const struct sg_codec sg_codec_grpc, sg_codec_web, sg_codec_web_text, sg_codec_connect,
    sg_codec_connect_get, sg_codec_connect_stream, sg_codec_plain;

/* Sets the codec that a content type asks for, whether its messages are JSON, and the content type
 * of the response. False: there is none (415). */
bool sg_codec_choose(struct sg_call *call, struct sg_slice content_type);
/* The content types that are served, for those who asked for another. */
struct sg_slice sg_codec_types(void);

/* codec_connect.c: a body that is one message, as plain HTTP has it too. */
size_t sg_connect_data(struct sg_call *call, struct sg_slice bytes, bool is_end);
/* codec_grpc.c: what gRPC-Web has of gRPC. */
enum sg_rc sg_grpc_begin(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err);
size_t sg_grpc_data(struct sg_call *call, struct sg_slice bytes, bool is_end);
void sg_grpc_message(struct sg_call *call, struct sg_slice message, struct sg_buf *out);
size_t sg_grpc_status_fields(struct sg_call *call, const struct sg_status *status,
                             struct sg_h2_field *fields);

enum sg_http_method { SG_HTTP_OTHER = 0, SG_HTTP_POST, SG_HTTP_GET, SG_HTTP_OPTIONS };

struct sg_call {
    struct sg_h2_stream stream; /* first: the connection hands back a pointer to it */
    TAILQ_ENTRY(sg_call) link;  /* in server->calls, or (next only) in server->spare */
    struct sg_rpc_server *server;
    const struct sg_codec *codec;
    const struct sg_method *method;
    void *user;
    int64_t started_ns, deadline_ns;
    int64_t linger_until_ns; /* INT64_MAX: not lingering */
    int64_t stall_due_ns;    /* unless more than sent_seen has left by then; INT64_MAX: all has */
    uint64_t sent_seen;
    size_t linger_bytes; /* received since it finished */
    struct sg_arena arena;
    struct sg_metadata request, head, tail;
    struct sg_slice content_type; /* of the response; static */
    struct sg_slice http_status;  /* of the response; static */
    struct sg_slice query;        /* of a GET; in the arena */
    struct sg_slice origin;       /* of a page that may call; in the arena */
    enum sg_http_method http_method;
    const struct sg_err *refusal; /* in the arena: the headers are not in order */

    struct sg_h2_field status_fields[SG_CODEC_FIELDS_MAX];

    struct sg_frame_reader reader;
    struct sg_frame only; /* the message of a call that may have one, until half-close */

    struct sg_web_text web_text; /* gRPC-Web's text form */

    struct sg_buf parked; /* what came of the body while it was paused */

    bool is_paused;     /* no messages are delivered */
    bool is_resuming;   /* the pause ends with the next pull or feed */
    bool is_end_parked; /* the end of the body came while it was paused */
    bool has_content_type;
    bool is_json;      /* messages are JSON on the wire */
    bool is_answered;  /* the handler has sent a message: what it adds now are trailers */
    bool has_headers;  /* the block is complete; what follows are trailers */
    bool is_gzip;      /* the request's messages may be compressed */
    bool offer_coding; /* the response says which codings we take */
    bool has_message;  /* the client has sent at least one */
    bool is_begun;     /* the handler has it */
    bool is_half_closed;
    bool is_finished; /* by us */
    bool is_told;     /* the handler has had its closed */
};

struct sg_rpc_server {
    struct sg_h2 *h2;
    struct sg_h2_events events;
    struct sg_rpc_limits limits;
    size_t held_max; /* bytes of half-sent messages, all calls together */
    const struct sg_method_table *table;
    const struct sg_method *last_method; /* that was called, or NULL */
    const struct sg_call_handler *handler;
    void *connection;

    TAILQ_HEAD(sg_call_list, sg_call) calls, spare;
    size_t open, spare_count;
    size_t resuming; /* calls whose pause ends */
    int64_t now_ns;
    int64_t due_ns; /* not after the first of all that follows; made exact by every tick */
    int64_t idle_since_ns;
    int64_t age_due_ns;
    int64_t drain_due_ns; /* second phase of our own drain */
    int64_t grace_due_ns;
    enum sg_why why;        /* it drains, or its time is up */
    size_t stalled;         /* calls reset for it, and not told of */
    int64_t received_ns;    /* last time anything came */
    int64_t pinged_ns;      /* our PING is under way since; 0: none is */
    int64_t client_ping_ns; /* last PING of the client that was in order */
    unsigned strikes;
};

/* request.c: events of the connection about one call. */
void sg_request_field(struct sg_call *call, struct sg_slice name, struct sg_slice value);
void sg_request_headers(struct sg_call *call);

/* call.c: what a codec may not deliver yet, because the call is paused. */
SG_MUST_USE enum sg_rc sg_call_park(struct sg_call *call, struct sg_slice bytes, bool is_end,
                                    struct sg_err *err);
/* call.c: what a request says that its messages may be coded as: gzip or identity. */
SG_MUST_USE enum sg_rc sg_call_set_coding(struct sg_call *call, struct sg_slice coding,
                                          struct sg_err *err);
/* call.c: a codec found a message, perhaps compressed. */
void sg_call_deliver(struct sg_call *call, const struct sg_frame *frame);
/* A codec saw the end of the request, in order. */
void sg_call_half_close(struct sg_call *call);
/* Ends the call with an error that this layer found: its message is fit for the client. */
void sg_call_refuse(struct sg_call *call, const struct sg_err *err);
/* The handler's last event, once. */
void sg_call_tell_closed(struct sg_call *call);
/* Whether its method is known, unary and changes nothing: then Connect has it as a GET too. */
bool sg_call_may_be_get(const struct sg_call *call);
enum { SG_CORS_FIELDS_MAX = 4 };
/* http.c: writes the fields that let a page read the response, where there are pages at all. */
struct sg_h2_field *sg_call_put_cors(struct sg_h2_field *to, const struct sg_call *call);
/* A response of HTTP alone, for what is no call. */
void sg_call_respond_http(struct sg_call *call, const char *status);
/* The answer to a browser that asks whether a page may call. */
void sg_call_respond_preflight(struct sg_call *call);

/* How long a client that has its answer may go on sending its request: curl 7.88 drops the answer
 * when the stream is reset at once. */
#define SG_LINGER_NS SG_NS_PER_S

/* server_time.c: an answer waits; somebody must look whether it is taken. */
void sg_call_mind_stall(struct sg_call *call);
/* server.c: from `at_ns` on the stream of a finished call is reset rather than read. */
void sg_call_linger(struct sg_call *call, int64_t at_ns);
/* Frees the calls that are kept for later ones: an idle connection holds none. */
void sg_rpc_server_spare_free(struct sg_rpc_server *server);

/* Something is to happen at `at_ns`. */
static inline void sg_rpc_server_wake_at(struct sg_rpc_server *server, int64_t at_ns)
{
    if (at_ns < server->due_ns)
        server->due_ns = at_ns;
}

#endif
