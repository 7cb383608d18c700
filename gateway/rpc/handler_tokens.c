#include <stdio.h>
#include <stdlib.h>

#include "base/folder.h"
#include "gateway/rpc/rpc_priv.h"
#include "gateway/service/drained.h"
#include "sealgate/v1/tokens.pb-c.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 1000, REASON_BYTES_MAX = 500 };

/* Tokens and keys --------------------------------------------------------------------------- */

static enum sg_rc find_token(struct sg_rpc *rpc, const char *name, size_t *ret, struct sg_err *err)
{
    static const char prefix[] = "tokens/";

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 || name[sizeof(prefix) - 1] == '\0')
        return SG_REFUSE(err, SG_R_BAD_NAME, "\"%s\" is not the name of a token, as tokens/hsm is",
                         name);
    for (*ret = 0; *ret < sg_hsm_token_count(rpc->deps.hsm); ++*ret) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(rpc->deps.hsm, *ret, &info);
        if (strcmp(info.name, name + sizeof(prefix) - 1) == 0)
            return SG_OK;
    }
    return SG_REFUSE(err, SG_R_TOKEN_NOT_FOUND, "there is no \"%s\"", name);
}

static char *resource_name(struct sg_arena *arena, const char *kind, const char *name)
{
    const size_t cap = strlen(kind) + strlen(name) + 2;
    char *text = sg_arena_alloc(arena, cap);
    if (text != NULL)
        snprintf(text, cap, "%s/%s", kind, name);
    return text;
}

/* What is wrong is told as it is: this service is for operators. NULL: no memory. */
static Sealgate__V1__Token *token_new(struct sg_rpc *rpc, struct sg_arena *arena, size_t token)
{
    struct sg_hsm_token_info info;
    Sealgate__V1__Token *out = sg_arena_alloc(arena, sizeof(*out));
    if (out == NULL)
        return NULL;
    sealgate__v1__token__init(out);
    sg_hsm_token_info(rpc->deps.hsm, token, &info);
    out->name = resource_name(arena, "tokens", info.name);
    out->state = sg_rpc_token_state(info.state);
    out->state_message = sg_arena_strdup(arena, sg_slice_str(info.err.msg));
    out->workers = (uint32_t)info.workers;
    out->in_flight = (uint32_t)info.in_flight;
    out->waiting = (uint32_t)info.waiting;
    out->estimated_wait = sg_rpc_duration(arena, info.estimated_wait_ms * SG_NS_PER_MS);
    out->signed_count = info.signed_total;
    out->failed_count = info.failed_total;
    out->retried_count = info.retried_total;
    out->hedged_count = info.hedged_total;
    out->refuted_count = info.refuted_total;
    out->restart_count = info.restarts_total;
    out->keys_active = (uint32_t)info.keys[SG_KEY_READY];
    out->keys_loading = (uint32_t)info.keys[SG_KEY_LOADING];
    out->keys_unusable = (uint32_t)info.keys[SG_KEY_UNUSABLE];
    out->keys_quarantined = (uint32_t)info.keys[SG_KEY_QUARANTINED];
    return out->name == NULL || out->state_message == NULL || out->estimated_wait == NULL ? NULL
                                                                                          : out;
}

/* Looking ------------------------------------------------------------------------------------ */

static void on_list(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    Sealgate__V1__ListTokensResponse response = SEALGATE__V1__LIST_TOKENS_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(call);
    const size_t count = sg_hsm_token_count(rpc->deps.hsm);

    if (sg_rpc_read(rpc, call, message, false) == NULL)
        return;
    response.tokens = sg_arena_alloc(arena, count * sizeof(*response.tokens));
    bool has_memory = response.tokens != NULL;
    for (size_t i = 0; has_memory && i < count; i++) {
        response.tokens[i] = token_new(rpc, arena, i);
        has_memory = response.tokens[response.n_tokens++] != NULL;
    }
    if (has_memory)
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static void reply_token(struct sg_rpc *rpc, struct sg_call *call, size_t token)
{
    const Sealgate__V1__Token *response = token_new(rpc, sg_call_arena(call), token);
    if (response != NULL)
        sg_rpc_reply(rpc, call, &response->base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static void on_get(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetTokenRequest *request = sg_rpc_read(rpc, call, message, false);
    if (request == NULL)
        return;
    struct sg_rpc_error error = {.field = "name", .resource = request->name};
    size_t token;
    if (find_token(rpc, request->name, &token, &error.err) == SG_OK)
        reply_token(rpc, call, token);
    else
        sg_rpc_fail(rpc, call, &error);
}

/* Comparing ---------------------------------------------------------------------------------- */

/* A key on both. All keys are looked at for each page, so this much has to do. */
struct pair {
    bool is_there, is_other_there;
    enum sg_hsm_key_state state, other_state;
};

/* Whether the key is not as well off on the other token; `ret` says how. */
static bool differs(const struct sg_rpc *rpc, const struct sg_key *key, size_t token, size_t other,
                    struct pair *ret)
{
    ret->is_there = sg_hsm_key_on(rpc->deps.hsm, key->hsm, token, &ret->state);
    ret->is_other_there = sg_hsm_key_on(rpc->deps.hsm, key->hsm, other, &ret->other_state);
    const bool is_ready = ret->is_there && ret->state == SG_KEY_READY;
    const bool is_other_ready = ret->is_other_there && ret->other_state == SG_KEY_READY;
    return (ret->is_there && !is_other_ready) || (ret->is_other_there && !is_ready);
}

/* What is wrong with the key's copy on this token, which has one. */
static char *message_of(struct sg_rpc *rpc, struct sg_arena *arena, const struct sg_key *key,
                        size_t token)
{
    struct sg_hsm_copy_info copy;
    size_t i = 0;

    do
        sg_hsm_copy_info(rpc->deps.hsm, key->hsm, i++, &copy);
    while (copy.token != token);
    return sg_arena_strdup(arena, sg_slice_str(copy.err.msg));
}

static bool fill_difference(struct sg_rpc *rpc, struct sg_arena *arena, const struct sg_key *key,
                            const size_t tokens[2], const struct pair *pair,
                            Sealgate__V1__TokenDifference *out)
{
    sealgate__v1__token_difference__init(out);
    out->key = resource_name(arena, "keys", key->name);
    if (pair->is_there) {
        out->state = sg_rpc_key_state(pair->state);
        out->state_message = message_of(rpc, arena, key, tokens[0]);
    }
    if (pair->is_other_there) {
        out->other_state = sg_rpc_key_state(pair->other_state);
        out->other_state_message = message_of(rpc, arena, key, tokens[1]);
    }
    return out->key != NULL && out->state_message != NULL && out->other_state_message != NULL;
}

/* As for ListKeys: the key that was told last. */
static enum sg_rc compare(struct sg_rpc *rpc, struct sg_call *call,
                          const Sealgate__V1__CompareTokensRequest *request,
                          Sealgate__V1__CompareTokensResponse *response, struct sg_rpc_error *error)
{
    struct sg_arena *arena = sg_call_arena(call);
    const size_t max = request->page_size == 0         ? PAGE_DEFAULT
                       : request->page_size > PAGE_MAX ? PAGE_MAX
                                                       : request->page_size;
    size_t tokens[2], begin;

    error->field = "name";
    error->resource = request->name;
    SG_TRY(find_token(rpc, request->name, &tokens[0], &error->err));
    error->field = "other";
    error->resource = request->other;
    SG_TRY(find_token(rpc, request->other, &tokens[1], &error->err));
    error->field = "page_token";
    SG_TRY(sg_rpc_page_start(rpc->deps.keys, request->page_token, &begin, &error->err));
    response->differences = sg_arena_alloc(arena, max * sizeof(*response->differences));
    if (response->differences == NULL)
        return SG_FAIL(&error->err, SG_E_LIMIT, 0, "no memory to compare tokens");
    for (size_t i = 0; i < sg_keys_count(rpc->deps.keys); i++) {
        const struct sg_key *key = sg_keys_at(rpc->deps.keys, i);
        struct pair pair;
        const bool is_different = differs(rpc, key, tokens[0], tokens[1], &pair);
        response->keys += pair.is_there;
        response->keys_not_ready += is_different && pair.is_there && pair.state == SG_KEY_READY;
        if (!is_different || i < begin)
            continue;
        if (response->n_differences == max) {
            response->next_page_token = response->differences[max - 1]->key;
            begin = SIZE_MAX; /* the others are only counted */
            continue;
        }
        Sealgate__V1__TokenDifference *difference = sg_arena_alloc(arena, sizeof(*difference));
        if (difference == NULL || !fill_difference(rpc, arena, key, tokens, &pair, difference))
            return SG_FAIL(&error->err, SG_E_LIMIT, 0, "no memory to compare tokens");
        response->differences[response->n_differences++] = difference;
    }
    return SG_OK;
}

static void on_compare(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    Sealgate__V1__CompareTokensResponse response = SEALGATE__V1__COMPARE_TOKENS_RESPONSE__INIT;
    struct sg_rpc_error error = {0};
    const Sealgate__V1__CompareTokensRequest *request = sg_rpc_read(rpc, call, message, false);

    if (request == NULL)
        return;
    if (compare(rpc, call, request, &response, &error) == SG_OK)
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail(rpc, call, &error);
}

/* Draining and resuming ---------------------------------------------------------------------- */

/* One of either. Lives until it is recorded, done and kept, and the call is closed. */
struct change {
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL once closed */
    size_t token;
    bool is_drain, is_running;
    struct sg_audit_entry entry;
    struct sg_audit_task keeping;
    struct sg_buf drained;     /* what is kept */
    struct sg_rpc_error error; /* of keeping */
};

static void change_free(struct change *change)
{
    sg_audit_entry_done(&change->entry);
    sg_buf_done(&change->drained);
    free(change);
}

static void act(struct change *change)
{
    if (change->is_drain)
        sg_hsm_drain(change->rpc->deps.hsm, change->token);
    else
        sg_hsm_resume(change->rpc->deps.hsm, change->token);
}

/* Answers, where somebody still waits. */
static void finish(struct change *change)
{
    change->is_running = false;
    if (change->call == NULL)
        change_free(change);
    else if (change->error.err.rc != SG_OK)
        sg_rpc_fail(change->rpc, change->call, &change->error);
    else
        reply_token(change->rpc, change->call, change->token);
}

/* On the reading thread, where one follows the other: the last list is the newest. */
static void keep_run(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct change *change = SG_CONTAINER(task, struct change, keeping);
    struct sg_err why = {0};

    (void)reader;
    if (sg_folder_put(change->rpc->deps.config->drained_file, sg_buf_slice(&change->drained),
                      &why) != SG_OK)
        SG_REFUSE(&change->error.err, SG_R_STORE_UNAVAILABLE,
                  "it is done, but a gateway that starts again will not know: %s", why.msg);
}

static void keep_done(struct sg_audit_task *task)
{
    finish(SG_CONTAINER(task, struct change, keeping));
}

static enum sg_rc keep(struct change *change, struct sg_err *err)
{
    sg_buf_init(&change->drained, SG_DRAINED_BYTES_MAX);
    sg_drained_list(change->rpc->deps.hsm, &change->drained);
    SG_TRY(sg_buf_check(&change->drained, err));
    change->keeping = (struct sg_audit_task){.run = keep_run, .done = keep_done};
    return sg_audit_ask(change->rpc->deps.audit, &change->keeping, err);
}

/* What is recorded is done, though nobody waits for it any more. */
static void on_recorded(struct sg_audit_entry *entry)
{
    struct change *change = SG_CONTAINER(entry, struct change, entry);

    if (entry->outcome == SG_AUDIT_WRITTEN) {
        act(change);
        if (keep(change, &change->error.err) == SG_OK)
            return;
    } else {
        change->error = (struct sg_rpc_error){.err = entry->err, .retry_ms = entry->retry_ms};
    }
    finish(change);
}

static enum sg_rc record(struct change *change, const char *reason, struct sg_err *err)
{
    struct sg_hsm_token_info info;
    struct sg_audit_record record = {.event = change->is_drain ? SG_AUDIT_TOKEN_DRAINED
                                                               : SG_AUDIT_TOKEN_RESUMED,
                                     .time_ns = sg_wall_ns(change->rpc->deps.clock),
                                     .rule_set = sg_slice_str(sg_rpc_rule_set),
                                     .detail = sg_slice_str(reason)};

    sg_hsm_token_info(change->rpc->deps.hsm, change->token, &info);
    sg_rpc_begin_record(change->call, &record);
    record.token = sg_slice_str(info.name);
    record.rule = sg_slice_str(sg_rpc_rule(change->rpc, change->call));
    change->entry.done = on_recorded;
    return sg_audit_submit(change->rpc->deps.audit, &record, &change->entry, err);
}

static enum sg_rc begin_change(struct change *change, const char *name, const char *reason,
                               struct sg_rpc_error *error)
{
    error->field = "name";
    error->resource = name;
    SG_TRY(find_token(change->rpc, name, &change->token, &error->err));
    error->field = "reason";
    if (reason[0] == '\0' || strlen(reason) > REASON_BYTES_MAX)
        return SG_REFUSE(&error->err, SG_R_BAD_CHANGE_REASON,
                         "why must be said in 1 to %d bytes, for the audit log", REASON_BYTES_MAX);
    error->field = NULL;
    if (change->rpc->deps.audit == NULL) { /* a program of ours that records nothing */
        act(change);
        finish(change);
        return SG_OK;
    }
    SG_TRY(record(change, reason, &error->err));
    change->is_running = true;
    return SG_OK;
}

static void on_change(struct sg_rpc *rpc, struct sg_call *call, bool is_drain, const char *name,
                      const char *reason)
{
    struct sg_rpc_error error = {0};
    struct change *change = calloc(1, sizeof(*change));

    if (change == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    *change = (struct change){.rpc = rpc, .call = call, .is_drain = is_drain};
    sg_rpc_set_user(call, change);
    if (begin_change(change, name, reason, &error) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
}

static void on_drain(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__DrainTokenRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request != NULL)
        on_change(rpc, call, true, request->name, request->reason);
}

static void on_resume(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__ResumeTokenRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request != NULL)
        on_change(rpc, call, false, request->name, request->reason);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct change *change = sg_rpc_user(call);
    if (change == NULL)
        return;
    change->call = NULL;
    if (!change->is_running)
        change_free(change);
}

const struct sg_handler sg_handle_list_tokens = {.message = on_list};
const struct sg_handler sg_handle_get_token = {.message = on_get};
const struct sg_handler sg_handle_compare_tokens = {.message = on_compare};
const struct sg_handler sg_handle_drain_token = {.message = on_drain, .closed = on_closed};
const struct sg_handler sg_handle_resume_token = {.message = on_resume, .closed = on_closed};
