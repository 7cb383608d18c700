#include "proto/grpc/connect.h"

#include "base/clock.h"
#include "tests/support/unit.h"
#include "types.h"

/* --- queries --- */

#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static const struct {
    const char *name, *query;
    enum sg_rc rc;
    struct sg_slice version, encoding, message, compression;
} queries[] = {
    {"nothing", "", SG_OK, NONE, NONE, NONE, NONE},
    {"all of it", "connect=v1&encoding=json&message=%7B%7D&compression=gzip", SG_OK, SG_SLICE("v1"),
     SG_SLICE("json"), SG_SLICE("{}"), SG_SLICE("gzip")},
    {"in another order", "message=a&encoding=proto", SG_OK, NONE, SG_SLICE("proto"), SG_SLICE("a"),
     NONE},
    {"an empty message", "message=&encoding=proto", SG_OK, NONE, SG_SLICE("proto"), SG_SLICE(""),
     NONE},
    {"base64 in front", "base64=1&message=_-8", SG_OK, NONE, NONE, SG_SLICE("\xff\xef"), NONE},
    {"base64 behind, padded", "message=_-8%3D&base64=1", SG_OK, NONE, NONE, SG_SLICE("\xff\xef"),
     NONE},
    {"base64, padding not escaped", "message=_-8=&base64=1", SG_OK, NONE, NONE,
     SG_SLICE("\xff\xef"), NONE},
    {"base64 of nothing", "message=&base64=1", SG_OK, NONE, NONE, SG_SLICE(""), NONE},
    {"base64 without a message", "base64=1", SG_OK, NONE, NONE, NONE, NONE},
    {"a plus is a space", "message=a+b%2Bc", SG_OK, NONE, NONE, SG_SLICE("a b+c"), NONE},
    {"a NUL is a byte", "message=a%00b", SG_OK, NONE, NONE, SG_SLICE("a\0b"), NONE},
    {"unknown parameters", "a=b&message=m&messages=n&=&x&", SG_OK, NONE, NONE, SG_SLICE("m"), NONE},
    {"a parameter without a value is not there", "message&encoding=json", SG_OK, NONE,
     SG_SLICE("json"), NONE, NONE},
    {"an equals sign in a value", "message=a=b", SG_OK, NONE, NONE, SG_SLICE("a=b"), NONE},
    {"twice", "message=a&message=a", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"twice, once empty", "encoding=&encoding=json", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"base64 of another kind", "message=_-8&base64=2", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"base64 that is none", "message=a&base64=1", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"the standard alphabet", "message=%2F%2B8&base64=1", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"an escape cut short", "message=%7", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"an escape that is none", "message=%7G", SG_E_INVALID, NONE, NONE, NONE, NONE},
    {"a percent sign alone", "message=%", SG_E_INVALID, NONE, NONE, NONE, NONE},
};

static void check_value(struct sg_slice value, struct sg_slice wanted)
{
    assert_int_equal(value.ptr == NULL, wanted.ptr == NULL);
    assert_slice_equal(value, wanted);
}

static void queries_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(queries); i++) {
        struct sg_arena arena;
        struct sg_connect_query query = {0};
        struct sg_err err = {0};
        print_message("  %s\n", queries[i].name);
        sg_arena_init(&arena, 10000);
        assert_int_equal(
            sg_connect_query_parse(sg_slice_str(queries[i].query), &arena, &query, &err),
            queries[i].rc);
        if (queries[i].rc != SG_OK)
            assert_int_equal(err.reason, SG_R_MALFORMED_REQUEST);
        check_value(query.version, queries[i].version);
        check_value(query.encoding, queries[i].encoding);
        check_value(query.message, queries[i].message);
        check_value(query.compression, queries[i].compression);
        sg_arena_done(&arena);
    }
}

static void a_query_without_memory_is_no_query(void **state)
{
    (void)state;
    struct sg_arena arena;
    struct sg_connect_query query;
    sg_arena_init(&arena, 0);
    assert_int_equal(sg_connect_query_parse(SG_SLICE("message=a"), &arena, &query, NULL),
                     SG_E_LIMIT);
    sg_arena_done(&arena);
}

/* --- time-outs --- */

static void timeouts_are_one_to_ten_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"1", SG_NS_PER_MS},
        {"0000000001", SG_NS_PER_MS},
        {"9999999999", INT64_C(9999999999) * SG_NS_PER_MS},
        {"", -1},
        {"10000000000", -1},
        {"-1", -1},
        {"1.5", -1},
        {" 1", -1},
        {"1m", -1},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        int64_t ns = -1;
        print_message("  \"%s\"\n", rows[i].text);
        assert_int_equal(sg_connect_timeout_parse(sg_slice_str(rows[i].text), &ns, NULL),
                         rows[i].ns < 0 ? SG_E_INVALID : SG_OK);
        assert_int_equal(ns, rows[i].ns);
    }
}

/* --- errors --- */

static const struct {
    const char *name;
    struct sg_status status;
    const char *text;
} errors[] = {
    {"a code", {.code = SG_GRPC_CANCELLED}, "{\"code\":\"canceled\"}"},
    {"a code that is none", {.code = (enum sg_grpc_code)99}, "{\"code\":\"unknown\"}"},
    {"a message",
     {.code = SG_GRPC_INTERNAL, .message = SG_SLICE("say \"\xc3\xbd\"\n")},
     "{\"code\":\"internal\",\"message\":\"say \\\"\xc3\xbd\\\"\\n\"}"},
    {"details that are none",
     {.code = SG_GRPC_NOT_FOUND, .details = SG_SLICE("\x1a\xff")},
     "{\"code\":\"not_found\"}"},
    {"a detail of a type that is not known",
     {.code = SG_GRPC_NOT_FOUND,
      .details = SG_SLICE("\x1a\x0b\x0a\5"
                          "a/b.C"
                          "\x12\2\xff\xff")},
     "{\"code\":\"not_found\",\"details\":[{\"type\":\"b.C\",\"value\":\"//8\"}]}"},
    {"an empty detail",
     {.code = SG_GRPC_NOT_FOUND, .details = SG_SLICE("\x1a\0")},
     "{\"code\":\"not_found\",\"details\":[{\"type\":\"\",\"value\":\"\"}]}"},
    {"two details, one of which is known",
     {.code = SG_GRPC_ABORTED,
      .details = SG_SLICE("\x1a\5\x0a\3"
                          "a/b"
                          "\x1a\x1b\x0a\x12"
                          "x/google.rpc.Error"
                          "\x12\5\x0a\3WHY"
                          "\x1a\x1f\x0a\x16"
                          "x/google.rpc.ErrorInfo"
                          "\x12\5\x0a\3WHY")},
     "{\"code\":\"aborted\",\"details\":[{\"type\":\"b\",\"value\":\"\"},"
     "{\"type\":\"google.rpc.Error\",\"value\":\"CgNXSFk\"},"
     "{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"CgNXSFk\",\"debug\":{\"reason\":\"WHY\"}}]}"},
};

static void errors_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(errors); i++) {
        struct sg_buf out;
        print_message("  %s\n", errors[i].name);
        sg_buf_init(&out, 1000);
        sg_connect_put_error(&sg_types, &errors[i].status, &out);
        if (!sg_slice_eq(sg_buf_slice(&out), sg_slice_str(errors[i].text)))
            fail_msg("%.*s", (int)out.len, (const char *)out.ptr);
        sg_buf_done(&out);
    }
}

static void every_code_has_a_name_and_a_status(void **state)
{
    (void)state;
    static const struct {
        enum sg_grpc_code code;
        const char *name, *http;
    } rows[] = {
        {SG_GRPC_OK, "unknown", "500"},
        {SG_GRPC_INVALID_ARGUMENT, "invalid_argument", "400"},
        {SG_GRPC_FAILED_PRECONDITION, "failed_precondition", "400"},
        {SG_GRPC_UNAUTHENTICATED, "unauthenticated", "401"},
        {SG_GRPC_RESOURCE_EXHAUSTED, "resource_exhausted", "429"},
        {(enum sg_grpc_code)17, "unknown", "500"},
        {(enum sg_grpc_code) - 1, "unknown", "500"},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        assert_string_equal(sg_connect_code_name(rows[i].code), rows[i].name);
        assert_string_equal(sg_connect_http_status(rows[i].code), rows[i].http);
    }
    for (int code = 1; code <= SG_GRPC_UNAUTHENTICATED; code++) {
        assert_non_null(sg_connect_code_name((enum sg_grpc_code)code));
        assert_int_equal(strlen(sg_connect_http_status((enum sg_grpc_code)code)), 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_follow_the_table),
        cmocka_unit_test(a_query_without_memory_is_no_query),
        cmocka_unit_test(timeouts_are_one_to_ten_digits),
        cmocka_unit_test(errors_follow_the_table),
        cmocka_unit_test(every_code_has_a_name_and_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
