#include "proto/h2/why.h"

static const char *const names[SG_WHY_COUNT] = {
    [SG_WHY_OPEN] = "open",
    [SG_WHY_CLIENT] = "client",
    [SG_WHY_IDLE] = "idle",
    [SG_WHY_AGE] = "age",
    [SG_WHY_SHUTDOWN] = "shutdown",
    [SG_WHY_FULL] = "full",
    [SG_WHY_ADDRESS] = "address",
    [SG_WHY_PROXY] = "proxy_header",
    [SG_WHY_HANDSHAKE] = "handshake",
    [SG_WHY_CERTIFICATE] = "certificate",
    [SG_WHY_SLOW_HANDSHAKE] = "slow_handshake",
    [SG_WHY_TLS] = "tls",
    [SG_WHY_KEY_UPDATES] = "key_updates",
    [SG_WHY_SLOW_HEADERS] = "slow_headers",
    [SG_WHY_STALLED] = "stalled",
    [SG_WHY_SILENT] = "silent",
    [SG_WHY_PROTOCOL] = "protocol",
    [SG_WHY_CONTINUATIONS] = "continuations",
    [SG_WHY_HEADERS] = "headers",
    [SG_WHY_RESETS] = "resets",
    [SG_WHY_STREAM_ERRORS] = "stream_errors",
    [SG_WHY_GLITCHES] = "glitches",
    [SG_WHY_SETTINGS] = "settings",
    [SG_WHY_PINGS] = "too_many_pings", /* as gRFC A8 has it in the GOAWAY */
    [SG_WHY_ACKS] = "acks",
    [SG_WHY_EMPTY_BYTES] = "empty_bytes",
    [SG_WHY_MEMORY] = "memory",
};

const char *sg_why_name(enum sg_why why)
{
    return (unsigned)why < SG_WHY_COUNT ? names[why] : "open";
}
