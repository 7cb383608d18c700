#include "formats/raw/key_priv.h"

#include <openssl/bn.h>

/* p = 2^255 - 19, and d of the curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032 §5.1). */
static const char prime_hex[] = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed";
static const char d_hex[] = "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3";

/*
 * The y of the two pairs of points of order 8; the other small orders have y = 0, 1 and p - 1.
 * Under such a key one signature can fit many messages, and nobody generates one by accident.
 */
static const char *const order_8_hex[] = {
    "05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826",
    "7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7",
};

SG_DEFINE_AUTO(BIGNUM, BN_free);
SG_DEFINE_AUTO(BN_CTX, BN_CTX_free);

static bool is_number(const BIGNUM *y, const char *hex)
{
    SG_AUTO(BN_free) BIGNUM *other = NULL;
    return BN_hex2bn(&other, hex) != 0 && BN_cmp(y, other) == 0;
}

static bool is_small_order(const BIGNUM *y, const BIGNUM *prime)
{
    SG_AUTO(BN_free) BIGNUM *minus_one = BN_dup(prime);
    if (minus_one == NULL || BN_sub_word(minus_one, 1) != 1)
        return true; /* fails closed */
    return BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, minus_one) == 0 ||
           is_number(y, order_8_hex[0]) || is_number(y, order_8_hex[1]);
}

/*
 * Whether some x goes with this y: x^2 = u/v with u = y^2 - 1 and v = d y^2 + 1, and u/v is a
 * square exactly when u v is one. v is never zero, and u only for y = 1 and y = -1.
 */
static bool is_on_curve(const BIGNUM *y, const BIGNUM *prime)
{
    SG_AUTO(BN_CTX_free) BN_CTX *ctx = BN_CTX_new();
    SG_AUTO(BN_free) BIGNUM *d = NULL;
    SG_AUTO(BN_free) BIGNUM *u = BN_new();
    SG_AUTO(BN_free) BIGNUM *v = BN_new();
    if (ctx == NULL || u == NULL || v == NULL || BN_hex2bn(&d, d_hex) == 0)
        return false;
    if (BN_mod_sqr(u, y, prime, ctx) != 1 || BN_mod_mul(v, u, d, prime, ctx) != 1 ||
        BN_sub_word(u, 1) != 1 || BN_add_word(v, 1) != 1 || BN_mod_mul(u, u, v, prime, ctx) != 1)
        return false;
    return BN_kronecker(u, prime, ctx) == 1;
}

enum sg_rc sg_ed25519_check_point(struct sg_slice point, struct sg_err *err)
{
    SG_ASSERT(point.len == 32);
    uint8_t bytes[32];
    memcpy(bytes, point.ptr, sizeof(bytes));
    bytes[31] &= 0x7f; /* the top bit is the sign of x */

    SG_AUTO(BN_free) BIGNUM *prime = NULL;
    SG_AUTO(BN_free) BIGNUM *y = BN_lebin2bn(bytes, sizeof(bytes), NULL);
    if (y == NULL || BN_hex2bn(&prime, prime_hex) == 0)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not check a public key: no memory");
    if (BN_cmp(y, prime) >= 0 || is_small_order(y, prime) || !is_on_curve(y, prime))
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY,
                         "the Ed25519 public key is no point of the curve, or one of small order");
    return SG_OK;
}
