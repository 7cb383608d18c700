#include "formats/raw/hash.h"

#include <openssl/evp.h>

struct sg_hash {
    EVP_MD_CTX *ctx;
};

SG_DEFINE_AUTO(EVP_MD, EVP_MD_free);
SG_DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);

enum sg_rc sg_hash_new(enum sg_digest_alg alg, struct sg_hash **ret, struct sg_err *err)
{
    SG_AUTO(EVP_MD_free) EVP_MD *md = NULL;
    SG_AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = NULL;
    struct sg_hash *hash;

    if (sg_digest_len(alg) == 0)
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0, "could not hash: no algorithm was named");
    md = EVP_MD_fetch(NULL, sg_digest_name(alg), NULL);
    if (md == NULL)
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0, "could not hash: OpenSSL here has no %s",
                       sg_digest_name(alg));
    ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex2(ctx, md, NULL) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not begin to hash");
    hash = calloc(1, sizeof(*hash));
    if (hash == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not begin to hash: out of memory");
    hash->ctx = SG_STEAL(ctx);
    *ret = hash;
    return SG_OK;
}

void sg_hash_free(struct sg_hash *hash)
{
    if (hash == NULL)
        return;
    EVP_MD_CTX_free(hash->ctx);
    free(hash);
}

enum sg_rc sg_hash_add(struct sg_hash *hash, struct sg_slice bytes, struct sg_err *err)
{
    if (EVP_DigestUpdate(hash->ctx, bytes.ptr, bytes.len) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not hash");
    return SG_OK;
}

enum sg_rc sg_hash_finish(struct sg_hash *hash, uint8_t out[SG_DIGEST_BYTES_MAX],
                          struct sg_err *err)
{
    unsigned len = 0;

    if (EVP_DigestFinal_ex(hash->ctx, out, &len) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not finish a hash");
    return SG_OK;
}
