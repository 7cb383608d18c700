#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/queue.h"
#include "tests/support/unit.h"

static struct sg_loop *loop;
static unsigned ran[4];

/* How often the loop was woken by the eventfd: write() as the wake-up makes it. */
static atomic_uint writes;
ssize_t __real_write(int fd, const void *ptr, size_t len);
ssize_t __wrap_write(int fd, const void *ptr, size_t len);
ssize_t __wrap_write(int fd, const void *ptr, size_t len)
{
    if (len == sizeof(uint64_t))
        atomic_fetch_add(&writes, 1);
    return __real_write(fd, ptr, len);
}

static int set_up(void **state)
{
    (void)state;
    memset(ran, 0, sizeof(ran));
    atomic_store(&writes, 0);
    return sg_loop_new(&sg_clock_system, &loop, NULL) == SG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sg_loop_free(loop);
    return 0;
}

static void count(void *arg)
{
    ran[*(const size_t *)arg]++;
}

static size_t numbers[] = {0, 1, 2, 3};

static void wake_init(struct sg_wake *wake, size_t number)
{
    *wake = (struct sg_wake){.fn = count, .arg = &numbers[number]};
    sg_wake_add(loop, wake);
}

static void one_turn(void)
{
    assert_int_equal(sg_loop_turn(loop, 0, NULL), SG_OK);
}

static void any_number_of_signals_is_one_call(void **state)
{
    (void)state;
    struct sg_wake wakes[2];
    wake_init(&wakes[0], 0);
    wake_init(&wakes[1], 1);
    one_turn();
    assert_int_equal(ran[0], 0);
    sg_wake_signal(&wakes[0]);
    sg_wake_signal(&wakes[0]);
    one_turn();
    one_turn();
    assert_int_equal(ran[0], 1);
    assert_int_equal(ran[1], 0);
    sg_wake_remove(loop, &wakes[0]);
    sg_wake_remove(loop, &wakes[1]);
    sg_wake_remove(loop, &wakes[1]); /* not added: nothing */
}

static void a_signal_to_an_awake_loop_makes_no_system_call(void **state)
{
    (void)state;
    struct sg_wake wake;
    wake_init(&wake, 0);
    for (int i = 0; i < 10; i++) {
        sg_wake_signal(&wake);
        assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK); /* and it does not wait */
    }
    assert_int_equal(ran[0], 10);
    assert_int_equal(atomic_load(&writes), 0);
    sg_wake_remove(loop, &wake);
}

static void a_removed_wake_is_not_called_and_forgets_its_signal(void **state)
{
    (void)state;
    struct sg_wake wake;
    wake_init(&wake, 0);
    sg_wake_signal(&wake);
    sg_wake_remove(loop, &wake);
    one_turn();
    sg_wake_add(loop, &wake);
    one_turn();
    assert_int_equal(ran[0], 0);
    sg_wake_remove(loop, &wake);
}

/* A callback that removes wakes, which were signalled in the same turn. */
static struct sg_wake trio[3];
static size_t remove_from, remove_to;

static void remove_some(void *arg)
{
    count(arg);
    for (size_t i = remove_from; i < remove_to; i++)
        sg_wake_remove(loop, &trio[i]);
}

static void a_callback_may_remove_any_wake(void **state)
{
    (void)state;
    for (size_t from = 0; from < 3; from++)
        for (size_t to = from + 1; to <= 3; to++) {
            memset(ran, 0, sizeof(ran));
            remove_from = from;
            remove_to = to;
            for (size_t i = 0; i < 3; i++) {
                wake_init(&trio[i], i);
                trio[i].fn = remove_some;
                sg_wake_signal(&trio[i]);
            }
            one_turn();
            /* The first to run removed the range; those in it ran at most as that first one. */
            unsigned inside = 0;
            for (size_t i = 0; i < 3; i++) {
                bool is_inside = i >= from && i < to;
                inside += is_inside ? ran[i] : 0;
                if (!is_inside)
                    assert_int_equal(ran[i], 1);
                sg_wake_remove(loop, &trio[i]);
            }
            assert_true(inside <= 1);
        }
}

/* One signal at a time, each sent while the loop is about to sleep: a lost one hangs the test. */
enum { ROUNDS = 20000 };
static atomic_uint seen;
static struct sg_wake ping;

static void see(void *arg)
{
    (void)arg;
    if (atomic_fetch_add(&seen, 1) + 1 == ROUNDS)
        sg_loop_stop(loop);
}

static void *send_one_by_one(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        sg_wake_signal(&ping);
        /* Spins at first, to be quick enough to meet the loop on its way; where there is one
         * processor only, it must give it away. */
        for (unsigned spins = 0; atomic_load(&seen) <= i; spins++)
            if (spins > 100)
                sched_yield();
    }
    return NULL;
}

static void no_signal_is_lost_on_the_way_to_sleep(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&seen, 0);
    ping = (struct sg_wake){.fn = see};
    sg_wake_add(loop, &ping);
    assert_int_equal(pthread_create(&thread, NULL, send_one_by_one, NULL), 0);
    assert_int_equal(sg_loop_run(loop, NULL), SG_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sg_wake_remove(loop, &ping);
    print_message("  %u of %d signals found the loop asleep\n", atomic_load(&writes), ROUNDS);
    assert_true(atomic_load(&writes) > 0 && atomic_load(&writes) <= ROUNDS);
}

/* As the module uses it: several threads hand things over by a queue and signal one wake. */
enum { SENDERS = 3, THINGS = 4000 };

struct thing {
    struct sg_queue_node node;
    unsigned value; /* written without a lock by each owner in turn */
};

static struct sg_queue *queue;
static struct sg_wake arrival;
static struct thing things[SENDERS][THINGS];
static unsigned arrived;

static void collect(void *arg)
{
    (void)arg;
    for (struct sg_queue_node *node = sg_queue_take_all(queue), *next; node != NULL; node = next) {
        next = node->next;
        SG_CONTAINER(node, struct thing, node)->value++;
        arrived++;
    }
    if (arrived == SENDERS * THINGS)
        sg_loop_stop(loop);
}

static void *send_all(void *arg)
{
    struct thing *mine = arg;
    for (size_t i = 0; i < THINGS; i++) {
        mine[i].value = 1;
        if (sg_queue_push(queue, &mine[i].node) != SG_OK)
            return arg;
        sg_wake_signal(&arrival);
    }
    return NULL;
}

static void what_was_pushed_before_a_signal_is_seen_after_it(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    arrived = 0;
    arrival = (struct sg_wake){.fn = collect};
    assert_int_equal(sg_queue_new(SENDERS * THINGS, &queue, NULL), SG_OK);
    sg_wake_add(loop, &arrival);
    for (size_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, things[i]), 0);
    assert_int_equal(sg_loop_run(loop, NULL), SG_OK);
    for (size_t i = 0; i < SENDERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    for (size_t i = 0; i < SENDERS * THINGS; i++)
        assert_int_equal(things[i / THINGS][i % THINGS].value, 2);
    sg_wake_remove(loop, &arrival);
    sg_queue_free(queue);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_number_of_signals_is_one_call),
        TEST(a_signal_to_an_awake_loop_makes_no_system_call),
        TEST(a_removed_wake_is_not_called_and_forgets_its_signal),
        TEST(a_callback_may_remove_any_wake),
        TEST(no_signal_is_lost_on_the_way_to_sleep),
        TEST(what_was_pushed_before_a_signal_is_seen_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
