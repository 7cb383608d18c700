/*
 * Input: which question (a byte), then the answer to it.
 *
 * Property: of what is taken, every byte that is signed is as we would have written it.
 */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "formats/x509/csr.h"
#include "formats/x509/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUESTIONS = 4, ROOM = 1024 };

/* Their private halves signed the corpus and are no more. */
static const char *const keys[] = {
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYpW8SVPCo+eiPCxtcm7707ZjkXma\n"
    "Gk5Ogyx9sjQ/FY46u/V49y2I+dDJCWpK2MLwCiu/uEr22dmEJHnt8hJArA==\n"
    "-----END PUBLIC KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxIygTWaism8ODaDWURFt\n"
    "BdMZCueZq7IbaA0e/yZmqqCMzXBtACuPPReUYVUck3Llsesoyis/FyY5THjzxOWC\n"
    "prv6YlBv7oaTvEM1lehiOfS7d7r3aXeoylPxNX7V22D3fZ/47ku1CmpbrQ0kwnh/\n"
    "G5/vfhSPeSkQ5qzBbmrvVa4/PRgpeM3Gcig4CXBvyQF6MUj/V+htEPvVtw/S42qR\n"
    "A0Zf0yII2+H9YYfUT+GRGheOCBv14Ayr8uZ3bz+3bzIofzkDSnIgwe2Vu6i6PRVm\n"
    "SMHz0WgrEzwnO/axHz8Gcect9gh5IUzgbazBrb5N36Hd7OzzLVtkX/qScLOwvsT7\n"
    "bQIDAQAB\n"
    "-----END PUBLIC KEY-----\n",
};

static struct {
    uint8_t *spki;
    uint8_t subject[ROOM], alt_names[ROOM];
    uint8_t *to_be_signed;
    size_t to_be_signed_len;
    struct sg_csr_question question;
} asked[QUESTIONS];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void build(size_t index, EVP_PKEY *key)
{
    const struct sg_csr_question *question = &asked[index].question;
    const uint8_t *at = question->subject.ptr;
    X509_REQ *req = X509_REQ_new();
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)question->subject.len);

    require(X509_REQ_set_version(req, 0) == 1 && X509_REQ_set_subject_name(req, name) == 1 &&
            X509_REQ_set_pubkey(req, key) == 1);
    if (question->alt_names.len > 0) {
        X509_EXTENSIONS *extensions = sk_X509_EXTENSION_new_null();
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        require(ASN1_OCTET_STRING_set(value, question->alt_names.ptr,
                                      (int)question->alt_names.len) == 1);
        require(sk_X509_EXTENSION_push(extensions, X509_EXTENSION_create_by_NID(
                                                       NULL, NID_subject_alt_name, 0, value)) > 0);
        require(X509_REQ_add_extensions(req, extensions) == 1);
        ASN1_OCTET_STRING_free(value);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    }
    int len = i2d_re_X509_REQ_tbs(req, &asked[index].to_be_signed);
    require(len > 0);
    asked[index].to_be_signed_len = (size_t)len;
    X509_NAME_free(name);
    X509_REQ_free(req);
}

/* The key by the lowest bit, alternative names by the next. */
static void ask(size_t index)
{
    static const struct sg_name_attribute attributes[] = {{"O", "Sealgate"},
                                                          {"CN", "sign.example"}};
    static const struct sg_alt_name names[] = {{SG_ALT_DNS, "sign.example"}};
    struct sg_csr_question *question = &asked[index].question;
    struct sg_buf subject = {.ptr = asked[index].subject, .cap = ROOM, .max = ROOM};
    struct sg_buf alt_names = {.ptr = asked[index].alt_names, .cap = ROOM, .max = ROOM};

    BIO *bio = BIO_new_mem_buf(keys[index & 1], -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    require(key != NULL);
    int len = i2d_PUBKEY(key, &asked[index].spki);
    require(len > 0 && sg_name_encode(attributes, SG_COUNT(attributes), &subject, NULL) == SG_OK);
    if ((index & 2) != 0)
        require(sg_alt_names_encode(names, SG_COUNT(names), &alt_names, NULL) == SG_OK);
    *question = (struct sg_csr_question){sg_slice_of(asked[index].spki, (size_t)len),
                                         sg_buf_slice(&subject), sg_buf_slice(&alt_names),
                                         SG_DIGEST_SHA256};
    build(index, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (asked[0].to_be_signed == NULL)
        for (size_t i = 0; i < QUESTIONS; i++)
            ask(i);
    if (size == 0)
        return 0;

    const size_t index = data[0] % QUESTIONS;
    const struct sg_slice der = {data + 1, size - 1};
    enum sg_rc rc = sg_csr_check(der, &asked[index].question, NULL);
    require(rc == SG_OK || rc == SG_E_INVALID);
    if (rc == SG_OK) {
        const size_t head = der.ptr[1] == 0x81 ? 3 : 4; /* SEQUENCE and its length */
        require(der.len > head + asked[index].to_be_signed_len &&
                memcmp(der.ptr + head, asked[index].to_be_signed, asked[index].to_be_signed_len) ==
                    0);
    }
    return 0;
}
