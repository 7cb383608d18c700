#include <stdio.h>

#include "gateway/audit/archived.h"
#include "gateway/audit/audit_priv.h"

enum {
    TRIES_MAX = 16,   /* of a group that somebody else is in the way of */
    LAST_LEAVES = 64, /* whose times are looked at when a log is opened */
    UNAVAILABLE_RETRY_MS = 1000,
};

/* Opening ---------------------------------------------------------------------------------- */

static enum sg_rc open_signer(const char *path, struct sg_note_signer **ret, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    SG_TRY(sg_secret_read_file(path, SG_NOTE_PRIVATE_BYTES_MAX, &secret, err));
    SG_TRY(sg_note_signer_new(sg_secret_bytes(secret), ret, err));
    if (sg_note_key_kind(sg_note_signer_key(*ret)) != SG_NOTE_ED25519)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" holds a witness's key and none of a log",
                       path);
    return SG_OK;
}

static enum sg_rc rolled_back(const struct sg_audit_writer *writer, uint64_t size, const char *what,
                              uint64_t promised, struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                     "log \"%s\": the store has %llu leaves and %s checkpoint of %llu",
                     writer->log.name, (unsigned long long)size, what,
                     (unsigned long long)promised);
}

static enum sg_rc check_size(const struct sg_audit_writer *writer, uint64_t size,
                             struct sg_err *err)
{
    struct sg_store_log log;

    /* One was read before the checkpoint and one behind it: it may have grown, and nothing else. */
    SG_TRY(sg_store_find_log(writer->store, writer->log.name, &log, err));
    const bool is_short = log.id == writer->log.id && log.size < size;
    if (is_short || writer->log.size > size)
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log \"%s\": it has %llu leaves and a checkpoint of %llu", log.name,
                         (unsigned long long)(is_short ? log.size : writer->log.size),
                         (unsigned long long)size);
    return SG_OK;
}

/* The tree as the newest checkpoint has it. A gateway that is still writing may be further by now:
 * that is caught up with when something is appended. */
static enum sg_rc load_tree(struct sg_audit_writer *writer, const struct sg_tree_head *head,
                            struct sg_err *err)
{
    struct sg_tree_hash root;

    SG_TRY(check_size(writer, head->size, err));
    SG_TRY(sg_log_tree_load(writer->tree, head->size, err));
    sg_log_tree_root(writer->tree, &root);
    if (!sg_tree_hash_eq(&root, &head->root))
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log \"%s\": its %llu leaves are not those of its newest checkpoint",
                         writer->log.name, (unsigned long long)head->size);
    return SG_OK;
}

static enum sg_rc read_head(struct sg_audit_writer *writer, struct sg_tree_head *ret,
                            struct sg_err *err)
{
    return sg_audit_head_read(writer->store, &writer->log, sg_note_signer_key(writer->signer), ret,
                              err);
}

/* What the anchor remembers. It is written behind each commit, so whoever reads it before the store
 * never finds it ahead of a store that is as it should be. */
static enum sg_rc read_anchor(struct sg_audit_writer *writer, const char *path,
                              struct sg_tree_head *ret, struct sg_err *err)
{
    enum sg_rc rc = sg_anchor_open(path, &writer->anchor, err);
    if (rc == SG_E_NOT_FOUND)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK, "log \"%s\" has no anchor: put \"%s\" back",
                         writer->log.name, path);
    SG_TRY(rc);
    rc = sg_anchor_read(writer->anchor, sg_slice_str(writer->log.origin),
                        sg_note_signer_key(writer->signer), ret, err);
    if (rc == SG_E_NOT_FOUND)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                         "log \"%s\": its anchor has no checkpoint of it", writer->log.name);
    return rc;
}

/* That the tree, which is loaded, has grown from what somebody remembers. */
static enum sg_rc check_grown(const struct sg_audit_writer *writer, const struct sg_tree_head *from,
                              const char *whose, struct sg_err *err)
{
    const uint64_t size = sg_log_tree_size(writer->tree);
    struct sg_tree_hash root;
    char what[64];

    if (from->size > size) {
        snprintf(what, sizeof(what), "is behind %s", whose);
        return rolled_back(writer, size, what, from->size, err);
    }
    SG_TRY(sg_log_tree_root_at(writer->tree, from->size, &root, err));
    if (sg_tree_hash_eq(&root, &from->root))
        return SG_OK;
    snprintf(what, sizeof(what), "does not grow from %s", whose);
    return rolled_back(writer, size, what, from->size, err);
}

static enum sg_rc on_last(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_writer *writer = arg;
    struct sg_audit_record record;

    if (sg_audit_record_parse(bytes, &record, NULL) != SG_OK)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "leaf %llu of log \"%s\" is no record",
                         (unsigned long long)seq, writer->log.name);
    if (record.time_ns > writer->last_time_ns)
        writer->last_time_ns = record.time_ns;
    return SG_OK;
}

enum sg_rc sg_audit_writer_open(struct sg_audit_writer *writer,
                                const struct sg_audit_options *options, struct sg_err *err)
{
    struct sg_tree_head anchored, head;

    *writer = (struct sg_audit_writer){0};
    sg_buf_init(&writer->text, SG_NOTE_BYTES_MAX);
    SG_TRY(sg_store_open(options->store, &writer->store, err));
    SG_TRY(sg_store_check_safe(writer->store, err));
    enum sg_rc rc = sg_store_find_log(writer->store, options->log, &writer->log, err);
    if (rc == SG_E_NOT_FOUND)
        return SG_REFUSE(err, SG_R_AUDIT_NOT_INITIALISED,
                         "the store has no log \"%s\": run \"sealgated init\"", options->log);
    SG_TRY(rc);
    SG_TRY(open_signer(options->key_file, &writer->signer, err));
    SG_TRY(sg_log_tree_new(writer->store, writer->log.id, &writer->tree, err));
    SG_TRY(read_head(writer, &head, err)); /* another key is told before an anchor by another */
    if (options->anchor_file != NULL) {
        SG_TRY(read_anchor(writer, options->anchor_file, &anchored, err));
        /* A gateway that is still writing has committed since what the anchor has by now. */
        SG_TRY(read_head(writer, &head, err));
    }
    SG_TRY(load_tree(writer, &head, err));
    if (options->anchor_file != NULL)
        SG_TRY(check_grown(writer, &anchored, "the anchor's", err));
    SG_TRY(sg_audit_archived_check(writer->store, &writer->log, writer->tree, err));
    writer->promised = head;
    const uint64_t size = writer->log.size = head.size;
    const uint64_t first = size > LAST_LEAVES ? size - LAST_LEAVES : 0;
    return sg_store_read_leaves(writer->store, writer->log.id, first, LAST_LEAVES, on_last, writer,
                                err);
}

void sg_audit_writer_close(struct sg_audit_writer *writer)
{
    sg_anchor_close(writer->anchor);
    sg_note_signer_free(writer->signer);
    sg_log_tree_free(writer->tree);
    sg_store_close(writer->store);
    sg_buf_done(&writer->text);
    *writer = (struct sg_audit_writer){0};
}

/* Writing ---------------------------------------------------------------------------------- */

enum sg_rc sg_audit_checkpoint(struct sg_log_tree *tree, const char *origin,
                               struct sg_note_signer *signer, struct sg_buf *text,
                               struct sg_buf *out, struct sg_err *err)
{
    struct sg_checkpoint checkpoint = {.origin = sg_slice_str(origin),
                                       .head = {.size = sg_log_tree_size(tree)}};

    sg_log_tree_root(tree, &checkpoint.head.root);
    sg_buf_clear(text);
    sg_checkpoint_write(&checkpoint, text);
    SG_TRY(sg_buf_check(text, err));
    return sg_note_sign(signer, sg_buf_slice(text), out, err);
}

/* The entries of a group that are still to be written, and what the store is told of them. */
struct group {
    struct sg_audit_entry *entries[SG_LOG_TREE_GROUP_MAX];
    struct sg_store_leaf leaves[SG_LOG_TREE_GROUP_MAX];
    size_t count;
};

/* Once; the tree has the leaves while the store is asked. */
static enum sg_rc append_once(struct sg_audit_writer *writer, struct group *group,
                              struct sg_buf *checkpoint, enum sg_store_outcome *ret,
                              struct sg_err *err)
{
    struct sg_store_group wanted = {.log_id = writer->log.id,
                                    .old_size = sg_log_tree_size(writer->tree),
                                    .leaves = group->leaves,
                                    .leaf_count = group->count};

    for (size_t i = 0; i < group->count; i++) {
        struct sg_audit_entry *entry = group->entries[i];
        struct sg_audit_receipt *receipt = &entry->receipt;
        receipt->index = wanted.old_size + i;
        sg_log_tree_append(writer->tree, sg_buf_slice(&entry->bytes), &receipt->leaf);
        group->leaves[i].record = sg_buf_slice(&entry->bytes);
        memcpy(group->leaves[i].request_key, entry->request_key, sizeof(entry->request_key));
        group->leaves[i].is_taken = false;
    }
    wanted.tiles = sg_log_tree_filled(writer->tree, &wanted.tile_count);
    sg_buf_clear(checkpoint);
    enum sg_rc rc = sg_audit_checkpoint(writer->tree, writer->log.origin, writer->signer,
                                        &writer->text, checkpoint, err);
    wanted.checkpoint = sg_buf_slice(checkpoint);
    if (rc == SG_OK)
        rc = sg_store_append(writer->store, &wanted, ret, err);
    if (rc != SG_OK || *ret != SG_STORE_WRITTEN) {
        sg_log_tree_drop(writer->tree);
        return rc;
    }
    sg_log_tree_keep(writer->tree);
    writer->promised.size = sg_log_tree_size(writer->tree);
    sg_log_tree_root(writer->tree, &writer->promised.root);
    return SG_OK;
}

static void fail_entry(struct sg_audit_entry *entry, const struct sg_err *err)
{
    entry->outcome = SG_AUDIT_FAILED;
    entry->err = *err;
    entry->retry_ms = err->rc == SG_E_UNAVAILABLE ? UNAVAILABLE_RETRY_MS : 0;
}

/* What somebody else wrote by the same key is its answer. */
static void take_winner(struct sg_audit_writer *writer, struct sg_audit_entry *entry)
{
    uint64_t log_id = 0, seq = 0;
    struct sg_err err = {0};

    enum sg_rc rc = sg_store_find_request(writer->store, entry->request_key, &log_id, &seq, &err);
    if (rc == SG_OK)
        rc = sg_audit_receipt_read(writer->store, writer->tree, &writer->log, log_id, seq,
                                   &entry->receipt, &err);
    if (err.reason == SG_R_LEAF_ARCHIVED)
        SG_REFUSE(&err, SG_R_REQUEST_ID_EXPIRED,
                  "what this request_id asked for is in the archive");
    if (rc != SG_OK)
        fail_entry(entry, &err);
    else
        entry->outcome = SG_AUDIT_TAKEN;
}

/* Those whose keys are taken leave the group. */
static void leave_taken(struct sg_audit_writer *writer, struct group *group)
{
    size_t left = 0;

    for (size_t i = 0; i < group->count; i++) {
        if (group->leaves[i].is_taken)
            take_winner(writer, group->entries[i]);
        else
            group->entries[left++] = group->entries[i];
    }
    group->count = left;
}

/* Somebody else has written, or the store is another. Until it is known to have grown from what was
 * promised, nothing is written: a log that was put back while we run would get a second history. */
static enum sg_rc catch_up(struct sg_audit_writer *writer, struct sg_err *err)
{
    struct sg_store_log log;
    struct sg_tree_head head;

    SG_TRY(sg_store_find_log(writer->store, writer->log.name, &log, err));
    if (log.id != writer->log.id)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK, "log \"%s\" has a new epoch: start again",
                         log.name);
    SG_TRY(read_head(writer, &head, err));
    if (head.size < writer->promised.size)
        return rolled_back(writer, head.size, "is behind our own", writer->promised.size, err);
    SG_TRY(load_tree(writer, &head, err));
    SG_TRY(check_grown(writer, &writer->promised, "our own", err));
    writer->promised = head;
    writer->is_behind = false;
    return SG_OK;
}

/* Until it is written, or nothing of it is left. */
static enum sg_rc append(struct sg_audit_writer *writer, struct group *group,
                         struct sg_buf *checkpoint, struct sg_err *err)
{
    for (size_t tries = 0; group->count > 0 && tries < TRIES_MAX; tries++) {
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        if (writer->is_behind)
            SG_TRY(catch_up(writer, err));
        SG_TRY(append_once(writer, group, checkpoint, &outcome, err));
        if (outcome == SG_STORE_WRITTEN)
            return SG_OK;
        if (outcome == SG_STORE_TAKEN)
            leave_taken(writer, group);
        else
            writer->is_behind = true;
    }
    if (group->count == 0)
        return SG_OK;
    return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "others write to log \"%s\" all the time",
                     writer->log.name);
}

static enum sg_rc give_receipt(struct sg_audit_writer *writer, struct sg_audit_entry *entry,
                               struct sg_audit_note *note, struct sg_err *err)
{
    struct sg_audit_receipt *receipt = &entry->receipt;

    SG_TRY(sg_log_tree_prove_leaf(writer->tree, receipt->index, &receipt->proof, err));
    _Static_assert(sizeof(receipt->log) == sizeof(writer->log.name), "a name, NUL and all");
    memcpy(receipt->log, writer->log.name, sizeof(receipt->log));
    receipt->epoch = writer->log.epoch;
    receipt->checkpoint = sg_audit_note_hold(note);
    receipt->record = entry->bytes;
    sg_buf_init(&entry->bytes, SG_AUDIT_RECORD_BYTES_MAX);
    entry->outcome = SG_AUDIT_WRITTEN;
    if (entry->time_ns > writer->last_time_ns)
        writer->last_time_ns = entry->time_ns;
    return SG_OK;
}

static enum sg_rc give_receipts(struct sg_audit_writer *writer, struct group *group,
                                struct sg_buf *checkpoint, struct sg_err *err)
{
    if (group->count == 0)
        return SG_OK;
    struct sg_audit_note *note = sg_audit_note_new(checkpoint);
    if (note == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for a checkpoint");
    /* A commit that the anchor does not know of would only weaken the anchor: the store has it. The
     * next commit tries again. */
    if (writer->anchor != NULL)
        SG_IGNORE(sg_anchor_write(writer->anchor, sg_audit_note_text(note), NULL));
    for (size_t i = 0; i < group->count; i++) {
        struct sg_err failed = {0};
        if (give_receipt(writer, group->entries[i], note, &failed) != SG_OK)
            fail_entry(group->entries[i], &failed);
    }
    sg_audit_note_free(note);
    return SG_OK;
}

enum sg_rc sg_audit_write(struct sg_audit_writer *writer, struct sg_audit_entry **entries,
                          size_t count, struct sg_err *err)
{
    struct group group = {.count = count};
    struct sg_buf checkpoint;

    SG_ASSERT(count <= SG_LOG_TREE_GROUP_MAX);
    memcpy(group.entries, entries, count * sizeof(*entries));
    sg_buf_init(&checkpoint, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = append(writer, &group, &checkpoint, err);
    if (rc == SG_OK)
        rc = give_receipts(writer, &group, &checkpoint, err);
    for (size_t i = 0; rc != SG_OK && i < group.count; i++)
        fail_entry(group.entries[i], err);
    sg_buf_done(&checkpoint);
    return rc;
}
