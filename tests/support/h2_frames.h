#ifndef SG_TESTS_SUPPORT_H2_FRAMES_H
#define SG_TESTS_SUPPORT_H2_FRAMES_H

#include "base/buf.h"

/* HTTP/2 frames written by hand, right or wrong, for peers that our own HTTP/2 would never be. */
enum h2_frame_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PUSH_PROMISE = 5,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9,
};
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4 };

void h2_put_frame(struct sg_buf *out, enum h2_frame_type type, unsigned flags, uint32_t stream,
                  struct sg_slice payload);
/* Appends "name: value\n" lines as HPACK literals (RFC 7541 §6.2.2). Aborts when they are no such
 * lines. */
void h2_put_block(struct sg_buf *out, struct sg_slice lines);
/* Such a block as one HEADERS frame that ends it. */
void h2_put_headers(struct sg_buf *out, unsigned flags, uint32_t stream, struct sg_slice lines);

#endif
