#ifndef SG_FORMATS_AUDIT_SIGNER_H
#define SG_FORMATS_AUDIT_SIGNER_H

#include "base/secret.h"
#include "formats/audit/note.h"

/*
 * Who signs notes: the log's key, an Ed25519 key of the gateway's own. It signs each commit of the
 * log, so it is not in a token, where it would cost as much as what it vouches for. And a
 * witness's, which cosigns checkpoints of other logs; one kind of key never does what the other
 * does.
 *
 * Its private key is a text, as other tools for signed notes keep theirs:
 * PRIVATE+KEY+NAME+ID+BASE64, where the bytes in base64 begin with the kind. Thread: one at a time.
 */
struct sg_note_signer;

enum { SG_NOTE_PRIVATE_BYTES_MAX = SG_NOTE_NAME_BYTES_MAX + 128 };

/* A new private key of this kind with this name, as a text. Errors: SG_E_INVALID: no name or no
 * kind for a key. */
SG_MUST_USE enum sg_rc sg_note_private_new(struct sg_slice name, enum sg_note_kind kind,
                                           struct sg_secret **ret, struct sg_err *err);
/* Errors: SG_E_INVALID: not that form, another kind of key, or an id that is not the key's. */
SG_MUST_USE enum sg_rc sg_note_signer_new(struct sg_slice private_text, struct sg_note_signer **ret,
                                          struct sg_err *err);
void sg_note_signer_free(struct sg_note_signer *signer);
SG_DEFINE_AUTO(struct sg_note_signer, sg_note_signer_free);

/* By which its notes are judged; lives as long as the signer. */
const struct sg_note_key *sg_note_signer_key(const struct sg_note_signer *signer);

/* Appends the note: the text, which ends with a newline, an empty line, and the signature. Errors:
 * SG_E_INVALID: a witness's key signs no notes of its own. */
SG_MUST_USE enum sg_rc sg_note_sign(struct sg_note_signer *signer, struct sg_slice text,
                                    struct sg_buf *out, struct sg_err *err);
/* Appends the line of a witness's signature over a note's text, at a time in seconds since 1970.
 * Errors: SG_E_INVALID: the key is no witness's. */
SG_MUST_USE enum sg_rc sg_note_cosign(struct sg_note_signer *signer, uint64_t time,
                                      struct sg_slice text, struct sg_buf *out, struct sg_err *err);

#endif
