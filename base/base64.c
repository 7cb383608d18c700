#include "base/base64.h"

static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static uint8_t letter_of(uint32_t value, enum sg_base64_alphabet alphabet)
{
    value &= 63;
    if (value < 62)
        return (uint8_t)common[value];
    if (alphabet == SG_BASE64_URL)
        return value == 62 ? '-' : '_';
    return value == 62 ? '+' : '/';
}

/* The six bits of a letter, or -1. */
static int value_of(uint8_t c, enum sg_base64_alphabet alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (alphabet == SG_BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (alphabet == SG_BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

void sg_base64_encode(struct sg_slice bytes, enum sg_base64_alphabet alphabet,
                      enum sg_base64_padding padding, struct sg_buf *out)
{
    SG_ASSERT(padding != SG_BASE64_EITHER);
    if (bytes.len > SIZE_MAX / 2) {
        out->failed = true;
        return;
    }
    uint8_t *to = sg_buf_room(out, (bytes.len + 2) / 3 * 4);
    if (to == NULL)
        return;

    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t bits = (uint32_t)bytes.ptr[i] << 16;
        if (left > 1)
            bits |= (uint32_t)bytes.ptr[i + 1] << 8;
        if (left > 2)
            bits |= bytes.ptr[i + 2];
        for (size_t k = 0; k <= left; k++)
            to[n++] = letter_of(bits >> (18 - 6 * k), alphabet);
        for (size_t k = left; k < 3 && padding == SG_BASE64_PADDED; k++)
            to[n++] = '=';
    }
    sg_buf_claim(out, n);
}

/* Takes the padding off; false when it is not as asked for. */
static bool strip_padding(struct sg_slice *text, enum sg_base64_padding padding)
{
    size_t pad = 0;
    while (pad < 2 && pad < text->len && text->ptr[text->len - 1 - pad] == '=')
        pad++;

    if (pad > 0 && (padding == SG_BASE64_UNPADDED || text->len % 4 != 0))
        return false;
    if (padding == SG_BASE64_PADDED && text->len % 4 != 0)
        return false;
    text->len -= pad;
    return true;
}

enum sg_rc sg_base64_decode(struct sg_slice text, enum sg_base64_alphabet alphabet,
                            enum sg_base64_padding padding, struct sg_buf *out, struct sg_err *err)
{
    if (!strip_padding(&text, padding) || text.len % 4 == 1)
        return SG_FAIL(err, SG_E_INVALID, 0, "base64 text has a wrong length or padding");

    uint8_t *to = sg_buf_room(out, sg_base64_decoded_max(text.len));
    if (to == NULL)
        return sg_buf_check(out, err);

    size_t n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.ptr[i], alphabet);
        if (value < 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "base64 text has a byte outside its alphabet");
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & ((1U << have) - 1)) != 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "base64 text has bits left over");
    sg_buf_claim(out, n);
    return SG_OK;
}
