#include <math.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "client/cli/bench.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"

/*
 * Signs as fast as the gateway answers, and says honestly how fast that was: a closed loop of N
 * callers, each of whom asks again when it is answered. Every signature is asked for a digest of
 * its own, its CRC-32C is checked as always, and failures are counted, named and left out of the
 * latencies.
 */

static const struct sg_option options[] = {
    {"key", "NAME", "the key that signs", false},
    {"connections", "N", "TLS connections (default 1)", false},
    {"concurrency", "N", "calls under way at once, over all connections (default 8)", false},
    {"duration", "SECONDS", "how long to measure (default 5)", false},
    {"requests", "N", "or how many calls to make", false},
    {"batch", "N", "items per call, by BatchSign (default: Sign)", false},
    {"scheme", "SCHEME", "rsa-pkcs1, rsa-pss, ecdsa, ed25519 (default: the key's)", false},
    {0},
};

enum { CONNECTIONS_MAX = 256, CONCURRENCY_MAX = 65536, BATCH_MAX = 1000 };

struct bench {
    struct sg_cli *cli;
    char key[256];
    bool is_message; /* Ed25519 signs the 32 bytes themselves */
    enum sealgate_scheme scheme;
    uint64_t connections, concurrency, requests, batch; /* requests, batch: 0 is not given */
    uint32_t duration_ms;

    struct sealgate_client *clients[CONNECTIONS_MAX];
    struct caller *callers;
    uint8_t seed[24];
    uint64_t started, under_way;
    int64_t begin_ns, end_ns; /* end_ns: no call starts after it */
    struct sg_bench_result result;
};

/* One of the N: it has one call under way, or is done. */
struct caller {
    struct bench *bench;
    struct sealgate_client *client;
    int64_t start_ns;
};

static void next_call(struct caller *caller);

/* ---- One call ------------------------------------------------------------------------------- */

static void answered(struct caller *caller, uint64_t signatures, uint64_t failures,
                     const struct sealgate_error *error)
{
    struct bench *bench = caller->bench;
    int64_t now_ns = sg_mono_ns(&sg_clock_system);

    bench->under_way--;
    if (error != NULL)
        sg_bench_failed(&bench->result, error, failures);
    if (signatures > 0)
        sg_bench_succeeded(&bench->result, now_ns - caller->start_ns, signatures);
    next_call(caller);
}

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    struct caller *caller = user;

    if (signature != NULL)
        sg_bench_timing(&caller->bench->result, signature);
    answered(caller, error == NULL ? 1 : 0, error == NULL ? 0 : 1, error);
}

static void on_batch(void *user, const struct sealgate_error *error,
                     const struct sealgate_batch *batch)
{
    struct caller *caller = user;
    const struct sealgate_error *first = error;
    uint64_t good = 0;

    for (size_t i = 0; batch != NULL && i < batch->count; i++) {
        if (batch->items[i].signature != NULL) {
            sg_bench_timing(&caller->bench->result, batch->items[i].signature);
            good++;
        } else if (first == NULL) {
            first = batch->items[i].error;
        }
    }
    answered(caller, good, caller->bench->batch - good, first);
}

/* No two contents of a run are the same, and no two runs either. */
static void fill_content(struct bench *bench, uint64_t number, uint8_t out[32])
{
    memcpy(out, bench->seed, sizeof(bench->seed));
    memcpy(out + sizeof(bench->seed), &number, sizeof(number));
}

static struct sealgate_sign_request request_of(const struct bench *bench, const uint8_t *content)
{
    return (struct sealgate_sign_request){
        .key = bench->key,
        .digest = bench->is_message ? SEALGATE_DIGEST_UNSET : SEALGATE_DIGEST_SHA256,
        .content = {content, 32},
        .scheme = bench->scheme,
    };
}

static enum sealgate_code start_call(struct caller *caller, struct sealgate_error *error)
{
    struct bench *bench = caller->bench;
    static uint8_t contents[BATCH_MAX][32];
    static struct sealgate_sign_request requests[BATCH_MAX];
    uint64_t items = bench->batch == 0 ? 1 : bench->batch;

    for (uint64_t i = 0; i < items; i++) {
        fill_content(bench, bench->started * items + i, contents[i]);
        requests[i] = request_of(bench, contents[i]);
    }
    caller->start_ns = sg_mono_ns(&sg_clock_system);
    if (bench->batch == 0)
        return sealgate_sign_start(caller->client, requests, bench->cli->timeout_ms, on_signed,
                                   caller, NULL, error);
    return sealgate_batch_sign_start(caller->client, requests, items, bench->cli->timeout_ms,
                                     on_batch, caller, NULL, error);
}

static void next_call(struct caller *caller)
{
    struct bench *bench = caller->bench;
    struct sealgate_error error;

    if (bench->requests > 0 ? bench->started >= bench->requests
                            : sg_mono_ns(&sg_clock_system) >= bench->end_ns)
        return;
    if (start_call(caller, &error) != SEALGATE_OK) {
        sg_bench_failed(&bench->result, &error, 1);
        return;
    }
    bench->started++;
    bench->under_way++;
}

/* ---- The run -------------------------------------------------------------------------------- */

static void run_loop(struct bench *bench)
{
    struct pollfd fds[CONNECTIONS_MAX];

    while (bench->under_way > 0) {
        int timeout_ms = -1;
        for (uint64_t i = 0; i < bench->connections; i++) {
            int wait_ms;
            sealgate_client_step(bench->clients[i]);
            wait_ms = sealgate_client_timeout_ms(bench->clients[i]);
            if (wait_ms >= 0 && (timeout_ms < 0 || wait_ms < timeout_ms))
                timeout_ms = wait_ms;
            fds[i] = (struct pollfd){.fd = sealgate_client_fd(bench->clients[i]), .events = POLLIN};
        }
        if (bench->under_way > 0)
            (void)poll(fds, bench->connections, timeout_ms);
    }
}

static int64_t cpu_ns(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SG_NS_PER_S +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void measure(struct bench *bench)
{
    int64_t cpu_before_ns = cpu_ns();

    bench->begin_ns = sg_mono_ns(&sg_clock_system);
    bench->end_ns = bench->begin_ns + bench->duration_ms * SG_NS_PER_MS;
    for (uint64_t i = 0; i < bench->concurrency; i++) {
        bench->callers[i] =
            (struct caller){.bench = bench, .client = bench->clients[i % bench->connections]};
        next_call(&bench->callers[i]);
    }
    run_loop(bench);
    bench->result.elapsed_ns = sg_mono_ns(&sg_clock_system) - bench->begin_ns;
    bench->result.client_cpu_ns = cpu_ns() - cpu_before_ns;
}

/* ---- Before --------------------------------------------------------------------------------- */

static enum sg_exit number(const struct sg_cli *cli, const char *name, uint64_t max, uint64_t *ret)
{
    const char *text = sg_args_get(&cli->args, name);

    if (text == NULL || sg_cli_number(text, 1, max, ret))
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--%s is a number from 1 to %llu", name,
                       (unsigned long long)max);
}

static enum sg_exit take_options(struct sg_cli *cli, struct bench *bench)
{
    const char *key = sg_args_get(&cli->args, "key");
    const char *duration = sg_args_get(&cli->args, "duration");
    const char *scheme = sg_args_get(&cli->args, "scheme");
    enum sg_exit code = number(cli, "connections", CONNECTIONS_MAX, &bench->connections);

    if (code == SG_EXIT_OK)
        code = number(cli, "concurrency", CONCURRENCY_MAX, &bench->concurrency);
    if (code == SG_EXIT_OK)
        code = number(cli, "requests", UINT32_MAX, &bench->requests);
    if (code == SG_EXIT_OK)
        code = number(cli, "batch", BATCH_MAX, &bench->batch);
    if (code != SG_EXIT_OK)
        return code;
    if (key == NULL || !sg_cli_key_name(key, bench->key))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--key NAME is missing or too long");
    if (duration != NULL && !sg_cli_seconds(duration, &bench->duration_ms))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--duration is seconds, from 0.001 to 86400");
    if (duration != NULL && bench->requests > 0)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--duration and --requests exclude each other");
    if (scheme != NULL && sg_scheme_find(scheme) == SG_SCHEME_UNSET)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--scheme is one of rsa-pkcs1, rsa-pss, ecdsa, ed25519");
    if (scheme != NULL)
        bench->scheme = (enum sealgate_scheme)sg_scheme_find(scheme);
    if (bench->connections > bench->concurrency)
        bench->connections = bench->concurrency;
    return SG_EXIT_OK;
}

/* Connects each client by a call that measures nothing, and learns the key's type. */
static enum sg_exit connect_all(struct bench *bench)
{
    struct sealgate_options client_options;
    struct sealgate_error error;
    enum sg_exit code = sg_cli_options(bench->cli, &client_options);

    client_options.calls_max = CONCURRENCY_MAX;
    for (uint64_t i = 0; code == SG_EXIT_OK && i < bench->connections; i++) {
        struct sealgate_public_key *key = NULL;
        if (sealgate_client_new(&client_options, &bench->clients[i], &error) != SEALGATE_OK) {
            (void)sg_cli_failed(bench->cli, &error);
            return SG_EXIT_USAGE;
        }
        if (sealgate_get_public_key(bench->clients[i], bench->key, bench->cli->timeout_ms, &key,
                                    &error) != SEALGATE_OK)
            return sg_cli_failed(bench->cli, &error);
        bench->is_message = key->type == SEALGATE_KEY_TYPE_ED25519;
        sealgate_free(key);
    }
    return code;
}

static enum sg_exit run_bench(struct bench *bench)
{
    enum sg_exit code = connect_all(bench);

    if (code != SG_EXIT_OK)
        return code;
    if (getrandom(bench->seed, sizeof(bench->seed), 0) != (ssize_t)sizeof(bench->seed))
        return sg_cli_fail(bench->cli, SG_EXIT_INTERNAL, "NO_RANDOM",
                           "could not get random bytes from the kernel");
    bench->callers = calloc(bench->concurrency, sizeof(*bench->callers));
    if (bench->callers == NULL)
        return sg_cli_fail(bench->cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    measure(bench);
    bench->result.key = bench->key;
    bench->result.connections = bench->connections;
    bench->result.concurrency = bench->concurrency;
    bench->result.batch = bench->batch;
    return sg_bench_print(bench->cli, &bench->result);
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    enum sg_exit code;

    if (bench == NULL)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    bench->cli = cli;
    bench->connections = 1;
    bench->concurrency = 8;
    bench->duration_ms = 5000;
    code = take_options(cli, bench);
    if (code == SG_EXIT_OK)
        code = run_bench(bench);
    for (uint64_t i = 0; i < bench->connections; i++)
        sealgate_client_free(bench->clients[i]);
    sg_bench_done(&bench->result);
    free(bench->callers);
    free(bench);
    return code;
}

const struct sg_command sg_cmd_bench = {
    .name = "bench",
    .synopsis = "--key NAME [--connections N] [--concurrency N]\n"
                "                      [--duration SECONDS | --requests N] [--batch N]",
    .summary = "measure how fast signatures come",
    .text =
        "A closed loop: each of the N callers asks again when it was answered, so a slow answer\n"
        "delays the questions behind it, and the latencies are those that N patient callers see.\n"
        "Connecting is not measured. Failures are counted apart and make the exit code 1.\n",
    .options = options,
    .run = run,
};
