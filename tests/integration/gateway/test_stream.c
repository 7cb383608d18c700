#include "tests/integration/gateway/rig.h"

/* SignStream: items as they come, results as they are ready. */

struct test {
    struct rig rig;
    struct rig_client *client;
    struct rig_call *call;
};

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof(*test));
    rig_start(&test->rig, &(struct rig_options){.stream_items_max = 4, .connection_jobs_max = 6});
    test->client = rig_connect(&test->rig, A);
    test->call = rig_begin(test->client, SIGN_STREAM, 0);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    rig_stop(&test->rig);
    rig_call_free(test->call);
    free(test);
    return 0;
}

static void send_item(struct test *test, const char *id, const char *key)
{
    Sealgate__V1__SignStreamRequest item = SEALGATE__V1__SIGN_STREAM_REQUEST__INIT;
    struct rig_sign sign;
    rig_sign_init(&sign, key);
    item.item_id = (char *)(uintptr_t)id;
    item.request = &sign.request;
    rig_send(test->call, &item.base, false);
}

/* The n-th result: the code of its error, or OK with a signature. */
static int result_code(const struct test *test, size_t n, const char *id)
{
    Sealgate__V1__SignStreamResponse *response =
        rig_message(test->call, n, &sealgate__v1__sign_stream_response__descriptor);
    assert_string_equal(response->item_id, id);
    int code = -1;
    if (response->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_ERROR)
        code = response->error->code;
    else if (response->response->signature.len > 0)
        code = SG_GRPC_OK;
    sealgate__v1__sign_stream_response__free_unpacked(response, NULL);
    return code;
}

static void end(struct test *test, enum sg_grpc_code code)
{
    if (test->call->call != NULL)
        sg_rpc_client_half_close(test->call->call);
    RIG_UNTIL(&test->rig, test->call->done > 0);
    assert_int_equal(test->call->code, code);
}

static void results_come_as_they_are_ready(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;

    send_item(test, "one", "keys/alpha");
    send_item(test, "two", "keys/edward");
    RIG_UNTIL(rig, rig->job_count == 2);
    rig_job(rig, 1, WELL);
    RIG_UNTIL(rig, test->call->message_count == 1);
    rig_job(rig, 0, BADLY);
    RIG_UNTIL(rig, test->call->message_count == 2);
    assert_int_equal(result_code(test, 0, "two"), SG_GRPC_OK);
    assert_int_equal(result_code(test, 1, "one"), SG_GRPC_INTERNAL);
    end(test, SG_GRPC_OK);
}

static void half_close_waits_for_the_items_under_way(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;

    send_item(test, "one", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    sg_rpc_client_half_close(test->call->call);
    rig_settle(rig);
    assert_int_equal(test->call->done, 0);
    rig_jobs(rig, WELL);
    end(test, SG_GRPC_OK);
    assert_int_equal(result_code(test, 0, "one"), SG_GRPC_OK);
}

static void an_empty_stream_is_over_at_once(void **state)
{
    end(*state, SG_GRPC_OK);
}

static void items_over_the_window_wait_until_others_are_over(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f"};

    for (size_t i = 0; i < SG_COUNT(ids); i++)
        send_item(test, ids[i], "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 4);
    rig_settle(rig);
    assert_int_equal(rig->job_count, 4);
    assert_int_equal(test->call->message_count, 0);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, rig->job_count == 2 && test->call->message_count == 4);
    rig_job(rig, 0, WELL); /* one by one: two threads verify, in no order */
    RIG_UNTIL(rig, test->call->message_count == 5);
    rig_job(rig, 0, WELL);
    end(test, SG_GRPC_OK);
    assert_int_equal(result_code(test, 4, "e"), SG_GRPC_OK);
    assert_int_equal(result_code(test, 5, "f"), SG_GRPC_OK);
}

static void a_connection_has_no_more_under_way_than_it_may(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    struct rig_call *first = test->call;
    struct rig_call *second = rig_begin(test->client, SIGN_STREAM, 0);
    struct rig_call *other = rig_begin(rig_connect(rig, A), SIGN_STREAM, 0);
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "one too many", "g"};

    for (size_t i = 0; i < 7; i++) {
        test->call = i < 4 ? first : second;
        send_item(test, ids[i], "keys/alpha");
    }
    RIG_UNTIL(rig, second->message_count == 1);
    assert_int_equal(result_code(test, 0, "one too many"), SG_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(rig->job_count, 6);
    test->call = other; /* the same caller's, by another connection */
    send_item(test, "a", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 7);
    rig_jobs(rig, WELL);
    end(test, SG_GRPC_OK);
    test->call = second; /* and there is room again */
    send_item(test, ids[7], "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_jobs(rig, WELL);
    end(test, SG_GRPC_OK);
    assert_int_equal(second->message_count, 4);
    rig_call_free(second);
    rig_call_free(other);
    test->call = first;
    end(test, SG_GRPC_OK);
}

static void an_id_is_taken_only_while_its_item_is_under_way(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;

    send_item(test, "same", "keys/alpha");
    send_item(test, "same", "keys/alpha");
    RIG_UNTIL(rig, test->call->message_count == 1);
    assert_int_equal(result_code(test, 0, "same"), SG_GRPC_INVALID_ARGUMENT);
    assert_int_equal(rig->job_count, 1);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, test->call->message_count == 2);
    send_item(test, "same", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_jobs(rig, WELL);
    end(test, SG_GRPC_OK);
    assert_int_equal(test->call->message_count, 3);
}

static void an_item_in_error_is_answered_and_the_stream_goes_on(void **state)
{
    struct test *test = *state;
    static const struct {
        const char *id, *key;
        int code;
    } rows[] = {
        {"other", "keys/beta", SG_GRPC_NOT_FOUND},
        {"none", "keys/none", SG_GRPC_NOT_FOUND},
        {"bad", "nothing", SG_GRPC_INVALID_ARGUMENT},
        {"", "keys/alpha", SG_GRPC_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        send_item(test, rows[i].id, rows[i].key);
        RIG_UNTIL(&test->rig, test->call->message_count == i + 1);
        assert_int_equal(result_code(test, i, rows[i].id), rows[i].code);
    }
    assert_int_equal(test->rig.submitted, 0);
    end(test, SG_GRPC_OK);
}

static void a_message_that_is_none_ends_the_stream_and_its_items_end_too(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;

    send_item(test, "one", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_send_bytes(test->call, SG_SLICE("\x0a\x7fx"), false);
    end(test, SG_GRPC_INTERNAL);
    assert_string_equal(test->call->reason, "MALFORMED_MESSAGE");
    rig_settle(rig);
    const size_t errors = rig->errors;
    rig_jobs(rig, WITH_TOKEN_LOST);
    rig_settle(rig);
    assert_int_equal(rig->errors, errors); /* one call, one line in the log */
    assert_int_equal(sg_signer_pending(rig->signer), 0);
}

static void a_client_may_vanish_in_mid_stream(void **state)
{
    static const enum rig_fate rows[] = {WELL, BADLY, WITH_TOKEN_LOST};
    struct test *test = *state;
    struct rig *rig = &test->rig;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        send_item(test, "a", "keys/alpha");
        send_item(test, "b", "keys/ron");
        send_item(test, "c", "keys/alpha");
        RIG_UNTIL(rig, rig->job_count == 3);
        rig_job(rig, 1, WELL);
        rig_disconnect(test->client, i % 2 == 0);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
        rig_jobs(rig, rows[i]);
        RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
        rig_call_free(test->call);
        test->client = rig_connect(rig, A);
        test->call = rig_begin(test->client, SIGN_STREAM, 0);
    }
}

static void an_item_has_no_longer_than_a_sign_would(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;

    rig_wait(rig, 3600 * SG_NS_PER_S); /* the stream itself may last */
    assert_int_equal(test->call->done, 0);
    send_item(test, "late", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    const int64_t left_ns = rig->jobs[0]->deadline_ns - sg_mono_ns(&rig->clock.clock);
    assert_true(left_ns > 29 * SG_NS_PER_S && left_ns <= 30 * SG_NS_PER_S);
    rig_jobs(rig, WELL);
    end(test, SG_GRPC_OK);
}

/* A stream may last for months; who has it must still be somebody. */
static void a_certificate_revoked_in_mid_stream_signs_nothing_more(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    const struct sg_pki_crl_spec spec = {
        .name = "a", .issuer = rig->ca, .revoked = &rig->ids[A], .revoked_count = 1};

    send_item(test, "before", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_set_crl(rig, sg_pki_crl(rig->pki, &spec));
    send_item(test, "after", "keys/alpha");
    RIG_UNTIL(rig, test->call->done > 0);
    assert_int_equal(test->call->code, SG_GRPC_UNAUTHENTICATED);
    assert_string_equal(test->call->reason, "CLIENT_CERT_REVOKED");
    assert_int_equal(rig->submitted, 1);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
}

static void a_certificate_that_expires_in_mid_stream_signs_nothing_more(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    struct rig_client *client = rig_connect(rig, EXPIRING);
    struct rig_call *kept = test->call;

    test->call = rig_begin(client, SIGN_STREAM, 0);
    send_item(test, "before", "keys/alpha");
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, test->call->message_count == 1);
    rig_wait(rig, 601 * SG_NS_PER_S);
    send_item(test, "after", "keys/alpha");
    RIG_UNTIL(rig, test->call->done > 0);
    assert_int_equal(test->call->code, SG_GRPC_UNAUTHENTICATED);
    assert_string_equal(test->call->reason, "CLIENT_CERT_EXPIRED");
    assert_int_equal(rig->submitted, 1);
    rig_call_free(test->call);
    test->call = kept;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(results_come_as_they_are_ready),
        TEST(half_close_waits_for_the_items_under_way),
        TEST(an_empty_stream_is_over_at_once),
        TEST(items_over_the_window_wait_until_others_are_over),
        TEST(a_connection_has_no_more_under_way_than_it_may),
        TEST(an_id_is_taken_only_while_its_item_is_under_way),
        TEST(an_item_in_error_is_answered_and_the_stream_goes_on),
        TEST(a_message_that_is_none_ends_the_stream_and_its_items_end_too),
        TEST(a_client_may_vanish_in_mid_stream),
        TEST(an_item_has_no_longer_than_a_sign_would),
        TEST(a_certificate_revoked_in_mid_stream_signs_nothing_more),
        TEST(a_certificate_that_expires_in_mid_stream_signs_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
