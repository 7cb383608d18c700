#include "base/clock.h"
#include "proto/grpc/client.h"
#include "tests/support/h2_frames.h"
#include "tests/support/rpc_pair.h"
#include "tests/support/unit.h"

/* What the client makes of answers that our server would never give: bytes written by hand. */

enum { HEADERS = H2_HEADERS, DATA = H2_DATA, RST = H2_RST_STREAM, GOAWAY = H2_GOAWAY };
enum { END_STREAM = H2_END_STREAM };

/* One frame on stream 1. For HEADERS the payload is "name: value\n" lines, and is put into HPACK
 * literals (RFC 7541 §6.2.2). */
struct frame {
    int type, flags;
    struct sg_slice payload;
};

#define OK_HEAD                                                                                    \
    {                                                                                              \
        HEADERS, 0,                                                                                \
        {                                                                                          \
            (const uint8_t *)OK_HEAD_TEXT, sizeof(OK_HEAD_TEXT) - 1                                \
        }                                                                                          \
    }
#define OK_HEAD_TEXT ":status: 200\ncontent-type: application/grpc\n"
#define FRAME(type, flags, text)                                                                   \
    {                                                                                              \
        type, flags,                                                                               \
        {                                                                                          \
            (const uint8_t *)(text), sizeof(text) - 1                                              \
        }                                                                                          \
    }
#define TRAILERS(text) FRAME(HEADERS, END_STREAM, text)
#define HELLO FRAME(DATA, 0, "\0\0\0\0\5hello")

static const struct {
    const char *name;
    struct frame frames[4];
    enum sg_grpc_code code;
    enum sg_rpc_outcome outcome;
    size_t messages;
    const char *message; /* NULL: whatever it is */
} rows[] = {
    {"as it should be",
     {OK_HEAD, HELLO, TRAILERS("grpc-status: 0\n")},
     SG_GRPC_OK,
     SG_RPC_ANSWERED,
     1,
     ""},
    {"trailers only",
     {TRAILERS(OK_HEAD_TEXT "grpc-status: 5\ngrpc-message: no k%C3%B3y%\n")},
     SG_GRPC_NOT_FOUND,
     SG_RPC_ANSWERED,
     0,
     "no k\xc3\xb3y%"},
    {"a status in front of messages counts for nothing",
     {FRAME(HEADERS, 0, OK_HEAD_TEXT "grpc-status: 0\n"), HELLO,
      FRAME(DATA, END_STREAM, "\0\0\0\0\1a")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     2,
     NULL},
    {"a status in front of messages and another behind them",
     {FRAME(HEADERS, 0, OK_HEAD_TEXT "grpc-status: 5\ngrpc-message: first\n"), HELLO,
      TRAILERS("grpc-status: 0\n")},
     SG_GRPC_OK,
     SG_RPC_ANSWERED,
     1,
     ""},
    {"a type with a parameter",
     {FRAME(HEADERS, 0, ":status: 200\ncontent-type: application/grpc+proto ; a=b\n"), HELLO,
      TRAILERS("grpc-status: 0\n")},
     SG_GRPC_OK,
     SG_RPC_ANSWERED,
     1,
     ""},
    {"messages in another codec",
     {FRAME(HEADERS, 0, ":status: 200\ncontent-type: application/grpc+json\n"), HELLO,
      TRAILERS("grpc-status: 0\n")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"gRPC-Web is not gRPC",
     {FRAME(HEADERS, 0, ":status: 200\ncontent-type: application/grpc-web\n"), HELLO,
      TRAILERS("grpc-status: 0\n")},
     SG_GRPC_UNKNOWN,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"a status that does not exist",
     {TRAILERS(OK_HEAD_TEXT "grpc-status: 17\n")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     0,
     NULL},
    {"a status that is no number",
     {TRAILERS(OK_HEAD_TEXT "grpc-status: fine\n")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     0,
     NULL},
    {"a negative status",
     {TRAILERS(OK_HEAD_TEXT "grpc-status: -0\n")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     0,
     NULL},
    {"no status at all is not OK",
     {OK_HEAD, HELLO, TRAILERS("other: 1\n")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     1,
     NULL},
    {"ended by DATA without trailers",
     {OK_HEAD, FRAME(DATA, END_STREAM, "\0\0\0\0\1a")},
     SG_GRPC_UNKNOWN,
     SG_RPC_ANSWERED,
     1,
     NULL},
    {"ended inside a message",
     {OK_HEAD, FRAME(DATA, END_STREAM, "\0\0\0\0\5a")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"OK inside a message is not OK",
     {OK_HEAD, FRAME(DATA, 0, "\0\0\0\0\5a"), TRAILERS("grpc-status: 0\n")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"a proxy's 503",
     {TRAILERS(":status: 503\ncontent-type: text/html\n")},
     SG_GRPC_UNAVAILABLE,
     SG_RPC_ANSWERED,
     0,
     NULL},
    {"a proxy's 404 with a page",
     {FRAME(HEADERS, 0, ":status: 404\ncontent-type: text/html\n"),
      FRAME(DATA, END_STREAM, "<h1>no</h1>")},
     SG_GRPC_UNIMPLEMENTED,
     SG_RPC_ANSWERED,
     0,
     NULL},
    {"a page instead of gRPC",
     {FRAME(HEADERS, 0, ":status: 200\ncontent-type: text/html\n"),
      FRAME(DATA, END_STREAM, "<h1>yes</h1>")},
     SG_GRPC_UNKNOWN,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"100-continue comes first",
     {FRAME(HEADERS, 0, ":status: 103\nlink: x\n"), OK_HEAD, HELLO, TRAILERS("grpc-status: 0\n")},
     SG_GRPC_OK,
     SG_RPC_ANSWERED,
     1,
     ""},
    {"a compressed message was not offered",
     {OK_HEAD, FRAME(DATA, 0, "\1\0\0\0\1a")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"a flag that does not exist",
     {OK_HEAD, FRAME(DATA, 0, "\2\0\0\0\1a")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"refused before it was looked at",
     {FRAME(RST, 0, "\0\0\0\7")},
     SG_GRPC_UNAVAILABLE,
     SG_RPC_UNPROCESSED,
     0,
     NULL},
    {"cancelled by the server",
     {OK_HEAD, FRAME(RST, 0, "\0\0\0\x08")},
     SG_GRPC_CANCELLED,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"a server's internal error",
     {FRAME(RST, 0, "\0\0\0\2")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"too much for the server",
     {FRAME(RST, 0, "\0\0\0\x0b")},
     SG_GRPC_RESOURCE_EXHAUSTED,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"reset without an error",
     {OK_HEAD, FRAME(RST, 0, "\0\0\0\0")},
     SG_GRPC_INTERNAL,
     SG_RPC_UNKNOWN,
     0,
     NULL},
    {"GOAWAY that did not reach it",
     {FRAME(GOAWAY, 0, "\0\0\0\0\0\0\0\0")},
     SG_GRPC_UNAVAILABLE,
     SG_RPC_UNPROCESSED,
     0,
     NULL},
    {"details that are no base64",
     {TRAILERS(OK_HEAD_TEXT "grpc-status: 5\ngrpc-status-details-bin: !\n")},
     SG_GRPC_NOT_FOUND,
     SG_RPC_ANSWERED,
     0,
     ""},
};

static void send_row(struct pair *pair, const struct frame *frames, size_t step)
{
    struct sg_buf out;
    sg_buf_init(&out, 10000);
    sg_buf_add(&out, "\0\0\0\4\0\0\0\0\0", 9); /* SETTINGS */
    for (size_t i = 0; i < 4 && frames[i].payload.ptr != NULL; i++)
        if (frames[i].type == HEADERS)
            h2_put_headers(&out, (unsigned)frames[i].flags, 1, frames[i].payload);
        else
            h2_put_frame(&out, (enum h2_frame_type)frames[i].type, (unsigned)frames[i].flags,
                         frames[i].type == GOAWAY ? 0 : 1, frames[i].payload);
    assert_false(out.failed);
    struct sg_slice rest = sg_buf_slice(&out);
    while (rest.len > 0) {
        struct sg_slice chunk = sg_slice_take(&rest, step < rest.len ? step : rest.len);
        assert_int_equal(sg_rpc_client_feed(pair->client, pair->now_ns, chunk, NULL), SG_OK);
    }
    sg_buf_done(&out);
}

static void answers_are_judged_by_the_table(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 5, 10000};
    for (size_t i = 0; i < SG_COUNT(rows); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct pair pair;
            struct pair_call call;
            print_message("  %s, step %zu\n", rows[i].name, steps[s]);
            pair_start(&pair, NULL, NULL, 0);
            /* The server of the pair hears nothing: the test answers in its place. */
            sg_rpc_client_free(pair.client);
            assert_int_equal(sg_rpc_client_new(&sg_rpc_client_limits_default, "a", "b", pair.now_ns,
                                               &pair.client, NULL),
                             SG_OK);
            pair.is_cut = true;
            pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("x"));
            pair_run(&pair);
            send_row(&pair, rows[i].frames, steps[s]);
            pair_run(&pair);
            assert_int_equal(call.done, 1);
            assert_int_equal(call.code, rows[i].code);
            assert_int_equal(call.outcome, rows[i].outcome);
            assert_int_equal(call.messages, rows[i].messages);
            if (rows[i].message != NULL)
                assert_slice_equal(sg_buf_slice(&call.message), sg_slice_str(rows[i].message));
            pair_call_done(&call);
            pair_stop(&pair);
        }
}

static void an_answer_before_the_request_has_ended_is_an_answer(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call call;
    pair_start(&pair, NULL, NULL, 0);
    assert_int_equal(pair_begin(&pair, &call, "/echo.Echo/Bidi", 0), SG_OK);
    assert_int_equal(sg_rpc_client_send(call.call, SG_SLICE("stop"), false, NULL), SG_OK);
    pair_run(&pair);
    assert_int_equal(call.code, SG_GRPC_ABORTED);
    assert_slice_equal(sg_buf_slice(&call.message), SG_SLICE("stopped"));
    /* The client resets what it need not finish, so the server does not wait. */
    assert_int_equal(sg_rpc_server_open_calls(pair.server), 0);
    pair_call_done(&call);
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged_by_the_table),
        cmocka_unit_test(an_answer_before_the_request_has_ended_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
