#ifndef SG_GATEWAY_AUDIT_ARCHIVED_H
#define SG_GATEWAY_AUDIT_ARCHIVED_H

#include "formats/audit/record.h"
#include "formats/audit/tree.h"
#include "gateway/audit/log_tree.h"
#include "gateway/store/store.h"

/*
 * What a log says of its own archive. Before leaves leave the store, a record LEAVES_ARCHIVED in
 * the log tells how many, from leaf 0 on, are in files, and the root of their tree. So whoever can
 * write the store, and has not the log's key, cannot take leaves away and have it that they are in
 * an archive.
 *
 * The statements about a log are numbered from 1 on, and each is found by its number, through a
 * request key of its own. A gateway's start asks for the newest by some lookups, however long the
 * log is. Those about an epoch that has ended stand in a later one.
 */
enum { SG_AUDIT_ARCHIVED_BYTES_MAX = SG_STORE_ORIGIN_LEN_MAX + 48 };

struct sg_audit_archived {
    uint64_t number;      /* of the newest statement; 0: there is none */
    uint64_t log_id, seq; /* where it is */
    bool is_read;         /* false: its leaf is in an archive by now, and `head` is empty */
    struct sg_tree_hash leaf;
    struct sg_tree_head head; /* what it says is in files */
};

/* The newest about the log with this origin, in whatever log of the store. What it says is not
 * proved. Blocks. Errors: the store's. */
SG_MUST_USE enum sg_rc sg_audit_archived_find(struct sg_store *store, const char *origin,
                                              struct sg_audit_archived *ret, struct sg_err *err);

/* That the log says of the leaves before `log->first`, which are not in the store, that they are in
 * an archive; `log` is the newest epoch, found before `tree` was loaded, whose root is the caller's
 * to prove. Blocks. Errors: SG_E_INTERNAL STORE_BROKEN: it does not; the store's. */
SG_MUST_USE enum sg_rc sg_audit_archived_check(struct sg_store *store,
                                               const struct sg_store_log *log,
                                               struct sg_log_tree *tree, struct sg_err *err);

/* The statement with this number, and its request key. `ret` borrows `head` and `detail`. */
SG_MUST_USE enum sg_rc
sg_audit_archived_write(const char *origin, uint64_t number, const struct sg_tree_head *head,
                        char detail[SG_AUDIT_ARCHIVED_BYTES_MAX], struct sg_audit_record *ret,
                        uint8_t ret_key[SG_STORE_REQUEST_KEY_BYTES], struct sg_err *err);
/* The request key that a statement with this `detail` has. */
SG_MUST_USE enum sg_rc sg_audit_archived_key(struct sg_slice detail,
                                             uint8_t ret[SG_STORE_REQUEST_KEY_BYTES],
                                             struct sg_err *err);

#endif
