#ifndef SG_GATEWAY_RPC_RECEIPT_MESSAGE_H
#define SG_GATEWAY_RPC_RECEIPT_MESSAGE_H

#include "base/arena.h"
#include "gateway/audit/receipt.h"
#include "sealgate/v1/types.pb-c.h"

/* A copy in the arena; false: no memory. */
bool sg_rpc_copy_bytes(struct sg_arena *arena, struct sg_slice bytes, ProtobufCBinaryData *ret);

/* A receipt as a message, in the arena, borrowing nothing. NULL: no memory. */
Sealgate__V1__AuditReceipt *sg_rpc_receipt_new(struct sg_arena *arena,
                                               const struct sg_audit_receipt *receipt);

#endif
