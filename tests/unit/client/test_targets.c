#include "client/lib/targets.h"

#include "base/clock.h"
#include "tests/support/unit.h"

static const struct {
    const char *text;
    size_t count; /* 0: refused */
    const char *authorities[3];
} cases[] = {
    {"one:1", 1, {"one:1"}},
    {"one:1,two:2", 2, {"one:1", "two:2"}},
    {" one:1 ,\ttwo , [::1]:3 ", 3, {"one:1", "two:8443", "[::1]:3"}},
    {"one:1,one:2", 2, {"one:1", "one:2"}},
    {"", 0, {0}},
    {",", 0, {0}},
    {"one:1,", 0, {0}},
    {",one:1", 0, {0}},
    {"one:1,,two:2", 0, {0}},
    {"one:1;two:2", 0, {0}},
    {"one:1 two:2", 0, {0}},
    {"one:8443,one", 0, {0}},                      /* the same one twice */
    {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", 0, {0}}, /* one over the limit */
};

static void lists_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_targets targets = {0};
        enum sg_rc rc = sg_targets_parse(sg_slice_str(cases[i].text), NULL, &targets, NULL);

        print_message("  \"%s\"\n", cases[i].text);
        assert_int_equal(rc, cases[i].count == 0 ? SG_E_INVALID : SG_OK);
        for (size_t j = 0; j < cases[i].count; j++) {
            assert_int_equal(targets.count, cases[i].count);
            assert_string_equal(targets.at[j].authority, cases[i].authorities[j]);
            assert_string_equal(targets.at[j].server_name, targets.at[j].endpoint.host);
        }
    }
}

static void sixteen_are_taken_and_a_name_is_for_all(void **state)
{
    struct sg_targets targets = {0};
    char long_name[257] = {0};

    (void)state;
    assert_int_equal(
        sg_targets_parse(SG_SLICE("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"), "gateway", &targets, NULL),
        SG_OK);
    assert_int_equal(targets.count, SG_TARGETS_MAX);
    for (size_t i = 0; i < targets.count; i++)
        assert_string_equal(targets.at[i].server_name, "gateway");
    memset(long_name, 'a', sizeof(long_name) - 1);
    assert_int_equal(sg_targets_parse(SG_SLICE("a"), long_name, &targets, NULL), SG_E_INVALID);
    long_name[255] = '\0';
    assert_int_equal(sg_targets_parse(SG_SLICE("a"), long_name, &targets, NULL), SG_OK);
}

static void every_beginning_of_a_list_is_judged_by_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++)
        for (size_t len = 0; len <= strlen(cases[i].text); len++) {
            struct sg_targets targets = {0};
            char *exact = malloc(len + 1); /* so that a sanitizer sees a read too far */

            assert_non_null(exact);
            memcpy(exact, cases[i].text, len);
            if (sg_targets_parse(sg_slice_of(exact, len), NULL, &targets, NULL) == SG_OK)
                assert_in_range(targets.count, 1, SG_TARGETS_MAX);
            free(exact);
        }
}

static void the_first_that_is_not_left_alone_is_picked(void **state)
{
    struct sg_targets targets = {.random = 1};
    int64_t now_ns = 1000 * SG_NS_PER_S;

    (void)state;
    assert_int_equal(sg_targets_parse(SG_SLICE("a,b,c"), NULL, &targets, NULL), SG_OK);
    assert_int_equal(sg_targets_pick(&targets, now_ns), 0);
    assert_int_equal(sg_targets_open(&targets, now_ns), 3);
    sg_targets_failed(&targets, 0, now_ns, false);
    assert_int_equal(sg_targets_pick(&targets, now_ns), 1);
    assert_int_equal(sg_targets_open(&targets, now_ns), 2);
    sg_targets_failed(&targets, 1, now_ns, true);
    sg_targets_failed(&targets, 2, now_ns, true);
    assert_int_equal(sg_targets_pick(&targets, now_ns), 3);
    assert_in_range(sg_targets_due(&targets) - now_ns, 50 * SG_NS_PER_MS, 100 * SG_NS_PER_MS);
    assert_int_not_equal(sg_targets_pick(&targets, sg_targets_due(&targets)), 3);

    assert_false(sg_targets_are_hopeless(&targets));
    sg_targets_failed(&targets, 0, now_ns, true);
    assert_true(sg_targets_are_hopeless(&targets));
    sg_targets_worked(&targets, 2);
    assert_false(sg_targets_are_hopeless(&targets));
    assert_int_equal(sg_targets_pick(&targets, now_ns), 2);
}

static void pauses_double_up_to_a_bound_and_are_never_the_same(void **state)
{
    uint64_t random = 0;

    (void)state;
    for (unsigned failures = 1; failures < 40; failures++) {
        int64_t most_ms = failures > 6 ? 5000 : 100 << (failures - 1);
        int64_t least = INT64_MAX, most = 0;

        for (int i = 0; i < 200; i++) {
            int64_t pause = sg_backoff_ns(&random, failures);
            least = pause < least ? pause : least;
            most = pause > most ? pause : most;
        }
        assert_in_range(least, most_ms * SG_NS_PER_MS / 2, most_ms * SG_NS_PER_MS * 6 / 10);
        assert_in_range(most, most_ms * SG_NS_PER_MS * 9 / 10, most_ms * SG_NS_PER_MS);
    }
    assert_in_range(sg_backoff_ns(&random, UINT32_MAX), 2500 * SG_NS_PER_MS, 5000 * SG_NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_follow_the_table),
        cmocka_unit_test(sixteen_are_taken_and_a_name_is_for_all),
        cmocka_unit_test(every_beginning_of_a_list_is_judged_by_itself),
        cmocka_unit_test(the_first_that_is_not_left_alone_is_picked),
        cmocka_unit_test(pauses_double_up_to_a_bound_and_are_never_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
