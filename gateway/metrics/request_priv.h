#ifndef SG_GATEWAY_METRICS_REQUEST_PRIV_H
#define SG_GATEWAY_METRICS_REQUEST_PRIV_H

#include "base/err.h"
#include "base/slice.h"

/* What the little HTTP server makes of a request, and what it answers. */
enum sg_http_page {
    SG_HTTP_BAD_REQUEST = 0, /* 400: zero asks for nothing */
    SG_HTTP_METRICS,
    SG_HTTP_HEALTH,
    SG_HTTP_NOT_FOUND, /* 404 */
    SG_HTTP_NOT_GET,   /* 405 */
    SG_HTTP_TOO_LARGE, /* 431 */
    SG_HTTP_PAGE_COUNT,
};

enum { SG_HTTP_REQUEST_MAX = 8192 }; /* bytes of the request line and headers */

/*
 * Reads the head of a request (RFC 9112 §2 to §5) and tells what it asks for. Strict: CRLF line
 * ends, one space each, no folded headers, exactly one Host from HTTP/1.1 on, no body.
 * Errors: SG_E_AGAIN, the head is not whole yet.
 */
SG_MUST_USE enum sg_rc sg_http_request_parse(struct sg_slice bytes, enum sg_http_page *ret);

#endif
