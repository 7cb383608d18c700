#include "gateway/net/net_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/net/server.h"

/* A part of a buffer that may move. */
struct part {
    size_t at, len;
};

/*
 * One connection: what the socket gives goes through TLS into HTTP; what the calls produce is
 * pulled at the end of the turn, encrypted, and leaves in one write. Reading, working and writing
 * are three stages of a turn, in each of which each step is done for all connections (base/loop.h
 * says why). Output is pulled only while the socket takes it, so a client that reads nothing makes
 * us keep nothing.
 *
 * Until the handshake is over, what comes is taken by handshake.c, which has `tls` meanwhile.
 */
struct sg_conn {
    struct sg_net *net;
    struct sg_watch watch; /* the socket */
    struct sg_timer timer; /* the next of all its time-outs */
    struct sg_hook flush;  /* armed whenever it was touched */
    TAILQ_ENTRY(sg_conn) input_link, output_link;
    bool has_input, has_output;      /* it is in net->inputs, in net->outputs */
    struct part read, plain, pulled; /* what it has there, of net's buffers of these names */
    struct sg_tls_conn *tls; /* NULL before the first bytes, and while a handshake's step has it */
    struct sg_handshake handshake;
    struct sg_net_server server; /* open when the handshake is over */
    struct sg_rpc_connection peer;
    int64_t handshake_due_ns; /* the client's time is up; what a step takes is not its time */
    int64_t moved_ns;         /* when the socket last took something, or began to have to */
    bool is_ending;           /* as of the last flush */
    bool has_more;            /* than was pulled in this turn, perhaps */
    enum sg_why why;          /* it ends, and why; SG_WHY_OPEN: it does not */
    struct sockaddr_storage *address; /* of a proxy's that has not said whose it is; else NULL */
    struct sg_proxied *proxied;       /* and what it has said so far */
    struct sg_source *source;
    char id[20]; /* as it stands before the hyphen in a request's */
    char from[INET6_ADDRSTRLEN];
    struct sg_log_field fields[3];
    struct sg_log_scope scope;
    struct sg_conn *next, **link; /* of net->conns */
};

static int64_t now(const struct sg_conn *conn)
{
    return sg_loop_now(conn->net->loop);
}

void sg_conn_free(struct sg_conn *conn)
{
    struct sg_net *net = conn->net;

    sg_net_server_close(&conn->server); /* ends its calls, which may still touch the connection */
    sg_hook_disarm(&conn->flush);
    if (conn->has_input)
        TAILQ_REMOVE(&net->inputs, conn, input_link);
    if (conn->has_output)
        TAILQ_REMOVE(&net->outputs, conn, output_link);
    sg_timer_cancel(net->loop, &conn->timer);
    sg_watch_remove(net->loop, &conn->watch);
    sg_handshake_abandon(&net->handshakes, &conn->handshake);
    net->totals.ended[conn->why]++;
    sg_log(SG_LOG_DEBUG, &conn->scope, "conn.closed", SG_F_STR("why", sg_why_name(conn->why)));
    sg_sources_leave(&net->sources, conn->source);
    free(conn->address);
    free(conn->proxied);
    sg_sign_tally_free(conn->peer.tally);
    sg_tls_conn_free(conn->tls);
    close(conn->watch.fd);

    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    net->conn_count--;
    free(conn);
}

/* Not freed at once: whoever calls may still hold the connection. The hook does it. */
static void end(struct sg_conn *conn, enum sg_why why)
{
    if (conn->why == SG_WHY_OPEN)
        conn->why = why;
    sg_hook_arm(conn->net->loop, &conn->flush);
}

/* Anybody who finds the port can cause one. */
static void log_failure(const struct sg_conn *conn, const char *event, const struct sg_err *err)
{
    if (sg_log_limit_take(&conn->net->failures))
        sg_log(SG_LOG_INFO, &conn->scope, event, SG_F_ERR(err));
}

static void on_wants_write(void *arg)
{
    struct sg_conn *conn = arg;
    sg_hook_arm(conn->net->loop, &conn->flush);
}

/* The handshake is over: from here on there are calls. */
static enum sg_rc begin_rpc(struct sg_conn *conn, struct sg_err *err)
{
    struct sg_net *net = conn->net;

    sg_rpc_connection_set_peer(&conn->peer, sg_tls_peer(conn->tls));
    SG_TRY(sg_net_server_open(&conn->server, sg_tls_alpn(conn->tls), &net->options.rpc,
                              net->methods, net->handler, &conn->peer, now(conn), err));
    sg_log(SG_LOG_DEBUG, &conn->scope, "conn.ready", SG_F_STR("version", sg_tls_version(conn->tls)),
           SG_F_STR("cipher", sg_tls_cipher(conn->tls)), SG_F_STR("ca", conn->peer.peer->ca),
           SG_F_STR("uri", conn->peer.peer->uri));
    if (net->phase != SG_NET_SERVING)
        sg_net_server_drain_notice(&conn->server);
    if (net->phase == SG_NET_DRAINING)
        sg_net_server_drain(&conn->server);
    return SG_OK;
}

static void fail_tls(struct sg_conn *conn, const struct sg_err *err)
{
    const bool has_negotiated_on = conn->tls != NULL && sg_tls_has_negotiated_on(conn->tls);
    enum sg_why why = has_negotiated_on                      ? SG_WHY_KEY_UPDATES
                      : sg_net_server_is_open(&conn->server) ? SG_WHY_TLS
                      : err->rc == SG_E_UNAUTHENTICATED      ? SG_WHY_CERTIFICATE
                      : err->rc == SG_E_INTERNAL             ? SG_WHY_MEMORY
                                                             : SG_WHY_HANDSHAKE;
    log_failure(conn,
                !sg_net_server_is_open(&conn->server) ? "conn.handshake_failed" : "conn.tls_failed",
                err);
    end(conn, why);
}

/* Hands what TLS gave to HTTP/2. */
static void take(struct sg_conn *conn, struct sg_slice plain)
{
    struct sg_net *net = conn->net;
    struct sg_err err;

    if (!sg_net_server_is_open(&conn->server) && sg_tls_is_ready(conn->tls) &&
        begin_rpc(conn, &err) != SG_OK) {
        log_failure(conn, "conn.failed", &err);
        end(conn, SG_WHY_MEMORY);
        return;
    }
    if (plain.len > 0 && sg_net_server_feed(&conn->server, now(conn), plain, &err) != SG_OK) {
        log_failure(conn, "conn.protocol_error", &err);
        end(conn, sg_net_server_why(&conn->server));
        return;
    }
    if (sg_tls_peer_has_closed(conn->tls))
        end(conn, SG_WHY_CLIENT);
    else
        sg_hook_arm(net->loop, &conn->flush);
}

/* Handshakes ------------------------------------------------------------------------------- */

/* From here on it is our time that passes; nothing is read before there is a step to take it. */
static void want_handshake(struct sg_conn *conn)
{
    if (sg_handshake_is_under_way(&conn->handshake))
        return;
    conn->handshake_due_ns -= now(conn);
    sg_timer_cancel(conn->net->loop, &conn->timer);
    sg_watch_set(conn->net->loop, &conn->watch, 0);
    sg_handshake_want(&conn->net->handshakes, &conn->handshake);
}

ssize_t sg_conn_handshake_begin(struct sg_conn *conn, uint8_t *bytes, size_t max,
                                struct sg_tls_conn **ret)
{
    struct sg_err err;
    ssize_t len = recv(conn->watch.fd, bytes, max, 0);

    if (len > 0 && conn->tls == NULL &&
        sg_tls_accept_new(conn->net->tls, OUT_BYTES_MAX, &conn->tls, &err) != SG_OK) {
        log_failure(conn, "conn.failed", &err);
        end(conn, SG_WHY_MEMORY);
        return -1;
    }
    if (len > 0)
        *ret = SG_STEAL(conn->tls);
    else if (len == 0)
        end(conn, SG_WHY_CLIENT);
    else if (errno != EAGAIN && errno != EINTR)
        end(conn, SG_WHY_CLIENT);
    return len;
}

void sg_conn_handshake_end(struct sg_conn *conn, struct sg_tls_conn *tls, struct sg_slice plain,
                           const struct sg_err *err)
{
    conn->handshake_due_ns += now(conn);
    if (tls != NULL)
        conn->tls = tls;
    if (conn->why == SG_WHY_OPEN)
        sg_watch_set(conn->net->loop, &conn->watch, EPOLLIN);
    if (err != NULL)
        fail_tls(conn, err);
    else if (tls != NULL && conn->why == SG_WHY_OPEN)
        take(conn, plain);
    sg_hook_arm(conn->net->loop, &conn->flush);
}

/* Proxies ---------------------------------------------------------------------------------- */

static void set_from(struct sg_conn *conn, const struct sockaddr_storage *address)
{
    const void *bytes = address->ss_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

    if (inet_ntop(address->ss_family, bytes, conn->from, sizeof(conn->from)) == NULL)
        conn->from[0] = '\0';
    conn->fields[1] = SG_F_STR("from", conn->from);
}

static enum sg_rc enter_source(struct sg_conn *conn, struct sg_err *err)
{
    struct sg_net *net = conn->net;
    return sg_sources_enter(&net->sources, conn->address, net->options.connections_per_source_max,
                            &conn->source, err);
}

/* Reads the header. True: it is known whose the connection is, and what follows is theirs. */
static bool take_proxy_header(struct sg_conn *conn)
{
    struct sg_err err;

    if (conn->proxied == NULL)
        conn->proxied = calloc(1, sizeof(*conn->proxied));
    if (conn->proxied == NULL) {
        end(conn, SG_WHY_MEMORY);
        return false;
    }
    enum sg_rc rc = sg_proxied_read(conn->proxied, conn->watch.fd, conn->address, &err);
    if (rc == SG_E_AGAIN)
        return false;
    if (rc != SG_OK) {
        if (rc != SG_E_UNAVAILABLE)
            log_failure(conn, "conn.no_proxy_header", &err);
        end(conn, rc == SG_E_UNAVAILABLE ? SG_WHY_CLIENT : SG_WHY_PROXY);
        return false;
    }
    set_from(conn, conn->address);
    rc = enter_source(conn, &err);
    if (rc != SG_OK) {
        end(conn, rc == SG_E_LIMIT ? SG_WHY_ADDRESS : SG_WHY_MEMORY);
        return false;
    }
    free(SG_STEAL(conn->proxied));
    free(SG_STEAL(conn->address));
    return true;
}

/* Input ------------------------------------------------------------------------------------ */

static bool decrypt(struct sg_conn *conn)
{
    struct sg_net *net = conn->net;
    struct sg_err err;

    conn->plain.at = net->plain.len;
    if (sg_tls_feed(conn->tls, sg_slice_of(net->read_bytes + conn->read.at, conn->read.len),
                    &net->plain, &err) != SG_OK) {
        fail_tls(conn, &err);
        return false;
    }
    conn->plain.len = net->plain.len - conn->plain.at;
    return true;
}

static void take_plain(struct sg_conn *conn)
{
    take(conn, sg_slice_of(conn->net->plain.ptr + conn->plain.at, conn->plain.len));
}

void sg_conns_on_input(void *arg)
{
    struct sg_net *net = arg;
    struct sg_conn *next;

    sg_buf_clear(&net->plain);
    for (struct sg_conn *conn = TAILQ_FIRST(&net->inputs); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, input_link);
        if (!decrypt(conn)) {
            TAILQ_REMOVE(&net->inputs, conn, input_link);
            conn->has_input = false;
        }
    }
    net->read_len = 0;
    while ((next = TAILQ_FIRST(&net->inputs)) != NULL) {
        TAILQ_REMOVE(&net->inputs, next, input_link);
        next->has_input = false;
        take_plain(next);
    }
}

/*
 * What calls bring is told by edges, since the kernel looks at a level again in the turn after,
 * where there is nothing: 1 % of a call of the null signer. An edge comes for all that arrives, but
 * not for what is left: that is a read that was filled, or an end behind the last bytes.
 */
static bool may_have_left(ssize_t len, uint32_t events)
{
    return len == READ_BYTES || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

static void on_readable(struct sg_conn *conn, uint32_t events)
{
    struct sg_net *net = conn->net;

    if (conn->address != NULL && !take_proxy_header(conn))
        return;
    if (!sg_net_server_is_open(&conn->server)) {
        want_handshake(conn);
        return;
    }
    ssize_t len = recv(conn->watch.fd, net->read_bytes + net->read_len, READ_BYTES, 0);
    if (len == 0)
        end(conn, SG_WHY_CLIENT);
    else if (len < 0 && errno != EAGAIN && errno != EINTR)
        end(conn, SG_WHY_CLIENT);
    if (len <= 0)
        return;
    if (may_have_left(len, events))
        sg_watch_again(net->loop, &conn->watch);
    conn->read = (struct part){net->read_len, (size_t)len};
    if (conn->read.len > KEPT_BYTES - net->read_len) {
        sg_buf_clear(&net->plain);
        if (decrypt(conn))
            take_plain(conn);
        return;
    }
    net->read_len += conn->read.len;
    TAILQ_INSERT_TAIL(&net->inputs, conn, input_link);
    conn->has_input = true;
    sg_hook_arm(net->loop, &net->input);
}

static void on_ready(void *arg, uint32_t events)
{
    struct sg_conn *conn = arg;

    if (sg_handshake_is_under_way(&conn->handshake))
        end(conn, SG_WHY_CLIENT); /* nothing but its end is told now */
    else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        on_readable(conn, events);
    if ((events & EPOLLOUT) != 0)
        sg_hook_arm(conn->net->loop, &conn->flush);
}

/* Output ----------------------------------------------------------------------------------- */

static enum sg_rc encrypt(struct sg_conn *conn, struct sg_err *err)
{
    const struct part part = conn->pulled;

    conn->pulled.len = 0;
    if (part.len == 0 || conn->tls == NULL)
        return SG_OK;
    return sg_tls_send(conn->tls, sg_slice_of(conn->net->pulled.ptr + part.at, part.len), err);
}

/* Pulls what the calls have produced, as much as may wait. What is not the last of it is encrypted
 * at once. */
static enum sg_rc pull(struct sg_conn *conn, struct sg_err *err)
{
    struct sg_net *net = conn->net;

    if (TAILQ_EMPTY(&net->outputs))
        sg_buf_clear(&net->pulled);
    conn->has_more = false;
    conn->pulled = (struct part){net->pulled.len, 0};
    while (sg_net_server_is_open(&conn->server) && conn->tls != NULL) {
        if (sg_tls_out(conn->tls)->len >= OUT_BYTES_HIGH) {
            conn->has_more = true;
            return SG_OK;
        }
        SG_TRY(sg_net_server_pull(&conn->server, PULL_BYTES, &net->pulled, err));
        conn->pulled.len = net->pulled.len - conn->pulled.at;
        if (conn->pulled.len == 0 || !sg_net_server_wants_pull(&conn->server))
            return SG_OK;
        SG_TRY(encrypt(conn, err));
        net->pulled.len = conn->pulled.at;
    }
    return SG_OK;
}

static size_t waiting(const struct sg_conn *conn)
{
    return conn->tls == NULL ? 0 : sg_tls_out(conn->tls)->len;
}

/* Writes what waits. False: the socket is broken. */
static bool write_out(struct sg_conn *conn)
{
    if (waiting(conn) == 0)
        return true;
    struct sg_buf *out = sg_tls_out(conn->tls);
    ssize_t len = send(conn->watch.fd, out->ptr, out->len, MSG_NOSIGNAL);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    sg_buf_drop(out, (size_t)len);
    conn->moved_ns = now(conn);
    return true;
}

static bool is_ending(const struct sg_conn *conn)
{
    return conn->why != SG_WHY_OPEN ||
           (sg_net_server_is_open(&conn->server) && sg_net_server_is_done(&conn->server));
}

/* When something is to happen without an event: the earliest of all time-outs. */
static int64_t due(const struct sg_conn *conn)
{
    int64_t due_ns = sg_handshake_is_under_way(&conn->handshake) ? INT64_MAX
                     : !sg_net_server_is_open(&conn->server)     ? conn->handshake_due_ns
                                                                 : sg_net_server_due(&conn->server);
    if (waiting(conn) > 0 && conn->moved_ns + conn->net->options.write_stall_ns_max < due_ns)
        due_ns = conn->moved_ns + conn->net->options.write_stall_ns_max;
    return due_ns;
}

static void set_timer(struct sg_conn *conn)
{
    const int64_t due_ns = due(conn);

    if (due_ns == INT64_MAX)
        sg_timer_cancel(conn->net->loop, &conn->timer);
    else if (conn->timer.place == 0 || conn->timer.due_ns != due_ns)
        /* Without memory for a timer the connection cannot be bounded in time: it ends. */
        if (sg_timer_set(conn->net->loop, &conn->timer, due_ns, NULL) != SG_OK)
            end(conn, SG_WHY_MEMORY);
}

static void set_events(struct sg_conn *conn)
{
    uint32_t events = conn->watch.events & ~(uint32_t)EPOLLOUT;

    if (sg_net_server_is_open(&conn->server))
        events |= EPOLLRDHUP | EPOLLET;
    if (waiting(conn) > 0)
        events |= EPOLLOUT;
    if (!sg_net_server_wants_feed(&conn->server))
        events &= ~(uint32_t)(EPOLLIN | EPOLLRDHUP);
    if (events == conn->watch.events)
        return;
    if ((events & ~conn->watch.events & EPOLLOUT) != 0)
        conn->moved_ns = now(conn);
    sg_watch_set(conn->net->loop, &conn->watch, events);
}

static void fail_output(struct sg_conn *conn, const struct sg_err *err)
{
    log_failure(conn, "conn.failed", err);
    if (conn->why == SG_WHY_OPEN)
        conn->why = SG_WHY_MEMORY;
}

/* The end of a turn in which the connection was touched. */
static void on_flush(void *arg)
{
    struct sg_conn *conn = arg;
    struct sg_net *net = conn->net;
    struct sg_err err;

    if (pull(conn, &err) != SG_OK)
        fail_output(conn, &err);
    conn->is_ending = is_ending(conn);
    SG_ASSERT(!conn->has_output); /* the hook runs once in a turn, and the list is empty after it */
    TAILQ_INSERT_TAIL(&net->outputs, conn, output_link);
    conn->has_output = true;
    /* Much is not kept for the end of the turn, lest it add up over the connections. */
    if (net->pulled.len > KEPT_BYTES || waiting(conn) > KEPT_BYTES)
        sg_conns_on_output(net);
    else
        sg_hook_arm(net->loop, &net->output);
}

static void finish_turn(struct sg_conn *conn)
{
    const bool is_broken = !write_out(conn);
    const bool has_output = waiting(conn) > 0;

    /* An error's last words are offered to the socket once; a graceful end waits for them. */
    if (is_broken || (conn->is_ending && (conn->why != SG_WHY_OPEN || !has_output))) {
        if (conn->why == SG_WHY_OPEN)
            conn->why = is_broken ? SG_WHY_CLIENT : sg_net_server_why(&conn->server);
        sg_conn_free(conn);
        return;
    }
    set_events(conn);
    /* The socket took all that was encrypted, and no event will come for the rest. */
    if (conn->has_more && !has_output)
        sg_hook_arm(conn->net->loop, &conn->flush);
    set_timer(conn);
}

void sg_conns_on_output(void *arg)
{
    struct sg_net *net = arg;
    struct sg_conn *conn;
    struct sg_err err;

    TAILQ_FOREACH(conn, &net->outputs, output_link)
    {
        if (encrypt(conn, &err) != SG_OK) {
            fail_output(conn, &err);
            conn->is_ending = true;
        }
        if (conn->is_ending && conn->tls != NULL)
            sg_tls_close(conn->tls);
    }
    while ((conn = TAILQ_FIRST(&net->outputs)) != NULL) {
        TAILQ_REMOVE(&net->outputs, conn, output_link);
        conn->has_output = false;
        finish_turn(conn);
    }
}

/* Life ------------------------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    struct sg_conn *conn = arg;
    struct sg_err err;

    if (!sg_net_server_is_open(&conn->server) && now(conn) >= conn->handshake_due_ns) {
        end(conn, SG_WHY_SLOW_HANDSHAKE);
        return;
    }
    if (waiting(conn) > 0 && now(conn) >= conn->moved_ns + conn->net->options.write_stall_ns_max) {
        end(conn, SG_WHY_STALLED);
        return;
    }
    if (sg_net_server_is_open(&conn->server) &&
        sg_net_server_tick(&conn->server, now(conn), &err) != SG_OK) {
        log_failure(conn, "conn.timeout", &err);
        end(conn, sg_net_server_why(&conn->server));
        return;
    }
    if (sg_net_server_is_open(&conn->server))
        conn->net->totals.calls_stalled += sg_net_server_take_stalled(&conn->server);
    sg_hook_arm(conn->net->loop, &conn->flush);
}

struct sg_conn *sg_conn_next(struct sg_conn *conn)
{
    return conn->next;
}

void sg_conn_drain_notice(struct sg_conn *conn)
{
    if (sg_net_server_is_open(&conn->server))
        sg_net_server_drain_notice(&conn->server);
    sg_hook_arm(conn->net->loop, &conn->flush);
}

void sg_conn_drain(struct sg_conn *conn)
{
    /* Who has begun a handshake may believe it over, and have sent a call behind it, before we do:
     * the end must tell that nothing was done, so it waits for the GOAWAY of begin_rpc(). */
    const bool has_begun = conn->tls != NULL || sg_handshake_is_under_way(&conn->handshake);

    if (sg_net_server_is_open(&conn->server))
        sg_net_server_drain(&conn->server);
    else if (!has_begun)
        end(conn, SG_WHY_SHUTDOWN);
    sg_hook_arm(conn->net->loop, &conn->flush);
}

static enum sg_rc start(struct sg_conn *conn, struct sg_err *err)
{
    const int on = 1;

    /* Small answers must not wait for the acknowledgement of earlier ones. */
    if (setsockopt(conn->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not set TCP_NODELAY");
    SG_TRY(sg_watch_add(conn->net->loop, &conn->watch, err));
    return sg_timer_set(conn->net->loop, &conn->timer, due(conn), err);
}

void sg_conn_open(struct sg_net *net, int fd, const struct sockaddr_storage *address,
                  struct sg_source *source)
{
    struct sg_err err;
    struct sg_conn *conn = calloc(1, sizeof(*conn));
    struct sockaddr_storage *kept = source == NULL ? malloc(sizeof(*kept)) : NULL;
    if (conn == NULL || (source == NULL && kept == NULL)) {
        free(conn);
        free(kept);
        sg_sources_leave(&net->sources, source);
        close(fd);
        return;
    }
    conn->net = net;
    conn->source = source;
    conn->address = kept;
    if (kept != NULL)
        *kept = *address;
    conn->moved_ns = now(conn);
    conn->handshake.conn = conn;
    conn->handshake_due_ns = now(conn) + net->options.handshake_ns_max;
    conn->peer.id = ++net->next_id;
    conn->peer.from = conn->from;
    conn->peer.listener = net->options.listener;
    conn->peer.wants_write = on_wants_write;
    conn->peer.wants_write_arg = conn;
    conn->watch = (struct sg_watch){.fd = fd, .fn = on_ready, .arg = conn, .events = EPOLLIN};
    conn->timer = (struct sg_timer){.fn = on_timer, .arg = conn};
    conn->flush = (struct sg_hook){.fn = on_flush, .arg = conn};
    snprintf(conn->id, sizeof(conn->id), "%" PRIx64, conn->peer.id);
    conn->fields[0] = SG_F_STR("conn", conn->id);
    set_from(conn, address);
    conn->scope = (struct sg_log_scope){.fields = conn->fields};

    conn->next = net->conns;
    conn->link = &net->conns;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    net->conns = conn;
    net->conn_count++;
    if (start(conn, &err) != SG_OK) {
        conn->why = SG_WHY_MEMORY;
        log_failure(conn, "conn.failed", &err);
        sg_conn_free(conn);
    }
}
