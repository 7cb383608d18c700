/*
 * CPU time of one unary RPC through our client and our server, without TLS and sockets: `depth`
 * calls are under way, their bytes handed over in bulk as a loop would. The request has 62 bytes
 * and the answer 94, as a signature has. Prints nanoseconds for both ends together, and for the
 * server's share.
 *
 *     bench_wire [calls [depth]]
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "proto/grpc/client.h"
#include "proto/grpc/server.h"

static const struct sg_method methods[] = {
    {.id = 1, .path = "/bench.Bench/Ping", .service = "bench.Bench", .name = "Ping"},
};
static const struct sg_method_table table = {.methods = methods, .count = SG_COUNT(methods)};

static const uint8_t request[62], response[94];

static enum sg_rc begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    (void)arg, (void)call, (void)err;
    return SG_OK;
}

static void answer(void *arg, struct sg_call *call, struct sg_slice message)
{
    (void)arg, (void)message;
    bool full;
    if (sg_call_send(call, sg_slice_of(response, sizeof(response)), &full, NULL) != SG_OK)
        abort();
    sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
}

static void nothing(void *arg, struct sg_call *call)
{
    (void)arg, (void)call;
}

static void describe(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details)
{
    (void)arg, (void)call, (void)err, (void)details;
}

static const struct sg_call_handler handler = {
    .begin = begin,
    .message = answer,
    .half_close = nothing,
    .writable = nothing,
    .closed = nothing,
    .describe = describe,
};

static size_t answered;

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    (void)arg, (void)call;
    if (message.len != sizeof(response))
        abort();
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)arg, (void)call, (void)outcome;
    if (status->code != SG_GRPC_OK)
        abort();
    answered++;
}

static const struct sg_rpc_client_events events = {.message = on_message, .done = on_done};

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * SG_NS_PER_S + now.tv_nsec;
}

static void ask(struct sg_rpc_client *client, int64_t now_ns)
{
    struct sg_rpc_client_call *call;
    if (sg_rpc_client_start(client, methods[0].path, now_ns, now_ns + SG_NS_PER_S, NULL, 0, &events,
                            &call, NULL) != SG_OK ||
        sg_rpc_client_send(call, sg_slice_of(request, sizeof(request)), true, NULL) != SG_OK)
        abort();
}

/* Returns the server's share of the time. */
static int64_t run(struct sg_rpc_client *client, struct sg_rpc_server *server, size_t calls,
                   size_t depth, struct sg_buf *bytes)
{
    int64_t now_ns = SG_NS_PER_S, server_ns = 0;
    size_t asked = 0;
    answered = 0;
    while (answered < calls) {
        while (asked < calls && asked - answered < depth) {
            ask(client, now_ns);
            asked++;
        }
        sg_buf_clear(bytes);
        if (sg_rpc_client_pull(client, 65536, bytes, NULL) != SG_OK)
            abort();

        int64_t start_ns = cpu_ns();
        if (sg_rpc_server_feed(server, now_ns, sg_buf_slice(bytes), NULL) != SG_OK)
            abort();
        sg_buf_clear(bytes);
        if (sg_rpc_server_pull(server, 65536, bytes, NULL) != SG_OK)
            abort();
        server_ns += cpu_ns() - start_ns;

        if (sg_rpc_client_feed(client, now_ns, sg_buf_slice(bytes), NULL) != SG_OK)
            abort();
    }
    return server_ns;
}

int main(int argc, char **argv)
{
    size_t calls = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
    size_t depth = argc > 2 ? strtoul(argv[2], NULL, 10) : 32;
    struct sg_rpc_client *client;
    struct sg_rpc_server *server;
    struct sg_buf bytes;
    sg_buf_init(&bytes, 1 << 20);
    if (calls == 0 || depth == 0 || depth > 100 ||
        sg_rpc_client_new(&sg_rpc_client_limits_default, "bench", "bench/1", SG_NS_PER_S, &client,
                          NULL) != SG_OK ||
        sg_rpc_server_new(&sg_rpc_limits_default, &table, &handler, NULL, SG_NS_PER_S, &server,
                          NULL) != SG_OK)
        return 1;

    run(client, server, calls / 10 + 1, depth, &bytes); /* warm */
    int64_t start_ns = cpu_ns();
    int64_t server_ns = run(client, server, calls, depth, &bytes);
    int64_t total_ns = cpu_ns() - start_ns;
    printf("wire calls=%zu depth=%zu both_ns=%.0f server_ns=%.0f\n", calls, depth,
           (double)total_ns / (double)calls, (double)server_ns / (double)calls);

    sg_rpc_client_free(client);
    sg_rpc_server_free(server);
    sg_buf_done(&bytes);
    return 0;
}
