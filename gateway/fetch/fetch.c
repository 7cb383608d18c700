#include "gateway/fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/h1/answer.h"
#include "proto/tls/tls.h"

enum {
    HEAD_BYTES_MAX = 16384,
    READ_BYTES = 16384,
    OUT_BYTES_MAX = 512 * 1024,
    CONNECT_MS_MAX = 3000, /* for one address, where there are others */
};

/* One request on its way. */
struct trip {
    const struct sg_fetch *fetch;
    const struct sg_fetch_bounds *bounds;
    int fd;
    struct sg_tls_ctx *ctx;
    struct sg_tls_conn *tls;
    struct sg_buf plain;
    struct sg_h1_answer answer;
};

static enum sg_rc broken(const struct trip *trip, const char *what, int native, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)native, "could not %s %.100s: %s", what,
                   trip->fetch->url.authority, strerrordesc_np(native));
}

/* Waiting ------------------------------------------------------------------------------------ */

/* Until the descriptor is ready, the time is over, or somebody cancels. */
static enum sg_rc wait_for(const struct trip *trip, short events, int64_t until_ns,
                           struct sg_err *err)
{
    const struct sg_fetch_bounds *bounds = trip->bounds;

    for (;;) {
        struct pollfd fds[] = {{.fd = trip->fd, .events = events},
                               {.fd = bounds->cancel_fd, .events = POLLIN}};
        const int64_t left_ms = (until_ns - sg_mono_ns(bounds->clock)) / SG_NS_PER_MS;
        if (left_ms <= 0)
            return SG_FAIL(err, SG_E_TIMEOUT, 0, "%.100s did not answer in time",
                           trip->fetch->url.authority);
        const int ready = poll(fds, 2, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready < 0 && errno != EINTR)
            return broken(trip, "wait for", errno, err);
        if (ready > 0 && fds[1].revents != 0)
            return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "cancelled");
        if (ready > 0)
            return SG_OK;
    }
}

/* Connecting --------------------------------------------------------------------------------- */

static enum sg_rc connect_to(struct trip *trip, const struct addrinfo *at, struct sg_err *err)
{
    const int64_t now = sg_mono_ns(trip->bounds->clock);
    int64_t until = trip->bounds->until_ns;
    const int on = 1;
    int failed = 0;
    socklen_t len = sizeof(failed);

    trip->fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (trip->fd < 0)
        return broken(trip, "open a socket for", errno, err);
    SG_IGNORE(
        setsockopt(trip->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))); /* slower, no more */
    if (connect(trip->fd, at->ai_addr, at->ai_addrlen) == 0)
        return SG_OK;
    if (errno != EINPROGRESS)
        return broken(trip, "connect to", errno, err);
    if (at->ai_next != NULL && now + CONNECT_MS_MAX * SG_NS_PER_MS < until)
        until = now + CONNECT_MS_MAX * SG_NS_PER_MS;
    SG_TRY(wait_for(trip, POLLOUT, until, err));
    if (getsockopt(trip->fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0 || failed != 0)
        return broken(trip, "connect to", failed != 0 ? failed : errno, err);
    return SG_OK;
}

static enum sg_rc open_socket(struct trip *trip, struct sg_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const struct sg_url *url = &trip->fetch->url;
    struct addrinfo *list = NULL;

    const int failed = getaddrinfo(url->host, url->port, &hints, &list);
    if (failed != 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "could not find the address of %.100s: %s",
                       url->host, gai_strerror(failed));
    enum sg_rc rc = SG_E_UNAVAILABLE;
    for (const struct addrinfo *at = list; at != NULL && rc != SG_OK; at = at->ai_next) {
        if (trip->fd >= 0)
            close(trip->fd);
        trip->fd = -1;
        rc = connect_to(trip, at, err);
    }
    freeaddrinfo(list);
    return rc;
}

static enum sg_rc open_tls(struct trip *trip, struct sg_err *err)
{
    static const char *const alpn[] = {"http/1.1"};
    const struct sg_tls_client_options options = {
        .ca_file = trip->fetch->ca_file,
        .cert_file = trip->fetch->cert_file,
        .key_file = trip->fetch->key_file,
        .alpn = alpn,
        .alpn_count = 1,
        .alpn_is_optional = true,
    };

    SG_TRY(sg_tls_client_ctx_new(&options, &trip->ctx, err));
    return sg_tls_connect_new(trip->ctx, trip->fetch->url.host, sg_wall_ns(trip->bounds->clock),
                              OUT_BYTES_MAX, &trip->tls, err);
}

/* Talking ------------------------------------------------------------------------------------ */

static enum sg_rc send_all(struct trip *trip, struct sg_err *err)
{
    struct sg_buf *out = sg_tls_out(trip->tls);

    while (out->len > 0) {
        const ssize_t len = send(trip->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (len >= 0)
            sg_buf_drop(out, (size_t)len);
        else if (errno == EAGAIN)
            SG_TRY(wait_for(trip, POLLOUT, trip->bounds->until_ns, err));
        else if (errno != EINTR)
            return broken(trip, "send to", errno, err);
    }
    return SG_OK;
}

/* What came next, as plain bytes; `ret_end`: nothing more will. */
static enum sg_rc receive(struct trip *trip, bool *ret_end, struct sg_err *err)
{
    uint8_t bytes[READ_BYTES];
    ssize_t len;

    sg_buf_clear(&trip->plain);
    SG_TRY(wait_for(trip, POLLIN, trip->bounds->until_ns, err));
    do
        len = recv(trip->fd, bytes, sizeof(bytes), 0);
    while (len < 0 && errno == EINTR);
    if (len < 0 && errno != EAGAIN)
        return broken(trip, "hear from", errno, err);
    if (len > 0) {
        const enum sg_rc rc =
            sg_tls_feed(trip->tls, sg_slice_of(bytes, (size_t)len), &trip->plain, err);
        if (rc != SG_OK) {
            SG_IGNORE(send_all(trip, NULL)); /* there may be an alert */
            return rc;
        }
    }
    *ret_end = len == 0 || sg_tls_peer_has_closed(trip->tls);
    return send_all(trip, err);
}

static enum sg_rc shake_hands(struct trip *trip, struct sg_err *err)
{
    bool is_end = false;

    SG_TRY(send_all(trip, err));
    while (!sg_tls_is_ready(trip->tls)) {
        if (is_end)
            return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "%.100s closed the connection",
                           trip->fetch->url.authority);
        SG_TRY(receive(trip, &is_end, err));
    }
    return SG_OK;
}

static enum sg_rc send_request(struct trip *trip, const char *path, struct sg_slice body,
                               struct sg_err *err)
{
    struct sg_buf request;

    sg_buf_init(&request, OUT_BYTES_MAX / 2);
    sg_buf_printf(&request,
                  "POST %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sealgate/" SG_VERSION
                  "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                  "Connection: close\r\n\r\n",
                  trip->fetch->url.path, path, trip->fetch->url.authority, body.len);
    sg_buf_add_slice(&request, body);
    enum sg_rc rc = sg_buf_check(&request, err);
    if (rc == SG_OK)
        rc = sg_tls_send(trip->tls, sg_buf_slice(&request), err);
    sg_buf_done(&request);
    return rc == SG_OK ? send_all(trip, err) : rc;
}

/* An end of file without TLS's own may be anybody's: it is the end of nothing. */
static enum sg_rc read_answer(struct trip *trip, struct sg_err *err)
{
    for (;;) {
        bool is_end = false;
        enum sg_rc rc = sg_h1_answer_feed(&trip->answer, sg_buf_slice(&trip->plain), err);
        if (rc != SG_E_AGAIN)
            return rc;
        if (sg_tls_peer_has_closed(trip->tls))
            return sg_h1_answer_end(&trip->answer, err);
        SG_TRY(receive(trip, &is_end, err));
        if (is_end && trip->plain.len == 0 && !sg_tls_peer_has_closed(trip->tls))
            return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "%.100s cut the connection",
                           trip->fetch->url.authority);
    }
}

static enum sg_rc travel(struct trip *trip, const char *path, struct sg_slice body,
                         struct sg_err *err)
{
    SG_TRY(open_socket(trip, err));
    SG_TRY(open_tls(trip, err));
    SG_TRY(shake_hands(trip, err));
    SG_TRY(send_request(trip, path, body, err));
    SG_TRY(read_answer(trip, err));
    sg_tls_close(trip->tls);
    SG_IGNORE(send_all(trip, NULL)); /* we have what we came for */
    return SG_OK;
}

enum sg_rc sg_fetch_post(const struct sg_fetch *fetch, const char *path, struct sg_slice body,
                         const struct sg_fetch_bounds *bounds, unsigned *ret_status,
                         struct sg_buf *ret_body, struct sg_err *err)
{
    struct trip trip = {.fetch = fetch, .bounds = bounds, .fd = -1};

    sg_h1_answer_init(&trip.answer, HEAD_BYTES_MAX, bounds->body_bytes_max);
    sg_buf_init(&trip.plain, READ_BYTES + 2 * 16384);
    enum sg_rc rc = travel(&trip, path, body, err);
    if (rc == SG_OK) {
        sg_buf_add_slice(ret_body, sg_buf_slice(&trip.answer.body));
        rc = sg_buf_check(ret_body, err);
    }
    if (rc == SG_OK)
        *ret_status = trip.answer.status;
    sg_tls_conn_free(trip.tls);
    sg_tls_ctx_free(trip.ctx);
    if (trip.fd >= 0)
        close(trip.fd);
    sg_buf_done(&trip.plain);
    sg_h1_answer_done(&trip.answer);
    return rc;
}
