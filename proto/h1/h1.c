#include "proto/h1/h1.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proto/h1/head.h"
#include "proto/h2/h2.h"

/* What the connection waits for. */
enum state {
    IN_HEAD = 0, /* a request */
    IN_BODY,     /* the rest of it */
    IN_ANSWER,   /* the answer; what comes meanwhile is the next request */
    IN_REST,    /* nothing but that the client has read the last answer: what it sends is dropped */
    IN_NOTHING, /* the end */
};

struct sg_h1 {
    struct sg_rpc_server *server;
    struct sg_h2 *client; /* ours, of that server */
    struct sg_h2_events events;
    const struct sg_method_table *table;
    size_t head_bytes_max;
    int64_t head_ns_max;

    int64_t now_ns;
    int64_t head_began_ns; /* 0: no head is under way */
    int64_t rest_until_ns, rest_end_ns;
    enum state state;
    bool is_leaving; /* no further request is taken */
    enum sg_why why; /* it ends, for a reason that is ours */

    struct sg_buf in; /* what came and is not read yet */
    size_t in_at;     /* so far the head has been looked for */
    struct sg_buf out, fields, moved;

    struct sg_h1_head request;
    struct sg_h1_chunks chunks;
    uint64_t body_left;
    size_t dropped, dropped_max; /* bytes, while IN_REST */

    struct sg_h2_stream stream;
    bool is_open; /* the stream is */
    char status[4];
    bool has_block;   /* the answer's fields are complete */
    bool has_head;    /* and have been written */
    bool is_chunked;  /* the answer */
    bool is_complete; /* all of it has been written */
};

enum {
    MOVE_BYTES = 64 << 10, /* between the two ends at once */
    OUT_HIGH = 64 << 10,   /* no more is asked of the server while so much waits */
    IN_SPARE = 64 << 10,   /* of later requests */
    REST_MESSAGES = 4,     /* as many bytes are dropped as these may have at most */
};

/*
 * RFC 9112 §9.6: a connection that is closed over bytes that nobody read is reset, and the client
 * that is still writing them sees the reset in place of its answer. So the rest of a request is
 * read and dropped as long as it goes on coming; where it is too much nothing more is read, so that
 * the client stops writing and finds the answer; and the end is there when nothing was read for the
 * first of these times, or when the second is over.
 */
#define REST_QUIET_NS SG_NS_PER_S
#define REST_NS_MAX (5 * SG_NS_PER_S)

/* --- answers --- */

static void rest(struct sg_h1 *h1)
{
    h1->state = IN_REST;
    h1->rest_until_ns = h1->now_ns + REST_QUIET_NS;
    h1->rest_end_ns = h1->now_ns + REST_NS_MAX;
    sg_buf_clear(&h1->in);
}

/* An answer of our own, to what never became a call; the last one. */
static void answer_alone(struct sg_h1 *h1, const char *status, enum sg_why why)
{
    if (h1->why == SG_WHY_OPEN)
        h1->why = why;
    if (h1->has_head && !h1->is_complete) {
        h1->state = IN_NOTHING; /* half an answer must not look whole */
        return;
    }
    sg_buf_printf(&h1->out, "HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                  status);
    h1->head_began_ns = 0;
    rest(h1);
}

static void put_head(struct sg_h1 *h1, bool is_whole, size_t len)
{
    /* A request that was not read to its end cannot be followed by another. */
    if (h1->state == IN_BODY || h1->request.wants_close)
        h1->is_leaving = true;
    sg_buf_printf(&h1->out, "HTTP/1.1 %s \r\n", h1->status);
    sg_buf_add_slice(&h1->out, sg_buf_slice(&h1->fields));
    h1->is_chunked = !is_whole;
    if (h1->is_chunked)
        sg_buf_add_str(&h1->out, "transfer-encoding: chunked\r\n");
    else if (strcmp(h1->status, "204") != 0)
        sg_buf_printf(&h1->out, "content-length: %zu\r\n", len);
    sg_buf_add_str(&h1->out, h1->is_leaving ? "connection: close\r\n\r\n" : "\r\n");
    h1->has_head = true;
}

static void on_field(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                     struct sg_slice value)
{
    struct sg_h1 *h1 = arg;
    (void)stream;
    if (h1->has_block)
        return; /* trailers, which no protocol that is let in has */
    if (sg_slice_is(name, ":status")) {
        SG_ASSERT(value.len == 3);
        memcpy(h1->status, value.ptr, 3);
        return;
    }
    sg_buf_add_slice(&h1->fields, name);
    sg_buf_add_str(&h1->fields, ": ");
    sg_buf_add_slice(&h1->fields, value);
    sg_buf_add_str(&h1->fields, "\r\n");
}

static void on_headers(void *arg, struct sg_h2_stream *stream)
{
    struct sg_h1 *h1 = arg;
    (void)stream;
    h1->has_block = true;
}

static void on_data(void *arg, struct sg_h2_stream *stream, struct sg_slice bytes, bool is_end)
{
    struct sg_h1 *h1 = arg;
    sg_h2_keep(stream, 0);
    if (!h1->has_block || h1->is_complete)
        return;
    if (!h1->has_head)
        put_head(h1, is_end, bytes.len);
    if (!h1->is_chunked) {
        sg_buf_add_slice(&h1->out, bytes);
    } else {
        if (bytes.len > 0) {
            sg_buf_printf(&h1->out, "%zx\r\n", bytes.len);
            sg_buf_add_slice(&h1->out, bytes);
            sg_buf_add_str(&h1->out, "\r\n");
        }
        if (is_end)
            sg_buf_add_str(&h1->out, "0\r\n\r\n");
    }
    h1->is_complete = is_end;
}

static void on_closed(void *arg, struct sg_h2_stream *stream, uint32_t error)
{
    struct sg_h1 *h1 = arg;
    (void)stream;
    h1->is_open = false;
    if (h1->state == IN_REST || h1->state == IN_NOTHING)
        return;
    if (!h1->is_complete && !h1->has_head)
        answer_alone(h1,
                     error == SG_H2_PROTOCOL_ERROR   ? "400 Bad Request"
                     : error == SG_H2_REFUSED_STREAM ? "503 Service Unavailable"
                                                     : "500 Internal Server Error",
                     SG_WHY_PROTOCOL);
    else if (!h1->is_complete)
        h1->state = IN_NOTHING; /* half an answer must not look whole */
    else
        h1->state = h1->is_leaving ? IN_NOTHING : IN_HEAD;
}

static void on_goaway(void *arg, uint32_t error, struct sg_slice debug)
{
    struct sg_h1 *h1 = arg;
    (void)error, (void)debug;
    h1->is_leaving = true;
}

static void on_nothing(void *arg, struct sg_h2_stream *stream)
{
    (void)arg, (void)stream;
}

/* --- between the two ends --- */

/* Moves bytes between our client and the server until both are quiet, or enough waits to be sent.
 */
static enum sg_rc move(struct sg_h1 *h1, struct sg_err *err)
{
    for (bool is_quiet = false; !is_quiet;) {
        sg_buf_clear(&h1->moved);
        SG_TRY(sg_h2_pull(h1->client, MOVE_BYTES, &h1->moved, err));
        is_quiet = h1->moved.len == 0;
        if (!is_quiet)
            SG_TRY(sg_rpc_server_feed(h1->server, h1->now_ns, sg_buf_slice(&h1->moved), err));
        sg_buf_clear(&h1->moved);
        if (h1->out.len < OUT_HIGH && sg_rpc_server_wants_pull(h1->server)) {
            SG_TRY(sg_rpc_server_pull(h1->server, MOVE_BYTES, &h1->moved, err));
            is_quiet = is_quiet && h1->moved.len == 0;
            if (h1->moved.len > 0)
                SG_TRY(sg_h2_feed(h1->client, h1->now_ns, sg_buf_slice(&h1->moved), err));
        }
        /* An answer that is complete before its request: the rest of that is not wanted. */
        if (h1->is_complete && h1->state == IN_BODY) {
            if (h1->is_open)
                sg_h2_reset(&h1->stream, SG_H2_CANCEL);
            rest(h1);
            is_quiet = false;
        }
    }
    return sg_buf_check(&h1->out, err);
}

/* --- requests --- */

/* What cannot be had by HTTP/1.1; NULL: it can. */
static const char *cannot_serve(const struct sg_h1 *h1)
{
    struct sg_slice path = h1->request.target;
    const uint8_t *mark = memchr(path.ptr, '?', path.len);
    if (mark != NULL)
        path.len = (size_t)(mark - path.ptr);
    const struct sg_method *method = sg_method_find(h1->table, path);
    if (method != NULL && method->client_streaming && method->server_streaming)
        return "505 HTTP Version Not Supported";
    for (size_t i = 0; i < h1->request.field_count; i++) {
        const struct sg_h1_field *field = &h1->request.fields[i];
        if (sg_slice_is(field->name, "content-type") &&
            sg_slice_starts(field->value, SG_SLICE("application/grpc")) &&
            !sg_slice_starts(field->value, SG_SLICE("application/grpc-web")))
            return "505 HTTP Version Not Supported";
    }
    return NULL;
}

static enum sg_rc open_stream(struct sg_h1 *h1, struct sg_err *err)
{
    struct sg_h2_field fields[SG_H1_FIELDS_MAX + 4];
    const struct sg_h1_head *request = &h1->request;
    size_t count = 0;
    fields[count++] = (struct sg_h2_field){SG_SLICE(":method"), request->method, false};
    fields[count++] = (struct sg_h2_field){SG_SLICE(":scheme"), SG_SLICE("https"), false};
    fields[count++] = (struct sg_h2_field){SG_SLICE(":authority"), request->host, false};
    fields[count++] = (struct sg_h2_field){SG_SLICE(":path"), request->target, false};
    for (size_t i = 0; i < request->field_count; i++)
        fields[count++] =
            (struct sg_h2_field){request->fields[i].name, request->fields[i].value, false};
    h1->stream = (struct sg_h2_stream){0};
    SG_TRY(sg_h2_request(h1->client, &h1->stream, fields, count, err));
    h1->is_open = true;
    return SG_OK;
}

static enum sg_rc begin_request(struct sg_h1 *h1, size_t head_len, struct sg_err *err)
{
    enum sg_rc rc = sg_h1_head_parse(h1->in.ptr, head_len, &h1->request, err);
    if (rc != SG_OK) {
        answer_alone(h1,
                     rc == SG_E_UNSUPPORTED ? "505 HTTP Version Not Supported"
                     : rc == SG_E_LIMIT     ? "431 Request Header Fields Too Large"
                                            : "400 Bad Request",
                     rc == SG_E_LIMIT ? SG_WHY_HEADERS : SG_WHY_PROTOCOL);
        return SG_OK;
    }
    const char *cannot = cannot_serve(h1);
    if (cannot != NULL) {
        answer_alone(h1, cannot, SG_WHY_PROTOCOL);
        return SG_OK;
    }
    h1->has_block = h1->has_head = h1->is_chunked = h1->is_complete = false;
    sg_buf_clear(&h1->fields);
    h1->chunks = (struct sg_h1_chunks){0};
    h1->body_left = h1->request.content_length;
    h1->head_began_ns = 0;
    h1->in_at = 0;
    h1->state = IN_BODY;
    rc = open_stream(h1, err);
    if (rc == SG_E_UNAVAILABLE || rc == SG_E_LIMIT) {
        answer_alone(h1, "503 Service Unavailable", SG_WHY_CLIENT);
        return SG_OK;
    }
    SG_TRY(rc);
    if (h1->request.wants_continue && (h1->request.is_chunked || h1->body_left > 0) &&
        h1->in.len == head_len)
        sg_buf_add_str(&h1->out, "HTTP/1.1 100 Continue\r\n\r\n");
    sg_buf_drop(&h1->in, head_len);
    return SG_OK;
}

static enum sg_rc read_head(struct sg_h1 *h1, bool *ret_more, struct sg_err *err)
{
    size_t len = 0;
    *ret_more = false;
    if (h1->in.len == 0 || h1->is_leaving)
        return SG_OK;
    enum sg_rc rc =
        sg_h1_head_find(sg_buf_slice(&h1->in), h1->head_bytes_max, &h1->in_at, &len, err);
    if (rc == SG_E_AGAIN) {
        if (h1->head_began_ns == 0)
            h1->head_began_ns = h1->now_ns;
        return SG_OK;
    }
    if (rc != SG_OK) {
        answer_alone(h1,
                     rc == SG_E_LIMIT ? "431 Request Header Fields Too Large" : "400 Bad Request",
                     rc == SG_E_LIMIT ? SG_WHY_HEADERS : SG_WHY_PROTOCOL);
        return SG_OK;
    }
    *ret_more = true;
    return begin_request(h1, len, err);
}

/* Hands on what there is of the body; *ret_more: it is complete. */
static enum sg_rc read_body(struct sg_h1 *h1, bool *ret_more, struct sg_err *err)
{
    struct sg_slice in = sg_buf_slice(&h1->in), data;
    struct sg_buf *out = sg_h2_out(&h1->stream);
    bool is_end = false;
    if (h1->request.is_chunked) {
        do {
            if (sg_h1_chunks_next(&h1->chunks, &in, &data, err) != SG_OK) {
                sg_h2_reset(&h1->stream, SG_H2_CANCEL);
                answer_alone(h1, "400 Bad Request", SG_WHY_PROTOCOL);
                return SG_OK;
            }
            sg_buf_add_slice(out, data);
        } while (data.len > 0);
        is_end = h1->chunks.state == SG_H1_CHUNKS_END;
    } else {
        data = sg_slice_take(&in, in.len < h1->body_left ? in.len : (size_t)h1->body_left);
        sg_buf_add_slice(out, data);
        h1->body_left -= data.len;
        is_end = h1->body_left == 0;
    }
    sg_buf_drop(&h1->in, h1->in.len - in.len);
    SG_TRY(sg_buf_check(out, err));
    sg_h2_flush(&h1->stream);
    if (is_end) {
        h1->state = IN_ANSWER;
        sg_h2_end(&h1->stream, NULL, 0);
    }
    *ret_more = is_end;
    return move(h1, err);
}

static enum sg_rc read_requests(struct sg_h1 *h1, struct sg_err *err)
{
    bool has_more = true;
    while (has_more) {
        has_more = false;
        if (h1->state == IN_HEAD)
            SG_TRY(read_head(h1, &has_more, err));
        else if (h1->state == IN_BODY)
            SG_TRY(read_body(h1, &has_more, err));
        /* The answer may have ended meanwhile: then there may be another request. */
        has_more = has_more || (h1->state == IN_HEAD && h1->in.len > 0 && h1->in_at == 0);
        if (h1->is_leaving && h1->state == IN_HEAD)
            has_more = false;
    }
    return SG_OK;
}

enum sg_rc sg_h1_feed(struct sg_h1 *h1, int64_t now_ns, struct sg_slice bytes, struct sg_err *err)
{
    h1->now_ns = now_ns;
    if (h1->state == IN_REST || h1->state == IN_NOTHING) {
        h1->dropped += bytes.len;
        if (h1->state == IN_REST)
            h1->rest_until_ns = now_ns + REST_QUIET_NS;
        if (h1->rest_until_ns > h1->rest_end_ns)
            h1->rest_until_ns = h1->rest_end_ns;
        return SG_OK;
    }
    sg_buf_add_slice(&h1->in, bytes);
    if (h1->in.failed) {
        h1->why = SG_WHY_PROTOCOL;
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "more requests come than answers are waited for");
    }
    SG_TRY(read_requests(h1, err));
    return move(h1, err);
}

enum sg_rc sg_h1_pull(struct sg_h1 *h1, size_t max_bytes, struct sg_buf *out, struct sg_err *err)
{
    SG_TRY(move(h1, err));
    SG_TRY(read_requests(h1, err));
    SG_TRY(move(h1, err));
    size_t len = h1->out.len < max_bytes ? h1->out.len : max_bytes;
    if (len > 0)
        sg_buf_add(out, h1->out.ptr, len);
    sg_buf_drop(&h1->out, len);
    /* An idle connection holds little. */
    if (h1->state == IN_HEAD && h1->in.len == 0 && h1->out.len == 0) {
        sg_buf_done(&h1->in);
        sg_buf_done(&h1->out);
        sg_buf_done(&h1->fields);
        sg_buf_done(&h1->moved);
    }
    return sg_buf_check(out, err);
}

bool sg_h1_wants_pull(const struct sg_h1 *h1)
{
    return h1->out.len > 0 || sg_rpc_server_wants_pull(h1->server) || sg_h2_wants_pull(h1->client);
}

bool sg_h1_wants_feed(const struct sg_h1 *h1)
{
    return h1->dropped < h1->dropped_max;
}

/* --- time and the end --- */

int64_t sg_h1_due(const struct sg_h1 *h1)
{
    int64_t due_ns = sg_rpc_server_due(h1->server);
    if (h1->head_began_ns != 0 && h1->head_began_ns + h1->head_ns_max < due_ns)
        due_ns = h1->head_began_ns + h1->head_ns_max;
    return h1->rest_until_ns < due_ns ? h1->rest_until_ns : due_ns;
}

enum sg_rc sg_h1_tick(struct sg_h1 *h1, int64_t now_ns, struct sg_err *err)
{
    h1->now_ns = now_ns;
    if (now_ns >= h1->rest_until_ns) {
        h1->rest_until_ns = h1->rest_end_ns = INT64_MAX;
        h1->state = IN_NOTHING;
    }
    if (h1->head_began_ns != 0 && now_ns >= h1->head_began_ns + h1->head_ns_max) {
        answer_alone(h1, "408 Request Timeout", SG_WHY_SLOW_HEADERS);
        return SG_FAIL(err, SG_E_TIMEOUT, 0, "closed the connection: headers took too long");
    }
    SG_TRY(sg_rpc_server_tick(h1->server, now_ns, err));
    return move(h1, err);
}

void sg_h1_drain(struct sg_h1 *h1)
{
    h1->is_leaving = true;
    if (h1->why == SG_WHY_OPEN)
        h1->why = SG_WHY_SHUTDOWN;
}

enum sg_why sg_h1_why(const struct sg_h1 *h1)
{
    enum sg_why why = h1->why == SG_WHY_OPEN ? sg_rpc_server_why(h1->server) : h1->why;
    return why == SG_WHY_OPEN && sg_h1_is_done(h1) ? SG_WHY_CLIENT : why;
}

size_t sg_h1_take_stalled(struct sg_h1 *h1)
{
    return sg_rpc_server_take_stalled(h1->server);
}

bool sg_h1_is_done(const struct sg_h1 *h1)
{
    if (h1->out.len > 0)
        return false;
    return h1->state == IN_NOTHING || (h1->state == IN_HEAD && h1->is_leaving);
}

/* --- opening and closing --- */

enum sg_rc sg_h1_new(const struct sg_rpc_limits *limits, const struct sg_method_table *table,
                     const struct sg_call_handler *handler, void *connection, int64_t now_ns,
                     struct sg_h1 **ret, struct sg_err *err)
{
    enum { WINDOW = 256 << 10, LIBRARY_MAX = 1 << 20, ANSWER_FIELDS_MAX = 64 << 10 };
    SG_AUTO(sg_h1_free) struct sg_h1 *h1 = calloc(1, sizeof(*h1));
    if (h1 == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not open a connection: out of memory");
    h1->table = table;
    h1->head_bytes_max = limits->header_bytes_max;
    h1->head_ns_max = limits->header_ns_max;
    h1->now_ns = now_ns;
    h1->rest_until_ns = h1->rest_end_ns = INT64_MAX;
    h1->dropped_max = REST_MESSAGES * limits->message_bytes_max;
    h1->events = (struct sg_h2_events){
        .arg = h1,
        .field = on_field,
        .headers = on_headers,
        .data = on_data,
        .writable = on_nothing,
        .ended = on_nothing,
        .closed = on_closed,
        .goaway = on_goaway,
    };
    sg_buf_init(&h1->in, h1->head_bytes_max + 2 * IN_SPARE);
    sg_buf_init(&h1->out, OUT_HIGH + 4 * MOVE_BYTES);
    sg_buf_init(&h1->fields, ANSWER_FIELDS_MAX);
    sg_buf_init(&h1->moved, 4 * MOVE_BYTES);
    struct sg_h2_limits h2_limits = {
        .streams_max = 1,
        .header_bytes_max = ANSWER_FIELDS_MAX,
        .connection_window = WINDOW,
        .stream_window = WINDOW,
        .send_bytes_max = 2 * limits->message_bytes_max + h1->in.max,
        .library_memory_max = LIBRARY_MAX,
        .flood = SG_H2_FLOOD_DEFAULT,
    };
    SG_TRY(sg_rpc_server_new(limits, table, handler, connection, now_ns, &h1->server, err));
    SG_TRY(sg_h2_client_new(&h2_limits, &h1->events, now_ns, &h1->client, err));
    SG_TRY(move(h1, err));
    *ret = SG_STEAL(h1);
    return SG_OK;
}

void sg_h1_free(struct sg_h1 *h1)
{
    if (h1 == NULL)
        return;
    sg_rpc_server_free(h1->server);
    if (h1->is_open)
        sg_h2_forget(&h1->stream);
    sg_h2_free(h1->client);
    sg_buf_done(&h1->in);
    sg_buf_done(&h1->out);
    sg_buf_done(&h1->fields);
    sg_buf_done(&h1->moved);
    free(h1);
}
