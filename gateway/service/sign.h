#ifndef SG_GATEWAY_SERVICE_SIGN_H
#define SG_GATEWAY_SERVICE_SIGN_H

#include "base/cleanup.h"
#include "gateway/service/crypto.h"
#include "gateway/service/keys.h"
#include "hsm/hsm.h"

/*
 * One signature, from a checked request to bytes that may be released: the token signs, the
 * public key verifies, and only then does the result say that it is signed. Knows no protobuf and
 * no HTTP. The right to sign was decided by the caller of this module (gateway/rpc/access.h).
 *
 * An operation lives in its caller's memory until `done` is called, which happens exactly once
 * for every one that was started, whoever has gone away meanwhile. Thread: loop.
 */
struct sg_signer;

/* How jobs reach the keys. The engine's own two functions, or another pair in a benchmark that
 * measures everything but the token. */
struct sg_sign_engine {
    void *arg;
    enum sg_rc (*submit)(void *arg, struct sg_hsm_job *job, struct sg_err *err);
    enum sg_rc (*report_bad)(void *arg, struct sg_hsm_job *job, struct sg_err *err);
};

/*
 * How many operations one connection has between start and done, so that no peer takes all that
 * there is: its streams are bounded, but a stream may carry a thousand signatures. Lives until its
 * owner has let go and the last of them is done, since they outlive their connection.
 */
struct sg_sign_tally;

struct sg_sign_request {
    struct sg_key *key;
    enum sg_scheme scheme;         /* unset: the key's default */
    enum sg_digest_alg digest_alg; /* unset: `content` is a message */
    enum sg_sig_encoding encoding; /* unset: DER */
    struct sg_slice content;       /* copied by sg_sign_start() */
    uint64_t caller;               /* for fairness */
    struct sg_sign_tally *tally;   /* NULL: not counted */
    int64_t deadline_ns;           /* monotonic */
};

struct sg_sign_op {
    /* Set by the caller. */
    void (*done)(void *arg, struct sg_sign_op *op);
    void *arg;

    /* The outcome, for `done`. */
    bool is_signed; /* zero means no */
    struct sg_err err;
    int64_t retry_ms;          /* when to come again; 0: no advice */
    struct sg_slice signature; /* as encoded; lives until sg_sign_op_done() */
    struct sg_key *key;
    size_t token; /* that signed, or was asked last; its place in the configuration */
    enum sg_scheme scheme;
    enum sg_digest_alg digest_alg;
    enum sg_sig_encoding encoding;
    int64_t sign_wall_ns; /* when the token had signed */
    int64_t queue_ns, hsm_ns;

    /* Private. */
    struct sg_signer *signer;
    struct sg_sign_tally *tally;
    struct sg_hsm_job *job; /* from its return until sg_sign_op_done() */
    struct sg_sign_op *next, **link;
    struct sg_crypto_task task;
    enum sg_raw_verdict verdict;
    uint8_t der[SG_ECDSA_DER_MAX];
};

SG_MUST_USE enum sg_rc sg_signer_new(const struct sg_sign_engine *engine, struct sg_crypto *crypto,
                                     const struct sg_clock *clock, struct sg_signer **ret,
                                     struct sg_err *err);
/* No operation may be under way. */
void sg_signer_free(struct sg_signer *signer);
SG_DEFINE_AUTO(struct sg_signer, sg_signer_free);

SG_MUST_USE enum sg_rc sg_sign_tally_new(size_t max, struct sg_sign_tally **ret,
                                         struct sg_err *err);
/* The owner lets go. */
void sg_sign_tally_free(struct sg_sign_tally *tally);

/*
 * Fills in the defaults and judges whether this key signs this content by this scheme: digest
 * algorithm and length, message length, allowed schemes. What dry_run stops after. Fills op's
 * key, scheme, digest_alg and encoding.
 */
SG_MUST_USE enum sg_rc sg_sign_check(const struct sg_sign_request *request, struct sg_sign_op *op,
                                     struct sg_err *err);

/* Checks, then starts. Not SG_OK: nothing was started, `done` will not come; op->retry_ms is set
 * where there is advice. Errors: SG_E_LIMIT CONNECTION_BUSY: the tally is full. */
SG_MUST_USE enum sg_rc sg_sign_start(struct sg_signer *signer,
                                     const struct sg_sign_request *request, struct sg_sign_op *op,
                                     struct sg_err *err);

/* The engine gives a job back: belongs into its `done` event. */
void sg_sign_job_done(struct sg_hsm_job *job);

/* Frees what a finished operation keeps; the struct itself is the caller's. */
void sg_sign_op_done(struct sg_sign_op *op);

/* Fails every operation that is still with the engine, which is gone and gives no job back. */
void sg_signer_abandon(struct sg_signer *signer);

/* Operations between start and done. */
size_t sg_signer_pending(const struct sg_signer *signer);

#endif
