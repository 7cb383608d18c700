/*
 * base/algorithm.h and the .proto files number the same things; code converts by assignment.
 * The numbers are held together at compile time; the test at run time finds a value that was
 * added on one side only.
 */
#include "base/algorithm.h"
#include "sealgate/v1/types.pb-c.h"
#include "tests/support/unit.h"

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
#define DIGEST(name) SAME(SG_DIGEST_##name, SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_##name)
#define SCHEME(name) SAME(SG_SCHEME_##name, SEALGATE__V1__SIGNATURE_SCHEME__SIGNATURE_SCHEME_##name)
#define ENCODING(name)                                                                             \
    SAME(SG_ENCODING_##name, SEALGATE__V1__SIGNATURE_ENCODING__SIGNATURE_ENCODING_##name)
#define KEY_TYPE(name) SAME(SG_KEY_##name, SEALGATE__V1__KEY_TYPE__KEY_TYPE_##name)

SAME(SG_DIGEST_UNSET, SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_UNSPECIFIED);
DIGEST(SHA256);
DIGEST(SHA384);
DIGEST(SHA512);
DIGEST(SHA3_256);
DIGEST(SHA3_384);
DIGEST(SHA3_512);

SAME(SG_SCHEME_UNSET, SEALGATE__V1__SIGNATURE_SCHEME__SIGNATURE_SCHEME_UNSPECIFIED);
SCHEME(RSA_PKCS1);
SCHEME(RSA_PSS);
SCHEME(ECDSA);
SCHEME(ED25519);

SAME(SG_ENCODING_UNSET, SEALGATE__V1__SIGNATURE_ENCODING__SIGNATURE_ENCODING_UNSPECIFIED);
ENCODING(DER);
ENCODING(RAW);

SAME(SG_KEY_UNSET, SEALGATE__V1__KEY_TYPE__KEY_TYPE_UNSPECIFIED);
KEY_TYPE(RSA_2048);
KEY_TYPE(RSA_3072);
KEY_TYPE(RSA_4096);
KEY_TYPE(EC_P256);
KEY_TYPE(EC_P384);
KEY_TYPE(ED25519);

static void both_sides_have_as_many_values(void **state)
{
    (void)state;
    assert_int_equal(sealgate__v1__digest_algorithm__descriptor.n_values, SG_DIGEST_COUNT);
    assert_int_equal(sealgate__v1__signature_scheme__descriptor.n_values, SG_SCHEME_COUNT);
    assert_int_equal(sealgate__v1__signature_encoding__descriptor.n_values, SG_ENCODING_COUNT);
    assert_int_equal(sealgate__v1__key_type__descriptor.n_values, SG_KEY_TYPE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_have_as_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
