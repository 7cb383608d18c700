/*
 * What the process between gateway and token costs: the same signatures by as many threads in one
 * process, the gateway's own crypto threads with all their sparing of wake-ups, and through the
 * engine and a token process. Rounds of the two alternate; each pair gives a ratio, and the median
 * of those is the answer.
 *
 *     p256  SoftHSM, ECDSA P-256, 2 workers, 64 in flight: all processor, no waiting
 *     2ms   a token that takes 2 ms (the fault rig, results remembered), 32 workers, 128 in flight
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loop.h"
#include "gateway/service/crypto.h"
#include "hsm/hsm.h"
#include "hsm/pkcs11/p11.h"
#include "tests/integration/hsm/rig.h"

enum { WORKERS_MAX = 32, IN_FLIGHT_MAX = 128, ROUNDS = 41 };
static const int64_t round_ns = 250 * SG_NS_PER_MS, warm_ns = 50 * SG_NS_PER_MS;

static const struct setting {
    const char *name;
    bool is_slow;
    size_t workers, in_flight;
} settings[] = {
    {"p256", false, 2, 64},
    {"2ms", true, 32, 128},
};

static void must(enum sg_rc rc, const struct sg_err *err)
{
    if (rc == SG_OK)
        return;
    fprintf(stderr, "isolation: %s\n", err->msg);
    exit(1);
}

/* What both sides count by. */
struct meter {
    int64_t from_ns, to_ns;
    size_t signed_count, outstanding, all_count;
};

/* What a round gives: signatures a second, and processor time of each, all processes together. */
struct result {
    double rate, cpu_us;
};

/* Processor time of a process so far, in ns: the first number of each thread's schedstat. */
static double cpu_ns(pid_t pid)
{
    char path[300];
    double sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir == NULL ? NULL : readdir(dir); entry != NULL;
         entry = readdir(dir)) {
        double ns = 0;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file != NULL && fscanf(file, "%lf", &ns) == 1)
            sum += ns;
        if (file != NULL)
            fclose(file);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

static void count(struct meter *meter, bool is_signed, const char *why)
{
    int64_t now = rig_now_ns();
    if (!is_signed) {
        fprintf(stderr, "isolation: a signature failed: %s\n", why);
        exit(1);
    }
    meter->outstanding--;
    meter->all_count++;
    meter->signed_count += now >= meter->from_ns && now < meter->to_ns;
}

static bool goes_on(const struct meter *meter)
{
    return rig_now_ns() < meter->to_ns;
}

static struct meter meter_begin(void)
{
    int64_t now = rig_now_ns();
    return (struct meter){.from_ns = now + warm_ns, .to_ns = now + warm_ns + round_ns};
}

static struct result result_of(const struct meter *meter, double cpu)
{
    return (struct result){.rate = (double)meter->signed_count * 1e9 / (double)round_ns,
                           .cpu_us = cpu / 1e3 / (double)meter->all_count};
}

/* Threads in this process -------------------------------------------------------------------- */

struct signature {
    struct sg_crypto_task task;
    struct sg_request request;
    uint8_t tbs[32];
    struct sg_p11_signature signature;
    enum sg_outcome outcome;
    struct sg_err err;
};

static struct direct {
    struct sg_p11 *p11;
    struct sg_loop *loop;
    struct sg_crypto *threads;
    struct sg_p11_session *sessions[WORKERS_MAX], *admin;
    atomic_size_t taken; /* of the sessions, one by each thread */
    struct signature signatures[IN_FLIGHT_MAX];
    struct meter meter;
} direct;

static void sign(struct sg_crypto_task *task)
{
    static _Thread_local struct sg_p11_session *session;
    struct signature *signature = SG_CONTAINER(task, struct signature, task);

    if (session == NULL)
        session = direct.sessions[atomic_fetch_add(&direct.taken, 1)];
    signature->outcome =
        sg_p11_sign(session, &signature->request, &signature->signature, &signature->err);
}

static void give(struct signature *signature)
{
    struct sg_err err;
    direct.meter.outstanding++;
    must(sg_crypto_submit(direct.threads, &signature->task, &err), &err);
}

static void on_signed(struct sg_crypto_task *task)
{
    struct signature *signature = SG_CONTAINER(task, struct signature, task);
    count(&direct.meter, signature->outcome == SG_OUT_OK, signature->err.msg);
    if (goes_on(&direct.meter))
        give(signature);
}

static void direct_start(struct rig *rig, const struct setting *setting, const char *module)
{
    struct sg_err err = {0};
    uint8_t spki[SG_JOB_SPKI_MAX];
    size_t spki_len;
    bool is_stuck;
    char state_dir[128];

    snprintf(state_dir, sizeof(state_dir), "%s/direct", rig->dir);
    mkdir(state_dir, 0700);
    struct sg_p11_config config = {.module = module,
                                   .uri = "pkcs11:token=rig",
                                   .pin_file = rig->pin_file,
                                   .state_dir = state_dir,
                                   .workers = setting->workers};
    const struct sg_request load = {
        .kind = SG_JOB_LOAD_KEY, .type = SG_KEY_EC_P256, .id = sg_slice_of(rig->keys[0].id, 16)};
    must(sg_p11_new(&config, &direct.p11, &err), &err);
    direct.admin = sg_p11_session_new(direct.p11);
    if (sg_p11_open(direct.p11, direct.admin, &is_stuck, &err) != SG_OUT_OK ||
        sg_p11_load_key(direct.admin, &load, spki, &spki_len, &err) != SG_OUT_OK)
        must(SG_E_UNAVAILABLE, &err);
    must(sg_loop_new(&sg_clock_system, &direct.loop, &err), &err);
    for (size_t i = 0; i < setting->in_flight; i++) {
        struct signature *signature = &direct.signatures[i];
        size_t len = rig_tbs(i, SG_DIGEST_SHA256, signature->tbs);
        signature->task = (struct sg_crypto_task){.run = sign, .done = on_signed};
        signature->request = (struct sg_request){.kind = SG_JOB_SIGN,
                                                 .scheme = SG_SCHEME_ECDSA,
                                                 .digest_alg = SG_DIGEST_SHA256,
                                                 .id = sg_slice_of(rig->keys[0].id, 16),
                                                 .tbs = sg_slice_of(signature->tbs, len)};
    }
    for (size_t i = 0; i < setting->workers; i++)
        direct.sessions[i] = sg_p11_session_new(direct.p11);
    direct.taken = 0;
    must(sg_crypto_new(direct.loop, setting->workers, IN_FLIGHT_MAX, &direct.threads, &err), &err);
}

static struct result direct_round(const struct setting *setting)
{
    struct sg_err err;
    double before = cpu_ns(getpid());
    direct.meter = meter_begin();
    for (size_t i = 0; i < setting->in_flight; i++)
        give(&direct.signatures[i]);
    while (direct.meter.outstanding > 0)
        must(sg_loop_turn(direct.loop, 100, &err), &err);
    return result_of(&direct.meter, cpu_ns(getpid()) - before);
}

static void direct_end(const struct setting *setting)
{
    sg_crypto_free(direct.threads);
    for (size_t i = 0; i < setting->workers; i++)
        sg_p11_session_free(direct.sessions[i]);
    sg_p11_session_free(direct.admin);
    sg_p11_free(direct.p11);
    sg_loop_free(direct.loop);
}

/* Through the token process ------------------------------------------------------------------ */

static struct isolated {
    struct rig_engine engine; /* for its loop and tokens; jobs are our own */
    struct sg_hsm_job *jobs[IN_FLIGHT_MAX];
    struct meter meter;
} isolated;

static void submit(struct sg_hsm_job *job)
{
    struct sg_err err = {0};
    isolated.meter.outstanding++;
    must(sg_hsm_submit(isolated.engine.hsm, job, &err), &err);
}

static void on_done(void *arg, struct sg_hsm_job *job)
{
    (void)arg;
    count(&isolated.meter, job->is_signed, job->err.msg);
    if (goes_on(&isolated.meter))
        submit(job);
}

static void isolated_start(struct rig *rig, const struct setting *setting)
{
    rig_token_start(
        rig, &(struct rig_token){.workers = setting->workers, .is_faulty = setting->is_slow});
    rig_engine_start_with(&isolated.engine, rig, NULL, on_done);
    rig_await_keys(&isolated.engine, 10000);
    for (size_t i = 0; i < setting->in_flight; i++) {
        uint8_t tbs[SG_DIGEST_BYTES_MAX];
        size_t tbs_len = rig_tbs(i, SG_DIGEST_SHA256, tbs);
        struct sg_hsm_job *job = isolated.jobs[i] = sg_hsm_job_new(sg_slice_of(tbs, tbs_len));
        job->scheme = SG_SCHEME_ECDSA;
        job->digest_alg = SG_DIGEST_SHA256;
    }
}

static struct result isolated_round(const struct setting *setting)
{
    struct sg_err err;
    pid_t token = isolated.engine.rig->token;
    double before = cpu_ns(getpid()) + cpu_ns(token);
    isolated.meter = meter_begin();
    for (size_t i = 0; i < setting->in_flight; i++)
        submit(isolated.jobs[i]);
    while (isolated.meter.outstanding > 0)
        must(sg_loop_turn(isolated.engine.loop, 100, &err), &err);
    return result_of(&isolated.meter, cpu_ns(getpid()) + cpu_ns(token) - before);
}

static void isolated_end(const struct setting *setting)
{
    for (size_t i = 0; i < setting->in_flight; i++)
        sg_hsm_job_free(isolated.jobs[i]);
    rig_engine_end(&isolated.engine);
}

/* -------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static double measure(const struct setting *setting)
{
    static const char *const specs[] = {"p256:ec-p256"};
    double rate[2][ROUNDS], cpu[2][ROUNDS], cost[ROUNDS];
    struct rig rig;
    char module[600];

    rig_make(&rig, specs, SG_COUNT(specs));
    snprintf(module, sizeof(module), "%s", rig.module);
    if (setting->is_slow) {
        rig_fault_env(&rig, module, sizeof(module));
        rig_fault(&rig, "memo", "1", "lat", "Sign", "2000", NULL);
    }
    isolated_start(&rig, setting); /* before there are threads: it forks */
    direct_start(&rig, setting, module);
    for (int i = 0; i < ROUNDS; i++) {
        struct result threads, process;
        if (i % 2 == 0) { /* whoever goes first changes from pair to pair */
            threads = direct_round(setting);
            process = isolated_round(setting);
        } else {
            process = isolated_round(setting);
            threads = direct_round(setting);
        }
        rate[0][i] = threads.rate;
        rate[1][i] = process.rate;
        cpu[0][i] = threads.cpu_us;
        cpu[1][i] = process.cpu_us;
        cost[i] = 1 - process.rate / threads.rate;
    }
    direct_end(setting);
    isolated_end(setting);
    rig_remove(&rig);

    double result = median(cost);
    printf("%-6s %8zu %10zu %10.0f %10.0f %10.1f %10.1f %8.1f %%\n", setting->name,
           setting->workers, setting->in_flight, median(rate[0]), median(rate[1]), median(cpu[0]),
           median(cpu[1]), 100 * result);
    fflush(stdout);
    return result;
}

int main(void)
{
    printf("%-6s %8s %10s %21s %21s %10s\n", "", "", "", "signatures/s", "CPU us of each", "");
    printf("%-6s %8s %10s %10s %10s %10s %10s %10s\n", "token", "workers", "in flight", "threads",
           "process", "threads", "process", "cost");
    double p256 = measure(&settings[0]);
    double slow = measure(&settings[1]);
    printf("isolation cost_p256=%.3f cost_2ms=%.3f\n", p256, slow);
    return 0;
}
