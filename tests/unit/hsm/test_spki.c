#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "hsm/pkcs11/p11_priv.h"
#include "tests/support/unit.h"

/* OpenSSL is the judge: what it makes of a key of its own, we make of the same numbers. */

enum { PART_MAX = 600 };

/* A key as a token tells it: modulus and exponent, or CKA_EC_PARAMS and CKA_EC_POINT. */
struct told {
    enum sg_key_type type;
    size_t first_len, second_len;
    uint8_t first[PART_MAX], second[PART_MAX];
    uint8_t *der; /* by OpenSSL */
    size_t der_len;
};

static size_t number(EVP_PKEY *pkey, const char *name, uint8_t *out)
{
    BIGNUM *bn = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &bn), 1);
    size_t len = (size_t)BN_bn2bin(bn, out);
    BN_free(bn);
    return len;
}

static void make(enum sg_key_type type, struct told *ret)
{
    static const uint8_t p256[] = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    static const uint8_t p384[] = "\x06\x05\x2b\x81\x04\x00\x22";
    static const uint8_t ed25519[] = "\x06\x03\x2b\x65\x70";
    EVP_PKEY *pkey = NULL;

    *ret = (struct told){.type = type};
    if (sg_p11_is_rsa(type)) {
        pkey = EVP_RSA_gen(8 * sg_key_type_part_len(type));
        ret->first_len = number(pkey, OSSL_PKEY_PARAM_RSA_N, ret->first);
        ret->second_len = number(pkey, OSSL_PKEY_PARAM_RSA_E, ret->second);
    } else if (type == SG_KEY_ED25519) {
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        memcpy(ret->first, ed25519, ret->first_len = sizeof(ed25519) - 1);
        ret->second_len = sizeof(ret->second);
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, ret->second, &ret->second_len), 1);
    } else {
        bool is_256 = type == SG_KEY_EC_P256;
        pkey = EVP_EC_gen(is_256 ? "P-256" : "P-384");
        ret->first_len = is_256 ? sizeof(p256) - 1 : sizeof(p384) - 1;
        memcpy(ret->first, is_256 ? p256 : p384, ret->first_len);
        assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, ret->second,
                                                         sizeof(ret->second), &ret->second_len),
                         1);
    }
    assert_non_null(pkey);
    int len = i2d_PUBKEY(pkey, &ret->der);
    assert_true(len > 0);
    ret->der_len = (size_t)len;
    EVP_PKEY_free(pkey);
}

static enum sg_outcome encode(const struct told *told, uint8_t *out, size_t *ret_len)
{
    struct sg_err err;
    return sg_p11_spki(told->type, sg_slice_of(told->first, told->first_len),
                       sg_slice_of(told->second, told->second_len), out, ret_len, &err);
}

static void each_type_is_as_openssl_has_it(void **state)
{
    static const enum sg_key_type types[] = {SG_KEY_RSA_2048, SG_KEY_RSA_3072, SG_KEY_EC_P256,
                                             SG_KEY_EC_P384, SG_KEY_ED25519};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        struct told told;
        uint8_t out[SG_JOB_SPKI_MAX];
        size_t len;
        make(types[i], &told);
        print_message("  %s\n", sg_key_type_name(types[i]));
        assert_int_equal(encode(&told, out, &len), SG_OUT_OK);
        assert_slice_equal(sg_slice_of(out, len), sg_slice_of(told.der, told.der_len));

        /* With a zero before the number, and with the point in its OCTET STRING. */
        struct told other = told;
        if (sg_p11_is_rsa(types[i])) {
            memmove(other.first + 1, other.first, other.first_len++);
            other.first[0] = 0;
        } else {
            memmove(other.second + 2, other.second, other.second_len);
            other.second[0] = 0x04;
            other.second[1] = (uint8_t)other.second_len;
            other.second_len += 2;
        }
        assert_int_equal(encode(&other, out, &len), SG_OUT_OK);
        assert_slice_equal(sg_slice_of(out, len), sg_slice_of(told.der, told.der_len));
        OPENSSL_free(told.der);
    }
}

/* The largest modulus and exponents of all lengths, with and without their top bit. */
static void rsa_numbers_of_all_lengths_are_der(void **state)
{
    static const struct {
        size_t len;
        uint8_t bytes[8];
    } exponents[] = {{1, {3}},
                     {1, {0xff}},
                     {3, {1, 0, 1}},
                     {4, {0x80, 0, 0, 1}},
                     {8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}};
    struct told told = {.type = SG_KEY_RSA_4096, .first_len = 512};
    (void)state;
    memset(told.first, 0xff, told.first_len);
    for (size_t i = 0; i < SG_COUNT(exponents); i++) {
        uint8_t out[SG_JOB_SPKI_MAX], n[PART_MAX], e[PART_MAX];
        size_t len;
        memcpy(told.second, exponents[i].bytes, told.second_len = exponents[i].len);
        assert_int_equal(encode(&told, out, &len), SG_OUT_OK);
        const uint8_t *at = out;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);
        assert_non_null(pkey);
        assert_ptr_equal(at, out + len);
        assert_slice_equal(sg_slice_of(n, number(pkey, OSSL_PKEY_PARAM_RSA_N, n)),
                           sg_slice_of(told.first, told.first_len));
        assert_slice_equal(sg_slice_of(e, number(pkey, OSSL_PKEY_PARAM_RSA_E, e)),
                           sg_slice_of(told.second, told.second_len));
        EVP_PKEY_free(pkey);
    }
}

static void what_is_no_public_key_of_the_type_is_refused(void **state)
{
    struct told rsa, ec, told;
    uint8_t out[SG_JOB_SPKI_MAX];
    size_t len;
    (void)state;
    make(SG_KEY_RSA_2048, &rsa);
    make(SG_KEY_EC_P256, &ec);

    told = rsa, told.type = SG_KEY_RSA_3072; /* too short */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, told.first[0] = 0x7f; /* one bit short */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, told.first[255] &= 0xfe; /* even */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, told.second[0] = 1, told.second_len = 1; /* signs nothing */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, told.second[0] = 2, told.second_len = 1;
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, memset(told.second, 0xff, told.second_len = 9); /* longer than anybody takes */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = rsa, memset(told.first, 0, told.first_len);
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);

    told = ec, told.type = SG_KEY_EC_P384; /* another curve */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = ec, told.second[64] ^= 1; /* beside the curve */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    told = ec, told.second[0] = 0x06; /* hybrid form */
    assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    for (size_t cut = 0; cut < ec.second_len; cut++) {
        told = ec, told.second_len = cut;
        assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    }
    for (size_t cut = 0; cut < ec.first_len; cut++) {
        told = ec, told.first_len = cut;
        assert_int_equal(encode(&told, out, &len), SG_OUT_KEY);
    }
    OPENSSL_free(rsa.der);
    OPENSSL_free(ec.der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_as_openssl_has_it),
        cmocka_unit_test(rsa_numbers_of_all_lengths_are_der),
        cmocka_unit_test(what_is_no_public_key_of_the_type_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
