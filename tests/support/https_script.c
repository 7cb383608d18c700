#include "tests/support/https_script.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tls/tls.h"
#include "tests/support/pki.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the scripted server saw: not %s\n", SG_WHERE, #cond);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { BYTES_MAX = 8 << 20, IDLE_MS = 10 };

struct https_script {
    https_script_fn fn;
    void *arg;
    struct sg_pki *pki;
    struct sg_tls_ctx *ctx[HTTPS_IDS];
    char url[32];
    const char *ca_file;
    int listener;
    pthread_t thread;
    atomic_int begin, id;
    atomic_uint connections;
    atomic_bool is_over;
};

struct conn {
    struct https_script *script;
    int fd;
    struct sg_tls_conn *tls;
    struct sg_buf request;
};

/* False: the client has gone. */
static bool write_out(struct conn *conn)
{
    struct sg_buf *out = sg_tls_out(conn->tls);

    while (out->len > 0) {
        const ssize_t len = send(conn->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len <= 0)
            return false;
        sg_buf_drop(out, (size_t)len);
    }
    return true;
}

/* False: the client has gone, what it says is no TLS, or the test is over. */
static bool receive(struct conn *conn)
{
    struct pollfd ready = {.fd = conn->fd, .events = POLLIN};
    uint8_t bytes[16 << 10];

    while (poll(&ready, 1, IDLE_MS) == 0)
        if (atomic_load(&conn->script->is_over))
            return false;
    const ssize_t len = recv(conn->fd, bytes, sizeof(bytes), 0);
    return len > 0 &&
           sg_tls_feed(conn->tls, sg_slice_of(bytes, (size_t)len), &conn->request, NULL) == SG_OK &&
           write_out(conn);
}

/* Head, and as much behind it as it says. */
static bool is_whole(const struct sg_buf *request)
{
    static const char field[] = "\r\nContent-Length: ";
    char head[4096];
    const size_t len = request->len < sizeof(head) - 1 ? request->len : sizeof(head) - 1;

    memcpy(head, request->ptr == NULL ? (const uint8_t *)"" : request->ptr, len);
    head[len] = '\0';
    const char *end = strstr(head, "\r\n\r\n"), *length = strstr(head, field);
    if (end == NULL)
        return false;
    REQUIRE(length != NULL && length < end);
    return request->len >= (size_t)(end + 4 - head) + strtoul(length + strlen(field), NULL, 10);
}

static bool send_answer(struct conn *conn, const struct https_script_answer *answer)
{
    struct sg_slice left = sg_buf_slice(&answer->bytes);

    while (left.len > 0) {
        const size_t len =
            answer->piece == 0 || answer->piece > left.len ? left.len : answer->piece;
        REQUIRE(sg_tls_send(conn->tls, sg_slice_take(&left, len), NULL) == SG_OK);
        if (!write_out(conn) || atomic_load(&conn->script->is_over))
            return false;
        usleep(answer->pause_ms * 1000);
    }
    return true;
}

static void answer_request(struct conn *conn)
{
    struct https_script_answer answer = {0};

    sg_buf_init(&answer.bytes, BYTES_MAX);
    conn->script->fn(conn->script->arg, sg_buf_slice(&conn->request), &answer);
    REQUIRE(!answer.bytes.failed);
    const bool is_there = send_answer(conn, &answer);
    if (is_there && answer.end == HTTPS_SAYS_END) {
        sg_tls_close(conn->tls);
        SG_IGNORE(write_out(conn)); /* the client may have gone */
    }
    while (is_there && answer.end == HTTPS_HANGS && receive(conn)) {
    }
    sg_buf_done(&answer.bytes);
}

static void serve_tls(struct conn *conn)
{
    const int begin = atomic_load(&conn->script->begin);

    sg_buf_init(&conn->request, BYTES_MAX);
    REQUIRE(sg_tls_accept_new(conn->script->ctx[atomic_load(&conn->script->id)], BYTES_MAX,
                              &conn->tls, NULL) == SG_OK);
    bool is_there = true;
    while (is_there &&
           !(begin == HTTPS_STOPS ? sg_tls_is_ready(conn->tls) : is_whole(&conn->request)))
        is_there = receive(conn);
    if (is_there && begin == HTTPS_SERVES)
        answer_request(conn);
    sg_tls_conn_free(conn->tls);
    sg_buf_done(&conn->request);
}

/* Until the client goes, or the test ends. */
static void be_mute(const struct conn *conn)
{
    struct pollfd ready = {.fd = conn->fd, .events = POLLIN};
    uint8_t bytes[4096];

    while (!atomic_load(&conn->script->is_over))
        if (poll(&ready, 1, IDLE_MS) > 0 && recv(conn->fd, bytes, sizeof(bytes), 0) <= 0)
            return;
}

static void serve_clear(const struct conn *conn)
{
    struct https_script_answer answer = {0};

    sg_buf_init(&answer.bytes, BYTES_MAX);
    conn->script->fn(conn->script->arg, (struct sg_slice){0}, &answer);
    SG_IGNORE((int)send(conn->fd, answer.bytes.ptr, answer.bytes.len, MSG_NOSIGNAL)); /* as above */
    sg_buf_done(&answer.bytes);
    be_mute(conn);
}

static void *accept_all(void *arg)
{
    struct https_script *script = arg;
    struct conn conn = {.script = script};

    while ((conn.fd = accept4(script->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        atomic_fetch_add(&script->connections, 1);
        switch ((enum https_script_begin)atomic_load(&script->begin)) {
        case HTTPS_SERVES:
        case HTTPS_STOPS:
            serve_tls(&conn);
            break;
        case HTTPS_MUTE:
            be_mute(&conn);
            break;
        case HTTPS_CLEAR:
            serve_clear(&conn);
            break;
        case HTTPS_CLOSES:
            break;
        }
        close(conn.fd);
    }
    return NULL;
}

static struct sg_tls_ctx *context(const struct sg_pki_id *id)
{
    static const char *const alpn[] = {"http/1.1"};
    const struct sg_tls_server_options options = {
        .cert_file = id->cert_file, .key_file = id->key_file, .alpn = alpn, .alpn_count = 1};
    struct sg_tls_ctx *ctx = NULL;
    REQUIRE(sg_tls_server_ctx_new(&options, &ctx, NULL) == SG_OK);
    return ctx;
}

static void make_ids(struct https_script *script)
{
    script->pki = sg_pki_new();
    const struct sg_pki_id *ca =
        sg_pki_make(script->pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    const struct sg_pki_id *other =
        sg_pki_make(script->pki, &(struct sg_pki_spec){.name = "other-ca", .is_ca = true});
    const struct sg_pki_spec specs[HTTPS_IDS] = {
        [HTTPS_AS_ITSELF] = {.name = "itself", .issuer = ca, .san = "IP:127.0.0.1"},
        [HTTPS_OTHER_NAME] = {.name = "name", .issuer = ca, .san = "IP:127.0.0.2,DNS:localhost"},
        [HTTPS_OTHER_CA] = {.name = "ca2", .issuer = other, .san = "IP:127.0.0.1"},
        [HTTPS_EXPIRED] =
            {.name = "old", .issuer = ca, .san = "IP:127.0.0.1", .from_s = -7200, .to_s = -3600},
    };
    script->ca_file = ca->cert_file;
    for (size_t i = 0; i < HTTPS_IDS; i++) {
        struct sg_pki_spec spec = specs[i];
        spec.eku = "serverAuth";
        script->ctx[i] = context(sg_pki_make(script->pki, &spec));
    }
}

struct https_script *https_script_start(https_script_fn fn, void *arg)
{
    struct https_script *script = calloc(1, sizeof(*script));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    REQUIRE(script != NULL);
    script->fn = fn;
    script->arg = arg;
    make_ids(script);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    script->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(script->listener >= 0);
    REQUIRE(bind(script->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    REQUIRE(listen(script->listener, 16) == 0);
    REQUIRE(getsockname(script->listener, (struct sockaddr *)&address, &len) == 0);
    snprintf(script->url, sizeof(script->url), "https://127.0.0.1:%u", ntohs(address.sin_port));
    REQUIRE(pthread_create(&script->thread, NULL, accept_all, script) == 0);
    return script;
}

void https_script_stop(struct https_script *script)
{
    atomic_store(&script->is_over, true);
    REQUIRE(shutdown(script->listener, SHUT_RDWR) == 0);
    REQUIRE(pthread_join(script->thread, NULL) == 0);
    close(script->listener);
    for (size_t i = 0; i < HTTPS_IDS; i++)
        sg_tls_ctx_free(script->ctx[i]);
    sg_pki_free(script->pki);
    free(script);
}

const char *https_script_url(const struct https_script *script)
{
    return script->url;
}

const char *https_script_ca_file(const struct https_script *script)
{
    return script->ca_file;
}

void https_script_set(struct https_script *script, enum https_script_begin begin,
                      enum https_script_id id)
{
    atomic_store(&script->begin, (int)begin);
    atomic_store(&script->id, (int)id);
}

unsigned https_script_connections(const struct https_script *script)
{
    return atomic_load(&script->connections);
}
