#include "base/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

/* A clock that stands until it is moved. */
static int64_t fake_ns;

static int64_t fake_mono(const struct sg_clock *clock)
{
    (void)clock;
    return fake_ns;
}

static const struct sg_clock fake_clock = {fake_mono, fake_mono};

/* What happened, in order: a letter each. */
static char story[64];
static size_t story_len;

static void tell(char letter)
{
    assert_true(story_len < sizeof(story) - 1);
    story[story_len++] = letter;
    story[story_len] = '\0';
}

static struct sg_loop *loop;

static int set_up(void **state)
{
    (void)state;
    fake_ns = 1000;
    story_len = 0;
    story[0] = '\0';
    return sg_loop_new(&fake_clock, &loop, NULL) == SG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sg_loop_free(loop);
    return 0;
}

static void one_turn(void)
{
    assert_int_equal(sg_loop_turn(loop, 0, NULL), SG_OK);
}

/* A pair of sockets, one end watched. */
struct end {
    struct sg_watch watch;
    int far;
    char letter;
    uint32_t got;
    struct end *removes, *sets; /* what its callback does to another */
};

static void end_ready(void *arg, uint32_t events)
{
    struct end *end = arg;
    tell(end->letter);
    end->got = events;
    if (end->removes != NULL)
        sg_watch_remove(loop, &end->removes->watch);
    if (end->sets != NULL)
        sg_watch_set(loop, &end->sets->watch, 0);
}

static void end_open(struct end *end, char letter, uint32_t events)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *end = (struct end){{.fd = fds[0], .fn = end_ready, .arg = end, .events = events},
                        fds[1],
                        letter,
                        0,
                        NULL,
                        NULL};
    assert_int_equal(sg_watch_add(loop, &end->watch, NULL), SG_OK);
}

static void end_close(struct end *end)
{
    sg_watch_remove(loop, &end->watch);
    close(end->watch.fd);
    if (end->far >= 0)
        close(end->far);
}

static void end_send(struct end *end)
{
    assert_int_equal(write(end->far, "x", 1), 1);
}

/* Watches -------------------------------------------------------------------------------- */

static void a_watch_is_told_while_it_is_ready(void **state)
{
    (void)state;
    struct end end;
    char byte;
    end_open(&end, 'a', EPOLLIN);
    one_turn();
    assert_string_equal(story, "");
    end_send(&end);
    one_turn();
    one_turn(); /* level-triggered: nobody has read yet */
    assert_string_equal(story, "aa");
    assert_int_equal(end.got, EPOLLIN);
    assert_int_equal(read(end.watch.fd, &byte, 1), 1);
    one_turn();
    assert_string_equal(story, "aa");
    end_close(&end);
}

static void a_watch_is_told_only_what_it_wants(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', 0);
    end_send(&end);
    one_turn();
    assert_string_equal(story, "");
    sg_watch_set(loop, &end.watch, EPOLLOUT);
    one_turn();
    assert_int_equal(end.got, EPOLLOUT);
    sg_watch_set(loop, &end.watch, EPOLLIN | EPOLLOUT);
    one_turn();
    assert_int_equal(end.got, EPOLLIN | EPOLLOUT);
    assert_string_equal(story, "aa");
    end_close(&end);
}

static void a_hang_up_is_told_unasked(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', 0);
    close(end.far);
    end.far = -1;
    one_turn();
    assert_true((end.got & EPOLLHUP) != 0);
    end_close(&end);
}

static void a_removed_watch_is_silent_though_its_event_was_fetched(void **state)
{
    (void)state;
    struct end a, b;
    end_open(&a, 'a', EPOLLIN);
    end_open(&b, 'b', EPOLLIN);
    a.removes = &b;
    b.removes = &a;
    end_send(&a);
    end_send(&b);
    one_turn();
    assert_int_equal(story_len, 1); /* whichever came first removed the other */
    end_close(&a);
    end_close(&b);
}

static struct end *reborn;

static void remove_and_add_again(void *arg, uint32_t events)
{
    (void)events;
    struct end *dying = arg;
    if (reborn == NULL)
        return;
    /* The new watch takes the slot of the old one, whose event may lie behind this one. */
    struct end *other = reborn;
    reborn = NULL;
    tell('r');
    sg_watch_remove(loop, &dying[1].watch);
    close(dying[1].watch.fd);
    close(dying[1].far);
    end_open(other, 'n', EPOLLIN);
}

static void a_new_watch_does_not_inherit_the_event_of_the_old(void **state)
{
    (void)state;
    struct end both[2], other;
    end_open(&both[0], 'a', EPOLLIN);
    end_open(&both[1], 'b', EPOLLIN);
    both[0].watch.fn = remove_and_add_again;
    both[0].watch.arg = both;
    reborn = &other;
    end_send(&both[0]); /* first: epoll gives ready descriptors in the order they became so */
    end_send(&both[1]);
    uint32_t slot = both[1].watch.slot;
    one_turn();
    assert_string_equal(story, "r");
    assert_int_equal(other.watch.slot, slot);
    one_turn();
    assert_string_equal(story, "r");
    end_close(&both[0]);
    end_close(&other);
}

static void what_is_no_longer_wanted_is_not_told_in_the_same_turn(void **state)
{
    (void)state;
    struct end a, b;
    end_open(&a, 'a', EPOLLIN);
    end_open(&b, 'b', EPOLLIN);
    a.sets = &b;
    b.sets = &a;
    end_send(&a);
    end_send(&b);
    one_turn();
    assert_int_equal(story_len, 1);
    end_close(&a);
    end_close(&b);
}

static void a_watch_may_remove_itself_and_removing_twice_is_nothing(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', EPOLLIN);
    end.removes = &end;
    end_send(&end);
    one_turn();
    one_turn();
    assert_string_equal(story, "a");
    sg_watch_remove(loop, &end.watch);
    end_close(&end);
}

static size_t told_count;

static void count_and_remove(void *arg, uint32_t events)
{
    (void)events;
    struct end *end = arg;
    told_count++;
    sg_watch_remove(loop, &end->watch);
}

static void many_watches_are_each_told(void **state)
{
    (void)state;
    enum { MANY = 300 }; /* more than the first slots, and more than one fetch */
    static struct end ends[MANY];
    told_count = 0;
    for (size_t i = 0; i < MANY; i++) {
        end_open(&ends[i], 'm', EPOLLIN);
        ends[i].watch.fn = count_and_remove;
        end_send(&ends[i]);
    }
    for (size_t turns = 0; turns < 3; turns++)
        one_turn();
    assert_int_equal(told_count, MANY);
    for (size_t i = 0; i < MANY; i++)
        end_close(&ends[i]);
}

static void what_epoll_refuses_is_not_added(void **state)
{
    (void)state;
    struct sg_err err;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* always ready: epoll does not take it */
    struct sg_watch watch = {.fd = fd, .fn = end_ready, .events = EPOLLIN};
    assert_int_equal(sg_watch_add(loop, &watch, &err), SG_E_INTERNAL);
    assert_false(watch.is_added);
    close(fd);
    watch.fd = -1;
    assert_int_equal(sg_watch_add(loop, &watch, &err), SG_E_INTERNAL);
    sg_watch_remove(loop, &watch);
}

/* Timers --------------------------------------------------------------------------------- */

struct alarm {
    struct sg_timer timer;
    char letter;
    int64_t again_ns; /* sets itself to this, when not 0 */
    struct alarm *cancels;
};

static void alarm_rings(void *arg)
{
    struct alarm *alarm = arg;
    tell(alarm->letter);
    assert_int_equal(alarm->timer.place, 0);
    if (alarm->cancels != NULL)
        sg_timer_cancel(loop, &alarm->cancels->timer);
    if (alarm->again_ns != 0)
        assert_int_equal(sg_timer_set(loop, &alarm->timer, alarm->again_ns, NULL), SG_OK);
}

static void alarm_set(struct alarm *alarm, char letter, int64_t due_ns)
{
    *alarm = (struct alarm){.timer = {.fn = alarm_rings, .arg = alarm}, .letter = letter};
    assert_int_equal(sg_timer_set(loop, &alarm->timer, due_ns, NULL), SG_OK);
}

static void timers_ring_in_order_and_not_before_they_are_due(void **state)
{
    (void)state;
    struct alarm a, b, c;
    alarm_set(&b, 'b', 3000);
    alarm_set(&a, 'a', 2000);
    alarm_set(&c, 'c', 3001);
    fake_ns = 1999;
    one_turn();
    assert_string_equal(story, "");
    fake_ns = 3000;
    one_turn();
    assert_string_equal(story, "ab");
    one_turn();
    assert_string_equal(story, "ab");
    fake_ns = 3001;
    one_turn();
    assert_string_equal(story, "abc");
}

static void a_timer_moves_when_it_is_set_again(void **state)
{
    (void)state;
    struct alarm a, b;
    alarm_set(&a, 'a', 2000);
    alarm_set(&b, 'b', 3000);
    assert_int_equal(sg_timer_set(loop, &a.timer, 4000, NULL), SG_OK);
    assert_int_equal(sg_timer_set(loop, &b.timer, 1500, NULL), SG_OK);
    fake_ns = 2000;
    one_turn();
    assert_string_equal(story, "b");
    fake_ns = 4000;
    one_turn();
    assert_string_equal(story, "ba");
}

static void a_cancelled_timer_does_not_ring_even_when_due_in_this_turn(void **state)
{
    (void)state;
    struct alarm a, b, c;
    alarm_set(&a, 'a', 2000);
    alarm_set(&b, 'b', 2001);
    alarm_set(&c, 'c', 2002);
    a.cancels = &b;
    fake_ns = 5000;
    one_turn();
    assert_string_equal(story, "ac");
    sg_timer_cancel(loop, &b.timer); /* not set: nothing */
}

static void a_timer_that_sets_itself_to_now_rings_once_a_turn(void **state)
{
    (void)state;
    struct alarm a, b;
    alarm_set(&a, 'a', 1);
    alarm_set(&b, 'b', 900);
    a.again_ns = 1;
    one_turn();
    assert_string_equal(story, "ab");
    fake_ns++;
    one_turn();
    assert_string_equal(story, "aba");
    sg_timer_cancel(loop, &a.timer);
}

static int64_t last_due;
static size_t rung;

static void in_order(void *arg)
{
    struct sg_timer *timer = arg;
    assert_true(timer->due_ns >= last_due);
    last_due = timer->due_ns;
    rung++;
}

static void many_timers_keep_the_order_through_moves_and_cancels(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static struct sg_timer timers[MANY];
    uint32_t x = 7;
    last_due = 0;
    rung = 0;
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < MANY; i++) {
            x = x * 1664525 + 1013904223;
            timers[i].fn = in_order;
            timers[i].arg = &timers[i];
            assert_int_equal(sg_timer_set(loop, &timers[i], x >> 8, NULL), SG_OK);
        }
    for (size_t i = 0; i < MANY; i += 3)
        sg_timer_cancel(loop, &timers[i]);
    for (fake_ns = 0; fake_ns <= 1 << 24; fake_ns += 1 << 18)
        one_turn();
    assert_int_equal(rung, MANY - (MANY + 2) / 3);
}

static void a_wait_ends_when_a_timer_is_due(void **state)
{
    (void)state;
    struct sg_loop *real;
    struct sg_loop *fake = loop;
    assert_int_equal(sg_loop_new(&sg_clock_system, &real, NULL), SG_OK);
    loop = real;
    struct alarm a;
    int64_t due_ns = sg_mono_ns(&sg_clock_system) + 5 * SG_NS_PER_MS;
    alarm_set(&a, 'a', due_ns);
    for (int turns = 0; story_len == 0; turns++) {
        assert_true(turns < 3); /* it sleeps, it does not spin */
        assert_int_equal(sg_loop_turn(real, -1, NULL), SG_OK);
    }
    assert_true(sg_loop_now(real) >= due_ns);
    sg_loop_free(real);
    loop = fake;
}

static void a_wait_ends_after_its_bound(void **state)
{
    (void)state;
    struct alarm a;
    alarm_set(&a, 'a', INT64_MAX); /* the difference to now must not overflow either */
    int64_t start_ns = sg_mono_ns(&sg_clock_system);
    fake_ns = -1;
    assert_int_equal(sg_loop_turn(loop, 20, NULL), SG_OK);
    assert_true(sg_mono_ns(&sg_clock_system) - start_ns >= 19 * SG_NS_PER_MS);
    assert_string_equal(story, "");
    sg_timer_cancel(loop, &a.timer);
}

/* Hooks ---------------------------------------------------------------------------------- */

struct end_of_turn {
    struct sg_hook hook;
    char letter;
    struct end_of_turn *arms, *disarms;
};

static void hook_runs(void *arg)
{
    struct end_of_turn *end = arg;
    tell(end->letter);
    if (end->arms != NULL)
        sg_hook_arm(loop, &end->arms->hook);
    if (end->disarms != NULL)
        sg_hook_disarm(&end->disarms->hook);
}

static void hook_init(struct end_of_turn *end, char letter)
{
    *end = (struct end_of_turn){{.fn = hook_runs, .arg = end}, letter, NULL, NULL};
    sg_hook_arm(loop, &end->hook);
}

static struct end_of_turn flush;

static void arm_flush(void *arg)
{
    (void)arg;
    tell('t');
    sg_hook_arm(loop, &flush.hook);
}

static void a_hook_runs_once_after_all_events_of_the_turn(void **state)
{
    (void)state;
    struct alarm a, b;
    hook_init(&flush, 'f');
    sg_hook_disarm(&flush.hook);
    alarm_set(&a, 'a', 1);
    alarm_set(&b, 'b', 2);
    a.timer.fn = arm_flush;
    b.timer.fn = arm_flush;
    one_turn();
    assert_string_equal(story, "ttf");
    one_turn();
    assert_string_equal(story, "ttf");
}

static void hooks_run_in_the_order_they_were_armed(void **state)
{
    (void)state;
    struct end_of_turn a, b, c;
    hook_init(&a, 'a');
    hook_init(&b, 'b');
    hook_init(&c, 'c');
    sg_hook_arm(loop, &a.hook); /* armed already: keeps its place */
    one_turn();
    assert_string_equal(story, "abc");
}

static void a_disarmed_hook_is_silent_wherever_it_stood(void **state)
{
    (void)state;
    for (size_t gone = 0; gone < 3; gone++) {
        struct end_of_turn hooks[3];
        story_len = 0;
        for (size_t i = 0; i < 3; i++)
            hook_init(&hooks[i], (char)('a' + i));
        sg_hook_disarm(&hooks[gone].hook);
        sg_hook_disarm(&hooks[gone].hook);
        one_turn();
        static const char *const left[] = {"bc", "ac", "ab"};
        assert_string_equal(story, left[gone]);
    }
}

static void a_hook_may_disarm_one_that_was_to_run_next(void **state)
{
    (void)state;
    struct end_of_turn a, b, c;
    hook_init(&a, 'a');
    hook_init(&b, 'b');
    hook_init(&c, 'c');
    a.disarms = &b;
    one_turn();
    assert_string_equal(story, "ac");
}

static void a_hook_armed_by_a_hook_runs_in_the_next_turn_at_once(void **state)
{
    (void)state;
    struct end_of_turn a;
    hook_init(&a, 'a');
    a.arms = &a;
    assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK); /* does not wait: one is armed */
    assert_string_equal(story, "a");
    a.arms = NULL;
    assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK);
    assert_string_equal(story, "aa");
}

/* Turns ---------------------------------------------------------------------------------- */

static void stop_now(void *arg)
{
    (void)arg;
    tell('s');
    sg_loop_stop(loop);
}

static void run_ends_after_the_turn_that_stopped_it(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* it may run again */
        struct alarm a, b;
        story_len = 0;
        alarm_set(&a, 'a', 1);
        alarm_set(&b, 'b', 2);
        a.timer.fn = stop_now;
        assert_int_equal(sg_loop_run(loop, NULL), SG_OK);
        assert_string_equal(story, "sb");
    }
}

static void now_stands_still_within_a_turn(void **state)
{
    (void)state;
    assert_int_equal(sg_loop_now(loop), 1000);
    fake_ns = 5000;
    assert_int_equal(sg_loop_now(loop), 1000);
    one_turn();
    assert_int_equal(sg_loop_now(loop), 5000);
}

static void on_signal(int number)
{
    (void)number;
}

static void a_signal_does_not_fail_the_turn(void **state)
{
    (void)state;
    struct sigaction old, action = {.sa_handler = on_signal};
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    ualarm(2000, 2000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sg_loop_turn(loop, 10, NULL), SG_OK);
    ualarm(0, 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

/* Bugs of an owner end the process. */
static struct end twice;

static void add_twice(void)
{
    end_open(&twice, 'a', EPOLLIN);
    SG_IGNORE(sg_watch_add(loop, &twice.watch, NULL));
}

static void turn_inside(void *arg)
{
    (void)arg;
    SG_IGNORE(sg_loop_turn(loop, 0, NULL));
}

static void turn_within_a_turn(void)
{
    struct alarm a;
    alarm_set(&a, 'a', 1);
    a.timer.fn = turn_inside;
    SG_IGNORE(sg_loop_turn(loop, 0, NULL));
}

static void free_with_a_timer_set(void)
{
    struct alarm a;
    alarm_set(&a, 'a', 5000);
    sg_loop_free(loop);
}

static void a_bug_of_an_owner_ends_the_process(void **state)
{
    (void)state;
    void (*const bugs[])(void) = {add_twice, turn_within_a_turn, free_with_a_timer_set};
    for (size_t i = 0; i < SG_COUNT(bugs); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            signal(SIGABRT, SIG_DFL); /* cmocka catches it */
            close(STDERR_FILENO);
            bugs[i]();
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static bool use_all(void *arg)
{
    (void)arg;
    struct sg_loop *own = NULL;
    struct sg_timer timers[40] = {0};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    struct sg_watch watch = {.fd = fds[0], .fn = end_ready, .events = EPOLLIN};
    struct sg_err err;
    bool is_ok =
        sg_loop_new(&fake_clock, &own, &err) == SG_OK && sg_watch_add(own, &watch, &err) == SG_OK;
    for (size_t i = 0; is_ok && i < SG_COUNT(timers); i++) {
        timers[i].fn = in_order;
        is_ok = sg_timer_set(own, &timers[i], (int64_t)i, &err) == SG_OK;
    }
    if (own != NULL) {
        for (size_t i = 0; i < SG_COUNT(timers); i++)
            sg_timer_cancel(own, &timers[i]);
        sg_watch_remove(own, &watch);
    }
    sg_loop_free(own);
    close(fds[0]);
    close(fds[1]);
    return is_ok;
}

static void no_memory_is_told_and_nothing_is_left_behind(void **state)
{
    (void)state;
    assert_int_equal(sg_failmalloc_each(use_all, NULL), 5); /* loop, slots, heap three times */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_is_told_while_it_is_ready),
        TEST(a_watch_is_told_only_what_it_wants),
        TEST(a_hang_up_is_told_unasked),
        TEST(a_removed_watch_is_silent_though_its_event_was_fetched),
        TEST(a_new_watch_does_not_inherit_the_event_of_the_old),
        TEST(what_is_no_longer_wanted_is_not_told_in_the_same_turn),
        TEST(a_watch_may_remove_itself_and_removing_twice_is_nothing),
        TEST(many_watches_are_each_told),
        TEST(what_epoll_refuses_is_not_added),
        TEST(timers_ring_in_order_and_not_before_they_are_due),
        TEST(a_timer_moves_when_it_is_set_again),
        TEST(a_cancelled_timer_does_not_ring_even_when_due_in_this_turn),
        TEST(a_timer_that_sets_itself_to_now_rings_once_a_turn),
        TEST(many_timers_keep_the_order_through_moves_and_cancels),
        TEST(a_wait_ends_when_a_timer_is_due),
        TEST(a_wait_ends_after_its_bound),
        TEST(a_hook_runs_once_after_all_events_of_the_turn),
        TEST(hooks_run_in_the_order_they_were_armed),
        TEST(a_disarmed_hook_is_silent_wherever_it_stood),
        TEST(a_hook_may_disarm_one_that_was_to_run_next),
        TEST(a_hook_armed_by_a_hook_runs_in_the_next_turn_at_once),
        TEST(run_ends_after_the_turn_that_stopped_it),
        TEST(now_stands_still_within_a_turn),
        TEST(a_signal_does_not_fail_the_turn),
        TEST(a_bug_of_an_owner_ends_the_process),
        TEST(no_memory_is_told_and_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
