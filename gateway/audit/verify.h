#ifndef SG_GATEWAY_AUDIT_VERIFY_H
#define SG_GATEWAY_AUDIT_VERIFY_H

#include "formats/audit/note.h"
#include "formats/audit/tree.h"
#include "gateway/store/store.h"

/*
 * Proves a whole log of a store: that every leaf is there and is a record, has the request key of
 * its record and is found by it, that each is what its tile says, that the tiles make the tree of
 * the newest checkpoint, that the log's key signed it, and that what an anchor remembers is a part
 * of it. Reads every byte of the log once; holds one leaf and a few tiles. Of leaves that are in an
 * archive the tiles stand for them, and nothing for their request keys. Blocks. The log may grow
 * meanwhile; `log` was found before.
 */
struct sg_audit_verified {
    uint64_t size;            /* leaves */
    uint64_t first;           /* those before it are in an archive */
    int64_t begin_ns, end_ns; /* the oldest and the newest time of a record */
    struct sg_tree_head head; /* that the checkpoint promises */
};

/* `anchored` NULL: no anchor. Errors: those of the store; SG_E_INTERNAL STORE_BROKEN names what is
 * wrong first; SG_E_CONFLICT STORE_ROLLED_BACK: the anchor remembers another log. */
SG_MUST_USE enum sg_rc sg_audit_verify(struct sg_store *store, const struct sg_store_log *log,
                                       const struct sg_note_key *key,
                                       const struct sg_tree_head *anchored,
                                       struct sg_audit_verified *ret, struct sg_err *err);

#endif
