#ifndef SG_TESTS_BENCH_METERP11_H
#define SG_TESTS_BENCH_METERP11_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* What meterp11.c counts and load.c reads, in a file that both map. Never reset. */
struct meter {
    _Atomic uint64_t cpu_ns; /* in C_SignInit and C_Sign, of all threads */
};

#endif
