#ifndef SG_TESTS_UNIT_FORMATS_AUDIT_LOG_H
#define SG_TESTS_UNIT_FORMATS_AUDIT_LOG_H

#include <openssl/evp.h>

#include "formats/audit/note.h"
#include "tests/support/unit.h"

/* A signer of notes, by a key that is the same in every run. */
struct test_signer {
    EVP_PKEY *pkey;
    struct sg_note_key *key;
};

static inline void test_signer_init(struct test_signer *signer, const char *name,
                                    enum sg_note_kind kind, uint8_t seed)
{
    uint8_t secret[32], public_key[32];
    size_t len = sizeof(public_key);
    memset(secret, seed, sizeof(secret));
    signer->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
    assert_non_null(signer->pkey);
    assert_int_equal(EVP_PKEY_get_raw_public_key(signer->pkey, public_key, &len), 1);
    assert_int_equal(sg_note_key_new(sg_slice_str(name), kind, public_key, &signer->key, NULL),
                     SG_OK);
}

static inline void test_signer_done(struct test_signer *signer)
{
    EVP_PKEY_free(signer->pkey);
    sg_note_key_free(signer->key);
}

/* Appends the line of its signature. */
static inline void test_signer_sign(const struct test_signer *signer, enum sg_note_kind kind,
                                    uint64_t time, struct sg_slice text, struct sg_buf *out)
{
    uint8_t signature[64];
    size_t len = sizeof(signature);
    struct sg_buf tbs;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    sg_buf_init(&tbs, 4096);
    sg_note_tbs(kind, time, text, &tbs);
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, signer->pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, tbs.ptr, tbs.len), 1);
    sg_note_add_signature(signer->key, time, signature, out);
    EVP_MD_CTX_free(ctx);
    sg_buf_done(&tbs);
}

#endif
