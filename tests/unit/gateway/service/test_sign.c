#include "gateway/service/sign.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tests/support/unit.h"

/*
 * The signer with an engine that is under the test's hand: it keeps the job, and the test gives
 * it back signed well, signed badly, or not at all.
 */
struct rig {
    struct sg_loop *loop;
    struct sg_crypto *crypto;
    struct sg_signer *signer;
    struct sg_key key;
    EVP_PKEY *pkey;
    struct sg_hsm_job *job; /* what the engine holds */
    enum sg_rc submit_rc;
    int bad_reports;
    struct sg_sign_op op;
    int done;
};

static enum sg_rc take(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    struct rig *rig = arg;
    if (rig->submit_rc != SG_OK) {
        job->retry_ms = 42;
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "full");
    }
    rig->job = job;
    return SG_OK;
}

static enum sg_rc report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    struct rig *rig = arg;
    assert_non_null(job);
    rig->bad_reports++;
    return SG_REFUSE(err, SG_R_HSM_FAULT, "it did not verify");
}

static void on_done(void *arg, struct sg_sign_op *op)
{
    struct rig *rig = arg;
    assert_ptr_equal(op, &rig->op);
    rig->done++;
}

static int setup(void **state)
{
    static struct rig rig;
    rig = (struct rig){.submit_rc = SG_OK};
    const struct sg_sign_engine engine = {&rig, take, report_bad};

    assert_int_equal(sg_loop_new(&sg_clock_system, &rig.loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(rig.loop, 1, 16, &rig.crypto, NULL), SG_OK);
    assert_int_equal(sg_signer_new(&engine, rig.crypto, &sg_clock_system, &rig.signer, NULL),
                     SG_OK);
    rig.pkey = EVP_EC_gen("P-256");
    assert_non_null(rig.pkey);
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(rig.pkey, &der);
    assert_true(len > 0);
    static char version_name[] = "keys/test/versions/1";
    rig.key = (struct sg_key){.name = "test",
                              .version_name = version_name,
                              .type = SG_KEY_EC_P256,
                              .schemes = 1u << SG_SCHEME_ECDSA,
                              .digests = 1u << SG_DIGEST_SHA256 | 1u << SG_DIGEST_SHA384,
                              .default_scheme = SG_SCHEME_ECDSA};
    assert_int_equal(sg_public_key_parse(sg_slice_of(der, (size_t)len), &rig.key.public_key, NULL),
                     SG_OK);
    OPENSSL_free(der);
    rig.op = (struct sg_sign_op){.done = on_done, .arg = &rig};
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    sg_sign_op_done(&rig->op);
    sg_public_key_free(rig->key.public_key);
    EVP_PKEY_free(rig->pkey);
    sg_crypto_free(rig->crypto);
    sg_signer_free(rig->signer);
    sg_loop_free(rig->loop);
    return 0;
}

static const uint8_t digest[32] = {1, 2, 3};

static struct sg_sign_request request_of(struct rig *rig)
{
    return (struct sg_sign_request){.key = &rig->key,
                                    .digest_alg = SG_DIGEST_SHA256,
                                    .content = sg_slice_of(digest, sizeof(digest))};
}

/* Gives the job back, really signed. */
static void sign_job(struct rig *rig)
{
    uint8_t der[SG_ECDSA_DER_MAX];
    size_t len = sizeof(der);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rig->pkey, NULL);
    assert_true(EVP_PKEY_sign_init(ctx) == 1 &&
                EVP_PKEY_sign(ctx, der, &len, rig->job->tbs, rig->job->tbs_len) == 1);
    EVP_PKEY_CTX_free(ctx);
    rig->job->is_signed = true;
    rig->job->signature_len = 64;
    assert_int_equal(sg_ecdsa_from_der(sg_slice_of(der, len), 32, rig->job->signature, NULL),
                     SG_OK);
}

static void wait_done(struct rig *rig)
{
    while (rig->done == 0)
        assert_int_equal(sg_loop_turn(rig->loop, 1000, NULL), SG_OK);
}

static void a_verified_signature_is_released_as_der(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    assert_int_equal(sg_signer_pending(rig->signer), 1);
    sign_job(rig);
    sg_sign_job_done(rig->job);
    wait_done(rig);
    assert_true(rig->op.is_signed);
    assert_int_equal(rig->op.encoding, SG_ENCODING_DER);
    assert_int_equal(rig->op.signature.ptr[0], 0x30);
    assert_int_equal(sg_signer_pending(rig->signer), 0);
    assert_int_equal(rig->bad_reports, 0);
}

static void raw_encoding_is_r_and_s(void **state)
{
    struct rig *rig = *state;
    struct sg_sign_request request = request_of(rig);
    request.encoding = SG_ENCODING_RAW;

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    sign_job(rig);
    sg_sign_job_done(rig->job);
    wait_done(rig);
    assert_true(rig->op.is_signed);
    assert_int_equal(rig->op.signature.len, 64);
}

static void a_signature_that_does_not_verify_is_never_released(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    sign_job(rig);
    rig->job->signature[40] ^= 1;
    sg_sign_job_done(rig->job);
    wait_done(rig);
    assert_false(rig->op.is_signed);
    assert_int_equal(rig->op.err.reason, SG_R_HSM_FAULT);
    assert_int_equal(rig->op.signature.len, 0);
    assert_int_equal(rig->bad_reports, 1);
}

static void a_signature_without_a_public_key_is_never_released(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    sign_job(rig);
    sg_public_key_free(rig->key.public_key);
    rig->key.public_key = NULL;
    sg_sign_job_done(rig->job);
    wait_done(rig);
    assert_false(rig->op.is_signed);
    assert_int_equal(rig->op.err.reason, SG_R_KEY_UNUSABLE);
}

static void sampling_verifies_the_first_of_each_sixty_four(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    rig->key.verify_sampled = true;
    for (int i = 0; i < 65; i++) {
        rig->done = 0;
        assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
        sign_job(rig);
        rig->job->signature[40] ^= 1;
        sg_sign_job_done(rig->job);
        wait_done(rig);
        assert_int_equal(rig->op.is_signed, i % 64 != 0);
        sg_sign_op_done(&rig->op);
    }
}

static void a_failed_job_fails_the_operation_with_its_advice(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    SG_REFUSE(&rig->job->err, SG_R_TOKEN_LOST, "gone");
    rig->job->retry_ms = 100;
    sg_sign_job_done(rig->job);
    assert_int_equal(rig->done, 1);
    assert_false(rig->op.is_signed);
    assert_int_equal(rig->op.err.reason, SG_R_TOKEN_LOST);
    assert_int_equal(rig->op.retry_ms, 100);
}

static void a_refused_job_starts_nothing(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);
    struct sg_err err;

    rig->submit_rc = SG_E_LIMIT;
    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, &err), SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_QUEUE_FULL);
    assert_int_equal(rig->op.retry_ms, 42);
    assert_int_equal(sg_signer_pending(rig->signer), 0);
    assert_int_equal(rig->done, 0);
}

static void a_full_tally_starts_nothing_until_something_is_done(void **state)
{
    struct rig *rig = *state;
    struct sg_sign_request request = request_of(rig);
    struct sg_sign_op second = rig->op;
    struct sg_err err;

    assert_int_equal(sg_sign_tally_new(1, &request.tally, NULL), SG_OK);
    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    assert_int_equal(sg_sign_start(rig->signer, &request, &second, &err), SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_CONNECTION_BUSY);
    assert_true(second.retry_ms > 0);
    assert_int_equal(sg_signer_pending(rig->signer), 1);

    SG_REFUSE(&rig->job->err, SG_R_TOKEN_LOST, "gone");
    sg_sign_job_done(rig->job);
    sg_sign_op_done(&rig->op);
    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);

    /* The connection is gone before its signature is: the last to leave takes the tally away. */
    sg_sign_tally_free(request.tally);
    SG_REFUSE(&rig->job->err, SG_R_TOKEN_LOST, "gone");
    sg_sign_job_done(rig->job);
    assert_int_equal(rig->done, 2);
}

static void abandoned_operations_fail_once(void **state)
{
    struct rig *rig = *state;
    const struct sg_sign_request request = request_of(rig);

    assert_int_equal(sg_sign_start(rig->signer, &request, &rig->op, NULL), SG_OK);
    sg_hsm_job_free(rig->job); /* as the engine does when it is freed */
    sg_signer_abandon(rig->signer);
    assert_int_equal(rig->done, 1);
    assert_false(rig->op.is_signed);
    assert_int_equal(rig->op.err.reason, SG_R_DRAINING);
}

static const struct {
    const char *name;
    enum sg_scheme scheme;
    enum sg_digest_alg digest_alg;
    size_t len;
    enum sg_reason reason;
} refused[] = {
    {"a scheme of another type", SG_SCHEME_RSA_PSS, SG_DIGEST_SHA256, 32,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"a digest the key does not list", SG_SCHEME_ECDSA, SG_DIGEST_SHA512, 64,
     SG_R_ALGORITHM_NOT_ALLOWED},
    {"no digest", SG_SCHEME_ECDSA, SG_DIGEST_UNSET, 32, SG_R_FIELD_REQUIRED},
    {"one byte short", SG_SCHEME_UNSET, SG_DIGEST_SHA256, 31, SG_R_DIGEST_LENGTH},
    {"one byte long", SG_SCHEME_UNSET, SG_DIGEST_SHA256, 33, SG_R_DIGEST_LENGTH},
    {"empty", SG_SCHEME_UNSET, SG_DIGEST_SHA256, 0, SG_R_DIGEST_LENGTH},
};

static void what_a_key_does_not_sign_is_refused_with_its_reason(void **state)
{
    struct rig *rig = *state;
    const uint8_t bytes[64] = {0};

    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        const struct sg_sign_request request = {.key = &rig->key,
                                                .scheme = refused[i].scheme,
                                                .digest_alg = refused[i].digest_alg,
                                                .content = {bytes, refused[i].len}};
        struct sg_err err;
        print_message("  %s\n", refused[i].name);
        assert_int_not_equal(sg_sign_start(rig->signer, &request, &rig->op, &err), SG_OK);
        assert_int_equal(err.reason, refused[i].reason);
        assert_null(rig->job);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_verified_signature_is_released_as_der),
        TEST(raw_encoding_is_r_and_s),
        TEST(a_signature_that_does_not_verify_is_never_released),
        TEST(a_signature_without_a_public_key_is_never_released),
        TEST(sampling_verifies_the_first_of_each_sixty_four),
        TEST(a_failed_job_fails_the_operation_with_its_advice),
        TEST(a_refused_job_starts_nothing),
        TEST(a_full_tally_starts_nothing_until_something_is_done),
        TEST(abandoned_operations_fail_once),
        TEST(what_a_key_does_not_sign_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
