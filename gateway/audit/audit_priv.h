#ifndef SG_GATEWAY_AUDIT_AUDIT_PRIV_H
#define SG_GATEWAY_AUDIT_AUDIT_PRIV_H

#include "formats/audit/signer.h"
#include "gateway/audit/anchor.h"
#include "gateway/audit/audit.h"

/*
 * The writing side: one log over one store, without threads. Each call blocks; one thread at a
 * time.
 */
struct sg_audit_writer {
    struct sg_store *store;
    struct sg_store_log log; /* its size is not kept up: the tree's is */
    struct sg_log_tree *tree;
    /* The newest that was signed: the log must have grown from it. */
    struct sg_tree_head promised;
    bool is_behind; /* the tree is not what was promised: it must catch up first */
    struct sg_note_signer *signer;
    struct sg_anchor *anchor; /* NULL: none */
    struct sg_buf text;       /* of a checkpoint, while it is made */
    int64_t last_time_ns;     /* the newest time of a record */
};

SG_MUST_USE enum sg_rc sg_audit_writer_open(struct sg_audit_writer *writer,
                                            const struct sg_audit_options *options,
                                            struct sg_err *err);
void sg_audit_writer_close(struct sg_audit_writer *writer);

/* Writes up to SG_LOG_TREE_GROUP_MAX entries in one commit and fills in what became of each.
 * SG_OK unless all of them failed by the store. */
SG_MUST_USE enum sg_rc sg_audit_write(struct sg_audit_writer *writer,
                                      struct sg_audit_entry **entries, size_t count,
                                      struct sg_err *err);

/* Appends the signed checkpoint of the tree as it is. */
SG_MUST_USE enum sg_rc sg_audit_checkpoint(struct sg_log_tree *tree, const char *origin,
                                           struct sg_note_signer *signer, struct sg_buf *text,
                                           struct sg_buf *out, struct sg_err *err);

/* Adds leaves to the index of what they say, at most a few thousand; false: there are none left. */
SG_MUST_USE enum sg_rc sg_audit_index_some(struct sg_store *store, const struct sg_store_log *log,
                                           uint64_t size, bool *ret_more, struct sg_err *err);

#endif
