#include "hsm/fair.h"

#include "tests/support/unit.h"

static struct sg_hsm_job *push(struct sg_fair *fair, uint64_t caller, uint64_t tag)
{
    struct sg_hsm_job *job = sg_hsm_job_new((struct sg_slice){0});
    assert_non_null(job);
    job->caller = caller;
    job->tag = tag;
    assert_true(sg_fair_push(fair, job));
    return job;
}

static uint64_t pop(struct sg_fair *fair)
{
    struct sg_hsm_job *job = sg_fair_pop(fair);
    assert_non_null(job);
    uint64_t tag = job->tag;
    sg_hsm_job_free(job);
    return tag;
}

static void a_caller_with_many_jobs_delays_another_by_one_place(void **state)
{
    (void)state;
    static const uint64_t want[] = {0, 100, 1, 101, 2, 3, 4, 5, 6, 7, 8, 9};
    struct sg_fair fair = {0};

    for (uint64_t i = 0; i < 10; i++)
        push(&fair, 1, i);
    push(&fair, 2, 100);
    push(&fair, 2, 101);
    assert_int_equal(fair.len, SG_COUNT(want));
    for (size_t i = 0; i < SG_COUNT(want); i++)
        assert_int_equal(pop(&fair), want[i]);
    assert_null(sg_fair_pop(&fair));
    sg_fair_done(&fair);
}

static void thousands_of_callers_come_in_turn(void **state)
{
    (void)state;
    struct sg_fair fair = {0};
    enum { CALLERS = 3000 };

    for (uint64_t round = 0; round < 2; round++)
        for (uint64_t i = 0; i < CALLERS; i++)
            push(&fair, i << 40 | i, round * CALLERS + i);
    for (uint64_t i = 0; i < 2 * CALLERS; i++)
        assert_int_equal(pop(&fair), i);
    sg_fair_done(&fair);
}

static bool is_odd(void *arg, const struct sg_hsm_job *job)
{
    (void)arg;
    return job->tag % 2 == 1;
}

static void what_is_taken_leaves_and_the_rest_stays_in_turn(void **state)
{
    (void)state;
    struct sg_fair fair = {0};
    struct sg_job_list out = {0};
    struct sg_hsm_job *job;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < 6; i++)
        push(&fair, 1, i);
    push(&fair, 2, 11); /* leaves, and its caller with it */
    push(&fair, 3, 20);
    assert_int_equal(sg_fair_take(&fair, is_odd, NULL, &out), 4);
    assert_int_equal(fair.len, 4);
    while ((job = sg_job_list_pop(&out)) != NULL) {
        sum += job->tag;
        sg_hsm_job_free(job);
    }
    assert_int_equal(sum, 1 + 3 + 5 + 11);
    assert_int_equal(pop(&fair), 0);
    assert_int_equal(pop(&fair), 20);
    assert_int_equal(pop(&fair), 2);
    assert_int_equal(pop(&fair), 4);
    sg_fair_done(&fair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_with_many_jobs_delays_another_by_one_place),
        cmocka_unit_test(thousands_of_callers_come_in_turn),
        cmocka_unit_test(what_is_taken_leaves_and_the_rest_stays_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
