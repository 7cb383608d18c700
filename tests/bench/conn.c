#include "tests/bench/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PLAIN_BYTES_MAX = BENCH_READ_BYTES + 16384,
    PULL_BYTES = 65536,
    PULLED_BYTES_MAX = 2 * PULL_BYTES, /* a pull may go over its mark by a frame */
    OUT_BYTES_MAX = 1 << 20,
};

void bench_die(const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void bench_must(enum sg_rc rc, const struct sg_err *err)
{
    if (rc != SG_OK)
        bench_die("%s", err->msg);
}

static void begin(struct bench_conn *conn)
{
    struct sg_err err;
    conn->is_ready = true;
    if (!conn->all->is_http1)
        bench_must(sg_rpc_client_new(&sg_rpc_client_limits_default, "localhost", "bench/1",
                                     sg_loop_now(conn->all->loop), &conn->client, &err),
                   &err);
    if (conn->ready != NULL)
        conn->ready(conn);
}

static void on_ready(void *arg, uint32_t events)
{
    (void)events;
    struct bench_conn *conn = arg;
    struct bench_conns *all = conn->all;
    struct sg_err err;

    sg_hook_arm(all->loop, &conn->flush);
    ssize_t len = recv(conn->watch.fd, all->read_bytes, sizeof(all->read_bytes), 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0)
        bench_die("the server closed a connection");
    sg_buf_clear(&all->plain);
    bench_must(sg_tls_feed(conn->tls, sg_slice_of(all->read_bytes, (size_t)len), &all->plain, &err),
               &err);
    if (!conn->is_ready && sg_tls_is_ready(conn->tls))
        begin(conn);
    if (all->plain.len > 0 && all->is_http1)
        conn->text(conn, sg_buf_slice(&all->plain));
    else if (all->plain.len > 0)
        bench_must(sg_rpc_client_feed(conn->client, sg_loop_now(all->loop),
                                      sg_buf_slice(&all->plain), &err),
                   &err);
}

static void on_flush(void *arg)
{
    struct bench_conn *conn = arg;
    struct bench_conns *all = conn->all;
    struct sg_buf *out = sg_tls_out(conn->tls);
    struct sg_err err;

    if (conn->client != NULL) {
        if (conn->fill != NULL)
            conn->fill(conn);
        do {
            sg_buf_clear(&all->pulled);
            bench_must(sg_rpc_client_pull(conn->client, PULL_BYTES, &all->pulled, &err), &err);
            bench_must(sg_tls_send(conn->tls, sg_buf_slice(&all->pulled), &err), &err);
        } while (all->pulled.len > 0);
    }
    if (out->len > 0) {
        ssize_t len = send(conn->watch.fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len < 0 && errno != EAGAIN && errno != EINTR)
            bench_die("could not write to the server: %m");
        if (len > 0)
            sg_buf_drop(out, (size_t)len);
    }
    if (conn->sent != NULL && out->len == 0)
        conn->sent(conn);
    sg_watch_set(all->loop, &conn->watch, out->len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void init(struct bench_conns *all, const char *pki, const char *client, uint16_t port,
                 const char *protocol)
{
    const char *const alpn[] = {protocol};
    char ca[256], cert[256], key[256];
    struct sg_err err;
    snprintf(ca, sizeof(ca), "%s/ca.pem", pki);
    snprintf(cert, sizeof(cert), "%s/%s.pem", pki, client);
    snprintf(key, sizeof(key), "%s/%s.key", pki, client);
    const struct sg_tls_client_options options = {.ca_file = ca,
                                                  .cert_file = cert,
                                                  .key_file = key,
                                                  .alpn = alpn,
                                                  .alpn_count = SG_COUNT(alpn)};
    bench_must(sg_tls_client_ctx_new(&options, &all->tls, &err), &err);
    bench_must(sg_loop_new(&sg_clock_system, &all->loop, &err), &err);
    sg_buf_init(&all->plain, PLAIN_BYTES_MAX);
    sg_buf_init(&all->pulled, PULLED_BYTES_MAX);
    all->port = port;
}

void bench_conns_init(struct bench_conns *all, const char *pki, const char *client, uint16_t port)
{
    init(all, pki, client, port, "h2");
}

void bench_conns_init_http1(struct bench_conns *all, const char *pki, const char *client,
                            uint16_t port)
{
    init(all, pki, client, port, "http/1.1");
    all->is_http1 = true;
}

void bench_conn_open(struct bench_conns *all, struct bench_conn *conn, unsigned host)
{
    const struct sockaddr_in from = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(0x7f000000 | host)};
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(all->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sg_err err;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&from, sizeof(from)) != 0 ||
        (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
        bench_die("could not connect: %m");

    conn->all = all;
    conn->watch =
        (struct sg_watch){.fd = fd, .fn = on_ready, .arg = conn, .events = EPOLLIN | EPOLLOUT};
    conn->flush = (struct sg_hook){.fn = on_flush, .arg = conn};
    bench_must(sg_tls_connect_new(all->tls, "localhost", sg_wall_ns(&sg_clock_system),
                                  OUT_BYTES_MAX, &conn->tls, &err),
               &err);
    bench_must(sg_watch_add(all->loop, &conn->watch, &err), &err);
}

void bench_conn_close(struct bench_conn *conn)
{
    sg_hook_disarm(&conn->flush);
    sg_watch_remove(conn->all->loop, &conn->watch);
    close(conn->watch.fd);
}
