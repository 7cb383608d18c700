#include <poll.h>

#include "base/clock.h"
#include "client/lib/client_priv.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Several endpoints: where calls go when one is away, and that none is ever sent twice. */

static struct test_server *first, *second;
static char both[80];
static struct sealgate_options options;
static struct sealgate_client *client;

static int start(void **state)
{
    (void)state;
    first = test_server_start();
    second = test_server_start_beside(first);
    options = test_server_options(first);
    snprintf(both, sizeof(both), "%s, %s", first->endpoint, second->endpoint);
    options.endpoint = both;
    return sealgate_client_new(&options, &client, NULL) == SEALGATE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    test_server_stop(second);
    test_server_stop(first);
    return 0;
}

static void renew(void)
{
    sealgate_client_free(client);
    assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_OK);
}

static const uint8_t digest[32] = {7};

static struct sealgate_sign_request request_by(const char *key)
{
    return (struct sealgate_sign_request){
        .key = key, .digest = SEALGATE_DIGEST_SHA256, .content = {digest, sizeof(digest)}};
}

static enum sealgate_code sign(const char *key, uint32_t timeout_ms, struct sealgate_error *error)
{
    struct sealgate_sign_request request = request_by(key);
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, timeout_ms, &signature, error);

    assert_int_equal(signature != NULL, code == SEALGATE_OK);
    sealgate_free(signature);
    return code;
}

static unsigned calls_of(const struct test_server *server)
{
    return atomic_load(&server->calls);
}

struct tally {
    unsigned good, not_done, unknown;
    struct sealgate_error error; /* the last */
};

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    struct tally *tally = user;

    (void)signature;
    if (error == NULL) {
        tally->good++;
        return;
    }
    *(error->outcome == SEALGATE_OUTCOME_UNKNOWN ? &tally->unknown : &tally->not_done) += 1;
    tally->error = *error;
}

static void sign_start(const char *key, uint32_t timeout_ms, struct tally *tally)
{
    struct sealgate_sign_request request = request_by(key);

    assert_int_equal(
        sealgate_sign_start(client, &request, timeout_ms, on_signed, tally, NULL, NULL),
        SEALGATE_OK);
}

static void turn(void)
{
    struct pollfd news = {.fd = sealgate_client_fd(client), .events = POLLIN};
    int timeout_ms = sealgate_client_timeout_ms(client);

    assert_true(poll(&news, 1, timeout_ms < 0 || timeout_ms > 20 ? 20 : timeout_ms) >= 0);
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

static int64_t ms_since(int64_t begin_ns)
{
    return (sg_mono_ns(&sg_clock_system) - begin_ns) / SG_NS_PER_MS;
}

/* ---- Connections that do not come about ----------------------------------------------------- */

static void the_next_endpoint_is_asked_when_the_first_is_away(void **state)
{
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    test_server_set_down(first, true);
    for (int i = 0; i < 20; i++)
        assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    assert_in_range(ms_since(begin_ns), 0, 3000);
    assert_int_equal(calls_of(second), 20);
    assert_int_equal(atomic_load(&second->connections), 1);
}

static void an_endpoint_that_says_nothing_takes_its_share_of_the_time(void **state)
{
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    atomic_store(&first->mute, true);
    assert_int_equal(sign("keys/ok", 2000, NULL), SEALGATE_OK); /* connecting may take 5,000 */
    assert_in_range(ms_since(begin_ns), 900, 2000);
    assert_int_equal(calls_of(second), 1);
}

static void an_endpoint_that_hangs_up_while_it_is_called_is_passed_over(void **state)
{
    (void)state;
    atomic_store(&first->cut, 1);
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    assert_int_equal(calls_of(second), 1);
}

static void a_call_waits_for_an_endpoint_to_come_back(void **state)
{
    struct tally tally = {0};
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    test_server_set_down(first, true);
    test_server_set_down(second, true);
    sign_start("keys/ok", 15000, &tally);
    while (ms_since(begin_ns) < 700)
        turn();
    assert_int_equal(tally.good + tally.not_done, 0);
    test_server_set_down(second, false);
    run_until_idle();
    assert_int_equal(tally.good, 1);
    assert_int_equal(calls_of(first) + calls_of(second), 1);
}

static void when_the_time_is_up_the_cause_is_told(void **state)
{
    struct sealgate_error error;
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    test_server_set_down(first, true);
    test_server_set_down(second, true);
    assert_int_equal(sign("keys/ok", 600, &error), SEALGATE_UNAVAILABLE);
    assert_in_range(ms_since(begin_ns), 600, 3000);
    assert_string_equal(error.reason, "CONNECT_FAILED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_non_null(strstr(error.message, "refused (tried again until the time was up)"));
}

static void waiting_for_endpoints_does_not_spin(void **state)
{
    struct tally tally = {0};
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);
    unsigned turns = 0;

    (void)state;
    test_server_set_down(first, true);
    test_server_set_down(second, true);
    sign_start("keys/ok", 1500, &tally);
    while (sealgate_client_open_calls(client) > 0) {
        turns++;
        turn();
    }
    assert_in_range(ms_since(begin_ns), 1500, 5000);
    assert_in_range(turns, 1, 300); /* turn() itself makes 75 of not more than 20 ms */
    assert_int_equal(tally.not_done, 1);
}

static void what_waiting_does_not_mend_fails_at_once(void **state)
{
    struct sealgate_error error;
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    options.cert_file = first->other_cert_file;
    options.key_file = first->other_key_file;
    renew();
    assert_int_equal(sign("keys/ok", 10000, &error), SEALGATE_UNAUTHENTICATED);
    assert_string_equal(error.reason, "CLIENT_CERT_REFUSED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_in_range(ms_since(begin_ns), 0, 5000);
    assert_int_equal(atomic_load(&first->connections) + atomic_load(&second->connections), 2);
}

static void one_endpoint_is_waited_for_when_that_is_asked(void **state)
{
    struct tally tally = {0};
    struct sealgate_error error;
    int64_t begin_ns;

    (void)state;
    options.endpoint = first->endpoint;
    renew();
    test_server_set_down(first, true);
    begin_ns = sg_mono_ns(&sg_clock_system);
    assert_int_equal(sign("keys/ok", 10000, &error), SEALGATE_UNAVAILABLE);
    assert_in_range(ms_since(begin_ns), 0, 3000);

    options.wait_for_ready = true;
    renew();
    begin_ns = sg_mono_ns(&sg_clock_system);
    sign_start("keys/ok", 10000, &tally);
    while (ms_since(begin_ns) < 300)
        turn();
    test_server_set_down(first, false);
    run_until_idle();
    assert_int_equal(tally.good, 1);
}

/* ---- Connections that end ------------------------------------------------------------------- */

static void a_client_stays_with_what_works(void **state)
{
    (void)state;
    test_server_set_down(first, true);
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    test_server_set_down(first, false);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    assert_int_equal(calls_of(first), 0);
    test_server_set_down(second, true);
    (void)sign("keys/ok", 5000, NULL); /* may have been on its way when the second died */
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    assert_true(calls_of(first) >= 1);
}

/* Killed while calls are under way: those may have been done and are not sent again, however much
 * time they have; all others are answered by the other one. */
static void of_a_killed_server_only_what_it_had_is_lost(void **state)
{
    struct tally hanging = {0}, others = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        sign_start("keys/hang", 0, &hanging);
    while (calls_of(first) < 10)
        turn();
    test_server_set_down(first, true);
    for (int i = 0; i < 200; i++)
        sign_start("keys/ok", 0, &others);
    run_until_idle();
    assert_int_equal(hanging.unknown, 10);
    assert_string_equal(hanging.error.reason, "CONNECTION_LOST");
    assert_int_equal(others.good + others.unknown, 200);
    assert_int_equal(others.not_done, 0);
    assert_int_equal(calls_of(first), 10);
    assert_int_equal(calls_of(second), others.good);
}

static void servers_that_die_in_turn_lose_nothing_that_was_not_sent(void **state)
{
    struct tally tally = {0};
    unsigned started = 0;

    (void)state;
    for (int round = 0; round < 6; round++) {
        struct test_server *dying = round % 2 == 0 ? first : second;

        for (int i = 0; i < 50; i++, started++)
            sign_start("keys/ok", 10000, &tally);
        for (int i = 0; i < 3; i++)
            turn();
        test_server_set_down(dying, true);
        run_until_idle();
        test_server_set_down(dying, false);
    }
    assert_int_equal(tally.not_done, 0);
    assert_int_equal(tally.good + tally.unknown, started);
    assert_true(tally.good >= started / 2);
    /* What was begun anywhere is at most what was answered or may have been done: none twice. */
    assert_in_range(calls_of(first) + calls_of(second), tally.good, tally.good + tally.unknown);
}

static void goaway_before_every_call_moves_on_to_the_next(void **state)
{
    (void)state;
    atomic_store(&first->refuse, 1000);
    for (int i = 0; i < 10; i++)
        assert_int_equal(sign("keys/ok", 10000, NULL), SEALGATE_OK);
    assert_int_equal(calls_of(first), 0);
    assert_int_equal(calls_of(second), 10);
}

static void goaway_lets_calls_finish_and_loses_none(void **state)
{
    struct tally tally = {0}, hanging = {0};

    (void)state;
    sign_start("keys/hang", 1500, &hanging);
    for (int i = 0; i < 40; i++)
        sign_start(i % 10 == 9 ? "keys/drain" : "keys/ok", 10000, &tally);
    run_until_idle();
    assert_int_equal(tally.good, 40);
    assert_string_equal(hanging.error.reason, "DEADLINE"); /* it stayed, on the old connection */
    assert_int_equal(calls_of(first) + calls_of(second), 41);
}

static void a_refused_stream_goes_to_the_next_and_the_others_stay(void **state)
{
    struct tally hanging = {0}, refused = {0};

    (void)state;
    sign_start("keys/hang", 1500, &hanging);
    while (calls_of(first) < 1)
        turn();
    atomic_store(&first->refuse_streams, 1);
    sign_start("keys/ok", 10000, &refused);
    while (refused.good == 0)
        turn();
    assert_int_equal(calls_of(second), 1);
    assert_int_equal(hanging.unknown + hanging.not_done, 0);
    run_until_idle();
    assert_string_equal(hanging.error.reason, "DEADLINE");
    assert_int_equal(calls_of(first), 1);
}

static void what_everybody_refuses_is_told_when_the_time_is_up(void **state)
{
    struct sealgate_error error;
    int64_t begin_ns = sg_mono_ns(&sg_clock_system);

    (void)state;
    atomic_store(&first->refuse_streams, 100000);
    atomic_store(&second->refuse_streams, 100000);
    assert_int_equal(sign("keys/ok", 800, &error), SEALGATE_UNAVAILABLE);
    assert_in_range(ms_since(begin_ns), 790, 3000);
    assert_string_equal(error.reason, "NOT_PROCESSED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_int_equal(calls_of(first) + calls_of(second), 0);
    assert_in_range(atomic_load(&first->connections), 1, 12); /* a pause before each */
}

/* It had the call, so that one is lost; but the next ones are answered, and in time. */
static void a_server_that_falls_silent_is_left(void **state)
{
    struct sealgate_error error;
    int64_t begin_ns;

    (void)state;
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    atomic_store(&first->mute, true);
    while (!atomic_load(&first->is_mute))
        (void)poll(NULL, 0, 1);
    assert_int_equal(sign("keys/ok", 300, &error), SEALGATE_DEADLINE_EXCEEDED);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    begin_ns = sg_mono_ns(&sg_clock_system);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sign("keys/ok", 3000, NULL), SEALGATE_OK);
    assert_in_range(ms_since(begin_ns), 0, 2500);
    assert_int_equal(calls_of(second), 5);
}

/* A call may take longer than it has on a server that is quite well. */
static void a_slow_call_does_not_make_a_server_silent(void **state)
{
    struct tally slow = {0}, others = {0};

    (void)state;
    sign_start("keys/hang", 400, &slow);
    while (slow.unknown == 0) {
        if (sealgate_client_open_calls(client) < 2)
            sign_start("keys/ok", 5000, &others);
        turn();
    }
    run_until_idle();
    assert_true(others.good > 0);
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
    assert_int_equal(calls_of(second), 0);
}

static void a_call_that_was_answered_is_not_asked_elsewhere(void **state)
{
    struct sealgate_error error;

    (void)state;
    assert_int_equal(sign("keys/denied", 0, &error), SEALGATE_NOT_FOUND);
    assert_int_equal(sign("keys/bare", 0, &error), SEALGATE_INTERNAL);
    assert_int_equal(sign("keys/close", 0, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(calls_of(first), 3);
    assert_int_equal(calls_of(second), 0);
}

/* ---- Streams -------------------------------------------------------------------------------- */

struct stream {
    unsigned items, done;
    bool is_ok;
};

static void on_item(void *user, const char *item_id, const struct sealgate_error *error,
                    const struct sealgate_signature *signature)
{
    (void)item_id, (void)error;
    ((struct stream *)user)->items += signature != NULL;
}

static void on_done(void *user, const struct sealgate_error *error)
{
    ((struct stream *)user)->done++;
    ((struct stream *)user)->is_ok = error == NULL;
}

static void a_stream_that_has_not_begun_goes_to_the_next(void **state)
{
    static const struct sealgate_stream_events events = {.item = on_item, .done = on_done};
    struct sealgate_sign_request request = request_by("keys/ok");
    struct sealgate_call *call = NULL;
    struct stream stream = {0};

    (void)state;
    test_server_set_down(first, true);
    assert_int_equal(sealgate_sign_stream_start(client, 5000, &events, &stream, &call, NULL),
                     SEALGATE_OK);
    assert_int_equal(sealgate_stream_send(call, "1", &request, NULL), SEALGATE_OK);
    sealgate_stream_close(call);
    run_until_idle();
    assert_int_equal(stream.items, 1);
    assert_true(stream.is_ok);
}

/* ---- Limits and keepalive ------------------------------------------------------------------- */

static void calls_over_the_limit_are_not_taken(void **state)
{
    struct sealgate_sign_request request = request_by("keys/ok");
    struct sealgate_error error;
    struct tally tally = {0};

    (void)state;
    options.calls_max = 3;
    renew();
    for (int i = 0; i < 3; i++)
        sign_start("keys/ok", 0, &tally);
    assert_int_equal(sealgate_sign_start(client, &request, 0, on_signed, &tally, NULL, &error),
                     SEALGATE_RESOURCE_EXHAUSTED);
    assert_string_equal(error.reason, "TOO_MUCH_WAITING");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    run_until_idle();
    assert_int_equal(tally.good, 3);
    sign_start("keys/ok", 0, &tally); /* there is room again */
    run_until_idle();
}

static void keepalive_is_off_and_never_below_what_servers_suffer(void **state)
{
    (void)state;
    assert_int_equal(client->config.limits.ping_interval_ns, 0);
    options.keepalive_ms = 1;
    renew();
    assert_int_equal(client->config.limits.ping_interval_ns, 300 * SG_NS_PER_S);
    options.keepalive_ms = 600000;
    renew();
    assert_int_equal(client->config.limits.ping_interval_ns, 600 * SG_NS_PER_S);
    assert_int_equal(client->config.limits.ping_timeout_ns, 20 * SG_NS_PER_S);
}

/* Nothing but our pings goes over this connection, and the server suffers two that come too soon.
 * The call that waited on it may have been done; the next connection pings half as often. */
static void too_many_pings_are_halved(void **state)
{
    struct tally tally = {0};

    (void)state;
    client->config.limits.ping_interval_ns = 10 * SG_NS_PER_MS;
    sign_start("keys/hang", 5000, &tally);
    run_until_idle();
    assert_int_equal(tally.unknown, 1);
    assert_string_equal(tally.error.reason, "CONNECTION_LOST");
    assert_int_equal(client->config.limits.ping_interval_ns, 20 * SG_NS_PER_MS);
    assert_int_equal(sign("keys/ok", 5000, NULL), SEALGATE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_endpoint_is_asked_when_the_first_is_away),
        TEST(an_endpoint_that_says_nothing_takes_its_share_of_the_time),
        TEST(an_endpoint_that_hangs_up_while_it_is_called_is_passed_over),
        TEST(a_call_waits_for_an_endpoint_to_come_back),
        TEST(when_the_time_is_up_the_cause_is_told),
        TEST(waiting_for_endpoints_does_not_spin),
        TEST(what_waiting_does_not_mend_fails_at_once),
        TEST(one_endpoint_is_waited_for_when_that_is_asked),
        TEST(a_client_stays_with_what_works),
        TEST(of_a_killed_server_only_what_it_had_is_lost),
        TEST(servers_that_die_in_turn_lose_nothing_that_was_not_sent),
        TEST(goaway_before_every_call_moves_on_to_the_next),
        TEST(goaway_lets_calls_finish_and_loses_none),
        TEST(a_refused_stream_goes_to_the_next_and_the_others_stay),
        TEST(what_everybody_refuses_is_told_when_the_time_is_up),
        TEST(a_server_that_falls_silent_is_left),
        TEST(a_slow_call_does_not_make_a_server_silent),
        TEST(a_call_that_was_answered_is_not_asked_elsewhere),
        TEST(a_stream_that_has_not_begun_goes_to_the_next),
        TEST(calls_over_the_limit_are_not_taken),
        TEST(keepalive_is_off_and_never_below_what_servers_suffer),
        TEST(too_many_pings_are_halved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
