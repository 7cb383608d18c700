#include <stdlib.h>

#include "gateway/rpc/sign_message.h"

/*
 * One Sign. It lives until the operation is over and the call is closed, whichever comes last: a
 * client that leaves takes nothing from under the token.
 */
struct sign {
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL once closed */
    struct sg_sign_plan plan;
    struct sg_signing signing;
    bool is_running;
};

static void sign_free(struct sign *sign)
{
    sg_signing_done(&sign->signing);
    free(sign);
}

static void reply(struct sign *sign)
{
    const Sealgate__V1__SignResponse *response =
        sg_sign_response_new(sign->rpc, sg_call_arena(sign->call), &sign->plan, &sign->signing,
                             sg_call_started(sign->call));
    if (response != NULL)
        sg_rpc_reply(sign->rpc, sign->call, &response->base, true);
    else
        sg_rpc_fail_memory(sign->rpc, sign->call);
}

static void on_done(void *arg, struct sg_signing *signing)
{
    struct sign *sign = arg;

    sign->is_running = false;
    sg_sign_count(sign->rpc, signing);
    if (sign->call == NULL) {
        sign_free(sign);
        return;
    }
    if (signing->is_signed) {
        reply(sign);
    } else {
        struct sg_rpc_error error = sg_signing_error(signing);
        error.receipt = signing->receipt;
        sg_rpc_fail(sign->rpc, sign->call, &error);
    }
}

static enum sg_rc start(struct sign *sign, struct sg_call *call,
                        const Sealgate__V1__SignRequest *request, struct sg_rpc_error *error)
{
    sign->signing.done = on_done;
    sign->signing.arg = sign;
    enum sg_rc rc = sg_sign_plan_read(sign->rpc, call, request, &sign->plan, error);
    if (rc != SG_OK) {
        sign->is_running = sg_sign_plan_deny(sign->rpc, &sign->plan, &sign->signing, error);
        error->is_recorded = true;
        return sign->is_running ? SG_OK : rc;
    }
    if (sign->plan.is_dry_run) {
        SG_TRY(sg_sign_plan_try(sign->rpc, &sign->plan, &sign->signing.op, error));
        reply(sign);
        return SG_OK;
    }
    rc = sg_sign_plan_start(sign->rpc, &sign->plan, &sign->signing, error);
    sign->is_running = rc == SG_OK;
    return rc;
}

static void on_message(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    struct sg_rpc_error error = {0};
    const Sealgate__V1__SignRequest *request = sg_rpc_read(rpc, call, message, true);
    if (request == NULL)
        return;

    struct sign *sign = calloc(1, sizeof(*sign));
    if (sign == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return;
    }
    sign->rpc = rpc;
    sign->call = call;
    sg_rpc_set_user(call, sign);
    if (start(sign, call, request, &error) != SG_OK)
        sg_rpc_fail(rpc, call, &error);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct sign *sign = sg_rpc_user(call);
    if (sign == NULL)
        return;
    sign->call = NULL;
    if (!sign->is_running)
        sign_free(sign);
}

const struct sg_handler sg_handle_sign = {.message = on_message, .closed = on_closed};
