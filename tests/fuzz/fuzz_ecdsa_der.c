#include <stdlib.h>

#include "base/algorithm.h"

/* Property: what is accepted is written again as the very same bytes (so there is one form of a
 * signature only), and raw bytes survive the way to DER and back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t part_lens[] = {1, 2, 32, 48, 66};

static void try_der(struct sg_slice der, size_t part_len)
{
    uint8_t raw[2 * 66], again[SG_ECDSA_DER_MAX];
    size_t again_len;
    if (sg_ecdsa_from_der(der, part_len, raw, NULL) != SG_OK)
        return;
    if (sg_ecdsa_to_der(sg_slice_of(raw, 2 * part_len), again, &again_len, NULL) != SG_OK ||
        !sg_slice_eq(sg_slice_of(again, again_len), der))
        abort();
}

static void try_raw(struct sg_slice raw)
{
    uint8_t der[SG_ECDSA_DER_MAX], back[2 * 66];
    size_t der_len;
    if (sg_ecdsa_to_der(raw, der, &der_len, NULL) != SG_OK)
        return;
    if (der_len > sizeof(der) ||
        sg_ecdsa_from_der(sg_slice_of(der, der_len), raw.len / 2, back, NULL) != SG_OK ||
        !sg_slice_eq(sg_slice_of(back, raw.len), raw))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < SG_COUNT(part_lens); i++)
        try_der(sg_slice_of(data, size), part_lens[i]);
    try_raw(sg_slice_of(data, size));
    return 0;
}
