#include "client/lib/audit.h"
#include "client/lib/codec.h"
#include "formats/audit/witness.h"
#include "sealgate/v1/audit.pb-c.h"

/* GetReceipt, GetCheckpoint, GetConsistencyProof, and what of them is proved offline. */

static enum sealgate_code no_memory(struct sealgate_error *error)
{
    return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                          "could not judge a checkpoint: out of memory");
}

static enum sealgate_code wrong(struct sealgate_error *error, const char *why)
{
    return sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED, "%s", why);
}

static struct sealgate_bytes copy_of(struct sg_arena *arena, struct sg_slice bytes)
{
    uint8_t *copy = sg_arena_alloc(arena, bytes.len + 1);

    if (copy != NULL && bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return (struct sealgate_bytes){copy, bytes.len};
}

/* `note` lives as long as the arena. */
static enum sealgate_code fill(const struct sg_client_receipts *receipts,
                               const struct sg_client_head *head, struct sg_slice note,
                               struct sg_arena *arena, struct sealgate_checkpoint *ret,
                               struct sealgate_error *error)
{
    struct sealgate_bytes root =
        copy_of(arena, sg_slice_of(head->head.root.bytes, SG_TREE_HASH_BYTES));
    const char *origin = sg_arena_strdup(arena, sg_slice_str(head->origin));

    if (root.ptr == NULL || origin == NULL)
        return no_memory(error);
    *ret = (struct sealgate_checkpoint){
        .log = "",
        .origin = origin,
        .size = head->head.size,
        .root = root,
        .note = {note.ptr, note.len},
        .key = "",
        .is_signed = sg_client_receipts_are_pinned(receipts),
    };
    return SEALGATE_OK;
}

/* The checkpoint of `growth` is believed, of the same log, and all of `old` is in it. */
static enum sealgate_code judge_growth(struct sg_client_receipts *receipts,
                                       const struct sg_client_head *old,
                                       const struct sg_witness_request *growth,
                                       struct sg_client_head *ret, struct sealgate_error *error)
{
    struct sg_err err;
    enum sealgate_code code = sg_client_checkpoint_judge(receipts, growth->checkpoint, ret, error);

    if (code != SEALGATE_OK)
        return code;
    /* Without an origin, nobody has said whose the old tree is. */
    if (old->origin[0] != '\0' && (strcmp(old->origin, ret->origin) != 0 ||
                                   memcmp(old->signer, ret->signer, sizeof(old->signer)) != 0))
        return wrong(error, "the two checkpoints are not of the same log");
    if (ret->head.size < old->head.size)
        return sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED,
                              "the checkpoint is of %llu leaves, and the one that was kept of %llu",
                              (unsigned long long)ret->head.size,
                              (unsigned long long)old->head.size);
    if (growth->proof.count == 0 && old->head.size != 0 && old->head.size != ret->head.size)
        return sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED,
                              "there is no proof that the log of %llu leaves grew from %llu",
                              (unsigned long long)ret->head.size,
                              (unsigned long long)old->head.size);
    if (growth->old_size != old->head.size)
        return sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED,
                              "the proof is of growth from %llu leaves, and not from %llu",
                              (unsigned long long)growth->old_size,
                              (unsigned long long)old->head.size);
    if (sg_tree_check_growth(sg_client_receipts_hasher(receipts), &old->head, &ret->head,
                             &growth->proof, &err) != SG_OK)
        return wrong(error, err.msg);
    return SEALGATE_OK;
}

/* ---- GetReceipt ----------------------------------------------------------------------------- */

static enum sealgate_code receipt_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                         struct sg_arena *arena, void *body,
                                         struct sealgate_error *error)
{
    const Sealgate__V1__AuditReceipt *in = (const Sealgate__V1__AuditReceipt *)answer;
    struct sg_audit_record record;

    if (in->leaf_index != call->audit->next)
        return sg_client_fail(error, SG_CLIENT_RECEIPT_WRONG, SEALGATE_OUTCOME_ANSWERED,
                              "the receipt is of leaf %llu, and not of leaf %llu",
                              (unsigned long long)in->leaf_index,
                              (unsigned long long)call->audit->next);
    return sg_client_receipt_read(call->client->receipts, in, arena, body, &record, error);
}

static void receipt_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                            void *body)
{
    if (call->fn.receipt != NULL)
        call->fn.receipt(call->user, error, body);
}

static const struct sg_client_method receipt_method = {
    .path = "/sealgate.v1.AuditService/GetReceipt",
    .output = &sealgate__v1__audit_receipt__descriptor,
    .body_len = sizeof(struct sealgate_receipt),
    .decode = receipt_decode,
    .deliver = receipt_deliver,
};

/* The number at the end of "audit/{log}/leaves/{seq}". */
static bool read_index(const char *name, uint64_t *ret)
{
    const char *digits = name == NULL ? NULL : strrchr(name, '/');
    uint64_t index = 0;

    if (digits == NULL || digits[1] == '\0' || strlen(digits + 1) > 18)
        return false;
    while (*++digits != '\0') {
        if (*digits < '0' || *digits > '9')
            return false;
        index = index * 10 + (uint64_t)(*digits - '0');
    }
    *ret = index;
    return true;
}

enum sealgate_code sealgate_get_receipt_start(struct sealgate_client *client, const char *name,
                                              uint32_t timeout_ms, sealgate_get_receipt_fn *fn,
                                              void *user, struct sealgate_call **ret,
                                              struct sealgate_error *error)
{
    Sealgate__V1__GetReceiptRequest message;
    struct sg_client_audit *audit;
    uint64_t index;

    if (!read_index(name, &index))
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a leaf is called audit/{log}/leaves/{number}");
    sealgate__v1__get_receipt_request__init(&message);
    message.name = sg_client_text(name);
    audit = calloc(1, sizeof(*audit));
    if (audit != NULL)
        audit->next = index;
    return sg_client_ask_audit(client, &receipt_method, &message.base, timeout_ms,
                               (union sg_client_fn){.receipt = fn}, user, audit, ret, error);
}

enum sealgate_code sealgate_get_receipt(struct sealgate_client *client, const char *name,
                                        uint32_t timeout_ms, struct sealgate_receipt **ret,
                                        struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_get_receipt_start(client, name, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetCheckpoint -------------------------------------------------------------------------- */

static enum sealgate_code checkpoint_decode(struct sealgate_call *call,
                                            const ProtobufCMessage *answer, struct sg_arena *arena,
                                            void *body, struct sealgate_error *error)
{
    const Sealgate__V1__GetCheckpointResponse *in =
        (const Sealgate__V1__GetCheckpointResponse *)answer;
    struct sg_slice note = sg_slice_of(in->checkpoint.data, in->checkpoint.len);
    struct sealgate_checkpoint *checkpoint = body;
    struct sg_client_head head;

    /* Origin and size are the note's, whatever stands beside it. */
    enum sealgate_code code =
        sg_client_checkpoint_judge(call->client->receipts, note, &head, error);
    if (code == SEALGATE_OK)
        code = fill(call->client->receipts, &head, note, arena, checkpoint, error);
    if (code != SEALGATE_OK)
        return code;
    checkpoint->log = in->log;
    checkpoint->key = in->key;
    return SEALGATE_OK;
}

static void checkpoint_deliver(struct sealgate_call *call, const struct sealgate_error *error,
                               void *body)
{
    if (call->fn.checkpoint != NULL)
        call->fn.checkpoint(call->user, error, body);
}

static const struct sg_client_method checkpoint_method = {
    .path = "/sealgate.v1.AuditService/GetCheckpoint",
    .output = &sealgate__v1__get_checkpoint_response__descriptor,
    .body_len = sizeof(struct sealgate_checkpoint),
    .decode = checkpoint_decode,
    .deliver = checkpoint_deliver,
};

enum sealgate_code sealgate_get_checkpoint_start(struct sealgate_client *client, const char *log,
                                                 uint32_t timeout_ms,
                                                 sealgate_get_checkpoint_fn *fn, void *user,
                                                 struct sealgate_call **ret,
                                                 struct sealgate_error *error)
{
    Sealgate__V1__GetCheckpointRequest message;

    sealgate__v1__get_checkpoint_request__init(&message);
    message.log = sg_client_text(log);
    return sg_client_unary(client, &checkpoint_method, &message.base, timeout_ms,
                           (union sg_client_fn){.checkpoint = fn}, user, ret, error);
}

enum sealgate_code sealgate_get_checkpoint(struct sealgate_client *client, const char *log,
                                           uint32_t timeout_ms, struct sealgate_checkpoint **ret,
                                           struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    void *body;
    enum sealgate_code code =
        sealgate_get_checkpoint_start(client, log, timeout_ms, NULL, NULL, &call, error);

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

/* ---- GetConsistencyProof -------------------------------------------------------------------- */

/* The text of the proof, in the arena. */
static bool keep_growth(const struct sg_witness_request *growth, struct sg_arena *arena,
                        struct sealgate_checkpoint *ret)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_WITNESS_REQUEST_BYTES_MAX);
    sg_witness_request_write(growth, &text);
    ret->growth = copy_of(arena, sg_buf_slice(&text));
    bool is_kept = !text.failed && ret->growth.ptr != NULL;
    sg_buf_done(&text);
    return is_kept;
}

static enum sealgate_code growth_decode(struct sealgate_call *call, const ProtobufCMessage *answer,
                                        struct sg_arena *arena, void *body,
                                        struct sealgate_error *error)
{
    const Sealgate__V1__GetConsistencyProofResponse *in =
        (const Sealgate__V1__GetConsistencyProofResponse *)answer;
    const struct sg_client_head *old = &call->audit->old;
    struct sg_witness_request growth = {.old_size = old->head.size,
                                        .checkpoint =
                                            sg_slice_of(in->checkpoint.data, in->checkpoint.len)};
    struct sg_client_head head;

    for (size_t i = 0; i < in->n_proof && in->n_proof <= SG_TREE_LEVELS_MAX; i++)
        if (in->proof[i].len == SG_TREE_HASH_BYTES)
            memcpy(growth.proof.hashes[growth.proof.count++].bytes, in->proof[i].data,
                   SG_TREE_HASH_BYTES);
    if (growth.proof.count != in->n_proof)
        return wrong(error, "the proof of the log's growth is none");
    enum sealgate_code code = judge_growth(call->client->receipts, old, &growth, &head, error);
    if (code == SEALGATE_OK)
        code = fill(call->client->receipts, &head, growth.checkpoint, arena, body, error);
    if (code == SEALGATE_OK && !keep_growth(&growth, arena, body))
        return no_memory(error);
    return code;
}

static const struct sg_client_method growth_method = {
    .path = "/sealgate.v1.AuditService/GetConsistencyProof",
    .output = &sealgate__v1__get_consistency_proof_response__descriptor,
    .body_len = sizeof(struct sealgate_checkpoint),
    .decode = growth_decode,
    .deliver = checkpoint_deliver,
};

static enum sealgate_code start_growth(struct sealgate_client *client, const char *log,
                                       const struct sg_client_head *old, uint32_t timeout_ms,
                                       sealgate_get_checkpoint_fn *fn, void *user,
                                       struct sealgate_call **ret, struct sealgate_error *error)
{
    Sealgate__V1__GetConsistencyProofRequest message;
    struct sg_client_audit *audit;

    if (old->head.size == 0)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "every log grew from the empty one: that needs no proof");
    sealgate__v1__get_consistency_proof_request__init(&message);
    message.log = sg_client_text(log);
    message.old_size = old->head.size;
    audit = calloc(1, sizeof(*audit));
    if (audit != NULL)
        audit->old = *old;
    return sg_client_ask_audit(client, &growth_method, &message.base, timeout_ms,
                               (union sg_client_fn){.checkpoint = fn}, user, audit, ret, error);
}

enum sealgate_code sealgate_get_growth_start(struct sealgate_client *client, const char *log,
                                             struct sealgate_bytes old, uint32_t timeout_ms,
                                             sealgate_get_checkpoint_fn *fn, void *user,
                                             struct sealgate_call **ret,
                                             struct sealgate_error *error)
{
    struct sg_client_head head;
    enum sealgate_code code =
        sg_client_checkpoint_judge(client->receipts, sg_client_slice(old), &head, error);

    if (code != SEALGATE_OK)
        return code;
    return start_growth(client, log, &head, timeout_ms, fn, user, ret, error);
}

static enum sealgate_code wait_for_growth(enum sealgate_code code, struct sealgate_call *call,
                                          struct sealgate_checkpoint **ret,
                                          struct sealgate_error *error)
{
    void *body;

    code = sg_client_wait(code, call, &body, error);
    if (code == SEALGATE_OK)
        *ret = body;
    return code;
}

enum sealgate_code sealgate_get_growth(struct sealgate_client *client, const char *log,
                                       struct sealgate_bytes old, uint32_t timeout_ms,
                                       struct sealgate_checkpoint **ret,
                                       struct sealgate_error *error)
{
    struct sealgate_call *call = NULL;
    enum sealgate_code code =
        sealgate_get_growth_start(client, log, old, timeout_ms, NULL, NULL, &call, error);

    return wait_for_growth(code, call, ret, error);
}

enum sealgate_code sealgate_get_growth_from(struct sealgate_client *client, const char *log,
                                            uint64_t old_size, struct sealgate_bytes old_root,
                                            uint32_t timeout_ms, struct sealgate_checkpoint **ret,
                                            struct sealgate_error *error)
{
    struct sg_client_head old = {.head.size = old_size};
    struct sealgate_call *call = NULL;

    if (old_root.len != SG_TREE_HASH_BYTES)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "the root of a tree has %d bytes", SG_TREE_HASH_BYTES);
    memcpy(old.head.root.bytes, old_root.ptr, SG_TREE_HASH_BYTES);
    enum sealgate_code code = start_growth(client, log, &old, timeout_ms, NULL, NULL, &call, error);
    return wait_for_growth(code, call, ret, error);
}

/* ---- Offline -------------------------------------------------------------------------------- */

/* `growth` NULL: `note` is all there is. Both are part of `text`, which is the later one's. */
static enum sealgate_code hand_out(const struct sg_client_receipts *receipts,
                                   const struct sg_client_head *head, struct sg_slice text,
                                   struct sg_slice note, struct sealgate_checkpoint **ret,
                                   struct sealgate_error *error)
{
    struct sealgate_checkpoint *checkpoint;
    struct sealgate_bytes copy;

    if (ret == NULL)
        return SEALGATE_OK;
    checkpoint = sg_box_new(sizeof(*checkpoint), SG_WITNESS_REQUEST_BYTES_MAX + 4096);
    if (checkpoint == NULL)
        return no_memory(error);
    copy = copy_of(sg_box_arena(checkpoint), text);
    enum sealgate_code code =
        copy.ptr == NULL
            ? no_memory(error)
            : fill(receipts, head, sg_slice_of(copy.ptr + (note.ptr - text.ptr), note.len),
                   sg_box_arena(checkpoint), checkpoint, error);
    if (code != SEALGATE_OK) {
        sg_box_free(checkpoint);
        return code;
    }
    if (note.len != text.len)
        checkpoint->growth = copy;
    *ret = checkpoint;
    return SEALGATE_OK;
}

enum sealgate_code sealgate_checkpoint_verify(struct sealgate_bytes note, const char *log_key,
                                              struct sealgate_checkpoint **ret,
                                              struct sealgate_error *error)
{
    SG_AUTO(sg_client_receipts_free) struct sg_client_receipts *receipts = NULL;
    struct sg_slice text = sg_client_slice(note);
    struct sg_client_head head;
    enum sealgate_code code =
        sg_client_receipts_new(log_key, SEALGATE_RECEIPTS_UNSET, &receipts, error);

    if (code == SEALGATE_OK)
        code = sg_client_checkpoint_judge(receipts, text, &head, error);
    return code == SEALGATE_OK ? hand_out(receipts, &head, text, text, ret, error) : code;
}

/* A text that is no proof of growth is a checkpoint by itself. */
static enum sealgate_code read_later(const struct sg_client_head *old, struct sg_slice later,
                                     struct sg_witness_request *ret, struct sealgate_error *error)
{
    static const char begin[] = "old ";
    struct sg_err err;

    if (!sg_slice_starts(later, sg_slice_str(begin))) {
        *ret = (struct sg_witness_request){.old_size = old->head.size, .checkpoint = later};
        return SEALGATE_OK;
    }
    return sg_witness_request_parse(later, ret, &err) == SG_OK ? SEALGATE_OK
                                                               : wrong(error, err.msg);
}

enum sealgate_code sealgate_growth_verify(struct sealgate_bytes old, struct sealgate_bytes later,
                                          const char *log_key, struct sealgate_checkpoint **ret,
                                          struct sealgate_error *error)
{
    SG_AUTO(sg_client_receipts_free) struct sg_client_receipts *receipts = NULL;
    struct sg_slice text = sg_client_slice(later);
    struct sg_client_head before, after;
    struct sg_witness_request growth;
    enum sealgate_code code =
        sg_client_receipts_new(log_key, SEALGATE_RECEIPTS_UNSET, &receipts, error);

    if (code == SEALGATE_OK)
        code = sg_client_checkpoint_judge(receipts, sg_client_slice(old), &before, error);
    if (code == SEALGATE_OK)
        code = read_later(&before, text, &growth, error);
    if (code == SEALGATE_OK)
        code = judge_growth(receipts, &before, &growth, &after, error);
    if (code != SEALGATE_OK)
        return code;
    return hand_out(receipts, &after, text, growth.checkpoint, ret, error);
}
