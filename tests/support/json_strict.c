#include "tests/support/json_strict.h"

#include "base/utf8.h"

enum { DEPTH_MAX = 32 };

static bool skip_value(struct sg_slice *in, unsigned depth);

static bool skip_byte(struct sg_slice *in, char byte)
{
    if (in->len == 0 || in->ptr[0] != (uint8_t)byte)
        return false;
    (void)sg_slice_take(in, 1);
    return true;
}

static void skip_space(struct sg_slice *in)
{
    while (skip_byte(in, ' ') || skip_byte(in, '\t') || skip_byte(in, '\n') || skip_byte(in, '\r'))
        ;
}

static bool is_digit(struct sg_slice in)
{
    return in.len > 0 && in.ptr[0] >= '0' && in.ptr[0] <= '9';
}

static bool skip_digits(struct sg_slice *in)
{
    if (!is_digit(*in))
        return false;
    while (is_digit(*in))
        (void)sg_slice_take(in, 1);
    return true;
}

/* RFC 8259 §6 */
static bool skip_number(struct sg_slice *in)
{
    (void)skip_byte(in, '-');
    if (!skip_byte(in, '0') && !skip_digits(in))
        return false;
    if (skip_byte(in, '.') && !skip_digits(in))
        return false;
    if (skip_byte(in, 'e') || skip_byte(in, 'E')) {
        (void)(skip_byte(in, '+') || skip_byte(in, '-'));
        return skip_digits(in);
    }
    return true;
}

static bool skip_escape(struct sg_slice *in)
{
    if (!skip_byte(in, 'u')) {
        bool is_known = in->len > 0 && in->ptr[0] != 0 && strchr("\"\\/bfnrt", in->ptr[0]) != NULL;
        if (is_known)
            (void)sg_slice_take(in, 1);
        return is_known;
    }
    for (int i = 0; i < 4; i++) {
        if (in->len == 0 || in->ptr[0] == 0 || strchr("0123456789abcdefABCDEF", in->ptr[0]) == NULL)
            return false;
        (void)sg_slice_take(in, 1);
    }
    return true;
}

/* RFC 8259 §7 */
static bool skip_string(struct sg_slice *in)
{
    if (!skip_byte(in, '"'))
        return false;
    while (!skip_byte(in, '"')) {
        uint32_t c;
        if (skip_byte(in, '\\')) {
            if (!skip_escape(in))
                return false;
            continue;
        }
        size_t len = sg_utf8_next(*in, &c);
        if (len == 0 || c < 0x20)
            return false;
        (void)sg_slice_take(in, len);
    }
    return true;
}

static bool skip_members(struct sg_slice *in, unsigned depth, bool is_object)
{
    char end = is_object ? '}' : ']';
    skip_space(in);
    if (skip_byte(in, end))
        return true;
    do {
        skip_space(in);
        if (is_object) {
            if (!skip_string(in))
                return false;
            skip_space(in);
            if (!skip_byte(in, ':'))
                return false;
        }
        if (!skip_value(in, depth + 1))
            return false;
    } while (skip_byte(in, ','));
    return skip_byte(in, end);
}

static bool skip_word(struct sg_slice *in, struct sg_slice word)
{
    if (!sg_slice_starts(*in, word))
        return false;
    (void)sg_slice_take(in, word.len);
    return true;
}

static bool skip_value(struct sg_slice *in, unsigned depth)
{
    if (depth > DEPTH_MAX)
        return false;
    skip_space(in);
    bool is_ok;
    if (skip_byte(in, '{'))
        is_ok = skip_members(in, depth, true);
    else if (skip_byte(in, '['))
        is_ok = skip_members(in, depth, false);
    else if (in->len > 0 && in->ptr[0] == '"')
        is_ok = skip_string(in);
    else
        is_ok = skip_word(in, SG_SLICE("true")) || skip_word(in, SG_SLICE("false")) ||
                skip_word(in, SG_SLICE("null")) || skip_number(in);
    skip_space(in);
    return is_ok;
}

bool sg_json_is_strict(struct sg_slice text)
{
    return skip_value(&text, 0) && text.len == 0;
}
