#include "proto/h1/h1.h"
#include "tests/support/unit.h"

/* Resources of plain HTTP beside the protocols of calls: the body as it is, any status. */

static const struct sg_method methods[] = {
    {.id = 1, .path = "/echo", .service = "plain", .name = "echo"},
    {.id = 2, .path = "/later", .service = "plain", .name = "later"},
};
static const struct sg_method_table table = {.methods = methods, .count = 2, .is_plain = true};

static struct sg_call *later;
static size_t closed;

static enum sg_rc on_begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    (void)arg, (void)call, (void)err;
    return SG_OK;
}

static void on_message(void *arg, struct sg_call *call, struct sg_slice message)
{
    (void)arg;
    if (sg_call_method(call)->id == 2) {
        later = call;
    } else if (message.len == 0) {
        sg_call_answer(call, "422", "text/plain", (struct sg_slice){0});
    } else {
        sg_call_answer(call, "409", "text/x.tlog.size", message);
        sg_call_answer(call, "200", "text/plain", SG_SLICE("a second answer is none"));
    }
}

static void on_event(void *arg, struct sg_call *call)
{
    (void)arg, (void)call;
}

static void on_closed(void *arg, struct sg_call *call)
{
    (void)arg, (void)call;
    later = NULL;
    closed++;
}

static void on_describe(void *arg, struct sg_call *call, const struct sg_err *err,
                        struct sg_buf *details)
{
    (void)arg, (void)call, (void)err, (void)details;
}

static const struct sg_call_handler handler = {.begin = on_begin,
                                               .message = on_message,
                                               .half_close = on_event,
                                               .writable = on_event,
                                               .closed = on_closed,
                                               .describe = on_describe};

/* What comes back for these bytes, given `step` at a time. */
static void ask(struct sg_h1 *h1, struct sg_slice request, size_t step, struct sg_buf *out)
{
    sg_buf_clear(out);
    while (request.len > 0) {
        const size_t len = request.len < step ? request.len : step;
        assert_int_equal(sg_h1_feed(h1, 1, sg_slice_take(&request, len), NULL), SG_OK);
        assert_int_equal(sg_h1_pull(h1, 1 << 20, out, NULL), SG_OK);
    }
    sg_buf_add_u8(out, '\0');
    out->len--;
    assert_false(out->failed);
}

#define POST(path, headers, len, body)                                                             \
    "POST " path " HTTP/1.1\r\nHost: w\r\n" headers "Content-Length: " len "\r\n\r\n" body

static void answers_follow_the_table(void **state)
{
    static const struct {
        const char *name, *request, *status, *has;
    } rows[] = {
        {"the body as it is", POST("/echo", "", "3", "17\n"), "HTTP/1.1 409 ", "\r\n\r\n17\n"},
        {"and its type", POST("/echo", "", "3", "17\n"), "HTTP/1.1 409 ",
         "content-type: text/x.tlog.size\r\n"},
        {"whatever the request's is",
         POST("/echo", "Content-Type: application/json\r\n", "2", "{}"), "HTTP/1.1 409 ",
         "\r\n\r\n{}"},
        {"in chunks",
         "POST /echo HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
         "HTTP/1.1 409 ", "\r\n\r\na"},
        {"no body", POST("/echo", "", "0", ""), "HTTP/1.1 422 ", "content-length: 0\r\n"},
        {"another path", POST("/sealgate.v1.InfoService/GetServerInfo", "", "0", ""),
         "HTTP/1.1 404 ", ""},
        {"another path, said to be a call",
         POST("/x", "Content-Type: application/json\r\n", "2", "{}"), "HTTP/1.1 404 ", ""},
        {"another method", "GET /echo HTTP/1.1\r\nHost: w\r\n\r\n", "HTTP/1.1 405 ", ""},
        {"a coded body", POST("/echo", "Content-Encoding: gzip\r\n", "1", "a"), "HTTP/1.1 400 ",
         ""},
        {"a body that is too long", POST("/echo", "", "21", "123456789012345678901"),
         "HTTP/1.1 413 ", ""},
    };
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct sg_buf out;
    (void)state;

    limits.message_bytes_max = 20;
    sg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        for (size_t step = 1; step < 1000; step += 998) {
            SG_AUTO(sg_h1_free) struct sg_h1 *h1 = NULL;
            assert_int_equal(sg_h1_new(&limits, &table, &handler, NULL, 1, &h1, NULL), SG_OK);
            ask(h1, sg_slice_str(rows[i].request), step, &out);
            assert_true(sg_slice_starts(sg_buf_slice(&out), sg_slice_str(rows[i].status)));
            assert_non_null(strstr((const char *)out.ptr, rows[i].has));
        }
    }
    sg_buf_done(&out);
}

static void an_answer_may_come_later_and_the_connection_stays(void **state)
{
    SG_AUTO(sg_h1_free) struct sg_h1 *h1 = NULL;
    struct sg_buf out;
    (void)state;

    sg_buf_init(&out, 1 << 20);
    closed = 0;
    assert_int_equal(sg_h1_new(&sg_rpc_limits_default, &table, &handler, NULL, 1, &h1, NULL),
                     SG_OK);
    for (size_t i = 1; i <= 2; i++) {
        ask(h1, SG_SLICE(POST("/later", "", "1", "a")), 1000, &out);
        assert_int_equal(out.len, 0);
        assert_non_null(later);
        sg_call_answer(later, "200", "text/plain", SG_SLICE("line\n"));
        assert_int_equal(sg_h1_pull(h1, 1 << 20, &out, NULL), SG_OK);
        sg_buf_add_u8(&out, '\0');
        assert_true(sg_slice_starts(sg_buf_slice(&out), SG_SLICE("HTTP/1.1 200 ")));
        assert_non_null(strstr((const char *)out.ptr, "\r\n\r\nline\n"));
        assert_int_equal(closed, i);
    }
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(an_answer_may_come_later_and_the_connection_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
