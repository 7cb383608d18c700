#include "gateway/config/callers.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/unit.h"

/*
 * The list of callers that is read anew while the loop goes on. The readings of these tests end
 * when the test says so, so that nothing here depends on how long one takes.
 */
static struct {
    struct sg_loop *loop;
    struct sg_callers_reader *reader;
    sem_t begun, may_end;
    atomic_int readings;
    atomic_bool is_wrong;      /* the thread that reads is the loop's, or reads another file */
    _Atomic enum sg_rc wanted; /* of the next to end */
    pthread_t loop_thread;

    struct sg_callers_reading told[8];
    size_t told_count;
    enum sg_rc ask_again; /* SG_E_AGAIN: from within `told`, once */
} rig;

static enum sg_rc make_list(struct sg_authz **ret, struct sg_err *err)
{
    static const char *const methods[] = {"a.B"};
    const struct sg_authz_caller caller = {
        .name = "portal", .ca = "main", .uri = "urn:a", .methods = methods, .method_count = 1};
    return sg_authz_new(&caller, 1, ret, err);
}

static enum sg_rc read_when_told(const char *path, struct sg_authz **ret, struct sg_err *err)
{
    if (strcmp(path, "callers.yaml") != 0 || pthread_equal(pthread_self(), rig.loop_thread))
        atomic_store(&rig.is_wrong, true);
    atomic_fetch_add(&rig.readings, 1);
    sem_post(&rig.begun);
    sem_wait(&rig.may_end);
    const enum sg_rc rc = atomic_load(&rig.wanted);
    return rc == SG_OK ? make_list(ret, err) : SG_FAIL(err, rc, 0, "the file is broken");
}

static void on_told(void *arg, const struct sg_callers_reading *reading)
{
    assert_ptr_equal(arg, &rig);
    assert_true(pthread_equal(pthread_self(), rig.loop_thread));
    assert_true(rig.told_count < SG_COUNT(rig.told));
    rig.told[rig.told_count++] = *reading;
    sg_authz_free(reading->authz);
    if (rig.ask_again == SG_E_AGAIN) {
        rig.ask_again = SG_OK;
        assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    }
}

static int start(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    rig.loop_thread = pthread_self();
    sem_init(&rig.begun, 0, 0);
    sem_init(&rig.may_end, 0, 0);
    if (sg_loop_new(&sg_clock_system, &rig.loop, NULL) != SG_OK)
        return 1;
    const struct sg_callers_reader_options options = {.loop = rig.loop,
                                                      .path = "callers.yaml",
                                                      .told = on_told,
                                                      .arg = &rig,
                                                      .read = read_when_told};
    return sg_callers_reader_new(&options, &rig.reader, NULL) == SG_OK ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    sg_callers_reader_free(rig.reader);
    sg_loop_free(rig.loop);
    sem_destroy(&rig.begun);
    sem_destroy(&rig.may_end);
    return atomic_load(&rig.is_wrong) ? 1 : 0;
}

static void turn_until(size_t told)
{
    while (rig.told_count < told) /* by ctest's time-out, if ever */
        assert_int_equal(sg_loop_turn(rig.loop, 1000, NULL), SG_OK);
}

static void the_loop_turns_while_the_list_is_read(void **state)
{
    (void)state;
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_wait(&rig.begun);
    for (int i = 0; i < 10; i++)
        assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    assert_int_equal(rig.told_count, 0);
    sem_post(&rig.may_end);
    turn_until(1);
    assert_int_equal(rig.told[0].rc, SG_OK);
    assert_non_null(rig.told[0].authz);
    assert_true(rig.told[0].is_last);
}

static void who_asks_meanwhile_gets_one_more_reading(void **state)
{
    (void)state;
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_wait(&rig.begun);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    assert_int_equal(atomic_load(&rig.readings), 1);
    sem_post(&rig.may_end);
    turn_until(1);
    sem_wait(&rig.begun);
    sem_post(&rig.may_end);
    turn_until(2);
    assert_int_equal(atomic_load(&rig.readings), 2);
    assert_int_equal(rig.told_count, 2);
    assert_false(rig.told[0].is_last);
    assert_true(rig.told[1].is_last);
}

static void one_after_the_other_is_told_each(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
        sem_post(&rig.may_end);
        turn_until(i);
        assert_true(rig.told[i - 1].is_last);
    }
    assert_int_equal(atomic_load(&rig.readings), 3);
}

static void it_may_be_asked_by_who_is_told(void **state)
{
    (void)state;
    rig.ask_again = SG_E_AGAIN;
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_post(&rig.may_end);
    sem_post(&rig.may_end);
    turn_until(2);
    assert_int_equal(rig.told[0].rc, SG_OK);
    assert_int_equal(rig.told[1].rc, SG_OK);
}

static void what_fails_is_told_with_its_cause(void **state)
{
    (void)state;
    atomic_store(&rig.wanted, SG_E_INVALID);
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_wait(&rig.begun);
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_post(&rig.may_end);
    turn_until(1);
    assert_int_equal(rig.told[0].rc, SG_E_INVALID);
    assert_null(rig.told[0].authz);
    assert_string_equal(rig.told[0].err.msg, "the file is broken");
    /* And the next one is another. */
    atomic_store(&rig.wanted, SG_OK);
    sem_post(&rig.may_end);
    turn_until(2);
    assert_int_equal(rig.told[1].rc, SG_OK);
    assert_int_equal(rig.told[1].err.rc, SG_OK);
}

static void an_end_waits_for_the_reading_and_tells_nobody(void **state)
{
    (void)state;
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_wait(&rig.begun);
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_post(&rig.may_end);
    sg_callers_reader_free(rig.reader);
    rig.reader = NULL;
    assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    assert_int_equal(rig.told_count, 0);
    assert_int_equal(atomic_load(&rig.readings), 1);
}

static void an_end_takes_what_was_read_and_not_told(void **state)
{
    (void)state;
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    sem_wait(&rig.begun);
    sem_post(&rig.may_end);
    usleep(20000); /* most times it has signalled by now; either is right */
    sg_callers_reader_free(rig.reader);
    rig.reader = NULL;
    assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    assert_int_equal(rig.told_count, 0);
}

static void one_that_was_never_asked_ends_as_well(void **state)
{
    (void)state;
    assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    sg_callers_reader_free(NULL);
}

/* Without a `read` of the test's own: the file. */
static void the_file_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/sealgate-test-XXXXXX";
    const int fd = mkstemp(path);
    struct sg_callers_reader_options options = {
        .loop = rig.loop, .path = path, .told = on_told, .arg = &rig};

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "callers: 1\n", 11), 11);
    assert_int_equal(close(fd), 0);
    sg_callers_reader_free(rig.reader);
    assert_int_equal(sg_callers_reader_new(&options, &rig.reader, NULL), SG_OK);
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    turn_until(1);
    assert_int_equal(rig.told[0].rc, SG_E_INVALID);
    assert_string_not_equal(rig.told[0].err.msg, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sg_callers_reader_ask(rig.reader, NULL), SG_OK);
    turn_until(2);
    assert_non_null(strstr(rig.told[1].err.msg, "No such file"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(the_loop_turns_while_the_list_is_read),
        TEST(who_asks_meanwhile_gets_one_more_reading),
        TEST(one_after_the_other_is_told_each),
        TEST(it_may_be_asked_by_who_is_told),
        TEST(what_fails_is_told_with_its_cause),
        TEST(an_end_waits_for_the_reading_and_tells_nobody),
        TEST(an_end_takes_what_was_read_and_not_told),
        TEST(one_that_was_never_asked_ends_as_well),
        TEST(the_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
