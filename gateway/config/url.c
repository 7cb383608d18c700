#include "gateway/config/url.h"

#include <stdio.h>
#include <string.h>

static const char scheme[] = "https://";

static enum sg_rc no_url(const char *text, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "\"%.80s\" is no address as https://witness.example:8445/path", text);
}

/* Copies `len` bytes if they fit. */
static bool take(char *room, size_t cap, const char *from, size_t len)
{
    if (len >= cap)
        return false;
    memcpy(room, from, len);
    room[len] = '\0';
    return true;
}

static bool is_host(const char *host)
{
    return host[0] != '\0' && host[strspn(host, "abcdefghijklmnopqrstuvwxyz"
                                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] == '\0';
}

static bool is_address6(const char *host)
{
    return host[0] != '\0' && host[strspn(host, "0123456789abcdefABCDEF:.")] == '\0';
}

static bool is_port(const char *port)
{
    const size_t len = strspn(port, "0123456789");
    return len > 0 && len <= 5 && port[len] == '\0' && port[0] != '0';
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static bool split(struct sg_url *url)
{
    const char *at = url->authority, *colon;

    if (at[0] == '[') {
        const char *end = strchr(at, ']');
        if (end == NULL || !take(url->host, sizeof(url->host), at + 1, (size_t)(end - at - 1)) ||
            !is_address6(url->host) || (end[1] != '\0' && end[1] != ':'))
            return false;
        colon = end[1] == ':' ? end + 1 : NULL;
    } else {
        colon = strchr(at, ':');
        if (!take(url->host, sizeof(url->host), at,
                  colon == NULL ? strlen(at) : (size_t)(colon - at)) ||
            !is_host(url->host))
            return false;
    }
    if (colon == NULL)
        return take(url->port, sizeof(url->port), "443", 3);
    return is_port(colon + 1) && take(url->port, sizeof(url->port), colon + 1, strlen(colon + 1));
}

enum sg_rc sg_url_parse(const char *text, struct sg_url *ret, struct sg_err *err)
{
    struct sg_url url = {0};

    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return no_url(text, err);
    const char *authority = text + sizeof(scheme) - 1;
    const size_t len = strcspn(authority, "/");
    const char *path = authority + len;
    size_t path_len = strlen(path);
    while (path_len > 0 && path[path_len - 1] == '/')
        path_len--;
    if (!take(url.authority, sizeof(url.authority), authority, len) || !split(&url) ||
        !take(url.path, sizeof(url.path), path, path_len))
        return no_url(text, err);
    for (size_t i = 0; i < path_len; i++)
        if (path[i] <= ' ' || path[i] >= 0x7f || path[i] == '?' || path[i] == '#')
            return no_url(text, err);
    *ret = url;
    return SG_OK;
}
