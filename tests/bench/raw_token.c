/*
 * What the benchmark `sign` compares the gateway with: the bare token, and bare OpenSSL.
 *
 *     raw_token sign   MODULE TOKEN-LABEL PIN-FILE KEY-ID-HEX rsa|ecdsa THREADS MS
 *     raw_token verify THREADS MS
 *
 * `sign`: so many threads, each with a session of its own, call C_SignInit and C_Sign on a SHA-256
 * digest, as a worker of the token process does. `verify`: so many threads verify a P-256 signature
 * by EVP_PKEY_verify, each with a key of its own and one prepared context, the least that verifying
 * can cost. Prints one line: how many, seconds, and the CPU time of the whole process for them.
 */
#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#include "base/clock.h"
#include "base/err.h"

enum { THREADS_MAX = 64, PIN_MAX = 256, SLOTS_MAX = 64, LABEL_LEN = 32, ID_MAX = 64 };

static const uint8_t digest[32] = {0x5e, 0xa1, 0x9a, 0x7e};

/* RFC 8017 §9.2, note 1: what a token does not put before the digest itself. */
static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static struct {
    CK_FUNCTION_LIST *p11;
    CK_SLOT_ID slot;
    CK_MECHANISM_TYPE mechanism;
    CK_BYTE id[ID_MAX], tbs[sizeof(sha256_info) + sizeof(digest)];
    CK_ULONG id_len, tbs_len;
} token;

static atomic_bool is_measuring, is_over;

struct worker {
    pthread_t thread;
    uint64_t count;
    char pad[128]; /* each counts in a cache line of its own */
};

static void die(const char *what, unsigned long code)
{
    fprintf(stderr, "raw_token: could not %s: 0x%lx\n", what, code);
    exit(1);
}

static void check(CK_RV rv, const char *what)
{
    if (rv != CKR_OK)
        die(what, rv);
}

static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, len};
}

static CK_SESSION_HANDLE open_session(void)
{
    CK_SESSION_HANDLE session;
    check(token.p11->C_OpenSession(token.slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
          "open a session");
    return session;
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE what[] = {attribute(CKA_CLASS, &class, sizeof(class)),
                           attribute(CKA_ID, token.id, token.id_len)};
    CK_OBJECT_HANDLE key;
    CK_ULONG count;
    check(token.p11->C_FindObjectsInit(session, what, SG_COUNT(what)), "look for the key");
    check(token.p11->C_FindObjects(session, &key, 1, &count), "look for the key");
    check(token.p11->C_FindObjectsFinal(session), "look for the key");
    if (count != 1)
        die("find the key", count);
    return key;
}

static void *sign(void *arg)
{
    struct worker *worker = arg;
    CK_SESSION_HANDLE session = open_session();
    CK_OBJECT_HANDLE key = find_key(session);
    CK_MECHANISM mechanism = {token.mechanism, NULL, 0};

    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        CK_BYTE signature[1024];
        CK_ULONG len = sizeof(signature);
        check(token.p11->C_SignInit(session, &mechanism, key), "begin to sign");
        check(token.p11->C_Sign(session, token.tbs, token.tbs_len, signature, &len), "sign");
        worker->count += atomic_load_explicit(&is_measuring, memory_order_relaxed);
    }
    return NULL;
}

static void *verify(void *arg)
{
    struct worker *worker = arg;
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    EVP_PKEY_CTX *signer = pair == NULL ? NULL : EVP_PKEY_CTX_new(pair, NULL);
    EVP_PKEY_CTX *verifier = pair == NULL ? NULL : EVP_PKEY_CTX_new(pair, NULL);
    uint8_t signature[128];
    size_t len = sizeof(signature);

    if (signer == NULL || verifier == NULL || EVP_PKEY_sign_init(signer) != 1 ||
        EVP_PKEY_sign(signer, signature, &len, digest, sizeof(digest)) != 1 ||
        EVP_PKEY_verify_init(verifier) != 1)
        die("make a signature to verify", 0);
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        if (EVP_PKEY_verify(verifier, signature, len, digest, sizeof(digest)) != 1)
            die("verify a good signature", 0);
        worker->count += atomic_load_explicit(&is_measuring, memory_order_relaxed);
    }
    EVP_PKEY_CTX_free(signer);
    EVP_PKEY_CTX_free(verifier);
    EVP_PKEY_free(pair);
    return NULL;
}

static int64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * SG_NS_PER_S + time.tv_nsec;
}

static void run(void *(*work)(void *arg), size_t threads, long ms)
{
    enum { WARM_US = 200000 };
    static struct worker workers[THREADS_MAX];
    if (threads == 0 || threads > THREADS_MAX || ms <= 0)
        die("run so many threads for so long", threads);
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            die("start a thread", i);
    usleep(WARM_US);
    int64_t start_ns = sg_mono_ns(&sg_clock_system), start_cpu_ns = cpu_ns();
    atomic_store(&is_measuring, true);
    usleep((useconds_t)ms * 1000);
    atomic_store(&is_measuring, false);
    int64_t end_ns = sg_mono_ns(&sg_clock_system), end_cpu_ns = cpu_ns();
    atomic_store(&is_over, true);
    uint64_t count = 0;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        count += workers[i].count;
    }
    printf("count=%llu seconds=%.6f cpu_us=%.3f\n", (unsigned long long)count,
           (double)(end_ns - start_ns) / 1e9, (double)(end_cpu_ns - start_cpu_ns) / 1e3);
}

/* The token -------------------------------------------------------------------------------- */

static void load_module(const char *path)
{
    CK_C_GetFunctionList get_list = NULL;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL || (*(void **)&get_list = dlsym(module, "C_GetFunctionList")) == NULL)
        die("load the module", 0);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    check(get_list(&token.p11), "get the function list");
    check(token.p11->C_Initialize(&args), "initialise the module");
}

static void find_slot(const char *label)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    char padded[LABEL_LEN + 1];
    snprintf(padded, sizeof(padded), "%-*s", LABEL_LEN, label);
    check(token.p11->C_GetSlotList(CK_TRUE, slots, &count), "list the slots");
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (token.p11->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            memcmp(info.label, padded, LABEL_LEN) == 0) {
            token.slot = slots[i];
            return;
        }
    }
    die("find the token", count);
}

static void log_in(const char *pin_file)
{
    char pin[PIN_MAX];
    FILE *file = fopen(pin_file, "re");
    if (file == NULL || fgets(pin, sizeof(pin), file) == NULL)
        die("read the PIN", 0);
    fclose(file);
    check(token.p11->C_Login(open_session(), CKU_USER, (CK_UTF8CHAR *)pin, strcspn(pin, "\n")),
          "log in");
}

static void read_id(const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        if (hex[1] == '\0' || token.id_len == ID_MAX)
            die("read the key's id", token.id_len);
        token.id[token.id_len++] = (CK_BYTE)strtoul(digits, NULL, 16);
    }
}

static void choose(const char *algorithm)
{
    const bool is_rsa = strcmp(algorithm, "rsa") == 0;
    token.mechanism = is_rsa ? CKM_RSA_PKCS : CKM_ECDSA;
    if (is_rsa) {
        memcpy(token.tbs, sha256_info, sizeof(sha256_info));
        token.tbs_len = sizeof(sha256_info);
    }
    memcpy(token.tbs + token.tbs_len, digest, sizeof(digest));
    token.tbs_len += sizeof(digest);
}

int main(int argc, char **argv)
{
    if (argc == 9 && strcmp(argv[1], "sign") == 0) {
        load_module(argv[2]);
        find_slot(argv[3]);
        log_in(argv[4]);
        read_id(argv[5]);
        choose(argv[6]);
        run(sign, strtoul(argv[7], NULL, 10), strtol(argv[8], NULL, 10));
        token.p11->C_Finalize(NULL);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "verify") == 0) {
        run(verify, strtoul(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
        return 0;
    }
    fputs("usage: see the head of tests/bench/raw_token.c\n", stderr);
    return 2;
}
