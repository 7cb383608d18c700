#ifndef SG_TESTS_UNIT_GATEWAY_STORE_SUITE_H
#define SG_TESTS_UNIT_GATEWAY_STORE_SUITE_H

#include <unistd.h>

#include "gateway/store/store.h"

/*
 * What every store must do, whatever is behind it. A backend's test program gives an address for
 * each test, and adds tests of what is its own.
 */
struct store_suite {
    char *url;
    struct sg_store *store;
    struct sg_store_log log; /* "log", with one leaf, when a test begins */
};

/* A store of its own for a test, not yet there; forgets it again. */
char *suite_backend_new(void);
void suite_backend_drop(const char *url);

int suite_setup(void **state);
int suite_teardown(void **state);

/* A group of `count` leaves from `old_size` on, with request keys from `key` on (0: none), which
 * lives until the next. */
struct sg_store_group *suite_group(const struct sg_store_log *log, uint64_t old_size, size_t count,
                                   uint64_t key);
/* Appends so many leaves, which must work. */
void suite_append(struct store_suite *suite, struct sg_store *store, size_t count, uint64_t key);
/* Judges the leaves from `first` on, each as suite_group() makes it; returns the number behind the
 * last. */
uint64_t suite_check_leaves(struct sg_store *store, const struct sg_store_log *log, uint64_t first);
/* The log has exactly `size` leaves from `first` on, each as suite_group() makes it. */
void suite_check(struct sg_store *store, const struct sg_store_log *log, uint64_t first,
                 uint64_t size);
uint64_t suite_size(struct sg_store *store);
struct sg_store *suite_open(const char *url);

/* Starts a process that appends to the log one by one until it is killed, and writes the number of
 * each acknowledged leaf to `*ret_fd`. */
pid_t suite_appender(const char *url, uint64_t first_key, int *ret_fd);
/* The last number that it wrote, after it has ended; -1: none. */
int64_t suite_last_told(int fd);

/* Makes a store as the dumps of earlier versions hold it; and whether one is as it was made. */
void suite_make(const char *url);
void suite_check_made(const char *url);

extern struct sg_err suite_err;
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        suite_err = (struct sg_err){0};                                                            \
        if ((call) != SG_OK)                                                                       \
            fail_msg("%s: %s", #call, suite_err.msg);                                              \
    } while (0)

#define SUITE_TEST(name) cmocka_unit_test_setup_teardown(name, suite_setup, suite_teardown)

extern const struct CMUnitTest suite_tests[];
extern const size_t suite_test_count;

#endif
