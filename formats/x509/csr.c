#include "formats/x509/csr.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/cleanup.h"

SG_DEFINE_AUTO(X509_REQ, X509_REQ_free);
SG_DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);

static void extensions_free(X509_EXTENSIONS *extensions)
{
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
SG_DEFINE_AUTO(X509_EXTENSIONS, extensions_free);

#define REFUSE(err, ...) SG_FAIL((err), SG_E_INVALID, 0, "the request " __VA_ARGS__)

/* What i2d wrote for OpenSSL to free, compared. */
static bool is_encoded_as(uint8_t *bytes, int len, struct sg_slice expected)
{
    bool is_same = len > 0 && sg_slice_eq(sg_slice_of(bytes, (size_t)len), expected);
    OPENSSL_free(bytes);
    return is_same;
}

/* There is one DER of everything: what can be written in two ways could mean two things. */
static bool is_strict(X509_REQ *req, struct sg_slice der)
{
    uint8_t *bytes = NULL;

    if (i2d_re_X509_REQ_tbs(req, NULL) <= 0) /* forgets how it was encoded */
        return false;
    int len = i2d_X509_REQ(req, &bytes);
    return is_encoded_as(bytes, len, der);
}

static bool has_subject(X509_REQ *req, struct sg_slice subject)
{
    uint8_t *bytes = NULL;
    int len = i2d_X509_NAME(X509_REQ_get_subject_name(req), &bytes);
    return is_encoded_as(bytes, len, subject);
}

static bool has_key(X509_REQ *req, struct sg_slice spki)
{
    uint8_t *bytes = NULL;
    int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(req), &bytes);
    return is_encoded_as(bytes, len, spki);
}

/* One attribute, extensionRequest (RFC 2985 §5.4.2), with one extension that is not critical, or
 * none at all: X509_REQ_get_extensions() alone would pass over others. */
static bool has_alt_names(X509_REQ *req, struct sg_slice alt_names)
{
    if (alt_names.len == 0)
        return X509_REQ_get_attr_count(req) == 0;
    if (X509_REQ_get_attr_count(req) != 1)
        return false;
    X509_ATTRIBUTE *attribute = X509_REQ_get_attr(req, 0);
    if (OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute)) != NID_ext_req ||
        X509_ATTRIBUTE_count(attribute) != 1)
        return false;

    SG_AUTO(extensions_free) X509_EXTENSIONS *extensions = X509_REQ_get_extensions(req);
    if (extensions == NULL || sk_X509_EXTENSION_num(extensions) != 1)
        return false;
    X509_EXTENSION *extension = sk_X509_EXTENSION_value(extensions, 0);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    return OBJ_obj2nid(X509_EXTENSION_get_object(extension)) == NID_subject_alt_name &&
           X509_EXTENSION_get_critical(extension) == 0 &&
           sg_slice_eq(sg_slice_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)),
                       alt_names);
}

/* The signature's algorithm is not among the signed bytes. RSA has NULL parameters (RFC 4055 §5),
 * ECDSA none (RFC 5758 §3.2). */
static bool has_algorithm(const X509_REQ *req, const EVP_PKEY *key, enum sg_digest_alg digest_alg)
{
    const X509_ALGOR *algorithm = NULL;
    const ASN1_OBJECT *object = NULL;
    int parameters, digest_nid, key_nid;

    X509_REQ_get0_signature(req, NULL, &algorithm);
    X509_ALGOR_get0(&object, &parameters, NULL, algorithm);
    return OBJ_find_sigid_algs(OBJ_obj2nid(object), &digest_nid, &key_nid) == 1 &&
           digest_nid == OBJ_txt2nid(sg_digest_name(digest_alg)) &&
           key_nid == EVP_PKEY_get_base_id(key) &&
           parameters == (key_nid == EVP_PKEY_RSA ? V_ASN1_NULL : V_ASN1_UNDEF);
}

static enum sg_rc check(struct sg_slice der, const struct sg_csr_question *question,
                        struct sg_err *err)
{
    const uint8_t *at = question->spki.ptr;
    SG_AUTO(EVP_PKEY_free) EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)question->spki.len);
    if (key == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_peek_error(), "could not read a key of ours");

    at = der.ptr;
    SG_AUTO(X509_REQ_free)
    X509_REQ *req = der.len > INT_MAX ? NULL : d2i_X509_REQ(NULL, &at, (long)der.len);
    if (req == NULL || at != der.ptr + der.len)
        return REFUSE(err, "is no PKCS#10");
    if (X509_REQ_get_version(req) != X509_REQ_VERSION_1 || !is_strict(req, der))
        return REFUSE(err, "is not strict DER of version 1");
    if (!has_key(req, question->spki))
        return REFUSE(err, "is for another key");
    if (!has_subject(req, question->subject))
        return REFUSE(err, "has another subject");
    if (!has_alt_names(req, question->alt_names))
        return REFUSE(err, "has other attributes or alternative names");
    if (!has_algorithm(req, key, question->digest_alg))
        return REFUSE(err, "is signed by another algorithm");
    if (X509_REQ_verify(req, key) != 1)
        return REFUSE(err, "has a signature that does not verify");
    return SG_OK;
}

enum sg_rc sg_csr_check(struct sg_slice der, const struct sg_csr_question *question,
                        struct sg_err *err)
{
    enum sg_rc rc = check(der, question, err);
    ERR_clear_error();
    return rc;
}
