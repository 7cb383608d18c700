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
    struct sg_sign_op op;
    bool is_running;
};

static void sign_free(struct sign *sign)
{
    sg_sign_op_done(&sign->op);
    free(sign);
}

static void reply(struct sign *sign)
{
    const Sealgate__V1__SignResponse *response = sg_sign_response_new(
        sign->rpc, sg_call_arena(sign->call), &sign->plan, &sign->op, sg_call_started(sign->call));
    if (response != NULL)
        sg_rpc_reply(sign->rpc, sign->call, &response->base, true);
    else
        sg_rpc_fail_memory(sign->rpc, sign->call);
}

static void on_done(void *arg, struct sg_sign_op *op)
{
    struct sign *sign = arg;

    sign->is_running = false;
    sg_sign_count(sign->rpc, op);
    if (sign->call == NULL) {
        sign_free(sign);
        return;
    }
    if (op->is_signed) {
        reply(sign);
    } else {
        struct sg_rpc_error error = {.err = op->err, .retry_ms = op->retry_ms};
        sg_rpc_fail(sign->rpc, sign->call, &error);
    }
}

static enum sg_rc start(struct sign *sign, struct sg_call *call,
                        const Sealgate__V1__SignRequest *request, struct sg_rpc_error *error)
{
    SG_TRY(sg_sign_plan_read(sign->rpc, call, request, &sign->plan, error));
    if (sign->plan.is_dry_run) {
        SG_TRY(sg_sign_plan_try(sign->rpc, &sign->plan, &sign->op, error));
        reply(sign);
        return SG_OK;
    }
    sign->op.done = on_done;
    sign->op.arg = sign;
    enum sg_rc rc =
        sg_sign_start(sign->rpc->deps.signer, &sign->plan.request, &sign->op, &error->err);
    error->retry_ms = sign->op.retry_ms;
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
