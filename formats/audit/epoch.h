#ifndef SG_FORMATS_AUDIT_EPOCH_H
#define SG_FORMATS_AUDIT_EPOCH_H

#include "formats/audit/record.h"
#include "formats/audit/tree.h"

/*
 * How a log ends and another goes on in its name: a statement of what is found and of the key that
 * is to be believed from then on, and the approvals of two administrators, who sign its bytes with
 * the keys of their client certificates. docs/audit.md has the forms for programs that are not
 * ours; `openssl dgst -sha256 -sign` makes an approval.
 *
 * There is one text of each statement: what is parsed is what would be written.
 */

enum {
    SG_EPOCH_STATEMENT_BYTES_MAX = 3072, /* and a checkpoint behind it fit into a record */
    SG_EPOCH_WHY_BYTES_MAX = 500,
    SG_EPOCH_ADMINISTRATORS_BYTES_MAX = 1536,
    SG_EPOCH_ADMINISTRATORS_MAX = 16,
    SG_EPOCH_KEY_BYTES_MAX = 320, /* NAME+ID+BASE64 of the longest origin */
    SG_APPROVAL_BYTES_MAX = 8192,
};

/* What was found of the log that ends. Zero: nobody has looked. */
enum sg_epoch_state {
    SG_EPOCH_UNSET = 0,
    SG_EPOCH_SOUND,      /* the store is what the log promised: its key is replaced */
    SG_EPOCH_BEHIND,     /* the store has fewer leaves than its anchor remembers */
    SG_EPOCH_FORKED,     /* it has other leaves */
    SG_EPOCH_UNANCHORED, /* nobody remembers how far the log was */
    SG_EPOCH_BROKEN,     /* it does not prove itself */
    SG_EPOCH_STATE_COUNT,
};

struct sg_epoch_statement {
    struct sg_slice old_key, new_key; /* as they are published: their names are the origins */
    uint32_t old_epoch, new_epoch;
    bool is_anchored, is_stored;       /* whether the next two are known */
    struct sg_tree_head anchor, store; /* what was promised; what there is */
    enum sg_epoch_state state;
    /* Lines as leaf 0 of the new log will have them: its administrators. Empty: they stay. */
    struct sg_slice administrators;
    int64_t time_s;      /* since 1970 */
    struct sg_slice why; /* one line, by the operator */
};

/* Whether these lines may name the administrators of an epoch: two at least, none of them twice, by
 * key or by identity. Errors: SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_epoch_administrators_check(struct sg_slice lines, struct sg_err *err);
/* Appends the text; fails `out` where sg_epoch_statement_parse() would not take it. */
void sg_epoch_statement_write(const struct sg_epoch_statement *statement, struct sg_buf *out);
/* Of a text that may have more behind it (`*ret_len`: where the statement ends), or NULL: it may
 * not. `ret` borrows. Judges the form alone. Errors: SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_epoch_statement_parse(struct sg_slice text,
                                                struct sg_epoch_statement *ret, size_t *ret_len,
                                                struct sg_err *err);
/* "behind"; "" for what is unset or unknown. */
const char *sg_epoch_state_name(enum sg_epoch_state state);
/* What it means that administrators approve of this state: a sentence. */
const char *sg_epoch_state_meaning(enum sg_epoch_state state);

/* A signature over the bytes of a statement, and the certificate whose key made it. */
struct sg_approval {
    uint8_t signature[SG_KEY_SIGNATURE_BYTES_MAX];
    size_t signature_len;
    struct sg_slice certificate; /* PEM or DER: the rest of the file, which nobody has judged */
};

/* Appends the file. */
void sg_approval_write(struct sg_slice signature, struct sg_slice certificate_pem,
                       struct sg_buf *out);
/* `ret->certificate` is part of `text`. Errors: SG_E_INVALID, SG_E_LIMIT. */
SG_MUST_USE enum sg_rc sg_approval_parse(struct sg_slice text, struct sg_approval *ret,
                                         struct sg_err *err);
/* Signs these bytes with the private key in `key_pem`, which is not encrypted and is that of the
 * first certificate in `certificates_pem`, and appends the approval. Errors: SG_E_INVALID: not such
 * a key, not such a certificate, or not a pair. */
SG_MUST_USE enum sg_rc sg_approval_make(struct sg_slice key_pem, struct sg_slice certificates_pem,
                                        struct sg_slice statement, struct sg_buf *out,
                                        struct sg_err *err);
/* That the key in `spki` has signed these bytes: RSA by PKCS #1 v1.5 and ECDSA in DER, over their
 * SHA-256, or Ed25519. SG_OK means signed. Errors: SG_E_INVALID: it has not. */
SG_MUST_USE enum sg_rc sg_approval_check(const struct sg_approval *approval,
                                         struct sg_slice statement, struct sg_slice spki,
                                         struct sg_err *err);

#endif
