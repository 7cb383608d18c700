#include <stdlib.h>

#include "gateway/metrics/request_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Properties: what a request asks for does not depend on how its bytes arrive, nor on what comes
 * behind its head; and whoever gets a page has sent a request line that names it.
 */
static void require(bool cond)
{
    if (!cond)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum sg_http_page whole = SG_HTTP_PAGE_COUNT, first = SG_HTTP_PAGE_COUNT;
    enum sg_rc rc = sg_http_request_parse(sg_slice_of(data, size), &whole), first_rc = SG_E_AGAIN;

    for (size_t len = 0; len <= size && first_rc == SG_E_AGAIN; len++) {
        first_rc = sg_http_request_parse(sg_slice_of(data, len), &first);
        require(first_rc == SG_OK || first == SG_HTTP_PAGE_COUNT);
    }
    require(first_rc == rc && first == whole);
    if (rc == SG_OK && whole == SG_HTTP_METRICS)
        require(size > 24 && memcmp(data, "GET /metrics", 12) == 0 &&
                (data[12] == ' ' || data[12] == '?'));
    if (rc == SG_OK && whole == SG_HTTP_HEALTH)
        require(size > 24 && memcmp(data, "GET /healthz", 12) == 0 &&
                (data[12] == ' ' || data[12] == '?'));
    return 0;
}
