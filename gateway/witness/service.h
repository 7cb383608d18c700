#ifndef SG_GATEWAY_WITNESS_SERVICE_H
#define SG_GATEWAY_WITNESS_SERVICE_H

#include "base/clock.h"
#include "base/loop.h"
#include "gateway/witness/keeper.h"
#include "proto/grpc/call.h"

/*
 * Requests to a witness, from the loop to the one thread that cosigns, and their answers back.
 *
 * Thread: loop.
 */
struct sg_witness_service;

/* `keeper` belongs to the service's thread until the service is freed. `told` hears of every
 * answer, for a log; `from` is the address of who asked. */
struct sg_witness_service_options {
    struct sg_loop *loop;
    const struct sg_clock *clock;
    struct sg_witness_keeper *keeper;
    void (*told)(void *arg, const char *from, const struct sg_witness_reply *reply);
    void *arg;
};

SG_MUST_USE enum sg_rc sg_witness_service_new(const struct sg_witness_service_options *options,
                                              struct sg_witness_service **ret, struct sg_err *err);
/* No call may be open. */
void sg_witness_service_free(struct sg_witness_service *service);
SG_DEFINE_AUTO(struct sg_witness_service, sg_witness_service_free);

/* POST /add-checkpoint; sg_call_connection() of its calls is a struct sg_rpc_connection. */
extern const struct sg_method_table sg_witness_methods;
const struct sg_call_handler *sg_witness_service_handler(struct sg_witness_service *service);

#endif
