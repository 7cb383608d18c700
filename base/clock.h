#ifndef SG_BASE_CLOCK_H
#define SG_BASE_CLOCK_H

#include <stdint.h>

/*
 * Where time comes from, so that tests can set it. Monotonic time is CLOCK_MONOTONIC and may be
 * compared between processes of one machine; wall time is CLOCK_REALTIME since 1970. Both in
 * nanoseconds. Thread: any.
 */
struct sg_clock {
    int64_t (*mono_ns)(const struct sg_clock *clock);
    int64_t (*wall_ns)(const struct sg_clock *clock);
};

extern const struct sg_clock sg_clock_system;

static inline int64_t sg_mono_ns(const struct sg_clock *clock)
{
    return clock->mono_ns(clock);
}

static inline int64_t sg_wall_ns(const struct sg_clock *clock)
{
    return clock->wall_ns(clock);
}

#define SG_NS_PER_MS INT64_C(1000000)
#define SG_NS_PER_S INT64_C(1000000000)

#endif
