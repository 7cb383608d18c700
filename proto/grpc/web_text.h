#ifndef SG_PROTO_GRPC_WEB_TEXT_H
#define SG_PROTO_GRPC_WEB_TEXT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * The body of application/grpc-web-text (PROTOCOL-WEB.md): base64, in any number of padded
 * segments one behind the other, cut anywhere. {0} is the beginning.
 */
struct sg_web_text {
    uint8_t carry[4]; /* of a group of four letters that is not complete */
    size_t carry_len;
};

/*
 * Appends what `text` and the letters carried over mean; what is left of a group of four is kept
 * for the next call. After a failure the body cannot go on.
 *
 * Errors: SG_E_INVALID MALFORMED_REQUEST: not base64; SG_E_LIMIT no room in `out`
 */
SG_MUST_USE enum sg_rc sg_web_text_decode(struct sg_web_text *state, struct sg_slice text,
                                          struct sg_buf *out, struct sg_err *err);

/* Whether the body may end here. */
bool sg_web_text_is_between(const struct sg_web_text *state);

#endif
