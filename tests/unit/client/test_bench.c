#include "client/cli/bench.h"

#include "tests/support/unit.h"

static void percentiles_are_by_nearest_rank(void **state)
{
    static const uint32_t numbers[] = {15, 20, 35, 40, 50}; /* the example in every textbook */
    static const struct {
        double percent;
        uint32_t expected;
    } cases[] = {{0, 15}, {5, 15}, {20, 15}, {30, 20}, {40, 20}, {50, 35}, {99, 50}, {100, 50}};

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        assert_int_equal(sg_bench_percentile(numbers, 5, cases[i].percent), cases[i].expected);
    assert_int_equal(sg_bench_percentile(NULL, 0, 50), 0);
    assert_int_equal(sg_bench_percentile(numbers, 1, 50), 15);
}

static void failures_are_counted_by_reason_and_the_rest_together(void **state)
{
    struct sg_bench_result result = {0};
    struct sealgate_error error = {.code = SEALGATE_INTERNAL};

    (void)state;
    sg_bench_failed(&result, &error, 1);
    for (int i = 0; i < 20; i++) {
        snprintf(error.reason, sizeof(error.reason), "REASON_%d", i % 10);
        sg_bench_failed(&result, &error, 2);
    }
    assert_int_equal(result.failures, 41);
    assert_string_equal(result.reasons[0].reason, "INTERNAL");
    assert_string_equal(result.reasons[1].reason, "REASON_0");
    assert_int_equal(result.reasons[1].count, 4);
    assert_string_equal(result.reasons[SG_BENCH_REASONS_MAX - 1].reason, "others");
    assert_int_equal(result.reasons[SG_BENCH_REASONS_MAX - 1].count, 16);
}

static void latencies_are_of_calls_and_rates_of_signatures(void **state)
{
    struct sg_bench_result result = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        sg_bench_succeeded(&result, i * INT64_C(1000), 64);
    assert_int_equal(result.calls, 100000);
    assert_int_equal(result.signatures, 6400000);
    assert_int_equal(result.latency_count, 100000);
    assert_int_equal(result.latencies_us[99999], 99999);
    sg_bench_done(&result);
}

/* ---- Exit codes ----------------------------------------------------------------------------- */

static void exit_codes_follow_the_documented_table(void **state)
{
    static const struct {
        enum sealgate_code code;
        enum sealgate_outcome outcome;
        enum sg_exit expected;
    } cases[] = {
        {SEALGATE_UNAVAILABLE, SEALGATE_OUTCOME_NOT_DONE, SG_EXIT_UNAVAILABLE},
        {SEALGATE_UNAVAILABLE, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_UNAVAILABLE},
        {SEALGATE_UNAVAILABLE, SEALGATE_OUTCOME_UNKNOWN, SG_EXIT_NO_ANSWER},
        {SEALGATE_DEADLINE_EXCEEDED, SEALGATE_OUTCOME_NOT_DONE, SG_EXIT_UNAVAILABLE},
        {SEALGATE_DEADLINE_EXCEEDED, SEALGATE_OUTCOME_UNKNOWN, SG_EXIT_NO_ANSWER},
        {SEALGATE_UNAUTHENTICATED, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_DENIED},
        {SEALGATE_PERMISSION_DENIED, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_DENIED},
        {SEALGATE_NOT_FOUND, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_NOT_FOUND},
        {SEALGATE_INVALID_ARGUMENT, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_REFUSED},
        {SEALGATE_FAILED_PRECONDITION, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_REFUSED},
        {SEALGATE_UNIMPLEMENTED, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_REFUSED},
        {SEALGATE_RESOURCE_EXHAUSTED, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_BUSY},
        {SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_INTERNAL},
        {SEALGATE_DATA_LOSS, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_INTERNAL},
        {SEALGATE_UNKNOWN, SEALGATE_OUTCOME_ANSWERED, SG_EXIT_INTERNAL},
    };

    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sealgate_error error = {.code = cases[i].code, .outcome = cases[i].outcome};
        print_message("  %s %d\n", sealgate_code_name(cases[i].code), (int)cases[i].outcome);
        assert_int_equal(sg_cli_exit_of(&error), cases[i].expected);
    }
}

static void a_short_name_is_a_key_and_a_long_one_stays(void **state)
{
    char name[256], text[300];

    (void)state;
    assert_true(sg_cli_key_name("a", name));
    assert_string_equal(name, "keys/a");
    assert_true(sg_cli_key_name("keys/a/versions/1", name));
    assert_string_equal(name, "keys/a/versions/1");
    memset(text, 'a', 251);
    text[251] = '\0';
    assert_false(sg_cli_key_name(text, name));
    text[250] = '\0';
    assert_true(sg_cli_key_name(text, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_by_nearest_rank),
        cmocka_unit_test(failures_are_counted_by_reason_and_the_rest_together),
        cmocka_unit_test(latencies_are_of_calls_and_rates_of_signatures),
        cmocka_unit_test(exit_codes_follow_the_documented_table),
        cmocka_unit_test(a_short_name_is_a_key_and_a_long_one_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
