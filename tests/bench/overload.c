/*
 * The load of the benchmark `overload`: calls of Sign that begin at a fixed rate, whatever becomes
 * of those before them (an open loop), or with --closed so many at any time, which finds the peak.
 *
 *     bench_overload --port PORT --pki DIR --key NAME [--connections N] [--ms N] [--timeout-ms N]
 *                    (--rate CALLS-PER-SECOND | --closed CALLS)
 *
 * Beside that, on a connection of its own, grpc.health.v1.Health/Check every PROBE_MS: at the end
 * how many of them counted, and how long they took.
 *
 * A call counts when it begins after a second of warming up and within --ms. Prints one line:
 * begun, good, refused (RESOURCE_EXHAUSTED or UNAVAILABLE with a RetryInfo), bare (the same without
 * one), late (DEADLINE_EXCEEDED), failed (all else), held (not begun for want of a stream, which an
 * open loop must not see), seconds, and the time that refusals took: p50 and p99, from the moment
 * at which the call was due to begin, so that slowness of this program counts against it.
 *
 * How much of that was this program's own is late_p99_ms: from when a call was due until all of its
 * request was the kernel's, of which begin_p99_ms is the time until it was begun. From then on a
 * refusal took sent_p50_ms and sent_p99_ms, which explain and do not judge: in an open loop what
 * holds up a request is part of what its caller waits for.
 */
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/queue.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/bench/conn.h"

enum {
    CONNECTIONS_MAX = 64,
    STREAMS_MAX = 120, /* of each connection: below the server's limit, as a proper client stays */
    CALLS_MAX = 1 << 20,
    WARM_MS = 1000,
    PROBE_MS = 5,
    PROBES_MAX = 1 << 18, /* of a --ms of 1000000, and some */
    STEP_US = 500,        /* calls that are due within so long begin together */
    IDLE_MS = 1,          /* how soon something is looked for that is not due at a time */
};

struct call {
    struct conn *conn;
    int64_t due_ns, sent_ns; /* sent: the kernel has all of the request; 0: not yet */
    bool counts, is_signed;
    struct call *next; /* of those that are unused, or of those of its connection to be sent */
};

struct conn {
    struct bench_conn bench;
    size_t open;
    struct call *unsent;
};

/* Times of one kind. */
struct times {
    uint32_t us[CALLS_MAX];
    size_t count;
};

static struct {
    struct bench_conns all;
    struct conn conns[CONNECTIONS_MAX];
    size_t connections, ready, turn;
    int64_t ms, timeout_ms, rate, closed;
    uint8_t request[512];
    size_t request_len;
    struct sg_watch timer; /* a timerfd: the loop's own timers are of whole milliseconds */
    int64_t begin_ns, first_ns, last_ns; /* what is due from first to last counts */
    int64_t due;                         /* calls that were due so far, in an open loop */
    size_t open;
    struct call *unused;
    uint64_t begun, good, refused, bare, late, failed, held;
    struct times refusals, sent, begins, lates; /* refusals: since due; sent: since sent */
} load;

/* Whoever asks for health: one check after the other, the next due when it is due. */
static struct {
    struct bench_conn bench;
    int64_t due_ns; /* of the check that is under way or comes next */
    bool is_asking, counts;
    uint32_t took_us[PROBES_MAX];
    size_t count;
} probe;

static int64_t now_ns(void)
{
    return sg_mono_ns(&sg_clock_system);
}

static void remember(struct times *times, int64_t from_ns, int64_t to_ns)
{
    if (times->count == CALLS_MAX)
        bench_die("too many calls to remember");
    times->us[times->count++] = (uint32_t)((to_ns - from_ns) / 1000);
}

static void make_request(const char *key)
{
    static uint8_t value[32] = {0x5e, 0xa1};
    Sealgate__V1__Digest of = SEALGATE__V1__DIGEST__INIT;
    Sealgate__V1__SignRequest request = SEALGATE__V1__SIGN_REQUEST__INIT;
    of.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    of.value = (ProtobufCBinaryData){sizeof(value), value};
    request.key = (char *)(uintptr_t)key;
    request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
    request.digest = &of;
    request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    request.content_crc32c = sg_crc32c(sg_slice_of(value, sizeof(value)));
    if (protobuf_c_message_get_packed_size(&request.base) > sizeof(load.request))
        bench_die("the request is too large");
    load.request_len = protobuf_c_message_pack(&request.base, load.request);
}

static bool has_retry_info(struct sg_slice details)
{
    Google__Rpc__Status *status = google__rpc__status__unpack(NULL, details.len, details.ptr);
    bool has = false;
    for (size_t i = 0; status != NULL && i < status->n_details; i++)
        has |=
            strcmp(status->details[i]->type_url, "type.googleapis.com/google.rpc.RetryInfo") == 0;
    google__rpc__status__free_unpacked(status, NULL);
    return has;
}

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)call;
    ((struct call *)arg)->is_signed = message.len > 256;
}

static void count(const struct call *call, const struct sg_status *status)
{
    if (status->code == SG_GRPC_OK && call->is_signed) {
        load.good++;
    } else if (status->code == SG_GRPC_RESOURCE_EXHAUSTED || status->code == SG_GRPC_UNAVAILABLE) {
        if (!has_retry_info(status->details))
            load.bare++;
        load.refused++;
        const int64_t now = now_ns();
        remember(&load.refusals, call->due_ns, now);
        remember(&load.sent, call->sent_ns == 0 ? now : call->sent_ns, now);
    } else if (status->code == SG_GRPC_DEADLINE_EXCEEDED) {
        load.late++;
    } else {
        load.failed++;
    }
}

/* Everything that its calls had to say is the kernel's. */
static void on_sent(struct bench_conn *bench)
{
    struct conn *conn = SG_CONTAINER(bench, struct conn, bench);
    const int64_t now = now_ns();

    for (struct call *call; (call = conn->unsent) != NULL;) {
        conn->unsent = call->next;
        call->sent_ns = now;
        if (call->counts)
            remember(&load.lates, call->due_ns, now);
    }
}

/* A call that ended before it was sent, by its deadline: it was as late as that. */
static void forget_unsent(struct call *call)
{
    struct call **at = &call->conn->unsent;

    if (call->sent_ns != 0)
        return;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (call->counts)
        remember(&load.lates, call->due_ns, now_ns());
}

static void on_done(void *arg, struct sg_rpc_client_call *rpc, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)rpc, (void)outcome;
    struct call *call = arg;

    forget_unsent(call);
    if (call->counts)
        count(call, status);
    call->conn->open--;
    load.open--;
    call->next = load.unused;
    load.unused = call;
}

static void begin_call(struct conn *conn, int64_t due_ns)
{
    struct sg_err err;
    struct sg_rpc_client_call *rpc;
    struct call *call = load.unused;
    if (call != NULL)
        load.unused = call->next;
    else if ((call = malloc(sizeof(*call))) == NULL)
        bench_die("out of memory");
    *call = (struct call){
        .conn = conn, .due_ns = due_ns, .counts = due_ns >= load.first_ns && due_ns < load.last_ns};
    const struct sg_rpc_client_events events = {
        .arg = call, .message = on_message, .done = on_done};
    bench_must(sg_rpc_client_start(conn->bench.client, "/sealgate.v1.SigningService/Sign", now_ns(),
                                   now_ns() + load.timeout_ms * SG_NS_PER_MS, NULL, 0, &events,
                                   &rpc, &err),
               &err);
    bench_must(sg_rpc_client_send(rpc, sg_slice_of(load.request, load.request_len), true, &err),
               &err);
    conn->open++;
    load.open++;
    call->next = conn->unsent;
    conn->unsent = call;
    load.begun += call->counts;
    if (call->counts)
        remember(&load.begins, due_ns, now_ns());
    sg_hook_arm(load.all.loop, &conn->bench.flush);
}

/* On the next connection that takes one. False: none does. */
static bool begin_somewhere(int64_t due_ns)
{
    for (size_t i = 0; i < load.connections; i++) {
        struct conn *conn = &load.conns[load.turn++ % load.connections];
        if (conn->open >= STREAMS_MAX)
            continue;
        begin_call(conn, due_ns);
        return true;
    }
    return false;
}

static void on_checked(void *arg, struct sg_rpc_client_call *rpc, const struct sg_status *status,
                       enum sg_rpc_outcome outcome)
{
    (void)arg, (void)rpc, (void)outcome;
    if (status->code != SG_GRPC_OK)
        bench_die("a check of health ended with %s", sg_grpc_code_name(status->code));
    if (probe.counts && probe.count < PROBES_MAX)
        probe.took_us[probe.count++] = (uint32_t)((now_ns() - probe.due_ns) / 1000);
    probe.is_asking = false;
    /* A check that took long delays the next, and is not counted for those that it delayed. */
    const int64_t next_ns = probe.due_ns + PROBE_MS * SG_NS_PER_MS;
    probe.due_ns = next_ns > now_ns() ? next_ns : now_ns();
}

static void on_check_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)arg, (void)call, (void)message;
}

static void ask_health(int64_t now)
{
    static const char path[] = "/grpc.health.v1.Health/Check";
    const struct sg_rpc_client_events events = {.message = on_check_message, .done = on_checked};
    struct sg_rpc_client_call *call;
    struct sg_err err;

    if (probe.is_asking || now < probe.due_ns || now >= load.last_ns)
        return;
    probe.is_asking = true;
    probe.counts = probe.due_ns >= load.first_ns;
    bench_must(sg_rpc_client_start(probe.bench.client, path, now, 0, NULL, 0, &events, &call, &err),
               &err);
    bench_must(sg_rpc_client_send(call, (struct sg_slice){0}, true, &err), &err);
    sg_hook_arm(load.all.loop, &probe.bench.flush);
}

/* The next time at which something is to begin. */
static int64_t next_ns(int64_t now)
{
    int64_t due_ns = now + IDLE_MS * SG_NS_PER_MS;

    if (now >= load.last_ns) /* nothing more begins */
        return due_ns;
    if (load.rate > 0) {
        const int64_t call_ns = load.begin_ns + load.due * SG_NS_PER_S / load.rate;
        due_ns = call_ns < due_ns ? call_ns : due_ns;
    }
    if (!probe.is_asking && probe.due_ns < due_ns)
        due_ns = probe.due_ns;
    return due_ns > now + STEP_US * 1000 ? due_ns : now + STEP_US * 1000;
}

static void set_timer(int64_t due_ns)
{
    const struct itimerspec at = {
        .it_value = {.tv_sec = due_ns / SG_NS_PER_S, .tv_nsec = due_ns % SG_NS_PER_S}};
    if (timerfd_settime(load.timer.fd, TFD_TIMER_ABSTIME, &at, NULL) != 0)
        bench_die("could not set a timer: %m");
}

static void on_tick(void *arg, uint32_t events)
{
    (void)arg, (void)events;
    uint64_t times;
    const int64_t now = now_ns();

    if (read(load.timer.fd, &times, sizeof(times)) != (ssize_t)sizeof(times))
        return;
    ask_health(now);
    if (now >= load.last_ns && load.open == 0 &&
        !probe.is_asking) { /* each ends, by its deadline at the latest */
        sg_loop_stop(load.all.loop);
        return;
    }
    while (load.closed > 0 && now < load.last_ns && load.open < (size_t)load.closed)
        if (!begin_somewhere(now))
            break;
    while (load.rate > 0) {
        const int64_t due_ns = load.begin_ns + load.due * SG_NS_PER_S / load.rate;
        if (due_ns > now || due_ns >= load.last_ns)
            break;
        load.due++;
        if (!begin_somewhere(due_ns))
            load.held++;
    }
    set_timer(next_ns(now));
}

static void on_conn_ready(struct bench_conn *bench)
{
    (void)bench;
    struct sg_err err;
    if (++load.ready < load.connections + 1) /* the last is the one that asks for health */
        return;
    load.begin_ns = now_ns();
    probe.due_ns = load.begin_ns;
    load.first_ns = load.begin_ns + WARM_MS * SG_NS_PER_MS;
    load.last_ns = load.first_ns + load.ms * SG_NS_PER_MS;
    load.timer = (struct sg_watch){
        .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), .fn = on_tick, .events = EPOLLIN};
    if (load.timer.fd < 0)
        bench_die("could not make a timer: %m");
    bench_must(sg_watch_add(load.all.loop, &load.timer, &err), &err);
    set_timer(load.begin_ns);
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Of times in order. */
static double percentile_ms(const uint32_t *us, size_t count, size_t percent)
{
    const size_t place = count == 0 ? 0 : (count - 1) * percent / 100;
    return count == 0 ? 0 : (double)us[place] / 1000;
}

static void tell(void)
{
    struct times *all[] = {&load.refusals, &load.sent, &load.begins, &load.lates};
    for (size_t i = 0; i < SG_COUNT(all); i++)
        qsort(all[i]->us, all[i]->count, sizeof(all[i]->us[0]), ascending);
    qsort(probe.took_us, probe.count, sizeof(probe.took_us[0]), ascending);
    printf("begun=%llu good=%llu refused=%llu bare=%llu late=%llu failed=%llu held=%llu "
           "seconds=%.3f begin_p99_ms=%.3f late_p99_ms=%.3f ",
           (unsigned long long)load.begun, (unsigned long long)load.good,
           (unsigned long long)load.refused, (unsigned long long)load.bare,
           (unsigned long long)load.late, (unsigned long long)load.failed,
           (unsigned long long)load.held, (double)load.ms / 1000.0,
           percentile_ms(load.begins.us, load.begins.count, 99),
           percentile_ms(load.lates.us, load.lates.count, 99));
    printf("sent_p50_ms=%.3f sent_p99_ms=%.3f refusal_p50_ms=%.3f refusal_p99_ms=%.3f checks=%zu "
           "health_p50_ms=%.3f health_p99_ms=%.3f health_max_ms=%.3f\n",
           percentile_ms(load.sent.us, load.sent.count, 50),
           percentile_ms(load.sent.us, load.sent.count, 99),
           percentile_ms(load.refusals.us, load.refusals.count, 50),
           percentile_ms(load.refusals.us, load.refusals.count, 99), probe.count,
           percentile_ms(probe.took_us, probe.count, 50),
           percentile_ms(probe.took_us, probe.count, 99),
           percentile_ms(probe.took_us, probe.count, 100));
}

static int64_t number(const char *text)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > 1000000)
        bench_die("\"%s\" is no number from 1 to 1000000", text);
    return value;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"pki", required_argument, NULL, 'd'},
        {"key", required_argument, NULL, 'k'},
        {"connections", required_argument, NULL, 'c'},
        {"ms", required_argument, NULL, 'm'},
        {"timeout-ms", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},
        {"closed", required_argument, NULL, 'l'},
        {0},
    };
    const char *pki = NULL, *key = NULL;
    int64_t port = 0, connections = 16;
    struct sg_err err;

    load.ms = 3000;
    load.timeout_ms = 500;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'd')
            pki = optarg;
        else if (option == 'k')
            key = optarg;
        else if (option == '?')
            return 2;
        else
            *(option == 'p'   ? &port
              : option == 'c' ? &connections
              : option == 'm' ? &load.ms
              : option == 't' ? &load.timeout_ms
              : option == 'r' ? &load.rate
                              : &load.closed) = number(optarg);
    }
    if (port == 0 || port > UINT16_MAX || pki == NULL || key == NULL ||
        connections > CONNECTIONS_MAX || (load.rate > 0) == (load.closed > 0))
        bench_die("wrong usage; the head of tests/bench/overload.c explains it");
    load.connections = (size_t)connections;
    make_request(key);
    bench_conns_init(&load.all, pki, "dev", (uint16_t)port);
    for (size_t i = 0; i < load.connections; i++) {
        load.conns[i].bench.ready = on_conn_ready;
        load.conns[i].bench.sent = on_sent;
        bench_conn_open(&load.all, &load.conns[i].bench, 1);
    }
    probe.bench.ready = on_conn_ready;
    bench_conn_open(&load.all, &probe.bench, 2);
    bench_must(sg_loop_run(load.all.loop, &err), &err);
    tell();
    return 0;
}
