#ifndef SG_FORMATS_X509_NAME_H
#define SG_FORMATS_X509_NAME_H

#include "base/buf.h"

/*
 * The names of a certificate request, from what people write to DER. Pure.
 */
struct sg_name_attribute {
    const char *type;  /* "CN", "O", ... in any case, or a dotted object identifier */
    const char *value; /* UTF-8 */
};

enum { SG_NAME_ATTRIBUTES_MAX = 16 };

/* Appends a DER Name (RFC 5280 §4.1.2.4) with one RDN per attribute, in order. Errors:
 * SG_E_INVALID BAD_SUBJECT: unknown type, a value too long for its type, no CN, too many. */
SG_MUST_USE enum sg_rc sg_name_encode(const struct sg_name_attribute *attributes, size_t count,
                                      struct sg_buf *out, struct sg_err *err);

enum sg_alt_name_kind { SG_ALT_DNS, SG_ALT_URI, SG_ALT_EMAIL };

struct sg_alt_name {
    enum sg_alt_name_kind kind;
    const char *value; /* IA5String: ASCII without control characters */
};

/* Appends a DER GeneralNames (RFC 5280 §4.2.1.6). Errors: SG_E_INVALID BAD_SUBJECT. */
SG_MUST_USE enum sg_rc sg_alt_names_encode(const struct sg_alt_name *names, size_t count,
                                           struct sg_buf *out, struct sg_err *err);

#endif
