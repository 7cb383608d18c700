#include <nghttp2/nghttp2.h>

#include "proto/h2/h2_priv.h"

/* What the peer's frames cause. No callback ever fails fatally: a stream's trouble is answered on
 * the stream, a connection's by sg_h2_terminate(). */

struct sg_h2_stream *sg_h2_find(struct sg_h2 *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2->session, id);
}

void sg_h2_unqueue(struct sg_h2_stream *stream)
{
    if (stream->is_writable)
        TAILQ_REMOVE(&stream->h2->writable, stream, writable_link);
    stream->is_writable = false;
}

enum { SETTING_BYTES = 6 }; /* RFC 9113 §6.5.1 */

/* Frames that bring a call no further; a fair peer sends few. */
static bool is_glitch(const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_RST_STREAM:
        return true;
    case NGHTTP2_DATA:
        return hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
        return false;
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    (void)session;
    struct sg_h2 *h2 = arg;

    /* Nothing may come between the frames of a header block, so anything else ends it. */
    if (hd->type == NGHTTP2_HEADERS)
        h2->header_began_ns = h2->now_ns;
    else if (hd->type != NGHTTP2_CONTINUATION)
        h2->header_began_ns = 0;
    h2->data_left = hd->type == NGHTTP2_DATA ? hd->length : 0;

    if (is_glitch(hd) && !sg_bucket_take(&h2->glitches, h2->now_ns, 1))
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_GLITCHES);
    if (hd->type == NGHTTP2_SETTINGS && hd->length / SETTING_BYTES > h2->limits.flood.settings_max)
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_SETTINGS);
    if (hd->type == NGHTTP2_RST_STREAM && !sg_bucket_take(&h2->resets, h2->now_ns, 1))
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_RESETS);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct sg_h2 *h2 = arg;
    int32_t id = frame->hd.stream_id;

    h2->header_stream = NULL;
    if (h2->is_over)
        return 0;
    if (!h2->is_server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        h2->header_stream = sg_h2_find(h2, id);
        return 0;
    }

    struct sg_h2_stream *stream = h2->events->open(h2->events->arg);
    if (stream == NULL) {
        /* Not an error return: that resets with INTERNAL_ERROR, which nobody may repeat. */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    stream->h2 = h2;
    stream->id = id;
    sg_buf_init(&stream->out, h2->limits.send_bytes_max);
    nghttp2_session_set_stream_user_data(session, id, stream);
    h2->header_stream = stream;
    return 0;
}

/* The rest of the block costs its sender nearly nothing and the decompressor much. */
static void over_header(struct sg_h2 *h2, struct sg_h2_stream *stream)
{
    bool is_bomb = stream->header_bytes > SG_H2_HEADERS_FACTOR_MAX * h2->limits.header_bytes_max;
    if (!stream->is_header_over)
        is_bomb |= !sg_bucket_take(&h2->glitches, h2->now_ns, SG_H2_GLITCHES_PER_HEADERS);
    stream->is_header_over = true;
    if (is_bomb)
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_HEADERS);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)session, (void)frame, (void)flags;
    struct sg_h2 *h2 = arg;
    struct sg_h2_stream *stream = h2->header_stream;

    if (stream == NULL)
        return 0;
    stream->header_bytes += name_len + value_len + 32;
    if (stream->header_bytes > h2->limits.header_bytes_max) {
        over_header(h2, stream);
        return 0;
    }
    h2->events->field(h2->events->arg, stream, sg_slice_of(name, name_len),
                      sg_slice_of(value, value_len));
    return 0;
}

static void end_remote(struct sg_h2 *h2, struct sg_h2_stream *stream)
{
    if (stream->is_remote_ended)
        return;
    stream->is_remote_ended = true;
    h2->events->data(h2->events->arg, stream, (struct sg_slice){0}, true);
}

static void headers_done(struct sg_h2 *h2, bool is_end)
{
    struct sg_h2_stream *stream = h2->header_stream;
    h2->header_began_ns = 0;
    h2->header_stream = NULL;
    h2->is_empty = false;
    if (stream == NULL)
        return;
    stream->header_bytes = 0;
    stream->is_block_last = is_end;
    h2->events->headers(h2->events->arg, stream);
    if (is_end)
        end_remote(h2, stream);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct sg_h2 *h2 = arg;
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        headers_done(h2, is_end);
        break;
    case NGHTTP2_DATA:
        if (is_end) {
            struct sg_h2_stream *stream = sg_h2_find(h2, frame->hd.stream_id);
            if (stream != NULL)
                end_remote(h2, stream);
        }
        break;
    case NGHTTP2_SETTINGS:
        h2->is_peer_known = true;
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 && h2->events->ping != NULL)
            h2->events->ping(h2->events->arg);
        break;
    case NGHTTP2_GOAWAY:
        h2->is_peer_leaving = true;
        if (h2->events->goaway != NULL)
            h2->events->goaway(
                h2->events->arg, frame->goaway.error_code,
                sg_slice_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *arg)
{
    struct sg_h2 *h2 = arg;
    struct sg_h2_stream *stream = sg_h2_find(h2, id);

    h2->data_left -= len < h2->data_left ? len : h2->data_left;
    h2->is_empty = false;
    if (stream == NULL) {
        nghttp2_session_consume(session, id, len);
        return 0;
    }
    stream->unconsumed += len;
    h2->unconsumed += len;

    /* The last bytes of the last frame: saying so here spares the owner a copy. Padding would
     * still be left, and then it is said when the frame is complete. */
    bool is_end = (flags & NGHTTP2_FLAG_END_STREAM) != 0 && h2->data_left == 0;
    if (is_end)
        stream->is_remote_ended = true;
    else if (stream->is_held)
        stream->held_bytes += len;
    else
        nghttp2_session_consume_stream(session, id, len);
    h2->events->data(h2->events->arg, stream, sg_slice_of(data, len), is_end);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    (void)session;
    struct sg_h2 *h2 = arg;
    struct sg_h2_stream *stream = sg_h2_find(h2, id);
    if (stream == NULL)
        return 0;

    sg_h2_keep(stream, 0);
    sg_h2_unqueue(stream);
    if (h2->header_stream == stream)
        h2->header_stream = NULL;
    if (!h2->is_server)
        h2->requests_open--;
    stream->is_closed = true;
    sg_buf_done(&stream->out);
    h2->events->closed(h2->events->arg, stream, error);
    return 0;
}

void sg_h2_recv_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

void sg_h2_keep(struct sg_h2_stream *stream, size_t bytes)
{
    struct sg_h2 *h2 = stream->h2;
    if (bytes >= stream->unconsumed)
        return;
    size_t freed = stream->unconsumed - bytes;
    stream->unconsumed = bytes;
    h2->unconsumed -= freed;
    /* Only memory can fail here, and then the next call on the session does. */
    nghttp2_session_consume_connection(h2->session, freed);
}

void sg_h2_hold(struct sg_h2_stream *stream, bool is_held)
{
    stream->is_held = is_held;
    if (is_held || stream->held_bytes == 0 || stream->is_closed)
        return;
    /* As in sg_h2_keep(). */
    nghttp2_session_consume_stream(stream->h2->session, stream->id, stream->held_bytes);
    stream->held_bytes = 0;
}
