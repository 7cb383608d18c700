#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "formats/raw/key_priv.h"
#include "formats/raw/spki_priv.h"

SG_DEFINE_AUTO(BIGNUM, BN_free);
SG_DEFINE_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
SG_DEFINE_AUTO(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
SG_DEFINE_AUTO(OSSL_PARAM, OSSL_PARAM_free);

/* Makes a key of OpenSSL's from its parts; NULL when a point is not on its curve. */
static EVP_PKEY *make_pkey(const char *type, OSSL_PARAM *params)
{
    SG_AUTO(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return pkey;
}

static EVP_PKEY *make_rsa(const struct sg_spki *spki)
{
    SG_AUTO(BN_free) BIGNUM *n = BN_bin2bn(spki->modulus.ptr, (int)spki->modulus.len, NULL);
    SG_AUTO(BN_free) BIGNUM *e = BN_bin2bn(spki->exponent.ptr, (int)spki->exponent.len, NULL);
    SG_AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (n == NULL || e == NULL || build == NULL ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        return NULL;
    SG_AUTO(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    return params == NULL ? NULL : make_pkey("RSA", params);
}

static EVP_PKEY *make_point(const struct sg_spki *spki, const char *type, const char *group)
{
    SG_AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build == NULL ||
        (group != NULL &&
         OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1) ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, spki->point.ptr,
                                         spki->point.len) != 1)
        return NULL;
    SG_AUTO(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    return params == NULL ? NULL : make_pkey(type, params);
}

static EVP_PKEY *pkey_of(const struct sg_spki *spki)
{
    switch (spki->type) {
    case SG_KEY_RSA_2048:
    case SG_KEY_RSA_3072:
    case SG_KEY_RSA_4096:
        return make_rsa(spki);
    case SG_KEY_EC_P256:
        return make_point(spki, "EC", "P-256");
    case SG_KEY_EC_P384:
        return make_point(spki, "EC", "P-384");
    case SG_KEY_ED25519:
        return make_point(spki, "ED25519", NULL);
    case SG_KEY_UNSET:
    case SG_KEY_TYPE_COUNT:
        break;
    }
    return NULL;
}

/* Takes `pkey`, also on failure. */
static struct sg_public_key *keep(enum sg_key_type type, EVP_PKEY *pkey)
{
    struct sg_public_key *key = calloc(1, sizeof(*key));
    struct sg_ready_contexts *ready = calloc(1, sizeof(*ready));
    if (key == NULL || ready == NULL) {
        EVP_PKEY_free(pkey);
        free(key);
        free(ready);
        return NULL;
    }
    *key = (struct sg_public_key){type, pkey, ready};
    return key;
}

enum sg_rc sg_public_key_parse(struct sg_slice der, struct sg_public_key **ret, struct sg_err *err)
{
    struct sg_spki spki;
    SG_TRY(sg_spki_parse(der, &spki, err));
    if (spki.type == SG_KEY_ED25519)
        SG_TRY(sg_ed25519_check_point(spki.point, err));

    /* What OpenSSL leaves in the thread's error queue must not be found there by others. */
    ERR_set_mark();
    EVP_PKEY *pkey = pkey_of(&spki);
    unsigned long native = pkey == NULL ? ERR_peek_last_error() : 0;
    ERR_pop_to_mark();
    if (pkey == NULL && ERR_GET_REASON(native) != ERR_R_MALLOC_FAILURE)
        return SG_REFUSE(err, SG_R_BAD_PUBLIC_KEY, "the public key is no point of the %s curve",
                         sg_key_type_name(spki.type));

    struct sg_public_key *key = pkey == NULL ? NULL : keep(spki.type, pkey);
    if (key == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, native, "could not keep a public key: no memory");
    *ret = key;
    return SG_OK;
}

void sg_public_key_free(struct sg_public_key *key)
{
    if (key == NULL)
        return;
    for (size_t scheme = 0; scheme < SG_SCHEME_COUNT; scheme++) {
        for (size_t alg = 0; alg < SG_DIGEST_COUNT; alg++)
            EVP_PKEY_CTX_free(key->ready->pkey[scheme][alg]);
    }
    EVP_MD_CTX_free(key->ready->ed25519);
    EVP_PKEY_free(key->pkey);
    free(key->ready);
    free(key);
}

enum sg_key_type sg_public_key_type(const struct sg_public_key *key)
{
    return key->type;
}
