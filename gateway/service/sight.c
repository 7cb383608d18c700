#include "gateway/service/sight.h"

#include <stdlib.h>

struct sg_sight {
    size_t row_count;
    uint32_t *keys; /* of all rows, one behind the other */
    struct sg_sight_row rows[];
};

/* Who may use all keys names them in their order: then each is the one behind the last, and need
 * not be looked for. */
static const struct sg_key *find(struct sg_keys *keys, struct sg_slice name, size_t next)
{
    if (next < sg_keys_count(keys) && sg_slice_is(name, sg_keys_at(keys, next)->name))
        return sg_keys_at(keys, next);
    return sg_keys_find(keys, name);
}

/* Names stand in the order of the keys, so what is the same key follows itself. */
static void fill(struct sg_sight_row *row, const struct sg_slice *names, size_t count,
                 struct sg_keys *keys, uint32_t *out)
{
    row->keys = out;
    for (size_t i = 0; i < count; i++) {
        const size_t next = row->key_count == 0 ? 0 : (size_t)out[row->key_count - 1] + 1;
        const struct sg_key *key = find(keys, names[i], next);
        if (key == NULL || (row->key_count > 0 && out[row->key_count - 1] == key->index))
            continue;
        out[row->key_count++] = (uint32_t)key->index;
        row->tokens |= key->on;
    }
}

enum sg_rc sg_sight_new(const struct sg_authz *authz, struct sg_keys *keys, struct sg_sight **ret,
                        struct sg_err *err)
{
    const size_t row_count = sg_authz_row_count(authz);
    size_t name_count = 0, count;

    SG_ASSERT(sg_keys_count(keys) <= UINT32_MAX);
    for (size_t i = 0; i < row_count; i++) {
        (void)sg_authz_row_keys(authz, i, &count);
        name_count += count;
    }
    SG_AUTO(sg_sight_free)
    struct sg_sight *sight = calloc(1, sizeof(*sight) + row_count * sizeof(sight->rows[0]));
    if (sight != NULL)
        sight->keys = calloc(name_count + 1, sizeof(*sight->keys));
    if (sight == NULL || sight->keys == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not index the keys of callers: no memory");
    sight->row_count = row_count;
    uint32_t *out = sight->keys;
    for (size_t i = 0; i < row_count; i++) {
        const struct sg_slice *names = sg_authz_row_keys(authz, i, &count);
        fill(&sight->rows[i], names, count, keys, out);
        out += sight->rows[i].key_count;
    }
    *ret = SG_STEAL(sight);
    return SG_OK;
}

void sg_sight_free(struct sg_sight *sight)
{
    if (sight == NULL)
        return;
    free(sight->keys);
    free(sight);
}

const struct sg_sight_row *sg_sight_of(const struct sg_sight *sight, size_t row)
{
    SG_ASSERT(row < sight->row_count);
    return &sight->rows[row];
}

size_t sg_sight_from(const struct sg_sight_row *row, size_t key)
{
    size_t low = 0, high = row->key_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (row->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
