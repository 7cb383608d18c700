#ifndef SG_GATEWAY_NET_SOURCES_H
#define SG_GATEWAY_NET_SOURCES_H

#include <sys/socket.h>

#include "base/err.h"

/*
 * How many connections each source address has. A source is an IPv4 address, or the /64 of an
 * IPv6 address, which is what one host is given. Takes memory for sources that are connected.
 */
struct sg_sources {
    void *tree; /* of struct sg_source, for tsearch() */
};
struct sg_source;

/* One more of this address. Errors: SG_E_LIMIT, it has `max`; SG_E_INTERNAL, no memory. */
SG_MUST_USE enum sg_rc sg_sources_enter(struct sg_sources *sources,
                                        const struct sockaddr_storage *address, size_t max,
                                        struct sg_source **ret, struct sg_err *err);
/* One less; NULL: none. */
void sg_sources_leave(struct sg_sources *sources, struct sg_source *source);

#endif
