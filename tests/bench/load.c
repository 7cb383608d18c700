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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/loop.h"
#include "proto/grpc/client.h"
#include "proto/tls/tls.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/bench/meter.h"

enum {
    PIDS_MAX = 16,
    CONNECTIONS_MAX = 1024,
    BATCH_MAX = 1000,
    READ_BYTES = 65536,
    PLAIN_BYTES_MAX = READ_BYTES + 16384,
    PULL_BYTES = 65536,
    PULLED_BYTES_MAX = 2 * PULL_BYTES, /* a pull may go over its mark by a frame */
    OUT_BYTES_MAX = 1 << 20,
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
    struct sg_loop *loop;
    struct sg_tls_ctx *tls;
    struct sg_buf request;
    const struct meter *meter;
    size_t ready; /* connections whose handshake is over */
    uint64_t calls, answer_bytes;
    struct moment first, last;
    struct sg_timer timer; /* the next of: not ready in time, warm, over */
    enum { CONNECTING, WARMING, MEASURING } phase;
    const char *cipher;
    uint8_t read_bytes[READ_BYTES];
    struct sg_buf plain, pulled;
};

struct conn {
    struct load *load;
    struct sg_watch watch;
    struct sg_hook flush;
    struct sg_tls_conn *tls;
    struct sg_rpc_client *client; /* NULL until the handshake is over */
    size_t open;
    size_t answered; /* of the open calls; their status is still to come */
};

static void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *fmt, ...)
{
    va_list args;
    fputs("bench_load: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void must(enum sg_rc rc, const struct sg_err *err)
{
    if (rc != SG_OK)
        die("%s", err->msg);
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
        die("the request is too large");
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
        die("an answer of %zu bytes does not hold what was asked for", message.len);
    conn->load->answer_bytes += message.len;
    conn->answered++;
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)call;
    struct conn *conn = arg;
    if (status->code != SG_GRPC_OK || outcome != SG_RPC_ANSWERED || conn->answered == 0)
        die("a call ended with %s: %.*s", sg_grpc_code_name(status->code), (int)status->message.len,
            (const char *)status->message.ptr);
    conn->answered--;
    conn->open--;
    conn->load->calls++;
}

static const char *path(const struct options *options)
{
    return options->batch == 0 ? "/sealgate.v1.SigningService/Sign"
                               : "/sealgate.v1.SigningService/BatchSign";
}

static void start_calls(struct conn *conn)
{
    const struct load *load = conn->load;
    struct sg_err err;
    for (; conn->open < load->options->streams; conn->open++) {
        const struct sg_rpc_client_events events = {
            .arg = conn, .message = on_message, .done = on_done};
        struct sg_rpc_client_call *call;
        must(sg_rpc_client_start(conn->client, path(load->options), sg_loop_now(load->loop), 0,
                                 NULL, 0, &events, &call, &err),
             &err);
        must(sg_rpc_client_send(call, sg_buf_slice(&load->request), true, &err), &err);
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
            die("could not read the CPU time of process %d", (int)options->pids[i]);
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
        die("could not open \"%s\": %m", path);
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
    must(sg_timer_set(load->loop, &load->timer, sg_mono_ns(&sg_clock_system) + ms * SG_NS_PER_MS,
                      &err),
         &err);
}

static void on_timer(void *arg)
{
    struct load *load = arg;
    switch (load->phase) {
    case CONNECTING:
        die("only %zu connections after %d ms", load->ready, READY_MS);
    case WARMING:
        load->phase = MEASURING;
        load->first = now(load);
        set_timer(load, load->options->ms);
        break;
    case MEASURING:
        load->last = now(load);
        sg_loop_stop(load->loop);
        break;
    }
}

static void print_result(const struct load *load)
{
    const struct moment *first = &load->first, *last = &load->last;
    uint64_t calls = last->calls - first->calls;
    if (calls == 0)
        die("not one call was answered");
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

/* Connections ------------------------------------------------------------------------------ */

static void begin(struct conn *conn)
{
    struct load *load = conn->load;
    struct sg_err err;
    must(sg_rpc_client_new(&sg_rpc_client_limits_default, "localhost", "bench_load/1",
                           sg_loop_now(load->loop), &conn->client, &err),
         &err);
    load->cipher = sg_tls_cipher(conn->tls);
    if (++load->ready < load->options->connections)
        return;
    load->phase = WARMING;
    set_timer(load, load->options->warm_ms);
}

static void on_ready(void *arg, uint32_t events)
{
    (void)events;
    struct conn *conn = arg;
    struct load *load = conn->load;
    struct sg_err err;

    sg_hook_arm(load->loop, &conn->flush);
    ssize_t len = recv(conn->watch.fd, load->read_bytes, sizeof(load->read_bytes), 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0)
        die("the server closed a connection");
    sg_buf_clear(&load->plain);
    must(sg_tls_feed(conn->tls, sg_slice_of(load->read_bytes, (size_t)len), &load->plain, &err),
         &err);
    if (conn->client == NULL && sg_tls_is_ready(conn->tls))
        begin(conn);
    if (load->plain.len > 0)
        must(sg_rpc_client_feed(conn->client, sg_loop_now(load->loop), sg_buf_slice(&load->plain),
                                &err),
             &err);
}

static void on_flush(void *arg)
{
    struct conn *conn = arg;
    struct load *load = conn->load;
    struct sg_buf *out = sg_tls_out(conn->tls);
    struct sg_err err;

    if (conn->client != NULL) {
        start_calls(conn);
        do {
            sg_buf_clear(&load->pulled);
            must(sg_rpc_client_pull(conn->client, PULL_BYTES, &load->pulled, &err), &err);
            must(sg_tls_send(conn->tls, sg_buf_slice(&load->pulled), &err), &err);
        } while (load->pulled.len > 0);
    }
    if (out->len == 0)
        return;
    ssize_t len = send(conn->watch.fd, out->ptr, out->len, MSG_NOSIGNAL);
    if (len < 0 && errno != EAGAIN && errno != EINTR)
        die("could not write to the server: %m");
    if (len > 0)
        sg_buf_drop(out, (size_t)len);
    sg_watch_set(load->loop, &conn->watch, out->len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void open_conn(struct load *load, struct conn *conn)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(load->options->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sg_err err;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        die("could not connect: %m");

    *conn = (struct conn){.load = load};
    conn->watch = (struct sg_watch){.fd = fd, .fn = on_ready, .arg = conn, .events = EPOLLIN};
    conn->flush = (struct sg_hook){.fn = on_flush, .arg = conn};
    must(sg_tls_connect_new(load->tls, "localhost", sg_wall_ns(&sg_clock_system), OUT_BYTES_MAX,
                            &conn->tls, &err),
         &err);
    must(sg_watch_add(load->loop, &conn->watch, &err), &err);
    sg_hook_arm(load->loop, &conn->flush);
}

static struct sg_tls_ctx *load_tls(const struct options *options)
{
    static const char *const alpn[] = {"h2"};
    char ca[256], cert[256], key[256];
    struct sg_tls_ctx *tls;
    struct sg_err err;
    snprintf(ca, sizeof(ca), "%s/ca.pem", options->pki);
    snprintf(cert, sizeof(cert), "%s/%s.pem", options->pki, options->client);
    snprintf(key, sizeof(key), "%s/%s.key", options->pki, options->client);
    const struct sg_tls_client_options tls_options = {.ca_file = ca,
                                                      .cert_file = cert,
                                                      .key_file = key,
                                                      .alpn = alpn,
                                                      .alpn_count = SG_COUNT(alpn)};
    must(sg_tls_client_ctx_new(&tls_options, &tls, &err), &err);
    return tls;
}

/* Command line ----------------------------------------------------------------------------- */

static long number(const char *text, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > max)
        die("\"%s\" is no number from 0 to %ld", text, max);
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
        die("wrong usage; the head of tests/bench/load.c explains it");
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
    load.tls = load_tls(&options);
    load.timer = (struct sg_timer){.fn = on_timer, .arg = &load};
    sg_buf_init(&load.request, REQUEST_BYTES_MAX);
    sg_buf_init(&load.plain, PLAIN_BYTES_MAX);
    sg_buf_init(&load.pulled, PULLED_BYTES_MAX);
    make_request(&options, &load.request);
    must(sg_loop_new(&sg_clock_system, &load.loop, &err), &err);
    for (size_t i = 0; i < options.connections; i++)
        open_conn(&load, &conns[i]);
    set_timer(&load, READY_MS);
    must(sg_loop_run(load.loop, &err), &err);
    print_result(&load);

    for (size_t i = 0; i < options.connections; i++) {
        struct conn *conn = &conns[i];
        sg_hook_disarm(&conn->flush);
        sg_watch_remove(load.loop, &conn->watch);
        close(conn->watch.fd);
    }
    /* What is left goes with the process; the calls under way must not be told of an end. */
    return 0;
}
