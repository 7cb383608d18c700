#include "formats/seal/seal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/secret.h"

enum { CIPHER_KEY_BYTES = 64, USE_LEN_MAX = 64 };

struct sg_seal {
    EVP_CIPHER *cipher;
    struct sg_secret *key;
};

/* One block of HKDF-Expand by SHA-512 is all that is needed. */
static enum sg_rc derive(const uint8_t key[SG_SEAL_KEY_BYTES], const char *use,
                         struct sg_secret *ret, struct sg_err *err)
{
    uint8_t info[USE_LEN_MAX + 1];
    const size_t use_len = strlen(use);
    size_t len = 0;

    SG_ASSERT(use_len > 0 && use_len <= USE_LEN_MAX);
    memcpy(info, use, use_len);
    info[use_len] = 1;
    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA512", NULL, key, SG_SEAL_KEY_BYTES, info, use_len + 1,
                  sg_secret_room(ret), CIPHER_KEY_BYTES, &len) == NULL ||
        len != CIPHER_KEY_BYTES)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not derive a key");
    sg_secret_claim(ret, len);
    return SG_OK;
}

enum sg_rc sg_seal_new(const uint8_t key[SG_SEAL_KEY_BYTES], const char *use, struct sg_seal **ret,
                       struct sg_err *err)
{
    SG_AUTO(sg_seal_free) struct sg_seal *seal = calloc(1, sizeof(*seal));
    if (seal == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a seal");
    seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-SIV", NULL);
    if (seal->cipher == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "OpenSSL has no AES-256-SIV");
    SG_TRY(sg_secret_new(CIPHER_KEY_BYTES, &seal->key, err));
    SG_TRY(derive(key, use, seal->key, err));
    *ret = SG_STEAL(seal);
    return SG_OK;
}

void sg_seal_free(struct sg_seal *seal)
{
    if (seal == NULL)
        return;
    EVP_CIPHER_free(seal->cipher);
    sg_secret_free(seal->key);
    free(seal);
}

/* The context is never empty: of an empty one OpenSSL has been known to forget that it was there
 * (CVE-2023-2975). */
static EVP_CIPHER_CTX *begin(const struct sg_seal *seal, struct sg_slice context, bool is_closing)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len;

    SG_ASSERT(context.len > 0 && context.len <= SG_SEAL_BYTES_MAX);
    if (ctx != NULL &&
        EVP_CipherInit_ex2(ctx, seal->cipher, sg_secret_bytes(seal->key).ptr, NULL, is_closing,
                           NULL) == 1 &&
        EVP_CipherUpdate(ctx, NULL, &len, context.ptr, (int)context.len) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

/* The synthetic IV, which is what proves it, and then what is in it. */
enum sg_rc sg_seal_close(const struct sg_seal *seal, struct sg_slice context, struct sg_slice plain,
                         struct sg_buf *out, struct sg_err *err)
{
    SG_ASSERT(plain.len > 0 && plain.len <= SG_SEAL_BYTES_MAX);
    uint8_t *room = sg_buf_room(out, SG_SEAL_OVERHEAD + plain.len);
    EVP_CIPHER_CTX *ctx;
    int len = 0;

    if (room == NULL)
        return sg_buf_check(out, err);
    ctx = begin(seal, context, true);
    const bool is_made =
        ctx != NULL &&
        EVP_CipherUpdate(ctx, room + SG_SEAL_OVERHEAD, &len, plain.ptr, (int)plain.len) == 1 &&
        (size_t)len == plain.len && EVP_CipherFinal_ex(ctx, room + SG_SEAL_OVERHEAD, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SG_SEAL_OVERHEAD, room) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!is_made)
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not seal");
    sg_buf_claim(out, SG_SEAL_OVERHEAD + plain.len);
    return SG_OK;
}

enum sg_rc sg_seal_open(const struct sg_seal *seal, struct sg_slice context, struct sg_slice sealed,
                        struct sg_buf *out, struct sg_err *err)
{
    uint8_t tag[SG_SEAL_OVERHEAD];
    EVP_CIPHER_CTX *ctx;
    int len = 0;

    if (sealed.len <= SG_SEAL_OVERHEAD || sealed.len > SG_SEAL_OVERHEAD + SG_SEAL_BYTES_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "not of a seal's length");
    const size_t plain_len = sealed.len - SG_SEAL_OVERHEAD;
    uint8_t *room = sg_buf_room(out, plain_len);
    if (room == NULL)
        return sg_buf_check(out, err);
    memcpy(tag, sealed.ptr, sizeof(tag));
    ctx = begin(seal, context, false);
    if (ctx == NULL ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SG_SEAL_OVERHEAD, tag) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return SG_FAIL(err, SG_E_INTERNAL, ERR_get_error(), "could not open a seal");
    }
    const bool is_ours =
        EVP_CipherUpdate(ctx, room, &len, sealed.ptr + SG_SEAL_OVERHEAD, (int)plain_len) == 1 &&
        (size_t)len == plain_len && EVP_CipherFinal_ex(ctx, room, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    if (!is_ours)
        return SG_FAIL(err, SG_E_INVALID, 0, "no seal of ours, or for something else");
    sg_buf_claim(out, plain_len);
    return SG_OK;
}
