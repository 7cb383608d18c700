#include <dlfcn.h>
#include <stdlib.h>

#include "base/clock.h"
#include "hsm/pkcs11/p11_priv.h"

enum { SLOTS_MAX = 256, BUCKETS_FIRST = 256 };

/* Sessions that are not workers': the anchor, the admin thread's, and libp11's. */
enum { SESSIONS_RESERVED = 3 };

static const int64_t inside_wait_ns = 2 * SG_NS_PER_S;

static enum sg_rc load(struct sg_p11 *p11, struct sg_err *err)
{
    p11->library = dlopen(p11->module_path, RTLD_NOW | RTLD_LOCAL);
    if (p11->library == NULL)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "could not load the PKCS#11 module: %s", dlerror());

    CK_C_GetFunctionList get_list;
    void *symbol = dlsym(p11->library, "C_GetFunctionList");
    memcpy(&get_list, &symbol, sizeof(get_list)); /* ISO C has no cast between the two */
    if (symbol == NULL || get_list(&p11->fn) != CKR_OK || p11->fn == NULL)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not use \"%s\": it is not a PKCS#11 module",
                       p11->module_path);
    return SG_OK;
}

static void init_locks(struct sg_p11 *p11)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&p11->inside, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&p11->login, NULL);
    pthread_mutex_init(&p11->facts, NULL);
    pthread_mutex_init(&p11->keys_lock, NULL);
}

enum sg_rc sg_p11_new(const struct sg_p11_config *config, struct sg_p11 **ret, struct sg_err *err)
{
    SG_AUTO(sg_p11_free) struct sg_p11 *p11 = calloc(1, sizeof(*p11));
    if (p11 == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a token");
    init_locks(p11);
    p11->module_path = config->module;
    p11->pin_file = config->pin_file;
    p11->state_dir = config->state_dir;
    p11->workers = config->workers;
    p11->workers_software = config->workers_software;
    p11->info.workers = config->workers_software; /* until it is known which token it is */
    p11->ceiling = config->workers_software;
    p11->bearable = config->workers_software;
    p11->allow_extractable = config->allow_extractable;
    p11->generation = 1;

    SG_TRY(sg_keyref_parse_token(sg_slice_str(config->uri), &p11->ref, err));
    p11->bucket_count = BUCKETS_FIRST;
    p11->buckets = calloc(p11->bucket_count, sizeof(struct sg_p11_key *));
    if (p11->buckets == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the table of keys");
    SG_TRY(load(p11, err));

    *ret = SG_STEAL(p11);
    return SG_OK;
}

void sg_p11_free(struct sg_p11 *p11)
{
    if (p11 == NULL)
        return;
    if (p11->is_initialized)
        sg_p11_finalize(p11);
    for (size_t i = 0; i < p11->bucket_count && p11->buckets != NULL; i++)
        free(p11->buckets[i]);
    free(p11->buckets);
    sg_p11_census_free(p11->census);
    pthread_rwlock_destroy(&p11->inside);
    pthread_mutex_destroy(&p11->login);
    pthread_mutex_destroy(&p11->facts);
    pthread_mutex_destroy(&p11->keys_lock);
    /* The library stays loaded: vendors' modules leave threads and exit handlers behind. */
    free(p11);
}

/* A field of CK_TOKEN_INFO, which is padded with blanks and not ended, as a string. */
static void unpad(const unsigned char *field, size_t len, char *out)
{
    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0'))
        len--;
    memcpy(out, field, len);
    out[len] = '\0';
}

static bool matches(const struct sg_keyref *ref, unsigned bit, const struct sg_keyref_value *want,
                    const char *have)
{
    return !(ref->has & bit) || sg_slice_is(sg_keyref_slice(want), have);
}

static bool is_ours(const struct sg_keyref *ref, const CK_TOKEN_INFO *token,
                    struct sg_p11_info *ret)
{
    char maker[33];
    unpad(token->label, sizeof(token->label), ret->label);
    unpad(token->model, sizeof(token->model), ret->model);
    unpad(token->serialNumber, sizeof(token->serialNumber), ret->number);
    unpad(token->manufacturerID, sizeof(token->manufacturerID), maker);
    return (token->flags & CKF_TOKEN_INITIALIZED) &&
           matches(ref, SG_KEYREF_TOKEN, &ref->token, ret->label) &&
           matches(ref, SG_KEYREF_SERIAL, &ref->serial, ret->number) &&
           matches(ref, SG_KEYREF_MODEL, &ref->model, ret->model) &&
           matches(ref, SG_KEYREF_MANUFACTURER, &ref->manufacturer, maker);
}

/* How many of the configured sessions the token bears (hsm/pkcs11/p11.h). */
static size_t bearable(const struct sg_p11 *p11, const CK_TOKEN_INFO *token)
{
    static const char softhsm[] = "SoftHSM";
    bool is_software = memcmp(token->model, softhsm, sizeof(softhsm) - 1) == 0;
    size_t workers = is_software ? p11->workers_software : p11->workers;
    CK_ULONG max = token->ulMaxSessionCount;

    if (max == CK_EFFECTIVELY_INFINITE || max == CK_UNAVAILABLE_INFORMATION)
        return workers;
    if (max <= SESSIONS_RESERVED)
        return 1;
    return max - SESSIONS_RESERVED < workers ? max - SESSIONS_RESERVED : workers;
}

/* The slot is found by what the token says of itself; numbers change with every restart. */
static enum sg_outcome find_slot(struct sg_p11 *p11, struct sg_err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    size_t found = 0;
    struct sg_p11_info info, ours = {0};

    CK_RV rv = p11->fn->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "list the slots");
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO token;
        if (p11->fn->C_GetTokenInfo(slots[i], &token) != CKR_OK ||
            !is_ours(&p11->ref, &token, &info))
            continue;
        found++;
        p11->slot = slots[i];
        ours = info;
        ours.workers = bearable(p11, &token);
    }
    if (found != 1)
        return sg_p11_refuse(err, SG_OUT_TOKEN,
                             "could not find the token: %zu of %lu slots match its URI", found,
                             count);
    pthread_mutex_lock(&p11->facts);
    ours.pin = p11->info.pin;
    p11->info = ours;
    p11->ceiling = ours.workers;
    p11->bearable = ours.workers;
    pthread_mutex_unlock(&p11->facts);
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_initialize(struct sg_p11 *p11, struct sg_err *err)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};

    CK_RV rv = p11->fn->C_Initialize(&args);
    /* C_Finalize failed when the token was away: our sessions from before are there yet. */
    if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && p11->fn->C_Finalize(NULL) == CKR_OK)
        rv = p11->fn->C_Initialize(&args);
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        return sg_p11_fail(err, rv, "initialize the PKCS#11 module");
    p11->is_initialized = true;
    p11->generation++;
    p11->lives++;
    p11->epoch++;

    enum sg_outcome outcome = find_slot(p11, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_login(p11, p11->generation, false, err);
    p11->is_open = outcome == SG_OUT_OK;
    return outcome;
}

void sg_p11_finalize(struct sg_p11 *p11)
{
    p11->fn->C_Finalize(NULL);
    p11->anchor = CK_INVALID_HANDLE;
    p11->is_initialized = p11->is_open = false;
    p11->generation++;
    p11->lives++;
}

/* Asks the token something that only the token knows. */
static enum sg_outcome ask(struct sg_p11 *p11, struct sg_p11_session *session, struct sg_err *err)
{
    CK_OBJECT_HANDLE handle;
    CK_ULONG count;
    enum sg_outcome outcome = SG_OUT_UNSET;

    for (int attempt = 0; attempt < 2; attempt++) {
        sg_p11_enter(session);
        outcome = sg_p11_login(p11, p11->generation, attempt > 0, err);
        if (outcome == SG_OUT_OK)
            outcome = sg_p11_session_ready(session, err);
        if (outcome == SG_OUT_OK)
            outcome = sg_p11_find(session, CKO_PRIVATE_KEY, (struct sg_slice){0}, &handle, 1,
                                  &count, err);
        if (outcome != SG_OUT_OK)
            sg_p11_session_close(session);
        sg_p11_leave(session);
        if (outcome == SG_OUT_OK || outcome == SG_OUT_PIN)
            break;
    }
    return outcome;
}

static bool lock_out(struct sg_p11 *p11)
{
    int64_t until = sg_mono_ns(&sg_clock_system) + inside_wait_ns;
    struct timespec ts = {.tv_sec = until / SG_NS_PER_S, .tv_nsec = until % SG_NS_PER_S};
    return pthread_rwlock_clockwrlock(&p11->inside, CLOCK_MONOTONIC, &ts) == 0;
}

enum sg_outcome sg_p11_open(struct sg_p11 *p11, struct sg_p11_session *session, bool *ret_is_stuck,
                            struct sg_err *err)
{
    *ret_is_stuck = false;
    if (p11->census != NULL && !sg_p11_census_is_fresh(p11->census, session)) {
        sg_p11_census_free(p11->census);
        p11->census = NULL;
    }
    if (p11->is_open) { /* written by this thread only */
        enum sg_outcome outcome = ask(p11, session, err);
        if (outcome == SG_OUT_OK || outcome == SG_OUT_PIN || outcome == SG_OUT_CAPACITY)
            return outcome;
    }
    if (!lock_out(p11)) {
        *ret_is_stuck = true;
        return sg_p11_refuse(err, SG_OUT_TOKEN, "could not recover the token: a call hangs in it");
    }
    sg_p11_touch(session);
    if (p11->is_initialized)
        sg_p11_finalize(p11);
    sg_p11_touch(session);
    enum sg_outcome outcome = sg_p11_initialize(p11, err);
    sg_p11_leave(session);
    return outcome;
}

void sg_p11_info(struct sg_p11 *p11, struct sg_p11_info *ret)
{
    pthread_mutex_lock(&p11->facts);
    *ret = p11->info;
    pthread_mutex_unlock(&p11->facts);
}

size_t sg_p11_workers(const struct sg_p11 *p11)
{
    return atomic_load_explicit(&p11->bearable, memory_order_relaxed);
}
