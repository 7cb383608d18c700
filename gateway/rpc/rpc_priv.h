#ifndef SG_GATEWAY_RPC_RPC_PRIV_H
#define SG_GATEWAY_RPC_RPC_PRIV_H

#include "gateway/rpc/errors.h"
#include "gateway/rpc/rpc.h"
#include "gateway/service/sight.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"

/* Who may call a method at all. The zero value is the strictest. */
enum sg_access {
    SG_ACCESS_LISTED = 0,    /* an identity whose row lists the method */
    SG_ACCESS_AUTHENTICATED, /* any identity of a configured CA */
    SG_ACCESS_OPEN,          /* anybody: health only */
};

/*
 * How a method is served. `message` is set; the others may be NULL. A handler keeps what it needs
 * between events with sg_rpc_set_user() and lets go of it in `closed`.
 */
struct sg_handler {
    enum sg_access access;
    /* For a handler that must know of a call before its first message. */
    enum sg_rc (*begin)(struct sg_rpc *rpc, struct sg_call *call, struct sg_err *err);
    void (*message)(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message);
    void (*half_close)(struct sg_rpc *rpc, struct sg_call *call);
    void (*writable)(struct sg_rpc *rpc, struct sg_call *call);
    void (*closed)(struct sg_rpc *rpc, struct sg_call *call);
};

struct sg_health_watch;
struct sg_leaf_watches;
struct sg_sign_stream;

struct sg_rpc {
    struct sg_rpc_deps deps;
    struct sg_tls_trust *trust;
    struct sg_sight *sight; /* of deps.authz */
    struct sg_call_handler handler;
    struct sg_health_watch *watches;
    struct sg_sign_stream *streams;
    struct sg_leaf_watches *leaf_watches; /* NULL: there is no log */
    size_t verifications;                 /* of the VerificationService, on the crypto pool */
    int64_t start_wall_ns;
    bool is_draining;
};

/* One per method that is served; gateway/rpc/dispatch.c has the table. */
extern const struct sg_handler sg_handle_sign, sg_handle_batch_sign, sg_handle_sign_stream,
    sg_handle_verify, sg_handle_list_keys, sg_handle_get_key, sg_handle_get_public_key,
    sg_handle_create_csr, sg_handle_get_server_info, sg_handle_get_capacity, sg_handle_health_check,
    sg_handle_health_watch, sg_handle_reflection, sg_handle_get_receipt, sg_handle_get_checkpoint,
    sg_handle_get_consistency_proof, sg_handle_list_leaves, sg_handle_watch_leaves,
    sg_handle_list_tokens, sg_handle_get_token, sg_handle_drain_token, sg_handle_resume_token,
    sg_handle_compare_tokens;

struct sg_rpc_connection *sg_rpc_connection(const struct sg_call *call);

/* Whatever a handler keeps with the call; NULL at first. */
void *sg_rpc_user(const struct sg_call *call);
void sg_rpc_set_user(struct sg_call *call, void *user);

/* What the log and the client call this call; in `arena`, "" without memory. */
const char *sg_rpc_request_id(const struct sg_call *call, struct sg_arena *arena);

/* Names of rows are copied: the lists that they come from may be replaced at any time. None is cut
 * short, which could make it another's. */
enum { SG_RULE_LEN_MAX = SG_AUTHZ_NAME_LEN_MAX };

/* Who calls, once authenticated, as people read it: in `arena`, NULL without memory. */
char *sg_rpc_caller_name(const struct sg_call *call, struct sg_arena *arena);

/* Whether the caller is somebody at this moment. Judged when a call begins; a call that lasts
 * judges again before it acts. */
SG_MUST_USE enum sg_rc sg_rpc_authenticate(struct sg_rpc *rpc, const struct sg_call *call,
                                           struct sg_err *err);

/* The same, and whether the caller may still call the method. */
SG_MUST_USE enum sg_rc sg_rpc_authorize(struct sg_rpc *rpc, const struct sg_call *call,
                                        struct sg_err *err);

/* What decides until the directory is served. */
extern const char sg_rpc_rule_set[];

/* The row that allows the call its method, whatever key it is about; lives as long as the list of
 * callers that is valid now. */
const char *sg_rpc_rule(struct sg_rpc *rpc, const struct sg_call *call);

/* Who calls, from where, and what: the beginning of each record of it. Borrows from the call. */
void sg_rpc_begin_record(const struct sg_call *call, struct sg_audit_record *record);

/* Unpacks into the call's arena, or fails the call and returns NULL. `is_strict` for requests
 * that make signatures: unknown fields are refused. */
const void *sg_rpc_read(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message,
                        bool is_strict);

/* Sends one message; after these two the connection is told that there is something to write.
 * `ret_full` (may be NULL) as of sg_call_send(). */
SG_MUST_USE enum sg_rc sg_rpc_send(struct sg_call *call, struct sg_slice message, bool *ret_full,
                                   struct sg_err *err);
void sg_rpc_finish(struct sg_call *call, const struct sg_status *status);

/* Packs and sends one message, then ends the call with OK when it `is_last`. */
void sg_rpc_reply(struct sg_rpc *rpc, struct sg_call *call, const ProtobufCMessage *message,
                  bool is_last);

/* Whether it is what an authenticated caller is told of rights that it does not have. */
bool sg_rpc_is_denial(const struct sg_err *err);

/* A denial on its way into the log, while its call waits for the receipt. */
struct sg_rpc_denial;
struct sg_rpc_denial *sg_rpc_denial(const struct sg_call *call);
void sg_rpc_set_denial(struct sg_call *call, struct sg_rpc_denial *denial);
/* Its call is closed. */
void sg_rpc_denial_detach(struct sg_rpc_denial *denial);
/* Whether the call, which was denied, waits for the record of it; then it ends by itself. Else
 * there is no log, or the denial is one of too many, or none, and the call is still to be ended.
 * What `error` points to is static or the call's own. */
bool sg_rpc_deny(struct sg_rpc *rpc, struct sg_call *call, const struct sg_rpc_error *error);

/* Ends the call with the status of `error`; a denial when it is recorded, with its receipt. */
void sg_rpc_fail(struct sg_rpc *rpc, struct sg_call *call, const struct sg_rpc_error *error);

/* The same for want of memory: RESOURCE_EXHAUSTED. */
void sg_rpc_fail_memory(struct sg_rpc *rpc, struct sg_call *call);
/* The same because this instance is shutting down: UNAVAILABLE. */
void sg_rpc_fail_draining(struct sg_rpc *rpc, struct sg_call *call);

/* Streams take no more items, and end with their last result. */
void sg_sign_streams_drain(struct sg_rpc *rpc);

/* Those who watch a log (handler_watch.c). */
SG_MUST_USE enum sg_rc sg_leaf_watches_new(struct sg_rpc *rpc, struct sg_leaf_watches **ret,
                                           struct sg_err *err);
/* No call may be open, and the log closed. */
void sg_leaf_watches_free(struct sg_leaf_watches *watches);
/* Their calls end. */
void sg_leaf_watches_drain(struct sg_leaf_watches *watches);

/* Counts what somebody was refused, a call or an item of one, and tells the log what the client is
 * not told. */
void sg_rpc_note_refusal(struct sg_rpc *rpc, const struct sg_call *call, const char *request_id,
                         const struct sg_err *err);

/*
 * The key of a resource name, when it exists and the caller may use it by this method; the same
 * KEY_NOT_FOUND in both other cases. `ret_rule` (may be NULL) gets the name of the row that
 * allowed it.
 */
SG_MUST_USE enum sg_rc sg_rpc_find_key(struct sg_rpc *rpc, struct sg_call *call, const char *name,
                                       struct sg_key **ret, char ret_rule[SG_RULE_LEN_MAX + 1],
                                       struct sg_err *err);
/* Whether the caller may use the key by the call's method. */
bool sg_rpc_may_use(struct sg_rpc *rpc, const struct sg_call *call, const struct sg_key *key,
                    struct sg_authz_decision *ret);

/* What the caller may see by the call's method: nothing when it may not call it. Lives until the
 * next turn of the loop. */
const struct sg_sight_row *sg_rpc_sight(struct sg_rpc *rpc, const struct sg_call *call);

/* The wire's numbers as our enums; they are equal (base/algorithm.h). A digest algorithm must be
 * set, the others may be unset. Errors: SG_E_INVALID ALGORITHM_NOT_ALLOWED. */
SG_MUST_USE enum sg_rc sg_rpc_digest_alg(int wire, enum sg_digest_alg *ret, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_rpc_scheme(int wire, enum sg_scheme *ret, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_rpc_encoding(int wire, enum sg_sig_encoding *ret, struct sg_err *err);

/* The engine's states as the wire has them. */
Sealgate__V1__TokenState sg_rpc_token_state(enum sg_hsm_token_state state);
Sealgate__V1__KeyState sg_rpc_key_state(enum sg_hsm_key_state state);

/* A page token of a listing by keys is the name of the last key that was told, which stays when
 * keys come and go, and which the caller could see anyway; "" is none yet. Those after it by name
 * begin at `*ret`. Errors: SG_E_INVALID BAD_PAGE_TOKEN. */
SG_MUST_USE enum sg_rc sg_rpc_page_start(const struct sg_keys *keys, const char *token, size_t *ret,
                                         struct sg_err *err);

/* Time as google.protobuf.Timestamp or Duration in the arena; NULL: no memory. */
struct Google__Protobuf__Timestamp *sg_rpc_timestamp(struct sg_arena *arena, int64_t wall_ns);
struct Google__Protobuf__Duration *sg_rpc_duration(struct sg_arena *arena, int64_t ns);

#endif
