#include "proto/grpc/method.h"

#include "tests/support/unit.h"

static const struct sg_method methods[] = {
    {.id = 1, .path = "/a.A/Get"},
    {.id = 2, .path = "/a.A/GetAll"},
    {.id = 3, .path = "/a.B/Get"},
    {.id = 4, .path = "/b.A/Get"},
};
static const struct sg_method_table table = {.methods = methods, .count = SG_COUNT(methods)};

static void every_method_is_found_by_its_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(methods); i++)
        assert_ptr_equal(sg_method_find(&table, sg_slice_str(methods[i].path)), &methods[i]);
}

static void nothing_else_is_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"",          "/",        "/a.A/Ge",   "/a.A/GetA",
                                        "a.A/Get",   "/A.A/Get", "/a.A/get",  "/a.A/Get/",
                                        "/a.A//Get", "/c",       "/a.A/Get?x"};
    for (size_t i = 0; i < SG_COUNT(paths); i++)
        assert_null(sg_method_find(&table, sg_slice_str(paths[i])));
    assert_null(sg_method_find(&table, SG_SLICE("/a.A/Get\0")));
}

static void an_empty_table_finds_nothing(void **state)
{
    (void)state;
    static const struct sg_method_table empty = {0};
    assert_null(sg_method_find(&empty, SG_SLICE("/a.A/Get")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_found_by_its_path),
        cmocka_unit_test(nothing_else_is_found),
        cmocka_unit_test(an_empty_table_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
