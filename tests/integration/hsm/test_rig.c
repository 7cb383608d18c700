/*
 * The fault rig itself: two copies of its module in this process, each before a copy of SoftHSM's,
 * with a control file each. What they do to PKCS#11 calls is looked at directly, without a gateway.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/fake/pkcs11/fault.h"
#include "tests/integration/hsm/rig.h"

enum { RO = CKF_SERIAL_SESSION, SYNTHETIC = 100000 };

static const char *const specs[] = {"a:ec-p256", "b:ec-p256"};
static const CK_UTF8CHAR pin[] = "1234567890";

static struct rig rigs[2]; /* of one token, with a control file each */

/* One of the two HSMs, logged in, with its two keys found. */
static struct hsm {
    CK_FUNCTION_LIST *fn;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key[2];
} hsms[2], *const a = &hsms[0], *const b = &hsms[1];

static void copy(const char *from, const char *to)
{
    char command[1200];
    snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own paths */
}

static void load(struct hsm *hsm, struct rig *rig, const char *name)
{
    char module[600], path[200], text[600];
    CK_C_GetFunctionList get_list;

    rig_fault_env(rig, module, sizeof(module));
    snprintf(path, sizeof(path), "%s/%s-hsm.so", rig->dir, name);
    copy(rig->module, path);
    snprintf(path, sizeof(path), "%s/%s.so.conf", rig->dir, name);
    FILE *conf = fopen(path, "we");
    assert_non_null(conf);
    snprintf(text, sizeof(text), "# one of two\nmodule=%s/%s-hsm.so\ncontrol=%s\nenv=RIG_%s=1\n",
             rig->dir, name, rig->control, name);
    assert_true(fputs(text, conf) >= 0);
    fclose(conf);
    snprintf(path, sizeof(path), "%s/%s.so", rig->dir, name);
    copy(module, path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    void *symbol = dlsym(library, "C_GetFunctionList");
    memcpy(&get_list, &symbol, sizeof(get_list));
    assert_int_equal(get_list(&hsm->fn), CKR_OK);
    assert_string_equal(getenv(strcmp(name, "a") == 0 ? "RIG_a" : "RIG_b"), "1");
}

static CK_RV log_in(struct hsm *hsm)
{
    CK_UTF8CHAR copy_of_pin[sizeof(pin)];
    memcpy(copy_of_pin, pin, sizeof(pin));
    return hsm->fn->C_Login(hsm->session, CKU_USER, copy_of_pin, sizeof(pin) - 1);
}

static CK_ULONG find(struct hsm *hsm, CK_OBJECT_CLASS class, const uint8_t *id, size_t id_len,
                     CK_OBJECT_HANDLE *ret, CK_ULONG max)
{
    CK_BYTE bytes[FAULT_BYTES_MAX] = {0};
    CK_ATTRIBUTE rows[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_ID, bytes, id_len}};
    CK_ULONG count = 0, got = 0;

    memcpy(bytes, id, id_len);
    assert_int_equal(hsm->fn->C_FindObjectsInit(hsm->session, rows, id_len > 0 ? 2 : 1), CKR_OK);
    do {
        assert_int_equal(hsm->fn->C_FindObjects(hsm->session, ret + count,
                                                max - count < 500 ? max - count : 500, &got),
                         CKR_OK);
        count += got;
    } while (got > 0 && count < max);
    assert_int_equal(hsm->fn->C_FindObjectsFinal(hsm->session), CKR_OK);
    return count;
}

static void find_keys(struct hsm *hsm)
{
    for (size_t i = 0; i < SG_COUNT(specs); i++)
        assert_int_equal(find(hsm, CKO_PRIVATE_KEY, rigs[0].keys[i].id, 16, &hsm->key[i], 1), 1);
}

static void open_session(struct hsm *hsm)
{
    assert_int_equal(hsm->fn->C_OpenSession(hsm->slot, RO, NULL, NULL, &hsm->session), CKR_OK);
}

static void find_slot(struct hsm *hsm)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = SG_COUNT(slots);
    assert_int_equal(hsm->fn->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        assert_int_equal(hsm->fn->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (memcmp(info.label, "rig ", 4) == 0)
            hsm->slot = slots[i];
    }
}

static int make(void **state)
{
    (void)state;
    rig_make(&rigs[0], specs, SG_COUNT(specs));
    rigs[1] = rigs[0];
    snprintf(rigs[1].control, sizeof(rigs[1].control), "%s/control-b", rigs[1].dir);
    load(a, &rigs[0], "a");
    load(b, &rigs[1], "b");
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    rig_remove(&rigs[0]);
    return 0;
}

/* Both without a fault, opened and logged in. */
static int begin(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(hsms); i++) {
        rig_fault(&rigs[i], "reset", NULL);
        assert_int_equal(hsms[i].fn->C_Initialize(NULL), CKR_OK);
        find_slot(&hsms[i]);
        open_session(&hsms[i]);
        assert_int_equal(log_in(&hsms[i]), CKR_OK);
        find_keys(&hsms[i]);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(hsms); i++) {
        rig_fault(&rigs[i], "reset", NULL);
        assert_int_equal(hsms[i].fn->C_Finalize(NULL), CKR_OK);
    }
    return 0;
}

static CK_RV sign(struct hsm *hsm, CK_OBJECT_HANDLE key, uint8_t of, uint8_t out[64])
{
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    uint8_t digest[32] = {of};
    CK_ULONG len = 64;
    CK_RV rv = hsm->fn->C_SignInit(hsm->session, &mechanism, key);
    return rv == CKR_OK ? hsm->fn->C_Sign(hsm->session, digest, sizeof(digest), out, &len) : rv;
}

static CK_RV sign_some(struct hsm *hsm)
{
    uint8_t out[64];
    return sign(hsm, hsm->key[0], 1, out);
}

/* By the token itself, through the other copy of the module, which has no fault. */
static bool verifies(CK_OBJECT_HANDLE public_key, uint8_t of, const uint8_t signature[64])
{
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    uint8_t digest[32] = {of}, bytes[64];
    memcpy(bytes, signature, sizeof(bytes));
    assert_int_equal(b->fn->C_VerifyInit(b->session, &mechanism, public_key), CKR_OK);
    return b->fn->C_Verify(b->session, digest, sizeof(digest), bytes, sizeof(bytes)) == CKR_OK;
}

static CK_OBJECT_HANDLE public_of(size_t key)
{
    CK_OBJECT_HANDLE handle;
    assert_int_equal(find(b, CKO_PUBLIC_KEY, rigs[0].keys[key].id, 16, &handle, 1), 1);
    return handle;
}

static void hex_of(const uint8_t *id, char out[33])
{
    for (size_t i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * SG_NS_PER_S + ts.tv_nsec;
}

/* ---- Time ---- */

static void latency_is_slept_and_of_one_copy_alone(void **state)
{
    (void)state;
    rig_fault(&rigs[0], "lat", "Sign", "60000", NULL);
    int64_t begin_ns = rig_now_ns(), cpu_ns = thread_cpu_ns();
    assert_int_equal(sign_some(a), CKR_OK);
    assert_true(rig_now_ns() - begin_ns >= 60 * SG_NS_PER_MS);
    assert_true(thread_cpu_ns() - cpu_ns < 40 * SG_NS_PER_MS);
    rig_fault(&rigs[0], "lat", "Sign", "1000000", NULL);
    begin_ns = rig_now_ns();
    assert_int_equal(sign_some(b), CKR_OK);
    assert_true(rig_now_ns() - begin_ns < 900 * SG_NS_PER_MS);
}

static void latency_may_vary(void **state)
{
    (void)state;
    int64_t least = INT64_MAX, most = 0;
    rig_fault(&rigs[0], "memo", "1", "lat", "Sign", "1000", "40000", NULL);
    for (int i = 0; i < 20; i++) {
        const int64_t begin_ns = rig_now_ns();
        assert_int_equal(sign_some(a), CKR_OK);
        const int64_t took_ns = rig_now_ns() - begin_ns;
        least = took_ns < least ? took_ns : least;
        most = took_ns > most ? took_ns : most;
    }
    assert_true(least >= SG_NS_PER_MS && most > least + 5 * SG_NS_PER_MS);
}

static struct hung {
    struct hsm *hsm;
    atomic_int done;
    CK_RV rv;
} hung;

static void *sign_in_thread(void *arg)
{
    (void)arg;
    hung.rv = sign_some(hung.hsm);
    hung.done = 1;
    return NULL;
}

static pthread_t hang_in_thread(struct hsm *hsm)
{
    pthread_t thread;
    hung.hsm = hsm;
    hung.done = 0;
    assert_int_equal(pthread_create(&thread, NULL, sign_in_thread, NULL), 0);
    return thread;
}

static void a_hanging_function_goes_on_when_released(void **state)
{
    (void)state;
    static const char *const releases[] = {"unhang", "reset"};
    for (size_t i = 0; i < 2 * SG_COUNT(releases); i++) {
        rig_fault(&rigs[0], "hang", "Sign", i % 2 == 0 ? "1" : NULL, NULL);
        pthread_t thread = hang_in_thread(a);
        usleep(50000);
        assert_int_equal(hung.done, 0);
        rig_fault(&rigs[0], releases[i / 2], NULL);
        pthread_join(thread, NULL);
        assert_int_equal(hung.rv, CKR_OK);
    }
}

static void of_a_count_no_more_than_so_many_hang(void **state)
{
    (void)state;
    rig_fault(&rigs[0], "hang", "Sign", "1", NULL);
    pthread_t thread = hang_in_thread(a);
    usleep(50000);
    struct hsm other = *a;
    open_session(&other);
    assert_int_equal(sign_some(&other), CKR_OK);
    assert_int_equal(hung.done, 0);
    rig_fault(&rigs[0], "unhang", NULL);
    pthread_join(thread, NULL);
}

static void a_hang_ends_with_its_time(void **state)
{
    (void)state;
    rig_fault(&rigs[0], "hang", "Sign", "for", "100ms", NULL);
    const int64_t begin_ns = rig_now_ns();
    assert_int_equal(sign_some(a), CKR_OK);
    assert_true(rig_now_ns() - begin_ns >= 60 * SG_NS_PER_MS);
}

/* ---- Errors ---- */

static void an_error_comes_as_often_as_said(void **state)
{
    (void)state;
    rig_fault(&rigs[0], "err", "Sign", "0x30", "2", NULL);
    assert_int_equal(sign_some(b), CKR_OK);
    for (int i = 0; i < 3; i++) /* in one session: what C_SignInit began has ended, too */
        assert_int_equal(sign_some(a), i < 2 ? CKR_DEVICE_ERROR : CKR_OK);
}

static void an_error_lasts_as_long_as_said(void **state)
{
    (void)state;
    rig_fault(&rigs[0], "err", "SignInit", "0x31", "for", "0.1", "err", "GetSlotList", "0x5", "for",
              "100ms", NULL);
    const int64_t begin_ns = rig_now_ns();
    CK_RV rv;
    size_t failed = 0;
    while ((rv = sign_some(a)) != CKR_OK) {
        assert_int_equal(rv, CKR_DEVICE_MEMORY);
        failed++;
        usleep(1000);
        assert_true(rig_now_ns() - begin_ns < 5 * SG_NS_PER_S);
    }
    assert_true(failed > 5);
}

static void down_is_every_function_until_up_or_over(void **state)
{
    (void)state;
    CK_TOKEN_INFO info;
    rig_fault(&rigs[0], "down", "0x32", NULL);
    assert_int_equal(sign_some(a), CKR_DEVICE_REMOVED);
    assert_int_equal(a->fn->C_GetTokenInfo(a->slot, &info), CKR_DEVICE_REMOVED);
    assert_int_equal(a->fn->C_GenerateRandom(a->session, info.label, 1), CKR_DEVICE_REMOVED);
    rig_fault(&rigs[0], "up", NULL);
    assert_int_equal(sign_some(a), CKR_OK);
    rig_fault(&rigs[0], "down", "0x32", "for", "0.1s", NULL);
    assert_int_equal(sign_some(a), CKR_DEVICE_REMOVED);
    usleep(110000);
    assert_int_equal(sign_some(a), CKR_OK);
}

static void all_is_every_function(void **state)
{
    (void)state;
    CK_TOKEN_INFO info;
    rig_fault(&rigs[0], "err", "all", "0x6", "1", NULL);
    assert_int_equal(a->fn->C_GetTokenInfo(a->slot, &info), CKR_FUNCTION_FAILED);
    assert_int_equal(a->fn->C_GetTokenInfo(a->slot, &info), CKR_OK);
    assert_int_equal(sign_some(a), CKR_FUNCTION_FAILED);
}

/* ---- Restarts, logins, sessions ---- */

static void a_restart_voids_sessions_handles_and_the_login_of_one_copy(void **state)
{
    (void)state;
    CK_SESSION_INFO info;
    CK_BYTE random[8];

    rig_fault(&rigs[0], "restart", NULL);
    assert_int_equal(sign_some(a), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(a->fn->C_GenerateRandom(a->session, random, 8), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(sign_some(b), CKR_OK);
    open_session(a);
    assert_int_equal(a->fn->C_GetSessionInfo(a->session, &info), CKR_OK);
    assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
    assert_int_equal(sign_some(a), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(log_in(a), CKR_OK);
    assert_int_equal(sign_some(a), CKR_KEY_HANDLE_INVALID);
    find_keys(a);
    assert_int_equal(sign_some(a), CKR_OK);
}

static void what_is_made_after_a_restart_has_handles_that_work(void **state)
{
    (void)state;
    CK_BBOOL no = CK_FALSE;
    CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0}, sha = {CKM_SHA256, NULL, 0};
    CK_ATTRIBUTE public_rows[] = {{CKA_EC_PARAMS, curve, sizeof(curve)}, {CKA_TOKEN, &no, 1}};
    CK_ATTRIBUTE private_rows[] = {{CKA_TOKEN, &no, 1}};
    CK_OBJECT_HANDLE public_key, private_key;
    CK_BYTE out[64];
    CK_ULONG size, len = sizeof(out);

    rig_fault(&rigs[0], "restart", "restart", NULL);
    open_session(a);
    assert_int_equal(log_in(a), CKR_OK);
    assert_int_equal(a->fn->C_GenerateKeyPair(a->session, &mechanism, public_rows, 2, private_rows,
                                              1, &public_key, &private_key),
                     CKR_OK);
    assert_int_equal(sign(a, private_key, 1, out), CKR_OK);
    assert_int_equal(a->fn->C_GetObjectSize(a->session, public_key, &size), CKR_OK);
    assert_int_equal(a->fn->C_DigestInit(a->session, &sha), CKR_OK);
    assert_int_equal(a->fn->C_Digest(a->session, out, 3, out, &len), CKR_OK);
    assert_int_equal(a->fn->C_DestroyObject(a->session, private_key), CKR_OK);
    assert_int_not_equal(sign(a, private_key, 1, out), CKR_OK);
}

static void a_lost_login_is_noticed_with_remembered_signatures_too(void **state)
{
    (void)state;
    static const char *const memo[] = {"0", "1"};
    for (size_t i = 0; i < SG_COUNT(memo); i++) {
        rig_fault(&rigs[0], "memo", memo[i], NULL);
        assert_int_equal(sign_some(a), CKR_OK);
        rig_fault(&rigs[0], "logout", NULL);
        assert_int_not_equal(sign_some(a), CKR_OK);
        assert_int_equal(log_in(a), CKR_OK);
        find_keys(a);
        assert_int_equal(sign_some(a), CKR_OK);
    }
}

static void sessions_have_a_limit_and_what_is_said_of_it(void **state)
{
    (void)state;
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE second, third;

    rig_fault(&rigs[0], "maxsessions", "2", "saysessions", "7", NULL);
    assert_int_equal(a->fn->C_OpenSession(a->slot, RO, NULL, NULL, &second), CKR_OK);
    assert_int_equal(a->fn->C_OpenSession(a->slot, RO, NULL, NULL, &third), CKR_SESSION_COUNT);
    assert_int_equal(a->fn->C_CloseSession(second), CKR_OK);
    assert_int_equal(a->fn->C_OpenSession(a->slot, RO, NULL, NULL, &third), CKR_OK);
    assert_int_equal(a->fn->C_GetTokenInfo(a->slot, &info), CKR_OK);
    assert_int_equal(info.ulMaxSessionCount, 7);
    assert_int_equal(a->fn->C_CloseAllSessions(a->slot), CKR_OK);
    open_session(a);
}

static void a_pin_is_refused_as_told_and_each_try_counted(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        CK_RV rv;
    } rows[] = {
        {"wrong", CKR_PIN_INCORRECT}, {"locked", CKR_PIN_LOCKED}, {"expired", CKR_PIN_EXPIRED}};
    CK_UTF8CHAR other[] = "0000";

    assert_int_equal(a->fn->C_Logout(a->session), CKR_OK);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        rig_fault(&rigs[0], "pin", rows[i].how, NULL);
        assert_int_equal(log_in(a), rows[i].rv);
    }
    rig_fault(&rigs[0], "pin", "ok", "pintries", "3", NULL);
    assert_int_equal(a->fn->C_Login(a->session, CKU_USER, other, 4), CKR_PIN_INCORRECT);
    assert_int_equal(log_in(a), CKR_OK); /* and the count begins anew */
    assert_int_equal(a->fn->C_Logout(a->session), CKR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a->fn->C_Login(a->session, CKU_USER, other, 4), CKR_PIN_INCORRECT);
    assert_int_equal(a->fn->C_Login(a->session, CKU_USER, other, 4), CKR_PIN_LOCKED);
    assert_int_equal(log_in(a), CKR_PIN_LOCKED);
}

/* ---- Lies and deaths ---- */

static void corrupted_signatures_are_so_many_or_those_of_one_key(void **state)
{
    (void)state;
    uint8_t out[64];
    char hex[33];
    const CK_OBJECT_HANDLE keys[] = {public_of(0), public_of(1)};

    rig_fault(&rigs[0], "corrupt", "1", NULL);
    assert_int_equal(sign(a, a->key[0], 1, out), CKR_OK);
    assert_false(verifies(keys[0], 1, out));
    assert_int_equal(sign(a, a->key[0], 1, out), CKR_OK);
    assert_true(verifies(keys[0], 1, out));

    hex_of(rigs[0].keys[1].id, hex);
    rig_fault(&rigs[0], "corruptkey", hex, "memo", "1", NULL);
    for (int i = 0; i < 3; i++) { /* what is remembered is right, and corrupted anew */
        assert_int_equal(sign(a, a->key[1], 2, out), CKR_OK);
        assert_false(verifies(keys[1], 2, out));
        assert_int_equal(sign(a, a->key[0], 2, out), CKR_OK);
        assert_true(verifies(keys[0], 2, out));
    }
    rig_fault(&rigs[0], "corruptkey", "none", "corrupt", "for", "10", NULL);
    assert_int_equal(sign(a, a->key[0], 2, out), CKR_OK);
    assert_false(verifies(keys[0], 2, out));
    rig_fault(&rigs[0], "corrupt", "0", NULL);
    assert_int_equal(sign(a, a->key[1], 2, out), CKR_OK);
    assert_true(verifies(keys[1], 2, out));
}

/* What becomes of a process that signs so. */
static int fate_of_signing(size_t key, uint8_t of)
{
    uint8_t out[64];
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(sign(a, a->key[key], of, out) == CKR_OK ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void functions_keys_and_inputs_kill_the_process(void **state)
{
    (void)state;
    char hex[33];

    assert_int_equal(fate_of_signing(0, 1), 0);
    rig_fault(&rigs[0], "crash", "1", NULL);
    assert_int_equal(fate_of_signing(0, 1), -SIGSEGV);
    assert_int_equal(fate_of_signing(0, 1), 0);
    rig_fault(&rigs[0], "crash", "SignInit", "1", NULL);
    assert_int_equal(fate_of_signing(0, 1), -SIGSEGV);
    hex_of(rigs[0].keys[1].id, hex);
    rig_fault(&rigs[0], "poisonkey", hex, NULL);
    assert_int_equal(fate_of_signing(1, 1), -SIGSEGV);
    assert_int_equal(fate_of_signing(1, 1), -SIGSEGV);
    assert_int_equal(fate_of_signing(0, 1), 0);
    rig_fault(&rigs[0], "poisonkey", "none", "poisoninput", "d7000000", NULL);
    assert_int_equal(fate_of_signing(1, 0xd7), -SIGSEGV);
    assert_int_equal(fate_of_signing(1, 0xd8), 0);
}

/* ---- Memory and synthetic keys ---- */

static void remembered_signatures_are_of_one_input_and_key(void **state)
{
    (void)state;
    uint8_t first[64], again[64], other[64], of_other_key[64];

    rig_fault(&rigs[0], "memo", "1", NULL);
    assert_int_equal(sign(a, a->key[0], 1, first), CKR_OK);
    assert_int_equal(sign(a, a->key[0], 1, again), CKR_OK);
    assert_int_equal(sign(a, a->key[0], 2, other), CKR_OK);
    assert_int_equal(sign(a, a->key[1], 1, of_other_key), CKR_OK);
    assert_memory_equal(first, again, 64); /* ECDSA draws a number for each signature */
    assert_memory_not_equal(first, other, 64);
    assert_true(verifies(public_of(0), 2, other));
    assert_true(verifies(public_of(1), 1, of_other_key));
    rig_fault(&rigs[0], "memo", "0", NULL);
    assert_int_equal(sign(a, a->key[0], 1, again), CKR_OK);
    assert_memory_not_equal(first, again, 64);
}

static void synthetic_id(uint64_t number, uint8_t out[16])
{
    memcpy(out, FAULT_SYNTHETIC_ID, 8);
    for (int i = 0; i < 8; i++)
        out[8 + i] = (uint8_t)(number >> (56 - 8 * i));
}

static void a_hundred_thousand_keys_are_found_with_ids_of_their_own(void **state)
{
    (void)state;
    char hex[33];
    uint8_t id[16], seen[32], out[64];
    static uint8_t is_seen[SYNTHETIC];
    size_t real = 0;
    CK_OBJECT_HANDLE *all = calloc(SYNTHETIC + 8, sizeof(*all)), one[2];

    hex_of(rigs[0].keys[0].id, hex);
    rig_fault(&rigs[0], "keys", "100000", hex, "memo", "1", NULL);
    assert_int_equal(find(a, CKO_PRIVATE_KEY, id, 0, all, SYNTHETIC + 8), SYNTHETIC + 2);
    for (size_t i = 0; i < SYNTHETIC + 2; i++) {
        CK_BBOOL is_local = CK_FALSE;
        CK_ATTRIBUTE rows[] = {{CKA_ID, seen, sizeof(seen)}, {CKA_LOCAL, &is_local, 1}};
        uint64_t number = 0;
        assert_int_equal(a->fn->C_GetAttributeValue(a->session, all[i], rows, 2), CKR_OK);
        assert_int_equal(rows[0].ulValueLen, 16);
        assert_int_equal(is_local, CK_TRUE);
        if (memcmp(seen, FAULT_SYNTHETIC_ID, 8) != 0) {
            real++;
            continue;
        }
        for (int k = 8; k < 16; k++)
            number = number << 8 | seen[k];
        assert_true(number < SYNTHETIC && !is_seen[number]);
        is_seen[number] = 1;
    }
    assert_int_equal(real, 2);
    free(all);

    synthetic_id(SYNTHETIC - 1, id);
    assert_int_equal(find(a, CKO_PRIVATE_KEY, id, 16, one, 2), 1);
    assert_int_equal(sign(a, one[0], 7, out), CKR_OK);
    assert_true(verifies(public_of(0), 7, out));
    assert_int_equal(find(a, CKO_PUBLIC_KEY, id, 16, one, 2), 1);
    synthetic_id(SYNTHETIC, id);
    assert_int_equal(find(a, CKO_PRIVATE_KEY, id, 16, one, 2), 0);
    assert_int_equal(find(b, CKO_PRIVATE_KEY, id, 0, one, 2), 2); /* the other has none */
}

static void a_synthetic_key_is_like_a_real_one_in_all_else(void **state)
{
    (void)state;
    char hex[33], label[32] = "";
    uint8_t id[16];
    CK_OBJECT_HANDLE handle[2];
    CK_ULONG count;
    CK_BYTE small[1], value[64];
    CK_ATTRIBUTE by_label[] = {{CKA_LABEL, label, 0}};
    CK_ATTRIBUTE rows[] = {
        {CKA_LABEL, label, sizeof(label)}, {CKA_ID, NULL, 0}, {CKA_VALUE, value, sizeof(value)}};

    hex_of(rigs[0].keys[1].id, hex);
    rig_fault(&rigs[0], "keys", "10", hex, NULL);
    synthetic_id(3, id);
    assert_int_equal(find(a, CKO_PRIVATE_KEY, id, 16, handle, 2), 1);
    /* The value is sensitive, which is said, and the other rows are answered all the same. */
    assert_int_equal(a->fn->C_GetAttributeValue(a->session, handle[0], rows, 3),
                     CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(rows[0].ulValueLen, strlen("synthetic-3"));
    assert_memory_equal(label, "synthetic-3", strlen("synthetic-3"));
    assert_int_equal(rows[1].ulValueLen, 16);
    assert_int_equal(rows[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    CK_ATTRIBUTE short_row = {CKA_ID, small, sizeof(small)};
    assert_int_equal(a->fn->C_GetAttributeValue(a->session, handle[0], &short_row, 1),
                     CKR_BUFFER_TOO_SMALL);
    assert_int_equal(a->fn->C_DestroyObject(a->session, handle[0]), CKR_ATTRIBUTE_READ_ONLY);

    by_label[0].ulValueLen = strlen("synthetic-3");
    assert_int_equal(a->fn->C_FindObjectsInit(a->session, by_label, 1), CKR_OK);
    assert_int_equal(a->fn->C_FindObjectsInit(a->session, by_label, 1), CKR_OPERATION_ACTIVE);
    assert_int_equal(a->fn->C_FindObjects(a->session, handle, 2, &count), CKR_OK);
    assert_int_equal(count, 2); /* both parts */
    assert_int_equal(a->fn->C_FindObjectsFinal(a->session), CKR_OK);

    /* Without a login private keys are not seen. */
    assert_int_equal(a->fn->C_Logout(a->session), CKR_OK);
    assert_int_equal(find(a, CKO_PRIVATE_KEY, id, 16, handle, 2), 0);
    assert_int_equal(find(a, CKO_PUBLIC_KEY, id, 16, handle, 2), 1);
}

/* ---- The control program ---- */

static int faultctl(const char *words)
{
    char module[600], command[900];
    rig_fault_env(&rigs[0], module, sizeof(module));
    *strrchr(module, '/') = '\0';
    snprintf(command, sizeof(command), "%s/faultctl %s %s >/dev/null 2>&1", module, rigs[0].control,
             words);
    int status = system(command); /* NOLINT(cert-env33-c): our own words */
    return WEXITSTATUS(status);
}

static void what_is_no_command_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "break",
                                        "lat",
                                        "lat Sing 5",
                                        "lat Sign five",
                                        "lat Sign -5",
                                        "lat Sign 5x",
                                        "err Sign 0x30",
                                        "err Sign 0x30 for",
                                        "err Sign 0x30 for ever",
                                        "err Sign 0x30 for 0",
                                        "err Sign 0x30 for 5min",
                                        "poisonkey 123",
                                        "poisonkey xy",
                                        "pin right",
                                        "memo 2",
                                        "keys 1000001 00"};
    for (size_t i = 0; i < SG_COUNT(wrong); i++) {
        print_message("  %s\n", wrong[i]);
        assert_int_equal(faultctl(wrong[i]), 2);
    }
    assert_int_equal(faultctl("stat memo 0 up"), 0);
}

static void calls_are_counted(void **state)
{
    (void)state;
    char module[600], command[900], line[64];
    size_t found = 0;

    rig_fault(&rigs[0], "reset", NULL);
    assert_int_equal(sign_some(a), CKR_OK);
    assert_int_equal(sign_some(a), CKR_OK);
    rig_fault_env(&rigs[0], module, sizeof(module));
    *strrchr(module, '/') = '\0';
    snprintf(command, sizeof(command), "%s/faultctl %s stat", module, rigs[0].control);
    FILE *in = popen(command, "re"); /* NOLINT(cert-env33-c): our own words */
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL)
        found += strcmp(line, "Sign 2\n") == 0 || strcmp(line, "SignInit 2\n") == 0 ||
                 strcmp(line, "wrong-pins 0\n") == 0 || strcmp(line, "sessions 1\n") == 0;
    assert_int_equal(pclose(in), 0);
    assert_int_equal(found, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(latency_is_slept_and_of_one_copy_alone),
        TEST(latency_may_vary),
        TEST(a_hanging_function_goes_on_when_released),
        TEST(of_a_count_no_more_than_so_many_hang),
        TEST(a_hang_ends_with_its_time),
        TEST(an_error_comes_as_often_as_said),
        TEST(an_error_lasts_as_long_as_said),
        TEST(down_is_every_function_until_up_or_over),
        TEST(all_is_every_function),
        TEST(a_restart_voids_sessions_handles_and_the_login_of_one_copy),
        TEST(what_is_made_after_a_restart_has_handles_that_work),
        TEST(a_lost_login_is_noticed_with_remembered_signatures_too),
        TEST(sessions_have_a_limit_and_what_is_said_of_it),
        TEST(a_pin_is_refused_as_told_and_each_try_counted),
        TEST(corrupted_signatures_are_so_many_or_those_of_one_key),
        TEST(functions_keys_and_inputs_kill_the_process),
        TEST(remembered_signatures_are_of_one_input_and_key),
        TEST(a_hundred_thousand_keys_are_found_with_ids_of_their_own),
        TEST(a_synthetic_key_is_like_a_real_one_in_all_else),
        TEST(what_is_no_command_is_refused),
        TEST(calls_are_counted),
    };
    return cmocka_run_group_tests_name("the fault rig", tests, make, remove_all);
}
