#include <stdlib.h>

#include "hsm/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: what decodes is encoded again to the same bytes; both directions read one input, and
 * never both accept it. */
static void must_be(struct sg_buf *out, struct sg_slice in)
{
    if (out->failed || !sg_slice_eq(sg_buf_slice(out), in))
        abort();
    sg_buf_done(out);
}

/* Property: the messages of a packet lie in it, one behind the other, up to what is none. */
static void cut(struct sg_slice packet)
{
    const uint8_t *at = packet.ptr;
    const uint8_t *end = packet.ptr + packet.len;

    for (;;) {
        struct sg_slice message = sg_job_cut(packet, &packet);
        if (message.ptr != at || packet.ptr != at + message.len || packet.ptr + packet.len != end)
            abort();
        if (message.len == 0)
            return;
        if (message.len < SG_JOB_HEADER_LEN)
            abort();
        at += message.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_slice in = sg_slice_of(data, size);
    struct sg_request request;
    struct sg_answer answer;
    struct sg_buf out;

    cut(in);
    sg_buf_init(&out, SG_JOB_MESSAGE_MAX);
    bool is_request = sg_request_decode(in, &request, NULL) == SG_OK;
    if (is_request) {
        sg_request_encode(&request, &out);
        must_be(&out, in);
    }
    if (sg_answer_decode(in, &answer, NULL) == SG_OK) {
        if (is_request)
            abort();
        sg_answer_encode(&answer, &out);
        must_be(&out, in);
    }
    return 0;
}
