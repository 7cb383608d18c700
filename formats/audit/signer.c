#include "formats/audit/signer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/base64.h"

enum { SEED_BYTES = 32, PUBLIC_BYTES = 32, SIGNATURE_BYTES = 64 };

static const char prefix[] = "PRIVATE+KEY+";

/* Setting a context up for the key costs a gateway half of what the signature does, and OpenSSL
 * does not promise that one signs twice: so each signature is made by a copy of one that has not.
 */
struct sg_note_signer {
    EVP_MD_CTX *fresh, *ctx;
    struct sg_note_key *key;
};

static enum sg_rc no_private(struct sg_err *err)
{
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "could not read a private note key: it is not PRIVATE+KEY+NAME+ID+KEY");
}

static enum sg_rc by_openssl(const char *what, struct sg_err *err)
{
    unsigned long native = ERR_get_error();
    ERR_clear_error();
    return SG_FAIL(err, SG_E_INTERNAL, native, "could not %s", what);
}

static enum sg_rc signer_of_seed(struct sg_slice name, enum sg_note_kind kind,
                                 const uint8_t seed[SEED_BYTES], struct sg_note_signer **ret,
                                 struct sg_err *err)
{
    uint8_t public_key[PUBLIC_BYTES];
    size_t len = sizeof(public_key);
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = calloc(1, sizeof(*signer));

    if (signer == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not make a note signer: out of memory");
    signer->fresh = EVP_MD_CTX_new();
    signer->ctx = EVP_MD_CTX_new();
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
    const bool is_made = signer->fresh != NULL && signer->ctx != NULL && pkey != NULL &&
                         EVP_PKEY_get_raw_public_key(pkey, public_key, &len) == 1 &&
                         EVP_DigestSignInit(signer->fresh, NULL, NULL, NULL, pkey) == 1;
    EVP_PKEY_free(pkey); /* the context holds it */
    if (!is_made)
        return by_openssl("make a note signer", err);
    SG_TRY(sg_note_key_new(name, kind, public_key, &signer->key, err));
    *ret = SG_STEAL(signer);
    return SG_OK;
}

/* The part before the key: ids have eight digits, so it is known how long it is. */
static size_t name_len(const struct sg_note_key *key)
{
    return sg_note_key_name(key).len + 1 + 8 + 1;
}

enum sg_rc sg_note_private_new(struct sg_slice name, enum sg_note_kind kind, struct sg_secret **ret,
                               struct sg_err *err)
{
    uint8_t bytes[1 + SEED_BYTES] = {(uint8_t)kind};
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    SG_TRY(sg_secret_new(SG_NOTE_PRIVATE_BYTES_MAX, &secret, err));
    if (RAND_priv_bytes(bytes + 1, SEED_BYTES) != 1)
        return by_openssl("make a private note key", err);
    enum sg_rc rc = signer_of_seed(name, kind, bytes + 1, &signer, err);
    if (rc == SG_OK) {
        /* Into the secret's own pages, which a buffer of that size never leaves. */
        struct sg_buf out = {.ptr = sg_secret_room(secret),
                             .cap = SG_NOTE_PRIVATE_BYTES_MAX,
                             .max = SG_NOTE_PRIVATE_BYTES_MAX};
        sg_buf_add_str(&out, prefix);
        sg_note_key_write(signer->key, &out);
        out.len = sizeof(prefix) - 1 + name_len(signer->key);
        sg_base64_encode(sg_slice_of(bytes, sizeof(bytes)), SG_BASE64_STD, SG_BASE64_PADDED, &out);
        sg_secret_claim(secret, out.len);
        rc = sg_buf_check(&out, err);
    }
    sg_wipe(bytes, sizeof(bytes));
    if (rc == SG_OK)
        *ret = SG_STEAL(secret);
    return rc;
}

/* Names have no '+'. */
static bool take_part(struct sg_slice *text, struct sg_slice *ret)
{
    const uint8_t *plus = text->len == 0 ? NULL : memchr(text->ptr, '+', text->len);
    if (plus == NULL)
        return false;
    *ret = sg_slice_take(text, (size_t)(plus - text->ptr));
    (void)sg_slice_take(text, 1);
    return true;
}

/* Whether the id that stands there is the key's. */
static bool has_id(const struct sg_note_key *key, struct sg_slice id)
{
    struct sg_buf text;
    sg_buf_init(&text, SG_NOTE_PRIVATE_BYTES_MAX);
    sg_note_key_write(key, &text);
    struct sg_slice at = sg_buf_slice(&text), name, own;
    const bool is_same =
        !text.failed && take_part(&at, &name) && take_part(&at, &own) && sg_slice_eq(own, id);
    sg_buf_done(&text);
    return is_same;
}

enum sg_rc sg_note_signer_new(struct sg_slice private_text, struct sg_note_signer **ret,
                              struct sg_err *err)
{
    uint8_t room[1 + SEED_BYTES + 3];
    struct sg_buf bytes = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};
    struct sg_slice text = private_text, name, id;
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;

    if (!sg_slice_starts(text, sg_slice_str(prefix)))
        return no_private(err);
    (void)sg_slice_take(&text, sizeof(prefix) - 1);
    if (!take_part(&text, &name) || !take_part(&text, &id))
        return no_private(err);
    bool is_read = text.len <= sizeof(room) / 3 * 4 &&
                   sg_base64_decode(text, SG_BASE64_STD, SG_BASE64_PADDED, &bytes, NULL) == SG_OK &&
                   bytes.len == 1 + SEED_BYTES;
    enum sg_rc rc = is_read
                        ? signer_of_seed(name, (enum sg_note_kind)room[0], room + 1, &signer, err)
                        : no_private(err);
    sg_wipe(room, sizeof(room));
    SG_TRY(rc);
    if (!has_id(signer->key, id))
        return no_private(err);
    *ret = SG_STEAL(signer);
    return SG_OK;
}

void sg_note_signer_free(struct sg_note_signer *signer)
{
    if (signer == NULL)
        return;
    sg_note_key_free(signer->key);
    EVP_MD_CTX_free(signer->ctx);
    EVP_MD_CTX_free(signer->fresh);
    free(signer);
}

const struct sg_note_key *sg_note_signer_key(const struct sg_note_signer *signer)
{
    return signer->key;
}

static enum sg_rc sign(struct sg_note_signer *signer, enum sg_note_kind kind, uint64_t time,
                       struct sg_slice text, uint8_t signature[SIGNATURE_BYTES], struct sg_err *err)
{
    size_t len = SIGNATURE_BYTES;
    struct sg_buf tbs;

    if (sg_note_key_kind(signer->key) != kind)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not sign a note: the key is of another kind");
    sg_buf_init(&tbs, SG_NOTE_BYTES_MAX + 64);
    sg_note_tbs(kind, time, text, &tbs);
    enum sg_rc rc = sg_buf_check(&tbs, err);
    if (rc == SG_OK && (EVP_MD_CTX_copy_ex(signer->ctx, signer->fresh) != 1 ||
                        EVP_DigestSign(signer->ctx, signature, &len, tbs.ptr, tbs.len) != 1 ||
                        len != SIGNATURE_BYTES))
        rc = by_openssl("sign a note", err);
    sg_buf_done(&tbs);
    return rc;
}

enum sg_rc sg_note_sign(struct sg_note_signer *signer, struct sg_slice text, struct sg_buf *out,
                        struct sg_err *err)
{
    uint8_t signature[SIGNATURE_BYTES];

    SG_TRY(sign(signer, SG_NOTE_ED25519, 0, text, signature, err));
    sg_buf_add_slice(out, text);
    sg_buf_add_u8(out, '\n');
    sg_note_add_signature(signer->key, 0, signature, out);
    return sg_buf_check(out, err);
}

enum sg_rc sg_note_cosign(struct sg_note_signer *signer, uint64_t time, struct sg_slice text,
                          struct sg_buf *out, struct sg_err *err)
{
    uint8_t signature[SIGNATURE_BYTES];

    SG_TRY(sign(signer, SG_NOTE_COSIGNATURE, time, text, signature, err));
    sg_note_add_signature(signer->key, time, signature, out);
    return sg_buf_check(out, err);
}
