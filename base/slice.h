#ifndef SG_BASE_SLICE_H
#define SG_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that belong to somebody else. Travels by value; {NULL, 0} is empty and valid. */
struct sg_slice {
    const uint8_t *ptr;
    size_t len;
};

/* A string literal as a slice, without its NUL. */
#define SG_SLICE(literal) ((struct sg_slice){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct sg_slice sg_slice_of(const void *ptr, size_t len)
{
    return (struct sg_slice){(const uint8_t *)ptr, len};
}

static inline struct sg_slice sg_slice_str(const char *str)
{
    return sg_slice_of(str, str == NULL ? 0 : strlen(str));
}

/* Cuts the first `n` bytes off `*in`; the caller has checked that they are there. */
static inline struct sg_slice sg_slice_take(struct sg_slice *in, size_t n)
{
    struct sg_slice head = {in->ptr, n};
    if (n > 0)
        in->ptr += n;
    in->len -= n;
    return head;
}

/* Not for secrets: stops at the first difference. */
static inline bool sg_slice_eq(struct sg_slice a, struct sg_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool sg_slice_is(struct sg_slice a, const char *str)
{
    return sg_slice_eq(a, sg_slice_str(str));
}

static inline bool sg_slice_starts(struct sg_slice a, struct sg_slice prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

/* Big-endian numbers, as the wire has them. */
static inline uint32_t sg_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void sg_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline uint64_t sg_be64(const uint8_t *p)
{
    return (uint64_t)sg_be32(p) << 32 | sg_be32(p + 4);
}

static inline void sg_put_be64(uint8_t *p, uint64_t v)
{
    sg_put_be32(p, (uint32_t)(v >> 32));
    sg_put_be32(p + 4, (uint32_t)v);
}

#endif
