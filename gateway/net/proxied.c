#include "gateway/net/proxied.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

enum sg_rc sg_proxies_init(struct sg_proxies *proxies, const char *networks, struct sg_err *err)
{
    struct sg_slice list = sg_slice_str(networks == NULL ? "" : networks);
    struct sg_network network;
    enum sg_rc rc;

    *proxies = (struct sg_proxies){0};
    while ((rc = sg_network_take(&list, &network, err)) == SG_OK) {
        struct sg_network *more =
            reallocarray(proxies->networks, proxies->count + 1, sizeof(*more));
        if (more == NULL) {
            rc = SG_FAIL(err, SG_E_INTERNAL, 0, "could not keep the proxies' networks: no memory");
            break;
        }
        more[proxies->count++] = network;
        proxies->networks = more;
    }
    if (rc == SG_E_NOT_FOUND)
        return SG_OK;
    sg_proxies_done(proxies);
    return rc;
}

void sg_proxies_done(struct sg_proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct sg_proxies){0};
}

bool sg_proxies_have(const struct sg_proxies *proxies, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < proxies->count; i++)
        if (sg_network_has(&proxies->networks[i], address))
            return true;
    return false;
}

static void set_address(struct sockaddr_storage *address, const struct sg_proxy *proxy)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(proxy->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(proxy->port)};

    memset(address, 0, sizeof(*address));
    memcpy(&v4.sin_addr, proxy->address, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, proxy->address, sizeof(v6.sin6_addr));
    if (proxy->is_v6)
        memcpy(address, &v6, sizeof(v6));
    else
        memcpy(address, &v4, sizeof(v4));
}

enum sg_rc sg_proxied_read(struct sg_proxied *proxied, int fd, struct sockaddr_storage *address,
                           struct sg_err *err)
{
    struct sg_proxy proxy;
    size_t need = 0;
    enum sg_rc rc;

    while ((rc = sg_proxy_parse(sg_slice_of(proxied->bytes, proxied->len), &proxy, &need, err)) ==
           SG_E_AGAIN) {
        ssize_t len = recv(fd, proxied->bytes + proxied->len, need - proxied->len, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return SG_E_AGAIN;
        if (len <= 0)
            return SG_FAIL(err, SG_E_UNAVAILABLE, 0, "the proxy closed the connection");
        proxied->len += (size_t)len;
    }
    if (rc == SG_OK && !proxy.is_local)
        set_address(address, &proxy);
    return rc;
}
