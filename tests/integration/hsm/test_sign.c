#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/integration/hsm/rig.h"

static const char *const specs[] = {"rsa2048:rsa-2048", "rsa3072:rsa-3072", "rsa4096:rsa-4096",
                                    "p256:ec-p256",     "p384:ec-p384",     "ed25519:ed25519"};

static struct rig rig;
static struct rig_engine engine;

static int start(void **state)
{
    (void)state;
    rig_make(&rig, specs, SG_COUNT(specs));
    rig_token_start(&rig, &(struct rig_token){.workers = 2});
    return 0;
}

static int end(void **state)
{
    (void)state;
    int status = rig.token > 0 ? rig_token_end(&rig, SIGTERM) : 0;
    rig_remove(&rig);
    /* Also says that the sanitizers found nothing in the token process. */
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void every_key_signs_by_every_scheme_and_digest_it_has(void **state)
{
    (void)state;
    struct sg_err err = {0};
    uint64_t tag = 0;

    rig_engine_start(&engine, &rig, NULL);
    rig_await_keys(&engine, 20000);
    for (size_t key = 0; key < rig.key_count; key++) {
        for (unsigned scheme = SG_SCHEME_RSA_PKCS1; scheme < SG_SCHEME_COUNT; scheme++) {
            if (!sg_key_type_does(rig.keys[key].type, (enum sg_scheme)scheme))
                continue;
            unsigned first = scheme == SG_SCHEME_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA256;
            unsigned last = scheme == SG_SCHEME_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA3_512;
            for (unsigned digest = first; digest <= last; digest++)
                assert_int_equal(rig_submit(&engine, tag++, key, (enum sg_scheme)scheme,
                                            (enum sg_digest_alg)digest, 0, &err),
                                 SG_OK);
        }
    }
    rig_run(&engine, tag, 30000);

    size_t refused = 0;
    for (uint64_t i = 0; i < tag; i++) {
        const struct sg_hsm_job *job = engine.done[i].job;
        assert_int_equal(engine.done[i].times, 1);
        if (!job->is_signed) {
            /* SoftHSM 2.6 knows no SHA-3, which only PSS has to tell the token about. */
            print_message("  %s %s: %s\n", sg_scheme_name(job->scheme),
                          sg_digest_name(job->digest_alg), job->err.msg);
            assert_int_equal(job->scheme, SG_SCHEME_RSA_PSS);
            assert_true(job->digest_alg >= SG_DIGEST_SHA3_256);
            assert_int_equal(job->err.reason, SG_R_ALGORITHM_NOT_SUPPORTED);
            refused++;
            continue;
        }
        assert_true(rig_verifies(&engine, job));
        assert_true(job->hsm_ns > 0 && job->queue_ns >= 0);
    }
    assert_true(refused <= 9); /* three key lengths, three digests */
    rig_engine_end(&engine);
}

static void two_gateways_share_one_token_process(void **state)
{
    (void)state;
    static struct rig_engine other;
    struct sg_err err = {0};
    enum { JOBS = 200 };

    rig_engine_start(&engine, &rig, NULL);
    rig_await_keys(&engine, 20000);
    rig_engine_start(&other, &rig, NULL);
    rig_await_keys(&other, 20000);
    for (uint64_t i = 0; i < JOBS; i++) {
        assert_int_equal(rig_submit(&engine, i, 3, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 0, &err),
                         SG_OK);
        assert_int_equal(rig_submit(&other, i, 3, SG_SCHEME_ECDSA, SG_DIGEST_SHA384, 0, &err),
                         SG_OK);
    }
    for (int n = 0; n < 2000 && (engine.done_count < JOBS || other.done_count < JOBS); n++) {
        rig_pass(&engine, 5);
        rig_pass(&other, 5);
    }
    assert_int_equal(engine.signed_count, JOBS);
    assert_int_equal(other.signed_count, JOBS);
    rig_engine_end(&other);

    /* The one that stays is not disturbed by the other's leaving: a hot restart. */
    for (uint64_t i = 0; i < JOBS; i++) {
        assert_true(rig_verifies(&engine, engine.done[i].job));
        assert_int_equal(
            rig_submit(&engine, JOBS + i, 3, SG_SCHEME_ECDSA, SG_DIGEST_SHA512, 0, &err), SG_OK);
    }
    rig_run(&engine, 2 * JOBS, 20000);
    assert_int_equal(engine.signed_count, 2 * JOBS);
    rig_engine_end(&engine);
}

static void on_csr(void *arg, uint64_t tag, struct sg_slice csr, const struct sg_err *err)
{
    struct rig_engine *e = arg;
    assert_int_equal(tag, 77);
    e->has_csr = true;
    e->csr_err = err == NULL ? (struct sg_err){0} : *err;
    e->csr_len = csr.len;
    if (csr.len > 0)
        memcpy(e->csr, csr.ptr, csr.len);
}

static void a_request_for_a_certificate_is_accepted_by_openssl(void **state)
{
    (void)state;
    /* CN=test; DNS:a.example. */
    static const uint8_t subject[] = {0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55,
                                      0x04, 0x03, 0x0c, 0x04, 't',  'e',  's',  't'};
    static const uint8_t names[] = {0x30, 0x0b, 0x82, 0x09, 'a', '.', 'e',
                                    'x',  'a',  'm',  'p',  'l', 'e'};
    static const size_t keys[] = {0, 3, 4, 0};
    struct sg_err err = {0};

    rig_engine_start(&engine, &rig, NULL);
    rig_await_keys(&engine, 10000);
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        engine.has_csr = false;
        assert_int_equal(sg_hsm_csr(engine.hsm, keys[i], sg_slice_of(subject, sizeof(subject)),
                                    sg_slice_of(names, sizeof(names)), SG_DIGEST_SHA256, 0, 77,
                                    on_csr, &engine, &err),
                         SG_OK);
        for (int n = 0; n < 1000 && !engine.has_csr; n++)
            rig_pass(&engine, 10);
        assert_true(engine.has_csr);
        assert_string_equal(engine.csr_err.msg, "");
        char command[512];
        snprintf(command, sizeof(command),
                 "openssl req -inform DER -verify -noout -text >%s/csr 2>&1 && "
                 "grep -q 'CN *= *test' %s/csr && grep -q 'DNS:a.example' %s/csr",
                 rig.dir, rig.dir, rig.dir);
        FILE *judge = popen(command, "w");
        assert_int_equal(fwrite(engine.csr, 1, engine.csr_len, judge), engine.csr_len);
        assert_int_equal(pclose(judge), 0);
    }
    /* Signing goes on as before: libp11 closed none of the workers' sessions, nor the login. */
    assert_int_equal(rig_submit(&engine, 0, 3, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 0, &err), SG_OK);
    rig_run(&engine, 1, 5000);
    assert_true(engine.done[0].job->is_signed);
    struct sg_hsm_token_info info;
    sg_hsm_token_info(engine.hsm, 0, &info);
    assert_int_equal(info.retried_total, 0);
    rig_engine_end(&engine);
}

static void a_request_for_ed25519_is_refused_by_name(void **state)
{
    (void)state;
    struct sg_err err = {0};
    rig_engine_start(&engine, &rig, NULL);
    rig_await_keys(&engine, 10000);
    assert_int_equal(sg_hsm_csr(engine.hsm, 5, (struct sg_slice){0}, (struct sg_slice){0},
                                SG_DIGEST_SHA256, 0, 77, on_csr, &engine, &err),
                     SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_CSR_NOT_SUPPORTED);
    rig_engine_end(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_signs_by_every_scheme_and_digest_it_has),
        cmocka_unit_test(two_gateways_share_one_token_process),
        cmocka_unit_test(a_request_for_a_certificate_is_accepted_by_openssl),
        cmocka_unit_test(a_request_for_ed25519_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, start, end);
}
