#include <stdlib.h>

#include "formats/audit/record.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What is read as a record is written as the same bytes, and so is a copy of it: there is no second
 * encoding. */

static void write_again(const struct sg_audit_record *record, struct sg_slice wanted)
{
    struct sg_buf again;
    sg_buf_init(&again, wanted.len);
    sg_audit_record_write(record, &again);
    require(!again.failed && sg_slice_eq(sg_buf_slice(&again), wanted));
    sg_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice input = sg_slice_of(data, size);
    struct sg_audit_record record;

    if (sg_audit_record_parse(input, &record, NULL) != SG_OK)
        return 0;
    require(size <= SG_AUDIT_RECORD_BYTES_MAX && record.grant_count <= SG_AUDIT_GRANTS_MAX);
    require(*sg_audit_event_name(record.event) != '\0');
    write_again(&record, input);
    struct sg_audit_record *copy = sg_audit_record_copy(&record);
    require(copy != NULL);
    write_again(copy, input);
    free(copy);
    return 0;
}
