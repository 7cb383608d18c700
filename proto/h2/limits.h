#ifndef SG_PROTO_H2_LIMITS_H
#define SG_PROTO_H2_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* A token bucket: so many at once, and so many a second. */
struct sg_h2_rate {
    uint32_t burst, per_s;
};

/* What one peer may take of us. Set by whoever makes the connection; counts and bytes. */
struct sg_h2_limits {
    uint32_t streams_max;      /* SETTINGS_MAX_CONCURRENT_STREAMS; 0 for a client */
    size_t header_bytes_max;   /* one header block: names + values + 32 each (RFC 9113 §6.5.2) */
    size_t connection_window;  /* receive window of the connection, bytes, below 2^31 */
    size_t stream_window;      /* SETTINGS_INITIAL_WINDOW_SIZE, bytes, below 2^31 */
    size_t send_bytes_max;     /* waiting to be sent on one stream */
    size_t library_memory_max; /* what the HTTP/2 library may hold for the connection */

    /* What no peer in good faith comes near; SG_H2_FLOOD_DEFAULT has the usual values. */
    struct sg_h2_flood {
        uint32_t continuations_max;      /* frames in one header block (CVE-2024-28182) */
        struct sg_h2_rate resets;        /* RST_STREAM from the peer (CVE-2023-44487) */
        struct sg_h2_rate stream_errors; /* RST_STREAM that it makes us send (CVE-2025-8671);
                                            those that we chose do not count */
        /* Frames that carry nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty
         * DATA. A DATA frame sent gives some back, since it is a fair reason for them. */
        struct sg_h2_rate glitches;
        struct sg_h2_rate empty_bytes; /* that bring no call further; one that is brought further
                                          makes the burst whole again */
        uint32_t settings_max;         /* entries in one SETTINGS frame */
        uint32_t acks_max; /* acknowledgements of PING and SETTINGS waiting for a peer that does
                              not read */
    } flood;
};

/* clang-format off */
#define SG_H2_FLOOD_DEFAULT {                                                                      \
    .continuations_max = 8,                                                                        \
    .resets = {.burst = 500, .per_s = 50},                                                         \
    .stream_errors = {.burst = 100, .per_s = 10},                                                  \
    .glitches = {.burst = 1000, .per_s = 500},                                                     \
    .empty_bytes = {.burst = 1 << 20, .per_s = 4096},                                              \
    .settings_max = 32,                                                                            \
    .acks_max = 100,                                                                               \
}
/* clang-format on */

/* Of no use to anybody but an attacker in another size, so nobody configures them. */
enum {
    /* Given back for each DATA frame sent. */
    SG_H2_GLITCHES_PER_DATA = 2,
    /* What a header block over its limit counts as; beyond so many times the limit it is an
     * attack on the decompressor (HPACK bomb). */
    SG_H2_GLITCHES_PER_HEADERS = 10,
    SG_H2_HEADERS_FACTOR_MAX = 4,
};

#endif
