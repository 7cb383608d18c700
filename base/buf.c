#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 256 };

void sg_buf_init(struct sg_buf *buf, size_t max_bytes)
{
    *buf = (struct sg_buf){.max = max_bytes};
}

void sg_buf_done(struct sg_buf *buf)
{
    free(buf->ptr);
    sg_buf_init(buf, buf->max);
}

void sg_buf_clear(struct sg_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

/* One byte more than `cap` is allocated, for the NUL that printf wants: so a buffer may be filled
 * to its last byte by every kind of append. */
static bool grow(struct sg_buf *buf, size_t need)
{
    size_t cap = buf->cap == 0 ? FIRST_BYTES : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max)
        cap = buf->max;

    uint8_t *ptr = cap == SIZE_MAX ? NULL : realloc(buf->ptr, cap + 1);
    if (ptr == NULL)
        return false;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

uint8_t *sg_buf_room(struct sg_buf *buf, size_t len)
{
    if (buf->failed)
        return NULL;
    bool is_short = buf->ptr == NULL || len > buf->cap - buf->len;
    if (len > buf->max - buf->len || (is_short && !grow(buf, buf->len + len))) {
        buf->failed = true;
        return NULL;
    }
    return buf->ptr + buf->len;
}

void sg_buf_claim(struct sg_buf *buf, size_t len)
{
    SG_ASSERT(len <= buf->cap - buf->len);
    buf->len += len;
}

void sg_buf_add(struct sg_buf *buf, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    uint8_t *room = sg_buf_room(buf, len);
    if (room == NULL)
        return;
    memcpy(room, ptr, len);
    buf->len += len;
}

void sg_buf_add_slice(struct sg_buf *buf, struct sg_slice slice)
{
    sg_buf_add(buf, slice.ptr, slice.len);
}

void sg_buf_add_str(struct sg_buf *buf, const char *str)
{
    sg_buf_add(buf, str, strlen(str));
}

void sg_buf_add_u8(struct sg_buf *buf, uint8_t v)
{
    sg_buf_add(buf, &v, 1);
}

void sg_buf_add_be32(struct sg_buf *buf, uint32_t v)
{
    uint8_t bytes[4];
    sg_put_be32(bytes, v);
    sg_buf_add(buf, bytes, sizeof(bytes));
}

void sg_buf_printf(struct sg_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);

    int len = vsnprintf(NULL, 0, fmt, args);
    uint8_t *room = len < 0 ? NULL : sg_buf_room(buf, (size_t)len);
    if (room != NULL) {
        vsnprintf((char *)room, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    } else {
        buf->failed = true;
    }
    va_end(again);
    va_end(args);
}

void sg_buf_drop(struct sg_buf *buf, size_t len)
{
    SG_ASSERT(len <= buf->len);
    if (len > 0 && len < buf->len)
        memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}

enum sg_rc sg_buf_check(const struct sg_buf *buf, struct sg_err *err)
{
    if (buf->failed)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not append: over %zu bytes, or out of memory",
                       buf->max);
    return SG_OK;
}
