#include "tests/unit/client/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "methods.h"
#include "proto/grpc/server.h"
#include "proto/tls/tls.h"
#include "tests/support/pki.h"
#include "tests/unit/client/script.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the test server saw: not %s\n", SG_WHERE, #cond);                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { CONNECTIONS_MAX = 16, BUFFER_MAX = 64 << 20 };

struct peer {
    int fd; /* -1: free */
    struct sg_tls_conn *tls;
    struct sg_rpc_server *rpc;
    struct script_connection script;
    bool has_fed; /* HTTP/2 bytes before */
};

struct inner {
    struct test_server outer; /* first: what the tests see */
    struct sg_pki *pki;       /* NULL: another server's */
    char server_cert_file[256], server_key_file[256];
    struct sg_tls_trust *trust;
    struct sg_tls_ctx *tls;
    int listener, stop;
    uint16_t port; /* 0: any */
    pthread_t thread;
    struct peer peers[CONNECTIONS_MAX];
    struct sg_rpc_limits limits;
    struct sg_call_handler handler;
};

static void peer_close(struct peer *peer)
{
    sg_rpc_server_free(SG_STEAL(peer->rpc));
    sg_tls_conn_free(SG_STEAL(peer->tls));
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

static void peer_flush(struct peer *peer)
{
    struct sg_buf plain, *out = sg_tls_out(peer->tls);

    sg_buf_init(&plain, BUFFER_MAX);
    while (sg_tls_is_ready(peer->tls) && sg_rpc_server_wants_pull(peer->rpc)) {
        sg_buf_clear(&plain);
        if (sg_rpc_server_pull(peer->rpc, 64 << 10, &plain, NULL) != SG_OK || plain.len == 0 ||
            sg_tls_send(peer->tls, sg_buf_slice(&plain), NULL) != SG_OK)
            break;
    }
    sg_buf_done(&plain);
    while (out->len > 0) {
        ssize_t len = send(peer->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len <= 0)
            return;
        sg_buf_drop(out, (size_t)len);
    }
}

/* RST_STREAM (RFC 9113 section 6.4) for the stream whose HEADERS are in there, which our own HTTP/2
 * does not get to see. */
static bool refuse_stream(struct peer *peer, struct sg_slice frames)
{
    static const uint8_t head[5] = {0, 0, 4, 3, 0}, refused[4] = {0, 0, 0, 7};
    uint8_t reset[13];

    while (frames.len >= 9) {
        const uint8_t *at = frames.ptr;
        size_t len = (size_t)(at[0] << 16 | at[1] << 8 | at[2]) + 9;

        if (at[3] == 1) {
            memcpy(reset, head, sizeof(head));
            memcpy(reset + 5, at + 5, 4);
            memcpy(reset + 9, refused, sizeof(refused));
            return sg_tls_send(peer->tls, sg_slice_of(reset, sizeof(reset)), NULL) == SG_OK;
        }
        (void)sg_slice_take(&frames, len < frames.len ? len : frames.len);
    }
    return true;
}

/* Bytes through TLS into HTTP/2. False: the connection is over. */
static bool peer_feed(struct inner *server, struct peer *peer, struct sg_slice bytes)
{
    int64_t now_ns = sg_mono_ns(&sg_clock_system);
    struct sg_buf plain;
    bool is_alive;

    sg_buf_init(&plain, BUFFER_MAX);
    is_alive = sg_tls_feed(peer->tls, bytes, &plain, NULL) == SG_OK;
    if (is_alive && plain.len > 0) {
        unsigned refuse = atomic_load(&server->outer.refuse);
        if (peer->has_fed && refuse > 0 && plain.len > 40) { /* more than an ACK: a call */
            atomic_store(&server->outer.refuse, refuse - 1);
            sg_rpc_server_drain(peer->rpc);
            peer_flush(peer); /* gone before the call is read, so that it does not count */
        }
        if (peer->has_fed && plain.len > 40 && atomic_load(&server->outer.refuse_streams) > 0) {
            atomic_fetch_sub(&server->outer.refuse_streams, 1);
            is_alive = refuse_stream(peer, sg_buf_slice(&plain));
            sg_buf_done(&plain);
            return is_alive;
        }
        peer->has_fed = true;
        is_alive = sg_rpc_server_feed(peer->rpc, now_ns, sg_buf_slice(&plain), NULL) == SG_OK;
    }
    sg_buf_done(&plain);
    return is_alive;
}

static void peer_read(struct inner *server, struct peer *peer)
{
    uint8_t bytes[16 << 10];
    ssize_t len = recv(peer->fd, bytes, sizeof(bytes), 0);
    bool is_alive;

    if (len < 0 && errno == EAGAIN)
        return;
    is_alive = len > 0 && peer_feed(server, peer, sg_slice_of(bytes, (size_t)len));
    if (peer->script.wants_close) {
        peer_close(peer);
        return;
    }
    peer_flush(peer);
    if (peer->script.wants_drain) {
        peer->script.wants_drain = false;
        sg_rpc_server_drain(peer->rpc);
        peer_flush(peer);
    }
    if (!is_alive || peer->script.wants_cut || sg_rpc_server_is_done(peer->rpc))
        peer_close(peer);
}

static void peer_accept(struct inner *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    unsigned cut = atomic_load(&server->outer.cut);
    struct peer *peer = NULL;

    if (fd < 0)
        return;
    atomic_fetch_add(&server->outer.connections, 1);
    for (size_t i = 0; i < CONNECTIONS_MAX && peer == NULL; i++)
        if (server->peers[i].fd < 0)
            peer = &server->peers[i];
    if (cut > 0 || peer == NULL) {
        atomic_store(&server->outer.cut, cut > 0 ? cut - 1 : 0);
        close(fd);
        return;
    }
    *peer = (struct peer){.fd = fd};
    peer->script.calls = &server->outer.calls;
    REQUIRE(sg_tls_accept_new(server->tls, BUFFER_MAX, &peer->tls, NULL) == SG_OK);
    REQUIRE(sg_rpc_server_new(&server->limits, &sg_methods, &server->handler, &peer->script,
                              sg_mono_ns(&sg_clock_system), &peer->rpc, NULL) == SG_OK);
}

static void make_listener(struct inner *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    socklen_t len = sizeof(address);
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(server->listener >= 0);
    REQUIRE(setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
    REQUIRE(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    REQUIRE(listen(server->listener, 16) == 0);
    REQUIRE(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->outer.endpoint, sizeof(server->outer.endpoint), "127.0.0.1:%u", server->port);
}

static void go_down_or_up(struct inner *server)
{
    bool is_wanted = atomic_load(&server->outer.down);

    if (is_wanted == atomic_load(&server->outer.is_down))
        return;
    if (is_wanted) {
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            peer_close(&server->peers[i]);
        close(server->listener);
        server->listener = -1;
    } else {
        make_listener(server);
    }
    atomic_store(&server->outer.is_down, is_wanted);
}

static void *run(void *arg)
{
    struct inner *server = arg;

    for (;;) {
        struct pollfd fds[CONNECTIONS_MAX + 2];
        bool is_mute = atomic_load(&server->outer.mute);

        atomic_store(&server->outer.is_mute, is_mute);
        go_down_or_up(server);

        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            struct peer *peer = &server->peers[i];
            bool writes = peer->fd >= 0 && sg_tls_out(peer->tls)->len > 0;
            fds[i] = (struct pollfd){.fd = is_mute ? -1 : peer->fd,
                                     .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
        }
        fds[CONNECTIONS_MAX] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        fds[CONNECTIONS_MAX + 1] = (struct pollfd){.fd = server->stop, .events = POLLIN};
        REQUIRE(poll(fds, CONNECTIONS_MAX + 2, 5) >= 0 || errno == EINTR);
        if (fds[CONNECTIONS_MAX + 1].revents != 0)
            return NULL;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
            if (server->peers[i].fd < 0 || is_mute)
                continue;
            if ((fds[i].revents & POLLOUT) != 0)
                peer_flush(&server->peers[i]);
            if ((fds[i].revents & ~POLLOUT) != 0)
                peer_read(server, &server->peers[i]);
        }
        if (fds[CONNECTIONS_MAX].revents != 0)
            peer_accept(server);
    }
}

/* ---- Start and stop ------------------------------------------------------------------------- */

static void make_pki(struct inner *server)
{
    struct test_server *outer = &server->outer;
    const struct sg_pki_id *ca, *id, *other_ca;

    server->pki = sg_pki_new();
    ca = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    other_ca = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "other-ca", .is_ca = true});
    snprintf(outer->ca_file, sizeof(outer->ca_file), "%s", ca->cert_file);

    id = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "client",
                                                        .issuer = ca,
                                                        .san = "URI:https://tests/client",
                                                        .eku = "clientAuth"});
    snprintf(outer->cert_file, sizeof(outer->cert_file), "%s", id->cert_file);
    snprintf(outer->key_file, sizeof(outer->key_file), "%s", id->key_file);
    id = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "stranger",
                                                        .issuer = other_ca,
                                                        .san = "URI:https://tests/client",
                                                        .eku = "clientAuth"});
    snprintf(outer->other_cert_file, sizeof(outer->other_cert_file), "%s", id->cert_file);
    snprintf(outer->other_key_file, sizeof(outer->other_key_file), "%s", id->key_file);

    id = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "server",
                                                        .issuer = ca,
                                                        .san = "IP:127.0.0.1,DNS:localhost",
                                                        .eku = "serverAuth"});
    snprintf(server->server_cert_file, sizeof(server->server_cert_file), "%s", id->cert_file);
    snprintf(server->server_key_file, sizeof(server->server_key_file), "%s", id->key_file);
}

static void make_tls(struct inner *server)
{
    static const char *const alpn[] = {"h2"};
    struct sg_tls_ca trusted = {.name = "tests", .file = server->outer.ca_file};
    struct sg_tls_server_options options = {.cert_file = server->server_cert_file,
                                            .key_file = server->server_key_file,
                                            .alpn = alpn,
                                            .alpn_count = 1};

    REQUIRE(sg_tls_trust_load(&trusted, 1, false, &server->trust, NULL) == SG_OK);
    options.client_trust = server->trust;
    REQUIRE(sg_tls_server_ctx_new(&options, &server->tls, NULL) == SG_OK);
}

static struct test_server *start_with(struct inner *server)
{
    make_tls(server);
    make_listener(server);
    server->limits = sg_rpc_limits_default;
    server->limits.send_bytes_max = BUFFER_MAX;
    server->limits.call_bytes_max = BUFFER_MAX;
    server->handler = script_handler;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        server->peers[i].fd = -1;
    server->stop = eventfd(0, EFD_CLOEXEC);
    REQUIRE(server->stop >= 0);
    REQUIRE(pthread_create(&server->thread, NULL, run, server) == 0);
    return &server->outer;
}

struct test_server *test_server_start(void)
{
    struct inner *server = calloc(1, sizeof(*server));

    REQUIRE(server != NULL);
    make_pki(server);
    return start_with(server);
}

struct test_server *test_server_start_beside(const struct test_server *first)
{
    const struct inner *other = (const struct inner *)(const void *)first;
    struct inner *server = calloc(1, sizeof(*server));

    REQUIRE(server != NULL);
#define COPY_FILE(field) memcpy(server->field, other->field, sizeof(server->field))
    COPY_FILE(outer.ca_file);
    COPY_FILE(outer.cert_file);
    COPY_FILE(outer.key_file);
    COPY_FILE(outer.other_cert_file);
    COPY_FILE(outer.other_key_file);
    COPY_FILE(server_cert_file);
    COPY_FILE(server_key_file);
#undef COPY_FILE
    return start_with(server);
}

void test_server_set_down(struct test_server *server, bool is_down)
{
    atomic_store(&server->down, is_down);
    while (atomic_load(&server->is_down) != is_down)
        (void)poll(NULL, 0, 1);
}

void test_server_stop(struct test_server *outer)
{
    struct inner *server = (struct inner *)(void *)outer;

    REQUIRE(eventfd_write(server->stop, 1) == 0);
    REQUIRE(pthread_join(server->thread, NULL) == 0);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        peer_close(&server->peers[i]);
    close(server->stop);
    if (server->listener >= 0)
        close(server->listener);
    sg_tls_ctx_free(server->tls);
    sg_tls_trust_free(server->trust);
    sg_pki_free(server->pki);
    free(server);
}

struct sealgate_options test_server_options(const struct test_server *server)
{
    return (struct sealgate_options){.endpoint = server->endpoint,
                                     .ca_file = server->ca_file,
                                     .cert_file = server->cert_file,
                                     .key_file = server->key_file,
                                     .timeout_ms = 10000,
                                     .no_repeat = true};
}
