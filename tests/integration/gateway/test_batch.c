#include "tests/integration/gateway/rig.h"

/* BatchSign: each item for itself, all answered together. */

enum { ITEMS_MAX = 1000 };

struct batch {
    Sealgate__V1__BatchSignRequest request;
    Sealgate__V1__BatchSignItem items[ITEMS_MAX + 1], *item_ptrs[ITEMS_MAX + 1];
    struct rig_sign signs[ITEMS_MAX + 1];
    char ids[ITEMS_MAX + 1][32];
};

static struct batch *batch_new(size_t count, const char *key)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    sealgate__v1__batch_sign_request__init(&batch->request);
    for (size_t i = 0; i < count; i++) {
        sealgate__v1__batch_sign_item__init(&batch->items[i]);
        snprintf(batch->ids[i], sizeof(batch->ids[i]), "item-%04zu", i);
        rig_sign_init(&batch->signs[i], key);
        batch->items[i].item_id = batch->ids[i];
        batch->items[i].request = &batch->signs[i].request;
        batch->item_ptrs[i] = &batch->items[i];
    }
    batch->request.items = batch->item_ptrs;
    batch->request.n_items = count;
    return batch;
}

struct test {
    struct rig rig;
    struct rig_client *client;
};

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof(*test));
    rig_start(&test->rig, NULL);
    test->client = rig_connect(&test->rig, A);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    rig_stop(&test->rig);
    free(test);
    return 0;
}

static Sealgate__V1__BatchSignResponse *response_of(const struct rig_call *call)
{
    assert_int_equal(call->code, SG_GRPC_OK);
    return rig_message(call, 0, &sealgate__v1__batch_sign_response__descriptor);
}

static bool is_error(const Sealgate__V1__BatchSignResult *result, int code)
{
    return result->result_case == SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_ERROR &&
           result->error->code == code;
}

static bool is_signed(const Sealgate__V1__BatchSignResult *result)
{
    return result->result_case == SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE &&
           result->response->signature.len > 0;
}

/* Every seventh is for a key there is not, every eleventh is spoilt, every thirteenth the token
 * loses, every seventeenth it signs badly. */
static int expected_code(size_t i)
{
    return i % 7 == 0    ? SG_GRPC_NOT_FOUND
           : i % 11 == 0 ? SG_GRPC_INVALID_ARGUMENT
           : i % 13 == 0 ? SG_GRPC_UNAVAILABLE
           : i % 17 == 0 ? SG_GRPC_INTERNAL
                         : SG_GRPC_OK;
}

/* The youngest first: the order in which the token is done must not matter. */
static void answer_jobs(struct rig *rig, size_t *most)
{
    if (rig->job_count > *most)
        *most = rig->job_count;
    while (rig->job_count > 0) {
        size_t i;
        memcpy(&i, rig->jobs[rig->job_count - 1]->tbs, sizeof(i));
        const int code = expected_code(i);
        rig_job(rig, rig->job_count - 1,
                code == SG_GRPC_OK            ? WELL
                : code == SG_GRPC_UNAVAILABLE ? WITH_TOKEN_LOST
                                              : BADLY);
    }
}

static void a_thousand_items_are_answered_in_order_each_for_itself(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    struct batch *batch = batch_new(1000, "keys/alpha");

    for (size_t i = 0; i < 1000; i++) {
        memcpy(batch->signs[i].bytes, &i, sizeof(i)); /* so that a job tells its item */
        if (expected_code(i) == SG_GRPC_INVALID_ARGUMENT)
            batch->signs[i].digest.value.len = 31;
        if (expected_code(i) == SG_GRPC_NOT_FOUND)
            snprintf(batch->signs[i].key, sizeof(batch->signs[i].key), "keys/none");
    }
    struct rig_call *call = rig_ask(test->client, BATCH_SIGN, &batch->request.base);
    size_t most = 0;
    RIG_UNTIL(rig, call->done > 0 || (answer_jobs(rig, &most), false));
    assert_true(most <= 64);
    Sealgate__V1__BatchSignResponse *response = response_of(call);
    assert_int_equal(response->n_results, 1000);
    for (size_t i = 0; i < 1000; i++) {
        const Sealgate__V1__BatchSignResult *result = response->results[i];
        assert_string_equal(result->item_id, batch->ids[i]);
        if (expected_code(i) != SG_GRPC_OK) {
            assert_true(is_error(result, expected_code(i)));
            continue;
        }
        assert_true(is_signed(result));
        if (i % 50 == 1)
            rig_sign_check(rig, ALPHA, &batch->signs[i], result->response);
    }
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
    free(batch);
}

/* An answer larger than what is encrypted at once must not wait for the client to say something. */
static void a_large_answer_arrives_whole(void **state)
{
    struct test *test = *state;
    struct batch *batch = batch_new(1000, "keys/alpha");

    test->rig.is_quick = true;
    for (int round = 0; round < 4; round++) { /* the kernel lets more out at once each time */
        struct rig_call *call = rig_get(test->client, BATCH_SIGN, &batch->request.base);
        Sealgate__V1__BatchSignResponse *response = response_of(call);
        assert_true(call->body.len > 131072); /* OUT_BYTES_HIGH */
        for (size_t i = 0; i < 1000; i++)
            assert_true(is_signed(response->results[i]));
        sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
        rig_call_free(call);
    }
    free(batch);
}

static void a_thousand_refusals_fit_into_the_answer(void **state)
{
    struct test *test = *state;
    struct batch *batch = batch_new(1000, "keys/alpha");
    static char ids[1000][65];

    for (size_t i = 0; i < 1000; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%064zu", i);
        batch->items[i].item_id = ids[i];
        batch->signs[i].request.key = (char *)(uintptr_t) "keys/Capitals-are-not-allowed";
    }
    struct rig_call *call = rig_get(test->client, BATCH_SIGN, &batch->request.base);
    Sealgate__V1__BatchSignResponse *response = response_of(call);
    assert_int_equal(response->n_results, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_true(is_error(response->results[i], SG_GRPC_INVALID_ARGUMENT));
    assert_int_equal(test->rig.submitted, 0);
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
    free(batch);
}

static void check_waits_for_its_own(struct test *test, enum sg_reason refusal)
{
    struct rig *rig = &test->rig;
    struct batch *batch = batch_new(50, "keys/alpha");

    rig->jobs_max = 3; /* less than the window */
    rig->refusal = refusal;
    struct rig_call *call = rig_ask(test->client, BATCH_SIGN, &batch->request.base);
    RIG_UNTIL(rig, rig->job_count == 3);
    RIG_UNTIL(rig, (rig_jobs(rig, WELL), call->done > 0));
    Sealgate__V1__BatchSignResponse *response = response_of(call);
    for (size_t i = 0; i < 50; i++)
        assert_true(is_signed(response->results[i]));
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
    free(batch);
}

static void a_queue_that_fills_up_is_waited_for(void **state)
{
    check_waits_for_its_own(*state, SG_R_QUEUE_FULL);
}

static void a_wait_that_becomes_too_long_is_waited_for(void **state)
{
    check_waits_for_its_own(*state, SG_R_DEADLINE_UNREACHABLE);
}

static void a_queue_filled_by_others_refuses_the_items_with_advice(void **state)
{
    struct test *test = *state;
    struct rig *rig = &test->rig;
    struct batch *batch = batch_new(3, "keys/alpha");
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *other = rig_ask(test->client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 1);
    rig->jobs_max = 1;
    struct rig_call *call = rig_get(test->client, BATCH_SIGN, &batch->request.base);
    Sealgate__V1__BatchSignResponse *response = response_of(call);
    for (size_t i = 0; i < 3; i++) {
        assert_true(is_error(response->results[i], SG_GRPC_RESOURCE_EXHAUSTED));
        assert_int_equal(response->results[i]->error->n_details, 2); /* ErrorInfo and RetryInfo */
    }
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, other->done > 0);
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    rig_call_free(other);
    rig_call_free(call);
    free(batch);
}

static const struct {
    const char *name;
    size_t count;
    const char *first_id, *last_id;
    const char *reason;
} refused[] = {
    {"one item too many", 1001, NULL, NULL, "BATCH_TOO_LARGE"},
    {"the first id twice", 1000, NULL, "item-0000", "DUPLICATE_ITEM_ID"},
    {"an empty id", 2, NULL, "", "FIELD_REQUIRED"},
    {"an id of 65", 2, NULL, "0123456789012345678901234567890123456789012345678901234567890123x",
     "FIELD_REQUIRED"},
};

static void a_batch_that_is_not_in_order_is_refused_whole(void **state)
{
    struct test *test = *state;

    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        struct batch *batch = batch_new(refused[i].count, "keys/alpha");
        print_message("  %s\n", refused[i].name);
        if (refused[i].last_id != NULL)
            batch->items[refused[i].count - 1].item_id = (char *)(uintptr_t)refused[i].last_id;
        struct rig_call *call = rig_get(test->client, BATCH_SIGN, &batch->request.base);
        assert_int_equal(call->code, SG_GRPC_INVALID_ARGUMENT);
        assert_string_equal(call->reason, refused[i].reason);
        assert_int_equal(test->rig.submitted, 0);
        rig_call_free(call);
        free(batch);
    }
}

static void an_empty_batch_has_an_empty_answer(void **state)
{
    struct test *test = *state;
    struct batch *batch = batch_new(0, "");
    struct rig_call *call = rig_get(test->client, BATCH_SIGN, &batch->request.base);
    Sealgate__V1__BatchSignResponse *response = response_of(call);
    assert_int_equal(response->n_results, 0);
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
    free(batch);
}

static void items_not_started_when_the_client_leaves_never_are(void **state)
{
    static const enum rig_fate rows[] = {WELL, BADLY, WITH_TOKEN_LOST};
    struct test *test = *state;
    struct rig *rig = &test->rig;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_client *client = rig_connect(rig, A);
        struct batch *batch = batch_new(200, "keys/alpha");
        struct rig_call *call = rig_ask(client, BATCH_SIGN, &batch->request.base);
        RIG_UNTIL(rig, rig->job_count == 64);
        rig_job(rig, 5, WELL); /* is being verified */
        const size_t submitted = rig->submitted;
        rig_disconnect(client, false);
        rig_call_free(call);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 1);
        RIG_UNTIL(rig, (rig_jobs(rig, rows[i]), sg_signer_pending(rig->signer) == 0));
        assert_true(rig->submitted <= submitted + 1);
        free(batch);
    }
}

static void a_batch_under_way_ends_with_the_gateway(void **state)
{
    struct test *test = *state;
    struct batch *batch = batch_new(200, "keys/ron");
    struct rig_call *call = rig_ask(test->client, BATCH_SIGN, &batch->request.base);

    RIG_UNTIL(&test->rig, test->rig.job_count == 64);
    for (int i = 0; i < 10; i++)
        rig_job(&test->rig, 0, WELL);
    rig_stop_now(&test->rig);
    rig_call_free(call);
    free(batch);
    rig_start(&test->rig, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_items_are_answered_in_order_each_for_itself),
        TEST(a_large_answer_arrives_whole),
        TEST(a_thousand_refusals_fit_into_the_answer),
        TEST(a_queue_that_fills_up_is_waited_for),
        TEST(a_wait_that_becomes_too_long_is_waited_for),
        TEST(a_queue_filled_by_others_refuses_the_items_with_advice),
        TEST(a_batch_that_is_not_in_order_is_refused_whole),
        TEST(an_empty_batch_has_an_empty_answer),
        TEST(items_not_started_when_the_client_leaves_never_are),
        TEST(a_batch_under_way_ends_with_the_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
