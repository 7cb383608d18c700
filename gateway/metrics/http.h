#ifndef SG_GATEWAY_METRICS_HTTP_H
#define SG_GATEWAY_METRICS_HTTP_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/loop.h"

/*
 * The little HTTP server that Prometheus and health checks ask: GET /metrics, GET /healthz, one
 * request a connection. On a port of its own and without TLS: it tells numbers and names of the
 * configuration and takes no input but a request line, so it belongs on a private address.
 *
 * Bounded whatever comes: 16 connections (more wait in the kernel), 8 KiB of request, five seconds
 * to send it and five to take the answer.
 */
struct sg_metrics_http;

struct sg_metrics_http_options {
    int listener; /* a listening socket; it is closed with the server */
    void *arg;
    void (*fill)(void *arg, struct sg_buf *out); /* appends the page */
    bool (*is_healthy)(void *arg);               /* 200 "ok", or 503 "not ok" */
};

/* Begins to accept. The listener belongs to the server from here on, on failure too. */
SG_MUST_USE enum sg_rc sg_metrics_http_new(struct sg_loop *loop,
                                           const struct sg_metrics_http_options *options,
                                           struct sg_metrics_http **ret, struct sg_err *err);
/* Closes every connection at once. */
void sg_metrics_http_free(struct sg_metrics_http *http);
SG_DEFINE_AUTO(struct sg_metrics_http, sg_metrics_http_free);

#endif
