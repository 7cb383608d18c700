#include "hsm/breaker.h"

#include "base/clock.h"
#include "tests/support/unit.h"

static void a_new_token_is_probed_before_it_is_used(void **state)
{
    (void)state;
    struct sg_breaker breaker;
    sg_breaker_init(&breaker, 1, 1000);
    assert_int_equal(breaker.state, SG_BREAKER_DOWN);
    assert_true(sg_breaker_is_due(&breaker, 1000));
    sg_breaker_probe(&breaker);
    assert_int_equal(breaker.state, SG_BREAKER_PROBING);
    assert_false(sg_breaker_is_due(&breaker, 2000));
    sg_breaker_up(&breaker, 2000);
    assert_int_equal(breaker.state, SG_BREAKER_UP);
}

/* Fails the probe again and again; checks each pause against its bounds. */
static void the_pause_doubles_to_five_seconds_with_jitter(void **state)
{
    (void)state;
    struct sg_breaker breaker;
    int64_t now = 0, want = 50 * SG_NS_PER_MS;

    sg_breaker_init(&breaker, 42, now);
    for (int i = 0; i < 12; i++) {
        sg_breaker_probe(&breaker);
        sg_breaker_trip(&breaker, now);
        int64_t pause = breaker.due_ns - now;
        assert_true(pause <= want && pause >= want * 3 / 4);
        assert_false(sg_breaker_is_due(&breaker, breaker.due_ns - 1));
        now = breaker.due_ns;
        assert_true(sg_breaker_is_due(&breaker, now));
        want = want * 2 > 5 * SG_NS_PER_S ? 5 * SG_NS_PER_S : want * 2;
    }
}

static void the_pause_is_kept_over_a_flap_and_forgotten_after_ten_good_seconds(void **state)
{
    (void)state;
    struct sg_breaker breaker;
    sg_breaker_init(&breaker, 7, 0);
    sg_breaker_up(&breaker, 0);
    sg_breaker_trip(&breaker, 1 * SG_NS_PER_S);
    sg_breaker_probe(&breaker);
    sg_breaker_up(&breaker, 2 * SG_NS_PER_S);
    sg_breaker_trip(&breaker, 3 * SG_NS_PER_S); /* a second later: a flap */
    assert_int_equal(breaker.pause_ns, 100 * SG_NS_PER_MS);
    sg_breaker_probe(&breaker);
    sg_breaker_up(&breaker, 4 * SG_NS_PER_S);
    sg_breaker_trip(&breaker, 14 * SG_NS_PER_S);
    assert_int_equal(breaker.pause_ns, 50 * SG_NS_PER_MS);
}

static void news_of_a_failure_already_known_changes_nothing(void **state)
{
    (void)state;
    struct sg_breaker breaker;
    sg_breaker_init(&breaker, 7, 0);
    sg_breaker_up(&breaker, 0);
    sg_breaker_trip(&breaker, 100);
    struct sg_breaker before = breaker;
    sg_breaker_trip(&breaker, 200);
    assert_memory_equal(&breaker, &before, sizeof(before));
}

static void a_lost_connection_is_due_at_once_and_does_not_lengthen_the_pause(void **state)
{
    (void)state;
    struct sg_breaker breaker;
    sg_breaker_init(&breaker, 7, 0);
    for (int i = 0; i < 5; i++) {
        sg_breaker_up(&breaker, 1000 + i);
        sg_breaker_lost(&breaker, 2000 + i);
        assert_true(sg_breaker_is_due(&breaker, 2000 + i));
        assert_int_equal(breaker.since_ns, 2000 + i);
    }
    assert_int_equal(breaker.pause_ns, 0);
}

static void a_token_that_is_needed_is_due_at_once_with_the_pause_that_it_had(void **state)
{
    struct sg_breaker breaker;
    (void)state;
    sg_breaker_init(&breaker, 7, 0);
    sg_breaker_probe(&breaker);
    sg_breaker_hasten(&breaker, 1); /* it is being asked */
    assert_int_equal(breaker.state, SG_BREAKER_PROBING);
    sg_breaker_trip(&breaker, 10);
    const int64_t pause_ns = breaker.pause_ns;
    assert_false(sg_breaker_is_due(&breaker, 11));
    sg_breaker_hasten(&breaker, 11);
    assert_true(sg_breaker_is_due(&breaker, 11));
    sg_breaker_hasten(&breaker, 20);
    assert_int_equal(breaker.due_ns, 11); /* never later */
    sg_breaker_probe(&breaker);
    sg_breaker_trip(&breaker, 30);
    assert_int_equal(breaker.pause_ns, 2 * pause_ns);
    sg_breaker_probe(&breaker);
    sg_breaker_up(&breaker, 40);
    sg_breaker_hasten(&breaker, 50);
    assert_int_equal(breaker.state, SG_BREAKER_UP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_token_is_probed_before_it_is_used),
        cmocka_unit_test(the_pause_doubles_to_five_seconds_with_jitter),
        cmocka_unit_test(the_pause_is_kept_over_a_flap_and_forgotten_after_ten_good_seconds),
        cmocka_unit_test(news_of_a_failure_already_known_changes_nothing),
        cmocka_unit_test(a_lost_connection_is_due_at_once_and_does_not_lengthen_the_pause),
        cmocka_unit_test(a_token_that_is_needed_is_due_at_once_with_the_pause_that_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
