#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * SG_NS_PER_S + ts.tv_nsec;
}

static int64_t system_mono_ns(const struct sg_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall_ns(const struct sg_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

const struct sg_clock sg_clock_system = {system_mono_ns, system_wall_ns};
