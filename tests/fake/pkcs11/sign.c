/* Signing: signatures that are remembered, wrong ones, and keys and inputs that kill. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/pkcs11/faultp11_priv.h"

/* Remembered signatures ------------------------------------------------------------------- */

/*
 * A few places for each hash of key, mechanism and input: where they are taken, a newcomer takes
 * the first. With one, two inputs of a load that share it would be signed for real again and again.
 */
enum { MEMO_MAX = 8192, MEMO_WAYS = 8 };

struct memo {
    struct fault_how how;
    CK_ULONG input_len, len;
    CK_BYTE input[FAULT_INPUT_MAX], signature[FAULT_SIGNATURE_MAX];
};

static struct memo *memos[MEMO_MAX];
static pthread_rwlock_t memo_lock = PTHREAD_RWLOCK_INITIALIZER;

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
    return hash;
}

static size_t place_of(const struct fault_how *how, const CK_BYTE *input, CK_ULONG len)
{
    uint64_t hash = mix(UINT64_C(14695981039346656037), &how->key, sizeof(how->key));
    hash = mix(hash, &how->type, sizeof(how->type));
    hash = mix(hash, how->params, how->params_len);
    hash = mix(hash, input, len);
    return (hash ^ hash >> 32) % (MEMO_MAX / MEMO_WAYS) * MEMO_WAYS;
}

static bool is_same(const struct memo *memo, const struct fault_how *how, const CK_BYTE *input,
                    CK_ULONG len)
{
    return memo->how.key == how->key && memo->how.type == how->type &&
           memo->how.params_len == how->params_len &&
           memcmp(memo->how.params, how->params, how->params_len) == 0 && memo->input_len == len &&
           memcmp(memo->input, input, len) == 0;
}

/* Where this is, or is to be. */
static struct memo **find_locked(const struct fault_how *how, const CK_BYTE *input, CK_ULONG len)
{
    struct memo **places = &memos[place_of(how, input, len)];
    for (size_t i = 0; i < MEMO_WAYS; i++)
        if (places[i] == NULL || is_same(places[i], how, input, len))
            return &places[i];
    return places;
}

static bool recall(const struct fault_how *how, const CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                   CK_ULONG *out_len)
{
    pthread_rwlock_rdlock(&memo_lock);
    const struct memo *memo = *find_locked(how, input, len);
    const bool is_known = memo != NULL && is_same(memo, how, input, len) && memo->len <= *out_len;
    if (is_known) {
        memcpy(out, memo->signature, memo->len);
        *out_len = memo->len;
    }
    pthread_rwlock_unlock(&memo_lock);
    return is_known;
}

static void remember(const struct fault_how *how, const CK_BYTE *input, CK_ULONG len,
                     const CK_BYTE *signature, CK_ULONG signature_len)
{
    if (len > FAULT_INPUT_MAX || signature_len > FAULT_SIGNATURE_MAX)
        return;
    pthread_rwlock_wrlock(&memo_lock);
    struct memo **place = find_locked(how, input, len);
    if (*place == NULL)
        *place = malloc(sizeof(**place));
    if (*place != NULL) {
        (*place)->how = *how;
        (*place)->input_len = len;
        (*place)->len = signature_len;
        memcpy((*place)->input, input, len);
        memcpy((*place)->signature, signature, signature_len);
    }
    pthread_rwlock_unlock(&memo_lock);
}

void fault_forget_signatures(void)
{
    pthread_rwlock_wrlock(&memo_lock);
    for (size_t i = 0; i < MEMO_MAX; i++) {
        free(memos[i]);
        memos[i] = NULL;
    }
    pthread_rwlock_unlock(&memo_lock);
}

/* Keys and inputs that are marked ----------------------------------------------------------- */

/* The CKA_ID of the key that signs; its length, 0 when it has none. */
static size_t id_of(CK_SESSION_HANDLE session, const struct fault_how *how,
                    uint8_t out[FAULT_BYTES_MAX])
{
    if (how->synthetic >= 0) {
        fault_synthetic_id((uint64_t)how->synthetic, out);
        return 16;
    }
    CK_ATTRIBUTE row = {CKA_ID, out, FAULT_BYTES_MAX};
    return fault_real->C_GetAttributeValue(session, how->key, &row, 1) == CKR_OK ? row.ulValueLen
                                                                                 : 0;
}

static bool is_key(const struct fault_bytes *marked, CK_SESSION_HANDLE session,
                   const struct fault_how *how)
{
    uint8_t id[FAULT_BYTES_MAX];
    const uint32_t len = marked->len;
    return len != 0 && id_of(session, how, id) == len && memcmp(id, marked->bytes, len) == 0;
}

static bool is_inside(const struct fault_bytes *marked, const CK_BYTE *input, CK_ULONG len)
{
    const uint32_t marked_len = marked->len;
    for (CK_ULONG i = 0; marked_len != 0 && i + marked_len <= len; i++)
        if (memcmp(input + i, marked->bytes, marked_len) == 0)
            return true;
    return false;
}

static bool is_to_be_corrupted(CK_SESSION_HANDLE session, const struct fault_how *how)
{
    return fault_is_before(fault_control->corrupt_until_ns) ||
           is_key(&fault_control->corrupt_key, session, how) || fault_take(&fault_control->corrupt);
}

/* The functions ----------------------------------------------------------------------------- */

/* While signatures are remembered the real token does not see that nobody is logged in. */
static bool is_logged_in(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;
    return fault_real->C_GetSessionInfo(session, &info) == CKR_OK &&
           (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS);
}

/* Tells the real module what it was not told by C_SignInit. */
static CK_RV catch_up(CK_SESSION_HANDLE session, struct fault_how *how)
{
    CK_MECHANISM mechanism = {how->type, how->params_len > 0 ? how->params : NULL, how->params_len};
    how->is_kept_back = false;
    return fault_real->C_SignInit(session, &mechanism, how->key);
}

CK_RV fault_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    int64_t synthetic;

    ENTER(SignInit);
    SESSION(session);
    if (!fault_use_object(&key, &synthetic))
        return fault_leave(CKR_KEY_HANDLE_INVALID);
    struct fault_session *ours = fault_session_of(session);
    if (ours == NULL)
        return fault_leave(CKR_SESSION_HANDLE_INVALID);
    const bool is_kept_back =
        fault_control->memo != 0 && mechanism->ulParameterLen <= FAULT_PARAMS_MAX;
    ours->how = (struct fault_how){.key = key,
                                   .type = mechanism->mechanism,
                                   .synthetic = synthetic,
                                   .is_kept_back = is_kept_back};
    if (!is_kept_back)
        return fault_leave(fault_real->C_SignInit(session, mechanism, key));
    if (!is_logged_in(session))
        return fault_leave(CKR_USER_NOT_LOGGED_IN);
    ours->how.params_len = mechanism->ulParameterLen;
    if (mechanism->ulParameterLen > 0)
        memcpy(ours->how.params, mechanism->pParameter, mechanism->ulParameterLen);
    return fault_leave(CKR_OK);
}

static CK_RV sign(CK_SESSION_HANDLE session, struct fault_how *how, CK_BYTE *input, CK_ULONG len,
                  CK_BYTE *out, CK_ULONG *out_len)
{
    const bool is_remembered = how->is_kept_back && out != NULL;
    CK_RV rv = CKR_OK;

    if (is_remembered && recall(how, input, len, out, out_len)) {
        how->is_kept_back = false;
        return CKR_OK;
    }
    if (how->is_kept_back)
        rv = catch_up(session, how);
    if (rv == CKR_OK)
        rv = fault_real->C_Sign(session, input, len, out, out_len);
    if (rv == CKR_OK && is_remembered)
        remember(how, input, len, out, *out_len);
    return rv;
}

/* A C_Sign that fails ends what C_SignInit began (PKCS#11 2.40 §5.11), of the real module too. */
static void end_operation(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len)
{
    CK_BYTE unseen[FAULT_SIGNATURE_MAX];
    CK_ULONG unseen_len = sizeof(unseen);

    fault_pass();
    struct fault_session *ours = fault_use_session(&session) ? fault_session_of(session) : NULL;
    if (ours != NULL && !ours->how.is_kept_back)
        fault_real->C_Sign(session, input, len, unseen, &unseen_len);
    if (ours != NULL)
        ours->how.is_kept_back = false;
    fault_leave(CKR_OK);
}

CK_RV fault_Sign(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                 CK_ULONG *out_len)
{
    CK_RV fault = fault_enter(FAULT_Sign);
    if (fault != CKR_OK) {
        end_operation(session, input, len);
        return fault;
    }
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    if (ours == NULL)
        return fault_leave(CKR_SESSION_HANDLE_INVALID);
    if (is_key(&fault_control->poison_key, session, &ours->how) ||
        is_inside(&fault_control->poison_input, input, len))
        fault_crash();
    CK_RV rv = sign(session, &ours->how, input, len, out, out_len);
    if (rv == CKR_OK && out != NULL && is_to_be_corrupted(session, &ours->how))
        out[*out_len - 1] ^= 1;
    return fault_leave(rv);
}

CK_RV fault_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG len)
{
    ENTER(SignUpdate);
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    CK_RV rv = ours != NULL && ours->how.is_kept_back ? catch_up(session, &ours->how) : CKR_OK;
    return fault_leave(rv == CKR_OK ? fault_real->C_SignUpdate(session, part, len) : rv);
}

CK_RV fault_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len)
{
    ENTER(SignFinal);
    SESSION(session);
    struct fault_session *ours = fault_session_of(session);
    CK_RV rv = ours != NULL && ours->how.is_kept_back ? catch_up(session, &ours->how) : CKR_OK;
    if (rv == CKR_OK)
        rv = fault_real->C_SignFinal(session, out, out_len);
    if (rv == CKR_OK && out != NULL && ours != NULL && is_to_be_corrupted(session, &ours->how))
        out[*out_len - 1] ^= 1;
    return fault_leave(rv);
}
