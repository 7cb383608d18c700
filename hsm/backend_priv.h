#ifndef SG_HSM_BACKEND_PRIV_H
#define SG_HSM_BACKEND_PRIV_H

#include "hsm/breaker.h"
#include "hsm/fair.h"
#include "hsm/hsm.h"
#include "hsm/lane.h"
#include "hsm/link.h"

/* One token: what waits for it, what it is at, and how it is. */
struct sg_copy;

/* One signature at the token process. `job` is NULL when it was answered already (by another
 * token, or for its deadline): the place stays taken until the token process is done with it. */
struct sg_place {
    struct sg_hsm_job *job;
    struct sg_copy *copy;
    enum sg_scheme scheme;
    bool is_alone;            /* nothing else was under way when it was sent */
    bool is_probe;            /* by a probe key; no job */
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

/* How far a probe has come: the token is asked whether it is there, its probe keys are loaded, and
 * each signs. */
enum sg_probe_step { SG_PROBE_NONE = 0, SG_PROBE_ASKED, SG_PROBE_LOADING, SG_PROBE_SIGNING };

struct sg_probe {
    enum sg_probe_step step;
    size_t awaited;   /* answers */
    int64_t begin_ns; /* when it was asked to sign */
    bool is_due;      /* at once, without waiting to be idle */
    bool is_refuted;  /* its last one ended with a signature that did not verify */
    uint8_t digest[32];
    struct sg_err err; /* the first that went wrong */
};

struct sg_backend {
    struct sg_hsm *hsm;
    size_t index;
    char *name, *socket;
    size_t queue_max;
    int64_t hang_ms;
    struct sg_copy **copies; /* that it has, probe keys first */
    size_t copy_count, copy_cap, probe_count;
    uint8_t *states; /* by key: of its copy here, from 1; 0: none */
    size_t states_cap;
    size_t states_count[SG_KEY_STATE_COUNT]; /* of keys' copies, not of probe keys' */

    struct sg_link sign, admin;
    struct sg_breaker breaker;
    struct sg_timer timer;
    int64_t timer_ns;     /* when it is set for; 0: not set */
    int64_t reconnect_ns; /* not before */
    int64_t greeting_ns;  /* when the links were opened */
    int64_t sent_ns;      /* when it was sent a job last */
    int64_t answer_ns;    /* when the token last answered anything */
    int64_t admin_ns;     /* when the admin thread last moved on, while it has work */
    size_t admin_asked;   /* probes, loads and requests under way */
    struct sg_probe probe;
    bool is_pin_latched, is_draining, is_changed;
    bool is_late;       /* a call was too old at the last tick */
    bool is_suspect;    /* and at the one before */
    int64_t suspect_ns; /* since when */
    int64_t full_ns;    /* until then it said that it has no room for more */
    struct sg_err err;  /* why it is not UP */
    size_t workers;     /* 0 while down */
    size_t load_next;   /* the next copy to look at for loading */
    uint64_t chosen;    /* so often: among equals the one chosen less is next */

    struct sg_lane lanes[SG_COST_COUNT];
    struct sg_job_list suspects;      /* wait for the trial of their key */
    size_t waiting;                   /* in lanes, suspects and copies' lists */
    size_t held;                      /* in copies' lists */
    size_t queued[SG_KEY_TYPE_COUNT]; /* the same as `waiting`, by type of key */
    int64_t late_ns;                  /* none of them has its deadline before */
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
    size_t sent[SG_KEY_TYPE_COUNT]; /* places taken, by type of key */

    struct sg_engine_csr *csrs;
    size_t csr_count;
    uint64_t signed_total, failed_total, retried_total, hedged_total, refuted_total, restarts_total;
};

/* backend.c ------------------------------------------------------------------------------ */
SG_MUST_USE enum sg_rc sg_backend_new(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                                      size_t index, struct sg_backend **ret, struct sg_err *err);
/* Frees its jobs too. */
void sg_backend_free(struct sg_backend *backend);
/* A copy of a key is on this token. False: no memory. */
SG_MUST_USE bool sg_backend_add_copy(struct sg_backend *backend, struct sg_copy *copy);
void sg_backend_drop_copy(struct sg_backend *backend); /* the last again */
void sg_backend_start(struct sg_backend *backend);
/* Fills the window and sends; once per turn of the loop. */
void sg_backend_flush(struct sg_backend *backend);
/* Whether the queue has room for the job, in time. Errors as for sg_hsm_submit(). */
SG_MUST_USE enum sg_rc sg_backend_check_wait(struct sg_backend *backend, enum sg_key_type type,
                                             struct sg_hsm_job *job, struct sg_err *err);
/* The job waits for its copy's key to be usable, or for a worker. False: no memory. */
void sg_backend_hold(struct sg_backend *backend, struct sg_hsm_job *job);
SG_MUST_USE bool sg_backend_queue(struct sg_backend *backend, struct sg_hsm_job *job,
                                  bool is_retry);
/* Takes what waits for one of its copies away to `out`. */
void sg_backend_take_held(struct sg_copy *copy, struct sg_job_list *out);
/* All that waits is given another place: its token is not to be used now. */
void sg_backend_evacuate(struct sg_backend *backend);
int64_t sg_backend_wait_ns(const struct sg_backend *backend);
/* When it would have signed another job by such a key, as far as is known; from now. */
int64_t sg_backend_expected_ns(const struct sg_backend *backend, enum sg_key_type type);
/* Sets the timer for what is due next. */
void sg_backend_schedule(struct sg_backend *backend);

/* health.c: the links and the breaker; probe.c: proofs ------------------------------------- */
SG_MUST_USE enum sg_rc sg_health_init(struct sg_backend *backend, int64_t uid, struct sg_err *err);
enum sg_hsm_token_state sg_backend_state(const struct sg_backend *backend);
/* Signs now, and is trusted to. */
bool sg_health_is_well(const struct sg_backend *backend);
/* What time brings: connecting, probing, hangs. */
void sg_health_tick(struct sg_backend *backend, int64_t now);
/* The token failed. */
void sg_health_trip(struct sg_backend *backend, const struct sg_err *err);
/* It has proven itself. */
void sg_health_up(struct sg_backend *backend);
/* Asks for as many keys as may be under way. */
void sg_health_load_keys(struct sg_backend *backend);
void sg_health_load_key(struct sg_backend *backend, struct sg_copy *copy);
/* Counts a request to the admin thread, so that its hanging is noticed. */
void sg_health_asked(struct sg_backend *backend);
/* When the next tick is due for health's sake; INT64_MAX: not at all. */
int64_t sg_health_due_ns(const struct sg_backend *backend);
/* Down, but for so short a time that waiting is better than failing. */
bool sg_health_is_patient(const struct sg_backend *backend, int64_t now);
int64_t sg_health_retry_ms(const struct sg_backend *backend, int64_t now);
/* What a class of failure means for the caller. */
void sg_health_explain(enum sg_outcome outcome, const struct sg_answer *answer, struct sg_err *ret);

void sg_probe_begin(struct sg_backend *backend);
/* The token answered whether it is there; a probe key was looked for; one has signed. False: the
 * answer makes no sense. */
bool sg_probe_answer(struct sg_backend *backend, const struct sg_answer *answer);
void sg_probe_loaded(struct sg_backend *backend);
void sg_probe_signed(struct sg_backend *backend, const struct sg_place *place,
                     const struct sg_answer *answer);
void sg_probe_abandon(struct sg_backend *backend);

/* window.c: signatures at the token process ---------------------------------------------- */
bool sg_window_has_room(const struct sg_backend *backend);
/* For so much that sending it is worth while; an idle worker has it for a single job. */
bool sg_window_has_room_for_packet(const struct sg_backend *backend);
/* Puts a job among those that leave at the next flush. There is a place. */
void sg_window_put(struct sg_backend *backend, struct sg_copy *copy, struct sg_hsm_job *job,
                   int64_t now);
/* The same with a signature that proves the token; its answer goes to sg_probe_signed(). */
void sg_window_put_probe(struct sg_backend *backend, struct sg_copy *copy,
                         const struct sg_request *request, int64_t now);
void sg_window_flush(struct sg_backend *backend);
bool sg_window_answer(struct sg_backend *backend, const struct sg_answer *answer);
/* The link broke: what was under way is retried, or has failed. */
void sg_window_lost(struct sg_backend *backend, const struct sg_err *err);
/* Ends the wait of jobs past their deadline, and has others sign what takes too long. */
void sg_window_watch(struct sg_backend *backend, int64_t now);
/* When the oldest was sent; INT64_MAX: none. */
int64_t sg_window_oldest_ns(const struct sg_backend *backend);
/* The age at which a call is suspicious. */
int64_t sg_window_suspicious_ns(const struct sg_backend *backend);

/* csr.c ---------------------------------------------------------------------------------- */
bool sg_csr_answer(struct sg_backend *backend, const struct sg_answer *answer);
/* Fails all of them, or those past their deadline. */
void sg_csr_fail(struct sg_backend *backend, const struct sg_err *err);
void sg_csr_expire(struct sg_backend *backend, int64_t now);

#endif
