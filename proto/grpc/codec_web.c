#include "base/base64.h"
#include "proto/grpc/call_priv.h"

/*
 * gRPC-Web (PROTOCOL-WEB.md), for browsers, which let no page read trailers: they are the last
 * frame of the body. They are sent there always, also for an error without messages, since fields
 * of the head are hidden from a page of another origin unless each is exposed by name.
 *
 * "-bin" trailers are base64 in the text form too. PROTOCOL-WEB.md would leave that out, but
 * neither Google's client nor Connect's does: they hand the value on as it comes.
 */

enum { TRAILERS = 0x80 };

static void put_text(struct sg_slice bytes, struct sg_buf *out)
{
    sg_base64_encode(bytes, SG_BASE64_STD, SG_BASE64_PADDED, out);
}

static void message_text(struct sg_call *call, struct sg_slice message, struct sg_buf *out)
{
    uint8_t prefix[SG_FRAME_PREFIX_LEN];
    (void)call;
    sg_frame_prefix(prefix, (uint32_t)message.len);
    put_text(sg_slice_of(prefix, sizeof(prefix)), out);
    put_text(message, out);
}

static enum sg_rc unwrap_text(struct sg_call *call, struct sg_slice bytes, bool is_end,
                              struct sg_buf *out, struct sg_err *err)
{
    SG_TRY(sg_web_text_decode(&call->web_text, bytes, out, err));
    if (is_end && !sg_web_text_is_between(&call->web_text))
        return SG_REFUSE(err, SG_R_MALFORMED_REQUEST, "the body ends inside its base64");
    return SG_OK;
}

static void put_line(struct sg_slice name, struct sg_slice value, struct sg_buf *out)
{
    sg_buf_add_slice(out, name);
    sg_buf_add_str(out, ": ");
    sg_buf_add_slice(out, value);
    sg_buf_add_str(out, "\r\n");
}

/* The frame of the trailers, in place of the call's status fields. */
static void put_trailers(struct sg_call *call, const struct sg_status *status, struct sg_buf *out)
{
    struct sg_h2_field fields[SG_CODEC_FIELDS_MAX];
    size_t count = sg_grpc_status_fields(call, status, fields), from = out->len;

    sg_buf_add_u8(out, TRAILERS);
    sg_buf_add_be32(out, 0);
    for (size_t i = 0; i < count; i++)
        put_line(fields[i].name, fields[i].value, out);
    for (const struct sg_metadata_entry *e = call->tail.first; e != NULL; e = e->next)
        put_line(e->name, e->value, out);
    if (!out->failed)
        sg_put_be32(out->ptr + from + 1, (uint32_t)(out->len - from - SG_FRAME_PREFIX_LEN));
}

static size_t finish(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                     struct sg_h2_field *fields)
{
    (void)fields;
    put_trailers(call, status, out);
    return 0;
}

static size_t finish_text(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                          struct sg_h2_field *fields)
{
    struct sg_buf frame;
    (void)fields;
    sg_buf_init(&frame, out->max);
    put_trailers(call, status, &frame);
    put_text(sg_buf_slice(&frame), out);
    out->failed |= frame.failed;
    sg_buf_done(&frame);
    return 0;
}

const struct sg_codec sg_codec_web = {
    .protocol = SG_PROTOCOL_GRPC_WEB,
    .begin = sg_grpc_begin,
    .data = sg_grpc_data,
    .message = sg_grpc_message,
    .finish = finish,
    .accept_field = {(const uint8_t *)"grpc-accept-encoding", 20},
    .has_no_trailers = true,
};

const struct sg_codec sg_codec_web_text = {
    .protocol = SG_PROTOCOL_GRPC_WEB,
    .begin = sg_grpc_begin,
    .unwrap = unwrap_text,
    .data = sg_grpc_data,
    .message = message_text,
    .finish = finish_text,
    .accept_field = {(const uint8_t *)"grpc-accept-encoding", 20},
    .has_no_trailers = true,
};
