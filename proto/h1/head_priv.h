#ifndef SG_PROTO_H1_HEAD_PRIV_H
#define SG_PROTO_H1_HEAD_PRIV_H

#include "proto/h1/head.h"

/* What the heads of requests and of answers have in common. */

/* Equal but for the case of ASCII letters; `word` is in lower case. */
bool sg_h1_is_word(struct sg_slice text, const char *word);
/* One number of digits alone. */
bool sg_h1_length_parse(struct sg_slice text, uint64_t *ret);
/* A line without its end; the name is written in lower case where it stands. Errors: SG_E_INVALID.
 */
SG_MUST_USE enum sg_rc sg_h1_field_parse(uint8_t *line, size_t len, struct sg_h1_field *ret,
                                         struct sg_err *err);

#endif
