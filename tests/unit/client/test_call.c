#include "base/cleanup.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Blocking calls against a scripted server: what each answer becomes. */

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

static const uint8_t digest[32] = {1, 2, 3, [31] = 32};

static struct sealgate_sign_request request_by(const char *key)
{
    return (struct sealgate_sign_request){
        .key = key, .digest = SEALGATE_DIGEST_SHA256, .content = {digest, sizeof(digest)}};
}

/* ---- Sign ----------------------------------------------------------------------------------- */

static void sign_returns_the_signature_and_all_about_it(void **state)
{
    struct sealgate_sign_request request = request_by("keys/ok");
    struct sealgate_signature *signature = NULL;

    (void)state;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, NULL), SEALGATE_OK);
    assert_int_equal(signature->signature.len, 32);
    assert_int_equal(signature->signature.ptr[0], 32);
    assert_int_equal(signature->signature.ptr[31], 1);
    assert_string_equal(signature->key_version, "keys/ok");
    assert_int_equal(signature->scheme, SEALGATE_SCHEME_ECDSA);
    assert_int_equal(signature->digest, SEALGATE_DIGEST_SHA256);
    assert_int_equal(signature->sign_time_ns, INT64_C(1700000000000000005));
    assert_string_equal(signature->rule, "");
    assert_false(signature->replayed);
    sealgate_free(signature);
}

static void a_message_is_sent_as_it_is(void **state)
{
    struct sealgate_sign_request request = {.key = "keys/ok",
                                            .content = {(const uint8_t *)"abc", 3}};
    struct sealgate_signature *signature = NULL;

    (void)state;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, NULL), SEALGATE_OK);
    assert_int_equal(signature->signature.len, 3);
    assert_memory_equal(signature->signature.ptr, "cba", 3);
    sealgate_free(signature);
}

static const struct {
    const char *key;
    enum sealgate_code code;
    enum sealgate_outcome outcome;
    const char *reason;
    bool is_local;
} refusals[] = {
    {"keys/denied", SEALGATE_NOT_FOUND, SEALGATE_OUTCOME_ANSWERED, "KEY_NOT_FOUND", false},
    {"keys/bare", SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, "", false},
    {"keys/bad-crc", SEALGATE_DATA_LOSS, SEALGATE_OUTCOME_ANSWERED, "RESPONSE_CRC_MISMATCH", true},
    {"keys/not-checked", SEALGATE_DATA_LOSS, SEALGATE_OUTCOME_ANSWERED, "REQUEST_NOT_CHECKED",
     true},
    {"keys/empty", SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, "RESPONSE_MALFORMED", true},
    {"keys/garbage", SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, "RESPONSE_MALFORMED", true},
    {"keys/none", SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, "RESPONSE_MALFORMED", true},
    {"keys/twice", SEALGATE_INTERNAL, SEALGATE_OUTCOME_ANSWERED, "RESPONSE_MALFORMED", true},
    {"keys/close", SEALGATE_UNAVAILABLE, SEALGATE_OUTCOME_UNKNOWN, "CONNECTION_LOST", true},
    {"keys/hang", SEALGATE_DEADLINE_EXCEEDED, SEALGATE_OUTCOME_UNKNOWN, "DEADLINE", true},
};

static void every_answer_that_is_no_signature_is_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refusals); i++) {
        struct sealgate_sign_request request = request_by(refusals[i].key);
        bool hangs = strcmp(refusals[i].key, "keys/hang") == 0;
        struct sealgate_signature *signature = NULL;
        struct sealgate_error error;

        print_message("  %s\n", refusals[i].key);
        assert_int_equal(sealgate_sign(client, &request, hangs ? 200 : 5000, &signature, &error),
                         refusals[i].code);
        assert_null(signature);
        assert_int_equal(error.code, refusals[i].code);
        assert_string_equal(error.reason, refusals[i].reason);
        assert_int_equal(error.outcome, refusals[i].outcome);
        assert_int_equal(error.is_local, refusals[i].is_local);
        assert_string_not_equal(error.message, "");
    }
    /* And the client is as good as before. */
    sign_returns_the_signature_and_all_about_it(state);
}

static void an_error_brings_every_detail_the_server_gave(void **state)
{
    struct sealgate_sign_request request = request_by("keys/denied");
    struct sealgate_signature *signature = NULL;
    struct sealgate_error error;

    (void)state;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, &error), SEALGATE_NOT_FOUND);
    assert_string_equal(error.message, "there is no key \"denied\" for this caller");
    assert_string_equal(error.request_id, "req-7");
    assert_string_equal(error.field, "key");
    assert_int_equal(error.retry_after_ms, 251);
    assert_string_equal(error.next, sg_reason_next(SG_R_KEY_NOT_FOUND));
}

static void an_answer_over_the_limit_is_not_kept(void **state)
{
    struct sealgate_sign_request request = request_by("keys/huge");
    struct sealgate_signature *signature = NULL;
    struct sealgate_error error;

    (void)state;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, &error),
                     SEALGATE_RESOURCE_EXHAUSTED);
    assert_null(signature);
    sign_returns_the_signature_and_all_about_it(state);
}

static void a_dry_run_may_have_no_signature(void **state)
{
    struct sealgate_sign_request request = request_by("keys/empty");
    struct sealgate_signature *signature = NULL;

    (void)state;
    request.dry_run = true;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, NULL), SEALGATE_OK);
    assert_int_equal(signature->signature.len, 0);
    sealgate_free(signature);
}

static void one_connection_serves_all_calls(void **state)
{
    for (int i = 0; i < 20; i++)
        sign_returns_the_signature_and_all_about_it(state);
    assert_int_equal(atomic_load(&server->connections), 1);
}

static void a_request_over_the_limit_is_refused_here(void **state)
{
    struct sealgate_sign_request request = {.key = "keys/ok", .content = {NULL, 6 << 20}};
    struct sealgate_signature *signature = NULL;
    struct sealgate_error error;
    uint8_t *large = calloc(1, 6 << 20);

    (void)state;
    assert_non_null(large);
    request.content.ptr = large;
    assert_int_equal(sealgate_sign(client, &request, 0, &signature, &error),
                     SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_ARGUMENT");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_int_equal(atomic_load(&server->connections), 0);
    free(large);
}

/* ---- BatchSign ------------------------------------------------------------------------------ */

static void every_item_of_a_batch_succeeds_or_fails_on_its_own(void **state)
{
    struct sealgate_sign_request requests[] = {
        request_by("keys/ok"),          request_by("keys/denied"),  request_by("keys/bad-crc"),
        request_by("keys/not-checked"), request_by("keys/neither"), request_by("keys/empty"),
        request_by("keys/ok")};
    static const char *const reasons[] = {NULL,
                                          "KEY_NOT_FOUND",
                                          "RESPONSE_CRC_MISMATCH",
                                          "REQUEST_NOT_CHECKED",
                                          "RESPONSE_MALFORMED",
                                          "RESPONSE_MALFORMED",
                                          NULL};
    struct sealgate_batch *batch = NULL;

    (void)state;
    assert_int_equal(sealgate_batch_sign(client, requests, SG_COUNT(requests), 0, &batch, NULL),
                     SEALGATE_OK);
    assert_int_equal(batch->count, SG_COUNT(requests));
    for (size_t i = 0; i < batch->count; i++) {
        print_message("  %s\n", requests[i].key);
        assert_int_equal(batch->items[i].error == NULL, reasons[i] == NULL);
        assert_int_equal(batch->items[i].signature != NULL, reasons[i] == NULL);
        if (reasons[i] != NULL)
            assert_string_equal(batch->items[i].error->reason, reasons[i]);
        else
            assert_int_equal(batch->items[i].signature->signature.ptr[0], 32);
    }
    assert_int_equal(batch->items[1].error->retry_after_ms, 251);
    sealgate_free(batch);
}

static void a_batch_of_the_wrong_shape_is_refused_whole(void **state)
{
    static const char *const keys[] = {"keys/unordered", "keys/short"};

    (void)state;
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        struct sealgate_sign_request requests[] = {request_by(keys[i]), request_by("keys/ok")};
        struct sealgate_batch *batch = NULL;
        struct sealgate_error error;

        print_message("  %s\n", keys[i]);
        assert_int_equal(sealgate_batch_sign(client, requests, 2, 0, &batch, &error),
                         SEALGATE_INTERNAL);
        assert_null(batch);
        assert_string_equal(error.reason, "RESPONSE_MALFORMED");
    }
}

static void an_empty_batch_is_refused_here(void **state)
{
    struct sealgate_batch *batch = NULL;

    (void)state;
    assert_int_equal(sealgate_batch_sign(client, NULL, 0, 0, &batch, NULL),
                     SEALGATE_INVALID_ARGUMENT);
}

/* ---- The others ----------------------------------------------------------------------------- */

static void verify_brings_a_verdict_and_not_an_error(void **state)
{
    uint8_t signature[32];
    struct sealgate_verify_request request = {.key = "keys/ok",
                                              .digest = SEALGATE_DIGEST_SHA256,
                                              .content = {digest, 32},
                                              .signature = {signature, 32}};

    (void)state;
    for (size_t i = 0; i < 32; i++)
        signature[i] = digest[31 - i];
    for (int bad = 0; bad < 2; bad++) {
        struct sealgate_verdict *verdict = NULL;
        signature[5] ^= (uint8_t)bad;
        assert_int_equal(sealgate_verify(client, &request, 0, &verdict, NULL), SEALGATE_OK);
        assert_int_equal(verdict->valid, bad == 0);
        assert_string_equal(verdict->reason, bad == 0 ? "" : "SIGNATURE_INVALID");
        sealgate_free(verdict);
    }
}

static void keys_are_listed_page_by_page(void **state)
{
    struct sealgate_key_list *list = NULL;

    (void)state;
    assert_int_equal(sealgate_list_keys(client, 2, NULL, 0, &list, NULL), SEALGATE_OK);
    assert_int_equal(list->count, 2);
    assert_string_equal(list->keys[0].name, "keys/a");
    assert_string_equal(list->keys[1].name, "keys/b");
    assert_string_equal(list->keys[1].token, "t\u00f4ken");
    assert_string_equal(list->next_page_token, "more");
    sealgate_free(list);
    assert_int_equal(sealgate_list_keys(client, 2, "more", 0, &list, NULL), SEALGATE_OK);
    assert_int_equal(list->count, 1);
    assert_string_equal(list->next_page_token, "");
    sealgate_free(list);
}

static void a_key_is_shown_with_its_algorithms(void **state)
{
    struct sealgate_key *key = NULL;

    (void)state;
    assert_int_equal(sealgate_get_key(client, "keys/x", 0, &key, NULL), SEALGATE_OK);
    assert_string_equal(key->name, "keys/x");
    assert_int_equal(key->type, SEALGATE_KEY_TYPE_EC_P256);
    assert_int_equal(key->state, SEALGATE_KEY_STATE_ACTIVE);
    assert_int_equal(key->scheme_count, 1);
    assert_int_equal(key->schemes[0], SEALGATE_SCHEME_ECDSA);
    assert_int_equal(key->digest_count, 2);
    assert_int_equal(key->digests[1], SEALGATE_DIGEST_SHA384);
    assert_int_equal(key->create_time_ns, 0);
    sealgate_free(key);
}

static void a_public_key_is_checked_and_written_as_pem_here(void **state)
{
    struct sealgate_public_key *key = NULL;
    struct sealgate_error error;

    (void)state;
    assert_int_equal(sealgate_get_public_key(client, "keys/x", 0, &key, NULL), SEALGATE_OK);
    assert_int_equal(key->spki.len, 61);
    assert_string_equal(key->pem,
                        "-----BEGIN PUBLIC KEY-----\n"
                        "dGhpcnR5LXR3byBieXRlcywgYW5kIG5vdCBhIGtleS5wbHVzIGEgZmV3IG1vcmUg\n"
                        "dGhhbiBvbmUgbGluZQ==\n"
                        "-----END PUBLIC KEY-----\n");
    sealgate_free(key);
    assert_int_equal(sealgate_get_public_key(client, "keys/bad-crc", 0, &key, &error),
                     SEALGATE_DATA_LOSS);
    assert_string_equal(error.reason, "RESPONSE_CRC_MISMATCH");
}

static void a_csr_is_asked_for_with_every_name(void **state)
{
    static const struct sealgate_name_attribute subject[] = {{"CN", "Ph\u00f2ng"}, {"C", "VN"}};
    static const char *const dns[] = {"a.example", "b.example"};
    struct sealgate_csr_request request = {.key = "keys/x",
                                           .subject = subject,
                                           .subject_count = 2,
                                           .dns_names = dns,
                                           .dns_name_count = 2,
                                           .digest = SEALGATE_DIGEST_SHA384};
    static const char expected[] = "CN=Ph\u00f2ng;C=VN;dns a.example;dns b.example;0 0 2";
    struct sealgate_csr *csr = NULL;

    (void)state;
    assert_int_equal(sealgate_create_csr(client, &request, 0, &csr, NULL), SEALGATE_OK);
    assert_int_equal(csr->der.len, sizeof(expected) - 1);
    assert_memory_equal(csr->der.ptr, expected, sizeof(expected) - 1);
    assert_non_null(strstr(csr->pem, "-----BEGIN CERTIFICATE REQUEST-----\n"));
    sealgate_free(csr);

    request.dns_name_count = 17;
    assert_int_equal(sealgate_create_csr(client, &request, 0, &csr, NULL),
                     SEALGATE_INVALID_ARGUMENT);
}

static void the_server_tells_of_itself(void **state)
{
    struct sealgate_server_info *info = NULL;
    struct sealgate_capacity *capacity = NULL;

    (void)state;
    assert_int_equal(sealgate_server_info(client, 0, &info, NULL), SEALGATE_OK);
    assert_string_equal(info->version, "9.9");
    assert_int_equal(info->service_count, 2);
    assert_string_equal(info->services[1], "c.D");
    assert_int_equal(info->batch_items_max, 1000);
    assert_int_equal(info->deadline_max_ms, 30000);
    assert_int_equal(info->token_count, 1);
    assert_string_equal(info->tokens[0].name, "hsm-2");
    assert_int_equal(info->tokens[0].state, SEALGATE_TOKEN_STATE_DRAINING);
    sealgate_free(info);
    assert_int_equal(sealgate_capacity(client, 0, &capacity, NULL), SEALGATE_OK);
    assert_int_equal(capacity->count, 1);
    assert_string_equal(capacity->tokens[0].name, "softhsm");
    assert_int_equal(capacity->tokens[0].state, SEALGATE_TOKEN_STATE_UP);
    sealgate_free(capacity);
}

static void health_is_answered_by_its_number(void **state)
{
    enum sealgate_health health = SEALGATE_HEALTH_UNKNOWN;

    (void)state;
    assert_int_equal(sealgate_health_check(client, NULL, 0, &health, NULL), SEALGATE_OK);
    assert_int_equal(health, SEALGATE_HEALTH_SERVING);
    assert_int_equal(sealgate_health_check(client, "down", 0, &health, NULL), SEALGATE_OK);
    assert_int_equal(health, SEALGATE_HEALTH_NOT_SERVING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sign_returns_the_signature_and_all_about_it),
        TEST(a_message_is_sent_as_it_is),
        TEST(every_answer_that_is_no_signature_is_an_error),
        TEST(an_error_brings_every_detail_the_server_gave),
        TEST(an_answer_over_the_limit_is_not_kept),
        TEST(a_dry_run_may_have_no_signature),
        TEST(one_connection_serves_all_calls),
        TEST(a_request_over_the_limit_is_refused_here),
        TEST(every_item_of_a_batch_succeeds_or_fails_on_its_own),
        TEST(a_batch_of_the_wrong_shape_is_refused_whole),
        TEST(an_empty_batch_is_refused_here),
        TEST(verify_brings_a_verdict_and_not_an_error),
        TEST(keys_are_listed_page_by_page),
        TEST(a_key_is_shown_with_its_algorithms),
        TEST(a_public_key_is_checked_and_written_as_pem_here),
        TEST(a_csr_is_asked_for_with_every_name),
        TEST(the_server_tells_of_itself),
        TEST(health_is_answered_by_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
