/*
 * The crowd of the benchmarks `idle` and `reconnect`: many connections with client certificates,
 * each of which makes one call, and then only is there.
 *
 *     bench_crowd --port PORT --pki DIR --pid PID --connections N [--at-once N] [--http1]
 *
 * With --http1 the crowd speaks Connect over HTTP/1.1, and gRPC over HTTP/2 else.
 * Opens them --at-once at a time (all, without it) in a process of its own, while this one asks
 * grpc.health.v1.Health/Check every PROBE_MS on a connection that was there before. Prints one
 * line: how many were ready, the seconds until then, how long the checks took meanwhile, and what
 * the process --pid grew by for each of them.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/queue.h"
#include "tests/bench/conn.h"

enum { PROBE_MS = 5, PROBES_MAX = 200000, HOSTS = 16, SETTLE_MS = 2000, READY_S = 240 };

static const char check_path[] = "/grpc.health.v1.Health/Check";

/* The crowd ---------------------------------------------------------------------------------- */

struct member {
    struct bench_conn bench;
    bool has_asked;
};

static struct crowd {
    struct bench_conns conns;
    struct member *members;
    size_t count, at_once, opened, ready;
    int tell_fd, is_http1;
} crowd;

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)arg, (void)call, (void)message;
}

static void open_members(void)
{
    for (; crowd.opened < crowd.count && crowd.opened - crowd.ready < crowd.at_once; crowd.opened++)
        bench_conn_open(&crowd.conns, &crowd.members[crowd.opened].bench,
                        (unsigned)(1 + crowd.opened % HOSTS));
}

static void count_one(void)
{
    if (++crowd.ready < crowd.count)
        open_members();
    else if (write(crowd.tell_fd, "r", 1) != 1)
        bench_die("could not tell that all are ready: %m");
}

static void on_answered(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                        enum sg_rpc_outcome outcome)
{
    (void)arg, (void)call, (void)outcome;
    if (status->code != SG_GRPC_OK)
        bench_die("a connection's call ended with %s", sg_grpc_code_name(status->code));
    count_one();
}

/* By HTTP/1.1: the answer is one record. */
static void ask_by_text(struct bench_conn *conn)
{
    static const char request[] = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\n"
                                  "host: localhost\r\n"
                                  "content-type: application/proto\r\n"
                                  "content-length: 0\r\n\r\n";
    struct sg_err err;
    bench_must(sg_tls_send(conn->tls, sg_slice_str(request), &err), &err);
}

static void on_text(struct bench_conn *conn, struct sg_slice text)
{
    struct member *member = SG_CONTAINER(conn, struct member, bench);
    if (member->has_asked || !sg_slice_starts(text, SG_SLICE("HTTP/1.1 200 ")))
        bench_die("a connection was answered: %.*s", (int)text.len, (const char *)text.ptr);
    member->has_asked = true;
    count_one();
}

static void check_once(struct bench_conn *conn)
{
    struct member *member = SG_CONTAINER(conn, struct member, bench);
    const struct sg_rpc_client_events events = {.message = on_message, .done = on_answered};
    struct sg_rpc_client_call *call;
    struct sg_err err;

    if (member->has_asked)
        return;
    member->has_asked = true;
    bench_must(sg_rpc_client_start(conn->client, check_path, sg_loop_now(crowd.conns.loop), 0, NULL,
                                   0, &events, &call, &err),
               &err);
    bench_must(sg_rpc_client_send(call, (struct sg_slice){0}, true, &err), &err);
}

/* The child: ends when the parent does. */
static void run_crowd(const char *pki, uint16_t port)
{
    struct sg_err err;
    crowd.members = calloc(crowd.count, sizeof(*crowd.members));
    if (crowd.members == NULL)
        bench_die("no memory for %zu connections", crowd.count);
    if (crowd.is_http1)
        bench_conns_init_http1(&crowd.conns, pki, "dev", port);
    else
        bench_conns_init(&crowd.conns, pki, "dev", port);
    for (size_t i = 0; i < crowd.count; i++) {
        struct bench_conn *bench = &crowd.members[i].bench;
        bench->ready = crowd.is_http1 ? ask_by_text : NULL;
        bench->fill = crowd.is_http1 ? NULL : check_once;
        bench->text = on_text;
    }
    open_members();
    bench_must(sg_loop_run(crowd.conns.loop, &err), &err);
}

/* The probe ---------------------------------------------------------------------------------- */

static struct probe {
    struct bench_conns conns;
    struct bench_conn bench;
    struct sg_watch told;
    struct sg_timer timer;
    int64_t asked_ns; /* 0: no check is under way */
    size_t count;
    int64_t took_ns[PROBES_MAX];
    bool is_over;
} probe;

static void on_checked(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                       enum sg_rpc_outcome outcome)
{
    (void)arg, (void)call, (void)outcome;
    if (status->code != SG_GRPC_OK)
        bench_die("a check ended with %s", sg_grpc_code_name(status->code));
    if (probe.count < PROBES_MAX)
        probe.took_ns[probe.count++] = sg_mono_ns(&sg_clock_system) - probe.asked_ns;
    probe.asked_ns = 0;
}

static void on_timer(void *arg)
{
    (void)arg;
    struct sg_err err;
    const struct sg_rpc_client_events events = {.message = on_message, .done = on_checked};
    struct sg_rpc_client_call *call;

    bench_must(sg_timer_set(probe.conns.loop, &probe.timer,
                            sg_mono_ns(&sg_clock_system) + PROBE_MS * SG_NS_PER_MS, &err),
               &err);
    if (probe.asked_ns != 0 || probe.bench.client == NULL)
        return;
    probe.asked_ns = sg_mono_ns(&sg_clock_system);
    bench_must(sg_rpc_client_start(probe.bench.client, check_path, probe.asked_ns, 0, NULL, 0,
                                   &events, &call, &err),
               &err);
    bench_must(sg_rpc_client_send(call, (struct sg_slice){0}, true, &err), &err);
    sg_hook_arm(probe.conns.loop, &probe.bench.flush);
}

static void on_told(void *arg, uint32_t events)
{
    (void)arg, (void)events;
    char what;
    if (read(probe.told.fd, &what, 1) != 1)
        bench_die("the crowd has failed");
    probe.is_over = true;
}

static void turn_until(bool (*is_so)(void), int64_t seconds, const char *what)
{
    struct sg_err err;
    int64_t until = sg_mono_ns(&sg_clock_system) + seconds * SG_NS_PER_S;
    while (!is_so()) {
        if (sg_mono_ns(&sg_clock_system) > until)
            bench_die("%s took over %lld s", what, (long long)seconds);
        bench_must(sg_loop_turn(probe.conns.loop, 100, &err), &err);
    }
}

static bool has_checked(void)
{
    return probe.count >= 20;
}

static bool is_over(void)
{
    return probe.is_over;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(double part)
{
    size_t at = (size_t)(part * (double)(probe.count - 1));
    return (double)probe.took_ns[at] / 1e6;
}

static double resident_kb(pid_t pid)
{
    char path[64], line[256];
    double kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && kb == 0 && fgets(line, sizeof(line), file) != NULL)
        kb = strncmp(line, "VmRSS:", 6) == 0 ? strtod(line + 6, NULL) : 0;
    if (file != NULL)
        fclose(file);
    if (kb == 0)
        bench_die("could not read the memory of process %d", pid);
    return kb;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                          {"pki", required_argument, NULL, 'k'},
                                          {"pid", required_argument, NULL, 'i'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"at-once", required_argument, NULL, 'a'},
                                          {"http1", no_argument, &crowd.is_http1, 1},
                                          {0}};
    const char *pki = NULL;
    unsigned long port = 0, pid = 0;
    int option, fds[2];
    struct sg_err err;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        unsigned long value = option == 'k' || option == 0 ? 0 : strtoul(optarg, NULL, 10);
        if (option == 'k')
            pki = optarg;
        else if (option == 'p')
            port = value;
        else if (option == 'i')
            pid = value;
        else if (option == 'c')
            crowd.count = value;
        else if (option == 'a')
            crowd.at_once = value;
    }
    if (pki == NULL || port == 0 || port > UINT16_MAX || pid == 0 || crowd.count == 0)
        bench_die("wrong usage; the head of tests/bench/crowd.c explains it");
    if (crowd.at_once == 0)
        crowd.at_once = crowd.count;

    bench_conns_init(&probe.conns, pki, "dev", (uint16_t)port);
    bench_conn_open(&probe.conns, &probe.bench, HOSTS + 1);
    probe.timer = (struct sg_timer){.fn = on_timer};
    bench_must(sg_timer_set(probe.conns.loop, &probe.timer, 0, &err), &err);
    turn_until(has_checked, 10, "connecting");
    probe.count = 0;

    double before_kb = resident_kb((pid_t)pid);
    int64_t start_ns = sg_mono_ns(&sg_clock_system);
    if (pipe(fds) != 0)
        bench_die("could not make a pipe: %m");
    pid_t child = fork();
    if (child < 0)
        bench_die("could not fork: %m");
    if (child == 0) {
        crowd.tell_fd = fds[1];
        run_crowd(pki, (uint16_t)port);
        _exit(0);
    }
    close(fds[1]);
    probe.told = (struct sg_watch){.fd = fds[0], .fn = on_told, .events = 1};
    bench_must(sg_watch_add(probe.conns.loop, &probe.told, &err), &err);
    turn_until(is_over, READY_S, "the crowd");
    double seconds = (double)(sg_mono_ns(&sg_clock_system) - start_ns) / 1e9;
    usleep(SETTLE_MS * 1000);
    double after_kb = resident_kb((pid_t)pid);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);

    qsort(probe.took_ns, probe.count, sizeof(probe.took_ns[0]), compare);
    printf("ready=%zu seconds=%.3f checks=%zu health_p50_ms=%.3f health_p99_ms=%.3f "
           "health_max_ms=%.3f kb_per_connection=%.3f\n",
           crowd.count, seconds, probe.count, percentile_ms(0.5), percentile_ms(0.99),
           percentile_ms(1), (after_kb - before_kb) / (double)crowd.count);
    return 0;
}
