#include "tests/support/rpc_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/net/server.h"
#include "proto/tls/tls.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the host saw: not %s\n", SG_WHERE, #cond);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Plenty: what is judged here is the protocol, and the limits have tests of their own. */
enum { READ_BYTES = 64 << 10, PULL_BYTES = 64 << 10, OUT_BYTES_HIGH = 256 << 10 };
enum { OUT_BYTES_MAX = 4 << 20 };

struct host_peer {
    TAILQ_ENTRY(host_peer) link;
    struct rpc_host *host;
    struct sg_watch watch;
    struct sg_timer timer;
    struct sg_tls_conn *tls; /* NULL: clear text */
    struct sg_buf clear;     /* what is to be written then */
    struct sg_net_server server;
    bool is_over;
};

struct rpc_host {
    struct rpc_host_options options;
    struct sg_loop *loop;
    struct sg_tls_ctx *tls;
    struct sg_watch listener, signals;
    struct sg_hook flush;
    TAILQ_HEAD(, host_peer) peers;
    uint16_t port;
    struct sg_buf plain;
    uint8_t bytes[READ_BYTES];
};

static struct sg_buf *out_of(struct host_peer *peer)
{
    return peer->tls == NULL ? &peer->clear : sg_tls_out(peer->tls);
}

static void peer_free(struct host_peer *peer)
{
    struct rpc_host *host = peer->host;

    TAILQ_REMOVE(&host->peers, peer, link);
    sg_net_server_close(&peer->server);
    sg_timer_cancel(host->loop, &peer->timer);
    sg_watch_remove(host->loop, &peer->watch);
    sg_tls_conn_free(peer->tls);
    sg_buf_done(&peer->clear);
    close(peer->watch.fd);
    free(peer);
}

/* Takes what the calls have produced, as long as the socket has room for it. */
static void peer_pull(struct host_peer *peer)
{
    struct sg_buf *plain = &peer->host->plain;

    while (sg_net_server_is_open(&peer->server) && out_of(peer)->len < OUT_BYTES_HIGH) {
        sg_buf_clear(plain);
        if (sg_net_server_pull(&peer->server, PULL_BYTES, plain, NULL) != SG_OK)
            peer->is_over = true;
        if (plain->len == 0)
            return;
        if (peer->tls == NULL)
            sg_buf_add_slice(&peer->clear, sg_buf_slice(plain));
        else if (sg_tls_send(peer->tls, sg_buf_slice(plain), NULL) != SG_OK)
            peer->is_over = true;
        if (peer->is_over)
            return;
    }
}

static void peer_flush(struct host_peer *peer)
{
    struct rpc_host *host = peer->host;
    struct sg_buf *out = out_of(peer);
    ssize_t len;

    do {
        peer_pull(peer);
        len = out->len > 0 ? send(peer->watch.fd, out->ptr, out->len, MSG_NOSIGNAL) : 0;
        if (len > 0)
            sg_buf_drop(out, (size_t)len);
    } while (len > 0 && out->len == 0);
    const bool is_broken = len < 0 && errno != EAGAIN && errno != EINTR;
    const bool is_done =
        sg_net_server_is_open(&peer->server) && sg_net_server_is_done(&peer->server);
    if (is_broken || peer->is_over || (is_done && out->len == 0)) {
        peer_free(peer);
        return;
    }
    sg_watch_set(host->loop, &peer->watch, out->len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (sg_net_server_is_open(&peer->server) && sg_net_server_due(&peer->server) != INT64_MAX)
        REQUIRE(sg_timer_set(host->loop, &peer->timer, sg_net_server_due(&peer->server), NULL) ==
                SG_OK);
}

static void on_flush(void *arg)
{
    struct rpc_host *host = arg;
    struct host_peer *peer, *next;

    for (peer = TAILQ_FIRST(&host->peers); peer != NULL; peer = next) {
        next = TAILQ_NEXT(peer, link);
        peer_flush(peer);
    }
}

static void peer_open(struct host_peer *peer, struct sg_slice alpn)
{
    const struct rpc_host_options *options = &peer->host->options;

    REQUIRE(sg_net_server_open(&peer->server, alpn, &options->limits, options->table,
                               options->handler, peer, sg_loop_now(peer->host->loop),
                               NULL) == SG_OK);
}

static void peer_take(struct host_peer *peer, struct sg_slice bytes)
{
    struct sg_buf *plain = &peer->host->plain;

    sg_buf_clear(plain);
    if (peer->tls == NULL) {
        sg_buf_add_slice(plain, bytes);
    } else if (sg_tls_feed(peer->tls, bytes, plain, NULL) != SG_OK) {
        peer->is_over = true;
        return;
    }
    if (!sg_net_server_is_open(&peer->server) && sg_tls_is_ready(peer->tls))
        peer_open(peer, sg_tls_alpn(peer->tls));
    if (plain->len > 0 && sg_net_server_feed(&peer->server, sg_loop_now(peer->host->loop),
                                             sg_buf_slice(plain), NULL) != SG_OK)
        peer->is_over = true;
}

static void on_ready(void *arg, uint32_t events)
{
    struct host_peer *peer = arg;
    struct rpc_host *host = peer->host;
    ssize_t len = 0;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        len = recv(peer->watch.fd, host->bytes, sizeof(host->bytes), 0);
        if (len > 0)
            peer_take(peer, sg_slice_of(host->bytes, (size_t)len));
        else if (len == 0 || (errno != EAGAIN && errno != EINTR))
            peer->is_over = true;
    }
    rpc_host_flush(host);
}

static void on_timer(void *arg)
{
    struct host_peer *peer = arg;

    if (sg_net_server_tick(&peer->server, sg_loop_now(peer->host->loop), NULL) != SG_OK)
        peer->is_over = true;
    rpc_host_flush(peer->host);
}

static void on_accept(void *arg, uint32_t events)
{
    struct rpc_host *host = arg;
    int fd = accept4(host->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct host_peer *peer;

    (void)events;
    if (fd < 0)
        return;
    peer = calloc(1, sizeof(*peer));
    REQUIRE(peer != NULL);
    peer->host = host;
    peer->watch = (struct sg_watch){.fd = fd, .fn = on_ready, .arg = peer, .events = EPOLLIN};
    peer->timer = (struct sg_timer){.fn = on_timer, .arg = peer};
    sg_buf_init(&peer->clear, OUT_BYTES_MAX);
    TAILQ_INSERT_TAIL(&host->peers, peer, link);
    REQUIRE(sg_watch_add(host->loop, &peer->watch, NULL) == SG_OK);
    if (host->options.wire == RPC_HOST_TLS)
        REQUIRE(sg_tls_accept_new(host->tls, OUT_BYTES_MAX, &peer->tls, NULL) == SG_OK);
    else
        peer_open(peer, host->options.wire == RPC_HOST_CLEAR_HTTP1 ? SG_SLICE("http/1.1")
                                                                   : SG_SLICE("h2"));
}

static void on_signal(void *arg, uint32_t events)
{
    struct rpc_host *host = arg;

    (void)events;
    sg_loop_stop(host->loop);
}

static void make_tls(struct rpc_host *host)
{
    static const char *const alpn[] = {"h2", "http/1.1"};
    const struct rpc_host_options *options = &host->options;
    struct sg_tls_server_options tls = {.cert_file = options->cert_file,
                                        .key_file = options->key_file,
                                        .alpn = alpn,
                                        .alpn_count = SG_COUNT(alpn)};
    struct sg_err err;

    if (sg_tls_server_ctx_new(&tls, &host->tls, &err) != SG_OK) {
        fprintf(stderr, "server certificate: %s\n", err.msg);
        abort();
    }
}

static void make_listener(struct rpc_host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(fd >= 0);
    REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    REQUIRE(listen(fd, 128) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    host->port = ntohs(address.sin_port);
    host->listener = (struct sg_watch){.fd = fd, .fn = on_accept, .arg = host, .events = EPOLLIN};
    REQUIRE(sg_watch_add(host->loop, &host->listener, NULL) == SG_OK);
}

static void watch_signals(struct rpc_host *host)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    REQUIRE(fd >= 0);
    host->signals = (struct sg_watch){.fd = fd, .fn = on_signal, .arg = host, .events = EPOLLIN};
    REQUIRE(sg_watch_add(host->loop, &host->signals, NULL) == SG_OK);
}

struct rpc_host *rpc_host_new(const struct rpc_host_options *options)
{
    struct rpc_host *host = calloc(1, sizeof(*host));

    REQUIRE(host != NULL);
    host->options = *options;
    TAILQ_INIT(&host->peers);
    host->flush = (struct sg_hook){.fn = on_flush, .arg = host};
    sg_buf_init(&host->plain, 2 * OUT_BYTES_MAX);
    REQUIRE(sg_loop_new(&sg_clock_system, &host->loop, NULL) == SG_OK);
    if (options->wire == RPC_HOST_TLS)
        make_tls(host);
    make_listener(host);
    watch_signals(host);
    return host;
}

void rpc_host_free(struct rpc_host *host)
{
    while (!TAILQ_EMPTY(&host->peers))
        peer_free(TAILQ_FIRST(&host->peers));
    sg_hook_disarm(&host->flush);
    sg_watch_remove(host->loop, &host->listener);
    sg_watch_remove(host->loop, &host->signals);
    close(host->listener.fd);
    close(host->signals.fd);
    sg_loop_free(host->loop);
    sg_tls_ctx_free(host->tls);
    sg_buf_done(&host->plain);
    free(host);
}

uint16_t rpc_host_port(const struct rpc_host *host)
{
    return host->port;
}

void rpc_host_run(struct rpc_host *host)
{
    REQUIRE(sg_loop_run(host->loop, NULL) == SG_OK);
}

struct sg_loop *rpc_host_loop(struct rpc_host *host)
{
    return host->loop;
}

void rpc_host_flush(struct rpc_host *host)
{
    sg_hook_arm(host->loop, &host->flush);
}
