#include "hsm/hsm_priv.h"
#include "tests/support/fake_token.h"
#include "tests/support/unit.h"

/*
 * Keys on several tokens: who signs, and who does when one fails. Two tokens, "a" and "b", answer
 * when the test says so; three keys are on both of them.
 */
enum { A, B, TOKENS, KEYS = 3, JOBS_MAX = 256 };

static const uint8_t ids[KEYS][1] = {{1}, {2}, {3}}, digest[32] = {0};
static const uint8_t spkis[KEYS][3] = {{0x30, 1, 1}, {0x30, 1, 2}, {0x30, 1, 3}};
static const uint8_t other_spki[3] = {0x30, 1, 9};

struct rig {
    struct sg_clock clock; /* first */
    int64_t ahead_ns;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct fake_token tokens[TOKENS];
    uint64_t next_tag;
    size_t done, signed_count;
    unsigned times[JOBS_MAX];          /* each job came back */
    struct sg_hsm_job *jobs[JOBS_MAX]; /* as they came back */
};

static int64_t mono_ns(const struct sg_clock *clock)
{
    return sg_mono_ns(&sg_clock_system) + ((const struct rig *)(const void *)clock)->ahead_ns;
}

static void on_job(void *arg, struct sg_hsm_job *job)
{
    struct rig *rig = arg;
    rig->done++;
    rig->signed_count += job->is_signed;
    rig->times[job->tag]++;
    rig->jobs[job->tag] = job;
}

static void settle(struct rig *rig)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
}

#define UNTIL(rig, condition)                                                                      \
    do {                                                                                           \
        int64_t until_ns_ = sg_mono_ns(&sg_clock_system) + 30 * SG_NS_PER_S;                       \
        while (!(condition)) {                                                                     \
            assert_true(sg_mono_ns(&sg_clock_system) < until_ns_);                                 \
            assert_int_equal(sg_loop_turn((rig)->loop, 1, NULL), SG_OK);                           \
        }                                                                                          \
    } while (0)

static struct sg_copy *copy(struct rig *rig, size_t key, size_t token)
{
    return &rig->hsm->keys[key]->copies[token];
}

static enum sg_hsm_token_state state_of(struct rig *rig, size_t token)
{
    return sg_backend_state(rig->hsm->backends[token]);
}

static void make(struct rig *rig)
{
    const struct sg_hsm_events events = {.arg = rig, .done = on_job};
    static const char *const names[] = {"a", "b"};
    static const char *const key_names[] = {"k0", "k1", "k2"};
    size_t index;

    *rig = (struct rig){.clock = {mono_ns, mono_ns}};
    assert_int_equal(sg_loop_new(&rig->clock, &rig->loop, NULL), SG_OK);
    assert_int_equal(sg_hsm_new(rig->loop, &rig->clock, &events, &rig->hsm, NULL), SG_OK);
    for (size_t i = 0; i < TOKENS; i++) {
        fake_token_start(&rig->tokens[i], rig->loop);
        for (size_t j = 0; j < KEYS; j++)
            rig->tokens[i].keys[rig->tokens[i].key_count++] = (struct fake_token_key){
                {ids[j], sizeof(ids[j])}, {spkis[j], sizeof(spkis[j])}, SG_KEY_EC_P256};
        /* This process must not be taken for one that hangs. */
        const struct sg_hsm_token_config token = {.name = names[i],
                                                  .socket = rig->tokens[i].path,
                                                  .uid = -1,
                                                  .queue_max = 64,
                                                  .hang_ms = 600000};
        assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
    }
    for (size_t j = 0; j < KEYS; j++) {
        const struct sg_slice id = {ids[j], sizeof(ids[j])};
        const struct sg_hsm_copy_config on_b = {.token = B, .id = id};
        const struct sg_hsm_key_config key = {.name = key_names[j],
                                              .token = A,
                                              .id = id,
                                              .copies = &on_b,
                                              .copy_count = 1,
                                              .type = SG_KEY_EC_P256};
        assert_int_equal(sg_hsm_add_key(rig->hsm, &key, &index, NULL), SG_OK);
    }
}

static void start(struct rig *rig)
{
    assert_int_equal(sg_hsm_start(rig->hsm, NULL), SG_OK);
    for (size_t j = 0; j < KEYS; j++)
        UNTIL(rig,
              copy(rig, j, A)->state != SG_KEY_LOADING && copy(rig, j, B)->state != SG_KEY_LOADING);
    settle(rig);
}

static void begin(struct rig *rig)
{
    make(rig);
    start(rig);
}

static void end(struct rig *rig)
{
    for (size_t i = 0; i < rig->next_tag; i++)
        assert_true(rig->times[i] <= 1);
    sg_hsm_free(rig->hsm);
    for (size_t i = 0; i < TOKENS; i++)
        fake_token_stop(&rig->tokens[i]);
    sg_loop_free(rig->loop);
    for (size_t i = 0; i < rig->next_tag; i++)
        sg_hsm_job_free(rig->jobs[i]);
}

static enum sg_rc try_submit(struct rig *rig, size_t key, int64_t timeout_ms, int64_t *ret_retry_ms,
                             struct sg_err *err)
{
    struct sg_hsm_job *job = sg_hsm_job_new(sg_slice_of(digest, sizeof(digest)));
    assert_non_null(job);
    assert_true(rig->next_tag < JOBS_MAX);
    job->tag = rig->next_tag;
    job->key = key;
    job->scheme = SG_SCHEME_ECDSA;
    job->digest_alg = SG_DIGEST_SHA256;
    job->deadline_ns = timeout_ms == 0 ? 0 : mono_ns(&rig->clock) + timeout_ms * SG_NS_PER_MS;
    enum sg_rc rc = sg_hsm_submit(rig->hsm, job, err);
    *ret_retry_ms = job->retry_ms;
    if (rc == SG_OK)
        rig->next_tag++;
    else
        sg_hsm_job_free(job);
    return rc;
}

static void submit(struct rig *rig, size_t key, int64_t timeout_ms)
{
    int64_t retry_ms;
    assert_int_equal(try_submit(rig, key, timeout_ms, &retry_ms, NULL), SG_OK);
    settle(rig);
}

static size_t held(const struct rig *rig, size_t token)
{
    return rig->tokens[token].held_count;
}

/* The token's oldest is signed; `mark` is in the signature. */
static void sign(struct rig *rig, size_t token, uint8_t mark)
{
    uint8_t signature[64] = {mark};
    fake_token_answer(&rig->tokens[token], 0,
                      (struct sg_answer){.outcome = SG_OUT_OK,
                                         .hsm_ns = SG_NS_PER_MS,
                                         .signature = {signature, sizeof(signature)}});
    settle(rig);
}

static void fail_with(struct rig *rig, size_t token, enum sg_outcome outcome)
{
    fake_token_answer(&rig->tokens[token], 0,
                      (struct sg_answer){.outcome = outcome, .text = SG_SLICE("so it is")});
    settle(rig);
}

static void pass_ms(struct rig *rig, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 10) {
        rig->ahead_ns += 10 * SG_NS_PER_MS;
        settle(rig);
    }
}

/* So many signatures by each token, so that the engine knows how long they take. */
static void teach(struct rig *rig)
{
    for (int i = 0; i < 4; i++) {
        submit(rig, 0, 0);
        submit(rig, 0, 0);
        assert_int_equal(held(rig, A), 1);
        assert_int_equal(held(rig, B), 1);
        rig->ahead_ns += SG_NS_PER_MS;
        sign(rig, A, 0);
        sign(rig, B, 0);
    }
    assert_int_equal(rig->signed_count, 8);
}

/* Choosing ------------------------------------------------------------------------------------ */

static void idle_tokens_take_turns(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    for (size_t i = 1; i <= 4; i++) {
        submit(&rig, 0, 0);
        submit(&rig, 1, 0);
        assert_int_equal(held(&rig, A), i);
        assert_int_equal(held(&rig, B), i);
    }
    end(&rig);
}

static void the_token_with_less_to_do_is_next(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    for (int i = 0; i < 6; i++)
        submit(&rig, 0, 0);
    sign(&rig, B, 1);
    sign(&rig, B, 1);
    assert_int_equal(held(&rig, B), 1);
    submit(&rig, 0, 0);
    submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 3);
    assert_int_equal(held(&rig, B), 3);
    end(&rig);
}

/* They take turns, so the cheap are not behind them; but behind what is at the token already. */
static void costly_ones_that_wait_do_not_send_cheap_ones_elsewhere(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    teach(&rig);
    struct sg_backend *a = rig.hsm->backends[A], *b = rig.hsm->backends[B];
    a->usual_ns[SG_KEY_RSA_4096] = b->usual_ns[SG_KEY_RSA_4096] = 50 * SG_NS_PER_MS;
    a->queued[SG_KEY_RSA_4096] = 60;
    b->queued[SG_KEY_RSA_4096] = 20;
    for (int i = 0; i < 6; i++)
        submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 3);
    assert_int_equal(held(&rig, B), 3);

    a->queued[SG_KEY_RSA_4096] = b->queued[SG_KEY_RSA_4096] = 0;
    b->sent[SG_KEY_RSA_4096] = 1;
    for (int i = 0; i < 2; i++)
        submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 5);
    b->sent[SG_KEY_RSA_4096] = 0;
    end(&rig);
}

static void a_token_that_was_slow_is_tried_again_now_and_then(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    teach(&rig);
    struct sg_backend *slow = rig.hsm->backends[A];
    slow->usual_ns[SG_KEY_EC_P256] = 200 * SG_NS_PER_MS;
    slow->sent_ns = mono_ns(&rig.clock);
    for (int i = 0; i < 3; i++)
        submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 0);
    assert_int_equal(held(&rig, B), 3);
    pass_ms(&rig, 110);
    submit(&rig, 0, 0);
    submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 1); /* one */
    rig.ahead_ns += SG_NS_PER_MS;
    sign(&rig, A, 1);
    assert_true(slow->usual_ns[SG_KEY_EC_P256] <= SG_NS_PER_MS); /* and that is believed */
    end(&rig);
}

/* What is counted as it changes is what looking at every copy would find. */
static void assert_counted(const struct rig *rig)
{
    size_t keys[SG_KEY_STATE_COUNT] = {0}, copies[2][SG_KEY_STATE_COUNT] = {{0}};

    for (size_t i = 0; i < sg_hsm_key_count(rig->hsm); i++) {
        const struct sg_engine_key *key = rig->hsm->keys[i];
        bool is_there[2] = {false};
        enum sg_hsm_key_state state;
        keys[key->state]++;
        for (size_t k = 0; k < key->copy_count; k++) {
            const size_t token = key->copies[k].backend->index;
            is_there[token] = true;
            copies[token][key->copies[k].state]++;
            assert_true(sg_hsm_key_on(rig->hsm, i, token, &state));
            assert_int_equal(state, key->copies[k].state);
        }
        for (size_t token = A; token <= B; token++)
            assert_int_equal(sg_hsm_key_on(rig->hsm, i, token, &state), is_there[token]);
    }
    for (size_t i = 0; i < SG_KEY_STATE_COUNT; i++)
        assert_int_equal(sg_hsm_keys_in(rig->hsm, (enum sg_hsm_key_state)i), keys[i]);
    for (size_t token = A; token <= B; token++) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(rig->hsm, token, &info);
        assert_memory_equal(info.keys, copies[token], sizeof(info.keys));
    }
}

static void a_copy_with_another_public_key_is_not_used_and_the_other_is(void **state)
{
    struct rig rig;
    struct sg_hsm_copy_info info;
    (void)state;
    make(&rig);
    assert_counted(&rig);
    rig.tokens[B].keys[0].spki = sg_slice_of(other_spki, sizeof(other_spki));
    rig.tokens[B].is_deaf_to_load = true; /* so that a tells first */
    assert_int_equal(sg_hsm_start(rig.hsm, NULL), SG_OK);
    UNTIL(&rig, copy(&rig, 0, A)->state == SG_KEY_READY);
    rig.tokens[B].is_deaf_to_load = false;
    fake_token_die(&rig.tokens[B]);
    settle(&rig);
    assert_counted(&rig);
    fake_token_rise(&rig.tokens[B]);
    UNTIL(&rig,
          copy(&rig, 0, B)->state == SG_KEY_UNUSABLE && copy(&rig, 1, B)->state == SG_KEY_READY);
    assert_counted(&rig);
    sg_hsm_copy_info(rig.hsm, 0, B, &info);
    assert_int_equal(info.err.reason, SG_R_KEY_UNUSABLE);
    assert_int_equal(rig.hsm->keys[0]->state, SG_KEY_READY);
    for (int i = 0; i < 3; i++)
        submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 3);
    assert_int_equal(held(&rig, B), 0);
    end(&rig);
}

static void a_key_that_one_token_has_not_told_of_is_signed_by_the_other(void **state)
{
    struct rig rig;
    (void)state;
    make(&rig);
    rig.tokens[A].is_deaf_to_load = true;
    assert_int_equal(sg_hsm_start(rig.hsm, NULL), SG_OK);
    submit(&rig, 0, 0); /* nobody has told yet */
    UNTIL(&rig, copy(&rig, 0, B)->state == SG_KEY_READY && state_of(&rig, A) == SG_TOKEN_UP);
    settle(&rig);
    assert_int_equal(held(&rig, B), 1);
    submit(&rig, 0, 0);
    assert_int_equal(held(&rig, B), 2);
    end(&rig);
}

/* Failing ------------------------------------------------------------------------------------- */

static void what_a_failing_token_did_not_sign_the_other_does(void **state)
{
    static const enum sg_outcome outcomes[] = {SG_OUT_SESSION, SG_OUT_HANDLE,     SG_OUT_LOGIN,
                                               SG_OUT_TOKEN,   SG_OUT_PIN,        SG_OUT_CAPACITY,
                                               SG_OUT_KEY,     SG_OUT_UNSUPPORTED};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(outcomes); i++) {
        struct rig rig;
        begin(&rig);
        submit(&rig, 0, 1000);
        size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
        fail_with(&rig, first, outcomes[i]);
        if (held(&rig, second) != 1 || held(&rig, first) != 0)
            fail_msg("outcome %d: %zu and %zu", (int)outcomes[i], held(&rig, first),
                     held(&rig, second));
        sign(&rig, second, 7);
        assert_int_equal(rig.done, 1);
        assert_true(rig.jobs[0]->is_signed);
        assert_int_equal(rig.jobs[0]->signature[0], 7);
        assert_int_equal(rig.jobs[0]->token, second);
        bool is_down = i < 5;
        assert_int_equal(state_of(&rig, first) == SG_TOKEN_UP, !is_down);
        end(&rig);
    }
}

static void a_fault_of_the_request_is_told_and_not_tried_again(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 1000);
    size_t first = held(&rig, A) == 1 ? A : B;
    fail_with(&rig, first, SG_OUT_REQUEST);
    assert_int_equal(rig.done, 1);
    assert_false(rig.jobs[0]->is_signed);
    assert_int_equal(rig.jobs[0]->err.reason, SG_R_UNEXPECTED_CKR);
    assert_int_equal(held(&rig, A) + held(&rig, B), 0);
    end(&rig);
}

static void a_token_without_room_is_left_alone_for_a_while(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 0);
    size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
    fail_with(&rig, first, SG_OUT_CAPACITY);
    for (int i = 0; i < 3; i++)
        submit(&rig, 1, 0);
    assert_int_equal(held(&rig, first), 0);
    assert_int_equal(held(&rig, second), 4);
    pass_ms(&rig, 150);
    submit(&rig, 1, 0);
    assert_int_equal(held(&rig, first), 1);
    end(&rig);
}

static void what_a_token_had_when_it_died_the_other_signs(void **state)
{
    enum { COUNT = 30 };
    struct rig rig;
    (void)state;
    begin(&rig);
    for (int i = 0; i < COUNT; i++)
        submit(&rig, (size_t)i % KEYS, 5000);
    assert_true(held(&rig, A) > 0 && rig.hsm->backends[A]->waiting > 0);
    fake_token_die(&rig.tokens[A]);
    /* Those that may have killed it are tried one by one, and others meanwhile. */
    UNTIL(&rig, (held(&rig, B) == 0 ? (void)0 : sign(&rig, B, 1), rig.done == COUNT));
    assert_int_equal(rig.signed_count, COUNT);
    assert_int_equal(state_of(&rig, A), SG_TOKEN_DOWN);
    end(&rig);
}

static void a_call_whose_time_is_up_already_is_told_so(void **state)
{
    struct rig rig;
    struct sg_err err;
    int64_t retry_ms;
    (void)state;
    begin(&rig);
    assert_int_equal(try_submit(&rig, 0, -1, &retry_ms, &err), SG_E_TIMEOUT);
    assert_int_equal(err.reason, SG_R_DEADLINE);
    end(&rig);
}

static void with_no_token_left_a_call_is_refused_at_once_until_one_is_back(void **state)
{
    struct rig rig;
    struct sg_err err;
    int64_t retry_ms = 0;
    (void)state;
    begin(&rig);
    fake_token_die(&rig.tokens[A]);
    fake_token_die(&rig.tokens[B]);
    settle(&rig);
    submit(&rig, 0, 10000); /* one of them may be back in a moment */
    pass_ms(&rig, 500);
    assert_int_equal(rig.done, 0);
    pass_ms(&rig, 450);
    assert_int_equal(rig.done, 1);
    assert_int_equal(rig.jobs[0]->err.rc, SG_E_UNAVAILABLE);
    assert_true(rig.jobs[0]->retry_ms > 0);
    int64_t before_ns = sg_mono_ns(&sg_clock_system);
    assert_int_equal(try_submit(&rig, 0, 10000, &retry_ms, &err), SG_E_UNAVAILABLE);
    assert_true(sg_mono_ns(&sg_clock_system) - before_ns < 5 * SG_NS_PER_MS);
    assert_int_equal(err.reason, SG_R_TOKEN_BREAKER_OPEN);
    assert_true(retry_ms > 0);

    fake_token_rise(&rig.tokens[B]);
    UNTIL(&rig, copy(&rig, 0, B)->state == SG_KEY_READY);
    submit(&rig, 0, 10000);
    UNTIL(&rig, held(&rig, B) == 1);
    sign(&rig, B, 1);
    assert_int_equal(rig.signed_count, 1);
    end(&rig);
}

/* Makes a token fail, and then its probes, until it waits for long to be probed again. */
static void fail_for_long(struct rig *rig, size_t token)
{
    rig->tokens[token].probe_outcome = SG_OUT_TOKEN;
    while (held(rig, token) == 0)
        submit(rig, 0, 0);
    fail_with(rig, token, SG_OUT_TOKEN);
    const struct sg_breaker *breaker = &rig->hsm->backends[token]->breaker;
    while (breaker->state != SG_BREAKER_DOWN ||
           breaker->due_ns < mono_ns(&rig->clock) + SG_NS_PER_S)
        pass_ms(rig, 10);
}

static void a_token_that_waits_to_be_probed_is_asked_when_another_fails(void **state)
{
    struct rig rig;
    (void)state;
    for (int dies = 0; dies < 2; dies++) {
        begin(&rig);
        fail_for_long(&rig, B);
        const int64_t due_ns = rig.hsm->backends[B]->breaker.due_ns;
        rig.tokens[B].probe_outcome = SG_OUT_UNSET;
        if (dies)
            fake_token_die(&rig.tokens[A]);
        else
            fail_with(&rig, A, SG_OUT_TOKEN);
        UNTIL(&rig, state_of(&rig, B) == SG_TOKEN_UP);
        assert_true(mono_ns(&rig.clock) < due_ns);
        end(&rig);
    }
}

static void tokens_that_are_all_away_do_not_wake_each_other(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    fail_for_long(&rig, B);
    const size_t probes = rig.tokens[B].probes;
    rig.tokens[A].probe_outcome = SG_OUT_TOKEN;
    fail_with(&rig, A, SG_OUT_TOKEN);
    settle(&rig);
    assert_int_equal(rig.tokens[B].probes, probes + 1);
    pass_ms(&rig, 2000);
    assert_in_range(rig.tokens[B].probes, probes + 1, probes + 3); /* not each time that A is */
    assert_true(rig.tokens[A].probes > 4);
    end(&rig);
}

static void a_token_that_refused_its_pin_keeps_nothing_waiting(void **state)
{
    struct rig rig;
    (void)state;
    make(&rig);
    rig.tokens[A].probe_outcome = SG_OUT_PIN;
    rig.tokens[B].is_deaf_to_load = true;
    assert_int_equal(sg_hsm_start(rig.hsm, NULL), SG_OK);
    UNTIL(&rig, state_of(&rig, A) == SG_TOKEN_PIN_LATCHED && state_of(&rig, B) == SG_TOKEN_UP);
    submit(&rig, 0, 1000);
    assert_int_equal(rig.hsm->backends[A]->waiting, 0);
    assert_int_equal(rig.hsm->backends[B]->waiting, 1);
    end(&rig);
}

/* Taking too long ------------------------------------------------------------------------------ */

static void after_three_fifths_of_its_time_another_token_is_asked_too(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 200);
    size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
    pass_ms(&rig, 80);
    assert_int_equal(held(&rig, second), 0);
    pass_ms(&rig, 60);
    assert_int_equal(held(&rig, second), 1);
    sign(&rig, second, 2);
    assert_int_equal(rig.done, 1);
    assert_int_equal(rig.jobs[0]->signature[0], 2);
    sign(&rig, first, 1); /* too late, and no harm */
    assert_int_equal(rig.done, 1);
    assert_int_equal(rig.hsm->backends[first]->in_flight, 0);
    assert_int_equal(rig.hsm->backends[second]->hedged_total, 1);
    end(&rig);
}

static void the_first_of_two_answers_counts(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 200);
    size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
    pass_ms(&rig, 140);
    assert_int_equal(held(&rig, second), 1);
    fail_with(&rig, second, SG_OUT_TOKEN); /* the first may still sign it */
    assert_int_equal(rig.done, 0);
    sign(&rig, first, 1);
    assert_int_equal(rig.done, 1);
    assert_int_equal(rig.jobs[0]->signature[0], 1);
    assert_int_equal(rig.jobs[0]->token, first);
    end(&rig);
}

static void a_job_past_its_deadline_is_told_once_wherever_it_is(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 200);
    pass_ms(&rig, 220);
    assert_int_equal(held(&rig, A) + held(&rig, B), 2);
    assert_int_equal(rig.done, 1);
    assert_int_equal(rig.jobs[0]->err.reason, SG_R_HSM_TIMEOUT);
    sign(&rig, A, 1);
    sign(&rig, B, 1);
    assert_int_equal(rig.done, 1);
    end(&rig);
}

static void a_token_that_takes_far_longer_than_usual_is_suspect(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    teach(&rig);
    submit(&rig, 0, 0);
    size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
    pass_ms(&rig, 50); /* real time passes too */
    assert_int_equal(state_of(&rig, first), SG_TOKEN_UP);
    assert_int_equal(held(&rig, second), 0);
    pass_ms(&rig, 250);
    assert_int_equal(state_of(&rig, first), SG_TOKEN_SUSPECT);
    assert_int_equal(held(&rig, second), 1); /* the job is there too */
    for (int i = 0; i < 3; i++)
        submit(&rig, 1, 0); /* and so is what comes */
    assert_int_equal(held(&rig, first), 1);
    assert_int_equal(held(&rig, second), 4);
    sign(&rig, first, 3);
    pass_ms(&rig, 20);
    assert_int_equal(state_of(&rig, first), SG_TOKEN_UP);
    assert_int_equal(rig.signed_count, 9);
    assert_int_equal(rig.jobs[8]->signature[0], 3);
    end(&rig);
}

/* Lying ---------------------------------------------------------------------------------------- */

static void a_signature_that_does_not_verify_is_made_again_by_the_other(void **state)
{
    struct rig rig;
    struct sg_err err;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 1000);
    size_t first = held(&rig, A) == 1 ? A : B, second = first == A ? B : A;
    sign(&rig, first, 1);
    struct sg_hsm_job *job = rig.jobs[0];
    rig.jobs[0] = NULL;
    rig.times[0] = 0;
    assert_int_equal(sg_hsm_report_bad(rig.hsm, job, &err), SG_OK);
    settle(&rig);
    assert_int_equal(copy(&rig, 0, first)->state, SG_KEY_QUARANTINED);
    assert_int_equal(held(&rig, second), 1);
    sign(&rig, second, 2);
    assert_true(rig.jobs[0]->is_signed);
    assert_int_equal(rig.jobs[0]->signature[0], 2);

    /* The other lies too: nobody is left for this key, and there is for another. */
    assert_int_equal(sg_hsm_report_bad(rig.hsm, rig.jobs[0], &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_HSM_FAULT);
    int64_t retry_ms;
    assert_int_equal(try_submit(&rig, 0, 0, &retry_ms, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_KEY_QUARANTINED);
    submit(&rig, 1, 0);
    assert_int_equal(held(&rig, A) + held(&rig, B), 1);
    end(&rig);
}

/* Killing -------------------------------------------------------------------------------------- */

/* It has k0, k1 and k2 under way when it dies; the one that does it is k1. */
static void a_key_that_kills_is_found_on_trial_and_the_others_serve(void **state)
{
    struct rig rig;
    struct sg_err err;
    int64_t retry_ms;
    (void)state;
    begin(&rig);
    sg_hsm_drain(rig.hsm, B);
    for (size_t i = 0; i < KEYS; i++)
        submit(&rig, i, 60000);
    assert_int_equal(held(&rig, A), KEYS);
    sg_hsm_resume(rig.hsm, B);
    fake_token_die(&rig.tokens[A]);
    settle(&rig);
    assert_int_equal(held(&rig, B), 0); /* not before a moment has passed */
    while (copy(&rig, 1, B)->state != SG_KEY_QUARANTINED) {
        UNTIL(&rig, held(&rig, B) > 0 || copy(&rig, 1, B)->state == SG_KEY_QUARANTINED);
        assert_int_equal(held(&rig, B), 1); /* one at a time */
        if (rig.tokens[B].held[0].request.id.ptr[0] != ids[1][0]) {
            sign(&rig, B, 1);
            continue;
        }
        fake_token_die(&rig.tokens[B]);
        settle(&rig);
    }
    assert_int_equal(copy(&rig, 1, A)->state, SG_KEY_QUARANTINED);
    fake_token_rise(&rig.tokens[A]);
    UNTIL(&rig, copy(&rig, 0, A)->state == SG_KEY_READY && copy(&rig, 2, A)->state == SG_KEY_READY);
    UNTIL(&rig, (held(&rig, A) == 0 ? (void)0 : sign(&rig, A, 1), rig.done == KEYS));
    assert_int_equal(rig.signed_count, KEYS - 1);
    assert_int_equal(rig.jobs[1]->err.reason, SG_R_KEY_QUARANTINED);
    assert_int_equal(try_submit(&rig, 1, 0, &retry_ms, &err), SG_E_CONFLICT);
    submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 1);
    end(&rig);
}

static void tokens_that_die_together_put_no_key_aside(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig);
    for (size_t i = 0; i < 2 * KEYS; i++)
        submit(&rig, i % KEYS, 60000);
    fake_token_die(&rig.tokens[A]);
    settle(&rig);
    fake_token_die(&rig.tokens[B]);
    settle(&rig);
    fake_token_rise(&rig.tokens[A]);
    fake_token_rise(&rig.tokens[B]);
    UNTIL(&rig, (held(&rig, A) == 0 ? (void)0 : sign(&rig, A, 1),
                 held(&rig, B) == 0 ? (void)0 : sign(&rig, B, 1), rig.done == 2 * KEYS));
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(rig.hsm->keys[i]->state, SG_KEY_READY);
    end(&rig);
}

/* How many sign at once ------------------------------------------------------------------------ */

static void a_token_tells_with_a_signature_how_many_it_makes_at_once(void **state)
{
    static const size_t workers[] = {9, 1, 0, 4};
    static const size_t known[] = {9, 1, 1, 4}; /* 0 says nothing */
    uint8_t signature[64] = {1};
    struct rig rig;
    (void)state;
    begin(&rig);
    sg_hsm_drain(rig.hsm, B);
    for (size_t i = 0; i < SG_COUNT(workers); i++) {
        struct sg_hsm_token_info info;
        submit(&rig, 0, 0);
        fake_token_answer(&rig.tokens[A], 0,
                          (struct sg_answer){.outcome = SG_OUT_OK,
                                             .workers = workers[i],
                                             .signature = {signature, sizeof(signature)}});
        settle(&rig);
        sg_hsm_token_info(rig.hsm, A, &info);
        assert_int_equal(info.workers, known[i]);
    }
    end(&rig);
}

/* Draining ------------------------------------------------------------------------------------- */

static void a_drained_token_ends_what_it_is_at_and_gets_no_more(void **state)
{
    enum { COUNT = 20 };
    struct rig rig;
    struct sg_err err;
    int64_t retry_ms;
    (void)state;
    begin(&rig);
    for (int i = 0; i < COUNT; i++)
        submit(&rig, 0, 60000);
    size_t at_a = held(&rig, A);
    assert_true(at_a > 0 && rig.hsm->backends[A]->waiting > 0);
    sg_hsm_drain(rig.hsm, A);
    settle(&rig);
    assert_int_equal(state_of(&rig, A), SG_TOKEN_DRAINING);
    assert_int_equal(rig.hsm->backends[A]->waiting, 0);
    assert_int_equal(held(&rig, A), at_a);
    while (held(&rig, A) > 0)
        sign(&rig, A, 1);
    while (held(&rig, B) > 0)
        sign(&rig, B, 2);
    assert_int_equal(rig.signed_count, COUNT);
    assert_int_equal(rig.hsm->backends[A]->signed_total, at_a);

    sg_hsm_drain(rig.hsm, B);
    assert_int_equal(try_submit(&rig, 0, 0, &retry_ms, &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.reason, SG_R_TOKEN_DRAINED);
    sg_hsm_resume(rig.hsm, A);
    submit(&rig, 0, 0);
    assert_int_equal(held(&rig, A), 1);
    assert_int_equal(held(&rig, B), 0);
    end(&rig);
}

static void resuming_a_token_gives_quarantined_keys_another_chance(void **state)
{
    struct rig rig;
    struct sg_err err;
    (void)state;
    begin(&rig);
    submit(&rig, 0, 0);
    size_t first = held(&rig, A) == 1 ? A : B;
    sign(&rig, first, 1);
    struct sg_hsm_job *job = rig.jobs[0];
    rig.jobs[0] = NULL;
    rig.times[0] = 0;
    assert_int_equal(sg_hsm_report_bad(rig.hsm, job, &err), SG_OK);
    settle(&rig);
    assert_int_equal(copy(&rig, 0, first)->state, SG_KEY_QUARANTINED);
    sg_hsm_resume(rig.hsm, first);
    UNTIL(&rig, copy(&rig, 0, first)->state == SG_KEY_READY);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_tokens_take_turns),
        cmocka_unit_test(the_token_with_less_to_do_is_next),
        cmocka_unit_test(costly_ones_that_wait_do_not_send_cheap_ones_elsewhere),
        cmocka_unit_test(a_token_that_was_slow_is_tried_again_now_and_then),
        cmocka_unit_test(a_copy_with_another_public_key_is_not_used_and_the_other_is),
        cmocka_unit_test(a_key_that_one_token_has_not_told_of_is_signed_by_the_other),
        cmocka_unit_test(what_a_failing_token_did_not_sign_the_other_does),
        cmocka_unit_test(a_fault_of_the_request_is_told_and_not_tried_again),
        cmocka_unit_test(a_token_without_room_is_left_alone_for_a_while),
        cmocka_unit_test(what_a_token_had_when_it_died_the_other_signs),
        cmocka_unit_test(a_call_whose_time_is_up_already_is_told_so),
        cmocka_unit_test(with_no_token_left_a_call_is_refused_at_once_until_one_is_back),
        cmocka_unit_test(a_token_that_waits_to_be_probed_is_asked_when_another_fails),
        cmocka_unit_test(tokens_that_are_all_away_do_not_wake_each_other),
        cmocka_unit_test(a_token_that_refused_its_pin_keeps_nothing_waiting),
        cmocka_unit_test(after_three_fifths_of_its_time_another_token_is_asked_too),
        cmocka_unit_test(the_first_of_two_answers_counts),
        cmocka_unit_test(a_job_past_its_deadline_is_told_once_wherever_it_is),
        cmocka_unit_test(a_token_that_takes_far_longer_than_usual_is_suspect),
        cmocka_unit_test(a_signature_that_does_not_verify_is_made_again_by_the_other),
        cmocka_unit_test(a_key_that_kills_is_found_on_trial_and_the_others_serve),
        cmocka_unit_test(tokens_that_die_together_put_no_key_aside),
        cmocka_unit_test(a_token_tells_with_a_signature_how_many_it_makes_at_once),
        cmocka_unit_test(a_drained_token_ends_what_it_is_at_and_gets_no_more),
        cmocka_unit_test(resuming_a_token_gives_quarantined_keys_another_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
