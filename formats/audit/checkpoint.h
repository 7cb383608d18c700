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
    SG_RECEIPT_BYTES_MAX = SG_NOTE_BYTES_MAX + 8 * 1024,
    SG_RECEIPT_EXTRA_BYTES_MAX = 1024,
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

/* A record's place in the log, and the checkpoint from which it can be proved. */
struct sg_receipt {
    uint64_t index;
    struct sg_tree_proof proof;
    struct sg_slice checkpoint; /* the whole note */
};

/* Appends it in its published form. */
void sg_receipt_write(const struct sg_receipt *receipt, struct sg_buf *out);
/* `ret->checkpoint` is part of `text`. Judges the form of everything but the note. "extra" is read
 * over: nothing vouches for it. Errors: SG_E_INVALID, SG_E_LIMIT. */
SG_MUST_USE enum sg_rc sg_receipt_parse(struct sg_slice text, struct sg_receipt *ret,
                                        struct sg_err *err);

/*
 * The whole of it, offline: that the log with this key and origin promised a tree in which this
 * record is. `ret` has the head that it promised; compare it with others, by a proof of growth.
 *
 * Errors: SG_E_INVALID, it is not proved; SG_E_INTERNAL, it could not be judged.
 */
SG_MUST_USE enum sg_rc sg_receipt_check(struct sg_tree_hasher *hasher, struct sg_slice text,
                                        struct sg_slice record, struct sg_slice origin,
                                        const struct sg_note_key *log_key, struct sg_tree_head *ret,
                                        struct sg_err *err);

#endif
