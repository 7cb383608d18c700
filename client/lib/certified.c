#include "formats/audit/certified.h"
#include "client/lib/audit.h"
#include "client/lib/codec.h"

/* Whose log a key is, by a key in a token, offline. */

static enum sealgate_code no_memory(struct sealgate_error *error)
{
    return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                          "could not judge a certification: out of memory");
}

/* The receipt of leaf 0 is taken apart, and its log's key is certified. `record` is where the
 * leaf's bytes go. */
static enum sg_rc find_key(struct sg_slice file, struct sg_slice spki, struct sg_receipt *receipt,
                           struct sg_buf *record, struct sg_note_key **ret, struct sg_err *err)
{
    struct sg_audit_record first;

    SG_TRY(sg_receipt_parse(file, receipt, err));
    SG_TRY(sg_receipt_read_record(receipt, record, err));
    SG_TRY(sg_audit_record_parse(sg_buf_slice(record), &first, err));
    if (receipt->index != 0)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "a log's key is certified by its leaf 0, and the receipt is of leaf %llu",
                       (unsigned long long)receipt->index);
    return sg_certification_check(&first, spki, ret, err);
}

/* That the leaf is in that log. */
static enum sg_rc prove(const struct sg_receipt *receipt, struct sg_slice record,
                        const struct sg_note_key *key, struct sg_checkpoint *ret,
                        struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;

    SG_TRY(sg_tree_hasher_new(&hasher, err));
    SG_TRY(sg_receipt_prove(hasher, receipt, record, key, ret, err));
    if (!sg_slice_eq(ret->origin, sg_note_key_name(key)))
        return SG_FAIL(err, SG_E_INVALID, 0, "the checkpoint is of another log than its key");
    return SG_OK;
}

static struct sealgate_bytes copy_of(struct sg_arena *arena, struct sg_slice bytes)
{
    uint8_t *copy = sg_arena_alloc(arena, bytes.len + 1);

    if (copy != NULL && bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    if (copy != NULL)
        copy[bytes.len] = '\0';
    return (struct sealgate_bytes){copy, bytes.len};
}

static bool fill(const struct sg_receipt *receipt, const struct sg_checkpoint *checkpoint,
                 const struct sg_note_key *key, struct sg_arena *arena,
                 struct sealgate_checkpoint *ret)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_note_key_write(key, &text);
    const struct sealgate_bytes name = copy_of(arena, sg_buf_slice(&text));
    const struct sealgate_bytes origin = copy_of(arena, checkpoint->origin);
    const bool has_all = !text.failed && name.ptr != NULL && origin.ptr != NULL;
    sg_buf_done(&text);
    *ret = (struct sealgate_checkpoint){
        .log = "",
        .origin = (const char *)origin.ptr,
        .size = checkpoint->head.size,
        .root =
            copy_of(arena, sg_slice_of(checkpoint->head.root.bytes, sizeof(checkpoint->head.root))),
        .note = copy_of(arena, receipt->checkpoint),
        .key = (const char *)name.ptr,
        .is_signed = true,
    };
    return has_all && ret->root.ptr != NULL && ret->note.ptr != NULL;
}

static enum sealgate_code verify(struct sg_slice file, struct sg_slice spki, struct sg_buf *record,
                                 struct sealgate_checkpoint *ret, struct sg_arena *arena,
                                 struct sealgate_error *error)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    struct sg_checkpoint checkpoint;
    struct sg_receipt receipt;
    struct sg_err err;

    enum sg_rc rc = find_key(file, spki, &receipt, record, &key, &err);
    if (rc == SG_OK)
        rc = prove(&receipt, sg_buf_slice(record), key, &checkpoint, &err);
    if (rc == SG_E_INTERNAL)
        return no_memory(error);
    if (rc != SG_OK)
        return sg_client_fail(error, SG_CLIENT_LOG_KEY_NOT_CERTIFIED, SEALGATE_OUTCOME_ANSWERED,
                              "%s", err.msg);
    return fill(&receipt, &checkpoint, key, arena, ret) ? SEALGATE_OK : no_memory(error);
}

enum sealgate_code sealgate_log_key_verify(struct sealgate_bytes first,
                                           struct sealgate_bytes certifier,
                                           struct sealgate_checkpoint **ret,
                                           struct sealgate_error *error)
{
    enum { ARENA_BYTES_MAX = SG_NOTE_BYTES_MAX + 4096 };
    struct sealgate_checkpoint *checkpoint = sg_box_new(sizeof(*checkpoint), ARENA_BYTES_MAX);
    enum sealgate_code code = SEALGATE_OK;
    struct sg_buf spki, record;
    struct sg_err err;

    if (checkpoint == NULL)
        return no_memory(error);
    sg_buf_init(&spki, certifier.len);
    sg_buf_init(&record, SG_RECEIPT_EXTRA_BYTES_MAX);
    if (sg_certifier_read(sg_client_slice(certifier), &spki, &err) != SG_OK)
        code = sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE,
                              "certifier: %s", err.msg);
    else
        code = verify(sg_client_slice(first), sg_buf_slice(&spki), &record, checkpoint,
                      sg_box_arena(checkpoint), error);
    sg_buf_done(&record);
    sg_buf_done(&spki);
    if (code == SEALGATE_OK && ret != NULL)
        *ret = checkpoint;
    else
        sg_box_free(checkpoint);
    return code;
}
