#include "hsm/mechanism.h"

#include "tests/support/unit.h"

static const uint8_t bytes[SG_TBS_BYTES_MAX] = {0xAA, 0xBB};

static const struct {
    const char *name;
    enum sg_key_type type;
    enum sg_scheme scheme;
    enum sg_digest_alg digest_alg;
    size_t tbs_len;
    enum sg_mechanism_kind kind; /* unset: refused */
    size_t input_len, salt_len, signature_len;
} cases[] = {
    {"RSA PKCS#1 gets a DigestInfo", SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA256, 32,
     SG_MECH_RSA_PKCS, 19 + 32, 0, 256},
    {"also for SHA-3", SG_KEY_RSA_4096, SG_SCHEME_RSA_PKCS1, SG_DIGEST_SHA3_512, 64,
     SG_MECH_RSA_PKCS, 19 + 64, 0, 512},
    {"PSS salts as long as the digest", SG_KEY_RSA_3072, SG_SCHEME_RSA_PSS, SG_DIGEST_SHA384, 48,
     SG_MECH_RSA_PSS, 48, 48, 384},
    {"ECDSA gets the digest", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, SG_MECH_ECDSA,
     32, 0, 64},
    {"cut to P-256", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA512, 64, SG_MECH_ECDSA, 32, 0,
     64},
    {"cut to P-384", SG_KEY_EC_P384, SG_SCHEME_ECDSA, SG_DIGEST_SHA512, 64, SG_MECH_ECDSA, 48, 0,
     96},
    {"shorter than P-384", SG_KEY_EC_P384, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, SG_MECH_ECDSA, 32,
     0, 96},
    {"Ed25519 gets the message", SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_UNSET, 4096,
     SG_MECH_EDDSA, 4096, 0, 64},
    {"also an empty one", SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_UNSET, 0, SG_MECH_EDDSA, 0,
     0, 64},

    {"Ed25519 of a digest", SG_KEY_ED25519, SG_SCHEME_ED25519, SG_DIGEST_SHA512, 64, 0, 0, 0, 0},
    {"a digest too short", SG_KEY_EC_P256, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 31, 0, 0, 0, 0},
    {"a digest too long", SG_KEY_RSA_2048, SG_SCHEME_RSA_PSS, SG_DIGEST_SHA256, 33, 0, 0, 0, 0},
    {"no digest named", SG_KEY_RSA_2048, SG_SCHEME_RSA_PKCS1, SG_DIGEST_UNSET, 0, 0, 0, 0, 0},
    {"ECDSA by an RSA key", SG_KEY_RSA_2048, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, 0, 0, 0, 0},
    {"no scheme", SG_KEY_RSA_2048, SG_SCHEME_UNSET, SG_DIGEST_SHA256, 32, 0, 0, 0, 0},
    {"no key", SG_KEY_UNSET, SG_SCHEME_ECDSA, SG_DIGEST_SHA256, 32, 0, 0, 0, 0},
};

static void preparing_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_mechanism mechanism;
        print_message("  %s\n", cases[i].name);
        enum sg_rc rc =
            sg_mechanism_prepare(cases[i].type, cases[i].scheme, cases[i].digest_alg,
                                 sg_slice_of(bytes, cases[i].tbs_len), &mechanism, NULL);
        assert_int_equal(rc == SG_OK, cases[i].kind != SG_MECH_UNSET);
        if (rc != SG_OK)
            continue;
        assert_int_equal(mechanism.kind, cases[i].kind);
        assert_int_equal(mechanism.input.len, cases[i].input_len);
        assert_int_equal(mechanism.salt_len, cases[i].salt_len);
        assert_int_equal(mechanism.signature_len, cases[i].signature_len);
        /* The digest stands at the end of a DigestInfo, and at the front of what was cut. */
        if (mechanism.kind == SG_MECH_RSA_PKCS)
            assert_memory_equal(mechanism.input.ptr + 19, bytes, cases[i].tbs_len);
        else if (mechanism.input.len > 0)
            assert_memory_equal(mechanism.input.ptr, bytes, mechanism.input.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(preparing_follows_the_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
