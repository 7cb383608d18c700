#include "base/crc32c.h"
#include "hsm/hsm_priv.h"
#include "tests/integration/gateway/rig.h"

/* In place of the token: jobs wait here until the test says what becomes of them. */

enum sg_rc rig_engine_submit(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    struct rig *rig = arg;

    if (rig->job_count >= rig->jobs_max) {
        job->retry_ms = 42;
        return SG_REFUSE(err, rig->refusal == SG_R_NONE ? SG_R_QUEUE_FULL : rig->refusal,
                         "%zu wait", rig->job_count);
    }
    assert_true(rig->job_count < RIG_JOBS_MAX);
    rig->jobs[rig->job_count++] = job;
    rig->submitted++;
    if (rig->is_quick)
        sg_hook_arm(rig->loop, &rig->hook);
    return SG_OK;
}

enum sg_rc rig_engine_report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    struct rig *rig = arg;
    assert_non_null(job);
    rig->bad_reports++;
    return SG_REFUSE(err, SG_R_HSM_FAULT, "it did not verify");
}

void rig_engine_on_hook(void *arg)
{
    rig_jobs(arg, WELL);
}

void rig_engine_drop(struct rig *rig)
{
    for (size_t i = 0; i < rig->job_count; i++)
        sg_hsm_job_free(rig->jobs[i]);
    rig->job_count = 0;
}

static void sign(EVP_PKEY *pkey, struct sg_hsm_job *job)
{
    EVP_MD_CTX *md_ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    size_t len = sizeof(job->signature);

    if (job->scheme == SG_SCHEME_ED25519) {
        assert_int_equal(EVP_DigestSignInit(md_ctx, NULL, NULL, NULL, pkey), 1);
        assert_int_equal(EVP_DigestSign(md_ctx, job->signature, &len, job->tbs, job->tbs_len), 1);
    } else if (job->scheme == SG_SCHEME_ECDSA) {
        uint8_t der[SG_ECDSA_DER_MAX];
        size_t der_len = sizeof(der);
        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, der, &der_len, job->tbs, job->tbs_len), 1);
        assert_int_equal(sg_ecdsa_from_der(sg_slice_of(der, der_len), 32, job->signature, NULL),
                         SG_OK);
        len = 64;
    } else {
        uint8_t info[SG_DIGEST_INFO_MAX];
        size_t info_len =
            sg_digest_info(job->digest_alg, sg_slice_of(job->tbs, job->tbs_len), info);
        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_int_equal(EVP_PKEY_sign(ctx, job->signature, &len, info, info_len), 1);
    }
    job->signature_len = len;
    job->is_signed = true;
    EVP_PKEY_CTX_free(ctx);
    EVP_MD_CTX_free(md_ctx);
}

/* The key of a job, by the number that the engine gave it. */
static EVP_PKEY *pkey_of(struct rig *rig, const struct sg_hsm_job *job)
{
    static const char *const names[RIG_KEY_COUNT] = {"alpha", "beta", "edward", "ron"};
    struct sg_hsm_key_info info;

    sg_hsm_key_info(rig->hsm, job->key, &info);
    for (size_t i = 0; i < RIG_KEY_COUNT; i++)
        if (strcmp(info.name, names[i]) == 0)
            return rig->pkeys[i];
    return rig->pkeys[ALPHA]; /* many-0000 and so on are copies of it */
}

void rig_job(struct rig *rig, size_t index, enum rig_fate fate)
{
    assert_true(index < rig->job_count);
    struct sg_hsm_job *job = rig->jobs[index];
    rig->job_count--;
    memmove(&rig->jobs[index], &rig->jobs[index + 1],
            (rig->job_count - index) * sizeof(rig->jobs[0]));

    job->queue_ns = SG_NS_PER_MS;
    job->hsm_ns = 2 * SG_NS_PER_MS;
    switch (fate) {
    case WITH_TOKEN_LOST:
        SG_IGNORE(SG_REFUSE(&job->err, SG_R_TOKEN_LOST, "gone")); /* handed back */
        job->retry_ms = 77;
        break;
    case WITH_UNUSABLE:
        SG_IGNORE(SG_REFUSE(&job->err, SG_R_KEY_UNUSABLE, "odd")); /* as above */
        break;
    case WELL:
        sign(pkey_of(rig, job), job);
        break;
    case BADLY:
        sign(pkey_of(rig, job), job);
        job->signature[40] ^= 1;
        break;
    case SHORT:
        sign(pkey_of(rig, job), job);
        job->signature_len = 7;
        break;
    }
    sg_sign_job_done(job);
}

void rig_jobs(struct rig *rig, enum rig_fate fate)
{
    for (size_t left = rig->job_count; left > 0; left--)
        rig_job(rig, 0, fate);
}
