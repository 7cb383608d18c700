#include "base/base64.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* What the server makes of gRPC-Web, binary and text. */

#define WEB "application/grpc-web"
#define TEXT "application/grpc-web-text"

/* A frame, and the frame of trailers that goes with a status and nothing else. */
#define HELLO "\0\0\0\0\5hello"
#define OK "\x80\0\0\0\x10grpc-status: 0\r\n"

/* Each test runs with the client's bytes whole, one by one, and in between. */
static const size_t steps[] = {0, 1, 7};

static const struct {
    const char *name;
    struct peer_request request;
    const char *content_type;
    struct sg_slice body; /* of the answer; of a text answer, decoded */
} rows[] = {
    {"unary",
     {.path = "/echo.Echo/Unary", .content_type = WEB, .body = SG_SLICE(HELLO)},
     WEB,
     SG_SLICE(HELLO OK)},
    {"unary, +proto",
     {.path = "/echo.Echo/Unary", .content_type = WEB "+proto", .body = SG_SLICE(HELLO)},
     WEB "+proto",
     SG_SLICE(HELLO OK)},
    {"unary, text, one segment",
     {.path = "/echo.Echo/Unary", .content_type = TEXT, .body = SG_SLICE("AAAAAAVoZWxsbw==")},
     TEXT,
     SG_SLICE(HELLO OK)},
    {"unary, text, segments that end anywhere",
     {.path = "/echo.Echo/Unary",
      .content_type = TEXT "+proto",
      .body = SG_SLICE("AAA=AAAFaGU=bA==bG8=")},
     TEXT "+proto",
     SG_SLICE(HELLO OK)},
    {"an empty message, text",
     {.path = "/echo.Echo/Unary", .content_type = TEXT, .body = SG_SLICE("AAAAAAA=")},
     TEXT,
     SG_SLICE("\0\0\0\0\0" OK)},
    {"an error without messages is in the body too",
     {.path = "/echo.Echo/Unary", .content_type = WEB, .body = SG_SLICE("\0\0\0\0\6refuse")},
     WEB,
     SG_SLICE("\x80\0\0\0\x53grpc-status: 3\r\ngrpc-message: BAD_NAME\r\n"
              "grpc-status-details-bin: CAMSCEJBRF9OQU1F\r\n")},
    {"and so is one in the text form, where its details are base64 once more",
     {.path = "/echo.Echo/Unary", .content_type = TEXT, .body = SG_SLICE("AAAAAAZyZWZ1c2U=")},
     TEXT,
     SG_SLICE("\x80\0\0\0\x53grpc-status: 3\r\ngrpc-message: BAD_NAME\r\n"
              "grpc-status-details-bin: CAMSCEJBRF9OQU1F\r\n")},
    {"metadata behind, binary",
     {.path = "/echo.Echo/Unary", .content_type = WEB, .body = SG_SLICE("\0\0\0\0\4tail")},
     WEB,
     SG_SLICE("\0\0\0\0\4tail\x80\0\0\0\x23grpc-status: 0\r\necho-tail-bin: /w\r\n")},
    {"metadata behind, text",
     {.path = "/echo.Echo/Unary", .content_type = TEXT, .body = SG_SLICE("AAAAAAR0YWls")},
     TEXT,
     SG_SLICE("\0\0\0\0\4tail\x80\0\0\0\x23grpc-status: 0\r\necho-tail-bin: /w\r\n")},
    {"client streaming",
     {.path = "/echo.Echo/ClientStream",
      .content_type = WEB,
      .body = SG_SLICE(HELLO "\0\0\0\0\1a")},
     WEB,
     SG_SLICE("\0\0\0\0\1"
              "6" OK)},
    {"bidirectional, stopped, text",
     {.path = "/echo.Echo/Bidi",
      .content_type = TEXT,
      .body = SG_SLICE("AAAAAAFhAAAAAARzdG9wAAAAAAFi")},
     TEXT,
     SG_SLICE("\0\0\0\0\1a\x80\0\0\0\x28grpc-status: 10\r\ngrpc-message: stopped\r\n")},
    {"a stream without messages",
     {.path = "/echo.Echo/Bidi", .content_type = WEB, .is_headers_only = true},
     WEB,
     SG_SLICE(OK)},
};

/* The answer's body, taken out of its base64 segments where it has any. */
static void take_body(const struct peer_answer *answer, bool is_text, struct sg_buf *out)
{
    struct sg_slice left = sg_buf_slice(&answer->body);
    sg_buf_init(out, 1 << 20);
    if (!is_text) {
        sg_buf_add_slice(out, left);
        return;
    }
    assert_int_equal(left.len % 4, 0);
    while (left.len > 0)
        assert_int_equal(
            sg_base64_decode(sg_slice_take(&left, 4), SG_BASE64_STD, SG_BASE64_PADDED, out, NULL),
            SG_OK);
}

static void answers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct peer peer;
            struct sg_buf body;
            char line[64];
            print_message("  %s, step %zu\n", rows[i].name, steps[s]);
            peer_start(&peer, NULL, steps[s]);
            struct peer_answer *answer = peer_request(&peer, rows[i].request);
            peer_run(&peer);
            snprintf(line, sizeof(line), "content-type: %s", rows[i].content_type);
            assert_true(peer_has(answer, ":status: 200"));
            assert_true(peer_has(answer, line));
            assert_int_equal(answer->blocks, 1); /* no trailers */
            assert_true(answer->is_end && answer->is_closed);
            take_body(answer, strstr(rows[i].content_type, "text") != NULL, &body);
            assert_slice_equal(sg_buf_slice(&body), rows[i].body);
            sg_buf_done(&body);
            peer_stop(&peer);
        }
}

static const struct {
    const char *name, *content_type;
    struct sg_slice body;
    const char *extra[2];
    const char *status; /* in the trailers of the body */
} refused[] = {
    {"ended inside a message", WEB, SG_SLICE("\0\0\0\0\5hel"), {0}, "grpc-status: 13"},
    {"trailers in a request", WEB, SG_SLICE(HELLO "\x80\0\0\0\0"), {0}, "grpc-status: 12"},
    {"two messages", WEB, SG_SLICE(HELLO HELLO), {0}, "grpc-status: 12"},
    {"too large, known by the prefix", WEB, SG_SLICE("\0\0\x10\0\1"), {0}, "grpc-status: 8"},
    {"a time-out that is none", WEB, SG_SLICE(HELLO), {"grpc-timeout", "1s"}, "grpc-status: 3"},
    {"a coding that is not offered",
     WEB,
     SG_SLICE(HELLO),
     {"grpc-encoding", "br"},
     "grpc-status: 12"},
    {"binary where text was announced", TEXT, SG_SLICE(HELLO), {0}, "grpc-status: 3"},
    {"text cut inside a group", TEXT, SG_SLICE("AAAAAAVoZWxsbw="), {0}, "grpc-status: 3"},
    {"text cut inside a message", TEXT, SG_SLICE("AAAAAAVoZWxs"), {0}, "grpc-status: 13"},
    {"text without its padding", TEXT, SG_SLICE("AAAAAAVoZWxsbw"), {0}, "grpc-status: 3"},
};

static void what_is_malformed_is_refused_in_the_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct peer peer;
            struct sg_buf body;
            print_message("  %s, step %zu\n", refused[i].name, steps[s]);
            peer_start(&peer, NULL, steps[s]);
            struct peer_answer *answer = peer_request(
                &peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                             .content_type = refused[i].content_type,
                                             .extra = {refused[i].extra[0], refused[i].extra[1]},
                                             .body = refused[i].body});
            peer_run(&peer);
            assert_true(peer_has(answer, ":status: 200"));
            assert_true(answer->is_closed);
            assert_int_equal(answer->blocks, 1);
            assert_int_equal(peer.echo.messages, 0);
            take_body(answer, strcmp(refused[i].content_type, TEXT) == 0, &body);
            assert_true(body.len > 5 && body.ptr[0] == 0x80);
            assert_non_null(
                memmem(body.ptr, body.len, refused[i].status, strlen(refused[i].status)));
            sg_buf_done(&body);
            peer_stop(&peer);
        }
}

static void a_message_cut_at_any_length_is_no_message(void **state)
{
    (void)state;
    static const struct sg_slice whole[] = {SG_SLICE(HELLO), SG_SLICE("AAAAAAVoZWxsbw==")};
    for (size_t i = 0; i < SG_COUNT(whole); i++)
        for (size_t len = 0; len < whole[i].len; len++) {
            struct peer peer;
            peer_start(&peer, NULL, 0);
            struct peer_answer *answer =
                peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                          .content_type = i == 0 ? WEB : TEXT,
                                                          .body = sg_slice_of(whole[i].ptr, len)});
            peer_run(&peer);
            assert_true(answer->is_closed);
            assert_int_equal(peer.echo.messages, 0);
            peer_stop(&peer);
        }
}

/* Text that came while the call was paused is not taken for text a second time. */
static void a_paused_text_call_goes_on_where_it_was(void **state)
{
    (void)state;
    for (size_t s = 0; s < SG_COUNT(steps); s++) {
        struct peer peer;
        struct sg_buf body;
        peer_start(&peer, NULL, steps[s]);
        /* "pause", "b" and, in the next segment, "c" */
        struct peer_answer *answer = peer_request(
            &peer, (struct peer_request){.path = "/echo.Echo/Bidi",
                                         .content_type = TEXT,
                                         .body = SG_SLICE("AAAAAAVwYXVzZQAAAAABYg==AAAAAAFj")});
        peer_run(&peer);
        assert_non_null(peer.echo.paused);
        assert_int_equal(peer.echo.messages, 1);
        struct sg_call *paused = peer.echo.paused;
        peer.echo.paused = NULL;
        sg_call_resume(paused);
        peer_run(&peer);
        assert_int_equal(peer.echo.messages, 3);
        take_body(answer, true, &body);
        assert_slice_equal(sg_buf_slice(&body),
                           SG_SLICE("\0\0\0\0\5pause\0\0\0\0\1b\0\0\0\0\1c" OK));
        sg_buf_done(&body);
        peer_stop(&peer);
    }
}

/* As many bytes as the buffer may hold, in base64, and the trailers still find room. */
static void a_stream_of_text_stays_within_what_may_wait(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    struct sg_buf body;
    limits.send_bytes_max = 20000;
    peer_start(&peer, &limits, 0);
    peer.echo.stream_message_len = 5000;
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/ServerStream",
                                                  .content_type = TEXT,
                                                  .body = SG_SLICE("AAAAAAt4eHh4eHh4eHh4eA==")});
    peer_run(&peer);
    assert_true(peer.echo.writables > 0);
    take_body(answer, true, &body);
    assert_int_equal(body.len, 11 * 5005 + sizeof(OK) - 1);
    assert_memory_equal(body.ptr + 11 * 5005, OK, sizeof(OK) - 1);
    sg_buf_done(&body);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(what_is_malformed_is_refused_in_the_body),
        cmocka_unit_test(a_message_cut_at_any_length_is_no_message),
        cmocka_unit_test(a_paused_text_call_goes_on_where_it_was),
        cmocka_unit_test(a_stream_of_text_stays_within_what_may_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
