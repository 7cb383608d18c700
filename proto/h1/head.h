#ifndef SG_PROTO_H1_HEAD_H
#define SG_PROTO_H1_HEAD_H

#include "base/err.h"
#include "base/slice.h"

/*
 * The head of an HTTP/1.1 request (RFC 9112), read strictly: whatever two readers might understand
 * differently is refused, because such differences are how requests are smuggled past proxies.
 */
struct sg_h1_field {
    struct sg_slice name, value; /* the name in lower case */
};

enum { SG_H1_FIELDS_MAX = 100 };

struct sg_h1_head {
    struct sg_slice method, target, host;
    struct sg_h1_field fields[SG_H1_FIELDS_MAX]; /* those that say nothing of the connection */
    size_t field_count;
    uint64_t content_length; /* 0 where there is none */
    bool is_chunked;
    bool wants_close;    /* Connection: close */
    bool wants_continue; /* Expect: 100-continue */
};

/*
 * Looks how far the head reaches, from `*at`, which the first call has as 0 and which moves on.
 *
 * Errors: SG_E_AGAIN   it is not complete
 *         SG_E_LIMIT   it is over `bytes_max`
 *         SG_E_INVALID a line does not end with CR and LF
 */
SG_MUST_USE enum sg_rc sg_h1_head_find(struct sg_slice bytes, size_t bytes_max, size_t *at,
                                       size_t *ret_len, struct sg_err *err);

/*
 * Reads a complete head. It is written to where it stands (names in lower case, a URL's path);
 * `*ret` points into `bytes`.
 *
 * A target is a path, or a whole URL of https (absolute-form, RFC 9112 §3.2.2): then `target` is
 * its path, and `host` what it says and not what the field Host says, which must be there once all
 * the same.
 *
 * Refused: any version but 1.1; any other target; no Host, or two; white space in front of
 * a colon or a line (obs-fold); control characters; Content-Length that is not one number, or
 * beside Transfer-Encoding; any coding but one "chunked"; any expectation but 100-continue; more
 * than SG_H1_FIELDS_MAX fields.
 *
 * Errors: SG_E_INVALID; SG_E_UNSUPPORTED for another version
 */
SG_MUST_USE enum sg_rc sg_h1_head_parse(uint8_t *bytes, size_t len, struct sg_h1_head *ret,
                                        struct sg_err *err);

/* Where a chunked body is (RFC 9112 §7.1). {0} is its beginning. */
struct sg_h1_chunks {
    enum {
        SG_H1_SIZE = 0,
        SG_H1_SIZE_LF,
        SG_H1_DATA,
        SG_H1_CR,
        SG_H1_LF,
        SG_H1_LAST_CR,
        SG_H1_LAST_LF,
        SG_H1_CHUNKS_END
    } state;
    unsigned digits;
    uint64_t left; /* of the chunk */
};

/*
 * Cuts what comes next of the body off `*in`: data of a chunk, or nothing when `*in` is used up or
 * the body has ended (state SG_H1_CHUNKS_END). Extensions and trailers are refused.
 *
 * Errors: SG_E_INVALID; the connection cannot go on
 */
SG_MUST_USE enum sg_rc sg_h1_chunks_next(struct sg_h1_chunks *chunks, struct sg_slice *in,
                                         struct sg_slice *ret, struct sg_err *err);

#endif
