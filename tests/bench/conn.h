#ifndef SG_TESTS_BENCH_CONN_H
#define SG_TESTS_BENCH_CONN_H

#include "base/loop.h"
#include "proto/grpc/client.h"
#include "proto/tls/tls.h"

/*
 * Connections of the load programs: our own client on sockets and TLS, many on one loop. Whatever
 * goes wrong ends the program.
 */
enum { BENCH_READ_BYTES = 65536 };

struct bench_conns {
    struct sg_loop *loop;
    struct sg_tls_ctx *tls;
    uint16_t port;
    bool is_http1;
    uint8_t read_bytes[BENCH_READ_BYTES]; /* of whichever is being worked on */
    struct sg_buf plain, pulled;
};

struct bench_conn {
    struct bench_conns *all;
    struct sg_watch watch;
    struct sg_hook flush;
    struct sg_tls_conn *tls;
    struct sg_rpc_client *client; /* NULL until the handshake is over, and with HTTP/1.1 */
    bool is_ready;
    /* The handshake is over; may be NULL. */
    void (*ready)(struct bench_conn *conn);
    /* Before what there is leaves: start calls; may be NULL. */
    void (*fill)(struct bench_conn *conn);
    /* Behind that: all that there is to say is the kernel's; may be NULL. */
    void (*sent)(struct bench_conn *conn);
    /* With HTTP/1.1: what came. What is said is given to `tls`. */
    void (*text)(struct bench_conn *conn, struct sg_slice text);
};

void bench_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void bench_must(enum sg_rc rc, const struct sg_err *err);

/* Makes a loop, and reads CLIENT.pem, CLIENT.key and ca.pem of `pki`. */
void bench_conns_init(struct bench_conns *all, const char *pki, const char *client, uint16_t port);
/* The same for connections of HTTP/1.1, whose requests are their owner's to write. */
void bench_conns_init_http1(struct bench_conns *all, const char *pki, const char *client,
                            uint16_t port);
/* From 127.0.0.`host`. `conn` has its functions set, and nothing else. */
void bench_conn_open(struct bench_conns *all, struct bench_conn *conn, unsigned host);
/* Only the socket: what else it has goes with the process. */
void bench_conn_close(struct bench_conn *conn);

#endif
