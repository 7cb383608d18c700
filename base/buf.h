#ifndef SG_BASE_BUF_H
#define SG_BASE_BUF_H

#include "base/err.h"
#include "base/slice.h"

/*
 * Bytes that this struct owns, growing up to `max`.
 *
 * Failure is sticky: an append that would pass `max`, or finds no memory, sets `failed`, and
 * every later append does nothing. So an encoder writes its fields in a row and tests once.
 */
struct sg_buf {
    uint8_t *ptr;
    size_t len, cap;
    size_t max; /* bytes; set by sg_buf_init */
    bool failed;
};

/* Allocates nothing yet. */
void sg_buf_init(struct sg_buf *buf, size_t max_bytes);
/* Frees the bytes; the buffer is as after sg_buf_init. Wipes nothing: no secrets in here. */
void sg_buf_done(struct sg_buf *buf);
/* Forgets the bytes and the failure, keeps the memory. */
void sg_buf_clear(struct sg_buf *buf);

void sg_buf_add(struct sg_buf *buf, const void *ptr, size_t len);
void sg_buf_add_slice(struct sg_buf *buf, struct sg_slice slice);
void sg_buf_add_str(struct sg_buf *buf, const char *str);
void sg_buf_add_u8(struct sg_buf *buf, uint8_t v);
void sg_buf_add_be32(struct sg_buf *buf, uint32_t v);
void sg_buf_printf(struct sg_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for `len` more bytes at the end, to be written by the caller and then claimed with
 * sg_buf_claim(). NULL when the buffer has failed; the pointer dies at the next call on `buf`.
 */
uint8_t *sg_buf_room(struct sg_buf *buf, size_t len);
void sg_buf_claim(struct sg_buf *buf, size_t len);

/* Drops the first `len` bytes; what follows moves to the front. */
void sg_buf_drop(struct sg_buf *buf, size_t len);

/* What is in it; dies at the next call on `buf`. */
static inline struct sg_slice sg_buf_slice(const struct sg_buf *buf)
{
    return sg_slice_of(buf->ptr, buf->len);
}

/* SG_OK, or SG_E_LIMIT when an append failed. */
SG_MUST_USE enum sg_rc sg_buf_check(const struct sg_buf *buf, struct sg_err *err);

#endif
