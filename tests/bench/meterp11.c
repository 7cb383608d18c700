/*
 * A PKCS#11 module that stands in front of another and adds up the CPU time that the calling
 * threads spend in C_SignInit and C_Sign, so that what the token itself costs is known where it is
 * spent, with all the contention that it meets there.
 *
 *     METERP11_MODULE   the real module
 *     METERP11_FILE     where to count: struct meter (meterp11.h)
 */
#include "tests/bench/meterp11.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret);

static CK_FUNCTION_LIST *real;
static struct meter *meter;

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static CK_RV meter_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                            CK_OBJECT_HANDLE key)
{
    uint64_t start_ns = cpu_ns();
    CK_RV rv = real->C_SignInit(session, mechanism, key);
    atomic_fetch_add(&meter->cpu_ns, cpu_ns() - start_ns);
    return rv;
}

static CK_RV meter_Sign(CK_SESSION_HANDLE session, CK_BYTE *input, CK_ULONG len, CK_BYTE *out,
                        CK_ULONG *out_len)
{
    uint64_t start_ns = cpu_ns();
    CK_RV rv = real->C_Sign(session, input, len, out, out_len);
    atomic_fetch_add(&meter->cpu_ns, cpu_ns() - start_ns);
    return rv;
}

static bool open_meter(void)
{
    const char *path = getenv("METERP11_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*meter)) != 0)
        return false;
    meter = mmap(NULL, sizeof(*meter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return meter != MAP_FAILED;
}

static bool open_real(void)
{
    const char *path = getenv("METERP11_MODULE");
    void *library = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library == NULL ? NULL : dlsym(library, "C_GetFunctionList");
    CK_C_GetFunctionList get;
    memcpy(&get, &symbol, sizeof(get));
    return symbol != NULL && get(&real) == CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    static CK_FUNCTION_LIST list;
    if (real == NULL && (!open_meter() || !open_real())) {
        fputs("meterp11: set METERP11_MODULE and METERP11_FILE\n", stderr);
        return CKR_GENERAL_ERROR;
    }
    list = *real;
    list.C_SignInit = meter_SignInit;
    list.C_Sign = meter_Sign;
    *ret = &list;
    return CKR_OK;
}
