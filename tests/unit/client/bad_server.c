#include "tests/unit/client/bad_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tls/tls.h"
#include "tests/support/pki.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the bad server saw: not %s\n", SG_WHERE, #cond);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { CONNECTIONS_MAX = 32, BUFFER_MAX = 64 << 20, PREFACE_LEN = 24, FRAME_HEAD_LEN = 9 };

struct inner_conn {
    struct bad_conn outer; /* first: what scripts see */
    int fd;
    pthread_t thread;
    struct sg_tls_conn *tls;
    struct sg_buf in; /* frames that are not complete */
    bool has_greeted, is_over;
};

struct inner {
    struct bad_server outer; /* first: what tests see */
    struct sg_pki *pki;
    struct sg_tls_trust *trust;
    struct sg_tls_ctx *tls;
    int listener;
    pthread_t thread;
    struct inner_conn conns[CONNECTIONS_MAX];
};

/* --- a connection --- */

static void write_out(struct inner_conn *conn)
{
    struct sg_buf *wire = sg_tls_out(conn->tls), *out = &conn->outer.out;

    REQUIRE(!out->failed);
    if (out->len > 0 && sg_tls_send(conn->tls, sg_buf_slice(out), NULL) != SG_OK)
        conn->is_over = true;
    sg_buf_clear(out);
    while (wire->len > 0) {
        ssize_t len = send(conn->fd, wire->ptr, wire->len, MSG_NOSIGNAL);
        if (len <= 0) { /* the client has had enough */
            conn->is_over = true;
            return;
        }
        sg_buf_drop(wire, (size_t)len);
    }
}

static void run_answer(struct inner_conn *conn, uint32_t stream)
{
    struct bad_server *server = conn->outer.server;

    atomic_fetch_add(&server->calls, 1);
    atomic_load(&server->script)->answer(&conn->outer, stream);
    if (conn->outer.held_count > atomic_load(&server->held_max))
        atomic_store(&server->held_max, (unsigned)conn->outer.held_count);
    conn->is_over |= conn->outer.wants_close;
}

static void take_frame(struct inner_conn *conn, const uint8_t *head)
{
    const uint32_t stream = sg_be32(head + 5);
    const bool is_end = (head[4] & H2_END_STREAM) != 0;

    if (head[3] == H2_PING && (head[4] & H2_ACK) != 0)
        atomic_fetch_add(&conn->outer.server->pings_acked, 1);
    if ((head[3] == H2_DATA || head[3] == H2_HEADERS) && is_end)
        run_answer(conn, stream);
}

static void take_frames(struct inner_conn *conn)
{
    struct sg_buf *in = &conn->in;

    if (!conn->has_greeted && in->len >= PREFACE_LEN) {
        const struct bad_script *script = atomic_load(&conn->outer.server->script);
        conn->has_greeted = true;
        sg_buf_drop(in, PREFACE_LEN);
        if (script->greet == NULL)
            h2_put_frame(&conn->outer.out, H2_SETTINGS, 0, 0, SG_SLICE(""));
        else
            script->greet(&conn->outer);
        /* The client's SETTINGS stand behind its preface; only now do they bind us. */
        h2_put_frame(&conn->outer.out, H2_SETTINGS, H2_ACK, 0, SG_SLICE(""));
    }
    while (conn->has_greeted && !conn->is_over && in->len >= FRAME_HEAD_LEN) {
        size_t len = (sg_be32(in->ptr) >> 8) + FRAME_HEAD_LEN;
        if (in->len < len)
            return;
        take_frame(conn, in->ptr);
        sg_buf_drop(in, len);
    }
}

/* False: the client has gone, or what it says is no TLS. */
static bool receive(struct inner_conn *conn)
{
    const struct bad_script *script = atomic_load(&conn->outer.server->script);
    uint8_t bytes[16 << 10];
    ssize_t len = recv(conn->fd, bytes, sizeof(bytes), 0);

    if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        if (script->quiet != NULL)
            script->quiet(&conn->outer);
        return true;
    }
    if (len <= 0 ||
        sg_tls_feed(conn->tls, sg_slice_of(bytes, (size_t)len), &conn->in, NULL) != SG_OK)
        return false;
    take_frames(conn);
    return true;
}

static void *serve(void *arg)
{
    struct inner_conn *conn = arg;

    while (!conn->is_over && receive(conn))
        write_out(conn);
    (void)shutdown(conn->fd, SHUT_RDWR);
    return NULL;
}

/* --- the server --- */

static void *accept_all(void *arg)
{
    static const struct timeval quiet = {.tv_usec = 20000};
    struct inner *server = arg;
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        unsigned number = atomic_load(&server->outer.connections);
        struct inner_conn *conn = &server->conns[number];

        REQUIRE(number < CONNECTIONS_MAX);
        conn->outer.server = &server->outer;
        conn->outer.number = number + 1;
        conn->fd = fd;
        sg_buf_init(&conn->outer.out, BUFFER_MAX);
        sg_buf_init(&conn->in, BUFFER_MAX);
        REQUIRE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof(quiet)) == 0);
        REQUIRE(sg_tls_accept_new(server->tls, BUFFER_MAX, &conn->tls, NULL) == SG_OK);
        REQUIRE(pthread_create(&conn->thread, NULL, serve, conn) == 0);
        atomic_store(&server->outer.connections, number + 1);
    }
    return NULL;
}

static void make_tls(struct inner *server)
{
    static const char *const alpn[] = {"h2"};
    struct bad_server *outer = &server->outer;
    const struct sg_pki_id *ca, *client, *own;
    struct sg_tls_ca trusted = {.name = "tests", .file = outer->ca_file};
    struct sg_tls_server_options options = {.alpn = alpn, .alpn_count = 1};

    server->pki = sg_pki_new();
    ca = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    client = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "client",
                                                            .issuer = ca,
                                                            .san = "URI:https://tests/client",
                                                            .eku = "clientAuth"});
    own = sg_pki_make(server->pki, &(struct sg_pki_spec){.name = "server",
                                                         .issuer = ca,
                                                         .san = "IP:127.0.0.1",
                                                         .eku = "serverAuth"});
    snprintf(outer->ca_file, sizeof(outer->ca_file), "%s", ca->cert_file);
    snprintf(outer->cert_file, sizeof(outer->cert_file), "%s", client->cert_file);
    snprintf(outer->key_file, sizeof(outer->key_file), "%s", client->key_file);
    options.cert_file = own->cert_file;
    options.key_file = own->key_file;
    REQUIRE(sg_tls_trust_load(&trusted, 1, false, &server->trust, NULL) == SG_OK);
    options.client_trust = server->trust;
    REQUIRE(sg_tls_server_ctx_new(&options, &server->tls, NULL) == SG_OK);
}

struct bad_server *bad_server_start(const struct bad_script *script)
{
    struct inner *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    REQUIRE(server != NULL);
    atomic_store(&server->outer.script, script);
    make_tls(server);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(server->listener >= 0);
    REQUIRE(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    REQUIRE(listen(server->listener, 16) == 0);
    REQUIRE(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    snprintf(server->outer.endpoint, sizeof(server->outer.endpoint), "127.0.0.1:%u",
             ntohs(address.sin_port));
    REQUIRE(pthread_create(&server->thread, NULL, accept_all, server) == 0);
    return &server->outer;
}

void bad_server_stop(struct bad_server *outer)
{
    struct inner *server = (struct inner *)(void *)outer;
    unsigned connections;

    REQUIRE(shutdown(server->listener, SHUT_RDWR) == 0);
    REQUIRE(pthread_join(server->thread, NULL) == 0);
    close(server->listener);
    connections = atomic_load(&outer->connections);
    for (unsigned i = 0; i < connections; i++) {
        struct inner_conn *conn = &server->conns[i];
        (void)shutdown(conn->fd, SHUT_RDWR);
        REQUIRE(pthread_join(conn->thread, NULL) == 0);
        close(conn->fd);
        sg_tls_conn_free(conn->tls);
        sg_buf_done(&conn->in);
        sg_buf_done(&conn->outer.out);
    }
    sg_tls_ctx_free(server->tls);
    sg_tls_trust_free(server->trust);
    sg_pki_free(server->pki);
    free(server);
}

struct sealgate_options bad_server_options(const struct bad_server *server)
{
    return (struct sealgate_options){.endpoint = server->endpoint,
                                     .ca_file = server->ca_file,
                                     .cert_file = server->cert_file,
                                     .key_file = server->key_file,
                                     .timeout_ms = 10000};
}

/* --- as it should be --- */

static void answer_well(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, 0, stream,
                   SG_SLICE(":status: 200\ncontent-type: application/grpc\n"));
    h2_put_frame(&conn->out, H2_DATA, 0, stream, SG_SLICE("\0\0\0\0\2\x08\1"));
    h2_put_headers(&conn->out, H2_END_STREAM, stream, SG_SLICE("grpc-status: 0\n"));
}

const struct bad_script bad_script_good = {.answer = answer_well};
