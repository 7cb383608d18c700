/*
 * Callers that stream, by libsealgate, for ops/bench kill: each keeps as many items under way as it
 * may, each with a request_id of its own, and goes on whatever becomes of the gateway until the
 * program is told to end by SIGTERM. Then it waits for what is under way.
 *
 *     bench_streams --port PORT --pki DIR --key NAME --out FILE [--streams N] [--window N] [--seed
 * N]
 *
 * Of five items one is asked for that has an answer already, and one that another stream is asking
 * for. A stream ends after STREAM_MS by itself, in the middle of its items; what has no result by
 * then is asked for again on the next one. FILE gets a line "REQUEST_ID SIGNATURE" in base64 for
 * each answer. Ends with "items=… answers=… replayed=… streams=… unanswered=…".
 */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "client/include/sealgate.h"

enum {
    STREAMS_MAX = 32,
    WINDOW_MAX = 256,
    ITEMS_MAX = 1 << 20,
    STREAM_MS = 7000,
    RETRY_MS = 50,
    PATIENCE_MS = 90000,
};

struct item {
    char id[SEALGATE_REQUEST_ID_BYTES];
    uint8_t digest[32];
};

/* An item under way on a stream; its number is the item_id. */
struct place {
    size_t item;
    bool is_busy, is_sent;
    int64_t not_before_ns;
};

struct stream {
    struct sealgate_client *client;
    struct sealgate_call *call; /* NULL: there is none */
    struct place places[WINDOW_MAX];
    int64_t not_before_ns;
};

static struct {
    const char *port, *pki, *key, *out_path;
    size_t streams, window;
    struct stream stream[STREAMS_MAX];
    struct item *items;
    size_t item_count;
    uint64_t answers, replayed, begun;
    FILE *out;
    char key_name[128];
} load = {.streams = 4, .window = 32};

static volatile sig_atomic_t is_ending;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_streams: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    return sg_mono_ns(&sg_clock_system);
}

/* What to ask ------------------------------------------------------------------------------- */

static size_t new_item(void)
{
    struct item *item = &load.items[load.item_count];

    if (load.item_count == ITEMS_MAX)
        die("too many items");
    if (!sealgate_request_id(item->id))
        die("no random bytes");
    for (size_t i = 0; i < sizeof(item->digest); i++)
        item->digest[i] = (uint8_t)random();
    return load.item_count++;
}

static size_t choose(const struct stream *stream)
{
    const long kind = random() % 5;

    if (kind == 0 && load.item_count > 0) /* most of them have an answer */
        return (size_t)random() % load.item_count;
    if (kind == 1) {
        const struct stream *other = &load.stream[(size_t)random() % load.streams];
        const struct place *place = &other->places[(size_t)random() % load.window];
        if (other != stream && place->is_busy)
            return place->item;
    }
    return new_item();
}

/* A stream ---------------------------------------------------------------------------------- */

static void on_item(void *user, const char *item_id, const struct sealgate_error *error,
                    const struct sealgate_signature *signature)
{
    struct stream *stream = user;
    struct place *place = &stream->places[strtoul(item_id, NULL, 10)];
    struct sg_buf line;

    if (!place->is_sent)
        die("a result of an item that is not under way");
    place->is_sent = false;
    if (error != NULL) {
        const int64_t wait_ms = error->retry_after_ms > 0 ? error->retry_after_ms : RETRY_MS;
        place->not_before_ns = now_ns() + wait_ms * SG_NS_PER_MS;
        return;
    }
    place->is_busy = false;
    load.answers++;
    load.replayed += signature->replayed;
    sg_buf_init(&line, 8192);
    sg_base64_encode(sg_slice_of(signature->signature.ptr, signature->signature.len), SG_BASE64_STD,
                     SG_BASE64_PADDED, &line);
    fprintf(load.out, "%s %.*s\n", load.items[place->item].id, (int)line.len, (char *)line.ptr);
    sg_buf_done(&line);
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct stream *stream = user;

    stream->call = NULL;
    stream->not_before_ns = error == NULL ? 0 : now_ns() + RETRY_MS * SG_NS_PER_MS;
    for (size_t i = 0; i < load.window; i++)
        stream->places[i].is_sent = false;
}

static bool start_stream(struct stream *stream)
{
    static const struct sealgate_stream_events events = {.item = on_item, .done = on_done};
    struct sealgate_error error;

    if (sealgate_sign_stream_start(stream->client, STREAM_MS, &events, stream, &stream->call,
                                   &error) != SEALGATE_OK)
        return false;
    load.begun++;
    return true;
}

static void send_place(struct stream *stream, size_t number)
{
    struct place *place = &stream->places[number];
    const struct item *item = &load.items[place->item];
    const struct sealgate_sign_request request = {
        .key = load.key_name,
        .content = {item->digest, sizeof(item->digest)},
        .digest = SEALGATE_DIGEST_SHA256,
        .request_id = item->id,
    };
    struct sealgate_error error;
    char id[16];

    snprintf(id, sizeof(id), "%zu", number);
    place->is_sent = sealgate_stream_send(stream->call, id, &request, &error) == SEALGATE_OK;
}

/* Whether it has anything under way. */
static bool drive(struct stream *stream)
{
    const int64_t now = now_ns();
    bool is_busy = false;

    for (size_t i = 0; i < load.window; i++) {
        struct place *place = &stream->places[i];
        if (!place->is_busy && !is_ending) {
            place->item = choose(stream);
            place->is_busy = true;
            place->not_before_ns = 0;
        }
        is_busy |= place->is_busy;
        if (!place->is_busy || place->is_sent || now < place->not_before_ns)
            continue;
        if (stream->call == NULL && (now < stream->not_before_ns || !start_stream(stream)))
            continue;
        send_place(stream, i);
    }
    sealgate_client_step(stream->client);
    return is_busy;
}

/* The whole --------------------------------------------------------------------------------- */

static void wait_for_any(void)
{
    struct pollfd fds[STREAMS_MAX];
    int timeout_ms = 20;

    for (size_t i = 0; i < load.streams; i++) {
        const int ms = sealgate_client_timeout_ms(load.stream[i].client);
        fds[i] = (struct pollfd){.fd = sealgate_client_fd(load.stream[i].client), .events = POLLIN};
        if (ms >= 0 && ms < timeout_ms)
            timeout_ms = ms;
    }
    SG_IGNORE(poll(fds, load.streams, timeout_ms)); /* a signal ends it */
}

static void connect_all(void)
{
    char endpoint[32], ca[512], cert[512], key[512];
    const struct sealgate_options options = {.endpoint = endpoint,
                                             .ca_file = ca,
                                             .cert_file = cert,
                                             .key_file = key,
                                             .wait_for_ready = true};

    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%s", load.port);
    snprintf(ca, sizeof(ca), "%s/ca.pem", load.pki);
    snprintf(cert, sizeof(cert), "%s/dev.pem", load.pki);
    snprintf(key, sizeof(key), "%s/dev.key", load.pki);
    snprintf(load.key_name, sizeof(load.key_name), "keys/%s", load.key);
    for (size_t i = 0; i < load.streams; i++) {
        struct sealgate_error error;
        if (sealgate_client_new(&options, &load.stream[i].client, &error) != SEALGATE_OK)
            die(error.message);
    }
}

static void on_term(int number)
{
    (void)number;
    is_ending = 1;
}

static size_t count_unanswered(void)
{
    size_t count = 0;
    for (size_t i = 0; i < load.streams; i++)
        for (size_t j = 0; j < load.window; j++)
            count += load.stream[i].places[j].is_busy;
    return count;
}

static void run(void)
{
    int64_t until_ns = INT64_MAX;
    bool is_busy = true;

    while (is_busy && now_ns() < until_ns) {
        if (is_ending && until_ns == INT64_MAX)
            until_ns = now_ns() + PATIENCE_MS * SG_NS_PER_MS;
        is_busy = false;
        for (size_t i = 0; i < load.streams; i++)
            is_busy |= drive(&load.stream[i]);
        wait_for_any();
    }
}

static size_t number_of(const char *text, size_t max)
{
    const unsigned long number = strtoul(text, NULL, 10);
    if (number < 1 || number > max)
        die("a number that is out of its bounds");
    return number;
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},    {"pki", required_argument, NULL, 'd'},
        {"key", required_argument, NULL, 'k'},     {"out", required_argument, NULL, 'o'},
        {"streams", required_argument, NULL, 's'}, {"window", required_argument, NULL, 'w'},
        {"seed", required_argument, NULL, 'r'},    {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            load.port = optarg;
        else if (option == 'd')
            load.pki = optarg;
        else if (option == 'k')
            load.key = optarg;
        else if (option == 'o')
            load.out_path = optarg;
        else if (option == 's')
            load.streams = number_of(optarg, STREAMS_MAX);
        else if (option == 'w')
            load.window = number_of(optarg, WINDOW_MAX);
        else if (option == 'r')
            srandom((unsigned)strtoul(optarg, NULL, 10));
        else
            exit(2);
    }
    if (load.port == NULL || load.pki == NULL || load.key == NULL || load.out_path == NULL)
        die("port, pki, key and out are wanted");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    load.items = calloc(ITEMS_MAX, sizeof(*load.items));
    load.out = fopen(load.out_path, "w");
    if (load.items == NULL || load.out == NULL)
        die("no memory, or no file");
    SG_IGNORE(signal(SIGTERM, on_term) == SIG_ERR); /* then nothing ends it but a kill */
    connect_all();
    run();
    const size_t unanswered = count_unanswered();
    for (size_t i = 0; i < load.streams; i++)
        sealgate_client_free(load.stream[i].client);
    printf("items=%zu answers=%llu replayed=%llu streams=%llu unanswered=%zu\n", load.item_count,
           (unsigned long long)load.answers, (unsigned long long)load.replayed,
           (unsigned long long)load.begun, unanswered);
    const bool is_written = fclose(load.out) == 0;
    free(load.items);
    return is_written ? 0 : 1;
}
