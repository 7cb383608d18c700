#include "tests/support/failmalloc.h"

#include <stdlib.h>

#include "tests/support/unit.h"

/* Volatile, so that no allocation is optimised away. */
static void *volatile kept;

static bool try_malloc(size_t kind)
{
    void *ptr = NULL;
    if (kind == 0)
        ptr = malloc(1);
    else if (kind == 1)
        ptr = calloc(1, 1);
    else if (kind == 2)
        ptr = realloc(NULL, 1);
    else if (kind == 3)
        ptr = reallocarray(NULL, 1, 1);
    else if (kind == 4)
        ptr = aligned_alloc(16, 16);
    else if (kind == 5)
        ptr = posix_memalign(&ptr, 16, 16) == 0 ? ptr : NULL;
    else if (kind == 6)
        ptr = strdup("a");
    else
        ptr = strndup("ab", 1);
    kept = ptr;
    free(kept);
    return ptr != NULL;
}

static void the_nth_allocation_of_every_kind_fails_and_no_other(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 8; kind++)
        for (size_t nth = 1; nth <= 3; nth++) {
            sg_failmalloc_arm(nth);
            for (size_t i = 1; i <= 4; i++)
                assert_int_equal(try_malloc(kind), i != nth);
            assert_true(sg_failmalloc_disarm());
        }
}

static void disarmed_nothing_fails(void **state)
{
    (void)state;
    sg_failmalloc_arm(1);
    assert_false(sg_failmalloc_disarm());
    for (size_t kind = 0; kind < 8; kind++)
        assert_true(try_malloc(kind));
}

static bool three(void *arg)
{
    size_t *runs = arg;
    (*runs)++;
    for (size_t i = 0; i < 3; i++)
        if (!try_malloc(i))
            return false;
    return true;
}

static void each_runs_once_per_allocation_and_once_whole(void **state)
{
    (void)state;
    size_t runs = 0;
    assert_int_equal(sg_failmalloc_each(three, &runs), 3);
    assert_int_equal(runs, 4);
}

static bool ignores(void *arg)
{
    (void)arg;
    (void)try_malloc(0);
    return true;
}

static bool never_works(void *arg)
{
    (void)arg;
    return false;
}

/* Inverted: the inner test must fail. */
static bool (*inner)(void *arg);

static void run_inner(void **state)
{
    (void)state;
    (void)sg_failmalloc_each(inner, NULL);
}

static void each_fails_the_test_when_a_failure_is_ignored_or_nothing_works(void **state)
{
    (void)state;
    bool (*const bad[])(void *) = {ignores, never_works};
    for (size_t i = 0; i < SG_COUNT(bad); i++) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(run_inner)};
        inner = bad[i];
        print_message("  the failure that follows is expected\n");
        assert_int_equal(cmocka_run_group_tests_name("inner", tests, NULL, NULL), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_of_every_kind_fails_and_no_other),
        cmocka_unit_test(disarmed_nothing_fails),
        cmocka_unit_test(each_runs_once_per_allocation_and_once_whole),
    };
    const struct CMUnitTest outer[] = {
        cmocka_unit_test(each_fails_the_test_when_a_failure_is_ignored_or_nothing_works),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(outer, NULL, NULL);
}
