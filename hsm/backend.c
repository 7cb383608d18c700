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
    sg_window_watch(backend, now);
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

static bool is_any(void *arg, const struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    return true;
}

/* From what waits, but for what is held for a key. */
static void take_lanes(struct sg_backend *backend, sg_job_test_fn test, void *arg,
                       struct sg_job_list *out)
{
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        sg_lane_take(&backend->lanes[i], test, arg, out);
    sg_job_list_take(&backend->suspects, test, arg, out);
}

/* It may be under way on another token too. */
static void free_under_way(struct sg_place *place)
{
    struct sg_hsm_job *job = place->job;
    if (job == NULL)
        return;
    for (size_t i = 0; i < SG_COUNT(job->places); i++)
        if (job->places[i] != NULL)
            job->places[i]->job = NULL;
    sg_hsm_job_free(job);
}

void sg_backend_free(struct sg_backend *backend)
{
    if (backend == NULL)
        return;
    sg_timer_cancel(backend->hsm->loop, &backend->timer);
    sg_link_done(&backend->sign);
    sg_link_done(&backend->admin);
    for (size_t i = 0; i < SG_PLACES_MAX; i++)
        free_under_way(&backend->places[i]);
    struct sg_job_list jobs = {0};
    struct sg_hsm_job *job;
    take_lanes(backend, is_any, NULL, &jobs);
    while ((job = sg_job_list_pop(&jobs)) != NULL)
        sg_hsm_job_free(job);
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        sg_fair_done(&backend->lanes[i].queue);
    for (size_t i = 0; i < backend->probe_count; i++)
        sg_engine_key_free(backend->copies[i]->key);
    free(backend->copies);
    free(backend->states);
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

/* Room for the state of a copy of this key. */
static bool grow_states(struct sg_backend *backend, size_t key)
{
    if (key < backend->states_cap)
        return true;
    size_t cap = 2 * (key + 1);
    uint8_t *states = realloc(backend->states, cap);
    if (states == NULL)
        return false;
    memset(states + backend->states_cap, 0, cap - backend->states_cap);
    backend->states = states;
    backend->states_cap = cap;
    return true;
}

bool sg_backend_add_copy(struct sg_backend *backend, struct sg_copy *copy)
{
    const size_t key = copy->key->index;

    if (key != SIZE_MAX && !grow_states(backend, key))
        return false;
    if (backend->copy_count == backend->copy_cap) {
        size_t cap = backend->copy_cap == 0 ? 16 : backend->copy_cap * 2;
        struct sg_copy **copies = realloc(backend->copies, cap * sizeof(struct sg_copy *));
        if (copies == NULL)
            return false;
        backend->copies = copies;
        backend->copy_cap = cap;
    }
    copy->slot = backend->copy_count;
    backend->copies[backend->copy_count++] = copy;
    if (key != SIZE_MAX) {
        backend->states[key] = SG_KEY_LOADING + 1;
        backend->states_count[SG_KEY_LOADING]++;
    }
    return true;
}

void sg_backend_drop_copy(struct sg_backend *backend)
{
    const struct sg_copy *copy = backend->copies[--backend->copy_count];
    backend->states[copy->key->index] = 0;
    backend->states_count[SG_KEY_LOADING]--;
}

/* How long it takes -----------------------------------------------------------------------------
 */

static size_t workers_of(const struct sg_backend *backend)
{
    return backend->workers > 0 ? backend->workers : 1;
}

/* How long all workers together are busy with so many jobs of each type of key. */
static int64_t work_ns(const struct sg_backend *backend, const size_t counts[SG_KEY_TYPE_COUNT])
{
    int64_t total_ns = 0;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++)
        total_ns += (int64_t)counts[i] * backend->usual_ns[i];
    return total_ns / (int64_t)workers_of(backend);
}

int64_t sg_backend_wait_ns(const struct sg_backend *backend)
{
    return work_ns(backend, backend->queued) + work_ns(backend, backend->sent);
}

/* A signature of which nothing is known yet. */
static const int64_t unknown_ns = SG_NS_PER_MS;

static int64_t usual_or_guess_ns(const struct sg_backend *backend, size_t type)
{
    return backend->usual_ns[type] > 0 ? backend->usual_ns[type] : unknown_ns;
}

/* What is at the token is before it. Of what waits, only its own class is, and of each other as
 * much as that, for they take turns: else the cheap would go where the costly wait the least, all
 * to one token, and leave what is held back for them at the others. */
int64_t sg_backend_expected_ns(const struct sg_backend *backend, enum sg_key_type type)
{
    int64_t waiting[SG_COST_COUNT] = {0}, total_ns = 0;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++) {
        int64_t usual_ns = usual_or_guess_ns(backend, i);
        waiting[sg_cost_of((enum sg_key_type)i)] += (int64_t)backend->queued[i] * usual_ns;
        total_ns += (int64_t)backend->sent[i] * usual_ns;
    }
    int64_t own_ns = waiting[sg_cost_of(type)];
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        total_ns += waiting[i] < own_ns ? waiting[i] : own_ns;
    return total_ns / (int64_t)workers_of(backend) + usual_or_guess_ns(backend, type);
}

/*
 * What a job by such a key would wait for: all of its own class, and as much of each other, for
 * they take turns.
 */
static int64_t turn_wait_ns(const struct sg_backend *backend, enum sg_key_type type)
{
    int64_t work[SG_COST_COUNT] = {0}, total_ns = 0;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++)
        work[sg_cost_of((enum sg_key_type)i)] +=
            (int64_t)(backend->queued[i] + backend->sent[i]) * backend->usual_ns[i];
    int64_t own_ns = work[sg_cost_of(type)];
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        total_ns += work[i] < own_ns ? work[i] : own_ns;
    return total_ns / (int64_t)workers_of(backend);
}

/* Taking in ---------------------------------------------------------------------------------- */

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

enum sg_rc sg_backend_check_wait(struct sg_backend *backend, enum sg_key_type type,
                                 struct sg_hsm_job *job, struct sg_err *err)
{
    size_t waiting = 0;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++)
        waiting += sg_cost_of((enum sg_key_type)i) == sg_cost_of(type) ? backend->queued[i] : 0;
    int64_t wait_ns = turn_wait_ns(backend, type);
    int64_t wait_ms = wait_ns / SG_NS_PER_MS + 1;

    if (waiting >= backend->queue_max) {
        job->retry_ms = wait_ms;
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "could not queue a signature: %zu wait for \"%s\"",
                         waiting, backend->name);
    }
    if (!may_wait(job, wait_ns, sg_engine_now(backend->hsm))) {
        job->retry_ms = wait_ms;
        return refuse_wait(err, wait_ms);
    }
    return SG_OK;
}

/* Counts a job that came to wait, and minds its times. */
static void waits(struct sg_backend *backend, const struct sg_hsm_job *job)
{
    int64_t due_ns = job->hedge_ns;
    if (job->deadline_ns != 0 && job->deadline_ns < due_ns)
        due_ns = job->deadline_ns;
    backend->waiting++;
    backend->queued[job->copy->key->type]++;
    if (due_ns < backend->late_ns)
        backend->late_ns = due_ns;
    sg_engine_wake(backend->hsm);
}

static void waits_no_more(struct sg_backend *backend, const struct sg_hsm_job *job)
{
    backend->waiting--;
    backend->queued[job->copy->key->type]--;
}

void sg_backend_hold(struct sg_backend *backend, struct sg_hsm_job *job)
{
    sg_job_list_push(&job->copy->waiting, job);
    backend->held++;
    waits(backend, job);
}

bool sg_backend_queue(struct sg_backend *backend, struct sg_hsm_job *job, bool is_retry)
{
    if (!sg_lane_push(backend->lanes, sg_cost_of(job->copy->key->type), job, is_retry,
                      sg_engine_now(backend->hsm)))
        return false;
    waits(backend, job);
    return true;
}

void sg_backend_take_held(struct sg_copy *copy, struct sg_job_list *out)
{
    for (struct sg_hsm_job *job = sg_job_list_pop(&copy->waiting); job != NULL;
         job = sg_job_list_pop(&copy->waiting)) {
        copy->backend->held--;
        waits_no_more(copy->backend, job);
        sg_job_list_push(out, job);
    }
}

static void take_waiting(struct sg_backend *backend, sg_job_test_fn test, void *arg,
                         struct sg_job_list *out)
{
    struct sg_job_list taken = {0};

    take_lanes(backend, test, arg, &taken);
    for (size_t i = 0; backend->held > 0 && i < backend->copy_count; i++)
        if (backend->copies[i]->waiting.head != NULL)
            backend->held -= sg_job_list_take(&backend->copies[i]->waiting, test, arg, &taken);
    for (struct sg_hsm_job *job = sg_job_list_pop(&taken); job != NULL;
         job = sg_job_list_pop(&taken)) {
        waits_no_more(backend, job);
        sg_job_list_push(out, job);
    }
}

void sg_backend_evacuate(struct sg_backend *backend)
{
    struct sg_job_list out = {0};
    struct sg_hsm_job *job;

    take_waiting(backend, is_any, NULL, &out);
    while ((job = sg_job_list_pop(&out)) != NULL)
        sg_choice_place(backend->hsm, job, job->attempts > 0, NULL);
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

/* The token's next, of those that it may be asked now. */
static struct sg_hsm_job *next_job(struct sg_backend *backend, int64_t now)
{
    return sg_lane_pop(backend->lanes, backend->workers, SG_JOB_PACKET_NS, now);
}

/* One that left its lane: sent, if it still can be. */
static void send(struct sg_backend *backend, struct sg_hsm_job *job, int64_t now)
{
    struct sg_copy *copy = job->copy;

    waits_no_more(backend, job);
    if (job->deadline_ns != 0 && now >= job->deadline_ns)
        finish_late(backend, job);
    else if (copy->state != SG_KEY_READY)
        sg_choice_place(backend->hsm, job, job->attempts > 0, NULL);
    else if (is_hopeless(backend, copy->key, job, now))
        finish_hopeless(backend, job);
    else if (sg_blame_may_send(backend, job, now))
        sg_window_put(backend, copy, job, now);
    else {
        sg_job_list_push(&backend->suspects, job);
        waits(backend, job);
    }
}

/* Those whose keys were under suspicion: one may be tried, others may be cleared. */
static void send_suspects(struct sg_backend *backend, int64_t now)
{
    struct sg_job_list list = backend->suspects;
    struct sg_hsm_job *job;

    backend->suspects = (struct sg_job_list){0};
    while (sg_window_has_room(backend) && (job = sg_job_list_pop(&list)) != NULL)
        send(backend, job, now);
    while ((job = sg_job_list_pop(&list)) != NULL)
        sg_job_list_push(&backend->suspects, job);
}

static void fill_window(struct sg_backend *backend)
{
    int64_t now = sg_engine_now(backend->hsm);
    struct sg_hsm_job *job;

    if (!sg_window_has_room_for_packet(backend))
        return;
    send_suspects(backend, now);
    while (sg_window_has_room(backend) && (job = next_job(backend, now)) != NULL)
        send(backend, job, now);
}

/* Those past their deadline, or past the time that the first token has. */
struct lateness {
    int64_t now, next; /* `next`: the first moment to look again */
};

static bool is_late(void *arg, const struct sg_hsm_job *job)
{
    struct lateness *lateness = arg;
    int64_t due_ns = job->hedge_ns;
    if (job->deadline_ns != 0 && job->deadline_ns < due_ns)
        due_ns = job->deadline_ns;
    if (lateness->now < due_ns && due_ns < lateness->next)
        lateness->next = due_ns;
    return lateness->now >= due_ns;
}

static void pass_late(struct sg_backend *backend, struct sg_hsm_job *job, int64_t now)
{
    if (job->deadline_ns != 0 && now >= job->deadline_ns) {
        finish_late(backend, job);
        return;
    }
    job->hedge_ns = INT64_MAX;
    job->tried |= UINT64_C(1) << backend->index; /* as good as: it had its time */
    sg_choice_place(backend->hsm, job, true, NULL);
}

/* Those that wait too long: past their deadline, or for a token that stays away. Others wait on. */
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
        pass_late(backend, job, now);
    if (backend->breaker.state == SG_BREAKER_UP)
        return;

    struct sg_err err;
    enum sg_reason reason = backend->is_pin_latched ? SG_R_TOKEN_PIN : SG_R_TOKEN_LOST;
    SG_IGNORE(SG_REFUSE(&err, reason, "could not sign: token \"%s\" is down: %s", backend->name,
                        backend->err.msg)); /* handed back with the jobs */
    take_waiting(backend, is_any, NULL, &out);
    while ((job = sg_job_list_pop(&out)) != NULL)
        sg_choice_place(backend->hsm, job, job->attempts > 0, &err);
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
