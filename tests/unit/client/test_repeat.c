#include <ctype.h>

#include "base/clock.h"
#include "client/lib/client_priv.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Signing calls that are known by their request_id: sent again when they may have been done, and
 * without one where the server has none. */

static struct test_server *server;
static struct sealgate_options options;
static struct sealgate_client *client;
static const uint8_t digest[32] = {7};

static int start(void **state)
{
    (void)state;
    server = test_server_start();
    options = test_server_options(server);
    options.no_repeat = false;
    return sealgate_client_new(&options, &client, NULL) == SEALGATE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    test_server_stop(server);
    return 0;
}

/* `seen` gets the request_id that the server saw; 64 bytes. */
static enum sealgate_code sign(const char *key, const char *request_id, uint32_t timeout_ms,
                               char *seen, struct sealgate_error *error)
{
    struct sealgate_sign_request request = {.key = key,
                                            .digest = SEALGATE_DIGEST_SHA256,
                                            .content = {digest, sizeof(digest)},
                                            .request_id = request_id};
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, timeout_ms, &signature, error);
    if (code == SEALGATE_OK && seen != NULL)
        snprintf(seen, 64, "%s", signature->key_version);
    sealgate_free(signature);
    return code;
}

static void ids_are_uuids_of_version_7_that_grow(void **state)
{
    char last[SEALGATE_REQUEST_ID_BYTES] = "", id[SEALGATE_REQUEST_ID_BYTES];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(sealgate_request_id(id));
        assert_int_equal(strlen(id), 36);
        for (size_t at = 0; at < 36; at++) {
            bool is_dash = at == 8 || at == 13 || at == 18 || at == 23;
            assert_true(is_dash ? id[at] == '-'
                                : isdigit(id[at]) || (id[at] >= 'a' && id[at] <= 'f'));
        }
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(strncmp(id, last, 13) >= 0);
        assert_string_not_equal(id, last);
        memcpy(last, id, sizeof(last));
    }
}

static void every_call_has_an_id(void **state)
{
    char one[64], two[64];
    (void)state;
    assert_int_equal(sign("keys/ids", NULL, 0, one, NULL), SEALGATE_OK);
    assert_int_equal(sign("keys/ids", NULL, 0, two, NULL), SEALGATE_OK);
    assert_int_equal(strlen(one), 36);
    assert_string_not_equal(one, two);
    assert_int_equal(sign("keys/ids", "mine", 0, one, NULL), SEALGATE_OK);
    assert_string_equal(one, "mine");
}

static void a_lost_call_is_sent_again_with_the_same_id(void **state)
{
    static const char *const given[] = {NULL, "0193526e-8c00-7abc-8def-0123456789ab"};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(given); i++) {
        char seen[64];
        atomic_store(&server->calls, 0);
        assert_int_equal(sign("keys/ids-close", given[i], 0, seen, NULL), SEALGATE_OK);
        assert_int_equal(atomic_load(&server->calls), 3);
        if (given[i] != NULL)
            assert_string_equal(seen, given[i]);
    }
}

static void a_busy_server_is_waited_for_as_long_as_it_says(void **state)
{
    int64_t begun_ns = sg_mono_ns(&sg_clock_system);
    (void)state;
    assert_int_equal(sign("keys/ids-busy", NULL, 0, NULL, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 3);
    assert_true(sg_mono_ns(&sg_clock_system) - begun_ns >= 2 * 251 * SG_NS_PER_MS);
}

static void there_is_no_waiting_beyond_the_time_of_the_call(void **state)
{
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sign("keys/ids-busy", NULL, 200, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "TOKEN_LOST");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_ANSWERED);
    assert_int_equal(atomic_load(&server->calls), 1);

    assert_int_equal(sign("keys/close", NULL, 600, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_in_range(atomic_load(&server->calls), 3, 1 + SG_CLIENT_REPEATS_MAX + 1);
}

static void a_killed_server_may_come_back_in_time(void **state)
{
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sign("keys/ids", NULL, 0, NULL, NULL), SEALGATE_OK);
    test_server_set_down(server, true);
    /* Nothing was sent: there is no connection, and it is told at once, as without ids. */
    assert_int_equal(sign("keys/ids", NULL, 300, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    test_server_set_down(server, false);
    assert_int_equal(sign("keys/ids", NULL, 0, NULL, NULL), SEALGATE_OK);
}

static void a_server_without_ids_is_served_without(void **state)
{
    struct sealgate_error error;
    char seen[64];
    (void)state;
    assert_int_equal(sign("keys/ids-refused", NULL, 0, seen, NULL), SEALGATE_OK);
    assert_string_equal(seen, "");
    assert_int_equal(atomic_load(&server->calls), 2);
    assert_int_equal(sign("keys/ids-refused", NULL, 0, seen, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 3); /* it is remembered */
    /* Now nothing is known by an id, so nothing is repeated. */
    assert_int_equal(sign("keys/close", NULL, 0, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(atomic_load(&server->calls), 4);
    /* Whoever gave an id relies on it: he is told. */
    assert_int_equal(sign("keys/ids-refused", "mine", 0, seen, &error), SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "FIELD_NOT_SERVED");
}

static void a_batch_goes_without_ids_too(void **state)
{
    struct sealgate_sign_request requests[3];
    struct sealgate_batch *batch = NULL;
    (void)state;
    for (size_t i = 0; i < SG_COUNT(requests); i++)
        requests[i] =
            (struct sealgate_sign_request){.key = i == 1 ? "keys/ids" : "keys/ids-refused",
                                           .digest = SEALGATE_DIGEST_SHA256,
                                           .content = {digest, sizeof(digest)}};
    assert_int_equal(sealgate_batch_sign(client, requests, SG_COUNT(requests), 0, &batch, NULL),
                     SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 2);
    for (size_t i = 0; i < SG_COUNT(requests); i++) {
        assert_non_null(batch->items[i].signature);
        assert_string_equal(batch->items[i].signature->key_version, "");
    }
    sealgate_free(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_are_uuids_of_version_7_that_grow, start, stop),
        cmocka_unit_test_setup_teardown(every_call_has_an_id, start, stop),
        cmocka_unit_test_setup_teardown(a_lost_call_is_sent_again_with_the_same_id, start, stop),
        cmocka_unit_test_setup_teardown(a_busy_server_is_waited_for_as_long_as_it_says, start,
                                        stop),
        cmocka_unit_test_setup_teardown(there_is_no_waiting_beyond_the_time_of_the_call, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_killed_server_may_come_back_in_time, start, stop),
        cmocka_unit_test_setup_teardown(a_server_without_ids_is_served_without, start, stop),
        cmocka_unit_test_setup_teardown(a_batch_goes_without_ids_too, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
