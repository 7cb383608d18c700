/*
 * The token process by itself, for tests: token MODULE PIN-FILE SOCKET STATE-DIR WORKERS. The
 * same function runs in sealgated's role of that name.
 */
#include "hsm/token.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* SoftHSM leaks the name of an Ed25519 curve with each signature. Telling that leak from one of
 * ours needs whole call stacks, which OpenSSL's build does not give to the quick unwinder. */
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0:malloc_context_size=12";
}

__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2.so";
}

int main(int argc, char **argv)
{
    struct sg_err err = {0};
    if (argc != 6)
        return 2;
    sg_log_setup(getenv("SG_TEST_VERBOSE") ? SG_LOG_DEBUG : SG_LOG_ERROR, SG_LOG_KEY_VALUE,
                 "token");
    static const struct sg_notify nobody = {.fd = -1};
    const char *hang_ms = getenv("SG_TEST_HANG_MS");
    struct sg_token_config config = {
        .hang_ms = hang_ms == NULL ? 0 : strtol(hang_ms, NULL, 10),
        .notify = &nobody,
        .name = "rig",
        .module = argv[1],
        .uri = "pkcs11:token=rig",
        .pin_file = argv[2],
        .socket = argv[3],
        .state_dir = argv[4],
        .workers = strtoul(argv[5], NULL, 10),
        .gateway_uid = -1,
        .gateway_gid = -1,
    };
    if (sg_token_run(&config, &err) == SG_OK)
        return 0;
    fprintf(stderr, "token: %s\n", err.msg);
    return 1;
}
