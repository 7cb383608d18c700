#include "tests/support/rpc_peer.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/clock.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the scripted client saw: not %s\n", SG_WHERE, #cond);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct peer_answer *answer_of(struct peer *peer, int32_t id)
{
    for (size_t i = 0; i < peer->count; i++)
        if (peer->answers[i].id == id)
            return &peer->answers[i];
    return NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)session, (void)flags;
    struct peer_answer *answer = answer_of(arg, frame->hd.stream_id);
    REQUIRE(answer != NULL);
    sg_buf_add(&answer->text, name, name_len);
    sg_buf_add_str(&answer->text, ": ");
    sg_buf_add(&answer->text, value, value_len);
    sg_buf_add_str(&answer->text, "\n");
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session;
    struct peer *peer = arg;
    struct peer_answer *answer = answer_of(peer, frame->hd.stream_id);

    if (answer != NULL && frame->hd.type == NGHTTP2_HEADERS) {
        answer->blocks++;
        sg_buf_add_str(&answer->text, "\n");
    }
    if (answer != NULL && frame->hd.type == NGHTTP2_DATA) {
        answer->data_frames++;
        answer->empty_data_frames += frame->hd.length == 0;
    }
    if (answer != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        answer->is_end = true;
    if (frame->hd.type == NGHTTP2_PING) {
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            peer->pings_acked++;
        else
            peer->pings++;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)session, (void)flags;
    struct peer_answer *answer = answer_of(arg, id);
    REQUIRE(answer != NULL);
    sg_buf_add(&answer->body, data, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    (void)session;
    struct peer_answer *answer = answer_of(arg, id);
    REQUIRE(answer != NULL);
    answer->is_closed = true;
    answer->error = error;
    return 0;
}

void peer_start(struct peer *peer, const struct sg_rpc_limits *limits, size_t step)
{
    *peer = (struct peer){.now_ns = 1000 * SG_NS_PER_S, .step = step};
    echo_init(&peer->echo);
    REQUIRE(sg_rpc_server_new(limits == NULL ? &sg_rpc_limits_default : limits, &echo_methods,
                              &peer->echo.handler, peer, peer->now_ns, &peer->server,
                              NULL) == SG_OK);

    nghttp2_session_callbacks *callbacks;
    REQUIRE(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    REQUIRE(nghttp2_session_client_new(&peer->session, callbacks, peer) == 0);
    nghttp2_session_callbacks_del(callbacks);
    REQUIRE(nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    peer_run(peer);
    REQUIRE(!peer->is_failed);
}

void peer_stop(struct peer *peer)
{
    sg_rpc_server_free(peer->server);
    nghttp2_session_del(peer->session);
    for (size_t i = 0; i < peer->count; i++) {
        sg_buf_done(&peer->answers[i].text);
        sg_buf_done(&peer->answers[i].body);
    }
    REQUIRE(peer->echo.begun == peer->echo.closed);
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)arg;
    struct peer_answer *answer = source->ptr;
    size_t n = answer->out.len < len ? answer->out.len : len;
    if (n > 0)
        memcpy(buf, sg_slice_take(&answer->out, n).ptr, n);
    if (answer->out.len == 0 && !answer->is_out_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (answer->has_trailers) {
            nghttp2_nv trailer = nv("grpc-status", "9");
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            REQUIRE(nghttp2_submit_trailer(session, id, &trailer, 1) == 0);
        }
    } else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

struct peer_answer *peer_request(struct peer *peer, struct peer_request request)
{
    REQUIRE(peer->count < PEER_CALLS_MAX);
    struct peer_answer *answer = &peer->answers[peer->count++];
    nghttp2_nv fields[12];
    size_t count = 0;
    fields[count++] = nv(":method", request.method == NULL ? "POST" : request.method);
    fields[count++] = nv(":scheme", "https");
    fields[count++] = nv(":path", request.path);
    fields[count++] = nv(":authority", "test");
    fields[count++] = nv("te", "trailers");
    if (request.content_type == NULL)
        fields[count++] = nv("content-type", "application/grpc");
    else if (request.content_type[0] != '\0')
        fields[count++] = nv("content-type", request.content_type);
    for (size_t i = 0; i + 1 < SG_COUNT(request.extra) && request.extra[i] != NULL; i += 2)
        fields[count++] = nv(request.extra[i], request.extra[i + 1]);

    answer->out = request.body;
    answer->is_out_open = request.is_open;
    answer->has_trailers = request.has_trailers;
    sg_buf_init(&answer->text, 1 << 20);
    sg_buf_init(&answer->body, 64 << 20);
    nghttp2_data_provider body = {.source.ptr = answer, .read_callback = read_request};
    answer->id = nghttp2_submit_request(peer->session, NULL, fields, count,
                                        request.is_headers_only ? NULL : &body, NULL);
    REQUIRE(answer->id > 0);
    return answer;
}

void peer_more(struct peer *peer, struct peer_answer *answer, struct sg_slice body, bool is_end)
{
    REQUIRE(answer->out.len == 0);
    answer->out = body;
    answer->is_out_open = !is_end;
    /* Not an assertion: the stream may be gone. */
    nghttp2_session_resume_data(peer->session, answer->id);
}

void peer_reset(struct peer *peer, struct peer_answer *answer, uint32_t error)
{
    REQUIRE(nghttp2_submit_rst_stream(peer->session, NGHTTP2_FLAG_NONE, answer->id, error) == 0);
}

void peer_ping(struct peer *peer)
{
    REQUIRE(nghttp2_submit_ping(peer->session, NGHTTP2_FLAG_NONE, NULL) == 0);
}

static void note(struct peer *peer, enum sg_rc rc)
{
    if (rc == SG_OK || peer->is_failed)
        return;
    peer->is_failed = true;
    peer->rc = rc;
}

void peer_raw(struct peer *peer, struct sg_slice bytes)
{
    while (bytes.len > 0 && !peer->is_failed) {
        size_t n = peer->step == 0 || peer->step > bytes.len ? bytes.len : peer->step;
        /* An exact copy, so that a sanitizer sees a read past the chunk, or after it. */
        uint8_t *copy = malloc(n);
        REQUIRE(copy != NULL);
        memcpy(copy, sg_slice_take(&bytes, n).ptr, n);
        note(peer, sg_rpc_server_feed(peer->server, peer->now_ns, sg_slice_of(copy, n), NULL));
        free(copy);
    }
}

/* The library's client stops listening after the first GOAWAY, so they are read here. A pull gives
 * whole frames. */
static void note_goaways(struct peer *peer, struct sg_slice frames)
{
    while (frames.len >= 9) {
        size_t len = sg_be32(frames.ptr) >> 8;
        struct sg_slice frame = sg_slice_take(&frames, 9 + len);
        if (frame.ptr[3] != NGHTTP2_GOAWAY || len < 8)
            continue;
        peer->goaways++;
        peer->goaway_last = (int32_t)sg_be32(frame.ptr + 9);
        peer->goaway_error = sg_be32(frame.ptr + 13);
        snprintf(peer->goaway_debug, sizeof(peer->goaway_debug), "%.*s", (int)len - 8,
                 (const char *)frame.ptr + 17);
    }
}

static bool pump_to_client(struct peer *peer)
{
    struct sg_buf out;
    sg_buf_init(&out, 1 << 20);
    bool wanted = sg_rpc_server_wants_pull(peer->server);
    note(peer, sg_rpc_server_pull(peer->server, 65536, &out, NULL));
    bool moved = out.len > 0;
    REQUIRE(wanted || !moved);
    peer->received_bytes += out.len;
    note_goaways(peer, sg_buf_slice(&out));
    if (moved)
        REQUIRE(nghttp2_session_mem_recv(peer->session, out.ptr, out.len) == (ssize_t)out.len);
    sg_buf_done(&out);
    return moved;
}

void peer_pull(struct peer *peer)
{
    struct sg_buf out;
    sg_buf_init(&out, 1 << 24);
    note(peer, sg_rpc_server_pull(peer->server, 1 << 24, &out, NULL));
    note_goaways(peer, sg_buf_slice(&out));
    sg_buf_done(&out);
}

void peer_run(struct peer *peer)
{
    bool moved = true;
    while (moved) {
        moved = false;
        const uint8_t *bytes;
        ssize_t n;
        while ((n = nghttp2_session_mem_send(peer->session, &bytes)) > 0) {
            moved = true;
            peer_raw(peer, sg_slice_of(bytes, (size_t)n));
        }
        REQUIRE(n == 0);
        if (!peer->does_not_read)
            moved |= pump_to_client(peer);
    }
}

void peer_wait(struct peer *peer, int64_t ns)
{
    peer->now_ns += ns;
    if (!peer->is_failed)
        note(peer, sg_rpc_server_tick(peer->server, peer->now_ns, NULL));
    if (!peer->is_failed)
        REQUIRE(sg_rpc_server_due(peer->server) > peer->now_ns);
    peer_run(peer);
}

bool peer_has(const struct peer_answer *answer, const char *line)
{
    struct sg_buf text, wanted;
    sg_buf_init(&text, 1 << 20);
    sg_buf_init(&wanted, 1 << 20);
    sg_buf_printf(&text, "\n%.*s", (int)answer->text.len, (const char *)answer->text.ptr);
    sg_buf_printf(&wanted, "\n%s\n", line);
    bool found = memmem(text.ptr, text.len, wanted.ptr, wanted.len) != NULL;
    sg_buf_done(&text);
    sg_buf_done(&wanted);
    return found;
}

struct sg_slice peer_message(const struct peer_answer *answer)
{
    if (answer->body.len < 5)
        return SG_SLICE("(no message)");
    struct sg_slice message = sg_slice_of(answer->body.ptr + 5, answer->body.len - 5);
    uint32_t len = sg_be32(answer->body.ptr + 1);
    if (message.len > len)
        message.len = len;
    return message;
}

struct sg_slice peer_frame(struct sg_buf *storage, struct sg_slice message)
{
    size_t from = storage->len;
    sg_buf_add_u8(storage, 0);
    sg_buf_add_be32(storage, (uint32_t)message.len);
    sg_buf_add_slice(storage, message);
    REQUIRE(!storage->failed);
    return sg_slice_of(storage->ptr + from, storage->len - from);
}
