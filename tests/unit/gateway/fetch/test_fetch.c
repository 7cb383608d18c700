#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/fetch/fetch.h"
#include "tests/support/https_script.h"
#include "tests/support/unit.h"

/* Requests of ours to servers that answer as they should, or not, or never. */

enum { BODY_MAX = 1000, PATIENCE_MS = 20000, SHORT_MS = 300 };

#define OK "HTTP/1.1 200 OK\r\n"
#define FULL_LENGTH "Content-Length: 1000\r\n\r\n"
#define OVER_LENGTH "Content-Length: 1001\r\n\r\n"
#define HINT "HTTP/1.1 103 Early Hints\r\n\r\n"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
#define FOUR THOUSAND THOUSAND THOUSAND THOUSAND

static struct https_script *script;
static _Atomic(const struct row *) shown; /* what the server answers */
static struct sg_buf request;             /* what it was asked last */

static const struct row {
    const char *name, *answer;
    enum https_script_end end;
    size_t piece;
    unsigned pause_ms;
    enum sg_rc rc;
    unsigned status;
    const char *body;
} rows[] = {
    {"with a length", OK "Content-Length: 5\r\n\r\nhello", .status = 200, .body = "hello"},
    {"byte by byte", OK "Content-Length: 5\r\n\r\nhello", .piece = 1, .status = 200,
     .body = "hello"},
    {"in chunks", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     .piece = 3, .status = 200, .body = "hello"},
    {"until it ends", OK "\r\nhello", .status = 200, .body = "hello"},
    {"of no length", OK "Content-Length: 0\r\n\r\n", .end = HTTPS_HANGS, .status = 200, .body = ""},
    {"without a body", "HTTP/1.1 204 None\r\n\r\n", .end = HTTPS_HANGS, .status = 204, .body = ""},
    {"behind 103", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" OK "Content-Length: 2\r\n\r\nhi",
     .status = 200, .body = "hi"},
    {"an error, with its body", "HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\n20\n",
     .status = 409, .body = "20\n"},
    {"elsewhere: it is told and not followed",
     "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     .status = 302, .body = ""},
    {"more behind it", OK "Content-Length: 5\r\n\r\nhello, and HTTP/1.1 500", .status = 200,
     .body = "hello"},
    {"as long as may be", OK FULL_LENGTH THOUSAND, .status = 200, .body = THOUSAND},
    {"as long as may be, in chunks",
     OK "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" THOUSAND "\r\n0\r\n\r\n", .status = 200,
     .body = THOUSAND},

    {"a length over the limit", OK OVER_LENGTH, .end = HTTPS_HANGS, .rc = SG_E_LIMIT},
    {"a chunk over the limit", OK "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" THOUSAND "x",
     .end = HTTPS_HANGS, .rc = SG_E_LIMIT},
    {"a body without a length, over the limit", OK "\r\n" THOUSAND "x", .end = HTTPS_HANGS,
     .rc = SG_E_LIMIT},
    {"a head over the limit", OK "X: " FOUR FOUR FOUR FOUR THOUSAND "\r\n", .end = HTTPS_HANGS,
     .rc = SG_E_LIMIT},
    {"early hints and nothing behind them", HINT HINT HINT, .rc = SG_E_INVALID},
    {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", .rc = SG_E_INVALID},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", .rc = SG_E_INVALID},
    {"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", .rc = SG_E_INVALID},
    {"another protocol", "HTTP/1.1 101 Switching\r\n\r\n", .rc = SG_E_INVALID},
    {"two lengths", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", .rc = SG_E_INVALID},
    {"a length and chunks", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     .rc = SG_E_INVALID},
    {"a length that is none", OK "Content-Length: -1\r\n\r\n", .rc = SG_E_INVALID},
    {"coded", OK "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", .rc = SG_E_INVALID},
    {"lines ended by LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", .rc = SG_E_INVALID},
    {"less than its length", OK "Content-Length: 5\r\n\r\nhell", .rc = SG_E_INVALID},
    {"chunks without their end", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n",
     .rc = SG_E_INVALID},
    {"half a head", "HTTP/1.1 200", .rc = SG_E_INVALID},
    {"nothing", "", .rc = SG_E_INVALID},
    /* An end that anybody on the way can make is the end of nothing. */
    {"cut in a body without a length", OK "\r\nhell", .end = HTTPS_CUTS, .rc = SG_E_UNAVAILABLE},
    {"cut in a body", OK "Content-Length: 5\r\n\r\nhell", .end = HTTPS_CUTS,
     .rc = SG_E_UNAVAILABLE},
    {"cut before anything", "", .end = HTTPS_CUTS, .rc = SG_E_UNAVAILABLE},
    {"cut behind the whole of it", OK "Content-Length: 5\r\n\r\nhello", .end = HTTPS_CUTS,
     .status = 200, .body = "hello"},

    {"half of it, and then nothing", OK "Content-Length: 5\r\n\r\nhe", .end = HTTPS_HANGS,
     .rc = SG_E_TIMEOUT},
    {"nothing, ever", "", .end = HTTPS_HANGS, .rc = SG_E_TIMEOUT},
    {"drop by drop, so that something always comes", OK FULL_LENGTH THOUSAND, .piece = 1,
     .pause_ms = 20, .rc = SG_E_TIMEOUT},
};

static void answer(void *arg, struct sg_slice asked, struct https_script_answer *ret)
{
    const struct row *row = shown;
    (void)arg;
    sg_buf_clear(&request);
    sg_buf_add_slice(&request, asked);
    sg_buf_add_slice(&ret->bytes, sg_slice_str(row->answer));
    ret->end = row->end;
    ret->piece = row->piece;
    ret->pause_ms = row->pause_ms;
}

static int set_up(void **state)
{
    (void)state;
    sg_buf_init(&request, 1 << 20);
    script = https_script_start(answer, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    https_script_stop(script);
    sg_buf_done(&request);
    return 0;
}

struct asked {
    enum sg_rc rc;
    unsigned status;
    struct sg_buf body;
    struct sg_err err;
    int64_t took_ns;
};

static struct sg_fetch fetch_of(const char *url)
{
    struct sg_fetch fetch = {.ca_file = https_script_ca_file(script)};
    assert_int_equal(sg_url_parse(url, &fetch.url, NULL), SG_OK);
    return fetch;
}

static void post(const struct sg_fetch *fetch, struct sg_slice body, int64_t ms, int cancel_fd,
                 struct asked *ret)
{
    const int64_t begun = sg_mono_ns(&sg_clock_system);
    const struct sg_fetch_bounds bounds = {.clock = &sg_clock_system,
                                           .until_ns = begun + ms * SG_NS_PER_MS,
                                           .cancel_fd = cancel_fd,
                                           .body_bytes_max = BODY_MAX};
    *ret = (struct asked){0};
    sg_buf_init(&ret->body, BODY_MAX);
    ret->rc =
        sg_fetch_post(fetch, "/add-checkpoint", body, &bounds, &ret->status, &ret->body, &ret->err);
    ret->took_ns = sg_mono_ns(&sg_clock_system) - begun;
}

static void what_is_answered_is_told(void **state)
{
    const struct sg_fetch fetch = fetch_of(https_script_url(script));
    (void)state;

    https_script_set(script, HTTPS_SERVES, HTTPS_AS_ITSELF);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct asked asked;
        const struct row *row = &rows[i];
        shown = row;
        post(&fetch, SG_SLICE("old 0\n"), row->rc == SG_E_TIMEOUT ? SHORT_MS : PATIENCE_MS, -1,
             &asked);
        if (asked.rc != row->rc)
            fail_msg("%s: %d and not %d: %s", row->name, (int)asked.rc, (int)row->rc,
                     asked.err.msg);
        if (row->rc == SG_OK) {
            assert_int_equal(asked.status, row->status);
            assert_slice_equal(sg_buf_slice(&asked.body), sg_slice_str(row->body));
        } else {
            assert_true(asked.err.msg[0] != '\0');
            assert_int_equal(asked.status, 0);
        }
        assert_true(asked.took_ns < PATIENCE_MS * SG_NS_PER_MS / 2);
        sg_buf_done(&asked.body);
    }
}

static void the_request_is_as_it_should_be(void **state)
{
    struct sg_fetch fetch;
    struct asked asked;
    char url[64], expected[512];
    (void)state;

    https_script_set(script, HTTPS_SERVES, HTTPS_AS_ITSELF);
    shown = &rows[0];
    snprintf(url, sizeof(url), "%s/witness/one/", https_script_url(script));
    fetch = fetch_of(url);
    post(&fetch, SG_SLICE("old 0\n\nnote\n"), PATIENCE_MS, -1, &asked);
    assert_int_equal(asked.rc, SG_OK);
    snprintf(expected, sizeof(expected),
             "POST /witness/one/add-checkpoint HTTP/1.1\r\nHost: %s\r\nUser-Agent: "
             "sealgate/" SG_VERSION
             "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
             "12\r\nConnection: close\r\n\r\nold 0\n\nnote\n",
             https_script_url(script) + strlen("https://"));
    assert_slice_equal(sg_buf_slice(&request), sg_slice_str(expected));
    sg_buf_done(&asked.body);
}

static void a_request_over_its_limit_is_not_sent(void **state)
{
    const struct sg_fetch fetch = fetch_of(https_script_url(script));
    static uint8_t body[256 * 1024];
    struct asked asked;
    (void)state;

    https_script_set(script, HTTPS_SERVES, HTTPS_AS_ITSELF);
    shown = &rows[0];
    memset(body, 'x', sizeof(body));
    post(&fetch, sg_slice_of(body, sizeof(body)), PATIENCE_MS, -1, &asked);
    assert_int_equal(asked.rc, SG_E_LIMIT);
    sg_buf_done(&asked.body);
    post(&fetch, sg_slice_of(body, sizeof(body) - 1024), PATIENCE_MS, -1, &asked);
    assert_int_equal(asked.rc, SG_OK);
    assert_true(request.len > sizeof(body) - 1024);
    sg_buf_done(&asked.body);
}

static void nobody_but_the_server_is_believed(void **state)
{
    static const struct {
        const char *name;
        enum https_script_begin begin;
        enum https_script_id id;
        enum sg_rc rc;
    } cases[] = {
        {"another name", HTTPS_SERVES, HTTPS_OTHER_NAME, SG_E_UNAUTHENTICATED},
        {"another CA", HTTPS_SERVES, HTTPS_OTHER_CA, SG_E_UNAUTHENTICATED},
        {"a certificate that has expired", HTTPS_SERVES, HTTPS_EXPIRED, SG_E_UNAUTHENTICATED},
        {"no TLS", HTTPS_CLEAR, HTTPS_AS_ITSELF, SG_E_INVALID},
        {"nothing is said", HTTPS_MUTE, HTTPS_AS_ITSELF, SG_E_TIMEOUT},
        {"closed at once", HTTPS_CLOSES, HTTPS_AS_ITSELF, SG_E_UNAVAILABLE},
        {"closed behind the handshake", HTTPS_STOPS, HTTPS_AS_ITSELF, SG_E_UNAVAILABLE},
    };
    const struct sg_fetch fetch = fetch_of(https_script_url(script));
    (void)state;

    shown = &rows[0];
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct asked asked;
        sg_buf_clear(&request);
        https_script_set(script, cases[i].begin, cases[i].id);
        post(&fetch, SG_SLICE("secret"), cases[i].rc == SG_E_TIMEOUT ? SHORT_MS : PATIENCE_MS, -1,
             &asked);
        if (asked.rc != cases[i].rc)
            fail_msg("%s: %d: %s", cases[i].name, (int)asked.rc, asked.err.msg);
        assert_int_equal(request.len, 0); /* nothing was said to it */
        sg_buf_done(&asked.body);
    }
}

static void what_cannot_be_begun_is_told(void **state)
{
    struct sg_fetch fetch = fetch_of("https://127.0.0.1:1");
    struct asked asked;
    (void)state;

    post(&fetch, SG_SLICE("x"), PATIENCE_MS, -1, &asked); /* nobody listens */
    assert_int_equal(asked.rc, SG_E_UNAVAILABLE);
    sg_buf_done(&asked.body);
    https_script_set(script, HTTPS_SERVES, HTTPS_AS_ITSELF);
    fetch = fetch_of(https_script_url(script));
    fetch.ca_file = "/nowhere/ca.pem";
    post(&fetch, SG_SLICE("x"), PATIENCE_MS, -1, &asked);
    assert_int_equal(asked.rc, SG_E_INVALID);
    assert_non_null(strstr(asked.err.msg, "/nowhere/ca.pem"));
    sg_buf_done(&asked.body);
    fetch = fetch_of(https_script_url(script));
    fetch.cert_file = fetch.ca_file;
    fetch.key_file = "/nowhere/key.pem";
    post(&fetch, SG_SLICE("x"), PATIENCE_MS, -1, &asked);
    assert_int_equal(asked.rc, SG_E_INVALID);
    sg_buf_done(&asked.body);
    fetch = fetch_of(https_script_url(script));
    post(&fetch, SG_SLICE("x"), 0, -1, &asked); /* its time is over before it begins */
    assert_int_equal(asked.rc, SG_E_TIMEOUT);
    sg_buf_done(&asked.body);
}

static void *cancel(void *arg)
{
    usleep(200000);
    close(*(int *)arg);
    return NULL;
}

static void it_is_cancelled_at_once(void **state)
{
    static const struct row silence = {"", "", .end = HTTPS_HANGS};
    static const enum https_script_begin begins[] = {HTTPS_MUTE, HTTPS_SERVES};
    const struct sg_fetch fetch = fetch_of(https_script_url(script));
    (void)state;

    shown = &silence;
    for (size_t i = 0; i < SG_COUNT(begins); i++) {
        pthread_t thread;
        struct asked asked;
        int ends[2];
        https_script_set(script, begins[i], HTTPS_AS_ITSELF);
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(pthread_create(&thread, NULL, cancel, &ends[1]), 0);
        post(&fetch, SG_SLICE("x"), PATIENCE_MS, ends[0], &asked);
        assert_int_equal(asked.rc, SG_E_UNAVAILABLE);
        assert_string_equal(asked.err.msg, "cancelled");
        assert_true(asked.took_ns < 5 * SG_NS_PER_S);
        assert_int_equal(pthread_join(thread, NULL), 0);
        close(ends[0]);
        sg_buf_done(&asked.body);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_answered_is_told),
        cmocka_unit_test(the_request_is_as_it_should_be),
        cmocka_unit_test(a_request_over_its_limit_is_not_sent),
        cmocka_unit_test(nobody_but_the_server_is_believed),
        cmocka_unit_test(what_cannot_be_begun_is_told),
        cmocka_unit_test(it_is_cancelled_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
