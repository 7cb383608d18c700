#ifndef SG_PROTO_GRPC_CALL_H
#define SG_PROTO_GRPC_CALL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "proto/grpc/method.h"
#include "proto/grpc/status.h"

/*
 * One call being served, whatever protocol it came by. What handlers see; they know no HTTP/2.
 *
 * The life of a call: begin, then messages and half_close in order, then closed; the handler
 * sends messages and finishes at any time after begin. `closed` comes exactly once for every
 * call that begin accepted, also after finish, also when the client went away first; the call
 * and its arena are gone when it returns. The handler may finish a call inside any of the
 * callbacks; closed still comes later, never from inside sg_call_*().
 */
struct sg_call;

/* What a call speaks; for metrics, and for what only one of them has. */
enum sg_protocol {
    SG_PROTOCOL_NONE = 0, /* a request that is no call of any; HTTP alone (sg_method_table) */
    SG_PROTOCOL_GRPC,
    SG_PROTOCOL_GRPC_WEB,
    SG_PROTOCOL_CONNECT,
    SG_PROTOCOL_COUNT,
};

/* What the server of a connection does with its calls. All pointers set. */
struct sg_call_handler {
    void *arg;

    /* A method was found and the headers are in order. Not SG_OK: the call ends with the status
     * of `err`, and no further event comes. */
    enum sg_rc (*begin)(void *arg, struct sg_call *call, struct sg_err *err);

    /* A whole message; it dies when this returns. A method that is not client-streaming gets
     * exactly one, and only when half-close has been seen (else UNIMPLEMENTED, as
     * statuscodes.md says for a wrong number of messages). */
    void (*message)(void *arg, struct sg_call *call, struct sg_slice message);

    /* The client will send no more. For a method that is not client-streaming it follows the
     * message at once; not when the handler finished the call in there. */
    void (*half_close)(void *arg, struct sg_call *call);

    /* What was sent has left, and more may be sent. Comes after sg_call_send() said that the
     * call is full. */
    void (*writable)(void *arg, struct sg_call *call);

    /* The call's deadline has passed: it has been finished with DEADLINE_EXCEEDED already;
     * or the client cancelled. Nothing can be sent any more. Last event. */
    void (*closed)(void *arg, struct sg_call *call);

    /* Appends an encoded google.rpc.Status that tells of `err` to `details`: for the failures
     * that the protocol layer finds itself, and for sg_call_fail(). The call may be one that
     * begin never saw, and its method NULL. grpc-message repeats the message of the Status; when
     * nothing is appended, the client gets the advice that belongs to the reason. */
    void (*describe)(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details);
};

/* NULL only in describe, for a path that is no method. */
const struct sg_method *sg_call_method(const struct sg_call *call);
/* Memory for as long as the call lives, capped by the limits. */
struct sg_arena *sg_call_arena(struct sg_call *call);
/* Monotonic nanoseconds; already clamped to the server's longest. A streaming call has none unless
 * the client asked for one: INT64_MAX. */
int64_t sg_call_deadline(const struct sg_call *call);
enum sg_protocol sg_call_protocol(const struct sg_call *call);
/* Monotonic time at which its headers were complete. */
int64_t sg_call_started(const struct sg_call *call);
/* The connection's `arg`, as given to the server: who the peer is. */
void *sg_call_connection(const struct sg_call *call);
/* Whatever the handler keeps with the call; NULL at first. */
void *sg_call_user(const struct sg_call *call);
void sg_call_set_user(struct sg_call *call, void *user);

/* A request header by lower-case name, or the empty slice; the first when repeated. "-bin" values
 * come decoded. Has ":authority", "user-agent" and "grpc-previous-rpc-attempts" too, for the log,
 * but not ":path", ":method", ":scheme", "content-type" and "te". "authorization" is there in begin
 * alone: it is wiped when begin returns. */
struct sg_slice sg_call_metadata(const struct sg_call *call, const char *name);

/* How often the request has the header. */
size_t sg_call_metadata_count(const struct sg_call *call, const char *name);

/* Adds a response header (before the first message) or, later, a trailer. Copied. "-bin" values
 * are encoded here. */
SG_MUST_USE enum sg_rc sg_call_add_metadata(struct sg_call *call, const char *name,
                                            struct sg_slice value, struct sg_err *err);
/* The same for what shall be a trailer although no message has been sent. */
SG_MUST_USE enum sg_rc sg_call_add_trailer(struct sg_call *call, const char *name,
                                           struct sg_slice value, struct sg_err *err);

/*
 * Sends one message; copied. `*ret_full` says that enough is waiting for this client: stop until
 * writable. Sending on although full is bounded by the limits: SG_E_LIMIT.
 */
SG_MUST_USE enum sg_rc sg_call_send(struct sg_call *call, struct sg_slice message, bool *ret_full,
                                    struct sg_err *err);

/*
 * Takes no further message of a streaming call until sg_call_resume(): what the client sends
 * meanwhile waits behind its flow-control window, and so, in the end, does the client. May be
 * called from inside `message`; those that have arrived already wait too.
 *
 * After sg_call_resume() they come from inside the next sg_rpc_server_pull() or feed, never from
 * inside the call of it.
 */
void sg_call_pause(struct sg_call *call);
void sg_call_resume(struct sg_call *call);

/* Ends the call; nothing can be sent after it. A second end is ignored. The message is cut after
 * 1 KiB and details over 6 KiB are left out, since clients drop header blocks over 8 KiB. */
void sg_call_finish(struct sg_call *call, const struct sg_status *status);
/* Ends a call of a plain table's method with this answer. `http_status` ("409") and `content_type`
 * are static; the body is copied. */
void sg_call_answer(struct sg_call *call, const char *http_status, const char *content_type,
                    struct sg_slice body);
/* Ends the call with the status of `err`, details by handler->describe. */
void sg_call_fail(struct sg_call *call, const struct sg_err *err);
/* Whether it has ended, by us or by the client. */
bool sg_call_is_over(const struct sg_call *call);

#endif
