/*
 * A PKCS#11 module that stands in front of another and misbehaves on command (fault.h): slow,
 * failing, hanging, down, restarted, short of sessions, lying, crashing.
 *
 *     FAULTP11_MODULE   the real module
 *     FAULTP11_CONTROL  the control file
 *
 * Session and object handles carry the number of restarts in their high bits, so that after a
 * restart those from before are refused as a network HSM refuses them, whatever the real module
 * would make of them. Latency is slept and results may be remembered ("memo"), so two cores can
 * stand in for an HSM with 32 engines.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/pkcs11/fault.h"

#define EXPORT __attribute__((visibility("default")))
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret);

enum { EPOCH_SHIFT = 40, SLOTS_MAX = 64, PENDING_MAX = 4096, MEMO_MAX = 4096, INPUT_MAX = 4096 };
enum { SIGNATURE_MAX = 1024, PARAMS_MAX = 64 };

static CK_FUNCTION_LIST *real;
static struct fault_control *control;

/* Held for reading around calls of the real module, for writing while it is "restarted". */
static pthread_rwlock_t running = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic uint32_t epoch, session_count;

static void sleep_us(uint64_t us)
{
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    while (us > 0 && nanosleep(&ts, &ts) != 0)
        continue;
}

static bool take(_Atomic int32_t *count)
{
    int32_t had = atomic_load(count);
    while (had > 0)
        if (atomic_compare_exchange_weak(count, &had, had - 1))
            return true;
    return false;
}

/* What the real token would do when it restarts: its sessions and its login are gone. */
static void restart(uint32_t to)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;

    pthread_rwlock_wrlock(&running);
    if (epoch != to) {
        if (real->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK)
            for (CK_ULONG i = 0; i < count; i++)
                real->C_CloseAllSessions(slots[i]);
        session_count = 0;
        epoch = to;
    }
    pthread_rwlock_unlock(&running);
}

/* The faults that come before the call. Afterwards `running` is held when it gives CKR_OK. */
static CK_RV enter(enum fault_function function)
{
    atomic_fetch_add(&control->of[function].calls, 1);
    while (control->of[function].is_hanging)
        sleep_us(10000);
    sleep_us(control->of[function].latency_us);
    if (epoch != control->restarts)
        restart(control->restarts);
    if (control->down_rv != 0)
        return (CK_RV)control->down_rv;
    if (take(&control->of[function].error_count))
        return (CK_RV)control->of[function].error_rv;
    pthread_rwlock_rdlock(&running);
    return CKR_OK;
}

static CK_RV leave(CK_RV rv)
{
    pthread_rwlock_unlock(&running);
    return rv;
}

static CK_ULONG wrap(CK_ULONG handle)
{
    return handle | (CK_ULONG)epoch << EPOCH_SHIFT;
}

static bool unwrap(CK_ULONG *handle)
{
    bool is_of_now = *handle >> EPOCH_SHIFT == epoch;
    *handle &= ((CK_ULONG)1 << EPOCH_SHIFT) - 1;
    return is_of_now;
}

#define ENTER(name)                                                                                \
    do {                                                                                           \
        CK_RV rv_ = enter(FAULT_##name);                                                           \
        if (rv_ != CKR_OK)                                                                         \
            return rv_;                                                                            \
    } while (0)
#define SESSION(session)                                                                           \
    do {                                                                                           \
        if (!unwrap(&(session)))                                                                   \
            return leave(CKR_SESSION_HANDLE_INVALID);                                              \
    } while (0)

static CK_RV fault_Initialize(void *args)
{
    ENTER(Initialize);
    return leave(real->C_Initialize(args));
}

static CK_RV fault_Finalize(void *reserved)
{
    ENTER(Finalize);
    session_count = 0;
    return leave(real->C_Finalize(reserved));
}

static CK_RV fault_GetSlotList(CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *count)
{
    ENTER(GetSlotList);
    return leave(real->C_GetSlotList(with_token, slots, count));
}

static CK_RV fault_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    ENTER(GetTokenInfo);
    return leave(real->C_GetTokenInfo(slot, info));
}

static CK_RV fault_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *ret)
{
    ENTER(OpenSession);
    if (control->max_sessions != 0 && session_count >= control->max_sessions)
        return leave(CKR_SESSION_COUNT);
    CK_RV rv = real->C_OpenSession(slot, flags, app, notify, ret);
    if (rv == CKR_OK) {
        *ret = wrap(*ret);
        session_count++;
    }
    return leave(rv);
}

static CK_RV fault_CloseSession(CK_SESSION_HANDLE session)
{
    ENTER(CloseSession);
    SESSION(session);
    CK_RV rv = real->C_CloseSession(session);
    if (rv == CKR_OK)
        session_count--;
    return leave(rv);
}

static CK_RV fault_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
    ENTER(GetSessionInfo);
    SESSION(session);
    return leave(real->C_GetSessionInfo(session, info));
}

static CK_RV fault_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin,
                         CK_ULONG len)
{
    ENTER(Login);
    SESSION(session);
    return leave(real->C_Login(session, user, pin, len));
}

static CK_RV fault_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE *rows, CK_ULONG count)
{
    ENTER(FindObjectsInit);
    SESSION(session);
    return leave(real->C_FindObjectsInit(session, rows, count));
}

static CK_RV fault_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *ret, CK_ULONG max,
                               CK_ULONG *count)
{
    ENTER(FindObjects);
    SESSION(session);
    CK_RV rv = real->C_FindObjects(session, ret, max, count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < *count; i++)
        ret[i] = wrap(ret[i]);
    return leave(rv);
}

static CK_RV fault_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    ENTER(FindObjectsFinal);
    SESSION(session);
    return leave(real->C_FindObjectsFinal(session));
}

static CK_RV fault_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                     CK_ATTRIBUTE *rows, CK_ULONG count)
{
    ENTER(GetAttributeValue);
    SESSION(session);
    if (!unwrap(&object))
        return leave(CKR_OBJECT_HANDLE_INVALID);
    return leave(real->C_GetAttributeValue(session, object, rows, count));
}

/* Remembered signatures ------------------------------------------------------------------- */

/* What C_SignInit was told, until C_Sign; a session is one thread's, so no lock. */
static struct pending {
    CK_OBJECT_HANDLE key;
    CK_MECHANISM_TYPE type;
    CK_ULONG params_len;
    CK_BYTE params[PARAMS_MAX];
} pending[PENDING_MAX];

static struct memo {
    struct pending how;
    CK_ULONG input_len, len;
    CK_BYTE input[INPUT_MAX], signature[SIGNATURE_MAX];
} * memos[MEMO_MAX];
static size_t memo_count;
static pthread_rwlock_t memo_lock = PTHREAD_RWLOCK_INITIALIZER;

static bool is_same(const struct memo *memo, const struct pending *how, const CK_BYTE *input,
                    CK_ULONG len)
{
    return memo->how.key == how->key && memo->how.type == how->type &&
           memo->how.params_len == how->params_len &&
           memcmp(memo->how.params, how->params, how->params_len) == 0 && memo->input_len == len &&
           memcmp(memo->input, input, len) == 0;
}

static bool recall(const struct pending *how, const CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                   CK_ULONG *out_len)
{
    bool is_known = false;
    pthread_rwlock_rdlock(&memo_lock);
    for (size_t i = 0; i < memo_count && !is_known; i++) {
        if (!is_same(memos[i], how, input, len) || memos[i]->len > *out_len)
            continue;
        memcpy(out, memos[i]->signature, memos[i]->len);
        *out_len = memos[i]->len;
        is_known = true;
    }
    pthread_rwlock_unlock(&memo_lock);
    return is_known;
}

static void remember(const struct pending *how, const CK_BYTE *input, CK_ULONG len,
                     const CK_BYTE *signature, CK_ULONG signature_len)
{
    struct memo *memo = malloc(sizeof(*memo));
    if (memo == NULL || len > INPUT_MAX || signature_len > SIGNATURE_MAX) {
        free(memo);
        return;
    }
    memo->how = *how;
    memo->input_len = len;
    memo->len = signature_len;
    memcpy(memo->input, input, len);
    memcpy(memo->signature, signature, signature_len);
    pthread_rwlock_wrlock(&memo_lock);
    if (memo_count < MEMO_MAX)
        memos[memo_count++] = memo;
    else
        free(memo);
    pthread_rwlock_unlock(&memo_lock);
}

static CK_RV fault_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                            CK_OBJECT_HANDLE key)
{
    ENTER(SignInit);
    SESSION(session);
    if (!unwrap(&key))
        return leave(CKR_KEY_HANDLE_INVALID);
    struct pending *how = &pending[session % PENDING_MAX];
    how->type = mechanism->mechanism;
    how->key = key;
    how->params_len = mechanism->ulParameterLen <= PARAMS_MAX ? mechanism->ulParameterLen : 0;
    if (how->params_len > 0)
        memcpy(how->params, mechanism->pParameter, how->params_len);
    /* When results are remembered the real token is asked at C_Sign, if at all. */
    return leave(control->memo ? CKR_OK : real->C_SignInit(session, mechanism, key));
}

static CK_RV sign_remembered(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                             CK_ULONG *out_len)
{
    struct pending *how = &pending[session % PENDING_MAX];
    if (recall(how, input, len, out, out_len))
        return CKR_OK;
    CK_MECHANISM mechanism = {how->type, how->params_len > 0 ? how->params : NULL, how->params_len};
    CK_RV rv = real->C_SignInit(session, &mechanism, how->key);
    if (rv == CKR_OK)
        rv = real->C_Sign(session, input, len, out, out_len);
    if (rv == CKR_OK)
        remember(how, input, len, out, *out_len);
    return rv;
}

static CK_RV fault_Sign(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                        CK_ULONG *out_len)
{
    if (take(&control->crash))
        abort();
    ENTER(Sign);
    SESSION(session);
    CK_RV rv = control->memo ? sign_remembered(session, input, len, out, out_len)
                             : real->C_Sign(session, input, len, out, out_len);
    if (rv == CKR_OK && out != NULL && take(&control->corrupt))
        out[*out_len - 1] ^= 1;
    return leave(rv);
}

/* Loading --------------------------------------------------------------------------------- */

static bool open_control(void)
{
    const char *path = getenv("FAULTP11_CONTROL");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*control)) != 0)
        return false;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (control == MAP_FAILED)
        return false;
    epoch = control->restarts; /* a process that starts later never had the old handles */
    return true;
}

static bool open_real(void)
{
    const char *path = getenv("FAULTP11_MODULE");
    void *library = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    CK_C_GetFunctionList get;
    memcpy(&get, &symbol, sizeof(get));
    return symbol != NULL && get(&real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    static CK_FUNCTION_LIST list;
    if (real == NULL && (!open_control() || !open_real())) {
        fputs("faultp11: set FAULTP11_MODULE and FAULTP11_CONTROL\n", stderr);
        return CKR_GENERAL_ERROR;
    }
    list = *real;
#define X(name) list.C_##name = fault_##name;
    FAULT_FUNCTIONS(X)
#undef X
    *ret = &list;
    return CKR_OK;
}
