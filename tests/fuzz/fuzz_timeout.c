#include <stdlib.h>

#include "proto/grpc/timeout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: what is accepted is not negative, and written again it is never shorter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ns, again;
    char text[SG_TIMEOUT_TEXT_MAX];

    if (sg_timeout_parse(sg_slice_of(data, size), &ns, NULL) != SG_OK)
        return 0;
    if (ns < 0 || size < 2 || size > 9)
        abort();
    size_t len = sg_timeout_format(ns, text);
    if (len != strlen(text) || sg_timeout_parse(sg_slice_of(text, len), &again, NULL) != SG_OK)
        abort();
    if (again < ns)
        abort();
    return 0;
}
