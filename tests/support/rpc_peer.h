#ifndef SG_TESTS_SUPPORT_RPC_PEER_H
#define SG_TESTS_SUPPORT_RPC_PEER_H

#include "base/buf.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_echo.h"

/*
 * A scripted HTTP/2 client for a server under test: it says what it is told, right or wrong, and
 * keeps what comes back. Made of the HTTP/2 library itself, so that it shares no code with ours.
 */
struct nghttp2_session;

struct peer_answer {
    int32_t id;
    bool is_closed;
    uint32_t error;  /* RST_STREAM's, when closed by one */
    bool is_end;     /* END_STREAM came */
    unsigned blocks; /* header blocks that came */
    unsigned data_frames, empty_data_frames;
    struct sg_buf text; /* "name: value\n" of all blocks, with "\n" after each block */
    struct sg_buf body;
    /* The request's body, still to be sent. */
    struct sg_slice out;
    bool is_out_open;  /* more may be added */
    bool has_trailers; /* ends with a header block */
};

enum { PEER_CALLS_MAX = 300 };

struct peer {
    struct nghttp2_session *session;
    struct sg_rpc_server *server;
    struct echo echo;
    int64_t now_ns;
    size_t step;    /* bytes per feed; 0: all at once */
    bool is_failed; /* feed or pull or tick said that the connection is over */
    enum sg_rc rc;  /* with this */
    uint32_t goaway_error;
    unsigned goaways, pings_acked, pings;
    int32_t goaway_last;
    char goaway_debug[64];
    size_t received_bytes;
    bool does_not_read; /* what the server sends is kept from the library */
    struct peer_answer answers[PEER_CALLS_MAX];
    size_t count;
};

/* A server with these limits (NULL: the default ones) and a client that has greeted it. */
void peer_start(struct peer *peer, const struct sg_rpc_limits *limits, size_t step);
/* Every call that was begun has been closed, or this aborts. */
void peer_stop(struct peer *peer);

struct peer_request {
    const char *method, *path, *content_type; /* NULL: POST, and the usual type; "": none */
    const char *extra[8];                     /* name, value, name, value ... */
    struct sg_slice body;                     /* raw: with the prefixes */
    bool is_open;                             /* do not end the stream behind the body */
    bool is_headers_only;                     /* END_STREAM on the HEADERS frame */
    bool has_trailers; /* ends with a header block that says "grpc-status: 9" */
};

struct peer_answer *peer_request(struct peer *peer, struct peer_request request);
/* More body for a request that is_open. */
void peer_more(struct peer *peer, struct peer_answer *answer, struct sg_slice body, bool is_end);
void peer_reset(struct peer *peer, struct peer_answer *answer, uint32_t error);
void peer_ping(struct peer *peer);
/* Pulls from the server without telling the client's library, which may no longer listen; GOAWAYs
 * are counted all the same. */
void peer_pull(struct peer *peer);
/* Bytes of the script's own making, behind what the library has sent. */
void peer_raw(struct peer *peer, struct sg_slice bytes);
/* Exchanges bytes until both are quiet. */
void peer_run(struct peer *peer);
/* Time passes; then as above. */
void peer_wait(struct peer *peer, int64_t ns);

/* Whether the answer's fields hold this "name: value". */
bool peer_has(const struct peer_answer *answer, const char *line);
/* The first message of the body. */
struct sg_slice peer_message(const struct peer_answer *answer);
/* "\0\0\0\0\5hello", in memory that lives until peer_stop; for bodies made on the fly. */
struct sg_slice peer_frame(struct sg_buf *storage, struct sg_slice message);

#endif
