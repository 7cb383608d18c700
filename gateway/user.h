#ifndef SG_GATEWAY_USER_H
#define SG_GATEWAY_USER_H

#include <stdint.h>

#include "base/err.h"

/* The ids of a user named in the configuration; both -1 when `name` is NULL or empty. May block on
 * the name service: only at start. Errors: SG_E_INVALID, there is no such user. */
SG_MUST_USE enum sg_rc sg_user_ids(const char *name, int64_t *ret_uid, int64_t *ret_gid,
                                   struct sg_err *err);

#endif
