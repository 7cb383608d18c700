#include "descriptors.h"
#include "gateway/rpc/rpc_priv.h"
#include "sealgate/v1/info.pb-c.h"

static Sealgate__V1__Limits *limits_new(struct sg_rpc *rpc, struct sg_arena *arena)
{
    const struct sg_config *config = rpc->deps.config;
    Sealgate__V1__Limits *limits = sg_arena_alloc(arena, sizeof(*limits));
    if (limits == NULL)
        return NULL;
    sealgate__v1__limits__init(limits);
    limits->message_bytes_max = (uint32_t)config->message_bytes_max;
    limits->batch_items_max = (uint32_t)config->batch_items_max;
    limits->stream_items_max = (uint32_t)config->stream_items_max;
    limits->ed25519_bytes_max = SG_TBS_BYTES_MAX;
    limits->deadline_max = sg_rpc_duration(arena, config->deadline_ms_max * SG_NS_PER_MS);
    return limits->deadline_max == NULL ? NULL : limits;
}

Sealgate__V1__TokenState sg_rpc_token_state(enum sg_hsm_token_state state)
{
    switch (state) {
    case SG_TOKEN_UP:
        return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_UP;
    case SG_TOKEN_PROBING:
        return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_PROBING;
    case SG_TOKEN_PIN_LATCHED:
        return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_PIN_LATCHED;
    case SG_TOKEN_SUSPECT:
        return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_SUSPECT;
    case SG_TOKEN_DRAINING:
        return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DRAINING;
    case SG_TOKEN_DOWN:
    case SG_TOKEN_STATE_COUNT:
        break;
    }
    return SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DOWN;
}

/* The tokens that have a key which the caller may use; how many. */
static size_t visible_tokens(struct sg_rpc *rpc, const struct sg_call *call,
                             size_t ret[SG_HSM_TOKENS_MAX])
{
    const uint64_t tokens = sg_rpc_sight(rpc, call)->tokens;
    size_t count = 0;

    for (size_t i = 0; i < SG_HSM_TOKENS_MAX; i++)
        if ((tokens & UINT64_C(1) << i) != 0)
            ret[count++] = i;
    return count;
}

static Sealgate__V1__TokenHealth *health_new(struct sg_rpc *rpc, struct sg_arena *arena,
                                             size_t token)
{
    struct sg_hsm_token_info info;
    Sealgate__V1__TokenHealth *health = sg_arena_alloc(arena, sizeof(*health));
    if (health == NULL)
        return NULL;
    sealgate__v1__token_health__init(health);
    sg_hsm_token_info(rpc->deps.hsm, token, &info);
    health->token = (char *)(uintptr_t)info.name; /* packing only reads it */
    health->state = sg_rpc_token_state(info.state);
    return health;
}

/* False: out of memory. */
static bool add_tokens(struct sg_rpc *rpc, struct sg_call *call, Sealgate__V1__ServerInfo *response)
{
    struct sg_arena *arena = sg_call_arena(call);
    size_t tokens[SG_HSM_TOKENS_MAX];
    const size_t count = visible_tokens(rpc, call, tokens);

    response->tokens = sg_arena_alloc(arena, count * sizeof(*response->tokens));
    bool has_memory = response->tokens != NULL;
    for (size_t i = 0; has_memory && i < count; i++) {
        response->tokens[i] = health_new(rpc, arena, tokens[i]);
        has_memory = response->tokens[response->n_tokens++] != NULL;
    }
    return has_memory;
}

static void on_get_server_info(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    static Sealgate__V1__SignatureScheme schemes[SG_SCHEME_COUNT - 1];
    static Sealgate__V1__DigestAlgorithm digests[SG_DIGEST_COUNT - 1];
    Sealgate__V1__ServerInfo response = SEALGATE__V1__SERVER_INFO__INIT;
    struct sg_arena *arena = sg_call_arena(call);

    if (sg_rpc_read(rpc, call, message, false) == NULL)
        return;
    for (unsigned i = 0; i < SG_COUNT(schemes); i++)
        schemes[i] = (Sealgate__V1__SignatureScheme)(i + 1);
    for (unsigned i = 0; i < SG_COUNT(digests); i++)
        digests[i] = (Sealgate__V1__DigestAlgorithm)(i + 1);

    response.version = (char *)(uintptr_t)SG_VERSION; /* packing only reads it */
    response.server_time = sg_rpc_timestamp(arena, sg_wall_ns(rpc->deps.clock));
    response.start_time = sg_rpc_timestamp(arena, rpc->start_wall_ns);
    response.n_services = sg_descriptors.service_count;
    response.services = (char **)(uintptr_t)sg_descriptors.services;
    response.n_schemes = SG_COUNT(schemes);
    response.schemes = schemes;
    response.n_digests = SG_COUNT(digests);
    response.digests = digests;
    response.limits = limits_new(rpc, arena);
    response.caller = sg_rpc_caller_name(call, arena);
    if (response.server_time != NULL && response.start_time != NULL && response.limits != NULL &&
        response.caller != NULL && add_tokens(rpc, call, &response))
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

static Sealgate__V1__TokenCapacity *capacity_new(struct sg_rpc *rpc, struct sg_arena *arena,
                                                 size_t token)
{
    struct sg_hsm_token_info info;
    Sealgate__V1__TokenCapacity *capacity = sg_arena_alloc(arena, sizeof(*capacity));
    if (capacity == NULL)
        return NULL;
    sealgate__v1__token_capacity__init(capacity);
    sg_hsm_token_info(rpc->deps.hsm, token, &info);
    capacity->token = (char *)(uintptr_t)info.name; /* packing only reads it */
    capacity->state = sg_rpc_token_state(info.state);
    capacity->workers = (uint32_t)info.workers;
    capacity->in_flight = (uint32_t)info.in_flight;
    capacity->waiting = (uint32_t)info.waiting;
    capacity->estimated_wait = sg_rpc_duration(arena, info.estimated_wait_ms * SG_NS_PER_MS);
    return capacity->estimated_wait == NULL ? NULL : capacity;
}

static void on_get_capacity(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    Sealgate__V1__Capacities response = SEALGATE__V1__CAPACITIES__INIT;
    struct sg_arena *arena = sg_call_arena(call);
    size_t tokens[SG_HSM_TOKENS_MAX];

    if (sg_rpc_read(rpc, call, message, false) == NULL)
        return;
    const size_t count = visible_tokens(rpc, call, tokens);
    response.tokens = sg_arena_alloc(arena, count * sizeof(*response.tokens));
    bool has_memory = response.tokens != NULL;
    for (size_t i = 0; has_memory && i < count; i++) {
        response.tokens[i] = capacity_new(rpc, arena, tokens[i]);
        has_memory = response.tokens[response.n_tokens++] != NULL;
    }
    if (has_memory)
        sg_rpc_reply(rpc, call, &response.base, true);
    else
        sg_rpc_fail_memory(rpc, call);
}

const struct sg_handler sg_handle_get_server_info = {.message = on_get_server_info};
const struct sg_handler sg_handle_get_capacity = {.message = on_get_capacity};
