#include "client/lib/client_priv.h"
#include "client/lib/codec.h"
#include "sealgate/v1/tokens.pb-c.h"

/* ListTokens, GetToken, DrainToken, ResumeToken, CompareTokens. */

static enum sealgate_code no_memory(struct sealgate_error *error)
{
    return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                          "could not keep the answer: out of memory");
}

static struct sealgate_token_info info_of(const Sealgate__V1__Token *in)
{
    return (struct sealgate_token_info){
        .name = in->name,
        .state = (enum sealgate_token_state)in->state,
        .state_message = in->state_message,
        .workers = in->workers,
        .in_flight = in->in_flight,
        .waiting = in->waiting,
        .estimated_wait_ms = sg_client_duration_ms(in->estimated_wait),
        .keys_active = in->keys_active,
        .keys_loading = in->keys_loading,
        .keys_unusable = in->keys_unusable,
        .keys_quarantined = in->keys_quarantined,
        .signed_count = in->signed_count,
        .failed_count = in->failed_count,
        .retried_count = in->retried_count,
        .hedged_count = in->hedged_count,
        .refuted_count = in->refuted_count,
        .restart_count = in->restart_count,
    };
}

/* ---- ListTokens ----------------------------------------------------------------------------- */

static enum sealgate_code list_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                      struct sg_arena *arena, void *body,
                                      struct sealgate_error *error)
{
    const Sealgate__V1__ListTokensResponse *in = (const Sealgate__V1__ListTokensResponse *)answer;
    struct sealgate_token_info *tokens =
        sg_arena_alloc(arena, (in->n_tokens + 1) * sizeof(*tokens));
    struct sealgate_token_list *list = body;

    (void)call;
    if (tokens == NULL)
        return no_memory(error);
    for (size_t i = 0; i < in->n_tokens; i++)
        tokens[i] = info_of(in->tokens[i]);
    *list = (struct sealgate_token_list){tokens, in->n_tokens};
    return SEALGATE_OK;
}

static void list_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.list_tokens != NULL)
        call->fn.list_tokens(call->user, error, body);
}

static const struct sg_client_method list_method = {
    .path = "/sealgate.v1.TokenService/ListTokens",
    .output = &sealgate__v1__list_tokens_response__descriptor,
    .body_len = sizeof(struct sealgate_token_list),
    .decode = list_decode,
    .deliver = list_deliver,
};

enum sealgate_code sealgate_list_tokens_start(struct sealgate_client *client, uint32_t timeout_ms,
                                              sealgate_list_tokens_fn *fn, void *user,
                                              struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    Sealgate__V1__ListTokensRequest message;

    sealgate__v1__list_tokens_request__init(&message);
    return sg_client_unary(client, &list_method, &message.base, timeout_ms,
                           (union sg_client_fn){.list_tokens = fn}, user, ret, error);
}

enum sealgate_code sealgate_list_tokens(struct sealgate_client *client, uint32_t timeout_ms,
                                        struct sealgate_token_list **ret,
                                        struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_list_tokens_start(client, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetToken, DrainToken, ResumeToken ------------------------------------------------------ */

static enum sealgate_code token_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                       struct sg_arena *arena, void *body,
                                       struct sealgate_error *error)
{
    (void)call, (void)arena, (void)error;
    *(struct sealgate_token_info *)body = info_of((const Sealgate__V1__Token *)answer);
    return SEALGATE_OK;
}

static void token_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                          void *body)
{
    if (call->fn.token != NULL)
        call->fn.token(call->user, error, body);
}

#define TOKEN_METHOD(name)                                                                         \
    {                                                                                              \
        .path = "/sealgate.v1.TokenService/" name, .output = &sealgate__v1__token__descriptor,     \
        .body_len = sizeof(struct sealgate_token_info), .decode = token_decode,                    \
        .deliver = token_deliver,                                                                  \
    }
static const struct sg_client_method get_method = TOKEN_METHOD("GetToken"),
                                     drain_method = TOKEN_METHOD("DrainToken"),
                                     resume_method = TOKEN_METHOD("ResumeToken");

enum sealgate_code sealgate_get_token_start(struct sealgate_client *client, const char *name,
                                            uint32_t timeout_ms, sealgate_token_fn *fn, void *user,
                                            struct sealgate_call **ret,
                                            struct sealgate_error *error)
{
    Sealgate__V1__GetTokenRequest message;

    sealgate__v1__get_token_request__init(&message);
    message.name = sg_client_text(name);
    return sg_client_unary(client, &get_method, &message.base, timeout_ms,
                           (union sg_client_fn){.token = fn}, user, ret, error);
}

enum sealgate_code sealgate_drain_token_start(struct sealgate_client *client, const char *name,
                                              const char *reason, uint32_t timeout_ms,
                                              sealgate_token_fn *fn, void *user,
                                              struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    Sealgate__V1__DrainTokenRequest message;

    sealgate__v1__drain_token_request__init(&message);
    message.name = sg_client_text(name);
    message.reason = sg_client_text(reason);
    return sg_client_unary(client, &drain_method, &message.base, timeout_ms,
                           (union sg_client_fn){.token = fn}, user, ret, error);
}

enum sealgate_code sealgate_resume_token_start(struct sealgate_client *client, const char *name,
                                               const char *reason, uint32_t timeout_ms,
                                               sealgate_token_fn *fn, void *user,
                                               struct sealgate_call **ret,
                                               struct sealgate_error *error)
{
    Sealgate__V1__ResumeTokenRequest message;

    sealgate__v1__resume_token_request__init(&message);
    message.name = sg_client_text(name);
    message.reason = sg_client_text(reason);
    return sg_client_unary(client, &resume_method, &message.base, timeout_ms,
                           (union sg_client_fn){.token = fn}, user, ret, error);
}

static enum sealgate_code wait_token(enum sealgate_code code, struct sealgate_call *call,
                                     struct sealgate_token_info **ret, struct sealgate_error *error)
{
    void *body;

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

enum sealgate_code sealgate_get_token(struct sealgate_client *client, const char *name,
                                      uint32_t timeout_ms, struct sealgate_token_info **ret,
                                      struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    const enum sealgate_code code =
        sealgate_get_token_start(client, name, timeout_ms, NULL, NULL, &call, error);
    return wait_token(code, call, ret, error);
}

enum sealgate_code sealgate_drain_token(struct sealgate_client *client, const char *name,
                                        const char *reason, uint32_t timeout_ms,
                                        struct sealgate_token_info **ret,
                                        struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    const enum sealgate_code code =
        sealgate_drain_token_start(client, name, reason, timeout_ms, NULL, NULL, &call, error);
    return wait_token(code, call, ret, error);
}

enum sealgate_code sealgate_resume_token(struct sealgate_client *client, const char *name,
                                         const char *reason, uint32_t timeout_ms,
                                         struct sealgate_token_info **ret,
                                         struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    const enum sealgate_code code =
        sealgate_resume_token_start(client, name, reason, timeout_ms, NULL, NULL, &call, error);
    return wait_token(code, call, ret, error);
}

/* ---- CompareTokens -------------------------------------------------------------------------- */

static enum sealgate_code compare_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                         struct sg_arena *arena, void *body,
                                         struct sealgate_error *error)
{
    const Sealgate__V1__CompareTokensResponse *in =
        (const Sealgate__V1__CompareTokensResponse *)answer;
    struct sealgate_token_difference *differences =
        sg_arena_alloc(arena, (in->n_differences + 1) * sizeof(*differences));
    struct sealgate_token_comparison *comparison = body;

    (void)call;
    if (differences == NULL)
        return no_memory(error);
    for (size_t i = 0; i < in->n_differences; i++) {
        const Sealgate__V1__TokenDifference *difference = in->differences[i];
        differences[i] = (struct sealgate_token_difference){
            .key = difference->key,
            .state = (enum sealgate_key_state)difference->state,
            .state_message = difference->state_message,
            .other_state = (enum sealgate_key_state)difference->other_state,
            .other_state_message = difference->other_state_message,
        };
    }
    *comparison = (struct sealgate_token_comparison){.differences = differences,
                                                     .count = in->n_differences,
                                                     .next_page_token = in->next_page_token,
                                                     .keys = in->keys,
                                                     .keys_not_ready = in->keys_not_ready};
    return SEALGATE_OK;
}

static void compare_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                            void *body)
{
    if (call->fn.compare_tokens != NULL)
        call->fn.compare_tokens(call->user, error, body);
}

static const struct sg_client_method compare_method = {
    .path = "/sealgate.v1.TokenService/CompareTokens",
    .output = &sealgate__v1__compare_tokens_response__descriptor,
    .body_len = sizeof(struct sealgate_token_comparison),
    .decode = compare_decode,
    .deliver = compare_deliver,
};

enum sealgate_code sealgate_compare_tokens_start(struct sealgate_client *client, const char *name,
                                                 const char *other, uint32_t page_size,
                                                 const char *page_token, uint32_t timeout_ms,
                                                 sealgate_compare_tokens_fn *fn, void *user,
                                                 struct sealgate_call **ret,
                                                 struct sealgate_error *error)
{
    Sealgate__V1__CompareTokensRequest message;

    sealgate__v1__compare_tokens_request__init(&message);
    message.name = sg_client_text(name);
    message.other = sg_client_text(other);
    message.page_size = page_size;
    message.page_token = sg_client_text(page_token);
    return sg_client_unary(client, &compare_method, &message.base, timeout_ms,
                           (union sg_client_fn){.compare_tokens = fn}, user, ret, error);
}

enum sealgate_code sealgate_compare_tokens(struct sealgate_client *client, const char *name,
                                           const char *other, uint32_t page_size,
                                           const char *page_token, uint32_t timeout_ms,
                                           struct sealgate_token_comparison **ret,
                                           struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code = sealgate_compare_tokens_start(
        client, name, other, page_size, page_token, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}
