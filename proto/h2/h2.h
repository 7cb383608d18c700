#ifndef SG_PROTO_H2_H2_H
#define SG_PROTO_H2_H2_H

#include <sys/queue.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"
#include "proto/h2/limits.h"
#include "proto/h2/why.h"

/*
 * One HTTP/2 connection (RFC 9113), either end, without I/O: bytes in, events out, bytes out. It
 * knows no clock; feed and tick tell it the time. The only folder that knows which library does
 * the work.
 *
 * Events come from inside sg_h2_feed() and sg_h2_pull() and nowhere else; nothing called from
 * an event may free the connection, feed it or pull from it.
 *
 * Thread: one at a time; its owner's.
 */
struct sg_h2;

/* RFC 9113 §7. */
enum sg_h2_error {
    SG_H2_NO_ERROR = 0x0,
    SG_H2_PROTOCOL_ERROR = 0x1,
    SG_H2_INTERNAL_ERROR = 0x2,
    SG_H2_REFUSED_STREAM = 0x7,
    SG_H2_CANCEL = 0x8,
    SG_H2_ENHANCE_YOUR_CALM = 0xb,
};

/* A header field. `lives` says that name and value live as long as the stream, so that they need
 * not be copied; otherwise they are. */
struct sg_h2_field {
    struct sg_slice name, value;
    bool lives;
};

/*
 * One stream. Lives inside the object of whoever serves or makes it, who clears it before it is
 * opened and keeps it until `closed`. Only `id`, `sent_bytes` and the `is_` flags are for
 * reading.
 */
struct sg_h2_stream {
    struct sg_h2 *h2;
    int32_t id;
    bool is_begun;         /* client: our header block has left */
    bool is_local_ended;   /* our END_STREAM has left */
    bool is_remote_ended;  /* theirs has come */
    bool is_block_last;    /* the header block being told is the end of the stream */
    bool is_closed;        /* `closed` was told, or the stream was never opened */
    bool is_header_over;   /* the header block was larger than the limit; the rest was not told */
    bool is_responded;     /* our header block is under way */
    bool is_ending;        /* sg_h2_end() was called */
    bool is_reset;         /* private: sg_h2_reset() was called */
    bool is_deferred;      /* private: the library waits for sg_h2_flush() */
    bool wants_writable;   /* private */
    bool is_held;          /* private: sg_h2_hold() */
    bool is_writable;      /* private: in the queue of those to be told */
    size_t header_bytes;   /* private */
    size_t unconsumed;     /* private: received and not given back to the connection window */
    size_t held_bytes;     /* private: not given back to the stream's window while held */
    struct sg_buf out;     /* what is to be sent; filled by sg_h2_out() */
    size_t out_at;         /* private: so much of `out` has left */
    uint64_t sent_bytes;   /* of the body, that have left */
    size_t writable_below; /* private */
    const struct sg_h2_field *trailers;
    size_t trailer_count;
    TAILQ_ENTRY(sg_h2_stream) writable_link;
};

/* What a connection tells. `arg` first everywhere. */
struct sg_h2_events {
    void *arg;

    /* The peer opens a stream (servers only): the stream to be used, cleared, or NULL to refuse
     * it in a way that the peer may repeat. */
    struct sg_h2_stream *(*open)(void *arg);
    /* One field of a header block; both slices die when this returns. */
    void (*field)(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                  struct sg_slice value);
    /* The block is complete; later blocks are trailers (or, for a client, follow a 1xx). */
    void (*headers)(void *arg, struct sg_h2_stream *stream);
    /* Bytes of the body, which die when this returns; perhaps none, when it is_end that is told.
     * What the owner keeps of it, it tells with sg_h2_keep(). */
    void (*data)(void *arg, struct sg_h2_stream *stream, struct sg_slice bytes, bool is_end);
    /* As sg_h2_want_writable() asked. */
    void (*writable)(void *arg, struct sg_h2_stream *stream);
    /* Our END_STREAM has left, and theirs has not come. */
    void (*ended)(void *arg, struct sg_h2_stream *stream);
    /* The last event of a stream; nothing refers to it any more. `error` as the peer or we said. */
    void (*closed)(void *arg, struct sg_h2_stream *stream, uint32_t error);

    void (*ping)(void *arg);     /* the peer's PING; it is answered already */
    void (*progress)(void *arg); /* a HEADERS or DATA frame of ours has left */
    void (*goaway)(void *arg, uint32_t error, struct sg_slice debug);
};

/* `limits` are copied; `events` outlive the connection. */
SG_MUST_USE enum sg_rc sg_h2_server_new(const struct sg_h2_limits *limits,
                                        const struct sg_h2_events *events, int64_t now_ns,
                                        struct sg_h2 **ret, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_h2_client_new(const struct sg_h2_limits *limits,
                                        const struct sg_h2_events *events, int64_t now_ns,
                                        struct sg_h2 **ret, struct sg_err *err);
/* Tells nobody: its owner ends what is still open first. */
void sg_h2_free(struct sg_h2 *h2);
SG_DEFINE_AUTO(struct sg_h2, sg_h2_free);

/* Takes what the peer sent. Any other result than SG_OK: pull once more (a GOAWAY), then close. */
SG_MUST_USE enum sg_rc sg_h2_feed(struct sg_h2 *h2, int64_t now_ns, struct sg_slice bytes,
                                  struct sg_err *err);
/* Appends what is to be sent, up to a frame over `max_bytes`. */
SG_MUST_USE enum sg_rc sg_h2_pull(struct sg_h2 *h2, size_t max_bytes, struct sg_buf *out,
                                  struct sg_err *err);
bool sg_h2_wants_pull(const struct sg_h2 *h2);

/* A fatal error was found, by us or in the peer: nothing further will be read. */
bool sg_h2_is_over(const struct sg_h2 *h2);
/* And for what; SG_WHY_OPEN while it is not. */
enum sg_why sg_h2_why(const struct sg_h2 *h2);
/* The second GOAWAY has been queued: no more streams are taken. */
bool sg_h2_is_leaving(const struct sg_h2 *h2);
/* The peer has said that it opens no more streams, or takes none. */
bool sg_h2_is_peer_leaving(const struct sg_h2 *h2);
/* When the first byte of a header block that is not complete came; 0: there is none. */
int64_t sg_h2_header_began(const struct sg_h2 *h2);
/* Bytes received and not yet given back to the connection's window. */
size_t sg_h2_unconsumed(const struct sg_h2 *h2);
/* Bytes that the HTTP/2 library holds now. */
size_t sg_h2_library_memory(const struct sg_h2 *h2);

/* Sends the response's header block; with is_end nothing follows. */
SG_MUST_USE enum sg_rc sg_h2_respond(struct sg_h2_stream *stream, const struct sg_h2_field *fields,
                                     size_t count, bool is_end, struct sg_err *err);
/* Opens a stream with a request that has a body. Errors: SG_E_UNAVAILABLE the connection is going
 * away; SG_E_LIMIT the server allows no more streams now. */
SG_MUST_USE enum sg_rc sg_h2_request(struct sg_h2 *h2, struct sg_h2_stream *stream,
                                     const struct sg_h2_field *fields, size_t count,
                                     struct sg_err *err);
/* Whether the server allows one more stream now, as far as is known. */
bool sg_h2_has_room(const struct sg_h2 *h2);
/* The body's buffer, to be appended to; then call sg_h2_flush(). Sticky failure means the limit. */
struct sg_buf *sg_h2_out(struct sg_h2_stream *stream);
size_t sg_h2_waiting(const struct sg_h2_stream *stream);
void sg_h2_flush(struct sg_h2_stream *stream);
/* One `writable` when no more than `below_bytes` are waiting. */
void sg_h2_want_writable(struct sg_h2_stream *stream, size_t below_bytes);
/* Ends our side after the body, with trailers or without; they must live as long as the stream. */
void sg_h2_end(struct sg_h2_stream *stream, const struct sg_h2_field *trailers, size_t count);
/* RST_STREAM; `closed` follows from a later pull. */
void sg_h2_reset(struct sg_h2_stream *stream, enum sg_h2_error error);
/* The owner gives the stream up: no further event. It should be reset as well. */
void sg_h2_forget(struct sg_h2_stream *stream);
/* Of all that came on this stream, the owner still holds `bytes`. */
void sg_h2_keep(struct sg_h2_stream *stream, size_t bytes);
/* While a stream is held its peer gets no further window for it, so at most what the window still
 * has will come. */
void sg_h2_hold(struct sg_h2_stream *stream, bool is_held);

void sg_h2_ping(struct sg_h2 *h2);
/* GOAWAY for a graceful end. The first (is_notice) names the highest stream there can be and takes
 * streams still; the second names the last one taken and says why. */
void sg_h2_goaway(struct sg_h2 *h2, bool is_notice, const char *debug);
/* GOAWAY with an error, its debug data being `why`; the connection is over once it is pulled. */
void sg_h2_terminate(struct sg_h2 *h2, enum sg_h2_error error, enum sg_why why);

#endif
