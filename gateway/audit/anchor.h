#ifndef SG_GATEWAY_AUDIT_ANCHOR_H
#define SG_GATEWAY_AUDIT_ANCHOR_H

#include "formats/audit/checkpoint.h"

/*
 * The newest checkpoint of a log in a file of its own, outside the store and whatever backs it up:
 * a store that was put back to an earlier state is behind it, and is found out.
 *
 * It is written with each commit and survives the process that wrote it; what a loss of power may
 * take is bounded by sg_anchor_sync(). Two places are written in turn, so that one is always whole.
 * Thread: any, one at a time.
 */
struct sg_anchor;

/* A new file, on the disk with its name. Errors: SG_E_CONFLICT: there is one. */
SG_MUST_USE enum sg_rc sg_anchor_create(const char *path, struct sg_slice checkpoint,
                                        struct sg_err *err);
/* Errors: SG_E_NOT_FOUND: there is no such file. */
SG_MUST_USE enum sg_rc sg_anchor_open(const char *path, struct sg_anchor **ret, struct sg_err *err);
void sg_anchor_close(struct sg_anchor *anchor);
SG_DEFINE_AUTO(struct sg_anchor, sg_anchor_close);

/* The newest head of this origin that the log's key has signed. Errors: SG_E_NOT_FOUND: there is
 * none; SG_E_INTERNAL. */
SG_MUST_USE enum sg_rc sg_anchor_read(struct sg_anchor *anchor, struct sg_slice origin,
                                      const struct sg_note_key *key, struct sg_tree_head *ret,
                                      struct sg_err *err);
/* Writes a newer one. Errors: SG_E_LIMIT: it is too long; SG_E_UNAVAILABLE. */
SG_MUST_USE enum sg_rc sg_anchor_write(struct sg_anchor *anchor, struct sg_slice checkpoint,
                                       struct sg_err *err);
/* What was written is on the disk. Blocks. Thread: any. */
SG_MUST_USE enum sg_rc sg_anchor_sync(const struct sg_anchor *anchor, struct sg_err *err);

#endif
