#include "hsm/lane.h"

#include "base/clock.h"
#include "tests/support/unit.h"

/* Whose turn it is, and how many workers the costly leave alone. */
enum { WORKERS = 32 };

static const int64_t packet_ns = 4 * SG_NS_PER_MS, ms = SG_NS_PER_MS;

struct rig {
    struct sg_lane lanes[SG_COST_COUNT];
    size_t freed;
};

static void push(struct rig *rig, enum sg_cost cost, bool is_retry, int64_t now)
{
    struct sg_hsm_job *job = sg_hsm_job_new((struct sg_slice){0});
    assert_non_null(job);
    job->tag = (uint64_t)cost;
    job->attempts = is_retry;
    assert_true(sg_lane_push(rig->lanes, cost, job, is_retry, now));
}

/* Sends the next; what it cost, or SG_COST_COUNT: none. */
static enum sg_cost send(struct rig *rig, int64_t usual_ns, int64_t now)
{
    struct sg_hsm_job *job = sg_lane_pop(rig->lanes, WORKERS, packet_ns, now);
    if (job == NULL)
        return SG_COST_COUNT;
    enum sg_cost cost = (enum sg_cost)job->tag;
    sg_lane_sent(&rig->lanes[cost], packet_ns, usual_ns, now);
    sg_hsm_job_free(job);
    return cost;
}

static void end(struct rig *rig)
{
    for (size_t i = 0; i < SG_COST_COUNT; i++) {
        rig->lanes[i].in_flight = 0;
        rig->lanes[i].in_flight_ns = 0;
        rig->lanes[i].window_ns = 0;
    }
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        for (struct sg_hsm_job *job = sg_lane_pop(rig->lanes, 1 << 20, packet_ns, 1 << 20);
             job != NULL; job = sg_lane_pop(rig->lanes, 1 << 20, packet_ns, 1 << 20))
            sg_hsm_job_free(job);
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        sg_fair_done(&rig->lanes[i].queue);
}

static void types_cost_what_they_do(void **state)
{
    (void)state;
    assert_int_equal(sg_cost_of(SG_KEY_EC_P256), SG_COST_LOW);
    assert_int_equal(sg_cost_of(SG_KEY_EC_P384), SG_COST_LOW);
    assert_int_equal(sg_cost_of(SG_KEY_ED25519), SG_COST_LOW);
    assert_int_equal(sg_cost_of(SG_KEY_RSA_2048), SG_COST_MIDDLE);
    assert_int_equal(sg_cost_of(SG_KEY_RSA_3072), SG_COST_HIGH);
    assert_int_equal(sg_cost_of(SG_KEY_RSA_4096), SG_COST_HIGH);
}

static void a_retry_goes_before_what_waits(void **state)
{
    struct rig rig = {0};
    (void)state;
    push(&rig, SG_COST_LOW, false, ms);
    push(&rig, SG_COST_LOW, true, ms);
    assert_int_equal(sg_lane_waiting(&rig.lanes[SG_COST_LOW]), 2);
    struct sg_hsm_job *job = sg_lane_pop(rig.lanes, WORKERS, packet_ns, ms);
    assert_int_equal(job->attempts, 1);
    assert_int_equal(sg_lane_waiting(&rig.lanes[SG_COST_LOW]), 1);
    sg_hsm_job_free(job);
    end(&rig);
}

static void classes_take_turns_by_the_time_they_use(void **state)
{
    struct rig rig = {0};
    size_t sent[SG_COST_COUNT] = {0};
    (void)state;
    for (int i = 0; i < 40; i++) {
        push(&rig, SG_COST_LOW, false, ms);
        push(&rig, SG_COST_MIDDLE, false, ms);
    }
    for (int i = 0; i < 22; i++) {
        enum sg_cost cost =
            send(&rig, rig.lanes[0].used_ns <= rig.lanes[1].used_ns ? ms : 10 * ms, ms);
        sent[cost]++;
        sg_lane_left(&rig.lanes[cost], packet_ns);
    }
    assert_in_range(sent[SG_COST_LOW], 19, 21); /* ten to one, by time */
    assert_in_range(sent[SG_COST_MIDDLE], 1, 3);
    end(&rig);
}

static void one_that_was_idle_does_not_make_up_for_it(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 300; i++)
        push(&rig, SG_COST_LOW, false, ms);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(send(&rig, ms, ms), SG_COST_LOW);
        sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
    }
    for (int i = 0; i < 10; i++)
        push(&rig, SG_COST_MIDDLE, false, ms);
    size_t middle = 0;
    for (int i = 0; i < 10; i++) {
        enum sg_cost cost = send(&rig, ms, ms);
        sg_lane_left(&rig.lanes[cost], packet_ns);
        middle += cost == SG_COST_MIDDLE;
    }
    assert_in_range(middle, 4, 6);
    end(&rig);
}

/* The cheap class is alone for long and never has to wait; then a flood of the costly comes. */
static void one_that_comes_later_has_no_claim_on_what_was_before(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 1000; i++) {
        push(&rig, SG_COST_LOW, false, ms);
        assert_int_equal(send(&rig, 20 * ms, ms), SG_COST_LOW);
        sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
    }
    for (int i = 0; i < 100; i++)
        push(&rig, SG_COST_HIGH, false, 1100 * ms);
    push(&rig, SG_COST_LOW, false, 1100 * ms);
    bool is_sent = false;
    for (int i = 0; i < 3; i++)
        is_sent = is_sent || send(&rig, 20 * ms, 1100 * ms) == SG_COST_LOW;
    assert_true(is_sent);
    end(&rig);
}

/* However long ago its last job came. */
static void a_cheap_class_that_waits_is_active(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 5; i++)
        push(&rig, SG_COST_LOW, false, ms);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, 5000 * ms), 5);
    while (send(&rig, 20 * ms, 5000 * ms) == SG_COST_LOW)
        ;
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, 9000 * ms), 5);
    end(&rig);
}

static void alone_a_costly_class_has_no_bound_of_its_own(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        push(&rig, SG_COST_HIGH, false, ms);
    for (int i = 0; i < 100; i++)
        assert_int_equal(send(&rig, 20 * ms, ms), SG_COST_HIGH);
    end(&rig);
}

static void while_a_cheap_class_is_active_workers_are_held_back_for_it(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 5; i++)
        push(&rig, SG_COST_LOW, false, ms);
    for (int i = 0; i < 100; i++)
        push(&rig, SG_COST_HIGH, false, ms);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_LOW, WORKERS, ms), 0);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, ms), 5);
    size_t sent[SG_COST_COUNT + 1] = {0};
    for (int i = 0; i < 100; i++)
        sent[send(&rig, 20 * ms, ms)]++;
    assert_int_equal(sent[SG_COST_LOW], 5);
    assert_int_equal(sent[SG_COST_HIGH], WORKERS - 5); /* none of them waits at the token */

    /* It is quiet for a second: nothing is held back any more. */
    for (int i = 0; i < 5; i++)
        sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
    assert_int_equal(send(&rig, 20 * ms, 500 * ms), SG_COST_COUNT);
    assert_int_equal(send(&rig, 20 * ms, 1100 * ms), SG_COST_HIGH);
    end(&rig);
}

static void at_most_half_of_the_workers_are_held_back(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        push(&rig, SG_COST_LOW, false, ms);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, ms), WORKERS / 2);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, 1, ms), 0);
    end(&rig);
}

/* A class whose need goes up and down keeps what it needs at its most. */
static void a_peak_outlives_the_window_it_was_in(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int64_t round = 0; round < 20; round++) { /* 100 ms: twelve at once, then one */
        int64_t now = (1 + round * 100) * ms;
        for (int i = 0; i < 12; i++)
            push(&rig, SG_COST_LOW, false, now);
        for (int i = 0; i < 12; i++)
            assert_int_equal(send(&rig, ms, now), SG_COST_LOW);
        for (int i = 0; i < 12; i++)
            sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
        push(&rig, SG_COST_LOW, false, now + 50 * ms);
        assert_int_equal(send(&rig, ms, now + 50 * ms), SG_COST_LOW);
        assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, now + 50 * ms), 12);
        sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
    }
    end(&rig);
}

static void what_was_a_peak_long_ago_does_not_count(void **state)
{
    struct rig rig = {0};
    (void)state;
    for (int i = 0; i < 12; i++)
        push(&rig, SG_COST_LOW, false, ms);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(send(&rig, ms, ms), SG_COST_LOW);
        sg_lane_left(&rig.lanes[SG_COST_LOW], packet_ns);
    }
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, 2 * ms), 12);
    push(&rig, SG_COST_LOW, false, 1500 * ms);
    assert_int_equal(sg_lane_held_back(rig.lanes, SG_COST_HIGH, WORKERS, 1500 * ms), 1);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_cost_what_they_do),
        cmocka_unit_test(a_retry_goes_before_what_waits),
        cmocka_unit_test(classes_take_turns_by_the_time_they_use),
        cmocka_unit_test(one_that_was_idle_does_not_make_up_for_it),
        cmocka_unit_test(one_that_comes_later_has_no_claim_on_what_was_before),
        cmocka_unit_test(a_cheap_class_that_waits_is_active),
        cmocka_unit_test(alone_a_costly_class_has_no_bound_of_its_own),
        cmocka_unit_test(while_a_cheap_class_is_active_workers_are_held_back_for_it),
        cmocka_unit_test(at_most_half_of_the_workers_are_held_back),
        cmocka_unit_test(a_peak_outlives_the_window_it_was_in),
        cmocka_unit_test(what_was_a_peak_long_ago_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
