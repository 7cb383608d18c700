#include "base/crc32c.h"
#include "tests/integration/gateway/rig.h"

/* Sign, over a real connection, with a token that does as the test says. */

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

static Sealgate__V1__SignResponse *response_of(const struct rig_call *call)
{
    assert_int_equal(call->code, SG_GRPC_OK);
    assert_int_equal(call->message_count, 1);
    return rig_message(call, 0, &sealgate__v1__sign_response__descriptor);
}

static void every_kind_of_key_signs_and_the_signature_verifies(void **state)
{
    static const struct {
        const char *name;
        enum rig_key key;
    } rows[] = {{"keys/alpha", ALPHA},
                {"keys/alpha/versions/1", ALPHA},
                {"keys/edward", EDWARD},
                {"keys/ron", RON}};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    rig->is_quick = true;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_sign sign;
        print_message("  %s\n", rows[i].name);
        rig_sign_init(&sign, rows[i].name);
        struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
        Sealgate__V1__SignResponse *response = response_of(call);
        rig_sign_check(rig, rows[i].key, &sign, response);
        assert_string_equal(response->decision->rule, "row-a");
        assert_non_null(response->sign_time);
        assert_int_equal(response->timing->hsm_us, 2000);
        sealgate__v1__sign_response__free_unpacked(response, NULL);
        rig_call_free(call);
    }
}

static void the_crc_is_checked_and_said_to_be(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig->is_quick = true;
    rig_sign_init(&sign, "keys/alpha");
    sign.request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    sign.request.content_crc32c = sg_crc32c(sg_slice_of(sign.bytes, 32));
    struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
    Sealgate__V1__SignResponse *response = response_of(call);
    assert_true(response->verified_content_crc32c);
    sealgate__v1__sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
}

/* By the row's name, and not by the connection or what it shows. */
static void a_caller_has_one_turn_at_the_token(void **state)
{
    struct rig *rig = *state;
    static const struct {
        enum rig_caller caller;
        const char *key;
    } rows[] = {{A, "keys/alpha"}, {A, "keys/ron"}, {B, "keys/beta"}};
    struct rig_call *calls[SG_COUNT(rows)];
    uint64_t row_a = UINT64_C(0xcbf29ce484222325);
    for (const char *c = "row-a"; *c != '\0'; c++)
        row_a = (row_a ^ (uint8_t)*c) * UINT64_C(0x100000001b3);

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_sign sign;
        rig_sign_init(&sign, rows[i].key);
        calls[i] = rig_ask(rig_connect(rig, rows[i].caller), SIGN, &sign.request.base);
        RIG_UNTIL(rig, rig->job_count == i + 1);
    }
    assert_true(rig->jobs[0]->caller == row_a);
    assert_true(rig->jobs[1]->caller == row_a);
    assert_true(rig->jobs[2]->caller != row_a);
    rig_jobs(rig, WELL);
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        RIG_UNTIL(rig, calls[i]->done == 1);
        assert_int_equal(calls[i]->code, SG_GRPC_OK);
        rig_call_free(calls[i]);
    }
}

static void a_dry_run_submits_nothing(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    sign.request.dry_run = true;
    struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
    Sealgate__V1__SignResponse *response = response_of(call);
    assert_int_equal(response->signature.len, 0);
    assert_null(response->sign_time);
    assert_string_equal(response->key_version, "keys/alpha/versions/1");
    assert_int_equal(rig->submitted, 0);
    sealgate__v1__sign_response__free_unpacked(response, NULL);
    rig_call_free(call);
}

/* Refusals -------------------------------------------------------------------------------- */

static Sealgate__V1__OnBehalfOf on_behalf_of = SEALGATE__V1__ON_BEHALF_OF__INIT;
static Sealgate__V1__DocumentFacts document = SEALGATE__V1__DOCUMENT_FACTS__INIT;
static Sealgate__V1__Digest document_digest = SEALGATE__V1__DIGEST__INIT;
static uint8_t long_message[SG_TBS_BYTES_MAX + 1];
#define TEXT(text) ((char *)(uintptr_t)(text))

static void set_document_digest(struct rig_sign *s)
{
    s->request.document_digest = &document_digest;
}
static void set_request_id(struct rig_sign *s)
{
    s->request.request_id = TEXT("x");
}
static void set_capacity(struct rig_sign *s)
{
    s->request.capacity = 1;
}
static void set_post(struct rig_sign *s)
{
    s->request.post = TEXT("x");
}
static void set_on_behalf_of(struct rig_sign *s)
{
    s->request.on_behalf_of = &on_behalf_of;
}
static void set_document(struct rig_sign *s)
{
    s->request.document = &document;
}
static void set_activation(struct rig_sign *s)
{
    s->request.activation = TEXT("x");
}
static void set_purpose(struct rig_sign *s)
{
    s->request.purpose = TEXT("x");
}
static void no_key(struct rig_sign *s)
{
    s->request.key = TEXT("");
}
static void bad_key(struct rig_sign *s)
{
    s->request.key = TEXT("keys/Alpha");
}
static void missing_key(struct rig_sign *s)
{
    s->request.key = TEXT("keys/missing");
}
static void others_key(struct rig_sign *s)
{
    s->request.key = TEXT("keys/beta");
}
static void later_version(struct rig_sign *s)
{
    s->request.key = TEXT("keys/alpha/versions/2");
}
static void no_content(struct rig_sign *s)
{
    s->request.content_case = 0;
}
static void no_algorithm(struct rig_sign *s)
{
    s->digest.algorithm = 0;
}
static void odd_algorithm(struct rig_sign *s)
{
    s->digest.algorithm = 99;
}
static void negative_algorithm(struct rig_sign *s)
{
    s->digest.algorithm = (Sealgate__V1__DigestAlgorithm)-1;
}
static void other_algorithm(struct rig_sign *s)
{
    s->digest.algorithm = 3;
}
static void short_digest(struct rig_sign *s)
{
    s->digest.value.len = 31;
}
static void long_digest(struct rig_sign *s)
{
    s->digest.value.len = 33;
}
static void empty_digest(struct rig_sign *s)
{
    s->digest.value.len = 0;
}
static void odd_scheme(struct rig_sign *s)
{
    s->request.scheme = 77;
}
static void other_scheme(struct rig_sign *s)
{
    s->request.scheme = 2;
}
static void odd_encoding(struct rig_sign *s)
{
    s->request.encoding = 3;
}
static void bad_crc(struct rig_sign *s)
{
    s->request.content_crc32c_presence_case =
        SEALGATE__V1__SIGN_REQUEST__CONTENT_CRC32C_PRESENCE_CONTENT_CRC32C;
    s->request.content_crc32c = 1;
}
static void message_for_digest_key(struct rig_sign *s)
{
    s->request.content_case = SEALGATE__V1__SIGN_REQUEST__CONTENT_MESSAGE;
    s->request.message = (ProtobufCBinaryData){32, s->bytes};
}
static void digest_for_message_key(struct rig_sign *s)
{
    s->request.key = TEXT("keys/edward");
}
static void long_ed25519(struct rig_sign *s)
{
    message_for_digest_key(s);
    s->request.key = TEXT("keys/edward");
    s->request.message = (ProtobufCBinaryData){sizeof(long_message), long_message};
}

static const struct {
    const char *name;
    void (*spoil)(struct rig_sign *sign);
    enum sg_grpc_code code;
    const char *reason, *field;
} refused[] = {
    {"document_digest", set_document_digest, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED",
     "document_digest"},
    {"request_id", set_request_id, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "request_id"},
    {"capacity", set_capacity, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "capacity"},
    {"post", set_post, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "post"},
    {"on_behalf_of", set_on_behalf_of, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED",
     "on_behalf_of"},
    {"document", set_document, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "document"},
    {"activation", set_activation, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "activation"},
    {"purpose", set_purpose, SG_GRPC_INVALID_ARGUMENT, "FIELD_NOT_SERVED", "purpose"},
    {"no key", no_key, SG_GRPC_INVALID_ARGUMENT, "BAD_NAME", "key"},
    {"a name that is none", bad_key, SG_GRPC_INVALID_ARGUMENT, "BAD_NAME", "key"},
    {"a missing key", missing_key, SG_GRPC_NOT_FOUND, "KEY_NOT_FOUND", ""},
    {"another caller's key", others_key, SG_GRPC_NOT_FOUND, "KEY_NOT_FOUND", ""},
    {"a version there is not", later_version, SG_GRPC_NOT_FOUND, "KEY_NOT_FOUND", ""},
    {"no content", no_content, SG_GRPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "content"},
    {"no algorithm", no_algorithm, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     "digest.algorithm"},
    {"an algorithm of no name", odd_algorithm, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     "digest.algorithm"},
    {"a negative algorithm", negative_algorithm, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     "digest.algorithm"},
    {"an algorithm the key does not list", other_algorithm, SG_GRPC_INVALID_ARGUMENT,
     "ALGORITHM_NOT_ALLOWED", ""},
    {"a digest one byte short", short_digest, SG_GRPC_INVALID_ARGUMENT, "DIGEST_LENGTH", ""},
    {"a digest one byte long", long_digest, SG_GRPC_INVALID_ARGUMENT, "DIGEST_LENGTH", ""},
    {"an empty digest", empty_digest, SG_GRPC_INVALID_ARGUMENT, "DIGEST_LENGTH", ""},
    {"a scheme of no name", odd_scheme, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     "scheme"},
    {"a scheme of another key", other_scheme, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     ""},
    {"an encoding of no name", odd_encoding, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED",
     "encoding"},
    {"a wrong crc", bad_crc, SG_GRPC_INVALID_ARGUMENT, "CRC_MISMATCH", "content_crc32c"},
    {"a message for ECDSA", message_for_digest_key, SG_GRPC_INVALID_ARGUMENT, "FIELD_REQUIRED", ""},
    {"a digest for Ed25519", digest_for_message_key, SG_GRPC_INVALID_ARGUMENT,
     "ALGORITHM_NOT_ALLOWED", ""},
    {"a message over the limit", long_ed25519, SG_GRPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", ""},
};

static void a_refused_request_leaves_no_job_with_the_token(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        for (int dry = 0; dry < 2; dry++) {
            struct rig_sign sign;
            print_message("  %s%s\n", refused[i].name, dry == 0 ? "" : ", dry");
            rig_sign_init(&sign, "keys/alpha");
            refused[i].spoil(&sign);
            sign.request.dry_run = dry == 1;
            struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
            assert_int_equal(call->code, refused[i].code);
            assert_string_equal(call->reason, refused[i].reason);
            assert_string_equal(call->field, refused[i].field);
            assert_int_equal(rig->submitted, 0);
            assert_int_equal(sg_signer_pending(rig->signer), 0);
            rig_call_free(call);
        }
    }
}

static void bytes_that_are_no_request_are_refused_as_such(void **state)
{
    static const struct {
        const char *name;
        struct sg_slice bytes;
        enum sg_grpc_code code;
        const char *reason;
    } rows[] = {
        {"a cut field", {(const uint8_t *)"\x0a\x7fx", 3}, SG_GRPC_INTERNAL, "MALFORMED_MESSAGE"},
        {"not UTF-8", {(const uint8_t *)"\x0a\x01\xff", 3}, SG_GRPC_INTERNAL, "MALFORMED_MESSAGE"},
        {"NUL in a string",
         {(const uint8_t *)"\x0a\x02x\0", 4},
         SG_GRPC_INTERNAL,
         "MALFORMED_MESSAGE"},
        {"an unknown field",
         {(const uint8_t *)"\xf8\x06\x01", 3},
         SG_GRPC_INVALID_ARGUMENT,
         "UNKNOWN_FIELD"},
    };
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        struct rig_call *call = rig_begin(client, SIGN, 0);
        rig_send_bytes(call, rows[i].bytes, true);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, rows[i].code);
        assert_string_equal(call->reason, rows[i].reason);
        assert_int_equal(rig->submitted, 0);
        rig_call_free(call);
    }
}

static void a_message_over_the_limit_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    uint8_t *bytes = calloc(1, (1 << 20) + 1);

    struct rig_call *call = rig_begin(client, SIGN, 0);
    rig_send_bytes(call, sg_slice_of(bytes, (1 << 20) + 1), true);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(call->reason, "MESSAGE_TOO_LARGE");
    rig_call_free(call);
    free(bytes);
}

/* What the token does --------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum rig_key key;
    enum rig_fate fate;
    enum sg_grpc_code code;
    const char *reason;
    bool has_retry;
    size_t bad_reports;
} fates[] = {
    {"the token is lost", ALPHA, WITH_TOKEN_LOST, SG_GRPC_UNAVAILABLE, "TOKEN_LOST", true, 0},
    {"the key is odd", ALPHA, WITH_UNUSABLE, SG_GRPC_FAILED_PRECONDITION, "KEY_UNUSABLE", false, 0},
    {"an ECDSA signature lies", ALPHA, BADLY, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
    {"an Ed25519 signature lies", EDWARD, BADLY, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
    {"an RSA signature lies", RON, BADLY, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
    {"an ECDSA signature is cut", ALPHA, SHORT, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
    {"an Ed25519 signature is cut", EDWARD, SHORT, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
    {"an RSA signature is cut", RON, SHORT, SG_GRPC_INTERNAL, "HSM_FAULT", false, 1},
};

static void a_token_that_fails_or_lies_gives_no_signature(void **state)
{
    static const char *const names[] = {"keys/alpha", "", "keys/edward", "keys/ron"};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(fates); i++) {
        struct rig_sign sign;
        print_message("  %s\n", fates[i].name);
        rig->bad_reports = 0;
        rig_sign_init(&sign, names[fates[i].key]);
        struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
        RIG_UNTIL(rig, rig->job_count == 1);
        rig_job(rig, 0, fates[i].fate);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, fates[i].code);
        assert_string_equal(call->reason, fates[i].reason);
        assert_int_equal(call->has_retry, fates[i].has_retry);
        assert_int_equal(call->message_count, 0);
        assert_int_equal(rig->bad_reports, fates[i].bad_reports);
        rig_call_free(call);
    }
}

/* A key of which one signature in 64 is verified: what is released unverified must at least have
 * the form of a signature, and a fault of the token is none of the caller's. */
static void an_unverified_signature_of_the_wrong_length_is_not_released(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct sg_key *key = sg_keys_find(rig->keys, SG_SLICE("alpha"));

    key->verify_sampled = true;
    for (int encoding = 1; encoding <= 2; encoding++) {
        struct rig_sign sign;
        key->sample = 1; /* not one that is verified */
        rig_sign_init(&sign, "keys/alpha");
        sign.request.encoding = (Sealgate__V1__SignatureEncoding)encoding;
        struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
        RIG_UNTIL(rig, rig->job_count == 1);
        rig_job(rig, 0, SHORT);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, SG_GRPC_INTERNAL);
        assert_string_equal(call->reason, "HSM_FAULT");
        rig_call_free(call);
    }
    assert_int_equal(rig->bad_reports, 2);
}

static void a_full_queue_refuses_with_advice(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig->jobs_max = 0;
    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
    assert_int_equal(call->code, SG_GRPC_RESOURCE_EXHAUSTED);
    assert_string_equal(call->reason, "QUEUE_FULL");
    assert_true(call->has_retry);
    rig_call_free(call);
}

static void the_deadline_passes_while_the_token_works(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_begin(client, SIGN, 0);
    rig_send(call, &sign.request.base, true);
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_wait(rig, 31 * SG_NS_PER_S); /* over the longest */
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_DEADLINE_EXCEEDED);
    assert_string_equal(call->reason, "DEADLINE");
    rig_call_free(call);
    assert_int_equal(sg_signer_pending(rig->signer), 1);
    rig_jobs(rig, WELL); /* too late: goes nowhere, and nothing leaks */
    RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
}

/* Clients that go away -------------------------------------------------------------------- */

static void a_client_that_vanishes_takes_nothing_from_under_the_token(void **state)
{
    static const enum rig_fate rows[] = {WELL, BADLY, WITH_TOKEN_LOST};
    struct rig *rig = *state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_client *client = rig_connect(rig, A);
        struct rig_sign sign;
        rig_sign_init(&sign, "keys/alpha");
        struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
        RIG_UNTIL(rig, rig->job_count == 1);
        rig_disconnect(client, i % 2 == 0);
        rig_call_free(call);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
        assert_int_equal(sg_signer_pending(rig->signer), 1);
        rig_jobs(rig, rows[i]);
        RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
    }
}

static void a_client_may_vanish_while_its_signature_is_verified(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/ron");
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 1);
    rig_jobs(rig, WELL); /* the pool has it now, and its answer waits for the loop */
    rig_disconnect(client, false);
    rig_call_free(call);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 0 && sg_signer_pending(rig->signer) == 0);
}

static void a_cancelled_call_leaves_its_connection_to_the_others(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *first = rig_ask(client, SIGN, &sign.request.base);
    struct rig_call *second = rig_ask(client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 2);
    sg_rpc_client_cancel(first->call);
    RIG_UNTIL(rig, first->done > 0);
    rig_settle(rig);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, second->done > 0);
    assert_int_equal(first->code, SG_GRPC_CANCELLED);
    assert_int_equal(second->code, SG_GRPC_OK);
    rig_call_free(first);
    rig_call_free(second);
}

static void everything_under_way_ends_with_the_gateway(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/ron");
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    struct rig_call *other = rig_ask(client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 2);
    rig_job(rig, 0, WELL); /* one is being verified, one is with the token */
    rig_stop_now(rig);
    rig_call_free(call);
    rig_call_free(other);
    rig_start(rig, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_key_signs_and_the_signature_verifies),
        TEST(the_crc_is_checked_and_said_to_be),
        TEST(a_caller_has_one_turn_at_the_token),
        TEST(a_dry_run_submits_nothing),
        TEST(a_refused_request_leaves_no_job_with_the_token),
        TEST(bytes_that_are_no_request_are_refused_as_such),
        TEST(a_message_over_the_limit_is_refused),
        TEST(a_token_that_fails_or_lies_gives_no_signature),
        TEST(an_unverified_signature_of_the_wrong_length_is_not_released),
        TEST(a_full_queue_refuses_with_advice),
        TEST(the_deadline_passes_while_the_token_works),
        TEST(a_client_that_vanishes_takes_nothing_from_under_the_token),
        TEST(a_client_may_vanish_while_its_signature_is_verified),
        TEST(a_cancelled_call_leaves_its_connection_to_the_others),
        TEST(everything_under_way_ends_with_the_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
