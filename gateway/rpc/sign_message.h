#ifndef SG_GATEWAY_RPC_SIGN_MESSAGE_H
#define SG_GATEWAY_RPC_SIGN_MESSAGE_H

#include "gateway/rpc/rpc_priv.h"
#include "sealgate/v1/signing.pb-c.h"

/* Characters of an item_id. */
enum { SG_ITEM_ID_MAX = 64 };

/* What a SignRequest asks for, checked and decided. */
struct sg_sign_plan {
    struct sg_sign_request request; /* borrows the message's bytes */
    struct sg_audit_record record;  /* what is known before it is signed; borrows them too */
    uint8_t request_sha256[32];     /* of that */
    struct sg_request_id id;
    bool has_id;
    char rule[SG_RULE_LEN_MAX + 1]; /* the row that allowed it */
    bool is_dry_run;
    bool is_crc_checked;
};

/*
 * Judges the fields one by one, decides whether this caller may use this key by this call's
 * method, and fills the plan. Fields of capabilities that are not served yet are refused. Not
 * SG_OK: `error` is filled.
 */
SG_MUST_USE enum sg_rc sg_sign_plan_read(struct sg_rpc *rpc, struct sg_call *call,
                                         const Sealgate__V1__SignRequest *message,
                                         struct sg_sign_plan *ret, struct sg_rpc_error *error);

/* For a dry run: everything that can be known without signing. Fills `op` as sg_sign_check(). */
SG_MUST_USE enum sg_rc sg_sign_plan_try(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                                        struct sg_sign_op *op, struct sg_rpc_error *error);

/* Starts what was planned. Not SG_OK: `error` is filled. */
SG_MUST_USE enum sg_rc sg_sign_plan_start(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                                          struct sg_signing *signing, struct sg_rpc_error *error);
/* Whether `error`, with which a plan was not made, is on its way into the log: then the signing's
 * `done` comes with it. */
bool sg_sign_plan_deny(struct sg_rpc *rpc, const struct sg_sign_plan *plan,
                       struct sg_signing *signing, const struct sg_rpc_error *error);
/* The error of a signing that was not signed; its receipt is the caller's to tell. */
struct sg_rpc_error sg_signing_error(const struct sg_signing *signing);

/* The answer, in `arena`; it borrows nothing but the plan's rule and its key's name. NULL: no
 * memory. */
Sealgate__V1__SignResponse *sg_sign_response_new(struct sg_rpc *rpc, struct sg_arena *arena,
                                                 const struct sg_sign_plan *plan,
                                                 const struct sg_signing *signing,
                                                 int64_t started_ns);

/* Counts a finished operation. */
void sg_sign_count(struct sg_rpc *rpc, const struct sg_signing *signing);

#endif
