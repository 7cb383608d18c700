#ifndef SG_GATEWAY_AUDIT_CREATE_H
#define SG_GATEWAY_AUDIT_CREATE_H

#include "formats/audit/record.h"
#include "formats/audit/signer.h"
#include "gateway/store/store.h"

/* What a log begins with. */
struct sg_audit_beginning {
    const struct sg_audit_record *records; /* the first tells of the start */
    size_t count;                          /* 1 to SG_AUDIT_BEGINNING_MAX */
    const struct sg_store_log *ends;       /* the epoch before it; NULL: there is none */
};

enum { SG_AUDIT_BEGINNING_MAX = 8 };

/*
 * Makes a log: its first leaves, its checkpoint, and its anchor (NULL: none). `log` has name,
 * origin and epoch; its id and size are set. The anchor is written first: a log without one would
 * be refused, and one without a log is replaced. Blocks. Errors: SG_E_CONFLICT: there is such a
 * log, or the one that ends has grown.
 */
SG_MUST_USE enum sg_rc sg_audit_create(struct sg_store *store, struct sg_store_log *log,
                                       struct sg_note_signer *signer, const char *anchor_file,
                                       const struct sg_audit_beginning *beginning,
                                       struct sg_err *err);

#endif
