#ifndef SG_TESTS_SUPPORT_TLS_PAIR_H
#define SG_TESTS_SUPPORT_TLS_PAIR_H

#include "proto/tls/tls.h"

/* Two ends of a connection in memory. */
struct sg_tls_pair {
    struct sg_tls_conn *client, *server; /* owned */
    struct sg_buf to_client, to_server;  /* plain bytes that have arrived */
    enum sg_rc client_rc, server_rc;     /* the first failure of each */
    struct sg_err client_err, server_err;
};

/* The contexts are borrowed; aborts on failure. `wall_ns` is the client's time. */
void sg_tls_pair_init(struct sg_tls_pair *pair, struct sg_tls_ctx *client,
                      struct sg_tls_ctx *server, const char *server_name, int64_t wall_ns);
void sg_tls_pair_done(struct sg_tls_pair *pair);

/* Carries bytes to and fro, `chunk` at a time (0: all there is), until nothing more comes or
 * both have failed. */
void sg_tls_pair_pump(struct sg_tls_pair *pair, size_t chunk);

#endif
