#ifndef SG_TESTS_SUPPORT_FAILMALLOC_H
#define SG_TESTS_SUPPORT_FAILMALLOC_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes the n-th allocation of the calling thread fail. Link the test with sg_failmalloc
 * (LIBRARIES of sg_test), which puts itself between our code and malloc, calloc, realloc,
 * reallocarray, aligned_alloc, posix_memalign, strdup and strndup by the linker's --wrap. So it
 * works under every sanitizer; it does not reach allocations made inside shared libraries.
 */

/* From now on the `nth` allocation fails, counted from 1; those before and after it do not. */
void sg_failmalloc_arm(size_t nth);
/* In between, for what the test itself does: allocations do not count and do not fail. */
void sg_failmalloc_pause(void);
void sg_failmalloc_resume(void);
/* No allocation fails any more. Returns whether one did since sg_failmalloc_arm. */
bool sg_failmalloc_disarm(void);

/*
 * Calls `run` with its first allocation failing, then with its second, and so on, until it runs
 * through without one that failed. Each time it must clean up after itself (LeakSanitizer looks)
 * and say whether it succeeded: it must not when an allocation failed, and must when none did.
 * Fails the cmocka test otherwise. Returns how many allocations `run` makes.
 */
size_t sg_failmalloc_each(bool (*run)(void *arg), void *arg);

#endif
