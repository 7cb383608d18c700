#ifndef SG_FORMATS_RAW_PEM_H
#define SG_FORMATS_RAW_PEM_H

#include "base/buf.h"

/* The textual encoding of RFC 7468: appends DER as PEM under this label ("PUBLIC KEY"). */
void sg_pem_encode(const char *label, struct sg_slice der, struct sg_buf *out);

/* Appends the DER of the first block with this label. Errors: SG_E_NOT_FOUND when there is none,
 * SG_E_INVALID when it cannot be read. */
SG_MUST_USE enum sg_rc sg_pem_decode(const char *label, struct sg_slice pem, struct sg_buf *out,
                                     struct sg_err *err);

#endif
