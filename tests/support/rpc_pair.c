#include "tests/support/rpc_pair.h"

#include <stdlib.h>

#include "base/clock.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: client and server saw: not %s\n", SG_WHERE, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

void pair_start(struct pair *pair, const struct sg_rpc_limits *limits,
                const struct sg_rpc_client_limits *client_limits, size_t step)
{
    *pair = (struct pair){.now_ns = 1000 * SG_NS_PER_S, .step = step};
    echo_init(&pair->echo);
    REQUIRE(sg_rpc_server_new(limits == NULL ? &sg_rpc_limits_default : limits, &echo_methods,
                              &pair->echo.handler, pair, pair->now_ns, &pair->server,
                              NULL) == SG_OK);
    REQUIRE(sg_rpc_client_new(client_limits == NULL ? &sg_rpc_client_limits_default : client_limits,
                              "test.example", "pair/1", pair->now_ns, &pair->client,
                              NULL) == SG_OK);
    pair_run(pair);
}

void pair_stop(struct pair *pair)
{
    sg_rpc_client_free(pair->client);
    sg_rpc_server_free(pair->server);
    REQUIRE(pair->echo.begun == pair->echo.closed);
}

static bool to_server(struct pair *pair, struct sg_buf *bytes)
{
    SG_IGNORE(sg_rpc_client_pull(pair->client, 65536, bytes, NULL));
    struct sg_slice rest = sg_buf_slice(bytes);
    while (rest.len > 0 && !pair->server_failed && !pair->is_cut) {
        size_t n = pair->step == 0 || pair->step > rest.len ? rest.len : pair->step;
        pair->server_failed =
            sg_rpc_server_feed(pair->server, pair->now_ns, sg_slice_take(&rest, n), NULL) != SG_OK;
    }
    return bytes->len > 0;
}

static bool to_client(struct pair *pair, struct sg_buf *bytes)
{
    SG_IGNORE(sg_rpc_server_pull(pair->server, 65536, bytes, NULL));
    struct sg_slice rest = sg_buf_slice(bytes);
    while (rest.len > 0 && !pair->client_failed && !pair->is_cut) {
        size_t n = pair->step == 0 || pair->step > rest.len ? rest.len : pair->step;
        pair->client_failed =
            sg_rpc_client_feed(pair->client, pair->now_ns, sg_slice_take(&rest, n), NULL) != SG_OK;
    }
    return bytes->len > 0;
}

void pair_run(struct pair *pair)
{
    bool moved = true;
    struct sg_buf bytes;
    sg_buf_init(&bytes, 1 << 20);
    while (moved) {
        sg_buf_clear(&bytes);
        moved = to_server(pair, &bytes);
        sg_buf_clear(&bytes);
        moved |= to_client(pair, &bytes);
    }
    sg_buf_done(&bytes);
}

void pair_wait(struct pair *pair, int64_t ns)
{
    pair->now_ns += ns;
    pair->client_failed |= sg_rpc_client_tick(pair->client, pair->now_ns, NULL) != SG_OK;
    pair->server_failed |= sg_rpc_server_tick(pair->server, pair->now_ns, NULL) != SG_OK;
    pair_run(pair);
}

static void on_message(void *arg, struct sg_rpc_client_call *rpc, struct sg_slice message)
{
    struct pair_call *call = arg;
    REQUIRE(call->done == 0 && call->call == rpc);
    call->messages++;
    sg_buf_add_slice(&call->body, message);
}

static void on_writable(void *arg, struct sg_rpc_client_call *rpc)
{
    struct pair_call *call = arg;
    REQUIRE(call->done == 0 && call->call == rpc);
    call->writables++;
}

static void on_done(void *arg, struct sg_rpc_client_call *rpc, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct pair_call *call = arg;
    REQUIRE(call->call == rpc);
    call->done++;
    call->code = status->code;
    call->outcome = outcome;
    sg_buf_add_slice(&call->message, status->message);
    sg_buf_add_slice(&call->details, status->details);
    call->call = NULL;
}

enum sg_rc pair_begin(struct pair *pair, struct pair_call *call, const char *path,
                      int64_t timeout_ns)
{
    *call = (struct pair_call){0};
    sg_buf_init(&call->body, 64 << 20);
    sg_buf_init(&call->message, 1 << 20);
    sg_buf_init(&call->details, 1 << 20);
    struct sg_rpc_client_events events = {
        .arg = call, .message = on_message, .writable = on_writable, .done = on_done};
    return sg_rpc_client_start(pair->client, path, pair->now_ns,
                               timeout_ns == 0 ? 0 : pair->now_ns + timeout_ns, NULL, 0, &events,
                               &call->call, NULL);
}

void pair_ask(struct pair *pair, struct pair_call *call, const char *path, struct sg_slice message)
{
    REQUIRE(pair_begin(pair, call, path, 0) == SG_OK);
    REQUIRE(sg_rpc_client_send(call->call, message, true, NULL) == SG_OK);
}

void pair_call_done(struct pair_call *call)
{
    REQUIRE(call->done == 1);
    sg_buf_done(&call->body);
    sg_buf_done(&call->message);
    sg_buf_done(&call->details);
}
