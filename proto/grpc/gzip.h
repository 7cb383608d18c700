#ifndef SG_PROTO_GRPC_GZIP_H
#define SG_PROTO_GRPC_GZIP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Appends what a gzip member (RFC 1952) holds, all of it and nothing else. Bounded while
 * inflating: `out` never holds more than its `max`.
 *
 * Errors: SG_E_LIMIT   it would not fit into `out` (MESSAGE_TOO_LARGE), or there is no memory
 *         SG_E_INTERNAL it cannot be inflated, is cut short, or something follows it
 */
SG_MUST_USE enum sg_rc sg_gunzip(struct sg_slice in, struct sg_buf *out, struct sg_err *err);

#endif
