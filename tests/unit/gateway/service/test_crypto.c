#include "gateway/service/crypto.h"

#include <pthread.h>
#include <unistd.h>

#include "tests/support/unit.h"

enum { TASKS = 500 };

struct squaring {
    struct sg_crypto_task task;
    int in, out;
    int *done;
};

static void run(struct sg_crypto_task *task)
{
    struct squaring *squaring = SG_CONTAINER(task, struct squaring, task);
    squaring->out = squaring->in * squaring->in;
}

static void done(struct sg_crypto_task *task)
{
    struct squaring *squaring = SG_CONTAINER(task, struct squaring, task);
    ++*squaring->done;
}

static void every_task_is_done_once_on_the_loop(void **state)
{
    (void)state;
    static struct squaring all[TASKS];
    SG_AUTO(sg_loop_free) struct sg_loop *loop = NULL;
    SG_AUTO(sg_crypto_free) struct sg_crypto *crypto = NULL;
    int finished = 0;

    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(loop, 3, TASKS, &crypto, NULL), SG_OK);
    for (int i = 0; i < TASKS; i++) {
        all[i] = (struct squaring){{.run = run, .done = done}, i, 0, &finished};
        assert_int_equal(sg_crypto_submit(crypto, &all[i].task, NULL), SG_OK);
    }
    while (finished < TASKS)
        assert_int_equal(sg_loop_turn(loop, 1000, NULL), SG_OK);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(all[i].out, i * i);
}

static void freeing_the_pool_finishes_what_was_submitted(void **state)
{
    (void)state;
    static struct squaring all[TASKS];
    SG_AUTO(sg_loop_free) struct sg_loop *loop = NULL;
    struct sg_crypto *crypto = NULL;
    int finished = 0;

    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(loop, 2, TASKS, &crypto, NULL), SG_OK);
    for (int i = 0; i < TASKS; i++) {
        all[i] = (struct squaring){{.run = run, .done = done}, i, 0, &finished};
        assert_int_equal(sg_crypto_submit(crypto, &all[i].task, NULL), SG_OK);
    }
    sg_crypto_free(crypto);
    assert_int_equal(finished, TASKS);
}

static void run_slowly(struct sg_crypto_task *task)
{
    usleep(2000);
    run(task);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(struct sg_crypto_task *task)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    run(task);
}

static void a_slow_task_is_done_before_the_next(void **state)
{
    (void)state;
    static struct squaring all[2];
    SG_AUTO(sg_loop_free) struct sg_loop *loop = NULL;
    struct sg_crypto *crypto = NULL;
    int finished = 0;

    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(loop, 1, 2, &crypto, NULL), SG_OK);
    all[0] = (struct squaring){{.run = run_slowly, .done = done}, 0, 0, &finished};
    all[1] = (struct squaring){{.run = wait_at_gate, .done = done}, 1, 0, &finished};
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < SG_COUNT(all); i++)
        assert_int_equal(sg_crypto_submit(crypto, &all[i].task, NULL), SG_OK);
    while (finished < 1)
        assert_int_equal(sg_loop_turn(loop, -1, NULL), SG_OK); /* by ctest's time-out, if ever */
    pthread_mutex_unlock(&gate);
    sg_crypto_free(crypto);
    assert_int_equal(finished, 2);
}

static void a_full_pool_refuses_and_leaves_the_task_with_its_owner(void **state)
{
    (void)state;
    static struct squaring all[2];
    SG_AUTO(sg_loop_free) struct sg_loop *loop = NULL;
    struct sg_crypto *crypto = NULL;
    struct sg_err err = {0};
    int finished = 0, taken = 0;

    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(loop, 1, 1, &crypto, NULL), SG_OK);
    pthread_mutex_lock(&gate);
    for (; taken < 2; taken++) {
        all[taken] = (struct squaring){{.run = wait_at_gate, .done = done}, taken, 0, &finished};
        if (sg_crypto_submit(crypto, &all[taken].task, &err) != SG_OK)
            break;
    }
    pthread_mutex_unlock(&gate);
    assert_int_equal(taken, 1);
    assert_int_equal(err.reason, SG_R_QUEUE_FULL);
    sg_crypto_free(crypto);
    assert_int_equal(finished, taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_done_once_on_the_loop),
        cmocka_unit_test(freeing_the_pool_finishes_what_was_submitted),
        cmocka_unit_test(a_slow_task_is_done_before_the_next),
        cmocka_unit_test(a_full_pool_refuses_and_leaves_the_task_with_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
