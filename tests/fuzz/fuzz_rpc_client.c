#include <stdlib.h>

#include "base/clock.h"
#include "proto/grpc/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 3, MESSAGE_MAX = 20000 };

struct seen {
    unsigned done;
    struct sg_rpc_client_call *call;
};

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    const struct seen *seen = arg;
    uint8_t sum = 0;
    if (seen->done != 0 || seen->call != call || message.len > MESSAGE_MAX)
        abort();
    for (size_t i = 0; i < message.len; i++)
        sum ^= message.ptr[i]; /* so that a sanitizer looks at each */
    if (sum == 0x5A)
        sg_rpc_client_cancel(call);
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct seen *seen = arg;
    if (seen->call != call || seen->done++ != 0)
        abort();
    if (status->code == SG_GRPC_OK && outcome != SG_RPC_ANSWERED)
        abort();
    if (status->code > SG_GRPC_UNAUTHENTICATED)
        abort();
}

static bool pull(struct sg_rpc_client *client)
{
    struct sg_buf out;
    sg_buf_init(&out, 1 << 24);
    bool ok = sg_rpc_client_pull(client, 65536, &out, NULL) == SG_OK;
    sg_buf_done(&out);
    return ok;
}

/*
 * The first byte says how many bytes come at once; the rest is what the server sends to a client
 * with three calls under way. Properties: each call is done exactly once and says nothing after;
 * OK is never made up: the server has said it.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = data[0] == 0 ? size : data[0];
    struct sg_slice rest = {data + 1, size - 1};
    struct sg_rpc_client_limits limits = sg_rpc_client_limits_default;
    struct sg_rpc_client *client;
    struct seen seen[CALLS] = {0};
    int64_t now_ns = SG_NS_PER_S;

    limits.message_bytes_max = MESSAGE_MAX;
    if (sg_rpc_client_new(&limits, "fuzz", "fuzz/1", now_ns, &client, NULL) != SG_OK)
        abort();
    for (size_t i = 0; i < CALLS; i++) {
        struct sg_rpc_client_events events = {
            .arg = &seen[i], .message = on_message, .done = on_done};
        int64_t deadline_ns = i == 0 ? 0 : now_ns + (int64_t)i * SG_NS_PER_S;
        if (sg_rpc_client_start(client, "/a/b", now_ns, deadline_ns, NULL, 0, &events,
                                &seen[i].call, NULL) != SG_OK ||
            sg_rpc_client_send(seen[i].call, SG_SLICE("hello"), i != 1, NULL) != SG_OK)
            abort();
    }

    bool ok = pull(client);
    while (ok && rest.len > 0) {
        struct sg_slice chunk = sg_slice_take(&rest, step < rest.len ? step : rest.len);
        ok = sg_rpc_client_feed(client, now_ns, chunk, NULL) == SG_OK && pull(client);
        now_ns += 10 * SG_NS_PER_MS;
        ok = ok && sg_rpc_client_tick(client, now_ns, NULL) == SG_OK;
    }
    sg_rpc_client_free(client);
    for (size_t i = 0; i < CALLS; i++)
        if (seen[i].done != 1)
            abort();
    return 0;
}
