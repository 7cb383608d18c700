#include "hsm/hsm_priv.h"

/*
 * Which key kills token processes.
 *
 * A process that dies has many signatures under way, and one of them may have been its death.
 * Each key that had some (with the scheme by which it was to sign) is under suspicion from then
 * on, and signs again only on trial: one job at a time in the whole engine, so that a second death
 * tells which it was, and so that a deadly job does not walk from token to token. Any answer clears
 * the key. A process that had nothing else under way, or the trial, when
 * it died for the second time, has told.
 *
 * A trial begins a little after a death: two processes that are killed together are no proof. And
 * it waits until another token serves, for a second at most, so that its death costs nobody.
 */
enum { DEATHS_MAX = 2 };
static const int64_t pause_ns = 50 * SG_NS_PER_MS, patience_ns = SG_NS_PER_S;

static bool is_trial(const struct sg_trial *trial, const struct sg_engine_key *key,
                     enum sg_scheme scheme)
{
    return trial->key == key && trial->scheme == scheme;
}

bool sg_blame_may_try(const struct sg_backend *backend, int64_t now)
{
    const struct sg_hsm *hsm = backend->hsm;
    if (hsm->trial.key != NULL || now < hsm->trial.due_ns)
        return false;
    return hsm->backend_count == 1 || now >= hsm->trial.due_ns + patience_ns ||
           sg_choice_others_serve(backend);
}

bool sg_blame_may_send(struct sg_backend *backend, const struct sg_hsm_job *job, int64_t now)
{
    struct sg_hsm *hsm = backend->hsm;
    const struct sg_engine_key *key = hsm->keys[job->key];

    if (key->deaths[job->scheme] == 0)
        return true;
    if (!sg_blame_may_try(backend, now))
        return false;
    hsm->trial.key = key;
    hsm->trial.scheme = job->scheme;
    hsm->trial.backend = backend;
    return true;
}

static void quarantine(struct sg_engine_key *key, const struct sg_backend *backend,
                       enum sg_scheme scheme)
{
    struct sg_err err;
    SG_IGNORE(SG_REFUSE(&err, SG_R_KEY_QUARANTINED,
                        "a token process died twice while key \"%s\" was signing by %s, the last "
                        "time that of \"%s\"",
                        key->name, sg_scheme_name(scheme), backend->name)); /* made to be kept */
    for (size_t i = 0; i < key->copy_count; i++)
        sg_copy_set(&key->copies[i], SG_KEY_QUARANTINED, &err);
    sg_choice_release(key);
}

static void die(struct sg_engine_key *key, const struct sg_backend *backend, enum sg_scheme scheme)
{
    if (++key->deaths[scheme] >= DEATHS_MAX)
        quarantine(key, backend, scheme);
}

static void end_trial(struct sg_hsm *hsm)
{
    hsm->trial.key = NULL;
    hsm->trial.backend = NULL;
    sg_engine_wake(hsm); /* somebody else's may begin */
}

/* Whether a place is among those that the process may have died of. */
static bool is_blamed(const struct sg_place *place, int64_t late_ns)
{
    return place->serial != 0 && !place->is_probe && (late_ns == 0 || place->send_ns <= late_ns);
}

/* Nothing else than this was under way. */
static const struct sg_place *only_one(const struct sg_backend *backend, int64_t late_ns)
{
    const struct sg_place *first = NULL;
    for (size_t i = 0; i < SG_PLACES_MAX; i++) {
        const struct sg_place *place = &backend->places[i];
        if (!is_blamed(place, late_ns))
            continue;
        if (first != NULL &&
            (place->copy->key != first->copy->key || place->scheme != first->scheme))
            return NULL;
        first = place;
    }
    return first;
}

void sg_blame_lost(struct sg_backend *backend, int64_t late_ns, int64_t now)
{
    struct sg_hsm *hsm = backend->hsm;
    const struct sg_place *culprit = only_one(backend, late_ns);
    bool was_trial = hsm->trial.backend == backend;

    for (size_t i = 0; i < SG_PLACES_MAX; i++) {
        const struct sg_place *place = &backend->places[i];
        if (!is_blamed(place, late_ns))
            continue;
        if (was_trial && is_trial(&hsm->trial, place->copy->key, place->scheme))
            culprit = place;
    }
    hsm->trial.due_ns = now + pause_ns;
    if (was_trial)
        end_trial(hsm);
    for (size_t i = 0; i < SG_PLACES_MAX; i++) {
        const struct sg_place *place = &backend->places[i];
        if (is_blamed(place, late_ns) && !was_trial &&
            place->copy->key->deaths[place->scheme] == 0 && (culprit == NULL || place == culprit))
            place->copy->key->deaths[place->scheme] = 1;
        else if (place == culprit)
            die(place->copy->key, backend, place->scheme);
    }
}

void sg_blame_answered(struct sg_backend *backend, const struct sg_place *place)
{
    struct sg_hsm *hsm = backend->hsm;
    struct sg_engine_key *key = place->copy->key;

    if (key->deaths[place->scheme] == 0)
        return;
    key->deaths[place->scheme] = 0;
    if (is_trial(&hsm->trial, key, place->scheme))
        end_trial(hsm);
}
