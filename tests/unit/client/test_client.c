#include <poll.h>

#include "base/clock.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* The non-blocking core: one descriptor, a timeout, a step; streams, cancelling, freeing. */

static struct test_server *server;
static struct sealgate_client *client;

static int start(void **state)
{
    struct sealgate_options options;

    (void)state;
    server = test_server_start();
    options = test_server_options(server);
    return sealgate_client_new(&options, &client, NULL) == SEALGATE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    client = NULL;
    test_server_stop(server);
    return 0;
}

static const uint8_t digest[32] = {9};

static struct sealgate_sign_request request_by(const char *key)
{
    return (struct sealgate_sign_request){
        .key = key, .digest = SEALGATE_DIGEST_SHA256, .content = {digest, sizeof(digest)}};
}

/* One turn of an application's loop, by the descriptor and the timeout; not for longer than 50 ms,
 * because some tests wait for what the server has seen. */
static void turn(void)
{
    struct pollfd news = {.fd = sealgate_client_fd(client), .events = POLLIN};
    int timeout_ms = sealgate_client_timeout_ms(client);

    assert_true(poll(&news, 1, timeout_ms < 0 || timeout_ms > 50 ? 50 : timeout_ms) >= 0);
    sealgate_client_step(client);
}

static void run_until_idle(void)
{
    int64_t end_ns = sg_mono_ns(&sg_clock_system) + 20 * SG_NS_PER_S;

    while (sealgate_client_open_calls(client) > 0) {
        assert_true(sg_mono_ns(&sg_clock_system) < end_ns);
        turn();
    }
}

/* ---- Calls ---------------------------------------------------------------------------------- */

struct tally {
    unsigned good, bad, again;
    struct sealgate_error error; /* the last */
    struct sealgate_call *call;
};

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    struct tally *tally = user;
    struct sealgate_sign_request request = request_by("keys/ok");
    struct sealgate_signature *blocking = NULL;
    struct sealgate_error refused;

    assert_int_equal(error == NULL, signature != NULL);
    if (error == NULL) {
        tally->good++;
    } else {
        tally->bad++;
        tally->error = *error;
    }
    if (tally->again == 0)
        return;
    tally->again--;
    /* A callback may start calls, and may not wait for them. */
    assert_int_equal(sealgate_sign(client, &request, 0, &blocking, &refused),
                     SEALGATE_FAILED_PRECONDITION);
    assert_string_equal(refused.reason, "WRONG_MOMENT");
    assert_int_equal(sealgate_sign_start(client, &request, 0, on_signed, tally, NULL, NULL),
                     SEALGATE_OK);
}

static void sign_start(const char *key, uint32_t timeout_ms, struct tally *tally)
{
    struct sealgate_sign_request request = request_by(key);

    assert_int_equal(
        sealgate_sign_start(client, &request, timeout_ms, on_signed, tally, &tally->call, NULL),
        SEALGATE_OK);
}

static void many_calls_share_the_connection_and_wait_for_streams(void **state)
{
    struct tally tally = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) /* far more than the server takes at once */
        sign_start("keys/ok", 0, &tally);
    assert_int_equal(sealgate_client_open_calls(client), 1000);
    assert_int_equal(tally.good, 0); /* never from inside start */
    run_until_idle();
    assert_int_equal(tally.good, 1000);
    assert_int_equal(atomic_load(&server->connections), 1);
    assert_int_not_equal(sealgate_client_timeout_ms(client), 0); /* idle, and not spinning */
}

static void a_callback_may_start_calls_and_may_not_block(void **state)
{
    struct tally tally = {.again = 50};

    (void)state;
    sign_start("keys/ok", 0, &tally);
    run_until_idle();
    assert_int_equal(tally.good, 51);
}

static void the_descriptor_stays_while_connections_change(void **state)
{
    int fd = sealgate_client_fd(client);
    struct tally tally = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        sign_start(i % 2 == 0 ? "keys/ok" : "keys/close", 0, &tally);
        run_until_idle();
        assert_int_equal(sealgate_client_fd(client), fd);
    }
    assert_int_equal(tally.good, 3);
    assert_int_equal(tally.bad, 2);
}

static void every_call_of_a_lost_connection_is_told_once(void **state)
{
    struct tally hanging = {0}, closing = {0};

    (void)state;
    for (int i = 0; i < 20; i++)
        sign_start("keys/hang", 0, &hanging);
    while (atomic_load(&server->calls) < 20)
        turn();
    sign_start("keys/close", 0, &closing);
    run_until_idle();
    assert_int_equal(hanging.bad, 20);
    assert_int_equal(hanging.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_string_equal(hanging.error.reason, "CONNECTION_LOST");
    assert_int_equal(closing.bad, 1);
}

static void each_call_has_its_own_deadline(void **state)
{
    struct tally slow = {0}, fast = {0};
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    sign_start("keys/hang", 400, &slow);
    sign_start("keys/hang", 100, &fast);
    while (fast.bad == 0)
        turn();
    assert_int_equal(slow.bad, 0);
    run_until_idle();
    assert_int_equal(slow.bad, 1);
    assert_string_equal(slow.error.reason, "DEADLINE");
    assert_true(sg_mono_ns(&sg_clock_system) - begin_ns >= 395 * SG_NS_PER_MS);
}

static void a_cancelled_call_ends_cancelled_whether_sent_or_not(void **state)
{
    struct tally waiting = {0}, running = {0};

    (void)state;
    sign_start("keys/hang", 0, &waiting);
    sealgate_call_cancel(waiting.call);
    run_until_idle();
    assert_int_equal(waiting.error.code, SEALGATE_CANCELLED);
    assert_int_equal(waiting.error.outcome, SEALGATE_OUTCOME_NOT_DONE);

    sign_start("keys/hang", 0, &running);
    while (atomic_load(&server->calls) == 0)
        turn();
    sealgate_call_cancel(running.call);
    run_until_idle();
    assert_int_equal(running.bad, 1);
    assert_int_equal(running.error.code, SEALGATE_CANCELLED);
    assert_int_equal(running.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
}

static void freeing_the_client_ends_every_call(void **state)
{
    struct tally running = {0}, waiting = {0};

    (void)state;
    sign_start("keys/hang", 0, &running);
    while (atomic_load(&server->calls) == 0)
        turn();
    sign_start("keys/hang", 0, &waiting);
    sealgate_client_free(client);
    client = NULL;
    assert_int_equal(running.bad, 1);
    assert_int_equal(waiting.bad, 1);
    assert_int_equal(running.error.code, SEALGATE_CANCELLED);
    assert_int_equal(running.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(waiting.error.outcome, SEALGATE_OUTCOME_NOT_DONE);
}

static void calls_go_on_over_goaway(void **state)
{
    struct tally tally = {0}, hanging = {0};

    (void)state;
    sign_start("keys/hang", 1500, &hanging);
    for (int i = 0; i < 3; i++) {
        sign_start("keys/drain", 0, &tally);
        while (tally.good + tally.bad < (unsigned)i * 2 + 1)
            turn();
        sign_start("keys/ok", 0, &tally);
        while (tally.good + tally.bad < (unsigned)i * 2 + 2)
            turn();
    }
    assert_int_equal(tally.good, 6);
    assert_int_equal(hanging.bad, 0); /* still under way on the connection that is going away */
    run_until_idle();
    assert_string_equal(hanging.error.reason, "DEADLINE");
    assert_int_equal(atomic_load(&server->connections), 4);
}

/* ---- Streams -------------------------------------------------------------------------------- */

struct stream {
    unsigned signed_items, failed_items, done, writables;
    char last_id[80];
    bool is_ok;
    struct sealgate_error item_error, error;
};

static void on_item(void *user, const char *item_id, const struct sealgate_error *error,
                    const struct sealgate_signature *signature)
{
    struct stream *stream = user;

    assert_int_equal(error == NULL, signature != NULL);
    snprintf(stream->last_id, sizeof(stream->last_id), "%s", item_id);
    if (error == NULL) {
        stream->signed_items++;
    } else {
        stream->failed_items++;
        stream->item_error = *error;
    }
}

static void on_writable(void *user)
{
    ((struct stream *)user)->writables++;
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct stream *stream = user;

    stream->done++;
    stream->is_ok = error == NULL;
    if (error != NULL)
        stream->error = *error;
}

static struct sealgate_call *stream_start(struct stream *stream, uint32_t timeout_ms)
{
    static const struct sealgate_stream_events events = {
        .item = on_item, .writable = on_writable, .done = on_done};
    struct sealgate_call *call = NULL;

    assert_int_equal(sealgate_sign_stream_start(client, timeout_ms, &events, stream, &call, NULL),
                     SEALGATE_OK);
    return call;
}

static enum sealgate_code stream_send(struct sealgate_call *call, const char *item_id,
                                      const char *key)
{
    struct sealgate_sign_request request = request_by(key);

    return sealgate_stream_send(call, item_id, &request, NULL);
}

static void items_of_a_stream_come_back_by_their_ids(void **state)
{
    struct stream stream = {0};
    struct sealgate_call *call = stream_start(&stream, 0);

    (void)state;
    assert_int_equal(stream_send(call, "before the connection", "keys/ok"), SEALGATE_OK);
    while (stream.signed_items < 1)
        turn();
    assert_string_equal(stream.last_id, "before the connection");
    assert_int_equal(stream_send(call, "two", "keys/denied"), SEALGATE_OK);
    while (stream.failed_items < 1)
        turn();
    assert_string_equal(stream.item_error.reason, "KEY_NOT_FOUND");
    assert_int_equal(stream.item_error.retry_after_ms, 251);
    assert_int_equal(stream_send(call, "three", "keys/bad-crc"), SEALGATE_OK);
    while (stream.failed_items < 2)
        turn();
    assert_string_equal(stream.item_error.reason, "RESPONSE_CRC_MISMATCH");
    assert_int_equal(stream_send(call, "four", "keys/ok"), SEALGATE_OK);
    sealgate_stream_close(call);
    assert_int_equal(stream_send(call, "five", "keys/ok"), SEALGATE_FAILED_PRECONDITION);
    run_until_idle();
    assert_int_equal(stream.signed_items, 2);
    assert_int_equal(stream.done, 1);
    assert_true(stream.is_ok);
}

static void a_stream_closed_before_it_ran_is_in_order(void **state)
{
    struct stream stream = {0};
    struct sealgate_call *call = stream_start(&stream, 0);

    (void)state;
    assert_int_equal(stream_send(call, "1", "keys/ok"), SEALGATE_OK);
    sealgate_stream_close(call);
    sealgate_stream_close(call);
    run_until_idle();
    assert_int_equal(stream.signed_items, 1);
    assert_true(stream.is_ok);
}

static void a_stream_says_when_it_is_full_and_when_not(void **state)
{
    static const uint8_t message[4096];
    struct sealgate_sign_request request = {.key = "keys/ok",
                                            .content = {message, sizeof(message)}};
    struct stream stream = {0};
    struct sealgate_call *call = stream_start(&stream, 0);
    unsigned sent = 0, wanted = 3000; /* 12 MB */

    (void)state;
    while (sent < wanted) {
        unsigned before = stream.writables;
        enum sealgate_code code = sealgate_stream_send(call, "x", &request, NULL);
        if (code == SEALGATE_OK) {
            sent++;
            continue;
        }
        assert_int_equal(code, SEALGATE_RESOURCE_EXHAUSTED);
        while (stream.writables == before)
            turn();
    }
    sealgate_stream_close(call);
    run_until_idle();
    assert_true(stream.writables > 0);
    assert_int_equal(stream.signed_items, wanted);
    assert_true(stream.is_ok);
}

static void a_lost_stream_tells_that_it_was_lost(void **state)
{
    struct stream stream = {0};
    struct sealgate_call *call = stream_start(&stream, 0);

    (void)state;
    assert_int_equal(stream_send(call, "1", "keys/ok"), SEALGATE_OK);
    assert_int_equal(stream_send(call, "2", "keys/close"), SEALGATE_OK);
    run_until_idle();
    assert_int_equal(stream.done, 1);
    assert_false(stream.is_ok);
    assert_int_equal(stream.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_string_equal(stream.error.reason, "CONNECTION_LOST");
}

static void a_stream_has_a_deadline_and_can_be_cancelled(void **state)
{
    struct stream late = {0}, cancelled = {0};

    (void)state;
    stream_start(&late, 100);
    run_until_idle();
    assert_string_equal(late.error.reason, "DEADLINE");
    sealgate_call_cancel(stream_start(&cancelled, 0));
    run_until_idle();
    assert_int_equal(cancelled.error.code, SEALGATE_CANCELLED);
}

/* ---- Watching ------------------------------------------------------------------------------- */

struct watch {
    unsigned changes, done;
    enum sealgate_health last;
    struct sealgate_error error;
};

static void on_changed(void *user, enum sealgate_health health)
{
    struct watch *watch = user;

    watch->changes++;
    watch->last = health;
}

static void on_watch_done(void *user, const struct sealgate_error *error)
{
    struct watch *watch = user;

    watch->done++;
    watch->error = *error;
}

static void a_watch_tells_at_once_and_ends_with_an_error(void **state)
{
    static const struct sealgate_watch_events events = {.changed = on_changed,
                                                        .done = on_watch_done};
    struct watch watch = {0}, ended = {0};
    struct sealgate_call *call = NULL;

    (void)state;
    assert_int_equal(sealgate_health_watch_start(client, "", 0, &events, &watch, &call, NULL),
                     SEALGATE_OK);
    while (watch.changes == 0)
        turn();
    assert_int_equal(watch.last, SEALGATE_HEALTH_SERVING);
    sealgate_call_cancel(call);
    run_until_idle();
    assert_int_equal(watch.done, 1);
    assert_int_equal(watch.error.code, SEALGATE_CANCELLED);

    assert_int_equal(sealgate_health_watch_start(client, "ends", 0, &events, &ended, NULL, NULL),
                     SEALGATE_OK);
    run_until_idle();
    assert_int_equal(ended.changes, 1);
    assert_string_equal(ended.error.reason, "RESPONSE_MALFORMED");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_calls_share_the_connection_and_wait_for_streams),
        TEST(a_callback_may_start_calls_and_may_not_block),
        TEST(the_descriptor_stays_while_connections_change),
        TEST(every_call_of_a_lost_connection_is_told_once),
        TEST(each_call_has_its_own_deadline),
        TEST(a_cancelled_call_ends_cancelled_whether_sent_or_not),
        TEST(freeing_the_client_ends_every_call),
        TEST(calls_go_on_over_goaway),
        TEST(items_of_a_stream_come_back_by_their_ids),
        TEST(a_stream_closed_before_it_ran_is_in_order),
        TEST(a_stream_says_when_it_is_full_and_when_not),
        TEST(a_lost_stream_tells_that_it_was_lost),
        TEST(a_stream_has_a_deadline_and_can_be_cancelled),
        TEST(a_watch_tells_at_once_and_ends_with_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
