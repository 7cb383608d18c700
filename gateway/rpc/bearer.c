#include "gateway/rpc/bearer.h"

#include <strings.h>

static bool is_token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~+/", c) != NULL);
}

enum sg_rc sg_bearer_parse(struct sg_slice header, struct sg_slice *ret_token, struct sg_err *err)
{
    static const char scheme[] = "bearer ";
    const size_t scheme_len = sizeof(scheme) - 1;

    if (header.len < scheme_len || strncasecmp((const char *)header.ptr, scheme, scheme_len) != 0)
        return SG_REFUSE(err, SG_R_BEARER_REQUIRED, "the authorization is no bearer token");
    (void)sg_slice_take(&header, scheme_len);
    while (header.len > 0 && header.ptr[0] == ' ')
        (void)sg_slice_take(&header, 1);
    if (header.len == 0)
        return SG_REFUSE(err, SG_R_BEARER_REQUIRED, "the authorization has no token");
    if (header.len < SG_BEARER_LEN_MIN || header.len > SG_BEARER_LEN_MAX)
        return SG_REFUSE(err, SG_R_BEARER_UNKNOWN, "a bearer token has %d to %d characters",
                         SG_BEARER_LEN_MIN, SG_BEARER_LEN_MAX);

    size_t len = 0;
    while (len < header.len && is_token_char(header.ptr[len]))
        len++;
    size_t end = len;
    while (end < header.len && header.ptr[end] == '=')
        end++;
    if (len == 0 || end != header.len)
        return SG_REFUSE(err, SG_R_BEARER_UNKNOWN, "the bearer token has a character of no token");
    *ret_token = header;
    return SG_OK;
}
