#ifndef SG_PROTO_GRPC_CONNECT_H
#define SG_PROTO_GRPC_CONNECT_H

#include "base/arena.h"
#include "base/buf.h"
#include "proto/grpc/status.h"
#include "proto/pb/types.h"

/* The grammars of the Connect protocol (connectrpc.com/docs/protocol). */

/* "not_found"; "unknown" for a number that is no failure. */
const char *sg_connect_code_name(enum sg_grpc_code code);
/* "404". Only Connect's unary calls tell a status by HTTP. */
const char *sg_connect_http_status(enum sg_grpc_code code);

/*
 * Appends {"code", "message", "details"}. The details of `status` become {"type", "value"} each,
 * and "debug" with the detail as JSON where `types` has its type: for people who read it in curl.
 */
void sg_connect_put_error(const struct sg_pb_types *types, const struct sg_status *status,
                          struct sg_buf *out);

/*
 * connect-timeout-ms: one to ten digits.
 *
 * Errors: SG_E_INVALID MALFORMED_REQUEST
 */
SG_MUST_USE enum sg_rc sg_connect_timeout_parse(struct sg_slice text, int64_t *ret_ns,
                                                struct sg_err *err);

/* What the query of a GET says. An empty slice with a NULL pointer: it does not. */
struct sg_connect_query {
    struct sg_slice version;     /* connect= */
    struct sg_slice encoding;    /* "proto", "json" */
    struct sg_slice message;     /* out of its base64 already */
    struct sg_slice compression; /* "gzip", "identity" */
    struct sg_slice base64;      /* "1" */
};

/*
 * Parameters in any order; unknown ones are ignored. What is decoded lies in `arena`.
 *
 * Errors: SG_E_INVALID MALFORMED_REQUEST: a parameter comes twice, an escape or the base64 is wrong
 *         SG_E_LIMIT   MESSAGE_TOO_LARGE: the arena is full
 */
SG_MUST_USE enum sg_rc sg_connect_query_parse(struct sg_slice query, struct sg_arena *arena,
                                              struct sg_connect_query *ret, struct sg_err *err);

#endif
