#ifndef SG_BASE_BASE64_H
#define SG_BASE_BASE64_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Base64, RFC 4648 §4 and §5. */
enum sg_base64_alphabet {
    SG_BASE64_STD = 1, /* + and / */
    SG_BASE64_URL,     /* - and _ */
};

enum sg_base64_padding {
    SG_BASE64_PADDED = 1,
    SG_BASE64_UNPADDED,
    SG_BASE64_EITHER, /* for decoding: whole or none at all */
};

/* Appends `bytes`, encoded. */
void sg_base64_encode(struct sg_slice bytes, enum sg_base64_alphabet alphabet,
                      enum sg_base64_padding padding, struct sg_buf *out);

/*
 * Appends `text`, decoded. Strict, so that one byte string has one encoding: no white space, no
 * other alphabet, no bits left over (RFC 4648 §3.5). On failure `out` has not grown.
 *
 * Errors: SG_E_INVALID the text is not base64; SG_E_LIMIT no room in `out`
 */
SG_MUST_USE enum sg_rc sg_base64_decode(struct sg_slice text, enum sg_base64_alphabet alphabet,
                                        enum sg_base64_padding padding, struct sg_buf *out,
                                        struct sg_err *err);

/* Bytes that a text of this length has at most. */
static inline size_t sg_base64_decoded_max(size_t text_len)
{
    return text_len / 4 * 3 + 2;
}

#endif
