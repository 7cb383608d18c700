#include <stdlib.h>

#include "client/lib/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: a list of endpoints that is accepted reads the same after it was printed, with commas
 * between. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_targets targets, again;
    static char printed[SG_TARGETS_MAX * 301];
    size_t len = 0;

    if (sg_targets_parse(sg_slice_of(data, size), NULL, &targets, NULL) != SG_OK)
        return 0;
    if (targets.count == 0 || targets.count > SG_TARGETS_MAX)
        abort();
    for (size_t i = 0; i < targets.count; i++)
        len += (size_t)snprintf(printed + len, sizeof(printed) - len, "%s%s", i == 0 ? "" : ",",
                                targets.at[i].authority);
    if (sg_targets_parse(sg_slice_of(printed, len), NULL, &again, NULL) != SG_OK ||
        again.count != targets.count)
        abort();
    for (size_t i = 0; i < targets.count; i++)
        if (strcmp(targets.at[i].authority, again.at[i].authority) != 0)
            abort();
    return 0;
}
