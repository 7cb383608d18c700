#include "client/lib/receipt.h"

#include "client/lib/box.h"
#include "client/lib/codec.h"
#include "formats/audit/request.h"
#include "formats/raw/digest.h"

struct sg_client_receipts {
    enum sealgate_receipts policy;
    struct sg_note_key *keys[SG_CLIENT_LOG_KEYS_MAX];
    size_t key_count;
    struct sg_tree_hasher *hasher;
    const struct sg_note_key *proven_key; /* by which `proven` is signed */
    struct sg_buf proven; /* the last note that a key vouched for: many receipts share one */
    struct sg_client_head heads[SG_CLIENT_HEADS_MAX];
    size_t head_count, next_head;
};

static enum sealgate_code no_memory(struct sealgate_error *error)
{
    return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                          "could not judge a receipt: out of memory");
}

static enum sealgate_code wrong(struct sealgate_error *error, const char *why)
{
    return sg_client_fail(error, SG_CLIENT_RECEIPT_WRONG, SEALGATE_OUTCOME_ANSWERED, "%s", why);
}

static enum sealgate_code wrong_checkpoint(struct sealgate_error *error, const char *why)
{
    return sg_client_fail(error, SG_CLIENT_CHECKPOINT_WRONG, SEALGATE_OUTCOME_ANSWERED, "%s", why);
}

/* Keys separated by blanks, which no key has in it. */
static enum sealgate_code take_keys(const char *text, struct sg_client_receipts *receipts,
                                    struct sealgate_error *error)
{
    struct sg_err err;

    for (text += strspn(text, " \t\n"); *text != '\0'; text += strspn(text, " \t\n")) {
        size_t len = strcspn(text, " \t\n");
        if (receipts->key_count == SG_CLIENT_LOG_KEYS_MAX)
            return sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE,
                                  "there are over %d keys of logs", SG_CLIENT_LOG_KEYS_MAX);
        if (sg_note_key_parse(sg_slice_of(text, len), &receipts->keys[receipts->key_count], &err) !=
            SG_OK)
            return sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE,
                                  "log_key: %s", err.msg);
        if (sg_note_key_kind(receipts->keys[receipts->key_count++]) != SG_NOTE_ED25519)
            return sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE,
                                  "log_key: one of the keys is a witness's, not a log's");
        text += len;
    }
    return SEALGATE_OK;
}

enum sealgate_code sg_client_receipts_new(const char *log_keys, enum sealgate_receipts policy,
                                          struct sg_client_receipts **ret,
                                          struct sealgate_error *error)
{
    SG_AUTO(sg_client_receipts_free)
    struct sg_client_receipts *receipts = calloc(1, sizeof(*receipts));
    if (receipts == NULL || sg_tree_hasher_new(&receipts->hasher, NULL) != SG_OK)
        return no_memory(error);
    sg_buf_init(&receipts->proven, SG_NOTE_BYTES_MAX);
    enum sealgate_code code = log_keys == NULL ? SEALGATE_OK : take_keys(log_keys, receipts, error);
    if (code != SEALGATE_OK)
        return code;
    receipts->policy = policy;
    if (policy == SEALGATE_RECEIPTS_UNSET)
        receipts->policy =
            receipts->key_count > 0 ? SEALGATE_RECEIPTS_REQUIRED : SEALGATE_RECEIPTS_CHECKED;
    *ret = SG_STEAL(receipts);
    return SEALGATE_OK;
}

void sg_client_receipts_free(struct sg_client_receipts *receipts)
{
    if (receipts == NULL)
        return;
    for (size_t i = 0; i < receipts->key_count; i++)
        sg_note_key_free(receipts->keys[i]);
    sg_tree_hasher_free(receipts->hasher);
    sg_buf_done(&receipts->proven);
    free(receipts);
}

/* ---- What was asked ------------------------------------------------------------------------- */

enum sealgate_code sg_client_asked_of(const struct sealgate_sign_request *request,
                                      struct sg_client_asked *ret, struct sealgate_error *error)
{
    struct sg_slice content = sg_client_slice(request->content);
    struct sg_audit_request asked = {
        .key = sg_slice_str(request->key),
        .scheme = (enum sg_scheme)request->scheme,
        .encoding = (enum sg_sig_encoding)request->encoding,
        .digest_alg = (enum sg_digest_alg)request->digest,
        .content = content,
        .document_digest_alg = (enum sg_digest_alg)request->document_digest,
        .document_digest = sg_client_slice(request->document_hash),
        .purpose = sg_slice_str(request->purpose),
    };
    struct sg_err err;
    enum sg_rc rc;

    /* What the server would not take either must not be hashed as if it were something else. */
    if (request->document_digest == SEALGATE_DIGEST_UNSET)
        asked.document_digest = SG_SLICE("");
    *ret = (struct sg_client_asked){0};
    rc = sg_audit_request_sha256(&asked, ret->request_sha256, &err);
    if (rc == SG_OK && request->digest == SEALGATE_DIGEST_UNSET) {
        ret->digest_len = SG_TREE_HASH_BYTES;
        rc = sg_digest_of(SG_DIGEST_SHA256, content, ret->digest, &err);
    } else if (content.len <= sizeof(ret->digest)) {
        ret->digest_len = content.len;
        if (content.len > 0)
            memcpy(ret->digest, content.ptr, content.len);
    }
    if (request->request_id != NULL)
        memcpy(ret->request_id, request->request_id,
               strnlen(request->request_id, sizeof(ret->request_id)));
    if (rc == SG_E_LIMIT)
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "the request is too long: %s", err.msg);
    if (rc != SG_OK)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE, "%s",
                              err.msg);
    return SEALGATE_OK;
}

/* What of an answer its record must have too. */
static bool is_of(const struct sg_audit_record *record, const Sealgate__V1__SignResponse *answer,
                  const struct sg_client_asked *asked)
{
    struct sg_slice id =
        sg_slice_of(asked->request_id, strnlen(asked->request_id, sizeof(asked->request_id)));
    bool is_asked = id.len == 0 ||
                    (id.len < sizeof(asked->request_id) ? sg_slice_eq(record->request_id, id)
                                                        : sg_slice_starts(record->request_id, id));

    return is_asked && record->event == SG_AUDIT_SIGNATURE &&
           sg_slice_eq(record->signature,
                       sg_slice_of(answer->signature.data, answer->signature.len)) &&
           sg_slice_is(record->key_version, answer->key_version) &&
           sg_slice_eq(record->digest, sg_slice_of(asked->digest, asked->digest_len)) &&
           sg_slice_eq(record->request_sha256,
                       sg_slice_of(asked->request_sha256, sizeof(asked->request_sha256)));
}

/* ---- The proof ------------------------------------------------------------------------------ */

static bool take_proof(const Sealgate__V1__AuditReceipt *in, struct sg_receipt *ret)
{
    *ret = (struct sg_receipt){.index = in->leaf_index,
                               .checkpoint = sg_slice_of(in->checkpoint.data, in->checkpoint.len)};
    if (in->n_inclusion_proof > SG_TREE_LEVELS_MAX)
        return false;
    for (size_t i = 0; i < in->n_inclusion_proof; i++) {
        if (in->inclusion_proof[i].len != SG_TREE_HASH_BYTES)
            return false;
        memcpy(ret->proof.hashes[i].bytes, in->inclusion_proof[i].data, SG_TREE_HASH_BYTES);
    }
    ret->proof.count = in->n_inclusion_proof;
    return true;
}

/* By which of the keys the note is signed; `*ret` NULL: none is pinned. NULL: all is well; else
 * what is wrong with it. `*ret_failed`: it could not be judged. */
static const char *find_key(const struct sg_client_receipts *receipts, const struct sg_note *note,
                            const struct sg_note_key **ret, bool *ret_failed)
{
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    uint64_t time;

    *ret = NULL;
    *ret_failed = false;
    for (size_t i = 0; i < receipts->key_count && verdict == SG_NOTE_NOT_SIGNED; i++) {
        *ret = receipts->keys[i];
        if (sg_note_judge(note, *ret, &verdict, &time, NULL) != SG_OK) {
            *ret_failed = true;
            return "could not judge a signature";
        }
    }
    if (receipts->key_count == 0 || verdict == SG_NOTE_SIGNED)
        return NULL;
    for (size_t i = 0; i < receipts->key_count; i++) {
        struct sg_slice origin;
        if (sg_checkpoint_is_other_epoch(note->text, receipts->keys[i], &origin))
            return "the checkpoint is of another epoch of the log, whose key is not known here: "
                   "ask who runs the log for it";
    }
    return "the checkpoint is not signed by a log whose key is known here";
}

/* Of a note that has been read. The log's own signature is the first. */
static void signer_of(const struct sg_client_receipts *receipts, const struct sg_note *note,
                      const struct sg_note_key *key, char ret[SG_CLIENT_SIGNER_BYTES])
{
    struct sg_slice signatures = note->signatures;
    const uint8_t *space;

    memset(ret, 0, SG_CLIENT_SIGNER_BYTES);
    for (size_t i = 0; i < receipts->key_count; i++)
        if (receipts->keys[i] == key)
            ret[0] = (char)(i + 1);
    if (receipts->key_count > 0)
        return;
    (void)sg_slice_take(&signatures, 4); /* the dash and its blank */
    space = memchr(signatures.ptr, ' ', signatures.len);
    if (space != NULL) /* a signature has more than its id behind it */
        memcpy(ret, space + 1, SG_CLIENT_SIGNER_BYTES);
}

static void head_of(const struct sg_client_receipts *receipts, const struct sg_note *note,
                    const struct sg_note_key *key, const struct sg_checkpoint *checkpoint,
                    struct sg_client_head *ret)
{
    *ret = (struct sg_client_head){.head = checkpoint->head};
    memcpy(ret->origin, checkpoint->origin.ptr, checkpoint->origin.len);
    signer_of(receipts, note, key, ret->signer);
}

/* A log shows one tree of each size, to everybody and always. NULL: nothing speaks against it. */
static const char *remember(struct sg_client_receipts *receipts, const struct sg_client_head *shown)
{
    struct sg_client_head *head = NULL;

    for (size_t i = 0; i < receipts->head_count && head == NULL; i++)
        if (strcmp(shown->origin, receipts->heads[i].origin) == 0 &&
            memcmp(shown->signer, receipts->heads[i].signer, SG_CLIENT_SIGNER_BYTES) == 0)
            head = &receipts->heads[i];
    if (head == NULL) {
        head = &receipts->heads[receipts->next_head++ % SG_CLIENT_HEADS_MAX];
        if (receipts->head_count < SG_CLIENT_HEADS_MAX)
            receipts->head_count++;
        *head = *shown;
    }
    if (head->head.size == shown->head.size &&
        memcmp(&head->head.root, &shown->head.root, sizeof(head->head.root)) != 0)
        return "the log showed two trees of the same size: one of them is a lie";
    if (shown->head.size > head->head.size)
        head->head = shown->head;
    return NULL;
}

enum sealgate_code sg_client_checkpoint_judge(struct sg_client_receipts *receipts,
                                              struct sg_slice bytes, struct sg_client_head *ret,
                                              struct sealgate_error *error)
{
    struct sg_checkpoint checkpoint;
    const struct sg_note_key *key;
    struct sg_note note;
    struct sg_err err;
    const char *why;
    bool has_failed;

    if (sg_note_parse(bytes, &note, &err) != SG_OK)
        return wrong_checkpoint(error, err.msg);
    why = find_key(receipts, &note, &key, &has_failed);
    if (has_failed)
        return no_memory(error);
    if (why != NULL)
        return wrong_checkpoint(error, why);
    if (sg_checkpoint_parse(note.text, &checkpoint, &err) != SG_OK)
        return wrong_checkpoint(error, err.msg);
    head_of(receipts, &note, key, &checkpoint, ret);
    why = remember(receipts, ret);
    return why == NULL ? SEALGATE_OK : wrong_checkpoint(error, why);
}

bool sg_client_receipts_are_pinned(const struct sg_client_receipts *receipts)
{
    return receipts->key_count > 0;
}

struct sg_tree_hasher *sg_client_receipts_hasher(struct sg_client_receipts *receipts)
{
    return receipts->hasher;
}

static enum sealgate_code prove(struct sg_client_receipts *receipts,
                                const struct sg_receipt *receipt, struct sg_slice record,
                                struct sg_checkpoint *ret, struct sealgate_error *error)
{
    bool is_proven = receipts->proven.len > 0 &&
                     sg_slice_eq(sg_buf_slice(&receipts->proven), receipt->checkpoint);
    const struct sg_note_key *key = receipts->proven_key;
    struct sg_client_head head;
    struct sg_note note;
    struct sg_err err;
    const char *why;
    bool has_failed = false;

    if (sg_note_parse(receipt->checkpoint, &note, &err) != SG_OK)
        return wrong(error, err.msg);
    why = is_proven ? NULL : find_key(receipts, &note, &key, &has_failed);
    if (why != NULL)
        return has_failed ? no_memory(error) : wrong(error, why);
    /* The signature has been judged. */
    switch ((int)sg_receipt_prove(receipts->hasher, receipt, record, NULL, ret, &err)) {
    case SG_OK:
        break;
    case SG_E_INTERNAL:
        return no_memory(error);
    default:
        return wrong(error, err.msg);
    }
    if (key != NULL && !is_proven) {
        receipts->proven_key = key;
        sg_buf_clear(&receipts->proven);
        sg_buf_add_slice(&receipts->proven, receipt->checkpoint);
        if (receipts->proven.failed)
            return no_memory(error);
    }
    head_of(receipts, &note, key, ret, &head);
    why = remember(receipts, &head);
    return why == NULL ? SEALGATE_OK : wrong(error, why);
}

enum sealgate_code sg_client_receipt_read(struct sg_client_receipts *receipts,
                                          const Sealgate__V1__AuditReceipt *in,
                                          struct sg_arena *arena, struct sealgate_receipt *ret,
                                          struct sg_audit_record *ret_record,
                                          struct sealgate_error *error)
{
    struct sg_slice record = sg_slice_of(in->record.data, in->record.len);
    struct sg_checkpoint checkpoint;
    struct sg_receipt receipt;
    struct sg_tree_hash leaf;
    struct sg_err err;
    struct sg_buf file;

    if (!take_proof(in, &receipt))
        return wrong(error, "the proof of the receipt is none");
    sg_tree_hash_leaf(receipts->hasher, record, &leaf);
    if (!sg_slice_eq(sg_slice_of(in->leaf_hash.data, in->leaf_hash.len),
                     sg_slice_of(leaf.bytes, sizeof(leaf.bytes))))
        return wrong(error, "the hash of the receipt is not that of its record");
    if (sg_audit_record_parse(record, ret_record, &err) != SG_OK)
        return wrong(error, err.msg);
    enum sealgate_code code = prove(receipts, &receipt, record, &checkpoint, error);
    if (code != SEALGATE_OK)
        return code;

    sg_buf_init(&file, SG_RECEIPT_BYTES_MAX);
    sg_receipt_write_with(&receipt, record, &file);
    void *kept = file.failed ? NULL : sg_arena_alloc(arena, file.len);
    if (kept != NULL)
        memcpy(kept, file.ptr, file.len);
    size_t len = file.len;
    sg_buf_done(&file);
    if (kept == NULL)
        return no_memory(error);
    *ret = (struct sealgate_receipt){
        .log = in->log,
        .leaf_index = in->leaf_index,
        .tree_size = checkpoint.head.size,
        .checkpoint = sg_client_bytes(in->checkpoint),
        .record = sg_client_bytes(in->record),
        .file = {kept, len},
        .is_signed = receipts->key_count > 0,
    };
    return SEALGATE_OK;
}

enum sealgate_code sg_client_receipt_decode(struct sg_client_receipts *receipts,
                                            const Sealgate__V1__SignResponse *answer,
                                            const struct sg_client_asked *asked,
                                            struct sg_arena *arena,
                                            const struct sealgate_receipt **ret,
                                            struct sealgate_error *error)
{
    const Sealgate__V1__AuditReceipt *in = answer->receipt;
    struct sealgate_receipt *receipt;
    struct sg_audit_record record;

    *ret = NULL;
    if (in == NULL && receipts->policy == SEALGATE_RECEIPTS_REQUIRED)
        return sg_client_fail(error, SG_CLIENT_RECEIPT_MISSING, SEALGATE_OUTCOME_ANSWERED,
                              "the server gave no receipt for what it signed");
    if (in == NULL)
        return SEALGATE_OK;
    receipt = sg_arena_alloc(arena, sizeof(*receipt));
    if (receipt == NULL)
        return no_memory(error);
    enum sealgate_code code = sg_client_receipt_read(receipts, in, arena, receipt, &record, error);
    if (code != SEALGATE_OK)
        return code;
    if (asked == NULL || !is_of(&record, answer, asked))
        return wrong(error, "the receipt is of another signature, or of another request");
    *ret = receipt;
    return SEALGATE_OK;
}

/* ---- Records -------------------------------------------------------------------------------- */

/* With a NUL behind it; NULL: no memory. */
static const char *text_of(struct sg_arena *arena, struct sg_slice text)
{
    char *copy = sg_arena_alloc(arena, text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

static struct sealgate_bytes bytes_of(struct sg_slice slice)
{
    return (struct sealgate_bytes){slice.ptr, slice.len};
}

enum sealgate_code sg_client_record_of(const struct sg_audit_record *in, struct sg_slice bytes,
                                       struct sg_arena *arena, struct sealgate_record *ret,
                                       struct sealgate_error *error)
{
    const struct {
        const char **to;
        struct sg_slice from;
    } texts[] = {
        {&ret->authority, in->authority},
        {&ret->caller, in->caller},
        {&ret->source, in->source},
        {&ret->method, in->method},
        {&ret->request_id, in->request_id},
        {&ret->rule_set, in->rule_set},
        {&ret->rule, in->rule},
        {&ret->key_version, in->key_version},
        {&ret->document_number, in->document_number},
        {&ret->purpose, in->purpose},
        {&ret->token, in->token},
        {&ret->reason, in->reason},
        {&ret->detail, in->detail},
    };
    const char **grants = sg_arena_alloc(arena, (in->grant_count + 1) * sizeof(*grants));
    bool has_all = grants != NULL;

    for (size_t i = 0; has_all && i < SG_COUNT(texts); i++)
        has_all = (*texts[i].to = text_of(arena, texts[i].from)) != NULL;
    for (size_t i = 0; has_all && i < in->grant_count; i++)
        has_all = (grants[i] = text_of(arena, in->grants[i])) != NULL;
    if (!has_all)
        return no_memory(error);
    ret->event = (enum sealgate_event)in->event;
    ret->time_ns = in->time_ns;
    ret->request_sha256 = bytes_of(in->request_sha256);
    ret->grants = grants;
    ret->grant_count = in->grant_count;
    ret->public_key_sha256 = bytes_of(in->public_key_sha256);
    ret->scheme = (enum sealgate_scheme)in->scheme;
    ret->encoding = (enum sealgate_encoding)in->encoding;
    ret->digest = (enum sealgate_digest)in->digest_alg;
    ret->hash = bytes_of(in->digest);
    ret->document_digest = (enum sealgate_digest)in->document_digest_alg;
    ret->document_hash = bytes_of(in->document_digest);
    ret->signature = bytes_of(in->signature);
    ret->count = in->count;
    ret->bytes = bytes_of(bytes);
    return SEALGATE_OK;
}

const char *sealgate_event_name(enum sealgate_event event)
{
    return sg_audit_event_name((enum sg_audit_event)event);
}

/* ---- Offline -------------------------------------------------------------------------------- */

/* The arena has the file, so that everything may point into it. */
static enum sealgate_code verify_file(struct sg_client_receipts *receipts, struct sg_slice file,
                                      struct sg_arena *arena, struct sealgate_record *ret,
                                      struct sealgate_error *error)
{
    struct sg_checkpoint checkpoint;
    struct sg_audit_record record;
    struct sg_receipt receipt;
    struct sg_slice bytes;
    struct sg_buf extra;
    struct sg_err err;

    if (sg_receipt_parse(file, &receipt, &err) != SG_OK)
        return wrong(error, err.msg);
    sg_buf_init(&extra, SG_RECEIPT_EXTRA_BYTES_MAX);
    enum sg_rc rc = sg_receipt_read_record(&receipt, &extra, &err);
    bytes = sg_slice_of(text_of(arena, sg_buf_slice(&extra)), extra.len);
    sg_buf_done(&extra);
    if (rc != SG_OK)
        return wrong(error, err.msg);
    if (bytes.ptr == NULL)
        return no_memory(error);
    if (sg_audit_record_parse(bytes, &record, &err) != SG_OK)
        return wrong(error, err.msg);
    enum sealgate_code code = prove(receipts, &receipt, bytes, &checkpoint, error);
    if (code == SEALGATE_OK)
        code = sg_client_record_of(&record, bytes, arena, ret, error);
    if (code != SEALGATE_OK)
        return code;
    ret->origin = text_of(arena, checkpoint.origin);
    if (ret->origin == NULL)
        return no_memory(error);
    ret->leaf_index = receipt.index;
    ret->tree_size = checkpoint.head.size;
    ret->is_signed = receipts->key_count > 0;
    return SEALGATE_OK;
}

enum sealgate_code sealgate_receipt_verify(struct sealgate_bytes file, const char *log_key,
                                           struct sealgate_record **ret,
                                           struct sealgate_error *error)
{
    enum { ARENA_BYTES_MAX = 4 * SG_AUDIT_RECORD_BYTES_MAX };
    SG_AUTO(sg_client_receipts_free) struct sg_client_receipts *receipts = NULL;
    struct sealgate_record *record;
    enum sealgate_code code =
        sg_client_receipts_new(log_key, SEALGATE_RECEIPTS_UNSET, &receipts, error);

    if (code != SEALGATE_OK)
        return code;
    record = sg_box_new(sizeof(*record), ARENA_BYTES_MAX);
    if (record == NULL)
        return no_memory(error);
    code = verify_file(receipts, sg_client_slice(file), sg_box_arena(record), record, error);
    if (code == SEALGATE_OK && ret != NULL)
        *ret = record;
    else
        sg_box_free(record);
    return code;
}
