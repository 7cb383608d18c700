#include <poll.h>

#include "tests/support/unit.h"
#include "tests/unit/client/bad_server.h"

/*
 * libsealgate against a server that breaks HTTP/2 or gRPC: the "http2 negative" cases of gRPC's
 * interoperability tests, and more. Whatever the server does, the call ends in time with a status
 * that says so, no half answer is taken for one, and the next call, well served, is answered.
 */

#define HEAD ":status: 200\ncontent-type: application/grpc\n"
#define SERVING "\0\0\0\0\2\x08\1"

static void put(struct bad_conn *conn, enum h2_frame_type type, unsigned flags, uint32_t stream,
                struct sg_slice payload)
{
    h2_put_frame(&conn->out, type, flags, stream, payload);
}

static void head(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, 0, stream, SG_SLICE(HEAD));
}

static void data(struct bad_conn *conn, uint32_t stream, struct sg_slice bytes)
{
    put(conn, H2_DATA, 0, stream, bytes);
}

static void trailers(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, H2_END_STREAM, stream, SG_SLICE("grpc-status: 0\n"));
}

/* --- what it does wrong, one function each --- */

static void rst_after_header(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    put(conn, H2_RST_STREAM, 0, stream, SG_SLICE("\0\0\0\0"));
}

static void rst_during_data(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE("\0\0\0\0\2\x08"));
    put(conn, H2_RST_STREAM, 0, stream, SG_SLICE("\0\0\0\0"));
}

static void rst_after_data(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE(SERVING));
    put(conn, H2_RST_STREAM, 0, stream, SG_SLICE("\0\0\0\0"));
}

static void flood(struct bad_conn *conn, enum h2_frame_type type, struct sg_slice payload)
{
    enum { FRAMES = 20000 };

    for (int i = 0; i < FRAMES; i++)
        put(conn, type, 0, 0, payload);
}

static void settings_flood(struct bad_conn *conn, uint32_t stream)
{
    (void)stream;
    flood(conn, H2_SETTINGS, SG_SLICE(""));
}

static void ping_flood(struct bad_conn *conn, uint32_t stream)
{
    (void)stream;
    flood(conn, H2_PING, SG_SLICE("12345678"));
}

static void empty_data_flood(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    for (int i = 0; i < 20000; i++)
        data(conn, stream, SG_SLICE(""));
}

/* One field over the limit of 16 KiB, in frames of legal size. */
static void headers_too_large(struct bad_conn *conn, uint32_t stream)
{
    enum { VALUE = 20000, FRAME = 16000 };
    struct sg_buf text, block;
    struct sg_slice rest;

    sg_buf_init(&text, SIZE_MAX);
    sg_buf_init(&block, SIZE_MAX);
    sg_buf_add_str(&text, HEAD "x: ");
    for (int i = 0; i < VALUE; i++)
        sg_buf_add_u8(&text, 'x');
    sg_buf_add_str(&text, "\n");
    h2_put_block(&block, sg_buf_slice(&text));
    rest = sg_buf_slice(&block);
    put(conn, H2_HEADERS, H2_END_STREAM, stream, sg_slice_take(&rest, FRAME));
    put(conn, H2_CONTINUATION, H2_END_HEADERS, stream, rest);
    sg_buf_done(&text);
    sg_buf_done(&block);
}

static void continuation_flood(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_HEADERS, 0, stream, SG_SLICE(""));
    for (int i = 0; i < 1000; i++)
        put(conn, H2_CONTINUATION, 0, stream, SG_SLICE(""));
}

static void headers_without_end(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_HEADERS, 0, stream, SG_SLICE(""));
}

static void wrong_content_type(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, 0, stream, SG_SLICE(":status: 200\ncontent-type: text/html\n"));
    data(conn, stream, SG_SLICE(SERVING));
    trailers(conn, stream);
}

static void no_content_type(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, 0, stream, SG_SLICE(":status: 200\n"));
    data(conn, stream, SG_SLICE(SERVING));
    trailers(conn, stream);
}

static void missing_status(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE(SERVING));
    h2_put_headers(&conn->out, H2_END_STREAM, stream, SG_SLICE("grpc-message: fine\n"));
}

static void no_trailers(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    put(conn, H2_DATA, H2_END_STREAM, stream, SG_SLICE(SERVING));
}

static void trailers_without_end(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE(SERVING));
    h2_put_headers(&conn->out, 0, stream, SG_SLICE("grpc-status: 0\n"));
}

static void no_http_status(struct bad_conn *conn, uint32_t stream)
{
    h2_put_headers(&conn->out, 0, stream, SG_SLICE("content-type: application/grpc\n"));
    data(conn, stream, SG_SLICE(SERVING));
    trailers(conn, stream);
}

static void data_without_headers(struct bad_conn *conn, uint32_t stream)
{
    data(conn, stream, SG_SLICE(SERVING));
    trailers(conn, stream);
}

static void data_after_trailers(struct bad_conn *conn, uint32_t stream)
{
    bad_script_good.answer(conn, stream);
    data(conn, stream, SG_SLICE(SERVING));
}

static void stream_window_overflow(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_WINDOW_UPDATE, 0, stream, SG_SLICE("\x7f\xff\xff\xff"));
    bad_script_good.answer(conn, stream);
}

static void connection_window_overflow(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_WINDOW_UPDATE, 0, 0, SG_SLICE("\x7f\xff\xff\xff"));
    bad_script_good.answer(conn, stream);
}

static void empty_window_update(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_WINDOW_UPDATE, 0, 0, SG_SLICE("\0\0\0\0"));
    bad_script_good.answer(conn, stream);
}

/* More than both windows together, of a message that is over the limit: the client resets it, and a
 * server that goes on all the same is not heard for ever. */
static void data_over_the_window(struct bad_conn *conn, uint32_t stream)
{
    enum { FRAMES = 600, FRAME = 16000 };
    static uint8_t zeros[FRAME];

    head(conn, stream);
    data(conn, stream, SG_SLICE("\0\0\x7f\xff\xff"));
    for (int i = 0; i < FRAMES; i++)
        data(conn, stream, sg_slice_of(zeros, FRAME));
}

static void frame_too_large(struct bad_conn *conn, uint32_t stream)
{
    static uint8_t zeros[16385];

    head(conn, stream);
    data(conn, stream, sg_slice_of(zeros, sizeof(zeros)));
}

static void push_promise(struct bad_conn *conn, uint32_t stream)
{
    struct sg_buf block;

    sg_buf_init(&block, 1000);
    sg_buf_add_be32(&block, 2);
    h2_put_block(&block, SG_SLICE(":method: GET\n:scheme: https\n:path: /\n:authority: a\n"));
    put(conn, H2_PUSH_PROMISE, H2_END_HEADERS, stream, sg_buf_slice(&block));
    sg_buf_done(&block);
}

static void unknown_stream(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream + 98);
}

static void bad_hpack(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_HEADERS, H2_END_HEADERS, stream, SG_SLICE("\xff\xff\xff\xff\xff\xff"));
}

static void goaway_with_error(struct bad_conn *conn, uint32_t stream)
{
    (void)stream;
    put(conn, H2_GOAWAY, 0, 0, SG_SLICE("\0\0\0\1\0\0\0\2"));
    conn->wants_close = true;
}

static void close_inside_a_frame(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    sg_buf_add(&conn->out, "\0\0\7\0\0", 5);
    conn->wants_close = true;
}

static void compressed(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE("\1\0\0\0\2\x08\1"));
    trailers(conn, stream);
}

static void length_of_four_gigabytes(struct bad_conn *conn, uint32_t stream)
{
    head(conn, stream);
    data(conn, stream, SG_SLICE("\0\xff\xff\xff\xff\x08\1"));
}

static void silence(struct bad_conn *conn, uint32_t stream)
{
    (void)conn, (void)stream;
}

static void bad_settings(struct bad_conn *conn)
{
    put(conn, H2_SETTINGS, 0, 0, SG_SLICE("\0\4\xff\xff\xff\xff")); /* a window over 2^31-1 */
}

static void greets_as_http1(struct bad_conn *conn)
{
    sg_buf_add_str(&conn->out, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
}

#define UNKNOWN_OUTCOME SEALGATE_OUTCOME_UNKNOWN
#define ANSWERED SEALGATE_OUTCOME_ANSWERED
#define NOT_DONE SEALGATE_OUTCOME_NOT_DONE

#define ROW(text, fn, how, what) .name = text, .script.answer = fn, .code = how, .outcome = what

static const struct {
    const char *name;
    struct bad_script script;
    enum sealgate_code code;
    enum sealgate_outcome outcome; /* of what is no success */
    uint32_t timeout_ms;           /* 0: it ends by itself */
    bool spoils_next; /* what is left of it breaks the connection under the next call */
} rows[] = {
    {ROW("rst_after_header", rst_after_header, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("rst_during_data", rst_during_data, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("rst_after_data", rst_after_data, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("SETTINGS flood", settings_flood, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("PING flood", ping_flood, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("empty DATA flood", empty_data_flood, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("headers too large", headers_too_large, SEALGATE_RESOURCE_EXHAUSTED, UNKNOWN_OUTCOME)},
    {ROW("CONTINUATION flood", continuation_flood, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("headers that never end", headers_without_end, SEALGATE_DEADLINE_EXCEEDED,
         UNKNOWN_OUTCOME),
     .timeout_ms = 300, .spoils_next = true},
    {ROW("a wrong content type", wrong_content_type, SEALGATE_UNKNOWN, UNKNOWN_OUTCOME)},
    {ROW("no content type", no_content_type, SEALGATE_UNKNOWN, UNKNOWN_OUTCOME)},
    {ROW("trailers without grpc-status", missing_status, SEALGATE_UNKNOWN, ANSWERED)},
    {ROW("no trailers", no_trailers, SEALGATE_UNKNOWN, ANSWERED)},
    {ROW("trailers without END_STREAM", trailers_without_end, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("no :status", no_http_status, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("DATA without HEADERS", data_without_headers, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("DATA after trailers", data_after_trailers, SEALGATE_OK, SEALGATE_OUTCOME_UNSET)},
    {ROW("a stream's window over 2^31-1", stream_window_overflow, SEALGATE_INTERNAL,
         UNKNOWN_OUTCOME)},
    {ROW("the connection's window over 2^31-1", connection_window_overflow, SEALGATE_UNAVAILABLE,
         UNKNOWN_OUTCOME)},
    {ROW("WINDOW_UPDATE by nothing", empty_window_update, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("a message over the limit, and DATA over every window", data_over_the_window,
         SEALGATE_RESOURCE_EXHAUSTED, UNKNOWN_OUTCOME),
     .spoils_next = true},
    {ROW("a frame over 16,384 bytes", frame_too_large, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("PUSH_PROMISE", push_promise, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("HEADERS of a stream that nobody opened", unknown_stream, SEALGATE_UNAVAILABLE,
         UNKNOWN_OUTCOME)},
    {ROW("HPACK that is none", bad_hpack, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("GOAWAY with an error", goaway_with_error, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("closed inside a frame", close_inside_a_frame, SEALGATE_UNAVAILABLE, UNKNOWN_OUTCOME)},
    {ROW("compressed, though not offered", compressed, SEALGATE_INTERNAL, UNKNOWN_OUTCOME)},
    {ROW("a message of four gigabytes", length_of_four_gigabytes, SEALGATE_RESOURCE_EXHAUSTED,
         UNKNOWN_OUTCOME)},
    {ROW("silence", silence, SEALGATE_DEADLINE_EXCEEDED, UNKNOWN_OUTCOME), .timeout_ms = 300},
    {ROW("SETTINGS out of range", silence, SEALGATE_UNAVAILABLE, NOT_DONE),
     .script.greet = bad_settings},
    {ROW("HTTP/1.1", silence, SEALGATE_UNAVAILABLE, NOT_DONE), .script.greet = greets_as_http1},
};

static enum sealgate_code check(struct sealgate_client *client, uint32_t timeout_ms,
                                struct sealgate_error *error)
{
    enum sealgate_health health = SEALGATE_HEALTH_UNKNOWN;
    enum sealgate_code code = sealgate_health_check(client, NULL, timeout_ms, &health, error);

    assert_int_equal(health == SEALGATE_HEALTH_SERVING, code == SEALGATE_OK);
    return code;
}

static struct sealgate_client *client_of(const struct bad_server *server)
{
    struct sealgate_options options = bad_server_options(server);
    struct sealgate_client *client = NULL;

    assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_OK);
    return client;
}

static void every_wrong_answer_is_an_error_and_the_next_call_works(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct bad_server *server = bad_server_start(&rows[i].script);
        struct sealgate_client *client = client_of(server);
        struct sealgate_error error = {0};

        print_message("  %s\n", rows[i].name);
        enum sealgate_code code = check(client, rows[i].timeout_ms, &error);
        if (code != rows[i].code)
            fail_msg("%s: %s", sealgate_code_name(code), error.message);
        if (code != SEALGATE_OK)
            assert_int_equal(error.outcome, rows[i].outcome);
        atomic_store(&server->script, &bad_script_good);
        code = check(client, 0, &error);
        if (rows[i].spoils_next) {
            assert_int_equal(code, SEALGATE_UNAVAILABLE);
            code = check(client, 0, &error);
        }
        if (code != SEALGATE_OK)
            fail_msg("the next call: %s: %s", sealgate_code_name(code), error.message);
        assert_int_equal(check(client, 0, NULL), SEALGATE_OK);
        sealgate_client_free(client);
        bad_server_stop(server);
    }
}

/* --- what is no fault --- */

/* "goaway": the call under way is answered, the next goes over a new connection. */
static void answer_and_goaway(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_GOAWAY, 0, 0, SG_SLICE("\0\0\0\1\0\0\0\0"));
    bad_script_good.answer(conn, stream);
}

static void goaway_moves_the_next_call_to_a_new_connection(void **state)
{
    static const struct bad_script script = {.answer = answer_and_goaway};
    struct bad_server *server = bad_server_start(&script);
    struct sealgate_client *client = client_of(server);

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(check(client, 0, NULL), SEALGATE_OK);
        assert_int_equal(atomic_load(&server->connections), i);
    }
    assert_int_equal(atomic_load(&server->calls), 3);
    sealgate_client_free(client);
    bad_server_stop(server);
}

/* The first connection takes no call at all and says so: another does. */
static void goaway_at_first(struct bad_conn *conn, uint32_t stream)
{
    if (conn->number == 1)
        put(conn, H2_GOAWAY, 0, 0, SG_SLICE("\0\0\0\0\0\0\0\0"));
    else
        bad_script_good.answer(conn, stream);
}

static void a_call_that_goaway_leaves_out_is_made_again(void **state)
{
    static const struct bad_script script = {.answer = goaway_at_first};
    struct bad_server *server = bad_server_start(&script);
    struct sealgate_client *client = client_of(server);

    (void)state;
    assert_int_equal(check(client, 0, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->connections), 2);
    assert_int_equal(atomic_load(&server->calls), 2);
    sealgate_client_free(client);
    bad_server_stop(server);
}

/* "ping": between all frames of an answer. */
static void answer_among_pings(struct bad_conn *conn, uint32_t stream)
{
    put(conn, H2_PING, 0, 0, SG_SLICE("12345678"));
    head(conn, stream);
    put(conn, H2_PING, 0, 0, SG_SLICE("12345678"));
    data(conn, stream, SG_SLICE(SERVING));
    put(conn, H2_PING, 0, 0, SG_SLICE("12345678"));
    trailers(conn, stream);
    put(conn, H2_PING, 0, 0, SG_SLICE("12345678"));
}

static void every_ping_is_answered(void **state)
{
    static const struct bad_script script = {.answer = answer_among_pings};
    struct bad_server *server = bad_server_start(&script);
    struct sealgate_client *client = client_of(server);

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(check(client, 0, NULL), SEALGATE_OK);
    /* What answers the last is sent by the steps of the next call. */
    assert_in_range(atomic_load(&server->pings_acked), 4 * 4, 5 * 4);
    assert_int_equal(atomic_load(&server->connections), 1);
    sealgate_client_free(client);
    bad_server_stop(server);
}

/* "max_streams": one at a time, whatever the client would like. */
static void one_stream(struct bad_conn *conn)
{
    put(conn, H2_SETTINGS, 0, 0, SG_SLICE("\0\3\0\0\0\1"));
}

/* Answers nothing before the client has said all that it wants to. */
static void hold(struct bad_conn *conn, uint32_t stream)
{
    conn->held[conn->held_count++] = stream;
}

static void answer_held(struct bad_conn *conn)
{
    for (size_t i = 0; i < conn->held_count; i++)
        bad_script_good.answer(conn, conn->held[i]);
    conn->held_count = 0;
}

static void on_health(void *user, const struct sealgate_error *error, enum sealgate_health health)
{
    unsigned *served = user;

    assert_null(error);
    *served += health == SEALGATE_HEALTH_SERVING;
}

static void no_more_streams_are_opened_than_the_server_takes(void **state)
{
    static const struct bad_script script = {
        .greet = one_stream, .answer = hold, .quiet = answer_held};
    struct bad_server *server = bad_server_start(&script);
    struct sealgate_client *client = client_of(server);
    unsigned served = 0;

    (void)state;
    assert_int_equal(check(client, 0, NULL), SEALGATE_OK); /* SETTINGS are known from here on */
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            sealgate_health_check_start(client, NULL, 0, on_health, &served, NULL, NULL),
            SEALGATE_OK);
    while (sealgate_client_open_calls(client) > 0) {
        struct pollfd news = {.fd = sealgate_client_fd(client), .events = POLLIN};
        (void)poll(&news, 1, sealgate_client_timeout_ms(client));
        sealgate_client_step(client);
    }
    assert_int_equal(served, 10);
    assert_int_equal(atomic_load(&server->connections), 1);
    assert_int_equal(atomic_load(&server->held_max), 1);
    sealgate_client_free(client);
    bad_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_answer_is_an_error_and_the_next_call_works),
        cmocka_unit_test(goaway_moves_the_next_call_to_a_new_connection),
        cmocka_unit_test(a_call_that_goaway_leaves_out_is_made_again),
        cmocka_unit_test(every_ping_is_answered),
        cmocka_unit_test(no_more_streams_are_opened_than_the_server_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
