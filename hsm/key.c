#include <stdlib.h>

#include "hsm/hsm_priv.h"

static void copy_init(struct sg_copy *copy, struct sg_engine_key *key, size_t token,
                      struct sg_slice id, enum sg_key_origin origin)
{
    copy->key = key;
    copy->backend = key->hsm->backends[token];
    copy->origin = origin;
    copy->id_len = id.len;
    memcpy(copy->id, id.ptr, id.len);
}

struct sg_engine_key *sg_engine_key_new(struct sg_hsm *hsm, const struct sg_hsm_key_config *config,
                                        size_t index)
{
    size_t count = 1 + config->copy_count;
    struct sg_engine_key *key = calloc(1, sizeof(*key) + count * sizeof(key->copies[0]));
    if (key == NULL)
        return NULL;
    key->hsm = hsm;
    key->index = index;
    key->type = config->type;
    key->copy_count = count;
    copy_init(&key->copies[0], key, config->token, config->id, config->origin);
    for (size_t i = 0; i < config->copy_count; i++)
        copy_init(&key->copies[i + 1], key, config->copies[i].token, config->copies[i].id,
                  config->copies[i].origin);
    key->name = strdup(config->name);
    key->spki_len = config->spki.len;
    if (config->spki.len > 0)
        key->spki = malloc(config->spki.len);
    if (key->name == NULL || (config->spki.len > 0 && key->spki == NULL)) {
        sg_engine_key_free(key);
        return NULL;
    }
    if (config->spki.len > 0)
        memcpy(key->spki, config->spki.ptr, config->spki.len);
    return key;
}

void sg_engine_key_free(struct sg_engine_key *key)
{
    if (key == NULL)
        return;
    for (size_t i = 0; i < key->copy_count; i++)
        for (struct sg_hsm_job *job = sg_job_list_pop(&key->copies[i].waiting); job != NULL;
             job = sg_job_list_pop(&key->copies[i].waiting))
            sg_hsm_job_free(job);
    free(key->name);
    free(key->spki);
    free(key);
}

/* The best that one of its copies is. */
static enum sg_hsm_key_state state_of(const struct sg_engine_key *key)
{
    static const enum sg_hsm_key_state order[] = {SG_KEY_READY, SG_KEY_LOADING, SG_KEY_QUARANTINED};
    for (size_t i = 0; i < SG_COUNT(order); i++)
        for (size_t j = 0; j < key->copy_count; j++)
            if (key->copies[j].state == order[i])
                return order[i];
    return SG_KEY_UNUSABLE;
}

void sg_copy_set(struct sg_copy *copy, enum sg_hsm_key_state state, const struct sg_err *err)
{
    struct sg_engine_key *key = copy->key;
    bool is_same = copy->state == state;
    const enum sg_hsm_key_state before = copy->state, key_before = key->state;

    copy->state = state;
    copy->err = err == NULL ? (struct sg_err){0} : *err;
    if (state != SG_KEY_QUARANTINED)
        copy->is_refuted = false;
    if (is_same)
        return;
    key->state = state_of(key);
    if (key->index != SIZE_MAX) {
        struct sg_backend *backend = copy->backend;
        backend->states[key->index] = (uint8_t)(state + 1);
        backend->states_count[before]--;
        backend->states_count[state]++;
        key->hsm->states_count[key_before]--;
        key->hsm->states_count[key->state]++;
    }
    if (!copy->is_changed && key->index != SIZE_MAX) {
        copy->is_changed = true;
        copy->next_changed = key->hsm->changed;
        key->hsm->changed = copy;
    }
    sg_engine_wake(key->hsm);
}

void sg_copy_accept(struct sg_copy *copy, const struct sg_answer *answer)
{
    struct sg_engine_key *key = copy->key;
    struct sg_err err;

    if (key->spki_len == 0) {
        key->spki = malloc(answer->spki.len);
        if (key->spki == NULL) {
            SG_IGNORE(SG_FAIL(&err, SG_E_INTERNAL, 0, "could not remember key \"%s\": no memory",
                              key->name)); /* kept with the copy */
            sg_copy_set(copy, SG_KEY_UNUSABLE, &err);
            return;
        }
        memcpy(key->spki, answer->spki.ptr, answer->spki.len);
        key->spki_len = answer->spki.len;
    }
    if (sg_slice_eq(sg_slice_of(key->spki, key->spki_len), answer->spki)) {
        sg_copy_set(copy, SG_KEY_READY, NULL);
        return;
    }
    SG_IGNORE(SG_REFUSE(&err, SG_R_KEY_UNUSABLE,
                        "could not use key \"%s\": its public key on the token is another one",
                        key->name)); /* kept with the copy */
    sg_copy_set(copy, SG_KEY_UNUSABLE, &err);
}
