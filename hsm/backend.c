#include <stdlib.h>

#include "hsm/hsm_priv.h"

/* How exactly deadlines and hangs are seen while there is work. */
static const int64_t tick_ns = 10 * SG_NS_PER_MS;

static void on_timer(void *arg)
{
    struct sg_backend *backend = arg;
    int64_t now = sg_engine_now(backend->hsm);
    struct sg_hsm *hsm = backend->hsm;

    backend->timer_ns = 0;
    sg_window_expire(backend, now);
    sg_csr_expire(backend, now);
    sg_health_tick(backend, now);
    sg_backend_flush(backend);
    sg_backend_schedule(backend);
    sg_engine_deliver(hsm);
}

void sg_backend_schedule(struct sg_backend *backend)
{
    int64_t now = sg_engine_now(backend->hsm);
    int64_t due = sg_health_due_ns(backend);

    if ((backend->waiting > 0 || backend->in_flight > 0 || backend->csr_count > 0) &&
        now + tick_ns < due)
        due = now + tick_ns;
    if (due == INT64_MAX || (backend->timer_ns != 0 && backend->timer_ns <= due))
        return;
    backend->timer_ns = due;
    /* The place for the timer was taken at the start and is kept by the loop. */
    SG_IGNORE(sg_timer_set(backend->hsm->loop, &backend->timer, due, NULL));
}

enum sg_rc sg_backend_new(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                          size_t index, struct sg_backend **ret, struct sg_err *err)
{
    struct sg_backend *backend = calloc(1, sizeof(*backend));
    if (backend == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a token");
    backend->hsm = hsm;
    backend->index = index;
    backend->name = strdup(config->name);
    backend->socket = strdup(config->socket);
    backend->queue_max = config->queue_max;
    backend->hang_ms = config->hang_ms;
    backend->late_ns = INT64_MAX;
    backend->timer = (struct sg_timer){.fn = on_timer, .arg = backend};
    enum sg_rc rc = SG_OK;
    if (backend->name == NULL || backend->socket == NULL)
        rc = SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a token");
    if (rc == SG_OK)
        rc = sg_health_init(backend, config->uid, err);
    if (rc == SG_OK)
        rc = sg_timer_set(hsm->loop, &backend->timer, INT64_MAX, err);
    if (rc != SG_OK) {
        sg_backend_free(backend);
        return rc;
    }
    *ret = backend;
    return SG_OK;
}

void sg_backend_free(struct sg_backend *backend)
{
    if (backend == NULL)
        return;
    sg_timer_cancel(backend->hsm->loop, &backend->timer);
    sg_link_done(&backend->sign);
    sg_link_done(&backend->admin);
    for (size_t i = 0; i < SG_PLACES_MAX; i++)
        sg_hsm_job_free(backend->places[i].job);
    struct sg_hsm_job *job;
    while ((job = sg_job_list_pop(&backend->retries)) != NULL ||
           (job = sg_fair_pop(&backend->queue)) != NULL)
        sg_hsm_job_free(job);
    sg_fair_done(&backend->queue);
    /* Whoever asked keeps something until it is answered. */
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_DRAINING, "this instance is shutting down")); /* handed over */
    sg_csr_fail(backend, &err);
    free(backend->name);
    free(backend->socket);
    free(backend);
}

void sg_backend_start(struct sg_backend *backend)
{
    backend->breaker.since_ns = backend->breaker.due_ns = backend->reconnect_ns =
        sg_engine_now(backend->hsm);
    sg_backend_schedule(backend);
}

enum sg_hsm_token_state sg_backend_state(const struct sg_backend *backend)
{
    if (backend->is_pin_latched)
        return SG_TOKEN_PIN_LATCHED;
    switch (backend->breaker.state) {
    case SG_BREAKER_UP:
        return SG_TOKEN_UP;
    case SG_BREAKER_PROBING:
        return SG_TOKEN_PROBING;
    case SG_BREAKER_DOWN:
        break;
    }
    return SG_TOKEN_DOWN;
}

/* How long all workers together are busy with so many jobs of each type of key. */
static int64_t work_ns(const struct sg_backend *backend, const size_t counts[SG_KEY_TYPE_COUNT])
{
    int64_t total_ns = 0;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++)
        total_ns += (int64_t)counts[i] * backend->usual_ns[i];
    return total_ns / (int64_t)(backend->workers > 0 ? backend->workers : 1);
}

int64_t sg_backend_wait_ns(const struct sg_backend *backend)
{
    return work_ns(backend, backend->pending);
}

/* Taking in ---------------------------------------------------------------------------------- */

enum sg_rc sg_backend_admit(struct sg_backend *backend, int64_t *ret_retry_ms, struct sg_err *err)
{
    int64_t now = sg_engine_now(backend->hsm);

    if (backend->is_pin_latched) {
        *ret_retry_ms = sg_health_retry_ms(backend, now);
        return SG_REFUSE(err, SG_R_TOKEN_PIN, "could not use token \"%s\": it refused its PIN",
                         backend->name);
    }
    if (backend->breaker.state != SG_BREAKER_UP && !sg_health_is_patient(backend, now)) {
        *ret_retry_ms = sg_health_retry_ms(backend, now);
        return SG_REFUSE(err, SG_R_TOKEN_BREAKER_OPEN, "could not use token \"%s\": it is down: %s",
                         backend->name, backend->err.msg);
    }
    return SG_OK;
}

/*
 * A job may wait for others during at most half of the time that it has.
 *
 * A queue that admits whatever it can begin before the deadline fills up, under overload, to just
 * that: every job reaches the token with no time left, and the token signs for callers that have
 * gone. With half, a job either finds a worker idle (where a signature takes longer than the other
 * half), or is expected to be signed within its time; and what is left over covers an estimate that
 * is wrong by as much again, callers whose turn comes first, and the way back. It also leaves the
 * refused caller time to go elsewhere.
 *
 * The wait for others only: a key whose own time was misjudged must get its chance.
 */
static bool may_wait(const struct sg_hsm_job *job, int64_t wait_ns, int64_t now)
{
    return job->deadline_ns == 0 || wait_ns < (job->deadline_ns - now) / 2;
}

static enum sg_rc refuse_wait(struct sg_err *err, int64_t wait_ms)
{
    return SG_REFUSE(err, SG_R_DEADLINE_UNREACHABLE,
                     "could not queue a signature: the wait is about %lld ms", (long long)wait_ms);
}

static enum sg_rc check_wait(struct sg_backend *backend, struct sg_hsm_job *job, int64_t now,
                             struct sg_err *err)
{
    int64_t wait_ns = sg_backend_wait_ns(backend);
    int64_t wait_ms = wait_ns / SG_NS_PER_MS + 1;

    if (backend->waiting >= backend->queue_max) {
        job->retry_ms = wait_ms;
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "could not queue a signature: %zu wait for \"%s\"",
                         backend->waiting, backend->name);
    }
    if (!may_wait(job, wait_ns, now)) {
        job->retry_ms = wait_ms;
        return refuse_wait(err, wait_ms);
    }
    return SG_OK;
}

void sg_backend_waits(struct sg_backend *backend, const struct sg_hsm_job *job)
{
    backend->waiting++;
    if (job->deadline_ns != 0 && job->deadline_ns < backend->late_ns)
        backend->late_ns = job->deadline_ns;
}

/* Until the key is loaded. */
static void hold(struct sg_backend *backend, struct sg_engine_key *key, struct sg_hsm_job *job)
{
    sg_job_list_push(&key->waiting, job);
    backend->held++;
}

enum sg_rc sg_backend_submit(struct sg_backend *backend, struct sg_engine_key *key,
                             struct sg_hsm_job *job, struct sg_err *err)
{
    int64_t now = sg_engine_now(backend->hsm);

    SG_TRY(sg_backend_admit(backend, &job->retry_ms, err));
    SG_TRY(check_wait(backend, job, now, err));
    job->submit_ns = now;
    if (key->state == SG_KEY_LOADING)
        hold(backend, key, job);
    else if (!sg_fair_push(&backend->queue, job))
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not queue a signature: out of memory");
    sg_backend_waits(backend, job);
    backend->pending[key->type]++;
    sg_engine_wake(backend->hsm);
    return SG_OK;
}

static void finish_by_key(struct sg_backend *backend, const struct sg_engine_key *key,
                          struct sg_hsm_job *job)
{
    struct sg_err err;
    enum sg_reason reason =
        key->state == SG_KEY_QUARANTINED ? SG_R_KEY_QUARANTINED : SG_R_KEY_UNUSABLE;
    SG_IGNORE(SG_REFUSE(&err, reason, "%s", key->err.msg)); /* handed back with the job */
    sg_engine_finish(backend->hsm, job, &err, 0);
}

void sg_backend_release_key(struct sg_backend *backend, struct sg_engine_key *key)
{
    if (key->state == SG_KEY_LOADING)
        return;
    for (struct sg_hsm_job *job = sg_job_list_pop(&key->waiting); job != NULL;
         job = sg_job_list_pop(&key->waiting)) {
        backend->held--;
        if (key->state == SG_KEY_READY && sg_fair_push(&backend->queue, job))
            continue;
        backend->waiting--;
        if (key->state != SG_KEY_READY) {
            finish_by_key(backend, key, job);
            continue;
        }
        struct sg_err err;
        SG_IGNORE(SG_FAIL(&err, SG_E_INTERNAL, 0, "could not queue a signature: out of memory"));
        sg_engine_finish(backend->hsm, job, &err, 0);
    }
    sg_engine_wake(backend->hsm);
}

/* Sending ------------------------------------------------------------------------------------ */

static void finish_late(struct sg_backend *backend, struct sg_hsm_job *job)
{
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_DEADLINE,
                        "could not sign: the deadline passed while waiting")); /* handed back */
    sg_engine_finish(backend->hsm, job, &err, 0);
}

/* When the token process would begin a job sent now, as far as is known. */
static int64_t begin_ns(const struct sg_backend *backend)
{
    if (backend->in_flight < backend->workers)
        return 0;
    /* What the workers are at is half done, on average. */
    int64_t all_ns = work_ns(backend, backend->sent);
    return all_ns - all_ns * (int64_t)backend->workers / (int64_t)(2 * backend->in_flight);
}

/*
 * Whether the token is expected to sign the job too late: then its time is better spent on the
 * next. An idle token is asked all the same, because only by trying is it known that it has become
 * faster; and so is one that may have had the job before, whose outcome is not known.
 */
static bool is_hopeless(const struct sg_backend *backend, const struct sg_engine_key *key,
                        const struct sg_hsm_job *job, int64_t now)
{
    return job->deadline_ns != 0 && job->attempts == 0 && backend->in_flight > 0 &&
           now + begin_ns(backend) + backend->usual_ns[key->type] > job->deadline_ns;
}

/* It was not sent, so that its caller may be told to come again. */
static void finish_hopeless(struct sg_backend *backend, struct sg_hsm_job *job)
{
    struct sg_err err;
    int64_t wait_ms = sg_backend_wait_ns(backend) / SG_NS_PER_MS + 1;
    SG_IGNORE(refuse_wait(&err, wait_ms)); /* handed back */
    sg_engine_finish(backend->hsm, job, &err, wait_ms);
}

static struct sg_hsm_job *next_job(struct sg_backend *backend)
{
    struct sg_hsm_job *job = sg_job_list_pop(&backend->retries);
    if (job == NULL)
        job = sg_fair_pop(&backend->queue);
    return job;
}

static void fill_window(struct sg_backend *backend)
{
    int64_t now = sg_engine_now(backend->hsm);

    if (!sg_window_has_room_for_packet(backend))
        return;
    while (sg_window_has_room(backend)) {
        struct sg_hsm_job *job = next_job(backend);
        if (job == NULL)
            return;
        struct sg_engine_key *key = backend->hsm->keys[job->key];
        if (key->state == SG_KEY_LOADING) {
            hold(backend, key, job);
            continue;
        }
        backend->waiting--;
        if (job->deadline_ns != 0 && now >= job->deadline_ns)
            finish_late(backend, job);
        else if (key->state != SG_KEY_READY)
            finish_by_key(backend, key, job);
        else if (is_hopeless(backend, key, job, now))
            finish_hopeless(backend, job);
        else
            sg_window_put(backend, key, job, now);
    }
}

struct lateness {
    int64_t now, next; /* `next`: the first deadline of those that are not late */
};

static bool is_late(void *arg, const struct sg_hsm_job *job)
{
    struct lateness *lateness = arg;
    if (job->deadline_ns == 0)
        return false;
    if (lateness->now < job->deadline_ns && job->deadline_ns < lateness->next)
        lateness->next = job->deadline_ns;
    return lateness->now >= job->deadline_ns;
}

static bool is_any(void *arg, const struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    return true;
}

static void take_waiting(struct sg_backend *backend, sg_job_test_fn test, void *arg,
                         struct sg_job_list *out)
{
    size_t taken = sg_job_list_take(&backend->retries, test, arg, out) +
                   sg_fair_take(&backend->queue, test, arg, out);
    for (size_t i = 0; backend->held > 0 && i < backend->hsm->key_count; i++) {
        struct sg_engine_key *key = backend->hsm->keys[i];
        if (key->backend != backend || key->waiting.head == NULL)
            continue;
        size_t freed = sg_job_list_take(&key->waiting, test, arg, out);
        backend->held -= freed;
        taken += freed;
    }
    backend->waiting -= taken;
}

/* Those that wait too long are told so: past their deadline, or for a token that stays away. */
static void shed(struct sg_backend *backend)
{
    int64_t now = sg_engine_now(backend->hsm);
    struct lateness lateness = {.now = now, .next = INT64_MAX};
    struct sg_job_list out = {0};
    struct sg_hsm_job *job;

    if (now >= backend->late_ns) { /* else a look at every job that waits would find nothing */
        take_waiting(backend, is_late, &lateness, &out);
        backend->late_ns = lateness.next;
    }
    while ((job = sg_job_list_pop(&out)) != NULL)
        finish_late(backend, job);
    if (backend->breaker.state == SG_BREAKER_UP ||
        (sg_health_is_patient(backend, now) && !backend->is_pin_latched))
        return;

    struct sg_err err;
    enum sg_reason reason = backend->is_pin_latched ? SG_R_TOKEN_PIN : SG_R_TOKEN_LOST;
    SG_IGNORE(SG_REFUSE(&err, reason, "could not sign: token \"%s\" is down: %s", backend->name,
                        backend->err.msg)); /* handed back with the jobs */
    take_waiting(backend, is_any, NULL, &out);
    while ((job = sg_job_list_pop(&out)) != NULL)
        sg_engine_finish(backend->hsm, job, &err, sg_health_retry_ms(backend, now));
}

void sg_backend_flush(struct sg_backend *backend)
{
    if (backend->breaker.state == SG_BREAKER_UP)
        fill_window(backend);
    /* Once a tick and not once a flush: it looks at every job that waits. */
    if (backend->waiting > 0 && backend->timer_ns == 0)
        shed(backend);
    if (backend->sign.state != SG_LINK_CLOSED)
        sg_window_flush(backend);
    if (backend->admin.state != SG_LINK_CLOSED)
        sg_link_flush(&backend->admin);
    sg_backend_schedule(backend);
}

void sg_backend_asked(struct sg_backend *backend)
{
    if (backend->admin_asked++ == 0)
        backend->admin_ns = sg_engine_now(backend->hsm);
}
