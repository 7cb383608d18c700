#include <stdlib.h>

#include "formats/audit/epoch.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A statement that is taken is written again byte by byte, alone or with something behind it; an
 * approval that is taken is a part of what came, and is written again too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice input = sg_slice_of(data, size);
    struct sg_epoch_statement statement, alone;
    struct sg_approval approval;
    struct sg_buf again;
    size_t len;

    sg_buf_init(&again, size + SG_EPOCH_STATEMENT_BYTES_MAX);
    if (sg_epoch_statement_parse(input, &statement, &len, NULL) == SG_OK) {
        sg_epoch_statement_write(&statement, &again);
        require(len <= size && sg_slice_eq(sg_buf_slice(&again), sg_slice_of(data, len)));
        require((sg_epoch_statement_parse(input, &alone, NULL, NULL) == SG_OK) == (len == size));
    }
    sg_buf_clear(&again);
    if (sg_approval_parse(input, &approval, NULL) == SG_OK) {
        require(approval.certificate.ptr + approval.certificate.len == data + size);
        sg_approval_write(sg_slice_of(approval.signature, approval.signature_len),
                          approval.certificate, &again);
        require(sg_slice_eq(sg_buf_slice(&again), input));
    }
    sg_buf_done(&again);
    return 0;
}
