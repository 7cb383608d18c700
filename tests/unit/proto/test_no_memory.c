#include "base/clock.h"
#include "tests/support/failmalloc.h"
#include "tests/support/rpc_pair.h"
#include "tests/support/unit.h"

/*
 * Client, server and three calls, with each allocation failing in turn. Whatever fails, every call
 * ends once, nothing leaks, and nobody is told OK with half an answer.
 */

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    struct pair_call *seen = arg;
    (void)call;
    seen->messages += sg_slice_is(message, "hello") || sg_slice_is(message, "5");
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct pair_call *seen = arg;
    (void)call, (void)outcome;
    seen->done++;
    seen->code = status->code;
}

static bool ask(struct pair *pair, struct pair_call *seen, const char *path, bool in_two_parts)
{
    struct sg_rpc_client_events events = {.arg = seen, .message = on_message, .done = on_done};
    struct sg_rpc_metadata metadata = {"trace-bin", SG_SLICE("\xff")};
    struct sg_rpc_client_call *call;
    if (sg_rpc_client_start(pair->client, path, pair->now_ns, pair->now_ns + SG_NS_PER_S, &metadata,
                            1, &events, &call, NULL) != SG_OK)
        return false;
    seen->done = 10; /* it has begun, and is done at 11 */
    if (in_two_parts && sg_rpc_client_send(call, SG_SLICE(""), false, NULL) != SG_OK)
        return false;
    return sg_rpc_client_send(call, SG_SLICE("hello"), true, NULL) == SG_OK;
}

/* As pair_run(), but it may fail. The bytes go one by one, so that everything is held somewhere. */
static bool move(struct pair *pair)
{
    static uint8_t store[65536];
    struct sg_buf bytes = {.ptr = store, .cap = sizeof(store), .max = sizeof(store)};
    bool ok = true;
    for (size_t quiet = 0; ok && quiet < 2;) {
        sg_buf_clear(&bytes);
        ok = sg_rpc_client_pull(pair->client, 60000, &bytes, NULL) == SG_OK;
        for (size_t i = 0; ok && i < bytes.len; i++)
            ok = sg_rpc_server_feed(pair->server, pair->now_ns, sg_slice_of(bytes.ptr + i, 1),
                                    NULL) == SG_OK;
        quiet = bytes.len == 0 ? quiet + 1 : 0;
        sg_buf_clear(&bytes);
        ok = ok && sg_rpc_server_pull(pair->server, 60000, &bytes, NULL) == SG_OK;
        for (size_t i = 0; ok && i < bytes.len; i++)
            ok = sg_rpc_client_feed(pair->client, pair->now_ns, sg_slice_of(bytes.ptr + i, 1),
                                    NULL) == SG_OK;
    }
    return ok;
}

static bool serve_three_calls(void *arg)
{
    struct pair pair = {.now_ns = SG_NS_PER_S};
    struct pair_call seen[3] = {0};
    (void)arg;
    echo_init(&pair.echo);
    bool ok = sg_rpc_server_new(&sg_rpc_limits_default, &echo_methods, &pair.echo.handler, NULL,
                                pair.now_ns, &pair.server, NULL) == SG_OK &&
              sg_rpc_client_new(&sg_rpc_client_limits_default, "a", "b", pair.now_ns, &pair.client,
                                NULL) == SG_OK;
    ok = ok && ask(&pair, &seen[0], "/echo.Echo/Unary", false) &&
         ask(&pair, &seen[1], "/echo.Echo/ClientStream", true) &&
         ask(&pair, &seen[2], "/echo.Echo/Bidi", true) && move(&pair);

    for (size_t i = 0; i < SG_COUNT(seen); i++)
        ok = ok && seen[i].done == 11 && seen[i].code == SG_GRPC_OK && seen[i].messages == 1;
    sg_rpc_client_free(pair.client);
    sg_rpc_server_free(pair.server);
    assert_int_equal(pair.echo.begun, pair.echo.closed);
    for (size_t i = 0; i < SG_COUNT(seen); i++)
        assert_true(seen[i].done == 0 || seen[i].done == 11);
    return ok;
}

static void calls_survive_the_failure_of_any_allocation(void **state)
{
    (void)state;
    size_t allocations = sg_failmalloc_each(serve_three_calls, NULL);
    print_message("  %zu allocations\n", allocations);
    assert_true(allocations > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_survive_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
