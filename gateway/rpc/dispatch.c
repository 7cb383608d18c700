#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/raw/digest.h"
#include "gateway/rpc/bearer.h"
#include "gateway/rpc/rpc_priv.h"
#include "methods.h"
#include "proto/pb/unpack.h"

/* Which handler serves which method. A method without one is UNIMPLEMENTED. */
static const struct sg_handler *const handlers[SG_METHOD_COUNT] = {
    [SG_METHOD_SIGNING_SERVICE_SIGN] = &sg_handle_sign,
    [SG_METHOD_SIGNING_SERVICE_BATCH_SIGN] = &sg_handle_batch_sign,
    [SG_METHOD_SIGNING_SERVICE_SIGN_STREAM] = &sg_handle_sign_stream,
    [SG_METHOD_VERIFICATION_SERVICE_VERIFY] = &sg_handle_verify,
    [SG_METHOD_KEY_SERVICE_LIST_KEYS] = &sg_handle_list_keys,
    [SG_METHOD_KEY_SERVICE_GET_KEY] = &sg_handle_get_key,
    [SG_METHOD_KEY_SERVICE_GET_PUBLIC_KEY] = &sg_handle_get_public_key,
    [SG_METHOD_KEY_SERVICE_CREATE_CSR] = &sg_handle_create_csr,
    [SG_METHOD_AUDIT_SERVICE_LIST_LEAVES] = &sg_handle_list_leaves,
    [SG_METHOD_AUDIT_SERVICE_GET_RECEIPT] = &sg_handle_get_receipt,
    [SG_METHOD_AUDIT_SERVICE_GET_CHECKPOINT] = &sg_handle_get_checkpoint,
    [SG_METHOD_AUDIT_SERVICE_GET_CONSISTENCY_PROOF] = &sg_handle_get_consistency_proof,
    [SG_METHOD_AUDIT_SERVICE_WATCH_LEAVES] = &sg_handle_watch_leaves,
    [SG_METHOD_INFO_SERVICE_GET_SERVER_INFO] = &sg_handle_get_server_info,
    [SG_METHOD_INFO_SERVICE_GET_CAPACITY] = &sg_handle_get_capacity,
    [SG_METHOD_TOKEN_SERVICE_LIST_TOKENS] = &sg_handle_list_tokens,
    [SG_METHOD_TOKEN_SERVICE_GET_TOKEN] = &sg_handle_get_token,
    [SG_METHOD_TOKEN_SERVICE_DRAIN_TOKEN] = &sg_handle_drain_token,
    [SG_METHOD_TOKEN_SERVICE_RESUME_TOKEN] = &sg_handle_resume_token,
    [SG_METHOD_TOKEN_SERVICE_COMPARE_TOKENS] = &sg_handle_compare_tokens,
    [SG_METHOD_HEALTH_CHECK] = &sg_handle_health_check,
    [SG_METHOD_HEALTH_WATCH] = &sg_handle_health_watch,
    [SG_METHOD_SERVER_REFLECTION_V1_SERVER_REFLECTION_INFO] = &sg_handle_reflection,
    [SG_METHOD_SERVER_REFLECTION_V1ALPHA_SERVER_REFLECTION_INFO] = &sg_handle_reflection,
};

/* Of the token itself only its hash is kept: a call that lasts is judged by it again. */
struct bearer {
    bool is_shown;
    uint8_t sha256[SG_AUTHZ_TOKEN_LEN];
    char name[SG_RULE_LEN_MAX + 1];    /* of the row that it belongs to; "": not known yet */
    struct sg_authz_identity identity; /* of that name */
};

/* What this folder keeps with every call, in the call's arena. */
struct call_state {
    const struct sg_handler *handler;
    uint64_t number;        /* on its connection */
    struct bearer bearer;   /* of a call to the listener for tokens */
    enum sg_grpc_code code; /* once is_finished */
    bool is_finished;       /* by a handler */
    struct sg_rpc_denial *denial;
    void *user;
};

static struct call_state *state_of(const struct sg_call *call)
{
    return sg_call_user(call);
}

struct sg_rpc_connection *sg_rpc_connection(const struct sg_call *call)
{
    return sg_call_connection(call);
}

void *sg_rpc_user(const struct sg_call *call)
{
    return state_of(call)->user;
}

struct sg_rpc_denial *sg_rpc_denial(const struct sg_call *call)
{
    return state_of(call)->denial;
}

void sg_rpc_set_denial(struct sg_call *call, struct sg_rpc_denial *denial)
{
    state_of(call)->denial = denial;
}

void sg_rpc_set_user(struct sg_call *call, void *user)
{
    state_of(call)->user = user;
}

const char *sg_rpc_request_id(const struct sg_call *call, struct sg_arena *arena)
{
    enum { ID_LEN = 48 };
    const struct call_state *state = state_of(call);
    char *id = sg_arena_alloc(arena, ID_LEN);
    if (id == NULL)
        return "";
    snprintf(id, ID_LEN, "%" PRIx64 "-%" PRIx64, sg_rpc_connection(call)->id,
             state == NULL ? 0 : state->number);
    return id;
}

void sg_rpc_finish(struct sg_call *call, const struct sg_status *status)
{
    const struct sg_rpc_connection *connection = sg_rpc_connection(call);
    struct call_state *state = state_of(call);

    if (!state->is_finished)
        state->code = status->code;
    state->is_finished = true;
    sg_call_finish(call, status);
    connection->wants_write(connection->wants_write_arg);
}

void sg_rpc_note_refusal(struct sg_rpc *rpc, const struct sg_call *call, const char *request_id,
                         const struct sg_err *err)
{
    const struct sg_method *method = sg_call_method(call);

    if (rpc->deps.metrics != NULL)
        sg_metrics_add(rpc->deps.metrics, SG_METRIC_REFUSALS, err->reason, 0, 1);
    rpc->deps.on_error(rpc->deps.on_error_arg, request_id, method == NULL ? "" : method->path + 1,
                       err);
}

static void count_denial(struct sg_rpc *rpc, enum sg_reason reason)
{
    if (rpc->deps.metrics != NULL)
        sg_metrics_add(rpc->deps.metrics, SG_METRIC_AUTHZ_DENIALS, reason, 0, 1);
}

static void count_protocol(struct sg_rpc *rpc, const struct sg_call *call)
{
    if (rpc->deps.metrics != NULL)
        sg_metrics_add(rpc->deps.metrics, SG_METRIC_RPCS_BY_PROTOCOL, sg_call_protocol(call), 0, 1);
}

static void count_begin(struct sg_rpc *rpc, const struct sg_call *call)
{
    count_protocol(rpc, call);
    if (rpc->deps.metrics != NULL)
        sg_metrics_move(rpc->deps.metrics, SG_METRIC_RPCS_IN_FLIGHT, sg_call_method(call)->id, 0,
                        1);
}

/* A call that no handler finished ended by its deadline, or by the client. */
static void count_end(struct sg_rpc *rpc, const struct sg_call *call)
{
    struct sg_metrics *metrics = rpc->deps.metrics;
    const struct call_state *state = state_of(call);
    const unsigned method = sg_call_method(call)->id;
    const int64_t now = sg_mono_ns(rpc->deps.clock);
    const enum sg_grpc_code code = state->is_finished              ? state->code
                                   : now >= sg_call_deadline(call) ? SG_GRPC_DEADLINE_EXCEEDED
                                                                   : SG_GRPC_CANCELLED;
    if (metrics == NULL)
        return;
    sg_metrics_move(metrics, SG_METRIC_RPCS_IN_FLIGHT, method, 0, -1);
    sg_metrics_add(metrics, SG_METRIC_RPCS, method, code, 1);
    sg_metrics_observe(metrics, SG_METRIC_RPC_SECONDS, method, code, now - sg_call_started(call));
}

/* A call that was refused before it began has no end of its own. */
static void count_unbegun(struct sg_rpc *rpc, const struct sg_call *call, const struct sg_err *err)
{
    const struct call_state *state = state_of(call);
    const struct sg_method *method = sg_call_method(call);

    if (state != NULL && state->handler != NULL)
        return;
    count_protocol(rpc, call);
    if (rpc->deps.metrics != NULL)
        sg_metrics_add(rpc->deps.metrics, SG_METRIC_RPCS, method == NULL ? 0 : method->id,
                       sg_grpc_code_of(err->rc), 1);
}

/* Who calls ---------------------------------------------------------------------------------- */

static bool shows_tokens(const struct sg_call *call)
{
    return sg_rpc_connection(call)->listener == SG_LISTENER_BEARER;
}

/* While the call begins; later the header is gone. */
static enum sg_rc take_token(const struct sg_call *call, struct bearer *bearer, struct sg_err *err)
{
    static const char header[] = "authorization";
    struct sg_slice token = {0};
    const size_t count = sg_call_metadata_count(call, header);

    if (count == 0)
        return SG_REFUSE(err, SG_R_BEARER_REQUIRED, "the call has no bearer token");
    if (count > 1)
        return SG_REFUSE(err, SG_R_BEARER_UNKNOWN, "the call has %zu authorization headers", count);
    SG_TRY(sg_bearer_parse(sg_call_metadata(call, header), &token, err));
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, token, bearer->sha256, err));
    bearer->is_shown = true;
    return SG_OK;
}

/* The token may have expired or been taken from the list since the last time. */
static enum sg_rc authenticate_bearer(struct sg_rpc *rpc, const struct sg_call *call,
                                      struct sg_err *err)
{
    struct bearer *bearer = &state_of(call)->bearer;
    const char *name = NULL;

    if (!bearer->is_shown)
        SG_TRY(take_token(call, bearer, err));
    SG_TRY(sg_authz_bearer(rpc->deps.authz, sg_slice_of(bearer->sha256, sizeof(bearer->sha256)),
                           sg_wall_ns(rpc->deps.clock) / SG_NS_PER_S, &name, err));
    snprintf(bearer->name, sizeof(bearer->name), "%s", name);
    bearer->identity = sg_authz_identity_of((struct sg_slice){0}, sg_slice_str(bearer->name));
    return SG_OK;
}

/* The certificate may have expired or been revoked since the handshake. */
enum sg_rc sg_rpc_authenticate(struct sg_rpc *rpc, const struct sg_call *call, struct sg_err *err)
{
    if (shows_tokens(call))
        return authenticate_bearer(rpc, call, err);
    return sg_tls_peer_check(rpc->trust, sg_rpc_connection(call)->peer, sg_wall_ns(rpc->deps.clock),
                             err);
}

void sg_rpc_connection_set_peer(struct sg_rpc_connection *connection,
                                const struct sg_tls_peer *peer)
{
    connection->peer = peer;
    connection->identity = sg_authz_identity_of(sg_slice_str(peer->ca), sg_slice_str(peer->uri));
}

void sg_rpc_begin_record(const struct sg_call *call, struct sg_audit_record *record)
{
    const struct sg_rpc_connection *connection = sg_rpc_connection(call);
    const bool is_bearer = shows_tokens(call);

    record->authority = sg_slice_str(is_bearer ? "bearer" : connection->peer->ca);
    record->caller = sg_slice_str(is_bearer ? state_of(call)->bearer.name : connection->peer->uri);
    record->source = sg_slice_str(connection->from == NULL ? "" : connection->from);
    record->method = sg_slice_str(sg_call_method(call)->path + 1); /* without the leading slash */
}

char *sg_rpc_caller_name(const struct sg_call *call, struct sg_arena *arena)
{
    const struct sg_tls_peer *peer = sg_rpc_connection(call)->peer;
    const char *kind = shows_tokens(call) ? "bearer" : peer->ca;
    const char *name = shows_tokens(call) ? state_of(call)->bearer.name : peer->uri;
    const size_t cap = strlen(kind) + strlen(name) + 2;
    char *text = sg_arena_alloc(arena, cap);

    if (text != NULL)
        snprintf(text, cap, "%s %s", kind, name);
    return text;
}

static void decide(struct sg_rpc *rpc, const struct sg_call *call, struct sg_slice key,
                   struct sg_authz_decision *ret)
{
    const struct sg_authz_request request = {
        .caller = shows_tokens(call) ? state_of(call)->bearer.identity
                                     : sg_rpc_connection(call)->identity,
        .method = sg_call_method(call)->path + 1, /* without the leading slash */
        .key = key,
    };
    sg_authz_decide(rpc->deps.authz, &request, ret);
}

const char *sg_rpc_rule(struct sg_rpc *rpc, const struct sg_call *call)
{
    struct sg_authz_decision decision = {0};
    decide(rpc, call, (struct sg_slice){0}, &decision);
    return decision.rule;
}

enum sg_rc sg_rpc_authorize(struct sg_rpc *rpc, const struct sg_call *call, struct sg_err *err)
{
    struct sg_authz_decision decision = {0};

    SG_TRY(sg_rpc_authenticate(rpc, call, err));
    decide(rpc, call, (struct sg_slice){0}, &decision);
    if (decision.is_allowed)
        return SG_OK;
    count_denial(rpc, decision.reason);
    /* The row whose token it is decides, so this would be a mistake of ours: say whose it was. */
    if (decision.reason == SG_R_CALLER_UNKNOWN && shows_tokens(call))
        return SG_REFUSE(err, SG_R_CALLER_UNKNOWN, "\"%s\", known by a token, is not configured",
                         state_of(call)->bearer.name);
    if (decision.reason == SG_R_CALLER_UNKNOWN)
        return SG_REFUSE(err, SG_R_CALLER_UNKNOWN, "\"%s\" of client CA \"%s\" is not configured",
                         sg_rpc_connection(call)->peer->uri, sg_rpc_connection(call)->peer->ca);
    return SG_REFUSE(err, SG_R_METHOD_NOT_ALLOWED, "this identity may not call %s",
                     sg_call_method(call)->path + 1);
}

static enum sg_rc may_begin(struct sg_rpc *rpc, const struct sg_call *call, enum sg_access access,
                            struct sg_err *err)
{
    switch (access) {
    case SG_ACCESS_OPEN:
        return SG_OK;
    case SG_ACCESS_AUTHENTICATED:
        return sg_rpc_authenticate(rpc, call, err);
    case SG_ACCESS_LISTED:
        break;
    }
    return sg_rpc_authorize(rpc, call, err);
}

/* What a caller sends that may not call the method, while its denial is recorded. */
static void on_denied_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    (void)rpc, (void)call, (void)message;
}

static const struct sg_handler handle_denied = {.message = on_denied_message};

/* A denial takes its place in the log, and the call waits for the receipt of it. */
static enum sg_rc begin_denied(struct sg_rpc *rpc, struct sg_call *call, const struct sg_err *err)
{
    const struct sg_rpc_error error = {.err = *err};

    if (!sg_rpc_deny(rpc, call, &error))
        return err->rc;
    state_of(call)->handler = &handle_denied;
    if (sg_call_method(call)->client_streaming)
        sg_call_pause(call);
    count_begin(rpc, call);
    return SG_OK;
}

static enum sg_rc on_begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    struct sg_rpc *rpc = arg;
    const struct sg_method *method = sg_call_method(call);
    const struct sg_handler *handler = handlers[method->id];

    struct call_state *state = sg_arena_zalloc(sg_call_arena(call), sizeof(*state));
    if (state == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for another call");
    state->number = ++sg_rpc_connection(call)->calls;
    sg_call_set_user(call, state);

    if (handler == NULL)
        return SG_REFUSE(err, SG_R_METHOD_NOT_SERVED, "%s is not served yet", method->path + 1);
    if (handler == &sg_handle_reflection && !rpc->deps.config->reflection)
        return SG_REFUSE(err, SG_R_REFLECTION_OFF, "reflection is turned off on this server");
    enum sg_rc rc = may_begin(rpc, call, handler->access, err);
    if (rc == SG_E_DENIED)
        return begin_denied(rpc, call, err);
    SG_TRY(rc);
    if (handler->begin != NULL)
        SG_TRY(handler->begin(rpc, call, err));
    state->handler = handler;
    count_begin(rpc, call);
    return SG_OK;
}

static void on_message(void *arg, struct sg_call *call, struct sg_slice message)
{
    state_of(call)->handler->message(arg, call, message);
}

static void on_half_close(void *arg, struct sg_call *call)
{
    if (state_of(call)->handler->half_close != NULL)
        state_of(call)->handler->half_close(arg, call);
}

static void on_writable(void *arg, struct sg_call *call)
{
    if (state_of(call)->handler->writable != NULL)
        state_of(call)->handler->writable(arg, call);
}

static void on_closed(void *arg, struct sg_call *call)
{
    count_end(arg, call);
    if (state_of(call)->denial != NULL)
        sg_rpc_denial_detach(state_of(call)->denial);
    if (state_of(call)->handler->closed != NULL)
        state_of(call)->handler->closed(arg, call);
}

/* RFC 6750 §3, where the status is HTTP's: what to show, and whether what was shown is at fault. */
static void challenge(struct sg_call *call, const struct sg_err *err)
{
    const bool is_wrong = err->reason == SG_R_BEARER_UNKNOWN || err->reason == SG_R_BEARER_EXPIRED;

    if (err->rc != SG_E_UNAUTHENTICATED || !shows_tokens(call) ||
        sg_call_protocol(call) != SG_PROTOCOL_CONNECT)
        return;
    /* Without room for it the status alone must tell. */
    SG_IGNORE(sg_call_add_metadata(
        call, "www-authenticate",
        is_wrong ? SG_SLICE("Bearer error=\"invalid_token\"") : SG_SLICE("Bearer"), NULL));
}

static void on_describe(void *arg, struct sg_call *call, const struct sg_err *err,
                        struct sg_buf *details)
{
    struct sg_rpc *rpc = arg;
    struct sg_arena *arena = sg_call_arena(call);
    const char *request_id = sg_rpc_request_id(call, arena);
    const struct sg_rpc_error error = {.err = *err};
    const Google__Rpc__Status *status = sg_rpc_status_new(arena, &error, request_id);

    challenge(call, err);
    sg_rpc_note_refusal(rpc, call, request_id, err);
    count_unbegun(rpc, call, err);
    if (status != NULL)
        sg_pb_pack(&status->base, details);
}

enum sg_rc sg_rpc_new(const struct sg_rpc_deps *deps, struct sg_tls_trust *trust,
                      struct sg_rpc **ret, struct sg_err *err)
{
    SG_AUTO(sg_rpc_free) struct sg_rpc *rpc = calloc(1, sizeof(*rpc));
    if (rpc == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the RPC services");
    rpc->deps = *deps;
    rpc->trust = sg_tls_trust_hold(trust);
    rpc->start_wall_ns = sg_wall_ns(deps->clock);
    rpc->handler = (struct sg_call_handler){.arg = rpc,
                                            .begin = on_begin,
                                            .message = on_message,
                                            .half_close = on_half_close,
                                            .writable = on_writable,
                                            .closed = on_closed,
                                            .describe = on_describe};
    SG_TRY(sg_rpc_set_authz(rpc, deps->authz, err));
    if (deps->audit != NULL)
        SG_TRY(sg_leaf_watches_new(rpc, &rpc->leaf_watches, err));
    *ret = SG_STEAL(rpc);
    return SG_OK;
}

void sg_rpc_free(struct sg_rpc *rpc)
{
    if (rpc == NULL)
        return;
    SG_ASSERT(rpc->watches == NULL);
    sg_leaf_watches_free(rpc->leaf_watches);
    sg_sight_free(rpc->sight);
    sg_tls_trust_free(rpc->trust);
    free(rpc);
}

const struct sg_call_handler *sg_rpc_handler(struct sg_rpc *rpc)
{
    return &rpc->handler;
}

void sg_rpc_set_trust(struct sg_rpc *rpc, struct sg_tls_trust *trust)
{
    struct sg_tls_trust *old = rpc->trust;
    rpc->trust = sg_tls_trust_hold(trust);
    sg_tls_trust_free(old);
}

enum sg_rc sg_rpc_set_authz(struct sg_rpc *rpc, const struct sg_authz *authz, struct sg_err *err)
{
    struct sg_sight *sight = NULL;

    SG_TRY(sg_sight_new(authz, rpc->deps.keys, &sight, err));
    sg_sight_free(rpc->sight);
    rpc->sight = sight;
    rpc->deps.authz = authz;
    return SG_OK;
}

const struct sg_sight_row *sg_rpc_sight(struct sg_rpc *rpc, const struct sg_call *call)
{
    static const struct sg_sight_row nothing;
    struct sg_authz_decision decision = {0};

    decide(rpc, call, (struct sg_slice){0}, &decision);
    return decision.is_allowed ? sg_sight_of(rpc->sight, decision.row) : &nothing;
}

bool sg_rpc_may_use(struct sg_rpc *rpc, const struct sg_call *call, const struct sg_key *key,
                    struct sg_authz_decision *ret)
{
    *ret = (struct sg_authz_decision){0};
    decide(rpc, call, sg_slice_str(key->name), ret);
    return ret->is_allowed;
}

enum sg_rc sg_rpc_find_key(struct sg_rpc *rpc, struct sg_call *call, const char *name,
                           struct sg_key **ret, char ret_rule[SG_RULE_LEN_MAX + 1],
                           struct sg_err *err)
{
    struct sg_authz_decision decision;
    struct sg_slice id;
    uint32_t version;

    SG_TRY(sg_key_name_parse(sg_slice_str(name), &id, &version, err));
    struct sg_key *key = sg_keys_find(rpc->deps.keys, id);
    if (key != NULL && !sg_rpc_may_use(rpc, call, key, &decision)) {
        count_denial(rpc, decision.reason);
        key = NULL;
    }
    if (key == NULL || version > SG_KEY_VERSION)
        return SG_REFUSE(err, SG_R_KEY_NOT_FOUND, "there is no \"%s\" for this caller", name);
    *ret = key;
    if (ret_rule != NULL) {
        size_t len = strlen(decision.rule);
        SG_ASSERT(len <= SG_RULE_LEN_MAX); /* the list's bound */
        memcpy(ret_rule, decision.rule, len + 1);
    }
    return SG_OK;
}
