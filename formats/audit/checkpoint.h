#ifndef SG_FORMATS_AUDIT_CHECKPOINT_H
#define SG_FORMATS_AUDIT_CHECKPOINT_H

#include "formats/audit/note.h"
#include "formats/audit/tree.h"

/*
 * Checkpoints and receipts of the audit log: what the log has promised (c2sp.org/tlog-checkpoint),
 * and that a record is in what it promised (c2sp.org/tlog-proof).
 */

enum {
    SG_CHECKPOINT_ORIGIN_BYTES_MAX = 255,
    SG_RECEIPT_BYTES_MAX = SG_NOTE_BYTES_MAX + 32 * 1024,
    SG_RECEIPT_EXTRA_BYTES_MAX = 21848, /* of base64: the longest record */
};

struct sg_checkpoint {
    struct sg_slice origin; /* of the log: without a newline */
    struct sg_tree_head head;
};

/* Appends the text that is signed. The origin must be as sg_checkpoint_origin_is_good() wants it.
 */
void sg_checkpoint_write(const struct sg_checkpoint *checkpoint, struct sg_buf *out);
/* Of a note's text. Errors: SG_E_INVALID: it is no checkpoint, or has lines of an extension, which
 * this log does not write. */
SG_MUST_USE enum sg_rc sg_checkpoint_parse(struct sg_slice text, struct sg_checkpoint *ret,
                                           struct sg_err *err);
/* Not empty, not too long, nothing that a line or a key's name cannot hold. */
bool sg_checkpoint_origin_is_good(struct sg_slice origin);

/* Whether the checkpoint that is this text of a note says that it is of another epoch of the key's
 * log: the names differ in the number behind the last slash alone. Nobody vouches for what it says:
 * it is for telling people which key they lack. `ret_origin` is part of the text. */
bool sg_checkpoint_is_other_epoch(struct sg_slice text, const struct sg_note_key *key,
                                  struct sg_slice *ret_origin);

/*
 * A record's place in the log, and the checkpoint from which it can be proved. As a text it is what
 * others write too; its "extra", which they leave to the log, is the record here, so that one file
 * says what is proved and proves it.
 */
struct sg_receipt {
    uint64_t index;
    struct sg_tree_proof proof;
    struct sg_slice checkpoint; /* the whole note */
    struct sg_slice extra;      /* in base64; empty: there is none */
};

/* Appends it in its published form, `extra` as it stands. */
void sg_receipt_write(const struct sg_receipt *receipt, struct sg_buf *out);
/* The same with this record as its extra. */
void sg_receipt_write_with(const struct sg_receipt *receipt, struct sg_slice record,
                           struct sg_buf *out);
/* `ret->checkpoint` and `ret->extra` are part of `text`. Judges the form of everything but the
 * note. Errors: SG_E_INVALID, SG_E_LIMIT. */
SG_MUST_USE enum sg_rc sg_receipt_parse(struct sg_slice text, struct sg_receipt *ret,
                                        struct sg_err *err);
/* Appends the record that is in it; `out` needs room for SG_RECEIPT_EXTRA_BYTES_MAX. Nothing
 * vouches for it but sg_receipt_prove(). Errors: SG_E_NOT_FOUND, it has none. */
SG_MUST_USE enum sg_rc sg_receipt_read_record(const struct sg_receipt *receipt, struct sg_buf *out,
                                              struct sg_err *err);

/*
 * That the record is in the tree of the receipt's checkpoint, and that the log with this key has
 * signed that; without a key (NULL) the signature is not judged, and the checkpoint is anybody's.
 * `ret` is what the log promised: compare it with others, by a proof of growth; `ret->origin` is
 * part of the receipt's text.
 *
 * Errors: SG_E_INVALID, it is not proved; SG_E_LIMIT; SG_E_INTERNAL, it could not be judged.
 */
SG_MUST_USE enum sg_rc sg_receipt_prove(struct sg_tree_hasher *hasher,
                                        const struct sg_receipt *receipt, struct sg_slice record,
                                        const struct sg_note_key *log_key,
                                        struct sg_checkpoint *ret, struct sg_err *err);

/* The same of a text, for the log with this origin. */
SG_MUST_USE enum sg_rc sg_receipt_check(struct sg_tree_hasher *hasher, struct sg_slice text,
                                        struct sg_slice record, struct sg_slice origin,
                                        const struct sg_note_key *log_key, struct sg_tree_head *ret,
                                        struct sg_err *err);

#endif
