#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "hsm/hsm_priv.h"
#include "tests/support/fake_token.h"
#include "tests/support/unit.h"

/*
 * What a token must do to be used: sign with its probe keys. Here the test holds them, and signs or
 * does not.
 */
static const uint8_t key_id[] = {1}, key_spki[] = {0x30, 0x00}, digest[32] = {0};
static const uint8_t probe_ids[3][2] = {{0xff, 1}, {0xff, 2}, {0xff, 3}};
static const enum sg_key_type probe_types[3] = {SG_KEY_EC_P256, SG_KEY_RSA_2048, SG_KEY_ED25519};

struct rig {
    struct sg_clock clock; /* first */
    int64_t ahead_ns;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct fake_token token;
    EVP_PKEY *pairs[3];
    uint8_t *spkis[3];
    struct sg_hsm_job *job;
};

static int64_t mono_ns(const struct sg_clock *clock)
{
    return sg_mono_ns(&sg_clock_system) + ((const struct rig *)(const void *)clock)->ahead_ns;
}

static void on_job(void *arg, struct sg_hsm_job *job)
{
    struct rig *rig = arg;
    assert_null(rig->job);
    rig->job = job;
}

#define UNTIL(rig, condition)                                                                      \
    do {                                                                                           \
        int64_t until_ns_ = sg_mono_ns(&sg_clock_system) + 30 * SG_NS_PER_S;                       \
        while (!(condition)) {                                                                     \
            assert_true(sg_mono_ns(&sg_clock_system) < until_ns_);                                 \
            assert_int_equal(sg_loop_turn((rig)->loop, 1, NULL), SG_OK);                           \
        }                                                                                          \
    } while (0)

static enum sg_hsm_token_state state_of(const struct rig *rig)
{
    return sg_backend_state(rig->hsm->backends[0]);
}

static void begin(struct rig *rig, size_t probe_count)
{
    const struct sg_hsm_events events = {.arg = rig, .done = on_job};
    struct sg_hsm_probe_key probe_keys[3];
    size_t index;

    *rig = (struct rig){.clock = {mono_ns, mono_ns}};
    assert_int_equal(sg_loop_new(&rig->clock, &rig->loop, NULL), SG_OK);
    fake_token_start(&rig->token, rig->loop);
    rig->token.keys[rig->token.key_count++] = (struct fake_token_key){
        {key_id, sizeof(key_id)}, {key_spki, sizeof(key_spki)}, SG_KEY_EC_P256};
    rig->pairs[0] = EVP_EC_gen("P-256");
    rig->pairs[1] = EVP_RSA_gen(2048);
    rig->pairs[2] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(rig->pairs[i]);
        int len = i2d_PUBKEY(rig->pairs[i], &rig->spkis[i]);
        assert_true(len > 0);
        rig->token.keys[rig->token.key_count++] = (struct fake_token_key){
            {probe_ids[i], sizeof(probe_ids[i])}, {rig->spkis[i], (size_t)len}, probe_types[i]};
        probe_keys[i] = (struct sg_hsm_probe_key){{probe_ids[i], 2}, probe_types[i]};
    }
    const struct sg_hsm_token_config token = {.name = "t",
                                              .socket = rig->token.path,
                                              .uid = -1,
                                              .queue_max = 64,
                                              .hang_ms = 600000,
                                              .probe_keys = probe_keys,
                                              .probe_key_count = probe_count};
    const struct sg_hsm_key_config key = {
        .name = "k", .id = {key_id, sizeof(key_id)}, .type = SG_KEY_EC_P256};
    assert_int_equal(sg_hsm_new(rig->loop, &rig->clock, &events, &rig->hsm, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_key(rig->hsm, &key, &index, NULL), SG_OK);
    assert_int_equal(sg_hsm_start(rig->hsm, NULL), SG_OK);
}

static void end(struct rig *rig)
{
    sg_hsm_job_free(rig->job);
    sg_hsm_free(rig->hsm);
    fake_token_stop(&rig->token);
    sg_loop_free(rig->loop);
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY_free(rig->pairs[i]);
        OPENSSL_free(rig->spkis[i]);
    }
}

static size_t sign(EVP_PKEY *pair, const struct sg_request *request, uint8_t *out, size_t max)
{
    size_t len = max;
    if (request->scheme == SG_SCHEME_ED25519) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair), 1);
        assert_int_equal(EVP_DigestSign(ctx, out, &len, request->tbs.ptr, request->tbs.len), 1);
        EVP_MD_CTX_free(ctx);
        return len;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, out, &len, request->tbs.ptr, request->tbs.len), 1);
    EVP_PKEY_CTX_free(ctx);
    if (request->scheme != SG_SCHEME_ECDSA)
        return len;
    uint8_t raw[64];
    assert_int_equal(sg_ecdsa_from_der(sg_slice_of(out, len), 32, raw, NULL), SG_OK);
    memcpy(out, raw, sizeof(raw));
    return sizeof(raw);
}

/* Answers what is held, by the probe keys; `spoil` counts from 1 which signature is made wrong. */
static void prove(struct rig *rig, size_t count, size_t spoil)
{
    UNTIL(rig, rig->token.held_count == count);
    for (size_t i = 1; i <= count; i++) {
        const struct sg_request *request = &rig->token.held[0].request;
        uint8_t signature[SG_KEY_SIGNATURE_BYTES_MAX];
        assert_int_equal(request->id.len, 2);
        size_t len =
            sign(rig->pairs[request->id.ptr[1] - 1], request, signature, sizeof(signature));
        signature[len / 2] ^= i == spoil ? 1 : 0;
        fake_token_answer(&rig->token, 0,
                          (struct sg_answer){.outcome = SG_OUT_OK, .signature = {signature, len}});
    }
}

static void a_token_is_up_when_each_of_its_probe_keys_has_signed(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 3);
    UNTIL(&rig, rig.token.held_count == 3);
    assert_int_equal(state_of(&rig), SG_TOKEN_PROBING);
    assert_int_equal(rig.hsm->keys[0]->state, SG_KEY_LOADING);
    prove(&rig, 3, 0);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP && rig.hsm->keys[0]->state == SG_KEY_READY);
    assert_int_equal(rig.hsm->key_count, 1); /* they are nobody's */
    assert_int_equal(rig.hsm->backends[0]->signed_total, 0);
    end(&rig);
}

static void a_token_one_of_whose_proofs_is_none_stays_down(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 3; i++) {
        struct rig rig;
        begin(&rig, 3);
        prove(&rig, 3, i);
        UNTIL(&rig, state_of(&rig) == SG_TOKEN_DOWN && rig.hsm->backends[0]->err.reason != 0 &&
                        rig.token.held_count == 0);
        assert_non_null(strstr(rig.hsm->backends[0]->err.msg, "did not verify"));
        prove(&rig, 3, 0); /* asked again, by and by */
        UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP);
        end(&rig);
    }
}

static void a_token_that_answers_and_cannot_sign_stays_down(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 1);
    UNTIL(&rig, rig.token.held_count == 1);
    fake_token_answer(&rig.token, 0,
                      (struct sg_answer){.outcome = SG_OUT_LOGIN, .text = SG_SLICE("not now")});
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_DOWN);
    assert_string_equal(rig.hsm->backends[0]->err.msg, "not now");
    prove(&rig, 1, 0);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP);
    end(&rig);
}

static void a_token_without_its_probe_keys_stays_down(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 1);
    rig.token.keys[1].id = SG_SLICE("elsewhere");
    UNTIL(&rig, rig.token.probes >= 2);
    assert_int_not_equal(state_of(&rig), SG_TOKEN_UP);
    assert_non_null(strstr(rig.hsm->backends[0]->err.msg, "no probe key can be used: no such key"));
    rig.token.keys[1].id = sg_slice_of(probe_ids[0], 2);
    prove(&rig, 1, 0);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP);
    end(&rig);
}

static void an_idle_token_proves_itself_now_and_then(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 1);
    prove(&rig, 1, 0);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP && rig.hsm->keys[0]->state == SG_KEY_READY);
    rig.ahead_ns += 5 * SG_NS_PER_S;
    UNTIL(&rig, rig.token.held_count == 1);
    assert_int_equal(state_of(&rig), SG_TOKEN_UP); /* it serves meanwhile */
    prove(&rig, 1, 1);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_DOWN);
    end(&rig);
}

/* It is submitted, signed as it may be, and refuted. */
static void refute(struct rig *rig)
{
    static const uint8_t signature[64] = {1};
    struct sg_hsm_job *job = sg_hsm_job_new(sg_slice_of(digest, sizeof(digest)));
    struct sg_err err;

    assert_non_null(job);
    job->scheme = SG_SCHEME_ECDSA;
    job->digest_alg = SG_DIGEST_SHA256;
    assert_int_equal(sg_hsm_submit(rig->hsm, job, NULL), SG_OK);
    UNTIL(rig, rig->token.held_count == 1);
    fake_token_answer(
        &rig->token, 0,
        (struct sg_answer){.outcome = SG_OUT_OK, .signature = {signature, sizeof(signature)}});
    UNTIL(rig, rig->job != NULL);
    assert_int_equal(sg_hsm_report_bad(rig->hsm, rig->job, &err), SG_E_INTERNAL);
    assert_int_equal(rig->hsm->keys[0]->state, SG_KEY_QUARANTINED);
}

static void a_refuted_key_makes_its_token_prove_itself_at_once(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 1);
    prove(&rig, 1, 0);
    UNTIL(&rig, rig.hsm->keys[0]->state == SG_KEY_READY);
    refute(&rig);
    prove(&rig, 1, 0); /* it was the key */
    UNTIL(&rig, rig.hsm->backends[0]->probe.step == SG_PROBE_NONE);
    assert_int_equal(state_of(&rig), SG_TOKEN_UP);
    assert_int_equal(rig.hsm->keys[0]->state, SG_KEY_QUARANTINED);
    end(&rig);
}

static void keys_refuted_while_their_token_lied_are_looked_at_again(void **state)
{
    struct rig rig;
    (void)state;
    begin(&rig, 1);
    prove(&rig, 1, 0);
    UNTIL(&rig, rig.hsm->keys[0]->state == SG_KEY_READY);
    refute(&rig);
    prove(&rig, 1, 1); /* it was the token */
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_DOWN);
    assert_int_equal(rig.hsm->keys[0]->state, SG_KEY_QUARANTINED);
    prove(&rig, 1, 0);
    UNTIL(&rig, state_of(&rig) == SG_TOKEN_UP && rig.hsm->keys[0]->state == SG_KEY_READY);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_up_when_each_of_its_probe_keys_has_signed),
        cmocka_unit_test(a_token_one_of_whose_proofs_is_none_stays_down),
        cmocka_unit_test(a_token_that_answers_and_cannot_sign_stays_down),
        cmocka_unit_test(a_token_without_its_probe_keys_stays_down),
        cmocka_unit_test(an_idle_token_proves_itself_now_and_then),
        cmocka_unit_test(a_refuted_key_makes_its_token_prove_itself_at_once),
        cmocka_unit_test(keys_refuted_while_their_token_lied_are_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
