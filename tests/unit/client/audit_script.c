#include "tests/unit/client/audit_script.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/audit/witness.h"
#include "methods.h"
#include "proto/pb/unpack.h"
#include "sealgate/v1/audit.pb-c.h"

enum { SEVEN = 7, TEXT_MAX = 160 << 10 };

struct audit_maker *audit_script_log(void)
{
    struct audit_maker *maker = audit_maker_new(AUDIT_SCRIPT_ORIGIN, 1);
    audit_maker_grow(maker, AUDIT_SCRIPT_LEAVES);
    return maker;
}

/* Made once and kept, for the servers of all tests of a program. */
static struct audit_maker *honest, *forged, *split;

static void free_logs(void)
{
    audit_maker_free(honest);
    audit_maker_free(forged);
    audit_maker_free(split);
}

static void make_logs(void)
{
    honest = audit_script_log();
    forged = audit_maker_new(AUDIT_SCRIPT_ORIGIN, 2);
    audit_maker_grow(forged, AUDIT_SCRIPT_LEAVES);
    split = audit_maker_new(AUDIT_SCRIPT_ORIGIN, 1);
    audit_maker_grow(split, AUDIT_SCRIPT_LEAVES / 2);
    audit_maker_add(split, audit_maker_record(honest, 7)); /* once more, where another was */
    audit_maker_grow(split, AUDIT_SCRIPT_LEAVES - AUDIT_SCRIPT_LEAVES / 2 - 1);
    (void)atexit(free_logs);
}

static bool is(const char *log, const char *name)
{
    return strncmp(log, "audit/", 6) == 0 && strncmp(log + 6, name, strlen(name)) == 0 &&
           (log[6 + strlen(name)] == '\0' || log[6 + strlen(name)] == '/');
}

static struct audit_maker *log_of(const char *log)
{
    return is(log, "forged") ? forged : is(log, "split") ? split : honest;
}

static void text(char **field, const char *value)
{
    *field = (char *)(uintptr_t)value;
}

static ProtobufCBinaryData data_of(struct sg_slice slice)
{
    return (ProtobufCBinaryData){slice.len, (uint8_t *)(uintptr_t)slice.ptr};
}

static void send_message(struct sg_call *call, const ProtobufCMessage *message)
{
    struct sg_buf out;
    struct sg_err err;
    bool full;

    sg_buf_init(&out, 32 << 20);
    sg_pb_pack(message, &out);
    if (sg_call_send(call, sg_buf_slice(&out), &full, &err) != SG_OK)
        sg_call_fail(call, &err);
    sg_buf_done(&out);
}

static void answer(struct sg_call *call, const ProtobufCMessage *message)
{
    send_message(call, message);
    sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

/* ---- Leaves --------------------------------------------------------------------------------- */

struct leaf {
    Sealgate__V1__AuditLeaf leaf;
    char name[80];
};

static void make_leaf(const char *log, uint64_t index, struct leaf *ret)
{
    sealgate__v1__audit_leaf__init(&ret->leaf);
    snprintf(ret->name, sizeof(ret->name), "%.40s/leaves/%llu",
             log[0] == '\0' ? "audit/log-1" : log,
             (unsigned long long)index + (is(log, "misnamed") ? 1 : 0));
    ret->leaf.name = ret->name;
    ret->leaf.leaf_index = index;
    ret->leaf.record = data_of(audit_maker_record(honest, index));
    if (is(log, "no-record"))
        ret->leaf.record = data_of(SG_SLICE("this is none"));
}

static void echo(struct sg_call *call, const Sealgate__V1__ListLeavesRequest *request)
{
    static const Sealgate__V1__AuditFilter none = SEALGATE__V1__AUDIT_FILTER__INIT;
    const Sealgate__V1__AuditFilter *filter = request->filter == NULL ? &none : request->filter;
    Sealgate__V1__ListLeavesResponse response = SEALGATE__V1__LIST_LEAVES_RESPONSE__INIT;
    struct sg_audit_record record = {.event = SG_AUDIT_GATEWAY_STARTED, .time_ns = 5};
    struct leaf leaf;
    Sealgate__V1__AuditLeaf *leaves[] = {&leaf.leaf};
    struct sg_buf bytes;
    char said[2000];

    snprintf(said, sizeof(said),
             "%u %s %llu filter %d %d %s %s %s %zu %zu %zu %s since %lld.%09d until %lld.%09d",
             request->page_size, request->page_token, (unsigned long long)request->first,
             request->filter != NULL, (int)filter->event, filter->caller, filter->key,
             filter->request_id, filter->digest.len, filter->signature.len,
             filter->public_key_sha256.len, filter->document_number,
             filter->since == NULL ? -1LL : (long long)filter->since->seconds,
             filter->since == NULL ? 0 : filter->since->nanos,
             filter->until == NULL ? -1LL : (long long)filter->until->seconds,
             filter->until == NULL ? 0 : filter->until->nanos);
    record.detail = sg_slice_str(said);
    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(&record, &bytes);
    make_leaf(request->log, request->first, &leaf);
    leaf.leaf.record = data_of(sg_buf_slice(&bytes));
    response.n_leaves = 1;
    response.leaves = leaves;
    answer(call, &response.base);
    sg_buf_done(&bytes);
}

/* Page tokens are numbers of leaves here. */
static void list_leaves(struct sg_call *call, const Sealgate__V1__ListLeavesRequest *request)
{
    Sealgate__V1__ListLeavesResponse response = SEALGATE__V1__LIST_LEAVES_RESPONSE__INIT;
    uint64_t first =
        request->page_token[0] == '\0' ? request->first : strtoull(request->page_token, NULL, 10);
    uint64_t end = first + (request->page_size == 0 ? 50 : request->page_size);
    struct sg_arena *arena = sg_call_arena(call);
    struct leaf *leaves = sg_arena_zalloc(arena, AUDIT_SCRIPT_LEAVES * sizeof(*leaves));
    char next[24] = "";

    response.leaves = sg_arena_alloc(arena, (AUDIT_SCRIPT_LEAVES + 1) * sizeof(void *));
    for (uint64_t i = first; i < end && i < AUDIT_SCRIPT_LEAVES; i++) {
        if (is(request->log, "gap") && i == 3)
            continue;
        make_leaf(request->log, i, &leaves[i]);
        response.leaves[response.n_leaves++] = &leaves[i].leaf;
        if (is(request->log, "twice") && i == 3)
            response.leaves[response.n_leaves++] = &leaves[i].leaf;
    }
    if (is(request->log, "swapped")) {
        Sealgate__V1__AuditLeaf *third = response.leaves[3];
        response.leaves[3] = response.leaves[4];
        response.leaves[4] = third;
    }
    if (end < AUDIT_SCRIPT_LEAVES)
        snprintf(next, sizeof(next), "%llu", (unsigned long long)end);
    text(&response.next_page_token, next);
    answer(call, &response.base);
}

static void send_leaf(struct sg_call *call, const char *log, uint64_t index)
{
    Sealgate__V1__WatchLeavesResponse response = SEALGATE__V1__WATCH_LEAVES_RESPONSE__INIT;
    struct leaf leaf;

    make_leaf(log, index, &leaf);
    if (!is(log, "empty"))
        response.leaf = &leaf.leaf;
    send_message(call, &response.base);
}

static void watch_leaves(struct sg_call *call, const Sealgate__V1__WatchLeavesRequest *request)
{
    struct script_connection *connection = sg_call_connection(call);
    const char *log = request->log;
    bool is_short = is(log, "ends") || is(log, "away") || is(log, "cuts");
    unsigned sent = 0;
    struct sg_err err;

    for (uint64_t i = request->first; i < AUDIT_SCRIPT_LEAVES && (!is_short || sent < SEVEN); i++) {
        if ((request->filter != NULL && i % 3 != 0) || (is(log, "gap") && i == 3))
            continue;
        send_leaf(call, log, i);
        if (is(log, "twice") && i == 3)
            send_leaf(call, log, i);
        sent++;
    }
    if (!is_short || sent < SEVEN)
        return; /* it is at the log's end, where it waits */
    if (is(log, "ends")) {
        sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
    } else if (is(log, "away")) {
        (void)SG_REFUSE(&err, SG_R_TOKEN_LOST, "away for a moment");
        sg_call_fail(call, &err);
    } else {
        connection->wants_cut = true;
    }
}

/* ---- Proofs --------------------------------------------------------------------------------- */

static void get_receipt(struct sg_call *call, const Sealgate__V1__GetReceiptRequest *request)
{
    Sealgate__V1__AuditReceipt response = SEALGATE__V1__AUDIT_RECEIPT__INIT;
    ProtobufCBinaryData proof[SG_TREE_LEVELS_MAX];
    struct audit_maker *maker = log_of(request->name);
    uint64_t index = strtoull(strrchr(request->name, '/') + 1, NULL, 10);
    struct sg_tree_hasher *hasher;
    struct sg_receipt receipt;
    struct sg_tree_hash leaf;
    struct sg_buf file;

    index += is(request->name, "other-leaf") ? 1 : 0;
    sg_buf_init(&file, TEXT_MAX);
    audit_maker_receipt(maker, index, AUDIT_SCRIPT_LEAVES, &file);
    if (sg_receipt_parse(sg_buf_slice(&file), &receipt, NULL) != SG_OK ||
        sg_tree_hasher_new(&hasher, NULL) != SG_OK)
        abort();
    sg_tree_hash_leaf(hasher, audit_maker_record(maker, index), &leaf);
    sg_tree_hasher_free(hasher);
    text(&response.log, "audit/log-1");
    response.leaf_index = index;
    response.leaf_hash = data_of(sg_slice_of(leaf.bytes, sizeof(leaf.bytes)));
    response.inclusion_proof = proof;
    for (size_t i = 0; i < receipt.proof.count; i++)
        proof[response.n_inclusion_proof++] =
            data_of(sg_slice_of(receipt.proof.hashes[i].bytes, SG_TREE_HASH_BYTES));
    response.checkpoint = data_of(receipt.checkpoint);
    response.record = data_of(audit_maker_record(maker, index));
    answer(call, &response.base);
    sg_buf_done(&file);
}

static void get_checkpoint(struct sg_call *call, const Sealgate__V1__GetCheckpointRequest *request)
{
    Sealgate__V1__GetCheckpointResponse response = SEALGATE__V1__GET_CHECKPOINT_RESPONSE__INIT;
    struct sg_buf note, key;

    sg_buf_init(&note, TEXT_MAX);
    sg_buf_init(&key, 512);
    audit_maker_checkpoint(log_of(request->log), AUDIT_SCRIPT_LEAVES, &note);
    if (is(request->log, "garbage"))
        note.len /= 2;
    sg_note_key_write(audit_maker_key(log_of(request->log)), &key);
    sg_buf_add_u8(&key, 0);
    text(&response.log, "audit/log-1");
    text(&response.origin, "what stands beside the note is not used");
    response.size = 12345;
    response.checkpoint = data_of(sg_buf_slice(&note));
    text(&response.key, (const char *)key.ptr);
    answer(call, &response.base);
    sg_buf_done(&note);
    sg_buf_done(&key);
}

static void get_growth(struct sg_call *call,
                       const Sealgate__V1__GetConsistencyProofRequest *request)
{
    Sealgate__V1__GetConsistencyProofResponse response =
        SEALGATE__V1__GET_CONSISTENCY_PROOF_RESPONSE__INIT;
    ProtobufCBinaryData proof[SG_TREE_LEVELS_MAX + 1];
    struct sg_witness_request growth;
    struct sg_buf file;

    sg_buf_init(&file, TEXT_MAX);
    audit_maker_growth_file(log_of(request->log), request->old_size, AUDIT_SCRIPT_LEAVES, &file);
    if (sg_witness_request_parse(sg_buf_slice(&file), &growth, NULL) != SG_OK)
        abort();
    response.old_size = request->old_size;
    response.new_size = AUDIT_SCRIPT_LEAVES;
    response.proof = proof;
    for (size_t i = 0; i < growth.proof.count; i++)
        proof[response.n_proof++] = data_of(sg_slice_of(
            growth.proof.hashes[i].bytes, is(request->log, "garbage") ? 16 : SG_TREE_HASH_BYTES));
    while (is(request->log, "long") && response.n_proof <= SG_TREE_LEVELS_MAX)
        proof[response.n_proof++] = proof[0];
    response.checkpoint = data_of(growth.checkpoint);
    answer(call, &response.base);
    sg_buf_done(&file);
}

/* ---- The service ---------------------------------------------------------------------------- */

bool audit_script_answer(struct sg_call *call, const ProtobufCMessage *in)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sg_err err;

    (void)pthread_once(&once, make_logs);
    switch (sg_call_method(call)->id) {
    case SG_METHOD_AUDIT_SERVICE_LIST_LEAVES: {
        const Sealgate__V1__ListLeavesRequest *request =
            (const Sealgate__V1__ListLeavesRequest *)in;
        if (is(request->log, "denied")) {
            (void)SG_REFUSE(&err, SG_R_METHOD_NOT_ALLOWED, "not for this caller");
            sg_call_fail(call, &err);
        } else if (is(request->log, "echo")) {
            echo(call, request);
        } else {
            list_leaves(call, request);
        }
        return true;
    }
    case SG_METHOD_AUDIT_SERVICE_WATCH_LEAVES: {
        const Sealgate__V1__WatchLeavesRequest *request =
            (const Sealgate__V1__WatchLeavesRequest *)in;
        if (is(request->log, "denied")) {
            (void)SG_REFUSE(&err, SG_R_METHOD_NOT_ALLOWED, "not for this caller");
            sg_call_fail(call, &err);
        } else {
            watch_leaves(call, request);
        }
        return true;
    }
    case SG_METHOD_AUDIT_SERVICE_GET_RECEIPT:
        get_receipt(call, (const Sealgate__V1__GetReceiptRequest *)in);
        return true;
    case SG_METHOD_AUDIT_SERVICE_GET_CHECKPOINT:
        get_checkpoint(call, (const Sealgate__V1__GetCheckpointRequest *)in);
        return true;
    case SG_METHOD_AUDIT_SERVICE_GET_CONSISTENCY_PROOF:
        get_growth(call, (const Sealgate__V1__GetConsistencyProofRequest *)in);
        return true;
    default:
        return false;
    }
}
