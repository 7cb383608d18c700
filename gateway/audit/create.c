#include "gateway/audit/create.h"

#include <unistd.h>

#include "gateway/audit/audit_priv.h"

static enum sg_rc write_log(struct sg_store *store, struct sg_store_log *log,
                            struct sg_note_signer *signer, const char *anchor_file,
                            struct sg_slice record, struct sg_buf *text, struct sg_buf *checkpoint,
                            struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_store_leaf leaf = {.record = record};
    struct sg_tree_hash hash;

    SG_TRY(sg_log_tree_new(store, 0, &tree, err));
    sg_log_tree_append(tree, record, &hash);
    SG_TRY(sg_audit_checkpoint(tree, log->origin, signer, text, checkpoint, err));
    if (anchor_file != NULL) {
        unlink(anchor_file);
        SG_TRY(sg_anchor_create(anchor_file, sg_buf_slice(checkpoint), err));
    }
    const struct sg_store_group group = {
        .leaves = &leaf, .leaf_count = 1, .checkpoint = sg_buf_slice(checkpoint)};
    return sg_store_create_log(store, log, NULL, &group, err);
}

enum sg_rc sg_audit_create(struct sg_store *store, struct sg_store_log *log,
                           struct sg_note_signer *signer, const char *anchor_file, int64_t time_ns,
                           struct sg_slice detail, struct sg_err *err)
{
    const struct sg_audit_record record = {
        .event = SG_AUDIT_LOG_STARTED, .time_ns = time_ns, .detail = detail};
    struct sg_buf bytes, text, checkpoint;

    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    sg_buf_init(&checkpoint, SG_NOTE_BYTES_MAX);
    sg_audit_record_write(&record, &bytes);
    enum sg_rc rc = sg_buf_check(&bytes, err);
    if (rc == SG_OK)
        rc = write_log(store, log, signer, anchor_file, sg_buf_slice(&bytes), &text, &checkpoint,
                       err);
    sg_buf_done(&checkpoint);
    sg_buf_done(&text);
    sg_buf_done(&bytes);
    return rc;
}
