#ifndef SG_BASE_UTF8_H
#define SG_BASE_UTF8_H

#include "base/slice.h"

/*
 * The first character of the bytes: its length (1 to 4), and its code point in `*ret_char`.
 * Returns 0 when the bytes are empty or do not begin with well-formed UTF-8 (RFC 3629 §4:
 * nothing overlong, no surrogates, nothing over U+10FFFF).
 */
size_t sg_utf8_next(struct sg_slice bytes, uint32_t *ret_char);

/* Whether all of it is well-formed. NUL is; refuse it apart where it must not be. */
bool sg_utf8_is_valid(struct sg_slice bytes);

#endif
