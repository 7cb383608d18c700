#include <stdlib.h>

#include "formats/raw/pem.h"
#include "formats/raw/spki_file.h"

/*
 * Property: a key that is found is a DER SEQUENCE, and written as PEM and read again it is the
 * same.
 */
static void check(struct sg_slice spki)
{
    struct sg_buf pem, again;

    if (spki.len == 0)
        abort();
    sg_buf_init(&pem, spki.len * 2 + 256);
    sg_buf_init(&again, spki.len);
    sg_pem_encode("PUBLIC KEY", spki, &pem);
    if (sg_spki_of_public_key(sg_buf_slice(&pem), &again, NULL) != SG_OK ||
        !sg_slice_eq(sg_buf_slice(&again), spki))
        abort();
    sg_buf_done(&pem);
    sg_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice file = {data, size};
    struct sg_buf spki;

    sg_buf_init(&spki, size + 16);
    if (sg_spki_of_public_key(file, &spki, NULL) == SG_OK && spki.len > 0)
        check(sg_buf_slice(&spki));
    sg_buf_clear(&spki);
    if (sg_spki_of_certificate(file, &spki, NULL) == SG_OK)
        check(sg_buf_slice(&spki));
    sg_buf_done(&spki);
    return 0;
}
