#ifndef SG_GATEWAY_AUDIT_RECEIPT_H
#define SG_GATEWAY_AUDIT_RECEIPT_H

#include "base/buf.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/record.h"
#include "gateway/audit/log_tree.h"

/* A signed checkpoint that several receipts share. Immutable. Thread: any. */
struct sg_audit_note;
/* Takes the buffer's bytes. NULL: no memory, and they are still the buffer's. */
struct sg_audit_note *sg_audit_note_new(struct sg_buf *text);
struct sg_audit_note *sg_audit_note_hold(struct sg_audit_note *note);
void sg_audit_note_free(struct sg_audit_note *note);
struct sg_slice sg_audit_note_text(const struct sg_audit_note *note);

/* A record's place in a log, and what proves it. */
struct sg_audit_receipt {
    char log[SG_STORE_NAME_LEN_MAX + 1];
    uint32_t epoch;
    uint64_t index;
    struct sg_tree_hash leaf;
    struct sg_tree_proof proof;
    struct sg_audit_note *checkpoint; /* held */
    struct sg_buf record;             /* its own bytes */
};

/* Zeroes it. */
void sg_audit_receipt_done(struct sg_audit_receipt *receipt);
/* `ret` must be empty. */
SG_MUST_USE enum sg_rc sg_audit_receipt_copy(const struct sg_audit_receipt *receipt,
                                             struct sg_audit_receipt *ret, struct sg_err *err);

/* What a checkpoint of the log promises, once the log's key has signed it for its origin. Errors:
 * SG_E_INTERNAL STORE_BROKEN: it is not that. */
SG_MUST_USE enum sg_rc sg_audit_head_of(struct sg_slice checkpoint, const struct sg_store_log *log,
                                        const struct sg_note_key *key, struct sg_tree_head *ret,
                                        struct sg_err *err);
/* The same of the newest one. Blocks. Errors: also the store's. */
SG_MUST_USE enum sg_rc sg_audit_head_read(struct sg_store *store, const struct sg_store_log *log,
                                          const struct sg_note_key *key, struct sg_tree_head *ret,
                                          struct sg_err *err);

/* A receipt for any leaf of any log of the store, from its newest checkpoint. `tree` serves for its
 * own log, and grows by this. Blocks. Errors: the store's; SG_E_NOT_FOUND: there is no such leaf,
 * or, LEAF_ARCHIVED, it has left the store. */
SG_MUST_USE enum sg_rc sg_audit_receipt_read(struct sg_store *store, struct sg_log_tree *tree,
                                             const struct sg_store_log *tree_log, uint64_t log_id,
                                             uint64_t seq, struct sg_audit_receipt *ret,
                                             struct sg_err *err);

#endif
