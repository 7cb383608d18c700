#include <nghttp2/nghttp2.h>

#include "proto/h2/h2_priv.h"

/* Fields of a message on the stack; more come from the heap for the moment of submitting. */
enum { FIELDS_ON_STACK = 16 };

static void to_library(const struct sg_h2_field *fields, size_t count, nghttp2_nv *ret)
{
    SG_ASSERT(count > 0); /* a :status, a :method, or trailers that somebody wanted */
    for (size_t i = 0; i < count; i++) {
        /* The library does not write to names and values, but its struct has no const. */
        ret[i] = (nghttp2_nv){
            .name = (uint8_t *)(uintptr_t)fields[i].name.ptr,
            .namelen = fields[i].name.len,
            .value = (uint8_t *)(uintptr_t)fields[i].value.ptr,
            .valuelen = fields[i].value.len,
            .flags = fields[i].lives ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
                                     : NGHTTP2_NV_FLAG_NONE,
        };
    }
}

static int submit_trailers(struct sg_h2 *h2, struct sg_h2_stream *stream)
{
    nghttp2_nv on_stack[FIELDS_ON_STACK], *nvs = on_stack;
    size_t count = stream->trailer_count;
    if (count > SG_COUNT(on_stack) && (nvs = calloc(count, sizeof(*nvs))) == NULL)
        return NGHTTP2_ERR_NOMEM;
    to_library(stream->trailers, count, nvs);
    int rv = nghttp2_submit_trailer(h2->session, stream->id, nvs, count);
    if (nvs != on_stack)
        free(nvs);
    return rv;
}

/* Fills one DATA frame. Pulled by the peer's window: what it does not read stays in `out`. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)source;
    struct sg_h2 *h2 = arg;
    struct sg_h2_stream *stream = sg_h2_find(h2, id);
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;

    size_t left = sg_h2_waiting(stream), n = left < len ? left : len;
    if (n > 0)
        memcpy(buf, stream->out.ptr + stream->out_at, n);
    stream->out_at += n;
    stream->sent_bytes += n;

    if (n == left) {
        sg_buf_clear(&stream->out);
        stream->out_at = 0;
        if (stream->is_ending) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (stream->trailer_count > 0) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                if (submit_trailers(h2, stream) != 0)
                    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            }
        } else if (n == 0) {
            stream->is_deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
    }

    if (stream->wants_writable && left - n <= stream->writable_below) {
        stream->wants_writable = false;
        stream->is_writable = true;
        TAILQ_INSERT_TAIL(&h2->writable, stream, writable_link);
    }
    return (ssize_t)n;
}

/* Resets that the peer made us send; those we chose are not its fault. */
static void count_reset(struct sg_h2 *h2, uint32_t error)
{
    if (error == NGHTTP2_NO_ERROR || error == NGHTTP2_REFUSED_STREAM || error == NGHTTP2_CANCEL)
        return;
    if (!sg_bucket_take(&h2->stream_errors, h2->now_ns, 1))
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_STREAM_ERRORS);
}

/* From here on the server may have acted on it. */
static void note_begun(struct sg_h2 *h2, int32_t id)
{
    struct sg_h2_stream *stream = sg_h2_find(h2, id);
    if (stream != NULL)
        stream->is_begun = true;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct sg_h2 *h2 = arg;

    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        sg_bucket_give(&h2->glitches, SG_H2_GLITCHES_PER_DATA);
        break;
    case NGHTTP2_HEADERS:
        if (!h2->is_server)
            note_begun(h2, frame->hd.stream_id);
        break;
    case NGHTTP2_RST_STREAM:
        count_reset(h2, frame->rst_stream.error_code);
        return 0;
    case NGHTTP2_GOAWAY:
        h2->is_over |= frame->goaway.error_code != NGHTTP2_NO_ERROR;
        return 0;
    default:
        return 0;
    }

    if (h2->events->progress != NULL)
        h2->events->progress(h2->events->arg);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct sg_h2_stream *stream = sg_h2_find(h2, frame->hd.stream_id);
        if (stream != NULL) {
            stream->is_local_ended = true;
            if (!stream->is_remote_ended)
                h2->events->ended(h2->events->arg, stream);
        }
    }
    return 0;
}

void sg_h2_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
}

enum sg_rc sg_h2_respond(struct sg_h2_stream *stream, const struct sg_h2_field *fields,
                         size_t count, bool is_end, struct sg_err *err)
{
    SG_ASSERT(!stream->is_responded && !stream->is_closed);
    nghttp2_nv on_stack[FIELDS_ON_STACK], *nvs = on_stack;
    if (count > SG_COUNT(on_stack) && (nvs = calloc(count, sizeof(*nvs))) == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not respond: out of memory");
    to_library(fields, count, nvs);

    nghttp2_data_provider body = {.read_callback = read_body};
    int rv =
        nghttp2_submit_response(stream->h2->session, stream->id, nvs, count, is_end ? NULL : &body);
    if (nvs != on_stack)
        free(nvs);
    if (rv != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)-rv, "could not respond: %s",
                       nghttp2_strerror(rv));
    stream->is_responded = true;
    stream->is_ending |= is_end;
    return SG_OK;
}

static uint32_t requests_max(const struct sg_h2 *h2)
{
    /* Before the server has said how many streams it takes, few are risked. */
    enum { STREAMS_UNTIL_KNOWN = 100 };
    uint32_t max =
        nghttp2_session_get_remote_settings(h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return !h2->is_peer_known && max > STREAMS_UNTIL_KNOWN ? STREAMS_UNTIL_KNOWN : max;
}

bool sg_h2_has_room(const struct sg_h2 *h2)
{
    return h2->requests_open < requests_max(h2);
}

enum sg_rc sg_h2_request(struct sg_h2 *h2, struct sg_h2_stream *stream,
                         const struct sg_h2_field *fields, size_t count, struct sg_err *err)
{
    uint32_t max = requests_max(h2);

    if (h2->is_over || h2->is_peer_leaving || h2->is_notified ||
        nghttp2_session_check_request_allowed(h2->session) == 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "could not begin a call: connection is closing");
    if (h2->requests_open >= max)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not begin a call: the server takes %u at once",
                       max);

    nghttp2_nv on_stack[FIELDS_ON_STACK], *nvs = on_stack;
    if (count > SG_COUNT(on_stack) && (nvs = calloc(count, sizeof(*nvs))) == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not begin a call: out of memory");
    to_library(fields, count, nvs);
    nghttp2_data_provider body = {.read_callback = read_body};
    int32_t id = nghttp2_submit_request(h2->session, NULL, nvs, count, &body, stream);
    if (nvs != on_stack)
        free(nvs);
    if (id < 0)
        return SG_FAIL(err, id == NGHTTP2_ERR_NOMEM ? SG_E_INTERNAL : SG_E_UNAVAILABLE,
                       (unsigned long)-id, "could not begin a call: %s", nghttp2_strerror(id));

    stream->h2 = h2;
    stream->id = id;
    stream->is_responded = true;
    sg_buf_init(&stream->out, h2->limits.send_bytes_max);
    h2->requests_open++;
    return SG_OK;
}

struct sg_buf *sg_h2_out(struct sg_h2_stream *stream)
{
    /* What has left is dropped before the rest would have to grow over it. */
    if (stream->out_at > 0 && stream->out_at >= stream->out.len / 2) {
        sg_buf_drop(&stream->out, stream->out_at);
        stream->out_at = 0;
    }
    return &stream->out;
}

size_t sg_h2_waiting(const struct sg_h2_stream *stream)
{
    return stream->out.len - stream->out_at;
}

void sg_h2_flush(struct sg_h2_stream *stream)
{
    if (!stream->is_deferred || stream->is_closed)
        return;
    stream->is_deferred = false;
    /* Fails for want of memory only, and then the next call on the session does too. */
    nghttp2_session_resume_data(stream->h2->session, stream->id);
}

void sg_h2_want_writable(struct sg_h2_stream *stream, size_t below_bytes)
{
    stream->writable_below = below_bytes;
    stream->wants_writable = !stream->is_writable;
}

void sg_h2_end(struct sg_h2_stream *stream, const struct sg_h2_field *trailers, size_t count)
{
    if (stream->is_ending || stream->is_closed)
        return;
    stream->is_ending = true;
    stream->trailers = trailers;
    stream->trailer_count = count;
    sg_h2_flush(stream);
}

void sg_h2_reset(struct sg_h2_stream *stream, enum sg_h2_error error)
{
    /* Once: a first one that finds our header block waiting takes it back, and a second would be
     * sent for a stream that the peer never saw, which ends the connection (RFC 9113 §5.1). */
    if (!stream->is_closed && !stream->is_reset)
        stream->is_reset = nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE,
                                                     stream->id, (uint32_t)error) == 0;
}

void sg_h2_forget(struct sg_h2_stream *stream)
{
    if (stream->is_closed || stream->h2 == NULL)
        return;
    struct sg_h2 *h2 = stream->h2;
    sg_h2_keep(stream, 0);
    sg_h2_unqueue(stream);
    if (h2->header_stream == stream)
        h2->header_stream = NULL;
    if (!h2->is_server)
        h2->requests_open--;
    nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
    stream->is_closed = true;
    sg_buf_done(&stream->out);
}
