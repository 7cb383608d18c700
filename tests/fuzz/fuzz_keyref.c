#include <stdlib.h>

#include "hsm/keyref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: the canonical spelling of what was parsed parses to the same, and is its own
 * canonical spelling. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_keyref ref, again;
    struct sg_buf out, twice;

    if (sg_keyref_parse(sg_slice_of(data, size), &ref, NULL) != SG_OK)
        return 0;
    sg_buf_init(&out, 4096);
    sg_buf_init(&twice, 4096);
    sg_keyref_format(&ref, &out);
    if (out.failed || sg_keyref_parse(sg_buf_slice(&out), &again, NULL) != SG_OK ||
        memcmp(&ref, &again, sizeof(ref)) != 0)
        abort();
    sg_keyref_format(&again, &twice);
    if (!sg_slice_eq(sg_buf_slice(&out), sg_buf_slice(&twice)))
        abort();
    sg_buf_done(&out);
    sg_buf_done(&twice);
    return 0;
}
