#include "google/rpc/status.pb-c.h"
#include "proto/json/json.h"
#include "tests/support/all_types.h"
#include "tests/support/unit.h"
#include "types.h"

#define ALL (&test__all_types__descriptor)
#define STATUS (&google__rpc__status__descriptor)

/* What test_decode.c does not send round: bytes that no client of ours would make, and Any. */
static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *desc;
    struct sg_slice wire;
    const char *text; /* NULL: refused */
} rows[] = {
    {"values that are not packed", ALL, SG_SLICE("\xc0\1\1\xc0\1\2"),
     "{\"numbers\":[\"1\",\"2\"]}"},
    {"packed, and packed again", ALL, SG_SLICE("\xc2\1\2\1\2\xc2\1\1\3"),
     "{\"numbers\":[\"1\",\"2\",\"3\"]}"},
    {"an empty packed field", ALL, SG_SLICE("\xc2\1\0"), "{}"},
    {"an entry without key and value", ALL, SG_SLICE("\xfa\1\0"),
     "{\"byId\":{\"0\":\"COLOUR_UNSPECIFIED\"}}"},
    {"an entry without a message", ALL, SG_SLICE("\xe2\1\3\x0a\1k"), "{\"byName\":{\"k\":{}}}"},
    {"an entry with its value in front", ALL, SG_SLICE("\xea\1\5\x12\1v\x08\7"),
     "{\"byNumber\":{\"7\":\"v\"}}"},
    {"a varint with more bytes than it needs", ALL, SG_SLICE("\x08\x85\x80\0"), "{\"anInt32\":5}"},
    {"a 64-bit varint for 32 bits", ALL, SG_SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
     "{\"anInt32\":-1}"},
    {"values that do not stand together", ALL, SG_SLICE("\xc0\1\1\x08\1\xc0\1\2"), NULL},
    {"a field that is not known", ALL, SG_SLICE("\xf8\7\1"), NULL},
    {"cut short", ALL, SG_SLICE("\x72\3ab"), NULL},
    {"text that is not UTF-8", ALL, SG_SLICE("\x72\1\xff"), NULL},
    {"a time out of range", ALL, SG_SLICE("\x92\1\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
     NULL},
    {"an empty Any", STATUS, SG_SLICE("\x1a\0"), "{\"details\":[{}]}"},
    {"an Any", STATUS,
     SG_SLICE("\x08\3\x1a\x31\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\5\x0a\3WHY"),
     "{\"code\":3,\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
     "\"reason\":\"WHY\"}]}"},
    {"an Any of a type that is not known", STATUS,
     SG_SLICE("\x1a\6\x0a\4"
              "a/no"),
     NULL},
    {"an Any that holds something else", STATUS,
     SG_SLICE("\x1a\x2f\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\3\xff\xff\xff"), NULL},
};

static void bytes_become_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_buf text;
        struct sg_err err = {0};
        print_message("  %s\n", rows[i].name);
        sg_buf_init(&text, 1000);
        enum sg_rc rc = sg_json_encode(rows[i].desc == ALL ? &all_types : &sg_types, rows[i].desc,
                                       rows[i].wire, &text, &err);
        if (rows[i].text == NULL) {
            assert_int_equal(rc, SG_E_INTERNAL);
        } else {
            if (rc != SG_OK)
                fail_msg("%s", err.msg);
            assert_slice_equal(sg_buf_slice(&text), sg_slice_str(rows[i].text));
        }
        sg_buf_done(&text);
    }
}

static void put_any(struct sg_buf *out, const char *url, struct sg_slice value)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT, *anys[] = {&any};
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    any.type_url = (char *)(uintptr_t)url;
    any.value = (ProtobufCBinaryData){value.len, (uint8_t *)(uintptr_t)value.ptr};
    status.details = anys;
    status.n_details = 1;
    uint8_t *to = sg_buf_room(out, google__rpc__status__get_packed_size(&status));
    assert_non_null(to);
    sg_buf_claim(out, google__rpc__status__pack(&status, to));
}

static void an_any_is_written_by_its_type(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        struct sg_slice value;
        const char *text;
    } anys[] = {
        {"a.b/google.rpc.ErrorInfo", SG_SLICE("\x1a\6\x0a\1k\x12\1v"),
         "{\"details\":[{\"@type\":\"a.b/google.rpc.ErrorInfo\",\"metadata\":{\"k\":\"v\"}}]}"},
        {"a.b/google.rpc.ErrorInfo", SG_SLICE(""),
         "{\"details\":[{\"@type\":\"a.b/google.rpc.ErrorInfo\"}]}"},
        {"google.rpc.RetryInfo", SG_SLICE("\x0a\2\x08\5"),
         "{\"details\":[{\"@type\":\"google.rpc.RetryInfo\",\"retryDelay\":\"5s\"}]}"},
        {"a/google.protobuf.Duration", SG_SLICE("\x08\5"),
         "{\"details\":[{\"@type\":\"a/google.protobuf.Duration\",\"value\":\"5s\"}]}"},
        {"a/google.rpc.Status", SG_SLICE("\x1a\0"),
         "{\"details\":[{\"@type\":\"a/google.rpc.Status\",\"details\":[{}]}]}"},
    };
    for (size_t i = 0; i < SG_COUNT(anys); i++) {
        struct sg_buf wire, text;
        sg_buf_init(&wire, 1000);
        sg_buf_init(&text, 1000);
        put_any(&wire, anys[i].url, anys[i].value);
        assert_int_equal(sg_json_encode(&sg_types, STATUS, sg_buf_slice(&wire), &text, NULL),
                         SG_OK);
        assert_slice_equal(sg_buf_slice(&text), sg_slice_str(anys[i].text));
        sg_buf_done(&wire);
        sg_buf_done(&text);
    }
}

static void an_any_in_an_any_has_an_end(void **state)
{
    (void)state;
    struct sg_buf wire = {0}, inner, text;
    enum sg_rc rc = SG_OK;
    unsigned depth = 0;
    sg_buf_init(&inner, 1 << 16);
    sg_buf_init(&text, 1 << 20);
    for (; depth < 100 && rc == SG_OK; depth++) {
        sg_buf_init(&wire, 1 << 16);
        put_any(&wire, "a/google.rpc.Status", sg_buf_slice(&inner));
        sg_buf_done(&inner);
        inner = wire;
        sg_buf_clear(&text);
        rc = sg_json_encode(&sg_types, STATUS, sg_buf_slice(&inner), &text, NULL);
    }
    assert_int_equal(rc, SG_E_INTERNAL);
    assert_true(depth > 8 && depth < 40);
    sg_buf_done(&inner);
    sg_buf_done(&text);
}

static void the_text_stays_within_its_buffer(void **state)
{
    (void)state;
    for (size_t max = 0; max < 30; max++) {
        struct sg_buf text;
        sg_buf_init(&text, max);
        assert_int_equal(sg_json_encode(&all_types, ALL,
                                        SG_SLICE("\x08\5\x72\1"
                                                 "x"),
                                        &text, NULL),
                         max < 27 ? SG_E_LIMIT : SG_OK);
        sg_buf_done(&text);
    }
}

static void strings_are_escaped_where_they_must_be(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 100);
    sg_json_put_string(&out, SG_SLICE("\"\\/\b\f\n\r\t\x01\x1f\x7f \xc3\xbd"));
    assert_slice_equal(sg_buf_slice(&out),
                       SG_SLICE("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xbd\""));
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_what_the_table_says),
        cmocka_unit_test(an_any_is_written_by_its_type),
        cmocka_unit_test(an_any_in_an_any_has_an_end),
        cmocka_unit_test(the_text_stays_within_its_buffer),
        cmocka_unit_test(strings_are_escaped_where_they_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
