#include "proto/grpc/server.h"

#include <stdlib.h>

#include <zlib.h>

#include "base/clock.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* What the server makes of requests. The time and the connection are in test_server_time.c and
 * test_server_flow.c. */

#define HELLO SG_SLICE("\0\0\0\0\5hello")
#define EMPTY SG_SLICE("\0\0\0\0\0")
#define NONE SG_SLICE("")

/* Each test runs with the client's bytes whole, one by one, and in between. */
static const size_t steps[] = {0, 1, 7};

static void a_unary_call_is_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct peer peer;
        peer_start(&peer, NULL, steps[i]);
        struct peer_answer *answer =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
        peer_run(&peer);
        assert_true(peer_has(answer, ":status: 200"));
        assert_true(peer_has(answer, "content-type: application/grpc"));
        assert_true(peer_has(answer, "grpc-status: 0"));
        assert_false(peer_has(answer, "grpc-message: "));
        assert_int_equal(answer->blocks, 2);
        assert_int_equal(answer->empty_data_frames, 0);
        assert_slice_equal(peer_message(answer), SG_SLICE("hello"));
        assert_true(answer->is_closed);
        assert_int_equal(answer->error, 0);
        assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
        peer_stop(&peer);
    }
}

/* One request each, complete; what the answer's header blocks must hold, and how many there are. */
static const struct {
    const char *name;
    struct peer_request request;
    const char *lines[4];
    unsigned blocks;
} rows[] = {
    {"GET is not for gRPC",
     {.method = "GET", .path = "/echo.Echo/Unary", .is_headers_only = true},
     {":status: 405", "allow: POST"},
     1},
    {"a content type that nobody has",
     {.path = "/echo.Echo/Unary", .content_type = "text/plain", .body = HELLO},
     {":status: 415"},
     1},
    {"no content type",
     {.path = "/echo.Echo/Unary", .content_type = "", .body = HELLO},
     {":status: 415"},
     1},
    {"JSON in gRPC's frames",
     {.path = "/echo.Echo/Unary",
      .content_type = "application/grpc+json",
      .body = SG_SLICE("\0\0\0\0\x0d{\"name\":\"ab\"}")},
     {":status: 200", "content-type: application/grpc+json", "grpc-status: 0"},
     2},
    {"JSON that is none",
     {.path = "/echo.Echo/Unary", .content_type = "application/grpc+json", .body = HELLO},
     {"grpc-status: 3", "grpc-message: MALFORMED_REQUEST"},
     1},
    {"a parameter in the path means nothing to a POST",
     {.path = "/echo.Echo/Unary?connect=v1", .body = HELLO},
     {"grpc-status: 0"},
     2},
    {"a longer word is another type",
     {.path = "/echo.Echo/Unary", .content_type = "application/grpcx", .body = HELLO},
     {":status: 415"},
     1},
    {"two content types are none",
     {.path = "/echo.Echo/Unary", .extra = {"content-type", "application/grpc"}, .body = HELLO},
     {NULL},
     0},
    {"+proto is answered as such",
     {.path = "/echo.Echo/Unary", .content_type = "application/grpc+proto", .body = HELLO},
     {":status: 200", "content-type: application/grpc+proto", "grpc-status: 0"},
     2},
    {"parameters are let pass",
     {.path = "/echo.Echo/Unary", .content_type = "application/grpc; a=b", .body = HELLO},
     {"content-type: application/grpc", "grpc-status: 0"},
     2},
    {"an unknown method",
     {.path = "/echo.Echo/Nothing", .body = HELLO},
     {":status: 200", "content-type: application/grpc", "grpc-status: 12",
      "grpc-message: METHOD_NOT_SERVED"},
     1},
    {"paths are case-sensitive",
     {.path = "/echo.echo/Unary", .body = HELLO},
     {"grpc-status: 12"},
     1},
    {"a time-out that is none",
     {.path = "/echo.Echo/Unary", .extra = {"grpc-timeout", "1s"}, .body = HELLO},
     {"grpc-status: 3", "grpc-message: MALFORMED_REQUEST"},
     1},
    {"a coding that is not offered",
     {.path = "/echo.Echo/Unary", .extra = {"grpc-encoding", "deflate"}, .body = HELLO},
     {"grpc-status: 12", "grpc-accept-encoding: identity,gzip"},
     1},
    {"identity is no coding",
     {.path = "/echo.Echo/Unary", .extra = {"grpc-encoding", "identity"}, .body = HELLO},
     {"grpc-status: 0"},
     2},
    {"compressed without a coding",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\1\0\0\0\5hello")},
     {"grpc-status: 13"},
     1},
    {"compressed, but with what?",
     {.path = "/echo.Echo/Unary",
      .extra = {"grpc-encoding", "gzip"},
      .body = SG_SLICE("\1\0\0\0\5hello")},
     {"grpc-status: 13"},
     1},
    {"gzip named and not used",
     {.path = "/echo.Echo/Unary", .extra = {"grpc-encoding", "gzip"}, .body = HELLO},
     {"grpc-status: 0"},
     2},
    {"a flag that does not exist",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\2\0\0\0\5hello")},
     {"grpc-status: 13"},
     1},
    {"trailers of a request mean nothing",
     {.path = "/echo.Echo/Unary", .body = HELLO, .has_trailers = true},
     {"grpc-status: 0"},
     2},
    {"nor do they make up for a message",
     {.path = "/echo.Echo/Unary", .body = NONE, .has_trailers = true},
     {"grpc-status: 12"},
     1},
    {"an empty message is a message",
     {.path = "/echo.Echo/Unary", .body = EMPTY},
     {"grpc-status: 0"},
     2},
    {"unary without a message", {.path = "/echo.Echo/Unary", .body = NONE}, {"grpc-status: 12"}, 1},
    {"unary, ended by its headers",
     {.path = "/echo.Echo/Unary", .is_headers_only = true},
     {"grpc-status: 12"},
     1},
    {"unary with two messages",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\1a\0\0\0\0\1b")},
     {"grpc-status: 12"},
     1},
    {"unary with one and a half",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\1a\0")},
     {"grpc-status: 12"},
     1},
    {"server streaming with two messages",
     {.path = "/echo.Echo/ServerStream", .body = SG_SLICE("\0\0\0\0\1a\0\0\0\0\1b")},
     {"grpc-status: 12"},
     1},
    {"ended inside the prefix",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0")},
     {"grpc-status: 13"},
     1},
    {"ended inside a message",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\5hel")},
     {"grpc-status: 13"},
     1},
    {"a stream ended inside a message",
     {.path = "/echo.Echo/ClientStream", .body = SG_SLICE("\0\0\0\0\1a\0\0\0\0\5hel")},
     {"grpc-status: 13"},
     1},
    {"a stream without messages",
     {.path = "/echo.Echo/ClientStream", .body = NONE},
     {"grpc-status: 0"},
     2},
    {"a bidirectional stream, ended by its headers",
     {.path = "/echo.Echo/Bidi", .is_headers_only = true},
     {"grpc-status: 0"},
     1},
    {"too large, known by the prefix",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\x10\0\1")},
     {"grpc-status: 8", "grpc-message: MESSAGE_TOO_LARGE"},
     1},
    {"binary metadata that is none",
     {.path = "/echo.Echo/Unary", .extra = {"trace-bin", "!"}, .body = HELLO},
     {"grpc-status: 3", "grpc-message: MALFORMED_REQUEST"},
     1},
    {"the handler refuses",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\6refuse")},
     {"grpc-status: 3", "grpc-message: BAD_NAME", "grpc-status-details-bin: CAMSCEJBRF9OQU1F"},
     1},
    {"metadata in front",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\4head")},
     {"echo-head: first", "grpc-status: 0"},
     2},
    {"metadata behind, binary",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\4tail")},
     {"grpc-status: 0", "echo-tail-bin: /w"},
     2},
    {"metadata behind no message",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\x9only-tail")},
     {":status: 200", "grpc-status: 10", "echo-tail: last"},
     1},
    {"metadata in front of and behind no message",
     {.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\x9only-both")},
     {":status: 200", "echo-head: first", "grpc-status: 10", "echo-tail: last"},
     2},
};

static void requests_are_answered_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct peer peer;
            print_message("  %s, step %zu\n", rows[i].name, steps[s]);
            peer_start(&peer, NULL, steps[s]);
            struct peer_answer *answer = peer_request(&peer, rows[i].request);
            peer_run(&peer);
            for (size_t k = 0; k < SG_COUNT(rows[i].lines) && rows[i].lines[k] != NULL; k++)
                if (!peer_has(answer, rows[i].lines[k]))
                    fail_msg("no \"%s\" in:\n%.*s", rows[i].lines[k], (int)answer->text.len,
                             (const char *)answer->text.ptr);
            if (rows[i].blocks > 0) {
                assert_int_equal(answer->blocks, rows[i].blocks);
                assert_true(answer->is_end);
            }
            assert_true(answer->is_closed);
            assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
            assert_false(peer.is_failed);
            peer_stop(&peer);
        }
}

static void gzip_requests_are_inflated_within_the_limit(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *status;
    } sizes[] = {{0, "grpc-status: 0"}, {1000, "grpc-status: 0"}, {1001, "grpc-status: 8"}};

    for (size_t i = 0; i < SG_COUNT(sizes); i++) {
        uint8_t plain[1001], zipped[200] = {1};
        memset(plain, 'a', sizeof(plain));
        z_stream zs = {.next_in = plain,
                       .avail_in = (uInt)sizes[i].len,
                       .next_out = zipped + 5,
                       .avail_out = sizeof(zipped) - 5};
        assert_int_equal(deflateInit2(&zs, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
        zipped[4] = (uint8_t)zs.total_out;
        deflateEnd(&zs);

        struct sg_rpc_limits limits = sg_rpc_limits_default;
        struct peer peer;
        limits.message_bytes_max = 1000;
        peer_start(&peer, &limits, 0);
        struct peer_answer *answer =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                      .extra = {"grpc-encoding", "gzip"},
                                                      .body = {zipped, 5 + zs.total_out}});
        peer_run(&peer);
        assert_true(peer_has(answer, sizes[i].status));
        if (sizes[i].len <= 1000)
            assert_slice_equal(peer_message(answer), sg_slice_of(plain, sizes[i].len));
        peer_stop(&peer);
    }
}

static void a_message_of_the_limit_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct peer peer;
        struct sg_buf storage, message;
        size_t len = sg_rpc_limits_default.message_bytes_max + more;
        sg_buf_init(&storage, 4 << 20);
        sg_buf_init(&message, 4 << 20);
        memset(sg_buf_room(&message, len), 'm', len);
        sg_buf_claim(&message, len);
        peer_start(&peer, NULL, 0);
        struct peer_answer *answer = peer_request(
            &peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                         .body = peer_frame(&storage, sg_buf_slice(&message))});
        peer_run(&peer);
        assert_true(peer_has(answer, more == 0 ? "grpc-status: 0" : "grpc-status: 8"));
        if (more == 0)
            assert_slice_equal(peer_message(answer), sg_buf_slice(&message));
        assert_int_equal(peer.echo.messages, more == 0);
        peer_stop(&peer);
        sg_buf_done(&storage);
        sg_buf_done(&message);
    }
}

static void the_end_may_come_on_an_empty_frame_of_its_own(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 1);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO, .is_open = true});
    peer_run(&peer);
    assert_int_equal(peer.echo.begun, 1);
    assert_int_equal(peer.echo.messages, 0); /* not before it is known to be the only one */
    peer_more(&peer, answer, NONE, true);
    peer_run(&peer);
    assert_int_equal(peer.echo.messages, 1);
    assert_slice_equal(peer_message(answer), SG_SLICE("hello"));
    assert_true(peer_has(answer, "grpc-status: 0"));
    peer_stop(&peer);
}

static void a_call_may_be_answered_later(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    assert_false(answer->is_closed);
    assert_false(sg_rpc_server_wants_pull(peer.server));
    assert_int_equal(peer.echo.half_closed, 1);
    echo_answer_later(&peer.echo);
    assert_true(sg_rpc_server_wants_pull(peer.server));
    assert_int_equal(peer.echo.closed, 0); /* never from inside sg_call_*() */
    peer_run(&peer);
    assert_int_equal(peer.echo.closed, 1);
    assert_slice_equal(peer_message(answer), SG_SLICE("at last"));
    peer_stop(&peer);
}

static void the_handler_reads_the_requests_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } fields[] = {
        {":authority", "test"}, {"user-agent", "peer/1"}, {"trace-bin", "fo"},
        {"absent", ""},         {"Trace-Bin", ""},        {":path", ""},
    };
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_request(&peer,
                 (struct peer_request){.path = "/echo.Echo/Unary",
                                       .extra = {"user-agent", "peer/1", "trace-bin", "Zm8,Zm9v"},
                                       .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    for (size_t i = 0; i < SG_COUNT(fields); i++)
        assert_slice_equal(sg_call_metadata(peer.echo.later, fields[i].name),
                           sg_slice_str(fields[i].value));
    assert_ptr_equal(sg_call_connection(peer.echo.later), &peer);
    assert_string_equal(sg_call_method(peer.echo.later)->name, "Unary");
    peer_stop(&peer);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    struct peer peer;
    char text[1501];
    for (size_t i = 0; i < 500; i++)
        memcpy(text + 3 * i, "\xe1\xba\xa5", 3); /* a Vietnamese letter of three bytes */
    text[1500] = '\0';
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    struct sg_status status = {.code = SG_GRPC_ABORTED, .message = sg_slice_str(text)};
    sg_call_finish(peer.echo.later, &status);
    sg_call_finish(peer.echo.later, &(struct sg_status){.code = SG_GRPC_OK}); /* ignored */
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 10"));
    size_t letters = 0;
    for (const uint8_t *at = answer->text.ptr;
         (at = memmem(at, (size_t)(answer->text.ptr + answer->text.len - at), "%E1%BA%A5", 9));
         at += 9)
        letters++;
    assert_int_equal(letters, 1024 / 3);
    assert_non_null(memmem(answer->text.ptr, answer->text.len, "%A5\n", 4));
    peer_stop(&peer);
}

static void a_client_that_leaves_closes_its_call(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    assert_non_null(peer.echo.later);
    peer_reset(&peer, answer, 8);
    peer_run(&peer);
    assert_null(peer.echo.later);
    assert_int_equal(peer.echo.closed, 1);
    assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
    peer_stop(&peer);
}

static void a_connection_that_goes_closes_all_its_calls(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    for (size_t i = 0; i < 10; i++)
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    assert_int_equal(peer.echo.begun, 10);
    assert_int_equal(peer.echo.closed, 0);
    peer_stop(&peer); /* checks that all ten were told */
    assert_int_equal(peer.echo.closed, 10);
}

static void begin_may_refuse_and_then_hears_no_more(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer.echo.refuse_begin = true;
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 8"));
    assert_true(peer_has(answer, "grpc-message: QUEUE_FULL"));
    assert_int_equal(peer.echo.refused_by_begin, 1);
    assert_int_equal(peer.echo.messages + peer.echo.half_closed + peer.echo.closed, 0);
    peer_stop(&peer);
}

static void streams_of_every_kind_carry_their_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct peer peer;
        peer_start(&peer, NULL, steps[i]);
        struct sg_slice three = SG_SLICE("\0\0\0\0\1a\0\0\0\0\2bc\0\0\0\0\0");
        struct peer_answer *sum = peer_request(
            &peer, (struct peer_request){.path = "/echo.Echo/ClientStream", .body = three});
        struct peer_answer *back =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Bidi", .body = three});
        struct peer_answer *many = peer_request(
            &peer, (struct peer_request){.path = "/echo.Echo/ServerStream", .body = HELLO});
        peer_run(&peer);
        assert_slice_equal(peer_message(sum), SG_SLICE("3"));
        assert_slice_equal(sg_buf_slice(&back->body), three);
        assert_int_equal(many->body.len, 5 * (5 + peer.echo.stream_message_len));
        assert_true(peer_has(sum, "grpc-status: 0"));
        assert_true(peer_has(back, "grpc-status: 0"));
        assert_true(peer_has(many, "grpc-status: 0"));
        peer_stop(&peer);
    }
}

static void messages_of_a_stream_are_answered_while_it_is_open(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){.path = "/echo.Echo/Bidi", .body = HELLO, .is_open = true});
    peer_run(&peer);
    assert_slice_equal(peer_message(answer), SG_SLICE("hello"));
    assert_false(answer->is_end);
    peer_more(&peer, answer, NONE, true);
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 0"));
    assert_true(answer->is_closed);
    peer_stop(&peer);
}

static void resume(struct peer *peer)
{
    struct sg_call *call = peer->echo.paused;
    assert_non_null(call);
    peer->echo.paused = NULL;
    sg_call_resume(call);
}

static void a_paused_call_gets_no_message_until_it_is_resumed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct peer peer;
        peer_start(&peer, NULL, steps[i]);
        struct peer_answer *answer = peer_request(
            &peer, (struct peer_request){
                       .path = "/echo.Echo/Bidi",
                       .body = SG_SLICE("\0\0\0\0\1a\0\0\0\0\5pause\0\0\0\0\1b\0\0\0\0\1c")});
        peer_run(&peer);
        assert_slice_equal(sg_buf_slice(&answer->body), SG_SLICE("\0\0\0\0\1a\0\0\0\0\5pause"));
        assert_false(answer->is_end);
        assert_int_equal(peer.echo.half_closed, 0);

        resume(&peer);
        peer_run(&peer);
        assert_slice_equal(sg_buf_slice(&answer->body),
                           SG_SLICE("\0\0\0\0\1a\0\0\0\0\5pause\0\0\0\0\1b\0\0\0\0\1c"));
        assert_true(peer_has(answer, "grpc-status: 0"));
        peer_stop(&peer);
    }
}

static void a_paused_call_may_end_before_it_is_resumed(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Bidi",
                                                  .body = SG_SLICE("\0\0\0\0\5pause\0\0\0\0\1b"),
                                                  .is_open = true});
    peer_run(&peer);
    resume(&peer);
    peer_reset(&peer, answer, 8);
    peer_run(&peer);
    assert_int_equal(peer.echo.closed, 1);
    peer_stop(&peer);
}

static void a_paused_call_holds_its_own_client_up_and_no_other(void **state)
{
    (void)state;
    enum { MESSAGES = 4000, MESSAGE_LEN = 1000 };
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.send_bytes_max = 64 << 20;
    struct peer peer;
    struct sg_buf body;
    uint8_t *message = calloc(1, MESSAGE_LEN);
    assert_non_null(message);
    sg_buf_init(&body, SIZE_MAX);
    sg_buf_add_slice(&body, SG_SLICE("\0\0\0\0\5pause"));
    for (int i = 0; i < MESSAGES; i++) {
        sg_buf_add_u8(&body, 0);
        sg_buf_add_be32(&body, MESSAGE_LEN);
        sg_buf_add(&body, message, MESSAGE_LEN);
    }

    peer_start(&peer, &limits, 0);
    struct peer_answer *paused = peer_request(
        &peer, (struct peer_request){.path = "/echo.Echo/Bidi", .body = sg_buf_slice(&body)});
    peer_run(&peer);
    assert_true(paused->out.len > (MESSAGES - 1) * MESSAGE_LEN / 2);
    struct peer_answer *other =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_slice_equal(peer_message(other), SG_SLICE("hello"));
    assert_int_equal(peer.echo.messages, 2);

    resume(&peer);
    peer_run(&peer);
    assert_int_equal(peer.echo.messages, MESSAGES + 2);
    assert_true(peer_has(paused, "grpc-status: 0"));
    peer_stop(&peer);
    sg_buf_done(&body);
    free(message);
}

static void headers_over_the_limit_are_refused(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    limits.header_bytes_max = 500;
    peer_start(&peer, &limits, 0);
    char value[300];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    struct peer_answer *answer = peer_request(
        &peer,
        (struct peer_request){.path = "/echo.Echo/Unary", .extra = {"long", value}, .body = HELLO});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 8"));
    assert_int_equal(peer.echo.begun, 0);
    answer = peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 0"));
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_answered),
        cmocka_unit_test(requests_are_answered_as_the_table_says),
        cmocka_unit_test(gzip_requests_are_inflated_within_the_limit),
        cmocka_unit_test(a_message_of_the_limit_passes_and_one_byte_more_does_not),
        cmocka_unit_test(the_end_may_come_on_an_empty_frame_of_its_own),
        cmocka_unit_test(a_call_may_be_answered_later),
        cmocka_unit_test(the_handler_reads_the_requests_headers),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_client_that_leaves_closes_its_call),
        cmocka_unit_test(a_connection_that_goes_closes_all_its_calls),
        cmocka_unit_test(begin_may_refuse_and_then_hears_no_more),
        cmocka_unit_test(streams_of_every_kind_carry_their_messages),
        cmocka_unit_test(messages_of_a_stream_are_answered_while_it_is_open),
        cmocka_unit_test(a_paused_call_gets_no_message_until_it_is_resumed),
        cmocka_unit_test(a_paused_call_may_end_before_it_is_resumed),
        cmocka_unit_test(a_paused_call_holds_its_own_client_up_and_no_other),
        cmocka_unit_test(headers_over_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
