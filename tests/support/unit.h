#ifndef SG_TESTS_SUPPORT_UNIT_H
#define SG_TESTS_SUPPORT_UNIT_H

/* cmocka 1.1.5 wants these before its own header, in this order; clang-format would sort them. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"
#include "base/slice.h"

/* Fails with both byte strings in the output when they differ. */
#define assert_slice_equal(a, b)                                                                   \
    do {                                                                                           \
        struct sg_slice a_ = (a), b_ = (b);                                                        \
        assert_int_equal(a_.len, b_.len);                                                          \
        if (a_.len > 0)                                                                            \
            assert_memory_equal(a_.ptr, b_.ptr, a_.len);                                           \
    } while (0)

#endif
