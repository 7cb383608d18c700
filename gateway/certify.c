#include "gateway/certify.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/loop.h"
#include "formats/raw/digest.h"
#include "formats/raw/pem.h"
#include "gateway/user.h"
#include "hsm/hsm.h"

enum { PATIENCE_MS = 10000, TURN_MS = 50 };

/* An engine with one token and one key, for one signature. */
struct engine {
    const struct sg_config_token *token;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    size_t key;
    int64_t end_ns;         /* of our patience */
    struct sg_hsm_job *job; /* once it is done */
};

const struct sg_config_token *sg_certify_token(const struct sg_config *config)
{
    for (size_t i = 0; i < config->token_count; i++)
        if (config->tokens[i].log_certifier_count > 0)
            return &config->tokens[i];
    return NULL;
}

static void on_done(void *arg, struct sg_hsm_job *job)
{
    struct engine *engine = arg;
    engine->job = job;
}

static void engine_done(struct engine *engine)
{
    sg_hsm_job_free(engine->job);
    sg_hsm_free(engine->hsm);
    sg_loop_free(engine->loop);
}

static enum sg_rc engine_start(struct engine *engine, struct sg_err *err)
{
    const struct sg_config_token *token = engine->token;
    const struct sg_hsm_events events = {.arg = engine, .done = on_done};
    struct sg_hsm_token_config token_config = {.name = token->name,
                                               .socket = token->socket,
                                               .queue_max = (size_t)token->queue_max,
                                               .hang_ms = token->hang_ms};
    struct sg_hsm_key_config key = {.name = "log_certifier",
                                    .id = token->log_certifier[0].id,
                                    .type = token->log_certifier[0].type,
                                    .origin = token->log_certifier[0].origin};
    int64_t gid;

    SG_TRY(sg_user_ids(token->user, &token_config.uid, &gid, err));
    SG_TRY(sg_loop_new(&sg_clock_system, &engine->loop, err));
    SG_TRY(sg_hsm_new(engine->loop, &sg_clock_system, &events, &engine->hsm, err));
    SG_TRY(sg_hsm_add_token(engine->hsm, &token_config, &key.token, err));
    SG_TRY(sg_hsm_add_key(engine->hsm, &key, &engine->key, err));
    engine->end_ns = sg_mono_ns(&sg_clock_system) + PATIENCE_MS * SG_NS_PER_MS;
    return sg_hsm_start(engine->hsm, err);
}

static enum sg_rc failed(const struct engine *engine, enum sg_rc rc, const struct sg_err *why,
                         struct sg_err *err)
{
    return SG_FAIL(err, rc, 0, "token \"%s\" cannot certify the log's key%s: %s",
                   engine->token->name,
                   why->reason == SG_R_TOKEN_LOST ? ", does its process run?" : "",
                   why->rc == SG_OK ? "its process does not answer" : why->msg);
}

/* Until the key can sign. */
static enum sg_rc await_key(struct engine *engine, struct sg_err *err)
{
    struct sg_hsm_token_info token;
    struct sg_hsm_key_info key;

    for (;;) {
        sg_hsm_key_info(engine->hsm, engine->key, &key);
        sg_hsm_token_info(engine->hsm, 0, &token);
        if (key.state == SG_KEY_READY)
            return SG_OK;
        if (key.state != SG_KEY_LOADING)
            return failed(engine, SG_E_CONFLICT, &key.err, err);
        if (token.state == SG_TOKEN_PIN_LATCHED || sg_mono_ns(&sg_clock_system) >= engine->end_ns)
            return failed(engine, SG_E_UNAVAILABLE, &token.err, err);
        SG_TRY(sg_loop_turn(engine->loop, TURN_MS, err));
    }
}

/* What the token is given: the digest, or for Ed25519 the text. */
static enum sg_rc submit(struct engine *engine, const struct sg_certification *wanted,
                         struct sg_slice text, struct sg_err *err)
{
    const bool is_text = wanted->scheme == SG_SCHEME_ED25519;
    SG_AUTO(sg_hsm_job_free)
    struct sg_hsm_job *job =
        sg_hsm_job_new(is_text ? text : sg_slice_of(wanted->digest, sizeof(wanted->digest)));

    if (job == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to have the log's key certified");
    job->key = engine->key;
    job->scheme = wanted->scheme;
    job->digest_alg = is_text ? SG_DIGEST_UNSET : SG_DIGEST_SHA256;
    job->deadline_ns = engine->end_ns;
    SG_TRY(sg_hsm_submit(engine->hsm, job, err));
    (void)SG_STEAL(job); /* the engine's */
    return SG_OK;
}

static enum sg_rc await_signature(struct engine *engine, struct sg_err *err)
{
    while (engine->job == NULL)
        SG_TRY(sg_loop_turn(engine->loop, TURN_MS, err));
    return engine->job->is_signed ? SG_OK
                                  : failed(engine, engine->job->err.rc, &engine->job->err, err);
}

static enum sg_rc take_signature(const struct engine *engine, struct sg_certification *ret,
                                 struct sg_err *err)
{
    const struct sg_slice signature =
        sg_slice_of(engine->job->signature, engine->job->signature_len);

    _Static_assert(sizeof(ret->signature) >= SG_ECDSA_DER_MAX, "ECDSA's in DER fits");
    if (ret->scheme == SG_SCHEME_ECDSA)
        return sg_ecdsa_to_der(signature, ret->signature, &ret->signature_len, err);
    memcpy(ret->signature, signature.ptr, signature.len);
    ret->signature_len = signature.len;
    return SG_OK;
}

/* Who certifies, and what is certified. */
static enum sg_rc prepare(const struct engine *engine, struct sg_slice text,
                          struct sg_certification *ret, struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_hsm_key_info key;

    sg_hsm_key_info(engine->hsm, engine->key, &key);
    *ret = (struct sg_certification){.scheme = sg_certified_scheme(key.type)};
    if (key.spki.len > sizeof(ret->spki) ||
        (size_t)snprintf(ret->token, sizeof(ret->token), "%s", engine->token->name) >=
            sizeof(ret->token))
        return SG_FAIL(err, SG_E_LIMIT, 0,
                       "the key that certifies, or the name of its token, is too long");
    memcpy(ret->spki, key.spki.ptr, key.spki.len);
    ret->spki_len = key.spki.len;
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, key.spki, hash, err));
    memcpy(ret->spki_sha256, hash, sizeof(ret->spki_sha256));
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, text, hash, err));
    memcpy(ret->digest, hash, sizeof(ret->digest));
    return SG_OK;
}

/* As it will be checked by those who read leaf 0. */
static enum sg_rc check(const struct sg_certification *certification,
                        const struct sg_note_key *log_key, struct sg_err *err)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *named = NULL;
    struct sg_audit_record first = {.event = SG_AUDIT_LOG_STARTED};
    struct sg_buf detail;

    sg_buf_init(&detail, SG_AUDIT_TEXT_BYTES_MAX);
    sg_buf_add_str(&detail, "log key: ");
    sg_note_key_write(log_key, &detail);
    sg_buf_add_u8(&detail, '\n');
    sg_certification_describe(certification, &detail);
    sg_certification_put(certification, &first);
    first.detail = sg_buf_slice(&detail);
    enum sg_rc rc = sg_buf_check(&detail, err);
    if (rc == SG_OK &&
        sg_certification_check(&first, sg_slice_of(certification->spki, certification->spki_len),
                               &named, NULL) != SG_OK)
        rc = SG_FAIL(err, SG_E_INTERNAL, 0,
                     "the signature of token \"%s\" over the log's key does not verify",
                     certification->token);
    sg_buf_done(&detail);
    return rc;
}

static enum sg_rc sign(struct engine *engine, const struct sg_note_key *log_key,
                       struct sg_certification *ret, struct sg_err *err)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(log_key, &text);
    enum sg_rc rc = sg_buf_check(&text, err);
    if (rc == SG_OK)
        rc = prepare(engine, sg_buf_slice(&text), ret, err);
    if (rc == SG_OK)
        rc = submit(engine, ret, sg_buf_slice(&text), err);
    if (rc == SG_OK)
        rc = await_signature(engine, err);
    if (rc == SG_OK)
        rc = take_signature(engine, ret, err);
    if (rc == SG_OK)
        rc = check(ret, log_key, err);
    sg_buf_done(&text);
    return rc;
}

/* `log_key` NULL: nothing is signed. */
static enum sg_rc run(const struct sg_config *config, const struct sg_note_key *log_key,
                      struct sg_certification *ret, struct sg_err *err)
{
    struct engine engine = {.token = sg_certify_token(config)};

    SG_ASSERT(engine.token != NULL);
    enum sg_rc rc = engine_start(&engine, err);
    if (rc == SG_OK)
        rc = await_key(&engine, err);
    if (rc == SG_OK && log_key != NULL)
        rc = sign(&engine, log_key, ret, err);
    engine_done(&engine);
    return rc;
}

enum sg_rc sg_certify_check(const struct sg_config *config, struct sg_err *err)
{
    return run(config, NULL, NULL, err);
}

enum sg_rc sg_certify(const struct sg_config *config, const struct sg_note_key *log_key,
                      struct sg_certification *ret, struct sg_err *err)
{
    return run(config, log_key, ret, err);
}

/* Telling ----------------------------------------------------------------------------------- */

static enum sg_rc tell_first(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_record first;
    struct sg_buf *report = arg, spki;

    SG_TRY(sg_audit_record_parse(bytes, &first, err));
    if (seq != 0)
        return SG_OK;
    if (first.signature.len == 0) {
        sg_buf_add_str(report, "its key is not certified by a key in a token (log_certifier)\n");
        return SG_OK;
    }
    sg_buf_init(&spki, SG_CERTIFIER_SPKI_BYTES_MAX);
    enum sg_rc rc = sg_base64_decode(sg_certification_certifier(&first), SG_BASE64_STD,
                                     SG_BASE64_PADDED, &spki, err);
    if (rc == SG_OK) {
        sg_buf_printf(report, "its key is certified by a key on token \"%.*s\", sha256:",
                      (int)first.token.len, (const char *)first.token.ptr);
        for (size_t i = 0; i < first.public_key_sha256.len; i++)
            sg_buf_printf(report, "%02x", first.public_key_sha256.ptr[i]);
        sg_buf_add_u8(report, '\n');
        sg_pem_encode("PUBLIC KEY", sg_buf_slice(&spki), report);
    }
    sg_buf_done(&spki);
    return rc;
}

enum sg_rc sg_certify_report(struct sg_store *store, const struct sg_store_log *log,
                             struct sg_buf *report, struct sg_err *err)
{
    return sg_store_read_leaves(store, log->id, 0, 1, tell_first, report, err);
}

/* Proving ----------------------------------------------------------------------------------- */

struct judging {
    struct sg_slice spki;
    struct sg_note_key *key; /* that is certified */
};

static enum sg_rc judge_first(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct judging *judging = arg;
    struct sg_audit_record first;

    SG_TRY(sg_audit_record_parse(bytes, &first, err));
    return seq == 0 ? sg_certification_check(&first, judging->spki, &judging->key, err) : SG_OK;
}

enum sg_rc sg_certify_verify(struct sg_store *store, const struct sg_store_log *log,
                             const struct sg_note_key *log_key, struct sg_slice spki,
                             struct sg_err *err)
{
    struct judging judging = {.spki = spki};

    SG_TRY(sg_store_read_leaves(store, log->id, 0, 1, judge_first, &judging, err));
    const bool is_ours = judging.key != NULL && sg_note_key_is_same(judging.key, log_key) &&
                         sg_slice_is(sg_note_key_name(judging.key), log->origin);
    sg_note_key_free(judging.key);
    return is_ours ? SG_OK
                   : SG_FAIL(err, SG_E_INVALID, 0,
                             "leaf 0 of log \"%s\" has another log's key certified", log->name);
}
