#ifndef SG_CLIENT_PRIV_H
#define SG_CLIENT_PRIV_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/secret.h"
#include "client/include/sealgate_tokens.h"
#include "client/lib/box.h"
#include "client/lib/conn.h"
#include "client/lib/error.h"
#include "client/lib/receipt.h"
#include "proto/grpc/client.h"

/*
 * What the files of the library share: the client, its calls, and the row that says how one kind
 * of call is made. client.c moves calls over connections and knows no method; the files of methods
 * (sign.c, keys.c ...) write requests and read answers and know no connection.
 */

/* Requests of one call that may wait to be sent; a full batch fits. */
enum { SG_CLIENT_SEND_BYTES_MAX = 5 << 20 };
/* Connections that may finish their calls while a newer one takes the new calls. */
enum { SG_CLIENT_DRAINING_MAX = 4 };
/* Connections in a row that ended without answering anything, before waiting calls fail; of a
 * client that is not patient. */
enum { SG_CLIENT_FRUITLESS_MAX = 3 };
/* How often such a client sends a call again that was certainly not done, and any client one that
 * the server tells from a new one by its request_id. */
enum { SG_CLIENT_RETRIES_MAX = 1, SG_CLIENT_REPEATS_MAX = 10 };

/* One kind of call. */
struct sg_client_method {
    const char *path;
    const ProtobufCMessageDescriptor *output;
    size_t body_len; /* of the public struct an answer becomes */
    /* Fills the cleared `body` from an answer; memory from its arena. Not SEALGATE_OK: the answer
     * is not to be trusted, `error` says why. */
    enum sealgate_code (*decode)(struct sealgate_call *call, const ProtobufCMessage *answer,
                                 struct sg_arena *arena, void *body, struct sealgate_error *error);
    /* Runs the public callback. A stream's comes with the end alone: `body` is NULL. */
    void (*deliver)(struct sealgate_call *call, const struct sealgate_error *error, void *body);
    /* One answer of a stream; set for methods whose answers stream, and for no others. */
    void (*item)(struct sealgate_call *call, void *body);
    bool sends_once; /* a stream of answers to one request */
    /* Of a stream that goes on when it is cut off: writes the request anew. False: it cannot. */
    bool (*resume)(struct sealgate_call *call);
};

/* Where a blocking function keeps its answer. */
struct sg_client_waiter {
    bool is_over;
    struct sealgate_error error; /* code SEALGATE_OK: `body` is the answer, and the waiter's */
    void *body;
};

union sg_client_fn {
    sealgate_sign_fn *sign;
    sealgate_batch_fn *batch;
    sealgate_verify_fn *verify;
    sealgate_list_keys_fn *list_keys;
    sealgate_get_key_fn *get_key;
    sealgate_get_public_key_fn *get_public_key;
    sealgate_create_csr_fn *create_csr;
    sealgate_server_info_fn *server_info;
    sealgate_capacity_fn *capacity;
    sealgate_list_tokens_fn *list_tokens;
    sealgate_token_fn *token;
    sealgate_compare_tokens_fn *compare_tokens;
    sealgate_health_fn *health;
    sealgate_list_leaves_fn *leaves;
    sealgate_get_receipt_fn *receipt;
    sealgate_get_checkpoint_fn *checkpoint;
    struct sealgate_leaf_events leaf_watch;
    struct sealgate_stream_events stream;
    struct sealgate_watch_events watch;
};

struct sealgate_call {
    struct sealgate_client *client;
    const struct sg_client_method *method;
    struct sealgate_call *prev, *next; /* in client->waiting or client->running */

    union sg_client_fn fn;
    void *user;
    struct sg_client_waiter *waiter; /* a blocking function waits: no callback */

    int64_t deadline_ns;
    /* Unary: the request, kept for the one retry. Stream: what waits for a connection, each
     * message behind its length. */
    struct sg_buf request;
    size_t item_count;             /* of a batch, which its answer must have too */
    struct sg_client_asked *asked; /* of Sign and BatchSign: one for each item */
    struct sg_client_items items;  /* of SignStream: what is under way */
    struct sg_client_audit *audit; /* of the AuditService: client/lib/audit.h */
    bool is_repeatable;            /* each item has a request_id */
    bool maybe_done;               /* an attempt was sent and not answered */
    bool has_refused_id; /* the server does not serve request ids, and refused one of ours */
    bool has_dry_run;    /* an answer without a signature is in order */

    struct sg_conn *conn; /* NULL: waiting */
    struct sg_rpc_client_call *rpc;
    bool is_closed;               /* stream: no more will be sent */
    bool is_full;                 /* stream: the caller was told to wait for writable */
    bool is_cancelled;            /* by the caller */
    unsigned retries;             /* how often it came back undone */
    int64_t not_before_ns;        /* waiting: not sent again before */
    int64_t begun_ns;             /* running: since then */
    void *body;                   /* the answer of a unary call, until its status is known */
    struct sealgate_error spoilt; /* code not OK: what we found wrong with the answer */
};

struct sg_client_list {
    struct sealgate_call *first, *last;
    size_t len;
};

struct sealgate_client {
    struct sg_conn_config config;
    struct sg_targets targets;
    sealgate_authorization_fn *authorization; /* NULL: the certificate alone */
    void *authorization_user;
    struct sg_secret *token; /* room for one value; empty but while a call is begun */
    const struct sg_clock *clock;
    int64_t timeout_ns, connect_timeout_ns;
    size_t calls_max;
    int epoll_fd;
    /* Calls that were not done wait for another endpoint, or for the same one to come back, as
     * long as they have time. Otherwise they fail with the connection that was to carry them. */
    bool is_patient;
    bool makes_ids;   /* of requests */
    bool ids_refused; /* by the server of this connection */

    struct sg_client_receipts *receipts;

    struct sg_client_list waiting, running; /* for a connection or a free stream on it; on one */

    struct sg_conn *conn; /* takes new calls; NULL: none yet */
    size_t target;        /* it goes there */
    bool conn_answered;   /* a call on it, whatever the answer was */
    bool conn_refused;    /* it takes no calls of ours, though it stays open */
    /* Why there was no connection, last; code OK: nothing failed since one answered. */
    struct sealgate_error no_conn;
    struct sg_conn *draining[SG_CLIENT_DRAINING_MAX];
    unsigned fruitless;
    bool has_news; /* started, sent or cancelled since the last step */
    bool in_step;
};

/*
 * Makes a call that waits for its turn. Errors: SEALGATE_RESOURCE_EXHAUSTED: calls_max are open.
 * The request is the caller's to pack into call->request. Undone by sg_client_call_free() as long
 * as nothing was submitted.
 */
enum sealgate_code sg_client_call_new(struct sealgate_client *client,
                                      const struct sg_client_method *method, uint32_t timeout_ms,
                                      struct sealgate_call **ret, struct sealgate_error *error);
void sg_client_call_free(struct sealgate_call *call);
SG_DEFINE_AUTO(struct sealgate_call, sg_client_call_free);

/* Puts the packed call into the queue; frees it when it cannot. `ret` may be NULL. */
enum sealgate_code sg_client_call_submit(struct sealgate_call *call, struct sealgate_call **ret,
                                         struct sealgate_error *error);

/* One request, one answer: makes, packs and submits. `fn`'s member is the method's. */
enum sealgate_code sg_client_unary(struct sealgate_client *client,
                                   const struct sg_client_method *method,
                                   const ProtobufCMessage *request, uint32_t timeout_ms,
                                   union sg_client_fn fn, void *user, struct sealgate_call **ret,
                                   struct sealgate_error *error);

/* Waits for a call of this thread to end and takes its answer: the second half of every blocking
 * function. `started` is the result of the _start before it. */
enum sealgate_code sg_client_wait(enum sealgate_code started, struct sealgate_call *call,
                                  void **ret_body, struct sealgate_error *error);

/* Takes the ids that were made here out of the packed request; whether that was possible. */
bool sg_client_sign_strip(struct sealgate_call *call);

/* What to say of a call that waits and will not be sent any more. */
static inline enum sealgate_outcome sg_client_undone(const struct sealgate_call *call)
{
    return call->maybe_done ? SEALGATE_OUTCOME_UNKNOWN : SEALGATE_OUTCOME_NOT_DONE;
}

/* The end of a call: takes it off its list, runs its callback, frees it. `error` NULL: success. */
void sg_client_call_finish(struct sealgate_call *call, const struct sealgate_error *error);
/* The connection `conn` answered a call, be it by one message of a stream: its endpoint works. */
void sg_client_conn_answered(struct sealgate_client *client, const struct sg_conn *conn);
/* Starts a waiting call on a ready connection, or ends it. SG_E_LIMIT and SG_E_UNAVAILABLE leave it
 * waiting. */
enum sg_rc sg_client_call_run(struct sealgate_call *call, struct sg_conn *conn, int64_t now_ns,
                              struct sg_err *err);

void sg_client_list_push(struct sg_client_list *list, struct sealgate_call *call);
void sg_client_list_push_first(struct sg_client_list *list, struct sealgate_call *call);
void sg_client_list_remove(struct sg_client_list *list, struct sealgate_call *call);

#endif
