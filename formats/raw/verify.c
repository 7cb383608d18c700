#include "formats/raw/verify.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "formats/raw/key_priv.h"

SG_DEFINE_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
SG_DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);
SG_DEFINE_AUTO(EVP_MD, EVP_MD_free);

/* Sets up a context of this key for the scheme and digest; the slow way. */
static EVP_PKEY_CTX *set_up(const struct sg_public_key *key, enum sg_scheme scheme,
                            enum sg_digest_alg alg)
{
    SG_AUTO(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1)
        return NULL;
    if (scheme == SG_SCHEME_ECDSA) /* told no digest: the caller has checked its length */
        return SG_STEAL(ctx);

    SG_AUTO(EVP_MD_free) EVP_MD *md = EVP_MD_fetch(NULL, sg_digest_name(alg), NULL);
    bool is_pss = scheme == SG_SCHEME_RSA_PSS;
    if (md == NULL ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, is_pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) !=
            1 ||
        EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
        return NULL;
    if (is_pss && (EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1 ||
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)sg_digest_len(alg)) != 1))
        return NULL;
    return SG_STEAL(ctx);
}

/* A context to verify with once; the caller's own. */
static EVP_PKEY_CTX *context_for(const struct sg_public_key *key, enum sg_scheme scheme,
                                 enum sg_digest_alg alg)
{
    if (scheme == SG_SCHEME_ECDSA)
        alg = SG_DIGEST_UNSET; /* one for all digests */
    _Atomic(EVP_PKEY_CTX *) *slot = &key->ready->pkey[scheme][alg];

    EVP_PKEY_CTX *ready = atomic_load_explicit(slot, memory_order_acquire);
    if (ready == NULL) {
        EVP_PKEY_CTX *mine = set_up(key, scheme, alg);
        if (mine == NULL)
            return NULL;
        if (atomic_compare_exchange_strong(slot, &ready, mine))
            ready = mine;
        else
            EVP_PKEY_CTX_free(mine); /* another thread was first; `ready` is its */
    }
    return EVP_PKEY_CTX_dup(ready);
}

static EVP_MD_CTX *set_up_ed25519(const struct sg_public_key *key)
{
    SG_AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1)
        return NULL;
    return SG_STEAL(ctx);
}

/* As context_for(), for the one scheme that OpenSSL verifies by another interface. */
static EVP_MD_CTX *context_for_ed25519(const struct sg_public_key *key)
{
    EVP_MD_CTX *ready = atomic_load_explicit(&key->ready->ed25519, memory_order_acquire);
    if (ready == NULL) {
        EVP_MD_CTX *mine = set_up_ed25519(key);
        if (mine == NULL)
            return NULL;
        if (atomic_compare_exchange_strong(&key->ready->ed25519, &ready, mine))
            ready = mine;
        else
            EVP_MD_CTX_free(mine);
    }
    SG_AUTO(EVP_MD_CTX_free) EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy == NULL || EVP_MD_CTX_copy_ex(copy, ready) != 1)
        return NULL;
    return SG_STEAL(copy);
}

/* OpenSSL's answer: 1 valid, 0 not, below 0 could not tell. `sig` is as it wants it. */
static int ask_openssl(const struct sg_public_key *key, const struct sg_raw_signature *question,
                       struct sg_slice sig)
{
    if (question->scheme == SG_SCHEME_ED25519) {
        SG_AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = context_for_ed25519(key);
        /* An empty message has no address, and OpenSSL wants one. */
        const uint8_t *message = question->content.len == 0 ? sig.ptr : question->content.ptr;
        return ctx == NULL
                   ? -1
                   : EVP_DigestVerify(ctx, sig.ptr, sig.len, message, question->content.len);
    }
    SG_AUTO(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *ctx = context_for(key, question->scheme, question->digest_alg);
    return ctx == NULL ? -1
                       : EVP_PKEY_verify(ctx, sig.ptr, sig.len, question->content.ptr,
                                         question->content.len);
}

static enum sg_rc check_question(const struct sg_public_key *key,
                                 const struct sg_raw_signature *question, struct sg_err *err)
{
    if (!sg_key_type_does(key->type, question->scheme))
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "a key of type %s does not sign by %s",
                         sg_key_type_name(key->type), sg_scheme_name(question->scheme));
    if ((unsigned)question->encoding >= SG_ENCODING_COUNT)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "there is no signature encoding %u",
                         (unsigned)question->encoding);
    if (question->scheme == SG_SCHEME_ED25519) {
        if (question->digest_alg != SG_DIGEST_UNSET)
            return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                             "Ed25519 signs the message itself, not a digest");
        return SG_OK;
    }
    size_t len = sg_digest_len(question->digest_alg);
    if (len == 0)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED, "no supported digest algorithm is given");
    if (question->content.len != len)
        return SG_REFUSE(err, SG_R_DIGEST_LENGTH, "a %s digest has %zu bytes, this has %zu",
                         sg_digest_name(question->digest_alg), len, question->content.len);
    return SG_OK;
}

/*
 * Checks the form of the signature and gives it as OpenSSL wants it: ECDSA as DER, in `room` when
 * it came otherwise. False: malformed.
 */
static bool take_signature(const struct sg_public_key *key, const struct sg_raw_signature *question,
                           uint8_t *room, struct sg_slice *ret)
{
    size_t part_len = sg_key_type_part_len(key->type);
    *ret = question->signature;
    if (question->scheme != SG_SCHEME_ECDSA)
        return ret->len == part_len;
    if (question->encoding == SG_ENCODING_RAW) {
        size_t len = 0;
        if (ret->len != 2 * part_len || sg_ecdsa_to_der(*ret, room, &len, NULL) != SG_OK)
            return false;
        *ret = sg_slice_of(room, len);
        return true;
    }
    uint8_t raw[2 * 48];
    SG_ASSERT(2 * part_len <= sizeof(raw));
    return sg_ecdsa_from_der(*ret, part_len, raw, NULL) == SG_OK;
}

enum sg_rc sg_raw_verify(const struct sg_public_key *key, const struct sg_raw_signature *question,
                         enum sg_raw_verdict *ret, struct sg_err *err)
{
    SG_TRY(check_question(key, question, err));

    uint8_t room[SG_ECDSA_DER_MAX];
    struct sg_slice sig;
    if (!take_signature(key, question, room, &sig)) {
        *ret = SG_RAW_MALFORMED;
        return SG_OK;
    }

    /* What OpenSSL leaves in the thread's error queue must not be found there by others. */
    ERR_set_mark();
    int answer = ask_openssl(key, question, sig);
    unsigned long native = answer == 1 ? 0 : ERR_peek_last_error();
    ERR_pop_to_mark();

    /* A failure of the machine must not pass for a bad signature: that would condemn the key. */
    if (answer < 0 || ERR_GET_REASON(native) == ERR_R_MALLOC_FAILURE)
        return SG_FAIL(err, SG_E_INTERNAL, native, "could not verify a signature: OpenSSL failed");
    *ret = answer == 1 ? SG_RAW_VALID : SG_RAW_INVALID;
    return SG_OK;
}
