#include "tests/support/unit.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "formats/raw/pem.h"
#include "tests/support/certifier.h"

/* The certification of a log's key in leaf 0: what a key signed counts, for that log, and nothing
 * else does. */

static const struct {
    const char *name, *type, *group;
    enum sg_key_type key_type;
} kinds[] = {
    {"P-256", "EC", "P-256", SG_KEY_EC_P256},
    {"P-384", "EC", "P-384", SG_KEY_EC_P384},
    {"RSA", "RSA", NULL, SG_KEY_RSA_2048},
    {"Ed25519", "ED25519", NULL, SG_KEY_ED25519},
};

static EVP_PKEY *pkeys[SG_COUNT(kinds)], *stranger;

static EVP_PKEY *make(size_t kind)
{
    EVP_PKEY *key = kinds[kind].group != NULL ? EVP_EC_gen(kinds[kind].group)
                    : kinds[kind].key_type == SG_KEY_RSA_2048
                        ? EVP_RSA_gen(2048)
                        : EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].type);
    assert_non_null(key);
    return key;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(kinds); i++)
        pkeys[i] = make(i);
    stranger = make(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(kinds); i++)
        EVP_PKEY_free(pkeys[i]);
    EVP_PKEY_free(stranger);
    return 0;
}

static struct sg_note_key *log_key(const char *origin, uint8_t seed)
{
    struct sg_note_key *key = NULL;
    uint8_t secret[32], bytes[32];
    size_t len = sizeof(bytes);
    memset(secret, seed, sizeof(secret));
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, bytes, &len), 1);
    EVP_PKEY_free(pkey);
    assert_int_equal(sg_note_key_new(sg_slice_str(origin), SG_NOTE_ED25519, bytes, &key, NULL),
                     SG_OK);
    return key;
}

static void first_init(struct certified_first *first, size_t kind, const struct sg_note_key *named,
                       const struct sg_note_key *signed_for)
{
    certified_first_init(first, pkeys[kind], kinds[kind].key_type, named, signed_for);
}

static enum sg_rc check(const struct certified_first *first, EVP_PKEY *by)
{
    struct sg_note_key *key = NULL;
    uint8_t spki[1024], *at = spki;
    const int len = i2d_PUBKEY(by, &at);

    enum sg_rc rc =
        sg_certification_check(&first->record, sg_slice_of(spki, (size_t)len), &key, NULL);
    assert_true((rc == SG_OK) == (key != NULL));
    sg_note_key_free(key);
    return rc;
}

static void the_text_is_what_the_documents_say(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    struct sg_buf text;
    (void)state;

    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(key, &text);
    assert_true(sg_slice_is(sg_buf_slice(&text), "sealgate.v1 log-key/1\n"
                                                 "origin sealgate.example/main/1\n"
                                                 "log-key sealgate.example/main/1+0290bc8a+"
                                                 "AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs\n"));
    sg_buf_done(&text);
    sg_note_key_free(key);
}

static void the_longest_origin_has_room(void **state)
{
    char origin[SG_NOTE_NAME_BYTES_MAX + 1];
    struct sg_note_key *key;
    struct sg_buf text;
    (void)state;

    memset(origin, 'x', sizeof(origin) - 1);
    origin[sizeof(origin) - 1] = '\0';
    key = log_key(origin, 1);
    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(key, &text);
    assert_false(text.failed);
    sg_buf_done(&text);
    sg_note_key_free(key);
}

static void each_type_of_key_certifies(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    (void)state;

    for (size_t i = 0; i < SG_COUNT(kinds); i++) {
        struct sg_note_key *found = NULL;
        struct sg_audit_record again;
        struct sg_buf bytes;
        struct certified_first first;

        print_message("%s\n", kinds[i].name);
        first_init(&first, i, key, key);
        assert_int_equal(check(&first, pkeys[i]), SG_OK);
        assert_int_equal(check(&first, stranger), SG_E_INVALID);
        /* The same once it was a leaf. */
        sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
        sg_audit_record_write(&first.record, &bytes);
        assert_false(bytes.failed);
        assert_int_equal(sg_audit_record_parse(sg_buf_slice(&bytes), &again, NULL), SG_OK);
        assert_int_equal(sg_certification_check(
                             &again,
                             sg_slice_of(first.certification.spki, first.certification.spki_len),
                             &found, NULL),
                         SG_OK);
        assert_true(sg_note_key_is_same(found, key));
        assert_true(sg_slice_eq(sg_note_key_name(found), sg_note_key_name(key)));
        assert_true(sg_slice_is(again.token, "hsm"));
        sg_note_key_free(found);
        sg_buf_done(&bytes);
        sg_buf_done(&first.detail);
    }
    sg_note_key_free(key);
}

static void what_is_certified_is_that_key_of_that_log(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    struct sg_note_key *others[] = {log_key("sealgate.example/main/2", 7),
                                    log_key("sealgate.example/main/1", 8)};
    (void)state;

    for (size_t i = 0; i < SG_COUNT(kinds); i++)
        for (size_t j = 0; j < SG_COUNT(others); j++) {
            struct certified_first first;
            first_init(&first, i, others[j], key);
            assert_int_equal(check(&first, pkeys[i]), SG_E_INVALID);
            sg_buf_done(&first.detail);
        }
    for (size_t j = 0; j < SG_COUNT(others); j++)
        sg_note_key_free(others[j]);
    sg_note_key_free(key);
}

/* No byte of the fields that are judged may be another. */
static void a_changed_byte_certifies_nothing(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    (void)state;

    for (size_t kind = 0; kind < SG_COUNT(kinds); kind++) {
        struct certified_first first;
        first_init(&first, kind, key, key);
        struct sg_certification *made = &first.certification;
        uint8_t *const parts[] = {made->signature, made->digest, made->spki_sha256};
        const size_t lens[] = {made->signature_len, sizeof(made->digest),
                               sizeof(made->spki_sha256)};
        for (size_t i = 0; i < SG_COUNT(parts); i++)
            for (size_t at = 0; at < lens[i]; at++) {
                parts[i][at] ^= 1;
                assert_int_equal(check(&first, pkeys[kind]), SG_E_INVALID);
                parts[i][at] ^= 1;
            }
        /* The lines of the log's key and of the token's, which stand first. */
        const size_t end =
            (size_t)((const uint8_t *)memmem(first.detail.ptr, first.detail.len, "\ntoken:", 7) -
                     first.detail.ptr);
        for (size_t at = 0; at < end; at++) {
            first.detail.ptr[at] ^= 1;
            assert_int_equal(check(&first, pkeys[kind]), SG_E_INVALID);
            first.detail.ptr[at] ^= 1;
        }
        for (size_t len = 1; len < made->signature_len; len++) {
            first.record.signature.len = len;
            assert_int_equal(check(&first, pkeys[kind]), SG_E_INVALID);
        }
        first.record.signature.len = made->signature_len;
        assert_int_equal(check(&first, pkeys[kind]), SG_OK);
        sg_buf_done(&first.detail);
    }
    sg_note_key_free(key);
}

static void what_else_a_record_says_is_no_certification(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    struct sg_audit_record right;
    struct certified_first first;
    (void)state;

    first_init(&first, 0, key, key);
    right = first.record;

    first.record.event = SG_AUDIT_SIGNATURE;
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    first.record = right;
    first.record.scheme = SG_SCHEME_RSA_PKCS1;
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    first.record = right;
    first.record.encoding = SG_ENCODING_RAW;
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    first.record = right;
    first.record.digest_alg = SG_DIGEST_SHA3_256;
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    first.record = right;
    first.record.detail = SG_SLICE("");
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    first.record = right;
    first.record.signature = SG_SLICE("");
    assert_int_equal(check(&first, pkeys[0]), SG_E_NOT_FOUND);
    first.record = right;
    assert_int_equal(check(&first, pkeys[0]), SG_OK);
    sg_buf_done(&first.detail);
    sg_note_key_free(key);
}

/* A signature that a caller might have had made, of the same log's key in other words. */
static void a_text_without_its_context_certifies_nothing(void **state)
{
    struct sg_note_key *key = log_key("sealgate.example/main/1", 7);
    struct certified_first first;
    struct sg_buf text;
    (void)state;

    first_init(&first, 0, key, key);
    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(key, &text);
    sg_buf_drop(&text, strlen("sealgate.v1 log-key/1\n"));
    certifier_sign(pkeys[0], kinds[0].key_type, sg_buf_slice(&text), &first.certification);
    first.record.signature.len = first.certification.signature_len;
    assert_int_equal(check(&first, pkeys[0]), SG_E_INVALID);
    sg_buf_done(&text);
    sg_buf_done(&first.detail);
    sg_note_key_free(key);
}

static void a_certifier_is_a_public_key_or_a_certificate(void **state)
{
    uint8_t der[1024], *at = der;
    struct sg_buf pem, spki;
    (void)state;

    const struct sg_slice key = sg_slice_of(der, (size_t)i2d_PUBKEY(pkeys[0], &at));
    sg_buf_init(&pem, 4096);
    sg_buf_init(&spki, 4096);
    sg_pem_encode("PUBLIC KEY", key, &pem);
    assert_int_equal(sg_certifier_read(sg_buf_slice(&pem), &spki, NULL), SG_OK);
    assert_true(sg_slice_eq(sg_buf_slice(&spki), key));
    sg_buf_clear(&spki);
    assert_int_equal(sg_certifier_read(key, &spki, NULL), SG_OK);
    assert_true(sg_slice_eq(sg_buf_slice(&spki), key));
    sg_buf_clear(&spki);
    sg_buf_clear(&pem);
    sg_pem_encode("PRIVATE KEY", key, &pem);
    assert_int_equal(sg_certifier_read(sg_buf_slice(&pem), &spki, NULL), SG_E_INVALID);
    sg_buf_clear(&spki);
    assert_int_equal(sg_certifier_read(SG_SLICE(""), &spki, NULL), SG_E_INVALID);
    assert_int_not_equal(sg_certifier_read(sg_slice_of(key.ptr, key.len - 1), &spki, NULL), SG_OK);
    sg_buf_done(&spki);
    sg_buf_done(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_what_the_documents_say),
        cmocka_unit_test(the_longest_origin_has_room),
        cmocka_unit_test(each_type_of_key_certifies),
        cmocka_unit_test(what_is_certified_is_that_key_of_that_log),
        cmocka_unit_test(a_changed_byte_certifies_nothing),
        cmocka_unit_test(what_else_a_record_says_is_no_certification),
        cmocka_unit_test(a_text_without_its_context_certifies_nothing),
        cmocka_unit_test(a_certifier_is_a_public_key_or_a_certificate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
