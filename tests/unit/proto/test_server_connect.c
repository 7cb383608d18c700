#include <zlib.h>

#include "base/clock.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* What the server makes of Connect: unary by POST and GET, and streams. */

#define JSON "application/json"
#define PROTO "application/proto"
#define STREAM_JSON "application/connect+json"
#define STREAM_PROTO "application/connect+proto"

/* Each test runs with the client's bytes whole, one by one, and in between. */
static const size_t steps[] = {0, 1, 7};

/* One complete request each; lines of the answer's one header block, and its body. */
static const struct {
    const char *name;
    struct peer_request request;
    const char *lines[4];
    struct sg_slice body;
} rows[] = {
    {"JSON",
     {.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("{\"name\":\"hello\"}")},
     {":status: 200", "content-type: application/json"},
     SG_SLICE("{\"name\":\"hello\"}")},
    {"JSON with a charset",
     {.path = "/echo.Echo/Unary", .content_type = JSON "; charset=utf-8", .body = SG_SLICE("{}")},
     {":status: 200", "content-type: application/json"},
     SG_SLICE("{}")},
    {"bytes",
     {.path = "/echo.Echo/Unary", .content_type = PROTO, .body = SG_SLICE("\x0a\5hello")},
     {":status: 200", "content-type: application/proto"},
     SG_SLICE("\x0a\5hello")},
    {"no bytes are an empty message",
     {.path = "/echo.Echo/Unary", .content_type = PROTO, .body = SG_SLICE("")},
     {":status: 200", "content-type: application/proto"},
     SG_SLICE("")},
    {"and so they are when the headers end the request",
     {.path = "/echo.Echo/Unary", .content_type = PROTO, .is_headers_only = true},
     {":status: 200"},
     SG_SLICE("")},
    {"no bytes are never inflated",
     {.path = "/echo.Echo/Unary",
      .content_type = PROTO,
      .extra = {"content-encoding", "gzip"},
      .body = SG_SLICE("")},
     {":status: 200"},
     SG_SLICE("")},
    {"the version is 1",
     {.path = "/echo.Echo/Unary",
      .content_type = JSON,
      .extra = {"connect-protocol-version", "1", "connect-timeout-ms", "1000"},
      .body = SG_SLICE("{}")},
     {":status: 200"},
     SG_SLICE("{}")},
    {"metadata in front",
     {.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("{\"name\":\"head\"}")},
     {":status: 200", "echo-head: first"},
     SG_SLICE("{\"name\":\"head\"}")},
    {"trailers are fields with a prefix",
     {.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("{\"name\":\"tail\"}")},
     {":status: 200", "trailer-echo-tail-bin: /w"},
     SG_SLICE("{\"name\":\"tail\"}")},
    {"the handler refuses",
     {.path = "/echo.Echo/Unary", .content_type = PROTO, .body = SG_SLICE("\x0a\6refuse")},
     {":status: 400", "content-type: application/json"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"BAD_NAME\"}")},
    {"no JSON",
     {.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("")},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a field that is not known",
     {.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("{\"nope\":1}")},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"UNKNOWN_FIELD\"}")},
    {"an unknown method",
     {.path = "/echo.Echo/Nothing", .content_type = JSON, .body = SG_SLICE("{}")},
     {":status: 404", "content-type: application/json"},
     SG_SLICE("{\"code\":\"unimplemented\",\"message\":\"METHOD_NOT_SERVED\"}")},
    {"another version",
     {.path = "/echo.Echo/Unary",
      .content_type = JSON,
      .extra = {"connect-protocol-version", "2"},
      .body = SG_SLICE("{}")},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a time-out that is none",
     {.path = "/echo.Echo/Unary",
      .content_type = JSON,
      .extra = {"connect-timeout-ms", "1s"},
      .body = SG_SLICE("{}")},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a coding that is not offered",
     {.path = "/echo.Echo/Unary",
      .content_type = JSON,
      .extra = {"content-encoding", "br"},
      .body = SG_SLICE("{}")},
     {":status: 501", "accept-encoding: identity,gzip"},
     SG_SLICE("{\"code\":\"unimplemented\",\"message\":\"CODING_NOT_SERVED\"}")},
    {"gzip that is none",
     {.path = "/echo.Echo/Unary",
      .content_type = JSON,
      .extra = {"content-encoding", "gzip"},
      .body = SG_SLICE("{}")},
     {":status: 500"},
     SG_SLICE("{\"code\":\"internal\",\"message\":\"MALFORMED_MESSAGE\"}")},
    {"a unary content type on a stream",
     {.path = "/echo.Echo/Bidi", .content_type = JSON, .body = SG_SLICE("{}")},
     {":status: 415"},
     SG_SLICE("")},
    {"a stream's content type on a unary method",
     {.path = "/echo.Echo/Unary", .content_type = STREAM_JSON, .body = SG_SLICE("\0\0\0\0\2{}")},
     {":status: 415"},
     SG_SLICE("")},
    {"a GET, JSON",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json&message=%7B%22name%22%3A%22a+b%22%7D&connect=v1",
      .content_type = "",
      .is_headers_only = true},
     {":status: 200", "content-type: application/json"},
     SG_SLICE("{\"name\":\"a b\"}")},
    {"a GET, bytes",
     {.method = "GET",
      .path = "/echo.Echo/Read?message=CgVoZWxsbw&base64=1&encoding=proto",
      .content_type = "",
      .is_headers_only = true},
     {":status: 200", "content-type: application/proto"},
     SG_SLICE("\x0a\5hello")},
    {"a GET that ends with a frame of its own",
     {.method = "GET",
      .path = "/echo.Echo/Read?message=&encoding=proto",
      .content_type = "",
      .body = SG_SLICE("")},
     {":status: 200"},
     SG_SLICE("")},
    {"a GET that says no message",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json",
      .content_type = "",
      .is_headers_only = true},
     {":status: 400", "content-type: application/json"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a GET without a query",
     {.method = "GET", .path = "/echo.Echo/Read", .content_type = "", .is_headers_only = true},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a GET of another version",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json&message=%7B%7D&connect=v2",
      .content_type = "",
      .is_headers_only = true},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a GET in another encoding",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=xml&message=%7B%7D",
      .content_type = "",
      .is_headers_only = true},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a GET in another coding",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json&message=%7B%7D&compression=br",
      .content_type = "",
      .is_headers_only = true},
     {":status: 501", "accept-encoding: identity,gzip"},
     SG_SLICE("{\"code\":\"unimplemented\",\"message\":\"CODING_NOT_SERVED\"}")},
    {"a GET with a body",
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json&message=%7B%7D",
      .content_type = "",
      .body = SG_SLICE("{}")},
     {":status: 400"},
     SG_SLICE("{\"code\":\"invalid_argument\",\"message\":\"MALFORMED_REQUEST\"}")},
    {"a GET of what changes something",
     {.method = "GET",
      .path = "/echo.Echo/Unary?encoding=json&message=%7B%7D",
      .content_type = "",
      .is_headers_only = true},
     {":status: 405", "allow: POST"},
     SG_SLICE("")},
    {"a GET of a stream",
     {.method = "GET",
      .path = "/echo.Echo/ServerStream?encoding=json&message=%7B%7D",
      .content_type = "",
      .is_headers_only = true},
     {":status: 405", "allow: POST"},
     SG_SLICE("")},
    {"a GET of nothing",
     {.method = "GET", .path = "/", .content_type = "", .is_headers_only = true},
     {":status: 404"},
     SG_SLICE("")},
    {"another method of what may be read",
     {.method = "PUT", .path = "/echo.Echo/Read", .content_type = JSON, .body = SG_SLICE("{}")},
     {":status: 405", "allow: GET, POST"},
     SG_SLICE("")},
    {"a stream, JSON",
     {.path = "/echo.Echo/Bidi",
      .content_type = STREAM_JSON,
      .body = SG_SLICE("\0\0\0\0\2{}\0\0\0\0\x0c{\"name\":\"a\"}")},
     {":status: 200", "content-type: application/connect+json"},
     SG_SLICE("\0\0\0\0\2{}\0\0\0\0\x0c{\"name\":\"a\"}\2\0\0\0\2{}")},
    {"a stream, bytes",
     {.path = "/echo.Echo/Bidi", .content_type = STREAM_PROTO, .body = SG_SLICE("\0\0\0\0\0")},
     {":status: 200", "content-type: application/connect+proto"},
     SG_SLICE("\0\0\0\0\0\2\0\0\0\2{}")},
    {"a stream that the server ends",
     {.path = "/echo.Echo/Bidi",
      .content_type = STREAM_PROTO,
      .body = SG_SLICE("\0\0\0\0\4stop\0\0\0\0\0")},
     {":status: 200"},
     SG_SLICE("\2\0\0\0\x30{\"error\":{\"code\":\"aborted\",\"message\":\"stopped\"}}")},
    {"a stream whose headers end it",
     {.path = "/echo.Echo/Bidi", .content_type = STREAM_PROTO, .is_headers_only = true},
     {":status: 200"},
     SG_SLICE("\2\0\0\0\2{}")},
    {"a stream refused before it begins",
     {.path = "/echo.Echo/Bidi",
      .content_type = STREAM_PROTO,
      .extra = {"connect-content-encoding", "br"},
      .body = SG_SLICE("")},
     {":status: 200", "connect-accept-encoding: identity,gzip"},
     SG_SLICE("\2\0\0\0\x40"
              "{\"error\":{\"code\":\"unimplemented\",\"message\":\"CODING_NOT_SERVED\"}}")},
    {"server streaming takes one message",
     {.path = "/echo.Echo/ServerStream",
      .content_type = STREAM_PROTO,
      .body = SG_SLICE("\0\0\0\0\0\0\0\0\0\0")},
     {":status: 200"},
     SG_SLICE("\2\0\0\0\x3c"
              "{\"error\":{\"code\":\"unimplemented\",\"message\":\"MESSAGE_COUNT\"}}")},
    {"a client does not end its stream by a frame",
     {.path = "/echo.Echo/Bidi", .content_type = STREAM_JSON, .body = SG_SLICE("\2\0\0\0\2{}")},
     {":status: 200"},
     SG_SLICE("\2\0\0\0\x3b"
              "{\"error\":{\"code\":\"internal\",\"message\":\"MALFORMED_MESSAGE\"}}")},
};

static void answers_follow_the_table(void **state)
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
            if (!sg_slice_eq(sg_buf_slice(&answer->body), rows[i].body))
                fail_msg("%zu bytes: %.*s", answer->body.len, (int)answer->body.len,
                         (const char *)answer->body.ptr);
            assert_int_equal(answer->blocks, 1); /* no trailers */
            assert_true(answer->is_end && answer->is_closed);
            assert_int_equal(answer->error, 0);
            assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
            peer_stop(&peer);
        }
}

static size_t gzip(const void *plain, size_t len, uint8_t *to, size_t cap)
{
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)plain,
                   .avail_in = (uInt)len,
                   .next_out = to,
                   .avail_out = (uInt)cap};
    assert_int_equal(deflateInit2(&zs, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
    deflateEnd(&zs);
    return zs.total_out;
}

/* Of the body as it comes, and of what it inflates to. */
static void a_body_has_a_limit_before_and_after_inflating(void **state)
{
    (void)state;
    enum { MAX = 1000 };
    static const struct {
        const char *name;
        size_t len;
        bool is_gzip;
        const char *status;
    } sizes[] = {
        {"of the limit", MAX, false, ":status: 200"},
        {"one more", MAX + 1, false, ":status: 429"},
        {"inflates to the limit", MAX, true, ":status: 200"},
        {"inflates to one more", MAX + 1, true, ":status: 429"},
    };
    for (size_t i = 0; i < SG_COUNT(sizes); i++)
        for (size_t s = 0; s < SG_COUNT(steps); s++) {
            struct sg_rpc_limits limits = sg_rpc_limits_default;
            struct peer peer;
            uint8_t plain[MAX + 1] = "{\"name\":\"hello\"}", zipped[200];
            memset(plain + 16, ' ', sizeof(plain) - 16);
            struct sg_slice body = {plain, sizes[i].len};
            if (sizes[i].is_gzip)
                body = sg_slice_of(zipped, gzip(plain, sizes[i].len, zipped, sizeof(zipped)));
            print_message("  %s, step %zu\n", sizes[i].name, steps[s]);
            limits.message_bytes_max = MAX;
            peer_start(&peer, &limits, steps[s]);
            struct peer_answer *answer = peer_request(
                &peer, (struct peer_request){
                           .path = "/echo.Echo/Unary",
                           .content_type = JSON,
                           .extra = {sizes[i].is_gzip ? "content-encoding" : NULL, "gzip"},
                           .body = body});
            peer_run(&peer);
            assert_true(peer_has(answer, sizes[i].status));
            assert_true(answer->is_closed);
            peer_stop(&peer);
        }
}

static void frames_of_a_stream_may_be_compressed(void **state)
{
    (void)state;
    uint8_t body[200] = {1};
    struct peer peer;
    body[4] = (uint8_t)gzip("{\"name\":\"hello\"}", 16, body + 5, sizeof(body) - 5);
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Bidi",
                                                  .content_type = STREAM_JSON,
                                                  .extra = {"connect-content-encoding", "gzip"},
                                                  .body = {body, 5U + body[4]}});
    peer_run(&peer);
    assert_slice_equal(peer_message(answer), SG_SLICE("{\"name\":\"hello\"}"));
    peer_stop(&peer);
}

static void a_body_cut_at_any_length_is_no_message(void **state)
{
    (void)state;
    static const struct sg_slice whole[] = {SG_SLICE("{\"name\":\"hello\"}"),
                                            SG_SLICE("\0\0\0\0\2{}")};
    for (size_t i = 0; i < SG_COUNT(whole); i++)
        for (size_t len = i; len < whole[i].len; len++) {
            struct peer peer;
            peer_start(&peer, NULL, 0);
            struct peer_answer *answer = peer_request(
                &peer,
                (struct peer_request){.path = i == 0 ? "/echo.Echo/Unary" : "/echo.Echo/Bidi",
                                      .content_type = i == 0 ? JSON : STREAM_JSON,
                                      .body = sg_slice_of(whole[i].ptr, len)});
            peer_run(&peer);
            assert_true(answer->is_closed);
            assert_int_equal(peer.echo.messages, 0);
            peer_stop(&peer);
        }
}

static void the_version_can_be_required(void **state)
{
    (void)state;
    static const struct {
        struct peer_request request;
        const char *status;
    } requests[] = {
        {{.path = "/echo.Echo/Unary", .content_type = JSON, .body = SG_SLICE("{}")},
         ":status: 400"},
        {{.path = "/echo.Echo/Unary",
          .content_type = JSON,
          .extra = {"connect-protocol-version", "1"},
          .body = SG_SLICE("{}")},
         ":status: 200"},
        {{.method = "GET",
          .path = "/echo.Echo/Read?encoding=json&message=%7B%7D",
          .content_type = "",
          .is_headers_only = true},
         ":status: 400"},
        {{.method = "GET",
          .path = "/echo.Echo/Read?encoding=json&message=%7B%7D&connect=v1",
          .content_type = "",
          .is_headers_only = true},
         ":status: 200"},
        {{.path = "/echo.Echo/Unary", .body = SG_SLICE("\0\0\0\0\0")}, ":status: 200"}, /* gRPC */
    };
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.connect_version_required = true;
    for (size_t i = 0; i < SG_COUNT(requests); i++) {
        struct peer peer;
        peer_start(&peer, &limits, 0);
        struct peer_answer *answer = peer_request(&peer, requests[i].request);
        peer_run(&peer);
        assert_true(peer_has(answer, requests[i].status));
        peer_stop(&peer);
    }
}

static void a_deadline_is_told_by_http(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .content_type = JSON,
                                                  .extra = {"connect-timeout-ms", "50"},
                                                  .body = SG_SLICE("{\"name\":\"later\"}")});
    peer_run(&peer);
    assert_false(answer->is_end);
    peer_wait(&peer, 49 * SG_NS_PER_MS);
    assert_false(answer->is_end);
    peer_wait(&peer, 2 * SG_NS_PER_MS);
    assert_true(answer->is_end);
    assert_true(peer_has(answer, ":status: 504"));
    assert_int_equal(peer.echo.closed, 1);
    peer_stop(&peer);
}

/* Nothing of a unary answer leaves before its status is known. */
static void an_answer_that_is_late_is_whole(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .content_type = PROTO,
                                                  .body = SG_SLICE("\x0a\5later")});
    peer_run(&peer);
    assert_int_equal(answer->blocks, 0);
    echo_answer_later(&peer.echo);
    peer_run(&peer);
    assert_true(peer_has(answer, ":status: 200"));
    assert_slice_equal(sg_buf_slice(&answer->body), SG_SLICE("at last"));
    peer_stop(&peer);
}

/* What has no JSON is not sent as if it had. */
static void an_answer_without_json_is_an_error(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .content_type = JSON,
                                                  .body = SG_SLICE("{\"name\":\"later\"}")});
    peer_run(&peer);
    echo_answer_later(&peer.echo); /* "at last" is no message */
    peer_run(&peer);
    assert_true(peer_has(answer, ":status: 500"));
    assert_true(answer->is_end);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(a_body_has_a_limit_before_and_after_inflating),
        cmocka_unit_test(frames_of_a_stream_may_be_compressed),
        cmocka_unit_test(a_body_cut_at_any_length_is_no_message),
        cmocka_unit_test(the_version_can_be_required),
        cmocka_unit_test(a_deadline_is_told_by_http),
        cmocka_unit_test(an_answer_that_is_late_is_whole),
        cmocka_unit_test(an_answer_without_json_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
