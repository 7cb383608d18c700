#include "proto/grpc/percent.h"

static bool is_literal(uint8_t c)
{
    return c >= 0x20 && c <= 0x7E && c != '%';
}

void sg_percent_encode(struct sg_slice text, struct sg_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_literal(c))
            continue;
        sg_buf_add(out, text.ptr + from, i - from);
        const char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        sg_buf_add(out, escape, sizeof(escape));
        from = i + 1;
    }
    if (from < text.len)
        sg_buf_add(out, text.ptr + from, text.len - from);
}

/* The value of a hexadecimal digit, or -1. */
static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void sg_percent_decode(struct sg_slice encoded, struct sg_buf *out)
{
    for (size_t i = 0; i < encoded.len; i++) {
        uint8_t c = encoded.ptr[i];
        if (c == '%' && encoded.len - i > 2) {
            int high = hex(encoded.ptr[i + 1]), low = hex(encoded.ptr[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        sg_buf_add_u8(out, c);
    }
}
