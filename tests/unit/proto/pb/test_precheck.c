#include "proto/pb/precheck.h"

#include "google/rpc/error_details.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/pb/unpack.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/support/unit.h"

#define SIGN (&sealgate__v1__sign_request__descriptor)
#define BATCH (&sealgate__v1__batch_sign_request__descriptor)
#define NUMBERS (&grpc__reflection__v1__extension_number_response__descriptor)
#define INFO (&google__rpc__error_info__descriptor)

/*
 * What no .proto file of ours may be (the lint refuses it): a message inside itself, and packed
 * booleans. message Node { Node child = 1; repeated bool flags = 2; }
 */
struct node {
    ProtobufCMessage base;
    struct node *child;
    size_t n_flags;
    protobuf_c_boolean *flags;
};

static const ProtobufCMessageDescriptor node_descriptor;

static void node_init(ProtobufCMessage *message)
{
    *(struct node *)message = (struct node){.base = {.descriptor = &node_descriptor}};
}

static const ProtobufCFieldDescriptor node_fields[] = {
    {"child", 1, PROTOBUF_C_LABEL_NONE, PROTOBUF_C_TYPE_MESSAGE, 0, offsetof(struct node, child),
     &node_descriptor, NULL, 0, 0, NULL, NULL},
    {"flags", 2, PROTOBUF_C_LABEL_REPEATED, PROTOBUF_C_TYPE_BOOL, offsetof(struct node, n_flags),
     offsetof(struct node, flags), NULL, NULL, PROTOBUF_C_FIELD_FLAG_PACKED, 0, NULL, NULL},
};
static const unsigned node_by_name[] = {0, 1};
static const ProtobufCIntRange node_ranges[] = {{1, 0}, {0, 2}};
static const ProtobufCMessageDescriptor node_descriptor = {
    PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    "test.Node",
    "Node",
    "Test__Node",
    "test",
    sizeof(struct node),
    SG_COUNT(node_fields),
    node_fields,
    node_by_name,
    1,
    node_ranges,
    node_init,
    NULL,
    NULL,
    NULL,
};
#define NODE (&node_descriptor)

#define WIRE(literal) literal, sizeof(literal) - 1

static const struct {
    const char *name; /* printed when the row fails */
    const ProtobufCMessageDescriptor *desc;
    const char *wire;
    size_t len;
    enum sg_reason lenient, strict; /* SG_R_NONE: accepted */
} cases[] = {
    {"nothing is an empty message", SIGN, WIRE(""), 0, 0},
    {"a string", SIGN, WIRE("\x0a\x04prod"), 0, 0},
    {"a string of three scripts", SIGN, WIRE("\x72\x0ck\xc3\xbd thay \xe7\x8e\xba"), 0, 0},
    {"a string at the end of Unicode", SIGN, WIRE("\x0a\x04\xf4\x8f\xbf\xbf"), 0, 0},
    {"a NUL in a string", SIGN, WIRE("\x0a\x09prod\0evil"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a NUL in bytes", SIGN, WIRE("\x1a\x03\0\0\0"), 0, 0},
    {"a surrogate", SIGN, WIRE("\x0a\x03\xed\xa0\x80"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"an overlong slash of two bytes", SIGN, WIRE("\x0a\x02\xc0\xaf"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"an overlong slash of three bytes", SIGN, WIRE("\x0a\x03\xe0\x80\xaf"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"above Unicode", SIGN, WIRE("\x0a\x04\xf4\x90\x80\x80"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a sequence cut off by the string's end", SIGN, WIRE("\x0a\x01\xc3\x12\x00"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"Latin-1", SIGN, WIRE("\x0a\x01\xe9"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},

    {"a message in a message", SIGN, WIRE("\x12\x05\x08\x01\x12\x01x"), 0, 0},
    {"a NUL in a string inside", BATCH, WIRE("\x0a\x03\x0a\x01\0"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"an inner message longer than the outer", SIGN, WIRE("\x12\x06\x08\x01\x12\x01x"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"an inner value that reaches beyond its message", SIGN, WIRE("\x12\x03\x12\x02x\x28\x01"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"a length near 2^31", SIGN, WIRE("\x0a\xff\xff\xff\xff\x07"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a length near 2^32", SIGN, WIRE("\x0a\xff\xff\xff\xff\x0f"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a length of six bytes", SIGN, WIRE("\x0a\x84\x80\x80\x80\x80\x00prod"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},

    {"a varint", SIGN, WIRE("\x28\x01"), 0, 0},
    {"a negative enum of ten bytes", SIGN, WIRE("\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0,
     0},
    {"a varint of 65 bits", SIGN, WIRE("\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"a varint of eleven bytes", SIGN, WIRE("\x28\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"fixed32", SIGN, WIRE("\x25\1\2\3\4"), 0, 0},
    {"fixed32 cut short", SIGN, WIRE("\x25\1\2\3"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"a string as a varint", SIGN, WIRE("\x08\x01"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a number as bytes", SIGN, WIRE("\x2a\x01\x01"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a tag and no more", SIGN, WIRE("\x0a"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"field 0", SIGN, WIRE("\x02\x00"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"a tag of more than 32 bits", SIGN, WIRE("\x8a\x80\x80\x80\x10\x00"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a group", SIGN, WIRE("\x0b\x0c"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"wire type 7", SIGN, WIRE("\x0f\x00"), SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},

    {"an unknown varint", SIGN, WIRE("\xa0\x06\x01"), 0, SG_R_UNKNOWN_FIELD},
    {"an unknown string with a NUL", SIGN, WIRE("\xa2\x06\x01\0"), 0, SG_R_UNKNOWN_FIELD},
    {"an unknown fixed64", SIGN,
     WIRE("\xa1\x06"
          "12345678"),
     0, SG_R_UNKNOWN_FIELD},
    {"an unknown group", SIGN, WIRE("\xa3\x06\xa4\x06"), SG_R_MALFORMED_MESSAGE,
     SG_R_UNKNOWN_FIELD},
    {"an unknown field inside", SIGN, WIRE("\x12\x03\xa0\x06\x01"), 0, SG_R_UNKNOWN_FIELD},
    {"an unknown field cut short", SIGN,
     WIRE("\xa1\x06"
          "1234567"),
     SG_R_MALFORMED_MESSAGE, SG_R_UNKNOWN_FIELD},

    {"a string twice", SIGN,
     WIRE("\x0a\x01"
          "a\x0a\x01"
          "b"),
     0, SG_R_MALFORMED_MESSAGE},
    {"a message twice", SIGN, WIRE("\x3a\x02\x08\x01\x3a\x03\x12\x01x"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a message after another member of its oneof", SIGN, WIRE("\x1a\x01x\x12\x02\x08\x01"),
     SG_R_MALFORMED_MESSAGE, SG_R_MALFORMED_MESSAGE},
    {"two members of a oneof", SIGN, WIRE("\x12\x02\x08\x01\x1a\x01x"), 0, SG_R_MALFORMED_MESSAGE},
    {"one member of a oneof twice", SIGN, WIRE("\x1a\x01x\x1a\x01x"), 0, SG_R_MALFORMED_MESSAGE},
    {"members of two oneofs", SIGN, WIRE("\x1a\x01x\x25\1\2\3\4"), 0, 0},
    {"the same field in two items", BATCH,
     WIRE("\x0a\x03\x0a\x01"
          "a\x0a\x03\x0a\x01"
          "a"),
     0, 0},

    {"packed numbers", NUMBERS, WIRE("\x12\x03\x01\xff\x01"), 0, 0},
    {"the same not packed", NUMBERS, WIRE("\x10\x01\x10\xff\x01"), 0, 0},
    {"packed none", NUMBERS, WIRE("\x12\x00"), 0, 0},
    {"a packed number cut short", NUMBERS, WIRE("\x12\x02\x01\xff"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"packed booleans", NODE, WIRE("\x12\x02\x00\x01"), 0, 0},
    {"a packed boolean of two bytes", NODE, WIRE("\x12\x02\x80\x01"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},
    {"a packed boolean 2", NODE, WIRE("\x12\x01\x02"), SG_R_MALFORMED_MESSAGE,
     SG_R_MALFORMED_MESSAGE},

    {"a map", INFO, WIRE("\x1a\x06\x0a\x01k\x12\x01v\x1a\x06\x0a\x01k\x12\x01v"), 0, 0},
    {"a map entry with two keys", INFO, WIRE("\x1a\x06\x0a\x01k\x0a\x01v"), 0,
     SG_R_MALFORMED_MESSAGE},
};

static enum sg_reason judge(const ProtobufCMessageDescriptor *desc, struct sg_slice wire,
                            const struct sg_pb_limits *limits, struct sg_err *err)
{
    *err = (struct sg_err){0};
    enum sg_rc rc = sg_pb_precheck(desc, wire, limits, err);
    assert_int_equal(rc, err->reason == SG_R_NONE ? SG_OK : sg_reason_rc(err->reason));
    return err->reason;
}

/* Whatever was accepted, protobuf-c must be able to build. */
static void assert_unpacks(const ProtobufCMessageDescriptor *desc, struct sg_slice wire)
{
    struct sg_arena arena;
    sg_arena_init(&arena, 1 << 20);
    ProtobufCMessage *message;
    assert_int_equal(sg_pb_unpack(desc, wire, &arena, SG_PB_LENIENT, &message, NULL), SG_OK);
    sg_arena_done(&arena);
}

static void precheck_follows_the_table(void **state)
{
    (void)state;
    struct sg_pb_limits lenient = sg_pb_limits_default, strict = sg_pb_limits_default;
    strict.strict = true;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_err err;
        struct sg_slice wire = sg_slice_of(cases[i].wire, cases[i].len);
        print_message("  %s\n", cases[i].name);
        assert_int_equal(judge(cases[i].desc, wire, &lenient, &err), cases[i].lenient);
        assert_int_equal(judge(cases[i].desc, wire, &strict, &err), cases[i].strict);
    }
}

static void every_prefix_is_judged_and_what_is_accepted_unpacks(void **state)
{
    (void)state;
    size_t accepted = 0, refused = 0;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        for (size_t len = 0; len <= cases[i].len; len++) {
            /* A copy of the exact length, so that a sanitizer sees a read past the end. */
            uint8_t *exact = malloc(len + (len == 0));
            assert_non_null(exact);
            memcpy(exact, cases[i].wire, len);
            struct sg_slice wire = sg_slice_of(exact, len);
            struct sg_err err;
            if (judge(cases[i].desc, wire, &sg_pb_limits_default, &err) == SG_R_NONE) {
                assert_unpacks(cases[i].desc, wire);
                accepted++;
            } else {
                refused++;
            }
            free(exact);
        }
    }
    assert_true(accepted > 50 && refused > 50);
}

static void depth_is_counted_from_the_outermost(void **state)
{
    (void)state;
    /* items { request { digest { } } }: four levels */
    struct sg_slice wire = SG_SLICE("\x0a\x04\x12\x02\x12\x00");
    struct sg_err err;
    struct sg_pb_limits limits = {.depth_max = 4, .elements_max = 100};
    assert_int_equal(judge(BATCH, wire, &limits, &err), SG_R_NONE);
    limits.depth_max = 3;
    assert_int_equal(judge(BATCH, wire, &limits, &err), SG_R_MALFORMED_MESSAGE);
    assert_string_equal(err.msg, "nested too deep: \"items.request.digest\" of a SignRequest");
}

/* protobuf-c alone overflows an 8 MiB stack at 10,000 levels. */
static void a_message_of_ten_thousand_levels_is_refused(void **state)
{
    (void)state;
    enum { LEVELS = 10000, ROOM = LEVELS * 5 };
    static uint8_t bytes[ROOM];
    size_t start = ROOM;
    for (unsigned i = 0; i < LEVELS; i++) {
        uint64_t len = ROOM - start;
        uint8_t varint[5];
        size_t n = 0;
        do {
            varint[n++] = (uint8_t)((len & 0x7F) | (len > 0x7F ? 0x80 : 0));
            len >>= 7;
        } while (len > 0);
        start -= n;
        memcpy(bytes + start, varint, n);
        bytes[--start] = 0x0A;
    }
    struct sg_err err;
    struct sg_slice wire = sg_slice_of(bytes + start, ROOM - start);
    assert_int_equal(judge(NODE, wire, &sg_pb_limits_default, &err), SG_R_MALFORMED_MESSAGE);
}

static void elements_are_counted_at_all_levels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const ProtobufCMessageDescriptor *desc;
        const char *wire;
        size_t len, elements;
    } rows[] = {
        {"nothing", SIGN, WIRE(""), 0},
        {"two fields", SIGN, WIRE("\x28\x01\x30\x01"), 2},
        {"three levels", BATCH, WIRE("\x0a\x04\x12\x02\x12\x00"), 3},
        {"packed values", NUMBERS, WIRE("\x12\x03\x01\x02\x03"), 3},
        {"a packed field without values", NUMBERS, WIRE("\x12\x00"), 1},
        {"unknown fields", SIGN, WIRE("\xa0\x06\x01\xa0\x06\x01"), 2},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_slice wire = sg_slice_of(rows[i].wire, rows[i].len);
        struct sg_pb_limits limits = {.depth_max = 32, .elements_max = rows[i].elements};
        struct sg_err err;
        print_message("  %s\n", rows[i].name);
        assert_int_equal(judge(rows[i].desc, wire, &limits, &err), SG_R_NONE);
        if (rows[i].elements == 0)
            continue;
        limits.elements_max--;
        assert_int_equal(judge(rows[i].desc, wire, &limits, &err), SG_R_MESSAGE_TOO_LARGE);
    }
}

static void the_message_says_which_field(void **state)
{
    (void)state;
    struct sg_pb_limits strict = sg_pb_limits_default;
    strict.strict = true;
    struct sg_err err;

    judge(BATCH, SG_SLICE("\x0a\x05\x12\x03\xa0\x06\x01"), &strict, &err);
    assert_string_equal(err.msg, "unknown field: \"items.request.field 100\" of a SignRequest");
    judge(SIGN, SG_SLICE("\xa0\x06\x01"), &strict, &err);
    assert_string_equal(err.msg, "unknown field: \"field 100\" of a SignRequest");
    judge(SIGN, SG_SLICE("\x0a\x01\0"), &strict, &err);
    assert_string_equal(err.msg, "a string holds a NUL: \"key\" of a SignRequest");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precheck_follows_the_table),
        cmocka_unit_test(every_prefix_is_judged_and_what_is_accepted_unpacks),
        cmocka_unit_test(depth_is_counted_from_the_outermost),
        cmocka_unit_test(a_message_of_ten_thousand_levels_is_refused),
        cmocka_unit_test(elements_are_counted_at_all_levels),
        cmocka_unit_test(the_message_says_which_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
