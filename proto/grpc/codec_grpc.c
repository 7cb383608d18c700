#include "base/base64.h"
#include "proto/grpc/call_priv.h"
#include "proto/grpc/percent.h"
#include "proto/grpc/timeout.h"

/* gRPC over HTTP/2 (PROTOCOL-HTTP2.md). */

#define LIT(literal)                                                                               \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

enum sg_rc sg_grpc_begin(struct sg_call *call, int64_t *ret_timeout_ns, struct sg_err *err)
{
    for (const struct sg_metadata_entry *e = call->request.first; e != NULL; e = e->next) {
        if (e->name.len == 12 && memcmp(e->name.ptr, "grpc-timeout", 12) == 0) {
            SG_TRY(sg_timeout_parse(e->value, ret_timeout_ns, err));
        } else if (e->name.len == 13 && memcmp(e->name.ptr, "grpc-encoding", 13) == 0) {
            SG_TRY(sg_call_set_coding(call, e->value, err));
        }
    }
    sg_frame_reader_init(&call->reader, call->server->limits.message_bytes_max);
    return SG_OK;
}

static enum sg_rc fail_count(const struct sg_call *call, struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_MESSAGE_COUNT, "%s takes exactly one message", call->method->name);
}

/* Keeps the one message of a call until half-close: a second one would make both void. */
static enum sg_rc keep_only(struct sg_call *call, const struct sg_frame *frame, struct sg_err *err)
{
    call->only = *frame;
    if (call->reader.is_handed_out)
        return SG_OK; /* the reader holds it for us */
    sg_buf_add_slice(&call->reader.held, frame->body);
    call->only.body = sg_buf_slice(&call->reader.held);
    return sg_buf_check(&call->reader.held, err);
}

static enum sg_rc read_only(struct sg_call *call, struct sg_slice bytes, bool is_end,
                            struct sg_err *err)
{
    struct sg_frame frame;
    if (call->has_message && bytes.len > 0)
        return fail_count(call, err);
    if (!call->has_message) {
        enum sg_rc rc = sg_frame_reader_next(&call->reader, &bytes, &frame, err);
        if (rc != SG_OK && rc != SG_E_AGAIN)
            return rc;
        call->has_message = rc == SG_OK;
        if (bytes.len > 0)
            return fail_count(call, err);
        if (call->has_message && is_end)
            call->only = frame;
        else if (call->has_message)
            SG_TRY(keep_only(call, &frame, err));
    }
    if (!is_end)
        return SG_OK;
    if (!call->has_message && !sg_frame_reader_is_between(&call->reader))
        return SG_REFUSE(err, SG_R_MALFORMED_MESSAGE, "request ended inside a message");
    if (!call->has_message)
        return fail_count(call, err);
    sg_call_deliver(call, &call->only);
    if (!call->is_finished)
        sg_call_half_close(call);
    return SG_OK;
}

static enum sg_rc read_stream(struct sg_call *call, struct sg_slice bytes, bool is_end,
                              struct sg_err *err)
{
    struct sg_frame frame;
    enum sg_rc rc;
    while (!call->is_finished && !call->is_paused &&
           (rc = sg_frame_reader_next(&call->reader, &bytes, &frame, err)) != SG_E_AGAIN) {
        SG_TRY(rc);
        call->has_message = true;
        sg_call_deliver(call, &frame);
    }
    if (call->is_paused && !call->is_finished)
        return sg_call_park(call, bytes, is_end, err);
    if (!is_end || call->is_finished)
        return SG_OK;
    if (!sg_frame_reader_is_between(&call->reader))
        return SG_REFUSE(err, SG_R_MALFORMED_MESSAGE, "request ended inside a message");
    sg_call_half_close(call);
    return SG_OK;
}

size_t sg_grpc_data(struct sg_call *call, struct sg_slice bytes, bool is_end)
{
    struct sg_err err;
    enum sg_rc rc = call->method->client_streaming ? read_stream(call, bytes, is_end, &err)
                                                   : read_only(call, bytes, is_end, &err);
    if (rc != SG_OK && !call->is_finished)
        sg_call_refuse(call, &err);
    if (call->is_finished || call->is_half_closed) {
        sg_frame_reader_done(&call->reader);
        return 0;
    }
    return call->reader.held.len;
}

void sg_grpc_message(struct sg_call *call, struct sg_slice body, struct sg_buf *out)
{
    (void)call;
    uint8_t *to = sg_buf_room(out, SG_FRAME_PREFIX_LEN + body.len);
    if (to == NULL)
        return;
    sg_frame_prefix(to, (uint32_t)body.len);
    if (body.len > 0)
        memcpy(to + SG_FRAME_PREFIX_LEN, body.ptr, body.len);
    sg_buf_claim(out, SG_FRAME_PREFIX_LEN + body.len);
}

/*
 * Clients refuse header blocks of more than 8 KiB, and then they know nothing at all: so message
 * and details are bounded, the details whole or not.
 */
enum { MESSAGE_MAX = 1024, DETAILS_MAX = 6144 };

static const struct sg_slice codes[] = {
    LIT("0"), LIT("1"),  LIT("2"),  LIT("3"),  LIT("4"),  LIT("5"),  LIT("6"),  LIT("7"),  LIT("8"),
    LIT("9"), LIT("10"), LIT("11"), LIT("12"), LIT("13"), LIT("14"), LIT("15"), LIT("16"),
};

/* A buffer of the arena's for `max` bytes, without any when the arena is full. */
static struct sg_buf arena_buf(struct sg_arena *arena, size_t max)
{
    uint8_t *ptr = sg_arena_alloc(arena, max);
    return (struct sg_buf){.ptr = ptr, .cap = ptr == NULL ? 0 : max, .max = ptr == NULL ? 0 : max};
}

size_t sg_grpc_status_fields(struct sg_call *call, const struct sg_status *status,
                             struct sg_h2_field *fields)
{
    size_t count = 0;
    size_t code = (size_t)status->code < SG_COUNT(codes) ? (size_t)status->code : SG_GRPC_UNKNOWN;
    fields[count++] = (struct sg_h2_field){SG_SLICE("grpc-status"), codes[code], true};

    if (status->message.len > 0) {
        struct sg_slice text = status->message;
        /* A character cut in two would no longer be UTF-8. */
        if (text.len > MESSAGE_MAX)
            for (text.len = MESSAGE_MAX; text.len > 0 && (text.ptr[text.len] & 0xC0) == 0x80;)
                text.len--;
        struct sg_buf buf = arena_buf(&call->arena, 3 * text.len);
        sg_percent_encode(text, &buf);
        if (!buf.failed)
            fields[count++] =
                (struct sg_h2_field){SG_SLICE("grpc-message"), sg_buf_slice(&buf), true};
    }
    if (status->details.len > 0 && status->details.len <= DETAILS_MAX) {
        struct sg_buf buf = arena_buf(&call->arena, (status->details.len + 2) / 3 * 4);
        sg_base64_encode(status->details, SG_BASE64_STD, SG_BASE64_UNPADDED, &buf);
        if (!buf.failed)
            fields[count++] =
                (struct sg_h2_field){SG_SLICE("grpc-status-details-bin"), sg_buf_slice(&buf), true};
    }
    return count;
}

static size_t finish(struct sg_call *call, const struct sg_status *status, struct sg_buf *out,
                     struct sg_h2_field *fields)
{
    (void)out;
    return sg_grpc_status_fields(call, status, fields);
}

const struct sg_codec sg_codec_grpc = {
    .protocol = SG_PROTOCOL_GRPC,
    .begin = sg_grpc_begin,
    .data = sg_grpc_data,
    .message = sg_grpc_message,
    .finish = finish,
    .accept_field = {(const uint8_t *)"grpc-accept-encoding", 20},
};
