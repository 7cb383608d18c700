#include <stdlib.h>

#include "base/clock.h"
#include "hsm/mechanism.h"
#include "hsm/pkcs11/p11_priv.h"

struct sg_p11_session *sg_p11_session_new(struct sg_p11 *p11)
{
    struct sg_p11_session *session = calloc(1, sizeof(*session));
    if (session != NULL)
        session->p11 = p11;
    return session;
}

void sg_p11_session_free(struct sg_p11_session *session)
{
    if (session == NULL)
        return;
    sg_p11_enter(session);
    sg_p11_session_close(session);
    sg_p11_leave(session);
    free(session);
}

int64_t sg_p11_session_busy_since(const struct sg_p11_session *session)
{
    return atomic_load_explicit(&session->busy_since_ns, memory_order_relaxed);
}

void sg_p11_enter(struct sg_p11_session *session)
{
    pthread_rwlock_rdlock(&session->p11->inside);
    sg_p11_touch(session); /* not before the lock: waiting for a recovery is not hanging */
}

void sg_p11_touch(struct sg_p11_session *session)
{
    atomic_store_explicit(&session->busy_since_ns, sg_mono_ns(&sg_clock_system),
                          memory_order_relaxed);
}

void sg_p11_leave(struct sg_p11_session *session)
{
    atomic_store_explicit(&session->busy_since_ns, 0, memory_order_relaxed);
    pthread_rwlock_unlock(&session->p11->inside);
}

void sg_p11_session_close(struct sg_p11_session *session)
{
    CK_RV rv = CKR_OK;

    /* Of another life the handle may by now be somebody else's session. */
    if (session->handle != CK_INVALID_HANDLE && session->p11->is_initialized &&
        session->life == session->p11->lives)
        rv = session->p11->fn->C_CloseSession(session->handle);
    if (rv == CKR_OK || sg_p11_class(rv) == SG_OUT_SESSION)
        session->handle = CK_INVALID_HANDLE;
    session->is_over = true;
}

static const int64_t grow_min_ns = 100 * SG_NS_PER_MS, grow_max_ns = 5 * SG_NS_PER_S;

/* The token bears fewer sessions than it said: one worker less, until it bears more again. */
static void shrink(struct sg_p11 *p11, int64_t now)
{
    size_t workers = p11->bearable;
    if (workers == p11->ceiling)
        p11->short_since_ns = now;
    p11->refused_ns = now;
    while (workers > 1 && !atomic_compare_exchange_weak(&p11->bearable, &workers, workers - 1))
        continue;
}

static enum sg_outcome make_ready(struct sg_p11_session *session, CK_RV *ret_rv, struct sg_err *err)
{
    *ret_rv = CKR_OK;
    struct sg_p11 *p11 = session->p11;
    if (!p11->is_open)
        return sg_p11_refuse(err, SG_OUT_TOKEN, "could not use the token: it is not open");

    const uint64_t generation = p11->generation, life = p11->lives;
    if (session->handle != CK_INVALID_HANDLE && !session->is_over &&
        session->generation == generation)
        return SG_OUT_OK;
    sg_p11_session_close(session);

    CK_SESSION_HANDLE handle;
    *ret_rv = p11->fn->C_OpenSession(p11->slot, CKF_SERIAL_SESSION, NULL, NULL, &handle);
    if (*ret_rv != CKR_OK)
        return sg_p11_fail(err, *ret_rv, "open a session");
    session->handle = handle;
    session->is_over = false;
    session->generation = generation;
    session->life = life;
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_session_ready(struct sg_p11_session *session, struct sg_err *err)
{
    CK_RV rv;
    enum sg_outcome outcome = make_ready(session, &rv, err);
    if (rv == CKR_SESSION_COUNT)
        shrink(session->p11, sg_mono_ns(&sg_clock_system));
    return outcome;
}

void sg_p11_session_park(struct sg_p11_session *session)
{
    if (session->handle == CK_INVALID_HANDLE)
        return;
    sg_p11_enter(session);
    sg_p11_session_close(session);
    sg_p11_leave(session);
}

/*
 * When a token that is short of sessions is asked for one more: an eighth of what the shortage
 * has lasted after it last refused one. So a short one ends soon after its cause does, and a token
 * that bears fewer for good, or shares them with others, is hardly asked.
 */
static int64_t grow_due_ns(const struct sg_p11 *p11)
{
    int64_t pause_ns = (p11->refused_ns - p11->short_since_ns) / 8;
    if (pause_ns < grow_min_ns)
        pause_ns = grow_min_ns;
    return p11->refused_ns + (pause_ns < grow_max_ns ? pause_ns : grow_max_ns);
}

bool sg_p11_session_grow(struct sg_p11_session *session, size_t i, int64_t *ret_again_ns)
{
    struct sg_p11 *p11 = session->p11;
    int64_t now = sg_mono_ns(&sg_clock_system);
    size_t workers = i;
    CK_RV rv;

    *ret_again_ns = grow_max_ns;
    if (i != p11->bearable || i >= p11->ceiling)
        return false;
    *ret_again_ns = grow_due_ns(p11) - now;
    if (*ret_again_ns > 0)
        return false;
    sg_p11_enter(session);
    bool is_open = make_ready(session, &rv, NULL) == SG_OUT_OK;
    sg_p11_leave(session);
    if (is_open && atomic_compare_exchange_strong(&p11->bearable, &workers, i + 1))
        return true;
    p11->refused_ns = now;
    *ret_again_ns = grow_due_ns(p11) - now;
    return false;
}

bool sg_p11_mend(struct sg_p11_session *session, enum sg_outcome outcome, struct sg_slice id,
                 struct sg_err *err)
{
    struct sg_p11_key key;
    bool is_forgotten = outcome == SG_OUT_LOGIN;

    bool is_vague = outcome == SG_OUT_TOKEN && err != NULL && sg_p11_is_vague(err->native);

    if (outcome == SG_OUT_HANDLE)
        sg_p11_keys_forget(session->p11, id);
    else if (outcome == SG_OUT_KEY)
        /* A key that was there and is not found: without a login private objects are not shown. */
        is_forgotten = sg_p11_keys_get(session->p11, id, &key);
    else if (outcome != SG_OUT_SESSION && outcome != SG_OUT_LOGIN && !is_vague)
        return false;
    /* Whatever failed may have left the session in the middle of an operation. */
    if (outcome != SG_OUT_KEY)
        sg_p11_session_close(session);
    if (is_vague)
        return true;
    /* All of them also follow from a token that restarted and forgot the login. */
    uint64_t seen = session->generation;
    return sg_p11_login(session->p11, seen, is_forgotten, err) == SG_OUT_OK &&
           (outcome != SG_OUT_KEY || session->p11->generation != seen);
}

/* PSS parameters by digest: PKCS#11 3.0 §2.1.10. */
static const struct pss {
    CK_MECHANISM_TYPE hash;
    CK_RSA_PKCS_MGF_TYPE mgf;
} pss_of[SG_DIGEST_COUNT] = {
    [SG_DIGEST_SHA256] = {CKM_SHA256, CKG_MGF1_SHA256},
    [SG_DIGEST_SHA384] = {CKM_SHA384, CKG_MGF1_SHA384},
    [SG_DIGEST_SHA512] = {CKM_SHA512, CKG_MGF1_SHA512},
    [SG_DIGEST_SHA3_256] = {SG_CKM_SHA3_256, SG_CKG_MGF1_SHA3_256},
    [SG_DIGEST_SHA3_384] = {SG_CKM_SHA3_384, SG_CKG_MGF1_SHA3_384},
    [SG_DIGEST_SHA3_512] = {SG_CKM_SHA3_512, SG_CKG_MGF1_SHA3_512},
};

static CK_MECHANISM_TYPE type_of(enum sg_mechanism_kind kind)
{
    switch (kind) {
    case SG_MECH_RSA_PKCS:
        return CKM_RSA_PKCS;
    case SG_MECH_RSA_PSS:
        return CKM_RSA_PKCS_PSS;
    case SG_MECH_ECDSA:
        return CKM_ECDSA;
    case SG_MECH_EDDSA:
        return CKM_EDDSA;
    case SG_MECH_UNSET:
        break;
    }
    sg_assert_failed("a prepared mechanism has a kind", SG_WHERE);
}

/* The two calls that are measured as time in the token. */
static enum sg_outcome ask_token(struct sg_p11_session *session, CK_OBJECT_HANDLE key,
                                 const struct sg_mechanism *mechanism, struct sg_p11_signature *ret,
                                 struct sg_err *err)
{
    CK_FUNCTION_LIST *fn = session->p11->fn;
    CK_RSA_PKCS_PSS_PARAMS pss = {pss_of[mechanism->hash].hash, pss_of[mechanism->hash].mgf,
                                  mechanism->salt_len};
    CK_MECHANISM ck = {.mechanism = type_of(mechanism->kind)};
    if (mechanism->kind == SG_MECH_RSA_PSS) {
        ck.pParameter = &pss;
        ck.ulParameterLen = sizeof(pss);
    }

    CK_RV rv = fn->C_SignInit(session->handle, &ck, key);
    if (rv == CKR_ARGUMENTS_BAD && ck.pParameter != NULL)
        rv = CKR_MECHANISM_PARAM_INVALID; /* SoftHSM's word for a hash it does not know */
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "begin a signature");

    CK_BYTE *input;
    memcpy(&input, &mechanism->input.ptr, sizeof(input)); /* PKCS#11 has no const */
    CK_ULONG len = sizeof(ret->bytes);
    rv = fn->C_Sign(session->handle, input, mechanism->input.len, ret->bytes, &len);
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "sign");
    if (len != mechanism->signature_len) /* whatever this is, it is not the signature asked for */
        return sg_p11_refuse(err, SG_OUT_TOKEN,
                             "could not sign: the token returned %lu bytes, "
                             "not %zu",
                             len, mechanism->signature_len);
    ret->len = len;
    return SG_OUT_OK;
}

static enum sg_outcome sign_once(struct sg_p11_session *session, const struct sg_request *request,
                                 struct sg_p11_signature *ret, struct sg_err *err)
{
    struct sg_p11_key key;
    struct sg_mechanism mechanism;

    enum sg_outcome outcome = sg_p11_session_ready(session, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_keys_ready(session, request->id, &key, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (sg_mechanism_prepare(key.type, request->scheme, request->digest_alg, request->tbs,
                             &mechanism, err) != SG_OK)
        return SG_OUT_REQUEST;

    ret->start_ns = sg_mono_ns(&sg_clock_system);
    if (request->deadline_ns != 0 && ret->start_ns >= request->deadline_ns)
        return sg_p11_refuse(err, SG_OUT_EXPIRED, "could not sign: the deadline has passed");
    outcome = ask_token(session, key.handle, &mechanism, ret, err);
    ret->hsm_ns = sg_mono_ns(&sg_clock_system) - ret->start_ns;
    return outcome;
}

enum sg_outcome sg_p11_sign(struct sg_p11_session *session, const struct sg_request *request,
                            struct sg_p11_signature *ret, struct sg_err *err)
{
    sg_p11_enter(session);
    enum sg_outcome outcome = sign_once(session, request, ret, err);
    if (outcome != SG_OUT_OK && sg_p11_mend(session, outcome, request->id, err))
        outcome = sign_once(session, request, ret, err);
    /* What C_Sign left behind when it failed would fail the next one too. */
    if (outcome != SG_OUT_OK && outcome != SG_OUT_EXPIRED && outcome != SG_OUT_NOT_LOADED)
        sg_p11_session_close(session);
    sg_p11_leave(session);
    return outcome;
}
