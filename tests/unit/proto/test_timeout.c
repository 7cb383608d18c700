#include "proto/grpc/timeout.h"

#include "base/clock.h"
#include "tests/support/unit.h"

static const struct {
    const char *name, *text;
    enum sg_rc rc;
    int64_t ns;
} cases[] = {
    {"nanoseconds", "1n", SG_OK, 1},
    {"microseconds", "20u", SG_OK, 20000},
    {"milliseconds", "300m", SG_OK, 300 * SG_NS_PER_MS},
    {"seconds", "5S", SG_OK, 5 * SG_NS_PER_S},
    {"minutes", "2M", SG_OK, 120 * SG_NS_PER_S},
    {"hours", "1H", SG_OK, 3600 * SG_NS_PER_S},
    {"zero has passed already", "0n", SG_OK, 0},
    {"leading zeros count as digits", "00000001S", SG_OK, SG_NS_PER_S},
    {"eight digits", "99999999S", SG_OK, 99999999 * SG_NS_PER_S},
    {"more than there is, is the most there is", "99999999H", SG_OK, INT64_MAX},
    {"nine digits", "100000000n", SG_E_INVALID, 0},
    {"empty", "", SG_E_INVALID, 0},
    {"no digits", "S", SG_E_INVALID, 0},
    {"no unit", "15", SG_E_INVALID, 0},
    {"lower-case seconds", "1s", SG_E_INVALID, 0},
    {"sign", "-1S", SG_E_INVALID, 0},
    {"plus", "+1S", SG_E_INVALID, 0},
    {"space", " 1S", SG_E_INVALID, 0},
    {"fraction", "1.5S", SG_E_INVALID, 0},
    {"two units", "1mS", SG_E_INVALID, 0},
};

static void timeout_parse_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        int64_t ns = -7;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_timeout_parse(sg_slice_str(cases[i].text), &ns, NULL), cases[i].rc);
        assert_true(ns == (cases[i].rc == SG_OK ? cases[i].ns : -7));
    }
}

static void a_nul_is_no_digit(void **state)
{
    (void)state;
    int64_t ns;
    assert_int_equal(sg_timeout_parse(SG_SLICE("1\0S"), &ns, NULL), SG_E_INVALID);
}

static const struct {
    const char *name;
    int64_t ns;
    const char *text;
} formats[] = {
    {"fine times stay exact", 99999999, "99999999n"},
    {"then microseconds, rounded up", 100000001, "100001u"},
    {"ten seconds", 10 * SG_NS_PER_S, "10000000u"},
    {"two minutes", 120 * SG_NS_PER_S, "120000m"},
    {"a month", 30 * 86400 * SG_NS_PER_S, "2592000S"},
    {"the longest", INT64_MAX, "2562048H"},
    {"gone by is the shortest", 0, "1n"},
    {"long gone too", INT64_MIN, "1n"},
};

static void timeout_format_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(formats); i++) {
        char text[SG_TIMEOUT_TEXT_MAX];
        print_message("  %s\n", formats[i].name);
        size_t len = sg_timeout_format(formats[i].ns, text);
        assert_int_equal(len, strlen(text));
        assert_string_equal(text, formats[i].text);
    }
}

static void what_is_formatted_is_never_shorter_when_read(void **state)
{
    (void)state;
    for (int64_t ns = 1; ns < INT64_MAX / 3; ns = ns * 3 + 1) {
        char text[SG_TIMEOUT_TEXT_MAX];
        int64_t again = 0;
        sg_timeout_format(ns, text);
        assert_int_equal(sg_timeout_parse(sg_slice_str(text), &again, NULL), SG_OK);
        assert_true(again >= ns);
        assert_true(again - ns <= ns / 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeout_parse_follows_the_table),
        cmocka_unit_test(a_nul_is_no_digit),
        cmocka_unit_test(timeout_format_follows_the_table),
        cmocka_unit_test(what_is_formatted_is_never_shorter_when_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
