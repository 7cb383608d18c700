#include "base/clock.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* Deadlines, pings, idleness, age and the end of a connection. */

#define HELLO SG_SLICE("\0\0\0\0\5hello")
#define LATER SG_SLICE("\0\0\0\0\5later")
#define NONE SG_SLICE("")

static void the_clients_deadline_ends_a_call(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){
                   .path = "/echo.Echo/Unary", .extra = {"grpc-timeout", "50m"}, .body = LATER});
    peer_run(&peer);
    assert_int_equal(sg_call_deadline(peer.echo.later), peer.now_ns + 50 * SG_NS_PER_MS);
    assert_int_equal(sg_call_started(peer.echo.later), peer.now_ns);
    peer_wait(&peer, 49 * SG_NS_PER_MS);
    assert_false(answer->is_closed);
    assert_true(sg_rpc_server_due(peer.server) <= peer.now_ns + SG_NS_PER_MS);
    peer_wait(&peer, SG_NS_PER_MS);
    assert_true(peer_has(answer, "grpc-status: 4"));
    assert_true(peer_has(answer, "grpc-message: DEADLINE"));
    assert_int_equal(answer->blocks, 1);
    assert_true(answer->is_closed);
    assert_int_equal(peer.echo.closed, 1);
    assert_null(peer.echo.later);
    peer_stop(&peer);
}

static void a_deadline_is_clamped_and_has_a_default(void **state)
{
    (void)state;
    static const char *const timeouts[] = {"99999999H", "61S", NULL};
    for (size_t i = 0; i < SG_COUNT(timeouts); i++) {
        struct peer peer;
        peer_start(&peer, NULL, 0);
        peer_request(&peer, (struct peer_request){
                                .path = "/echo.Echo/Unary",
                                .extra = {timeouts[i] == NULL ? NULL : "grpc-timeout", timeouts[i]},
                                .body = LATER});
        peer_run(&peer);
        assert_int_equal(sg_call_deadline(peer.echo.later),
                         peer.now_ns + sg_rpc_limits_default.deadline_ns_max);
        peer_stop(&peer);
    }
}

static void a_deadline_closes_a_call_whose_client_does_not_read(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer.echo.stream_message_len = 100000; /* more than the client's window */
    peer_request(&peer, (struct peer_request){.path = "/echo.Echo/ServerStream",
                                              .extra = {"grpc-timeout", "1S"},
                                              .body = HELLO});
    peer.does_not_read = true;
    peer_run(&peer);
    assert_int_equal(peer.echo.closed, 0);
    peer_wait(&peer, SG_NS_PER_S);
    assert_int_equal(peer.echo.closed, 1);
    assert_int_equal(sg_rpc_server_open_calls(peer.server), 1); /* its stream lingers */
    peer_wait(&peer, SG_NS_PER_S);
    peer_pull(&peer);
    assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
    peer_stop(&peer);
}

static void an_early_answer_lets_the_client_finish_for_a_second(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){
                   .path = "/echo.Echo/Bidi", .body = SG_SLICE("\0\0\0\0\4stop"), .is_open = true});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 10"));
    assert_true(answer->is_end);
    assert_false(answer->is_closed); /* no RST_STREAM yet: curl 7.88 would drop the answer */
    peer_more(&peer, answer, HELLO, false);
    peer_run(&peer);
    assert_int_equal(peer.echo.messages, 1); /* what comes late is dropped */
    peer_wait(&peer, 999 * SG_NS_PER_MS);
    assert_false(answer->is_closed);
    peer_wait(&peer, SG_NS_PER_MS);
    assert_true(answer->is_closed);
    assert_int_equal(answer->error, 0); /* RST_STREAM(NO_ERROR) */
    assert_int_equal(peer.echo.closed, 1);
    peer_stop(&peer);
}

static void an_early_answer_is_not_paid_for_with_endless_reading(void **state)
{
    (void)state;
    struct peer peer;
    struct sg_buf body;
    sg_buf_init(&body, 1 << 20);
    memset(sg_buf_room(&body, 300 << 10), 0, 300 << 10);
    sg_buf_claim(&body, 300 << 10);
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){
                   .path = "/echo.Echo/Nothing", .body = sg_buf_slice(&body), .is_open = true});
    peer_run(&peer);
    peer_wait(&peer, 0);
    assert_true(peer_has(answer, "grpc-status: 12"));
    assert_true(answer->is_closed);
    assert_int_equal(answer->error, 0);
    peer_stop(&peer);
    sg_buf_done(&body);
}

static void too_many_pings_end_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_request(&peer,
                 (struct peer_request){.path = "/echo.Echo/Bidi", .is_open = true, .body = NONE});
    peer_run(&peer);
    for (size_t i = 0; i < 3; i++) {
        peer_ping(&peer);
        peer_run(&peer);
        assert_int_equal(peer.goaways, 0);
        peer_wait(&peer, SG_NS_PER_S);
    }
    peer_ping(&peer);
    peer_run(&peer);
    assert_int_equal(peer.goaways, 1);
    assert_int_equal(peer.goaway_error, 11);
    assert_string_equal(peer.goaway_debug, "too_many_pings");
    assert_true(peer.is_failed);
    assert_true(sg_rpc_server_is_done(peer.server));
    peer_stop(&peer);
}

static void pings_are_fair_after_something_was_sent(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){.path = "/echo.Echo/Bidi", .is_open = true, .body = HELLO});
    for (size_t i = 0; i < 20; i++) {
        peer_run(&peer);
        peer_ping(&peer);
        peer_run(&peer);
        peer_more(&peer, answer, HELLO, false);
    }
    assert_int_equal(peer.goaways, 0);
    assert_int_equal(peer.pings_acked, 20);
    peer_stop(&peer);
}

static void pings_as_rare_as_asked_for_are_fair(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.client_ping_ns_min = 10 * SG_NS_PER_S;
    limits.allow_ping_without_calls = true;
    limits.idle_ns_max = 0;
    struct peer peer;
    peer_start(&peer, &limits, 0);
    for (size_t i = 0; i < 20; i++) {
        peer_ping(&peer);
        peer_run(&peer);
        peer_wait(&peer, 10 * SG_NS_PER_S);
    }
    assert_int_equal(peer.goaways, 0);
    peer_stop(&peer);
}

static void pings_without_calls_are_strikes_unless_allowed(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.client_ping_ns_min = 10 * SG_NS_PER_S;
    limits.idle_ns_max = 0;
    struct peer peer;
    peer_start(&peer, &limits, 0);
    for (size_t i = 0; i < 4; i++) {
        peer_ping(&peer);
        peer_run(&peer);
        peer_wait(&peer, 10 * SG_NS_PER_S);
    }
    assert_string_equal(peer.goaway_debug, "too_many_pings");
    peer_stop(&peer);
}

static void a_silent_client_is_pinged_and_then_given_up(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.idle_ns_max = 0;
    struct peer peer;
    peer_start(&peer, &limits, 0);
    peer_wait(&peer, 7200 * SG_NS_PER_S - 1);
    assert_int_equal(peer.pings, 0);
    peer_wait(&peer, 1);
    assert_int_equal(peer.pings, 1);
    peer_wait(&peer, 20 * SG_NS_PER_S); /* it has answered */
    assert_false(peer.is_failed);

    peer.does_not_read = true;
    peer_wait(&peer, 7200 * SG_NS_PER_S);
    assert_false(peer.is_failed);
    peer_wait(&peer, 20 * SG_NS_PER_S);
    assert_true(peer.is_failed);
    assert_int_equal(peer.rc, SG_E_TIMEOUT);
    peer_stop(&peer);
}

static void an_idle_connection_is_sent_away_in_two_steps(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_wait(&peer, 200 * SG_NS_PER_S);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_true(answer->is_closed);
    peer_wait(&peer, 200 * SG_NS_PER_S);
    assert_int_equal(peer.goaways, 0); /* the call counts */
    peer_wait(&peer, 100 * SG_NS_PER_S);
    assert_int_equal(peer.goaways, 1);
    assert_int_equal(peer.goaway_error, 0);
    assert_int_equal(peer.goaway_last, INT32_MAX);
    assert_false(sg_rpc_server_is_done(peer.server));
    peer_wait(&peer, 2 * SG_NS_PER_S);
    assert_int_equal(peer.goaways, 2);
    assert_int_equal(peer.goaway_last, answer->id);
    assert_string_equal(peer.goaway_debug, "max_idle");
    assert_true(sg_rpc_server_is_done(peer.server));
    peer_stop(&peer);
}

static void an_old_connection_ends_when_its_calls_do_or_the_grace_is_over(void **state)
{
    (void)state;
    for (int finishes = 0; finishes < 2; finishes++) {
        struct sg_rpc_limits limits = sg_rpc_limits_default;
        limits.age_ns_max = 100 * SG_NS_PER_S;
        limits.age_grace_ns = 10 * SG_NS_PER_S;
        limits.deadline_ns_max = 1000 * SG_NS_PER_S;
        struct peer peer;
        peer_start(&peer, &limits, 0);
        peer_wait(&peer, 89 * SG_NS_PER_S); /* a tenth sooner or later */
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = LATER});
        peer_run(&peer);
        assert_int_equal(peer.goaways, 0);
        peer_wait(&peer, 22 * SG_NS_PER_S);
        assert_int_equal(peer.goaways, 1);
        peer_wait(&peer, 2 * SG_NS_PER_S);
        assert_int_equal(peer.goaways, 2);
        assert_string_equal(peer.goaway_debug, "max_age");
        assert_false(sg_rpc_server_is_done(peer.server));
        if (finishes) {
            echo_answer_later(&peer.echo);
            peer_run(&peer);
            assert_true(sg_rpc_server_is_done(peer.server));
        } else {
            peer_wait(&peer, 9 * SG_NS_PER_S);
            assert_true(peer.is_failed);
            assert_int_equal(peer.rc, SG_E_TIMEOUT);
        }
        peer_stop(&peer);
    }
}

static void headers_may_not_take_for_ever(void **state)
{
    (void)state;
    /* A HEADERS frame that announces ten bytes, of which two come; and one without END_HEADERS. */
    static const struct {
        const char *name;
        struct sg_slice bytes;
    } rows[2] = {
        {"inside the frame", {(const uint8_t *)"\0\0\x0a\1\4\0\0\0\1\x82\x84", 11}},
        {"between frames", {(const uint8_t *)"\0\0\2\1\0\0\0\0\1\x82\x84", 11}},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct peer peer;
        print_message("  %s\n", rows[i].name);
        peer_start(&peer, NULL, 1);
        peer_raw(&peer, rows[i].bytes);
        assert_false(peer.is_failed);
        peer_wait(&peer, 5 * SG_NS_PER_S - 1);
        assert_false(peer.is_failed);
        peer_wait(&peer, 1);
        assert_true(peer.is_failed);
        assert_int_equal(peer.rc, SG_E_TIMEOUT);
        peer_stop(&peer);
    }
}

static void a_whole_header_block_does_not_time_out(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = LATER});
    peer_run(&peer);
    peer_wait(&peer, 30 * SG_NS_PER_S);
    assert_false(peer.is_failed);
    peer_stop(&peer);
}

static void a_drain_has_two_phases_and_loses_nothing(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = LATER});
    peer_run(&peer);
    sg_rpc_server_drain_notice(peer.server);

    /* A request that crosses the notice on the wire is served. */
    struct peer_answer *crossing =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_int_equal(peer.goaways, 1);
    assert_int_equal(peer.goaway_last, INT32_MAX);
    assert_true(peer_has(crossing, "grpc-status: 0"));
    assert_false(sg_rpc_server_is_done(peer.server));

    sg_rpc_server_drain(peer.server);
    peer_run(&peer);
    assert_int_equal(peer.goaways, 2);
    assert_int_equal(peer.goaway_last, crossing->id);
    assert_int_equal(peer.goaway_error, 0);
    assert_false(sg_rpc_server_is_done(peer.server));
    echo_answer_later(&peer.echo);
    assert_false(sg_rpc_server_is_done(peer.server));
    peer_run(&peer);
    assert_slice_equal(peer_message(&peer.answers[0]), SG_SLICE("at last"));
    assert_true(sg_rpc_server_is_done(peer.server));
    peer_stop(&peer);
}

static void a_request_that_crosses_an_idle_notice_is_served(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    sg_rpc_server_drain_notice(peer.server);
    struct sg_buf notice;
    sg_buf_init(&notice, 1000);
    assert_int_equal(sg_rpc_server_pull(peer.server, 1000, &notice, NULL), SG_OK);
    assert_true(notice.len > 9);
    sg_buf_done(&notice); /* still under way */
    assert_false(sg_rpc_server_is_done(peer.server));
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 0"));
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clients_deadline_ends_a_call),
        cmocka_unit_test(a_deadline_is_clamped_and_has_a_default),
        cmocka_unit_test(a_deadline_closes_a_call_whose_client_does_not_read),
        cmocka_unit_test(an_early_answer_lets_the_client_finish_for_a_second),
        cmocka_unit_test(an_early_answer_is_not_paid_for_with_endless_reading),
        cmocka_unit_test(too_many_pings_end_the_connection),
        cmocka_unit_test(pings_are_fair_after_something_was_sent),
        cmocka_unit_test(pings_as_rare_as_asked_for_are_fair),
        cmocka_unit_test(pings_without_calls_are_strikes_unless_allowed),
        cmocka_unit_test(a_silent_client_is_pinged_and_then_given_up),
        cmocka_unit_test(an_idle_connection_is_sent_away_in_two_steps),
        cmocka_unit_test(an_old_connection_ends_when_its_calls_do_or_the_grace_is_over),
        cmocka_unit_test(headers_may_not_take_for_ever),
        cmocka_unit_test(a_whole_header_block_does_not_time_out),
        cmocka_unit_test(a_request_that_crosses_an_idle_notice_is_served),
        cmocka_unit_test(a_drain_has_two_phases_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
