#include <stdio.h>
#include <stdlib.h>

#include "gateway/rpc/audit_message.h"
#include "gateway/rpc/page_token.h"
#include "gateway/rpc/receipt_message.h"
#include "gateway/rpc/rpc_priv.h"
#include "proto/pb/unpack.h"

/*
 * The AuditService: each call is a question to the log's reading thread, and an answer made of what
 * that thread brought. The question keeps copies, so it may outlive its call.
 */
enum { PAGE_DEFAULT = 50 };

struct question {
    struct sg_audit_task task;
    struct sg_rpc *rpc;
    struct sg_call *call; /* NULL once closed */
    bool is_running;
    void (*reply)(struct question *question);

    /* What is asked. */
    struct sg_audit_name log;
    uint64_t first, old_size, new_size;
    size_t max;
    struct sg_leaves_filter filter;
    struct sg_buf filter_bytes;         /* which the filter borrows from */
    uint8_t scope[SG_PAGE_SCOPE_BYTES]; /* of its pages */
    char token[SG_PAGE_TOKEN_LEN + 1];  /* of this page; "": the first */

    /* What came. */
    enum sg_rc rc;
    struct sg_err err;
    struct sg_store_log found;
    struct sg_audit_receipt receipt;
    struct sg_buf checkpoint;
    struct sg_tree_proof proof;
    struct sg_leaves leaves;
};

static void question_free(struct question *question)
{
    sg_audit_receipt_done(&question->receipt);
    sg_leaves_done(&question->leaves);
    sg_buf_done(&question->checkpoint);
    sg_buf_done(&question->filter_bytes);
    free(question);
}

static void fail_with(struct question *question, const struct sg_err *err)
{
    const struct sg_rpc_error error = {.err = *err};
    sg_rpc_fail(question->rpc, question->call, &error);
}

static void on_answered(struct sg_audit_task *task)
{
    struct question *question = SG_CONTAINER(task, struct question, task);

    question->is_running = false;
    if (question->call == NULL)
        question_free(question);
    else if (question->rc != SG_OK)
        fail_with(question, &question->err);
    else
        question->reply(question);
}

static struct question *question_new(struct sg_rpc *rpc, struct sg_call *call,
                                     void (*run)(struct sg_audit_task *, struct sg_audit_reader *),
                                     void (*reply)(struct question *))
{
    struct question *question = calloc(1, sizeof(*question));
    if (question == NULL) {
        sg_rpc_fail_memory(rpc, call);
        return NULL;
    }
    question->rpc = rpc;
    question->call = call;
    question->task = (struct sg_audit_task){.run = run, .done = on_answered};
    question->reply = reply;
    sg_buf_init(&question->checkpoint, SG_NOTE_BYTES_MAX);
    sg_buf_init(&question->filter_bytes, SG_LEAVES_BYTES_MAX);
    sg_rpc_set_user(call, question);
    return question;
}

static void ask(struct question *question)
{
    struct sg_audit *audit = question->rpc->deps.audit;
    struct sg_err err;

    if (audit == NULL)
        SG_REFUSE(&err, SG_R_METHOD_NOT_SERVED, "this instance has no audit log");
    else if (sg_audit_ask(audit, &question->task, &err) == SG_OK)
        question->is_running = true;
    if (!question->is_running)
        fail_with(question, &err);
}

static void on_closed(struct sg_rpc *rpc, struct sg_call *call)
{
    (void)rpc;
    struct question *question = sg_rpc_user(call);
    if (question == NULL)
        return;
    question->call = NULL;
    if (!question->is_running)
        question_free(question);
}

/* GetReceipt ------------------------------------------------------------------------------- */

static void run_receipt(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);

    question->rc = sg_audit_log_find(reader, &question->log, &question->found, &question->err);
    if (question->rc != SG_OK)
        return;
    question->rc =
        sg_audit_receipt_read(reader->store, reader->tree, reader->log, question->found.id,
                              question->first, &question->receipt, &question->err);
    if (question->rc == SG_E_NOT_FOUND && question->err.reason != SG_R_LEAF_ARCHIVED)
        question->rc = SG_REFUSE(&question->err, SG_R_LEAF_NOT_FOUND, "log \"%s\" has no leaf %llu",
                                 question->found.name, (unsigned long long)question->first);
}

static void reply_receipt(struct question *question)
{
    const Sealgate__V1__AuditReceipt *response =
        sg_rpc_receipt_new(sg_call_arena(question->call), &question->receipt);
    if (response == NULL)
        sg_rpc_fail_memory(question->rpc, question->call);
    else
        sg_rpc_reply(question->rpc, question->call, &response->base, true);
}

static void on_get_receipt(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetReceiptRequest *request = sg_rpc_read(rpc, call, message, false);
    struct question *question =
        request == NULL ? NULL : question_new(rpc, call, run_receipt, reply_receipt);
    struct sg_err err;

    if (question == NULL)
        return;
    if (sg_audit_name_read(request->name, &question->log, &question->first, &err) != SG_OK)
        fail_with(question, &err);
    else
        ask(question);
}

/* GetCheckpoint ---------------------------------------------------------------------------- */

static void run_checkpoint(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);

    question->rc = sg_audit_log_find(reader, &question->log, &question->found, &question->err);
    if (question->rc == SG_OK)
        question->rc = sg_store_read_checkpoint(reader->store, question->found.id,
                                                &question->checkpoint, &question->err);
}

/* The size that the checkpoint is of: the log may have grown since it was found. */
static uint64_t size_of(const struct sg_buf *text)
{
    struct sg_checkpoint checkpoint;
    struct sg_note note;

    if (sg_note_parse(sg_buf_slice(text), &note, NULL) != SG_OK ||
        sg_checkpoint_parse(note.text, &checkpoint, NULL) != SG_OK)
        return 0;
    return checkpoint.head.size;
}

/* Only of our own log is the key known here. */
static bool add_key(struct question *question, Sealgate__V1__GetCheckpointResponse *response)
{
    struct sg_audit *audit = question->rpc->deps.audit;
    struct sg_arena *arena = sg_call_arena(question->call);
    struct sg_buf text;

    if (strcmp(sg_audit_origin(audit), question->found.origin) != 0)
        return true;
    sg_buf_init(&text, SG_NOTE_NAME_BYTES_MAX + 128);
    sg_note_key_write(sg_audit_key(audit), &text);
    response->key = text.failed ? NULL : sg_arena_strdup(arena, sg_buf_slice(&text));
    sg_buf_done(&text);
    return response->key != NULL;
}

static void reply_checkpoint(struct question *question)
{
    Sealgate__V1__GetCheckpointResponse response = SEALGATE__V1__GET_CHECKPOINT_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(question->call);

    response.log = sg_audit_name_new(arena, question->found.name, question->found.epoch);
    response.origin = question->found.origin;
    response.size = size_of(&question->checkpoint);
    if (response.log == NULL || !add_key(question, &response) ||
        !sg_rpc_copy_bytes(arena, sg_buf_slice(&question->checkpoint), &response.checkpoint))
        sg_rpc_fail_memory(question->rpc, question->call);
    else
        sg_rpc_reply(question->rpc, question->call, &response.base, true);
}

static void on_get_checkpoint(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetCheckpointRequest *request = sg_rpc_read(rpc, call, message, false);
    struct question *question =
        request == NULL ? NULL : question_new(rpc, call, run_checkpoint, reply_checkpoint);
    struct sg_err err;

    if (question == NULL)
        return;
    if (sg_audit_name_read(request->log, &question->log, NULL, &err) != SG_OK)
        fail_with(question, &err);
    else
        ask(question);
}

/* GetConsistencyProof ---------------------------------------------------------------------- */

static enum sg_rc prove_growth(struct question *question, struct sg_audit_reader *reader)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *other = NULL;
    struct sg_log_tree *tree = reader->tree;
    struct sg_err *err = &question->err;

    SG_TRY(sg_audit_log_find(reader, &question->log, &question->found, &question->err));
    SG_TRY(sg_store_read_checkpoint(reader->store, question->found.id, &question->checkpoint, err));
    const uint64_t size = size_of(&question->checkpoint);
    if (question->new_size == 0)
        question->new_size = size;
    if (question->old_size == 0 || question->old_size > question->new_size ||
        question->new_size > size)
        return SG_REFUSE(err, SG_R_LEAF_NOT_FOUND,
                         "the log has %llu leaves: sizes are from 1 to that",
                         (unsigned long long)size);
    if (question->found.id != reader->log->id) {
        SG_TRY(sg_log_tree_new(reader->store, question->found.id, &other, err));
        tree = other;
    }
    SG_TRY(sg_log_tree_load(tree, size, err));
    return sg_log_tree_prove_growth(tree, question->old_size, question->new_size, &question->proof,
                                    err);
}

static void run_growth(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);
    question->rc = prove_growth(question, reader);
}

static void reply_growth(struct question *question)
{
    Sealgate__V1__GetConsistencyProofResponse response =
        SEALGATE__V1__GET_CONSISTENCY_PROOF_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(question->call);
    bool is_made =
        sg_rpc_copy_bytes(arena, sg_buf_slice(&question->checkpoint), &response.checkpoint);

    response.old_size = question->old_size;
    response.new_size = question->new_size;
    response.proof = sg_arena_alloc(arena, (question->proof.count + 1) * sizeof(*response.proof));
    for (size_t i = 0; response.proof != NULL && is_made && i < question->proof.count; i++)
        is_made = sg_rpc_copy_bytes(
            arena, sg_slice_of(question->proof.hashes[i].bytes, SG_TREE_HASH_BYTES),
            &response.proof[response.n_proof++]);
    if (is_made && response.proof != NULL)
        sg_rpc_reply(question->rpc, question->call, &response.base, true);
    else
        sg_rpc_fail_memory(question->rpc, question->call);
}

static void on_get_growth(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__GetConsistencyProofRequest *request =
        sg_rpc_read(rpc, call, message, false);
    struct question *question =
        request == NULL ? NULL : question_new(rpc, call, run_growth, reply_growth);
    struct sg_err err;

    if (question == NULL)
        return;
    question->old_size = request->old_size;
    question->new_size = request->new_size;
    if (sg_audit_name_read(request->log, &question->log, NULL, &err) != SG_OK)
        fail_with(question, &err);
    else
        ask(question);
}

/* ListLeaves ------------------------------------------------------------------------------- */

static void run_leaves(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);

    question->rc = sg_audit_log_find(reader, &question->log, &question->found, &question->err);
    if (question->rc == SG_OK && question->token[0] != '\0')
        question->rc = sg_page_token_read(
            sg_audit_page_seal(question->rpc->deps.audit), question->scope, question->found.id,
            sg_slice_str(question->token), &question->first, &question->err);
    if (question->rc == SG_OK)
        question->rc =
            sg_leaves_read(reader, question->found.id, &question->filter, question->first,
                           question->max, &question->leaves, &question->err);
}

/* Where to go on. NULL: no memory. */
static char *token_new(struct sg_arena *arena, const struct question *question)
{
    struct sg_buf text;

    sg_buf_init(&text, SG_PAGE_TOKEN_LEN);
    char *token =
        sg_page_token_write(sg_audit_page_seal(question->rpc->deps.audit), question->scope,
                            question->found.id, question->leaves.next, &text, NULL) == SG_OK
            ? sg_arena_strdup(arena, sg_buf_slice(&text))
            : NULL;
    sg_buf_done(&text);
    return token;
}

static void reply_leaves(struct question *question)
{
    Sealgate__V1__ListLeavesResponse response = SEALGATE__V1__LIST_LEAVES_RESPONSE__INIT;
    struct sg_arena *arena = sg_call_arena(question->call);
    const size_t count = question->leaves.count;
    bool is_made = true;

    response.leaves = sg_arena_alloc(arena, (count + 1) * sizeof(*response.leaves));
    for (size_t i = 0; response.leaves != NULL && is_made && i < count; i++) {
        response.leaves[i] = sg_audit_leaf_new(arena, &question->found, question->leaves.seqs[i],
                                               sg_leaves_record(&question->leaves, i));
        is_made = response.leaves[i] != NULL;
        response.n_leaves++;
    }
    if (question->leaves.is_more && is_made) {
        response.next_page_token = token_new(arena, question);
        is_made = response.next_page_token != NULL;
    }
    if (is_made && response.leaves != NULL)
        sg_rpc_reply(question->rpc, question->call, &response.base, true);
    else
        sg_rpc_fail_memory(question->rpc, question->call);
}

/* Whose listing it is, and of what. */
static enum sg_rc read_scope(struct question *question, const Sealgate__V1__AuditFilter *filter,
                             struct sg_err *err)
{
    struct sg_audit_record asked = {0};
    struct sg_buf packed;

    sg_rpc_begin_record(question->call, &asked);
    sg_buf_init(&packed, SG_LEAVES_BYTES_MAX);
    if (filter != NULL)
        sg_pb_pack(&filter->base, &packed);
    enum sg_rc rc = sg_buf_check(&packed, err);
    if (rc == SG_OK)
        rc = sg_page_scope(asked.authority, asked.caller, asked.method, sg_buf_slice(&packed),
                           question->scope, err);
    sg_buf_done(&packed);
    return rc;
}

static enum sg_rc read_list(struct question *question,
                            const Sealgate__V1__ListLeavesRequest *request, struct sg_err *err)
{
    SG_TRY(sg_audit_name_read(request->log, &question->log, NULL, err));
    question->max = request->page_size == 0                   ? PAGE_DEFAULT
                    : request->page_size < SG_LEAVES_PAGE_MAX ? request->page_size
                                                              : SG_LEAVES_PAGE_MAX;
    question->first = request->first;
    SG_TRY(sg_audit_filter_read(request->filter, &question->filter, &question->filter_bytes, err));
    SG_TRY(read_scope(question, request->filter, err));
    /* It is opened where the log is found, which it must be of. */
    if (strlen(request->page_token) > SG_PAGE_TOKEN_LEN)
        return SG_REFUSE(err, SG_R_BAD_PAGE_TOKEN, "the page token is longer than any");
    snprintf(question->token, sizeof(question->token), "%s", request->page_token);
    return SG_OK;
}

static void on_list_leaves(struct sg_rpc *rpc, struct sg_call *call, struct sg_slice message)
{
    const Sealgate__V1__ListLeavesRequest *request = sg_rpc_read(rpc, call, message, false);
    struct question *question =
        request == NULL ? NULL : question_new(rpc, call, run_leaves, reply_leaves);
    struct sg_err err;

    if (question == NULL)
        return;
    if (read_list(question, request, &err) != SG_OK)
        fail_with(question, &err);
    else
        ask(question);
}

const struct sg_handler sg_handle_get_receipt = {.message = on_get_receipt, .closed = on_closed};
const struct sg_handler sg_handle_get_checkpoint = {.message = on_get_checkpoint,
                                                    .closed = on_closed};
const struct sg_handler sg_handle_get_consistency_proof = {.message = on_get_growth,
                                                           .closed = on_closed};
const struct sg_handler sg_handle_list_leaves = {.message = on_list_leaves, .closed = on_closed};
