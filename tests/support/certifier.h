#ifndef SG_TESTS_SUPPORT_CERTIFIER_H
#define SG_TESTS_SUPPORT_CERTIFIER_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "formats/audit/certified.h"
#include "formats/raw/digest.h"
#include "tests/support/unit.h"

static inline void certifier_sha256(struct sg_slice bytes, uint8_t out[32])
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    assert_int_equal(sg_digest_of(SG_DIGEST_SHA256, bytes, hash, NULL), SG_OK);
    memcpy(out, hash, 32);
}

/* What a token with this key would have made of a text. */
static inline void certifier_sign(EVP_PKEY *pkey, enum sg_key_type type, struct sg_slice text,
                                  struct sg_certification *ret)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *at = ret->spki;

    *ret = (struct sg_certification){.token = "hsm", .scheme = sg_certified_scheme(type)};
    ret->spki_len = (size_t)i2d_PUBKEY(pkey, &at);
    certifier_sha256(sg_slice_of(ret->spki, ret->spki_len), ret->spki_sha256);
    certifier_sha256(text, ret->digest);
    ret->signature_len = sizeof(ret->signature);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, type == SG_KEY_ED25519 ? NULL : "SHA256",
                                           NULL, NULL, pkey, NULL),
                     1);
    assert_int_equal(EVP_DigestSign(ctx, ret->signature, &ret->signature_len, text.ptr, text.len),
                     1);
    EVP_MD_CTX_free(ctx);
}

/* Leaf 0 of a log that names one key, and has another or the same certified. */
struct certified_first {
    struct sg_certification certification;
    struct sg_buf detail;
    struct sg_audit_record record;
};

static inline void certified_first_init(struct certified_first *first, EVP_PKEY *pkey,
                                        enum sg_key_type type, const struct sg_note_key *named,
                                        const struct sg_note_key *signed_for)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(signed_for, &text);
    certifier_sign(pkey, type, sg_buf_slice(&text), &first->certification);
    sg_buf_done(&text);
    sg_buf_init(&first->detail, SG_AUDIT_TEXT_BYTES_MAX);
    sg_buf_add_str(&first->detail, "log key: ");
    sg_note_key_write(named, &first->detail);
    sg_buf_add_str(&first->detail, "\n");
    sg_certification_describe(&first->certification, &first->detail);
    sg_buf_add_str(&first->detail, "token: hsm pkcs11:token=x\n");
    assert_false(first->detail.failed);
    first->record = (struct sg_audit_record){.event = SG_AUDIT_LOG_STARTED,
                                             .time_ns = 1795388400000000000,
                                             .detail = sg_buf_slice(&first->detail)};
    sg_certification_put(&first->certification, &first->record);
}

#endif
