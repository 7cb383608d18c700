#include "gateway/audit/create.h"

#include <unistd.h>

#include "gateway/audit/audit_priv.h"

/* The buffers that making a log takes. */
struct making {
    struct sg_buf records, text, checkpoint;
    size_t ends[SG_AUDIT_BEGINNING_MAX]; /* of each record */
};

static enum sg_rc write_log(struct sg_store *store, struct sg_store_log *log,
                            struct sg_note_signer *signer, const char *anchor_file,
                            const struct sg_audit_beginning *beginning, struct making *making,
                            struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_store_leaf leaves[SG_AUDIT_BEGINNING_MAX] = {0};
    struct sg_tree_hash hash;

    SG_TRY(sg_log_tree_new(store, 0, &tree, err));
    for (size_t i = 0, at = 0; i < beginning->count; at = making->ends[i++]) {
        leaves[i].record = sg_slice_of(making->records.ptr + at, making->ends[i] - at);
        sg_log_tree_append(tree, leaves[i].record, &hash);
    }
    SG_TRY(sg_audit_checkpoint(tree, log->origin, signer, &making->text, &making->checkpoint, err));
    if (anchor_file != NULL) {
        unlink(anchor_file);
        SG_TRY(sg_anchor_create(anchor_file, sg_buf_slice(&making->checkpoint), err));
    }
    const struct sg_store_group group = {.leaves = leaves,
                                         .leaf_count = beginning->count,
                                         .checkpoint = sg_buf_slice(&making->checkpoint)};
    return sg_store_create_log(store, log, beginning->ends, &group, err);
}

enum sg_rc sg_audit_create(struct sg_store *store, struct sg_store_log *log,
                           struct sg_note_signer *signer, const char *anchor_file,
                           const struct sg_audit_beginning *beginning, struct sg_err *err)
{
    struct making making;

    SG_ASSERT(beginning->count > 0 && beginning->count <= SG_AUDIT_BEGINNING_MAX);
    sg_buf_init(&making.records, SG_AUDIT_BEGINNING_MAX * SG_AUDIT_RECORD_BYTES_MAX);
    sg_buf_init(&making.text, SG_NOTE_BYTES_MAX);
    sg_buf_init(&making.checkpoint, SG_NOTE_BYTES_MAX);
    for (size_t i = 0; i < beginning->count; i++) {
        sg_audit_record_write(&beginning->records[i], &making.records);
        making.ends[i] = making.records.len;
    }
    enum sg_rc rc = sg_buf_check(&making.records, err);
    if (rc == SG_OK)
        rc = write_log(store, log, signer, anchor_file, beginning, &making, err);
    sg_buf_done(&making.checkpoint);
    sg_buf_done(&making.text);
    sg_buf_done(&making.records);
    return rc;
}
