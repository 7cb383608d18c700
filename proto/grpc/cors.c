#include "proto/grpc/cors.h"

bool sg_cors_allows(const struct sg_cors *cors, struct sg_slice origin)
{
    struct sg_slice list = sg_slice_str(cors->origins);
    while (list.len > 0) {
        const uint8_t *space = memchr(list.ptr, ' ', list.len);
        size_t len = space == NULL ? list.len : (size_t)(space - list.ptr);
        struct sg_slice one = sg_slice_take(&list, len);
        if (space != NULL)
            (void)sg_slice_take(&list, 1);
        if (one.len > 0 && sg_slice_eq(one, origin))
            return true;
    }
    return false;
}
