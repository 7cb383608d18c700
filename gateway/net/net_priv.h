#ifndef SG_GATEWAY_NET_NET_PRIV_H
#define SG_GATEWAY_NET_NET_PRIV_H

#include <sys/queue.h>

#include "base/log_limit.h"
#include "gateway/net/handshake.h"
#include "gateway/net/net.h"
#include "gateway/net/proxied.h"
#include "gateway/net/sources.h"

enum {
    READ_BYTES = 65536,                   /* one read, and one turn of one connection */
    KEPT_BYTES = 65536,                   /* of all of them, between two steps of a turn */
    PLAIN_BYTES_MAX = READ_BYTES + 16384, /* what sg_tls_feed() wants beside it */
    PULL_BYTES = 65536,                   /* HTTP/2 frames that become one write */
    OUT_BYTES_MAX = 262144,               /* encrypted and not yet taken by the socket */
    OUT_BYTES_HIGH = 131072,              /* no more is pulled while this much waits */
};

_Static_assert(KEPT_BYTES <= READ_BYTES, "what is kept has to fit as plain bytes too");

enum sg_net_phase { SG_NET_SERVING = 0, SG_NET_NOTICED, SG_NET_DRAINING };

struct sg_conn;

struct sg_net {
    struct sg_loop *loop;
    struct sg_net_options options;
    const struct sg_method_table *methods;
    const struct sg_call_handler *handler;
    struct sg_tls_ctx *tls;
    struct sg_handshakes handshakes;
    struct sg_watch watch;        /* the listener; fd -1: none */
    struct sg_timer accept_pause; /* no descriptors left: try again later */
    enum sg_net_phase phase;

    struct sg_proxies proxies;
    struct sg_sources sources;
    struct sg_conn *conns;
    size_t conn_count;
    uint64_t next_id; /* from a random number on: not those of the process before us */
    struct sg_log_limit failures;
    struct sg_net_totals totals;

    /* Who has something for the stage, and the hook of all of them. */
    TAILQ_HEAD(, sg_conn) inputs, outputs;
    struct sg_hook input, output;
    /* What they have there, one behind the other: as read (`read_len` bytes, at most KEPT_BYTES),
     * as decrypted, and what is to be encrypted. */
    uint8_t read_bytes[KEPT_BYTES + READ_BYTES];
    size_t read_len;
    struct sg_buf plain, pulled;
};

/* Takes the descriptor and the place among its source's: both are given back on failure too.
 * Without a place it is a proxy's, which has yet to say whose it is. */
void sg_conn_open(struct sg_net *net, int fd, const struct sockaddr_storage *address,
                  struct sg_source *source);
void sg_conn_free(struct sg_conn *conn);
/* The hooks; the argument is the net. */
void sg_conns_on_input(void *net);
void sg_conns_on_output(void *net);
struct sg_conn *sg_conn_next(struct sg_conn *conn);
void sg_conn_drain_notice(struct sg_conn *conn);
void sg_conn_drain(struct sg_conn *conn);

#endif
