#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/unit/base/loop_story.h"

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

/* Turns ---------------------------------------------------------------------------------- */

static int64_t told_ns;

static void turn_told(void *arg, int64_t took_ns)
{
    assert_ptr_equal(arg, &told_ns);
    tell('t');
    told_ns = took_ns;
}

static void takes_seven(void *arg)
{
    (void)arg;
    tell('h');
    fake_ns += 7;
}

static void a_turn_is_told_with_its_hooks_and_without_its_wait(void **state)
{
    (void)state;
    struct sg_hook hook = {.fn = takes_seven};
    struct alarm alarm;

    sg_loop_tell_turns(loop, turn_told, &told_ns);
    alarm_set(&alarm, 'a', 2000);
    fake_ns = 3000; /* waited for, or spent elsewhere */
    sg_hook_arm(loop, &hook);
    one_turn();
    assert_string_equal(story, "aht");
    assert_int_equal(told_ns, 7);
    one_turn();
    assert_string_equal(story, "ahtt");
    assert_int_equal(told_ns, 0);
    sg_loop_tell_turns(loop, NULL, NULL);
    one_turn();
    assert_string_equal(story, "ahtt");
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

static void the_stages_of_a_turn_come_in_their_order(void **state)
{
    (void)state;
    struct end_of_turn input, end, output;
    struct alarm timer;
    hook_init(&output, 'o');
    hook_init(&end, 'e');
    hook_init(&input, 'i');
    sg_hook_disarm(&output.hook);
    sg_hook_disarm(&input.hook);
    output.hook.stage = SG_STAGE_OUTPUT;
    input.hook.stage = SG_STAGE_INPUT;
    sg_hook_arm(loop, &output.hook);
    sg_hook_arm(loop, &input.hook);
    alarm_set(&timer, 't', 0);
    one_turn();
    assert_string_equal(story, "iteo");
}

static void a_hook_of_a_later_stage_runs_in_the_turn_that_arms_it(void **state)
{
    (void)state;
    struct end_of_turn end, output;
    hook_init(&output, 'o');
    hook_init(&end, 'e');
    sg_hook_disarm(&output.hook);
    output.hook.stage = SG_STAGE_OUTPUT;
    end.arms = &output;
    output.arms = &end; /* its stage is over: in the next turn, at once */
    assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK);
    assert_string_equal(story, "eo");
    end.arms = output.arms = NULL;
    assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK);
    assert_string_equal(story, "eoe");
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
static void nothing(void *arg, uint32_t events)
{
    (void)arg;
    (void)events;
}

static void add_twice(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return;
    struct sg_watch watch = {.fd = fds[0], .fn = nothing, .events = EPOLLIN};
    SG_IGNORE(sg_watch_add(loop, &watch, NULL));
    SG_IGNORE(sg_watch_add(loop, &watch, NULL));
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

static void without_descriptors_there_is_no_loop(void **state)
{
    (void)state;
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    int first_free = dup(STDIN_FILENO);
    close(first_free);
    tight = old;
    for (rlim_t room = 0; room < 2; room++) { /* none, and one where two are needed */
        struct sg_loop *own;
        struct sg_err err;
        tight.rlim_cur = (rlim_t)first_free + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        enum sg_rc rc = sg_loop_new(&fake_clock, &own, &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(rc, SG_E_INTERNAL);
        assert_int_equal(err.native, EMFILE);
    }
    int again = dup(STDIN_FILENO); /* the one that was opened is closed again */
    assert_int_equal(again, first_free);
    close(again);
}

static bool use_all(void *arg)
{
    (void)arg;
    struct sg_loop *own = NULL;
    struct sg_timer timers[40] = {0};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    struct sg_watch watch = {.fd = fds[0], .fn = nothing, .events = EPOLLIN};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_turn_is_told_with_its_hooks_and_without_its_wait),
        LOOP_TEST(timers_ring_in_order_and_not_before_they_are_due),
        LOOP_TEST(a_timer_moves_when_it_is_set_again),
        LOOP_TEST(a_cancelled_timer_does_not_ring_even_when_due_in_this_turn),
        LOOP_TEST(a_timer_that_sets_itself_to_now_rings_once_a_turn),
        LOOP_TEST(many_timers_keep_the_order_through_moves_and_cancels),
        LOOP_TEST(a_wait_ends_when_a_timer_is_due),
        LOOP_TEST(a_wait_ends_after_its_bound),
        LOOP_TEST(a_hook_runs_once_after_all_events_of_the_turn),
        LOOP_TEST(hooks_run_in_the_order_they_were_armed),
        LOOP_TEST(a_disarmed_hook_is_silent_wherever_it_stood),
        LOOP_TEST(a_hook_may_disarm_one_that_was_to_run_next),
        LOOP_TEST(a_hook_armed_by_a_hook_runs_in_the_next_turn_at_once),
        LOOP_TEST(the_stages_of_a_turn_come_in_their_order),
        LOOP_TEST(a_hook_of_a_later_stage_runs_in_the_turn_that_arms_it),
        LOOP_TEST(run_ends_after_the_turn_that_stopped_it),
        LOOP_TEST(now_stands_still_within_a_turn),
        LOOP_TEST(a_signal_does_not_fail_the_turn),
        LOOP_TEST(without_descriptors_there_is_no_loop),
        LOOP_TEST(a_bug_of_an_owner_ends_the_process),
        LOOP_TEST(no_memory_is_told_and_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
