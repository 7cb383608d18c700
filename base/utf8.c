#include "base/utf8.h"

/* A row per form of RFC 3629 §3, by the bits of the first byte. */
static const struct form {
    uint8_t mask, lead;
    uint8_t len;
    uint32_t least; /* a smaller code point has a shorter form */
} forms[] = {
    {0x80, 0x00, 1, 0},
    {0xe0, 0xc0, 2, 0x80},
    {0xf0, 0xe0, 3, 0x800},
    {0xf8, 0xf0, 4, 0x10000},
};

static const struct form *form_of(uint8_t first)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if ((first & forms[i].mask) == forms[i].lead)
            return &forms[i];
    return NULL;
}

size_t sg_utf8_next(struct sg_slice bytes, uint32_t *ret_char)
{
    const struct form *form = bytes.len == 0 ? NULL : form_of(bytes.ptr[0]);
    if (form == NULL || bytes.len < form->len)
        return 0;

    uint32_t c = bytes.ptr[0] & (uint8_t)~form->mask;
    for (size_t i = 1; i < form->len; i++) {
        if ((bytes.ptr[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (bytes.ptr[i] & 0x3f);
    }
    if (c < form->least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret_char = c;
    return form->len;
}

/* Most of what is judged is ASCII: eight bytes of it at once. */
static void skip_ascii(struct sg_slice *bytes)
{
    uint64_t word;
    size_t at = 0;
    for (; bytes->len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, bytes->ptr + at, sizeof(word));
        if ((word & 0x8080808080808080U) != 0)
            break;
    }
    while (at < bytes->len && bytes->ptr[at] < 0x80)
        at++;
    (void)sg_slice_take(bytes, at);
}

bool sg_utf8_is_valid(struct sg_slice bytes)
{
    for (skip_ascii(&bytes); bytes.len > 0; skip_ascii(&bytes)) {
        uint32_t c;
        size_t len = sg_utf8_next(bytes, &c);
        if (len == 0)
            return false;
        (void)sg_slice_take(&bytes, len);
    }
    return true;
}
