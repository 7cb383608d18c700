#include "gateway/service/signing.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tests/unit/gateway/audit/folder.h"

/*
 * Signatures that are recorded and made once, over a real store, with an engine that is under the
 * test's hand: it keeps the jobs, and the test gives them back.
 */
enum { OPS = 16 };

struct rig {
    struct folder folder;
    struct sg_loop *loop;
    struct sg_crypto *crypto;
    struct sg_audit *audit;
    struct sg_signer *signer;
    struct sg_signings *signings;
    struct sg_key key;
    EVP_PKEY *pkey;
    struct sg_hsm_job *jobs[OPS];
    size_t job_count;
    struct sg_signing ops[OPS];
    size_t done;
    uint8_t sha256[OPS][32];
};

static enum sg_rc take(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    struct rig *rig = arg;
    if (rig->job_count == OPS)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "full");
    rig->jobs[rig->job_count++] = job;
    return SG_OK;
}

static enum sg_rc report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    (void)arg;
    (void)job;
    return SG_REFUSE(err, SG_R_HSM_FAULT, "it did not verify");
}

static void on_done(void *arg, struct sg_signing *signing)
{
    struct rig *rig = arg;
    (void)signing;
    rig->done++;
}

static void make_key(struct rig *rig)
{
    uint8_t *der = NULL;

    rig->pkey = EVP_EC_gen("P-256");
    assert_non_null(rig->pkey);
    int len = i2d_PUBKEY(rig->pkey, &der);
    assert_true(len > 0);
    static char version_name[] = "keys/seal/versions/1";
    rig->key = (struct sg_key){.name = "seal",
                               .version_name = version_name,
                               .type = SG_KEY_EC_P256,
                               .schemes = 1u << SG_SCHEME_ECDSA,
                               .digests = 1u << SG_DIGEST_SHA256,
                               .default_scheme = SG_SCHEME_ECDSA};
    assert_int_equal(sg_public_key_parse(sg_slice_of(der, (size_t)len), &rig->key.public_key, NULL),
                     SG_OK);
    OPENSSL_free(der);
}

static int setup(void **state)
{
    static struct rig rig;
    memset(&rig, 0, sizeof(rig));
    const struct sg_sign_engine engine = {&rig, take, report_bad};

    folder_make(&rig.folder, sg_wall_ns(&sg_clock_system));
    assert_int_equal(sg_loop_new(&sg_clock_system, &rig.loop, NULL), SG_OK);
    assert_int_equal(sg_crypto_new(rig.loop, 1, 64, &rig.crypto, NULL), SG_OK);
    assert_int_equal(sg_signer_new(&engine, rig.crypto, &sg_clock_system, &rig.signer, NULL),
                     SG_OK);
    const struct sg_audit_options log = {.loop = rig.loop,
                                         .clock = &sg_clock_system,
                                         .store = rig.folder.url,
                                         .log = "main",
                                         .key_file = rig.folder.key,
                                         .anchor_file = rig.folder.anchor,
                                         .waiting_max = 1000};
    assert_int_equal(sg_audit_open(&log, &rig.audit, NULL), SG_OK);
    const struct sg_signing_options options = {
        .signer = rig.signer, .audit = rig.audit, .clock = &sg_clock_system, .retention_s = 3600};
    assert_int_equal(sg_signings_new(&options, &rig.signings, NULL), SG_OK);
    make_key(&rig);
    for (size_t i = 0; i < OPS; i++)
        rig.ops[i] = (struct sg_signing){.done = on_done, .arg = &rig};
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    sg_signings_stop(rig->signings);
    sg_crypto_free(rig->crypto);
    sg_signer_abandon(rig->signer);
    sg_audit_close(rig->audit);
    for (size_t i = 0; i < OPS; i++)
        sg_signing_done(&rig->ops[i]);
    sg_signings_free(rig->signings);
    sg_signer_free(rig->signer);
    sg_loop_free(rig->loop);
    sg_public_key_free(rig->key.public_key);
    EVP_PKEY_free(rig->pkey);
    folder_remove(&rig->folder);
    return 0;
}

static struct sg_request_id id_of(const char *text)
{
    struct sg_request_id id;
    assert_int_equal(sg_request_id_read(sg_slice_str(text), SG_SLICE("ca"), SG_SLICE("urn:c"),
                                        SG_SLICE("Sign"), &id, NULL),
                     SG_OK);
    return id;
}

/* Asks for the signature of a digest of `content` bytes. */
static enum sg_rc start(struct rig *rig, size_t i, uint8_t content, const struct sg_request_id *id,
                        struct sg_err *err)
{
    uint8_t digest[32];
    memset(digest, content, sizeof(digest));
    memset(rig->sha256[i], content, sizeof(rig->sha256[i])); /* stands for the request's hash */
    const struct sg_sign_request request = {.key = &rig->key,
                                            .digest_alg = SG_DIGEST_SHA256,
                                            .content = sg_slice_of(digest, sizeof(digest)),
                                            .deadline_ns = INT64_MAX};
    const struct sg_audit_record record = {
        .authority = SG_SLICE("ca"),
        .caller = SG_SLICE("urn:c"),
        .method = SG_SLICE("Sign"),
        .request_sha256 = sg_slice_of(rig->sha256[i], sizeof(rig->sha256[i])),
        .digest = request.content,
    };
    return sg_signing_start(rig->signings, &request, &record, id, &rig->ops[i], err);
}

static void turn_until_done(struct rig *rig, size_t done)
{
    while (rig->done < done)
        assert_int_equal(sg_loop_turn(rig->loop, 1000, NULL), SG_OK);
    assert_int_equal(rig->done, done);
}

static void turn_until_job(struct rig *rig)
{
    for (int i = 0; i < 1000 && rig->job_count == 0; i++)
        assert_int_equal(sg_loop_turn(rig->loop, 10, NULL), SG_OK);
    assert_true(rig->job_count > 0);
}

/* Gives the oldest job back, really signed. */
static void sign_job(struct rig *rig)
{
    struct sg_hsm_job *job = rig->jobs[0];
    uint8_t der[SG_ECDSA_DER_MAX];
    size_t len = sizeof(der);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rig->pkey, NULL);

    assert_true(EVP_PKEY_sign_init(ctx) == 1 &&
                EVP_PKEY_sign(ctx, der, &len, job->tbs, job->tbs_len) == 1);
    EVP_PKEY_CTX_free(ctx);
    job->is_signed = true;
    job->signature_len = 64;
    assert_int_equal(sg_ecdsa_from_der(sg_slice_of(der, len), 32, job->signature, NULL), SG_OK);
    memmove(rig->jobs, rig->jobs + 1, --rig->job_count * sizeof(*rig->jobs));
    sg_sign_job_done(job);
}

static void fail_job(struct rig *rig)
{
    struct sg_hsm_job *job = rig->jobs[0];
    SG_REFUSE(&job->err, SG_R_TOKEN_LOST, "lost");
    memmove(rig->jobs, rig->jobs + 1, --rig->job_count * sizeof(*rig->jobs));
    sg_sign_job_done(job);
}

static void same_answer(struct rig *rig, size_t a, size_t b)
{
    assert_true(rig->ops[a].is_signed && rig->ops[b].is_signed);
    assert_slice_equal(rig->ops[a].op.signature, rig->ops[b].op.signature);
    assert_slice_equal(rig->ops[b].key_version, SG_SLICE("keys/seal/versions/1"));
    assert_int_equal(rig->ops[a].op.sign_wall_ns, rig->ops[b].op.sign_wall_ns);
    assert_int_equal(rig->ops[a].receipt->index, rig->ops[b].receipt->index);
}

static void a_signature_comes_with_the_record_of_it(void **state)
{
    struct rig *rig = *state;
    struct sg_audit_record record;

    assert_int_equal(start(rig, 0, 1, NULL, NULL), SG_OK);
    assert_int_equal(sg_signings_pending(rig->signings), 1);
    sign_job(rig);
    turn_until_done(rig, 1);
    assert_true(rig->ops[0].is_signed && !rig->ops[0].is_replayed);
    assert_int_equal(
        sg_audit_record_parse(sg_buf_slice(&rig->ops[0].receipt->record), &record, NULL), SG_OK);
    assert_int_equal(record.event, SG_AUDIT_SIGNATURE);
    assert_slice_equal(record.signature, rig->ops[0].op.signature);
    assert_slice_equal(record.key_version, SG_SLICE("keys/seal/versions/1"));
    assert_slice_equal(record.caller, SG_SLICE("urn:c"));
    assert_int_equal(record.scheme, SG_SCHEME_ECDSA);
    assert_int_equal(record.encoding, SG_ENCODING_DER);
    assert_int_equal(record.time_ns, rig->ops[0].op.sign_wall_ns);
    assert_int_equal(sg_signings_pending(rig->signings), 0);
}

static void asking_again_gets_the_same_signature(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

    assert_int_equal(start(rig, 0, 1, &id, NULL), SG_OK);
    turn_until_job(rig);
    sign_job(rig);
    turn_until_done(rig, 1);
    assert_int_equal(start(rig, 1, 1, &id, NULL), SG_OK);
    turn_until_done(rig, 2);
    assert_int_equal(rig->job_count, 0);
    assert_true(rig->ops[1].is_replayed);
    same_answer(rig, 0, 1);
}

static void an_id_belongs_to_one_request(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

    assert_int_equal(start(rig, 0, 1, &id, NULL), SG_OK);
    assert_int_equal(start(rig, 1, 2, &id, NULL), SG_OK); /* while it is under way */
    turn_until_job(rig);
    sign_job(rig);
    turn_until_done(rig, 2);
    assert_int_equal(start(rig, 2, 3, &id, NULL), SG_OK); /* and later */
    turn_until_done(rig, 3);
    for (size_t i = 1; i < 3; i++) {
        assert_false(rig->ops[i].is_signed);
        assert_int_equal(rig->ops[i].err.reason, SG_R_REQUEST_ID_REUSED);
    }
    assert_int_equal(rig->job_count, 0);
}

static void those_who_ask_meanwhile_wait_for_the_first(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

    for (size_t i = 0; i < 5; i++)
        assert_int_equal(start(rig, i, 1, &id, NULL), SG_OK);
    turn_until_job(rig);
    assert_int_equal(rig->job_count, 1);
    sign_job(rig);
    turn_until_done(rig, 5);
    assert_int_equal(rig->job_count, 0);
    for (size_t i = 1; i < 5; i++) {
        assert_true(rig->ops[i].is_replayed);
        same_answer(rig, 0, i);
    }
}

static void when_the_first_fails_the_next_goes_on(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(start(rig, i, 1, &id, NULL), SG_OK);
    turn_until_job(rig);
    fail_job(rig);
    turn_until_done(rig, 1);
    assert_int_equal(rig->ops[0].err.reason, SG_R_TOKEN_LOST);
    turn_until_job(rig);
    sign_job(rig);
    turn_until_done(rig, 3);
    same_answer(rig, 1, 2);
}

/* As by another gateway, at the same time: only the log knows. */
static void what_loses_a_race_is_thrown_away(void **state)
{
    struct rig *rig = *state;
    char text[64];
    const uint64_t now_ms = (uint64_t)(sg_wall_ns(&sg_clock_system) / SG_NS_PER_MS);
    snprintf(text, sizeof(text), "%08llx-%04llx-7000-8000-000000000000",
             (unsigned long long)(now_ms >> 16 & 0xffffffff),
             (unsigned long long)(now_ms & 0xffff));
    const struct sg_request_id id = id_of(text);
    SG_AUTO(sg_signings_free) struct sg_signings *others = NULL;
    struct sg_signings *own = rig->signings;
    const struct sg_signing_options options = {
        .signer = rig->signer, .audit = rig->audit, .clock = &sg_clock_system, .retention_s = 3600};

    assert_int_equal(sg_signings_new(&options, &others, NULL), SG_OK);
    assert_int_equal(start(rig, 0, 1, &id, NULL), SG_OK);
    rig->signings = others;
    assert_int_equal(start(rig, 1, 1, &id, NULL), SG_OK);
    rig->signings = own;
    assert_int_equal(rig->job_count, 2); /* both went to the token */
    sign_job(rig);
    turn_until_done(rig, 1);
    sign_job(rig);
    turn_until_done(rig, 2);
    assert_true(!rig->ops[0].is_replayed && rig->ops[1].is_replayed);
    same_answer(rig, 0, 1);
}

static void an_old_id_is_refused(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("0092f0c1-2b3c-7def-8abc-1234567890ab");
    struct sg_err err;

    assert_int_equal(start(rig, 0, 1, &id, &err), SG_E_INVALID);
    assert_int_equal(err.reason, SG_R_REQUEST_ID_EXPIRED);
    assert_int_equal(sg_signings_pending(rig->signings), 0);
}

static void a_denial_is_recorded_until_there_are_too_many(void **state)
{
    struct rig *rig = *state;
    const struct sg_audit_record asked = {.caller = SG_SLICE("urn:c"), .method = SG_SLICE("Sign")};
    struct sg_audit_record record;
    struct sg_err err;
    size_t started = 0;

    SG_REFUSE(&err, SG_R_KEY_NOT_FOUND, "no");
    for (size_t i = 0; i < OPS; i++)
        started += sg_signing_deny(rig->signings, &asked, &err, &rig->ops[i]);
    assert_int_equal(started, 10);
    turn_until_done(rig, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_false(rig->ops[i].is_signed);
        assert_int_equal(rig->ops[i].err.reason, SG_R_KEY_NOT_FOUND);
        assert_int_equal(
            sg_audit_record_parse(sg_buf_slice(&rig->ops[i].receipt->record), &record, NULL),
            SG_OK);
        assert_int_equal(record.event, SG_AUDIT_DENIAL);
        assert_slice_equal(record.reason, SG_SLICE("KEY_NOT_FOUND"));
        assert_int_equal(record.count, 1);
    }
}

/* Everything comes to its end, whatever it waits for. */
static void stopping_tells_everybody(void **state)
{
    struct rig *rig = *state;
    const struct sg_request_id id = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");
    const struct sg_request_id looked_up = id_of("f81d4fae-7dec-41d0-a765-00a0c91e6bf7");

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(start(rig, i, 1, &id, NULL), SG_OK);
    turn_until_job(rig);
    assert_int_equal(start(rig, 4, 1, NULL, NULL), SG_OK);
    assert_int_equal(start(rig, 5, 1, &looked_up, NULL), SG_OK);
    sg_signings_stop(rig->signings);
    while (rig->job_count > 0)
        sg_hsm_job_free(rig->jobs[--rig->job_count]);
    sg_signer_abandon(rig->signer);
    sg_audit_close(rig->audit);
    rig->audit = NULL;
    assert_int_equal(rig->done, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(rig->ops[i].err.reason, SG_R_DRAINING);
    assert_int_equal(sg_signings_pending(rig->signings), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_signature_comes_with_the_record_of_it),
        TEST(asking_again_gets_the_same_signature),
        TEST(an_id_belongs_to_one_request),
        TEST(those_who_ask_meanwhile_wait_for_the_first),
        TEST(when_the_first_fails_the_next_goes_on),
        TEST(what_loses_a_race_is_thrown_away),
        TEST(an_old_id_is_refused),
        TEST(a_denial_is_recorded_until_there_are_too_many),
        TEST(stopping_tells_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
