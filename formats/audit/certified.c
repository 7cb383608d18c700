#include "formats/audit/certified.h"

#include "base/base64.h"
#include "formats/raw/digest.h"
#include "formats/raw/spki_file.h"
#include "formats/raw/verify.h"

static const char log_key_line[] = "log key", certifier_line[] = "certified by";

void sg_certified_text(const struct sg_note_key *log_key, struct sg_buf *out)
{
    sg_buf_add_str(out, "sealgate.v1 log-key/1\norigin ");
    sg_buf_add_slice(out, sg_note_key_name(log_key));
    sg_buf_add_str(out, "\nlog-key ");
    sg_note_key_write(log_key, out);
    sg_buf_add_u8(out, '\n');
}

enum sg_scheme sg_certified_scheme(enum sg_key_type type)
{
    return sg_key_type_default(type);
}

static enum sg_digest_alg digest_of(enum sg_scheme scheme)
{
    return scheme == SG_SCHEME_ED25519 ? SG_DIGEST_UNSET : SG_DIGEST_SHA256;
}

static enum sg_sig_encoding encoding_of(enum sg_scheme scheme)
{
    return scheme == SG_SCHEME_ECDSA ? SG_ENCODING_DER : SG_ENCODING_UNSET;
}

/* Into leaf 0 ------------------------------------------------------------------------------- */

void sg_certification_put(const struct sg_certification *certification,
                          struct sg_audit_record *first)
{
    first->public_key_sha256 =
        sg_slice_of(certification->spki_sha256, sizeof(certification->spki_sha256));
    first->scheme = certification->scheme;
    first->encoding = encoding_of(certification->scheme);
    first->digest_alg = digest_of(certification->scheme);
    first->digest = sg_slice_of(certification->digest, sizeof(certification->digest));
    first->signature = sg_slice_of(certification->signature, certification->signature_len);
    first->token = sg_slice_str(certification->token);
}

static void add_certifier(struct sg_slice spki, struct sg_buf *out)
{
    sg_base64_encode(spki, SG_BASE64_STD, SG_BASE64_PADDED, out);
}

void sg_certification_describe(const struct sg_certification *certification, struct sg_buf *detail)
{
    sg_buf_printf(detail, "%s: ", certifier_line);
    add_certifier(sg_slice_of(certification->spki, certification->spki_len), detail);
    sg_buf_add_u8(detail, '\n');
}

struct sg_slice sg_certification_certifier(const struct sg_audit_record *first)
{
    return sg_audit_detail_find(first->detail, certifier_line);
}

/* Out of it --------------------------------------------------------------------------------- */

enum sg_rc sg_certifier_read(struct sg_slice file, struct sg_buf *spki, struct sg_err *err)
{
    SG_AUTO(sg_public_key_free) struct sg_public_key *key = NULL;
    const size_t begin = spki->len;

    if (sg_spki_of_certificate(file, spki, NULL) != SG_OK) {
        spki->len = begin;
        if (sg_spki_of_public_key(file, spki, NULL) != SG_OK)
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "it is neither a certificate nor a public key, in PEM or DER");
    }
    return sg_public_key_parse(sg_slice_of(spki->ptr + begin, spki->len - begin), &key, err);
}

/* Leaf 0 names this key as the one that certified it, by hash and whole. */
static enum sg_rc check_certifier(const struct sg_audit_record *first, struct sg_slice spki,
                                  struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_buf line;

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, spki, hash, err));
    sg_buf_init(&line, SG_AUDIT_TEXT_BYTES_MAX);
    add_certifier(spki, &line);
    const bool is_same = sg_slice_eq(first->public_key_sha256, sg_slice_of(hash, 32)) &&
                         !line.failed &&
                         sg_slice_eq(sg_certification_certifier(first), sg_buf_slice(&line));
    sg_buf_done(&line);
    return is_same ? SG_OK
                   : SG_FAIL(err, SG_E_INVALID, 0,
                             "another key than the one that was given certifies the log's key");
}

static enum sg_rc check_signature(const struct sg_audit_record *first,
                                  const struct sg_public_key *key, struct sg_slice text,
                                  struct sg_err *err)
{
    const enum sg_scheme scheme = sg_certified_scheme(sg_public_key_type(key));
    enum sg_raw_verdict verdict = SG_RAW_INVALID;
    uint8_t digest[SG_DIGEST_BYTES_MAX];

    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, text, digest, err));
    const struct sg_slice hash = sg_slice_of(digest, sg_digest_len(SG_DIGEST_SHA256));
    const struct sg_raw_signature signature = {
        .scheme = scheme,
        .digest_alg = digest_of(scheme),
        .content = scheme == SG_SCHEME_ED25519 ? text : hash,
        .encoding = encoding_of(scheme),
        .signature = first->signature,
    };
    if (first->scheme == scheme && first->encoding == signature.encoding &&
        first->digest_alg == signature.digest_alg && sg_slice_eq(first->digest, hash))
        SG_TRY(sg_raw_verify(key, &signature, &verdict, err));
    if (verdict != SG_RAW_VALID)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "the key that was given did not certify this key of this log");
    return SG_OK;
}

enum sg_rc sg_certification_check(const struct sg_audit_record *first, struct sg_slice spki,
                                  struct sg_note_key **ret, struct sg_err *err)
{
    SG_AUTO(sg_public_key_free) struct sg_public_key *certifier = NULL;
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    struct sg_buf text;

    if (first->event != SG_AUDIT_LOG_STARTED)
        return SG_FAIL(err, SG_E_INVALID, 0, "it is not the first leaf of a log");
    if (first->signature.len == 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0,
                       "the log began without a certification of its key: its leaf 0 has none");
    SG_TRY(sg_public_key_parse(spki, &certifier, err));
    SG_TRY(check_certifier(first, spki, err));
    if (sg_note_key_parse(sg_audit_detail_find(first->detail, log_key_line), &key, NULL) != SG_OK ||
        sg_note_key_kind(key) != SG_NOTE_ED25519)
        return SG_FAIL(err, SG_E_INVALID, 0, "leaf 0 names no key of a log");
    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(key, &text);
    enum sg_rc rc = sg_buf_check(&text, err);
    if (rc == SG_OK)
        rc = check_signature(first, certifier, sg_buf_slice(&text), err);
    sg_buf_done(&text);
    if (rc == SG_OK)
        *ret = SG_STEAL(key);
    return rc;
}
