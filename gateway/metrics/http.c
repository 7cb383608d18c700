#include "gateway/metrics/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/metrics/request_priv.h"

enum {
    CONNS_MAX = 16,
    PAGE_BYTES_MAX = 16 << 20,
    READ_MS = 5000,
    WRITE_MS = 5000,
    LINGER_MS = 1000,
    PAUSE_MS = 100, /* after accept found no descriptor or memory */
};

/*
 * READING, WRITING, LINGERING, and free again. Lingering reads what the client still sends, and
 * forgets it: closing with unread bytes would make the kernel take back the answer.
 */
enum phase { FREE = 0, READING, WRITING, LINGERING };

struct conn {
    struct sg_metrics_http *http;
    enum phase phase;
    struct sg_watch watch;
    struct sg_timer timer;
    size_t in_len;
    uint8_t in[SG_HTTP_REQUEST_MAX];
    struct sg_buf out; /* what is left to send */
    size_t sent;
};

struct sg_metrics_http {
    struct sg_loop *loop;
    struct sg_metrics_http_options options;
    struct sg_watch watch; /* the listener */
    struct sg_timer pause;
    size_t conn_count;
    struct conn conns[CONNS_MAX];
};

/* Connections -----------------------------------------------------------------------------------
 */

static void close_conn(struct conn *conn)
{
    struct sg_metrics_http *http = conn->http;
    if (conn->phase == FREE)
        return;
    sg_watch_remove(http->loop, &conn->watch);
    sg_timer_cancel(http->loop, &conn->timer);
    close(conn->watch.fd);
    sg_buf_done(&conn->out);
    conn->phase = FREE;
    http->conn_count--;
    if (http->pause.place == 0)
        sg_watch_set(http->loop, &http->watch, EPOLLIN);
}

static void on_conn_late(void *arg)
{
    close_conn(arg);
}

static bool set_timer(struct conn *conn, int64_t ms)
{
    return sg_timer_set(conn->http->loop, &conn->timer,
                        sg_loop_now(conn->http->loop) + ms * SG_NS_PER_MS, NULL) == SG_OK;
}

static void linger(struct conn *conn)
{
    conn->phase = LINGERING;
    shutdown(conn->watch.fd, SHUT_WR);
    sg_watch_set(conn->http->loop, &conn->watch, EPOLLIN);
    if (!set_timer(conn, LINGER_MS))
        close_conn(conn);
}

static void send_more(struct conn *conn)
{
    while (conn->sent < conn->out.len) {
        ssize_t len = send(conn->watch.fd, conn->out.ptr + conn->sent, conn->out.len - conn->sent,
                           MSG_NOSIGNAL);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (len < 0) {
            close_conn(conn);
            return;
        }
        conn->sent += (size_t)len;
    }
    linger(conn);
}

/* Answers -------------------------------------------------------------------------------------- */

static const struct {
    const char *status, *body; /* body NULL: the page */
    const char *extra;         /* header lines */
} answers[SG_HTTP_PAGE_COUNT] = {
    [SG_HTTP_BAD_REQUEST] = {"400 Bad Request", "bad request\n", ""},
    [SG_HTTP_METRICS] = {"200 OK", NULL, ""},
    [SG_HTTP_HEALTH] = {"200 OK", "ok\n", ""},
    [SG_HTTP_NOT_FOUND] = {"404 Not Found", "not found: ask for /metrics or /healthz\n", ""},
    [SG_HTTP_NOT_GET] = {"405 Method Not Allowed", "only GET\n", "Allow: GET\r\n"},
    [SG_HTTP_TOO_LARGE] = {"431 Request Header Fields Too Large", "too large\n", ""},
};

static void add_answer(struct sg_buf *out, const char *status, const char *extra, const char *type,
                       struct sg_slice body)
{
    sg_buf_printf(out,
                  "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                  "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s"
                  "Connection: close\r\n\r\n",
                  status, type, body.len, extra);
    sg_buf_add_slice(out, body);
}

static void add_page(struct conn *conn)
{
    struct sg_buf page;
    sg_buf_init(&page, PAGE_BYTES_MAX / 2);
    conn->http->options.fill(conn->http->options.arg, &page);
    if (sg_buf_check(&page, NULL) != SG_OK)
        add_answer(&conn->out, "500 Internal Server Error", "", "text/plain; charset=utf-8",
                   SG_SLICE("the page does not fit\n"));
    else
        add_answer(&conn->out, "200 OK", "", "text/plain; version=0.0.4; charset=utf-8",
                   sg_buf_slice(&page));
    sg_buf_done(&page);
}

static void answer(struct conn *conn, enum sg_http_page page)
{
    const char *type = "text/plain; charset=utf-8";
    const struct sg_metrics_http_options *options = &conn->http->options;

    if (page == SG_HTTP_METRICS)
        add_page(conn);
    else if (page == SG_HTTP_HEALTH && !options->is_healthy(options->arg))
        add_answer(&conn->out, "503 Service Unavailable", "", type, SG_SLICE("not ok\n"));
    else
        add_answer(&conn->out, answers[page].status, answers[page].extra, type,
                   sg_slice_str(answers[page].body));
    conn->phase = WRITING;
    if (sg_buf_check(&conn->out, NULL) != SG_OK || !set_timer(conn, WRITE_MS)) {
        close_conn(conn);
        return;
    }
    sg_watch_set(conn->http->loop, &conn->watch, EPOLLOUT);
    send_more(conn);
}

/* Reading ---------------------------------------------------------------------------------------
 */

/* -1: the connection is over; 0: nothing to read now. */
static ssize_t receive(struct conn *conn, void *room, size_t len)
{
    ssize_t got;
    do
        got = recv(conn->watch.fd, room, len, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

static void read_request(struct conn *conn)
{
    enum sg_http_page page = SG_HTTP_BAD_REQUEST;
    ssize_t got = receive(conn, conn->in + conn->in_len, sizeof(conn->in) - conn->in_len);
    if (got < 0) {
        close_conn(conn);
        return;
    }
    conn->in_len += (size_t)got;
    if (sg_http_request_parse(sg_slice_of(conn->in, conn->in_len), &page) == SG_OK)
        answer(conn, page);
}

static void on_conn(void *arg, uint32_t events)
{
    struct conn *conn = arg;
    (void)events; /* errors show in the calls below */
    switch (conn->phase) {
    case READING:
        read_request(conn);
        return;
    case WRITING:
        send_more(conn);
        return;
    case LINGERING:
        /* Reads into the room of the request, which is not wanted any more. */
        if (receive(conn, conn->in, sizeof(conn->in)) < 0)
            close_conn(conn);
        return;
    case FREE:
        break;
    }
    SG_ASSERT(false);
}

/* The listener ----------------------------------------------------------------------------------
 */

static void on_pause_over(void *arg)
{
    struct sg_metrics_http *http = arg;
    if (http->conn_count < CONNS_MAX)
        sg_watch_set(http->loop, &http->watch, EPOLLIN);
}

static void open_conn(struct sg_metrics_http *http, int fd)
{
    struct conn *conn = http->conns;
    while (conn->phase != FREE)
        conn++;
    conn->http = http;
    conn->watch = (struct sg_watch){.fd = fd, .fn = on_conn, .arg = conn, .events = EPOLLIN};
    conn->timer = (struct sg_timer){.fn = on_conn_late, .arg = conn};
    conn->in_len = conn->sent = 0;
    sg_buf_init(&conn->out, PAGE_BYTES_MAX);
    if (sg_watch_add(http->loop, &conn->watch, NULL) != SG_OK) {
        close(fd);
        return;
    }
    conn->phase = READING;
    if (++http->conn_count == CONNS_MAX)
        sg_watch_set(http->loop, &http->watch, 0);
    if (!set_timer(conn, READ_MS))
        close_conn(conn);
}

static void on_listener(void *arg, uint32_t events)
{
    struct sg_metrics_http *http = arg;
    (void)events;
    while (http->conn_count < CONNS_MAX) {
        int fd = accept4(http->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            open_conn(http, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            /* No descriptors: the listener stays ready, and would keep the loop from sleeping. */
            int64_t due = sg_loop_now(http->loop) + PAUSE_MS * SG_NS_PER_MS;
            if (sg_timer_set(http->loop, &http->pause, due, NULL) == SG_OK)
                sg_watch_set(http->loop, &http->watch, 0);
        }
        return;
    }
}

enum sg_rc sg_metrics_http_new(struct sg_loop *loop, const struct sg_metrics_http_options *options,
                               struct sg_metrics_http **ret, struct sg_err *err)
{
    SG_AUTO(sg_metrics_http_free) struct sg_metrics_http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        close(options->listener);
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not serve the metrics: no memory");
    }
    http->loop = loop;
    http->options = *options;
    http->watch = (struct sg_watch){
        .fd = options->listener, .fn = on_listener, .arg = http, .events = EPOLLIN};
    http->pause = (struct sg_timer){.fn = on_pause_over, .arg = http};
    SG_TRY(sg_watch_add(http->loop, &http->watch, err));
    *ret = SG_STEAL(http);
    return SG_OK;
}

void sg_metrics_http_free(struct sg_metrics_http *http)
{
    if (http == NULL)
        return;
    for (size_t i = 0; i < CONNS_MAX; i++)
        close_conn(&http->conns[i]);
    sg_timer_cancel(http->loop, &http->pause);
    sg_watch_remove(http->loop, &http->watch);
    close(http->watch.fd);
    free(http);
}
