#ifndef SG_GATEWAY_AUDIT_VERIFY_H
#define SG_GATEWAY_AUDIT_VERIFY_H

#include "formats/audit/note.h"
#include "formats/audit/tree.h"
#include "gateway/audit/archive_files.h"
#include "gateway/store/store.h"

/*
 * Proves a whole log of a store: that every leaf is there and is a record, has the request key of
 * its record and is found by it, that each is what its tile says, that the tiles make the tree of
 * the newest checkpoint, that the log's key signed it, and that what an anchor remembers is a part
 * of it. Reads every byte of the log once; holds one leaf and a few tiles. Blocks. The log may grow
 * meanwhile; `log` was found before.
 *
 * Leaves before the store's first one must be in an archive. Of the newest epoch the log itself
 * must say so (archived.h). With folders every file of the log in them is proved, and the leaves
 * are read from there, as others are from the store, but for this: that a leaf without a request
 * key has none in the store either is not known. Without folders the tiles stand for these leaves:
 * whether they are anywhere is for the caller to find out.
 */
struct sg_audit_verify_options {
    const struct sg_store_log *log;
    const struct sg_note_key *key;
    const struct sg_tree_head *anchored;       /* NULL: no anchor */
    const struct sg_archive_folders *archives; /* NULL: they are not looked at */
};

struct sg_audit_verified {
    uint64_t size;   /* leaves */
    uint64_t first;  /* those before it are in an archive, but for what the log begins with */
    uint64_t unseen; /* of these, leaves that were not looked at */
    uint64_t files;  /* of the archive, that were proved, */
    uint64_t filed;  /* and the end of their leaves */
    int64_t begin_ns, end_ns; /* the oldest and the newest time of a record */
    struct sg_tree_head head; /* that the checkpoint promises */
};

/* Errors: those of the store; SG_E_INTERNAL STORE_BROKEN names what is wrong first; SG_E_CONFLICT
 * STORE_ROLLED_BACK: the anchor or an archive remembers another log; SG_E_INVALID: a file of an
 * archive does not prove itself; SG_E_NOT_FOUND: leaves are neither in the store nor in the
 * folders; SG_E_UNAVAILABLE: a folder or a file cannot be read. */
SG_MUST_USE enum sg_rc sg_audit_verify(struct sg_store *store,
                                       const struct sg_audit_verify_options *options,
                                       struct sg_audit_verified *ret, struct sg_err *err);

#endif
