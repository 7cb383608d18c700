#ifndef SG_FORMATS_RAW_SPKI_FILE_H
#define SG_FORMATS_RAW_SPKI_FILE_H

#include "base/buf.h"

/*
 * The public key in a file that a person has at hand, as DER SubjectPublicKeyInfo appended to
 * `spki`; sg_public_key_parse() judges it then. Of a certificate only the key is taken: neither
 * its signature, its time, nor its issuer is looked at.
 *
 * Errors: SG_E_INVALID or SG_E_NOT_FOUND: the file holds something else; SG_E_LIMIT: no room.
 */

/* PEM "PUBLIC KEY" (RFC 7468 section 13), or the same in DER. */
SG_MUST_USE enum sg_rc sg_spki_of_public_key(struct sg_slice file, struct sg_buf *spki,
                                             struct sg_err *err);
/* PEM "CERTIFICATE", the first one in the file, or one in DER. */
SG_MUST_USE enum sg_rc sg_spki_of_certificate(struct sg_slice file, struct sg_buf *spki,
                                              struct sg_err *err);

#endif
