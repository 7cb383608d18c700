#ifndef SG_FORMATS_AUDIT_CERTIFIED_H
#define SG_FORMATS_AUDIT_CERTIFIED_H

#include "formats/audit/note.h"
#include "formats/audit/record.h"

/*
 * The certification of a log's key by a key in a token: who believes that key, by a certificate or
 * as it was published, needs nobody's word for the log's key.
 *
 * The token's key signs a short text that names the log and its key, and leaf 0 has the signature
 * in the fields that a record has for one, so that it is a part of the log and needs no form of its
 * own. The text begins with a context; the key signs nothing else, so nothing else can be taken for
 * it. docs/audit.md says how openssl alone checks it.
 */

enum {
    SG_CERTIFIED_TEXT_BYTES_MAX = 1024, /* with the longest origin, twice */
    SG_CERTIFIER_SPKI_BYTES_MAX = 2048,
    SG_CERTIFIER_FILE_BYTES_MAX = 64 << 10,
};

/* What a token's key has signed. */
struct sg_certification {
    char token[64]; /* its name */
    uint8_t spki[SG_CERTIFIER_SPKI_BYTES_MAX];
    size_t spki_len;
    uint8_t spki_sha256[32], digest[32]; /* of the text */
    enum sg_scheme scheme;
    uint8_t signature[SG_KEY_SIGNATURE_BYTES_MAX]; /* ECDSA: in DER */
    size_t signature_len;
};

/* Appends the text about this key, whose name is the log's origin. */
void sg_certified_text(const struct sg_note_key *log_key, struct sg_buf *out);
/* How a key of this type signs it: over its SHA-256, or Ed25519 the text itself. */
enum sg_scheme sg_certified_scheme(enum sg_key_type type);

/* Puts it into the record of leaf 0, which borrows from it. */
void sg_certification_put(const struct sg_certification *certification,
                          struct sg_audit_record *first);
/* Appends the line of leaf 0's detail that has the token's public key. */
void sg_certification_describe(const struct sg_certification *certification, struct sg_buf *detail);

/* The token's public key as leaf 0 has it, in base64 of its SubjectPublicKeyInfo; empty: it has
 * none. Nothing vouches for it but sg_certification_check(). */
struct sg_slice sg_certification_certifier(const struct sg_audit_record *first);

/* The public key of a certificate (whose issuer and dates nobody looks at) or of a public key, in
 * PEM or DER, appended as SubjectPublicKeyInfo. Errors: SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_certifier_read(struct sg_slice file, struct sg_buf *spki,
                                         struct sg_err *err);

/*
 * That this leaf 0 has the certification of the key that it names, by the key in `spki`. `*ret` is
 * the log's key: whether the leaf is in a log, and that log is its, is judged elsewhere, by it.
 *
 * Errors: SG_E_NOT_FOUND: the log began without one; SG_E_INVALID: it is another key's, or was
 * changed; SG_E_INTERNAL.
 */
SG_MUST_USE enum sg_rc sg_certification_check(const struct sg_audit_record *first,
                                              struct sg_slice spki, struct sg_note_key **ret,
                                              struct sg_err *err);

#endif
