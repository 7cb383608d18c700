#include "gateway/metrics/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "gateway/metrics/metrics.h"
#include "gateway/sockets/sockets.h"
#include "tests/support/prom_strict.h"
#include "tests/support/unit.h"

/* The server on a loop of its own, with a clock that the test moves. */
static struct {
    struct sg_clock clock; /* first: the callbacks get its address */
    int64_t now_ns;
    struct sg_loop *loop;
    struct sg_metrics_http *http;
    struct sg_metrics *metrics;
    in_port_t port; /* in network order */
    bool is_healthy;
    size_t extra; /* bytes of comment in the page */
} rig;

static int64_t rig_now(const struct sg_clock *clock)
{
    (void)clock;
    return rig.now_ns;
}

static void fill(void *arg, struct sg_buf *out)
{
    (void)arg;
    sg_metrics_write(rig.metrics, out);
    for (size_t i = 0; i < rig.extra; i++)
        sg_buf_add_u8(out, '#');
}

static bool is_healthy(void *arg)
{
    (void)arg;
    return rig.is_healthy;
}

static int start(void **state)
{
    (void)state;
    static const char *const tokens[] = {"hsm"};
    const struct sg_metrics_names names = {.tokens = tokens, .token_count = 1};
    struct sockaddr_in bound;
    socklen_t len = sizeof(bound);
    struct sg_metrics_http_options options = {.fill = fill, .is_healthy = is_healthy};
    memset(&rig, 0, sizeof(rig));
    rig.clock = (struct sg_clock){rig_now, rig_now};
    rig.now_ns = SG_NS_PER_S;
    rig.is_healthy = true;
    assert_int_equal(sg_loop_new(&rig.clock, &rig.loop, NULL), SG_OK);
    assert_int_equal(sg_metrics_new(&names, &rig.metrics, NULL), SG_OK);
    assert_int_equal(sg_socket_open(SG_SOCKET_METRICS, "127.0.0.1:0", &options.listener, NULL),
                     SG_OK);
    assert_int_equal(getsockname(options.listener, (struct sockaddr *)&bound, &len), 0);
    rig.port = bound.sin_port;
    assert_int_equal(sg_metrics_http_new(rig.loop, &options, &rig.http, NULL), SG_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sg_metrics_http_free(rig.http);
    sg_metrics_free(rig.metrics);
    sg_loop_free(rig.loop);
    return 0;
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
}

static int dial(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = rig.port};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void put(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* Reads what comes while the server's loop turns, until it closes; -1: it did not. */
static ssize_t read_all(int fd, char *room, size_t room_len)
{
    size_t len = 0;
    for (int idle = 0; idle < 2000;) {
        turn(1);
        ssize_t got = recv(fd, room + len, room_len - 1 - len, MSG_DONTWAIT);
        if (got > 0) {
            len += (size_t)got;
            idle = 0;
        } else if (got == 0 || errno != EAGAIN) {
            room[len] = '\0';
            return got == 0 ? (ssize_t)len : -1;
        } else {
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            (void)poll(&wait, 1, 1);
            idle++;
        }
    }
    room[len] = '\0';
    return -1;
}

static char answer[1 << 22];

/* One request, its whole answer in `answer`. */
static void ask(const char *request)
{
    int fd = dial();
    put(fd, request);
    if (read_all(fd, answer, sizeof(answer)) < 0)
        fail_msg("the server did not close: %s", answer);
    close(fd);
}

static struct sg_slice body(void)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    char length[64];
    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(end + 4));
    assert_non_null(strstr(answer, length));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    return sg_slice_str(end + 4);
}

static void the_page_is_served(void **state)
{
    (void)state;
    char why[128];
    sg_metrics_add(rig.metrics, SG_METRIC_VERIFY_FAILURES, 0, 0, 3);
    ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(
        strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    if (!sg_prom_is_valid(body(), why, sizeof(why)))
        fail_msg("%s", why);
    assert_true(sg_prom_value(body(), "sealgate_verify_failures_total{token=\"hsm\"}") == 3);
}

static void health_is_told_by_status_and_word(void **state)
{
    (void)state;
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_slice_equal(body(), SG_SLICE("ok\n"));
    rig.is_healthy = false;
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 503 Service Unavailable\r\n", 34);
    assert_slice_equal(body(), SG_SLICE("not ok\n"));
}

static const struct {
    const char *request, *status;
} refused[] = {
    {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
    {"POST /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"},
    {"GET /metrics\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
    {"POST /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 400 Bad Request\r\n"},
};

static void other_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        ask(refused[i].request);
        assert_memory_equal(answer, refused[i].status, strlen(refused[i].status));
        assert_true(body().len > 0);
    }
    ask(refused[1].request);
    assert_non_null(strstr(answer, "\r\nAllow: GET\r\n"));
}

static void a_request_in_pieces_is_put_together(void **state)
{
    (void)state;
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    int fd = dial();
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        char piece[2] = {request[i], '\0'};
        put(fd, piece);
        turn(2);
    }
    assert_true(read_all(fd, answer, sizeof(answer)) > 0);
    assert_slice_equal(body(), SG_SLICE("ok\n"));
    close(fd);
}

static void a_head_over_8_kib_is_refused_and_the_answer_arrives(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /metrics HTTP/1.0\r\n");
    for (int i = 0; i < 4000; i++) /* 40,000 bytes: the server reads on while it answers */
        put(fd, "X-A: bcd\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(read_all(fd, answer, sizeof(answer)) > 0);
    assert_memory_equal(answer, "HTTP/1.1 431 ", 13);
    close(fd);
}

static void a_large_page_reaches_a_slow_reader(void **state)
{
    (void)state;
    rig.extra = 3 << 20;
    int fd = dial();
    put(fd, "GET /metrics HTTP/1.0\r\n\r\n");
    turn(20); /* the socket's room is full, and nobody has read yet */
    ssize_t len = read_all(fd, answer, sizeof(answer));
    assert_true(len > (ssize_t)rig.extra);
    assert_true(body().len > rig.extra);
    close(fd);
}

static void a_page_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    rig.extra = 9 << 20;
    ask("GET /metrics HTTP/1.0\r\n\r\n");
    assert_memory_equal(answer, "HTTP/1.1 500 ", 13);
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

static void a_request_that_does_not_come_is_not_waited_for(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /metr");
    turn(5);
    rig.now_ns += 4999 * SG_NS_PER_MS;
    turn(5);
    assert_false(is_closed(fd));
    put(fd, "ics HTT"); /* what comes late does not give more time */
    turn(5);
    rig.now_ns += 2 * SG_NS_PER_MS;
    turn(5);
    assert_true(is_closed(fd));
    close(fd);
}

/* Connections to the server that it has not closed: its own sockets among our descriptors. */
static int server_conns(void)
{
    int count = 0;
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in local, peer;
        socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
        count += getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
                 getsockname(fd, (struct sockaddr *)&local, &local_len) == 0 &&
                 local.sin_port == rig.port;
    }
    return count;
}

static void an_answer_that_is_not_taken_is_given_up(void **state)
{
    (void)state;
    rig.extra = 7 << 20; /* more than the sockets hold */
    int fd = dial();
    turn(5);
    rig.now_ns += 3000 * SG_NS_PER_MS;
    put(fd, "GET /metrics HTTP/1.0\r\n\r\n");
    turn(20);
    rig.now_ns += 4999 * SG_NS_PER_MS; /* what was left for the request counts no more */
    turn(5);
    assert_int_equal(server_conns(), 1);
    rig.now_ns += 2 * SG_NS_PER_MS;
    turn(5);
    assert_int_equal(server_conns(), 0);
    rig.extra = 0;
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_slice_equal(body(), SG_SLICE("ok\n"));
    close(fd);
}

static void a_client_that_never_closes_is_closed(void **state)
{
    (void)state;
    int fd = dial();
    put(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    turn(5);
    char bytes[1024];
    assert_true(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
    for (int i = 0; i < 10; i++) { /* it goes on sending */
        put(fd, "more\r\n");
        turn(2);
    }
    rig.now_ns += 1001 * SG_NS_PER_MS;
    turn(5);
    (void)send(fd, "x", 1, MSG_NOSIGNAL); /* whoever is not there any more answers with a reset */
    turn(2);
    struct pollfd wait = {.fd = fd, .events = 0};
    assert_int_equal(poll(&wait, 1, 1000), 1);
    assert_true((wait.revents & (POLLHUP | POLLERR)) != 0);
    close(fd);
}

static void more_than_sixteen_wait_their_turn(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    int fds[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        fds[i] = dial();
        put(fds[i], "GET /healthz HTTP/1.0\r\n");
        turn(2);
    }
    put(fds[COUNT - 1], "\r\n"); /* whole, but not accepted yet */
    turn(10);
    char bytes[256];
    assert_int_equal(recv(fds[COUNT - 1], bytes, sizeof(bytes), MSG_DONTWAIT), -1);
    assert_int_equal(server_conns(), 16);
    int64_t before_ns = sg_mono_ns(&sg_clock_system);
    assert_int_equal(sg_loop_turn(rig.loop, 50, NULL), SG_OK);
    assert_true(sg_mono_ns(&sg_clock_system) - before_ns >= 40 * SG_NS_PER_MS); /* it sleeps */
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    turn(10);
    assert_true(recv(fds[COUNT - 1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
    for (size_t i = 8; i < COUNT; i++)
        close(fds[i]);
    turn(20);
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    assert_slice_equal(body(), SG_SLICE("ok\n"));
}

static void connections_under_way_end_with_the_server(void **state)
{
    (void)state;
    int idle = dial(), half = dial();
    put(half, "GET /me");
    turn(5);
    sg_metrics_http_free(rig.http);
    rig.http = NULL;
    turn(2);
    assert_true(is_closed(idle));
    assert_true(is_closed(half));
    close(idle);
    close(half);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_served),
        TEST(health_is_told_by_status_and_word),
        TEST(other_requests_are_refused),
        TEST(a_request_in_pieces_is_put_together),
        TEST(a_head_over_8_kib_is_refused_and_the_answer_arrives),
        TEST(a_large_page_reaches_a_slow_reader),
        TEST(a_page_that_does_not_fit_is_an_error),
        TEST(a_request_that_does_not_come_is_not_waited_for),
        TEST(an_answer_that_is_not_taken_is_given_up),
        TEST(a_client_that_never_closes_is_closed),
        TEST(more_than_sixteen_wait_their_turn),
        TEST(connections_under_way_end_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
