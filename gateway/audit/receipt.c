#include "gateway/audit/receipt.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct sg_audit_note {
    atomic_size_t holders;
    struct sg_buf text;
};

struct sg_audit_note *sg_audit_note_new(struct sg_buf *text)
{
    struct sg_audit_note *note = malloc(sizeof(*note));
    if (note == NULL)
        return NULL;
    atomic_init(&note->holders, 1);
    note->text = *text;
    sg_buf_init(text, text->max);
    return note;
}

struct sg_audit_note *sg_audit_note_hold(struct sg_audit_note *note)
{
    atomic_fetch_add(&note->holders, 1);
    return note;
}

void sg_audit_note_free(struct sg_audit_note *note)
{
    if (note == NULL || atomic_fetch_sub(&note->holders, 1) != 1)
        return;
    sg_buf_done(&note->text);
    free(note);
}

struct sg_slice sg_audit_note_text(const struct sg_audit_note *note)
{
    return sg_buf_slice(&note->text);
}

void sg_audit_receipt_done(struct sg_audit_receipt *receipt)
{
    sg_audit_note_free(receipt->checkpoint);
    sg_buf_done(&receipt->record);
    *receipt = (struct sg_audit_receipt){0};
}

enum sg_rc sg_audit_receipt_copy(const struct sg_audit_receipt *receipt,
                                 struct sg_audit_receipt *ret, struct sg_err *err)
{
    struct sg_buf record;

    sg_buf_init(&record, SG_AUDIT_RECORD_BYTES_MAX);
    sg_buf_add_slice(&record, sg_buf_slice(&receipt->record));
    enum sg_rc rc = sg_buf_check(&record, err);
    if (rc != SG_OK) {
        sg_buf_done(&record);
        return rc;
    }
    *ret = *receipt;
    ret->record = record;
    sg_audit_note_hold(ret->checkpoint);
    return SG_OK;
}

/* Reading ---------------------------------------------------------------------------------- */

static enum sg_rc take_record(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    struct sg_audit_receipt *receipt = arg;
    if (seq != receipt->index)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the leaf is not in the store");
    sg_buf_add_slice(&receipt->record, record);
    return sg_buf_check(&receipt->record, err);
}

struct finding {
    uint64_t id;
    struct sg_store_log *ret;
    bool is_found;
};

static enum sg_rc on_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct finding *finding = arg;
    (void)err;
    if (log->id != finding->id)
        return SG_OK;
    *finding->ret = *log;
    finding->is_found = true;
    return SG_OK;
}

static enum sg_rc find_log(struct sg_store *store, uint64_t id, struct sg_store_log *ret,
                           struct sg_err *err)
{
    struct finding finding = {.id = id, .ret = ret};
    SG_TRY(sg_store_each_log(store, on_log, &finding, err));
    return finding.is_found
               ? SG_OK
               : SG_FAIL(err, SG_E_NOT_FOUND, 0, "there is no log %llu", (unsigned long long)id);
}

/* The newest checkpoint, and the size that it is of. */
static enum sg_rc read_checkpoint(struct sg_store *store, uint64_t log_id,
                                  struct sg_audit_note **ret, uint64_t *ret_size,
                                  struct sg_err *err)
{
    struct sg_checkpoint checkpoint;
    struct sg_note note;
    struct sg_buf text;

    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = sg_store_read_checkpoint(store, log_id, &text, err);
    if (rc == SG_OK)
        rc = sg_note_parse(sg_buf_slice(&text), &note, err);
    if (rc == SG_OK)
        rc = sg_checkpoint_parse(note.text, &checkpoint, err);
    if (rc == SG_OK) {
        *ret_size = checkpoint.head.size;
        *ret = sg_audit_note_new(&text);
        if (*ret == NULL)
            rc = SG_FAIL(err, SG_E_LIMIT, 0, "no memory for a checkpoint");
    }
    sg_buf_done(&text);
    return rc;
}

/* All but the record. */
static enum sg_rc prove(struct sg_store *store, struct sg_log_tree *tree, uint64_t log_id,
                        uint64_t seq, struct sg_audit_receipt *ret, struct sg_err *err)
{
    uint64_t size = 0;

    SG_TRY(read_checkpoint(store, log_id, &ret->checkpoint, &size, err));
    if (seq >= size)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the log has %llu leaves", (unsigned long long)size);
    SG_TRY(sg_log_tree_load(tree, size, err));
    SG_TRY(sg_log_tree_leaf(tree, seq, &ret->leaf, err));
    return sg_log_tree_prove_leaf(tree, seq, &ret->proof, err);
}

/* Somebody may have changed the record since it was hashed. */
static enum sg_rc check_record(struct sg_log_tree *tree, const struct sg_audit_receipt *receipt,
                               struct sg_err *err)
{
    struct sg_tree_hash leaf;

    sg_log_tree_hash(tree, sg_buf_slice(&receipt->record), &leaf);
    if (sg_tree_hash_eq(&leaf, &receipt->leaf))
        return SG_OK;
    return SG_REFUSE(err, SG_R_STORE_BROKEN, "leaf %llu of log \"%s\" is not what was written",
                     (unsigned long long)receipt->index, receipt->log);
}

static enum sg_rc read_receipt(struct sg_store *store, struct sg_log_tree *tree,
                               const struct sg_store_log *tree_log, uint64_t log_id, uint64_t seq,
                               struct sg_audit_receipt *ret, struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *other = NULL;
    struct sg_store_log log = *tree_log;

    if (log_id != log.id) {
        SG_TRY(find_log(store, log_id, &log, err));
        SG_TRY(sg_log_tree_new(store, log_id, &other, err));
    }
    snprintf(ret->log, sizeof(ret->log), "%s", log.name);
    ret->epoch = log.epoch;
    if (other != NULL)
        tree = other;
    SG_TRY(prove(store, tree, log_id, seq, ret, err));
    SG_TRY(sg_store_read_leaves(store, log_id, seq, 1, take_record, ret, err));
    if (ret->record.len == 0 && seq < SG_STORE_BEGINNING)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "there is no leaf %llu of log \"%s\"",
                         (unsigned long long)seq, log.name);
    if (ret->record.len == 0)
        return SG_REFUSE(err, SG_R_LEAF_ARCHIVED, "leaf %llu of log \"%s\" is in an archive",
                         (unsigned long long)seq, log.name);
    return check_record(tree, ret, err);
}

enum sg_rc sg_audit_receipt_read(struct sg_store *store, struct sg_log_tree *tree,
                                 const struct sg_store_log *tree_log, uint64_t log_id, uint64_t seq,
                                 struct sg_audit_receipt *ret, struct sg_err *err)
{
    struct sg_audit_receipt receipt = {.index = seq};

    sg_buf_init(&receipt.record, SG_AUDIT_RECORD_BYTES_MAX);
    enum sg_rc rc = read_receipt(store, tree, tree_log, log_id, seq, &receipt, err);
    if (rc == SG_OK)
        *ret = receipt;
    else
        sg_audit_receipt_done(&receipt);
    return rc;
}

enum sg_rc sg_audit_head_of(struct sg_slice checkpoint, const struct sg_store_log *log,
                            const struct sg_note_key *key, struct sg_tree_head *ret,
                            struct sg_err *err)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_checkpoint parsed;
    struct sg_note note;
    uint64_t time;

    if (sg_note_parse(checkpoint, &note, NULL) != SG_OK ||
        sg_note_judge(&note, key, &verdict, &time, NULL) != SG_OK || verdict != SG_NOTE_SIGNED ||
        sg_checkpoint_parse(note.text, &parsed, NULL) != SG_OK ||
        !sg_slice_is(parsed.origin, log->origin))
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log \"%s\": its newest checkpoint is none of \"%s\" by its key",
                         log->name, log->origin);
    *ret = parsed.head;
    return SG_OK;
}

enum sg_rc sg_audit_head_read(struct sg_store *store, const struct sg_store_log *log,
                              const struct sg_note_key *key, struct sg_tree_head *ret,
                              struct sg_err *err)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = sg_store_read_checkpoint(store, log->id, &text, err);
    if (rc == SG_OK)
        rc = sg_audit_head_of(sg_buf_slice(&text), log, key, ret, err);
    sg_buf_done(&text);
    return rc;
}
