#include "proto/h2/h2.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "proto/h2/h2_priv.h"

/* One process-wide piece of luck less: the callbacks are built per connection and dropped, which
 * costs little beside a TLS handshake. */
static int open_session(struct sg_h2 *h2, nghttp2_session_callbacks *callbacks,
                        nghttp2_option *option)
{
    nghttp2_mem memory = {
        .mem_user_data = &h2->memory,
        .malloc = sg_h2_memory_alloc,
        .free = sg_h2_memory_free,
        .calloc = sg_h2_memory_calloc,
        .realloc = sg_h2_memory_realloc,
    };

    sg_h2_recv_callbacks(callbacks);
    sg_h2_send_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, h2->limits.flood.acks_max);
    /* One more than our own counts, which come first and say why. */
    nghttp2_option_set_max_settings(option, h2->limits.flood.settings_max + 1);
    nghttp2_option_set_stream_reset_rate_limit(option, h2->limits.flood.resets.burst + 1,
                                               h2->limits.flood.resets.per_s);
    nghttp2_option_set_max_continuations(option, h2->limits.flood.continuations_max);
    nghttp2_option_set_max_reserved_remote_streams(option, 0);

    return h2->is_server
               ? nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &memory)
               : nghttp2_session_client_new3(&h2->session, callbacks, h2, option, &memory);
}

/* Our SETTINGS and the connection's window go out with the first pull. */
static int introduce(struct sg_h2 *h2)
{
    const struct sg_h2_limits *limits = &h2->limits;
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes_max},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes_max},
    };

    int rv =
        h2->is_server
            ? nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, server, SG_COUNT(server))
            : nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, client, SG_COUNT(client));
    if (rv != 0)
        return rv;
    return nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)limits->connection_window);
}

static void init_bucket(struct sg_bucket *bucket, struct sg_h2_rate rate, int64_t now_ns)
{
    SG_ASSERT(rate.burst > 0 && rate.per_s > 0);
    sg_bucket_init(bucket, rate.burst, rate.per_s, now_ns);
}

static enum sg_rc h2_new(bool is_server, const struct sg_h2_limits *limits,
                         const struct sg_h2_events *events, int64_t now_ns, struct sg_h2 **ret,
                         struct sg_err *err)
{
    SG_ASSERT(limits->connection_window <= INT32_MAX && limits->stream_window <= INT32_MAX);
    SG_ASSERT(limits->header_bytes_max <= UINT32_MAX);

    SG_AUTO(sg_h2_free) struct sg_h2 *h2 = calloc(1, sizeof(*h2));
    if (h2 == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not open a connection: out of memory");
    h2->is_server = is_server;
    h2->limits = *limits;
    h2->events = events;
    h2->now_ns = now_ns;
    h2->memory.max = limits->library_memory_max;
    init_bucket(&h2->glitches, limits->flood.glitches, now_ns);
    init_bucket(&h2->resets, limits->flood.resets, now_ns);
    init_bucket(&h2->stream_errors, limits->flood.stream_errors, now_ns);
    init_bucket(&h2->empty_bytes, limits->flood.empty_bytes, now_ns);
    TAILQ_INIT(&h2->writable);

    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int rv = nghttp2_session_callbacks_new(&callbacks);
    if (rv == 0)
        rv = nghttp2_option_new(&option);
    if (rv == 0)
        rv = open_session(h2, callbacks, option);
    if (rv == 0)
        rv = introduce(h2);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    if (rv != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)-rv, "could not open a connection: %s",
                       nghttp2_strerror(rv));
    *ret = SG_STEAL(h2);
    return SG_OK;
}

enum sg_rc sg_h2_server_new(const struct sg_h2_limits *limits, const struct sg_h2_events *events,
                            int64_t now_ns, struct sg_h2 **ret, struct sg_err *err)
{
    return h2_new(true, limits, events, now_ns, ret, err);
}

enum sg_rc sg_h2_client_new(const struct sg_h2_limits *limits, const struct sg_h2_events *events,
                            int64_t now_ns, struct sg_h2 **ret, struct sg_err *err)
{
    return h2_new(false, limits, events, now_ns, ret, err);
}

void sg_h2_free(struct sg_h2 *h2)
{
    if (h2 == NULL)
        return;
    SG_ASSERT(!h2->is_busy);
    nghttp2_session_del(h2->session);
    free(h2);
}

/* The first reason is the reason. */
static void set_over(struct sg_h2 *h2, enum sg_why why)
{
    h2->is_over = true;
    if (h2->why == SG_WHY_OPEN)
        h2->why = why;
}

/* The library's failures, as far as they differ for whoever closes the connection. */
static enum sg_rc fail(struct sg_h2 *h2, int rv, struct sg_err *err)
{
    enum sg_why why = SG_WHY_PROTOCOL;
    enum sg_rc rc = SG_E_INVALID;
    if (rv == NGHTTP2_ERR_NOMEM) {
        rc = SG_E_LIMIT;
        why = SG_WHY_MEMORY;
    } else if (rv == NGHTTP2_ERR_CALLBACK_FAILURE) {
        rc = SG_E_INTERNAL;
    } else if (rv == NGHTTP2_ERR_FLOODED) {
        why = SG_WHY_ACKS;
    } else if (rv == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
        why = SG_WHY_CONTINUATIONS;
    }
    /* These come without a GOAWAY of the library's own. */
    if (rv != NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        sg_h2_terminate(h2,
                        why == SG_WHY_ACKS || why == SG_WHY_CONTINUATIONS ? SG_H2_ENHANCE_YOUR_CALM
                                                                          : SG_H2_INTERNAL_ERROR,
                        why);
    set_over(h2, why);
    return SG_FAIL(err, rc, (unsigned long)-rv, "could not read HTTP/2: %s", nghttp2_strerror(rv));
}

enum sg_rc sg_h2_feed(struct sg_h2 *h2, int64_t now_ns, struct sg_slice bytes, struct sg_err *err)
{
    SG_ASSERT(!h2->is_busy);
    h2->now_ns = now_ns;
    if (h2->is_over)
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read HTTP/2: connection is over");
    if (bytes.len == 0)
        return SG_OK;

    h2->is_busy = true;
    h2->is_empty = true;
    ssize_t n = nghttp2_session_mem_recv(h2->session, bytes.ptr, bytes.len);
    h2->is_busy = false;
    if (n < 0)
        return fail(h2, (int)n, err);
    if (!h2->is_empty)
        sg_bucket_give(&h2->empty_bytes, h2->limits.flood.empty_bytes.burst);
    else if (!sg_bucket_take(&h2->empty_bytes, now_ns, (int64_t)bytes.len))
        sg_h2_terminate(h2, SG_H2_ENHANCE_YOUR_CALM, SG_WHY_EMPTY_BYTES);
    if (h2->is_over)
        return SG_FAIL(err, SG_E_INVALID, 0, "closed the connection: %s", sg_why_name(h2->why));
    return SG_OK;
}

/* Those who waited may write now, and so there may be more to pull. */
static void tell_writable(struct sg_h2 *h2)
{
    struct sg_h2_stream *stream;
    while ((stream = TAILQ_FIRST(&h2->writable)) != NULL) {
        sg_h2_unqueue(stream);
        h2->events->writable(h2->events->arg, stream);
    }
}

enum sg_rc sg_h2_pull(struct sg_h2 *h2, size_t max_bytes, struct sg_buf *out, struct sg_err *err)
{
    SG_ASSERT(!h2->is_busy);
    size_t start = out->len;
    ssize_t n = 0;

    h2->is_busy = true;
    while (out->len - start < max_bytes) {
        const uint8_t *bytes;
        n = nghttp2_session_mem_send(h2->session, &bytes);
        if (n > 0)
            sg_buf_add(out, bytes, (size_t)n);
        if (n < 0 || out->failed)
            break;
        if (TAILQ_FIRST(&h2->writable) != NULL)
            tell_writable(h2);
        else if (n == 0)
            break;
    }
    h2->is_busy = false;

    if (n < 0) {
        set_over(h2, n == NGHTTP2_ERR_NOMEM ? SG_WHY_MEMORY : SG_WHY_PROTOCOL);
        return SG_FAIL(err, n == NGHTTP2_ERR_NOMEM ? SG_E_LIMIT : SG_E_INTERNAL, (unsigned long)-n,
                       "could not write HTTP/2: %s", nghttp2_strerror((int)n));
    }
    return sg_buf_check(out, err);
}

bool sg_h2_wants_pull(const struct sg_h2 *h2)
{
    return TAILQ_FIRST(&h2->writable) != NULL || nghttp2_session_want_write(h2->session) != 0;
}

bool sg_h2_is_over(const struct sg_h2 *h2)
{
    return h2->is_over;
}

enum sg_why sg_h2_why(const struct sg_h2 *h2)
{
    return h2->is_over && h2->why == SG_WHY_OPEN ? SG_WHY_PROTOCOL : h2->why;
}

bool sg_h2_is_leaving(const struct sg_h2 *h2)
{
    return h2->is_leaving;
}

bool sg_h2_is_peer_leaving(const struct sg_h2 *h2)
{
    return h2->is_peer_leaving;
}

int64_t sg_h2_header_began(const struct sg_h2 *h2)
{
    return h2->header_began_ns;
}

size_t sg_h2_unconsumed(const struct sg_h2 *h2)
{
    return h2->unconsumed;
}

size_t sg_h2_library_memory(const struct sg_h2 *h2)
{
    return h2->memory.used;
}

void sg_h2_ping(struct sg_h2 *h2)
{
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
}

void sg_h2_goaway(struct sg_h2 *h2, bool is_notice, const char *debug)
{
    if (h2->is_over || h2->is_leaving || (is_notice && h2->is_notified))
        return;
    h2->is_notified = true;
    h2->is_leaving = !is_notice;
    if (is_notice && h2->is_server) {
        /* The library's own form of it, since after any other GOAWAY it stops reading as soon as
         * no stream is open. It cannot say why; the second one does. */
        nghttp2_submit_shutdown_notice(h2->session);
        return;
    }
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR,
                          (const uint8_t *)debug, strlen(debug));
}

void sg_h2_terminate(struct sg_h2 *h2, enum sg_h2_error error, enum sg_why why)
{
    const char *debug = sg_why_name(why);
    if (h2->is_over)
        return;
    set_over(h2, why);
    /* Not nghttp2_session_terminate_session(): it cannot say why. */
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, (uint32_t)error,
                          (const uint8_t *)debug, strlen(debug));
}
