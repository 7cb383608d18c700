#include "formats/raw/pem.h"

#include "tests/support/unit.h"

static void bytes_of_every_length_come_back(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        struct sg_buf pem, der;
        sg_buf_init(&pem, 4096);
        sg_buf_init(&der, 4096);
        sg_pem_encode("PUBLIC KEY", sg_slice_of(bytes, len), &pem);
        assert_false(pem.failed);
        assert_int_equal(sg_pem_decode("PUBLIC KEY", sg_buf_slice(&pem), &der, NULL), SG_OK);
        assert_slice_equal(sg_buf_slice(&der), sg_slice_of(bytes, len));
        sg_buf_done(&der);
        sg_buf_done(&pem);
    }
}

static void lines_are_64_characters_long(void **state)
{
    (void)state;
    const uint8_t bytes[49] = {0};
    struct sg_buf pem;
    sg_buf_init(&pem, 4096);
    sg_pem_encode("X", sg_slice_of(bytes, sizeof(bytes)), &pem);
    assert_slice_equal(sg_buf_slice(&pem),
                       SG_SLICE("-----BEGIN X-----\n"
                                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
                                "AA==\n"
                                "-----END X-----\n"));
    sg_buf_done(&pem);
}

static const struct {
    const char *name, *pem;
    enum sg_rc rc;
} cases[] = {
    {"nothing", "", SG_E_NOT_FOUND},
    {"no block", "hello\n", SG_E_NOT_FOUND},
    {"another label", "-----BEGIN X-----\nAA==\n-----END X-----\n", SG_E_NOT_FOUND},
    {"behind another label",
     "-----BEGIN X-----\nAA==\n-----END X-----\n-----BEGIN PUBLIC KEY-----\nAQ==\n"
     "-----END PUBLIC KEY-----\n",
     SG_OK},
    {"cut off", "-----BEGIN PUBLIC KEY-----\nAQ==\n", SG_E_INVALID},
    {"not base64", "-----BEGIN PUBLIC KEY-----\n*!*!\n-----END PUBLIC KEY-----\n", SG_E_INVALID},
};

static void only_the_block_with_the_label_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_buf der;
        print_message("  %s\n", cases[i].name);
        sg_buf_init(&der, 64);
        assert_int_equal(sg_pem_decode("PUBLIC KEY", sg_slice_str(cases[i].pem), &der, NULL),
                         cases[i].rc);
        sg_buf_done(&der);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_every_length_come_back),
        cmocka_unit_test(lines_are_64_characters_long),
        cmocka_unit_test(only_the_block_with_the_label_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
