#ifndef SG_GATEWAY_AUDIT_EXAMINE_H
#define SG_GATEWAY_AUDIT_EXAMINE_H

#include "formats/audit/epoch.h"
#include "formats/audit/note.h"
#include "gateway/store/store.h"

/* What is found of a log that may have to end. */
struct sg_audit_found {
    enum sg_epoch_state state;
    bool is_anchored, is_stored;
    struct sg_tree_head anchor; /* what was promised, as far as the anchor remembers */
    struct sg_tree_head store;  /* the newest checkpoint that the log's key signed */
    struct sg_err why;          /* of BROKEN */
};

/* Reads all of the log, and its anchor. SG_OK means that it was looked at, in whatever state it is.
 * `anchor_file` may be missing. Blocks. Errors: the store is away. */
SG_MUST_USE enum sg_rc sg_audit_examine(struct sg_store *store, const struct sg_store_log *log,
                                        const struct sg_note_key *key, const char *anchor_file,
                                        struct sg_audit_found *ret, struct sg_err *err);

/* Whether the log, which was proved, has begun with the tree of `head`. Errors: SG_E_CONFLICT: it
 * has not; the store's. */
SG_MUST_USE enum sg_rc sg_audit_grew_from(struct sg_store *store, const struct sg_store_log *log,
                                          uint64_t size, const struct sg_tree_head *head,
                                          struct sg_err *err);

/* Appends what leaf 0 of the log says, once it is proved to be of the tree that the log's key has
 * signed. Errors: SG_E_INTERNAL STORE_BROKEN: it is not; the store's. */
SG_MUST_USE enum sg_rc sg_audit_beginning_read(struct sg_store *store,
                                               const struct sg_store_log *log,
                                               const struct sg_note_key *key, struct sg_buf *detail,
                                               struct sg_err *err);

/* How the epoch before `log` ended, as its leaf 1 tells, which must have been proved. */
struct sg_audit_ended {
    enum sg_epoch_state state;
    uint32_t epoch;
    struct sg_note_key *key; /* of that epoch; owned by who reads it */
    bool is_stored;
    struct sg_tree_head head; /* its last checkpoint, by that key */
};
/* Errors: SG_E_NOT_FOUND: there was none before it; SG_E_INTERNAL STORE_BROKEN. */
SG_MUST_USE enum sg_rc sg_audit_ended_read(struct sg_store *store, const struct sg_store_log *log,
                                           struct sg_audit_ended *ret, struct sg_err *err);

#endif
