#ifndef SG_PROTO_GRPC_METHOD_H
#define SG_PROTO_GRPC_METHOD_H

#include <protobuf-c/protobuf-c.h>

#include "base/slice.h"
#include "proto/pb/types.h"

/*
 * One RPC as the descriptor set tells of it. The table is generated at build time from the
 * .proto files (ops/build/gen_methods.py) and serves every protocol alike.
 */
struct sg_method {
    unsigned id;         /* enum sg_method_id of the generated table */
    const char *path;    /* "/sealgate.v1.SigningService/Sign" */
    const char *service; /* "sealgate.v1.SigningService" */
    const char *name;    /* "Sign" */
    const ProtobufCMessageDescriptor *input, *output;
    bool client_streaming, server_streaming;
    bool no_side_effects; /* idempotency_level = NO_SIDE_EFFECTS */
};

/* Sorted by path; with the types that its messages are made of. */
struct sg_method_table {
    const struct sg_method *methods;
    size_t count;
    const struct sg_pb_types *types;
    /* Its methods are resources of plain HTTP: POST, any content type, the body as it is, and an
     * answer by sg_call_answer(). No protocol of calls is spoken. */
    bool is_plain;
};

/* The method of this path, case-sensitive, or NULL. */
const struct sg_method *sg_method_find(const struct sg_method_table *table, struct sg_slice path);

#endif
