#ifndef SG_TESTS_CLIENT_SCRIPT_H
#define SG_TESTS_CLIENT_SCRIPT_H

#include <stdatomic.h>

#include "proto/grpc/call.h"

/* What the test server answers: the table in server.h. */

/* The server's `connection` of every call. */
struct script_connection {
    atomic_uint *calls; /* begun, over all connections */
    bool wants_close;   /* close without a word, now */
    bool wants_cut;     /* the same behind what was answered */
    bool wants_drain;   /* GOAWAY behind what was answered */
};

extern const struct sg_call_handler script_handler;

#endif
