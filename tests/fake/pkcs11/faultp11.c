/*
 * A PKCS#11 module that stands in front of another and misbehaves on command (fault.h): slow,
 * failing, hanging, down, restarted, short of sessions, lying, crashing. README.md explains it.
 *
 * Session and object handles carry the number of restarts in their high bits, so that after a
 * restart those from before are refused as a network HSM refuses them, whatever the real module
 * would make of them. Latency is slept and results may be remembered ("memo"), so two cores can
 * stand in for an HSM with 32 engines.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/pkcs11/faultp11_priv.h"

#define EXPORT __attribute__((visibility("default")))
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret);

enum { EPOCH_SHIFT = 40, SLOTS_MAX = 64, HANG_STEP_US = 5000, PATH_LEN_MAX = 1024 };

CK_FUNCTION_LIST *fault_real;
struct fault_control *fault_control;

/* Held for reading around calls of the real module, for writing while it is "restarted". */
static pthread_rwlock_t running = PTHREAD_RWLOCK_INITIALIZER;
static uint32_t restarts_at_load; /* a process that starts later never had the old handles */
static _Atomic uint32_t epoch;    /* restarts since then */
static _Atomic uint32_t logouts;

/* Where the module and its settings are: from FILE.conf beside it, or from the environment. */
static struct {
    char module[PATH_LEN_MAX], control[PATH_LEN_MAX], variable[PATH_LEN_MAX];
    char *value; /* of the variable of the environment, inside it */
} settings;

/* Faults ---------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

bool fault_is_before(int64_t until_ns)
{
    return until_ns != 0 && now_ns() < until_ns;
}

static void sleep_us(uint64_t us)
{
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    while (us > 0 && nanosleep(&ts, &ts) != 0)
        continue;
}

bool fault_take(_Atomic int32_t *count)
{
    int32_t had = atomic_load(count);
    while (had > 0)
        if (atomic_compare_exchange_weak(count, &had, had - 1))
            return true;
    return false;
}

void fault_crash(void)
{
    signal(SIGSEGV, SIG_DFL); /* whoever catches it, a sanitizer say, would make a report of it */
    raise(SIGSEGV);
    abort(); /* where the signal is blocked */
}

/* xorshift of the thread's own: latency needs no better, and nobody waits for a lock. */
static uint32_t jitter(uint32_t max)
{
    static _Thread_local uint32_t state;
    if (max == 0)
        return 0;
    if (state == 0)
        state = (uint32_t)now_ns() | 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % (max + 1);
}

static void hang(enum fault_function function)
{
    if (fault_take(&fault_control->of[function].hang_count)) {
        const uint32_t seen = fault_control->releases;
        while (fault_control->releases == seen)
            sleep_us(HANG_STEP_US);
    }
    while (fault_control->of[function].is_hanging) {
        const int64_t until_ns = fault_control->of[function].hang_until_ns;
        if (until_ns != 0 && !fault_is_before(until_ns))
            return;
        sleep_us(HANG_STEP_US);
    }
}

/* What the real token would do when it restarts: its sessions and its login are gone. */
static void restart(uint32_t to)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;

    pthread_rwlock_wrlock(&running);
    if (epoch != to) {
        if (fault_real->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK)
            for (CK_ULONG i = 0; i < count; i++)
                fault_real->C_CloseAllSessions(slots[i]);
        fault_sessions_end(NULL);
        fault_forget_objects();
        epoch = to;
    }
    pthread_rwlock_unlock(&running);
}

static bool is_down(void)
{
    const int64_t until_ns = fault_control->down_until_ns;
    return fault_control->down_rv != 0 && (until_ns == 0 || fault_is_before(until_ns));
}

CK_RV fault_enter(enum fault_function function)
{
    atomic_fetch_add(&fault_control->of[function].calls, 1);
    hang(function);
    sleep_us(fault_control->of[function].latency_us +
             (uint64_t)jitter(fault_control->of[function].jitter_us));
    if (fault_take(&fault_control->of[function].crash))
        fault_crash();
    const uint32_t to = fault_control->restarts - restarts_at_load;
    if (epoch != to)
        restart(to);
    if (is_down())
        return (CK_RV)fault_control->down_rv;
    if (fault_take(&fault_control->of[function].error_count) ||
        fault_is_before(fault_control->of[function].error_until_ns))
        return (CK_RV)fault_control->of[function].error_rv;
    fault_pass();
    return CKR_OK;
}

void fault_pass(void)
{
    pthread_rwlock_rdlock(&running);
}

CK_RV fault_leave(CK_RV rv)
{
    pthread_rwlock_unlock(&running);
    return rv;
}

CK_ULONG fault_wrap(CK_ULONG handle)
{
    return handle | (CK_ULONG)epoch << EPOCH_SHIFT;
}

bool fault_unwrap(CK_ULONG *handle)
{
    bool is_of_now = *handle >> EPOCH_SHIFT == epoch;
    *handle &= ((CK_ULONG)1 << EPOCH_SHIFT) - 1;
    return is_of_now;
}

bool fault_use_session(CK_SESSION_HANDLE *session)
{
    if (!fault_unwrap(session))
        return false;
    const uint32_t due = fault_control->logouts;
    if (logouts != due && atomic_exchange(&logouts, due) != due) {
        fault_real->C_Logout(*session);
        fault_forget_objects();
    }
    return true;
}

/* Functions with a fault of their own ------------------------------------------------------ */

static CK_RV fault_Initialize(void *args)
{
    ENTER(Initialize);
    if (settings.variable[0] != '\0') /* another copy of this module may have set another */
        setenv(settings.variable, settings.value, 1);
    return fault_leave(fault_real->C_Initialize(args));
}

static CK_RV fault_Finalize(void *reserved)
{
    ENTER(Finalize);
    fault_sessions_end(NULL);
    fault_forget_objects();
    return fault_leave(fault_real->C_Finalize(reserved));
}

static CK_RV fault_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    ENTER(GetTokenInfo);
    CK_RV rv = fault_real->C_GetTokenInfo(slot, info);
    if (rv == CKR_OK && fault_control->said_sessions != 0)
        info->ulMaxSessionCount = fault_control->said_sessions;
    return fault_leave(rv);
}

static CK_RV fault_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *ret)
{
    CK_SESSION_HANDLE session;

    ENTER(OpenSession);
    const uint32_t max = fault_control->max_sessions;
    if (max != 0 && fault_session_count() >= max)
        return fault_leave(CKR_SESSION_COUNT);
    CK_RV rv = fault_real->C_OpenSession(slot, flags, app, notify, &session);
    if (rv == CKR_OK && fault_session_new(session, slot) == NULL) {
        fault_real->C_CloseSession(session);
        rv = CKR_HOST_MEMORY;
    }
    if (rv == CKR_OK)
        *ret = fault_wrap(session);
    return fault_leave(rv);
}

static CK_RV fault_CloseSession(CK_SESSION_HANDLE session)
{
    ENTER(CloseSession);
    SESSION(session);
    CK_RV rv = fault_real->C_CloseSession(session);
    if (rv == CKR_OK)
        fault_session_end(session);
    return fault_leave(rv);
}

static CK_RV fault_CloseAllSessions(CK_SLOT_ID slot)
{
    ENTER(CloseAllSessions);
    CK_RV rv = fault_real->C_CloseAllSessions(slot);
    if (rv == CKR_OK)
        fault_sessions_end(&slot);
    return fault_leave(rv);
}

static CK_RV fault_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin,
                         CK_ULONG len)
{
    ENTER(Login);
    SESSION(session);
    const uint32_t tries = fault_control->pin_tries;
    CK_RV rv = (CK_RV)fault_control->pin_rv;
    if (rv == CKR_OK && tries != 0 && fault_control->pin_refused >= tries)
        rv = CKR_PIN_LOCKED;
    if (rv == CKR_OK)
        rv = fault_real->C_Login(session, user, pin, len);
    if (rv == CKR_PIN_INCORRECT)
        atomic_fetch_add(&fault_control->pin_refused, 1);
    else if (rv == CKR_OK)
        fault_control->pin_refused = 0;
    return fault_leave(rv);
}

/* Loading --------------------------------------------------------------------------------- */

static void set_text(char *out, const char *text)
{
    snprintf(out, PATH_LEN_MAX, "%s", text);
}

/* One line of FILE.conf: NAME=VALUE. False: there is no such setting. */
static bool set(const char *line)
{
    if (line[0] == '#' || line[0] == '\0')
        return true;
    if (strncmp(line, "module=", 7) == 0)
        set_text(settings.module, line + 7);
    else if (strncmp(line, "control=", 8) == 0)
        set_text(settings.control, line + 8);
    else if (strncmp(line, "env=", 4) == 0 && strchr(line + 4, '=') != NULL)
        set_text(settings.variable, line + 4);
    else
        return false;
    return true;
}

/* The file that is named as this library is, and ".conf". False: it is wrong. */
static bool read_settings(void)
{
    char line[PATH_LEN_MAX];
    Dl_info self;
    bool is_right = true;

    set_text(settings.module, getenv("FAULTP11_MODULE") ? getenv("FAULTP11_MODULE") : "");
    set_text(settings.control, getenv("FAULTP11_CONTROL") ? getenv("FAULTP11_CONTROL") : "");
    if (dladdr(&settings, &self) == 0 ||
        snprintf(line, sizeof(line), "%s.conf", self.dli_fname) >= (int)sizeof(line))
        return true;
    FILE *file = fopen(line, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        is_right = is_right && set(line);
    }
    if (file != NULL)
        fclose(file);
    if (settings.variable[0] != '\0') {
        settings.value = strchr(settings.variable, '=');
        *settings.value++ = '\0';
        setenv(settings.variable, settings.value, 1); /* for modules that look when loaded */
    }
    return is_right;
}

static bool open_control(void)
{
    int fd = open(settings.control, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*fault_control)) != 0)
        return false;
    fault_control = mmap(NULL, sizeof(*fault_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (fault_control == MAP_FAILED)
        return false;
    restarts_at_load = fault_control->restarts;
    logouts = fault_control->logouts;
    return true;
}

static bool open_real(void)
{
    void *library = dlopen(settings.module, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    CK_C_GetFunctionList get;
    memcpy(&get, &symbol, sizeof(get));
    return symbol != NULL && get(&fault_real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    static CK_FUNCTION_LIST list;
    if (fault_real == NULL && (!read_settings() || !open_control() || !open_real())) {
        fprintf(stderr, "faultp11: could not load \"%s\" with the control file \"%s\"\n",
                settings.module, settings.control);
        return CKR_GENERAL_ERROR;
    }
    list = *fault_real;
    fault_rest(&list);
    list.C_Initialize = fault_Initialize;
    list.C_Finalize = fault_Finalize;
    list.C_GetTokenInfo = fault_GetTokenInfo;
    list.C_OpenSession = fault_OpenSession;
    list.C_CloseSession = fault_CloseSession;
    list.C_CloseAllSessions = fault_CloseAllSessions;
    list.C_Login = fault_Login;
    list.C_FindObjectsInit = fault_FindObjectsInit;
    list.C_FindObjects = fault_FindObjects;
    list.C_FindObjectsFinal = fault_FindObjectsFinal;
    list.C_GetAttributeValue = fault_GetAttributeValue;
    list.C_SignInit = fault_SignInit;
    list.C_Sign = fault_Sign;
    list.C_SignUpdate = fault_SignUpdate;
    list.C_SignFinal = fault_SignFinal;
    *ret = &list;
    return CKR_OK;
}
