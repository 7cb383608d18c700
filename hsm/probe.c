#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "hsm/hsm_priv.h"

/*
 * Whether a token is well: it is asked whether it is there and logged in, and then to sign with
 * each of its probe keys, which are nobody's. What it gives must verify: a token that answers with
 * anything else, or only says that it is well, is not used.
 */

static void finish(struct sg_backend *backend)
{
    struct sg_probe *probe = &backend->probe;

    probe->step = SG_PROBE_NONE;
    if (probe->err.rc == SG_OK)
        sg_health_up(backend);
    else
        sg_health_trip(backend, &probe->err);
}

void sg_probe_abandon(struct sg_backend *backend)
{
    backend->probe.step = SG_PROBE_NONE;
}

void sg_probe_begin(struct sg_backend *backend)
{
    struct sg_probe *probe = &backend->probe;

    probe->step = SG_PROBE_ASKED;
    probe->is_due = false;
    probe->err = (struct sg_err){0};
    sg_breaker_probe(&backend->breaker);
    sg_health_asked(backend);
    sg_link_put(&backend->admin, &(struct sg_request){.kind = SG_JOB_PROBE});
    sg_engine_wake(backend->hsm);
}

/* Signing ------------------------------------------------------------------------------------ */

static enum sg_digest_alg digest_of(enum sg_scheme scheme)
{
    return scheme == SG_SCHEME_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA256;
}

static void sign(struct sg_backend *backend)
{
    struct sg_probe *probe = &backend->probe;
    int64_t now = sg_engine_now(backend->hsm);

    probe->step = SG_PROBE_SIGNING;
    probe->begin_ns = now;
    probe->awaited = 0;
    /* Another one each time, or a signature from memory would do. */
    bool is_drawn = RAND_bytes(probe->digest, sizeof(probe->digest)) == 1;
    for (size_t i = 0; is_drawn && i < backend->probe_count; i++) {
        struct sg_copy *copy = backend->copies[i];
        if (copy->state != SG_KEY_READY || backend->in_flight >= SG_PLACES_MAX)
            continue;
        enum sg_scheme scheme = sg_key_type_default(copy->key->type);
        const struct sg_request request = {
            .kind = SG_JOB_SIGN,
            .id = sg_copy_id(copy),
            .scheme = scheme,
            .digest_alg = digest_of(scheme),
            .tbs = sg_slice_of(probe->digest, sizeof(probe->digest)),
        };
        sg_window_put_probe(backend, copy, &request, now);
        probe->awaited++;
    }
    sg_engine_wake(backend->hsm);
    if (probe->awaited > 0)
        return;
    SG_IGNORE(SG_REFUSE(&probe->err, SG_R_TOKEN_LOST,
                        "token \"%s\" cannot prove itself: no probe key can be used: %s",
                        backend->name, backend->copies[0]->err.msg)); /* why it is down */
    finish(backend);
}

static bool verify_with(EVP_PKEY *pkey, enum sg_scheme scheme, struct sg_slice tbs,
                        struct sg_slice signature)
{
    bool is_right = false;
    if (scheme == SG_SCHEME_ED25519) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        is_right = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                   EVP_DigestVerify(ctx, signature.ptr, signature.len, tbs.ptr, tbs.len) == 1;
        EVP_MD_CTX_free(ctx);
        return is_right;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    is_right = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
               (scheme != SG_SCHEME_RSA_PSS ||
                EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1) &&
               EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
               EVP_PKEY_verify(ctx, signature.ptr, signature.len, tbs.ptr, tbs.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_right;
}

static bool is_proof(const struct sg_probe *probe, const struct sg_engine_key *key,
                     enum sg_scheme scheme, struct sg_slice signature)
{
    uint8_t der[SG_ECDSA_DER_MAX];
    size_t len = 0;

    if (scheme == SG_SCHEME_ECDSA) {
        if (sg_ecdsa_to_der(signature, der, &len, NULL) != SG_OK)
            return false;
        signature = sg_slice_of(der, len);
    }
    const uint8_t *at = key->spki;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)key->spki_len);
    bool is_right =
        pkey != NULL &&
        verify_with(pkey, scheme, sg_slice_of(probe->digest, sizeof(probe->digest)), signature);
    EVP_PKEY_free(pkey);
    return is_right;
}

void sg_probe_signed(struct sg_backend *backend, const struct sg_place *place,
                     const struct sg_answer *answer)
{
    struct sg_probe *probe = &backend->probe;
    struct sg_copy *copy = place->copy;
    struct sg_err err;

    if (probe->step != SG_PROBE_SIGNING || place->send_ns < probe->begin_ns)
        return; /* of a probe that was over already */
    probe->awaited--;
    err.rc = SG_OK;
    if (answer->outcome != SG_OUT_OK) {
        sg_health_explain(answer->outcome, answer, &err);
        if (answer->outcome == SG_OUT_NOT_LOADED)
            sg_copy_set(copy, SG_KEY_LOADING, NULL);
    } else if (!is_proof(probe, copy->key, place->scheme, answer->signature)) {
        probe->is_refuted = true;
        SG_IGNORE(SG_REFUSE(&err, SG_R_TOKEN_LOST,
                            "a signature by the probe key of token \"%s\" did not verify",
                            backend->name)); /* why it is down */
    }
    if (err.rc != SG_OK && probe->err.rc == SG_OK)
        probe->err = err;
    if (probe->awaited == 0)
        finish(backend);
}

/* Before it signs ---------------------------------------------------------------------------- */

static void load(struct sg_backend *backend)
{
    struct sg_probe *probe = &backend->probe;

    probe->step = SG_PROBE_LOADING;
    probe->awaited = 0;
    for (size_t i = 0; i < backend->probe_count; i++) {
        struct sg_copy *copy = backend->copies[i];
        if (copy->state == SG_KEY_READY)
            continue;
        probe->awaited++;
        if (!copy->is_asked)
            sg_health_load_key(backend, copy);
    }
    sg_engine_wake(backend->hsm);
    if (probe->awaited == 0)
        sign(backend);
}

void sg_probe_loaded(struct sg_backend *backend)
{
    struct sg_probe *probe = &backend->probe;
    if (probe->step == SG_PROBE_LOADING && --probe->awaited == 0)
        sign(backend);
}

bool sg_probe_answer(struct sg_backend *backend, const struct sg_answer *answer)
{
    struct sg_probe *probe = &backend->probe;

    if (probe->step == SG_PROBE_NONE && backend->breaker.state != SG_BREAKER_PROBING)
        return true; /* the token failed meanwhile */
    if (probe->step != SG_PROBE_ASKED)
        return false;
    bool was_latched = backend->is_pin_latched;
    backend->is_pin_latched = answer->outcome == SG_OUT_PIN;
    if (answer->outcome != SG_OUT_OK) {
        sg_health_explain(answer->outcome, answer, &probe->err);
        finish(backend);
        backend->is_changed |= was_latched != backend->is_pin_latched;
        if (backend->is_pin_latched && !was_latched) /* nothing may wait for it */
            sg_backend_evacuate(backend);
        return true;
    }
    if (answer->workers == 0)
        return false;
    backend->workers = answer->workers;
    if (backend->probe_count > 0)
        load(backend);
    else
        finish(backend);
    return true;
}
