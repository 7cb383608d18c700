#include "hsm/hsm_priv.h"

/* How good a copy is for a job; among equals the one that is expected to sign first. */
enum rank {
    RANK_NONE = 0, /* it cannot sign, or must not be asked */
    RANK_AWAY,     /* its token may be back in a moment */
    RANK_LOADING,  /* its token is up and has not told of the key yet */
    RANK_LAST,     /* it signs, but was asked before, or is not trusted to answer soon */
    RANK_WELL,
};

/*
 * A token that went away is waited for: long enough for its process to be started anew where it
 * alone has the key, and for less where several have it, since then all of them are away and
 * callers are better told.
 */
static const int64_t patience_ns = 900 * SG_NS_PER_MS;
/* A token with nothing to do is tried again after so long, whatever it took before. */
static const int64_t explore_ns = 100 * SG_NS_PER_MS;

static bool is_awaited(const struct sg_copy *copy, int64_t now)
{
    if (copy->key->copy_count > 1 && now - copy->backend->breaker.since_ns >= patience_ns)
        return false;
    return sg_health_is_patient(copy->backend, now);
}

static uint64_t bit_of(const struct sg_backend *backend)
{
    return UINT64_C(1) << backend->index;
}

static enum rank rank_of(const struct sg_copy *copy, const struct sg_hsm_job *job, int64_t now)
{
    const struct sg_backend *backend = copy->backend;

    if (backend->is_draining || backend->is_pin_latched || (job->barred & bit_of(backend)) != 0 ||
        (copy->state != SG_KEY_READY && copy->state != SG_KEY_LOADING))
        return RANK_NONE;
    if (backend->breaker.state != SG_BREAKER_UP)
        return is_awaited(copy, now) ? RANK_AWAY : RANK_NONE;
    if (copy->state == SG_KEY_LOADING)
        return RANK_LOADING;
    if (backend->is_suspect || now < backend->full_ns || (job->tried & bit_of(backend)) != 0)
        return RANK_LAST;
    return RANK_WELL;
}

/* When it would be signed. What is known of a token that was not asked for a while may be wrong,
 * and only by trying is it known that it has become faster. */
static int64_t expected_ns(const struct sg_copy *copy, int64_t now)
{
    const struct sg_backend *backend = copy->backend;
    if (backend->in_flight == 0 && backend->waiting == 0 && now - backend->sent_ns >= explore_ns)
        return 0;
    return sg_backend_expected_ns(backend, copy->key->type);
}

static struct sg_copy *pick(struct sg_engine_key *key, const struct sg_hsm_job *job, int64_t now,
                            enum rank *ret_rank)
{
    struct sg_copy *best = NULL;
    int64_t best_ns = 0;

    *ret_rank = RANK_NONE;
    for (size_t i = 0; i < key->copy_count; i++) {
        struct sg_copy *copy = &key->copies[i];
        enum rank rank = rank_of(copy, job, now);
        if (rank == RANK_NONE || rank < *ret_rank)
            continue;
        int64_t ns = expected_ns(copy, now);
        if (best != NULL && rank == *ret_rank &&
            (ns > best_ns || (ns == best_ns && copy->backend->chosen >= best->backend->chosen)))
            continue;
        best = copy;
        best_ns = ns;
        *ret_rank = rank;
    }
    return best;
}

static struct sg_engine_key *key_of(struct sg_hsm *hsm, const struct sg_hsm_job *job)
{
    return hsm->keys[job->key];
}

/* False: no memory. */
static bool put(struct sg_copy *copy, enum rank rank, struct sg_hsm_job *job, bool is_retry)
{
    copy->backend->chosen++;
    job->copy = copy;
    job->token = copy->backend->index;
    if (rank >= RANK_LAST)
        return sg_backend_queue(copy->backend, job, is_retry);
    sg_backend_hold(copy->backend, job);
    return true;
}

/* Why not ------------------------------------------------------------------------------------ */

enum sg_rc sg_choice_explain(const struct sg_engine_key *key, int64_t *ret_retry_ms,
                             struct sg_err *err)
{
    const struct sg_backend *down = NULL, *latched = NULL, *draining = NULL;
    int64_t now = sg_engine_now(key->hsm), retry_ms = INT64_MAX;

    if (key->state == SG_KEY_QUARANTINED)
        return SG_REFUSE(err, SG_R_KEY_QUARANTINED, "could not sign: key \"%s\" is quarantined",
                         key->name);
    if (key->state == SG_KEY_UNUSABLE)
        return SG_REFUSE(err, SG_R_KEY_UNUSABLE, "could not sign: key \"%s\" is unusable",
                         key->name);
    for (size_t i = 0; i < key->copy_count; i++) {
        const struct sg_copy *copy = &key->copies[i];
        if (copy->state != SG_KEY_READY && copy->state != SG_KEY_LOADING)
            continue;
        int64_t ms = sg_health_retry_ms(copy->backend, now);
        retry_ms = ms < retry_ms ? ms : retry_ms;
        if (copy->backend->is_draining)
            draining = copy->backend;
        else if (copy->backend->is_pin_latched)
            latched = copy->backend;
        else
            down = copy->backend;
    }
    *ret_retry_ms = retry_ms;
    if (down != NULL)
        return SG_REFUSE(err, SG_R_TOKEN_BREAKER_OPEN, "could not use token \"%s\": it is down: %s",
                         down->name, down->err.msg);
    if (latched != NULL)
        return SG_REFUSE(err, SG_R_TOKEN_PIN, "could not use token \"%s\": it refused its PIN",
                         latched->name);
    SG_ASSERT(draining != NULL); /* a key of which some copy is not unusable */
    return SG_REFUSE(err, SG_R_TOKEN_DRAINED, "could not use token \"%s\": it is drained",
                     draining->name);
}

/* Choosing ----------------------------------------------------------------------------------- */

/* The next best takes what the best has no room for. */
static enum sg_rc admit(struct sg_engine_key *key, struct sg_hsm_job *job, int64_t now,
                        struct sg_copy **ret, enum rank *ret_rank, struct sg_err *err)
{
    enum sg_rc rc = SG_OK;

    for (size_t i = 0; i < key->copy_count; i++) {
        struct sg_err why;
        int64_t retry_ms = job->retry_ms;
        struct sg_copy *copy = pick(key, job, now, ret_rank);
        if (copy == NULL)
            break;
        enum sg_rc next = sg_backend_check_wait(copy->backend, key->type, job, &why);
        if (next == SG_OK) {
            *ret = copy;
            job->retry_ms = 0;
            return SG_OK;
        }
        if (rc == SG_OK) /* the best one's refusal is told */
            *err = why;
        else
            job->retry_ms = retry_ms;
        rc = next;
        job->barred |= bit_of(copy->backend);
    }
    return rc == SG_OK ? sg_choice_explain(key, &job->retry_ms, err) : rc;
}

enum sg_rc sg_choice_submit(struct sg_engine_key *key, struct sg_hsm_job *job, struct sg_err *err)
{
    int64_t now = sg_engine_now(key->hsm);
    struct sg_copy *copy = NULL;
    enum rank rank = RANK_NONE;

    if (job->deadline_ns != 0 && job->deadline_ns <= now)
        return SG_REFUSE(err, SG_R_DEADLINE, "could not sign: the deadline has passed");
    job->tried = job->barred = 0;
    SG_TRY(admit(key, job, now, &copy, &rank, err));
    job->barred = 0;
    job->submit_ns = now;
    /* The first token gets three fifths of the time, so that another has some left. */
    job->hedge_ns = job->deadline_ns == 0 || key->copy_count == 1
                        ? INT64_MAX
                        : now + (job->deadline_ns - now) / 5 * 3;
    SG_ASSERT(copy != NULL);
    if (!put(copy, rank, job, false))
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not queue a signature: out of memory");
    return SG_OK;
}

void sg_choice_place(struct sg_hsm *hsm, struct sg_hsm_job *job, bool is_retry,
                     const struct sg_err *err)
{
    struct sg_engine_key *key = key_of(hsm, job);
    int64_t now = sg_engine_now(hsm), retry_ms = 0;
    struct sg_err why;
    enum rank rank;

    struct sg_copy *copy = pick(key, job, now, &rank);
    if (copy != NULL && put(copy, rank, job, is_retry))
        return;
    if (copy != NULL)
        SG_IGNORE(SG_FAIL(&why, SG_E_INTERNAL, 0,
                          "could not queue a signature: out of memory")); /* handed back */
    else
        SG_IGNORE(sg_choice_explain(key, &retry_ms, &why)); /* handed back */
    sg_engine_finish(hsm, job, err == NULL ? &why : err, retry_ms);
}

bool sg_choice_can_sign(struct sg_engine_key *key, const struct sg_hsm_job *job)
{
    int64_t now = sg_engine_now(key->hsm);
    enum rank rank;
    return (job->deadline_ns == 0 || now < job->deadline_ns) && pick(key, job, now, &rank) != NULL;
}

bool sg_choice_has_other(struct sg_hsm *hsm, const struct sg_hsm_job *job)
{
    enum rank rank;
    struct sg_copy *copy = pick(key_of(hsm, job), job, sg_engine_now(hsm), &rank);
    return copy != NULL && rank == RANK_WELL;
}

bool sg_choice_hedge(struct sg_hsm *hsm, struct sg_hsm_job *job, int64_t now)
{
    enum rank rank;
    struct sg_copy *copy = pick(key_of(hsm, job), job, now, &rank);

    if (job->places[1] != NULL || copy == NULL || rank != RANK_WELL ||
        copy->backend->in_flight >= SG_PLACES_MAX || !sg_blame_may_send(copy->backend, job, now))
        return false;
    copy->backend->hedged_total++;
    copy->backend->chosen++;
    job->attempts++;
    job->copy = copy;
    job->token = copy->backend->index;
    sg_window_put(copy->backend, copy, job, now);
    sg_engine_wake(hsm);
    return true;
}

/* What waits for one copy is given a place anew: perhaps with another. */
static void release(struct sg_copy *copy)
{
    struct sg_job_list out = {0};
    struct sg_hsm_job *job;

    sg_backend_take_held(copy, &out);
    while ((job = sg_job_list_pop(&out)) != NULL)
        sg_choice_place(copy->key->hsm, job, job->attempts > 0, NULL);
}

void sg_choice_release(struct sg_engine_key *key)
{
    for (size_t i = 0; i < key->copy_count; i++)
        if (key->copies[i].waiting.head != NULL)
            release(&key->copies[i]);
}

void sg_choice_release_all(struct sg_hsm *hsm)
{
    for (size_t i = 0; i < hsm->backend_count; i++) {
        struct sg_backend *backend = hsm->backends[i];
        for (size_t j = 0; backend->held > 0 && j < backend->copy_count; j++)
            if (backend->copies[j]->waiting.head != NULL)
                release(backend->copies[j]);
    }
}

enum sg_rc sg_choice_ready(struct sg_engine_key *key, struct sg_copy **ret, struct sg_err *err)
{
    const struct sg_hsm_job nobodys = {0};
    int64_t retry_ms;
    enum rank rank;

    *ret = pick(key, &nobodys, sg_engine_now(key->hsm), &rank);
    if (*ret == NULL)
        return sg_choice_explain(key, &retry_ms, err);
    if (rank < RANK_LAST)
        return SG_REFUSE(err, SG_R_TOKEN_LOST,
                         "could not make a request: token \"%s\" is not ready",
                         (*ret)->backend->name);
    return SG_OK;
}

bool sg_choice_others_serve(const struct sg_backend *backend)
{
    const struct sg_hsm *hsm = backend->hsm;
    for (size_t i = 0; i < hsm->backend_count; i++)
        if (hsm->backends[i] != backend && !hsm->backends[i]->is_draining &&
            sg_health_is_well(hsm->backends[i]))
            return true;
    return false;
}
