#include "hsm/pin.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/unit.h"

static char dir[64], latch[96], accepted[96];

/* How often a PIN is tried does not depend on how long its hash takes, which is most of the time of
 * tests that hash it a hundred times; the others take what is asked for. */
static bool is_hash_cheap;
enum { CHEAP = 1 << 10 };

int __real_EVP_PBE_scrypt(const char *pass, size_t pass_len, const unsigned char *salt,
                          size_t salt_len, uint64_t n, uint64_t r, uint64_t p, uint64_t max_bytes,
                          unsigned char *key, size_t key_len);
int __wrap_EVP_PBE_scrypt(const char *pass, size_t pass_len, const unsigned char *salt,
                          size_t salt_len, uint64_t n, uint64_t r, uint64_t p, uint64_t max_bytes,
                          unsigned char *key, size_t key_len);
int __wrap_EVP_PBE_scrypt(const char *pass, size_t pass_len, const unsigned char *salt,
                          size_t salt_len, uint64_t n, uint64_t r, uint64_t p, uint64_t max_bytes,
                          unsigned char *key, size_t key_len)
{
    SG_ASSERT(n == 1 << 14 && r == 8 && p == 1); /* 16 MiB, always asked for */
    return __real_EVP_PBE_scrypt(pass, pass_len, salt, salt_len, is_hash_cheap ? CHEAP : n, r, p,
                                 max_bytes, key, key_len);
}

static int make_dir(void **state)
{
    (void)state;
    is_hash_cheap = false;
    snprintf(dir, sizeof(dir), "/tmp/sealgate-pin-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(latch, sizeof(latch), "%s/pin-latch", dir);
    snprintf(accepted, sizeof(accepted), "%s/pin-accepted", dir);
    return 0;
}

static int make_dir_for_cheap_hashes(void **state)
{
    const int rc = make_dir(state);
    is_hash_cheap = true;
    return rc;
}

static int remove_dir(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".new"};
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s%s", latch, names[i]);
        unlink(path);
        snprintf(path, sizeof(path), "%s%s", accepted, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static enum sg_rc begin(const char *pin)
{
    struct sg_err err = {0};
    enum sg_rc rc = sg_pin_begin(dir, sg_slice_str(pin), &err);
    if (rc != SG_OK)
        assert_int_equal(err.reason, SG_R_TOKEN_PIN);
    return rc;
}

static void end(enum sg_pin_verdict verdict, unsigned long native)
{
    assert_int_equal(sg_pin_end(dir, verdict, native, NULL), SG_OK);
}

static void success_forgets_every_try(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(begin("1234"), SG_OK);
        assert_int_equal(access(latch, F_OK), 0); /* written before the token is asked */
        end(SG_PIN_VERDICT_RIGHT, 0);
        assert_int_equal(access(latch, F_OK), -1);
    }
}

static void a_refused_pin_is_latched_and_another_is_not(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(begin("1234"), SG_OK);
    end(SG_PIN_VERDICT_REFUSED, 0x80000000a0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
        assert_int_equal(err.native, 0x80000000a0); /* so that the advice can be given again */
    }
    assert_int_equal(begin("12345"), SG_OK);
    end(SG_PIN_VERDICT_RIGHT, 0);
}

static void a_pin_that_was_never_accepted_has_one_try(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(begin("1234"), SG_OK); /* and the process is killed */
    for (int i = 0; i < 3; i++)
        assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.native, 0);
    assert_non_null(strstr(err.msg, "nobody saw"));

    assert_int_equal(begin("5678"), SG_OK);
    end(SG_PIN_VERDICT_UNCLEAR, 0x30);
    assert_int_equal(begin("5678"), SG_E_UNAVAILABLE);
}

static void a_try_that_the_token_did_not_judge_is_none(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(begin("1234"), SG_OK);
        end(SG_PIN_VERDICT_UNASKED, 0xb3);
    }
}

static void a_pin_that_was_accepted_survives_a_kill_and_a_token_that_fails(void **state)
{
    (void)state;
    assert_int_equal(begin("1234"), SG_OK);
    end(SG_PIN_VERDICT_RIGHT, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(begin("1234"), SG_OK);
        end(SG_PIN_VERDICT_UNCLEAR, 0x30);
    }
    assert_int_equal(begin("1234"), SG_OK); /* killed */
    assert_int_equal(begin("1234"), SG_OK);
    end(SG_PIN_VERDICT_UNASKED, 0xb3);      /* gives back its own try and not the killed one's */
    assert_int_equal(begin("1234"), SG_OK); /* killed again */
    assert_int_equal(begin("1234"), SG_E_UNAVAILABLE);

    /* Of another one nothing is known, whatever the last accepted one was. */
    assert_int_equal(begin("5678"), SG_OK);
    assert_int_equal(begin("5678"), SG_E_UNAVAILABLE);
}

/* What is kept of an accepted PIN would not find it: 256 PINs fit it as well. */
static void a_note_of_an_accepted_pin_holds_one_byte_of_its_hash(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(begin("1234"), SG_OK);
    end(SG_PIN_VERDICT_RIGHT, 0);
    assert_int_equal(stat(accepted, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, strlen("sealgate pin accepted 1\n") + 16 + 1);

    /* Damaged, it allows no more than none. */
    assert_int_equal(truncate(accepted, 10), 0);
    assert_int_equal(begin("1234"), SG_OK);
    assert_int_equal(begin("1234"), SG_E_UNAVAILABLE);
}

/* What the token process does when it is started: as often as the latch lets it. C_Login is a byte
 * in the pipe. */
static pid_t start_trying(int fd)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    while (sg_pin_begin(dir, SG_SLICE("1234"), NULL) == SG_OK) {
        if (write(fd, "l", 1) != 1)
            _exit(1);
        usleep(2000); /* the token thinks */
        if (sg_pin_end(dir, SG_PIN_VERDICT_REFUSED, 0xa0, NULL) != SG_OK)
            _exit(1);
    }
    _exit(0);
}

/* Killed so late, and then started again as often as it takes. The number of tries. */
static size_t tries_with_a_kill_after(int us)
{
    int fds[2];
    char bytes[16];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = start_trying(fds[1]);
    usleep((useconds_t)us);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 2; i++) {
        pid = start_trying(fds[1]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    close(fds[1]);
    ssize_t count = read(fds[0], bytes, sizeof(bytes));
    close(fds[0]);
    assert_true(count >= 0);
    return (size_t)count;
}

enum { KILLS = 10 };

/* How long a process lives that nobody kills, in as many steps. */
static int kill_step_us(void)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const int64_t begin_ns = sg_mono_ns(&sg_clock_system);
    assert_true(waitpid(start_trying(fds[1]), NULL, 0) > 0);
    const int64_t took_ns = sg_mono_ns(&sg_clock_system) - begin_ns;
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(unlink(latch), 0);
    return (int)(took_ns / 1000 / KILLS);
}

static void killed_at_any_moment_a_wrong_pin_is_tried_once(void **state)
{
    (void)state;
    const int step_us = kill_step_us();
    size_t sum = 0;
    for (int i = 0; i < KILLS; i++) {
        size_t tries = tries_with_a_kill_after(i * step_us);
        assert_in_range(tries, 0, 1); /* none: killed between the note and C_Login */
        sum += tries;
        assert_int_equal(unlink(latch), 0);
    }
    assert_true(sum > KILLS / 2);
}

static void
killed_at_any_moment_an_accepted_pin_that_became_wrong_is_tried_twice_at_most(void **state)
{
    (void)state;
    assert_int_equal(begin("1234"), SG_OK);
    end(SG_PIN_VERDICT_RIGHT, 0);
    const int step_us = kill_step_us();
    for (int i = 0; i < KILLS; i++) {
        assert_in_range(tries_with_a_kill_after(i * step_us), 1, 2);
        assert_int_equal(unlink(latch), 0);
    }
}

static void a_damaged_latch_stays_shut(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_OK);
    assert_int_equal(truncate(latch, 20), 0);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("1234"), &err), SG_E_UNAVAILABLE);
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("5678"), &err), SG_E_UNAVAILABLE);
}

static void the_latch_shows_the_pin_to_nobody(void **state)
{
    (void)state;
    struct sg_err err;
    struct stat st;
    char bytes[256];
    assert_int_equal(sg_pin_begin(dir, SG_SLICE("87654321"), &err), SG_OK);
    assert_int_equal(stat(latch, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(latch, O_RDONLY);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(len > 0);
    assert_null(memmem(bytes, (size_t)len, "87654321", 8));
}

static void without_a_state_folder_nothing_is_tried(void **state)
{
    (void)state;
    struct sg_err err;
    assert_int_equal(sg_pin_begin("/nonexistent/state", SG_SLICE("1"), &err), SG_E_INTERNAL);
}

static void a_credential_is_found_by_name_and_by_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *name, *source;
        enum sg_rc rc;
    } cases[] = {
        {"there", "credential:pin-latch", SG_OK},
        {"not there", "credential:other", SG_E_NOT_FOUND},
        {"a path", "credential:../pin-latch", SG_E_INVALID},
        {"no name", "credential:", SG_E_INVALID},
    };
    int fd = open(latch, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "4321\n", 5), 5);
    close(fd);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        SG_AUTO(sg_secret_free) struct sg_secret *pin = NULL;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_pin_read(cases[i].source, &pin, NULL), cases[i].rc);
        if (cases[i].rc == SG_OK)
            assert_slice_equal(sg_secret_bytes(pin), SG_SLICE("4321"));
    }
    unsetenv("CREDENTIALS_DIRECTORY");
    SG_AUTO(sg_secret_free) struct sg_secret *pin = NULL;
    assert_int_equal(sg_pin_read("credential:pin-latch", &pin, NULL), SG_E_NOT_FOUND);
}

/* ---- Memory ---- */

static void *try_a_pin(void *arg)
{
    char *folder = arg;
    for (int i = 0; i < 3; i++) {
        if (sg_pin_begin(folder, sg_slice_str("1234"), NULL) != SG_OK ||
            sg_pin_end(folder, SG_PIN_VERDICT_RIGHT, 0, NULL) != SG_OK)
            return NULL;
    }
    return arg;
}

/* Threads of a token process log in as it happens; the sanitizers' allocators are none of glibc's.
 */
static void no_thread_keeps_what_a_hash_takes(void **state)
{
    (void)state;
    sg_pin_setup();
    const size_t before = mallinfo2().arena;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result = NULL;
        assert_int_equal(pthread_create(&thread, NULL, try_a_pin, dir), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_non_null(result);
    }
    assert_true(mallinfo2().arena < before + (1 << 20));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
#define CHEAP_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, make_dir_for_cheap_hashes, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(success_forgets_every_try),
        CHEAP_TEST(a_refused_pin_is_latched_and_another_is_not),
        CHEAP_TEST(a_pin_that_was_never_accepted_has_one_try),
        CHEAP_TEST(a_try_that_the_token_did_not_judge_is_none),
        CHEAP_TEST(a_pin_that_was_accepted_survives_a_kill_and_a_token_that_fails),
        CHEAP_TEST(a_note_of_an_accepted_pin_holds_one_byte_of_its_hash),
        CHEAP_TEST(killed_at_any_moment_a_wrong_pin_is_tried_once),
        CHEAP_TEST(killed_at_any_moment_an_accepted_pin_that_became_wrong_is_tried_twice_at_most),
        CHEAP_TEST(a_damaged_latch_stays_shut),
        TEST(the_latch_shows_the_pin_to_nobody),
        TEST(without_a_state_folder_nothing_is_tried),
        TEST(a_credential_is_found_by_name_and_by_nothing_else),
        TEST(no_thread_keeps_what_a_hash_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
