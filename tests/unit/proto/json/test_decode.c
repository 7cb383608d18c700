#include "proto/json/json.h"
#include "proto/pb/unpack.h"
#include "tests/support/all_types.h"
#include "tests/support/unit.h"

#define ALL (&test__all_types__descriptor)

enum { SCRATCH = 1 << 20, WIRE_MAX = 1 << 16 };

/* What is taken, and the JSON that it becomes again; NULL: the same text. */
static const struct {
    const char *name, *text, *again;
} taken[] = {
    {"nothing", "{}", NULL},
    {"white space", " \n{\t}\r", "{}"},
    {"lowerCamel", "{\"anInt32\":1}", NULL},
    {"the original name", "{\"an_int32\":1}", "{\"anInt32\":1}"},
    {"a digit before the underscore", "{\"x9Y\":\"a\"}", NULL},
    {"32 bits, least", "{\"anInt32\":-2147483648,\"aSint32\":-2147483648}", NULL},
    {"32 bits, most",
     "{\"anInt32\":2147483647,\"anSfixed32\":2147483647,\"aUint32\":4294967295,"
     "\"aFixed32\":4294967295}",
     NULL},
    {"32 bits as strings", "{\"anInt32\":\"-5\",\"aUint32\":\"5\"}",
     "{\"anInt32\":-5,\"aUint32\":5}"},
    {"64 bits are strings",
     "{\"anInt64\":\"-9223372036854775808\",\"aSint64\":\"9223372036854775807\","
     "\"anSfixed64\":\"-9223372036854775808\",\"aUint64\":\"18446744073709551615\","
     "\"aFixed64\":\"18446744073709551615\"}",
     NULL},
    {"64 bits as exact numbers",
     "{\"anInt64\":-9223372036854775808,\"aUint64\":9223372036854775807}",
     "{\"anInt64\":\"-9223372036854775808\",\"aUint64\":\"9223372036854775807\"}"},
    {"an integer with a point", "{\"anInt32\":2.0,\"anInt64\":1e3}",
     "{\"anInt32\":2,\"anInt64\":\"1000\"}"},
    {"minus nothing", "{\"aUint32\":-0.0}", "{}"},
    {"zeros are what is left out", "{\"anInt32\":0,\"aString\":\"\",\"aBool\":false}", "{}"},
    {"booleans", "{\"aBool\":true}", NULL},
    {"floats", "{\"aFloat\":0.1,\"aDouble\":0.1}", NULL},
    {"floats that are no numbers", "{\"aFloat\":\"NaN\",\"aDouble\":\"-Infinity\"}", NULL},
    {"the largest of single precision", "{\"aFloat\":3.4028235e+38}", NULL},
    {"a double of an integer", "{\"aDouble\":3}", NULL},
    {"text", "{\"aString\":\"a\\\"b\\\\c\\n\\u0001\xc3\xbd\"}", NULL},
    {"escapes that need not be", "{\"aString\":\"\\u0061\\/\\ud83d\\ude00\"}",
     "{\"aString\":\"a/\xf0\x9f\x98\x80\"}"},
    {"bytes", "{\"someBytes\":\"+/8=\"}", NULL},
    {"bytes without padding", "{\"someBytes\":\"+/8\"}", "{\"someBytes\":\"+/8=\"}"},
    {"bytes in the URL alphabet", "{\"someBytes\":\"-_8\"}", "{\"someBytes\":\"+/8=\"}"},
    {"bytes in the URL alphabet, padded", "{\"someBytes\":\"-_8=\"}", "{\"someBytes\":\"+/8=\"}"},
    {"an enum by name", "{\"colour\":\"COLOUR_DARK\"}", NULL},
    {"an enum by number", "{\"colour\":1}", "{\"colour\":\"COLOUR_RED\"}"},
    {"an enum's number without a name", "{\"colour\":99}", NULL},
    {"a message", "{\"inner\":{\"name\":\"n\",\"leaves\":[{\"numberOfVeins\":3},{}]}}", NULL},
    {"an empty message is there", "{\"inner\":{}}", NULL},
    {"null is absent", "{\"inner\":null,\"anInt32\":null,\"numbers\":null,\"byName\":null}", "{}"},
    {"a time", "{\"when\":\"2024-02-29T23:59:59.500Z\",\"howLong\":\"-1.500s\"}", NULL},
    {"the first time", "{\"when\":\"1970-01-01T00:00:00Z\",\"howLong\":\"0s\"}", NULL},
    {"a member of a oneof", "{\"text\":\"\"}", NULL},
    {"another", "{\"nested\":{}}", NULL},
    {"a false one", "{\"yes\":false}", NULL},
    {"one and null", "{\"text\":null,\"yes\":true}", "{\"yes\":true}"},
    {"lists", "{\"numbers\":[\"1\",\"-2\"],\"words\":[\"\",\"a\"]}", NULL},
    {"lists of what is packed",
     "{\"colours\":[\"COLOUR_RED\",\"COLOUR_UNSPECIFIED\"],\"bits\":[true,false]}", NULL},
    {"empty lists", "{\"numbers\":[],\"words\":[],\"byName\":{}}", "{}"},
    {"maps",
     "{\"byName\":{\"b\":{\"name\":\"x\"},\"a\":{}},\"byNumber\":{\"-1\":\"m\",\"0\":\"z\"},"
     "\"byTruth\":{\"true\":1.5,\"false\":0},\"byId\":{\"18446744073709551615\":\"COLOUR_RED\","
     "\"0\":\"COLOUR_UNSPECIFIED\"}}",
     NULL},
    {"in any order", "{\"words\":[\"w\"],\"anInt32\":1}", "{\"anInt32\":1,\"words\":[\"w\"]}"},
};

/* Through wire bytes, the check of all requests, protobuf-c, and back. */
static void what_is_taken_comes_back_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(taken); i++) {
        struct sg_buf wire, packed, text;
        struct sg_arena arena;
        ProtobufCMessage *message;
        struct sg_err err = {0};
        const char *again = taken[i].again == NULL ? taken[i].text : taken[i].again;
        print_message("  %s\n", taken[i].name);
        sg_buf_init(&wire, WIRE_MAX);
        sg_buf_init(&packed, WIRE_MAX);
        sg_buf_init(&text, WIRE_MAX);
        sg_arena_init(&arena, SCRATCH);
        if (sg_json_decode(&all_types, ALL, sg_slice_str(taken[i].text), SCRATCH, &wire, &err) !=
            SG_OK)
            fail_msg("%s", err.msg);
        if (sg_pb_unpack(ALL, sg_buf_slice(&wire), &arena, SG_PB_STRICT, &message, &err) != SG_OK)
            fail_msg("%s", err.msg);
        sg_pb_pack(message, &packed);
        if (sg_json_encode(&all_types, ALL, sg_buf_slice(&packed), &text, &err) != SG_OK)
            fail_msg("%s", err.msg);
        if (!sg_slice_eq(sg_buf_slice(&text), sg_slice_str(again)))
            fail_msg("%.*s is not %s", (int)text.len, (const char *)text.ptr, again);
        sg_arena_done(&arena);
        sg_buf_done(&wire);
        sg_buf_done(&packed);
        sg_buf_done(&text);
    }
}

static const struct {
    const char *name, *text;
    enum sg_reason reason;
    const char *says; /* part of the message */
} refused[] = {
    {"no JSON", "", SG_R_MALFORMED_REQUEST, "nothing"},
    {"cut", "{\"anInt32\":1", SG_R_MALFORMED_REQUEST, "line 1"},
    {"something behind", "{} {}", SG_R_MALFORMED_REQUEST, "not JSON"},
    {"a list", "[]", SG_R_MALFORMED_REQUEST, "not an object"},
    {"null", "null", SG_R_MALFORMED_REQUEST, "not an object"},
    {"a comment", "{/**/}", SG_R_MALFORMED_REQUEST, "not JSON"},
    {"a name given twice", "{\"anInt32\":1,\"anInt32\":2}", SG_R_MALFORMED_REQUEST, "duplicate"},
    {"both names", "{\"anInt32\":1,\"an_int32\":1}", SG_R_MALFORMED_REQUEST, "by both"},
    {"both names, one of them null", "{\"anInt32\":null,\"an_int32\":1}", SG_R_MALFORMED_REQUEST,
     "by both"},
    {"an unknown name", "{\"nope\":1}", SG_R_UNKNOWN_FIELD, "\"nope\""},
    {"an unknown name that is null", "{\"nope\":null}", SG_R_UNKNOWN_FIELD, "\"nope\""},
    {"an unknown name inside", "{\"inner\":{\"nope\":1}}", SG_R_UNKNOWN_FIELD, "\"inner.nope\""},
    {"another case", "{\"AnInt32\":1}", SG_R_UNKNOWN_FIELD, "AnInt32"},
    {"two of a oneof", "{\"text\":\"a\",\"yes\":true}", SG_R_MALFORMED_REQUEST, "oneof"},
    {"2^31", "{\"anInt32\":2147483648}", SG_R_MALFORMED_REQUEST, "\"anInt32\""},
    {"-2^31-1", "{\"aSint32\":-2147483649}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"2^32", "{\"aUint32\":4294967296}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"negative and unsigned", "{\"aUint32\":-1}", SG_R_MALFORMED_REQUEST, "unsigned"},
    {"2^63", "{\"anInt64\":\"9223372036854775808\"}", SG_R_MALFORMED_REQUEST, "64-bit"},
    {"2^64", "{\"aUint64\":\"18446744073709551616\"}", SG_R_MALFORMED_REQUEST, "64-bit"},
    {"a number that is not exact", "{\"anInt64\":9007199254740993.0e3}", SG_R_MALFORMED_REQUEST,
     "64-bit"},
    {"a fraction", "{\"anInt32\":1.5}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"a leading zero", "{\"anInt32\":\"01\"}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"a space", "{\"anInt32\":\" 1\"}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"no digits", "{\"anInt64\":\"\"}", SG_R_MALFORMED_REQUEST, "64-bit"},
    {"a sign alone", "{\"anInt64\":\"-\"}", SG_R_MALFORMED_REQUEST, "64-bit"},
    {"a boolean for a number", "{\"anInt32\":true}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"a number for a boolean", "{\"aBool\":1}", SG_R_MALFORMED_REQUEST, "neither"},
    {"a number for text", "{\"aString\":1}", SG_R_MALFORMED_REQUEST, "not a string"},
    {"a NUL", "{\"aString\":\"prod\\u0000evil\"}", SG_R_MALFORMED_REQUEST, "not JSON"},
    {"not UTF-8", "{\"aString\":\"\xff\"}", SG_R_MALFORMED_REQUEST, "not JSON"},
    {"half a surrogate pair", "{\"aString\":\"\\ud83d\"}", SG_R_MALFORMED_REQUEST, "not JSON"},
    {"too large for single precision", "{\"aFloat\":3.5e38}", SG_R_MALFORMED_REQUEST, "single"},
    {"too large for double precision", "{\"aDouble\":1e400}", SG_R_MALFORMED_REQUEST, "too large"},
    {"over 2^63-1 and no string", "{\"aUint64\":9223372036854775808}", SG_R_MALFORMED_REQUEST,
     "stand as strings"},
    {"over 2^63-1 and no string, as a real", "{\"aUint64\":9223372036854775808.0}",
     SG_R_MALFORMED_REQUEST, "\"aUint64\""},
    {"nan in another case", "{\"aDouble\":\"nan\"}", SG_R_MALFORMED_REQUEST, "not a number"},
    {"no base64", "{\"someBytes\":\"a\"}", SG_R_MALFORMED_REQUEST, "base64"},
    {"both alphabets", "{\"someBytes\":\"+_8=\"}", SG_R_MALFORMED_REQUEST, "base64"},
    {"base64 with bits left over", "{\"someBytes\":\"+/9=\"}", SG_R_MALFORMED_REQUEST, "base64"},
    {"a list for bytes", "{\"someBytes\":[1]}", SG_R_MALFORMED_REQUEST, "base64"},
    {"no name of the enum", "{\"colour\":\"RED\"}", SG_R_MALFORMED_REQUEST, "enum"},
    {"an enum over 32 bits", "{\"colour\":2147483648}", SG_R_MALFORMED_REQUEST, "enum"},
    {"an enum's number in quotes", "{\"colour\":\"1\"}", SG_R_MALFORMED_REQUEST, "enum"},
    {"text for a message", "{\"inner\":\"a\"}", SG_R_MALFORMED_REQUEST, "\"inner\""},
    {"a value for a list", "{\"numbers\":1}", SG_R_MALFORMED_REQUEST, "array"},
    {"null in a list", "{\"words\":[null]}", SG_R_MALFORMED_REQUEST, "\"words\""},
    {"null in a list of messages", "{\"inner\":{\"leaves\":[null]}}", SG_R_MALFORMED_REQUEST,
     "\"inner.leaves\""},
    {"a list for a map", "{\"byName\":[]}", SG_R_MALFORMED_REQUEST, "map"},
    {"null in a map", "{\"byName\":{\"a\":null}}", SG_R_MALFORMED_REQUEST, "\"byName\""},
    {"a key that is no number", "{\"byNumber\":{\"a\":\"b\"}}", SG_R_MALFORMED_REQUEST, "32-bit"},
    {"a key that is neither", "{\"byTruth\":{\"True\":1}}", SG_R_MALFORMED_REQUEST, "neither"},
    {"a key given twice", "{\"byName\":{\"a\":{},\"a\":{}}}", SG_R_MALFORMED_REQUEST, "duplicate"},
    {"a time that is none", "{\"when\":\"yesterday\"}", SG_R_MALFORMED_REQUEST, "\"when\""},
    {"a time as an object", "{\"when\":{\"seconds\":1}}", SG_R_MALFORMED_REQUEST, "time"},
    {"a duration that is none", "{\"howLong\":5}", SG_R_MALFORMED_REQUEST, "\"howLong\""},
    {"an Any", "{\"anything\":{\"@type\":\"a/test.Leaf\"}}", SG_R_MALFORMED_REQUEST, "Any"},
};

static void what_is_refused_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        struct sg_buf wire;
        struct sg_err err = {0};
        print_message("  %s\n", refused[i].name);
        sg_buf_init(&wire, WIRE_MAX);
        assert_int_not_equal(
            sg_json_decode(&all_types, ALL, sg_slice_str(refused[i].text), SCRATCH, &wire, &err),
            SG_OK);
        assert_int_equal(err.reason, refused[i].reason);
        if (strstr(err.msg, refused[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.msg, refused[i].says);
        sg_buf_done(&wire);
    }
}

static void what_is_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(taken); i++) {
        struct sg_slice text = sg_slice_str(taken[i].text);
        while (text.len > 0 && text.ptr[text.len - 1] != '}')
            text.len--;
        for (size_t len = 0; len < text.len; len++) {
            struct sg_buf wire;
            sg_buf_init(&wire, WIRE_MAX);
            assert_int_equal(
                sg_json_decode(&all_types, ALL, sg_slice_of(text.ptr, len), SCRATCH, &wire, NULL),
                SG_E_INVALID);
            sg_buf_done(&wire);
        }
    }
}

static void neither_depth_nor_size_grow_without_bounds(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    static char deep[2 * LEN + 1], many[LEN + 1];
    struct sg_buf wire;
    struct sg_err err = {0};

    /* jansson goes no deeper than its own bound. */
    memset(deep, '[', LEN);
    memset(deep + LEN, ']', LEN);
    sg_buf_init(&wire, WIRE_MAX);
    assert_int_equal(
        sg_json_decode(&all_types, ALL, sg_slice_of(deep, 2 * LEN), 64 << 20, &wire, &err),
        SG_E_INVALID);
    assert_non_null(strstr(err.msg, "depth"));

    /* A text that would take more than it may. */
    const char *front = "{\"words\":[";
    memcpy(many, front, strlen(front));
    for (size_t i = strlen(front); i < LEN; i++)
        many[i] = "{},"[(i - strlen(front)) % 3];
    assert_int_equal(sg_json_decode(&all_types, ALL, sg_slice_of(many, LEN), 100000, &wire, &err),
                     SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_MESSAGE_TOO_LARGE);
    sg_buf_done(&wire);
}

static void the_wire_bytes_stay_within_their_buffer(void **state)
{
    (void)state;
    struct sg_slice text = SG_SLICE("{\"aString\":\"abc\",\"inner\":{\"name\":\"abc\"}}");
    struct sg_buf wire;
    size_t len = 0;
    for (size_t max = 0; max < 40; max++) {
        struct sg_err err = {0};
        sg_buf_init(&wire, max);
        enum sg_rc rc = sg_json_decode(&all_types, ALL, text, SCRATCH, &wire, &err);
        if (rc == SG_OK && len == 0)
            len = max;
        if (rc != SG_OK)
            assert_int_equal(err.reason, SG_R_MESSAGE_TOO_LARGE);
        assert_int_equal(rc, len == 0 ? SG_E_LIMIT : SG_OK);
        sg_buf_done(&wire);
    }
    assert_int_equal(len, 5 + 3 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_comes_back_as_the_table_says),
        cmocka_unit_test(what_is_refused_says_why),
        cmocka_unit_test(what_is_cut_at_any_length_is_refused),
        cmocka_unit_test(neither_depth_nor_size_grow_without_bounds),
        cmocka_unit_test(the_wire_bytes_stay_within_their_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
