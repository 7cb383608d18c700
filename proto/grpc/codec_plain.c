#include "proto/grpc/call_priv.h"
#include "proto/grpc/connect.h"

/* HTTP and nothing else: the body is the message, and the answer is the handler's. */

static enum sg_rc begin(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err)
{
    (void)ret_timeout_ns; /* the server's longest */
    if (sg_metadata_find(&call->request, SG_SLICE("content-encoding")).len > 0)
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the body must have no content-encoding");
    sg_buf_init(&call->reader.held, call->server->limits.message_bytes_max);
    return SG_OK;
}

static void message(struct sg_call *call, struct sg_slice body, struct sg_buf *out)
{
    (void)call;
    sg_buf_add_slice(out, body);
}

/* What this layer refuses itself is told by the status that Connect has for it. */
static size_t finish(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                     struct sg_h2_field *fields)
{
    (void)fields;
    if (status->code == SG_GRPC_OK)
        return 0;
    sg_buf_clear(out);
    call->http_status = status->code == SG_GRPC_RESOURCE_EXHAUSTED
                            ? SG_SLICE("413")
                            : sg_slice_str(sg_connect_http_status(status->code));
    call->content_type = SG_SLICE("text/plain; charset=utf-8");
    sg_buf_add_slice(out, status->message);
    sg_buf_add_u8(out, '\n');
    return 0;
}

const struct sg_codec sg_codec_plain = {
    .protocol = SG_PROTOCOL_NONE,
    .begin = begin,
    .data = sg_connect_data,
    .message = message,
    .finish = finish,
    .takes = SG_CODEC_UNARY,
    .head_waits = true,
    .has_no_trailers = true,
};
