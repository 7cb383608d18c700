#ifndef SG_GATEWAY_RPC_ERRORS_H
#define SG_GATEWAY_RPC_ERRORS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "google/rpc/status.pb-c.h"
#include "proto/grpc/status.h"

/* An error with what only the RPC side knows of it. */
struct sg_rpc_error {
    struct sg_err err;
    const char *field; /* of the request; told when the class is INVALID. NULL: none */
    int64_t retry_ms;  /* when to come again; 0: no advice */
    bool is_recorded;  /* as a denial, or counted as one: not again */
    const struct sg_audit_receipt *receipt; /* that the denial is recorded; NULL: none */
    const char *resource;                   /* that was not found; NULL: none */
};

/*
 * What a client is told of an error in words. Where the cause lies in the request or in the rights
 * of its sender, the error's own; where it lies in us or in a token, a sentence of the reason's:
 * the error's own is the operator's, and may name a path, a module or what a token said. Static, or
 * lives as long as `err`.
 */
const char *sg_rpc_public_message(const struct sg_err *err);

/*
 * The status the client sees: code, public message, and details of exactly one ErrorInfo {reason,
 * domain "sealgate", metadata: next, request_id}, with RetryInfo, BadRequest or ResourceInfo where
 * they help. All of it lies in the arena; NULL: no memory.
 */
Google__Rpc__Status *sg_rpc_status_new(struct sg_arena *arena, const struct sg_rpc_error *error,
                                       const char *request_id);

#endif
