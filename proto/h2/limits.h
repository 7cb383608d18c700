#ifndef SG_PROTO_H2_LIMITS_H
#define SG_PROTO_H2_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* What one peer may take of us. Set by whoever makes the connection; counts and bytes. */
struct sg_h2_limits {
    uint32_t streams_max;      /* SETTINGS_MAX_CONCURRENT_STREAMS; 0 for a client */
    size_t header_bytes_max;   /* one header block: names + values + 32 each (RFC 9113 §6.5.2) */
    size_t connection_window;  /* receive window of the connection, bytes, below 2^31 */
    size_t stream_window;      /* SETTINGS_INITIAL_WINDOW_SIZE, bytes, below 2^31 */
    size_t send_bytes_max;     /* waiting to be sent on one stream */
    size_t library_memory_max; /* what the HTTP/2 library may hold for the connection */
};

/*
 * What no peer in good faith comes near, so nobody configures it. Rates are token buckets: a
 * burst, and so many a second.
 */
enum {
    /* CONTINUATION frames in one header block (CVE-2024-28182). */
    SG_H2_CONTINUATIONS_MAX = 8,
    /* Entries in one SETTINGS frame. */
    SG_H2_SETTINGS_MAX = 32,
    /* PING and SETTINGS acknowledgements waiting for a peer that does not read. */
    SG_H2_ACKS_MAX = 100,
    /* RST_STREAM from the peer: rapid reset (CVE-2023-44487). */
    SG_H2_PEER_RESETS_BURST = 500,
    SG_H2_PEER_RESETS_RATE = 50,
    /* RST_STREAM that the peer makes us send (CVE-2025-8671); those that we chose do not count. */
    SG_H2_OWN_RESETS_BURST = 100,
    SG_H2_OWN_RESETS_RATE = 10,
    /* Frames that carry nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA.
     * Each DATA frame sent gives back SG_H2_GLITCHES_PER_DATA, since it is a fair reason for some.
     */
    SG_H2_GLITCHES_BURST = 1000,
    SG_H2_GLITCHES_RATE = 500,
    SG_H2_GLITCHES_PER_DATA = 2,
};

#endif
