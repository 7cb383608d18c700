#ifndef SG_CLI_SUBJECT_H
#define SG_CLI_SUBJECT_H

#include "base/err.h"
#include "client/include/sealgate.h"

/*
 * The subject of a certificate request, as a person writes it: "CN=Department,O=Agency,C=VN".
 *
 * Attributes stand in the order in which they are written (RFC 4514 would turn them around); a
 * comma or backslash inside a value is written \, or \\. Blanks around an attribute are dropped.
 */
enum { SG_SUBJECT_ATTRIBUTES_MAX = 16, SG_SUBJECT_BYTES_MAX = 2048 };

struct sg_subject {
    struct sealgate_name_attribute attributes[SG_SUBJECT_ATTRIBUTES_MAX]; /* point into text */
    size_t count;
    char text[SG_SUBJECT_BYTES_MAX];
    size_t used;
};

/* Adds the attributes of `text` to `subject`, which was cleared before the first. Errors:
 * SG_E_INVALID; what was added before stays. */
SG_MUST_USE enum sg_rc sg_subject_add(struct sg_subject *subject, const char *text,
                                      struct sg_err *err);

#endif
