#include "client/lib/endpoint.h"

static bool is_host_char(uint8_t c, bool in_brackets)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    if (in_brackets) /* an address, and the zone of a link-local one (RFC 6874) */
        return c == ':' || c == '.' || c == '%' || c == '-' || c == '_';
    return c == '.' || c == '-' || c == '_';
}

/* Digits, without leading zeros, 1 to 65535. */
static bool port_parse(struct sg_slice text, char *out)
{
    unsigned port = 0;

    if (text.len == 0 || text.len > 5 || text.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (port > 65535)
        return false;
    (void)snprintf(out, 6, "%u", port);
    return true;
}

enum sg_rc sg_endpoint_parse(struct sg_slice text, struct sg_endpoint *ret, struct sg_err *err)
{
    struct sg_endpoint endpoint = {.port = SG_STR(8443)};
    bool in_brackets = text.len > 0 && text.ptr[0] == '[';
    size_t len = 0;

    _Static_assert(SG_ENDPOINT_PORT_DEFAULT == 8443, "the initialiser above says the same");
    if (in_brackets)
        (void)sg_slice_take(&text, 1);
    while (len < text.len && is_host_char(text.ptr[len], in_brackets))
        len++;
    if (len == 0 || len >= sizeof(endpoint.host))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not read the endpoint: no host name in it");
    memcpy(endpoint.host, text.ptr, len);
    (void)sg_slice_take(&text, len);

    if (in_brackets) {
        if (text.len == 0 || text.ptr[0] != ']' || strchr(endpoint.host, ':') == NULL)
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not read the endpoint: no IPv6 address in the brackets");
        (void)sg_slice_take(&text, 1);
    }
    if (text.len > 0) {
        if (text.ptr[0] != ':')
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not read the endpoint: it is not written host:port");
        (void)sg_slice_take(&text, 1);
        if (!port_parse(text, endpoint.port))
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "could not read the endpoint: the port is not 1 to 65535");
    }
    *ret = endpoint;
    return SG_OK;
}

void sg_endpoint_print(const struct sg_endpoint *endpoint, char *out, size_t room)
{
    bool is_ipv6 = strchr(endpoint->host, ':') != NULL;

    (void)snprintf(out, room, "%s%s%s:%s", is_ipv6 ? "[" : "", endpoint->host, is_ipv6 ? "]" : "",
                   endpoint->port);
}
