#include "gateway/config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* A port in decimal without leading zeros. */
static bool parse_port(const char *text, uint16_t *ret)
{
    unsigned value = 0;
    size_t len = strlen(text);
    if (len < 1 || len > 5 || (len > 1 && text[0] == '0'))
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = 10 * value + (unsigned)(*text - '0');
    }
    *ret = (uint16_t)value;
    return value <= UINT16_MAX;
}

enum sg_rc sg_address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len,
                            struct sg_err *err)
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    uint16_t port = 0;
    bool is_v6 = text[0] == '[';
    const char *start = is_v6 ? text + 1 : text;
    const char *end = strstr(start, is_v6 ? "]:" : ":");

    if (end == NULL || (size_t)(end - start) >= sizeof(host) ||
        !parse_port(end + (is_v6 ? 2 : 1), &port))
        goto refuse;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';

    if (is_v6 && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        v6.sin6_port = htons(port);
        memset(ret, 0, sizeof(*ret));
        memcpy(ret, &v6, sizeof(v6));
        *ret_len = sizeof(v6);
        return SG_OK;
    }
    if (!is_v6 && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_port = htons(port);
        memset(ret, 0, sizeof(*ret));
        memcpy(ret, &v4, sizeof(v4));
        *ret_len = sizeof(v4);
        return SG_OK;
    }
refuse:
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "\"%.64s\" is no address to listen on: it must be as 127.0.0.1:8443 or "
                   "[::1]:8443",
                   text);
}
