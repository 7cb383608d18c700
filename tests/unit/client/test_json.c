#include "client/cli/json.h"

#include "tests/support/json_strict.h"
#include "tests/support/unit.h"

static void assert_json(const struct sg_buf *out, const char *expected)
{
    assert_false(out->failed);
    assert_true(sg_json_is_strict(sg_buf_slice(out)));
    assert_slice_equal(sg_buf_slice(out), sg_slice_str(expected));
}

static void every_kind_of_value_is_written(void **state)
{
    struct sg_buf out;
    struct sg_json json;

    (void)state;
    sg_buf_init(&out, 4096);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "s", "a");
    sg_json_str(&json, "none", NULL);
    sg_json_int(&json, "i", INT64_MIN);
    sg_json_real(&json, "r", 1.25, 1);
    sg_json_bool(&json, "b", true);
    sg_json_base64(&json, "x", SG_SLICE("\xff\x00\x01"));
    sg_json_hex(&json, "h", SG_SLICE("\xff\x00\x01"));
    sg_json_time(&json, "t", INT64_C(1700000000123456789));
    sg_json_time(&json, "never", 0);
    sg_json_begin_array(&json, "a");
    sg_json_end(&json);
    sg_json_begin_array(&json, "nested");
    sg_json_begin_object(&json, NULL);
    sg_json_end(&json);
    sg_json_begin_object(&json, NULL);
    sg_json_int(&json, "n", 1);
    sg_json_end(&json);
    sg_json_int(&json, NULL, -7);
    sg_json_end(&json);
    sg_json_end(&json);
    assert_json(&out, "{\"s\":\"a\",\"none\":\"\",\"i\":-9223372036854775808,\"r\":1.2,\"b\":true,"
                      "\"x\":\"/wAB\",\"h\":\"ff0001\",\"t\":\"2023-11-14T22:13:20.123456Z\","
                      "\"never\":null,\"a\":[],\"nested\":[{},{\"n\":1},-7]}");
    sg_buf_done(&out);
}

static const struct {
    const char *name;
    const char *text;
    size_t len;
    const char *expected;
} strings[] = {
    {"plain", "abc", 3, "\"abc\""},
    {"quotes and backslashes", "a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
    {"controls", "\x00\x01\x1f\n\t\x7f", 6, "\"\\u0000\\u0001\\u001f\\n\\u0009\\u007f\""},
    {"Vietnamese", "k\u00fd s\u1ed1", 8, "\"k\u00fd s\u1ed1\""},
    {"above the BMP", "\U0001F58B", 4, "\"\U0001F58B\""},
    {"a lone continuation", "a\x80z", 3, "\"a\\ufffdz\""},
    {"a sequence cut short", "a\xe1\xbb", 3, "\"a\\ufffd\\ufffd\""},
    {"overlong", "\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},
    {"a surrogate", "\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},
};

static void strings_are_escaped_by_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(strings); i++) {
        struct sg_buf out;
        struct sg_json json;

        print_message("  %s\n", strings[i].name);
        sg_buf_init(&out, 4096);
        json = sg_json_of(&out);
        sg_json_text(&json, NULL, sg_slice_of(strings[i].text, strings[i].len));
        assert_json(&out, strings[i].expected);
        sg_buf_done(&out);
    }
}

static void every_pair_of_bytes_makes_strict_json(void **state)
{
    struct sg_buf out;

    (void)state;
    sg_buf_init(&out, 4096);
    for (unsigned pair = 0; pair <= 0xffff; pair++) {
        uint8_t bytes[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        struct sg_json json = sg_json_of(&out);
        sg_buf_clear(&out);
        sg_json_begin_array(&json, NULL);
        sg_json_text(&json, NULL, sg_slice_of(bytes, 2));
        sg_json_end(&json);
        assert_true(sg_json_is_strict(sg_buf_slice(&out)));
    }
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_written),
        cmocka_unit_test(strings_are_escaped_by_the_table),
        cmocka_unit_test(every_pair_of_bytes_makes_strict_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
