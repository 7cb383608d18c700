#ifndef SG_PROTO_GRPC_STATUS_H
#define SG_PROTO_GRPC_STATUS_H

#include "base/err.h"
#include "base/slice.h"

/* gRPC status codes (grpc/grpc doc/statuscodes.md). */
enum sg_grpc_code {
    SG_GRPC_OK = 0,
    SG_GRPC_CANCELLED = 1,
    SG_GRPC_UNKNOWN = 2,
    SG_GRPC_INVALID_ARGUMENT = 3,
    SG_GRPC_DEADLINE_EXCEEDED = 4,
    SG_GRPC_NOT_FOUND = 5,
    SG_GRPC_ALREADY_EXISTS = 6,
    SG_GRPC_PERMISSION_DENIED = 7,
    SG_GRPC_RESOURCE_EXHAUSTED = 8,
    SG_GRPC_FAILED_PRECONDITION = 9,
    SG_GRPC_ABORTED = 10,
    SG_GRPC_OUT_OF_RANGE = 11,
    SG_GRPC_UNIMPLEMENTED = 12,
    SG_GRPC_INTERNAL = 13,
    SG_GRPC_UNAVAILABLE = 14,
    SG_GRPC_DATA_LOSS = 15,
    SG_GRPC_UNAUTHENTICATED = 16,
};

/* How a call ended. All borrowed. Zero is OK; a call that has not ended has no status at all. */
struct sg_status {
    enum sg_grpc_code code;
    struct sg_slice message; /* UTF-8, for people */
    struct sg_slice details; /* google.rpc.Status, encoded; or empty */
};

/* The one code of each class. */
enum sg_grpc_code sg_grpc_code_of(enum sg_rc rc);

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is none. */
const char *sg_grpc_code_name(enum sg_grpc_code code);

/* For a client whose stream died by this HTTP/2 error before a status came. */
enum sg_grpc_code sg_grpc_code_of_h2(uint32_t error);
/* For a client that got this HTTP status and no grpc-status. Servers never go the other way. */
enum sg_grpc_code sg_grpc_code_of_http(int status);

#endif
