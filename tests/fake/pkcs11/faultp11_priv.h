#ifndef SG_TESTS_FAKE_PKCS11_FAULTP11_PRIV_H
#define SG_TESTS_FAKE_PKCS11_FAULTP11_PRIV_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fake/pkcs11/fault.h"

/*
 * What the files of the interposing module share. A call enters (fault_enter), which takes the
 * module's lock for reading when it is let through, uses the real module, and leaves. Handles that
 * the application holds carry the number of restarts that this process has seen in their high bits.
 */
enum { FAULT_PARAMS_MAX = 64, FAULT_INPUT_MAX = 4096, FAULT_SIGNATURE_MAX = 1024 };

extern CK_FUNCTION_LIST *fault_real;
extern struct fault_control *fault_control;

/* What C_SignInit was told, until C_Sign. */
struct fault_how {
    CK_OBJECT_HANDLE key; /* the real module's */
    CK_MECHANISM_TYPE type;
    CK_ULONG params_len;
    CK_BYTE params[FAULT_PARAMS_MAX];
    int64_t synthetic; /* which synthetic key it is; -1: a real one */
    bool is_kept_back; /* the real module has not been told yet */
};

/* A search that also finds synthetic keys: first what is real, then these. */
struct fault_search {
    bool is_ours; /* the real module's search is over, its results are here */
    CK_OBJECT_HANDLE *real;
    CK_ULONG count, at;
    bool with[2];           /* public keys, private keys */
    uint64_t place, places; /* of both parts of each synthetic key, in one row */
};

/* A session of the application, used by one thread at a time as PKCS#11 wants it. */
struct fault_session {
    CK_SESSION_HANDLE real;
    CK_SLOT_ID slot;
    struct fault_how how;
    struct fault_search search;
    struct fault_session *next;
};

/* faultp11.c ---- The faults that come before the call. CKR_OK: the caller must leave. */
CK_RV fault_enter(enum fault_function function);
CK_RV fault_leave(CK_RV rv);
void fault_pass(void); /* enters without faults and without being counted */
/* Makes of the application's handle the real one. False: it is from before a restart. */
bool fault_unwrap(CK_ULONG *handle);
CK_ULONG fault_wrap(CK_ULONG handle);
/* Makes of the application's session the real one, and logs it out when that is due. */
bool fault_use_session(CK_SESSION_HANDLE *session);
bool fault_take(_Atomic int32_t *count);
bool fault_is_before(int64_t until_ns);
/* Ends the process as a module does that has a bug. */
void fault_crash(void) __attribute__((noreturn));
void fault_rest(CK_FUNCTION_LIST *list); /* rest.c: fills in what is nowhere else */

/* sessions.c ---- By the real module's handle; NULL: there is none, or no memory. */
struct fault_session *fault_session_new(CK_SESSION_HANDLE real, CK_SLOT_ID slot);
struct fault_session *fault_session_of(CK_SESSION_HANDLE real);
void fault_session_end(CK_SESSION_HANDLE real);
void fault_sessions_end(const CK_SLOT_ID *slot); /* NULL: those of all slots */
uint32_t fault_session_count(void);

/* keys.c ---- Makes of the application's object the real one, of a synthetic key the one that it
 * borrows from; which it is goes to `ret_synthetic`, -1 for a real object. */
bool fault_use_object(CK_OBJECT_HANDLE *object, int64_t *ret_synthetic);
void fault_synthetic_id(uint64_t number, uint8_t out[16]);
void fault_forget_objects(void); /* the real module's handles are void */
CK_RV fault_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count);
CK_RV fault_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *ret, CK_ULONG max,
                        CK_ULONG *count);
CK_RV fault_FindObjectsFinal(CK_SESSION_HANDLE session);
CK_RV fault_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                              CK_ATTRIBUTE *rows, CK_ULONG count);

/* sign.c ---- */
void fault_forget_signatures(void); /* likewise: another key may be given the handle */
CK_RV fault_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV fault_Sign(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                 CK_ULONG *out_len);
CK_RV fault_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG len);
CK_RV fault_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_len);

/* The beginnings of an interposed function. */
#define ENTER(name)                                                                                \
    do {                                                                                           \
        CK_RV rv_ = fault_enter(FAULT_##name);                                                     \
        if (rv_ != CKR_OK)                                                                         \
            return rv_;                                                                            \
    } while (0)
#define SESSION(session)                                                                           \
    do {                                                                                           \
        if (!fault_use_session(&(session)))                                                        \
            return fault_leave(CKR_SESSION_HANDLE_INVALID);                                        \
    } while (0)
#define OBJECT(object, rv)                                                                         \
    do {                                                                                           \
        int64_t synthetic_;                                                                        \
        if (!fault_use_object(&(object), &synthetic_))                                             \
            return fault_leave(rv);                                                                \
    } while (0)

#endif
