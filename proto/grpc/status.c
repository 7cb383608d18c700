#include "proto/grpc/status.h"

/* No default on purpose: -Wswitch-enum -Werror makes a new class choose its status. */
enum sg_grpc_code sg_grpc_code_of(enum sg_rc rc)
{
    switch (rc) {
    case SG_OK:
        return SG_GRPC_OK;
    case SG_E_INVALID:
        return SG_GRPC_INVALID_ARGUMENT;
    case SG_E_UNAUTHENTICATED:
        return SG_GRPC_UNAUTHENTICATED;
    case SG_E_DENIED:
        return SG_GRPC_PERMISSION_DENIED;
    case SG_E_NOT_FOUND:
        return SG_GRPC_NOT_FOUND;
    case SG_E_CONFLICT:
        return SG_GRPC_FAILED_PRECONDITION;
    case SG_E_LIMIT:
        return SG_GRPC_RESOURCE_EXHAUSTED;
    case SG_E_TIMEOUT:
        return SG_GRPC_DEADLINE_EXCEEDED;
    case SG_E_UNSUPPORTED:
        return SG_GRPC_UNIMPLEMENTED;
    case SG_E_UNAVAILABLE:
        return SG_GRPC_UNAVAILABLE;
    case SG_E_AGAIN: /* never leaves the parser that returned it */
    case SG_E_INTERNAL:
        break;
    }
    return SG_GRPC_INTERNAL;
}

const char *sg_grpc_code_name(enum sg_grpc_code code)
{
    static const char *const names[] = {
        [SG_GRPC_OK] = "OK",
        [SG_GRPC_CANCELLED] = "CANCELLED",
        [SG_GRPC_UNKNOWN] = "UNKNOWN",
        [SG_GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [SG_GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [SG_GRPC_NOT_FOUND] = "NOT_FOUND",
        [SG_GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [SG_GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [SG_GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [SG_GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [SG_GRPC_ABORTED] = "ABORTED",
        [SG_GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [SG_GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [SG_GRPC_INTERNAL] = "INTERNAL",
        [SG_GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [SG_GRPC_DATA_LOSS] = "DATA_LOSS",
        [SG_GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return (size_t)code < SG_COUNT(names) ? names[code] : names[SG_GRPC_UNKNOWN];
}

/* HTTP/2 error codes (RFC 9113 §7) by number; the map is PROTOCOL-HTTP2.md, "Errors". */
enum sg_grpc_code sg_grpc_code_of_h2(uint32_t error)
{
    static const enum sg_grpc_code codes[] = {
        [0x0] = SG_GRPC_INTERNAL,           /* NO_ERROR: the stream ended without a status */
        [0x1] = SG_GRPC_INTERNAL,           /* PROTOCOL_ERROR */
        [0x2] = SG_GRPC_INTERNAL,           /* INTERNAL_ERROR */
        [0x3] = SG_GRPC_INTERNAL,           /* FLOW_CONTROL_ERROR */
        [0x4] = SG_GRPC_INTERNAL,           /* SETTINGS_TIMEOUT */
        [0x5] = SG_GRPC_UNKNOWN,            /* STREAM_CLOSED: the map names none */
        [0x6] = SG_GRPC_INTERNAL,           /* FRAME_SIZE_ERROR */
        [0x7] = SG_GRPC_UNAVAILABLE,        /* REFUSED_STREAM: never processed, safe to repeat */
        [0x8] = SG_GRPC_CANCELLED,          /* CANCEL */
        [0x9] = SG_GRPC_INTERNAL,           /* COMPRESSION_ERROR */
        [0xa] = SG_GRPC_INTERNAL,           /* CONNECT_ERROR */
        [0xb] = SG_GRPC_RESOURCE_EXHAUSTED, /* ENHANCE_YOUR_CALM */
        [0xc] = SG_GRPC_PERMISSION_DENIED,  /* INADEQUATE_SECURITY */
    };
    return error < SG_COUNT(codes) ? codes[error] : SG_GRPC_UNKNOWN;
}

/* http-grpc-status-mapping.md. */
enum sg_grpc_code sg_grpc_code_of_http(int status)
{
    switch (status) {
    case 400:
        return SG_GRPC_INTERNAL;
    case 401:
        return SG_GRPC_UNAUTHENTICATED;
    case 403:
        return SG_GRPC_PERMISSION_DENIED;
    case 404:
        return SG_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return SG_GRPC_UNAVAILABLE;
    default:
        return SG_GRPC_UNKNOWN;
    }
}
