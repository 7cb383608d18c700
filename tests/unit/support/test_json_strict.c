#include "tests/support/json_strict.h"

#include "tests/support/unit.h"

static const struct {
    const char *text;
    bool is_good;
} cases[] = {
    {"{}", true},
    {" { \"a\" : [ 1 , -0.5e+3 , null , true , false , \"\\u00fF\\n\" ] } \n", true},
    {"[[[]]]", true},
    {"0", true},
    {"\"k\xc3\xbd\"", true},
    {"", false},
    {"{", false},
    {"{}{}", false},
    {"{\"a\":1,}", false},
    {"[1,]", false},
    {"{\"a\"}", false},
    {"{a:1}", false},
    {"{\"a\":1 \"b\":2}", false},
    {"01", false},
    {"-", false},
    {"1.", false},
    {".5", false},
    {"1e", false},
    {"+1", false},
    {"NaN", false},
    {"nul", false},
    {"\"a", false},
    {"\"a\nb\"", false},
    {"\"\\x41\"", false},
    {"\"\\u12g4\"", false},
    {"\"\\", false},
    {"\"\xff\"", false},
    {"\"\xed\xa0\x80\"", false},
    {"'a'", false},
    {"// no\n1", false},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", false},
};

static void only_strict_json_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        print_message("  %s\n", cases[i].text);
        assert_int_equal(sg_json_is_strict(sg_slice_str(cases[i].text)), cases[i].is_good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_strict_json_passes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
