#include "proto/json/json_priv.h"
#include "tests/support/unit.h"

static const struct {
    const char *text;
    bool is_one;
    struct sg_json_time time;
    const char *again; /* NULL: the same text */
} timestamps[] = {
    {"1970-01-01T00:00:00Z", true, {0, 0}, NULL},
    {"1972-01-01T10:00:20.021Z", true, {63108020, 21000000}, NULL},
    {"2024-02-29T23:59:59.999999999Z", true, {1709251199, 999999999}, NULL},
    {"2000-02-29T00:00:00.000001Z", true, {951782400, 1000}, NULL},
    {"1969-12-31T23:59:59.5Z", true, {-1, 500000000}, "1969-12-31T23:59:59.500Z"},
    {"0001-01-01T00:00:00Z", true, {INT64_C(-62135596800), 0}, NULL},
    {"9999-12-31T23:59:59.999999999Z", true, {INT64_C(253402300799), 999999999}, NULL},
    {"1970-01-01T07:00:00+07:00", true, {0, 0}, "1970-01-01T00:00:00Z"},
    {"1969-12-31T19:30:00.000-04:30", true, {0, 0}, "1970-01-01T00:00:00Z"},
    {"2100-02-28T00:00:00Z", true, {INT64_C(4107456000), 0}, NULL},
    {"2100-02-29T00:00:00Z", false, {0}, NULL}, /* 2100 is no leap year */
    {"2023-02-29T00:00:00Z", false, {0}, NULL},
    {"2023-13-01T00:00:00Z", false, {0}, NULL},
    {"2023-00-01T00:00:00Z", false, {0}, NULL},
    {"2023-01-00T00:00:00Z", false, {0}, NULL},
    {"2023-01-01T24:00:00Z", false, {0}, NULL},
    {"2023-01-01T00:60:00Z", false, {0}, NULL},
    {"2016-12-31T23:59:60Z", false, {0}, NULL}, /* Timestamp has no leap seconds */
    {"0000-01-01T00:00:00Z", false, {0}, NULL},
    {"0001-01-01T00:00:00+00:01", false, {0}, NULL}, /* before the first */
    {"9999-12-31T23:59:59-00:01", false, {0}, NULL}, /* after the last */
    {"1970-01-01T00:00:00", false, {0}, NULL},
    {"1970-01-01T00:00:00z", false, {0}, NULL},
    {"1970-01-01 00:00:00Z", false, {0}, NULL},
    {"1970-01-01T00:00:00.Z", false, {0}, NULL},
    {"1970-01-01T00:00:00.1234567890Z", false, {0}, NULL},
    {"1970-01-01T00:00:00+0700", false, {0}, NULL},
    {"1970-01-01T00:00:00+24:00", false, {0}, NULL},
    {"1970-1-01T00:00:00Z", false, {0}, NULL},
    {"+970-01-01T00:00:00Z", false, {0}, NULL},
    {"1970-01-01T00:00:00Z ", false, {0}, NULL},
    {"", false, {0}, NULL},
};

static const struct {
    const char *text;
    bool is_one;
    struct sg_json_time time;
    const char *again;
} durations[] = {
    {"0s", true, {0, 0}, NULL},
    {"1s", true, {1, 0}, NULL},
    {"1.5s", true, {1, 500000000}, "1.500s"},
    {"-1.000000001s", true, {-1, -1}, NULL},
    {"-0.500s", true, {0, -500000000}, NULL},
    {"-0s", true, {0, 0}, "0s"},
    {"0.000001s", true, {0, 1000}, NULL},
    {"007s", true, {7, 0}, "7s"},
    {"315576000000s", true, {INT64_C(315576000000), 0}, NULL},
    {"-315576000000s", true, {INT64_C(-315576000000), 0}, NULL},
    {"315576000000.1s", false, {0}, NULL},
    {"315576000001s", false, {0}, NULL},
    {"99999999999999999999s", false, {0}, NULL},
    {"1", false, {0}, NULL},
    {"s", false, {0}, NULL},
    {"-s", false, {0}, NULL},
    {".5s", false, {0}, NULL},
    {"1.s", false, {0}, NULL},
    {"1.0000000000s", false, {0}, NULL},
    {"+1s", false, {0}, NULL},
    {"1 s", false, {0}, NULL},
    {"1ss", false, {0}, NULL},
    {"1e3s", false, {0}, NULL},
    {"", false, {0}, NULL},
};

static void check(const char *text, bool is_one, struct sg_json_time wanted, const char *again,
                  bool (*parse)(struct sg_slice text, struct sg_json_time *ret),
                  bool (*put)(struct sg_buf *out, struct sg_json_time time))
{
    struct sg_json_time time;
    char quoted[64];
    struct sg_buf out;
    print_message("  %s\n", text);
    assert_int_equal(parse(sg_slice_str(text), &time), is_one);
    if (!is_one)
        return;
    assert_int_equal(time.seconds, wanted.seconds);
    assert_int_equal(time.nanos, wanted.nanos);
    sg_buf_init(&out, 64);
    assert_true(put(&out, time));
    snprintf(quoted, sizeof(quoted), "\"%s\"", again == NULL ? text : again);
    assert_slice_equal(sg_buf_slice(&out), sg_slice_str(quoted));
    sg_buf_done(&out);
    /* Cut anywhere it is another time or none. */
    for (size_t len = 0; len < strlen(text); len++)
        assert_false(parse(sg_slice_of(text, len), &time));
}

static void timestamps_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(timestamps); i++)
        check(timestamps[i].text, timestamps[i].is_one, timestamps[i].time, timestamps[i].again,
              sg_json_timestamp_parse, sg_json_timestamp_put);
}

static void durations_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(durations); i++)
        check(durations[i].text, durations[i].is_one, durations[i].time, durations[i].again,
              sg_json_duration_parse, sg_json_duration_put);
}

static void every_day_of_the_calendar_comes_back(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 64);
    for (int64_t day = -719162; day <= 2932896; day += 13) {
        struct sg_json_time time = {day * 86400 + 86399, 0}, again;
        sg_buf_clear(&out);
        assert_true(sg_json_timestamp_put(&out, time));
        assert_true(sg_json_timestamp_parse(sg_slice_of(out.ptr + 1, out.len - 2), &again));
        assert_int_equal(again.seconds, time.seconds);
    }
    sg_buf_done(&out);
}

static void what_is_out_of_range_is_not_written(void **state)
{
    (void)state;
    static const struct sg_json_time stamps[] = {{INT64_C(-62135596801), 0},
                                                 {INT64_C(253402300800), 0},
                                                 {0, -1},
                                                 {0, 1000000000},
                                                 {INT64_MAX, 0},
                                                 {INT64_MIN, 0}},
                                     spans[] = {{INT64_C(315576000001), 0},
                                                {1, -1},
                                                {-1, 1},
                                                {0, 1000000000},
                                                {0, INT32_MIN},
                                                {INT64_MIN, 0}};
    struct sg_buf out;
    sg_buf_init(&out, 64);
    for (size_t i = 0; i < SG_COUNT(stamps); i++)
        assert_false(sg_json_timestamp_put(&out, stamps[i]));
    for (size_t i = 0; i < SG_COUNT(spans); i++)
        assert_false(sg_json_duration_put(&out, spans[i]));
    assert_int_equal(out.len, 0);
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_follow_the_table),
        cmocka_unit_test(durations_follow_the_table),
        cmocka_unit_test(every_day_of_the_calendar_comes_back),
        cmocka_unit_test(what_is_out_of_range_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
