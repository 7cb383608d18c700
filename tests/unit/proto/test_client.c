#include "proto/grpc/client.h"

#include "base/clock.h"
#include "tests/support/rpc_pair.h"
#include "tests/support/unit.h"

static const size_t steps[] = {0, 1, 13};

static void a_unary_call_is_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct pair pair;
        struct pair_call call;
        pair_start(&pair, NULL, NULL, steps[i]);
        pair_ask(&pair, &call, "/echo.Echo/Unary", SG_SLICE("hello"));
        assert_int_equal(call.done, 0); /* never from inside a function of ours */
        pair_run(&pair);
        assert_int_equal(call.code, SG_GRPC_OK);
        assert_int_equal(call.outcome, SG_RPC_ANSWERED);
        assert_int_equal(call.messages, 1);
        assert_slice_equal(sg_buf_slice(&call.body), SG_SLICE("hello"));
        assert_int_equal(sg_rpc_client_open_calls(pair.client), 0);
        pair_call_done(&call);
        pair_stop(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
