#ifndef SG_TESTS_BENCH_METER_H
#define SG_TESTS_BENCH_METER_H

#include <stdatomic.h>
#include <stdint.h>

/* What meter.c counts and load.c reads, in a file that all map: CPU time of all threads. Never
 * reset. */
struct meter {
    _Atomic uint64_t sign_ns;   /* from C_SignInit to the end of C_Sign */
    _Atomic uint64_t verify_ns; /* in EVP_PKEY_verify */
};

#endif
