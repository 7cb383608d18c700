#ifndef SG_GATEWAY_NET_PROXIED_H
#define SG_GATEWAY_NET_PROXIED_H

#include <sys/socket.h>

#include "gateway/config/address.h"
#include "proto/proxy/proxy.h"

/* Connections that come through a proxy: which do, and reading the header that says whose they are.
 */
struct sg_proxies {
    struct sg_network *networks; /* owned */
    size_t count;
};

/* Reads the list of the option. */
SG_MUST_USE enum sg_rc sg_proxies_init(struct sg_proxies *proxies, const char *networks,
                                       struct sg_err *err);
void sg_proxies_done(struct sg_proxies *proxies);
bool sg_proxies_have(const struct sg_proxies *proxies, const struct sockaddr_storage *address);

/* The header of one connection while it is being read. */
struct sg_proxied {
    size_t len;
    uint8_t bytes[SG_PROXY_LEN_MAX];
};

/*
 * Reads from the socket what belongs to the header and not a byte of what follows. On SG_OK it has
 * written whose the connection is over *address, which stays what it is for a connection of the
 * proxy's own.
 *
 * Errors: SG_E_AGAIN        there will be more
 *         SG_E_UNAVAILABLE  the proxy has gone
 *         others            as sg_proxy_parse()
 */
SG_MUST_USE enum sg_rc sg_proxied_read(struct sg_proxied *proxied, int fd,
                                       struct sockaddr_storage *address, struct sg_err *err);

#endif
