#include "tests/support/failmalloc.h"

#include <errno.h>

#include "tests/support/unit.h"

/* Where a test makes more allocations than this, it is in a loop that ignores their failure. */
enum { ALLOCATIONS_MAX = 100000 };

/* Volatile, because a compiler that sees all of the program knows that malloc does not touch them.
 */
static _Thread_local volatile size_t left; /* allocations until the one that fails; 0: none will */
static _Thread_local volatile bool has_failed;
static _Thread_local volatile bool is_paused;

void sg_failmalloc_arm(size_t nth)
{
    left = nth;
    has_failed = false;
    is_paused = false;
}

void sg_failmalloc_pause(void)
{
    is_paused = true;
}

void sg_failmalloc_resume(void)
{
    is_paused = false;
}

bool sg_failmalloc_disarm(void)
{
    left = 0;
    return has_failed;
}

size_t sg_failmalloc_each(bool (*run)(void *arg), void *arg)
{
    for (size_t nth = 1; nth < ALLOCATIONS_MAX; nth++) {
        sg_failmalloc_arm(nth);
        bool is_ok = run(arg);
        bool failed = sg_failmalloc_disarm();
        if (is_ok == failed)
            fail_msg("with allocation %zu %s, the run %s", nth, failed ? "failing" : "not reached",
                     is_ok ? "succeeded" : "failed");
        if (!failed)
            return nth - 1;
    }
    fail_msg("over %d allocations", ALLOCATIONS_MAX);
    return 0;
}

static bool is_failing(void)
{
    if (left == 0 || is_paused)
        return false;
    left = left - 1;
    if (left > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

/* The names are the linker's (ld, --wrap). */
#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return is_failing() ? NULL : __real_##name arguments;                                      \
    }                                                                                              \
    struct sg_wrap_needs_semicolon_

WRAP(void *, malloc, (size_t len), (len));
WRAP(void *, calloc, (size_t count, size_t len), (count, len));
WRAP(void *, realloc, (void *ptr, size_t len), (ptr, len));
WRAP(void *, reallocarray, (void *ptr, size_t count, size_t len), (ptr, count, len));
WRAP(void *, aligned_alloc, (size_t align, size_t len), (align, len));
WRAP(char *, strdup, (const char *str), (str));
WRAP(char *, strndup, (const char *str, size_t len), (str, len));

int __real_posix_memalign(void **ret, size_t align, size_t len);
int __wrap_posix_memalign(void **ret, size_t align, size_t len);
int __wrap_posix_memalign(void **ret, size_t align, size_t len)
{
    return is_failing() ? ENOMEM : __real_posix_memalign(ret, align, len);
}
