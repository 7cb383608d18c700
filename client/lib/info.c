#include "client/lib/client_priv.h"
#include "client/lib/codec.h"
#include "grpc/health/v1/health.pb-c.h"
#include "sealgate/v1/info.pb-c.h"

/* GetServerInfo, GetCapacity, and grpc.health.v1. */

/* ---- GetServerInfo -------------------------------------------------------------------------- */

static enum sealgate_code info_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                      struct sg_arena *arena, void *body,
                                      struct sealgate_error *error)
{
    const Sealgate__V1__ServerInfo *in = (const Sealgate__V1__ServerInfo *)answer;
    struct sealgate_server_info *info = body;
    const char **services = sg_arena_alloc(arena, (in->n_services + 1) * sizeof(const char *));
    enum sealgate_scheme *schemes = sg_arena_alloc(arena, (in->n_schemes + 1) * sizeof(*schemes));
    enum sealgate_digest *digests = sg_arena_alloc(arena, (in->n_digests + 1) * sizeof(*digests));
    struct sealgate_token_health *tokens =
        sg_arena_alloc(arena, (in->n_tokens + 1) * sizeof(*tokens));

    (void)call;
    if (services == NULL || schemes == NULL || digests == NULL || tokens == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    for (size_t i = 0; i < in->n_services; i++)
        services[i] = in->services[i];
    for (size_t i = 0; i < in->n_schemes; i++)
        schemes[i] = (enum sealgate_scheme)in->schemes[i];
    for (size_t i = 0; i < in->n_digests; i++)
        digests[i] = (enum sealgate_digest)in->digests[i];
    for (size_t i = 0; i < in->n_tokens; i++)
        tokens[i] = (struct sealgate_token_health){in->tokens[i]->token,
                                                   (enum sealgate_token_state)in->tokens[i]->state};
    *info = (struct sealgate_server_info){
        .version = in->version,
        .server_time_ns = sg_client_time_ns(in->server_time),
        .start_time_ns = sg_client_time_ns(in->start_time),
        .services = services,
        .service_count = in->n_services,
        .schemes = schemes,
        .scheme_count = in->n_schemes,
        .digests = digests,
        .digest_count = in->n_digests,
        .caller = in->caller,
        .tokens = tokens,
        .token_count = in->n_tokens,
    };
    if (in->limits != NULL) {
        info->message_bytes_max = in->limits->message_bytes_max;
        info->batch_items_max = in->limits->batch_items_max;
        info->stream_items_max = in->limits->stream_items_max;
        info->ed25519_bytes_max = in->limits->ed25519_bytes_max;
        info->deadline_max_ms = sg_client_duration_ms(in->limits->deadline_max);
    }
    return SEALGATE_OK;
}

static void info_deliver(struct sealgate_call *call, const struct sealgate_error *error, void *body)
{
    if (call->fn.server_info != NULL)
        call->fn.server_info(call->user, error, body);
}

static const struct sg_client_method info_method = {
    .path = "/sealgate.v1.InfoService/GetServerInfo",
    .output = &sealgate__v1__server_info__descriptor,
    .body_len = sizeof(struct sealgate_server_info),
    .decode = info_decode,
    .deliver = info_deliver,
};

enum sealgate_code sealgate_server_info_start(struct sealgate_client *client, uint32_t timeout_ms,
                                              sealgate_server_info_fn *fn, void *user,
                                              struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    Sealgate__V1__GetServerInfoRequest message;

    sealgate__v1__get_server_info_request__init(&message);
    return sg_client_unary(client, &info_method, &message.base, timeout_ms,
                           (union sg_client_fn){.server_info = fn}, user, ret, error);
}

enum sealgate_code sealgate_server_info(struct sealgate_client *client, uint32_t timeout_ms,
                                        struct sealgate_server_info **ret,
                                        struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_server_info_start(client, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetCapacity ---------------------------------------------------------------------------- */

static enum sealgate_code capacity_decode(struct sealgate_call *call,
                                          const ProtobufCMessage *answer, struct sg_arena *arena,
                                          void *body, struct sealgate_error *error)
{
    const Sealgate__V1__Capacities *in = (const Sealgate__V1__Capacities *)answer;
    struct sealgate_token *tokens = sg_arena_alloc(arena, (in->n_tokens + 1) * sizeof(*tokens));
    struct sealgate_capacity *capacity = body;

    (void)call;
    if (tokens == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                              "could not keep the answer: out of memory");
    for (size_t i = 0; i < in->n_tokens; i++)
        tokens[i] = (struct sealgate_token){
            .name = in->tokens[i]->token,
            .state = (enum sealgate_token_state)in->tokens[i]->state,
            .workers = in->tokens[i]->workers,
            .in_flight = in->tokens[i]->in_flight,
            .waiting = in->tokens[i]->waiting,
            .estimated_wait_ms = sg_client_duration_ms(in->tokens[i]->estimated_wait),
        };
    *capacity = (struct sealgate_capacity){tokens, in->n_tokens};
    return SEALGATE_OK;
}

static void capacity_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                             void *body)
{
    if (call->fn.capacity != NULL)
        call->fn.capacity(call->user, error, body);
}

static const struct sg_client_method capacity_method = {
    .path = "/sealgate.v1.InfoService/GetCapacity",
    .output = &sealgate__v1__capacities__descriptor,
    .body_len = sizeof(struct sealgate_capacity),
    .decode = capacity_decode,
    .deliver = capacity_deliver,
};

enum sealgate_code sealgate_capacity_start(struct sealgate_client *client, uint32_t timeout_ms,
                                           sealgate_capacity_fn *fn, void *user,
                                           struct sealgate_call **ret, struct sealgate_error *error)
{
    Sealgate__V1__GetCapacityRequest message;

    sealgate__v1__get_capacity_request__init(&message);
    return sg_client_unary(client, &capacity_method, &message.base, timeout_ms,
                           (union sg_client_fn){.capacity = fn}, user, ret, error);
}

enum sealgate_code sealgate_capacity(struct sealgate_client *client, uint32_t timeout_ms,
                                     struct sealgate_capacity **ret, struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code = sealgate_capacity_start(client, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- Health --------------------------------------------------------------------------------- */

static enum sealgate_code health_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    (void)call;
    (void)arena;
    (void)error;
    *(enum sealgate_health *)body =
        (enum sealgate_health)((const Grpc__Health__V1__HealthCheckResponse *)answer)->status;
    return SEALGATE_OK;
}

static void health_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                           void *body)
{
    if (call->fn.health != NULL)
        call->fn.health(call->user, error,
                        body == NULL ? SEALGATE_HEALTH_UNKNOWN : *(enum sealgate_health *)body);
}

static void watch_changed(struct sealgate_call *call, void *body)
{
    call->fn.watch.changed(call->user, *(enum sealgate_health *)body);
}

static void watch_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                          void *body)
{
    struct sealgate_error ended;

    (void)body;
    if (error == NULL) {
        (void)sg_client_fail(&ended, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                             "the server ended the watch");
        error = &ended;
    }
    call->fn.watch.done(call->user, error);
}

static const struct sg_client_method health_method = {
    .path = "/grpc.health.v1.Health/Check",
    .output = &grpc__health__v1__health_check_response__descriptor,
    .body_len = sizeof(enum sealgate_health),
    .decode = health_decode,
    .deliver = health_deliver,
};

static const struct sg_client_method watch_method = {
    .path = "/grpc.health.v1.Health/Watch",
    .output = &grpc__health__v1__health_check_response__descriptor,
    .body_len = sizeof(enum sealgate_health),
    .decode = health_decode,
    .deliver = watch_deliver,
    .item = watch_changed,
    .sends_once = true,
};

enum sealgate_code sealgate_health_check_start(struct sealgate_client *client, const char *service,
                                               uint32_t timeout_ms, sealgate_health_fn *fn,
                                               void *user, struct sealgate_call **ret,
                                               struct sealgate_error *error)
{
    Grpc__Health__V1__HealthCheckRequest message;

    grpc__health__v1__health_check_request__init(&message);
    message.service = sg_client_text(service);
    return sg_client_unary(client, &health_method, &message.base, timeout_ms,
                           (union sg_client_fn){.health = fn}, user, ret, error);
}

enum sealgate_code sealgate_health_check(struct sealgate_client *client, const char *service,
                                         uint32_t timeout_ms, enum sealgate_health *ret,
                                         struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_health_check_start(client, service, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK) {
        *ret = *(enum sealgate_health *)body;
        sg_box_free(body);
    }
    return code;
}

enum sealgate_code sealgate_health_watch_start(struct sealgate_client *client, const char *service,
                                               uint32_t timeout_ms,
                                               const struct sealgate_watch_events *events,
                                               void *user, struct sealgate_call **ret,
                                               struct sealgate_error *error)
{
    Grpc__Health__V1__HealthCheckRequest message;

    grpc__health__v1__health_check_request__init(&message);
    if (events->changed == NULL || events->done == NULL)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a watch needs its events `changed` and `done`");
    message.service = sg_client_text(service);
    return sg_client_unary(client, &watch_method, &message.base, timeout_ms,
                           (union sg_client_fn){.watch = *events}, user, ret, error);
}
