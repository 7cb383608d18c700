#ifndef SG_TESTS_SUPPORT_HTTPS_SCRIPT_H
#define SG_TESTS_SUPPORT_HTTPS_SCRIPT_H

#include <stdatomic.h>

#include "base/buf.h"

/*
 * A server for tests of what we fetch: a real socket and real TLS at 127.0.0.1, and answers that
 * are written by hand, as wrong as one likes. One connection after the other, on a thread of its
 * own; each is for one request.
 */
struct https_script;

/* What becomes of a connection before anything is asked. */
enum https_script_begin {
    HTTPS_SERVES = 0,
    HTTPS_MUTE, /* it is taken, and nothing is said */
    HTTPS_CLOSES,
    HTTPS_CLEAR, /* the answer comes without any TLS */
    HTTPS_STOPS, /* and is closed when the handshake is over */
};

enum https_script_end {
    HTTPS_SAYS_END = 0, /* TLS's own end, and then the socket's */
    HTTPS_CUTS,         /* the socket's alone */
    HTTPS_HANGS,        /* neither, until the client goes */
};

struct https_script_answer {
    struct sg_buf bytes; /* of HTTP, whole; to be appended to */
    enum https_script_end end;
    size_t piece;      /* so many bytes in a TLS record; 0: all */
    unsigned pause_ms; /* behind each */
};

/* `request` is the whole of it, head and body. On the server's thread. */
typedef void (*https_script_fn)(void *arg, struct sg_slice request,
                                struct https_script_answer *ret);

/* Whom the server shows itself as. */
enum https_script_id {
    HTTPS_AS_ITSELF = 0,
    HTTPS_OTHER_NAME,
    HTTPS_OTHER_CA,
    HTTPS_EXPIRED,
    HTTPS_IDS,
};

/* Aborts when it cannot. */
struct https_script *https_script_start(https_script_fn fn, void *arg);
void https_script_stop(struct https_script *script);

/* "https://127.0.0.1:PORT"; lives as long as the script. */
const char *https_script_url(const struct https_script *script);
const char *https_script_ca_file(const struct https_script *script);
/* Connections from now on. */
void https_script_set(struct https_script *script, enum https_script_begin begin,
                      enum https_script_id id);
unsigned https_script_connections(const struct https_script *script);

#endif
