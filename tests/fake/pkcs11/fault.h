#ifndef SG_TESTS_FAKE_PKCS11_FAULT_H
#define SG_TESTS_FAKE_PKCS11_FAULT_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * The control panel of the fault rig: a file that the interposing module (faultp11.c) and the
 * control program (faultctl.c) map. All zero means no fault. The module reads it at every call,
 * so a fault takes effect at once, also in a process that runs.
 */
/* clang-format off */
#define FAULT_FUNCTIONS(X)           \
    X(Initialize) X(Finalize) X(GetSlotList) X(GetTokenInfo) \
    X(OpenSession) X(CloseSession) X(GetSessionInfo) X(Login) \
    X(FindObjectsInit) X(FindObjects) X(FindObjectsFinal) X(GetAttributeValue) \
    X(SignInit) X(Sign)
/* clang-format on */

#define FAULT_NUMBER(name) FAULT_##name,
enum fault_function { FAULT_FUNCTIONS(FAULT_NUMBER) FAULT_FUNCTION_COUNT };

struct fault_control {
    _Atomic uint64_t down_rv;      /* every call fails so; 0: up */
    _Atomic uint32_t restarts;     /* each voids all sessions, handles and the login */
    _Atomic uint32_t max_sessions; /* 0: no limit */
    _Atomic int32_t corrupt;       /* so many signatures with a wrong bit */
    _Atomic int32_t crash;         /* so many C_Sign end the process */
    _Atomic uint32_t memo;         /* the same input is signed once and remembered */
    struct {
        _Atomic uint32_t latency_us; /* slept, so that waiting costs no processor */
        _Atomic uint32_t is_hanging;
        _Atomic int32_t error_count; /* so many calls fail with error_rv */
        _Atomic uint64_t error_rv;
        _Atomic uint64_t calls;
    } of[FAULT_FUNCTION_COUNT];
};

#endif
