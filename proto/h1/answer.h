#ifndef SG_PROTO_H1_ANSWER_H
#define SG_PROTO_H1_ANSWER_H

#include "base/buf.h"
#include "proto/h1/head.h"

/*
 * The answer to one HTTP/1.1 request of ours (RFC 9112), read as strictly as requests are: status
 * and body are kept, fields that say nothing of the body are not. It answers a POST or GET, on a
 * connection that ends with it.
 */
struct sg_h1_answer {
    unsigned status;    /* 0 before it is known */
    struct sg_buf body; /* grows up to its limit */

    /* Private. */
    struct sg_buf head;
    size_t head_bytes_max, head_at;
    enum { SG_H1_ANSWER_HEAD = 0, SG_H1_ANSWER_BODY, SG_H1_ANSWER_WHOLE } state;
    bool has_length, is_chunked;
    uint64_t left; /* of a body with a length */
    struct sg_h1_chunks chunks;
};

void sg_h1_answer_init(struct sg_h1_answer *answer, size_t head_bytes_max, size_t body_bytes_max);
void sg_h1_answer_done(struct sg_h1_answer *answer);

/*
 * Takes what came; what is behind the answer is not looked at.
 *
 * Errors: SG_E_AGAIN    it is not whole yet
 *         SG_E_INVALID  it is no answer of HTTP/1.1
 *         SG_E_LIMIT    head or body are too long
 */
SG_MUST_USE enum sg_rc sg_h1_answer_feed(struct sg_h1_answer *answer, struct sg_slice bytes,
                                         struct sg_err *err);
/* Nothing more will come, and the other end said so itself. Errors: SG_E_INVALID: it is not whole.
 */
SG_MUST_USE enum sg_rc sg_h1_answer_end(struct sg_h1_answer *answer, struct sg_err *err);

#endif
