#include <openssl/x509.h>

#include "base/reader.h"
#include "formats/raw/key_priv.h"

/*
 * Input: scheme, digest algorithm, encoding (a byte each), length of the key (2), the key, the
 * signature. The content is always 00 01 02 ...
 *
 * Properties: a key that is taken is read by OpenSSL too and written by it as the same bytes; an
 * ECDSA signature that is taken has one DER form, and its r || s gets the same verdict.
 */
static void require(bool cond)
{
    if (!cond)
        abort();
}

static void key_has_one_form(const struct sg_public_key *key, struct sg_slice spki)
{
    const uint8_t *at = spki.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)spki.len);
    require(pkey != NULL && at == spki.ptr + spki.len);
    require(EVP_PKEY_eq(pkey, key->pkey) == 1);
    EVP_PKEY_free(pkey);

    uint8_t *again = NULL;
    int len = i2d_PUBKEY(key->pkey, &again);
    require(len > 0 && sg_slice_eq(sg_slice_of(again, (size_t)len), spki));
    OPENSSL_free(again);
}

/* False when the question makes no sense: then there is no verdict. */
static bool judge(const struct sg_public_key *key, const struct sg_raw_signature *question,
                  enum sg_raw_verdict *ret)
{
    *ret = SG_RAW_INVALID;
    enum sg_rc rc = sg_raw_verify(key, question, ret, NULL);
    require(rc == SG_OK || (rc == SG_E_INVALID && *ret == SG_RAW_INVALID));
    return rc == SG_OK;
}

static void forms_agree(const struct sg_public_key *key, struct sg_raw_signature question,
                        enum sg_raw_verdict verdict)
{
    uint8_t raw[2 * 48], der[SG_ECDSA_DER_MAX];
    size_t part_len = sg_key_type_part_len(sg_public_key_type(key)), der_len = 0;
    struct sg_slice signature = question.signature;

    require(sg_ecdsa_from_der(signature, part_len, raw, NULL) == SG_OK);
    require(sg_ecdsa_to_der(sg_slice_of(raw, 2 * part_len), der, &der_len, NULL) == SG_OK);
    require(sg_slice_eq(sg_slice_of(der, der_len), signature));
    question.signature = sg_slice_of(raw, 2 * part_len);
    question.encoding = SG_ENCODING_RAW;
    enum sg_raw_verdict again;
    require(judge(key, &question, &again) && again == verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_reader reader = sg_reader_of(sg_slice_of(data, size));
    struct sg_raw_signature question = {
        .scheme = (enum sg_scheme)sg_read_u8(&reader),
        .digest_alg = (enum sg_digest_alg)sg_read_u8(&reader),
        .encoding = (enum sg_sig_encoding)sg_read_u8(&reader),
    };
    struct sg_slice spki = sg_read_bytes(&reader, sg_read_be16(&reader));
    question.signature = reader.rest;

    uint8_t content[SG_DIGEST_BYTES_MAX];
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)i;
    question.content = sg_slice_of(content, sg_digest_len(question.digest_alg));

    struct sg_public_key *key = NULL;
    if (reader.failed || sg_public_key_parse(spki, &key, NULL) != SG_OK)
        return 0;
    key_has_one_form(key, spki);
    enum sg_raw_verdict verdict;
    if (judge(key, &question, &verdict) && question.scheme == SG_SCHEME_ECDSA &&
        question.encoding != SG_ENCODING_RAW && verdict != SG_RAW_MALFORMED)
        forms_agree(key, question, verdict);
    sg_public_key_free(key);
    return 0;
}
