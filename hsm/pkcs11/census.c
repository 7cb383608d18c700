#include <stdlib.h>

#include "base/clock.h"
#include "hsm/pkcs11/p11_priv.h"

/*
 * Two lists of objects, private and public keys, each with what was read of it in one buffer
 * behind, and sorted by CKA_ID when it is whole. Of a private key all that it is judged by is
 * read, and of an RSA key its public half too; public keys are read only of the other types,
 * whose public half is nowhere else.
 */
enum { HANDLES = 512, OBJECTS_MAX = 1 << 21, FRESH_S = 30, POINT_MAX = 160, PARAMS_MAX = 32 };

#define ANY_TYPE CK_UNAVAILABLE_INFORMATION

struct object {
    CK_OBJECT_HANDLE handle;
    CK_KEY_TYPE key_type;
    size_t at; /* in the bytes: the id, and the two parts of the public key behind it */
    unsigned is_true;
    uint16_t id_len, first_len, second_len;
};

struct list {
    struct object *objects;
    size_t count, room;
    struct sg_buf bytes;
};

struct sg_p11_census {
    uint64_t generation;
    int64_t begun_ns;
    struct list private, public;
};

static struct sg_slice id_of(const struct list *list, const struct object *object)
{
    return sg_slice_of(object->id_len == 0 ? NULL : list->bytes.ptr + object->at, object->id_len);
}

static int compare(struct sg_slice a, struct sg_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_objects(const void *a, const void *b, void *list)
{
    return compare(id_of(list, a), id_of(list, b));
}

static enum sg_outcome no_memory(struct sg_err *err)
{
    return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not read all keys: out of memory");
}

static enum sg_outcome add(struct list *list, const struct object *object, struct sg_slice id,
                           struct sg_slice first, struct sg_slice second, struct sg_err *err)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? HANDLES : 2 * list->room;
        struct object *objects = realloc(list->objects, room * sizeof(*objects));
        if (objects == NULL)
            return no_memory(err);
        list->objects = objects;
        list->room = room;
    }
    struct object *added = &list->objects[list->count++];
    *added = *object;
    added->at = list->bytes.len;
    added->id_len = (uint16_t)id.len;
    added->first_len = (uint16_t)first.len;
    added->second_len = (uint16_t)second.len;
    sg_buf_add_slice(&list->bytes, id);
    sg_buf_add_slice(&list->bytes, first);
    sg_buf_add_slice(&list->bytes, second);
    return list->bytes.failed ? no_memory(err) : SG_OUT_OK;
}

static enum sg_outcome read_private(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                    struct list *list, struct sg_err *err)
{
    struct sg_p11_facts facts;
    enum sg_outcome outcome = sg_p11_facts_read(session, handle, &facts, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    struct object object = {.handle = handle, .key_type = facts.key_type, .is_true = facts.is_true};
    return add(list, &object, sg_slice_of(facts.id, facts.id_len),
               sg_slice_of(facts.n, facts.n_len), sg_slice_of(facts.e, facts.e_len), err);
}

static enum sg_outcome read_public(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                   struct list *list, struct sg_err *err)
{
    uint8_t id[SG_JOB_ID_MAX], params[PARAMS_MAX], point[POINT_MAX];
    CK_ATTRIBUTE rows[] = {{CKA_ID, id, sizeof(id)},
                           {CKA_EC_PARAMS, params, sizeof(params)},
                           {CKA_EC_POINT, point, sizeof(point)}};
    enum sg_outcome outcome = sg_p11_attrs(session, handle, rows, SG_COUNT(rows), err);
    if (outcome != SG_OUT_OK)
        return outcome;
    struct object object = {.handle = handle};
    return add(list, &object, sg_p11_attr_bytes(&rows[0]), sg_p11_attr_bytes(&rows[1]),
               sg_p11_attr_bytes(&rows[2]), err);
}

/* All handles first: a search that is open does not go well with other calls everywhere. */
static enum sg_outcome list_handles(struct sg_p11_session *session, CK_OBJECT_CLASS cls,
                                    CK_KEY_TYPE type, CK_OBJECT_HANDLE **ret, size_t *ret_count,
                                    struct sg_err *err)
{
    CK_FUNCTION_LIST *fn = session->p11->fn;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &cls, sizeof(cls)}, {CKA_KEY_TYPE, &type, sizeof(type)}};
    CK_ULONG got = 1;

    *ret = NULL;
    *ret_count = 0;
    CK_RV rv = fn->C_FindObjectsInit(session->handle, template, type == ANY_TYPE ? 1 : 2);
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "list the keys");
    while (rv == CKR_OK && got > 0 && *ret_count < OBJECTS_MAX) {
        CK_OBJECT_HANDLE *more = realloc(*ret, (*ret_count + HANDLES) * sizeof(**ret));
        if (more == NULL) {
            fn->C_FindObjectsFinal(session->handle);
            return no_memory(err);
        }
        *ret = more;
        rv = fn->C_FindObjects(session->handle, *ret + *ret_count, HANDLES, &got);
        if (rv == CKR_OK)
            *ret_count += got < HANDLES ? got : HANDLES;
    }
    fn->C_FindObjectsFinal(session->handle);
    return rv == CKR_OK ? SG_OUT_OK : sg_p11_fail(err, rv, "list the keys");
}

typedef enum sg_outcome (*read_fn)(struct sg_p11_session *session, CK_OBJECT_HANDLE handle,
                                   struct list *list, struct sg_err *err);

static enum sg_outcome fill(struct sg_p11_session *session, CK_OBJECT_CLASS cls, CK_KEY_TYPE type,
                            read_fn read, struct list *list, struct sg_err *err)
{
    CK_OBJECT_HANDLE *handles;
    size_t count;

    enum sg_outcome outcome = list_handles(session, cls, type, &handles, &count, err);
    for (size_t i = 0; outcome == SG_OUT_OK && i < count; i++) {
        sg_p11_touch(session); /* what may not hang is one call, and not all of them together */
        outcome = read(session, handles[i], list, err);
        if (outcome == SG_OUT_HANDLE)
            outcome = SG_OUT_OK; /* destroyed meanwhile */
    }
    free(handles);
    return outcome;
}

static void sort(struct list *list)
{
    if (list->count > 0)
        qsort_r(list->objects, list->count, sizeof(struct object), compare_objects, list);
}

static bool has_type(const struct list *list, CK_KEY_TYPE type)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->objects[i].key_type == type)
            return true;
    return false;
}

static enum sg_outcome fill_both(struct sg_p11_session *session, struct sg_p11_census *census,
                                 struct sg_err *err)
{
    static const CK_KEY_TYPE types[] = {CKK_EC, CKK_EC_EDWARDS};

    enum sg_outcome outcome =
        fill(session, CKO_PRIVATE_KEY, ANY_TYPE, read_private, &census->private, err);
    for (size_t i = 0; outcome == SG_OUT_OK && i < SG_COUNT(types); i++)
        if (has_type(&census->private, types[i]))
            outcome = fill(session, CKO_PUBLIC_KEY, types[i], read_public, &census->public, err);
    sort(&census->private);
    sort(&census->public);
    return outcome;
}

enum sg_outcome sg_p11_census_make(struct sg_p11_session *session, struct sg_p11_census **ret,
                                   struct sg_err *err)
{
    SG_AUTO(sg_p11_census_free) struct sg_p11_census *census = calloc(1, sizeof(*census));
    if (census == NULL)
        return no_memory(err);
    const size_t bytes_max =
        (size_t)OBJECTS_MAX * (SG_JOB_ID_MAX + sizeof(((struct sg_p11_facts *)0)->n));
    sg_buf_init(&census->private.bytes, bytes_max);
    sg_buf_init(&census->public.bytes, bytes_max);
    census->generation = session->generation;
    census->begun_ns = sg_mono_ns(&sg_clock_system);
    enum sg_outcome outcome = fill_both(session, census, err);
    if (outcome == SG_OUT_OK)
        *ret = SG_STEAL(census);
    return outcome;
}

void sg_p11_census_free(struct sg_p11_census *census)
{
    if (census == NULL)
        return;
    free(census->private.objects);
    free(census->public.objects);
    sg_buf_done(&census->private.bytes);
    sg_buf_done(&census->public.bytes);
    free(census);
}

bool sg_p11_census_is_fresh(const struct sg_p11_census *census,
                            const struct sg_p11_session *session)
{
    return census->generation == session->generation &&
           sg_mono_ns(&sg_clock_system) - census->begun_ns < FRESH_S * SG_NS_PER_S;
}

/* The one object with this id; NULL when there is none or another with the same. */
static const struct object *find_in(const struct list *list, struct sg_slice id)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(id_of(list, &list->objects[middle]), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == list->count || compare(id_of(list, &list->objects[low]), id) != 0)
        return NULL;
    bool is_only = low + 1 == list->count || compare(id_of(list, &list->objects[low + 1]), id) != 0;
    return is_only ? &list->objects[low] : NULL;
}

static void parts_of(const struct list *list, const struct object *object,
                     struct sg_slice *ret_first, struct sg_slice *ret_second)
{
    const uint8_t *at = list->bytes.ptr + object->at + object->id_len;
    *ret_first = sg_slice_of(at, object->first_len);
    *ret_second = sg_slice_of(at + object->first_len, object->second_len);
}

bool sg_p11_census_find(const struct sg_p11_census *census, struct sg_slice id,
                        struct sg_p11_facts *ret, struct sg_slice *ret_first,
                        struct sg_slice *ret_second)
{
    const struct object *key = find_in(&census->private, id);
    if (key == NULL)
        return false;
    ret->handle = key->handle;
    ret->key_type = key->key_type;
    ret->is_true = key->is_true;
    ret->id_len = id.len;
    memcpy(ret->id, id.ptr, id.len);
    ret->n_len = ret->e_len = 0;
    if (key->key_type == CKK_RSA && key->first_len > 0 && key->second_len > 0) {
        parts_of(&census->private, key, ret_first, ret_second);
        return true;
    }
    const struct object *other = find_in(&census->public, id);
    if (other == NULL || other->first_len == 0 || other->second_len == 0)
        return false;
    parts_of(&census->public, other, ret_first, ret_second);
    return true;
}
