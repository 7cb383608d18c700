#include <stdlib.h>

#include "descriptors.h"
#include "gateway/rpc/rpc_priv.h"
#include "grpc/health/v1/health.pb-c.h"

/*
 * grpc.health.v1. The whole server ("") and SigningService serve while some token is up and its
 * signatures can be recorded; the other services serve until the server drains. Open to anybody:
 * balancers have no certificate, and it tells nothing else.
 */
enum {
    /* A name of a service and its tag; far more than any service here has. Nobody has had to say
     * who he is, and a watch keeps what it was asked for as long as it is open. */
    REQUEST_BYTES_MAX = 1024,
};

struct sg_health_watch {
    struct sg_rpc *rpc;
    struct sg_call *call;
    const char *service; /* in the call's arena */
    int last;            /* told last; -1: nothing yet */
    struct sg_health_watch *next, **link;
};

static bool is_any_token_up(const struct sg_hsm *hsm)
{
    for (size_t i = 0; i < sg_hsm_token_count(hsm); i++) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(hsm, i, &info);
        if (info.state == SG_TOKEN_UP || info.state == SG_TOKEN_SUSPECT)
            return true;
    }
    return false;
}

static bool can_sign(const struct sg_rpc *rpc)
{
    return is_any_token_up(rpc->deps.hsm) &&
           (rpc->deps.audit == NULL || sg_audit_is_well(rpc->deps.audit));
}

static bool is_known(const char *service)
{
    if (service[0] == '\0')
        return true;
    for (size_t i = 0; i < sg_descriptors.service_count; i++) {
        if (strcmp(sg_descriptors.services[i], service) == 0)
            return true;
    }
    return false;
}

static Grpc__Health__V1__HealthCheckResponse__ServingStatus status_of(const struct sg_rpc *rpc,
                                                                      const char *service)
{
    if (!is_known(service))
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    const bool is_for_signing =
        service[0] == '\0' || strcmp(service, "sealgate.v1.SigningService") == 0;
    if (rpc->is_draining || (is_for_signing && !can_sign(rpc)))
        return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}

static const Grpc__Health__V1__HealthCheckRequest *
read_request(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};

    if (message.len <= REQUEST_BYTES_MAX)
        return sg_rpc_read(rpc, call, message, false);
    SG_REFUSE(&error.err, SG_R_MESSAGE_TOO_LARGE, "a request for health has at most %d bytes",
              REQUEST_BYTES_MAX);
    sg_rpc_fail(rpc, call, &error);
    return NULL;
}

static void on_check(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    const Grpc__Health__V1__HealthCheckRequest *request = read_request(rpc, call, message);
    if (request == NULL)
        return;

    response.status = status_of(rpc, request->service);
    if (response.status !=
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN) {
        sg_rpc_reply(rpc, call, &response.base, true);
        return;
    }
    struct sg_rpc_error error = {0};
    SG_REFUSE(&error.err, SG_R_SERVICE_UNKNOWN, "there is no service \"%.100s\" here",
              request->service);
    sg_rpc_fail(rpc, call, &error);
}

/* Tells the watcher when its status has changed since it was told last. */
static void tell(struct sg_health_watch *watch)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status_of(watch->rpc, watch->service);
    if ((int)response.status == watch->last || sg_call_is_over(watch->call))
        return;
    watch->last = (int)response.status;

    /* Not in the arena: a watch may last for months. */
    uint8_t bytes[16];
    struct sg_rpc_error error = {0};
    SG_ASSERT(protobuf_c_message_get_packed_size(&response.base) <= sizeof(bytes));
    size_t len = protobuf_c_message_pack(&response.base, bytes);
    if (sg_rpc_send(watch->call, sg_slice_of(bytes, len), NULL, &error.err) != SG_OK)
        sg_rpc_fail(watch->rpc, watch->call, &error);
}

static void on_watch(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Grpc__Health__V1__HealthCheckRequest *request = read_request(rpc, call, message);
    if (request == NULL)
        return;
    struct sg_health_watch *watch = sg_arena_zalloc(sg_call_arena(call), sizeof(*watch));
    if (watch == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    *watch = (struct sg_health_watch){.rpc = rpc,
                                      .call = call,
                                      .service = request->service,
                                      .last = -1,
                                      .next = rpc->watches,
                                      .link = &rpc->watches};
    if (watch->next != NULL)
        watch->next->link = &watch->next;
    rpc->watches = watch;
    sg_rpc_set_user(call, watch);
    tell(watch);
    if (rpc->is_draining)
        sg_rpc_fail_draining(rpc, call);
}

static void on_watch_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct sg_health_watch *watch = sg_rpc_user(call);
    if (watch == NULL)
        return;
    *watch->link = watch->next;
    if (watch->next != NULL)
        watch->next->link = watch->link;
}

void sg_rpc_health_changed(struct sg_rpc *rpc)
{
    for (struct sg_health_watch *watch = rpc->watches; watch != NULL; watch = watch->next)
        tell(watch);
}

void sg_rpc_drain(struct sg_rpc *rpc)
{
    rpc->is_draining = true;
    sg_rpc_health_changed(rpc);
    for (struct sg_health_watch *watch = rpc->watches; watch != NULL; watch = watch->next)
        sg_rpc_fail_draining(rpc, watch->call);
    sg_sign_streams_drain(rpc);
    if (rpc->leaf_watches != NULL)
        sg_leaf_watches_drain(rpc->leaf_watches);
}

const struct sg_handler sg_handle_health_check = {.access = SG_ACCESS_OPEN, .message = on_check};
const struct sg_handler sg_handle_health_watch = {
    .access = SG_ACCESS_OPEN, .message = on_watch, .closed = on_watch_closed};
