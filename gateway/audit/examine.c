#include "gateway/audit/examine.h"

#include "gateway/audit/anchor.h"
#include "gateway/audit/receipt.h"
#include "gateway/audit/verify.h"

static enum sg_rc read_anchor(const char *path, const struct sg_store_log *log,
                              const struct sg_note_key *key, struct sg_audit_found *found,
                              struct sg_err *err)
{
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;

    enum sg_rc rc = sg_anchor_open(path, &anchor, err);
    if (rc == SG_OK)
        rc = sg_anchor_read(anchor, sg_slice_str(log->origin), key, &found->anchor, err);
    found->is_anchored = rc == SG_OK;
    return rc == SG_E_NOT_FOUND ? SG_OK : rc;
}

enum sg_rc sg_audit_grew_from(struct sg_store *store, const struct sg_store_log *log, uint64_t size,
                              const struct sg_tree_head *head, struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_tree_hash root;

    if (head->size > size)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "the log has %llu leaves, and had %llu",
                       (unsigned long long)size, (unsigned long long)head->size);
    SG_TRY(sg_log_tree_new(store, log->id, &tree, err));
    SG_TRY(sg_log_tree_load(tree, size, err));
    SG_TRY(sg_log_tree_root_at(tree, head->size, &root, err));
    if (memcmp(&root, &head->root, sizeof(root)) != 0)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "the first %llu leaves of the log are others",
                       (unsigned long long)head->size);
    return SG_OK;
}

/* Of a log that proves itself. */
static enum sg_rc compare(struct sg_store *store, const struct sg_store_log *log,
                          struct sg_audit_found *found, struct sg_err *err)
{
    if (!found->is_anchored) {
        found->state = SG_EPOCH_UNANCHORED;
    } else if (found->anchor.size > found->store.size) {
        found->state = SG_EPOCH_BEHIND;
    } else {
        enum sg_rc rc = sg_audit_grew_from(store, log, found->store.size, &found->anchor, err);
        if (rc != SG_OK && rc != SG_E_CONFLICT)
            return rc;
        found->state = rc == SG_OK ? SG_EPOCH_SOUND : SG_EPOCH_FORKED;
    }
    return SG_OK;
}

enum sg_rc sg_audit_examine(struct sg_store *store, const struct sg_store_log *log,
                            const struct sg_note_key *key, const char *anchor_file,
                            struct sg_audit_found *ret, struct sg_err *err)
{
    const struct sg_audit_verify_options options = {.log = log, .key = key};
    struct sg_audit_found found = {0};
    struct sg_audit_verified verified;

    SG_TRY(read_anchor(anchor_file, log, key, &found, err));
    enum sg_rc rc = sg_audit_head_read(store, log, key, &found.store, &found.why);
    found.is_stored = rc == SG_OK;
    if (rc == SG_OK)
        rc = sg_audit_verify(store, &options, &verified, &found.why);
    if (rc == SG_OK) {
        found.store = verified.head; /* somebody may have appended meanwhile */
        SG_TRY(compare(store, log, &found, err));
    } else if (found.why.reason == SG_R_STORE_BROKEN) {
        found.state = SG_EPOCH_BROKEN;
    } else {
        if (err != NULL)
            *err = found.why;
        return rc;
    }
    *ret = found;
    return SG_OK;
}

/* Leaf 0 is in the tree of the checkpoint. */
static enum sg_rc check_first(const struct sg_audit_receipt *receipt,
                              const struct sg_tree_head *head, struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;

    SG_TRY(sg_tree_hasher_new(&hasher, err));
    return sg_tree_check_leaf(hasher, &receipt->leaf, 0, head, &receipt->proof, err);
}

enum sg_rc sg_audit_beginning_read(struct sg_store *store, const struct sg_store_log *log,
                                   const struct sg_note_key *key, struct sg_buf *detail,
                                   struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_audit_receipt receipt = {0};
    struct sg_audit_record record;
    struct sg_tree_head head;

    SG_TRY(sg_log_tree_new(store, log->id, &tree, err));
    SG_TRY(sg_audit_receipt_read(store, tree, log, log->id, 0, &receipt, err));
    /* The receipt's own checkpoint, since the log may grow meanwhile. */
    enum sg_rc rc = sg_audit_head_of(sg_audit_note_text(receipt.checkpoint), log, key, &head, err);
    if (rc == SG_OK &&
        (check_first(&receipt, &head, NULL) != SG_OK ||
         sg_audit_record_parse(sg_buf_slice(&receipt.record), &record, NULL) != SG_OK ||
         record.event != SG_AUDIT_LOG_STARTED))
        rc = SG_REFUSE(err, SG_R_STORE_BROKEN, "leaf 0 of log \"%s\" does not prove itself",
                       log->name);
    if (rc == SG_OK) {
        sg_buf_add_slice(detail, record.detail);
        rc = sg_buf_check(detail, err);
    }
    sg_audit_receipt_done(&receipt);
    return rc;
}

static enum sg_rc copy_detail(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_record record;

    (void)seq;
    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    if (record.event == SG_AUDIT_EPOCH_STATED)
        sg_buf_add_slice(arg, record.detail);
    return SG_OK;
}

/* The checkpoint behind the statement, if there is one. */
static bool read_last(struct sg_slice note_text, struct sg_audit_ended *ended)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    uint64_t time;

    ended->is_stored = note_text.len > 0;
    if (!ended->is_stored)
        return true;
    if (sg_note_parse(note_text, &note, NULL) != SG_OK ||
        sg_note_judge(&note, ended->key, &verdict, &time, NULL) != SG_OK ||
        verdict != SG_NOTE_SIGNED || sg_checkpoint_parse(note.text, &checkpoint, NULL) != SG_OK)
        return false;
    ended->head = checkpoint.head;
    return true;
}

static enum sg_rc read_ended(struct sg_slice detail, const struct sg_store_log *log,
                             struct sg_audit_ended *ended, struct sg_err *err)
{
    struct sg_epoch_statement statement;
    size_t len = 0;

    if (sg_epoch_statement_parse(detail, &statement, &len, NULL) != SG_OK ||
        statement.new_epoch != log->epoch ||
        sg_note_key_parse(statement.old_key, &ended->key, NULL) != SG_OK ||
        !read_last(sg_slice_of(detail.ptr + len, detail.len - len), ended))
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log \"%s\": leaf 1 of epoch %u does not tell how the one before ended",
                         log->name, (unsigned)log->epoch);
    ended->state = statement.state;
    ended->epoch = statement.old_epoch;
    return SG_OK;
}

enum sg_rc sg_audit_ended_read(struct sg_store *store, const struct sg_store_log *log,
                               struct sg_audit_ended *ret, struct sg_err *err)
{
    struct sg_audit_ended ended = {0};
    struct sg_buf detail;

    if (log->epoch <= 1)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "log \"%s\" has no epoch before its first",
                       log->name);
    sg_buf_init(&detail, SG_AUDIT_TEXT_BYTES_MAX);
    enum sg_rc rc = sg_store_read_leaves(store, log->id, 1, 1, copy_detail, &detail, err);
    if (rc == SG_OK)
        rc = sg_buf_check(&detail, err);
    if (rc == SG_OK)
        rc = read_ended(sg_buf_slice(&detail), log, &ended, err);
    sg_buf_done(&detail);
    if (rc == SG_OK)
        *ret = ended;
    else
        sg_note_key_free(ended.key);
    return rc;
}
