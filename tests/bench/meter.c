/*
 * Adds up the CPU time that the gateway's processes spend in what is not theirs, where they spend
 * it, with all the contention that it meets there: in the token's C_SignInit and C_Sign, as a
 * PKCS#11 module that stands in front of another, and in OpenSSL's EVP_PKEY_verify, by LD_PRELOAD.
 *
 *     METER_MODULE   the real module
 *     METER_FILE     where to count: struct meter (meter.h)
 */
#include "tests/bench/meter.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret);

typedef int (*verify_fn)(EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t sig_len,
                         const unsigned char *tbs, size_t tbs_len);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct meter *meter; /* NULL: nowhere to count */
static uint64_t reading_ns; /* what it costs to read the clock */

static CK_FUNCTION_LIST *real;
static verify_fn real_verify;

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Of the two readings of each measurement one falls into what it measures, the other is added. */
static void count(_Atomic uint64_t *sum, uint64_t start_ns)
{
    atomic_fetch_add(sum, cpu_ns() - start_ns + reading_ns);
}

static void measure_reading(void)
{
    enum { READINGS = 1000 };
    uint64_t start_ns = cpu_ns();
    for (int i = 0; i < READINGS; i++)
        cpu_ns();
    reading_ns = (cpu_ns() - start_ns) / READINGS;
}

static void open_meter(void)
{
    const char *path = getenv("METER_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(*meter)) == 0)
        map = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        return;
    measure_reading();
    void *symbol = dlsym(RTLD_NEXT, "EVP_PKEY_verify");
    memcpy(&real_verify, &symbol, sizeof(symbol));
    meter = map;
}

static _Thread_local uint64_t begun_ns;

/* Measured as one with the C_Sign that follows, so that the clock is read half as often. */
static CK_RV meter_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                            CK_OBJECT_HANDLE key)
{
    begun_ns = cpu_ns();
    return real->C_SignInit(session, mechanism, key);
}

static CK_RV meter_Sign(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                        CK_ULONG *out_len)
{
    CK_RV rv = real->C_Sign(session, input, len, out, out_len);
    count(&meter->sign_ns, begun_ns);
    return rv;
}

EXPORT int EVP_PKEY_verify(EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t sig_len,
                           const unsigned char *tbs, size_t tbs_len)
{
    pthread_once(&once, open_meter);
    if (meter == NULL || real_verify == NULL)
        return -1;
    uint64_t start_ns = cpu_ns();
    int rc = real_verify(ctx, sig, sig_len, tbs, tbs_len);
    count(&meter->verify_ns, start_ns);
    return rc;
}

static bool open_real(void)
{
    const char *path = getenv("METER_MODULE");
    void *library = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    CK_C_GetFunctionList get;
    memcpy(&get, &symbol, sizeof(get));
    return symbol != NULL && get(&real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    static CK_FUNCTION_LIST list;
    pthread_once(&once, open_meter);
    if (meter == NULL || (real == NULL && !open_real())) {
        fputs("meter: set METER_MODULE and METER_FILE\n", stderr);
        return CKR_GENERAL_ERROR;
    }
    list = *real;
    list.C_SignInit = meter_SignInit;
    list.C_Sign = meter_Sign;
    *ret = &list;
    return CKR_OK;
}
