#include "tests/integration/hsm/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define PIN "1234567890"

int64_t rig_now_ns(void)
{
    return sg_mono_ns(&sg_clock_system);
}

/* A program or module of this build, beside the test or in a sibling folder. */
static void built(const char *relative, char *out, size_t max)
{
    char exe[512];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    assert_true(len > 0);
    exe[len] = '\0';
    assert_true(snprintf(out, max, "%s/%s", dirname(exe), relative) < (int)max);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static pid_t spawn(const char *const *argv, int out_fd)
{
    char *const *unconst; /* execv() only reads, but its type is older than const */
    memcpy(&unconst, &argv, sizeof(unconst));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    if (out_fd >= 0)
        dup2(out_fd, STDOUT_FILENO);
    execv(argv[0], unconst);
    fprintf(stderr, "could not run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void find_softhsm(struct rig *rig)
{
    const char *paths[] = {getenv("SOFTHSM2_MODULE"),
                           "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
                           "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"};
    for (size_t i = 0; i < SG_COUNT(paths); i++) {
        if (paths[i] == NULL || access(paths[i], R_OK) != 0)
            continue;
        snprintf(rig->module, sizeof(rig->module), "%s", paths[i]);
        return;
    }
    fail_msg("SoftHSM2 is not installed: set SOFTHSM2_MODULE");
}

static void parse_keys(struct rig *rig, FILE *in)
{
    char name[32], type[32], hex[64];
    while (rig->key_count < RIG_KEYS_MAX && fscanf(in, "%31s %31s %63s", name, type, hex) == 3) {
        struct rig_key *key = &rig->keys[rig->key_count++];
        memcpy(key->name, name, sizeof(name));
        key->type = sg_key_type_find(type);
        assert_int_equal(strlen(hex), 32);
        for (size_t i = 0; i < 16; i++) {
            unsigned byte;
            assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
            key->id[i] = (uint8_t)byte;
        }
    }
}

void rig_make(struct rig *rig, const char *const *specs, size_t count)
{
    char path[128], so_pin[128], tool[600], text[256];
    const char *argv[16 + RIG_KEYS_MAX];
    int pipe_fds[2];

    *rig = (struct rig){0};
    snprintf(rig->dir, sizeof(rig->dir), "/tmp/sealgate-hsm-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    find_softhsm(rig);
    snprintf(rig->socket, sizeof(rig->socket), "%s/token.sock", rig->dir);
    snprintf(rig->state_dir, sizeof(rig->state_dir), "%s/state", rig->dir);
    snprintf(rig->pin_file, sizeof(rig->pin_file), "%s/pin", rig->dir);
    snprintf(rig->control, sizeof(rig->control), "%s/control", rig->dir);
    snprintf(so_pin, sizeof(so_pin), "%s/so-pin", rig->dir);
    snprintf(path, sizeof(path), "%s/objects", rig->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof(text), "directories.tokendir = %s\nlog.level = ERROR\n", path);
    snprintf(path, sizeof(path), "%s/softhsm2.conf", rig->dir);
    write_file(path, text, 0600);
    write_file(rig->pin_file, PIN "\n", 0600);
    write_file(so_pin, PIN "\n", 0600);
    setenv("SOFTHSM2_CONF", path, 1);

    built("../bin/sealgate-devkeys", tool, sizeof(tool));
    const char *fixed[] = {tool,         "--module",    rig->module,     "--token", "rig",
                           "--pin-file", rig->pin_file, "--so-pin-file", so_pin};
    size_t n = SG_COUNT(fixed);
    memcpy(argv, fixed, sizeof(fixed));
    for (size_t i = 0; i < count; i++)
        argv[n++] = specs[i];
    argv[n] = NULL;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t pid = spawn(argv, pipe_fds[1]);
    close(pipe_fds[1]);
    FILE *in = fdopen(pipe_fds[0], "r");
    parse_keys(rig, in);
    fclose(in);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(rig->key_count, count);
}

void rig_remove(struct rig *rig)
{
    if (rig->token > 0)
        rig_token_end(rig, SIGKILL);
    const char *argv[] = {"/bin/rm", "-rf", rig->dir, NULL};
    pid_t pid = spawn(argv, -1);
    waitpid(pid, NULL, 0);
}

/* The token process ---------------------------------------------------------------------- */

/* Stands in for systemd: starts the process anew until it is told to stop itself. */
static void supervise(const char *const *argv)
{
    sigset_t set;
    int signal_number;

    setpgid(0, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t child = spawn(argv, -1);
    for (;;) {
        sigwait(&set, &signal_number);
        if (signal_number == SIGTERM) {
            kill(child, SIGTERM);
            waitpid(child, NULL, 0);
            _exit(0);
        }
        if (waitpid(child, NULL, WNOHANG) == child)
            child = spawn(argv, -1);
    }
}

void rig_fault_env(struct rig *rig, char *module, size_t max)
{
    built("../tests/libfaultp11.so", module, max);
    setenv("FAULTP11_MODULE", rig->module, 1);
    setenv("FAULTP11_CONTROL", rig->control, 1);
}

void rig_token_start(struct rig *rig, const struct rig_token *how)
{
    char program[600], module[600], workers[24];

    built("../tests/sg_test_token", program, sizeof(program));
    snprintf(module, sizeof(module), "%s", rig->module);
    if (how->is_faulty)
        rig_fault_env(rig, module, sizeof(module));
    snprintf(workers, sizeof(workers), "%zu", how->workers > 0 ? how->workers : 2);
    const char *argv[] = {program,        module,  rig->pin_file, rig->socket,
                          rig->state_dir, workers, NULL};
    if (!how->is_supervised) {
        rig->token = spawn(argv, -1);
        return;
    }
    rig->token = fork();
    assert_true(rig->token >= 0);
    if (rig->token == 0)
        supervise(argv);
}

int rig_token_end(struct rig *rig, int signal)
{
    int status;
    kill(rig->token, signal);
    if (signal == SIGKILL)
        kill(-rig->token, signal); /* what it supervised */
    assert_int_equal(waitpid(rig->token, &status, 0), rig->token);
    rig->token = 0;
    return status;
}

int rig_token_wait(struct rig *rig, int ms)
{
    int status;
    for (int waited = 0; waited < ms; waited += 10) {
        if (waitpid(rig->token, &status, WNOHANG) == rig->token) {
            rig->token = 0;
            return status;
        }
        poll(NULL, 0, 10);
    }
    return -1;
}

void rig_fault(struct rig *rig, ...)
{
    char program[600];
    const char *argv[16] = {program, rig->control};
    size_t n = 2;
    va_list args;

    built("../tests/faultctl", program, sizeof(program));
    va_start(args, rig);
    while (n < SG_COUNT(argv) - 1 && (argv[n] = va_arg(args, const char *)) != NULL)
        n++;
    va_end(args);
    pid_t pid = spawn(argv, -1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The engine ----------------------------------------------------------------------------- */

static void on_done(void *arg, struct sg_hsm_job *job)
{
    struct rig_engine *engine = arg;
    assert_true(job->tag < RIG_JOBS_MAX);
    struct rig_done *done = &engine->done[job->tag];
    done->times++;
    if (done->job != NULL)
        sg_hsm_job_free(done->job);
    done->job = job;
    engine->done_count++;
    if (job->is_signed) {
        engine->signed_count++;
        engine->last_signed_ns = rig_now_ns();
    }
}

static void on_token_changed(void *arg, size_t token, const struct sg_err *err)
{
    struct rig_engine *engine = arg;
    (void)token;
    engine->token_err = *err;
}

void rig_engine_start(struct rig_engine *engine, struct rig *rig, const struct rig_limits *limits)
{
    rig_engine_start_with(engine, rig, limits, on_done);
}

void rig_engine_start_with(struct rig_engine *engine, struct rig *rig,
                           const struct rig_limits *limits,
                           void (*done)(void *arg, struct sg_hsm_job *job))
{
    struct sg_err err = {0};
    size_t index;

    *engine = (struct rig_engine){.rig = rig};
    struct sg_hsm_events events = {.arg = engine, .done = done, .token_changed = on_token_changed};
    struct sg_hsm_token_config token = {
        .name = "rig",
        .socket = rig->socket,
        .uid = -1,
        .queue_max = limits != NULL && limits->queue_max > 0 ? limits->queue_max : 1024,
        .hang_ms = limits != NULL && limits->hang_ms > 0 ? limits->hang_ms : 5000,
    };
    assert_int_equal(sg_loop_new(&sg_clock_system, &engine->loop, &err), SG_OK);
    assert_int_equal(sg_hsm_new(engine->loop, &sg_clock_system, &events, &engine->hsm, &err),
                     SG_OK);
    assert_int_equal(sg_hsm_add_token(engine->hsm, &token, &index, &err), SG_OK);
    for (size_t i = 0; i < rig->key_count; i++) {
        struct sg_hsm_key_config key = {.name = rig->keys[i].name,
                                        .token = index,
                                        .id = sg_slice_of(rig->keys[i].id, 16),
                                        .type = rig->keys[i].type};
        size_t key_index;
        assert_int_equal(sg_hsm_add_key(engine->hsm, &key, &key_index, &err), SG_OK);
        assert_int_equal(key_index, i);
    }
    assert_int_equal(sg_hsm_start(engine->hsm, &err), SG_OK);
}

void rig_engine_end(struct rig_engine *engine)
{
    sg_hsm_free(engine->hsm);
    sg_loop_free(engine->loop);
    for (size_t i = 0; i < RIG_JOBS_MAX; i++)
        sg_hsm_job_free(engine->done[i].job);
}

size_t rig_tbs(uint64_t tag, enum sg_digest_alg digest_alg, uint8_t *out)
{
    if (digest_alg == SG_DIGEST_UNSET) {
        for (size_t i = 0; i < SG_TBS_BYTES_MAX; i++)
            out[i] = (uint8_t)(tag + i * 7);
        return SG_TBS_BYTES_MAX;
    }
    unsigned len = 0;
    EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(digest_alg), NULL);
    assert_int_equal(EVP_Digest(&tag, sizeof(tag), out, &len, md, NULL), 1);
    EVP_MD_free(md);
    return len;
}

enum sg_rc rig_submit(struct rig_engine *engine, uint64_t tag, size_t key, enum sg_scheme scheme,
                      enum sg_digest_alg digest_alg, int64_t timeout_ms, struct sg_err *err)
{
    uint8_t tbs[SG_TBS_BYTES_MAX];
    size_t tbs_len = rig_tbs(tag, digest_alg, tbs);
    struct sg_hsm_job *job = sg_hsm_job_new(sg_slice_of(tbs, tbs_len));
    assert_non_null(job);
    job->tag = tag;
    job->key = key;
    job->scheme = scheme;
    job->digest_alg = digest_alg;
    job->deadline_ns = timeout_ms == 0 ? 0 : rig_now_ns() + timeout_ms * SG_NS_PER_MS;
    enum sg_rc rc = sg_hsm_submit(engine->hsm, job, err);
    if (rc != SG_OK) {
        if (rc == SG_E_LIMIT || rc == SG_E_UNAVAILABLE)
            assert_true(job->retry_ms > 0);
        sg_hsm_job_free(job);
    }
    return rc;
}

static void turn(struct rig_engine *engine)
{
    struct sg_err err = {0};
    assert_int_equal(sg_loop_turn(engine->loop, 5, &err), SG_OK);
}

void rig_run(struct rig_engine *engine, size_t count, int ms)
{
    int64_t end = rig_now_ns() + ms * SG_NS_PER_MS;
    while (engine->done_count < count && rig_now_ns() < end)
        turn(engine);
    assert_int_equal(engine->done_count, count);
}

void rig_pass(struct rig_engine *engine, int ms)
{
    int64_t end = rig_now_ns() + ms * SG_NS_PER_MS;
    while (rig_now_ns() < end)
        turn(engine);
}

void rig_await(struct rig_engine *engine, enum sg_hsm_token_state state, int ms)
{
    int64_t end = rig_now_ns() + ms * SG_NS_PER_MS;
    struct sg_hsm_token_info info;
    do {
        turn(engine);
        sg_hsm_token_info(engine->hsm, 0, &info);
    } while (info.state != state && rig_now_ns() < end);
    assert_int_equal(info.state, state);
}

void rig_await_keys(struct rig_engine *engine, int ms)
{
    int64_t end = rig_now_ns() + ms * SG_NS_PER_MS;
    size_t ready;
    do {
        turn(engine);
        ready = 0;
        for (size_t i = 0; i < sg_hsm_key_count(engine->hsm); i++) {
            struct sg_hsm_key_info info;
            sg_hsm_key_info(engine->hsm, i, &info);
            ready += info.state == SG_KEY_READY;
            if (info.state == SG_KEY_UNUSABLE)
                fail_msg("key %s is unusable: %s", info.name, info.err.msg);
        }
    } while (ready < sg_hsm_key_count(engine->hsm) && rig_now_ns() < end);
    assert_int_equal(ready, sg_hsm_key_count(engine->hsm));
}

/* The judge ------------------------------------------------------------------------------ */

static bool verify_with(EVP_PKEY *pkey, const struct sg_hsm_job *job, struct sg_slice signature)
{
    if (job->scheme == SG_SCHEME_ED25519) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool is_right =
            EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
            EVP_DigestVerify(ctx, signature.ptr, signature.len, job->tbs, job->tbs_len) == 1;
        EVP_MD_CTX_free(ctx);
        return is_right;
    }
    EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(job->digest_alg), NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool is_right = EVP_PKEY_verify_init(ctx) == 1;
    if (job->scheme == SG_SCHEME_RSA_PSS)
        is_right = is_right && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    is_right = is_right && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
               EVP_PKEY_verify(ctx, signature.ptr, signature.len, job->tbs, job->tbs_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_MD_free(md);
    return is_right;
}

bool rig_verifies(struct rig_engine *engine, const struct sg_hsm_job *job)
{
    struct sg_hsm_key_info info;
    uint8_t der[SG_ECDSA_DER_MAX];
    struct sg_slice signature = sg_slice_of(job->signature, job->signature_len);

    sg_hsm_key_info(engine->hsm, job->key, &info);
    if (job->scheme == SG_SCHEME_ECDSA) {
        size_t len;
        if (sg_ecdsa_to_der(signature, der, &len, NULL) != SG_OK)
            return false;
        signature = sg_slice_of(der, len);
    }
    const uint8_t *at = info.spki.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)info.spki.len);
    assert_non_null(pkey);
    bool is_right = verify_with(pkey, job, signature);
    EVP_PKEY_free(pkey);
    return is_right;
}
