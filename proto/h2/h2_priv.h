#ifndef SG_PROTO_H2_H2_PRIV_H
#define SG_PROTO_H2_H2_PRIV_H

#include "proto/h2/bucket.h"
#include "proto/h2/h2.h"

/* The library's header stays in the .c files. */
struct nghttp2_session;
struct nghttp2_session_callbacks;

/* Counts what the library takes; see memory.c. */
struct sg_h2_memory {
    size_t used, max;
};

struct sg_h2 {
    struct nghttp2_session *session;
    const struct sg_h2_events *events;
    struct sg_h2_limits limits;
    struct sg_h2_memory memory;
    int64_t now_ns; /* as last told */
    bool is_server;
    bool is_over;
    bool is_notified; /* the first GOAWAY has been queued */
    bool is_leaving;  /* the second GOAWAY has been queued */
    bool is_peer_leaving;
    bool is_peer_known;   /* client: the server's SETTINGS have come */
    bool is_busy;         /* inside feed or pull */
    size_t requests_open; /* client */

    struct sg_h2_stream *header_stream; /* whose header block is being read; NULL: nobody's */
    int64_t header_began_ns;
    size_t data_left;  /* of the DATA frame being read */
    size_t unconsumed; /* sum over the streams */

    bool is_empty;   /* what is being fed has brought no call further yet */
    enum sg_why why; /* it is over */
    struct sg_bucket glitches, resets, stream_errors, empty_bytes;
    TAILQ_HEAD(, sg_h2_stream) writable; /* to be told at the end of this pull */
};

/* The library's allocator; `memory` is a struct sg_h2_memory. Beyond its `max` there is none. */
void *sg_h2_memory_alloc(size_t len, void *memory);
void *sg_h2_memory_calloc(size_t count, size_t len, void *memory);
void *sg_h2_memory_realloc(void *ptr, size_t len, void *memory);
void sg_h2_memory_free(void *ptr, void *memory);

/* Each registers what its file answers. */
void sg_h2_recv_callbacks(struct nghttp2_session_callbacks *callbacks);
void sg_h2_send_callbacks(struct nghttp2_session_callbacks *callbacks);

/* The stream of this number, or NULL when nobody owns it. */
struct sg_h2_stream *sg_h2_find(struct sg_h2 *h2, int32_t id);
/* Takes it out of the queue of those to be told that they may write. */
void sg_h2_unqueue(struct sg_h2_stream *stream);

#endif
