#ifndef SG_GATEWAY_SERVICE_DRAINED_H
#define SG_GATEWAY_SERVICE_DRAINED_H

#include "base/buf.h"
#include "hsm/hsm.h"

/*
 * Which tokens operators have taken out of use, in a file, so that a gateway that starts again, or
 * takes over, leaves them so. A line for each token.
 */
enum { SG_DRAINED_BYTES_MAX = 1 << 16 };

/* Drains what the file names; what is no token any more is passed over. Blocks. Thread: the
 * engine's. Errors: SG_E_UNAVAILABLE: there is a file, and it cannot be read; SG_E_INVALID: it is
 * larger than any of ours. */
SG_MUST_USE enum sg_rc sg_drained_read(const char *path, struct sg_hsm *hsm, struct sg_err *err);

/* Appends what the file is to say: the tokens that are drained now. Thread: the engine's. */
void sg_drained_list(const struct sg_hsm *hsm, struct sg_buf *out);

#endif
