#include <stdlib.h>

#include "hsm/hsm_priv.h"

/* The low bits of a serial name the place, the others tell its uses apart. */
enum { PLACE_BITS = 10 };
_Static_assert(SG_PLACES_MAX == 1 << PLACE_BITS, "a serial names a place");

enum { CAPACITY_ATTEMPTS_MAX = 8, SUSPICIOUS_FACTOR = 20 };
static const int64_t suspicious_ns = 250 * SG_NS_PER_MS;
/* A token that has no room for more is left alone for so long, where others serve. */
static const int64_t full_pause_ns = 100 * SG_NS_PER_MS;

/*
 * Two packets for each worker: the one it is at, and the next. A packet holds one job, or of fast
 * signatures as many as a worker does in SG_JOB_PACKET_NS when nothing else wants its processor.
 * They leave when there is room for a whole packet, since otherwise each answer would bring forth a
 * packet of one.
 */
enum { PACKETS = 2, GROUP_MAX = 32 };

/* What a signature by this key is expected to take; one that is not fast fills a packet alone. */
static int64_t cost_ns(const struct sg_backend *backend, const struct sg_engine_key *key)
{
    int64_t brisk = backend->brisk_ns[key->type];
    return brisk > 0 && brisk <= SG_JOB_FAST_NS ? brisk : SG_JOB_PACKET_NS;
}

static bool has_room_for(const struct sg_backend *backend, int64_t work_ns)
{
    size_t packets = backend->workers * PACKETS;
    if (backend->in_flight >= SG_PLACES_MAX)
        return false;
    return backend->in_flight < packets ||
           backend->in_flight_ns + work_ns <= (int64_t)packets * SG_JOB_PACKET_NS;
}

bool sg_window_has_room(const struct sg_backend *backend)
{
    return has_room_for(backend, 1);
}

bool sg_window_has_room_for_packet(const struct sg_backend *backend)
{
    return has_room_for(backend, SG_JOB_PACKET_NS);
}

static size_t div_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/*
 * How many jobs make a packet. Few are dealt out evenly: no worker takes what another could begin
 * at once. And no packet is left with the little that the others had no room for.
 */
static size_t group_of(const struct sg_backend *backend)
{
    size_t share = div_up(backend->put_count, backend->workers);
    size_t max = (size_t)(SG_JOB_PACKET_NS / backend->put_slowest_ns);
    if (max > GROUP_MAX)
        max = GROUP_MAX;
    if (max > share)
        max = share;
    return div_up(backend->put_count, div_up(backend->put_count, max));
}

void sg_window_flush(struct sg_backend *backend)
{
    if (backend->put_count > 0)
        backend->sign.group = group_of(backend);
    backend->put_count = 0;
    backend->put_slowest_ns = 0;
    sg_link_flush(&backend->sign);
}

/* A free place, taken. */
static struct sg_place *take_place(struct sg_backend *backend, struct sg_copy *copy,
                                   enum sg_scheme scheme, int64_t now)
{
    size_t at = backend->first_free;
    while (backend->places[at].serial != 0)
        at++;
    SG_ASSERT(at < SG_PLACES_MAX);
    struct sg_place *place = &backend->places[at];
    *place = (struct sg_place){.copy = copy,
                               .scheme = scheme,
                               .is_alone = backend->in_flight == 0,
                               .serial = ++backend->serial << PLACE_BITS | at,
                               .send_ns = now,
                               .cost_ns = cost_ns(backend, copy->key)};
    backend->first_free = at + 1;
    backend->in_flight++;
    backend->sent[copy->key->type]++;
    backend->in_flight_ns += place->cost_ns;
    int64_t usual_ns = backend->usual_ns[copy->key->type];
    sg_lane_sent(&backend->lanes[sg_cost_of(copy->key->type)], place->cost_ns,
                 usual_ns > 0 ? usual_ns : place->cost_ns, now);
    backend->put_count++;
    if (place->cost_ns > backend->put_slowest_ns)
        backend->put_slowest_ns = place->cost_ns;
    return place;
}

void sg_window_put(struct sg_backend *backend, struct sg_copy *copy, struct sg_hsm_job *job,
                   int64_t now)
{
    struct sg_place *place = take_place(backend, copy, job->scheme, now);

    backend->sent_ns = now;
    place->job = job;
    job->places[job->places[0] == NULL ? 0 : 1] = place;
    job->tried |= UINT64_C(1) << backend->index;
    sg_link_put(&backend->sign, &(struct sg_request){
                                    .kind = SG_JOB_SIGN,
                                    .serial = place->serial,
                                    .id = sg_copy_id(copy),
                                    .scheme = job->scheme,
                                    .digest_alg = job->digest_alg,
                                    .deadline_ns = job->deadline_ns,
                                    .tbs = sg_slice_of(job->tbs, job->tbs_len),
                                    .evidence = sg_slice_of(job->evidence, job->evidence_len),
                                });
}

void sg_window_put_probe(struct sg_backend *backend, struct sg_copy *copy,
                         const struct sg_request *request, int64_t now)
{
    struct sg_place *place = take_place(backend, copy, request->scheme, now);
    struct sg_request with_serial = *request;

    place->is_probe = true;
    with_serial.serial = place->serial;
    sg_link_put(&backend->sign, &with_serial);
}

/* The job is under way here no more. */
static void leave(struct sg_backend *backend, struct sg_place *place)
{
    size_t at = (size_t)(place - backend->places);
    struct sg_hsm_job *job = place->job;

    if (job != NULL) {
        if (job->places[0] == place)
            job->places[0] = job->places[1];
        job->places[1] = NULL;
    }
    backend->in_flight_ns -= place->cost_ns;
    backend->sent[place->copy->key->type]--;
    sg_lane_left(&backend->lanes[sg_cost_of(place->copy->key->type)], place->cost_ns);
    *place = (struct sg_place){0};
    backend->in_flight--;
    if (at < backend->first_free)
        backend->first_free = at;
}

static bool is_under_way(const struct sg_hsm_job *job)
{
    return job->places[0] != NULL;
}

/* Once more, elsewhere where that is possible. It stays admitted. */
static void retry(struct sg_backend *backend, struct sg_hsm_job *job, const struct sg_err *err)
{
    job->attempts++;
    backend->retried_total++;
    sg_choice_place(backend->hsm, job, true, err);
}

/* A job is tried twice, and as long as there are tokens that have not been asked. */
static bool may_retry(struct sg_backend *backend, const struct sg_hsm_job *job)
{
    return job->attempts == 0 || sg_choice_has_other(backend->hsm, job);
}

/* When the token began, and how long it took; both bounded by our own times, because they are those
 * of another process and reach metrics. */
struct timing {
    int64_t start_ns, hsm_ns;
};

static struct timing timing_of(const struct sg_answer *answer, int64_t send_ns, int64_t now)
{
    int64_t start = answer->start_ns;
    if (start < send_ns || start > now)
        start = send_ns;
    return (struct timing){start, answer->hsm_ns <= now - start ? answer->hsm_ns : now - start};
}

static void average(int64_t *mean_ns, int64_t next_ns)
{
    *mean_ns = *mean_ns == 0 ? next_ns : *mean_ns + (next_ns - *mean_ns) / 8;
}

/*
 * From late answers too: of a token that became slow there may be no others. One that was slow and
 * signs alone in less than half of that is believed at once, for it gets little to show it by.
 */
static void learn(struct sg_backend *backend, const struct sg_engine_key *key, bool is_alone,
                  int64_t hsm_ns)
{
    int64_t before_ns = backend->last_ns[key->type];

    if (is_alone && backend->hsm->backend_count > 1 && hsm_ns < backend->usual_ns[key->type] / 2)
        backend->usual_ns[key->type] = hsm_ns;

    backend->last_ns[key->type] = hsm_ns;
    average(&backend->usual_ns[key->type], hsm_ns);
    average(&backend->brisk_ns[key->type],
            before_ns > 0 && before_ns < hsm_ns ? before_ns : hsm_ns);
}

static void signed_by(struct sg_copy *copy, struct sg_hsm_job *job, const struct sg_answer *answer,
                      struct timing timing)
{
    job->copy = copy;
    job->hsm_ns = timing.hsm_ns;
    job->queue_ns = timing.start_ns - job->submit_ns;
    SG_ASSERT(answer->signature.len <= sizeof(job->signature)); /* it has the key's length */
    memcpy(job->signature, answer->signature.ptr, answer->signature.len);
    job->signature_len = answer->signature.len;
    sg_engine_finish(copy->key->hsm, job, NULL, 0);
}

/* The token has no room for more: others get the work, where there are some. */
static void make_way(struct sg_backend *backend, int64_t now)
{
    bool was_full = now < backend->full_ns;
    backend->full_ns = now + full_pause_ns;
    if (!was_full && sg_choice_others_serve(backend))
        sg_backend_evacuate(backend);
}

/* The token was replaced behind the link, or lost memory: it is told of the key again. */
static void load_again(struct sg_backend *backend, struct sg_copy *copy)
{
    if (copy->state == SG_KEY_READY)
        sg_copy_set(copy, SG_KEY_LOADING, NULL);
    backend->load_next = 0;
    sg_health_load_keys(backend);
}

/* What a failure says of the token or of its copy of the key. `send_ns`: when that was asked. */
static void take_notice(struct sg_backend *backend, struct sg_copy *copy, enum sg_outcome outcome,
                        const struct sg_err *err, int64_t send_ns, int64_t now)
{
    switch (outcome) {
    case SG_OUT_SESSION:
    case SG_OUT_HANDLE:
    case SG_OUT_LOGIN:
    case SG_OUT_TOKEN:
    case SG_OUT_PIN:
        /* Those sent before the last recovery are late news. */
        if (send_ns >= backend->breaker.since_ns)
            sg_health_trip(backend, err);
        return;
    case SG_OUT_CAPACITY:
        make_way(backend, now);
        return;
    case SG_OUT_NOT_LOADED:
        load_again(backend, copy);
        return;
    case SG_OUT_KEY:
        sg_copy_set(copy, SG_KEY_UNUSABLE, err);
        sg_choice_release(copy->key);
        return;
    case SG_OUT_UNSUPPORTED:
    case SG_OUT_EXPIRED:
    case SG_OUT_REQUEST:
    case SG_OUT_OK:
    case SG_OUT_UNSET:
    case SG_OUT_COUNT:
        return;
    }
}

/* What it means for the job, which is under way nowhere. */
static void not_signed(struct sg_backend *backend, struct sg_copy *copy, struct sg_hsm_job *job,
                       enum sg_outcome outcome, const struct sg_err *err, int64_t now)
{
    const uint64_t bit = UINT64_C(1) << backend->index;
    bool is_again = false;

    job->copy = copy;
    switch (outcome) {
    case SG_OUT_SESSION:
    case SG_OUT_HANDLE:
    case SG_OUT_LOGIN:
    case SG_OUT_TOKEN:
        is_again = may_retry(backend, job);
        break;
    case SG_OUT_CAPACITY:
        is_again = job->attempts < CAPACITY_ATTEMPTS_MAX;
        break;
    case SG_OUT_NOT_LOADED:
        is_again = may_retry(backend, job);
        break;
    case SG_OUT_PIN: /* never again on this token by itself */
    case SG_OUT_KEY:
    case SG_OUT_UNSUPPORTED:
        job->barred |= bit;
        is_again = sg_choice_can_sign(copy->key, job);
        break;
    case SG_OUT_EXPIRED:
    case SG_OUT_REQUEST:
    case SG_OUT_OK:
    case SG_OUT_UNSET:
    case SG_OUT_COUNT:
        break;
    }
    bool is_of_token = sg_reason_rc(err->reason) == SG_E_UNAVAILABLE;
    if (is_again)
        retry(backend, job, err);
    else
        sg_engine_finish(backend->hsm, job, err,
                         is_of_token ? sg_health_retry_ms(backend, now) : 0);
}

static size_t signature_len(const struct sg_engine_key *key, enum sg_scheme scheme)
{
    return sg_key_type_part_len(key->type) * (scheme == SG_SCHEME_ECDSA ? 2 : 1);
}

bool sg_window_answer(struct sg_backend *backend, const struct sg_answer *answer)
{
    struct sg_place *place = &backend->places[answer->serial & (SG_PLACES_MAX - 1)];
    if (answer->kind != SG_JOB_SIGN || answer->serial == 0 || place->serial != answer->serial)
        return false;
    const struct sg_place was = *place;
    struct sg_copy *copy = was.copy;
    if (answer->outcome == SG_OUT_OK &&
        answer->signature.len != signature_len(copy->key, was.scheme))
        return false;

    int64_t now = sg_engine_now(backend->hsm);
    struct timing timing = timing_of(answer, was.send_ns, now);
    backend->answer_ns = now;
    leave(backend, place);
    sg_blame_answered(backend, &was);
    /* It grew or shrank since it was probed. */
    if (answer->outcome == SG_OUT_OK && backend->workers > 0 && answer->workers > 0)
        backend->workers = answer->workers;
    if (answer->outcome == SG_OUT_OK)
        learn(backend, copy->key, was.is_alone, timing.hsm_ns);
    if (was.is_probe) {
        sg_probe_signed(backend, &was, answer);
        return true;
    }
    if (answer->outcome == SG_OUT_OK) {
        if (was.job != NULL) /* else it was answered before */
            signed_by(copy, was.job, answer, timing);
        return true;
    }
    struct sg_err err;
    sg_health_explain(answer->outcome, answer, &err);
    take_notice(backend, copy, answer->outcome, &err, was.send_ns, now);
    if (was.job != NULL && !is_under_way(was.job)) /* else another may still sign it */
        not_signed(backend, copy, was.job, answer->outcome, &err, now);
    return true;
}

void sg_window_lost(struct sg_backend *backend, const struct sg_err *err)
{
    int64_t now = sg_engine_now(backend->hsm);

    for (size_t i = 0; i < SG_PLACES_MAX && backend->in_flight > 0; i++) {
        struct sg_place *place = &backend->places[i];
        if (place->serial == 0)
            continue;
        struct sg_hsm_job *job = place->job;
        struct sg_copy *copy = place->copy;
        leave(backend, place);
        if (job == NULL || is_under_way(job))
            continue;
        if (copy->state == SG_KEY_QUARANTINED) /* the process died of it */
            not_signed(backend, copy, job, SG_OUT_KEY, &copy->err, now);
        else
            not_signed(backend, copy, job, SG_OUT_TOKEN, err, now);
    }
}

/* Watching ------------------------------------------------------------------------------------ */

int64_t sg_window_oldest_ns(const struct sg_backend *backend)
{
    int64_t oldest = INT64_MAX;
    size_t seen = 0;
    for (size_t i = 0; i < SG_PLACES_MAX && seen < backend->in_flight; i++) {
        if (backend->places[i].serial == 0)
            continue;
        seen++;
        if (backend->places[i].send_ns < oldest)
            oldest = backend->places[i].send_ns;
    }
    return oldest;
}

int64_t sg_window_suspicious_ns(const struct sg_backend *backend)
{
    int64_t slowest_ns = 0, hang_ns = backend->hang_ms * SG_NS_PER_MS;
    for (size_t i = 0; i < SG_KEY_TYPE_COUNT; i++) {
        if (backend->sent[i] == 0)
            continue;
        if (backend->usual_ns[i] == 0) /* nobody knows yet */
            return hang_ns;
        if (backend->usual_ns[i] > slowest_ns)
            slowest_ns = backend->usual_ns[i];
    }
    int64_t limit_ns = slowest_ns * SUSPICIOUS_FACTOR;
    if (limit_ns < suspicious_ns)
        limit_ns = suspicious_ns;
    return limit_ns < hang_ns ? limit_ns : hang_ns;
}

static void expire(struct sg_backend *backend, struct sg_hsm_job *job)
{
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_HSM_TIMEOUT,
                        "could not sign in time: the token has not answered")); /* kept */
    sg_engine_finish(backend->hsm, job, &err, 0);
}

/*
 * A token with a call that is too old is under suspicion when the next tick still finds one: this
 * process may itself have slept, with the answers before its door.
 */
static void suspect(struct sg_backend *backend, bool is_late, int64_t now)
{
    bool was_suspect = backend->is_suspect;

    backend->is_suspect = is_late && backend->is_late;
    backend->is_late = is_late;
    if (backend->is_suspect == was_suspect)
        return;
    backend->is_changed = true;
    backend->suspect_ns = now;
    if (backend->is_suspect && sg_choice_others_serve(backend))
        sg_backend_evacuate(backend);
    sg_engine_wake(backend->hsm);
}

void sg_window_watch(struct sg_backend *backend, int64_t now)
{
    int64_t limit_ns = sg_window_suspicious_ns(backend);
    bool is_late = false;
    size_t count = backend->in_flight;

    for (size_t i = 0, seen = 0; i < SG_PLACES_MAX && seen < count; i++) {
        struct sg_place *place = &backend->places[i];
        if (place->serial == 0)
            continue;
        seen++;
        struct sg_hsm_job *job = place->job;
        bool is_old = now - place->send_ns > limit_ns;
        is_late |= is_old;
        if (job != NULL && job->deadline_ns != 0 && now >= job->deadline_ns)
            expire(backend, job);
        else if (job != NULL && ((is_old && backend->is_suspect) || now >= job->hedge_ns))
            sg_choice_hedge(backend->hsm, job, now);
    }
    suspect(backend, is_late, now);
}
