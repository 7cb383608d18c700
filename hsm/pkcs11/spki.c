#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>

#include "hsm/pkcs11/p11_priv.h"

SG_DEFINE_AUTO(EC_POINT, EC_POINT_free);

/*
 * Public keys as DER SubjectPublicKeyInfo, put together from what the token says. By hand, since
 * OpenSSL takes fifty times as long to make a key object and to encode that, which at a hundred
 * thousand keys is what a gateway waits for when it starts.
 */

enum { ATTR_MAX = 1024, RSA_EXPONENT_MAX = 8 };

static enum sg_outcome invalid(struct sg_err *err)
{
    return sg_p11_refuse(err, SG_OUT_KEY,
                         "could not use the key: its public key on the token is not valid");
}

/* RSA: RFC 8017 §A.1.1 in RFC 3279 §2.3.1 ------------------------------------------------------ */

static size_t integer_len(struct sg_slice number)
{
    return number.len + (number.ptr[0] >> 7);
}

static size_t header_len(size_t len)
{
    return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static size_t tlv_len(size_t len)
{
    return header_len(len) + len;
}

static uint8_t *put_header(uint8_t *out, uint8_t tag, size_t len)
{
    *out++ = tag;
    if (len >= 0x100) {
        *out++ = 0x82;
        *out++ = (uint8_t)(len >> 8);
    } else if (len >= 0x80) {
        *out++ = 0x81;
    }
    *out++ = (uint8_t)len;
    return out;
}

static uint8_t *put_integer(uint8_t *out, struct sg_slice number)
{
    out = put_header(out, 0x02, integer_len(number));
    if (number.ptr[0] & 0x80)
        *out++ = 0;
    memcpy(out, number.ptr, number.len);
    return out + number.len;
}

static void strip_zeros(struct sg_slice *number)
{
    while (number->len > 0 && number->ptr[0] == 0)
        (void)sg_slice_take(number, 1);
}

static bool is_odd(struct sg_slice number)
{
    return number.len > 0 && (number.ptr[number.len - 1] & 1);
}

static size_t bits_of(struct sg_slice number)
{
    size_t bits = 8 * number.len;
    for (uint8_t top = number.len > 0 ? number.ptr[0] : 0x80; !(top & 0x80);
         top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

static enum sg_outcome spki_rsa(enum sg_key_type type, struct sg_slice n, struct sg_slice e,
                                uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    strip_zeros(&n);
    strip_zeros(&e);
    if (bits_of(n) != 8 * sg_key_type_part_len(type))
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: a modulus of %zu bits is not %s", bits_of(n),
                             sg_key_type_name(type));
    if (!is_odd(n) || !is_odd(e) || bits_of(e) < 2 || e.len > RSA_EXPONENT_MAX)
        return invalid(err);

    size_t numbers = tlv_len(integer_len(n)) + tlv_len(integer_len(e));
    size_t key = 1 + tlv_len(numbers); /* a BIT STRING begins with how many bits it leaves out */
    size_t all = sizeof(algorithm) + tlv_len(key);
    SG_ASSERT(tlv_len(all) <= SG_JOB_SPKI_MAX);
    uint8_t *at = put_header(out, 0x30, all);
    memcpy(at, algorithm, sizeof(algorithm));
    at = put_header(at + sizeof(algorithm), 0x03, key);
    *at++ = 0;
    at = put_header(at, 0x30, numbers);
    at = put_integer(put_integer(at, n), e);
    *ret_len = (size_t)(at - out);
    return SG_OUT_OK;
}

/* Curves ----------------------------------------------------------------------------------------
 */

/* Named curves as CKA_EC_PARAMS: DER OIDs (RFC 5480 §2.1.1.1, RFC 8410 §3) and, for Ed25519,
 * the PrintableString that PKCS#11 3.0 §2.3.10 also allows. `prefix` is the SubjectPublicKeyInfo
 * up to the point. */
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
static const struct curve {
    enum sg_key_type type;
    int nid; /* NID_undef: its points are not checked here */
    size_t point_len;
    struct sg_slice params[2], prefix;
} curves[] = {
    {SG_KEY_EC_P256,
     NID_X9_62_prime256v1,
     65,
     {BYTES("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"), {0}},
     BYTES("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
           "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00")},
    {SG_KEY_EC_P384,
     NID_secp384r1,
     97,
     {BYTES("\x06\x05\x2b\x81\x04\x00\x22"), {0}},
     BYTES("\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
           "\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00")},
    {SG_KEY_ED25519,
     NID_undef,
     32,
     {BYTES("\x06\x03\x2b\x65\x70"), BYTES("\x13\x0c"
                                           "edwards25519")},
     BYTES("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00")},
};

/*
 * CKA_EC_POINT is a DER OCTET STRING around the point by the standard, and the bare point by
 * some tokens. The lengths tell them apart: both forms have one length per curve.
 */
static bool unwrap_point(struct sg_slice *point, size_t want_len)
{
    if (point->len == want_len)
        return true;
    if (point->len != want_len + 2 || point->ptr[0] != 0x04 || point->ptr[1] != want_len)
        return false;
    (void)sg_slice_take(point, 2);
    return true;
}

/* The groups are made once and live as long as the process; reading them needs no lock. */
static EC_GROUP *groups[SG_COUNT(curves)];

static void make_groups(void)
{
    for (size_t i = 0; i < SG_COUNT(curves); i++)
        if (curves[i].nid != NID_undef)
            groups[i] = EC_GROUP_new_by_curve_name(curves[i].nid);
}

/* OpenSSL checks that a point lies on its curve when it reads it. */
static bool is_on_curve(const struct curve *curve, struct sg_slice point)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (curve->nid == NID_undef)
        return true;
    pthread_once(&once, make_groups);
    const EC_GROUP *group = groups[curve - curves];
    SG_AUTO(EC_POINT_free) EC_POINT *read = group == NULL ? NULL : EC_POINT_new(group);
    bool is_on = read != NULL && point.ptr[0] == POINT_CONVERSION_UNCOMPRESSED &&
                 EC_POINT_oct2point(group, read, point.ptr, point.len, NULL) == 1;
    ERR_clear_error();
    return is_on;
}

static enum sg_outcome spki_curve(enum sg_key_type type, struct sg_slice params,
                                  struct sg_slice point, uint8_t *out, size_t *ret_len,
                                  struct sg_err *err)
{
    const struct curve *curve = curves;
    while (curve->type != type)
        curve++;
    if ((!sg_slice_eq(params, curve->params[0]) && !sg_slice_eq(params, curve->params[1])) ||
        !unwrap_point(&point, curve->point_len))
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: its curve is not %s",
                             sg_key_type_name(type));
    if (!is_on_curve(curve, point))
        return invalid(err);
    memcpy(out, curve->prefix.ptr, curve->prefix.len);
    memcpy(out + curve->prefix.len, point.ptr, point.len);
    *ret_len = curve->prefix.len + point.len;
    return SG_OUT_OK;
}

/* From the token --------------------------------------------------------------------------------
 */

bool sg_p11_is_rsa(enum sg_key_type type)
{
    return type == SG_KEY_RSA_2048 || type == SG_KEY_RSA_3072 || type == SG_KEY_RSA_4096;
}

enum sg_outcome sg_p11_spki(enum sg_key_type type, struct sg_slice first, struct sg_slice second,
                            uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    if (first.len == 0 || second.len == 0)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: no public key on the token");
    return sg_p11_is_rsa(type) ? spki_rsa(type, first, second, out, ret_len, err)
                               : spki_curve(type, first, second, out, ret_len, err);
}

static enum sg_outcome read_public(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                                   enum sg_key_type type, uint8_t *out, size_t *ret_len,
                                   struct sg_err *err)
{
    uint8_t first[ATTR_MAX], second[ATTR_MAX];
    bool is_rsa = sg_p11_is_rsa(type);
    CK_ATTRIBUTE rows[] = {
        {is_rsa ? CKA_MODULUS : CKA_EC_PARAMS, first, sizeof(first)},
        {is_rsa ? CKA_PUBLIC_EXPONENT : CKA_EC_POINT, second, sizeof(second)},
    };
    enum sg_outcome outcome = sg_p11_attrs(session, object, rows, SG_COUNT(rows), err);
    return outcome != SG_OUT_OK ? outcome
                                : sg_p11_spki(type, sg_p11_attr_bytes(&rows[0]),
                                              sg_p11_attr_bytes(&rows[1]), out, ret_len, err);
}

enum sg_outcome sg_p11_export_spki(struct sg_p11_session *session, const struct sg_p11_facts *facts,
                                   enum sg_key_type type, uint8_t *out, size_t *ret_len,
                                   struct sg_err *err)
{
    CK_OBJECT_HANDLE handles[2];
    CK_ULONG count;

    /* An RSA private key carries its public half; other types need the public object. */
    if (sg_p11_is_rsa(type) && facts->n_len > 0 && facts->e_len > 0)
        return spki_rsa(type, sg_slice_of(facts->n, facts->n_len),
                        sg_slice_of(facts->e, facts->e_len), out, ret_len, err);
    enum sg_outcome outcome = sg_p11_find(
        session, CKO_PUBLIC_KEY, sg_slice_of(facts->id, facts->id_len), handles, 2, &count, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (count > 1)
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: more than one public key has its id");
    return read_public(session, count == 1 ? handles[0] : facts->handle, type, out, ret_len, err);
}
