#include "grpc/health/v1/health.pb-c.h"
#include "tests/integration/gateway/rig.h"

/* The end in two phases, as gateway/app.c makes it. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, NULL);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static void notice(struct rig *rig)
{
    sg_rpc_drain(rig->rpc);
    sg_net_drain_notice(rig->net);
}

static struct rig_call *watch(struct rig_client *client, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)(uintptr_t)service;
    return rig_ask(client, HEALTH_WATCH, &request.base);
}

static int status_of(const struct rig_call *call, size_t n)
{
    Grpc__Health__V1__HealthCheckResponse *response =
        rig_message(call, n, &grpc__health__v1__health_check_response__descriptor);
    int status = (int)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return status;
}

enum { SERVING = 1, NOT_SERVING = 2 };

static void watchers_hear_that_it_does_not_serve_before_their_call_ends(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, NOBODY);
    struct rig_call *call = watch(client, "");
    struct rig_call *other = watch(client, "sealgate.v1.KeyService");

    RIG_UNTIL(rig, call->message_count == 1 && other->message_count == 1);
    assert_int_equal(status_of(call, 0), SERVING);
    notice(rig);
    RIG_UNTIL(rig, call->done > 0 && other->done > 0);
    assert_int_equal(call->message_count, 2);
    assert_int_equal(status_of(call, 1), NOT_SERVING);
    assert_int_equal(status_of(other, 1), NOT_SERVING);
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(call->reason, "DRAINING");
    rig_call_free(call);
    rig_call_free(other);
}

/* A balancer begins to watch again as soon as its watch ends. */
static void a_watch_that_begins_while_draining_is_told_and_ends(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, NOBODY);

    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    sg_rpc_drain(rig->rpc); /* the GOAWAY is still to come */
    struct rig_call *call = watch(client, "");
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->message_count, 1);
    assert_int_equal(status_of(call, 0), NOT_SERVING);
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    rig_call_free(call);
}

static void a_signature_under_way_is_answered_and_the_connection_then_closes(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_client *idle = rig_connect(rig, B);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 1 && rig_client_is_ready(idle));
    notice(rig);
    RIG_UNTIL(rig, !sg_rpc_client_is_usable(client->rpc));
    assert_false(client->is_over);
    assert_false(idle->is_over);
    sg_net_drain(rig->net);
    RIG_UNTIL(rig, idle->is_over);
    assert_true(idle->was_told);
    rig_settle(rig);
    assert_int_equal(call->done, 0);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_OK);
    RIG_UNTIL(rig, client->is_over && sg_net_connections(rig->net) == 0);
    assert_true(client->was_told);
    rig_call_free(call);
}

static void a_call_that_crosses_the_notice_is_still_served(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    notice(rig);
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_OK);
    rig_call_free(call);
}

static void a_handshake_under_way_goes_on_after_the_notice_and_ends_with_the_drain(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_client *raw = rig_connect_raw(rig);

    while (sg_net_connections(rig->net) < 2)
        assert_int_equal(sg_loop_turn(rig->loop, 1, NULL), SG_OK);
    notice(rig);
    RIG_UNTIL(rig, rig_client_is_ready(client) && !sg_rpc_client_is_usable(client->rpc));
    assert_false(raw->is_over);
    sg_net_drain(rig->net);
    RIG_UNTIL(rig, raw->is_over && client->is_over && sg_net_connections(rig->net) == 0);
}

/* Its client may keep it open for ever; the end must not wait for that. */
static void a_stream_takes_no_more_items_and_ends_when_those_under_way_are_answered(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_call *call = rig_begin(client, SIGN_STREAM, 0);
    struct rig_call *idle = rig_begin(client, SIGN_STREAM, 0);
    Sealgate__V1__SignStreamRequest item = SEALGATE__V1__SIGN_STREAM_REQUEST__INIT;
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    item.item_id = (char *)(uintptr_t) "one";
    item.request = &sign.request;
    rig_send(call, &item.base, false);
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_settle(rig);
    notice(rig);
    RIG_UNTIL(rig, idle->done > 0);
    assert_int_equal(idle->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(idle->reason, "DRAINING");
    item.item_id = (char *)(uintptr_t) "two";
    rig_send(call, &item.base, false);
    RIG_UNTIL(rig, call->message_count == 1);
    assert_int_equal(rig->submitted, 1);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->message_count, 2);
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(call->reason, "DRAINING");
    rig_call_free(idle);
    rig_call_free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(watchers_hear_that_it_does_not_serve_before_their_call_ends),
        TEST(a_watch_that_begins_while_draining_is_told_and_ends),
        TEST(a_signature_under_way_is_answered_and_the_connection_then_closes),
        TEST(a_call_that_crosses_the_notice_is_still_served),
        TEST(a_handshake_under_way_goes_on_after_the_notice_and_ends_with_the_drain),
        TEST(a_stream_takes_no_more_items_and_ends_when_those_under_way_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
