#include "client/cli/text.h"

#include "client/cli/subject.h"
#include "tests/support/unit.h"

/* ---- What goes to a terminal ---------------------------------------------------------------- */

static void controls_never_reach_the_terminal(void **state)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"k\u00fd s\u1ed1 ok", "k\u00fd s\u1ed1 ok"},
        {"a\x1b]0;owned\x07", "a\\x1b]0;owned\\x07"},
        {"line\nline\r", "line\\x0aline\\x0d"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\xc2\\x9b31m"},
        {"\xff\xfe", "\\xff\\xfe"},
    };

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf out;
        sg_buf_init(&out, 4096);
        sg_cli_clean(sg_slice_str(cases[i].text), &out);
        assert_slice_equal(sg_buf_slice(&out), sg_slice_str(cases[i].clean));
        sg_buf_done(&out);
    }
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static void hex_is_read_in_pairs(void **state)
{
    static const struct {
        const char *text;
        enum sg_rc rc;
        size_t len;
    } cases[] = {{"", SG_OK, 0},           {"00fF", SG_OK, 2},         {"0", SG_E_INVALID, 0},
                 {"0g", SG_E_INVALID, 0},  {"0x00", SG_E_INVALID, 0},  {" 00", SG_E_INVALID, 0},
                 {"00 ", SG_E_INVALID, 0}, {"0011zz", SG_E_INVALID, 0}};

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf out;
        sg_buf_init(&out, 64);
        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(sg_cli_unhex(cases[i].text, &out, NULL), cases[i].rc);
        assert_int_equal(out.len, cases[i].len);
        sg_buf_done(&out);
    }
}

static void seconds_have_at_most_three_decimals(void **state)
{
    static const struct {
        const char *text;
        uint32_t ms; /* 0: refused */
    } cases[] = {{"5", 5000},         {"0.25", 250}, {"0.001", 1},  {"1.5", 1500},
                 {"86400", 86400000}, {"0", 0},      {"", 0},       {".", 0},
                 {".5", 0},           {"5.", 0},     {"1.0001", 0}, {"86400.001", 0},
                 {"-1", 0},           {"1e3", 0},    {" 1", 0},     {"99999999999", 0},
                 {"1.2.3", 0}};

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        uint32_t ms = 0;
        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(sg_cli_seconds(cases[i].text, &ms), cases[i].ms != 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void numbers_are_digits_within_bounds(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"1", true, 1}, {"10", true, 10}, {"0", false, 0},  {"11", false, 0},
        {"", false, 0}, {"+1", false, 0}, {"1x", false, 0}, {"18446744073709551617", false, 0}};

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        uint64_t value = 0;
        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(sg_cli_number(cases[i].text, 1, 10, &value), cases[i].ok);
        assert_int_equal(value, cases[i].value);
    }
}

static void times_are_written_in_utc(void **state)
{
    char out[SG_CLI_TIME_BYTES];

    (void)state;
    assert_string_equal(sg_cli_time(0, out), "-");
    assert_string_equal(sg_cli_time(INT64_C(1700000000000001999), out),
                        "2023-11-14T22:13:20.000001Z");
    assert_string_equal(sg_cli_time(INT64_MAX, out), "2262-04-11T23:47:16.854775Z");
}

/* ---- Subjects ------------------------------------------------------------------------------- */

static void a_subject_is_read_in_the_order_it_is_written(void **state)
{
    struct sg_subject subject = {0};

    (void)state;
    assert_int_equal(
        sg_subject_add(&subject, "CN=Ph\u00f2ng, O = UBND\\, t\u1ec9nh\\\\ , 2.5.4.5=a=b", NULL),
        SG_OK);
    assert_int_equal(sg_subject_add(&subject, "C=VN", NULL), SG_OK);
    assert_int_equal(subject.count, 4);
    assert_string_equal(subject.attributes[0].type, "CN");
    assert_string_equal(subject.attributes[0].value, "Ph\u00f2ng");
    assert_string_equal(subject.attributes[1].type, "O");
    assert_string_equal(subject.attributes[1].value, "UBND, t\u1ec9nh\\");
    assert_string_equal(subject.attributes[2].type, "2.5.4.5");
    assert_string_equal(subject.attributes[2].value, "a=b");
    assert_string_equal(subject.attributes[3].value, "VN");
}

static void a_subject_that_says_nothing_clear_is_refused(void **state)
{
    static const char *const cases[] = {
        "",          "CN",     "CN=",    "=x",      "CN=a,",   ",CN=a",
        "CN=a,,O=b", "CN=a,O", "CN=a\\", "CN=a\\x", "CN=a,b=", "a,CN=b",
    };

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_subject subject = {0};
        print_message("  \"%s\"\n", cases[i]);
        assert_int_equal(sg_subject_add(&subject, cases[i], NULL), SG_E_INVALID);
    }
}

static void a_subject_has_bounds(void **state)
{
    struct sg_subject subject = {0};
    char text[SG_SUBJECT_BYTES_MAX + 16];

    (void)state;
    for (int i = 0; i < SG_SUBJECT_ATTRIBUTES_MAX; i++)
        assert_int_equal(sg_subject_add(&subject, "CN=a", NULL), SG_OK);
    assert_int_equal(sg_subject_add(&subject, "CN=a", NULL), SG_E_INVALID);

    for (size_t len = SG_SUBJECT_BYTES_MAX - 16; len < SG_SUBJECT_BYTES_MAX + 8; len++) {
        struct sg_subject *one = calloc(1, sizeof(*one)); /* the sanitizer watches its end */
        assert_non_null(one);
        memset(text, 'a', len);
        memcpy(text, "CN=", 3);
        text[len] = '\0';
        assert_int_equal(sg_subject_add(one, text, NULL),
                         len < SG_SUBJECT_BYTES_MAX ? SG_OK : SG_E_INVALID);
        free(one);
    }
}

static void times_are_read_in_their_zone(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        {"1970-01-01", 0},
        {"2026-01-31", 1769817600000000000},
        {"2024-02-29", 1709164800000000000},
        {"2026-01-31T09:05", 1769850300000000000},
        {"2026-01-31 09:05:07", 1769850307000000000},
        {"2026-01-31T09:05:07Z", 1769850307000000000},
        {"2026-01-31T09:05:07.25Z", 1769850307250000000},
        {"2026-01-31T09:05:07.123456789Z", 1769850307123456789},
        {"2026-01-31T16:05:07+07:00", 1769850307000000000},
        {"2026-01-31T04:35:07-04:30", 1769850307000000000},
        {"", -1},
        {"2026", -1},
        {"2026-1-31", -1},
        {"2026-02-29", -1},
        {"2026-13-01", -1},
        {"2026-00-01", -1},
        {"1969-12-31", -1},
        {"1970-01-01T00:00+07:00", -1},
        {"9999-12-31", -1},
        {"2026-01-31T", -1},
        {"2026-01-31T24:00", -1},
        {"2026-01-31T09:60", -1},
        {"2026-01-31T09:05:60", -1},
        {"2026-01-31T09:05:07.", -1},
        {"2026-01-31T09:05:07.1234567890", -1},
        {"2026-01-31T09:05:07+7", -1},
        {"2026-01-31T09:05:07+15:00", -1},
        {"2026-01-31T09:05:07Zx", -1},
        {"2026-01-31Z", -1},
    };

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        int64_t ns = -1;
        bool is_read = sg_cli_read_time(cases[i].text, &ns);
        print_message("  %s\n", cases[i].text);
        assert_int_equal(is_read, cases[i].ns >= 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(controls_never_reach_the_terminal),
        cmocka_unit_test(hex_is_read_in_pairs),
        cmocka_unit_test(seconds_have_at_most_three_decimals),
        cmocka_unit_test(numbers_are_digits_within_bounds),
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(times_are_read_in_their_zone),
        cmocka_unit_test(a_subject_is_read_in_the_order_it_is_written),
        cmocka_unit_test(a_subject_that_says_nothing_clear_is_refused),
        cmocka_unit_test(a_subject_has_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
