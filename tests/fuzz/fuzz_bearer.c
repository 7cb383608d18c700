#include <stdlib.h>

#include "gateway/rpc/bearer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: a token is the end of its header, of a length and of characters that tokens have, and
 * read again behind the scheme it is the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char scheme[] = "Bearer ";
    char again[sizeof(scheme) + SG_BEARER_LEN_MAX];
    struct sg_slice token, same;
    struct sg_err err;

    if (sg_bearer_parse(sg_slice_of(data, size), &token, &err) != SG_OK) {
        if (err.rc != SG_E_UNAUTHENTICATED)
            abort();
        return 0;
    }
    if (token.len < SG_BEARER_LEN_MIN || token.len > SG_BEARER_LEN_MAX ||
        token.ptr + token.len != data + size)
        abort();
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] >= 0x7f || token.ptr[i] == ',')
            abort();
    memcpy(again, scheme, sizeof(scheme) - 1);
    memcpy(again + sizeof(scheme) - 1, token.ptr, token.len);
    if (sg_bearer_parse(sg_slice_of(again, sizeof(scheme) - 1 + token.len), &same, NULL) != SG_OK ||
        !sg_slice_eq(token, same))
        abort();
    return 0;
}
