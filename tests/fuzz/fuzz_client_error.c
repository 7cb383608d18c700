#include <stdlib.h>

#include "base/utf8.h"
#include "client/lib/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
    if (strnlen(text, room) == room || !sg_utf8_is_valid(sg_slice_str(text)))
        abort();
}

/*
 * Property: whatever the details are, the error keeps its code and its message, and every text in
 * it ends within its room and, where the status says UTF-8, is UTF-8.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_status status = {
        .code = SG_GRPC_NOT_FOUND, .message = SG_SLICE("k\u00fd s\u1ed1"), .details = {data, size}};
    struct sealgate_error error;

    if (sg_client_fail_status(&error, &status, SEALGATE_OUTCOME_ANSWERED) != SEALGATE_NOT_FOUND ||
        error.code != SEALGATE_NOT_FOUND || strcmp(error.message, "k\u00fd s\u1ed1") != 0)
        abort();
    check_text(error.reason, sizeof(error.reason));
    check_text(error.next, sizeof(error.next));
    check_text(error.field, sizeof(error.field));
    check_text(error.request_id, sizeof(error.request_id));
    return 0;
}
