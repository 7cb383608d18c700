#include "base/algorithm.h"

/* One row is the whole truth about a digest. */
static const struct digest {
    const char *name;
    uint8_t len;
    uint8_t arc; /* the last arc of its OID under 2.16.840.1.101.3.4.2 (NIST hash algorithms) */
} digests[SG_DIGEST_COUNT] = {
    [SG_DIGEST_UNSET] = {"unset", 0, 0},         [SG_DIGEST_SHA256] = {"sha256", 32, 1},
    [SG_DIGEST_SHA384] = {"sha384", 48, 2},      [SG_DIGEST_SHA512] = {"sha512", 64, 3},
    [SG_DIGEST_SHA3_256] = {"sha3-256", 32, 8},  [SG_DIGEST_SHA3_384] = {"sha3-384", 48, 9},
    [SG_DIGEST_SHA3_512] = {"sha3-512", 64, 10},
};

static const char *const schemes[SG_SCHEME_COUNT] = {
    [SG_SCHEME_UNSET] = "unset",     [SG_SCHEME_RSA_PKCS1] = "rsa-pkcs1",
    [SG_SCHEME_RSA_PSS] = "rsa-pss", [SG_SCHEME_ECDSA] = "ecdsa",
    [SG_SCHEME_ED25519] = "ed25519",
};

/* The first scheme is the default; `also` is unset where there is one only. */
static const struct key_type {
    const char *name;
    enum sg_scheme first, also;
    uint16_t part_len;
} key_types[SG_KEY_TYPE_COUNT] = {
    [SG_KEY_UNSET] = {"unset", SG_SCHEME_UNSET, SG_SCHEME_UNSET, 0},
    [SG_KEY_RSA_2048] = {"rsa-2048", SG_SCHEME_RSA_PKCS1, SG_SCHEME_RSA_PSS, 256},
    [SG_KEY_RSA_3072] = {"rsa-3072", SG_SCHEME_RSA_PKCS1, SG_SCHEME_RSA_PSS, 384},
    [SG_KEY_RSA_4096] = {"rsa-4096", SG_SCHEME_RSA_PKCS1, SG_SCHEME_RSA_PSS, 512},
    [SG_KEY_EC_P256] = {"ec-p256", SG_SCHEME_ECDSA, SG_SCHEME_UNSET, 32},
    [SG_KEY_EC_P384] = {"ec-p384", SG_SCHEME_ECDSA, SG_SCHEME_UNSET, 48},
    [SG_KEY_ED25519] = {"ed25519", SG_SCHEME_ED25519, SG_SCHEME_UNSET, 64},
};

/* The numbers come from messages and from configuration, so an unknown one counts as unset. */
static const struct digest *digest_of(enum sg_digest_alg alg)
{
    return &digests[(unsigned)alg < SG_DIGEST_COUNT ? alg : SG_DIGEST_UNSET];
}

static const struct key_type *key_type_of(enum sg_key_type type)
{
    return &key_types[(unsigned)type < SG_KEY_TYPE_COUNT ? type : SG_KEY_UNSET];
}

size_t sg_digest_len(enum sg_digest_alg alg)
{
    return digest_of(alg)->len;
}

const char *sg_digest_name(enum sg_digest_alg alg)
{
    return digest_of(alg)->name;
}

enum sg_digest_alg sg_digest_find(const char *name)
{
    for (unsigned i = SG_DIGEST_UNSET + 1; i < SG_DIGEST_COUNT; i++)
        if (strcmp(digests[i].name, name) == 0)
            return (enum sg_digest_alg)i;
    return SG_DIGEST_UNSET;
}

const char *sg_scheme_name(enum sg_scheme scheme)
{
    return schemes[(unsigned)scheme < SG_SCHEME_COUNT ? scheme : SG_SCHEME_UNSET];
}

enum sg_scheme sg_scheme_find(const char *name)
{
    for (unsigned i = SG_SCHEME_UNSET + 1; i < SG_SCHEME_COUNT; i++)
        if (strcmp(schemes[i], name) == 0)
            return (enum sg_scheme)i;
    return SG_SCHEME_UNSET;
}

const char *sg_key_type_name(enum sg_key_type type)
{
    return key_type_of(type)->name;
}

enum sg_key_type sg_key_type_find(const char *name)
{
    for (unsigned i = SG_KEY_UNSET + 1; i < SG_KEY_TYPE_COUNT; i++)
        if (strcmp(key_types[i].name, name) == 0)
            return (enum sg_key_type)i;
    return SG_KEY_UNSET;
}

bool sg_key_type_does(enum sg_key_type type, enum sg_scheme scheme)
{
    const struct key_type *row = key_type_of(type);
    return scheme != SG_SCHEME_UNSET && (scheme == row->first || scheme == row->also);
}

enum sg_scheme sg_key_type_default(enum sg_key_type type)
{
    return key_type_of(type)->first;
}

size_t sg_key_type_part_len(enum sg_key_type type)
{
    return key_type_of(type)->part_len;
}

size_t sg_digest_info(enum sg_digest_alg alg, struct sg_slice digest, uint8_t *out)
{
    const struct digest *row = digest_of(alg);
    if (row->len == 0 || digest.len != row->len)
        return 0;

    /* SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.arc, NULL }, OCTET STRING }: all of these
     * digests differ in three bytes only (RFC 8017 §9.2 note 1; SHA-3 likewise). */
    /* clang-format off */
    const uint8_t prefix[] = {
        0x30, (uint8_t)(17 + row->len),
        0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, row->arc, 0x05, 0,
        0x04, row->len,
    };
    /* clang-format on */
    memcpy(out, prefix, sizeof(prefix));
    memcpy(out + sizeof(prefix), digest.ptr, digest.len);
    return sizeof(prefix) + digest.len;
}

/* ECDSA-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } ---------------------------------- */

enum { TAG_INTEGER = 0x02, TAG_SEQUENCE = 0x30, PART_MAX = 66 };

/* Without leading zeros; empty when the number is zero, which neither r nor s may be. */
static struct sg_slice trimmed(struct sg_slice number)
{
    while (number.len > 0 && number.ptr[0] == 0)
        (void)sg_slice_take(&number, 1);
    return number;
}

/* A byte of zero keeps the sign off a number with its top bit set. */
static size_t integer_len(struct sg_slice number)
{
    return number.len + (number.ptr[0] >> 7);
}

static uint8_t *put_integer(uint8_t *out, struct sg_slice number)
{
    *out++ = TAG_INTEGER;
    *out++ = (uint8_t)integer_len(number);
    if (number.ptr[0] >> 7 != 0)
        *out++ = 0;
    memcpy(out, number.ptr, number.len);
    return out + number.len;
}

enum sg_rc sg_ecdsa_to_der(struct sg_slice raw, uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    size_t part_len = raw.len / 2;
    if (raw.len % 2 != 0 || part_len == 0 || part_len > PART_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not encode r and s: they are %zu bytes",
                       raw.len);

    struct sg_slice r = trimmed(sg_slice_of(raw.ptr, part_len));
    struct sg_slice s = trimmed(sg_slice_of(raw.ptr + part_len, part_len));
    if (r.len == 0 || s.len == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not encode r and s: one of them is zero");

    size_t body_len = 2 + integer_len(r) + 2 + integer_len(s);
    uint8_t *at = out;
    *at++ = TAG_SEQUENCE;
    if (body_len > 0x7f)
        *at++ = 0x81; /* one byte of length follows (X.690 §8.1.3.5) */
    *at++ = (uint8_t)body_len;
    at = put_integer(at, r);
    at = put_integer(at, s);
    *ret_len = (size_t)(at - out);
    return SG_OK;
}

/* Cuts one element of the tag off `*in`; DER's lengths only, and none over 255. */
static bool take_element(struct sg_slice *in, uint8_t tag, struct sg_slice *ret)
{
    if (in->len < 2 || in->ptr[0] != tag)
        return false;
    size_t header_len = 2, len = in->ptr[1];
    if (len == 0x81) {
        if (in->len < 3 || in->ptr[2] <= 0x7f)
            return false;
        header_len = 3;
        len = in->ptr[2];
    } else if (len > 0x7f) {
        return false;
    }
    if (in->len - header_len < len)
        return false;
    (void)sg_slice_take(in, header_len);
    *ret = sg_slice_take(in, len);
    return true;
}

/* A positive number of at most `part_len` bytes, in the one way DER writes it (X.690 §8.3.2). */
static bool take_positive(struct sg_slice *in, size_t part_len, struct sg_slice *ret)
{
    struct sg_slice bytes;
    if (!take_element(in, TAG_INTEGER, &bytes) || bytes.len == 0 || bytes.ptr[0] > 0x7f)
        return false;
    if (bytes.ptr[0] == 0 && (bytes.len == 1 || bytes.ptr[1] <= 0x7f))
        return false;
    *ret = trimmed(bytes);
    return ret->len <= part_len;
}

enum sg_rc sg_ecdsa_from_der(struct sg_slice der, size_t part_len, uint8_t *out, struct sg_err *err)
{
    SG_ASSERT(part_len > 0 && part_len <= PART_MAX);
    struct sg_slice body, r, s;
    if (!take_element(&der, TAG_SEQUENCE, &body) || der.len != 0 ||
        !take_positive(&body, part_len, &r) || !take_positive(&body, part_len, &s) || body.len != 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not decode an ECDSA signature: it is not strict DER of two positive "
                       "numbers of at most %zu bytes",
                       part_len);

    memset(out, 0, 2 * part_len);
    memcpy(out + part_len - r.len, r.ptr, r.len);
    memcpy(out + 2 * part_len - s.len, s.ptr, s.len);
    return SG_OK;
}
