#include "hsm/hsm.h"

#include <search.h>
#include <stdlib.h>

#include "hsm/hsm_priv.h"

enum { KEYS_MAX = 1 << 20 };

static void on_hook(void *arg);

struct sg_hsm_job *sg_hsm_job_new(struct sg_slice tbs)
{
    SG_ASSERT(tbs.len <= SG_TBS_BYTES_MAX);
    struct sg_hsm_job *job = malloc(sizeof(*job) + tbs.len);
    if (job == NULL)
        return NULL;
    *job = (struct sg_hsm_job){.tbs_len = tbs.len};
    if (tbs.len > 0)
        memcpy(job->tbs, tbs.ptr, tbs.len);
    return job;
}

void sg_hsm_job_free(struct sg_hsm_job *job)
{
    if (job == NULL)
        return;
    free(job->evidence);
    free(job);
}

enum sg_rc sg_hsm_new(struct sg_loop *loop, const struct sg_clock *clock,
                      const struct sg_hsm_events *events, struct sg_hsm **ret, struct sg_err *err)
{
    SG_ASSERT(events->done != NULL);
    struct sg_hsm *hsm = calloc(1, sizeof(*hsm));
    if (hsm == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the signing engine");
    hsm->loop = loop;
    hsm->clock = clock;
    hsm->events = *events;
    hsm->hook = (struct sg_hook){.fn = on_hook, .arg = hsm};
    *ret = hsm;
    return SG_OK;
}

static void free_jobs(struct sg_job_list *list)
{
    for (struct sg_hsm_job *job = sg_job_list_pop(list); job != NULL; job = sg_job_list_pop(list))
        sg_hsm_job_free(job);
}

static void free_nothing(void *node)
{
    (void)node;
}

void sg_hsm_free(struct sg_hsm *hsm)
{
    if (hsm == NULL)
        return;
    SG_ASSERT(!hsm->is_delivering);
    sg_hook_disarm(&hsm->hook);
    for (size_t i = 0; i < hsm->backend_count; i++)
        sg_backend_free(hsm->backends[i]);
    free(hsm->backends);
    tdestroy(hsm->names, free_nothing);
    for (size_t i = 0; i < hsm->key_count; i++)
        sg_engine_key_free(hsm->keys[i]);
    free(hsm->keys);
    free_jobs(&hsm->finished);
    free(hsm);
}

int64_t sg_engine_now(const struct sg_hsm *hsm)
{
    return sg_mono_ns(hsm->clock);
}

/* Configuration ---------------------------------------------------------------------------- */

static bool is_right(struct sg_slice id, enum sg_key_type type)
{
    return id.len > 0 && id.len <= SG_JOB_ID_MAX && type > SG_KEY_UNSET && type < SG_KEY_TYPE_COUNT;
}

/* They belong to the token, which frees them. */
static enum sg_rc add_probe_keys(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                                 size_t token, struct sg_err *err)
{
    for (size_t i = 0; i < config->probe_key_count; i++) {
        const struct sg_hsm_probe_key *from = &config->probe_keys[i];
        if (!is_right(from->id, from->type))
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not add token \"%s\": the id or type of a probe key is out of "
                           "range",
                           config->name);
        const struct sg_hsm_key_config key = {
            .name = "probe", .token = token, .id = from->id, .type = from->type};
        struct sg_engine_key *made = sg_engine_key_new(hsm, &key, SIZE_MAX);
        if (made == NULL || !sg_backend_add_copy(hsm->backends[token], &made->copies[0])) {
            sg_engine_key_free(made);
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a probe key");
        }
        hsm->backends[token]->probe_count++;
    }
    return SG_OK;
}

enum sg_rc sg_hsm_add_token(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                            size_t *ret, struct sg_err *err)
{
    SG_ASSERT(!hsm->is_started);
    for (size_t i = 0; i < hsm->backend_count; i++)
        if (strcmp(hsm->backends[i]->name, config->name) == 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "could not add token \"%s\": given twice",
                           config->name);
    if (config->queue_max == 0 || config->hang_ms <= 0 || hsm->backend_count == SG_HSM_TOKENS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not add token \"%s\": a limit is out of range",
                       config->name);

    if (config->probe_key_count > SG_HSM_PROBE_KEYS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not add token \"%s\": more than %d probe keys",
                       config->name, SG_HSM_PROBE_KEYS_MAX);

    struct sg_backend **backends =
        realloc(hsm->backends, (hsm->backend_count + 1) * sizeof(struct sg_backend *));
    if (backends == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a token");
    hsm->backends = backends;
    SG_TRY(sg_backend_new(hsm, config, hsm->backend_count, &backends[hsm->backend_count], err));
    *ret = hsm->backend_count++;
    return add_probe_keys(hsm, config, *ret, err);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct sg_engine_key *)a)->name, ((const struct sg_engine_key *)b)->name);
}

/* Whether each of its tokens exists and is named once. */
static bool are_copies_right(const struct sg_hsm *hsm, const struct sg_hsm_key_config *config)
{
    uint64_t seen = 0;
    if (config->copy_count >= SG_HSM_COPIES_MAX || config->token >= hsm->backend_count ||
        config->origin >= SG_ORIGIN_COUNT)
        return false;
    seen = UINT64_C(1) << config->token;
    for (size_t i = 0; i < config->copy_count; i++) {
        const struct sg_hsm_copy_config *copy = &config->copies[i];
        if (copy->token >= hsm->backend_count || !is_right(copy->id, config->type) ||
            copy->origin >= SG_ORIGIN_COUNT || (seen & UINT64_C(1) << copy->token) != 0)
            return false;
        seen |= UINT64_C(1) << copy->token;
    }
    return true;
}

static enum sg_rc check_key(struct sg_hsm *hsm, const struct sg_hsm_key_config *config,
                            struct sg_err *err)
{
    if (!is_right(config->id, config->type) || config->spki.len > SG_JOB_SPKI_MAX ||
        !are_copies_right(hsm, config))
        return SG_FAIL(
            err, SG_E_INVALID, 0,
            "could not add key \"%s\": a token, id, origin, its type or public key is out of range",
            config->name);
    if (hsm->key_count == KEYS_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not add key \"%s\": there are %d", config->name,
                       KEYS_MAX);
    return SG_OK;
}

static bool grow_keys(struct sg_hsm *hsm)
{
    if (hsm->key_count < hsm->key_cap)
        return true;
    size_t cap = hsm->key_cap == 0 ? 16 : hsm->key_cap * 2;
    struct sg_engine_key **keys = realloc(hsm->keys, cap * sizeof(struct sg_engine_key *));
    if (keys == NULL)
        return false;
    hsm->keys = keys;
    hsm->key_cap = cap;
    return true;
}

/* Takes it out of the lists of tokens again. */
static void forget_copies(struct sg_engine_key *key, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sg_backend_drop_copy(key->copies[i].backend); /* it was the last */
}

static bool add_copies(struct sg_engine_key *key)
{
    for (size_t i = 0; i < key->copy_count; i++) {
        if (sg_backend_add_copy(key->copies[i].backend, &key->copies[i]))
            continue;
        forget_copies(key, i);
        return false;
    }
    return true;
}

enum sg_rc sg_hsm_add_key(struct sg_hsm *hsm, const struct sg_hsm_key_config *config, size_t *ret,
                          struct sg_err *err)
{
    SG_ASSERT(!hsm->is_started);
    SG_TRY(check_key(hsm, config, err));

    struct sg_engine_key *key = sg_engine_key_new(hsm, config, hsm->key_count);
    if (key == NULL || !grow_keys(hsm) || !add_copies(key)) {
        sg_engine_key_free(key);
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a key");
    }
    void *const *node = tsearch(key, &hsm->names, compare_names);
    if (node == NULL || *node != key) {
        forget_copies(key, key->copy_count);
        sg_engine_key_free(key);
        if (node == NULL)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a key");
        return SG_FAIL(err, SG_E_INVALID, 0, "could not add key \"%s\": given twice", config->name);
    }
    hsm->keys[hsm->key_count] = key;
    hsm->states_count[SG_KEY_LOADING]++;
    *ret = hsm->key_count++;
    return SG_OK;
}

enum sg_rc sg_hsm_start(struct sg_hsm *hsm, struct sg_err *err)
{
    if (hsm->backend_count == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not start the signing engine: no token");
    hsm->is_started = true;
    for (size_t i = 0; i < hsm->backend_count; i++)
        sg_backend_start(hsm->backends[i]);
    return SG_OK;
}

/* Handing back ------------------------------------------------------------------------------- */

void sg_engine_wake(struct sg_hsm *hsm)
{
    sg_hook_arm(hsm->loop, &hsm->hook);
}

void sg_engine_finish(struct sg_hsm *hsm, struct sg_hsm_job *job, const struct sg_err *err,
                      int64_t retry_ms)
{
    struct sg_backend *backend = job->copy->backend;

    /* What else is under way for it is of no use any more. */
    for (size_t i = 0; i < SG_COUNT(job->places); i++) {
        if (job->places[i] != NULL)
            job->places[i]->job = NULL;
        job->places[i] = NULL;
    }
    job->token = backend->index;
    job->is_signed = err == NULL;
    job->err = err == NULL ? (struct sg_err){0} : *err;
    job->retry_ms = retry_ms;
    if (err == NULL)
        backend->signed_total++;
    else
        backend->failed_total++;
    sg_job_list_push(&hsm->finished, job);
    sg_engine_wake(hsm);
}

void sg_engine_deliver(struct sg_hsm *hsm)
{
    const struct sg_hsm_events *events = &hsm->events;

    hsm->is_delivering = true;
    for (size_t i = 0; i < hsm->backend_count; i++) {
        struct sg_backend *backend = hsm->backends[i];
        bool is_changed = backend->is_changed;
        backend->is_changed = false;
        if (is_changed && events->token_changed != NULL)
            events->token_changed(events->arg, i, &backend->err);
    }
    while (hsm->changed != NULL) {
        struct sg_copy *copy = hsm->changed;
        hsm->changed = copy->next_changed;
        copy->is_changed = false;
        if (events->key_changed != NULL)
            events->key_changed(events->arg, copy->key->index, (size_t)(copy - copy->key->copies));
    }
    for (struct sg_hsm_job *job = sg_job_list_pop(&hsm->finished); job != NULL;
         job = sg_job_list_pop(&hsm->finished))
        events->done(events->arg, job);
    hsm->is_delivering = false;
}

static void on_hook(void *arg)
{
    struct sg_hsm *hsm = arg;
    sg_engine_deliver(hsm);
    for (size_t i = 0; i < hsm->backend_count; i++)
        sg_backend_flush(hsm->backends[i]);
}

/* Submitting --------------------------------------------------------------------------------- */

static enum sg_rc submit(struct sg_hsm *hsm, struct sg_hsm_job *job, struct sg_err *err)
{
    SG_ASSERT(hsm->is_started && job->key < hsm->key_count);
    struct sg_engine_key *key = hsm->keys[job->key];

    if (!sg_key_type_does(key->type, job->scheme))
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                         "could not sign: key \"%s\" does not do this scheme", key->name);
    if (job->evidence_len > SG_JOB_EVIDENCE_MAX ||
        (job->scheme != SG_SCHEME_ED25519 && job->tbs_len != sg_digest_len(job->digest_alg)))
        return SG_REFUSE(err, SG_R_DIGEST_LENGTH, "could not sign: %zu bytes do not fit",
                         job->tbs_len);
    return sg_choice_submit(key, job, err);
}

enum sg_rc sg_hsm_submit(struct sg_hsm *hsm, struct sg_hsm_job *job, struct sg_err *err)
{
    struct sg_err why = {0};
    job->is_signed = false;
    job->retry_ms = job->queue_ns = job->hsm_ns = 0;
    job->attempts = 0;
    job->signature_len = 0;
    enum sg_rc rc = submit(hsm, job, &why);
    job->err = why;
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

enum sg_rc sg_hsm_report_bad(struct sg_hsm *hsm, struct sg_hsm_job *job, struct sg_err *err)
{
    struct sg_engine_key *key = hsm->keys[job->key];
    struct sg_copy *copy = job->copy;
    struct sg_backend *backend = copy->backend;
    struct sg_err why;

    backend->failed_total++;
    backend->refuted_total++;
    SG_IGNORE(SG_REFUSE(&why, SG_R_KEY_QUARANTINED,
                        "a signature by key \"%s\" on token \"%s\" did not verify", key->name,
                        backend->name)); /* made to be kept */
    sg_copy_set(copy, SG_KEY_QUARANTINED, &why);
    copy->is_refuted = true;
    backend->probe.is_due = backend->probe_count > 0;
    sg_choice_release(key);
    sg_backend_schedule(backend);

    job->barred |= UINT64_C(1) << backend->index;
    if (!sg_choice_can_sign(key, job))
        return SG_REFUSE(err, SG_R_HSM_FAULT,
                         "the token's signature by key \"%s\" did not verify; it was not released",
                         key->name);
    job->is_signed = false;
    job->signature_len = 0;
    job->attempts++;
    backend->retried_total++;
    sg_choice_place(hsm, job, true, NULL);
    return SG_OK;
}

void sg_hsm_drain(struct sg_hsm *hsm, size_t token)
{
    SG_ASSERT(token < hsm->backend_count);
    struct sg_backend *backend = hsm->backends[token];
    if (backend->is_draining)
        return;
    backend->is_draining = backend->is_changed = true;
    sg_backend_evacuate(backend);
    sg_engine_wake(hsm);
}

void sg_hsm_resume(struct sg_hsm *hsm, size_t token)
{
    SG_ASSERT(token < hsm->backend_count);
    struct sg_backend *backend = hsm->backends[token];
    backend->is_changed |= backend->is_draining;
    backend->is_draining = false;
    for (size_t i = 0; i < backend->copy_count; i++)
        if (backend->copies[i]->state == SG_KEY_QUARANTINED)
            sg_copy_set(backend->copies[i], SG_KEY_LOADING, NULL);
    backend->load_next = 0;
    if (backend->breaker.state == SG_BREAKER_UP)
        sg_health_load_keys(backend);
    sg_choice_release_all(hsm);
    sg_engine_wake(hsm);
}

/* Looking ------------------------------------------------------------------------------------- */

size_t sg_hsm_token_count(const struct sg_hsm *hsm)
{
    return hsm->backend_count;
}

size_t sg_hsm_key_count(const struct sg_hsm *hsm)
{
    return hsm->key_count;
}

void sg_hsm_token_info(const struct sg_hsm *hsm, size_t token, struct sg_hsm_token_info *ret)
{
    SG_ASSERT(token < hsm->backend_count);
    const struct sg_backend *backend = hsm->backends[token];
    *ret = (struct sg_hsm_token_info){
        .name = backend->name,
        .state = sg_backend_state(backend),
        .is_drained = backend->is_draining,
        .err = backend->breaker.state == SG_BREAKER_UP ? (struct sg_err){0} : backend->err,
        .workers = backend->breaker.state == SG_BREAKER_UP ? backend->workers : 0,
        .in_flight = backend->in_flight,
        .waiting = backend->waiting,
        .estimated_wait_ms = sg_backend_wait_ns(backend) / SG_NS_PER_MS,
        .signed_total = backend->signed_total,
        .failed_total = backend->failed_total,
        .retried_total = backend->retried_total,
        .hedged_total = backend->hedged_total,
        .refuted_total = backend->refuted_total,
        .restarts_total = backend->restarts_total,
    };
    memcpy(ret->keys, backend->states_count, sizeof(ret->keys));
}

void sg_hsm_key_info(const struct sg_hsm *hsm, size_t key, struct sg_hsm_key_info *ret)
{
    SG_ASSERT(key < hsm->key_count);
    const struct sg_engine_key *k = hsm->keys[key];
    bool is_known = k->state != SG_KEY_LOADING || k->spki_len > 0;
    *ret = (struct sg_hsm_key_info){
        .name = k->name,
        .token = k->copies[0].backend->name,
        .copy_count = k->copy_count,
        .type = k->type,
        .state = k->state,
        .spki = is_known ? sg_slice_of(k->spki, k->spki_len) : (struct sg_slice){0},
    };
    for (size_t i = 0; i < k->copy_count && ret->err.rc == SG_OK; i++)
        if (k->copies[i].state == k->state)
            ret->err = k->copies[i].err;
}

bool sg_hsm_key_on(const struct sg_hsm *hsm, size_t key, size_t token, enum sg_hsm_key_state *ret)
{
    SG_ASSERT(key < hsm->key_count && token < hsm->backend_count);
    const struct sg_backend *backend = hsm->backends[token];
    if (key >= backend->states_cap || backend->states[key] == 0)
        return false;
    *ret = (enum sg_hsm_key_state)(backend->states[key] - 1);
    return true;
}

size_t sg_hsm_keys_in(const struct sg_hsm *hsm, enum sg_hsm_key_state state)
{
    SG_ASSERT((size_t)state < SG_KEY_STATE_COUNT);
    return hsm->states_count[state];
}

void sg_hsm_copy_info(const struct sg_hsm *hsm, size_t key, size_t copy,
                      struct sg_hsm_copy_info *ret)
{
    SG_ASSERT(key < hsm->key_count && copy < hsm->keys[key]->copy_count);
    const struct sg_copy *c = &hsm->keys[key]->copies[copy];
    *ret = (struct sg_hsm_copy_info){
        .token = c->backend->index, .state = c->state, .err = c->err, .id = sg_copy_id(c)};
}
