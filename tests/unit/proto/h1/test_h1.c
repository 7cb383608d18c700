#include "proto/h1/h1.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tests/support/rpc_echo.h"
#include "tests/support/unit.h"

/* What a client on HTTP/1.1 gets for what it sends. */

struct rig {
    struct echo echo;
    struct sg_h1 *h1;
    int64_t now_ns;
    size_t step;
    struct sg_buf out;
    enum sg_rc rc;
};

static void rig_start(struct rig *rig, const struct sg_rpc_limits *limits, size_t step)
{
    *rig = (struct rig){.now_ns = 1000 * SG_NS_PER_S, .step = step};
    echo_init(&rig->echo);
    sg_buf_init(&rig->out, 1 << 22);
    assert_int_equal(sg_h1_new(limits == NULL ? &sg_rpc_limits_default : limits, &echo_methods,
                               &rig->echo.handler, rig, rig->now_ns, &rig->h1, NULL),
                     SG_OK);
}

static void rig_stop(struct rig *rig)
{
    sg_h1_free(rig->h1);
    sg_buf_done(&rig->out);
    assert_int_equal(rig->echo.begun, rig->echo.closed);
}

static void pull(struct rig *rig)
{
    while (rig->rc == SG_OK && sg_h1_wants_pull(rig->h1))
        rig->rc = sg_h1_pull(rig->h1, 1000, &rig->out, NULL);
}

static void send(struct rig *rig, struct sg_slice text)
{
    while (text.len > 0 && rig->rc == SG_OK) {
        size_t n = rig->step == 0 || rig->step > text.len ? text.len : rig->step;
        /* An exact copy, so that a sanitizer sees a read past the piece, or after it. */
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, sg_slice_take(&text, n).ptr, n);
        rig->rc = sg_h1_feed(rig->h1, rig->now_ns, sg_slice_of(copy, n), NULL);
        free(copy);
        pull(rig);
    }
}

static const size_t steps[] = {0, 1, 7};

#define POST(path) "POST /echo.Echo/" path " HTTP/1.1\r\nHost: h\r\n"
#define JSON "Content-Type: application/json\r\n"
#define OK_JSON "HTTP/1.1 200 \r\ncontent-type: application/json\r\n"
#define CLOSED "connection: close\r\ncontent-length: 0\r\n\r\n"

static const struct {
    const char *name, *request, *answer;
    bool is_done; /* the connection ends, now or within a second */
} rows[] = {
    {"a call", POST("Unary") JSON "Content-Length: 14\r\n\r\n{\"name\": \"ab\"}",
     OK_JSON "content-length: 13\r\n\r\n{\"name\":\"ab\"}", false},
    {"a chunked body",
     POST("Unary") JSON "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
     OK_JSON "content-length: 2\r\n\r\n{}", false},
    {"two, one behind the other",
     POST("Unary") JSON "Content-Length: 2\r\n\r\n{}" POST("Read") JSON
     "Content-Length: 2\r\n\r\n{}",
     OK_JSON "content-length: 2\r\n\r\n{}" OK_JSON "content-length: 2\r\n\r\n{}", false},
    {"a GET", "GET /echo.Echo/Read?encoding=json&message=%7B%7D HTTP/1.1\r\nHost: h\r\n\r\n",
     OK_JSON "cache-control: no-store\r\ncontent-length: 2\r\n\r\n{}", false},
    {"a whole URL, as a proxy is sent it",
     "POST https://h:1/echo.Echo/Unary HTTP/1.1\r\nHost: other\r\n" JSON
     "Content-Length: 2\r\n\r\n{}",
     OK_JSON "content-length: 2\r\n\r\n{}", false},
    {"a URL without TLS",
     "POST http://h/echo.Echo/Unary HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 2\r\n\r\n{}",
     "HTTP/1.1 400 Bad Request\r\n" CLOSED, true},
    {"a stream in both directions, by its URL",
     "POST https://h/echo.Echo/Bidi HTTP/1.1\r\nHost: h\r\n"
     "Content-Type: application/connect+json\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 505 HTTP Version Not Supported\r\n" CLOSED, true},
    {"a client that closes", POST("Unary") JSON "Connection: close\r\nContent-Length: 2\r\n\r\n{}",
     OK_JSON "content-length: 2\r\nconnection: close\r\n\r\n{}", true},
    {"an error", POST("Unary") JSON "Content-Length: 17\r\n\r\n{\"name\":\"refuse\"}",
     "HTTP/1.1 400 \r\ncontent-type: application/json\r\ncontent-length: 48\r\n\r\n"
     "{\"code\":\"invalid_argument\",\"message\":\"BAD_NAME\"}",
     false},
    {"gRPC-Web",
     POST("Unary") "Content-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n%%%%%",
     "HTTP/1.1 200 \r\ncontent-type: application/grpc-web\r\ncontent-length: 26\r\n\r\n"
     "%%%%%\x80%%%\x10grpc-status: 0\r\n",
     false},
    {"a path that is none", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
     "HTTP/1.1 404 \r\ncontent-length: 0\r\n\r\n", false},
    {"gRPC", POST("Unary") "Content-Type: application/grpc\r\nContent-Length: 5\r\n\r\n%%%%%",
     "HTTP/1.1 505 HTTP Version Not Supported\r\n" CLOSED, true},
    {"a stream in both directions",
     POST("Bidi") "Content-Type: application/connect+json\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 505 HTTP Version Not Supported\r\n" CLOSED, true},
    {"a line in front", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\n" CLOSED, true},
    {"HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
     "HTTP/1.1 505 HTTP Version Not Supported\r\n" CLOSED, true},
    {"HTTP/2 where it was not agreed on", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\n" CLOSED, true},
    {"a request that is smuggled",
     POST("Unary") JSON "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
     "HTTP/1.1 400 Bad Request\r\n" CLOSED, true},
    {"chunks that are none", POST("Unary") JSON "Transfer-Encoding: chunked\r\n\r\n;\r\n",
     "HTTP/1.1 400 Bad Request\r\n" CLOSED, true},
    {"a header that HTTP/2 would not have",
     POST("Unary") JSON "content-length: 2\r\na: \x80\r\n\r\n{}",
     OK_JSON "content-length: 2\r\n\r\n{}", false},
};

/* Bytes of NUL cannot stand in the table: they are written as '%' there. */
static struct sg_slice unmask(const char *text, uint8_t *store)
{
    size_t len = strlen(text);
    bool is_masked = strstr(text, "%%%") != NULL;
    for (size_t i = 0; i < len; i++)
        store[i] = is_masked && text[i] == '%' ? 0 : (uint8_t)text[i];
    return sg_slice_of(store, len);
}

static void answers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct rig rig;
            uint8_t request[500], answer[500];
            struct sg_slice wanted = unmask(rows[i].answer, answer);
            print_message("  %s, step %zu\n", rows[i].name, steps[s]);
            rig_start(&rig, NULL, steps[s]);
            send(&rig, unmask(rows[i].request, request));
            assert_int_equal(rig.rc, SG_OK);
            if (!sg_slice_eq(sg_buf_slice(&rig.out), wanted))
                fail_msg("%.*s", (int)rig.out.len, (const char *)rig.out.ptr);
            rig.now_ns += SG_NS_PER_S;
            assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
            assert_int_equal(sg_h1_is_done(rig.h1), rows[i].is_done);
            rig_stop(&rig);
        }
}

static bool has(const struct rig *rig, const char *text)
{
    return rig->out.len > 0 && memmem(rig->out.ptr, rig->out.len, text, strlen(text)) != NULL;
}

static void a_request_cut_at_any_length_is_no_call(void **state)
{
    (void)state;
    struct sg_slice whole = SG_SLICE(POST("Unary") JSON "Content-Length: 2\r\n\r\n{}");
    for (size_t len = 0; len < whole.len; len++) {
        struct rig rig;
        rig_start(&rig, NULL, 0);
        send(&rig, sg_slice_of(whole.ptr, len));
        assert_int_equal(rig.out.len, 0);
        assert_int_equal(rig.echo.messages, 0);
        rig_stop(&rig);
    }
}

/* The answer to a body that is too large comes while the client still sends: it is read, and what
 * still comes is dropped, so that no reset overtakes the answer; too much is not even read. */
static void an_early_answer_is_followed_by_rest(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct rig rig;
    static uint8_t many[50000];
    memset(many, ' ', sizeof(many));
    limits.message_bytes_max = sizeof(many);
    rig_start(&rig, &limits, 0);
    send(&rig, SG_SLICE(POST("Unary") JSON "Content-Length: 5000000\r\n\r\n"));
    send(&rig, sg_slice_of(many, sizeof(many)));
    send(&rig, sg_slice_of(many, 1));
    assert_true(has(&rig, "HTTP/1.1 429 \r\n"));
    assert_true(has(&rig, "connection: close\r\n"));
    assert_true(has(&rig, "resource_exhausted"));
    size_t len = rig.out.len;
    for (size_t i = 0; i < 4; i++) {
        assert_true(sg_h1_wants_feed(rig.h1));
        send(&rig, sg_slice_of(many, sizeof(many)));
    }
    assert_int_equal(rig.out.len, len);
    assert_false(sg_h1_wants_feed(rig.h1));
    assert_false(sg_h1_is_done(rig.h1)); /* it can still read its answer */
    rig.now_ns += SG_NS_PER_S - 1;
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
    assert_false(sg_h1_is_done(rig.h1));
    assert_true(sg_h1_due(rig.h1) <= ++rig.now_ns);
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
    assert_true(sg_h1_is_done(rig.h1));
    rig_stop(&rig);
}

static void a_rest_that_drips_ends(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE("GET / HTTP/9.9\r\n\r\n"));
    assert_true(has(&rig, "HTTP/1.1 505 "));
    for (int i = 0; i < 6; i++) { /* each in time for the one before */
        assert_false(sg_h1_is_done(rig.h1));
        rig.now_ns += SG_NS_PER_S * 9 / 10;
        assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
        send(&rig, SG_SLICE("x"));
    }
    assert_true(sg_h1_is_done(rig.h1));
    rig_stop(&rig);
}

static void a_slow_head_is_given_up(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
    send(&rig, SG_SLICE("POST /"));
    assert_int_equal(sg_h1_due(rig.h1), rig.now_ns + 5 * SG_NS_PER_S);
    rig.now_ns += 5 * SG_NS_PER_S - 1;
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
    send(&rig, SG_SLICE("a"));
    rig.now_ns += 1;
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_E_TIMEOUT);
    pull(&rig);
    assert_true(has(&rig, "HTTP/1.1 408 "));
    assert_int_equal(sg_h1_why(rig.h1), SG_WHY_SLOW_HEADERS);
    rig_stop(&rig);
}

static void a_slow_body_ends_with_the_deadline(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE(POST("Unary") JSON "Connect-Timeout-Ms: 50\r\nContent-Length: 2\r\n\r\n{"));
    rig.now_ns += 51 * SG_NS_PER_MS;
    assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
    pull(&rig);
    assert_true(has(&rig, "HTTP/1.1 504 "));
    rig_stop(&rig);
}

static void a_head_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct rig rig;
    static char many[20000];
    memset(many, 'a', sizeof(many));
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE("GET /"));
    send(&rig, sg_slice_of(many, sizeof(many)));
    assert_true(has(&rig, "HTTP/1.1 431 "));
    assert_int_equal(sg_h1_why(rig.h1), SG_WHY_HEADERS);
    rig_stop(&rig);
}

static void a_client_may_ask_whether_to_go_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE(POST("Unary") JSON "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    assert_slice_equal(sg_buf_slice(&rig.out), SG_SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    send(&rig, SG_SLICE("{}"));
    assert_true(has(&rig, "HTTP/1.1 200 "));
    rig_stop(&rig);
}

static void a_stream_of_the_server_is_chunked(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    rig.echo.stream_message_len = 60000;
    send(&rig, SG_SLICE(POST("ServerStream") "Content-Type: application/connect+proto\r\n"
                                             "Content-Length: 45\r\n\r\n\0\0\0\0\x28"
                                             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    assert_true(has(&rig, "transfer-encoding: chunked\r\n\r\n"));
    assert_true(has(&rig, "\2\0\0\0\2{}") || memmem(rig.out.ptr, rig.out.len, "\2\0\0\0\2{}", 7));
    assert_memory_equal(rig.out.ptr + rig.out.len - 5, "0\r\n\r\n", 5);
    assert_true(rig.out.len > 40 * 60005);
    assert_true(rig.echo.writables > 0); /* it was not all asked for at once */
    assert_false(sg_h1_is_done(rig.h1));
    rig_stop(&rig);
}

static void requests_wait_for_answers_but_not_without_bounds(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE(POST("Unary") JSON "Content-Length: 16\r\n\r\n{\"name\":\"later\"}"));
    struct sg_slice next = SG_SLICE(POST("Unary") JSON "Content-Length: 2\r\n\r\n{}");
    send(&rig, next);
    assert_int_equal(rig.echo.begun, 1);
    echo_answer_later(&rig.echo); /* has no JSON: an error, and the next is answered */
    pull(&rig);
    assert_int_equal(rig.echo.begun, 2);
    assert_true(has(&rig, "HTTP/1.1 500 ") && has(&rig, "HTTP/1.1 200 "));

    send(&rig, SG_SLICE(POST("Unary") JSON "Content-Length: 16\r\n\r\n{\"name\":\"later\"}"));
    while (rig.rc == SG_OK)
        send(&rig, next);
    assert_int_equal(rig.rc, SG_E_LIMIT);
    rig_stop(&rig);
}

static void a_drain_lets_the_call_end(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    send(&rig, SG_SLICE(POST(
                   "Unary") "Content-Type: application/proto\r\nContent-Length: 5\r\n\r\nlater"));
    sg_h1_drain(rig.h1);
    assert_false(sg_h1_is_done(rig.h1));
    echo_answer_later(&rig.echo);
    pull(&rig);
    assert_true(has(&rig, "connection: close\r\n\r\nat last"));
    assert_true(sg_h1_is_done(rig.h1));
    rig_stop(&rig);

    rig_start(&rig, NULL, 0);
    assert_int_equal(sg_h1_why(rig.h1), SG_WHY_OPEN);
    sg_h1_drain(rig.h1);
    assert_true(sg_h1_is_done(rig.h1));
    assert_int_equal(sg_h1_why(rig.h1), SG_WHY_SHUTDOWN);
    rig_stop(&rig);
}

static void an_idle_connection_ends(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, 0);
    for (int i = 0; i < 400 && !sg_h1_is_done(rig.h1); i++) {
        rig.now_ns += SG_NS_PER_S;
        assert_int_equal(sg_h1_tick(rig.h1, rig.now_ns, NULL), SG_OK);
        pull(&rig);
    }
    assert_true(sg_h1_is_done(rig.h1));
    assert_int_equal(sg_h1_why(rig.h1), SG_WHY_IDLE);
    assert_int_equal(rig.out.len, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(a_request_cut_at_any_length_is_no_call),
        cmocka_unit_test(an_early_answer_is_followed_by_rest),
        cmocka_unit_test(a_rest_that_drips_ends),
        cmocka_unit_test(a_slow_head_is_given_up),
        cmocka_unit_test(a_slow_body_ends_with_the_deadline),
        cmocka_unit_test(a_head_over_the_limit_is_refused),
        cmocka_unit_test(a_client_may_ask_whether_to_go_on),
        cmocka_unit_test(a_stream_of_the_server_is_chunked),
        cmocka_unit_test(requests_wait_for_answers_but_not_without_bounds),
        cmocka_unit_test(a_drain_lets_the_call_end),
        cmocka_unit_test(an_idle_connection_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
