#include "proto/grpc/server.h"

#include "base/clock.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

#define HELLO SG_SLICE("\0\0\0\0\5hello")

/* Each test runs with the client's bytes whole, and one by one. */
static const size_t steps[] = {0, 1, 7};

static void a_unary_call_is_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(steps); i++) {
        struct peer peer;
        peer_start(&peer, NULL, steps[i]);
        struct peer_answer *answer =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
        peer_run(&peer);
        assert_true(peer_has(answer, ":status: 200"));
        assert_true(peer_has(answer, "content-type: application/grpc"));
        assert_true(peer_has(answer, "grpc-status: 0"));
        assert_int_equal(answer->blocks, 2);
        assert_int_equal(answer->empty_data_frames, 0);
        assert_slice_equal(peer_message(answer), SG_SLICE("hello"));
        assert_true(answer->is_closed);
        assert_int_equal(answer->error, 0);
        assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
        peer_stop(&peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
