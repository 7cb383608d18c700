#include "gateway/net/sources.h"

#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>

enum { KEY_LEN = 9 }; /* the family, and half an IPv6 address */

struct sg_source {
    uint8_t key[KEY_LEN];
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct sg_source *)a)->key, ((const struct sg_source *)b)->key, KEY_LEN);
}

static void set_key(struct sg_source *source, const struct sockaddr_storage *address)
{
    memset(source->key, 0, KEY_LEN);
    source->key[0] = (uint8_t)address->ss_family;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        memcpy(source->key + 1, &in->sin_addr, sizeof(in->sin_addr));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            source->key[0] = AF_INET;
            memcpy(source->key + 1, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(source->key + 1, in6->sin6_addr.s6_addr, 8);
        }
    }
}

enum sg_rc sg_sources_enter(struct sg_sources *sources, const struct sockaddr_storage *address,
                            size_t max, struct sg_source **ret, struct sg_err *err)
{
    struct sg_source wanted = {.count = 0};
    set_key(&wanted, address);
    void *const *node = tfind(&wanted, &sources->tree, compare);
    struct sg_source *source = node == NULL ? NULL : *node;

    if (source == NULL) {
        source = malloc(sizeof(*source));
        if (source == NULL)
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not count a connection: out of memory");
        *source = wanted;
        if (tsearch(source, &sources->tree, compare) == NULL) {
            free(source);
            return SG_FAIL(err, SG_E_INTERNAL, 0, "could not count a connection: out of memory");
        }
    }
    if (source->count >= max)
        return SG_FAIL(err, SG_E_LIMIT, 0, "its address has %zu connections", source->count);
    source->count++;
    *ret = source;
    return SG_OK;
}

void sg_sources_leave(struct sg_sources *sources, struct sg_source *source)
{
    if (source == NULL || --source->count > 0)
        return;
    tdelete(source, &sources->tree, compare);
    free(source);
}
