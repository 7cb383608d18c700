#include "tests/support/unit.h"

#include "base/clock.h"
#include "gateway/service/denials.h"

/* Denials of one caller: a handful by themselves, the rest as a number, and none lost. */

static const struct sg_audit_record asked = {.authority = SG_SLICE("ca"), .caller = SG_SLICE("c")};

static void a_flood_becomes_a_number(void **state)
{
    SG_AUTO(sg_denials_free) struct sg_denials *denials = NULL;
    struct sg_denials_counted counted;
    int64_t now = 1000 * SG_NS_PER_S;
    size_t taken = 0;
    (void)state;

    assert_int_equal(sg_denials_new(&denials, NULL), SG_OK);
    for (size_t i = 0; i < 1000; i++) {
        taken += sg_denials_take(denials, 7, &asked, now, &counted);
        assert_int_equal(counted.count, 0);
    }
    assert_int_equal(taken, SG_DENIALS_BURST);
    assert_false(sg_denials_next(denials, now, &counted));

    now += SG_NS_PER_S;
    assert_true(sg_denials_take(denials, 7, &asked, now, &counted));
    assert_false(sg_denials_take(denials, 7, &asked, now, &counted));

    /* When it has stopped. */
    now += 2 * SG_DENIALS_BURST * SG_NS_PER_S;
    assert_true(sg_denials_next(denials, now, &counted));
    assert_int_equal(counted.count, 1000 - SG_DENIALS_BURST + 1);
    assert_string_equal(counted.authority, "ca");
    assert_string_equal(counted.caller, "c");
    assert_false(sg_denials_next(denials, now, &counted));
}

static void one_that_never_stops_is_told_of_each_minute(void **state)
{
    SG_AUTO(sg_denials_free) struct sg_denials *denials = NULL;
    struct sg_denials_counted counted;
    uint64_t taken = 0, told = 0, asked_for = 0;
    (void)state;

    assert_int_equal(sg_denials_new(&denials, NULL), SG_OK);
    for (int64_t s = 0; s < 300; s++) {
        const int64_t now = (1000 + s) * SG_NS_PER_S;
        for (size_t i = 0; i < 10; i++, asked_for++)
            taken += sg_denials_take(denials, 7, &asked, now, &counted);
        if (sg_denials_next(denials, now, &counted))
            told += counted.count;
    }
    assert_true(told > 0);
    assert_true(sg_denials_next(denials, 2000 * SG_NS_PER_S, &counted));
    assert_int_equal(taken + told + counted.count, asked_for);
}

static void another_caller_in_its_place_loses_no_number(void **state)
{
    const struct sg_audit_record other = {.authority = SG_SLICE("ca"), .caller = SG_SLICE("d")};
    SG_AUTO(sg_denials_free) struct sg_denials *denials = NULL;
    struct sg_denials_counted counted;
    (void)state;

    assert_int_equal(sg_denials_new(&denials, NULL), SG_OK);
    for (size_t i = 0; i < SG_DENIALS_BURST + 5; i++)
        (void)sg_denials_take(denials, 7, &asked, 1, &counted);
    assert_true(sg_denials_take(denials, 7 + 256, &other, 1, &counted));
    assert_int_equal(counted.count, 5);
    assert_string_equal(counted.caller, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_becomes_a_number),
        cmocka_unit_test(one_that_never_stops_is_told_of_each_minute),
        cmocka_unit_test(another_caller_in_its_place_loses_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
