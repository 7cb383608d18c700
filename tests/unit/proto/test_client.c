#include "proto/grpc/client.h"

#include "base/clock.h"
#include "tests/support/rpc_pair.h"
#include "tests/support/unit.h"

/* The client against our own server; against scripted bytes in test_client_answers.c. */

static const size_t steps[] = {0, 1, 13};

static void a_unary_call_is_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct pair pair;
        struct pair_call call;
        pair_start(&pair, NULL, NULL, steps[i]);
        pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("hello"));
        assert_int_equal(call.done, 0); /* never from inside a function of ours */
        pair_run(&pair);
        assert_int_equal(call.code, SG_GRPC_OK);
        assert_int_equal(call.outcome, SG_RPC_ANSWERED);
        assert_int_equal(call.messages, 1);
        assert_slice_equal(sg_buf_slice(&call.body), SG_SLICE("hello"));
        assert_int_equal(sg_rpc_client_open_calls(pair.client), 0);
        pair_call_done(&call);
        pair_stop(&pair);
    }
}

static void a_refusal_comes_with_its_message_and_details(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call call;
    pair_start(&pair, NULL, NULL, 0);
    pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("refuse"));
    pair_run(&pair);
    assert_int_equal(call.code, SG_GRPC_INVALID_ARGUMENT);
    assert_int_equal(call.outcome, SG_RPC_ANSWERED);
    assert_slice_equal(sg_buf_slice(&call.message), SG_SLICE("BAD_NAME"));
    assert_slice_equal(sg_buf_slice(&call.details), SG_SLICE("\x08\x03\x12\x08"
                                                             "BAD_NAME"));
    pair_call_done(&call);
    pair_stop(&pair);
}

static void an_unknown_method_is_unimplemented(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call call;
    pair_start(&pair, NULL, NULL, 0);
    pair_ask(&pair, &call, "/echo.Echo/Nothing", SG_SLICE("hello"));
    pair_run(&pair);
    assert_int_equal(call.code, SG_GRPC_UNIMPLEMENTED);
    pair_call_done(&call);
    pair_stop(&pair);
}

static void streams_go_both_ways(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call call;
    pair_start(&pair, NULL, NULL, 7);
    assert_int_equal(pair_begin(&pair, &call, "/echo.Echo/Bidi", 0), SG_OK);
    for (size_t i = 1; i <= 5; i++) {
        assert_int_equal(sg_rpc_client_send(call.call, SG_SLICE("ab"), false, NULL), SG_OK);
        pair_run(&pair);
        assert_int_equal(call.messages, i);
    }
    sg_rpc_client_half_close(call.call);
    pair_run(&pair);
    assert_int_equal(call.code, SG_GRPC_OK);
    assert_slice_equal(sg_buf_slice(&call.body), SG_SLICE("ababababab"));
    pair_call_done(&call);
    pair_stop(&pair);
}

static void large_messages_pass_in_both_directions(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call call;
    struct sg_buf message;
    sg_buf_init(&message, 1 << 20);
    memset(sg_buf_room(&message, 1 << 20), 'm', 1 << 20);
    sg_buf_claim(&message, 1 << 20);
    pair_start(&pair, NULL, NULL, 0);
    pair_ask(&pair, &call, "/echo.Echo/Unary", sg_buf_slice(&message));
    pair_run(&pair);
    assert_int_equal(call.code, SG_GRPC_OK);
    assert_slice_equal(sg_buf_slice(&call.body), sg_buf_slice(&message));
    pair_call_done(&call);
    pair_stop(&pair);
    sg_buf_done(&message);
}

static void an_answer_over_the_limit_is_not_taken(void **state)
{
    (void)state;
    struct sg_rpc_client_limits limits = sg_rpc_client_limits_default;
    struct pair pair;
    struct pair_call call;
    limits.message_bytes_max = 999; /* the stream's messages have 1000 */
    pair_start(&pair, NULL, &limits, 0);
    pair_ask(&pair, &call, "/echo.Echo/ServerStream", SG_SLICE("ab"));
    pair_run(&pair);
    pair_wait(&pair, 0);
    assert_int_equal(call.code, SG_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(call.messages, 0);
    pair_call_done(&call);
    pair_stop(&pair);
}

static void a_full_call_takes_no_more_until_it_is_writable(void **state)
{
    (void)state;
    struct sg_rpc_client_limits limits = sg_rpc_client_limits_default;
    struct pair pair;
    struct pair_call call;
    uint8_t bytes[600] = {0};
    limits.send_bytes_max = 1000;
    pair_start(&pair, NULL, &limits, 0);
    assert_int_equal(pair_begin(&pair, &call, "/echo.Echo/ClientStream", 0), SG_OK);
    assert_int_equal(sg_rpc_client_send(call.call, sg_slice_of(bytes, 600), false, NULL), SG_OK);
    assert_int_equal(sg_rpc_client_send(call.call, sg_slice_of(bytes, 600), false, NULL),
                     SG_E_LIMIT);
    pair_run(&pair);
    assert_int_equal(call.writables, 1);
    assert_int_equal(sg_rpc_client_send(call.call, sg_slice_of(bytes, 600), true, NULL), SG_OK);
    assert_int_equal(sg_rpc_client_send(call.call, sg_slice_of(bytes, 1), true, NULL),
                     SG_E_CONFLICT);
    pair_run(&pair);
    assert_slice_equal(sg_buf_slice(&call.body), SG_SLICE("1200"));
    pair_call_done(&call);
    pair_stop(&pair);
}

static void the_deadline_holds_on_both_ends(void **state)
{
    (void)state;
    /* The server tells; and if nothing gets through, the client finds out alone. */
    for (int cut = 0; cut < 2; cut++) {
        struct pair pair;
        struct pair_call call;
        pair_start(&pair, NULL, NULL, 0);
        assert_int_equal(pair_begin(&pair, &call, "/echo.Echo/Unary", SG_NS_PER_S), SG_OK);
        assert_int_equal(sg_rpc_client_send(call.call, SG_SLICE("later"), true, NULL), SG_OK);
        pair_run(&pair);
        assert_int_equal(sg_call_deadline(pair.echo.later), pair.now_ns + SG_NS_PER_S);
        assert_int_equal(sg_rpc_client_due(pair.client), pair.now_ns + SG_NS_PER_S);
        pair.is_cut = cut;
        pair_wait(&pair, SG_NS_PER_S - 1);
        assert_int_equal(call.done, 0);
        pair_wait(&pair, 1);
        assert_int_equal(call.code, SG_GRPC_DEADLINE_EXCEEDED);
        assert_int_equal(call.outcome, SG_RPC_UNKNOWN);
        assert_int_equal(pair.echo.closed, 1);
        pair_call_done(&call);
        pair_stop(&pair);
    }
}

static void a_cancelled_call_is_done_later_and_the_server_hears_of_it(void **state)
{
    (void)state;
    for (int tick_first = 0; tick_first < 2; tick_first++) {
        struct pair pair;
        struct pair_call call;
        pair_start(&pair, NULL, NULL, 0);
        pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("later"));
        pair_run(&pair);
        sg_rpc_client_cancel(call.call);
        assert_int_equal(call.done, 0);
        assert_true(sg_rpc_client_due(pair.client) <= pair.now_ns);
        if (tick_first)
            assert_int_equal(sg_rpc_client_tick(pair.client, pair.now_ns, NULL), SG_OK);
        pair_run(&pair);
        assert_int_equal(call.code, SG_GRPC_CANCELLED);
        assert_int_equal(call.outcome, SG_RPC_UNKNOWN);
        assert_int_equal(pair.echo.closed, 1);
        assert_int_equal(sg_rpc_server_open_calls(pair.server), 0);
        pair_call_done(&call);
        pair_stop(&pair);
    }
}

/* Whether its header block waits in the library, or with some of its body. */
static void a_call_cancelled_before_it_left_is_no_other_calls_concern(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct pair pair;
        struct pair_call cancelled, next;
        pair_start(&pair, NULL, NULL, 0);
        pair_run(&pair);
        assert_int_equal(pair_begin(&pair, &cancelled, "/echo.Echo/Unary", 0), SG_OK);
        if ((how & 1) != 0)
            assert_int_equal(sg_rpc_client_send(cancelled.call, SG_SLICE("x"), true, NULL), SG_OK);
        sg_rpc_client_cancel(cancelled.call);
        if ((how & 2) != 0)
            assert_int_equal(sg_rpc_client_tick(pair.client, pair.now_ns, NULL), SG_OK);
        pair_ask(&pair, &next, "/echo.Echo/Unary", SG_SLICE("hello"));
        pair_run(&pair);
        assert_int_equal(cancelled.code, SG_GRPC_CANCELLED);
        assert_int_equal(next.code, SG_GRPC_OK);
        pair_call_done(&cancelled);
        pair_call_done(&next);
        pair_stop(&pair);
    }
}

static void a_call_that_never_left_was_not_processed(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call left, stayed;
    pair_start(&pair, NULL, NULL, 0);
    pair_ask(&pair, &left, "/echo.Echo/Unary", SG_SLICE("later"));
    pair_run(&pair);
    pair_ask(&pair, &stayed, "/echo.Echo/Unary", SG_SLICE("hello"));
    sg_rpc_client_free(pair.client);
    pair.client = NULL;
    assert_int_equal(left.code, SG_GRPC_UNAVAILABLE);
    assert_int_equal(left.outcome, SG_RPC_UNKNOWN);
    assert_int_equal(stayed.code, SG_GRPC_UNAVAILABLE);
    assert_int_equal(stayed.outcome, SG_RPC_UNPROCESSED);
    pair_call_done(&left);
    pair_call_done(&stayed);
    pair_stop(&pair);
}

static void a_connection_that_drains_takes_no_new_calls(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_call open, late, next;
    pair_start(&pair, NULL, NULL, 0);
    pair_ask(&pair, &open, "/echo.Echo/Unary", SG_SLICE("later"));
    pair_run(&pair);
    sg_rpc_server_drain(pair.server);
    pair_ask(&pair, &late, "/echo.Echo/Unary", SG_SLICE("hello")); /* crosses the GOAWAY */
    pair_run(&pair);
    assert_int_equal(late.code, SG_GRPC_UNAVAILABLE);
    assert_int_equal(late.outcome, SG_RPC_UNPROCESSED);
    assert_false(sg_rpc_client_is_usable(pair.client));
    assert_int_equal(pair_begin(&pair, &next, "/echo.Echo/Unary", 0), SG_E_UNAVAILABLE);
    echo_answer_later(&pair.echo);
    pair_run(&pair);
    assert_int_equal(open.code, SG_GRPC_OK);
    pair_call_done(&open);
    pair_call_done(&late);
    pair_stop(&pair);
}

static void the_servers_bound_on_streams_is_kept(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct pair pair;
    struct pair_call calls[3];
    limits.streams_max = 2;
    pair_start(&pair, &limits, NULL, 0);
    pair_ask(&pair, &calls[0], "/echo.Echo/Bidi", SG_SLICE("a"));
    pair_ask(&pair, &calls[1], "/echo.Echo/Bidi", SG_SLICE("b"));
    assert_int_equal(pair_begin(&pair, &calls[2], "/echo.Echo/Bidi", 0), SG_E_LIMIT);
    pair_run(&pair);
    pair_ask(&pair, &calls[2], "/echo.Echo/Bidi", SG_SLICE("c"));
    pair_run(&pair);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(calls[i].code, SG_GRPC_OK);
        pair_call_done(&calls[i]);
    }
    pair_stop(&pair);
}

static void a_server_that_falls_silent_is_given_up(void **state)
{
    (void)state;
    struct sg_rpc_client_limits limits = sg_rpc_client_limits_default;
    struct pair pair;
    struct pair_call call;
    limits.ping_interval_ns = 10 * SG_NS_PER_S;
    pair_start(&pair, NULL, &limits, 0);
    pair_wait(&pair, 100 * SG_NS_PER_S); /* without calls it may be silent */
    assert_false(pair.client_failed);
    pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("later"));
    pair_run(&pair);
    pair_wait(&pair, 10 * SG_NS_PER_S);
    pair_wait(&pair, 20 * SG_NS_PER_S); /* it has answered the ping */
    assert_false(pair.client_failed);
    pair.is_cut = true;
    pair_wait(&pair, 10 * SG_NS_PER_S);
    assert_false(pair.client_failed);
    pair_wait(&pair, 20 * SG_NS_PER_S);
    assert_true(pair.client_failed);
    assert_false(sg_rpc_client_is_usable(pair.client));
    sg_rpc_client_free(pair.client);
    pair.client = NULL;
    assert_int_equal(call.code, SG_GRPC_UNAVAILABLE);
    pair_call_done(&call);
    pair_stop(&pair);
}

static void metadata_is_judged_before_it_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum sg_rc rc;
    } rows[] = {
        {"request-id", "abc", SG_OK},         {"trace-bin", "\xff", SG_OK},
        {"grpc-timeout", "1n", SG_E_INVALID}, {"Request", "abc", SG_E_INVALID},
        {"request", "a\nb", SG_E_INVALID},
    };
    struct pair pair;
    pair_start(&pair, NULL, NULL, 0);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_rpc_client_events events = {0};
        struct sg_rpc_client_call *call;
        struct sg_rpc_metadata metadata = {rows[i].name, sg_slice_str(rows[i].value)};
        if (rows[i].rc != SG_OK)
            assert_int_equal(sg_rpc_client_start(pair.client, "/a/b", pair.now_ns, 0, &metadata, 1,
                                                 &events, &call, NULL),
                             rows[i].rc);
    }
    assert_int_equal(sg_rpc_client_open_calls(pair.client), 0);
    assert_false(sg_rpc_client_wants_pull(pair.client));
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_answered),
        cmocka_unit_test(a_refusal_comes_with_its_message_and_details),
        cmocka_unit_test(an_unknown_method_is_unimplemented),
        cmocka_unit_test(streams_go_both_ways),
        cmocka_unit_test(large_messages_pass_in_both_directions),
        cmocka_unit_test(an_answer_over_the_limit_is_not_taken),
        cmocka_unit_test(a_full_call_takes_no_more_until_it_is_writable),
        cmocka_unit_test(the_deadline_holds_on_both_ends),
        cmocka_unit_test(a_cancelled_call_is_done_later_and_the_server_hears_of_it),
        cmocka_unit_test(a_call_cancelled_before_it_left_is_no_other_calls_concern),
        cmocka_unit_test(a_call_that_never_left_was_not_processed),
        cmocka_unit_test(a_connection_that_drains_takes_no_new_calls),
        cmocka_unit_test(the_servers_bound_on_streams_is_kept),
        cmocka_unit_test(a_server_that_falls_silent_is_given_up),
        cmocka_unit_test(metadata_is_judged_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
