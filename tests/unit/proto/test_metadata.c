#include "proto/grpc/metadata.h"

#include "tests/support/unit.h"

static const struct {
    const char *name, *field;
    bool is_valid, is_reserved, is_bin;
} names[] = {
    {"usual", "request-id", true, false, false},
    {"all kinds of letters", "a_b.c-9", true, false, false},
    {"binary", "trace-bin", true, false, true},
    {"the suffix alone", "-bin", true, false, true},
    {"empty", "", false, false, false},
    {"upper case", "Request-Id", false, false, false},
    {"space", "request id", false, false, false},
    {"line feed", "a\nb", false, false, false},
    {"reserved prefix", "grpc-anything", true, true, false},
    {"pseudo-header", ":path", false, true, false},
    {"content-type", "content-type", true, true, false},
    {"connection", "connection", true, true, false},
};

static void names_are_judged_by_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        struct sg_slice field = sg_slice_str(names[i].field);
        print_message("  %s\n", names[i].name);
        assert_int_equal(sg_metadata_name_is_valid(field), names[i].is_valid);
        assert_int_equal(sg_metadata_name_is_reserved(field), names[i].is_reserved);
        assert_int_equal(sg_metadata_name_is_bin(field), names[i].is_bin);
    }
}

static const struct {
    const char *name, *field, *value;
    enum sg_rc rc;
    size_t count;
    const char *first, *last;
} wire[] = {
    {"plain", "a", "one", SG_OK, 1, "one", "one"},
    {"commas of plain values stay", "a", "one,two", SG_OK, 1, "one,two", "one,two"},
    {"odd plain values must not fail", "a", "\x01\xff", SG_OK, 1, "\x01\xff", "\x01\xff"},
    {"empty", "a", "", SG_OK, 1, "", ""},
    {"binary, padded", "a-bin", "Zm8=", SG_OK, 1, "fo", "fo"},
    {"binary, bare", "a-bin", "Zm8", SG_OK, 1, "fo", "fo"},
    {"binary, empty", "a-bin", "", SG_OK, 1, "", ""},
    {"binary list", "a-bin", "Zm8=,Zm9v", SG_OK, 2, "fo", "foo"},
    {"binary list with spaces", "a-bin", "Zm8 , Zm9v", SG_OK, 2, "fo", "foo"},
    {"binary that is none", "a-bin", "Zm8!", SG_E_INVALID, 0, "", ""},
    {"second of the list is none", "a-bin", "Zm8=,!", SG_E_INVALID, 1, "fo", "fo"},
    {"URL alphabet is none", "a-bin", "-_-_", SG_E_INVALID, 0, "", ""},
};

static void fields_from_the_wire_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(wire); i++) {
        struct sg_arena arena;
        struct sg_metadata metadata = {0};
        print_message("  %s\n", wire[i].name);
        sg_arena_init(&arena, 4096);
        assert_int_equal(sg_metadata_add_wire(&metadata, &arena, sg_slice_str(wire[i].field),
                                              sg_slice_str(wire[i].value), NULL),
                         wire[i].rc);
        assert_int_equal(metadata.count, wire[i].count);
        assert_slice_equal(sg_metadata_find(&metadata, sg_slice_str(wire[i].field)),
                           sg_slice_str(wire[i].first));
        if (metadata.last != NULL)
            assert_slice_equal(metadata.last->value, sg_slice_str(wire[i].last));
        sg_arena_done(&arena);
    }
}

static const struct {
    const char *name, *field, *value;
    enum sg_rc rc;
    const char *sent;
} own[] = {
    {"plain", "a", "one two", SG_OK, "one two"},
    {"binary goes bare", "a-bin", "fo", SG_OK, "Zm8"},
    {"reserved name", "grpc-status", "0", SG_E_INVALID, NULL},
    {"pseudo-header", ":status", "200", SG_E_INVALID, NULL},
    {"upper case", "A", "one", SG_E_INVALID, NULL},
    {"a line feed would be another header", "a", "x\r\nb: y", SG_E_INVALID, NULL},
    {"space in front", "a", " x", SG_E_INVALID, NULL},
    {"UTF-8 belongs into -bin", "a", "\xc3\xb3", SG_E_INVALID, NULL},
};

static void our_own_fields_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(own); i++) {
        struct sg_arena arena;
        struct sg_metadata metadata = {0};
        print_message("  %s\n", own[i].name);
        sg_arena_init(&arena, 4096);
        assert_int_equal(sg_metadata_add_own(&metadata, &arena, sg_slice_str(own[i].field),
                                             sg_slice_str(own[i].value), NULL),
                         own[i].rc);
        assert_int_equal(metadata.count, own[i].rc == SG_OK);
        if (own[i].rc == SG_OK)
            assert_slice_equal(metadata.first->value, sg_slice_str(own[i].sent));
        sg_arena_done(&arena);
    }
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct sg_arena arena;
    struct sg_metadata metadata = {0};
    struct sg_err err;
    sg_arena_init(&arena, 64);
    assert_int_equal(sg_metadata_add_wire(&metadata, &arena, SG_SLICE("a"),
                                          SG_SLICE("more than there is room for"), &err),
                     SG_E_LIMIT);
    assert_int_equal(metadata.count, 0);
    sg_arena_done(&arena);
}

static void what_is_wiped_is_gone_from_memory(void **state)
{
    (void)state;
    struct sg_arena arena;
    struct sg_metadata metadata = {0};
    sg_arena_init(&arena, 4096);
    assert_int_equal(
        sg_metadata_add_wire(&metadata, &arena, SG_SLICE("secret"), SG_SLICE("one"), NULL), SG_OK);
    assert_int_equal(
        sg_metadata_add_wire(&metadata, &arena, SG_SLICE("other"), SG_SLICE("two"), NULL), SG_OK);
    assert_int_equal(
        sg_metadata_add_wire(&metadata, &arena, SG_SLICE("secret"), SG_SLICE(""), NULL), SG_OK);
    assert_int_equal(
        sg_metadata_add_wire(&metadata, &arena, SG_SLICE("secret"), SG_SLICE("three"), NULL),
        SG_OK);
    const uint8_t *first = metadata.first->value.ptr, *last = metadata.last->value.ptr;
    sg_metadata_wipe(&metadata, SG_SLICE("secret"));
    assert_memory_equal(first, "\0\0\0", 3);
    assert_memory_equal(last, "\0\0\0\0\0", 5);
    assert_int_equal(sg_metadata_find(&metadata, SG_SLICE("secret")).len, 0);
    assert_slice_equal(sg_metadata_find(&metadata, SG_SLICE("other")), SG_SLICE("two"));
    assert_int_equal(metadata.count, 4);
    sg_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_judged_by_the_table),
        cmocka_unit_test(fields_from_the_wire_follow_the_table),
        cmocka_unit_test(our_own_fields_follow_the_table),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(what_is_wiped_is_gone_from_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
