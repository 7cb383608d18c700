#include <openssl/evp.h>
#include <stdlib.h>

#include "hsm/pkcs11/p11_priv.h"

/* The table of loaded keys: open addressing, at most half full, entries never removed. ------- */

static size_t hash_of(struct sg_slice id)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a; ids come from the configuration */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ id.ptr[i]) * UINT64_C(1099511628211);
    return (size_t)(hash ^ hash >> 32);
}

static struct sg_p11_key **place_of(struct sg_p11_key **buckets, size_t count, struct sg_slice id)
{
    size_t at = hash_of(id) % count;
    while (buckets[at] != NULL &&
           !sg_slice_eq(sg_slice_of(buckets[at]->id, buckets[at]->id_len), id))
        at = (at + 1) % count;
    return &buckets[at];
}

static bool grow_locked(struct sg_p11 *p11)
{
    size_t count = p11->bucket_count * 2;
    struct sg_p11_key **buckets = calloc(count, sizeof(struct sg_p11_key *));
    if (buckets == NULL)
        return false;
    for (size_t i = 0; i < p11->bucket_count; i++) {
        struct sg_p11_key *key = p11->buckets[i];
        if (key != NULL)
            *place_of(buckets, count, sg_slice_of(key->id, key->id_len)) = key;
    }
    free(p11->buckets);
    p11->buckets = buckets;
    p11->bucket_count = count;
    return true;
}

static bool put(struct sg_p11 *p11, const struct sg_p11_key *key)
{
    pthread_mutex_lock(&p11->keys_lock);
    bool has_room = p11->key_count < p11->bucket_count / 2 || grow_locked(p11);
    struct sg_p11_key **place =
        place_of(p11->buckets, p11->bucket_count, sg_slice_of(key->id, key->id_len));
    if (*place == NULL && has_room) {
        *place = malloc(sizeof(**place));
        p11->key_count += *place != NULL;
    }
    bool is_put = *place != NULL;
    if (is_put)
        **place = *key;
    pthread_mutex_unlock(&p11->keys_lock);
    return is_put;
}

bool sg_p11_keys_get(struct sg_p11 *p11, struct sg_slice id, struct sg_p11_key *ret)
{
    pthread_mutex_lock(&p11->keys_lock);
    const struct sg_p11_key *key = *place_of(p11->buckets, p11->bucket_count, id);
    if (key != NULL)
        *ret = *key;
    pthread_mutex_unlock(&p11->keys_lock);
    return key != NULL;
}

void sg_p11_keys_forget(struct sg_p11 *p11, struct sg_slice id)
{
    pthread_mutex_lock(&p11->keys_lock);
    struct sg_p11_key *key = *place_of(p11->buckets, p11->bucket_count, id);
    if (key != NULL)
        key->generation = 0;
    pthread_mutex_unlock(&p11->keys_lock);
}

/* Finding and judging -------------------------------------------------------------------------- */

struct spki {
    size_t len;
    uint8_t bytes[SG_JOB_SPKI_MAX];
};

enum sg_outcome sg_p11_find(struct sg_p11_session *session, CK_OBJECT_CLASS cls, struct sg_slice id,
                            CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *ret_count,
                            struct sg_err *err)
{
    CK_FUNCTION_LIST *fn = session->p11->fn;
    CK_BYTE id_copy[SG_JOB_ID_MAX];
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &cls, sizeof(cls)}, {CKA_ID, id_copy, id.len}};

    SG_ASSERT(id.len <= sizeof(id_copy));
    if (id.len > 0)
        memcpy(id_copy, id.ptr, id.len);
    CK_RV rv = fn->C_FindObjectsInit(session->handle, template, id.len > 0 ? 2 : 1);
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "search for a key");
    *ret_count = 0;
    rv = fn->C_FindObjects(session->handle, ret, max, ret_count);
    CK_RV end_rv = fn->C_FindObjectsFinal(session->handle);
    if (rv == CKR_OK)
        rv = end_rv;
    return rv == CKR_OK ? SG_OUT_OK : sg_p11_fail(err, rv, "search for a key");
}

/* Judges what was found and makes an entry of it. */
static enum sg_outcome accept(struct sg_p11_session *session, const struct sg_p11_facts *facts,
                              enum sg_key_type type, enum sg_key_origin origin,
                              struct sg_p11_key *ret, struct sg_err *err)
{
    bool is_from_here = origin == SG_ORIGIN_GENERATED && !session->p11->allow_extractable;
    enum sg_outcome outcome = sg_p11_facts_judge(facts, type, is_from_here, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    *ret = (struct sg_p11_key){.type = type,
                               .origin = origin,
                               .handle = facts->handle,
                               .generation = session->generation,
                               .epoch = session->p11->epoch,
                               .id_len = facts->id_len};
    memcpy(ret->id, facts->id, facts->id_len);
    return SG_OUT_OK;
}

static enum sg_outcome hash_spki(struct sg_p11_key *key, const struct spki *spki,
                                 struct sg_err *err)
{
    if (EVP_Digest(spki->bytes, spki->len, key->spki_hash, NULL, EVP_sha256(), NULL) != 1)
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not remember the key: out of memory");
    return SG_OUT_OK;
}

/* By a search, which says exactly what is wrong. */
static enum sg_outcome find_one(struct sg_p11_session *session, struct sg_slice id,
                                enum sg_key_type type, enum sg_key_origin origin,
                                struct sg_p11_key *ret, struct spki *ret_spki, struct sg_err *err)
{
    CK_OBJECT_HANDLE handles[2];
    CK_ULONG count = 0;
    struct sg_p11_facts facts;

    enum sg_outcome outcome = sg_p11_find(session, CKO_PRIVATE_KEY, id, handles, 2, &count, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (count != 1)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: %s on the token has its id",
                             count == 0 ? "no private key" : "more than one private key");
    outcome = sg_p11_facts_read(session, handles[0], &facts, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (!sg_slice_eq(sg_slice_of(facts.id, facts.id_len), id))
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: what was found has another id");
    outcome = accept(session, &facts, type, origin, ret, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_export_spki(session, &facts, type, ret_spki->bytes, &ret_spki->len, err);
    return outcome == SG_OUT_OK ? hash_spki(ret, ret_spki, err) : outcome;
}

/*
 * Whether the handle from before a new login still names the key. Within one C_Initialize a handle
 * is of one object, so its public key need not be asked for. False: find it.
 */
static bool look_again(struct sg_p11_session *session, struct sg_p11_key *key)
{
    struct sg_p11_facts facts;
    struct sg_p11_key again;

    if (key->epoch != session->p11->epoch ||
        sg_p11_facts_read(session, key->handle, &facts, NULL) != SG_OUT_OK ||
        !sg_slice_eq(sg_slice_of(facts.id, facts.id_len), sg_slice_of(key->id, key->id_len)) ||
        accept(session, &facts, key->type, key->origin, &again, NULL) != SG_OUT_OK)
        return false;
    key->generation = again.generation;
    return true;
}

enum sg_outcome sg_p11_keys_ready(struct sg_p11_session *session, struct sg_slice id,
                                  struct sg_p11_key *ret, struct sg_err *err)
{
    struct sg_p11_key found = {0};
    struct spki spki;

    if (!sg_p11_keys_get(session->p11, id, ret))
        return sg_p11_refuse(err, SG_OUT_NOT_LOADED, "could not sign: the key was not loaded");
    if (ret->generation == session->generation)
        return SG_OUT_OK;
    if (!look_again(session, ret)) {
        enum sg_outcome outcome = find_one(session, id, ret->type, ret->origin, &found, &spki, err);
        if (outcome != SG_OUT_OK)
            return outcome;
        /* Under the same id there may now be another key; the gateway knows the one it was told. */
        if (memcmp(found.spki_hash, ret->spki_hash, SG_P11_HASH_LEN) != 0)
            return sg_p11_refuse(err, SG_OUT_KEY,
                                 "could not use the key: another one now has its id");
        *ret = found;
    }
    if (!put(session->p11, ret))
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not remember the key: out of memory");
    return SG_OUT_OK;
}

enum sg_outcome sg_p11_keys_spki(struct sg_p11_session *session, const struct sg_p11_key *key,
                                 uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    struct sg_p11_facts facts;
    enum sg_outcome outcome = sg_p11_facts_read(session, key->handle, &facts, err);
    return outcome == SG_OUT_OK ? sg_p11_export_spki(session, &facts, key->type, out, ret_len, err)
                                : outcome;
}

/* Loading ---------------------------------------------------------------------------------------
 */

/*
 * A search costs a token that looks through all of its objects as much as they are many, and there
 * is one for each key, or two. So many are searched for; from then on all that are on the token are
 * read, once.
 */
enum { SEARCHES_MAX = 16 };

static void take_census(struct sg_p11_session *session)
{
    struct sg_p11 *p11 = session->p11;

    if (p11->census != NULL && !sg_p11_census_is_fresh(p11->census, session)) {
        sg_p11_census_free(p11->census);
        p11->census = NULL;
        p11->searches = 0;
    }
    if (p11->census != NULL || p11->searches < SEARCHES_MAX)
        return;
    p11->searches = 0;
    /* Without it, also when it fails, each key is searched for. */
    sg_p11_census_make(session, &p11->census, NULL);
}

/* False: the census has not exactly one. */
static bool look_up(struct sg_p11_session *session, const struct sg_request *request,
                    struct sg_p11_key *ret, struct spki *ret_spki, enum sg_outcome *ret_outcome,
                    struct sg_err *err)
{
    struct sg_p11_facts facts;
    struct sg_slice first, second;

    if (session->p11->census == NULL ||
        !sg_p11_census_find(session->p11->census, request->id, &facts, &first, &second))
        return false;
    *ret_outcome = accept(session, &facts, request->type, request->origin, ret, err);
    if (*ret_outcome == SG_OUT_OK)
        *ret_outcome =
            sg_p11_spki(request->type, first, second, ret_spki->bytes, &ret_spki->len, err);
    if (*ret_outcome == SG_OUT_OK)
        *ret_outcome = hash_spki(ret, ret_spki, err);
    return true;
}

static enum sg_outcome load_once(struct sg_p11_session *session, const struct sg_request *request,
                                 struct sg_p11_key *ret, struct spki *ret_spki, struct sg_err *err)
{
    enum sg_outcome outcome = sg_p11_session_ready(session, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    take_census(session);
    if (!look_up(session, request, ret, ret_spki, &outcome, err)) {
        session->p11->searches++;
        outcome =
            find_one(session, request->id, request->type, request->origin, ret, ret_spki, err);
    }
    if (outcome == SG_OUT_OK && !put(session->p11, ret))
        outcome = sg_p11_refuse(err, SG_OUT_CAPACITY, "could not remember the key: out of memory");
    return outcome;
}

enum sg_outcome sg_p11_load_key(struct sg_p11_session *session, const struct sg_request *request,
                                uint8_t *spki, size_t *ret_spki_len, struct sg_err *err)
{
    struct sg_p11_key key = {0};
    struct spki found = {0};

    sg_p11_enter(session);
    enum sg_outcome outcome = load_once(session, request, &key, &found, err);
    if (outcome != SG_OUT_OK && sg_p11_mend(session, outcome, request->id, err))
        outcome = load_once(session, request, &key, &found, err);
    if (outcome != SG_OUT_OK && outcome != SG_OUT_KEY)
        sg_p11_session_close(session);
    sg_p11_leave(session);

    if (outcome == SG_OUT_OK) {
        memcpy(spki, found.bytes, found.len);
        *ret_spki_len = found.len;
    }
    return outcome;
}
