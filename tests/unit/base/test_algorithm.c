#include "base/algorithm.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "tests/support/unit.h"

static void names_are_found_again_and_unset_is_not(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SG_DIGEST_COUNT; i++)
        assert_int_equal(sg_digest_find(sg_digest_name((enum sg_digest_alg)i)), i);
    for (unsigned i = 1; i < SG_SCHEME_COUNT; i++)
        assert_int_equal(sg_scheme_find(sg_scheme_name((enum sg_scheme)i)), i);
    for (unsigned i = 1; i < SG_KEY_TYPE_COUNT; i++)
        assert_int_equal(sg_key_type_find(sg_key_type_name((enum sg_key_type)i)), i);

    static const char *const unknown[] = {"", "unset", "sha1", "SHA256", "sha256 ", "rsa"};
    for (size_t i = 0; i < SG_COUNT(unknown); i++) {
        assert_int_equal(sg_digest_find(unknown[i]), SG_DIGEST_UNSET);
        assert_int_equal(sg_scheme_find(unknown[i]), SG_SCHEME_UNSET);
        assert_int_equal(sg_key_type_find(unknown[i]), SG_KEY_UNSET);
    }
}

static void a_number_from_outside_counts_as_unset(void **state)
{
    (void)state;
    static const unsigned numbers[] = {0, 100, 0x7fffffff};
    for (size_t i = 0; i < SG_COUNT(numbers); i++) {
        unsigned n = numbers[i];
        assert_int_equal(sg_digest_len((enum sg_digest_alg)n), 0);
        assert_string_equal(sg_digest_name((enum sg_digest_alg)n), "unset");
        assert_string_equal(sg_scheme_name((enum sg_scheme)n), "unset");
        assert_string_equal(sg_key_type_name((enum sg_key_type)n), "unset");
        assert_int_equal(sg_key_type_default((enum sg_key_type)n), SG_SCHEME_UNSET);
        assert_int_equal(sg_key_type_part_len((enum sg_key_type)n), 0);
        for (unsigned s = 0; s < SG_SCHEME_COUNT; s++)
            assert_false(sg_key_type_does((enum sg_key_type)n, (enum sg_scheme)s));
    }
}

static const struct {
    enum sg_key_type type;
    size_t part_len;
    bool does[SG_SCHEME_COUNT]; /* unset, PKCS#1, PSS, ECDSA, Ed25519 */
    enum sg_scheme by_default;
} keys[] = {
    {SG_KEY_RSA_2048, 256, {0, 1, 1, 0, 0}, SG_SCHEME_RSA_PKCS1},
    {SG_KEY_RSA_3072, 384, {0, 1, 1, 0, 0}, SG_SCHEME_RSA_PKCS1},
    {SG_KEY_RSA_4096, 512, {0, 1, 1, 0, 0}, SG_SCHEME_RSA_PKCS1},
    {SG_KEY_EC_P256, 32, {0, 0, 0, 1, 0}, SG_SCHEME_ECDSA},
    {SG_KEY_EC_P384, 48, {0, 0, 0, 1, 0}, SG_SCHEME_ECDSA},
    {SG_KEY_ED25519, 64, {0, 0, 0, 0, 1}, SG_SCHEME_ED25519},
};

static void a_key_does_what_its_row_says(void **state)
{
    (void)state;
    assert_int_equal(SG_COUNT(keys), SG_KEY_TYPE_COUNT - 1);
    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        print_message("  %s\n", sg_key_type_name(keys[i].type));
        assert_int_equal(sg_key_type_part_len(keys[i].type), keys[i].part_len);
        assert_int_equal(sg_key_type_default(keys[i].type), keys[i].by_default);
        for (unsigned s = 0; s < SG_SCHEME_COUNT; s++)
            assert_int_equal(sg_key_type_does(keys[i].type, (enum sg_scheme)s), keys[i].does[s]);
    }
}

static void digests_are_as_long_as_openssl_says(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SG_DIGEST_COUNT; i++) {
        enum sg_digest_alg alg = (enum sg_digest_alg)i;
        EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(alg), NULL);
        assert_non_null(md);
        assert_int_equal(EVP_MD_get_size(md), sg_digest_len(alg));
        assert_true(sg_digest_len(alg) <= SG_DIGEST_BYTES_MAX);
        EVP_MD_free(md);
    }
}

/* Signs by PKCS#1 v1.5: with `md`, OpenSSL makes the DigestInfo; without, `bytes` is one. */
static size_t sign(EVP_PKEY *key, const EVP_MD *md, struct sg_slice bytes, uint8_t *out)
{
    size_t len = 256;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    assert_true(EVP_PKEY_sign_init(ctx) > 0);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0);
    if (md != NULL)
        assert_true(EVP_PKEY_CTX_set_signature_md(ctx, md) > 0);
    assert_true(EVP_PKEY_sign(ctx, out, &len, bytes.ptr, bytes.len) > 0);
    EVP_PKEY_CTX_free(ctx);
    return len;
}

static void digest_info_is_what_openssl_signs(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    assert_non_null(key);
    for (unsigned i = 1; i < SG_DIGEST_COUNT; i++) {
        enum sg_digest_alg alg = (enum sg_digest_alg)i;
        uint8_t digest[SG_DIGEST_BYTES_MAX], info[SG_DIGEST_INFO_MAX], ours[256], theirs[256];
        struct sg_slice bytes = sg_slice_of(digest, sg_digest_len(alg));
        memset(digest, (int)(0xa0 + i), sizeof(digest));
        EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(alg), NULL);

        size_t info_len = sg_digest_info(alg, bytes, info);
        assert_int_equal(info_len, 19 + bytes.len);
        size_t ours_len = sign(key, NULL, sg_slice_of(info, info_len), ours);
        size_t theirs_len = sign(key, md, bytes, theirs);
        assert_slice_equal(sg_slice_of(ours, ours_len), sg_slice_of(theirs, theirs_len));
        EVP_MD_free(md);
    }
    EVP_PKEY_free(key);
}

static void digest_info_of_a_wrong_length_is_not_made(void **state)
{
    (void)state;
    uint8_t digest[SG_DIGEST_BYTES_MAX + 1] = {0}, info[SG_DIGEST_INFO_MAX];
    for (unsigned i = 0; i <= SG_DIGEST_COUNT; i++)
        for (size_t len = 0; len <= sizeof(digest); len++) {
            enum sg_digest_alg alg = (enum sg_digest_alg)i;
            size_t got = sg_digest_info(alg, sg_slice_of(digest, len), info);
            bool fits = len > 0 && len == sg_digest_len(alg);
            assert_int_equal(got, fits ? 19 + len : 0);
        }
}

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

/* Of parts of two bytes, where every rule of DER can be seen. */
static const struct {
    const char *name;
    struct sg_slice der;
    const char *raw; /* NULL: refused */
} ders[] = {
    {"two small numbers", BYTES("\x30\x06\x02\x01\x01\x02\x01\x7f"), "\x00\x01\x00\x7f"},
    {"a zero keeps the sign off", BYTES("\x30\x08\x02\x02\x00\x80\x02\x02\x01\x00"),
     "\x00\x80\x01\x00"},
    {"the greatest of both", BYTES("\x30\x0a\x02\x03\x00\xff\xff\x02\x03\x00\xff\xff"),
     "\xff\xff\xff\xff"},
    {"nothing", {NULL, 0}, NULL},
    {"an empty sequence", BYTES("\x30\x00"), NULL},
    {"one number", BYTES("\x30\x03\x02\x01\x01"), NULL},
    {"three numbers", BYTES("\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01"), NULL},
    {"r is zero", BYTES("\x30\x06\x02\x01\x00\x02\x01\x01"), NULL},
    {"s is zero", BYTES("\x30\x06\x02\x01\x01\x02\x01\x00"), NULL},
    {"r is empty", BYTES("\x30\x05\x02\x00\x02\x01\x01"), NULL},
    {"r is negative", BYTES("\x30\x06\x02\x01\x80\x02\x01\x01"), NULL},
    {"r has a zero too many", BYTES("\x30\x07\x02\x02\x00\x01\x02\x01\x01"), NULL},
    {"s has a zero too many", BYTES("\x30\x07\x02\x01\x01\x02\x02\x00\x01"), NULL},
    {"s is too long", BYTES("\x30\x08\x02\x01\x01\x02\x03\x01\x00\x00"), NULL},
    {"s is too long behind its zero", BYTES("\x30\x09\x02\x01\x01\x02\x04\x00\x80\x00\x00"), NULL},
    {"a byte behind the sequence", BYTES("\x30\x06\x02\x01\x01\x02\x01\x01\x00"), NULL},
    {"a byte behind s", BYTES("\x30\x07\x02\x01\x01\x02\x01\x01\x00"), NULL},
    {"a long form where the short does", BYTES("\x30\x81\x06\x02\x01\x01\x02\x01\x01"), NULL},
    {"a long form inside", BYTES("\x30\x07\x02\x81\x01\x01\x02\x01\x01"), NULL},
    {"an indefinite length", BYTES("\x30\x80\x02\x01\x01\x02\x01\x01\x00\x00"), NULL},
    {"a length of two bytes", BYTES("\x30\x82\x00\x06\x02\x01\x01\x02\x01\x01"), NULL},
    {"r reaches over the end", BYTES("\x30\x06\x02\x05\x01\x02\x01\x01"), NULL},
    {"the sequence reaches over the end", BYTES("\x30\x07\x02\x01\x01\x02\x01\x01"), NULL},
    {"not a sequence", BYTES("\x31\x06\x02\x01\x01\x02\x01\x01"), NULL},
    {"not an integer", BYTES("\x30\x06\x03\x01\x01\x02\x01\x01"), NULL},
};

static void only_strict_der_is_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(ders); i++) {
        uint8_t raw[4] = {9, 9, 9, 9}, der[SG_ECDSA_DER_MAX];
        size_t der_len;
        print_message("  %s\n", ders[i].name);
        enum sg_rc rc = sg_ecdsa_from_der(ders[i].der, 2, raw, NULL);
        assert_int_equal(rc, ders[i].raw != NULL ? SG_OK : SG_E_INVALID);
        assert_memory_equal(raw, ders[i].raw != NULL ? ders[i].raw : "\x09\x09\x09\x09", 4);
        if (rc != SG_OK)
            continue;
        assert_int_equal(sg_ecdsa_to_der(sg_slice_of(raw, 4), der, &der_len, NULL), SG_OK);
        assert_slice_equal(sg_slice_of(der, der_len), ders[i].der);
    }
}

static void der_goes_there_and_back_and_bears_no_cut(void **state)
{
    (void)state;
    static const size_t part_lens[] = {32, 48, 66};
    static const uint8_t fills[] = {0x01, 0x7f, 0x80, 0xff};
    for (size_t p = 0; p < SG_COUNT(part_lens); p++)
        for (size_t f = 0; f < SG_COUNT(fills); f++) {
            uint8_t raw[132], back[132], der[SG_ECDSA_DER_MAX];
            size_t len = part_lens[p], der_len;
            memset(raw, fills[f], 2 * len);
            assert_int_equal(sg_ecdsa_to_der(sg_slice_of(raw, 2 * len), der, &der_len, NULL),
                             SG_OK);
            assert_int_equal(sg_ecdsa_from_der(sg_slice_of(der, der_len), len, back, NULL), SG_OK);
            assert_memory_equal(back, raw, 2 * len);

            for (size_t cut = 0; cut < der_len; cut++) {
                uint8_t *exact = malloc(cut + (cut == 0));
                memcpy(exact, der, cut);
                assert_int_equal(sg_ecdsa_from_der(sg_slice_of(exact, cut), len, back, NULL),
                                 SG_E_INVALID);
                free(exact);
            }
        }
}

static void raw_of_a_wrong_length_or_with_a_zero_is_not_encoded(void **state)
{
    (void)state;
    uint8_t raw[136], der[SG_ECDSA_DER_MAX];
    size_t der_len;
    memset(raw, 0xff, sizeof(raw));
    static const size_t lens[] = {0, 1, 63, 133, 134};
    for (size_t i = 0; i < SG_COUNT(lens); i++)
        assert_int_equal(sg_ecdsa_to_der(sg_slice_of(raw, lens[i]), der, &der_len, NULL),
                         SG_E_INVALID);
    for (size_t zero = 0; zero < 2; zero++) {
        memset(raw, 0xff, 64);
        memset(raw + 32 * zero, 0, 32);
        assert_int_equal(sg_ecdsa_to_der(sg_slice_of(raw, 64), der, &der_len, NULL), SG_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_again_and_unset_is_not),
        cmocka_unit_test(a_number_from_outside_counts_as_unset),
        cmocka_unit_test(a_key_does_what_its_row_says),
        cmocka_unit_test(digests_are_as_long_as_openssl_says),
        cmocka_unit_test(digest_info_is_what_openssl_signs),
        cmocka_unit_test(digest_info_of_a_wrong_length_is_not_made),
        cmocka_unit_test(only_strict_der_is_decoded),
        cmocka_unit_test(der_goes_there_and_back_and_bears_no_cut),
        cmocka_unit_test(raw_of_a_wrong_length_or_with_a_zero_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
