#include <stdlib.h>

#include "gateway/rpc/page_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/*
 * Property: a token that is taken is the one that is made for its place, so there is one text of
 * each; it is not taken for another listing or log; and whatever is not taken is BAD_PAGE_TOKEN.
 * And what is sealed opens, whatever it is.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[SG_SEAL_KEY_BYTES] = {7}, scope[SG_PAGE_SCOPE_BYTES] = {8},
                         other[SG_PAGE_SCOPE_BYTES] = {9};
    static struct sg_seal *seal;
    const struct sg_slice input = sg_slice_of(data, size);
    struct sg_buf again, opened;
    uint64_t next = 0;
    struct sg_err err;

    if (seal == NULL)
        require(sg_seal_new(key, "sealgate page token 1", &seal, NULL) == SG_OK);
    sg_buf_init(&again, 2 * SG_SEAL_BYTES_MAX);
    sg_buf_init(&opened, 2 * SG_SEAL_BYTES_MAX);
    if (sg_page_token_read(seal, scope, 1, input, &next, &err) != SG_OK) {
        require(err.reason == SG_R_BAD_PAGE_TOKEN);
    } else {
        require(sg_page_token_write(seal, scope, 1, next, &again, NULL) == SG_OK);
        require(sg_slice_eq(sg_buf_slice(&again), input));
        require(sg_page_token_read(seal, other, 1, input, &next, NULL) == SG_E_INVALID);
        require(sg_page_token_read(seal, scope, 2, input, &next, NULL) == SG_E_INVALID);
    }
    sg_buf_clear(&again);
    if (size > 0 && size <= SG_SEAL_BYTES_MAX) {
        struct sg_slice context = sg_slice_of(scope, sizeof(scope));
        require(sg_seal_open(seal, context, input, &opened, NULL) != SG_OK);
        require(sg_seal_close(seal, context, input, &again, NULL) == SG_OK);
        require(sg_seal_open(seal, context, sg_buf_slice(&again), &opened, NULL) == SG_OK);
        require(sg_slice_eq(sg_buf_slice(&opened), input));
    }
    sg_buf_done(&again);
    sg_buf_done(&opened);
    return 0;
}
