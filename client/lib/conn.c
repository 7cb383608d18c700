#include "client/lib/conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proto/tls/tls.h"

enum {
    READ_BYTES = 32 << 10,       /* one read; two TLS records */
    READS_MAX = 8,               /* of one step, so that a fast server cannot hold the caller */
    PULL_BYTES = 64 << 10,       /* HTTP/2 bytes turned into TLS records at once */
    OUT_BYTES_LOW = 128 << 10,   /* no more is pulled while this much waits for the socket */
    OUT_BYTES_MAX = 1 << 20,     /* far above what one pull makes of it */
    PLAIN_BYTES_MAX = 256 << 10, /* what one read can decrypt to, and more */
};

enum state {
    STATE_CONNECTING = 1, /* TCP */
    STATE_HANDSHAKING,    /* TLS, and then until the server's first HTTP/2 word */
    STATE_READY,
};

struct sg_conn {
    const struct sg_conn_config *config;
    const struct sg_target *target;
    int64_t connect_ns;
    int epoll_fd, fd;
    enum state state;
    uint32_t armed; /* EPOLL* bits that the epoll descriptor watches for */

    struct addrinfo *addresses, *address; /* all; the one being tried */
    int64_t begin_ns, due_ns;             /* of connecting: all of it, and this address */
    struct sealgate_error refused;        /* why the last address did not do */

    struct sg_tls_conn *tls;
    struct sg_rpc_client *rpc;
    struct sg_buf plain; /* decrypted; to be encrypted */
    bool is_over;
    struct sealgate_error failure; /* what ended it */
};

/* ---- TCP ------------------------------------------------------------------------------------ */

static void close_socket(struct sg_conn *conn)
{
    if (conn->fd < 0)
        return;
    /* Takes it off the epoll set too: nobody else has this socket. */
    (void)close(conn->fd);
    conn->fd = -1;
    conn->armed = 0;
}

/* A number never blocks; a name may, and is looked up only when it is none. */
static enum sealgate_code resolve(const struct sg_endpoint *endpoint, struct addrinfo **ret,
                                  struct sealgate_error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    int failed = getaddrinfo(endpoint->host, endpoint->port, &hints, ret);

    if (failed == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
        failed = getaddrinfo(endpoint->host, endpoint->port, &hints, ret);
    }
    if (failed != 0)
        return sg_client_fail(error, SG_CLIENT_NAME_NOT_RESOLVED, SEALGATE_OUTCOME_NOT_DONE,
                              "could not resolve \"%s\": %s", endpoint->host, gai_strerror(failed));
    return SEALGATE_OK;
}

static bool watch(struct sg_conn *conn, uint32_t events)
{
    struct epoll_event event = {.events = events};
    int op = conn->armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (conn->armed == events)
        return true;
    if (epoll_ctl(conn->epoll_fd, op, conn->fd, &event) != 0)
        return false;
    conn->armed = events;
    return true;
}

/* Each address gets its share of what is left, so that a dead first one does not eat all. */
static int64_t share_of_time(const struct sg_conn *conn, int64_t now_ns)
{
    int64_t left = conn->begin_ns + conn->connect_ns - now_ns, count = 0;

    for (const struct addrinfo *address = conn->address; address != NULL;
         address = address->ai_next)
        count++;
    return now_ns + (count > 0 ? left / count : left);
}

/* Begins to connect to conn->address. */
static bool try_address(struct sg_conn *conn, int64_t now_ns)
{
    const struct addrinfo *address = conn->address;
    int one = 1;

    conn->state = STATE_CONNECTING;
    conn->due_ns = share_of_time(conn, now_ns);
    conn->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd >= 0) {
        /* Small requests must not wait for each other (RFC 896). Works without, only slower. */
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if ((connect(conn->fd, address->ai_addr, address->ai_addrlen) == 0 ||
             errno == EINPROGRESS) &&
            watch(conn, EPOLLOUT))
            return true;
    }
    (void)sg_client_fail(&conn->refused, SG_CLIENT_CONNECT_FAILED, SEALGATE_OUTCOME_NOT_DONE,
                         "could not connect to %s: %s", conn->target->authority, strerror(errno));
    close_socket(conn);
    return false;
}

/* The address being tried will not do: the next one, or the end. */
static enum sealgate_code next_address(struct sg_conn *conn, int64_t now_ns,
                                       struct sealgate_error *error)
{
    sg_rpc_client_free(SG_STEAL(conn->rpc));
    sg_tls_conn_free(SG_STEAL(conn->tls));
    close_socket(conn);
    while (conn->address->ai_next != NULL && now_ns < conn->begin_ns + conn->connect_ns) {
        conn->address = conn->address->ai_next;
        if (try_address(conn, now_ns))
            return SEALGATE_OK;
    }
    if (error != NULL)
        *error = conn->refused;
    return conn->refused.code;
}

/* ---- TLS ------------------------------------------------------------------------------------ */

/*
 * The TLS alert that an error of OpenSSL stands for, or 0. Its reasons for alerts received are
 * 1000 and the alert's number (SSL_AD_REASON_OFFSET in <openssl/ssl.h>), in the low 23 bits.
 */
static unsigned alert_of(unsigned long native)
{
    unsigned long reason = native & 0x7fffff;

    return reason >= 1000 && reason < 1256 ? (unsigned)(reason - 1000) : 0;
}

/* RFC 8446 section 6.2: alerts by which a server refuses the client's certificate. */
static bool is_about_certificate(unsigned alert)
{
    return (alert >= 42 && alert <= 46) || alert == 48 || alert == 49 || alert == 116;
}

static enum sealgate_code tls_failed(const struct sg_conn *conn, const struct sg_err *err,
                                     struct sealgate_error *error)
{
    enum sealgate_outcome outcome =
        conn->state == STATE_READY ? SEALGATE_OUTCOME_UNKNOWN : SEALGATE_OUTCOME_NOT_DONE;

    if (is_about_certificate(alert_of(err->native)))
        return sg_client_fail(error, SG_CLIENT_CLIENT_CERT_REFUSED, outcome,
                              "%s refused the client certificate: %s", conn->target->authority,
                              err->msg);
    return sg_client_fail(error, SG_CLIENT_TLS_FAILED, outcome, "TLS with %s failed: %s",
                          conn->target->authority, err->msg);
}

static enum sealgate_code begin_tls(struct sg_conn *conn, int64_t now_ns,
                                    struct sealgate_error *error)
{
    const struct sg_conn_config *config = conn->config;
    struct sg_err err;

    if (sg_tls_connect_new(config->tls, conn->target->server_name, sg_wall_ns(&sg_clock_system),
                           OUT_BYTES_MAX, &conn->tls, &err) != SG_OK)
        return tls_failed(conn, &err, error);
    if (sg_rpc_client_new(&config->limits, conn->target->authority, config->user_agent, now_ns,
                          &conn->rpc, &err) != SG_OK)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE, "%s",
                              err.msg);
    conn->state = STATE_HANDSHAKING;
    return SEALGATE_OK;
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

static enum sealgate_code lost(const struct sg_conn *conn, const char *why,
                               struct sealgate_error *error)
{
    if (conn->state != STATE_READY)
        return sg_client_fail(error, SG_CLIENT_CONNECT_FAILED, SEALGATE_OUTCOME_NOT_DONE,
                              "%s ended the connection while it was being made: %s",
                              conn->target->authority, why);
    return sg_client_fail(error, SG_CLIENT_CONNECTION_LOST, SEALGATE_OUTCOME_UNKNOWN,
                          "the connection to %s was lost: %s", conn->target->authority, why);
}

/* Bytes from the socket through TLS into HTTP/2. */
static enum sealgate_code take(struct sg_conn *conn, struct sg_slice bytes, int64_t now_ns,
                               struct sealgate_error *error)
{
    struct sg_err err;
    enum sg_rc rc;

    sg_buf_clear(&conn->plain);
    rc = sg_tls_feed(conn->tls, bytes, &conn->plain, &err);
    if (rc == SG_OK && conn->plain.len > 0) {
        if (sg_rpc_client_feed(conn->rpc, now_ns, sg_buf_slice(&conn->plain), &err) != SG_OK)
            return lost(conn, err.msg, error);
        conn->state = STATE_READY;
        /* The addresses not tried are of no use any more. */
        freeaddrinfo(SG_STEAL(conn->addresses));
        conn->address = NULL;
    }
    return rc == SG_OK ? SEALGATE_OK : tls_failed(conn, &err, error);
}

static enum sealgate_code receive(struct sg_conn *conn, int64_t now_ns,
                                  struct sealgate_error *error)
{
    uint8_t bytes[READ_BYTES];

    for (int reads = 0; reads < READS_MAX; reads++) {
        ssize_t len = recv(conn->fd, bytes, sizeof(bytes), 0);
        enum sealgate_code code;

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return SEALGATE_OK;
        if (len < 0)
            return lost(conn, strerror(errno), error);
        if (len == 0)
            return lost(conn, "the server closed it", error);
        code = take(conn, sg_slice_of(bytes, (size_t)len), now_ns, error);
        if (code != SEALGATE_OK)
            return code;
        if ((size_t)len < sizeof(bytes))
            return SEALGATE_OK;
    }
    return SEALGATE_OK;
}

/* HTTP/2 into TLS, as long as the socket keeps up. */
static enum sealgate_code encrypt(struct sg_conn *conn, struct sealgate_error *error)
{
    struct sg_err err;

    while (sg_tls_is_ready(conn->tls) && sg_tls_out(conn->tls)->len < OUT_BYTES_LOW &&
           sg_rpc_client_wants_pull(conn->rpc)) {
        sg_buf_clear(&conn->plain);
        if (sg_rpc_client_pull(conn->rpc, PULL_BYTES, &conn->plain, &err) != SG_OK)
            return lost(conn, err.msg, error);
        if (conn->plain.len == 0)
            break;
        if (sg_tls_send(conn->tls, sg_buf_slice(&conn->plain), &err) != SG_OK)
            return tls_failed(conn, &err, error);
    }
    return SEALGATE_OK;
}

/* TLS into the socket. */
static enum sealgate_code write_out(struct sg_conn *conn, struct sealgate_error *error)
{
    struct sg_buf *out = sg_tls_out(conn->tls);

    while (out->len > 0) {
        ssize_t len = send(conn->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return SEALGATE_OK;
        if (len < 0)
            return lost(conn, strerror(errno), error);
        sg_buf_drop(out, (size_t)len);
    }
    return SEALGATE_OK;
}

static enum sealgate_code send_all(struct sg_conn *conn, struct sealgate_error *error)
{
    enum sealgate_code code;

    do {
        code = encrypt(conn, error);
        if (code == SEALGATE_OK)
            code = write_out(conn, error);
    } while (code == SEALGATE_OK && sg_tls_out(conn->tls)->len == 0 && sg_tls_is_ready(conn->tls) &&
             sg_rpc_client_wants_pull(conn->rpc));
    /* It has been told why, as far as its socket took that; there is nothing to wait for. */
    if (code == SEALGATE_OK && sg_rpc_client_is_over(conn->rpc))
        code = lost(conn, "the server broke the rules of HTTP/2", error);
    return code;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

/* Whether TCP has come about, or why not. SG_E_AGAIN: not known yet. */
static enum sg_rc tcp_result(const struct sg_conn *conn, int *ret_errno)
{
    struct pollfd ready = {.fd = conn->fd, .events = POLLOUT};
    socklen_t len = sizeof(*ret_errno);

    if (poll(&ready, 1, 0) <= 0)
        return SG_E_AGAIN;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, ret_errno, &len) != 0)
        *ret_errno = errno;
    return *ret_errno == 0 ? SG_OK : SG_E_UNAVAILABLE;
}

static enum sealgate_code step_connecting(struct sg_conn *conn, int64_t now_ns,
                                          struct sealgate_error *error)
{
    int failed = 0;

    switch ((int)tcp_result(conn, &failed)) {
    case SG_OK:
        return begin_tls(conn, now_ns, error);
    case SG_E_AGAIN:
        return SEALGATE_OK;
    default:
        return sg_client_fail(error, SG_CLIENT_CONNECT_FAILED, SEALGATE_OUTCOME_NOT_DONE,
                              "could not connect to %s: %s", conn->target->authority,
                              strerror(failed));
    }
}

static enum sealgate_code step_open(struct sg_conn *conn, int64_t now_ns,
                                    struct sealgate_error *error)
{
    enum sealgate_code code = receive(conn, now_ns, error);
    struct sg_err err;

    if (code == SEALGATE_OK && sg_rpc_client_due(conn->rpc) <= now_ns &&
        sg_rpc_client_tick(conn->rpc, now_ns, &err) != SG_OK)
        code = lost(conn, err.msg, error);
    if (code != SEALGATE_OK) {
        /* An alert may be in there; if it cannot leave now, it does not. */
        (void)write_out(conn, NULL);
        return code;
    }
    if (sg_tls_is_ready(conn->tls) && !sg_slice_is(sg_tls_alpn(conn->tls), "h2"))
        return sg_client_fail(error, SG_CLIENT_TLS_FAILED, SEALGATE_OUTCOME_NOT_DONE,
                              "%s does not speak HTTP/2", conn->target->authority);
    return send_all(conn, error);
}

static enum sealgate_code step_state(struct sg_conn *conn, int64_t now_ns,
                                     struct sealgate_error *error)
{
    enum sealgate_code code = SEALGATE_OK;

    if (conn->state == STATE_CONNECTING)
        code = step_connecting(conn, now_ns, error);
    if (code == SEALGATE_OK && conn->state != STATE_CONNECTING)
        code = step_open(conn, now_ns, error);
    if (code == SEALGATE_OK && conn->state != STATE_READY && now_ns >= conn->due_ns)
        code = sg_client_fail(error, SG_CLIENT_CONNECT_FAILED, SEALGATE_OUTCOME_NOT_DONE,
                              "could not connect to %s in time", conn->target->authority);
    return code;
}

enum sealgate_code sg_conn_step(struct sg_conn *conn, int64_t now_ns, struct sealgate_error *error)
{
    struct sealgate_error why;
    enum sealgate_code code = step_state(conn, now_ns, &why);
    short events;

    /* Refused: the next address may do, unless this one spoke TLS and did not like us. */
    if (code != SEALGATE_OK && conn->state != STATE_READY) {
        conn->refused = why;
        code = next_address(conn, now_ns, &why);
    }
    if (code == SEALGATE_OK) {
        (void)sg_conn_fd(conn, &events);
        if (!watch(conn, EPOLLIN | ((events & POLLOUT) != 0 ? EPOLLOUT : 0U)))
            code = lost(conn, strerror(errno), &why);
    }
    if (code != SEALGATE_OK) {
        conn->is_over = true;
        conn->failure = why;
        if (error != NULL)
            *error = why;
    }
    return code;
}

/* ---- The object ----------------------------------------------------------------------------- */

enum sealgate_code sg_conn_new(const struct sg_conn_config *config, const struct sg_target *target,
                               int64_t connect_ns, int epoll_fd, int64_t now_ns,
                               struct sg_conn **ret, struct sealgate_error *error)
{
    SG_AUTO(sg_conn_free) struct sg_conn *conn = calloc(1, sizeof(*conn));
    enum sealgate_code code;

    if (conn == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a connection: out of memory");
    conn->config = config;
    conn->target = target;
    conn->connect_ns = connect_ns;
    conn->epoll_fd = epoll_fd;
    conn->fd = -1;
    sg_buf_init(&conn->plain, PLAIN_BYTES_MAX);
    code = resolve(&target->endpoint, &conn->addresses, error);
    if (code != SEALGATE_OK)
        return code;
    conn->begin_ns = now_ns;
    conn->address = conn->addresses;
    if (!try_address(conn, now_ns)) {
        code = next_address(conn, now_ns, error);
        if (code != SEALGATE_OK)
            return code;
    }
    *ret = SG_STEAL(conn);
    return SEALGATE_OK;
}

void sg_conn_free(struct sg_conn *conn)
{
    if (conn == NULL)
        return;
    sg_rpc_client_free(conn->rpc); /* its calls are told now, and may ask sg_conn_failure() */
    if (conn->tls != NULL && conn->fd >= 0 && !conn->is_over) {
        sg_tls_close(conn->tls);
        (void)write_out(conn, NULL); /* a goodbye that need not arrive */
    }
    sg_tls_conn_free(conn->tls);
    close_socket(conn);
    if (conn->addresses != NULL)
        freeaddrinfo(conn->addresses);
    sg_buf_done(&conn->plain);
    free(conn);
}

bool sg_conn_is_ready(const struct sg_conn *conn)
{
    return conn->state == STATE_READY && sg_rpc_client_is_usable(conn->rpc);
}

bool sg_conn_is_draining(const struct sg_conn *conn)
{
    return conn->state == STATE_READY && !sg_rpc_client_is_usable(conn->rpc);
}

size_t sg_conn_open_calls(const struct sg_conn *conn)
{
    return conn->rpc == NULL ? 0 : sg_rpc_client_open_calls(conn->rpc);
}

struct sg_rpc_client *sg_conn_rpc(struct sg_conn *conn)
{
    return conn->rpc;
}

bool sg_conn_pinged_too_often(const struct sg_conn *conn)
{
    return conn->rpc != NULL && sg_rpc_client_pinged_too_often(conn->rpc);
}

const struct sealgate_error *sg_conn_failure(const struct sg_conn *conn)
{
    return conn->is_over ? &conn->failure : NULL;
}

int64_t sg_conn_due(const struct sg_conn *conn)
{
    int64_t due = conn->rpc == NULL ? INT64_MAX : sg_rpc_client_due(conn->rpc);

    return conn->state == STATE_READY || due < conn->due_ns ? due : conn->due_ns;
}

int sg_conn_fd(const struct sg_conn *conn, short *ret_events)
{
    bool writes = conn->state == STATE_CONNECTING || sg_tls_out(conn->tls)->len > 0;

    *ret_events = writes ? POLLIN | POLLOUT : POLLIN;
    return conn->fd;
}
