#include <stdlib.h>
#include <string.h>

#include "base/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: a message says what its two halves say, wherever it is cut between two lines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sg_notice whole = sg_notice_read(sg_slice_of(data, size));

    for (size_t i = 0; i < size && i < SG_NOTIFY_BYTES_MAX; i++) {
        if (data[i] != '\n')
            continue;
        const struct sg_notice first = sg_notice_read(sg_slice_of(data, i));
        const struct sg_notice second = sg_notice_read(sg_slice_of(data + i + 1, size - i - 1));
        if (whole.is_ready != (first.is_ready || second.is_ready) ||
            whole.is_watchdog != (first.is_watchdog || second.is_watchdog))
            abort();
        const struct sg_slice status = second.status.ptr != NULL ? second.status : first.status;
        if (whole.status.ptr != status.ptr || whole.status.len != status.len)
            abort();
    }
    return 0;
}
