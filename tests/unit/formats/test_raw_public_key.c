#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "formats/raw/key_priv.h"
#include "formats/raw/spki_priv.h"
#include "tests/support/unit.h"

enum { ROOM = 2048 };

/* Bytes of a test's own, to be changed. */
struct bytes {
    uint8_t at[ROOM];
    size_t len;
};

static struct sg_slice slice(const struct bytes *bytes)
{
    return sg_slice_of(bytes->at, bytes->len);
}

static struct bytes encode(EVP_PKEY *pkey)
{
    struct bytes out = {.len = 0};
    assert_non_null(pkey);
    int len = i2d_PUBKEY(pkey, NULL);
    assert_true(len > 0 && len <= ROOM);
    uint8_t *at = out.at;
    out.len = (size_t)i2d_PUBKEY(pkey, &at);
    EVP_PKEY_free(pkey);
    return out;
}

static enum sg_rc parse(struct sg_slice der)
{
    /* An exact copy on the heap, so that a sanitizer sees a read one past the end. */
    uint8_t *exact = malloc(der.len == 0 ? 1 : der.len);
    assert_non_null(exact);
    if (der.len > 0)
        memcpy(exact, der.ptr, der.len);
    struct sg_public_key *key = NULL;
    struct sg_err err = {0};
    enum sg_rc rc = sg_public_key_parse(sg_slice_of(exact, der.len), &key, &err);
    free(exact);
    if (rc == SG_OK) {
        /* What parses is what OpenSSL would write, so a key has one form. */
        uint8_t *again = NULL;
        int len = i2d_PUBKEY(key->pkey, &again);
        assert_true(len > 0);
        assert_slice_equal(sg_slice_of(again, (size_t)len), der);
        OPENSSL_free(again);
    } else {
        assert_int_equal(rc, SG_E_INVALID);
        assert_int_equal(err.reason, SG_R_BAD_PUBLIC_KEY);
        assert_null(key);
    }
    sg_public_key_free(key);
    return rc;
}

/* A public RSA key. The modulus is any odd number: nobody here factors it. */
static EVP_PKEY *make_rsa(const char *type, int bits, unsigned exponent)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_new();
    assert_int_equal(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, exponent), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

static struct bytes supported[SG_KEY_TYPE_COUNT];

static int make_keys(void **state)
{
    (void)state;
    supported[SG_KEY_RSA_2048] = encode(make_rsa("RSA", 2048, 65537));
    supported[SG_KEY_RSA_3072] = encode(make_rsa("RSA", 3072, 65537));
    supported[SG_KEY_RSA_4096] = encode(make_rsa("RSA", 4096, 65537));
    supported[SG_KEY_EC_P256] = encode(EVP_EC_gen("P-256"));
    supported[SG_KEY_EC_P384] = encode(EVP_EC_gen("P-384"));
    supported[SG_KEY_ED25519] = encode(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    return 0;
}

static void every_supported_type_is_taken_for_what_it_is(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        struct sg_public_key *key = NULL;
        struct sg_err err = {0};
        print_message("  %s\n", sg_key_type_name((enum sg_key_type)type));
        if (sg_public_key_parse(slice(&supported[type]), &key, &err) != SG_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(sg_public_key_type(key), type);
        sg_public_key_free(key);
        assert_int_equal(parse(slice(&supported[type])), SG_OK);
    }
}

static void a_key_cut_short_is_refused_at_every_length(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        for (size_t len = 0; len < supported[type].len; len++)
            assert_int_equal(parse(sg_slice_of(supported[type].at, len)), SG_E_INVALID);
    }
}

static void bytes_behind_a_key_are_refused(void **state)
{
    (void)state;
    for (unsigned type = SG_KEY_UNSET + 1; type < SG_KEY_TYPE_COUNT; type++) {
        struct bytes longer = supported[type];
        longer.at[longer.len++] = 0;
        assert_int_equal(parse(slice(&longer)), SG_E_INVALID);
    }
}

/* parse() checks that whatever is still taken is written by OpenSSL as the very same bytes. */
static void a_flipped_bit_gives_another_key_or_none(void **state)
{
    (void)state;
    static const enum sg_key_type types[] = {SG_KEY_RSA_2048, SG_KEY_EC_P256, SG_KEY_ED25519};
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        for (size_t bit = 0; bit < 8 * supported[types[i]].len; bit++) {
            struct bytes flipped = supported[types[i]];
            flipped.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            SG_IGNORE(parse(slice(&flipped))); /* either answer will do */
        }
    }
}

static EVP_PKEY *gen_ec(const char *name, const char *value)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, name, value), 1);
    return pkey;
}

static void keys_of_other_types_sizes_and_forms_are_refused(void **state)
{
    (void)state;
    struct {
        const char *name;
        struct bytes der;
    } rows[] = {
        {"RSA-1024", encode(make_rsa("RSA", 1024, 65537))},
        {"RSA-2047", encode(make_rsa("RSA", 2047, 65537))},
        {"RSA-2049", encode(make_rsa("RSA", 2049, 65537))},
        {"RSA with e = 3", encode(make_rsa("RSA", 2048, 3))},
        {"RSA with e = 65535", encode(make_rsa("RSA", 2048, 65535))},
        {"RSA restricted to PSS", encode(make_rsa("RSA-PSS", 2048, 65537))},
        {"P-224", encode(EVP_EC_gen("P-224"))},
        {"P-521", encode(EVP_EC_gen("P-521"))},
        {"secp256k1", encode(EVP_EC_gen("secp256k1"))},
        {"P-256 compressed",
         encode(gen_ec(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"))},
        {"P-256 hybrid", encode(gen_ec(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "hybrid"))},
        {"P-256 by explicit parameters", encode(gen_ec(OSSL_PKEY_PARAM_EC_ENCODING, "explicit"))},
        {"X25519", encode(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"))},
        {"Ed448", encode(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"))},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        assert_int_equal(parse(slice(&rows[i].der)), SG_E_INVALID);
    }
}

static void a_large_odd_exponent_is_taken(void **state)
{
    (void)state;
    struct bytes der = encode(make_rsa("RSA", 2048, 0x80000003u));
    assert_int_equal(parse(slice(&der)), SG_OK);
}

/* Rewrites the bytes at `at` of a good key; what results is one encoding fault. */
static void other_encodings_of_the_same_key_are_refused(void **state)
{
    (void)state;
    const struct bytes *rsa = &supported[SG_KEY_RSA_2048], *ed = &supported[SG_KEY_ED25519];
    struct bytes der;

    /* 30 82 01 22: the same length in three bytes */
    der = (struct bytes){.at = {0x30, 0x83, 0x00}, .len = 3};
    memcpy(der.at + 3, rsa->at + 2, rsa->len - 2);
    der.len += rsa->len - 2;
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);

    /* 30 2a: the same length in the long form, and indefinite */
    der = (struct bytes){.at = {0x30, 0x81}, .len = 2};
    memcpy(der.at + 2, ed->at + 1, ed->len - 1);
    der.len += ed->len - 1;
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);
    der = *ed;
    der.at[1] = 0x80;
    der.at[der.len++] = 0;
    der.at[der.len++] = 0;
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);

    /* unused bits in the BIT STRING, which begins at 9 of an Ed25519 key: 03 21 00 */
    der = *ed;
    assert_int_equal(der.at[9], 0x03);
    der.at[11] = 1;
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);

    /* NULL parameters where RFC 8410 wants none: 30 05 06 03 2b 65 70 becomes 30 07 ... 05 00 */
    der = (struct bytes){.len = ed->len + 2};
    memcpy(der.at, ed->at, 9);
    der.at[1] = (uint8_t)(der.at[1] + 2);
    der.at[3] = (uint8_t)(der.at[3] + 2);
    der.at[9] = 0x05;
    der.at[10] = 0x00;
    memcpy(der.at + 11, ed->at + 9, ed->len - 9);
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);

    /* no parameters where RFC 3279 wants NULL: 30 0d 06 09 ... 05 00 at 4 of an RSA key */
    der = *rsa;
    assert_memory_equal(der.at + 4, "\x30\x0d\x06\x09", 4);
    memmove(der.at + 17, der.at + 19, der.len - 19);
    der.len -= 2;
    der.at[3] = (uint8_t)(der.at[3] - 2);
    der.at[5] = 0x0b;
    assert_int_equal(parse(slice(&der)), SG_E_INVALID);
}

static void bad_numbers_of_an_rsa_key_are_refused(void **state)
{
    (void)state;
    /* ... 02 82 01 01 00 <256 bytes> 02 03 01 00 01 */
    const struct bytes *rsa = &supported[SG_KEY_RSA_2048];
    size_t modulus = rsa->len - 5 - 256;
    struct {
        const char *name;
        size_t at;
        uint8_t is, becomes;
    } rows[] = {
        {"a negative modulus", modulus - 1, 0x00, 0xff},
        {"an even exponent", rsa->len - 1, 0x01, 0x02},
        {"a negative exponent", rsa->len - 3, 0x01, 0x81},
        {"an exponent with a leading zero", rsa->len - 3, 0x01, 0x00},
        {"an exponent that is no INTEGER", rsa->len - 5, 0x02, 0x04},
        {"a length that runs over the end", rsa->len - 4, 0x03, 0x04},
        {"a length that stops short", rsa->len - 4, 0x03, 0x02},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct bytes der = *rsa;
        print_message("  %s\n", rows[i].name);
        assert_int_equal(der.at[rows[i].at], rows[i].is);
        der.at[rows[i].at] = rows[i].becomes;
        assert_int_equal(parse(slice(&der)), SG_E_INVALID);
    }
    struct bytes even = *rsa;
    even.at[modulus + 255] &= 0xfe;
    assert_int_equal(parse(slice(&even)), SG_E_INVALID);
    struct bytes small = *rsa;
    small.at[modulus] &= 0x7f;
    assert_int_equal(parse(slice(&small)), SG_E_INVALID);
}

static void a_point_off_its_curve_is_refused(void **state)
{
    (void)state;
    static const enum sg_key_type types[] = {SG_KEY_EC_P256, SG_KEY_EC_P384};
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        const struct bytes *good = &supported[types[i]];
        struct bytes der = *good;
        der.at[der.len - 1] ^= 1;
        assert_int_equal(parse(slice(&der)), SG_E_INVALID);

        size_t point_len = 2 * sg_key_type_part_len(types[i]);
        der = *good;
        memset(der.at + der.len - point_len, 0, point_len);
        assert_int_equal(parse(slice(&der)), SG_E_INVALID);
        memset(der.at + der.len - point_len, 0xff, point_len); /* larger than the field's prime */
        assert_int_equal(parse(slice(&der)), SG_E_INVALID);
    }
}

/* y in hex, most significant byte first, as order_8_hex in ed25519_point.c has them. */
static const struct {
    const char *name, *y;
    enum sg_rc rc;
} points[] = {
    {"the base point", "6666666666666666666666666666666666666666666666666666666666666658", SG_OK},
    {"y = 2 has no x", "0000000000000000000000000000000000000000000000000000000000000002",
     SG_E_INVALID},
    {"y = 3 has one", "0000000000000000000000000000000000000000000000000000000000000003", SG_OK},
    {"order 1", "0000000000000000000000000000000000000000000000000000000000000001", SG_E_INVALID},
    {"order 2", "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec", SG_E_INVALID},
    {"order 4", "0000000000000000000000000000000000000000000000000000000000000000", SG_E_INVALID},
    {"order 8", "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", SG_E_INVALID},
    {"order 8, the other", "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
     SG_E_INVALID},
    {"y = p", "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", SG_E_INVALID},
    {"y = p + 3", "7ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0", SG_E_INVALID},
    {"y = 2^255 - 1", "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     SG_E_INVALID},
};

static void ed25519_points_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(points); i++) {
        for (unsigned sign = 0; sign < 2; sign++) {
            uint8_t y[32];
            size_t len = 0;
            print_message("  %s, sign %u\n", points[i].name, sign);
            assert_int_equal(OPENSSL_hexstr2buf_ex(y, sizeof(y), &len, points[i].y, '\0'), 1);
            struct bytes der = supported[SG_KEY_ED25519];
            for (size_t n = 0; n < 32; n++)
                der.at[der.len - 1 - n] = y[n];
            der.at[der.len - 1] |= (uint8_t)(sign << 7);
            assert_int_equal(parse(slice(&der)), points[i].rc);
        }
    }
}

static void freeing_no_key_does_nothing(void **state)
{
    (void)state;
    sg_public_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_supported_type_is_taken_for_what_it_is),
        cmocka_unit_test(a_key_cut_short_is_refused_at_every_length),
        cmocka_unit_test(bytes_behind_a_key_are_refused),
        cmocka_unit_test(a_flipped_bit_gives_another_key_or_none),
        cmocka_unit_test(keys_of_other_types_sizes_and_forms_are_refused),
        cmocka_unit_test(a_large_odd_exponent_is_taken),
        cmocka_unit_test(other_encodings_of_the_same_key_are_refused),
        cmocka_unit_test(bad_numbers_of_an_rsa_key_are_refused),
        cmocka_unit_test(a_point_off_its_curve_is_refused),
        cmocka_unit_test(ed25519_points_follow_the_table),
        cmocka_unit_test(freeing_no_key_does_nothing),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
