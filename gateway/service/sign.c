#include "gateway/service/sign.h"

#include <stdlib.h>

enum {
    SAMPLE_EVERY = 64,
    BUSY_RETRY_MS = 50, /* about what a token takes for a handful */
};

struct sg_signer {
    struct sg_sign_engine engine;
    struct sg_crypto *crypto;
    const struct sg_clock *clock;
    struct sg_sign_op *ops; /* between start and done */
    size_t pending;
};

struct sg_sign_tally {
    size_t max, running;
    bool is_owned;
};

enum sg_rc sg_sign_tally_new(size_t max, struct sg_sign_tally **ret, struct sg_err *err)
{
    struct sg_sign_tally *tally = calloc(1, sizeof(*tally));
    if (tally == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to count signatures");
    *tally = (struct sg_sign_tally){.max = max, .is_owned = true};
    *ret = tally;
    return SG_OK;
}

static void tally_free_if_unused(struct sg_sign_tally *tally)
{
    if (!tally->is_owned && tally->running == 0)
        free(tally);
}

void sg_sign_tally_free(struct sg_sign_tally *tally)
{
    if (tally == NULL)
        return;
    tally->is_owned = false;
    tally_free_if_unused(tally);
}

static void tally_leave(struct sg_sign_tally *tally)
{
    if (tally == NULL)
        return;
    tally->running--;
    tally_free_if_unused(tally);
}

enum sg_rc sg_signer_new(const struct sg_sign_engine *engine, struct sg_crypto *crypto,
                         const struct sg_clock *clock, struct sg_signer **ret, struct sg_err *err)
{
    struct sg_signer *signer = calloc(1, sizeof(*signer));
    if (signer == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the signer");
    signer->engine = *engine;
    signer->crypto = crypto;
    signer->clock = clock;
    *ret = signer;
    return SG_OK;
}

void sg_signer_free(struct sg_signer *signer)
{
    SG_ASSERT(signer == NULL || signer->pending == 0);
    free(signer);
}

static enum sg_rc check_content(const struct sg_sign_request *request, const struct sg_sign_op *op,
                                struct sg_err *err)
{
    if (op->scheme == SG_SCHEME_ED25519) {
        if (request->digest_alg != SG_DIGEST_UNSET)
            return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                             "Ed25519 signs a message, not a digest: send `message`");
        if (request->content.len > SG_TBS_BYTES_MAX)
            return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE,
                             "a message for Ed25519 has at most %d bytes, this has %zu",
                             SG_TBS_BYTES_MAX, request->content.len);
        return SG_OK;
    }
    if (request->digest_alg == SG_DIGEST_UNSET)
        return SG_REFUSE(err, SG_R_FIELD_REQUIRED,
                         "this key signs a digest: send `digest` with its algorithm");
    if ((request->key->digests & 1u << request->digest_alg) == 0)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "key \"%s\" does not sign %s digests",
                         request->key->name, sg_digest_name(request->digest_alg));
    if (request->content.len != sg_digest_len(request->digest_alg))
        return SG_REFUSE(err, SG_R_DIGEST_LENGTH, "a %s digest has %zu bytes, this has %zu",
                         sg_digest_name(request->digest_alg), sg_digest_len(request->digest_alg),
                         request->content.len);
    return SG_OK;
}

enum sg_rc sg_sign_check(const struct sg_sign_request *request, struct sg_sign_op *op,
                         struct sg_err *err)
{
    const struct sg_key *key = request->key;

    op->key = request->key;
    op->scheme = request->scheme == SG_SCHEME_UNSET ? key->default_scheme : request->scheme;
    op->digest_alg = request->digest_alg;
    op->encoding = SG_ENCODING_UNSET; /* other schemes have one form */
    if (op->scheme == SG_SCHEME_ECDSA)
        op->encoding = request->encoding == SG_ENCODING_UNSET ? SG_ENCODING_DER : request->encoding;

    if (!sg_key_type_does(key->type, op->scheme) || (key->schemes & 1u << op->scheme) == 0)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "key \"%s\" does not sign by %s",
                         key->name, sg_scheme_name(op->scheme));
    return check_content(request, op, err);
}

static struct sg_hsm_job *job_for(const struct sg_sign_request *request,
                                  const struct sg_sign_op *op)
{
    struct sg_hsm_job *job = sg_hsm_job_new(request->content);
    if (job == NULL)
        return NULL;
    job->tag = (uint64_t)(uintptr_t)op;
    job->caller = request->caller;
    job->key = request->key->hsm;
    job->scheme = op->scheme;
    job->digest_alg = op->digest_alg;
    job->deadline_ns = request->deadline_ns;
    return job;
}

enum sg_rc sg_sign_start(struct sg_signer *signer, const struct sg_sign_request *request,
                         struct sg_sign_op *op, struct sg_err *err)
{
    op->signer = signer;
    op->job = NULL;
    op->token = request->key->token;
    op->is_signed = false;
    op->retry_ms = 0;
    SG_TRY(sg_sign_check(request, op, err));
    if (request->tally != NULL && request->tally->running >= request->tally->max) {
        op->retry_ms = BUSY_RETRY_MS;
        return SG_REFUSE(err, SG_R_CONNECTION_BUSY,
                         "%zu signatures are under way on this connection, and no more may be",
                         request->tally->running);
    }

    SG_AUTO(sg_hsm_job_free) struct sg_hsm_job *job = job_for(request, op);
    if (job == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not sign: out of memory");
    enum sg_rc rc = signer->engine.submit(signer->engine.arg, job, err);
    if (rc != SG_OK) {
        op->retry_ms = job->retry_ms;
        return rc;
    }
    (void)SG_STEAL(job);
    op->next = signer->ops;
    op->link = &signer->ops;
    if (op->next != NULL)
        op->next->link = &op->next;
    signer->ops = op;
    signer->pending++;
    op->tally = request->tally;
    if (op->tally != NULL)
        op->tally->running++;
    return SG_OK;
}

/* The last step of every operation. */
static void finish(struct sg_sign_op *op)
{
    *op->link = op->next;
    if (op->next != NULL)
        op->next->link = op->link;
    op->signer->pending--;
    tally_leave(op->tally);
    op->done(op->arg, op);
}

static void fail(struct sg_sign_op *op, const struct sg_err *err, int64_t retry_ms)
{
    op->is_signed = false;
    op->err = *err;
    op->retry_ms = retry_ms;
    finish(op);
}

/* The token answered with what is no signature of this key: told, and nothing is released. Another
 * token signs where one can. */
static void fail_bad(struct sg_sign_op *op)
{
    const struct sg_sign_engine *engine = &op->signer->engine;
    struct sg_hsm_job *job = op->job;
    struct sg_err err;

    op->job = NULL;
    op->signature = (struct sg_slice){0};
    if (engine->report_bad(engine->arg, job, &err) == SG_OK)
        return; /* it comes back */
    op->job = job;
    fail(op, &err, 0);
}

/* Whether it has the length of one: all that is judged of a signature that is not verified. */
static bool has_right_length(const struct sg_sign_op *op)
{
    const size_t part_len = sg_key_type_part_len(op->key->type);
    return op->job->signature_len == (op->scheme == SG_SCHEME_ECDSA ? 2 * part_len : part_len);
}

/* Writes the signature, verified or spared that, as the caller wants it. */
static void release(struct sg_sign_op *op)
{
    struct sg_hsm_job *job = op->job;

    size_t len = 0;

    op->signature = sg_slice_of(job->signature, job->signature_len);
    /* Raw or not: an r or s of zero is no signature. */
    if (op->scheme == SG_SCHEME_ECDSA &&
        sg_ecdsa_to_der(op->signature, op->der, &len, NULL) != SG_OK) {
        fail_bad(op);
        return;
    }
    if (op->encoding == SG_ENCODING_DER)
        op->signature = sg_slice_of(op->der, len);
    op->is_signed = true;
    finish(op);
}

static void verify_run(struct sg_crypto_task *task)
{
    struct sg_sign_op *op = SG_CONTAINER(task, struct sg_sign_op, task);
    const struct sg_raw_signature made = {
        .scheme = op->scheme,
        .digest_alg = op->digest_alg,
        .content = sg_slice_of(op->job->tbs, op->job->tbs_len),
        .encoding = SG_ENCODING_RAW,
        .signature = sg_slice_of(op->job->signature, op->job->signature_len),
    };
    if (sg_raw_verify(op->key->public_key, &made, &op->verdict, NULL) != SG_OK)
        op->verdict = SG_RAW_INVALID;
}

static void verify_done(struct sg_crypto_task *task)
{
    struct sg_sign_op *op = SG_CONTAINER(task, struct sg_sign_op, task);

    if (op->verdict == SG_RAW_VALID)
        release(op);
    else
        fail_bad(op);
}

/* RSA costs a fourteenth of its signing and less: always. ECDSA: always unless sampled. */
static bool must_verify(struct sg_key *key, enum sg_scheme scheme)
{
    if (scheme != SG_SCHEME_ECDSA || !key->verify_sampled)
        return true;
    return key->sample++ % SAMPLE_EVERY == 0;
}

void sg_sign_job_done(struct sg_hsm_job *job)
{
    struct sg_sign_op *op = (struct sg_sign_op *)(uintptr_t)job->tag; /* it outlives its job */
    struct sg_err err;

    op->job = job;
    op->token = job->token;
    op->queue_ns = job->queue_ns;
    op->hsm_ns = job->hsm_ns;
    op->sign_wall_ns = sg_wall_ns(op->signer->clock);
    if (!job->is_signed) {
        fail(op, &job->err, job->retry_ms);
        return;
    }
    if (sg_key_public_key(op->key) == NULL) {
        SG_REFUSE(&err, SG_R_KEY_UNUSABLE, "key \"%s\" has no public key to verify with",
                  op->key->name);
        fail(op, &err, 0);
        return;
    }
    if (!has_right_length(op)) {
        fail_bad(op);
        return;
    }
    if (!must_verify(op->key, op->scheme)) {
        release(op);
        return;
    }
    op->verdict = SG_RAW_INVALID;
    op->task = (struct sg_crypto_task){.run = verify_run, .done = verify_done};
    if (sg_crypto_submit(op->signer->crypto, &op->task, &err) != SG_OK)
        fail(op, &err, 0);
}

void sg_sign_op_done(struct sg_sign_op *op)
{
    sg_hsm_job_free(op->job);
    op->job = NULL;
    op->signature = (struct sg_slice){0};
}

void sg_signer_abandon(struct sg_signer *signer)
{
    struct sg_err err;
    SG_REFUSE(&err, SG_R_DRAINING, "this instance is shutting down");
    while (signer != NULL && signer->ops != NULL)
        fail(signer->ops, &err, 0);
}

size_t sg_signer_pending(const struct sg_signer *signer)
{
    return signer->pending;
}
