#include "proto/grpc/status.h"

#include "tests/support/unit.h"

static const struct {
    enum sg_rc rc;
    enum sg_grpc_code code;
} classes[] = {
    {SG_OK, SG_GRPC_OK},
    {SG_E_AGAIN, SG_GRPC_INTERNAL},
    {SG_E_INVALID, SG_GRPC_INVALID_ARGUMENT},
    {SG_E_UNAUTHENTICATED, SG_GRPC_UNAUTHENTICATED},
    {SG_E_DENIED, SG_GRPC_PERMISSION_DENIED},
    {SG_E_NOT_FOUND, SG_GRPC_NOT_FOUND},
    {SG_E_CONFLICT, SG_GRPC_FAILED_PRECONDITION},
    {SG_E_LIMIT, SG_GRPC_RESOURCE_EXHAUSTED},
    {SG_E_TIMEOUT, SG_GRPC_DEADLINE_EXCEEDED},
    {SG_E_UNSUPPORTED, SG_GRPC_UNIMPLEMENTED},
    {SG_E_UNAVAILABLE, SG_GRPC_UNAVAILABLE},
    {SG_E_INTERNAL, SG_GRPC_INTERNAL},
};

static void each_class_has_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(classes); i++)
        assert_int_equal(sg_grpc_code_of(classes[i].rc), classes[i].code);
}

static void a_class_that_does_not_exist_is_not_ok(void **state)
{
    (void)state;
    assert_int_equal(sg_grpc_code_of((enum sg_rc)99), SG_GRPC_INTERNAL);
}

static void codes_have_their_names(void **state)
{
    (void)state;
    assert_string_equal(sg_grpc_code_name(SG_GRPC_OK), "OK");
    assert_string_equal(sg_grpc_code_name(SG_GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(sg_grpc_code_name((enum sg_grpc_code)17), "UNKNOWN");
    for (int code = 0; code <= SG_GRPC_UNAUTHENTICATED; code++)
        assert_non_null(sg_grpc_code_name((enum sg_grpc_code)code));
}

static void no_way_a_stream_dies_is_ok(void **state)
{
    (void)state;
    for (uint32_t error = 0; error < 20; error++)
        assert_int_not_equal(sg_grpc_code_of_h2(error), SG_GRPC_OK);
    for (int status = 0; status < 600; status++)
        assert_int_not_equal(sg_grpc_code_of_http(status), SG_GRPC_OK);
    assert_int_equal(sg_grpc_code_of_h2(UINT32_MAX), SG_GRPC_UNKNOWN);
}

static void the_maps_are_those_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(sg_grpc_code_of_h2(7), SG_GRPC_UNAVAILABLE);
    assert_int_equal(sg_grpc_code_of_h2(8), SG_GRPC_CANCELLED);
    assert_int_equal(sg_grpc_code_of_h2(11), SG_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(sg_grpc_code_of_h2(12), SG_GRPC_PERMISSION_DENIED);
    assert_int_equal(sg_grpc_code_of_h2(1), SG_GRPC_INTERNAL);
    assert_int_equal(sg_grpc_code_of_http(400), SG_GRPC_INTERNAL);
    assert_int_equal(sg_grpc_code_of_http(401), SG_GRPC_UNAUTHENTICATED);
    assert_int_equal(sg_grpc_code_of_http(403), SG_GRPC_PERMISSION_DENIED);
    assert_int_equal(sg_grpc_code_of_http(404), SG_GRPC_UNIMPLEMENTED);
    assert_int_equal(sg_grpc_code_of_http(429), SG_GRPC_UNAVAILABLE);
    assert_int_equal(sg_grpc_code_of_http(431), SG_GRPC_UNKNOWN);
    assert_int_equal(sg_grpc_code_of_http(503), SG_GRPC_UNAVAILABLE);
    assert_int_equal(sg_grpc_code_of_http(200), SG_GRPC_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_has_its_code),
        cmocka_unit_test(a_class_that_does_not_exist_is_not_ok),
        cmocka_unit_test(codes_have_their_names),
        cmocka_unit_test(no_way_a_stream_dies_is_ok),
        cmocka_unit_test(the_maps_are_those_of_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
