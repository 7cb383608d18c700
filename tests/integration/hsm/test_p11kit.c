#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/integration/hsm/rig.h"

/*
 * A token behind a network, or what is nearest to it on one machine: `p11-kit server` before
 * SoftHSM, and p11-kit's client as the module. The server has a process for each connection. It is
 * killed, frozen and cut, under load, and comes back; the token process must come back by itself,
 * in the same process or a new one (a client that lost its server has been seen to hang for ever).
 */

#define CLIENT "/usr/lib/%s-linux-gnu/pkcs11/p11-kit-client.so"

enum { RECOVERY_MS = 15000, CHILDREN_MAX = 64, IN_FLIGHT = 8 };

static const char *const specs[] = {"a:ec-p256", "b:ec-p256"};
static struct rig rig;
static struct rig_engine engine;
static char server_socket[128], softhsm[256];
static pid_t server;
static uint64_t next_tag;

/* The server -------------------------------------------------------------------------------- */

static void server_start(void)
{
    unlink(server_socket);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        unsetenv("P11_KIT_SERVER_ADDRESS");
        int fd = open("/dev/null", O_RDWR);
        dup2(fd, STDOUT_FILENO); /* its shell variables */
        execlp("p11-kit", "p11-kit", "server", "-f", "--provider", softhsm, "-n", server_socket,
               "pkcs11:token=rig", NULL);
        _exit(127);
    }
    for (int i = 0; access(server_socket, F_OK) != 0; i++) {
        assert_true(i < 1000);
        poll(NULL, 0, 10);
    }
}

/* To the processes that have the connections, and with `is_whole` to the one that listens. */
static void server_signal(int signal, bool is_whole)
{
    char path[64];
    int pid;
    if (is_whole)
        kill(server, signal); /* first: it may make no more children */
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", server, server);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    while (fscanf(file, "%d", &pid) == 1)
        kill(pid, signal);
    fclose(file);
}

static void server_kill(void)
{
    server_signal(SIGSTOP, true); /* so that its children can be listed */
    server_signal(SIGKILL, false);
    kill(server, SIGKILL);
    assert_int_equal(waitpid(server, NULL, 0), server);
    server = 0;
}

/* The rig ------------------------------------------------------------------------------------ */

static int make(void **state)
{
    (void)state;
#if defined(__aarch64__)
    const char *machine = "aarch64";
#else
    const char *machine = "x86_64";
#endif
    /* What p11-kit's client leaves behind is not ours. */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    rig_make(&rig, specs, SG_COUNT(specs));
    snprintf(softhsm, sizeof(softhsm), "%s", rig.module);
    snprintf(rig.module, sizeof(rig.module), CLIENT, machine);
    if (access(rig.module, R_OK) != 0)
        fail_msg("%s is not installed (ops/deps test)", rig.module);
    snprintf(server_socket, sizeof(server_socket), "%s/p11-kit.sock", rig.dir);
    char address[160];
    snprintf(address, sizeof(address), "unix:path=%s", server_socket);
    setenv("P11_KIT_SERVER_ADDRESS", address, 1);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    rig_remove(&rig);
    return 0;
}

static void begin(void)
{
    server_start();
    rig_token_start(&rig, &(struct rig_token){.workers = 4, .is_supervised = true});
    rig_engine_start(&engine, &rig, &(struct rig_limits){.hang_ms = 1000});
    rig_await_keys(&engine, RECOVERY_MS);
    next_tag = 0;
}

static int end(void **state)
{
    (void)state;
    rig_engine_end(&engine);
    rig_token_end(&rig, SIGTERM);
    if (server > 0)
        server_kill();
    return 0;
}

/* Submits what the engine takes, for so long. */
static void load(int ms)
{
    int64_t until = rig_now_ns() + ms * SG_NS_PER_MS;
    while (rig_now_ns() < until) {
        struct sg_err err;
        while (next_tag - engine.done_count < IN_FLIGHT && next_tag < RIG_JOBS_MAX &&
               rig_submit(&engine, next_tag, next_tag % 2, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 0,
                          &err) == SG_OK)
            next_tag++;
        rig_pass(&engine, 10);
    }
}

/* After a fault has ended: until something is signed that was not before. */
static void await_signature(const char *what)
{
    int64_t start_ns = rig_now_ns();
    while (engine.last_signed_ns < start_ns) {
        if (rig_now_ns() - start_ns > RECOVERY_MS * SG_NS_PER_MS)
            fail_msg("%s: nothing was signed within %d ms", what, RECOVERY_MS);
        load(20);
    }
    print_message("  %s: signing again after %lld ms\n", what,
                  (long long)((engine.last_signed_ns - start_ns) / SG_NS_PER_MS));
}

/* Every job came back, once, and with a right signature or a reason to try again. */
static void check_all(void)
{
    rig_run(&engine, next_tag, RECOVERY_MS);
    for (uint64_t i = 0; i < next_tag; i++) {
        const struct sg_hsm_job *job = engine.done[i].job;
        assert_int_equal(engine.done[i].times, 1);
        if (job->is_signed)
            assert_true(rig_verifies(&engine, job));
        else
            assert_int_equal(job->err.rc, SG_E_UNAVAILABLE);
    }
}

static void it_signs_through_a_server(void **state)
{
    (void)state;
    begin();
    load(300);
    check_all();
    assert_true(engine.signed_count > 0);
    assert_int_equal(engine.signed_count, next_tag);
}

static void a_server_that_is_killed_and_comes_back(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 3; i++) {
        load(200);
        server_kill();
        load(700);
        server_start();
        await_signature("killed");
    }
    check_all();
}

static void connections_that_are_cut(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 3; i++) {
        load(200);
        server_signal(SIGKILL, false);
        await_signature("cut");
    }
    check_all();
}

static void a_server_that_is_frozen_and_thaws(void **state)
{
    (void)state;
    begin();
    load(200);
    server_signal(SIGSTOP, true);
    load(500); /* less than a hang: nothing happens */
    server_signal(SIGCONT, true);
    await_signature("frozen for a moment");
    server_signal(SIGSTOP, true);
    load(3000); /* the process is given up and the next one finds it frozen too */
    server_signal(SIGCONT, true);
    await_signature("frozen");
    check_all();
}

static void a_server_that_comes_late(void **state)
{
    (void)state;
    rig_token_start(&rig, &(struct rig_token){.workers = 4, .is_supervised = true});
    rig_engine_start(&engine, &rig, &(struct rig_limits){.hang_ms = 1000});
    next_tag = 0;
    rig_pass(&engine, 500);
    server_start();
    rig_await_keys(&engine, RECOVERY_MS);
    await_signature("late");
    check_all();
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_signs_through_a_server), TEST(a_server_that_is_killed_and_comes_back),
        TEST(connections_that_are_cut),  TEST(a_server_that_is_frozen_and_thaws),
        TEST(a_server_that_comes_late),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
