#include "gateway/metrics/request_priv.h"

/* tchar of RFC 9110 §5.6.2. */
static bool is_token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct sg_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char(text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

/* Cuts off what is before `c`, and `c`. False: there is none. */
static bool take_until(struct sg_slice *in, char c, struct sg_slice *ret)
{
    const uint8_t *at = in->len == 0 ? NULL : memchr(in->ptr, c, in->len);
    if (at == NULL)
        return false;
    *ret = sg_slice_take(in, (size_t)(at - in->ptr));
    (void)sg_slice_take(in, 1);
    return true;
}

/* Cuts off a line that ends in CRLF. False: a bare LF, or a CR elsewhere (RFC 9112 §2.2). */
static bool take_line(struct sg_slice *in, struct sg_slice *ret)
{
    if (!take_until(in, '\n', ret) || ret->len == 0 || ret->ptr[ret->len - 1] != '\r')
        return false;
    ret->len--;
    return ret->len == 0 || memchr(ret->ptr, '\r', ret->len) == NULL;
}

static bool name_is(struct sg_slice name, const char *lower)
{
    if (name.len != strlen(lower))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c - 'A' + 'a');
        if (c != (uint8_t)lower[i])
            return false;
    }
    return true;
}

/* field-name ":" OWS field-value OWS (RFC 9112 §5); no space before the colon, no folding. */
static bool check_header(struct sg_slice line, size_t *hosts)
{
    struct sg_slice name;
    if (!take_until(&line, ':', &name) || !is_token(name))
        return false;
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return false;
    }
    *hosts += name_is(name, "host");
    /* A body would have to be read to tell where the request ends, and nothing here takes one. */
    return !name_is(name, "content-length") && !name_is(name, "transfer-encoding");
}

/* GET SP /path SP HTTP/1.1 */
static bool parse_line(struct sg_slice line, struct sg_slice *method, struct sg_slice *target,
                       bool *wants_host)
{
    if (!take_until(&line, ' ', method) || !is_token(*method) || !take_until(&line, ' ', target) ||
        target->len == 0)
        return false;
    for (size_t i = 0; i < target->len; i++) {
        if (target->ptr[i] <= 0x20 || target->ptr[i] >= 0x7f)
            return false;
    }
    *wants_host = sg_slice_is(line, "HTTP/1.1");
    return *wants_host || sg_slice_is(line, "HTTP/1.0");
}

static enum sg_http_page page_of(struct sg_slice method, struct sg_slice target)
{
    struct sg_slice path;
    if (!take_until(&target, '?', &path)) /* a query means nothing here */
        path = target;
    bool is_metrics = sg_slice_is(path, "/metrics");
    if (!is_metrics && !sg_slice_is(path, "/healthz"))
        return SG_HTTP_NOT_FOUND;
    if (!sg_slice_is(method, "GET"))
        return SG_HTTP_NOT_GET;
    return is_metrics ? SG_HTTP_METRICS : SG_HTTP_HEALTH;
}

/* The head up to and with its empty line; NULL is not whole. */
static const uint8_t *find_end(struct sg_slice bytes)
{
    return bytes.len == 0 ? NULL : memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
}

enum sg_rc sg_http_request_parse(struct sg_slice bytes, enum sg_http_page *ret)
{
    struct sg_slice line, method, target;
    bool wants_host = false;
    size_t hosts = 0;
    const uint8_t *end = find_end(bytes);

    if (end == NULL || (size_t)(end - bytes.ptr) + 4 > SG_HTTP_REQUEST_MAX) {
        if (bytes.len < SG_HTTP_REQUEST_MAX)
            return SG_E_AGAIN;
        *ret = SG_HTTP_TOO_LARGE;
        return SG_OK;
    }
    struct sg_slice head = sg_slice_of(bytes.ptr, (size_t)(end - bytes.ptr) + 2);
    *ret = SG_HTTP_BAD_REQUEST;
    if (!take_line(&head, &line) || !parse_line(line, &method, &target, &wants_host))
        return SG_OK;
    while (head.len > 0) {
        if (!take_line(&head, &line) || !check_header(line, &hosts))
            return SG_OK;
    }
    if (hosts > 1 || (wants_host && hosts != 1))
        return SG_OK;
    *ret = page_of(method, target);
    return SG_OK;
}
