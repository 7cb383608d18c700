#include "base/base64.h"

#include "tests/support/unit.h"

enum { STD = SG_BASE64_STD, URL = SG_BASE64_URL };
enum { PADDED = SG_BASE64_PADDED, UNPADDED = SG_BASE64_UNPADDED, EITHER = SG_BASE64_EITHER };

static const struct {
    const char *name, *text;
    int alphabet, padding;
    enum sg_rc rc;
    const char *bytes;
} cases[] = {
    /* RFC 4648 §10 */
    {"empty", "", STD, PADDED, SG_OK, ""},
    {"one byte", "Zg==", STD, PADDED, SG_OK, "f"},
    {"two bytes", "Zm8=", STD, PADDED, SG_OK, "fo"},
    {"three bytes", "Zm9v", STD, PADDED, SG_OK, "foo"},
    {"six bytes", "Zm9vYmFy", STD, EITHER, SG_OK, "foobar"},
    {"one byte, bare", "Zg", STD, UNPADDED, SG_OK, "f"},
    {"two bytes, bare, either way", "Zm8", STD, EITHER, SG_OK, "fo"},
    {"two bytes, padded, either way", "Zm8=", STD, EITHER, SG_OK, "fo"},
    {"the last two letters", "+/+/", STD, PADDED, SG_OK, "\xfb\xff\xbf"},
    {"the last two of the URL alphabet", "-_-_", URL, PADDED, SG_OK, "\xfb\xff\xbf"},
    {"URL letters are not standard", "-_-_", STD, EITHER, SG_E_INVALID, NULL},
    {"standard letters are not URL", "+/+/", URL, EITHER, SG_E_INVALID, NULL},
    {"padding missing", "Zg", STD, PADDED, SG_E_INVALID, NULL},
    {"padding not wanted", "Zg==", STD, UNPADDED, SG_E_INVALID, NULL},
    {"half of the padding", "Zg=", STD, EITHER, SG_E_INVALID, NULL},
    {"too much padding", "Zm9v====", STD, EITHER, SG_E_INVALID, NULL},
    {"padding alone", "==", STD, EITHER, SG_E_INVALID, NULL},
    {"padding inside", "Zg==Zg==", STD, EITHER, SG_E_INVALID, NULL},
    {"one letter is no byte", "Z", STD, EITHER, SG_E_INVALID, NULL},
    {"five letters", "Zm9vY", STD, EITHER, SG_E_INVALID, NULL},
    {"bits left over after one byte", "Zh==", STD, EITHER, SG_E_INVALID, NULL},
    {"bits left over after two bytes", "Zm9", STD, EITHER, SG_E_INVALID, NULL},
    {"a space", "Zm 9", STD, EITHER, SG_E_INVALID, NULL},
    {"a line feed at the end", "Zm9v\n", STD, EITHER, SG_E_INVALID, NULL},
};

static void base64_decode_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf out;
        print_message("  %s\n", cases[i].name);
        sg_buf_init(&out, 100);
        sg_buf_add_str(&out, ">");
        assert_int_equal(sg_base64_decode(sg_slice_str(cases[i].text),
                                          (enum sg_base64_alphabet)cases[i].alphabet,
                                          (enum sg_base64_padding)cases[i].padding, &out, NULL),
                         cases[i].rc);
        struct sg_slice got = sg_buf_slice(&out);
        assert_int_equal(sg_slice_take(&got, 1).ptr[0], '>');
        assert_slice_equal(got, sg_slice_str(cases[i].bytes));
        sg_buf_done(&out);
    }
}

static void every_length_survives_the_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[70];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 251);

    for (size_t len = 0; len <= sizeof(bytes); len++)
        for (int alphabet = STD; alphabet <= URL; alphabet++)
            for (int padding = PADDED; padding <= UNPADDED; padding++) {
                enum sg_base64_alphabet a = (enum sg_base64_alphabet)alphabet;
                enum sg_base64_padding p = (enum sg_base64_padding)padding;
                struct sg_buf text, again;
                sg_buf_init(&text, 200);
                sg_buf_init(&again, 200);
                sg_base64_encode(sg_slice_of(bytes, len), a, p, &text);
                assert_int_equal(text.len,
                                 p == SG_BASE64_PADDED ? (len + 2) / 3 * 4 : (len * 4 + 2) / 3);
                assert_int_equal(sg_base64_decode(sg_buf_slice(&text), a, p, &again, NULL), SG_OK);
                assert_slice_equal(sg_buf_slice(&again), sg_slice_of(bytes, len));
                sg_buf_done(&text);
                sg_buf_done(&again);
            }
}

static void a_full_buffer_is_a_limit(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 3);
    assert_int_equal(
        sg_base64_decode(SG_SLICE("Zm9vYmFy"), SG_BASE64_STD, SG_BASE64_EITHER, &out, NULL),
        SG_E_LIMIT);
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_decode_follows_the_table),
        cmocka_unit_test(every_length_survives_the_round_trip),
        cmocka_unit_test(a_full_buffer_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
