#ifndef SG_TESTS_CONFORMANCE_SERVICE_H
#define SG_TESTS_CONFORMANCE_SERVICE_H

#include "tests/support/rpc_host.h"

/* ConformanceService, as its .proto file describes it, on the gateway's own calls. */
struct service {
    struct rpc_host *host; /* set before it runs */
};

struct sg_call_handler service_handler(struct service *service);

#endif
