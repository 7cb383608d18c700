#ifndef SG_PROTO_GRPC_CORS_H
#define SG_PROTO_GRPC_CORS_H

#include "base/slice.h"

/*
 * Which pages may call (fetch.spec.whatwg.org, "CORS protocol"): an allow-list of origins. Off when
 * `origins` is NULL or empty. There is no "*": what a page may do is decided by the certificate
 * that the browser sends along, so every origin that may use it is named.
 */
struct sg_cors {
    const char *origins; /* "https://a.example https://b.example:8443", by spaces */
    const char *headers; /* further fields that requests may have, by commas; NULL or "": none */
};

/* Whether a page of this origin may call. Compared byte by byte, as browsers write it. */
bool sg_cors_allows(const struct sg_cors *cors, struct sg_slice origin);

static inline bool sg_cors_is_on(const struct sg_cors *cors)
{
    return cors->origins != NULL && cors->origins[0] != '\0';
}

#endif
