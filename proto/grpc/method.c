#include "proto/grpc/method.h"

#include <stdlib.h>

static int compare(const void *key, const void *element)
{
    const struct sg_slice *path = key;
    const struct sg_method *method = element;
    /* A path from the wire may hold a NUL, so it is compared by length. */
    size_t len = strlen(method->path);
    int order = memcmp(path->ptr, method->path, path->len < len ? path->len : len);
    if (order != 0)
        return order;
    return (path->len > len) - (path->len < len);
}

const struct sg_method *sg_method_find(const struct sg_method_table *table, struct sg_slice path)
{
    if (path.len == 0 || table->count == 0)
        return NULL;
    return bsearch(&path, table->methods, table->count, sizeof(*table->methods), compare);
}
