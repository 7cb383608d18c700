#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hsm/hsm_priv.h"
#include "tests/support/fake_token.h"
#include "tests/support/unit.h"

/*
 * What the engine makes of a token process that is there and does not answer. The process is a
 * child, since it is to be killed; the engine's time is the test's.
 */
enum { HANG_MS = 1000, GREETING_MS = 5000, ADMIN_MS = 4 * HANG_MS };

struct rig_clock {
    struct sg_clock clock; /* first */
    int64_t ahead_ns;
};

struct rig {
    struct rig_clock clock;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    char dir[32], path[64];
    pid_t child;
    size_t key;

    unsigned told; /* of the certificate request */
    struct sg_err err;
};

static int64_t mono_ns(const struct sg_clock *clock)
{
    return sg_mono_ns(&sg_clock_system) + ((const struct rig_clock *)(const void *)clock)->ahead_ns;
}

static const uint8_t key_id[] = {1}, key_spki[] = {0x30, 0x00};

/* The child ----------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void be_token(int fd, void (*spoil)(struct fake_token *))
{
    struct fake_token token;
    struct sg_loop *loop;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sg_loop_new(&sg_clock_system, &loop, NULL) != SG_OK)
        _exit(1);
    fake_token_start(&token, loop);
    token.keys[token.key_count++] = (struct fake_token_key){
        {key_id, sizeof(key_id)}, {key_spki, sizeof(key_spki)}, SG_KEY_EC_P256};
    if (spoil != NULL)
        spoil(&token);
    if (write(fd, token.dir, sizeof(token.dir)) != (ssize_t)sizeof(token.dir))
        _exit(1);
    SG_IGNORE(sg_loop_run(loop, NULL)); /* until it is killed */
    _exit(1);
}

static void deaf_to_hello(struct fake_token *token)
{
    token->is_deaf_to_hello = true;
}

static void deaf_to_probe(struct fake_token *token)
{
    token->is_deaf_to_probe = true;
}

/* The engine ---------------------------------------------------------------------------------- */

static void on_job(void *arg, struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    fail();
}

static void begin(struct rig *rig, void (*spoil)(struct fake_token *))
{
    const struct sg_hsm_events events = {.arg = rig, .done = on_job};
    int fds[2];

    *rig = (struct rig){.clock = {.clock = {mono_ns, mono_ns}}};
    assert_int_equal(pipe(fds), 0);
    rig->child = fork();
    assert_true(rig->child >= 0);
    if (rig->child == 0)
        be_token(fds[1], spoil);
    assert_int_equal(read(fds[0], rig->dir, sizeof(rig->dir)), sizeof(rig->dir));
    close(fds[0]);
    close(fds[1]);
    snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->dir);

    const struct sg_hsm_token_config token = {
        .name = "t", .socket = rig->path, .uid = -1, .queue_max = 4, .hang_ms = HANG_MS};
    size_t index;
    assert_int_equal(sg_loop_new(&rig->clock.clock, &rig->loop, NULL), SG_OK);
    assert_int_equal(sg_hsm_new(rig->loop, &rig->clock.clock, &events, &rig->hsm, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
    const struct sg_hsm_key_config key = {
        .name = "k", .token = index, .id = {key_id, sizeof(key_id)}, .type = SG_KEY_EC_P256};
    assert_int_equal(sg_hsm_add_key(rig->hsm, &key, &rig->key, NULL), SG_OK);
    assert_int_equal(sg_hsm_start(rig->hsm, NULL), SG_OK);
}

static struct sg_backend *backend(const struct rig *rig)
{
    return rig->hsm->backends[0];
}

static void turn(struct rig *rig)
{
    assert_int_equal(sg_loop_turn(rig->loop, 1, NULL), SG_OK);
}

#define UNTIL(rig, condition)                                                                      \
    do {                                                                                           \
        int64_t until_ns_ = sg_mono_ns(&sg_clock_system) + 30 * SG_NS_PER_S;                       \
        while (!(condition)) {                                                                     \
            assert_true(sg_mono_ns(&sg_clock_system) < until_ns_);                                 \
            turn(rig);                                                                             \
        }                                                                                          \
    } while (0)

/* Whether the child has ended; then how. */
static bool has_ended(struct rig *rig, int *ret_status)
{
    if (waitpid(rig->child, ret_status, WNOHANG) != rig->child)
        return false;
    rig->child = 0;
    return true;
}

static void wait_ms(struct rig *rig, int64_t ms)
{
    rig->clock.ahead_ns += ms * SG_NS_PER_MS;
    for (int i = 0; i < 20; i++)
        turn(rig);
}

static void end(struct rig *rig)
{
    if (rig->child > 0) {
        kill(rig->child, SIGKILL);
        waitpid(rig->child, NULL, 0);
    }
    sg_hsm_free(rig->hsm);
    sg_loop_free(rig->loop);
    unlink(rig->path);
    rmdir(rig->dir);
}

/* It is left alone for so long, and killed after; real time passes too, so there is some room. */
static void assert_killed_after(struct rig *rig, int64_t ms)
{
    int status = 0;
    wait_ms(rig, ms / 2);
    assert_false(has_ended(rig, &status));
    assert_int_equal(backend(rig)->restarts_total, 0);
    rig->clock.ahead_ns += ms / 2 * SG_NS_PER_MS;
    UNTIL(rig, has_ended(rig, &status));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    struct sg_hsm_token_info info;
    sg_hsm_token_info(rig->hsm, 0, &info);
    assert_int_equal(info.state, SG_TOKEN_DOWN);
}

/* Tests --------------------------------------------------------------------------------------- */

static void a_token_that_answers_is_not_held_to_anything(void **state)
{
    struct rig rig;
    int status;
    (void)state;
    begin(&rig, NULL);
    UNTIL(&rig, rig.hsm->keys[rig.key]->state == SG_KEY_READY);
    for (int i = 0; i < 6; i++) { /* an idle one is asked now and then, and answers */
        wait_ms(&rig, GREETING_MS + 1);
        UNTIL(&rig, backend(&rig)->admin_asked == 0);
    }
    assert_false(has_ended(&rig, &status));
    assert_int_equal(sg_backend_state(backend(&rig)), SG_TOKEN_UP);
    assert_int_equal(backend(&rig)->restarts_total, 0);
    end(&rig);
}

static void a_token_that_does_not_greet_is_killed(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, deaf_to_hello);
    UNTIL(&rig, backend(&rig)->sign.state == SG_LINK_GREETING);
    assert_killed_after(&rig, GREETING_MS);
    end(&rig);
}

static void a_token_that_answers_no_probe_is_killed(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, deaf_to_probe);
    UNTIL(&rig, backend(&rig)->probe.step != SG_PROBE_NONE);
    assert_int_equal(sg_backend_state(backend(&rig)), SG_TOKEN_PROBING);
    assert_killed_after(&rig, ADMIN_MS);
    end(&rig);
}

static void on_csr(void *arg, uint64_t tag, struct sg_slice csr, const struct sg_err *err)
{
    struct rig *rig = arg;
    (void)tag;
    assert_int_equal(csr.len, 0);
    rig->told++;
    rig->err = *err;
}

static void a_token_that_hangs_with_a_request_is_killed_and_the_request_answered(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, NULL);
    UNTIL(&rig, rig.hsm->keys[rig.key]->state == SG_KEY_READY);
    assert_int_equal(sg_hsm_csr(rig.hsm, rig.key, SG_SLICE("subject"), (struct sg_slice){0},
                                SG_DIGEST_SHA256, 0, 1, on_csr, &rig, NULL),
                     SG_OK);
    turn(&rig);
    assert_int_equal(rig.told, 0);
    assert_killed_after(&rig, ADMIN_MS);
    assert_int_equal(rig.told, 1);
    assert_int_equal(rig.err.reason, SG_R_TOKEN_LOST);
    assert_non_null(strstr(rig.err.msg, "hangs: its process was told to end"));
    assert_int_equal(backend(&rig)->restarts_total, 1);
    end(&rig);
}

/* Its deadline ends a request, and not the token, which may still answer. */
static void a_request_past_its_deadline_is_answered_and_its_late_answer_dropped(void **state)
{
    const struct sg_hsm_events events = {.done = on_job};
    static const uint8_t der[] = {0x30, 0x00};
    struct rig rig = {.clock = {.clock = {mono_ns, mono_ns}}};
    struct fake_token token;
    size_t index;
    (void)state;

    assert_int_equal(sg_loop_new(&rig.clock.clock, &rig.loop, NULL), SG_OK);
    fake_token_start(&token, rig.loop);
    token.keys[token.key_count++] = (struct fake_token_key){
        {key_id, sizeof(key_id)}, {key_spki, sizeof(key_spki)}, SG_KEY_EC_P256};
    /* This process must not be taken for one that hangs. */
    const struct sg_hsm_token_config config = {
        .name = "t", .socket = token.path, .uid = -1, .queue_max = 4, .hang_ms = 600000};
    const struct sg_hsm_key_config key = {
        .name = "k", .id = {key_id, sizeof(key_id)}, .type = SG_KEY_EC_P256};
    assert_int_equal(sg_hsm_new(rig.loop, &rig.clock.clock, &events, &rig.hsm, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_token(rig.hsm, &config, &index, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_key(rig.hsm, &key, &rig.key, NULL), SG_OK);
    assert_int_equal(sg_hsm_start(rig.hsm, NULL), SG_OK);
    UNTIL(&rig, rig.hsm->keys[rig.key]->state == SG_KEY_READY);

    assert_int_equal(sg_hsm_csr(rig.hsm, rig.key, SG_SLICE("subject"), (struct sg_slice){0},
                                SG_DIGEST_SHA256, mono_ns(&rig.clock.clock) + SG_NS_PER_S, 1,
                                on_csr, &rig, NULL),
                     SG_OK);
    UNTIL(&rig, token.held_count == 1);
    rig.clock.ahead_ns += SG_NS_PER_S;
    UNTIL(&rig, rig.told == 1);
    assert_int_equal(rig.err.reason, SG_R_HSM_TIMEOUT);

    fake_token_answer(&token, 0,
                      (struct sg_answer){.outcome = SG_OUT_OK, .csr = {der, sizeof(der)}});
    UNTIL(&rig, backend(&rig)->admin_asked == 0);
    wait_ms(&rig, 1);
    assert_int_equal(rig.told, 1);
    assert_int_equal(sg_backend_state(backend(&rig)), SG_TOKEN_UP);
    assert_int_equal(token.connections, 2);
    sg_hsm_free(rig.hsm);
    fake_token_stop(&token);
    sg_loop_free(rig.loop);
}

/* It has signed, so that it is known what is usual, and then it does not: while another token
 * signs, nobody waits for hang_ms. */
static void a_token_under_suspicion_is_killed_where_another_signs(void **state)
{
    (void)state;
    for (int has_other = 0; has_other < 2; has_other++) {
        const struct sg_hsm_events events = {.done = on_job};
        struct rig rig;
        struct fake_token other;
        size_t index;
        int status;

        begin(&rig, NULL);
        sg_hsm_free(rig.hsm);
        fake_token_start(&other, rig.loop);
        const struct sg_hsm_token_config tokens[] = {
            {.name = "t", .socket = rig.path, .uid = -1, .queue_max = 4, .hang_ms = 60000},
            {.name = "o", .socket = other.path, .uid = -1, .queue_max = 4, .hang_ms = 600000}};
        assert_int_equal(sg_hsm_new(rig.loop, &rig.clock.clock, &events, &rig.hsm, NULL), SG_OK);
        for (int i = 0; i <= has_other; i++)
            assert_int_equal(sg_hsm_add_token(rig.hsm, &tokens[i], &index, NULL), SG_OK);
        const struct sg_hsm_key_config key = {
            .name = "k", .id = {key_id, sizeof(key_id)}, .type = SG_KEY_EC_P256};
        assert_int_equal(sg_hsm_add_key(rig.hsm, &key, &rig.key, NULL), SG_OK);
        assert_int_equal(sg_hsm_start(rig.hsm, NULL), SG_OK);
        UNTIL(&rig, rig.hsm->keys[rig.key]->state == SG_KEY_READY &&
                        (!has_other || rig.hsm->backends[1]->breaker.state == SG_BREAKER_UP));
        backend(&rig)->usual_ns[SG_KEY_EC_P256] = SG_NS_PER_MS;
        struct sg_hsm_job *job = sg_hsm_job_new(SG_SLICE("01234567890123456789012345678901"));
        assert_non_null(job);
        job->scheme = SG_SCHEME_ECDSA;
        job->digest_alg = SG_DIGEST_SHA256;
        assert_int_equal(sg_hsm_submit(rig.hsm, job, NULL), SG_OK);
        UNTIL(&rig, backend(&rig)->in_flight == 1);
        for (int i = 0; i < 100 && sg_backend_state(backend(&rig)) == SG_TOKEN_UP; i++)
            wait_ms(&rig, 30);
        for (int i = 0; i < 40 && !has_other; i++)
            wait_ms(&rig, 30);
        if (has_other) {
            UNTIL(&rig, has_ended(&rig, &status));
        } else {
            assert_false(has_ended(&rig, &status));
            assert_int_equal(sg_backend_state(backend(&rig)), SG_TOKEN_SUSPECT);
        }
        fake_token_stop(&other);
        end(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_that_answers_is_not_held_to_anything),
        cmocka_unit_test(a_token_that_does_not_greet_is_killed),
        cmocka_unit_test(a_token_that_answers_no_probe_is_killed),
        cmocka_unit_test(a_token_that_hangs_with_a_request_is_killed_and_the_request_answered),
        cmocka_unit_test(a_request_past_its_deadline_is_answered_and_its_late_answer_dropped),
        cmocka_unit_test(a_token_under_suspicion_is_killed_where_another_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
