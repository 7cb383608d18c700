#ifndef SG_CLI_BENCH_H
#define SG_CLI_BENCH_H

#include "client/cli/cli.h"

/* What a benchmark has counted. */
enum { SG_BENCH_REASONS_MAX = 8 };

struct sg_bench_result {
    const char *key;
    uint64_t connections, concurrency, batch;
    int64_t elapsed_ns, client_cpu_ns;

    uint64_t calls; /* that brought at least one signature */
    uint64_t signatures;
    uint64_t failures; /* signatures asked for and not got */
    struct {
        char reason[64];
        uint64_t count;
    } reasons[SG_BENCH_REASONS_MAX]; /* the last one takes what has no place of its own */

    uint32_t *latencies_us; /* of calls; owned; all of them, so percentiles are exact */
    size_t latency_count, latency_cap;
    bool lost_latencies; /* no memory for some: the percentiles are of the others */

    uint64_t queue_us, hsm_us, total_us; /* sums of what the server said of each signature */
};

void sg_bench_succeeded(struct sg_bench_result *result, int64_t latency_ns, uint64_t signatures);
void sg_bench_failed(struct sg_bench_result *result, const struct sealgate_error *error,
                     uint64_t signatures);
void sg_bench_timing(struct sg_bench_result *result, const struct sealgate_signature *signature);
void sg_bench_done(struct sg_bench_result *result);

/* The nearest-rank percentile of `count` sorted numbers; 0 of none. */
uint32_t sg_bench_percentile(const uint32_t *sorted, size_t count, double percent);

/* Sorts, prints, and gives the exit code: SG_EXIT_NO when anything failed. */
enum sg_exit sg_bench_print(const struct sg_cli *cli, struct sg_bench_result *result);

#endif
