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

/* Networks --------------------------------------------------------------------------------------
 */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* One digit or more, without a leading zero. */
static bool parse_bits(struct sg_slice text, unsigned max, unsigned *ret)
{
    unsigned value = 0;
    if (text.len < 1 || text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = 10 * value + (unsigned)(text.ptr[i] - '0');
    }
    *ret = value;
    return value <= max;
}

static bool prefix_is(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    const unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool ends_in_zeros(const struct sg_network *network)
{
    for (unsigned bit = network->bits; bit < 128; bit++)
        if ((network->address[bit / 8] & 0x80 >> bit % 8) != 0)
            return false;
    return true;
}

static bool parse_network(struct sg_slice text, struct sg_network *ret)
{
    char host[INET6_ADDRSTRLEN];
    const uint8_t *slash = memchr(text.ptr, '/', text.len);
    const size_t host_len = slash == NULL ? text.len : (size_t)(slash - text.ptr);
    struct sg_network network = {.bits = 128};
    unsigned bits = 0;

    if (host_len >= sizeof(host))
        return false;
    memcpy(host, text.ptr, host_len);
    host[host_len] = '\0';
    const bool is_v4 = strchr(host, ':') == NULL;
    memcpy(network.address, mapped, sizeof(mapped));
    if (inet_pton(is_v4 ? AF_INET : AF_INET6, host,
                  is_v4 ? network.address + sizeof(mapped) : network.address) != 1)
        return false;
    if (slash != NULL) {
        (void)sg_slice_take(&text, host_len + 1);
        if (!parse_bits(text, is_v4 ? 32 : 128, &bits))
            return false;
        network.bits = is_v4 ? bits + 96 : bits;
    }
    if (!ends_in_zeros(&network))
        return false;
    *ret = network;
    return true;
}

enum sg_rc sg_network_take(struct sg_slice *list, struct sg_network *ret, struct sg_err *err)
{
    size_t len = 0;
    while (list->len > 0 && list->ptr[0] == ' ')
        (void)sg_slice_take(list, 1);
    if (list->len == 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "there is no other network");
    while (len < list->len && list->ptr[len] != ' ')
        len++;
    struct sg_slice text = sg_slice_take(list, len);
    if (!parse_network(text, ret))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "\"%.*s\" is no network: it must be as 192.0.2.0/24 or 2001:db8::/32, "
                       "with zeros behind the prefix",
                       (int)(text.len < 64 ? text.len : 64), (const char *)text.ptr);
    return SG_OK;
}

bool sg_network_has(const struct sg_network *network, const struct sockaddr_storage *address)
{
    uint8_t bytes[16];
    if (address->ss_family == AF_INET) {
        memcpy(bytes, mapped, sizeof(mapped));
        memcpy(bytes + sizeof(mapped), &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, sizeof(bytes));
    } else {
        return false;
    }
    return prefix_is(network->address, bytes, network->bits);
}
