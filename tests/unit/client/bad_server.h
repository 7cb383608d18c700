#ifndef SG_TESTS_CLIENT_BAD_SERVER_H
#define SG_TESTS_CLIENT_BAD_SERVER_H

#include <stdatomic.h>

#include "client/include/sealgate.h"
#include "tests/support/h2_frames.h"

/*
 * A server of health checks for tests of the client: real sockets and real TLS, and HTTP/2 whose
 * frames a script writes by hand, as wrong as it likes. Each connection has a thread of its own.
 */
struct bad_conn {
    struct bad_server *server;
    unsigned number;   /* from 1, in the order of coming */
    uint32_t held[32]; /* streams that the script answers when it is `quiet` */
    size_t held_count;
    struct sg_buf out; /* what a script appends leaves when it returns */
    bool wants_close;  /* and then the socket is closed */
};

struct bad_script {
    /* The connection begins; NULL: empty SETTINGS. */
    void (*greet)(struct bad_conn *conn);
    /* A request has come whole. */
    void (*answer)(struct bad_conn *conn, uint32_t stream);
    /* Nothing has come for a while; may be NULL. */
    void (*quiet)(struct bad_conn *conn);
};

struct bad_server {
    char endpoint[32], ca_file[256], cert_file[256], key_file[256];
    _Atomic(const struct bad_script *) script; /* of what comes from now on */
    atomic_uint connections, calls, pings_acked;
    atomic_uint held_max; /* streams of one connection held at once */
};

/* SERVING, as it should be. */
extern const struct bad_script bad_script_good;

/* Aborts when it cannot. */
struct bad_server *bad_server_start(const struct bad_script *script);
void bad_server_stop(struct bad_server *server);
/* Options for a client of it; they borrow from the server. */
struct sealgate_options bad_server_options(const struct bad_server *server);

#endif
