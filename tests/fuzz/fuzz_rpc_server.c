#include <stdlib.h>

#include "base/clock.h"
#include "proto/grpc/call_priv.h"
#include "tests/support/rpc_echo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sg_rpc_limits limits = {
    .message_bytes_max = 20000,
    .call_bytes_max = 20000,
    .send_bytes_max = 20000,
    .header_bytes_max = 4096,
    .streams_max = 20,
    .connection_bytes_max = 40000,
    .deadline_ns_max = 60 * SG_NS_PER_S,
    .header_ns_max = 5 * SG_NS_PER_S,
    .idle_ns_max = 300 * SG_NS_PER_S,
    .age_grace_ns = 60 * SG_NS_PER_S,
    .ping_interval_ns = 7200 * SG_NS_PER_S,
    .ping_timeout_ns = 20 * SG_NS_PER_S,
    .client_ping_ns_min = 300 * SG_NS_PER_S,
    .cors = {"https://a", "x"},
    .stall_ns_max = 30 * SG_NS_PER_S,
    .flood = SG_H2_FLOOD_DEFAULT,
};

static bool pull(struct sg_rpc_server *server)
{
    struct sg_buf out;
    sg_buf_init(&out, 1 << 24);
    bool ok = sg_rpc_server_pull(server, 65536, &out, NULL) == SG_OK;
    sg_buf_done(&out);
    return ok;
}

/*
 * The first byte says how many bytes come at once, the second what happens in between: 1 nothing
 * is read from us, 2 time passes, 4 calls are answered later, 8 we drain, 16 paused calls go
 * on. The rest follows the client's preface.
 *
 * Properties: every call that begun accepted is closed exactly once and in order (the echo handler
 * aborts otherwise); what is held stays within the limits; the next time to tick is never past.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t step = data[0] == 0 ? size : data[0];
    unsigned what = data[1];
    struct sg_slice rest = {data + 2, size - 2};
    int64_t now_ns = SG_NS_PER_S;
    struct echo echo;
    struct sg_rpc_server *server;

    echo_init(&echo);
    if (sg_rpc_server_new(&limits, &echo_methods, &echo.handler, NULL, now_ns, &server, NULL) !=
        SG_OK)
        abort();
    bool ok = sg_rpc_server_feed(server, now_ns,
                                 SG_SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
                                 NULL) == SG_OK;
    while (ok && rest.len > 0) {
        struct sg_slice chunk = sg_slice_take(&rest, step < rest.len ? step : rest.len);
        ok = sg_rpc_server_feed(server, now_ns, chunk, NULL) == SG_OK;
        if (sg_h2_unconsumed(server->h2) > server->held_max + chunk.len + 65536)
            abort();
        if (ok && (what & 4) != 0 && echo.later != NULL)
            echo_answer_later(&echo);
        if (ok && (what & 16) != 0 && echo.paused != NULL) {
            struct sg_call *paused = echo.paused;
            echo.paused = NULL;
            sg_call_resume(paused);
        }
        if (ok && (what & 1) == 0)
            ok = pull(server);
        if (ok && (what & 2) != 0) {
            now_ns += 400 * SG_NS_PER_MS;
            ok = sg_rpc_server_tick(server, now_ns, NULL) == SG_OK;
            if (ok && sg_rpc_server_due(server) <= now_ns)
                abort();
        }
        if ((what & 8) != 0 && rest.len < size / 2)
            sg_rpc_server_drain(server);
    }
    pull(server);
    (void)sg_rpc_server_is_done(server);
    sg_rpc_server_free(server);
    if (echo.begun != echo.closed)
        abort();
    return 0;
}
