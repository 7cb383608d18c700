#ifndef SG_HSM_HSM_H
#define SG_HSM_HSM_H

#include "base/algorithm.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/slice.h"
#include "hsm/hsm_config.h"

/*
 * Signing with keys that never leave the token: the gateway's side.
 *
 * PKCS#11 lives in another process (hsm/token.h), one per module, reached by a SOCK_SEQPACKET
 * unix socket. This side keeps the queue, chooses what to send, watches over the link and hands
 * back every job exactly once, whatever happens to the token process. It holds no PIN and calls
 * no PKCS#11.
 *
 * A key may be on several tokens. A job goes to the one that is expected to sign it first; to
 * another when that one fails, hangs or takes too long; and is handed back with the first
 * signature that comes.
 *
 * A job has one owner at a time: the submitter, then the engine, then whoever the done callback
 * gives it to. It carries copies, never pointers into a request, so a client that goes away
 * mid-signature leaves nothing dangling; `tag` says which call to look for, not where it is.
 *
 * All of it belongs to the loop's thread.
 */
struct sg_hsm;

/* Room in a job for what the token process judges personal and agency keys by (ARCHITECTURE.md);
 * carried and bounded from the first day, empty until activation exists. */
enum { SG_EVIDENCE_BYTES_MAX = 8192 };

struct sg_hsm_job {
    /* Filled in by the submitter. */
    uint64_t tag;    /* opaque here */
    uint64_t caller; /* who asks: waiting jobs are taken fairly per caller */
    size_t key;      /* from sg_hsm_add_key() */
    enum sg_scheme scheme;
    enum sg_digest_alg digest_alg; /* unset for Ed25519 */
    int64_t deadline_ns;           /* monotonic; never signed after it. 0: none */
    uint8_t *evidence;             /* malloc'd, or NULL; freed with the job */
    size_t evidence_len;

    /* Filled in by the engine before it calls done. */
    bool is_signed;    /* zero means no */
    struct sg_err err; /* why not, when not */
    int64_t retry_ms;  /* with SG_E_UNAVAILABLE and SG_E_LIMIT: when to come again; 0: no advice */
    int64_t queue_ns;  /* from submit to the token's C_SignInit */
    int64_t hsm_ns;    /* inside C_SignInit and C_Sign */
    size_t token;      /* that signed it, or was asked last */
    size_t signature_len;
    uint8_t signature[SG_KEY_SIGNATURE_BYTES_MAX]; /* ECDSA: r || s */

    /* Private to hsm/ while submitted. */
    struct sg_hsm_job *next;
    struct sg_copy *copy;       /* that it waits for, or was sent to last */
    struct sg_place *places[2]; /* where it is under way */
    uint64_t tried, barred;     /* tokens that were asked; that are not to be asked again */
    int64_t submit_ns, hedge_ns;
    uint8_t attempts;

    /* What is to be signed, the digest or for Ed25519 the message, set by sg_hsm_job_new(). */
    size_t tbs_len;
    uint8_t tbs[];
};

/* A job to sign `tbs`, of at most SG_TBS_BYTES_MAX, with all else zero. NULL: no memory. */
struct sg_hsm_job *sg_hsm_job_new(struct sg_slice tbs);
void sg_hsm_job_free(struct sg_hsm_job *job);
SG_DEFINE_AUTO(struct sg_hsm_job, sg_hsm_job_free);

enum sg_hsm_token_state {
    SG_TOKEN_DOWN = 0,
    SG_TOKEN_PROBING,
    SG_TOKEN_UP,
    SG_TOKEN_PIN_LATCHED,
    SG_TOKEN_SUSPECT,  /* up, but a call takes too long: used only where no other token serves */
    SG_TOKEN_DRAINING, /* up, but it gets no work until it is resumed */
    SG_TOKEN_STATE_COUNT,
};

enum sg_hsm_key_state {
    SG_KEY_LOADING = 0, /* the token has not told yet; jobs wait for it */
    SG_KEY_READY,       /* found once, attributes and public key as they must be */
    SG_KEY_UNUSABLE,    /* `err` says why: missing, twice, wrong attributes, other public key */
    SG_KEY_QUARANTINED, /* its signatures failed verification, or it killed the token twice */
};
enum { SG_KEY_STATE_COUNT = SG_KEY_QUARANTINED + 1 };

struct sg_hsm_key_info {
    const char *name;
    const char *token; /* the name of its first */
    size_t copy_count;
    enum sg_key_type type;
    enum sg_hsm_key_state state; /* READY where one copy is */
    struct sg_err err;           /* for UNUSABLE and QUARANTINED */
    struct sg_slice spki;        /* DER, empty until known; lives as long as the engine */
};

/* One copy of a key. */
struct sg_hsm_copy_info {
    size_t token;
    enum sg_hsm_key_state state;
    struct sg_err err;  /* for UNUSABLE and QUARANTINED */
    struct sg_slice id; /* CKA_ID */
};

struct sg_hsm_token_info {
    const char *name;
    enum sg_hsm_token_state state;
    bool is_drained;           /* in whatever state it is else */
    struct sg_err err;         /* why it is not UP */
    size_t workers;            /* sessions that can sign at once; 0 while down */
    size_t in_flight, waiting; /* jobs at the token process, jobs here */
    int64_t estimated_wait_ms; /* what a job submitted now would wait */
    uint64_t signed_total, failed_total, retried_total, hedged_total, refuted_total, restarts_total;
    size_t keys[SG_KEY_STATE_COUNT]; /* that have a copy on it, by the state of that */
};

/* Called from the loop, never from inside a call into the engine. */
struct sg_hsm_events {
    void *arg;
    /* The job is the callee's again. */
    void (*done)(void *arg, struct sg_hsm_job *job);
    /* For the log and for health; may be NULL. `err` says why a token is not UP. */
    void (*token_changed)(void *arg, size_t token, const struct sg_err *err);
    void (*key_changed)(void *arg, size_t key, size_t copy);
};

SG_MUST_USE enum sg_rc sg_hsm_new(struct sg_loop *loop, const struct sg_clock *clock,
                                  const struct sg_hsm_events *events, struct sg_hsm **ret,
                                  struct sg_err *err);
/* Frees the jobs it still has, without calling done. */
void sg_hsm_free(struct sg_hsm *hsm);
SG_DEFINE_AUTO(struct sg_hsm, sg_hsm_free);

/* Before sg_hsm_start(). Errors: SG_E_INVALID for a name given twice or a bad value. */
SG_MUST_USE enum sg_rc sg_hsm_add_token(struct sg_hsm *hsm,
                                        const struct sg_hsm_token_config *config, size_t *ret,
                                        struct sg_err *err);
SG_MUST_USE enum sg_rc sg_hsm_add_key(struct sg_hsm *hsm, const struct sg_hsm_key_config *config,
                                      size_t *ret, struct sg_err *err);

/* Begins to connect; a token process that is not there yet is waited for. */
SG_MUST_USE enum sg_rc sg_hsm_start(struct sg_hsm *hsm, struct sg_err *err);

/*
 * Queues `job`; done is called with it exactly once, later.
 *
 * Owns:    takes `job` on SG_OK; on any other result the caller keeps it
 * Errors:  SG_E_LIMIT        QUEUE_FULL or DEADLINE_UNREACHABLE; job->retry_ms is set
 *          SG_E_UNAVAILABLE  no token that has the key is up; job->retry_ms is set
 *          SG_E_CONFLICT     the key cannot sign; job->err has the reason
 */
SG_MUST_USE enum sg_rc sg_hsm_submit(struct sg_hsm *hsm, struct sg_hsm_job *job,
                                     struct sg_err *err);

/*
 * The signature in `job` did not verify: quarantines the key on that token, makes the token prove
 * itself, and has another token sign where one can: then done is called with the job once more.
 *
 * Owns:    takes `job` on SG_OK; on any other result the caller keeps it
 * Errors:  HSM_FAULT: no other token can sign it
 */
SG_MUST_USE enum sg_rc sg_hsm_report_bad(struct sg_hsm *hsm, struct sg_hsm_job *job,
                                         struct sg_err *err);

/* The token gets no more work: what waits for it goes to others that hold the keys, what it is at
 * it ends. It stays so until it is resumed, which also lifts the quarantine of keys on it. */
void sg_hsm_drain(struct sg_hsm *hsm, size_t token);
void sg_hsm_resume(struct sg_hsm *hsm, size_t token);

/*
 * Asks the token process for a PKCS#10 request (DER) signed by the key, with the subject given
 * as a DER Name and DNS or URI names as a DER GeneralNames (or empty). `done` is called once,
 * later, with the request or an error; `tag` comes back. Errors of the call itself as for submit.
 */
typedef void (*sg_hsm_csr_fn)(void *arg, uint64_t tag, struct sg_slice csr,
                              const struct sg_err *err);
SG_MUST_USE enum sg_rc sg_hsm_csr(struct sg_hsm *hsm, size_t key, struct sg_slice subject,
                                  struct sg_slice alt_names, enum sg_digest_alg digest_alg,
                                  int64_t deadline_ns, uint64_t tag, sg_hsm_csr_fn done, void *arg,
                                  struct sg_err *err);

size_t sg_hsm_token_count(const struct sg_hsm *hsm);
size_t sg_hsm_key_count(const struct sg_hsm *hsm);
/* What is known now; pointers inside live as long as the engine. */
void sg_hsm_token_info(const struct sg_hsm *hsm, size_t token, struct sg_hsm_token_info *ret);
void sg_hsm_key_info(const struct sg_hsm *hsm, size_t key, struct sg_hsm_key_info *ret);
void sg_hsm_copy_info(const struct sg_hsm *hsm, size_t key, size_t copy,
                      struct sg_hsm_copy_info *ret);
/* For whoever looks at all keys: how one is on a token. False: it has no copy there. */
bool sg_hsm_key_on(const struct sg_hsm *hsm, size_t key, size_t token, enum sg_hsm_key_state *ret);
/* How many are in this state, each as its best copy is. */
size_t sg_hsm_keys_in(const struct sg_hsm *hsm, enum sg_hsm_key_state state);

#endif
