#include "client/cli/bench.h"

#include "base/clock.h"
#include "client/cli/text.h"

void sg_bench_succeeded(struct sg_bench_result *result, int64_t latency_ns, uint64_t signatures)
{
    int64_t us = latency_ns / 1000;

    result->calls++;
    result->signatures += signatures;
    if (result->latency_count == result->latency_cap) {
        size_t cap = result->latency_cap == 0 ? 65536 : result->latency_cap * 2;
        uint32_t *more = realloc(result->latencies_us, cap * sizeof(*more));
        if (more == NULL) {
            result->lost_latencies = true;
            return;
        }
        result->latencies_us = more;
        result->latency_cap = cap;
    }
    result->latencies_us[result->latency_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void sg_bench_failed(struct sg_bench_result *result, const struct sealgate_error *error,
                     uint64_t signatures)
{
    const char *reason = error->reason[0] == '\0' ? sealgate_code_name(error->code) : error->reason;
    size_t i = 0;

    result->failures += signatures;
    while (i < SG_BENCH_REASONS_MAX - 1 && result->reasons[i].count > 0 &&
           strcmp(result->reasons[i].reason, reason) != 0)
        i++;
    (void)snprintf(result->reasons[i].reason, sizeof(result->reasons[i].reason), "%s",
                   i == SG_BENCH_REASONS_MAX - 1 ? "others" : reason);
    result->reasons[i].count += signatures;
}

void sg_bench_timing(struct sg_bench_result *result, const struct sealgate_signature *signature)
{
    result->queue_us += signature->queue_us;
    result->hsm_us += signature->hsm_us;
    result->total_us += signature->total_us;
}

void sg_bench_done(struct sg_bench_result *result)
{
    free(result->latencies_us);
    result->latencies_us = NULL;
}

uint32_t sg_bench_percentile(const uint32_t *sorted, size_t count, double percent)
{
    double rank = percent / 100 * (double)count;
    size_t place = (size_t)rank;

    if (count == 0)
        return 0;
    if ((double)place < rank)
        place++; /* nearest rank rounds up */
    return sorted[place == 0 ? 0 : place - 1];
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double per_signature(const struct sg_bench_result *result, double sum)
{
    return result->signatures == 0 ? 0 : sum / (double)result->signatures;
}

static double rate_of(const struct sg_bench_result *result)
{
    double seconds = (double)result->elapsed_ns / (double)SG_NS_PER_S;

    return seconds > 0 ? (double)result->signatures / seconds : 0;
}

static void print_text(const struct sg_bench_result *result)
{
    static const double percents[] = {50, 90, 99, 99.9};

    (void)printf("key            %s\n", result->key);
    (void)printf("load           %llu callers over %llu connections, ",
                 (unsigned long long)result->concurrency, (unsigned long long)result->connections);
    if (result->batch == 0)
        (void)puts("one signature a call");
    else
        (void)printf("batches of %llu\n", (unsigned long long)result->batch);
    (void)printf("signatures     %llu in %.3f s: %.1f per second\n",
                 (unsigned long long)result->signatures,
                 (double)result->elapsed_ns / (double)SG_NS_PER_S, rate_of(result));
    (void)printf("failures       %llu\n", (unsigned long long)result->failures);
    for (size_t i = 0; i < SG_BENCH_REASONS_MAX; i++)
        if (result->reasons[i].count > 0) {
            (void)fputs("               ", stdout);
            sg_cli_put(stdout, result->reasons[i].reason);
            (void)printf(": %llu\n", (unsigned long long)result->reasons[i].count);
        }
    (void)fputs("call latency  ", stdout);
    for (size_t i = 0; i < SG_COUNT(percents); i++)
        (void)printf(" p%g %u us%s", percents[i],
                     sg_bench_percentile(result->latencies_us, result->latency_count, percents[i]),
                     i + 1 < SG_COUNT(percents) ? "," : "");
    (void)printf(", most %u us\n",
                 sg_bench_percentile(result->latencies_us, result->latency_count, 100));
    if (result->lost_latencies)
        (void)puts("               of some calls only: there was no memory for the others");
    (void)printf(
        "server says    %.0f us in its queue, %.0f us in the token, %.0f us in all (mean)\n",
        per_signature(result, (double)result->queue_us),
        per_signature(result, (double)result->hsm_us),
        per_signature(result, (double)result->total_us));
    (void)printf("client's CPU   %.1f us per signature\n",
                 per_signature(result, (double)result->client_cpu_ns / 1000));
}

static void print_json(struct sg_json *json, const struct sg_bench_result *result)
{
    sg_json_begin_object(json, NULL);
    sg_json_str(json, "key", result->key);
    sg_json_int(json, "connections", (int64_t)result->connections);
    sg_json_int(json, "concurrency", (int64_t)result->concurrency);
    sg_json_int(json, "batch", (int64_t)result->batch);
    sg_json_int(json, "signatures", (int64_t)result->signatures);
    sg_json_int(json, "calls", (int64_t)result->calls);
    sg_json_int(json, "failures", (int64_t)result->failures);
    sg_json_begin_object(json, "failure_reasons");
    for (size_t i = 0; i < SG_BENCH_REASONS_MAX; i++)
        if (result->reasons[i].count > 0)
            sg_json_int(json, result->reasons[i].reason, (int64_t)result->reasons[i].count);
    sg_json_end(json);
    sg_json_real(json, "seconds", (double)result->elapsed_ns / (double)SG_NS_PER_S, 6);
    sg_json_real(json, "rate", rate_of(result), 1);
    sg_json_int(json, "p50_us",
                sg_bench_percentile(result->latencies_us, result->latency_count, 50));
    sg_json_int(json, "p90_us",
                sg_bench_percentile(result->latencies_us, result->latency_count, 90));
    sg_json_int(json, "p99_us",
                sg_bench_percentile(result->latencies_us, result->latency_count, 99));
    sg_json_int(json, "p99_9_us",
                sg_bench_percentile(result->latencies_us, result->latency_count, 99.9));
    sg_json_int(json, "max_us",
                sg_bench_percentile(result->latencies_us, result->latency_count, 100));
    sg_json_real(json, "server_queue_us", per_signature(result, (double)result->queue_us), 1);
    sg_json_real(json, "server_hsm_us", per_signature(result, (double)result->hsm_us), 1);
    sg_json_real(json, "server_total_us", per_signature(result, (double)result->total_us), 1);
    sg_json_real(json, "client_cpu_us", per_signature(result, (double)result->client_cpu_ns / 1000),
                 2);
    sg_json_end(json);
}

enum sg_exit sg_bench_print(const struct sg_cli *cli, struct sg_bench_result *result)
{
    enum sg_exit code = result->failures > 0 || result->signatures == 0 ? SG_EXIT_NO : SG_EXIT_OK;
    struct sg_buf out;
    struct sg_json json;

    if (result->latency_count > 0)
        qsort(result->latencies_us, result->latency_count, sizeof(uint32_t), by_number);
    if (!cli->is_json) {
        print_text(result);
        return sg_cli_flush(cli, code);
    }
    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    print_json(&json, result);
    return sg_cli_print_json(cli, &out, code);
}
