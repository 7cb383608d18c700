#include "base/utf8.h"

#include "tests/support/unit.h"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct {
    const char *name;
    struct sg_slice bytes;
    size_t len; /* 0: refused */
    uint32_t c;
} cases[] = {
    {"nothing", {NULL, 0}, 0, 0},
    {"NUL is a character", BYTES("\0"), 1, 0},
    {"ASCII", BYTES("a"), 1, 'a'},
    {"the last of one byte", BYTES("\x7f"), 1, 0x7f},
    {"the first of two bytes", BYTES("\xc2\x80"), 2, 0x80},
    {"the last of two bytes", BYTES("\xdf\xbf"), 2, 0x7ff},
    {"the first of three bytes", BYTES("\xe0\xa0\x80"), 3, 0x800},
    {"the last before the surrogates", BYTES("\xed\x9f\xbf"), 3, 0xd7ff},
    {"the first after the surrogates", BYTES("\xee\x80\x80"), 3, 0xe000},
    {"the last of three bytes", BYTES("\xef\xbf\xbf"), 3, 0xffff},
    {"the first of four bytes", BYTES("\xf0\x90\x80\x80"), 4, 0x10000},
    {"the last of all", BYTES("\xf4\x8f\xbf\xbf"), 4, 0x10ffff},
    {"a letter of Vietnamese", BYTES("\xe1\xbb\x87"), 3, 0x1ec7},
    {"only the first is judged", BYTES("a\xff"), 1, 'a'},
    {"a continuation alone", BYTES("\x80"), 0, 0},
    {"overlong NUL", BYTES("\xc0\x80"), 0, 0},
    {"overlong slash in two", BYTES("\xc0\xaf"), 0, 0},
    {"overlong DEL in two", BYTES("\xc1\xbf"), 0, 0},
    {"overlong slash in three", BYTES("\xe0\x80\xaf"), 0, 0},
    {"overlong in three, the greatest", BYTES("\xe0\x9f\xbf"), 0, 0},
    {"overlong in four, the greatest", BYTES("\xf0\x8f\xbf\xbf"), 0, 0},
    {"the first surrogate", BYTES("\xed\xa0\x80"), 0, 0},
    {"the last surrogate", BYTES("\xed\xbf\xbf"), 0, 0},
    {"one over the last", BYTES("\xf4\x90\x80\x80"), 0, 0},
    {"five bytes", BYTES("\xf8\x88\x80\x80\x80"), 0, 0},
    {"no lead at all", BYTES("\xff"), 0, 0},
    {"a lead inside", BYTES("\xe1\xc3\x87"), 0, 0},
    {"ASCII inside", BYTES("\xc3("), 0, 0},
};

static void next_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        uint32_t c = 12345;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_utf8_next(cases[i].bytes, &c), cases[i].len);
        assert_int_equal(c, cases[i].len == 0 ? 12345 : cases[i].c);
    }
}

static void a_character_cut_short_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        for (size_t len = 0; len < cases[i].len; len++) {
            uint32_t c;
            assert_int_equal(sg_utf8_next(sg_slice_of(cases[i].bytes.ptr, len), &c), 0);
        }
}

/* The other direction, by the table of RFC 3629 §3, to meet every code point once. */
static size_t encode(uint32_t c, uint8_t *out)
{
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(leads[len] | c);
    return len;
}

static void every_code_point_is_read_back_but_the_surrogates(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        size_t len = encode(c, bytes);
        bool is_good = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (sg_utf8_next(sg_slice_of(bytes, len), &back) != (is_good ? len : 0) ||
            (is_good && back != c))
            fail_msg("U+%04X came back as U+%04X", c, back);
    }
}

static void text_is_valid_when_all_of_it_is(void **state)
{
    (void)state;
    assert_true(sg_utf8_is_valid((struct sg_slice){0}));
    assert_true(sg_utf8_is_valid(SG_SLICE("k\u00fd s\u1ed1 \U0001F58B")));
    assert_false(sg_utf8_is_valid(SG_SLICE("abc\xff"
                                           "def")));
    assert_false(sg_utf8_is_valid(SG_SLICE("abc\xe1\xbb")));
}

/* ASCII is skipped by the word: what is not must be found at every place of one. */
static void a_wrong_byte_is_found_wherever_it_is(void **state)
{
    char text[40];
    (void)state;
    for (size_t len = 1; len <= sizeof(text); len++) {
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', len);
            text[at] = '\xff';
            assert_false(sg_utf8_is_valid(sg_slice_of(text, len)));
            text[at] = '\x7f';
            assert_true(sg_utf8_is_valid(sg_slice_of(text, len)));
            if (at + 2 > len)
                continue;
            memcpy(text + at, "\xc3\xba", 2);
            assert_true(sg_utf8_is_valid(sg_slice_of(text, len)));
            assert_false(sg_utf8_is_valid(sg_slice_of(text, at + 1)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_follows_the_table),
        cmocka_unit_test(a_character_cut_short_is_refused),
        cmocka_unit_test(every_code_point_is_read_back_but_the_surrogates),
        cmocka_unit_test(text_is_valid_when_all_of_it_is),
        cmocka_unit_test(a_wrong_byte_is_found_wherever_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
