#ifndef SG_GATEWAY_RPC_AUDIT_MESSAGE_H
#define SG_GATEWAY_RPC_AUDIT_MESSAGE_H

#include "base/arena.h"
#include "gateway/rpc/audit_leaves.h"
#include "sealgate/v1/audit.pb-c.h"

/*
 * What the calls of the AuditService have in common: names of logs and leaves, filters, and leaves
 * as messages. Thread: any, unless said otherwise.
 */

/* Which log is meant: its name; its epoch, 0: the newest. Zeroed, it is the gateway's own. */
struct sg_audit_name {
    char log[SG_STORE_NAME_LEN_MAX + 1];
    uint32_t epoch;
};

/* "audit/{log}" or "audit/{log}/epochs/{n}", or with "/leaves/{seq}" where `ret_seq` is not NULL;
 * "" is the gateway's own log. Errors: SG_E_INVALID BAD_NAME. */
SG_MUST_USE enum sg_rc sg_audit_name_read(const char *name, struct sg_audit_name *ret,
                                          uint64_t *ret_seq, struct sg_err *err);

/* "audit/{log}/epochs/{n}" in the arena, which means the same for ever; NULL: no memory. */
char *sg_audit_name_new(struct sg_arena *arena, const char *log, uint32_t epoch);

/* The log that is meant, as it is now. Blocks. Thread: the log's reading one. Errors: the store's;
 * SG_E_NOT_FOUND LEAF_NOT_FOUND: there is none. */
SG_MUST_USE enum sg_rc sg_audit_log_find(struct sg_audit_reader *reader,
                                         const struct sg_audit_name *name, struct sg_store_log *ret,
                                         struct sg_err *err);

/* The filter of a request; NULL: none. What it says is copied into `kept`, which is empty, so that
 * it may outlive the call. Errors: SG_E_LIMIT MESSAGE_TOO_LARGE: longer than any record; no memory.
 */
SG_MUST_USE enum sg_rc sg_audit_filter_read(const Sealgate__V1__AuditFilter *filter,
                                            struct sg_leaves_filter *ret, struct sg_buf *kept,
                                            struct sg_err *err);

/* A leaf of `log` in the arena, borrowing nothing. NULL: no memory. */
Sealgate__V1__AuditLeaf *sg_audit_leaf_new(struct sg_arena *arena, const struct sg_store_log *log,
                                           uint64_t seq, struct sg_slice record);

#endif
