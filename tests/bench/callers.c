/*
 * The load of the benchmarks that break tokens: so many callers, each of which signs, waits for the
 * answer and signs again, until the program is told to end by SIGTERM.
 *
 *     bench_callers --port PORT --pki DIR --key NAME --public-key FILE.pem --out FILE
 *                   [--callers N] [--connections N] [--deadline-ms N] [--digests N] [--keys N]
 *                   [--ms N]
 *
 * Each call has a request_id of its own and is made once: nothing is repeated here, so what fails
 * failed for a caller. After a failure a caller waits RETRY_MS on average. Each signature is
 * verified by OpenSSL, or is one that was verified before. FILE gets a struct record for each call,
 * in order of their ends; whoever judges takes the times, which are of CLOCK_MONOTONIC, out of it.
 * What went wrong is written to stderr, the first few of each kind.
 *
 * With --keys the keys are NAME-0, NAME-1 and so on, drawn at random, all with the one public key.
 * With --ms the program ends by itself after WARM_MS and that time, and prints how many calls were
 * good and how many failed in it.
 */
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <signal.h>
#include <sys/random.h>

#include "base/crc32c.h"
#include "base/queue.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/bench/conn.h"

enum {
    CONNECTIONS_MAX = 64,
    CALLERS_MAX = 1024,
    DIGESTS_MAX = 4096,
    KNOWN_MAX = 8, /* signatures of one digest; two tokens remember one each */
    SIGNATURE_MAX = 1024,
    REQUEST_BYTES_MAX = 512,
    RETRY_MS = 50,
    WARM_MS = 1000,
    TICK_MS = 5,
    TOLD_MAX = 8,
    CODES = 32,
};

/* A call as it is written out. */
struct record {
    int64_t begin_ns, end_ns;
    uint32_t code; /* of gRPC */
    uint32_t flags;
};
enum { IS_VERIFIED = 1, IS_WRONG = 2, HAS_RETRY_INFO = 4, IS_REPLAYED = 8 };

struct digest {
    uint8_t value[32];
    struct {
        size_t len;
        uint8_t bytes[SIGNATURE_MAX];
    } known[KNOWN_MAX];
    size_t known_count;
};

struct caller {
    struct conn *conn;
    struct digest *digest;
    int64_t begin_ns, not_before_ns;
    uint32_t flags;
    bool is_calling;
};

struct conn {
    struct bench_conn bench;
    size_t first, count; /* its callers */
};

static struct {
    struct bench_conns all;
    struct conn conns[CONNECTIONS_MAX];
    struct caller callers[CALLERS_MAX];
    struct digest *digests;
    size_t connections, caller_count, digest_count, key_count, ready, open, turn;
    int64_t deadline_ms, ms, first_ns, last_ns; /* what ends from first to last counts */
    uint64_t good, failed;
    const char *key;
    EVP_PKEY *public_key;
    FILE *out;
    struct sg_timer timer;
    size_t told[CODES];
} load;

static volatile sig_atomic_t is_ending;

static int64_t now_ns(void)
{
    return sg_mono_ns(&sg_clock_system);
}

/* Asking ------------------------------------------------------------------------------------ */

/* RFC 9562 §5.7: the time in milliseconds, then random bits. */
static void make_uuid(char out[37])
{
    uint8_t b[16];
    struct timespec ts;
    if (getrandom(b + 6, 10, 0) != 10)
        bench_die("no random bytes");
    clock_gettime(CLOCK_REALTIME, &ts);
    const uint64_t ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

static size_t make_request(struct digest *digest, uint8_t out[REQUEST_BYTES_MAX])
{
    char id[37], key[128];
    Sealgate__V1__Digest of = SEALGATE__V1__DIGEST__INIT;
    Sealgate__V1__SignRequest request = SEALGATE__V1__SIGN_REQUEST__INIT;

    make_uuid(id);
    of.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    of.value = (ProtobufCBinaryData){sizeof(digest->value), digest->value};
    if (load.key_count == 0)
        snprintf(key, sizeof(key), "%s", load.key);
    else
        snprintf(key, sizeof(key), "%s-%ld", load.key, random() % (long)load.key_count);
    request.key = key;
    request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_DIGEST;
    request.digest = &of;
    request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    request.content_crc32c = sg_crc32c(sg_slice_of(digest->value, sizeof(digest->value)));
    request.request_id = id;
    if (protobuf_c_message_get_packed_size(&request.base) > REQUEST_BYTES_MAX)
        bench_die("the request is too large");
    return protobuf_c_message_pack(&request.base, out);
}

/* Judging ----------------------------------------------------------------------------------- */

static bool verify(const Sealgate__V1__SignResponse *response, const struct digest *digest)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(load.public_key, NULL);
    bool is_right = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1;
    if (response->algorithm != NULL &&
        response->algorithm->scheme == SEALGATE__V1__SIGNATURE_SCHEME__SIGNATURE_SCHEME_RSA_PSS)
        is_right = is_right && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    is_right = is_right && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
               EVP_PKEY_verify(ctx, response->signature.data, response->signature.len,
                               digest->value, sizeof(digest->value)) == 1;
    EVP_PKEY_CTX_free(ctx);
    return is_right;
}

static bool is_right(const Sealgate__V1__SignResponse *response, struct digest *digest)
{
    const size_t len = response->signature.len;
    if (len == 0 || len > SIGNATURE_MAX)
        return false;
    for (size_t i = 0; i < digest->known_count; i++)
        if (digest->known[i].len == len &&
            memcmp(digest->known[i].bytes, response->signature.data, len) == 0)
            return true;
    if (!verify(response, digest))
        return false;
    if (digest->known_count < KNOWN_MAX) {
        digest->known[digest->known_count].len = len;
        memcpy(digest->known[digest->known_count++].bytes, response->signature.data, len);
    }
    return true;
}

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)call;
    struct caller *caller = arg;
    Sealgate__V1__SignResponse *response =
        sealgate__v1__sign_response__unpack(NULL, message.len, message.ptr);
    if (response == NULL)
        bench_die("an answer cannot be decoded");
    caller->flags |= is_right(response, caller->digest) ? IS_VERIFIED : IS_WRONG;
    if (response->replayed)
        caller->flags |= IS_REPLAYED;
    sealgate__v1__sign_response__free_unpacked(response, NULL);
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

/* The first few of each kind, so that a table's figure can be explained. */
static void tell(const struct caller *caller, const struct sg_status *status, int64_t end_ns)
{
    if (load.told[status->code % CODES]++ >= TOLD_MAX)
        return;
    fprintf(stderr, "%lld after %lld ms %s: %.*s\n", (long long)(end_ns / SG_NS_PER_MS),
            (long long)((end_ns - caller->begin_ns) / SG_NS_PER_MS),
            sg_grpc_code_name(status->code), (int)status->message.len,
            (const char *)status->message.ptr);
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)call, (void)outcome;
    struct caller *caller = arg;
    const int64_t end_ns = now_ns();

    if (status->code != SG_GRPC_OK && has_retry_info(status->details))
        caller->flags |= HAS_RETRY_INFO;
    if (status->code != SG_GRPC_OK || !(caller->flags & IS_VERIFIED))
        tell(caller, status, end_ns);
    const struct record record = {.begin_ns = caller->begin_ns,
                                  .end_ns = end_ns,
                                  .code = (uint32_t)status->code,
                                  .flags = caller->flags};
    if (end_ns >= load.first_ns && end_ns < load.last_ns)
        ++*(status->code == SG_GRPC_OK && (caller->flags & IS_VERIFIED) ? &load.good
                                                                        : &load.failed);
    if (fwrite(&record, sizeof(record), 1, load.out) != 1)
        bench_die("could not write a record");
    caller->is_calling = false;
    /* Not all at once: those that failed together would come again together. */
    caller->not_before_ns =
        status->code == SG_GRPC_OK ? 0 : end_ns + random() % (2 * RETRY_MS) * SG_NS_PER_MS;
    load.open--;
    sg_hook_arm(load.all.loop, &caller->conn->bench.flush);
}

/* Calling ----------------------------------------------------------------------------------- */

static void begin_call(struct caller *caller, int64_t now)
{
    static const char path[] = "/sealgate.v1.SigningService/Sign";
    const struct sg_rpc_client_events events = {
        .arg = caller, .message = on_message, .done = on_done};
    struct sg_rpc_client_call *call;
    struct sg_err err;
    uint8_t request[REQUEST_BYTES_MAX];

    caller->digest = &load.digests[load.turn++ % load.digest_count];
    const size_t len = make_request(caller->digest, request);
    caller->begin_ns = now;
    caller->flags = 0;
    caller->is_calling = true;
    load.open++;
    bench_must(sg_rpc_client_start(caller->conn->bench.client, path, now,
                                   now + load.deadline_ms * SG_NS_PER_MS, NULL, 0, &events, &call,
                                   &err),
               &err);
    bench_must(sg_rpc_client_send(call, sg_slice_of(request, len), true, &err), &err);
}

static void start_calls(struct bench_conn *bench)
{
    struct conn *conn = (struct conn *)bench; /* its first member */
    const int64_t now = now_ns();
    if (is_ending || load.ready < load.connections)
        return;
    for (size_t i = conn->first; i < conn->first + conn->count; i++)
        if (!load.callers[i].is_calling && load.callers[i].not_before_ns <= now)
            begin_call(&load.callers[i], now);
}

static void on_tick(void *arg)
{
    (void)arg;
    struct sg_err err;
    if (load.ms > 0 && now_ns() >= load.last_ns)
        is_ending = 1;
    if (is_ending && load.open == 0) { /* each ends, by its deadline at the latest */
        sg_loop_stop(load.all.loop);
        return;
    }
    for (size_t i = 0; i < load.connections; i++)
        sg_hook_arm(load.all.loop, &load.conns[i].bench.flush);
    if (fflush(load.out) != 0)
        bench_die("could not write records");
    bench_must(sg_timer_set(load.all.loop, &load.timer, now_ns() + TICK_MS * SG_NS_PER_MS, &err),
               &err);
}

static void on_conn_ready(struct bench_conn *bench)
{
    (void)bench;
    if (++load.ready < load.connections)
        return;
    load.first_ns = now_ns() + WARM_MS * SG_NS_PER_MS;
    load.last_ns = load.first_ns + load.ms * SG_NS_PER_MS;
    on_tick(NULL);
}

static void on_signal(int number)
{
    (void)number;
    is_ending = 1;
}

/* Command line ------------------------------------------------------------------------------ */

static size_t number(const char *text, long max)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > max)
        bench_die("\"%s\" is no number from 1 to %ld", text, max);
    return (size_t)value;
}

static void read_public_key(const char *path)
{
    FILE *file = fopen(path, "re");
    load.public_key = file == NULL ? NULL : PEM_read_PUBKEY(file, NULL, NULL, NULL);
    if (load.public_key == NULL)
        bench_die("could not read the public key \"%s\"", path);
    fclose(file);
}

static void make_digests(void)
{
    load.digests = calloc(load.digest_count, sizeof(*load.digests));
    if (load.digests == NULL)
        bench_die("out of memory");
    for (size_t i = 0; i < load.digest_count; i++) {
        memset(load.digests[i].value, 0x5e, sizeof(load.digests[i].value));
        load.digests[i].value[0] = (uint8_t)i;
        load.digests[i].value[1] = (uint8_t)(i >> 8);
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},
        {"pki", required_argument, NULL, 'd'},
        {"key", required_argument, NULL, 'k'},
        {"public-key", required_argument, NULL, 'u'},
        {"out", required_argument, NULL, 'o'},
        {"callers", required_argument, NULL, 'c'},
        {"connections", required_argument, NULL, 'n'},
        {"deadline-ms", required_argument, NULL, 't'},
        {"digests", required_argument, NULL, 'g'},
        {"keys", required_argument, NULL, 'y'},
        {"ms", required_argument, NULL, 'm'},
        {0},
    };
    const char *pki = NULL, *public_key = NULL, *out = NULL;
    size_t port = 0;
    struct sg_err err;

    signal(SIGTERM, on_signal);
    load.caller_count = 128;
    load.connections = 8;
    load.digest_count = 64;
    load.deadline_ms = 3000;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'p':
            port = number(optarg, UINT16_MAX);
            break;
        case 'd':
            pki = optarg;
            break;
        case 'k':
            load.key = optarg;
            break;
        case 'u':
            public_key = optarg;
            break;
        case 'o':
            out = optarg;
            break;
        case 'c':
            load.caller_count = number(optarg, CALLERS_MAX);
            break;
        case 'n':
            load.connections = number(optarg, CONNECTIONS_MAX);
            break;
        case 't':
            load.deadline_ms = (int64_t)number(optarg, 600000);
            break;
        case 'y':
            load.key_count = number(optarg, 1000000);
            break;
        case 'm':
            load.ms = (int64_t)number(optarg, 600000);
            break;
        case 'g':
            load.digest_count = number(optarg, DIGESTS_MAX);
            break;
        default:
            return 2;
        }
    }
    if (port == 0 || pki == NULL || load.key == NULL || public_key == NULL || out == NULL ||
        optind != argc)
        bench_die("wrong usage; the head of tests/bench/callers.c explains it");
    read_public_key(public_key);
    make_digests();
    load.out = fopen(out, "we");
    if (load.out == NULL)
        bench_die("could not write \"%s\"", out);
    load.timer = (struct sg_timer){.fn = on_tick};
    bench_conns_init(&load.all, pki, "dev", (uint16_t)port);
    if (load.connections > load.caller_count)
        load.connections = load.caller_count;
    for (size_t i = 0; i < load.connections; i++) {
        struct conn *conn = &load.conns[i];
        conn->first = i * load.caller_count / load.connections;
        conn->count = (i + 1) * load.caller_count / load.connections - conn->first;
        for (size_t c = conn->first; c < conn->first + conn->count; c++)
            load.callers[c].conn = conn;
        conn->bench = (struct bench_conn){.ready = on_conn_ready, .fill = start_calls};
        bench_conn_open(&load.all, &conn->bench, 1);
    }
    bench_must(sg_loop_run(load.all.loop, &err), &err);
    if (load.ms > 0)
        printf("good=%llu failed=%llu seconds=%.3f\n", (unsigned long long)load.good,
               (unsigned long long)load.failed, (double)load.ms / 1000);
    return fclose(load.out) == 0 ? 0 : 1;
}
