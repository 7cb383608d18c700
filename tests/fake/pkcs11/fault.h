#ifndef SG_TESTS_FAKE_PKCS11_FAULT_H
#define SG_TESTS_FAKE_PKCS11_FAULT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The control panel of the fault rig: a file that the interposing module (faultp11.c) and the
 * control program (faultctl.c) map. All zero means no fault. The module reads it at every call,
 * so a fault takes effect at once, also in a process that runs, and processes share it. Times are
 * of CLOCK_MONOTONIC, which all processes of a machine have in common.
 */
/* clang-format off */
#define FAULT_FUNCTIONS(X) \
    X(Initialize) X(Finalize) X(GetInfo) X(GetSlotList) X(GetSlotInfo) X(GetTokenInfo) \
    X(GetMechanismList) X(GetMechanismInfo) X(InitToken) X(InitPIN) X(SetPIN) X(OpenSession) \
    X(CloseSession) X(CloseAllSessions) X(GetSessionInfo) X(GetOperationState) \
    X(SetOperationState) X(Login) X(Logout) X(CreateObject) X(CopyObject) X(DestroyObject) \
    X(GetObjectSize) X(GetAttributeValue) X(SetAttributeValue) X(FindObjectsInit) X(FindObjects) \
    X(FindObjectsFinal) X(EncryptInit) X(Encrypt) X(EncryptUpdate) X(EncryptFinal) X(DecryptInit) \
    X(Decrypt) X(DecryptUpdate) X(DecryptFinal) X(DigestInit) X(Digest) X(DigestUpdate) \
    X(DigestKey) X(DigestFinal) X(SignInit) X(Sign) X(SignUpdate) X(SignFinal) X(SignRecoverInit) \
    X(SignRecover) X(VerifyInit) X(Verify) X(VerifyUpdate) X(VerifyFinal) X(VerifyRecoverInit) \
    X(VerifyRecover) X(DigestEncryptUpdate) X(DecryptDigestUpdate) X(SignEncryptUpdate) \
    X(DecryptVerifyUpdate) X(GenerateKey) X(GenerateKeyPair) X(WrapKey) X(UnwrapKey) X(DeriveKey) \
    X(SeedRandom) X(GenerateRandom)
/* clang-format on */

#define FAULT_NUMBER(name) FAULT_##name,
enum fault_function { FAULT_FUNCTIONS(FAULT_NUMBER) FAULT_FUNCTION_COUNT };

enum { FAULT_BYTES_MAX = 64, FAULT_SYNTHETIC_MAX = 1000000 };

/*
 * Synthetic keys are pairs that the token seems to have and that borrow everything from one real
 * pair but CKA_ID and CKA_LABEL. The CKA_ID of the n-th, from 0, is this and n in eight bytes, big
 * end first; its CKA_LABEL is "synthetic-n" with n in decimal.
 */
#define FAULT_SYNTHETIC_ID "syntheti"

/* A CKA_ID or a part of an input; none when `len` is 0, which is written last. */
struct fault_bytes {
    _Atomic uint32_t len;
    uint8_t bytes[FAULT_BYTES_MAX];
};

struct fault_control {
    _Atomic uint64_t down_rv;       /* every call fails so; 0: up */
    _Atomic int64_t down_until_ns;  /* and not longer than that; 0: until it is up */
    _Atomic uint32_t restarts;      /* each voids all sessions, handles and the login */
    _Atomic uint32_t logouts;       /* each voids the login alone */
    _Atomic uint32_t releases;      /* each frees the calls that hang by a count */
    _Atomic uint32_t max_sessions;  /* 0: no limit */
    _Atomic uint32_t sessions;      /* open now, in the process that opened or closed one last */
    _Atomic uint32_t said_sessions; /* what C_GetTokenInfo says of the limit; 0: what is true */

    _Atomic int32_t corrupt;          /* so many signatures with a wrong bit */
    _Atomic int64_t corrupt_until_ns; /* and all until then */
    struct fault_bytes corrupt_key;   /* and all by this key */
    struct fault_bytes poison_key;    /* each signature by this key ends the process, */
    struct fault_bytes poison_input;  /* each whose input has these bytes in it too */

    _Atomic uint64_t pin_rv;      /* how each C_Login is answered; 0: as the real token does */
    _Atomic uint32_t pin_tries;   /* after so many wrong PINs it is locked; 0: never */
    _Atomic uint32_t pin_refused; /* wrong PINs since the last right one */

    _Atomic uint32_t memo;            /* the same input is signed once and remembered */
    _Atomic uint32_t synthetic_count; /* so many keys that borrow from the key below */
    struct fault_bytes synthetic_base;

    struct {
        _Atomic uint32_t latency_us;    /* slept, so that waiting costs no processor */
        _Atomic uint32_t jitter_us;     /* up to so much more, at random */
        _Atomic uint32_t is_hanging;    /* until it is 0 again, */
        _Atomic int64_t hang_until_ns;  /* or until then; 0: no such end */
        _Atomic int32_t hang_count;     /* so many calls hang until the next release */
        _Atomic int32_t error_count;    /* so many calls fail with error_rv */
        _Atomic int64_t error_until_ns; /* and all until then */
        _Atomic uint64_t error_rv;
        _Atomic int32_t crash; /* so many calls end the process by SIGSEGV */
        _Atomic uint64_t calls;
    } of[FAULT_FUNCTION_COUNT];
};

#endif
