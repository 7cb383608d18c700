#ifndef SG_HSM_HSM_PRIV_H
#define SG_HSM_HSM_PRIV_H

#include "hsm/backend_priv.h"

/*
 * The engine's insides: hsm.c keeps keys and hands things back, choice.c finds a token for a job,
 * blame.c a key that kills token processes, backend.c is one token's queue.
 *
 * A job waits in one place at most: a copy's `waiting` (its token is not ready for it), a lane or
 * the `suspects` of a backend, or the engine's `finished`. It is under way in two at most. Where
 * it waits and where it was sent last is its `copy`.
 */
struct sg_engine_key;

/* A key on a token. */
struct sg_copy {
    struct sg_engine_key *key;
    struct sg_backend *backend;
    size_t slot; /* in the backend's list */
    enum sg_key_origin origin;
    enum sg_hsm_key_state state;
    struct sg_err err;
    size_t id_len;
    uint8_t id[SG_JOB_ID_MAX];
    struct sg_job_list waiting;
    bool is_asked;   /* LOAD_KEY is on its way */
    bool is_changed; /* to be told */
    bool is_refuted; /* quarantined because a signature did not verify */
    struct sg_copy *next_changed;
};

struct sg_engine_key {
    struct sg_hsm *hsm;
    char *name;
    size_t index; /* SIZE_MAX: a probe key */
    enum sg_key_type type;
    enum sg_hsm_key_state state; /* READY where one of its copies is */
    size_t spki_len;
    uint8_t *spki; /* once known never changed: others hold slices of it */
    /* Of token processes, by the scheme that was under way; a signature clears it. */
    uint8_t deaths[SG_SCHEME_COUNT];
    size_t copy_count;
    struct sg_copy copies[];
};

/* The one signature under way by a key that may have killed a token process. */
struct sg_trial {
    const struct sg_engine_key *key; /* NULL: none */
    enum sg_scheme scheme;
    const struct sg_backend *backend;
    int64_t due_ns; /* none before */
};

struct sg_hsm {
    struct sg_loop *loop;
    const struct sg_clock *clock;
    struct sg_hsm_events events;
    struct sg_backend **backends;
    size_t backend_count;
    struct sg_engine_key **keys;
    size_t key_count, key_cap;
    size_t states_count[SG_KEY_STATE_COUNT]; /* of keys */
    void *names;                             /* of keys, for tfind() */
    struct sg_hook hook;
    struct sg_job_list finished; /* to be handed back */
    struct sg_copy *changed;
    struct sg_trial trial;
    bool is_started, is_delivering;
};

/* hsm.c ---------------------------------------------------------------------------------- */
int64_t sg_engine_now(const struct sg_hsm *hsm);
/* The end of a job, wherever it is under way: signed when `err` is NULL. It is handed back later,
 * from the loop. */
void sg_engine_finish(struct sg_hsm *hsm, struct sg_hsm_job *job, const struct sg_err *err,
                      int64_t retry_ms);
/* Calls what is to be called. From callbacks of the loop only, as their last act. */
void sg_engine_deliver(struct sg_hsm *hsm);
/* Something is to be told or sent at the end of this turn. */
void sg_engine_wake(struct sg_hsm *hsm);

/* key.c: configuration, states ------------------------------------------------------------- */
/* NULL: no memory. `index` SIZE_MAX: a probe key, of which the engine's list knows nothing. */
struct sg_engine_key *sg_engine_key_new(struct sg_hsm *hsm, const struct sg_hsm_key_config *config,
                                        size_t index);
void sg_engine_key_free(struct sg_engine_key *key);
void sg_copy_set(struct sg_copy *copy, enum sg_hsm_key_state state, const struct sg_err *err);
/* The token has found the key. */
void sg_copy_accept(struct sg_copy *copy, const struct sg_answer *answer);
static inline struct sg_slice sg_copy_id(const struct sg_copy *copy)
{
    return sg_slice_of(copy->id, copy->id_len);
}

/* choice.c --------------------------------------------------------------------------------- */
/* A token for a new job. Errors as for sg_hsm_submit(). */
SG_MUST_USE enum sg_rc sg_choice_submit(struct sg_engine_key *key, struct sg_hsm_job *job,
                                        struct sg_err *err);
/* Another place for one that was admitted, waits nowhere and is under way nowhere. Finishes it
 * with `err` when there is none (NULL: with what is known of the tokens). */
void sg_choice_place(struct sg_hsm *hsm, struct sg_hsm_job *job, bool is_retry,
                     const struct sg_err *err);
/* Whether some token that it is not barred from may sign the job, now or in a moment. */
bool sg_choice_can_sign(struct sg_engine_key *key, const struct sg_hsm_job *job);
/* Whether a token other than those it was sent to could sign the job now. */
bool sg_choice_has_other(struct sg_hsm *hsm, const struct sg_hsm_job *job);
/* Has such a token sign it too. False: there is none, or it has no room. */
bool sg_choice_hedge(struct sg_hsm *hsm, struct sg_hsm_job *job, int64_t now);
/* A token or copy has changed: what waits for the key, or for any, is looked at again. */
void sg_choice_release(struct sg_engine_key *key);
void sg_choice_release_all(struct sg_hsm *hsm);
/* The copy to make a request by, that is ready now. */
SG_MUST_USE enum sg_rc sg_choice_ready(struct sg_engine_key *key, struct sg_copy **ret,
                                       struct sg_err *err);
/* Why none of the key's tokens can be used. */
enum sg_rc sg_choice_explain(const struct sg_engine_key *key, int64_t *ret_retry_ms,
                             struct sg_err *err);
/* Some other token signs now. */
bool sg_choice_others_serve(const struct sg_backend *backend);

/* blame.c ---------------------------------------------------------------------------------- */
/* Whether a trial may begin on this token. */
bool sg_blame_may_try(const struct sg_backend *backend, int64_t now);
/* Whether the job may be sent now; it becomes the trial of its key where that needs one. */
bool sg_blame_may_send(struct sg_backend *backend, const struct sg_hsm_job *job, int64_t now);
/* The token process ended with these places taken. `late_ns` not 0: it was killed for those that
 * were sent before. */
void sg_blame_lost(struct sg_backend *backend, int64_t late_ns, int64_t now);
/* The token process answered: it lives. */
void sg_blame_answered(struct sg_backend *backend, const struct sg_place *place);

#endif
