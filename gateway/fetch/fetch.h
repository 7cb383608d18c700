#ifndef SG_GATEWAY_FETCH_FETCH_H
#define SG_GATEWAY_FETCH_FETCH_H

#include "base/buf.h"
#include "base/clock.h"
#include "gateway/config/url.h"

/* A server that an operator has configured. The files are read for each request, so that
 * certificates may be replaced under it. */
struct sg_fetch {
    struct sg_url url;
    const char *ca_file;              /* PEM: whom to believe */
    const char *cert_file, *key_file; /* PEM: ours; NULL: none is shown */
};

/* Bounds of one request. */
struct sg_fetch_bounds {
    const struct sg_clock *clock;
    int64_t until_ns; /* monotonic */
    int cancel_fd;    /* readable: stop at once; -1: none */
    size_t body_bytes_max;
};

/*
 * POSTs `body` to the server's path with `path` behind it, and appends what it answers to
 * `ret_body`, whatever the status.
 *
 * Blocks: until the time is over, or it is cancelled; but for finding an address by its name, which
 * the C library may take its own time for. Thread: any.
 * Errors: SG_E_UNAVAILABLE, no address, no connection, or it broke; SG_E_TIMEOUT;
 * SG_E_UNAUTHENTICATED, the server is not who it should be; SG_E_INVALID, it speaks no TLS or HTTP,
 * or a file cannot be used; SG_E_LIMIT, its answer is too long.
 */
SG_MUST_USE enum sg_rc sg_fetch_post(const struct sg_fetch *fetch, const char *path,
                                     struct sg_slice body, const struct sg_fetch_bounds *bounds,
                                     unsigned *ret_status, struct sg_buf *ret_body,
                                     struct sg_err *err);

#endif
