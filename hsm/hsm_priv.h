#ifndef SG_HSM_HSM_PRIV_H
#define SG_HSM_HSM_PRIV_H

#include "hsm/breaker.h"
#include "hsm/fair.h"
#include "hsm/hsm.h"
#include "hsm/link.h"

/*
 * The engine's insides: hsm.c keeps keys and hands things back, backend.c is one token (its queue,
 * its window, its health), csr.c its certificate requests.
 *
 * A job is in exactly one place at a time: a key's `waiting` (the key is being loaded), a backend's
 * `retries` or `queue`, a place of its window, or the engine's `finished`.
 */
struct sg_backend;

struct sg_engine_key {
    struct sg_hsm *hsm;
    char *name;
    size_t index;
    struct sg_backend *backend;
    enum sg_key_type type;
    enum sg_hsm_key_state state;
    struct sg_err err;
    size_t id_len, spki_len;
    uint8_t id[SG_JOB_ID_MAX];
    uint8_t *spki; /* once known never changed: others hold slices of it */
    struct sg_job_list waiting;
    bool is_asked;   /* LOAD_KEY is on its way */
    bool is_changed; /* to be told */
    unsigned deaths; /* of the token process, with this key alone in flight */
    struct sg_engine_key *next_changed;
};

/* One signature at the token process. `job` is NULL when it was already answered for its deadline:
 * the place stays taken until the token process is done with it too. */
struct sg_place {
    struct sg_hsm_job *job;
    struct sg_engine_key *key;
    enum sg_scheme scheme;
    uint64_t serial;          /* 0: free */
    int64_t send_ns, cost_ns; /* when; what it was expected to take */
};

struct sg_engine_csr {
    struct sg_engine_csr *next;
    uint64_t serial, tag;
    int64_t deadline_ns;
    sg_hsm_csr_fn done;
    void *arg;
};

enum { SG_PLACES_MAX = 1024, SG_CSRS_MAX = 64 };

struct sg_backend {
    struct sg_hsm *hsm;
    size_t index;
    char *name, *socket;
    size_t queue_max;
    int64_t hang_ms;

    struct sg_link sign, admin;
    struct sg_breaker breaker;
    struct sg_timer timer;
    int64_t timer_ns;     /* when it is set for; 0: not set */
    int64_t reconnect_ns; /* not before */
    int64_t greeting_ns;  /* when the links were opened */
    int64_t answer_ns;    /* when the token last answered anything */
    int64_t admin_ns;     /* when the admin thread last moved on, while it has work */
    size_t admin_asked;   /* probes, loads and requests under way */
    bool is_probing, is_pin_latched, is_changed;
    struct sg_err err; /* why it is not UP */
    size_t workers;    /* 0 while down */
    size_t load_next;  /* the next key to look at for loading */

    struct sg_fair queue;
    struct sg_job_list retries; /* before the queue: they have waited once */
    size_t waiting;             /* in queue, retries and keys' lists */
    size_t held;                /* in keys' lists */
    int64_t late_ns;            /* none of them has its deadline before */
    struct sg_place places[SG_PLACES_MAX];
    size_t in_flight, first_free; /* below first_free none is free */
    int64_t in_flight_ns;         /* what they were expected to take, together */
    size_t put_count;             /* since the last flush */
    int64_t put_slowest_ns;
    uint64_t serial;
    int64_t usual_ns[SG_KEY_TYPE_COUNT]; /* moving average of a signature's time in the token */
    /* The same of the shorter of each two neighbours, and the last one's: what it takes where it
     * has not to wait for a processor. */
    int64_t brisk_ns[SG_KEY_TYPE_COUNT], last_ns[SG_KEY_TYPE_COUNT];
    size_t pending[SG_KEY_TYPE_COUNT]; /* jobs here and there, by type of key */
    size_t sent[SG_KEY_TYPE_COUNT];    /* places taken, by type of key */

    struct sg_engine_csr *csrs;
    size_t csr_count;
    uint64_t signed_total, failed_total, retried_total, restarts_total;
};

struct sg_hsm {
    struct sg_loop *loop;
    const struct sg_clock *clock;
    struct sg_hsm_events events;
    struct sg_backend **backends;
    size_t backend_count;
    struct sg_engine_key **keys;
    size_t key_count, key_cap;
    void *names; /* of keys, for tfind() */
    struct sg_hook hook;
    struct sg_job_list finished; /* to be handed back */
    struct sg_engine_key *changed;
    bool is_started, is_delivering;
};

/* hsm.c ---------------------------------------------------------------------------------- */
int64_t sg_engine_now(const struct sg_hsm *hsm);
/* The end of a job: signed when `err` is NULL. It is handed back later, from the loop. */
void sg_engine_finish(struct sg_hsm *hsm, struct sg_hsm_job *job, const struct sg_err *err,
                      int64_t retry_ms);
/* Calls what is to be called. From callbacks of the loop only, as their last act. */
void sg_engine_deliver(struct sg_hsm *hsm);
/* Something is to be told or sent at the end of this turn. */
void sg_engine_wake(struct sg_hsm *hsm);
void sg_engine_key_set(struct sg_engine_key *key, enum sg_hsm_key_state state,
                       const struct sg_err *err);

/* backend.c ------------------------------------------------------------------------------ */
SG_MUST_USE enum sg_rc sg_backend_new(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                                      size_t index, struct sg_backend **ret, struct sg_err *err);
/* Frees its jobs too. */
void sg_backend_free(struct sg_backend *backend);
void sg_backend_start(struct sg_backend *backend);
/* Fills the window and sends; once per turn of the loop. */
void sg_backend_flush(struct sg_backend *backend);
/* Whether a job or request may wait for this token now. Errors as for sg_hsm_submit(). */
SG_MUST_USE enum sg_rc sg_backend_admit(struct sg_backend *backend, int64_t *ret_retry_ms,
                                        struct sg_err *err);
SG_MUST_USE enum sg_rc sg_backend_submit(struct sg_backend *backend, struct sg_engine_key *key,
                                         struct sg_hsm_job *job, struct sg_err *err);
/* Counts a job that came to wait, and minds its deadline. */
void sg_backend_waits(struct sg_backend *backend, const struct sg_hsm_job *job);
/* Moves the jobs that waited for the key on: to the queue, or to their end. */
void sg_backend_release_key(struct sg_backend *backend, struct sg_engine_key *key);
int64_t sg_backend_wait_ns(const struct sg_backend *backend);
enum sg_hsm_token_state sg_backend_state(const struct sg_backend *backend);
/* Counts a request to the admin thread, so that its hanging is noticed. */
void sg_backend_asked(struct sg_backend *backend);
/* Sets the timer for what is due next. */
void sg_backend_schedule(struct sg_backend *backend);

/* health.c: the links, probes and the breaker -------------------------------------------- */
SG_MUST_USE enum sg_rc sg_health_init(struct sg_backend *backend, int64_t uid, struct sg_err *err);
/* What time brings: connecting, probing, hangs. */
void sg_health_tick(struct sg_backend *backend, int64_t now);
/* The token failed. */
void sg_health_trip(struct sg_backend *backend, const struct sg_err *err);
/* Asks for as many keys as may be under way. */
void sg_health_load_keys(struct sg_backend *backend);
/* When the next tick is due for health's sake; INT64_MAX: not at all. */
int64_t sg_health_due_ns(const struct sg_backend *backend);
/* Down, but for so short a time that waiting is better than failing. */
bool sg_health_is_patient(const struct sg_backend *backend, int64_t now);
int64_t sg_health_retry_ms(const struct sg_backend *backend, int64_t now);
/* What a class of failure means for the caller. */
void sg_health_explain(enum sg_outcome outcome, const struct sg_answer *answer, struct sg_err *ret);

/* window.c: signatures at the token process ---------------------------------------------- */
bool sg_window_has_room(const struct sg_backend *backend);
/* For so much that sending it is worth while; an idle worker has it for a single job. */
bool sg_window_has_room_for_packet(const struct sg_backend *backend);
/* Puts a job among those that leave at the next flush. The window has room. */
void sg_window_put(struct sg_backend *backend, struct sg_engine_key *key, struct sg_hsm_job *job,
                   int64_t now);
void sg_window_flush(struct sg_backend *backend);
bool sg_window_answer(struct sg_backend *backend, const struct sg_answer *answer);
/* The link broke: what was under way is retried once, or has failed. */
void sg_window_lost(struct sg_backend *backend, const struct sg_err *err);
/* Ends the wait of jobs past their deadline. */
void sg_window_expire(struct sg_backend *backend, int64_t now);
/* When the oldest was sent; INT64_MAX: none. */
int64_t sg_window_oldest_ns(const struct sg_backend *backend);

/* csr.c ---------------------------------------------------------------------------------- */
bool sg_csr_answer(struct sg_backend *backend, const struct sg_answer *answer);
/* Fails all of them, or those past their deadline. */
void sg_csr_fail(struct sg_backend *backend, const struct sg_err *err);
void sg_csr_expire(struct sg_backend *backend, int64_t now);

#endif
