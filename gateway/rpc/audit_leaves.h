#ifndef SG_GATEWAY_RPC_AUDIT_LEAVES_H
#define SG_GATEWAY_RPC_AUDIT_LEAVES_H

#include "gateway/audit/audit.h"

/*
 * A page of a log: leaves from one on that a filter lets through. Asked on the log's reading
 * thread; knows no protobuf.
 */
enum {
    SG_LEAVES_PAGE_MAX = 1000,
    /* Of records: as JSON, with what they say beside their bytes, they take up to seven times that,
     * and an answer has a mebibyte. */
    SG_LEAVES_BYTES_MAX = 128 * 1024,
};

/* Every field that is set must match. Its bytes live as long as the question. */
struct sg_leaves_filter {
    enum sg_audit_event event;
    struct sg_slice caller, key, request_id, digest, signature, public_key_sha256, document_number;
    int64_t since_ns, until_ns; /* 0: unset */
};

bool sg_leaves_match(const struct sg_leaves_filter *filter, const struct sg_audit_record *record);

/* Moves `place` forward over leaves of which the index knows that the filter lets none through.
 * Errors: the store's. */
SG_MUST_USE enum sg_rc sg_leaves_skip(struct sg_audit_reader *reader, uint64_t log_id,
                                      const struct sg_leaves_filter *filter, uint64_t *place,
                                      struct sg_err *err);

struct sg_leaves {
    uint64_t *seqs; /* of those that were found */
    size_t *ends;   /* where each record ends in `bytes` */
    size_t count;
    struct sg_buf bytes; /* the records, one behind the other */
    uint64_t next;       /* where to go on */
    bool is_more;        /* perhaps */
};

/* `ret` is empty. Errors: the store's; SG_E_LIMIT: no memory. */
SG_MUST_USE enum sg_rc sg_leaves_read(struct sg_audit_reader *reader, uint64_t log_id,
                                      const struct sg_leaves_filter *filter, uint64_t first,
                                      size_t max, struct sg_leaves *ret, struct sg_err *err);
void sg_leaves_done(struct sg_leaves *leaves);
/* One of them; borrows. */
struct sg_slice sg_leaves_record(const struct sg_leaves *leaves, size_t i);

#endif
