#ifndef SG_PROTO_H2_WHY_H
#define SG_PROTO_H2_WHY_H

/*
 * Why a connection ended: one list for all that can end one, so that a metric has one label for
 * it. The order is that of sg_why_name()'s table and of nothing else.
 */
enum sg_why {
    SG_WHY_OPEN = 0, /* it has not ended */

    SG_WHY_CLIENT, /* the client closed it, or the socket broke */
    SG_WHY_IDLE,
    SG_WHY_AGE,
    SG_WHY_SHUTDOWN,

    SG_WHY_FULL,    /* as many are open as may be */
    SG_WHY_ADDRESS, /* as many of its address are open as may be */

    SG_WHY_PROXY,     /* a proxy that is trusted did not say whose it is */
    SG_WHY_HANDSHAKE, /* no TLS as we want it */
    SG_WHY_CERTIFICATE,
    SG_WHY_SLOW_HANDSHAKE,
    SG_WHY_TLS,         /* broken after the handshake */
    SG_WHY_KEY_UPDATES, /* negotiating without end after the handshake */

    SG_WHY_SLOW_HEADERS,
    SG_WHY_STALLED, /* takes nothing of what waits for it */
    SG_WHY_SILENT,  /* does not answer a ping */

    SG_WHY_PROTOCOL,
    SG_WHY_CONTINUATIONS, /* too many frames to a header block */
    SG_WHY_HEADERS,       /* a header block far over its limit */
    SG_WHY_RESETS,        /* RST_STREAM by the client: rapid reset, CVE-2023-44487 */
    SG_WHY_STREAM_ERRORS, /* RST_STREAM that it makes us send: CVE-2025-8671 */
    SG_WHY_GLITCHES,      /* frames that carry nothing */
    SG_WHY_SETTINGS,      /* too many entries in one SETTINGS frame */
    SG_WHY_PINGS,         /* more often than gRFC A8 allows */
    SG_WHY_ACKS,          /* does not read what it made us acknowledge */
    SG_WHY_EMPTY_BYTES,   /* bytes that bring no call further */
    SG_WHY_MEMORY,        /* more than the HTTP/2 library may hold for it, or none left */
    SG_WHY_COUNT,
};

/* For logs and metrics: "slow_handshake". Static storage. */
const char *sg_why_name(enum sg_why why);

#endif
