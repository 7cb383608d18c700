#ifndef SG_GATEWAY_NET_HANDSHAKE_H
#define SG_GATEWAY_NET_HANDSHAKE_H

#include <sys/queue.h>
#include <sys/types.h>

#include "gateway/service/crypto.h"
#include "proto/tls/tls.h"

/*
 * TLS handshakes on the crypto threads. One costs as much as a thousand calls, so on the loop ten
 * thousand clients that reconnect at once would stop every call for seconds; and on the threads
 * without a bound they would stop the verification of signatures.
 *
 * A handshake is made in steps: a step takes what the client has sent so far. At most `max` steps
 * are under way; connections that wait for one hold no buffer, and nothing is read from them.
 */
struct sg_conn;
struct sg_handshake_step;

struct sg_handshakes {
    struct sg_crypto *crypto;
    size_t max, running;
    TAILQ_HEAD(, sg_handshake) waiting;
    LIST_HEAD(, sg_handshake_step) steps; /* under way */
};

/* One connection's; inside of it, cleared before. */
struct sg_handshake {
    struct sg_conn *conn;
    bool is_waiting;
    struct sg_handshake_step *step; /* under way */
    TAILQ_ENTRY(sg_handshake) link;
};

void sg_handshakes_init(struct sg_handshakes *all, struct sg_crypto *crypto, size_t max);
/* All connections are gone; steps still under way end by themselves. */
void sg_handshakes_done(struct sg_handshakes *all);

/* The client has sent something. Calls conn.c's two functions below, now or later. */
void sg_handshake_want(struct sg_handshakes *all, struct sg_handshake *handshake);
/* The connection goes; what a thread still has is freed when it comes back. */
void sg_handshake_abandon(struct sg_handshakes *all, struct sg_handshake *handshake);
bool sg_handshake_is_under_way(const struct sg_handshake *handshake);

/* conn.c: reads up to `max` bytes, and with them lends its TLS. As recv(): nothing is lent for a
 * result of 0 and less. */
ssize_t sg_conn_handshake_begin(struct sg_conn *conn, uint8_t *bytes, size_t max,
                                struct sg_tls_conn **ret_tls);
/* conn.c: takes its TLS back (NULL: it was not lent), with what came of it: `plain`, or when it
 * failed `err`, which is NULL otherwise. */
void sg_conn_handshake_end(struct sg_conn *conn, struct sg_tls_conn *tls, struct sg_slice plain,
                           const struct sg_err *err);

#endif
