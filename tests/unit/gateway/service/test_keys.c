#include "gateway/service/keys.h"

#include "tests/support/unit.h"

static const struct {
    const char *name;
    const char *text;
    enum sg_rc rc;
    const char *key;
    uint32_t version;
} cases[] = {
    {"a key", "keys/dev-p256", SG_OK, "dev-p256", 0},
    {"one letter", "keys/a", SG_OK, "a", 0},
    {"a version", "keys/dev-p256/versions/1", SG_OK, "dev-p256", 1},
    {"a large version", "keys/k/versions/999999999", SG_OK, "k", 999999999},
    {"63 characters", "keys/a23456789012345678901234567890123456789012345678901234567890123", SG_OK,
     "a23456789012345678901234567890123456789012345678901234567890123", 0},
    {"64 characters", "keys/a234567890123456789012345678901234567890123456789012345678901234",
     SG_E_INVALID, NULL, 0},
    {"nothing", "", SG_E_INVALID, NULL, 0},
    {"no prefix", "dev-p256", SG_E_INVALID, NULL, 0},
    {"no id", "keys/", SG_E_INVALID, NULL, 0},
    {"upper case", "keys/Dev", SG_E_INVALID, NULL, 0},
    {"begins with a digit", "keys/1a", SG_E_INVALID, NULL, 0},
    {"ends with a hyphen", "keys/a-", SG_E_INVALID, NULL, 0},
    {"a dot", "keys/a.b", SG_E_INVALID, NULL, 0},
    {"a space", "keys/a b", SG_E_INVALID, NULL, 0},
    {"a slash too many", "keys/a/", SG_E_INVALID, NULL, 0},
    {"another word", "keys/a/version/1", SG_E_INVALID, NULL, 0},
    {"version without number", "keys/a/versions/", SG_E_INVALID, NULL, 0},
    {"version zero", "keys/a/versions/0", SG_E_INVALID, NULL, 0},
    {"leading zero", "keys/a/versions/01", SG_E_INVALID, NULL, 0},
    {"signed", "keys/a/versions/+1", SG_E_INVALID, NULL, 0},
    {"ten digits", "keys/a/versions/1000000000", SG_E_INVALID, NULL, 0},
    {"something behind", "keys/a/versions/1/x", SG_E_INVALID, NULL, 0},
};

static void names_are_cut_as_the_contract_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_slice key = {0};
        uint32_t version = 77;
        struct sg_err err;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_key_name_parse(sg_slice_str(cases[i].text), &key, &version, &err),
                         cases[i].rc);
        if (cases[i].rc == SG_OK) {
            assert_slice_equal(key, sg_slice_str(cases[i].key));
            assert_int_equal(version, cases[i].version);
        } else {
            assert_int_equal(err.reason, SG_R_BAD_NAME);
            assert_int_equal(version, 77);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_cut_as_the_contract_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
