#ifndef SG_PROTO_GRPC_FRAME_H
#define SG_PROTO_GRPC_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Length-Prefixed-Message of gRPC over HTTP/2 (PROTOCOL-HTTP2.md): flag (1), length (4, big
 * endian), message. Messages straddle and share DATA frames as they like.
 */
enum { SG_FRAME_PREFIX_LEN = 5 };

struct sg_frame {
    bool is_compressed;
    struct sg_slice body;
};

/*
 * Cuts the next message out of what has arrived so far.
 *
 * On SG_OK `*in` has moved past the message and `ret->body` points into the caller's bytes. On
 * any other result neither has changed.
 *
 * Errors: SG_E_AGAIN    the message is not complete yet
 *         SG_E_LIMIT    it announces more than `body_bytes_max`; known from the prefix, before
 *                       any of the body is held (MESSAGE_TOO_LARGE)
 *         SG_E_INTERNAL its flag is neither 0 nor 1: the peers do not speak the same protocol
 */
SG_MUST_USE enum sg_rc sg_frame_next(struct sg_slice *in, size_t body_bytes_max,
                                     struct sg_frame *ret, struct sg_err *err);

/* The prefix of a message that is not compressed. */
void sg_frame_prefix(uint8_t prefix[SG_FRAME_PREFIX_LEN], uint32_t body_len);

/*
 * Puts the messages of one stream together from its DATA frames. A message that lies whole in
 * one chunk is not copied; of others only what has really arrived is held, never more than the
 * prefix and `body_bytes_max`.
 */
struct sg_frame_reader {
    struct sg_buf held; /* the unfinished message: its prefix and what came of its body */
    size_t body_bytes_max;
    bool is_handed_out; /* `held` is the message that was returned last */
};

void sg_frame_reader_init(struct sg_frame_reader *reader, size_t body_bytes_max);
void sg_frame_reader_done(struct sg_frame_reader *reader);

/*
 * The next message, out of what is held and `*chunk`, which moves on. The body lives until the
 * next call on `reader`, or as long as the chunk's bytes do, whichever is shorter.
 *
 * Errors: SG_E_AGAIN    the chunk is used up; feed the next one
 *         SG_E_LIMIT, SG_E_INTERNAL  as above, or out of memory; the stream cannot go on
 */
SG_MUST_USE enum sg_rc sg_frame_reader_next(struct sg_frame_reader *reader, struct sg_slice *chunk,
                                            struct sg_frame *ret, struct sg_err *err);

/* Whether the stream may end here: no message has begun and not ended. */
bool sg_frame_reader_is_between(const struct sg_frame_reader *reader);

/* Bytes of an unfinished message. */
size_t sg_frame_reader_held(const struct sg_frame_reader *reader);

#endif
