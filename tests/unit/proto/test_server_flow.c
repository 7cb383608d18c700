#include "base/clock.h"
#include "proto/grpc/call_priv.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* Flow control, memory, and peers that send what carries nothing. */

#define HELLO SG_SLICE("\0\0\0\0\5hello")

static void a_stream_is_pulled_by_the_clients_window(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    uint8_t request[205] = {0, 0, 0, 0, 200};
    limits.send_bytes_max = 40000;
    peer_start(&peer, &limits, 0);
    peer.echo.stream_message_len = 10000;
    peer.does_not_read = true;
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/ServerStream",
                                                  .body = {request, sizeof(request)}});
    peer_run(&peer);

    /* Nobody reads: what was produced fits into the call's bound. */
    assert_int_equal(peer.echo.writables, 0);
    peer.does_not_read = false;
    peer_run(&peer);
    assert_int_equal(answer->body.len, 200 * 10005);
    assert_true(peer_has(answer, "grpc-status: 0"));
    assert_true(peer.echo.writables > 20);
    peer_stop(&peer);
}

static void sending_on_although_full_is_refused(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    limits.send_bytes_max = 1000;
    peer_start(&peer, &limits, 0);
    struct peer_answer *later =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5later")});
    peer_run(&peer);
    struct sg_call *call = peer.echo.later;
    uint8_t bytes[600] = {0};
    bool full = false;
    assert_int_equal(sg_call_send(call, sg_slice_of(bytes, 400), &full, NULL), SG_OK);
    assert_false(full);
    assert_int_equal(sg_call_send(call, sg_slice_of(bytes, 400), &full, NULL), SG_OK);
    assert_true(full);
    assert_int_equal(sg_call_send(call, sg_slice_of(bytes, 600), &full, NULL), SG_E_LIMIT);
    sg_call_finish(call, &(struct sg_status){.code = SG_GRPC_OK});
    assert_int_equal(sg_call_send(call, sg_slice_of(bytes, 1), &full, NULL), SG_E_CONFLICT);
    peer_run(&peer);
    assert_int_equal(later->body.len, 2 * 405);
    assert_true(peer_has(later, "grpc-status: 0"));
    peer_stop(&peer);
}

static void half_sent_messages_cannot_fill_a_connection_for_good(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    uint8_t half[40005] = {0, 0, 0, 0xc3, 0x50}; /* announces 50,000 */
    limits.connection_bytes_max = 200000;
    limits.message_bytes_max = 100000;
    peer_start(&peer, &limits, 0);
    for (size_t i = 0; i < 20; i++)
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = {half, sizeof(half)},
                                                  .is_open = true});
    peer_run(&peer);
    assert_false(peer.is_failed);

    size_t shed = 0;
    for (size_t i = 0; i < 20; i++)
        shed += peer_has(&peer.answers[i], "grpc-message: QUEUE_FULL");
    assert_true(shed >= 15 && shed < 20);

    /* Whoever is left can go on. */
    for (size_t i = 0; i < 20; i++)
        if (!peer.answers[i].is_end)
            peer_more(&peer, &peer.answers[i], sg_slice_of(half + 5, 10000), true);
    peer_run(&peer);
    for (size_t i = 0; i < 20; i++)
        assert_true(peer.answers[i].is_end);
    struct peer_answer *next =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
    peer_run(&peer);
    assert_true(peer_has(next, "grpc-status: 0"));
    peer_stop(&peer);
}

static void a_call_that_ends_while_paused_gives_its_bytes_back(void **state)
{
    (void)state;
    struct peer peer;
    uint8_t body[50010] = {0, 0, 0, 0, 5, 'p', 'a', 'u', 's', 'e', 0, 0, 0, 0xc3, 0x50};
    peer_start(&peer, NULL, 0);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){
                   .path = "/echo.Echo/Bidi", .body = {body, sizeof(body)}, .is_open = true});
    peer_run(&peer);
    assert_int_equal(sg_h2_unconsumed(peer.server->h2), sizeof(body) - 10);
    sg_call_finish(peer.echo.paused, &(struct sg_status){.code = SG_GRPC_OK});
    peer_run(&peer);
    assert_true(peer_has(answer, "grpc-status: 0"));
    assert_int_equal(sg_rpc_server_open_calls(peer.server), 1); /* its client has not ended */
    assert_int_equal(sg_h2_unconsumed(peer.server->h2), 0);
    peer_stop(&peer);
}

static void all_windows_open_again_after_much_traffic(void **state)
{
    (void)state;
    struct peer peer;
    struct sg_buf storage, message;
    sg_buf_init(&storage, 1 << 20);
    sg_buf_init(&message, 1 << 20);
    memset(sg_buf_room(&message, 300000), 'm', 300000);
    sg_buf_claim(&message, 300000);
    struct sg_slice body = peer_frame(&storage, sg_buf_slice(&message));
    peer_start(&peer, NULL, 0);
    for (size_t i = 0; i < 100; i++) { /* 30 MB over a window of 8 */
        struct peer_answer *answer =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = body});
        peer_run(&peer);
        assert_true(peer_has(answer, "grpc-status: 0"));
        assert_int_equal(answer->body.len, 300005);
    }
    peer_stop(&peer);
    sg_buf_done(&storage);
    sg_buf_done(&message);
}

/* `count` times a frame that carries nothing. */
static const struct {
    const char *name;
    struct sg_slice frame;
    size_t count;
} floods[] = {
    {"PING", {(const uint8_t *)"\0\0\x08\6\0\0\0\0\0abcdefgh", 17}, 10},
    {"SETTINGS", {(const uint8_t *)"\0\0\0\4\0\0\0\0\0", 9}, 1100},
    {"PRIORITY", {(const uint8_t *)"\0\0\5\2\0\0\0\0\3\0\0\0\0\x10", 14}, 1100},
    {"WINDOW_UPDATE", {(const uint8_t *)"\0\0\4\x08\0\0\0\0\0\0\0\0\1", 13}, 1100},
    {"empty DATA", {(const uint8_t *)"\0\0\0\0\0\0\0\0\1", 9}, 1100},
};

static void floods_of_empty_frames_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(floods); i++) {
        struct peer peer;
        print_message("  %s\n", floods[i].name);
        peer_start(&peer, NULL, 0);
        peer_request(&peer, (struct peer_request){
                                .path = "/echo.Echo/Bidi", .body = SG_SLICE(""), .is_open = true});
        peer_run(&peer);
        size_t sent = 0;
        while (sent < floods[i].count && !peer.is_failed) {
            peer_raw(&peer, floods[i].frame);
            sent++;
        }
        assert_true(peer.is_failed);
        peer_pull(&peer);
        assert_int_equal(peer.goaways, 1);
        assert_int_equal(peer.goaway_error, 11);
        peer_stop(&peer);
    }
}

static void the_same_frames_at_a_fair_pace_do_not(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    for (size_t i = 0; i < 5000; i++) {
        peer_raw(&peer, floods[3].frame);
        peer.now_ns += SG_NS_PER_S / 400;
    }
    assert_false(peer.is_failed);
    peer_stop(&peer);
}

/* A request whose stream is then broken by the client, so that we must reset it. */
static void streams_that_we_are_made_to_reset_are_counted(void **state)
{
    (void)state;
    struct peer peer;
    size_t broken = 0;
    peer_start(&peer, NULL, 0);
    while (broken < 150 && !peer.is_failed) {
        struct peer_answer *answer =
            peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                      .body = SG_SLICE("\0\0\0\0\5later")});
        uint8_t overflow[] = "\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff";
        sg_put_be32(overflow + 5, (uint32_t)answer->id);
        peer_run(&peer);
        peer_raw(&peer, sg_slice_of(overflow, sizeof(overflow) - 1));
        peer_run(&peer);
        broken++;
    }
    assert_true(broken > 90 && broken < 110);
    assert_int_equal(peer.goaway_error, 11);
    peer_stop(&peer);
}

static void a_rapid_reset_is_ended(void **state)
{
    (void)state;
    struct peer *peer = malloc(sizeof(*peer));
    assert_non_null(peer);
    size_t sent = 0;
    peer_start(peer, NULL, 0);
    /* :method POST, :path /, :scheme https and :authority a, in HPACK; then CANCEL. */
    while (sent < 2000 && !peer->is_failed) {
        uint8_t frames[] = "\0\0\6\1\4\0\0\0\1\x83\x84\x87\1\1a"
                           "\0\0\4\3\0\0\0\0\1\0\0\0\x08";
        sg_put_be32(frames + 5, (uint32_t)(2 * sent + 1));
        sg_put_be32(frames + 20, (uint32_t)(2 * sent + 1));
        peer_raw(peer, sg_slice_of(frames, sizeof(frames) - 1));
        peer_pull(peer);
        sent++;
    }
    assert_true(sent > 400 && sent < 600);
    assert_int_equal(peer->goaways, 1);
    assert_int_not_equal(peer->goaway_error, 0);
    peer_stop(peer);
    free(peer);
}

static void a_continuation_flood_is_ended(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    peer_raw(&peer, SG_SLICE("\0\0\1\1\0\0\0\0\1\x83"));
    size_t sent = 0;
    while (sent < 100 && !peer.is_failed) {
        peer_raw(&peer, SG_SLICE("\0\0\0\x09\0\0\0\0\1"));
        sent++;
    }
    assert_true(peer.is_failed);
    assert_true(sent < 12);
    peer_pull(&peer);
    assert_int_equal(peer.goaway_error, 11);
    peer_stop(&peer);
}

static void what_is_not_http2_fails(void **state)
{
    (void)state;
    struct echo echo;
    struct sg_rpc_server *server;
    echo_init(&echo);
    assert_int_equal(sg_rpc_server_new(&sg_rpc_limits_default, &echo_methods, &echo.handler, NULL,
                                       1, &server, NULL),
                     SG_OK);
    assert_int_equal(sg_rpc_server_feed(server, 1, SG_SLICE("GET / HTTP/1.1\r\n\r\n"), NULL),
                     SG_E_INVALID);
    sg_rpc_server_free(server);
}

static void an_idle_connection_holds_little(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, NULL, 0);
    for (size_t i = 0; i < 100; i++) {
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary", .body = HELLO});
        if (i % 32 == 31)
            peer_run(&peer);
    }
    peer_run(&peer);
    assert_true(peer.server->spare_count > 0);
    peer_wait(&peer, 61 * SG_NS_PER_S); /* past the deadlines of those calls: a tick tidies up */
    assert_int_equal(peer.server->spare_count, 0);
    print_message("  the library holds %zu bytes\n", sg_h2_library_memory(peer.server->h2));
    assert_true(sg_h2_library_memory(peer.server->h2) < 64 << 10);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_pulled_by_the_clients_window),
        cmocka_unit_test(sending_on_although_full_is_refused),
        cmocka_unit_test(half_sent_messages_cannot_fill_a_connection_for_good),
        cmocka_unit_test(a_call_that_ends_while_paused_gives_its_bytes_back),
        cmocka_unit_test(all_windows_open_again_after_much_traffic),
        cmocka_unit_test(floods_of_empty_frames_end_the_connection),
        cmocka_unit_test(the_same_frames_at_a_fair_pace_do_not),
        cmocka_unit_test(streams_that_we_are_made_to_reset_are_counted),
        cmocka_unit_test(a_rapid_reset_is_ended),
        cmocka_unit_test(a_continuation_flood_is_ended),
        cmocka_unit_test(what_is_not_http2_fails),
        cmocka_unit_test(an_idle_connection_holds_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
