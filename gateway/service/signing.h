#ifndef SG_GATEWAY_SERVICE_SIGNING_H
#define SG_GATEWAY_SERVICE_SIGNING_H

#include "formats/audit/request_id.h"
#include "gateway/audit/audit.h"
#include "gateway/service/sign.h"

/*
 * A signature as its caller gets it: signed and verified (gateway/service/sign), recorded, and only
 * then told; and made once for each request_id, however often and wherever it is asked for.
 *
 * Whoever asks with an id that is under way waits for the first. One that is not is looked up in
 * the log, unless it is so young that it can hardly be there; and what is there all the same is
 * found when the record is written, since no two records have one key. Then the signature that was
 * made for nothing is thrown away, and the first one is told.
 *
 * An operation lives in its caller's memory until `done` is called, which happens exactly once for
 * every one that was started. Thread: loop.
 */
struct sg_signings;

struct sg_signing_options {
    struct sg_signer *signer;
    struct sg_audit *audit; /* NULL: nothing is recorded and no id is known; for benchmarks */
    const struct sg_clock *clock;
    int64_t retention_s; /* of request ids */
};

struct sg_signing {
    /* Set by the caller. */
    void (*done)(void *arg, struct sg_signing *signing);
    void *arg;

    /* The outcome, for `done`. What of `op` says what was signed holds of a replayed one too, but
     * for its key, which is the one that was asked for; its signature lives until
     * sg_signing_done(). */
    bool is_signed; /* zero means no */
    bool is_replayed;
    struct sg_err err;
    int64_t retry_ms;
    const struct sg_audit_receipt *receipt; /* NULL: none */
    struct sg_slice key_version;            /* that signed, "keys/x/versions/1" */
    struct sg_sign_op op;

    /* Private. */
    struct sg_signings *signings;
    struct sg_evidence *evidence;                  /* NULL: nothing is recorded */
    struct sg_signing *bucket_next, **bucket_link; /* while it is the first with its id */
    struct sg_signing *waiters;                    /* for it, linked by bucket_next */
};

SG_MUST_USE enum sg_rc sg_signings_new(const struct sg_signing_options *options,
                                       struct sg_signings **ret, struct sg_err *err);
/* No operation may be under way. */
void sg_signings_free(struct sg_signings *signings);
SG_DEFINE_AUTO(struct sg_signings, sg_signings_free);

/*
 * `record` has who asks, for what and by what right; what was signed and when is filled in here. It
 * is copied, as the request is. `id` NULL: none. Not SG_OK: nothing was started, `done` will not
 * come; retry_ms is set where there is advice.
 */
SG_MUST_USE enum sg_rc sg_signing_start(struct sg_signings *signings,
                                        const struct sg_sign_request *request,
                                        const struct sg_audit_record *record,
                                        const struct sg_request_id *id, struct sg_signing *signing,
                                        struct sg_err *err);

/*
 * Records that the caller was denied what `err` says; then `done` comes, with that error and a
 * receipt. false: there is no log, or too many denials of this caller came of late, which are
 * recorded as a number: answer at once, `done` will not come.
 */
SG_MUST_USE bool sg_signing_deny(struct sg_signings *signings, const struct sg_audit_record *record,
                                 const struct sg_err *err, struct sg_signing *signing);

/* Records the numbers of denials that are due. Called once a second. */
void sg_signings_flush(struct sg_signings *signings);

/* Frees what a finished operation keeps; the struct itself is the caller's. */
void sg_signing_done(struct sg_signing *signing);

/* Whoever waits gets no turn any more: what is under way ends with the signer and the log. */
void sg_signings_stop(struct sg_signings *signings);

/* Operations between start and done. */
size_t sg_signings_pending(const struct sg_signings *signings);

#endif
