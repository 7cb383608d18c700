/*
 * The functions that have no fault of their own: each enters, so that it can be slow, fail, hang
 * and crash, has its handles made real ones, and is the real module's. C_WaitForSlotEvent and the
 * two legacy functions are the real module's alone, since the first may wait for ever.
 */
#include "tests/fake/pkcs11/faultp11_priv.h"

/* clang-format off */
#define UNBRACED(...) __VA_ARGS__
#define SLOT_FUNCTION(name, parameters, ...)                                                       \
    static CK_RV fault_##name parameters                                                           \
    {                                                                                              \
        ENTER(name);                                                                               \
        return fault_leave(fault_real->C_##name(__VA_ARGS__));                                     \
    }
#define SESSION_FUNCTION(name, parameters, ...)                                                    \
    static CK_RV fault_##name(CK_SESSION_HANDLE session UNBRACED parameters)                       \
    {                                                                                              \
        ENTER(name);                                                                               \
        SESSION(session);                                                                          \
        return fault_leave(fault_real->C_##name(session __VA_ARGS__));                             \
    }
#define KEY_FUNCTION(name, parameters, ...)                                                        \
    static CK_RV fault_##name(CK_SESSION_HANDLE session UNBRACED parameters)                       \
    {                                                                                              \
        ENTER(name);                                                                               \
        SESSION(session);                                                                          \
        OBJECT(key, CKR_KEY_HANDLE_INVALID);                                                       \
        return fault_leave(fault_real->C_##name(session, __VA_ARGS__));                            \
    }
#define OBJECT_FUNCTION(name, parameters, ...)                                                     \
    static CK_RV fault_##name(CK_SESSION_HANDLE session UNBRACED parameters)                       \
    {                                                                                              \
        ENTER(name);                                                                               \
        SESSION(session);                                                                          \
        OBJECT(object, CKR_OBJECT_HANDLE_INVALID);                                                 \
        return fault_leave(fault_real->C_##name(session, __VA_ARGS__));                            \
    }

SLOT_FUNCTION(GetInfo, (CK_INFO *info), info)
SLOT_FUNCTION(GetSlotList, (CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *count), with_token, slots, count)
SLOT_FUNCTION(GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info), slot, info)
SLOT_FUNCTION(GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count), slot, list, count)
SLOT_FUNCTION(GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info), slot, type, info)
SLOT_FUNCTION(InitToken, (CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG len, CK_UTF8CHAR *label), slot, pin, len, label)

SESSION_FUNCTION(InitPIN, (, CK_UTF8CHAR *pin, CK_ULONG len), , pin, len)
SESSION_FUNCTION(SetPIN, (, CK_UTF8CHAR *old, CK_ULONG old_len, CK_UTF8CHAR *pin, CK_ULONG len), , old, old_len, pin, len)
SESSION_FUNCTION(GetSessionInfo, (, CK_SESSION_INFO *info), , info)
SESSION_FUNCTION(GetOperationState, (, CK_BYTE *state, CK_ULONG *len), , state, len)
SESSION_FUNCTION(Logout, (), )
SESSION_FUNCTION(Encrypt, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(EncryptUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(EncryptFinal, (, CK_BYTE *out, CK_ULONG *out_len), , out, out_len)
SESSION_FUNCTION(Decrypt, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DecryptUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DecryptFinal, (, CK_BYTE *out, CK_ULONG *out_len), , out, out_len)
SESSION_FUNCTION(DigestInit, (, CK_MECHANISM *mechanism), , mechanism)
SESSION_FUNCTION(Digest, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DigestUpdate, (, CK_BYTE *in, CK_ULONG len), , in, len)
SESSION_FUNCTION(DigestFinal, (, CK_BYTE *out, CK_ULONG *out_len), , out, out_len)
SESSION_FUNCTION(SignRecover, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(Verify, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *signature, CK_ULONG signature_len), , in, len, signature, signature_len)
SESSION_FUNCTION(VerifyUpdate, (, CK_BYTE *in, CK_ULONG len), , in, len)
SESSION_FUNCTION(VerifyFinal, (, CK_BYTE *signature, CK_ULONG len), , signature, len)
SESSION_FUNCTION(VerifyRecover, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DigestEncryptUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DecryptDigestUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(SignEncryptUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(DecryptVerifyUpdate, (, CK_BYTE *in, CK_ULONG len, CK_BYTE *out, CK_ULONG *out_len), , in, len, out, out_len)
SESSION_FUNCTION(SeedRandom, (, CK_BYTE *seed, CK_ULONG len), , seed, len)
SESSION_FUNCTION(GenerateRandom, (, CK_BYTE *out, CK_ULONG len), , out, len)

KEY_FUNCTION(EncryptInit, (, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), mechanism, key)
KEY_FUNCTION(DecryptInit, (, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), mechanism, key)
KEY_FUNCTION(DigestKey, (, CK_OBJECT_HANDLE key), key)
KEY_FUNCTION(SignRecoverInit, (, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), mechanism, key)
KEY_FUNCTION(VerifyInit, (, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), mechanism, key)
KEY_FUNCTION(VerifyRecoverInit, (, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key), mechanism, key)

OBJECT_FUNCTION(GetObjectSize, (, CK_OBJECT_HANDLE object, CK_ULONG *size), object, size)
OBJECT_FUNCTION(SetAttributeValue, (, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *rows, CK_ULONG count), object, rows, count)
/* clang-format on */

/* Those that make objects, or have two ---------------------------------------------------- */

static CK_RV wrapped(CK_RV rv, CK_OBJECT_HANDLE *object)
{
    if (rv == CKR_OK)
        *object = fault_wrap(*object);
    return fault_leave(rv);
}

static CK_RV fault_SetOperationState(CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG len,
                                     CK_OBJECT_HANDLE encryption, CK_OBJECT_HANDLE authentication)
{
    ENTER(SetOperationState);
    SESSION(session);
    if (encryption != CK_INVALID_HANDLE)
        OBJECT(encryption, CKR_KEY_HANDLE_INVALID);
    if (authentication != CK_INVALID_HANDLE)
        OBJECT(authentication, CKR_KEY_HANDLE_INVALID);
    return fault_leave(
        fault_real->C_SetOperationState(session, state, len, encryption, authentication));
}

static CK_RV fault_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count,
                                CK_OBJECT_HANDLE *ret)
{
    ENTER(CreateObject);
    SESSION(session);
    return wrapped(fault_real->C_CreateObject(session, rows, count, ret), ret);
}

static CK_RV fault_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                              CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
    ENTER(CopyObject);
    SESSION(session);
    OBJECT(object, CKR_OBJECT_HANDLE_INVALID);
    return wrapped(fault_real->C_CopyObject(session, object, rows, count, ret), ret);
}

static CK_RV fault_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
    int64_t synthetic;

    ENTER(DestroyObject);
    SESSION(session);
    if (!fault_use_object(&object, &synthetic))
        return fault_leave(CKR_OBJECT_HANDLE_INVALID);
    if (synthetic >= 0) /* what it borrows from is not its own to destroy */
        return fault_leave(CKR_ATTRIBUTE_READ_ONLY);
    return fault_leave(fault_real->C_DestroyObject(session, object));
}

static CK_RV fault_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_ATTRIBUTE *rows, CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
    ENTER(GenerateKey);
    SESSION(session);
    return wrapped(fault_real->C_GenerateKey(session, mechanism, rows, count, ret), ret);
}

static CK_RV fault_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                   CK_ATTRIBUTE *public_rows, CK_ULONG public_count,
                                   CK_ATTRIBUTE *private_rows, CK_ULONG private_count,
                                   CK_OBJECT_HANDLE *ret_public, CK_OBJECT_HANDLE *ret_private)
{
    ENTER(GenerateKeyPair);
    SESSION(session);
    CK_RV rv = fault_real->C_GenerateKeyPair(session, mechanism, public_rows, public_count,
                                             private_rows, private_count, ret_public, ret_private);
    if (rv == CKR_OK)
        *ret_public = fault_wrap(*ret_public);
    return wrapped(rv, ret_private);
}

static CK_RV fault_WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                           CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE *out,
                           CK_ULONG *out_len)
{
    ENTER(WrapKey);
    SESSION(session);
    OBJECT(wrapping, CKR_WRAPPING_KEY_HANDLE_INVALID);
    OBJECT(key, CKR_KEY_HANDLE_INVALID);
    return fault_leave(fault_real->C_WrapKey(session, mechanism, wrapping, key, out, out_len));
}

static CK_RV fault_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_OBJECT_HANDLE key, CK_BYTE *in, CK_ULONG len, CK_ATTRIBUTE *rows,
                             CK_ULONG count, CK_OBJECT_HANDLE *ret)
{
    ENTER(UnwrapKey);
    SESSION(session);
    OBJECT(key, CKR_UNWRAPPING_KEY_HANDLE_INVALID);
    return wrapped(fault_real->C_UnwrapKey(session, mechanism, key, in, len, rows, count, ret),
                   ret);
}

static CK_RV fault_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_OBJECT_HANDLE key, CK_ATTRIBUTE *rows, CK_ULONG count,
                             CK_OBJECT_HANDLE *ret)
{
    ENTER(DeriveKey);
    SESSION(session);
    OBJECT(key, CKR_KEY_HANDLE_INVALID);
    return wrapped(fault_real->C_DeriveKey(session, mechanism, key, rows, count, ret), ret);
}

void fault_rest(CK_FUNCTION_LIST *list)
{
    /* clang-format off */
#define FILL(name) list->C_##name = fault_##name;
    FILL(GetInfo) FILL(GetSlotList) FILL(GetSlotInfo) FILL(GetMechanismList) FILL(GetMechanismInfo)
    FILL(InitToken) FILL(InitPIN) FILL(SetPIN) FILL(GetSessionInfo) FILL(GetOperationState)
    FILL(SetOperationState) FILL(Logout) FILL(CreateObject) FILL(CopyObject) FILL(DestroyObject)
    FILL(GetObjectSize) FILL(SetAttributeValue) FILL(EncryptInit) FILL(Encrypt) FILL(EncryptUpdate)
    FILL(EncryptFinal) FILL(DecryptInit) FILL(Decrypt) FILL(DecryptUpdate) FILL(DecryptFinal)
    FILL(DigestInit) FILL(Digest) FILL(DigestUpdate) FILL(DigestKey) FILL(DigestFinal)
    FILL(SignRecoverInit) FILL(SignRecover) FILL(VerifyInit) FILL(Verify) FILL(VerifyUpdate)
    FILL(VerifyFinal) FILL(VerifyRecoverInit) FILL(VerifyRecover) FILL(DigestEncryptUpdate)
    FILL(DecryptDigestUpdate) FILL(SignEncryptUpdate) FILL(DecryptVerifyUpdate) FILL(GenerateKey)
    FILL(GenerateKeyPair) FILL(WrapKey) FILL(UnwrapKey) FILL(DeriveKey) FILL(SeedRandom)
    FILL(GenerateRandom)
#undef FILL
    /* clang-format on */
}
