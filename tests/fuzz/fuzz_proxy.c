#include <stdlib.h>

#include "proto/proxy/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: a header read whole was not complete one byte before its end, and reading no more than
 * it asked for each time comes to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_proxy whole = {0}, stepped = {0};
    size_t len = 0, need = 0, have = 0;
    enum sg_rc rc = sg_proxy_parse(sg_slice_of(data, size), &whole, &len, NULL), step;

    if (rc == SG_OK) {
        size_t ignored;
        if (len > size || len > SG_PROXY_LEN_MAX || len < SG_PROXY_FIXED_LEN ||
            sg_proxy_parse(sg_slice_of(data, len - 1), &stepped, &ignored, NULL) != SG_E_AGAIN)
            abort();
    }
    while ((step = sg_proxy_parse(sg_slice_of(data, have), &stepped, &need, NULL)) == SG_E_AGAIN) {
        if (need <= have || need > SG_PROXY_LEN_MAX)
            abort();
        if (need > size)
            break;
        have = need;
    }
    if (step != rc && !(step == SG_E_AGAIN && rc != SG_OK))
        abort();
    if (rc == SG_OK && (have != len || memcmp(&whole, &stepped, sizeof(whole)) != 0))
        abort();
    return 0;
}
