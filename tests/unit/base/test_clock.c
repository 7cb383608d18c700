#include "base/clock.h"

#include <time.h>

#include "tests/support/unit.h"

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    int64_t last = sg_mono_ns(&sg_clock_system);
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = sg_mono_ns(&sg_clock_system);
        assert_true(now >= last);
        last = now;
    }
}

static void wall_time_counts_from_1970(void **state)
{
    (void)state;
    time_t before = time(NULL);
    int64_t wall_s = sg_wall_ns(&sg_clock_system) / SG_NS_PER_S;
    /* time() may lag behind by a tick. */
    assert_true(wall_s >= before && wall_s <= time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(wall_time_counts_from_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
