#include <nghttp2/nghttp2.h>

#include "base/clock.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/*
 * Each of the configured limits against those who cost more than they bring, one over it: the
 * connection ends, it says to be calm, and the reason is the one that the metric will show.
 */
enum { ENHANCE_YOUR_CALM = 11, TRIES = 400 };

static const struct sg_h2_flood strict = {
    .continuations_max = 3,
    .resets = {.burst = 20, .per_s = 1},
    .stream_errors = {.burst = 20, .per_s = 1},
    .glitches = {.burst = 40, .per_s = 1},
    .empty_bytes = {.burst = 2000, .per_s = 1},
    .settings_max = 9,
    .acks_max = 12,
};

static void start(struct peer *peer)
{
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.flood = strict;
    peer_start(peer, &limits, 0);
}

static void raw(struct peer *peer, struct sg_slice bytes)
{
    if (!peer->is_failed)
        peer_raw(peer, bytes);
    if (!peer->is_failed)
        peer_pull(peer);
}

static void ping(struct peer *peer, size_t i)
{
    (void)i;
    raw(peer, SG_SLICE("\0\0\x08\6\0\0\0\0\0abcdefgh"));
}

static void settings(struct peer *peer, size_t i)
{
    (void)i;
    raw(peer, SG_SLICE("\0\0\0\4\0\0\0\0\0"));
}

/* Frames of one entry, of two, and so on; 0xfa is a setting that nobody knows. */
static void many_settings(struct peer *peer, size_t i)
{
    enum { MAX = 64 };
    uint8_t frame[9 + 6 * MAX] = {0, 0, 0, 4};
    const size_t entries = i + 1 < MAX ? i + 1 : MAX;
    for (size_t j = 0; j < entries; j++)
        frame[9 + 6 * j + 1] = 0xfa;
    sg_put_be32(frame, (uint32_t)(6 * entries) << 8 | 4);
    raw(peer, sg_slice_of(frame, 9 + 6 * entries));
}

/* Nothing is read, so that the acknowledgements pile up. */
static void settings_unread(struct peer *peer, size_t i)
{
    (void)i;
    peer_raw(peer, SG_SLICE("\0\0\0\4\0\0\0\0\0"));
}

/* :method POST, :path /, :scheme https and :authority a, in HPACK; then CANCEL. */
static void reset_a_call(struct peer *peer, size_t i)
{
    uint8_t frames[] = "\0\0\6\1\4\0\0\0\1\x83\x84\x87\1\1a"
                       "\0\0\4\3\0\0\0\0\1\0\0\0\x08";
    sg_put_be32(frames + 5, (uint32_t)(2 * i + 1));
    sg_put_be32(frames + 20, (uint32_t)(2 * i + 1));
    raw(peer, sg_slice_of(frames, sizeof(frames) - 1));
}

/* A request, and a window that overflows: the server must reset it (CVE-2025-8671). */
static void break_a_call(struct peer *peer, size_t i)
{
    uint8_t frames[] = "\0\0\6\1\4\0\0\0\1\x83\x84\x87\1\1a"
                       "\0\0\4\x08\0\0\0\0\1\x7f\xff\xff\xff";
    sg_put_be32(frames + 5, (uint32_t)(2 * i + 1));
    sg_put_be32(frames + 20, (uint32_t)(2 * i + 1));
    raw(peer, sg_slice_of(frames, sizeof(frames) - 1));
}

static void continue_headers(struct peer *peer, size_t i)
{
    raw(peer, i == 0 ? SG_SLICE("\0\0\1\1\0\0\0\0\1\x83") : SG_SLICE("\0\0\0\x09\0\0\0\0\1"));
}

/* A type of frame that nobody knows: RFC 9113 §5.5 has it ignored. */
static void unknown_frame(struct peer *peer, size_t i)
{
    (void)i;
    uint8_t frame[9 + 200] = {0, 0, 200, 0xfa};
    raw(peer, sg_slice_of(frame, sizeof(frame)));
}

/* A header block of a few bytes that is over the limit when unpacked. */
static void large_headers(struct peer *peer, size_t i)
{
    uint8_t frames[9 + 8 + 130 + 20] = {0, 0, 0, 1, 4};
    uint8_t *at = frames + 9;
    sg_put_be32(frames + 5, (uint32_t)(2 * i + 1));
    memcpy(at, "\x83\x84\x87\x40\1x\x7f\x03", 8); /* x: 130 bytes, to be kept in the table */
    at += 8;
    memset(at, 'a', 130);
    at += 130;
    memset(at, 0xbe, 20); /* and 20 times the same: 62 is the newest entry */
    at += 20;
    sg_put_be32(frames, (uint32_t)(at - frames - 9) << 8 | 1);
    raw(peer, sg_slice_of(frames, (size_t)(at - frames)));
}

static const struct {
    const char *name;
    void (*attack)(struct peer *peer, size_t i);
    enum sg_why why;
    size_t after_min, after_max; /* it ends with one of these */
} floods[] = {
    {"PING", ping, SG_WHY_PINGS, 3, 4},
    {"SETTINGS", settings, SG_WHY_GLITCHES, 38, 42},
    {"SETTINGS of many entries", many_settings, SG_WHY_SETTINGS, 10, 10},
    {"SETTINGS, not reading", settings_unread, SG_WHY_ACKS, 13, 13},
    {"rapid reset", reset_a_call, SG_WHY_RESETS, 20, 22},
    {"made you reset", break_a_call, SG_WHY_STREAM_ERRORS, 20, 22},
    {"CONTINUATION", continue_headers, SG_WHY_CONTINUATIONS, 3, 6},
    {"unknown frames", unknown_frame, SG_WHY_EMPTY_BYTES, 9, 11},
};

static void one_over_each_limit_ends_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(floods); i++) {
        struct peer peer;
        size_t sent = 0;
        print_message("  %s\n", floods[i].name);
        start(&peer);
        while (sent < TRIES && !peer.is_failed)
            floods[i].attack(&peer, sent++);
        assert_true(peer.is_failed);
        assert_in_range(sent, floods[i].after_min, floods[i].after_max);
        peer_pull(&peer);
        assert_int_equal(peer.goaway_error, ENHANCE_YOUR_CALM);
        assert_int_equal(sg_rpc_server_why(peer.server), floods[i].why);
        peer_stop(&peer);
    }
}

static void start_with_small_headers(struct peer *peer)
{
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    limits.flood = strict;
    limits.header_bytes_max = 2500;
    peer_start(peer, &limits, 0);
}

static void header_blocks_over_the_limit_are_counted(void **state)
{
    (void)state;
    struct peer peer;
    size_t sent = 0;
    start_with_small_headers(&peer);
    while (sent < TRIES && !peer.is_failed)
        large_headers(&peer, sent++);
    assert_in_range(sent, strict.glitches.burst / SG_H2_GLITCHES_PER_HEADERS,
                    strict.glitches.burst / SG_H2_GLITCHES_PER_HEADERS + 2);
    assert_int_equal(sg_rpc_server_why(peer.server), SG_WHY_HEADERS);
    peer_stop(&peer);
}

/* What the decompressor makes of one block stays within a few times the limit. */
static void a_header_bomb_ends_the_connection_at_once(void **state)
{
    (void)state;
    struct peer peer;
    uint8_t frames[9 + 8 + 130 + 4000] = {0, 0, 0, 1, 4, 0, 0, 0, 1};
    start_with_small_headers(&peer);
    sg_put_be32(frames, (uint32_t)(sizeof(frames) - 9) << 8 | 1);
    memcpy(frames + 9, "\x83\x84\x87\x40\1x\x7f\x03", 8);
    memset(frames + 17, 'a', 130);
    memset(frames + 147, 0xbe, 4000);
    raw(&peer, sg_slice_of(frames, sizeof(frames)));
    assert_true(peer.is_failed);
    assert_int_equal(sg_rpc_server_why(peer.server), SG_WHY_HEADERS);
    peer_stop(&peer);
}

/* 13 bytes keep an answer in our memory, but not for long; other calls go on. */
static void an_answer_that_nobody_takes_is_given_up(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    limits.stall_ns_max = 20 * SG_NS_PER_S;
    peer_start(&peer, &limits, 0);
    const nghttp2_settings_entry no_window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, &no_window, 1), 0);
    struct peer_answer *answer =
        peer_request(&peer, (struct peer_request){.path = "/echo.Echo/Unary",
                                                  .body = SG_SLICE("\0\0\0\0\5hello")});
    peer_run(&peer);
    assert_int_equal(answer->body.len, 0);
    peer_wait(&peer, 19 * SG_NS_PER_S);
    assert_false(answer->is_closed);
    assert_int_equal(sg_rpc_server_take_stalled(peer.server), 0);
    peer_wait(&peer, 22 * SG_NS_PER_S);
    assert_true(answer->is_closed);
    assert_int_equal(sg_rpc_server_take_stalled(peer.server), 1);
    assert_int_equal(sg_rpc_server_open_calls(peer.server), 0);
    assert_false(peer.is_failed);
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_over_each_limit_ends_the_connection),
        cmocka_unit_test(header_blocks_over_the_limit_are_counted),
        cmocka_unit_test(a_header_bomb_ends_the_connection_at_once),
        cmocka_unit_test(an_answer_that_nobody_takes_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
