#include <stdlib.h>

#include "client/lib/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: an endpoint that is accepted reads the same after it was printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_endpoint endpoint, again;
    char printed[300];

    if (sg_endpoint_parse(sg_slice_of(data, size), &endpoint, NULL) != SG_OK)
        return 0;
    sg_endpoint_print(&endpoint, printed, sizeof(printed));
    if (sg_endpoint_parse(sg_slice_str(printed), &again, NULL) != SG_OK ||
        strcmp(endpoint.host, again.host) != 0 || strcmp(endpoint.port, again.port) != 0)
        abort();
    return 0;
}
