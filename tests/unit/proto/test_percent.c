#include "proto/grpc/percent.h"

#include "tests/support/unit.h"

static const struct {
    const char *name, *text, *encoded;
} both_ways[] = {
    {"empty", "", ""},
    {"plain text stays", "no such key: keys/a", "no such key: keys/a"},
    {"the percent sign is escaped", "100%", "100%25"},
    {"tilde stays, DEL does not", "~\x7f", "~%7F"},
    {"line feeds cannot split a header", "a\r\nb", "a%0D%0Ab"},
    {"UTF-8 goes byte by byte, upper case",
     "kh\xc3\xb3"
     "a",
     "kh%C3%B3a"},
};

static void known_texts_are_encoded_and_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(both_ways); i++) {
        struct sg_buf out;
        print_message("  %s\n", both_ways[i].name);
        sg_buf_init(&out, 1000);
        sg_percent_encode(sg_slice_str(both_ways[i].text), &out);
        assert_slice_equal(sg_buf_slice(&out), sg_slice_str(both_ways[i].encoded));
        sg_buf_clear(&out);
        sg_percent_decode(sg_slice_str(both_ways[i].encoded), &out);
        assert_slice_equal(sg_buf_slice(&out), sg_slice_str(both_ways[i].text));
        sg_buf_done(&out);
    }
}

static const struct {
    const char *name, *encoded, *text;
} tolerated[] = {
    {"lower-case hex is read", "%c3%b3", "\xc3\xb3"},
    {"a lone percent stays", "%", "%"},
    {"half an escape at the end stays", "a%4", "a%4"},
    {"letters that are no hex stay", "%zz%4g", "%zz%4g"},
    {"an escape after a false one is read", "%%41", "%A"},
    {"raw bytes stay", "\xff\x01", "\xff\x01"},
};

static void bad_escapes_do_not_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(tolerated); i++) {
        struct sg_buf out;
        print_message("  %s\n", tolerated[i].name);
        sg_buf_init(&out, 1000);
        sg_percent_decode(sg_slice_str(tolerated[i].encoded), &out);
        assert_slice_equal(sg_buf_slice(&out), sg_slice_str(tolerated[i].text));
        sg_buf_done(&out);
    }
}

static void every_byte_survives_the_round_trip(void **state)
{
    (void)state;
    uint8_t all[256];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i;
    struct sg_buf encoded, decoded;
    sg_buf_init(&encoded, 1000);
    sg_buf_init(&decoded, 1000);
    sg_percent_encode(sg_slice_of(all, sizeof(all)), &encoded);
    sg_percent_decode(sg_buf_slice(&encoded), &decoded);
    assert_slice_equal(sg_buf_slice(&decoded), sg_slice_of(all, sizeof(all)));
    sg_buf_done(&encoded);
    sg_buf_done(&decoded);
}

static void a_full_buffer_fails_instead_of_cutting(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 4);
    sg_percent_encode(SG_SLICE("a%%"), &out);
    assert_int_equal(sg_buf_check(&out, NULL), SG_E_LIMIT);
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_are_encoded_and_read_back),
        cmocka_unit_test(bad_escapes_do_not_fail),
        cmocka_unit_test(every_byte_survives_the_round_trip),
        cmocka_unit_test(a_full_buffer_fails_instead_of_cutting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
