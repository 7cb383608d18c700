/*
 * What AddressSanitizer and LeakSanitizer are told by sealgated: part of it in the presets that
 * have these sanitizers, and of nothing that is shipped.
 *
 * SoftHSM2 2.6.1 loses the decoded name of the curve with each Ed25519 signature. Telling its
 * losses from ours needs the call stack of each allocation through OpenSSL's library, which keeps
 * no frame pointers. That makes a process several times as slow, so the token process alone does
 * so, which is the one that loads SoftHSM2; and no further than twelve calls, within which SoftHSM2
 * is found.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

/* Asked before the sanitizer works: no code of its own may be in here, nor a function of libc that
 * it watches. */
#define EARLY __attribute__((no_sanitize("address", "undefined")))
#define ASKED EARLY __attribute__((visibility("default")))

/* Whether the first argument is "token"; true, too, when that cannot be told. */
EARLY static bool is_token_process(void)
{
    static const char role[] = "token"; /* with its NUL, as in the list of arguments */
    static char line[4096];
    long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    long len = syscall(SYS_read, fd, line, sizeof(line));
    syscall(SYS_close, fd);
    long at = 0;
    while (at < len && line[at] != '\0')
        at++;
    at++;
    for (unsigned i = 0; i < sizeof(role); i++) {
        if (at + i >= len || line[at + i] != role[i])
            return false;
    }
    return true;
}

ASKED const char *__asan_default_options(void)
{
    return is_token_process() ? "fast_unwind_on_malloc=0:malloc_context_size=12" : "";
}

ASKED const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

ASKED const char *__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2";
}
