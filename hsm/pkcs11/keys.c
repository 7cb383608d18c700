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

/*
 * What a signing key must be on the token. The first rows hold for every key; the last three are
 * demanded of one that was generated there, since no other can have them.
 */
static const struct rule {
    CK_ATTRIBUTE_TYPE type;
    const char *name;
    bool want, is_of_origin;
} rules[] = {
    {CKA_SENSITIVE, "CKA_SENSITIVE", true, false},
    {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, false},
    {CKA_SIGN, "CKA_SIGN", true, false},
    {CKA_DECRYPT, "CKA_DECRYPT", false, false},
    {CKA_UNWRAP, "CKA_UNWRAP", false, false},
    {CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", false, false},
    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", true, true},
    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", true, true},
    {CKA_LOCAL, "CKA_LOCAL", true, true},
};

/* An attribute the token does not have is false: enough where false is due, not elsewhere. */
static enum sg_outcome judge(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                             enum sg_key_origin origin, struct sg_err *err)
{
    bool is_from_here = origin == SG_ORIGIN_GENERATED && !session->p11->allow_extractable;
    for (size_t i = 0; i < SG_COUNT(rules); i++) {
        CK_BBOOL value = CK_FALSE;
        size_t len;
        if (rules[i].is_of_origin && !is_from_here)
            continue;
        enum sg_outcome outcome =
            sg_p11_attr(session, handle, rules[i].type, &value, sizeof(value), &len, err);
        if (outcome != SG_OUT_OK)
            return outcome;
        if ((value != CK_FALSE) != rules[i].want)
            return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: its %s is %s",
                                 rules[i].name, value ? "true" : "false");
    }
    return SG_OUT_OK;
}

static enum sg_outcome check_type(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                  enum sg_key_type type, struct sg_err *err)
{
    static const CK_KEY_TYPE want[SG_KEY_TYPE_COUNT] = {
        [SG_KEY_RSA_2048] = CKK_RSA, [SG_KEY_RSA_3072] = CKK_RSA, [SG_KEY_RSA_4096] = CKK_RSA,
        [SG_KEY_EC_P256] = CKK_EC,   [SG_KEY_EC_P384] = CKK_EC,   [SG_KEY_ED25519] = CKK_EC_EDWARDS,
    };
    CK_KEY_TYPE have = CK_UNAVAILABLE_INFORMATION;
    size_t len;
    enum sg_outcome outcome =
        sg_p11_attr(session, handle, CKA_KEY_TYPE, &have, sizeof(have), &len, err);
    if (outcome == SG_OUT_OK && have != want[type])
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: it is not of type %s",
                             sg_key_type_name(type));
    return outcome;
}

static enum sg_outcome find_one(struct sg_p11_session *session, struct sg_slice id,
                                enum sg_key_type type, enum sg_key_origin origin,
                                struct sg_p11_key *ret, struct sg_err *err)
{
    CK_OBJECT_HANDLE handles[2];
    CK_ULONG count = 0;

    uint64_t generation = session->generation;
    enum sg_outcome outcome = sg_p11_find(session, CKO_PRIVATE_KEY, id, handles, 2, &count, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (count != 1)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: %s on the token has its id",
                             count == 0 ? "no private key" : "more than one private key");
    outcome = check_type(session, handles[0], type, err);
    if (outcome == SG_OUT_OK)
        outcome = judge(session, handles[0], origin, err);
    if (outcome != SG_OUT_OK)
        return outcome;

    *ret = (struct sg_p11_key){.type = type,
                               .origin = origin,
                               .handle = handles[0],
                               .generation = generation,
                               .id_len = id.len};
    memcpy(ret->id, id.ptr, id.len);
    return sg_p11_export_spki(session, id, handles[0], type, ret->spki, &ret->spki_len, err);
}

enum sg_outcome sg_p11_keys_ready(struct sg_p11_session *session, struct sg_slice id,
                                  struct sg_p11_key *ret, struct sg_err *err)
{
    struct sg_p11_key found = {0};

    if (!sg_p11_keys_get(session->p11, id, ret))
        return sg_p11_refuse(err, SG_OUT_NOT_LOADED, "could not sign: the key was not loaded");
    if (ret->generation == session->generation)
        return SG_OUT_OK;

    enum sg_outcome outcome = find_one(session, id, ret->type, ret->origin, &found, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    /* Under the same id there may now be another key; the gateway knows the one it was told. */
    if (!sg_slice_eq(sg_slice_of(found.spki, found.spki_len),
                     sg_slice_of(ret->spki, ret->spki_len)))
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: another one now has its id");
    if (!put(session->p11, &found))
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not remember the key: out of memory");
    *ret = found;
    return SG_OUT_OK;
}

static enum sg_outcome load_once(struct sg_p11_session *session, const struct sg_request *request,
                                 struct sg_p11_key *ret, struct sg_err *err)
{
    enum sg_outcome outcome = sg_p11_session_ready(session, err);
    if (outcome == SG_OUT_OK)
        outcome = find_one(session, request->id, request->type, request->origin, ret, err);
    if (outcome == SG_OUT_OK && !put(session->p11, ret))
        outcome = sg_p11_refuse(err, SG_OUT_CAPACITY, "could not remember the key: out of memory");
    return outcome;
}

enum sg_outcome sg_p11_load_key(struct sg_p11_session *session, const struct sg_request *request,
                                uint8_t *spki, size_t *ret_spki_len, struct sg_err *err)
{
    struct sg_p11_key key = {0};

    sg_p11_enter(session);
    enum sg_outcome outcome = load_once(session, request, &key, err);
    if (outcome != SG_OUT_OK && sg_p11_mend(session, outcome, request->id, err))
        outcome = load_once(session, request, &key, err);
    if (outcome != SG_OUT_OK && outcome != SG_OUT_KEY)
        sg_p11_session_close(session);
    sg_p11_leave(session);

    if (outcome == SG_OUT_OK) {
        memcpy(spki, key.spki, key.spki_len);
        *ret_spki_len = key.spki_len;
    }
    return outcome;
}
