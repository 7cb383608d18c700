#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/fake/pkcs11/fault.h"
#include "tests/integration/hsm/rig.h"

static const char *const specs[] = {"a:ec-p256", "b:ec-p256"};

static struct rig rig;
static struct rig_engine engine;
static struct fault_control *control;

static int make(void **state)
{
    (void)state;
    setenv("ASAN_OPTIONS", "fast_unwind_on_malloc=1", 0); /* no Ed25519 here (token.c) */
    rig_make(&rig, specs, SG_COUNT(specs));
    int fd = open(rig.control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, sizeof(*control)), 0);
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    assert_ptr_not_equal(control, MAP_FAILED);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    munmap(control, sizeof(*control));
    rig_remove(&rig);
    return 0;
}

static int reset(void **state)
{
    (void)state;
    rig_fault(&rig, "reset", NULL);
    return 0;
}

static int end_token(void **state)
{
    (void)state;
    rig_fault(&rig, "reset", NULL); /* also frees what hangs */
    if (rig.token > 0)
        rig_token_end(&rig, SIGTERM);
    return 0;
}

static void begin(size_t workers, bool is_supervised, const struct rig_limits *limits)
{
    rig_token_start(
        &rig,
        &(struct rig_token){.workers = workers, .is_faulty = true, .is_supervised = is_supervised});
    rig_engine_start(&engine, &rig, limits);
    rig_await_keys(&engine, 10000);
}

static void submit(uint64_t tag, size_t key, int64_t timeout_ms)
{
    struct sg_err err = {0};
    assert_int_equal(
        rig_submit(&engine, tag, key, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, timeout_ms, &err), SG_OK);
}

static enum sg_reason refused(uint64_t tag, size_t key, int64_t timeout_ms)
{
    struct sg_err err = {0};
    assert_int_not_equal(
        rig_submit(&engine, tag, key, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, timeout_ms, &err), SG_OK);
    return err.reason;
}

static struct sg_hsm_token_info token_info(void)
{
    struct sg_hsm_token_info info;
    sg_hsm_token_info(engine.hsm, 0, &info);
    return info;
}

/* The token process under the supervisor, by the kernel's list of its children. */
static pid_t supervised_pid(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", rig.token, rig.token);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%d", &pid) != 1)
            pid = 0;
        fclose(file);
    }
    return pid;
}

/* ---- Death ---- */

static void killed_under_load_every_job_comes_back_once_and_signing_resumes(void **state)
{
    (void)state;
    enum { KILLS = 4, BETWEEN = 200, IN_FLIGHT = 64 };
    uint64_t tag = 0;
    size_t kills = 0, unavailable = 0;
    int64_t slowest_ns = 0, signed_ns = rig_now_ns();

    begin(2, true, NULL);
    while (engine.signed_count < (KILLS + 1) * BETWEEN) {
        struct sg_err err;
        while (tag - engine.done_count < IN_FLIGHT && tag < RIG_JOBS_MAX &&
               rig_submit(&engine, tag, tag % 2, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 0, &err) ==
                   SG_OK)
            tag++;
        rig_pass(&engine, 2);
        if (engine.last_signed_ns > signed_ns) {
            if (engine.last_signed_ns - signed_ns > slowest_ns)
                slowest_ns = engine.last_signed_ns - signed_ns;
            signed_ns = engine.last_signed_ns;
        }
        /* Each time in the middle of work. */
        if (kills < KILLS && engine.signed_count >= (kills + 1) * BETWEEN) {
            kill(supervised_pid(), SIGKILL);
            kills++;
        }
        assert_true(rig_now_ns() - signed_ns < 5 * SG_NS_PER_S);
    }
    rig_run(&engine, tag, 10000);
    for (uint64_t i = 0; i < tag; i++) {
        const struct sg_hsm_job *job = engine.done[i].job;
        assert_int_equal(engine.done[i].times, 1);
        if (job->is_signed) {
            assert_true(rig_verifies(&engine, job));
            continue;
        }
        assert_int_equal(job->err.rc, SG_E_UNAVAILABLE);
        assert_true(job->retry_ms > 0);
        unavailable++;
    }
    print_message("  %zu kills, %llu jobs, %zu unavailable, %llu retried, longest gap %lld ms\n",
                  kills, (unsigned long long)tag, unavailable,
                  (unsigned long long)token_info().retried_total,
                  (long long)(slowest_ns / SG_NS_PER_MS));
    assert_int_equal(kills, KILLS);
    assert_int_equal(token_info().restarts_total, KILLS);
    assert_true(slowest_ns < 2 * SG_NS_PER_S);
    rig_engine_end(&engine);
}

static void signing_resumes_within_two_seconds_of_a_kill(void **state)
{
    (void)state;
    begin(2, true, NULL);
    submit(0, 0, 0);
    rig_run(&engine, 1, 5000);
    kill(supervised_pid(), SIGKILL);
    int64_t killed_ns = rig_now_ns();
    submit(1, 0, 0); /* waits for the new process instead of failing */
    rig_run(&engine, 2, 5000);
    assert_true(engine.done[1].job->is_signed);
    print_message("  resumed after %lld ms\n",
                  (long long)((rig_now_ns() - killed_ns) / SG_NS_PER_MS));
    assert_true(rig_now_ns() - killed_ns < 2 * SG_NS_PER_S);
    rig_engine_end(&engine);
}

static void a_token_that_stays_away_fails_its_jobs_with_a_retry_delay(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->of[FAULT_Sign].latency_us = 100000;
    for (uint64_t i = 0; i < 8; i++)
        submit(i, 0, 0);
    rig_pass(&engine, 20);
    rig_token_end(&rig, SIGKILL);
    rig_run(&engine, 8, 4000);
    for (uint64_t i = 0; i < 8; i++) {
        assert_false(engine.done[i].job->is_signed);
        assert_int_equal(engine.done[i].job->err.reason, SG_R_TOKEN_LOST);
        assert_true(engine.done[i].job->retry_ms > 0);
    }
    assert_int_equal(refused(8, 0, 0), SG_R_TOKEN_BREAKER_OPEN);
    assert_int_equal(token_info().state, SG_TOKEN_DOWN);

    /* And when it is back, all is as before. */
    control->of[FAULT_Sign].latency_us = 0;
    rig_token_start(&rig, &(struct rig_token){.workers = 1, .is_faulty = true});
    rig_await_keys(&engine, 5000);
    submit(9, 0, 0);
    rig_run(&engine, 9, 5000);
    assert_true(engine.done[9].job->is_signed);
    rig_engine_end(&engine);
}

static void a_key_that_kills_the_token_twice_is_quarantined(void **state)
{
    (void)state;
    begin(1, true, NULL);
    control->of[FAULT_Sign].crash = 2;
    submit(0, 0, 0);
    rig_run(&engine, 1, 8000);
    assert_false(engine.done[0].job->is_signed);
    assert_int_equal(engine.done[0].times, 1);
    assert_int_equal(refused(1, 0, 0), SG_R_KEY_QUARANTINED);

    submit(2, 1, 0); /* the other key goes on */
    rig_run(&engine, 2, 8000);
    assert_true(engine.done[2].job->is_signed);
    rig_engine_end(&engine);
}

static void a_hung_call_costs_the_process_and_no_job(void **state)
{
    (void)state;
    begin(2, true, &(struct rig_limits){.hang_ms = 300});
    control->of[FAULT_Sign].is_hanging = 1;
    for (uint64_t i = 0; i < 8; i++)
        submit(i, i % 2, 0);
    int64_t start_ns = rig_now_ns();
    rig_await(&engine, SG_TOKEN_DOWN, 3000);
    assert_true(rig_now_ns() - start_ns >= 300 * SG_NS_PER_MS);
    control->of[FAULT_Sign].is_hanging = 0;
    rig_run(&engine, 8, 5000);
    assert_int_equal(engine.signed_count, 8);
    assert_int_equal(token_info().restarts_total, 1);
    rig_engine_end(&engine);
}

/* A worker takes its packets itself, so one that hangs gets no more; the process ends in its time.
 */
static void while_one_worker_hangs_the_others_sign(void **state)
{
    (void)state;
    enum { OTHERS = 200 };
    begin(4, true, &(struct rig_limits){.hang_ms = 2000});
    rig_fault(&rig, "hang", "Sign", "1", NULL);
    submit(0, 0, 0);
    rig_pass(&engine, 50);
    assert_int_equal(engine.done_count, 0);

    int64_t start_ns = rig_now_ns();
    for (uint64_t tag = 1; tag <= OTHERS; tag++) {
        submit(tag, tag % 2, 1000);
        rig_run(&engine, tag, 1000);
        assert_true(engine.done[tag].job->is_signed);
    }
    assert_int_equal(engine.done[0].times, 0);
    assert_true(rig_now_ns() - start_ns <
                1900 * SG_NS_PER_MS); /* or it could be the next process */
    assert_int_equal(token_info().restarts_total, 0);

    rig_run(&engine, 1 + OTHERS, 6000);
    assert_true(engine.done[0].job->is_signed);
    assert_int_equal(token_info().restarts_total, 1);
    rig_engine_end(&engine);
}

/* Where no gateway looks: the process watches itself, also while it opens the token. */
static void a_process_whose_module_hangs_ends_itself(void **state)
{
    static const enum fault_function calls[] = {FAULT_Initialize, FAULT_OpenSession, FAULT_Login,
                                                FAULT_GetSlotList};
    (void)state;
    setenv("SG_TEST_HANG_MS", "300", 1);
    for (size_t i = 0; i < SG_COUNT(calls); i++) {
        control->of[calls[i]].is_hanging = 1;
        rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
        int status = rig_token_wait(&rig, 10000);
        control->of[calls[i]].is_hanging = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 70)
            fail_msg("call %zu: status 0x%x", i, (unsigned)status);
    }
    unsetenv("SG_TEST_HANG_MS");
    char latch[128];
    snprintf(latch, sizeof(latch), "%s/pin-latch", rig.state_dir);
    unlink(latch); /* the PIN's one try hung */
}

/* ---- The token's own faults ---- */

static void a_restarted_token_costs_no_job_and_opens_no_breaker(void **state)
{
    (void)state;
    begin(4, false, NULL);
    for (uint64_t i = 0; i < 400; i++) {
        submit(i, i % 2, 0);
        if (i % 100 == 50)
            control->restarts++;
        rig_pass(&engine, 1);
    }
    rig_run(&engine, 400, 10000);
    for (uint64_t i = 0; i < 400; i++)
        if (!engine.done[i].job->is_signed)
            print_message("  %s\n", engine.done[i].job->err.msg);
    assert_int_equal(engine.signed_count, 400);
    assert_int_equal(token_info().restarts_total, 0);
    rig_engine_end(&engine);
}

static void a_token_that_is_down_opens_the_breaker_and_closes_it_when_back(void **state)
{
    (void)state;
    begin(2, false, NULL);
    control->down_rv = 0x30;
    submit(0, 0, 0);
    rig_await(&engine, SG_TOKEN_DOWN, 2000);
    rig_run(&engine, 1, 4000); /* retried, then given up after the two seconds */
    assert_int_equal(engine.done[0].job->err.reason, SG_R_TOKEN_LOST);
    assert_int_equal(refused(1, 0, 0), SG_R_TOKEN_BREAKER_OPEN);
    uint64_t asked = control->of[FAULT_GetSlotList].calls + control->of[FAULT_Initialize].calls;
    rig_pass(&engine, 500);
    asked = control->of[FAULT_GetSlotList].calls + control->of[FAULT_Initialize].calls - asked;
    assert_true(asked < 10); /* asked now and then, not all the time */

    control->down_rv = 0;
    rig_await(&engine, SG_TOKEN_UP, 8000);
    submit(2, 0, 0);
    rig_run(&engine, 2, 5000);
    assert_true(engine.done[2].job->is_signed);
    rig_engine_end(&engine);
}

/* Signs so slowly that all four workers do, and says how many sessions are open then. */
static uint32_t sessions_in_use(uint64_t *tag)
{
    const size_t until = engine.done_count + 24;
    control->of[FAULT_Sign].latency_us = 10000;
    while (*tag < until)
        submit((*tag)++, 0, 0);
    rig_run(&engine, until, 10000);
    return control->sessions;
}

/* What could not be closed while the token was away is closed when it is back, whether or not
 * C_Finalize had its turn meanwhile. */
static void a_token_that_is_back_has_no_more_sessions_than_before(void **state)
{
    uint64_t tag = 0;
    (void)state;
    begin(4, false, NULL);
    const uint32_t before = sessions_in_use(&tag);
    assert_int_equal(before, 4 + 2);
    for (int i = 0; i < 3; i++) {
        control->down_rv = 0x30;
        submit(tag++, 0, 0);
        rig_await(&engine, SG_TOKEN_DOWN, 2000);
        rig_pass(&engine, 200);
        control->down_rv = 0;
        rig_await(&engine, SG_TOKEN_UP, 8000);
        rig_run(&engine, tag, 8000);
        assert_in_range(sessions_in_use(&tag), 4, before);

        rig_fault(&rig, "err", "all", "0x31", "for", "0.2", NULL); /* no room: it stays UP */
        for (int k = 0; k < 8; k++)
            submit(tag++, 0, 0);
        rig_run(&engine, tag, 8000);
        rig_pass(&engine, 200);
        assert_in_range(sessions_in_use(&tag), 4, before);
    }
    rig_engine_end(&engine);
}

static void short_of_sessions_those_that_have_one_do_the_work(void **state)
{
    (void)state;
    control->max_sessions = 4; /* the anchor's, the admin thread's, and two */
    begin(4, false, NULL);
    for (uint64_t i = 0; i < 100; i++)
        submit(i, 0, 0);
    rig_run(&engine, 100, 10000);
    assert_int_equal(engine.signed_count, 100);
    rig_engine_end(&engine);
}

/* Three workers, of which the token bears one or two, and the engine knows that. */
static void begin_short_of_sessions(void)
{
    control->max_sessions = 3;
    control->of[FAULT_Sign].latency_us = 20000; /* slow enough for a packet each */
    begin(3, false, NULL);
    for (uint64_t i = 0; i < 4; i++) {
        submit(i, 0, 0);
        rig_run(&engine, i + 1, 10000);
    }
    for (uint64_t i = 4; i < 34; i++)
        submit(i, 0, 0);
    rig_run(&engine, 34, 10000);
    assert_int_equal(engine.signed_count, 34);
    assert_true(token_info().workers < 3); /* how many tried before all was signed? */
}

/* Soon, and one after the other; no job has to find it out. */
static void a_token_that_bears_more_sessions_again_gets_them(void **state)
{
    (void)state;
    begin_short_of_sessions();
    uint64_t retried = token_info().retried_total, tag = 34;
    control->max_sessions = 0;
    int64_t end_ns = rig_now_ns();
    while (token_info().workers < 3 && rig_now_ns() - end_ns < SG_NS_PER_S) {
        submit(tag++, 0, 0); /* by whose answers the engine knows */
        rig_run(&engine, tag, 10000);
    }
    assert_int_equal(token_info().workers, 3);
    assert_int_equal(token_info().retried_total, retried);
    assert_int_equal(engine.signed_count, tag);
    rig_engine_end(&engine);
}

/* And one that goes on refusing is asked ever less often: others may need what it has. */
static void a_token_that_stays_short_of_sessions_is_hardly_asked_for_more(void **state)
{
    (void)state;
    begin_short_of_sessions();
    rig_pass(&engine, 1500);
    uint64_t asked = control->of[FAULT_OpenSession].calls;
    rig_pass(&engine, 2000);
    asked = control->of[FAULT_OpenSession].calls - asked;
    print_message("  asked %llu times in two seconds\n", (unsigned long long)asked);
    assert_in_range(asked, 1, 12);
    rig_engine_end(&engine);
}

static void a_token_that_says_how_many_sessions_it_bears_is_believed(void **state)
{
    static const struct {
        uint32_t says;
        size_t workers;
    } cases[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 2}, {6, 3}, {100, 4}};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        control->said_sessions = cases[i].says;
        begin(4, false, NULL);
        assert_int_equal(token_info().workers, cases[i].workers);
        rig_engine_end(&engine);
        rig_token_end(&rig, SIGTERM);
    }
}

static void a_wrong_signature_quarantines_its_key_and_no_other(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->corrupt = 1;
    submit(0, 0, 0);
    rig_run(&engine, 1, 5000);
    assert_true(engine.done[0].job->is_signed); /* the engine does not verify: its caller does */
    assert_false(rig_verifies(&engine, engine.done[0].job));
    struct sg_err err;
    assert_int_equal(sg_hsm_report_bad(engine.hsm, engine.done[0].job, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_HSM_FAULT);
    assert_int_equal(refused(1, 0, 0), SG_R_KEY_QUARANTINED);
    submit(2, 1, 0);
    rig_run(&engine, 2, 5000);
    assert_true(rig_verifies(&engine, engine.done[2].job));
    rig_engine_end(&engine);
}

static void an_unknown_answer_is_the_requests_own_fault(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->of[FAULT_SignInit].error_rv = 0x80000077;
    control->of[FAULT_SignInit].error_count = 1;
    submit(0, 0, 0);
    submit(1, 0, 0);
    rig_run(&engine, 2, 5000);
    assert_int_equal(engine.signed_count, 1);
    size_t failed = engine.done[0].job->is_signed ? 1 : 0;
    assert_int_equal(engine.done[failed].job->err.reason, SG_R_UNEXPECTED_CKR);
    assert_int_equal(engine.done[failed].job->err.native, 0x80000077);
    assert_int_equal(token_info().state, SG_TOKEN_UP);
    rig_engine_end(&engine);
}

/* What the token process mends by itself: sessions, handles, the login, and what may be any of
 * these. The gateway does not even notice. */
static void one_failure_that_can_be_mended_costs_no_job_and_no_retry(void **state)
{
    static const unsigned long codes[] = {0xb3, 0xb0,  0x90, 0x91, 0x60,
                                          0x82, 0x101, 0x5,  0x6,  0x50};
    static const enum fault_function calls[] = {FAULT_SignInit, FAULT_Sign};
    uint64_t tag = 0;
    (void)state;

    begin(1, false, NULL);
    for (size_t i = 0; i < SG_COUNT(codes); i++) {
        for (size_t k = 0; k < SG_COUNT(calls); k++) {
            control->of[calls[k]].error_rv = codes[i];
            control->of[calls[k]].error_count = 1;
            submit(tag++, 0, 0);
            rig_run(&engine, tag, 8000);
            if (!engine.done[tag - 1].job->is_signed || token_info().retried_total > 0)
                fail_msg("0x%lx at call %zu: %s", codes[i], k, engine.done[tag - 1].job->err.msg);
            assert_true(rig_verifies(&engine, engine.done[tag - 1].job));
        }
    }
    rig_engine_end(&engine);
}

/* The same while the token comes up: at opening sessions, logging in, finding and judging. */
static void one_failure_of_any_call_delays_the_start_and_no_more(void **state)
{
    static const unsigned long codes[] = {0xb3, 0x82, 0x101, 0x30, 0x32, 0xe0, 0x190,
                                          0x5,  0x6,  0xb1,  0x31, 0x2,  0xa,  0x80000024};
    static const enum fault_function calls[] = {FAULT_OpenSession,  FAULT_FindObjectsInit,
                                                FAULT_FindObjects,  FAULT_GetSlotList,
                                                FAULT_GetTokenInfo, FAULT_Initialize};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(codes); i++) {
        control->of[calls[i % SG_COUNT(calls)]].error_rv = codes[i];
        control->of[calls[i % SG_COUNT(calls)]].error_count = 1;
        begin(1, false, NULL);
        submit(0, 0, 0);
        rig_run(&engine, 1, 5000);
        assert_true(engine.done[0].job->is_signed);
        rig_engine_end(&engine);
        rig_token_end(&rig, SIGTERM);
        rig_fault(&rig, "reset", NULL);
    }
}

/* ---- The PIN ---- */

static void write_pin(const char *pin)
{
    int fd = open(rig.pin_file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, pin, strlen(pin)), strlen(pin));
    close(fd);
}

static void a_wrong_pin_is_tried_once_also_over_restarts(void **state)
{
    (void)state;
    write_pin("0000");
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    rig_engine_start(&engine, &rig, NULL);
    rig_await(&engine, SG_TOKEN_PIN_LATCHED, 5000);
    rig_pass(&engine, 500);
    assert_int_equal(control->of[FAULT_Login].calls, 1);
    assert_int_equal(refused(0, 0, 0), SG_R_TOKEN_PIN);

    rig_token_end(&rig, SIGKILL);
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    rig_pass(&engine, 1500);
    assert_int_equal(token_info().state, SG_TOKEN_PIN_LATCHED);
    assert_int_equal(control->of[FAULT_Login].calls, 1);

    /* Another PIN is another credential: it is tried. */
    write_pin("1234567890");
    rig_await_keys(&engine, 10000);
    assert_int_equal(control->of[FAULT_Login].calls, 2);
    submit(1, 0, 0);
    rig_run(&engine, 1, 5000);
    assert_true(engine.done[1].job->is_signed);
    rig_engine_end(&engine);
}

/* Started anew and anew, killed a little later each time. */
static void killed_at_any_moment_the_token_is_asked_once_about_a_wrong_pin(void **state)
{
    (void)state;
    enum { KILLS = 24, STEP_MS = 12 };
    write_pin("0000");
    control->of[FAULT_Login].latency_us = 20000;
    for (int i = 0; i < KILLS; i++) {
        rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
        usleep((useconds_t)(i * STEP_MS * 1000));
        rig_token_end(&rig, SIGKILL);
    }
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    rig_engine_start(&engine, &rig, NULL);
    rig_await(&engine, SG_TOKEN_PIN_LATCHED, 5000);
    assert_in_range(control->of[FAULT_Login].calls, 0, 1);
    assert_non_null(strstr(engine.token_err.msg, "pin-latch in state_dir")); /* what to do */
    rig_engine_end(&engine);
    write_pin("1234567890");
}

static void a_login_that_is_already_there_is_one(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->of[FAULT_SignInit].error_rv = 0x101; /* not logged in, says the token; */
    control->of[FAULT_SignInit].error_count = 1;
    control->of[FAULT_Login].error_rv = 0x100; /* already, says its module */
    control->of[FAULT_Login].error_count = 1;
    submit(0, 0, 0);
    rig_run(&engine, 1, 5000);
    assert_true(engine.done[0].job->is_signed);
    assert_int_equal(token_info().state, SG_TOKEN_UP);
    rig_engine_end(&engine);
}

/* A vendor's own code may mean a wrong PIN, and each try would count. */
static void an_unknown_answer_to_a_login_is_not_tried_again(void **state)
{
    (void)state;
    control->of[FAULT_Login].error_rv = 0x80000024;
    control->of[FAULT_Login].error_count = 1000;
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    rig_engine_start(&engine, &rig, NULL);
    rig_await(&engine, SG_TOKEN_PIN_LATCHED, 5000);
    rig_pass(&engine, 500);
    assert_int_equal(control->of[FAULT_Login].calls, 1);
    rig_engine_end(&engine);
    char latch[128];
    snprintf(latch, sizeof(latch), "%s/pin-latch", rig.state_dir);
    assert_int_equal(unlink(latch), 0);
}

static void a_locked_pin_is_latched_too(void **state)
{
    (void)state;
    control->of[FAULT_Login].error_rv = 0xa4;
    control->of[FAULT_Login].error_count = 1;
    rig_token_start(&rig, &(struct rig_token){.is_faulty = true});
    rig_engine_start(&engine, &rig, NULL);
    rig_await(&engine, SG_TOKEN_PIN_LATCHED, 5000);
    rig_pass(&engine, 500);
    assert_int_equal(control->of[FAULT_Login].calls, 1);

    char latch[128]; /* what an operator does when the token is unlocked */
    snprintf(latch, sizeof(latch), "%s/pin-latch", rig.state_dir);
    assert_int_equal(unlink(latch), 0);
    rig_await_keys(&engine, 10000);
    rig_engine_end(&engine);
}

/* ---- Time and room ---- */

static void a_deadline_ends_the_wait_wherever_the_job_is(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->of[FAULT_Sign].latency_us = 400000;
    int64_t start_ns = rig_now_ns();
    submit(0, 0, 0);   /* in the token */
    submit(1, 0, 150); /* at the token process */
    submit(2, 0, 150); /* in the gateway */
    rig_run(&engine, 2, 1000);
    assert_true(rig_now_ns() - start_ns < 300 * SG_NS_PER_MS);
    assert_int_equal(engine.done[1].job->err.reason, SG_R_HSM_TIMEOUT);
    assert_int_equal(engine.done[2].job->err.reason, SG_R_DEADLINE);
    rig_run(&engine, 3, 2000);
    assert_true(engine.done[0].job->is_signed);
    rig_pass(&engine, 100);
    /* The token was asked once: what was late was not signed after all. */
    assert_int_equal(control->of[FAULT_Sign].calls, 1);
    assert_int_equal(token_info().in_flight, 0);
    rig_engine_end(&engine);
}

static void a_full_queue_and_a_hopeless_deadline_are_refused_with_advice(void **state)
{
    (void)state;
    begin(1, false, &(struct rig_limits){.queue_max = 8});
    control->of[FAULT_Sign].latency_us = 50000;
    submit(0, 0, 0);
    rig_run(&engine, 1, 2000); /* now it knows how long one takes */
    for (uint64_t i = 1; i <= 8; i++)
        submit(i, 0, 0);
    assert_int_equal(refused(9, 0, 0), SG_R_QUEUE_FULL);
    rig_pass(&engine, 20); /* two leave for the token process */
    assert_int_equal(refused(10, 0, 100), SG_R_DEADLINE_UNREACHABLE);
    assert_int_equal(refused(12, 0, 600), SG_R_DEADLINE_UNREACHABLE); /* 400 is more than half */
    submit(11, 0, 5000);
    rig_run(&engine, 10, 5000);
    assert_int_equal(engine.signed_count, 10);
    rig_engine_end(&engine);
}

/* Four times as much as it can do, for twice the deadline. */
static void under_overload_all_that_is_admitted_is_signed_in_time(void **state)
{
    (void)state;
    enum { STEPS = 80, STEP_MS = 10, TIMEOUT_MS = 400 };
    size_t admitted = 1, refusals = 0;

    begin(1, false, NULL);
    control->of[FAULT_Sign].latency_us = 20000;
    submit(0, 0, 0);
    rig_run(&engine, 1, 2000);
    for (uint64_t i = 1; i <= 2 * STEPS; i++) {
        struct sg_err err;
        if (rig_submit(&engine, i, 0, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, TIMEOUT_MS, &err) ==
            SG_OK) {
            admitted++;
        } else {
            assert_int_equal(err.reason, SG_R_DEADLINE_UNREACHABLE);
            refusals++;
        }
        if (i % 2 == 0)
            rig_pass(&engine, STEP_MS);
    }
    assert_true(refusals > 0);
    rig_run(&engine, admitted, 2000);
    assert_int_equal(engine.signed_count, admitted);
    assert_int_equal(control->of[FAULT_Sign].calls, admitted);
    rig_engine_end(&engine);
}

static void what_the_token_would_sign_too_late_is_not_sent(void **state)
{
    (void)state;
    begin(1, false, NULL);
    control->of[FAULT_Sign].latency_us = 300000;
    submit(0, 0, 0);
    submit(1, 0, 0);
    submit(2, 0, 500); /* nothing is known yet of how long the others take */
    rig_run(&engine, 2, 450);
    assert_true(engine.done[0].job->is_signed);
    assert_int_equal(engine.done[2].job->err.reason, SG_R_DEADLINE_UNREACHABLE);
    assert_true(engine.done[2].job->retry_ms > 0);
    rig_run(&engine, 3, 2000);
    assert_int_equal(control->of[FAULT_Sign].calls, 2);

    /* Nothing is before this one: it is tried, and late. */
    submit(3, 0, 200);
    rig_run(&engine, 4, 1000);
    assert_int_equal(engine.done[3].job->err.reason, SG_R_HSM_TIMEOUT);
    rig_engine_end(&engine);
}

static void a_token_that_became_slow_is_known_by_answers_that_are_too_late(void **state)
{
    (void)state;
    begin(1, false, NULL);
    submit(0, 0, 0);
    rig_run(&engine, 1, 2000);
    control->of[FAULT_Sign].latency_us = 200000;
    for (uint64_t i = 1; i <= 4; i++) {
        submit(i, 0, 100);
        rig_run(&engine, i + 1, 1000);
        assert_int_equal(engine.done[i].job->err.reason, SG_R_HSM_TIMEOUT);
        for (int turns = 0; token_info().in_flight > 0 && turns < 100; turns++)
            rig_pass(&engine, 10);
        assert_int_equal(token_info().in_flight, 0);
    }
    submit(5, 0, 0);
    assert_int_equal(refused(6, 0, 100), SG_R_DEADLINE_UNREACHABLE);
    rig_run(&engine, 6, 2000);
    assert_true(engine.done[5].job->is_signed);
    rig_engine_end(&engine);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, end_token)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed_under_load_every_job_comes_back_once_and_signing_resumes),
        TEST(signing_resumes_within_two_seconds_of_a_kill),
        TEST(a_token_that_stays_away_fails_its_jobs_with_a_retry_delay),
        TEST(a_key_that_kills_the_token_twice_is_quarantined),
        TEST(a_hung_call_costs_the_process_and_no_job),
        TEST(while_one_worker_hangs_the_others_sign),
        TEST(a_process_whose_module_hangs_ends_itself),
        TEST(a_restarted_token_costs_no_job_and_opens_no_breaker),
        TEST(a_token_that_is_down_opens_the_breaker_and_closes_it_when_back),
        TEST(a_token_that_is_back_has_no_more_sessions_than_before),
        TEST(short_of_sessions_those_that_have_one_do_the_work),
        TEST(a_token_that_bears_more_sessions_again_gets_them),
        TEST(a_token_that_stays_short_of_sessions_is_hardly_asked_for_more),
        TEST(a_token_that_says_how_many_sessions_it_bears_is_believed),
        TEST(a_wrong_signature_quarantines_its_key_and_no_other),
        TEST(an_unknown_answer_is_the_requests_own_fault),
        TEST(one_failure_that_can_be_mended_costs_no_job_and_no_retry),
        TEST(one_failure_of_any_call_delays_the_start_and_no_more),
        TEST(a_wrong_pin_is_tried_once_also_over_restarts),
        TEST(killed_at_any_moment_the_token_is_asked_once_about_a_wrong_pin),
        TEST(a_login_that_is_already_there_is_one),
        TEST(an_unknown_answer_to_a_login_is_not_tried_again),
        TEST(a_locked_pin_is_latched_too),
        TEST(a_deadline_ends_the_wait_wherever_the_job_is),
        TEST(a_full_queue_and_a_hopeless_deadline_are_refused_with_advice),
        TEST(under_overload_all_that_is_admitted_is_signed_in_time),
        TEST(what_the_token_would_sign_too_late_is_not_sent),
        TEST(a_token_that_became_slow_is_known_by_answers_that_are_too_late),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
