#include <stdio.h>

#include "proto/grpc/call_priv.h"

/* What HTTP says beside the protocols: refusals of what is no call, and what browsers ask. */

struct sg_h2_field *sg_call_put_cors(struct sg_h2_field *to, const struct sg_call *call)
{
    if (!sg_cors_is_on(&call->server->limits.cors))
        return to;
    *to++ = (struct sg_h2_field){SG_SLICE("vary"), SG_SLICE("origin"), true};
    if (call->origin.len == 0)
        return to;
    *to++ = (struct sg_h2_field){SG_SLICE("access-control-allow-origin"), call->origin, true};
    /* A client certificate is a credential to a browser, and it is who the caller is. */
    *to++ =
        (struct sg_h2_field){SG_SLICE("access-control-allow-credentials"), SG_SLICE("true"), true};
    *to++ = (struct sg_h2_field){SG_SLICE("access-control-expose-headers"),
                                 SG_SLICE("grpc-status, grpc-message, grpc-status-details-bin, "
                                          "grpc-accept-encoding, accept-encoding, "
                                          "connect-accept-encoding, www-authenticate"),
                                 true};
    return to;
}

static void respond_alone(struct sg_call *call, const struct sg_h2_field *fields, size_t count)
{
    call->is_finished = true;
    if (sg_h2_respond(&call->stream, fields, count, true, NULL) != SG_OK)
        sg_h2_reset(&call->stream, SG_H2_INTERNAL_ERROR);
}

void sg_call_respond_http(struct sg_call *call, const char *status)
{
    struct sg_h2_field fields[2 + SG_CORS_FIELDS_MAX], *to = fields;
    *to++ = (struct sg_h2_field){SG_SLICE(":status"), sg_slice_str(status), true};
    /* What would be right: RFC 9110 §15.5.6, and of 415 as Connect has it. */
    if (strcmp(status, "405") == 0)
        *to++ = (struct sg_h2_field){
            SG_SLICE("allow"), sg_call_may_be_get(call) ? SG_SLICE("GET, POST") : SG_SLICE("POST"),
            true};
    else if (strcmp(status, "415") == 0)
        *to++ = (struct sg_h2_field){SG_SLICE("accept-post"), sg_codec_types(), true};
    to = sg_call_put_cors(to, call);
    respond_alone(call, fields, (size_t)(to - fields));
}

/* The fields that a request of any protocol may have, and those that the operator adds. */
static struct sg_slice allowed_headers(struct sg_call *call)
{
    static const char own[] = "content-type, connect-protocol-version, connect-timeout-ms, "
                              "connect-content-encoding, connect-accept-encoding, "
                              "content-encoding, grpc-timeout, grpc-encoding, "
                              "grpc-accept-encoding, x-grpc-web, x-user-agent, authorization";
    const char *more = call->server->limits.cors.headers;
    if (more == NULL || more[0] == '\0')
        return sg_slice_str(own);
    size_t len = sizeof(own) + 2 + strlen(more);
    char *all = sg_arena_alloc(&call->arena, len);
    if (all == NULL)
        return sg_slice_str(own);
    return sg_slice_of(all, (size_t)snprintf(all, len, "%s, %s", own, more));
}

void sg_call_respond_preflight(struct sg_call *call)
{
    struct sg_slice method =
        sg_metadata_find(&call->request, SG_SLICE("access-control-request-method"));
    const bool is_allowed =
        call->origin.len > 0 && (sg_slice_is(method, "POST") || sg_slice_is(method, "GET"));
    const struct sg_h2_field fields[] = {
        {SG_SLICE(":status"), is_allowed ? SG_SLICE("204") : SG_SLICE("403"), true},
        {SG_SLICE("vary"),
         SG_SLICE("origin, access-control-request-method, access-control-request-headers"), true},
        {SG_SLICE("access-control-allow-origin"), call->origin, true},
        {SG_SLICE("access-control-allow-credentials"), SG_SLICE("true"), true},
        {SG_SLICE("access-control-allow-methods"), SG_SLICE("GET, POST"), true},
        {SG_SLICE("access-control-allow-headers"), allowed_headers(call), true},
        {SG_SLICE("access-control-max-age"), SG_SLICE("7200"), true},
    };
    respond_alone(call, fields, is_allowed ? SG_COUNT(fields) : 2);
}
