#ifndef SG_TESTS_CLIENT_SERVER_H
#define SG_TESTS_CLIENT_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "client/include/sealgate_audit.h"

/*
 * A gateway for tests of the client: real sockets, real TLS with client certificates, our own
 * HTTP/2, in a thread of its own; what it answers is scripted by the name of the key:
 *
 *   keys/ok             a "signature": the content, its bytes turned around
 *   keys/token          the same, and key_version is the `authorization` header
 *   keys/bad-crc        the same with a wrong CRC-32C
 *   keys/not-checked    the same without verified_content_crc32c
 *   keys/empty          OK without a signature
 *   keys/denied         KEY_NOT_FOUND with every detail there is
 *   keys/bare           INTERNAL without details
 *   keys/garbage        OK with bytes that are no message
 *   keys/none           OK without a message
 *   keys/twice          two messages
 *   keys/huge           a signature of 8 MiB
 *   keys/hang           no answer, ever
 *   keys/close          the connection is closed without a word
 *   keys/drain          an answer, and GOAWAY with it
 *   keys/ids            as keys/ok, and key_version is the request_id
 *   keys/ids-close      the same for the server's third call; before, as keys/close
 *   keys/ids-busy       the same for the server's third call; before, UNAVAILABLE and RetryInfo
 *   keys/ids-refused    the same without a request_id; with one, FIELD_NOT_SERVED
 *
 * and as an AuditService by the name of the log: audit_script.h.
 */
struct test_server {
    char endpoint[32]; /* "127.0.0.1:port" */
    char ca_file[256], cert_file[256], key_file[256], other_cert_file[256], other_key_file[256];

    /* Set before the calls they are for. */
    atomic_uint refuse;  /* so many connections go away when their first call comes: UNPROCESSED */
    atomic_uint cut;     /* so many connections are closed as soon as they are accepted */
    atomic_bool mute;    /* takes connections and says nothing */
    atomic_bool is_mute; /* it does: what comes from now on is not read */
    /* So many calls are answered with REFUSED_STREAM by a connection that stays open; it is good
     * for nothing but what was under way on it then. */
    atomic_uint refuse_streams;
    /* Closes everything and listens no more, as if killed; until it is false again. */
    atomic_bool down;
    atomic_bool is_down; /* it has */

    atomic_uint connections, calls; /* accepted; begun */
};

/* Aborts when it cannot. */
struct test_server *test_server_start(void);
/* One more, with the certificates of the first, which is stopped last. */
struct test_server *test_server_start_beside(const struct test_server *first);
void test_server_stop(struct test_server *server);

/* Kills it, or brings it back at the same port; returns when that is done. */
void test_server_set_down(struct test_server *server, bool is_down);

/* Options for a client of it, which makes no request ids of its own: most tests count the calls.
 * They borrow from the server. */
struct sealgate_options test_server_options(const struct test_server *server);

#endif
