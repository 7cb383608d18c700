#include "hsm/pin.h"
#include "hsm/pkcs11/p11_priv.h"

static void set_pin_state(struct sg_p11 *p11, enum sg_pin_state state)
{
    pthread_mutex_lock(&p11->facts);
    p11->info.pin = state;
    pthread_mutex_unlock(&p11->facts);
}

static enum sg_outcome refused(struct sg_p11 *p11, CK_RV rv, struct sg_err *err)
{
    set_pin_state(p11, SG_PIN_LATCHED);
    sg_p11_refuse(err, SG_OUT_PIN, "the token refused the PIN (%s): %s", sg_p11_name(rv),
                  sg_p11_pin_advice(rv));
    if (err != NULL)
        err->native = rv;
    return SG_OUT_PIN;
}

/* The latch is shut, or could not be moved. */
static enum sg_outcome latched(struct sg_p11 *p11, const struct sg_err *latch, struct sg_err *err)
{
    if (latch->rc == SG_E_UNAVAILABLE && latch->native != 0)
        return refused(p11, latch->native, err);
    set_pin_state(p11, SG_PIN_LATCHED);
    return sg_p11_refuse(err, SG_OUT_PIN, "%s", latch->msg);
}

static CK_RV ask_to_log_in(struct sg_p11 *p11, struct sg_slice pin)
{
    CK_UTF8CHAR *bytes;
    memcpy(&bytes, &pin.ptr, sizeof(bytes)); /* PKCS#11 has no const; C_Login only reads */
    return p11->fn->C_Login(p11->anchor, CKU_USER, bytes, pin.len);
}

/*
 * C_Login, with the latch around it. The PIN is read for the occasion and gone afterwards, which
 * also means that a corrected file works without a restart.
 *
 * `is_forgotten`: a module that says "already" then is at odds with its token, and is told to
 * forget its login first. "Already" does not judge the PIN, so it is one try all the same.
 */
static enum sg_outcome log_in_locked(struct sg_p11 *p11, bool is_forgotten, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    if (sg_pin_read(p11->pin_file, &secret, err) != SG_OK)
        return SG_OUT_PIN;
    struct sg_slice pin = sg_secret_bytes(secret);

    struct sg_err latch = {0};
    if (sg_pin_begin(p11->state_dir, pin, &latch) != SG_OK)
        return latched(p11, &latch, err);
    CK_RV rv = ask_to_log_in(p11, pin);
    if (rv == CKR_USER_ALREADY_LOGGED_IN && is_forgotten &&
        p11->fn->C_Logout(p11->anchor) == CKR_OK)
        rv = ask_to_log_in(p11, pin);

    enum sg_pin_verdict verdict = sg_p11_pin_verdict(rv);
    /* When this fails the try counts as one whose outcome nobody saw, until the next success. */
    SG_IGNORE(sg_pin_end(p11->state_dir, verdict, rv, NULL));
    if (verdict == SG_PIN_VERDICT_REFUSED)
        return refused(p11, rv, err);
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
        return sg_p11_fail(err, rv, "log in");
    set_pin_state(p11, SG_PIN_ACCEPTED);
    return SG_OUT_OK;
}

static enum sg_outcome open_anchor_locked(struct sg_p11 *p11, struct sg_err *err)
{
    if (p11->anchor != CK_INVALID_HANDLE && p11->fn->C_CloseSession(p11->anchor) == CKR_OK)
        p11->anchor = CK_INVALID_HANDLE;

    CK_SESSION_HANDLE handle;
    CK_RV rv = p11->fn->C_OpenSession(p11->slot, CKF_SERIAL_SESSION, NULL, NULL, &handle);
    if (rv != CKR_OK) /* the old one is asked again next time: it may be there yet */
        return sg_p11_fail(err, rv, "open the session that holds the login");
    if (p11->anchor != CK_INVALID_HANDLE)
        p11->lives++; /* it died, and with it presumably the others */
    p11->anchor = handle;
    return SG_OUT_OK;
}

static enum sg_outcome login_locked(struct sg_p11 *p11, bool is_forgotten, struct sg_err *err)
{
    CK_SESSION_INFO info;
    bool is_alive =
        p11->anchor != CK_INVALID_HANDLE && p11->fn->C_GetSessionInfo(p11->anchor, &info) == CKR_OK;
    if (is_alive && !is_forgotten &&
        (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS))
        return SG_OUT_OK;

    enum sg_outcome outcome = is_alive ? SG_OUT_OK : open_anchor_locked(p11, err);
    if (outcome == SG_OUT_OK)
        outcome = log_in_locked(p11, is_forgotten, err);
    /* Whoever comes now finds their sessions and handles void; those waiting, that it is done. */
    if (outcome == SG_OUT_OK)
        p11->generation++;
    return outcome;
}

enum sg_outcome sg_p11_login(struct sg_p11 *p11, uint64_t seen_generation, bool is_forgotten,
                             struct sg_err *err)
{
    enum sg_outcome outcome = SG_OUT_OK;
    pthread_mutex_lock(&p11->login);
    if (p11->generation == seen_generation)
        outcome = login_locked(p11, is_forgotten, err);
    pthread_mutex_unlock(&p11->login);
    return outcome;
}
