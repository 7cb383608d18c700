#include "client/lib/error.h"

#include "base/algorithm.h"
#include "client/lib/codec.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "proto/pb/unpack.h"
#include "sealgate/v1/keys.pb-c.h"
#include "sealgate/v1/types.pb-c.h"
#include "tests/support/unit.h"

/* One detail as a google.protobuf.Any; `type` is the last part of its URL. */
static void detail(struct sg_buf *out, const char *type, const ProtobufCMessage *message)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT, *anys[] = {&any};
    struct sg_buf packed;
    char url[200];

    snprintf(url, sizeof(url), "type.googleapis.com/%s", type);
    sg_buf_init(&packed, 1 << 20);
    sg_pb_pack(message, &packed);
    any.type_url = url;
    any.value = (ProtobufCBinaryData){packed.len, packed.ptr};
    status.n_details = 1;
    status.details = anys;
    sg_pb_pack(&status.base, out); /* messages that follow each other are merged (proto3) */
    sg_buf_done(&packed);
}

static struct sealgate_error error_of(enum sg_grpc_code code, const char *message,
                                      struct sg_slice details)
{
    struct sg_status status = {.code = code, .message = sg_slice_str(message), .details = details};
    struct sealgate_error error;

    (void)sg_client_fail_status(&error, &status, SEALGATE_OUTCOME_ANSWERED);
    return error;
}

static void without_details_the_code_and_the_message_remain(void **state)
{
    struct sealgate_error error = error_of(SG_GRPC_ABORTED, "why", (struct sg_slice){0});

    (void)state;
    assert_int_equal(error.code, SEALGATE_ABORTED);
    assert_string_equal(error.message, "why");
    assert_string_equal(error.reason, "");
    assert_string_equal(error.next, "");
    assert_int_equal(error.retry_after_ms, 0);
    assert_false(error.is_local);
}

static void codes_that_are_none_are_unknown(void **state)
{
    (void)state;
    assert_int_equal(error_of((enum sg_grpc_code)17, "", (struct sg_slice){0}).code,
                     SEALGATE_UNKNOWN);
    assert_int_equal(error_of((enum sg_grpc_code) - 3, "", (struct sg_slice){0}).code,
                     SEALGATE_UNKNOWN);
    assert_int_equal(error_of(SG_GRPC_OK, "", (struct sg_slice){0}).code, SEALGATE_UNKNOWN);
}

static void the_servers_advice_beats_our_own(void **state)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry next = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&next};
    struct sg_buf details;
    struct sealgate_error error;

    (void)state;
    info.reason = sg_client_text("QUEUE_FULL");
    for (int has_advice = 0; has_advice < 2; has_advice++) {
        next.key = sg_client_text("next");
        next.value = sg_client_text("Ask somebody else.");
        info.n_metadata = has_advice == 0 ? 0 : 1;
        info.metadata = entries;
        sg_buf_init(&details, 4096);
        detail(&details, "google.rpc.ErrorInfo", &info.base);
        error = error_of(SG_GRPC_RESOURCE_EXHAUSTED, "", sg_buf_slice(&details));
        assert_string_equal(error.reason, "QUEUE_FULL");
        assert_string_equal(error.next, has_advice == 0 ? sg_reason_next(SG_R_QUEUE_FULL)
                                                        : "Ask somebody else.");
        sg_buf_done(&details);
    }
}

static const struct {
    const char *name;
    int64_t seconds;
    int32_t nanos;
    uint32_t ms;
} delays[] = {
    {"none", 0, 0, 0},
    {"a nanosecond is a millisecond", 0, 1, 1},
    {"exactly one", 0, 1000000, 1},
    {"rounded up", 1, 1, 1001},
    {"just under two", 1, 999999999, 2000},
    {"negative", -5, 0, 0},
    {"negative nanoseconds", 5, -1, 0},
    {"nanoseconds over a second", 5, 1000000000, 0},
    {"49 days", 4294966, 0, 4294966000},
    {"all that fits", 4294967, 295000000, UINT32_MAX},
    {"over that", 4294968, 0, UINT32_MAX},
    {"for ever", INT64_MAX, 999999999, UINT32_MAX},
    {"before the beginning", INT64_MIN, 0, 0},
};

static void retry_delays_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(delays); i++) {
        Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
        Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
        struct sg_buf details;

        print_message("  %s\n", delays[i].name);
        delay.seconds = delays[i].seconds;
        delay.nanos = delays[i].nanos;
        retry.retry_delay = &delay;
        sg_buf_init(&details, 4096);
        detail(&details, "google.rpc.RetryInfo", &retry.base);
        assert_int_equal(error_of(SG_GRPC_UNAVAILABLE, "", sg_buf_slice(&details)).retry_after_ms,
                         delays[i].ms);
        sg_buf_done(&details);
    }
}

static void long_text_is_cut_between_characters(void **state)
{
    char text[1200];
    struct sealgate_error error;
    size_t len;

    (void)state;
    for (size_t shift = 0; shift < 3; shift++) { /* three bytes each, so every cut is met */
        memset(text, 'x', shift);
        for (size_t at = shift; at + 3 < sizeof(text); at += 3)
            memcpy(text + at, "\u1ea1", 3);
        text[shift + (sizeof(text) - shift - 1) / 3 * 3] = '\0';
        error = error_of(SG_GRPC_INTERNAL, text, (struct sg_slice){0});
        len = strlen(error.message);
        assert_in_range(len, sizeof(error.message) - 4, sizeof(error.message) - 1);
        assert_int_equal((len - shift) % 3, 0);
    }
}

static void details_cut_or_changed_anywhere_never_hide_the_code(void **state)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    struct sg_buf details;

    (void)state;
    info.reason = sg_client_text("KEY_NOT_FOUND");
    sg_buf_init(&details, 4096);
    detail(&details, "google.rpc.ErrorInfo", &info.base);
    for (size_t len = 0; len <= details.len; len++) {
        struct sealgate_error error =
            error_of(SG_GRPC_NOT_FOUND, "m", sg_slice_of(details.ptr, len));
        assert_int_equal(error.code, SEALGATE_NOT_FOUND);
        assert_string_equal(error.message, "m");
        assert_true(error.reason[0] == '\0' || strcmp(error.reason, "KEY_NOT_FOUND") == 0);
    }
    for (size_t at = 0; at < details.len; at++) {
        details.ptr[at] ^= 0xff;
        assert_int_equal(error_of(SG_GRPC_NOT_FOUND, "m", sg_buf_slice(&details)).code,
                         SEALGATE_NOT_FOUND);
        details.ptr[at] ^= 0xff;
    }
    sg_buf_done(&details);
}

static void local_failures_name_themselves(void **state)
{
    struct sealgate_error error;

    (void)state;
    assert_int_equal(
        sg_client_fail(&error, SG_CLIENT_TLS_FAILED, SEALGATE_OUTCOME_NOT_DONE, "because %d", 7),
        SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "TLS_FAILED");
    assert_string_equal(error.message, "because 7");
    assert_true(error.is_local);
    assert_int_equal(sg_client_fail(NULL, SG_CLIENT_DEADLINE, SEALGATE_OUTCOME_UNKNOWN, "%s", ""),
                     SEALGATE_DEADLINE_EXCEEDED);
}

/* The header promises the numbers of the contract; the others rest on that by casts. */
static void the_numbers_of_the_header_are_those_of_the_contract(void **state)
{
    static const struct {
        const ProtobufCEnumDescriptor *contract;
        const char *prefix;
        struct {
            const char *name;
            int number;
        } ours[8];
    } enums[] = {
        {&sealgate__v1__digest_algorithm__descriptor,
         "DIGEST_ALGORITHM_",
         {{"UNSPECIFIED", SEALGATE_DIGEST_UNSET},
          {"SHA256", SEALGATE_DIGEST_SHA256},
          {"SHA384", SEALGATE_DIGEST_SHA384},
          {"SHA512", SEALGATE_DIGEST_SHA512},
          {"SHA3_256", SEALGATE_DIGEST_SHA3_256},
          {"SHA3_384", SEALGATE_DIGEST_SHA3_384},
          {"SHA3_512", SEALGATE_DIGEST_SHA3_512}}},
        {&sealgate__v1__signature_scheme__descriptor,
         "SIGNATURE_SCHEME_",
         {{"UNSPECIFIED", SEALGATE_SCHEME_UNSET},
          {"RSA_PKCS1", SEALGATE_SCHEME_RSA_PKCS1},
          {"RSA_PSS", SEALGATE_SCHEME_RSA_PSS},
          {"ECDSA", SEALGATE_SCHEME_ECDSA},
          {"ED25519", SEALGATE_SCHEME_ED25519}}},
        {&sealgate__v1__signature_encoding__descriptor,
         "SIGNATURE_ENCODING_",
         {{"UNSPECIFIED", SEALGATE_ENCODING_UNSET},
          {"DER", SEALGATE_ENCODING_DER},
          {"RAW", SEALGATE_ENCODING_RAW}}},
        {&sealgate__v1__key_type__descriptor,
         "KEY_TYPE_",
         {{"UNSPECIFIED", SEALGATE_KEY_TYPE_UNSET},
          {"RSA_2048", SEALGATE_KEY_TYPE_RSA_2048},
          {"RSA_3072", SEALGATE_KEY_TYPE_RSA_3072},
          {"RSA_4096", SEALGATE_KEY_TYPE_RSA_4096},
          {"EC_P256", SEALGATE_KEY_TYPE_EC_P256},
          {"EC_P384", SEALGATE_KEY_TYPE_EC_P384},
          {"ED25519", SEALGATE_KEY_TYPE_ED25519}}},
        {&sealgate__v1__key_state__descriptor,
         "KEY_STATE_",
         {{"UNSPECIFIED", SEALGATE_KEY_STATE_UNSET},
          {"ACTIVE", SEALGATE_KEY_STATE_ACTIVE},
          {"LOADING", SEALGATE_KEY_STATE_LOADING},
          {"UNUSABLE", SEALGATE_KEY_STATE_UNUSABLE},
          {"QUARANTINED", SEALGATE_KEY_STATE_QUARANTINED}}},
    };

    (void)state;
    for (size_t i = 0; i < SG_COUNT(enums); i++) {
        size_t count = 0;
        print_message("  %s\n", enums[i].prefix);
        for (; count < 8 && enums[i].ours[count].name != NULL; count++) {
            char name[100];
            const ProtobufCEnumValue *value;
            snprintf(name, sizeof(name), "%s%s", enums[i].prefix, enums[i].ours[count].name);
            value = protobuf_c_enum_descriptor_get_value_by_name(enums[i].contract, name);
            assert_non_null(value);
            assert_int_equal(value->value, enums[i].ours[count].number);
        }
        assert_int_equal(count, enums[i].contract->n_values);
    }
    assert_int_equal(SG_DIGEST_SHA3_512, SEALGATE_DIGEST_SHA3_512);
    assert_int_equal(SG_SCHEME_ED25519, SEALGATE_SCHEME_ED25519);
    assert_int_equal(SG_KEY_ED25519, SEALGATE_KEY_TYPE_ED25519);
    assert_string_equal(sealgate_code_name(SEALGATE_UNAUTHENTICATED), "UNAUTHENTICATED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_details_the_code_and_the_message_remain),
        cmocka_unit_test(codes_that_are_none_are_unknown),
        cmocka_unit_test(the_servers_advice_beats_our_own),
        cmocka_unit_test(retry_delays_follow_the_table),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(details_cut_or_changed_anywhere_never_hide_the_code),
        cmocka_unit_test(local_failures_name_themselves),
        cmocka_unit_test(the_numbers_of_the_header_are_those_of_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
