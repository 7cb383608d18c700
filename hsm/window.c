#include <stdlib.h>

#include "hsm/hsm_priv.h"

/* The low bits of a serial name the place, the others tell its uses apart. */
enum { PLACE_BITS = 10 };
_Static_assert(SG_PLACES_MAX == 1 << PLACE_BITS, "a serial names a place");

enum { DEATHS_MAX = 2, CAPACITY_ATTEMPTS_MAX = 8 };

/*
 * Two packets for each worker: the one it is at, and the next. A packet holds one job, or where
 * signatures are so fast that being woken for each would cost as much as making it, as many as a
 * worker does in four milliseconds when nothing else wants its processor; that is also what a job
 * can lose by not waiting here. They leave when there is room for a whole packet, since otherwise
 * each answer would bring forth a packet of one.
 */
enum { PACKETS = 2, GROUP_MAX = 32 };
static const int64_t packet_ns = 4 * SG_NS_PER_MS, fast_ns = SG_NS_PER_MS / 2;

/* What a signature by this key is expected to take; one that is not fast fills a packet alone. */
static int64_t cost_ns(const struct sg_backend *backend, const struct sg_engine_key *key)
{
    int64_t brisk = backend->brisk_ns[key->type];
    return brisk > 0 && brisk <= fast_ns ? brisk : packet_ns;
}

static bool has_room_for(const struct sg_backend *backend, int64_t work_ns)
{
    size_t packets = backend->workers * PACKETS;
    if (backend->in_flight >= SG_PLACES_MAX)
        return false;
    return backend->in_flight < packets ||
           backend->in_flight_ns + work_ns <= (int64_t)packets * packet_ns;
}

bool sg_window_has_room(const struct sg_backend *backend)
{
    return has_room_for(backend, 1);
}

bool sg_window_has_room_for_packet(const struct sg_backend *backend)
{
    return has_room_for(backend, packet_ns);
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
    size_t max = (size_t)(packet_ns / backend->put_slowest_ns);
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

void sg_window_put(struct sg_backend *backend, struct sg_engine_key *key, struct sg_hsm_job *job,
                   int64_t now)
{
    size_t at = backend->first_free;
    while (backend->places[at].serial != 0)
        at++;
    SG_ASSERT(at < SG_PLACES_MAX);
    backend->first_free = at + 1;
    backend->in_flight++;
    backend->sent[key->type]++;

    job->serial = ++backend->serial << PLACE_BITS | at;
    job->send_ns = now;
    int64_t cost = cost_ns(backend, key);
    backend->in_flight_ns += cost;
    backend->put_count++;
    if (cost > backend->put_slowest_ns)
        backend->put_slowest_ns = cost;
    backend->places[at] = (struct sg_place){.job = job,
                                            .key = key,
                                            .scheme = job->scheme,
                                            .serial = job->serial,
                                            .send_ns = now,
                                            .cost_ns = cost};
    sg_link_put(&backend->sign, &(struct sg_request){
                                    .kind = SG_JOB_SIGN,
                                    .serial = job->serial,
                                    .id = sg_slice_of(key->id, key->id_len),
                                    .scheme = job->scheme,
                                    .digest_alg = job->digest_alg,
                                    .deadline_ns = job->deadline_ns,
                                    .tbs = sg_slice_of(job->tbs, job->tbs_len),
                                    .evidence = sg_slice_of(job->evidence, job->evidence_len),
                                });
}

static void leave(struct sg_backend *backend, struct sg_place *place)
{
    size_t at = (size_t)(place - backend->places);
    backend->in_flight_ns -= place->cost_ns;
    backend->sent[place->key->type]--;
    *place = (struct sg_place){0};
    backend->in_flight--;
    if (at < backend->first_free)
        backend->first_free = at;
}

/* Back to the front, behind other retries. It stays admitted. */
static void retry(struct sg_backend *backend, struct sg_hsm_job *job)
{
    job->attempts++;
    backend->retried_total++;
    sg_backend_waits(backend, job);
    sg_job_list_push(&backend->retries, job);
    sg_engine_wake(backend->hsm);
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

/* From late answers too: of a token that became slow there may be no others. */
static void learn(struct sg_backend *backend, const struct sg_engine_key *key, int64_t hsm_ns)
{
    int64_t before_ns = backend->last_ns[key->type];

    backend->last_ns[key->type] = hsm_ns;
    average(&backend->usual_ns[key->type], hsm_ns);
    average(&backend->brisk_ns[key->type],
            before_ns > 0 && before_ns < hsm_ns ? before_ns : hsm_ns);
}

static void signed_by(struct sg_backend *backend, struct sg_engine_key *key, struct sg_hsm_job *job,
                      const struct sg_answer *answer, struct timing timing)
{
    job->hsm_ns = timing.hsm_ns;
    job->queue_ns = timing.start_ns - job->submit_ns;
    SG_ASSERT(answer->signature.len <= sizeof(job->signature)); /* it has the key's length */
    memcpy(job->signature, answer->signature.ptr, answer->signature.len);
    job->signature_len = answer->signature.len;

    key->deaths = 0;
    sg_engine_finish(backend->hsm, job, NULL, 0);
}

static void not_signed(struct sg_backend *backend, struct sg_engine_key *key,
                       struct sg_hsm_job *job, const struct sg_answer *answer, int64_t now)
{
    struct sg_err err;
    sg_health_explain(answer->outcome, answer, &err);

    switch (answer->outcome) {
    case SG_OUT_SESSION:
    case SG_OUT_HANDLE:
    case SG_OUT_LOGIN:
    case SG_OUT_TOKEN:
    case SG_OUT_PIN:
        /* Those sent before the last recovery are late news. */
        if (job->send_ns >= backend->breaker.since_ns)
            sg_health_trip(backend, &err);
        if (job->attempts == 0 && answer->outcome != SG_OUT_PIN)
            retry(backend, job);
        else
            sg_engine_finish(backend->hsm, job, &err, sg_health_retry_ms(backend, now));
        return;
    case SG_OUT_CAPACITY:
        if (job->attempts < CAPACITY_ATTEMPTS_MAX)
            retry(backend, job);
        else
            sg_engine_finish(backend->hsm, job, &err, sg_health_retry_ms(backend, now));
        return;
    case SG_OUT_NOT_LOADED:
        /* The token process was replaced behind the link, or lost memory: tell it again. */
        if (job->attempts == 0) {
            if (key->state == SG_KEY_READY)
                sg_engine_key_set(key, SG_KEY_LOADING, NULL);
            backend->load_next = 0;
            sg_health_load_keys(backend);
            retry(backend, job);
            return;
        }
        break;
    case SG_OUT_KEY:
        sg_engine_key_set(key, SG_KEY_UNUSABLE, &err);
        break;
    case SG_OUT_UNSUPPORTED:
    case SG_OUT_EXPIRED:
    case SG_OUT_REQUEST:
    case SG_OUT_OK:
    case SG_OUT_UNSET:
    case SG_OUT_COUNT:
        break;
    }
    sg_engine_finish(backend->hsm, job, &err, 0);
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
    struct sg_hsm_job *job = place->job;
    struct sg_engine_key *key = place->key;
    if (answer->outcome == SG_OUT_OK && answer->signature.len != signature_len(key, place->scheme))
        return false;

    int64_t now = sg_engine_now(backend->hsm);
    struct timing timing = timing_of(answer, place->send_ns, now);
    backend->answer_ns = now;
    leave(backend, place);
    if (answer->outcome == SG_OUT_OK)
        learn(backend, key, timing.hsm_ns);
    if (job == NULL) /* answered for its deadline before */
        return true;
    if (answer->outcome == SG_OUT_OK)
        signed_by(backend, key, job, answer, timing);
    else
        not_signed(backend, key, job, answer, now);
    return true;
}

/*
 * A process that dies with one kind of work in it may have died of that. When it happens twice
 * with nothing of that key signed in between, the key is put aside.
 */
static void blame(struct sg_backend *backend)
{
    const struct sg_place *first = NULL;
    for (size_t i = 0; i < SG_PLACES_MAX; i++) {
        const struct sg_place *place = &backend->places[i];
        if (place->serial == 0)
            continue;
        if (first != NULL && (place->key != first->key || place->scheme != first->scheme))
            return;
        first = place;
    }
    if (first == NULL || ++first->key->deaths < DEATHS_MAX)
        return;
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_KEY_QUARANTINED,
                        "token \"%s\" died twice while key \"%s\" alone was signing by %s",
                        backend->name, first->key->name,
                        sg_scheme_name(first->scheme))); /* made to be kept */
    sg_engine_key_set(first->key, SG_KEY_QUARANTINED, &err);
}

void sg_window_lost(struct sg_backend *backend, const struct sg_err *err)
{
    int64_t now = sg_engine_now(backend->hsm);

    if (backend->in_flight > 0)
        blame(backend);
    for (size_t i = 0; i < SG_PLACES_MAX && backend->in_flight > 0; i++) {
        struct sg_place *place = &backend->places[i];
        if (place->serial == 0)
            continue;
        struct sg_hsm_job *job = place->job;
        leave(backend, place);
        if (job == NULL)
            continue;
        if (job->attempts == 0)
            retry(backend, job);
        else
            sg_engine_finish(backend->hsm, job, err, sg_health_retry_ms(backend, now));
    }
}

void sg_window_expire(struct sg_backend *backend, int64_t now)
{
    size_t seen = 0;
    for (size_t i = 0; i < SG_PLACES_MAX && seen < backend->in_flight; i++) {
        struct sg_place *place = &backend->places[i];
        if (place->serial == 0)
            continue;
        seen++;
        if (place->job == NULL || place->job->deadline_ns == 0 || now < place->job->deadline_ns)
            continue;
        struct sg_err err;
        SG_IGNORE(SG_REFUSE(&err, SG_R_HSM_TIMEOUT,
                            "could not sign in time: the token has not answered")); /* kept */
        sg_engine_finish(backend->hsm, place->job, &err, 0);
        place->job = NULL;
    }
}

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
