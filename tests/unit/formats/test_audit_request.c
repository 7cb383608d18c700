#include "tests/support/unit.h"

#include "formats/audit/request.h"

/* The hash of what was asked for: as it is documented, and another for another request. */

static const uint8_t digest[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static uint8_t document[48];

static struct sg_audit_request request(void)
{
    memset(document, 0xaa, sizeof(document));
    return (struct sg_audit_request){
        .key = SG_SLICE("keys/seal"),
        .scheme = SG_SCHEME_ECDSA,
        .encoding = SG_ENCODING_DER,
        .digest_alg = SG_DIGEST_SHA256,
        .content = sg_slice_of(digest, sizeof(digest)),
        .document_digest_alg = SG_DIGEST_SHA384,
        .document_digest = sg_slice_of(document, sizeof(document)),
        .document_number = SG_SLICE("12/Q\xc4\x90-UBND"),
        .purpose = SG_SLICE("decision"),
    };
}

/* By Python's hashlib and struct, from the documentation. */
static void it_is_the_documented_hash(void **state)
{
    static const char wanted[] = "10fab047f451b82ca6026f247103fe1daf105b3121bc875f2b6b9aba9bf77de4";
    struct sg_audit_request asked = request();
    uint8_t hash[32];
    char hex[65];
    (void)state;

    assert_int_equal(sg_audit_request_sha256(&asked, hash, NULL), SG_OK);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(hex, wanted);
}

static void every_field_counts(void **state)
{
    struct sg_audit_request asked[10];
    uint8_t hashes[SG_COUNT(asked)][32];
    (void)state;

    for (size_t i = 0; i < SG_COUNT(asked); i++)
        asked[i] = request();
    asked[1].key = SG_SLICE("keys/seal/versions/1");
    asked[2].scheme = SG_SCHEME_UNSET;
    asked[3].encoding = SG_ENCODING_RAW;
    asked[4].digest_alg = SG_DIGEST_SHA3_256;
    asked[5].content.len--;
    asked[6].document_digest_alg = SG_DIGEST_SHA3_384;
    asked[7].document_digest.len = 0;
    asked[8].document_number.len = 0;
    asked[9].purpose = SG_SLICE("decisiom");
    for (size_t i = 0; i < SG_COUNT(asked); i++) {
        assert_int_equal(sg_audit_request_sha256(&asked[i], hashes[i], NULL), SG_OK);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(hashes[i], hashes[j], 32);
    }
}

/* What could be taken for a digest, were it not said what it is. */
static void a_message_is_no_digest(void **state)
{
    struct sg_audit_request asked = request(), other = request();
    uint8_t message[33] = {SG_DIGEST_SHA256}, hash[32], other_hash[32];
    (void)state;

    memcpy(message + 1, digest, sizeof(digest));
    other.digest_alg = SG_DIGEST_UNSET;
    other.content = sg_slice_of(message, sizeof(message));
    assert_int_equal(sg_audit_request_sha256(&asked, hash, NULL), SG_OK);
    assert_int_equal(sg_audit_request_sha256(&other, other_hash, NULL), SG_OK);
    assert_memory_not_equal(hash, other_hash, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_documented_hash),
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(a_message_is_no_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
