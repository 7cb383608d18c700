#include "hsm/hsm.h"

#include <search.h>
#include <stdlib.h>

#include "hsm/hsm_priv.h"

enum { TOKENS_MAX = 64, KEYS_MAX = 1 << 20 };

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
    for (size_t i = 0; i < hsm->key_count; i++) {
        free_jobs(&hsm->keys[i]->waiting);
        free(hsm->keys[i]->name);
        free(hsm->keys[i]->spki);
        free(hsm->keys[i]);
    }
    free(hsm->keys);
    free_jobs(&hsm->finished);
    free(hsm);
}

int64_t sg_engine_now(const struct sg_hsm *hsm)
{
    return sg_mono_ns(hsm->clock);
}

/* Configuration ---------------------------------------------------------------------------- */

enum sg_rc sg_hsm_add_token(struct sg_hsm *hsm, const struct sg_hsm_token_config *config,
                            size_t *ret, struct sg_err *err)
{
    SG_ASSERT(!hsm->is_started);
    for (size_t i = 0; i < hsm->backend_count; i++)
        if (strcmp(hsm->backends[i]->name, config->name) == 0)
            return SG_FAIL(err, SG_E_INVALID, 0, "could not add token \"%s\": given twice",
                           config->name);
    if (config->queue_max == 0 || config->hang_ms <= 0 || hsm->backend_count == TOKENS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not add token \"%s\": a limit is out of range",
                       config->name);

    struct sg_backend **backends =
        realloc(hsm->backends, (hsm->backend_count + 1) * sizeof(struct sg_backend *));
    if (backends == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a token");
    hsm->backends = backends;
    SG_TRY(sg_backend_new(hsm, config, hsm->backend_count, &backends[hsm->backend_count], err));
    *ret = hsm->backend_count++;
    return SG_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct sg_engine_key *)a)->name, ((const struct sg_engine_key *)b)->name);
}

static enum sg_rc check_key(struct sg_hsm *hsm, const struct sg_hsm_key_config *config,
                            struct sg_err *err)
{
    if (config->token >= hsm->backend_count || config->id.len == 0 ||
        config->id.len > SG_JOB_ID_MAX || config->spki.len > SG_JOB_SPKI_MAX ||
        config->type == SG_KEY_UNSET || config->type >= SG_KEY_TYPE_COUNT)
        return SG_FAIL(
            err, SG_E_INVALID, 0,
            "could not add key \"%s\": its token, id, type or public key is out of range",
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

enum sg_rc sg_hsm_add_key(struct sg_hsm *hsm, const struct sg_hsm_key_config *config, size_t *ret,
                          struct sg_err *err)
{
    SG_ASSERT(!hsm->is_started);
    SG_TRY(check_key(hsm, config, err));

    struct sg_engine_key *key = calloc(1, sizeof(*key));
    if (key != NULL)
        key->name = strdup(config->name);
    if (key != NULL && config->spki.len > 0)
        key->spki = malloc(config->spki.len);
    if (key == NULL || key->name == NULL || (config->spki.len > 0 && key->spki == NULL) ||
        !grow_keys(hsm) || tsearch(key, &hsm->names, compare_names) == NULL) {
        if (key != NULL) {
            free(key->name);
            free(key->spki);
        }
        free(key);
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a key");
    }
    void *const *node = tfind(key, &hsm->names, compare_names);
    if (*node != key) {
        free(key->name);
        free(key->spki);
        free(key);
        return SG_FAIL(err, SG_E_INVALID, 0, "could not add key \"%s\": given twice", config->name);
    }
    key->hsm = hsm;
    key->index = hsm->key_count;
    key->backend = hsm->backends[config->token];
    key->type = config->type;
    key->id_len = config->id.len;
    memcpy(key->id, config->id.ptr, config->id.len);
    key->spki_len = config->spki.len;
    if (config->spki.len > 0)
        memcpy(key->spki, config->spki.ptr, config->spki.len);
    hsm->keys[hsm->key_count] = key;
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
    struct sg_engine_key *key = hsm->keys[job->key];
    struct sg_backend *backend = key->backend;

    SG_ASSERT(backend->pending[key->type] > 0);
    backend->pending[key->type]--;
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

void sg_engine_key_set(struct sg_engine_key *key, enum sg_hsm_key_state state,
                       const struct sg_err *err)
{
    bool is_same = key->state == state;
    key->state = state;
    key->err = err == NULL ? (struct sg_err){0} : *err;
    if (is_same)
        return;
    if (!key->is_changed) {
        key->is_changed = true;
        key->next_changed = key->hsm->changed;
        key->hsm->changed = key;
    }
    sg_engine_wake(key->hsm);
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
        struct sg_engine_key *key = hsm->changed;
        hsm->changed = key->next_changed;
        key->is_changed = false;
        if (events->key_changed != NULL)
            events->key_changed(events->arg, key->index);
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

static enum sg_rc refuse_key(const struct sg_engine_key *key, struct sg_err *err)
{
    if (key->state == SG_KEY_QUARANTINED)
        return SG_REFUSE(err, SG_R_KEY_QUARANTINED, "could not sign: key \"%s\" is quarantined",
                         key->name);
    if (key->state == SG_KEY_UNUSABLE)
        return SG_REFUSE(err, SG_R_KEY_UNUSABLE, "could not sign: key \"%s\" is unusable",
                         key->name);
    return SG_OK;
}

static enum sg_rc submit(struct sg_hsm *hsm, struct sg_hsm_job *job, struct sg_err *err)
{
    SG_ASSERT(hsm->is_started && job->key < hsm->key_count);
    struct sg_engine_key *key = hsm->keys[job->key];

    SG_TRY(refuse_key(key, err));
    if (!sg_key_type_does(key->type, job->scheme))
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                         "could not sign: key \"%s\" does not do this scheme", key->name);
    if (job->evidence_len > SG_JOB_EVIDENCE_MAX ||
        (job->scheme != SG_SCHEME_ED25519 && job->tbs_len != sg_digest_len(job->digest_alg)))
        return SG_REFUSE(err, SG_R_DIGEST_LENGTH, "could not sign: %zu bytes do not fit",
                         job->tbs_len);
    return sg_backend_submit(key->backend, key, job, err);
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

void sg_hsm_report_bad(struct sg_hsm *hsm, const struct sg_hsm_job *job)
{
    struct sg_engine_key *key = hsm->keys[job->key];
    struct sg_err why;

    key->backend->failed_total++;
    SG_IGNORE(SG_REFUSE(&why, SG_R_KEY_QUARANTINED,
                        "a signature by key \"%s\" on token \"%s\" did not verify", key->name,
                        key->backend->name)); /* made to be kept */
    sg_engine_key_set(key, SG_KEY_QUARANTINED, &why);
    sg_backend_release_key(key->backend, key);
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
        .workers = backend->breaker.state == SG_BREAKER_UP ? backend->workers : 0,
        .in_flight = backend->in_flight,
        .waiting = backend->waiting,
        .estimated_wait_ms = sg_backend_wait_ns(backend) / SG_NS_PER_MS,
        .signed_total = backend->signed_total,
        .failed_total = backend->failed_total,
        .retried_total = backend->retried_total,
        .restarts_total = backend->restarts_total,
    };
}

void sg_hsm_key_info(const struct sg_hsm *hsm, size_t key, struct sg_hsm_key_info *ret)
{
    SG_ASSERT(key < hsm->key_count);
    const struct sg_engine_key *k = hsm->keys[key];
    bool is_known = k->state != SG_KEY_LOADING || k->spki_len > 0;
    *ret = (struct sg_hsm_key_info){
        .name = k->name,
        .token = k->backend->name,
        .type = k->type,
        .state = k->state,
        .err = k->err,
        .id = sg_slice_of(k->id, k->id_len),
        .spki = is_known ? sg_slice_of(k->spki, k->spki_len) : (struct sg_slice){0},
    };
}
