#include "gateway/rpc/receipt_message.h"

#include "gateway/rpc/audit_message.h"

#include <stdio.h>

bool sg_rpc_copy_bytes(struct sg_arena *arena, struct sg_slice bytes, ProtobufCBinaryData *ret)
{
    ret->len = bytes.len;
    ret->data = bytes.len == 0 ? NULL : sg_arena_alloc(arena, bytes.len);
    if (ret->data == NULL)
        return bytes.len == 0;
    memcpy(ret->data, bytes.ptr, bytes.len);
    return true;
}

/* All of them in one piece of memory. */
static bool copy_proof(struct sg_arena *arena, const struct sg_tree_proof *proof,
                       Sealgate__V1__AuditReceipt *message)
{
    struct sg_slice hashes = sg_slice_of(proof->hashes[0].bytes, proof->count * SG_TREE_HASH_BYTES);
    ProtobufCBinaryData whole;

    message->inclusion_proof =
        sg_arena_alloc(arena, (proof->count + 1) * sizeof(*message->inclusion_proof));
    if (message->inclusion_proof == NULL || !sg_rpc_copy_bytes(arena, hashes, &whole))
        return false;
    for (size_t i = 0; i < proof->count; i++)
        message->inclusion_proof[i] = (ProtobufCBinaryData){
            .len = SG_TREE_HASH_BYTES, .data = whole.data + i * SG_TREE_HASH_BYTES};
    message->n_inclusion_proof = proof->count;
    return true;
}

Sealgate__V1__AuditReceipt *sg_rpc_receipt_new(struct sg_arena *arena,
                                               const struct sg_audit_receipt *receipt)
{
    Sealgate__V1__AuditReceipt *message = sg_arena_alloc(arena, sizeof(*message));
    char *log = sg_audit_name_new(arena, receipt->log, receipt->epoch);
    if (message == NULL || log == NULL)
        return NULL;

    sealgate__v1__audit_receipt__init(message);
    message->log = log;
    message->leaf_index = receipt->index;
    if (!sg_rpc_copy_bytes(arena, sg_slice_of(receipt->leaf.bytes, sizeof(receipt->leaf.bytes)),
                           &message->leaf_hash) ||
        !copy_proof(arena, &receipt->proof, message) ||
        !sg_rpc_copy_bytes(arena, sg_audit_note_text(receipt->checkpoint), &message->checkpoint) ||
        !sg_rpc_copy_bytes(arena, sg_buf_slice(&receipt->record), &message->record))
        return NULL;
    return message;
}
