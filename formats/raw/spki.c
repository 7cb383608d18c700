#include "formats/raw/spki_priv.h"

enum {
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_SEQUENCE = 0x30,
    SPKI_BYTES_MAX = 1024, /* RSA-4096 takes 550 */
};

/* What stands in AlgorithmIdentifier, whole: each supported algorithm has one encoding of it. */
static const struct algorithm {
    struct sg_slice der;
    enum sg_key_type type; /* unset: RSA, told by the size of the modulus */
    size_t point_len;
} algorithms[] = {
    /* rsaEncryption, NULL (RFC 3279 §2.3.1: the parameters must be NULL) */
    {SG_SLICE("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"), SG_KEY_UNSET, 0},
    /* id-ecPublicKey with the named curve secp256r1, secp384r1 (RFC 5480 §2.1.1) */
    {SG_SLICE("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
     SG_KEY_EC_P256, 1 + 2 * 32},
    {SG_SLICE("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"), SG_KEY_EC_P384,
     1 + 2 * 48},
    /* id-Ed25519 without parameters (RFC 8410 §3) */
    {SG_SLICE("\x06\x03\x2b\x65\x70"), SG_KEY_ED25519, 32},
};

/* Cuts one element of the tag off `*in`, with DER's shortest lengths only (X.690 §10.1). */
static bool take_element(struct sg_slice *in, uint8_t tag, struct sg_slice *ret)
{
    if (in->len < 2 || in->ptr[0] != tag)
        return false;
    size_t len = in->ptr[1], header_len = 2;
    if (len > 0x7f) {
        size_t more = len - 0x80; /* bytes of length that follow */
        if (more < 1 || more > 2 || in->len < 2 + more || in->ptr[2] == 0)
            return false;
        len = more == 1 ? in->ptr[2] : (size_t)in->ptr[2] << 8 | in->ptr[3];
        if (len <= 0x7f)
            return false;
        header_len += more;
    }
    if (in->len - header_len < len)
        return false;
    (void)sg_slice_take(in, header_len);
    *ret = sg_slice_take(in, len);
    return true;
}

/* A positive INTEGER, given without the zero byte that keeps its sign off. */
static bool take_positive(struct sg_slice *in, struct sg_slice *ret)
{
    struct sg_slice bytes;
    if (!take_element(in, TAG_INTEGER, &bytes) || bytes.len == 0 || bytes.ptr[0] > 0x7f)
        return false;
    if (bytes.ptr[0] == 0) {
        if (bytes.len == 1 || bytes.ptr[1] <= 0x7f)
            return false;
        (void)sg_slice_take(&bytes, 1);
    }
    *ret = bytes;
    return true;
}

static enum sg_key_type rsa_type(struct sg_slice modulus)
{
    static const enum sg_key_type types[] = {SG_KEY_RSA_2048, SG_KEY_RSA_3072, SG_KEY_RSA_4096};
    for (size_t i = 0; i < SG_COUNT(types); i++) {
        if (modulus.len == sg_key_type_part_len(types[i]) && modulus.ptr[0] > 0x7f)
            return types[i];
    }
    return SG_KEY_UNSET;
}

/*
 * Odd, and from 65537 (FIPS 186-5 §A.1.1) to 64 bits: the standard allows 256, but nobody uses
 * them, OpenSSL refuses them for large moduli, and they make verifying slow.
 */
static bool is_good_exponent(struct sg_slice e)
{
    bool is_large_enough =
        e.len > 3 || (e.len == 3 && sg_be32((uint8_t[]){0, e.ptr[0], e.ptr[1], e.ptr[2]}) >= 65537);
    return is_large_enough && e.len <= 8 && e.ptr[e.len - 1] % 2 == 1;
}

static enum sg_rc parse_rsa(struct sg_slice key, struct sg_spki *ret, struct sg_err *err)
{
    struct sg_slice body;
    if (!take_element(&key, TAG_SEQUENCE, &body) || key.len != 0 ||
        !take_positive(&body, &ret->modulus) || !take_positive(&body, &ret->exponent) ||
        body.len != 0)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY, "the RSA public key is not strict DER");
    ret->type = rsa_type(ret->modulus);
    if (ret->type == SG_KEY_UNSET)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                         "the RSA modulus has %zu bytes or leading zero bits: it must have 2048, "
                         "3072 or 4096 bits",
                         ret->modulus.len);
    if (ret->modulus.ptr[ret->modulus.len - 1] % 2 == 0)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY, "the RSA modulus is even");
    if (!is_good_exponent(ret->exponent))
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                         "the RSA exponent must be odd, at least 65537 and at most 64 bits");
    return SG_OK;
}

static enum sg_rc parse_point(const struct algorithm *algorithm, struct sg_slice key,
                              struct sg_spki *ret, struct sg_err *err)
{
    ret->type = algorithm->type;
    ret->point = key;
    if (key.len != algorithm->point_len || (ret->type != SG_KEY_ED25519 && key.ptr[0] != 0x04))
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                         "the public key must be %zu bytes%s, and is another or has %zu",
                         algorithm->point_len,
                         ret->type == SG_KEY_ED25519 ? "" : ", an uncompressed point", key.len);
    return SG_OK;
}

enum sg_rc sg_spki_parse(struct sg_slice der, struct sg_spki *ret, struct sg_err *err)
{
    struct sg_slice body, id, bits;

    if (der.len > SPKI_BYTES_MAX)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY, "the public key has %zu bytes", der.len);
    if (!take_element(&der, TAG_SEQUENCE, &body) || der.len != 0 ||
        !take_element(&body, TAG_SEQUENCE, &id) || !take_element(&body, TAG_BIT_STRING, &bits) ||
        body.len != 0 || bits.len < 1 || bits.ptr[0] != 0)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                         "the public key is not a strict DER SubjectPublicKeyInfo");
    (void)sg_slice_take(&bits, 1); /* how many bits of the last byte do not count: none */

    for (size_t i = 0; i < SG_COUNT(algorithms); i++) {
        struct sg_spki spki = {0};
        if (!sg_slice_eq(id, algorithms[i].der))
            continue;
        SG_TRY(algorithms[i].type == SG_KEY_UNSET ? parse_rsa(bits, &spki, err)
                                                  : parse_point(&algorithms[i], bits, &spki, err));
        *ret = spki;
        return SG_OK;
    }
    return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                     "the public key is of a type that is not supported: RSA, EC on the named "
                     "curves P-256 and P-384, and Ed25519 are");
}
