/*
 * The load of the benchmarks `rpc` and `sign`: so many connections, each with so many calls under
 * way at any time, of Sign or of BatchSign; one thread. Every answer is looked at: a status other
 * than OK, a signature of another length or a batch with a failed item ends the run.
 *
 *     bench_load --port PORT --pki DIR [--client NAME] [--key NAME] [--signature BYTES]
 *                [--connections N] [--streams N] [--batch N] [--warm-ms N] [--ms N]
 *                [--meter FILE] [--pid PID]...
 *
 * It measures between two moments, the first when all connections are there and --warm-ms have
 * passed, and prints one line: calls, signatures, seconds, the CPU time that the processes named
 * by --pid took in between and what of it was spent in signing and verifying by --meter (meter.h),
 * the mean length of an answer, and the cipher.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/queue.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/bench/conn.h"
#include "tests/bench/meter.h"

enum {
    PIDS_MAX = 16,
    CONNECTIONS_MAX = 1024,
    BATCH_MAX = 1000,
    REQUEST_BYTES_MAX = 1 << 20,
    READY_MS = 10000, /* connections that are not there by then never will be */
};

static const uint8_t digest[32] = {0x5e, 0xa1, 0x9a, 0x7e};

struct options {
    uint16_t port;
    const char *pki, *client, *key, *meter;
    size_t connections, streams, batch, signature_len;
    int64_t warm_ms, ms;
    pid_t pids[PIDS_MAX];
    size_t pid_count;
};

struct moment {
    int64_t mono_ns, server_cpu_ns;
    uint64_t sign_ns, verify_ns, calls, answer_bytes;
};

struct load {
    const struct options *options;
    struct bench_conns conns;
    struct sg_buf request;
    const struct meter *meter;
    size_t ready; /* connections whose handshake is over */
    uint64_t calls, answer_bytes;
    struct moment first, last;
    struct sg_timer timer; /* the next of: not ready in time, warm, over */
    enum { CONNECTING, WARMING, MEASURING } phase;
    const char *cipher;
};

struct conn {
    struct bench_conn bench;
    struct load *load;
    size_t open;
    size_t answered; /* of the open calls; their status is still to come */
};

static struct conn *conn_of(struct bench_conn *bench)
{
    return SG_CONTAINER(bench, struct conn, bench);
}

/* Requests and answers --------------------------------------------------------------------- */

static Sealgate__V1__SignRequest sign_request(const char *key, Sealgate__V1__Digest *of)
{
    Sealgate__V1__SignRequest request = SEALGATE__V1__SIGN_REQUEST__INIT;
    *of = (Sealgate__V1__Digest)SEALGATE__V1__DIGEST__INIT;
    of->algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    of->value = (ProtobufCBinaryData){sizeof(digest), (uint8_t *)(uintptr_t)digest};
    request.key = (char *)(uintptr_t)key;
    request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
    request.digest = of;
    request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    request.content_crc32c = sg_crc32c(sg_slice_of(digest, sizeof(digest)));
    return request;
}

static void pack(const ProtobufCMessage *message, struct sg_buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *room = sg_buf_room(out, len);
    if (room == NULL)
        bench_die("the request is too large");
    sg_buf_claim(out, protobuf_c_message_pack(message, room));
}

/* The one request that all calls make. */
static void make_request(const struct options *options, struct sg_buf *out)
{
    Sealgate__V1__Digest of;
    Sealgate__V1__SignRequest request = sign_request(options->key, &of);
    if (options->batch == 0) {
        pack(&request.base, out);
        return;
    }
    static Sealgate__V1__BatchSignItem items[BATCH_MAX], *refs[BATCH_MAX];
    static char ids[BATCH_MAX][24];
    for (size_t i = 0; i < options->batch; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%zu", i);
        items[i] = (Sealgate__V1__BatchSignItem)SEALGATE__V1__BATCH_SIGN_ITEM__INIT;
        items[i].item_id = ids[i];
        items[i].request = &request;
        refs[i] = &items[i];
    }
    Sealgate__V1__BatchSignRequest batch = SEALGATE__V1__BATCH_SIGN_REQUEST__INIT;
    batch.n_items = options->batch;
    batch.items = refs;
    pack(&batch.base, out);
}

/* Cuts the next length-delimited field of a message: its number, or 0 when there is none. Skips
 * nothing else: fields that we look at come first, as every encoder writes them. */
static unsigned next_field(struct sg_slice *in, struct sg_slice *ret)
{
    size_t at = 1, len = 0;
    if (in->len < 2 || (in->ptr[0] & 0x87) != 2)
        return 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t byte = in->ptr[at++];
        len |= (size_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            break;
        if (at == in->len)
            return 0;
    }
    if (len > in->len - at)
        return 0;
    unsigned number = in->ptr[0] >> 3;
    (void)sg_slice_take(in, at);
    *ret = sg_slice_take(in, len);
    return number;
}

/* A DER signature by ECDSA is now and then a few bytes shorter. */
static bool is_signature(const struct options *options, struct sg_slice response)
{
    struct sg_slice signature;
    return next_field(&response, &signature) == 1 && signature.len <= options->signature_len &&
           signature.len + 6 >= options->signature_len;
}

static bool is_signed_batch(const struct options *options, struct sg_slice message)
{
    struct sg_slice result, id, response;
    for (size_t i = 0; i < options->batch; i++)
        if (next_field(&message, &result) != 1 || next_field(&result, &id) != 1 ||
            next_field(&result, &response) != 2 || !is_signature(options, response))
            return false;
    return message.len == 0;
}

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)call;
    struct conn *conn = arg;
    const struct options *options = conn->load->options;
    if (options->batch == 0 ? !is_signature(options, message) : !is_signed_batch(options, message))
        bench_die("an answer of %zu bytes does not hold what was asked for", message.len);
    conn->load->answer_bytes += message.len;
    conn->answered++;
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)call;
    struct conn *conn = arg;
    if (status->code != SG_GRPC_OK || outcome != SG_RPC_ANSWERED || conn->answered == 0)
        bench_die("a call ended with %s: %.*s", sg_grpc_code_name(status->code),
                  (int)status->message.len, (const char *)status->message.ptr);
    conn->answered--;
    conn->open--;
    conn->load->calls++;
}

static const char *path(const struct options *options)
{
    return options->batch == 0 ? "/sealgate.v1.SigningService/Sign"
                               : "/sealgate.v1.SigningService/BatchSign";
}

static void start_calls(struct bench_conn *bench)
{
    struct conn *conn = conn_of(bench);
    const struct load *load = conn->load;
    struct sg_err err;
    for (; conn->open < load->options->streams; conn->open++) {
        const struct sg_rpc_client_events events = {
            .arg = conn, .message = on_message, .done = on_done};
        struct sg_rpc_client_call *call;
        bench_must(sg_rpc_client_start(bench->client, path(load->options),
                                       sg_loop_now(load->conns.loop), 0, NULL, 0, &events, &call,
                                       &err),
                   &err);
        bench_must(sg_rpc_client_send(call, sg_buf_slice(&load->request), true, &err), &err);
    }
}

/* Measuring -------------------------------------------------------------------------------- */

/* Of all threads of the processes, to the nanosecond. */
static int64_t cpu_ns(const struct options *options)
{
    int64_t sum = 0;
    for (size_t i = 0; i < options->pid_count; i++) {
        clockid_t clock;
        struct timespec time;
        if (clock_getcpuclockid(options->pids[i], &clock) != 0 || clock_gettime(clock, &time) != 0)
            bench_die("could not read the CPU time of process %d", (int)options->pids[i]);
        sum += (int64_t)time.tv_sec * SG_NS_PER_S + time.tv_nsec;
    }
    return sum;
}

/* The counters that the meter writes; ours, always zero, without one. */
static const struct meter *open_meter(const char *path)
{
    static const struct meter none;
    if (path == NULL)
        return &none;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(none), PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        bench_die("could not open \"%s\": %m", path);
    close(fd);
    return map;
}

static struct moment now(const struct load *load)
{
    return (struct moment){.mono_ns = sg_mono_ns(&sg_clock_system),
                           .server_cpu_ns = cpu_ns(load->options),
                           .sign_ns = atomic_load(&load->meter->sign_ns),
                           .verify_ns = atomic_load(&load->meter->verify_ns),
                           .calls = load->calls,
                           .answer_bytes = load->answer_bytes};
}

static void set_timer(struct load *load, int64_t ms)
{
    struct sg_err err;
    bench_must(sg_timer_set(load->conns.loop, &load->timer,
                            sg_mono_ns(&sg_clock_system) + ms * SG_NS_PER_MS, &err),
               &err);
}

static void on_timer(void *arg)
{
    struct load *load = arg;
    switch (load->phase) {
    case CONNECTING:
        bench_die("only %zu connections after %d ms", load->ready, READY_MS);
    case WARMING:
        load->phase = MEASURING;
        load->first = now(load);
        set_timer(load, load->options->ms);
        break;
    case MEASURING:
        load->last = now(load);
        sg_loop_stop(load->conns.loop);
        break;
    }
}

static void print_result(const struct load *load)
{
    const struct moment *first = &load->first, *last = &load->last;
    uint64_t calls = last->calls - first->calls;
    if (calls == 0)
        bench_die("not one call was answered");
    size_t each = load->options->batch == 0 ? 1 : load->options->batch;
    printf("calls=%llu signatures=%llu seconds=%.6f server_cpu_us=%.3f sign_us=%.3f verify_us=%.3f "
           "answer_bytes=%llu cipher=%s\n",
           (unsigned long long)calls, (unsigned long long)calls * each,
           (double)(last->mono_ns - first->mono_ns) / 1e9,
           (double)(last->server_cpu_ns - first->server_cpu_ns) / 1e3,
           (double)(last->sign_ns - first->sign_ns) / 1e3,
           (double)(last->verify_ns - first->verify_ns) / 1e3,
           (unsigned long long)((last->answer_bytes - first->answer_bytes) / calls), load->cipher);
}

static void on_conn_ready(struct bench_conn *bench)
{
    struct load *load = conn_of(bench)->load;

    load->cipher = sg_tls_cipher(bench->tls);
    if (++load->ready < load->options->connections)
        return;
    load->phase = WARMING;
    set_timer(load, load->options->warm_ms);
}

/* Command line ----------------------------------------------------------------------------- */

static long number(const char *text, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > max)
        bench_die("\"%s\" is no number from 0 to %ld", text, max);
    return value;
}

static void read_option(struct options *options, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
        size_t *number;
        int64_t *ms;
        long max;
    } rows[] = {
        {"pki", &options->pki, NULL, NULL, 0},
        {"client", &options->client, NULL, NULL, 0},
        {"key", &options->key, NULL, NULL, 0},
        {"meter", &options->meter, NULL, NULL, 0},
        {"signature", NULL, &options->signature_len, NULL, 8192},
        {"connections", NULL, &options->connections, NULL, CONNECTIONS_MAX},
        {"streams", NULL, &options->streams, NULL, 100},
        {"batch", NULL, &options->batch, NULL, BATCH_MAX},
        {"warm-ms", NULL, NULL, &options->warm_ms, 60000},
        {"ms", NULL, NULL, &options->ms, 600000},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (rows[i].text != NULL)
            *rows[i].text = value;
        else if (rows[i].number != NULL)
            *rows[i].number = (size_t)number(value, rows[i].max);
        else
            *rows[i].ms = number(value, rows[i].max);
        return;
    }
    if (strcmp(name, "port") == 0)
        options->port = (uint16_t)number(value, UINT16_MAX);
    else if (options->pid_count < PIDS_MAX)
        options->pids[options->pid_count++] = (pid_t)number(value, 1 << 30);
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 0},
        {"pki", required_argument, NULL, 0},
        {"client", required_argument, NULL, 0},
        {"key", required_argument, NULL, 0},
        {"signature", required_argument, NULL, 0},
        {"connections", required_argument, NULL, 0},
        {"streams", required_argument, NULL, 0},
        {"batch", required_argument, NULL, 0},
        {"warm-ms", required_argument, NULL, 0},
        {"ms", required_argument, NULL, 0},
        {"pid", required_argument, NULL, 0},
        {"meter", required_argument, NULL, 0},
        {0},
    };
    struct options options = {.client = "dev",
                              .key = "keys/dev-p256",
                              .connections = 8,
                              .streams = 32,
                              .signature_len = 72,
                              .warm_ms = 300,
                              .ms = 3000};
    int index, result;
    while ((result = getopt_long(argc, argv, "", names, &index)) == 0)
        read_option(&options, names[index].name, optarg);
    if (result != -1 || optind != argc || options.port == 0 || options.pki == NULL ||
        options.connections == 0 || options.streams == 0)
        bench_die("wrong usage; the head of tests/bench/load.c explains it");
    return options;
}

int main(int argc, char **argv)
{
    static struct load load;
    static struct conn conns[CONNECTIONS_MAX];
    const struct options options = parse(argc, argv);
    struct sg_err err;

    load.options = &options;
    load.meter = open_meter(options.meter);
    load.timer = (struct sg_timer){.fn = on_timer, .arg = &load};
    sg_buf_init(&load.request, REQUEST_BYTES_MAX);
    make_request(&options, &load.request);
    bench_conns_init(&load.conns, options.pki, options.client, options.port);
    for (size_t i = 0; i < options.connections; i++) {
        conns[i] =
            (struct conn){.load = &load, .bench = {.ready = on_conn_ready, .fill = start_calls}};
        bench_conn_open(&load.conns, &conns[i].bench, 1);
    }
    set_timer(&load, READY_MS);
    bench_must(sg_loop_run(load.conns.loop, &err), &err);
    print_result(&load);

    for (size_t i = 0; i < options.connections; i++)
        bench_conn_close(&conns[i].bench);
    /* What is left goes with the process; the calls under way must not be told of an end. */
    return 0;
}
