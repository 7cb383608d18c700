#ifndef SG_GATEWAY_AUDIT_CREATE_H
#define SG_GATEWAY_AUDIT_CREATE_H

#include "formats/audit/signer.h"
#include "gateway/store/store.h"

/*
 * Makes a log: leaf 0, which says `detail`, its checkpoint, and its anchor (NULL: none). `log` has
 * name, origin and epoch; its id and size are set. The anchor is written first: a log without one
 * would be refused, and one without a log is replaced. Blocks.
 */
SG_MUST_USE enum sg_rc sg_audit_create(struct sg_store *store, struct sg_store_log *log,
                                       struct sg_note_signer *signer, const char *anchor_file,
                                       int64_t time_ns, struct sg_slice detail, struct sg_err *err);

#endif
