#include "base/log_limit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

/* Time is the test's; standard error is a socket that keeps lines apart. */
static int64_t fake_ns;
static struct sg_loop *loop;
static struct sg_log_limit limit;
static int far_end, real_stderr;

static int64_t read_clock(const struct sg_clock *clock)
{
    (void)clock;
    return fake_ns;
}

static const struct sg_clock fake_clock = {read_clock, read_clock};
static const int64_t window_ns = SG_LOG_LIMIT_WINDOW_S * SG_NS_PER_S;

static int setup(void **state)
{
    int fds[2];
    (void)state;
    fake_ns = SG_NS_PER_S;
    assert_int_equal(sg_loop_new(&fake_clock, &loop, NULL), SG_OK);
    sg_log_limit_init(&limit, loop, "test.event");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    far_end = fds[1];
    real_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fds[0], STDERR_FILENO) >= 0);
    close(fds[0]);
    sg_log_setup(SG_LOG_INFO, SG_LOG_KEY_VALUE, "test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    close(far_end);
    sg_loop_free(loop);
    return 0;
}

static void turn_at(int64_t ns)
{
    fake_ns = ns;
    assert_int_equal(sg_loop_turn(loop, 0, NULL), SG_OK);
}

/* How many of so many lines may be logged. */
static size_t take(size_t count)
{
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        taken += sg_log_limit_take(&limit);
    return taken;
}

/* The next line of the log; "" when there is none. */
static const char *next_line(void)
{
    static char line[SG_LOG_LINE_BYTES_MAX + 1];
    ssize_t len = recv(far_end, line, sizeof(line) - 1, MSG_DONTWAIT);
    line[len < 0 ? 0 : len] = '\0';
    return line;
}

static void assert_told(const char *lines)
{
    const char *line = next_line();
    assert_non_null(strstr(line, "event=log.suppressed of=test.event lines="));
    assert_non_null(strstr(line, lines));
}

static void a_window_has_so_many_lines_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(take(SG_LOG_LIMIT_LINES), SG_LOG_LIMIT_LINES);
    assert_int_equal(take(1), 0);
    sg_log_limit_done(&limit);
    assert_told("lines=1\n");
}

static void what_stays_below_is_never_told_of(void **state)
{
    (void)state;
    for (int64_t i = 1; i < 5; i++) {
        turn_at(i * window_ns);
        assert_int_equal(take(SG_LOG_LIMIT_LINES), SG_LOG_LIMIT_LINES);
    }
    turn_at(9 * window_ns);
    sg_log_limit_done(&limit);
    assert_string_equal(next_line(), "");
}

/* Nothing need happen any more for the count to be told. */
static void the_count_is_told_when_the_window_ends(void **state)
{
    (void)state;
    assert_int_equal(take(SG_LOG_LIMIT_LINES + 1234), SG_LOG_LIMIT_LINES);
    turn_at(fake_ns + window_ns - 1);
    assert_string_equal(next_line(), "");
    turn_at(fake_ns + 1);
    assert_told("lines=1234\n");
    assert_string_equal(next_line(), "");
    assert_int_equal(take(SG_LOG_LIMIT_LINES + 1), SG_LOG_LIMIT_LINES);
    sg_log_limit_done(&limit);
    assert_told("lines=1\n");
}

static void a_flood_of_a_minute_costs_six_windows(void **state)
{
    size_t lines = 0, told = 0;
    (void)state;
    for (int64_t ms = 0; ms < 60000; ms++) {
        turn_at(SG_NS_PER_S + ms * SG_NS_PER_MS);
        lines += take(10);
        told += next_line()[0] != '\0';
    }
    assert_int_equal(lines, 6 * SG_LOG_LIMIT_LINES);
    sg_log_limit_done(&limit);
    assert_int_equal(told + (next_line()[0] != '\0'), 6);
}

static void without_memory_for_a_timer_the_next_line_brings_the_count(void **state)
{
    (void)state;
    assert_int_equal(take(SG_LOG_LIMIT_LINES), SG_LOG_LIMIT_LINES);
    sg_failmalloc_arm(1);
    assert_int_equal(take(3), 0);
    assert_true(sg_failmalloc_disarm());
    turn_at(fake_ns + window_ns);
    assert_string_equal(next_line(), "");
    assert_int_equal(take(1), 1);
    assert_told("lines=3\n");
    sg_log_limit_done(&limit);
}

static void what_was_never_begun_can_be_ended(void **state)
{
    struct sg_log_limit none = {0};
    (void)state;
    sg_log_limit_done(&none);
    sg_log_limit_done(&limit);
    sg_log_limit_done(&limit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_window_has_so_many_lines_and_no_more),
        TEST(what_stays_below_is_never_told_of),
        TEST(the_count_is_told_when_the_window_ends),
        TEST(a_flood_of_a_minute_costs_six_windows),
        TEST(without_memory_for_a_timer_the_next_line_brings_the_count),
        TEST(what_was_never_begun_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
