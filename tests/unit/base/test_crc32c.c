#include "base/crc32c_priv.h"

#include "tests/support/unit.h"

static uint8_t zeros[32], ones[32], rising[32], falling[32];

/* RFC 3720 appendix B.4, and the check value of the catalogue of CRCs. */
static const struct {
    const char *name;
    struct sg_slice bytes;
    uint32_t crc;
} cases[] = {
    {"nothing", {NULL, 0}, 0},
    {"one to nine", {(const uint8_t *)"123456789", 9}, 0xe3069283},
    {"32 bytes of zeros", {zeros, 32}, 0x8a9136aa},
    {"32 bytes of ones", {ones, 32}, 0x62a8ab43},
    {"32 incrementing bytes", {rising, 32}, 0x46dd794e},
    {"32 decrementing bytes", {falling, 32}, 0x113fdb5c},
};

static void the_published_values_come_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < 32; i++) {
        ones[i] = 0xff;
        rising[i] = (uint8_t)i;
        falling[i] = (uint8_t)(31 - i);
    }
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_crc32c(cases[i].bytes), cases[i].crc);
        assert_int_equal(sg_crc32c_table(cases[i].bytes), cases[i].crc);
    }
}

static void the_instruction_and_the_table_agree(void **state)
{
    (void)state;
    if (!sg_crc32c_has_sse42()) {
        print_message("  skipped: this processor has no SSE4.2\n");
        skip();
    }
    uint8_t bytes[200];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t from = 0; from < 9; from++)
        for (size_t to = from; to <= sizeof(bytes); to++) {
            struct sg_slice part = sg_slice_of(bytes + from, to - from);
            assert_int_equal(sg_crc32c_sse42(part), sg_crc32c_table(part));
        }
}

static void a_flipped_bit_shows(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    uint32_t crc = sg_crc32c(sg_slice_of(bytes, sizeof(bytes)));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(sg_crc32c(sg_slice_of(bytes, sizeof(bytes))), crc);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_values_come_out),
        cmocka_unit_test(the_instruction_and_the_table_agree),
        cmocka_unit_test(a_flipped_bit_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
