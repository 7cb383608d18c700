#include "gateway/metrics/request_priv.h"

#include "tests/support/unit.h"

#define HOST "Host: localhost\r\n"

static const struct {
    const char *name;
    struct sg_slice bytes;
    enum sg_http_page page;
} cases[] = {
    {"metrics", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_METRICS},
    {"health", SG_SLICE("GET /healthz HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_HEALTH},
    {"what Prometheus sends",
     SG_SLICE("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nUser-Agent: Prometheus/2.42.0\r\n"
              "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n"
              "Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"),
     SG_HTTP_METRICS},
    {"HTTP/1.0 without Host", SG_SLICE("GET /metrics HTTP/1.0\r\n\r\n"), SG_HTTP_METRICS},
    {"a query", SG_SLICE("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), SG_HTTP_METRICS},
    {"host in capitals", SG_SLICE("GET /metrics HTTP/1.1\r\nHOST: a\r\n\r\n"), SG_HTTP_METRICS},
    {"an empty header", SG_SLICE("GET /metrics HTTP/1.1\r\nHost:\r\nX:\r\n\r\n"), SG_HTTP_METRICS},
    {"more behind it", SG_SLICE("GET /metrics HTTP/1.0\r\n\r\nGET /healthz"), SG_HTTP_METRICS},

    {"another path", SG_SLICE("GET / HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},
    {"a longer path", SG_SLICE("GET /metrics/ HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},
    {"a path in capitals", SG_SLICE("GET /Metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},
    {"a path with dots", SG_SLICE("GET /x/../metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},
    {"a path in percents", SG_SLICE("GET /%6detrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},
    {"an absolute target", SG_SLICE("GET http://a/metrics HTTP/1.1\r\n" HOST "\r\n"),
     SG_HTTP_NOT_FOUND},
    {"POST", SG_SLICE("POST /metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_GET},
    {"HEAD", SG_SLICE("HEAD /metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_GET},
    {"get in small letters", SG_SLICE("get /metrics HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_GET},
    {"POST elsewhere", SG_SLICE("POST / HTTP/1.1\r\n" HOST "\r\n"), SG_HTTP_NOT_FOUND},

    {"an empty line first", SG_SLICE("\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"no target", SG_SLICE("GET\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"no version", SG_SLICE("GET /metrics\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"two spaces", SG_SLICE("GET  /metrics HTTP/1.0\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"two spaces before the version", SG_SLICE("GET /metrics  HTTP/1.0\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a space behind the version", SG_SLICE("GET /metrics HTTP/1.0 \r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a tab", SG_SLICE("GET\t/metrics HTTP/1.0\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"HTTP/2", SG_SLICE("PRI * HTTP/2.0\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"HTTP/1.2", SG_SLICE("GET /metrics HTTP/1.2\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a method that is no token", SG_SLICE("G@T /metrics HTTP/1.0\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a byte over ASCII in the target", SG_SLICE("GET /\xc3\xa9 HTTP/1.0\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a NUL in the target", SG_SLICE("GET /metrics\0 HTTP/1.0\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a bare LF", SG_SLICE("GET /metrics HTTP/1.0\nX: y\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a bare CR", SG_SLICE("GET /metrics HTTP/1.0\rX: y\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a bare LF in a header", SG_SLICE("GET /metrics HTTP/1.0\r\nX: a\nb\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"no Host", SG_SLICE("GET /metrics HTTP/1.1\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"two Hosts", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST HOST "\r\n"), SG_HTTP_BAD_REQUEST},
    {"two Hosts with 1.0", SG_SLICE("GET /metrics HTTP/1.0\r\n" HOST HOST "\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a folded header", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST " folded\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a space before the colon", SG_SLICE("GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a header without a colon", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "x\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a header without a name", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST ": x\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a control character in a header",
     SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "X: \x01\r\n\r\n"), SG_HTTP_BAD_REQUEST},
    {"a NUL in a header", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "X: \0\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
    {"a body", SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"),
     SG_HTTP_BAD_REQUEST},
    {"a body in chunks",
     SG_SLICE("GET /metrics HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     SG_HTTP_BAD_REQUEST},
};

static enum sg_rc parse(struct sg_slice bytes, enum sg_http_page *page)
{
    /* An exact copy on the heap, so that a sanitizer sees a read one past the end. */
    uint8_t *exact = malloc(bytes.len == 0 ? 1 : bytes.len);
    assert_non_null(exact);
    if (bytes.len > 0)
        memcpy(exact, bytes.ptr, bytes.len);
    enum sg_rc rc = sg_http_request_parse(sg_slice_of(exact, bytes.len), page);
    free(exact);
    return rc;
}

static void requests_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        enum sg_http_page page = SG_HTTP_PAGE_COUNT;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(parse(cases[i].bytes, &page), SG_OK);
        assert_int_equal(page, cases[i].page);
    }
}

/* Byte by byte: nothing is said before the empty line, and then the same as of the whole. */
static void a_request_is_judged_when_its_head_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        const char *end = memmem(cases[i].bytes.ptr, cases[i].bytes.len, "\r\n\r\n", 4);
        size_t head_len = (size_t)((const uint8_t *)end - cases[i].bytes.ptr) + 4;
        for (size_t len = 0; len <= cases[i].bytes.len; len++) {
            enum sg_http_page page = SG_HTTP_PAGE_COUNT;
            enum sg_rc rc = parse(sg_slice_of(cases[i].bytes.ptr, len), &page);
            assert_int_equal(rc, len < head_len ? SG_E_AGAIN : SG_OK);
            assert_int_equal(page, len < head_len ? SG_HTTP_PAGE_COUNT : cases[i].page);
        }
    }
}

static void a_head_over_the_limit_is_too_large(void **state)
{
    (void)state;
    static const char begin[] = "GET /metrics HTTP/1.0\r\nX: ";
    static uint8_t bytes[SG_HTTP_REQUEST_MAX + 1];
    enum sg_http_page page = SG_HTTP_PAGE_COUNT;
    memset(bytes, 'a', sizeof(bytes));
    memcpy(bytes, begin, sizeof(begin) - 1);

    assert_int_equal(parse(sg_slice_of(bytes, SG_HTTP_REQUEST_MAX - 1), &page), SG_E_AGAIN);
    assert_int_equal(parse(sg_slice_of(bytes, SG_HTTP_REQUEST_MAX), &page), SG_OK);
    assert_int_equal(page, SG_HTTP_TOO_LARGE);
    memcpy(bytes + SG_HTTP_REQUEST_MAX - 3, "\r\n\r\n", 4); /* one byte over */
    assert_int_equal(parse(sg_slice_of(bytes, SG_HTTP_REQUEST_MAX + 1), &page), SG_OK);
    assert_int_equal(page, SG_HTTP_TOO_LARGE);
    bytes[SG_HTTP_REQUEST_MAX] = 'a';
    memcpy(bytes + SG_HTTP_REQUEST_MAX - 4, "\r\n\r\n", 4); /* just fits */
    assert_int_equal(parse(sg_slice_of(bytes, SG_HTTP_REQUEST_MAX), &page), SG_OK);
    assert_int_equal(page, SG_HTTP_METRICS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_the_table),
        cmocka_unit_test(a_request_is_judged_when_its_head_is_whole),
        cmocka_unit_test(a_head_over_the_limit_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
