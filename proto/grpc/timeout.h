#ifndef SG_PROTO_GRPC_TIMEOUT_H
#define SG_PROTO_GRPC_TIMEOUT_H

#include "base/err.h"
#include "base/slice.h"

/* grpc-timeout (PROTOCOL-HTTP2.md, Timeout): one to eight digits and a unit, H M S m u n. */

enum { SG_TIMEOUT_TEXT_MAX = 10 }; /* with the NUL */

/*
 * The time in nanoseconds; what does not fit is INT64_MAX, which is longer than anybody waits.
 *
 * Errors: SG_E_INVALID anything else than the above (MALFORMED_REQUEST)
 */
SG_MUST_USE enum sg_rc sg_timeout_parse(struct sg_slice text, int64_t *ret_ns, struct sg_err *err);

/* Writes `ns` in the finest unit whose digits suffice, rounded up: the server must not give up
 * before the client does. What is not positive is the shortest time there is. Returns the length
 * without the NUL. */
size_t sg_timeout_format(int64_t ns, char text[SG_TIMEOUT_TEXT_MAX]);

#endif
