#include "proto/pb/types.h"

#include "google/rpc/error_details.pb-c.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/support/unit.h"
#include "types.h"

static void every_type_is_found_by_its_name(void **state)
{
    (void)state;
    assert_true(sg_types.count > 50);
    for (size_t i = 0; i < sg_types.count; i++) {
        const struct sg_pb_type *type = &sg_types.types[i];
        assert_ptr_equal(sg_pb_type_find(&sg_types, sg_slice_str(type->desc->name)), type);
        if (i > 0)
            assert_true(strcmp(sg_types.types[i - 1].desc->name, type->desc->name) < 0);
    }
}

static void what_is_no_type_is_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "google.rpc.ErrorInf",
                                        "google.rpc.ErrorInfoo",
                                        "google.rpc.errorinfo",
                                        ".google.rpc.ErrorInfo",
                                        "zzz"};
    for (size_t i = 0; i < SG_COUNT(names); i++)
        assert_null(sg_pb_type_find(&sg_types, sg_slice_str(names[i])));
    assert_null(sg_pb_type_find(&sg_types, SG_SLICE("google.rpc.ErrorInfo\0")));
}

static void the_entry_of_a_map_is_known_as_such(void **state)
{
    (void)state;
    assert_true(
        sg_pb_type_find(&sg_types, SG_SLICE("google.rpc.ErrorInfo.MetadataEntry"))->is_map_entry);
    assert_false(sg_pb_type_find(&sg_types, SG_SLICE("google.rpc.ErrorInfo"))->is_map_entry);
}

static void members_of_a_oneof_exclude_each_other(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *desc = &sealgate__v1__sign_request__descriptor;
    static const char *const names[] = {"digest", "message", "content_crc32c", "key"};
    const ProtobufCFieldDescriptor *fields[SG_COUNT(names)];
    for (size_t i = 0; i < SG_COUNT(names); i++)
        fields[i] = protobuf_c_message_descriptor_get_field_by_name(desc, names[i]);
    for (size_t i = 0; i < SG_COUNT(names); i++) {
        const uint64_t seen = (uint64_t)1 << (fields[i] - desc->fields);
        assert_false(sg_pb_is_taken(desc, fields[i], 0));
        for (size_t k = 0; k < SG_COUNT(names); k++)
            assert_int_equal(sg_pb_is_taken(desc, fields[k], seen), k == i || k + i == 1);
        /* Whatever else has been seen, too. */
        assert_true(sg_pb_is_taken(desc, fields[i], UINT64_MAX >> (64 - desc->n_fields)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_its_name),
        cmocka_unit_test(what_is_no_type_is_not_found),
        cmocka_unit_test(the_entry_of_a_map_is_known_as_such),
        cmocka_unit_test(members_of_a_oneof_exclude_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
