#include "hsm/hsm_priv.h"
#include "tests/support/fake_token.h"
#include "tests/support/unit.h"

/*
 * How many signatures leave in a packet, and when. The token answers when the test says so, and
 * says itself how long each took; its two workers have room for four packets.
 */
enum { JOBS_MAX = 64, WINDOW_PACKETS = 4, PACKET_MS = 4 };

static const int64_t us = SG_NS_PER_MS / 1000;
static const uint8_t key_id[] = {1}, key_spki[] = {0x30, 0x00}, digest[32] = {0};

struct rig {
    struct sg_clock clock; /* first */
    int64_t ahead_ns;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct fake_token token;
    size_t key, done;
};

static int64_t mono_ns(const struct sg_clock *clock)
{
    return sg_mono_ns(&sg_clock_system) + ((const struct rig *)(const void *)clock)->ahead_ns;
}

static void on_job(void *arg, struct sg_hsm_job *job)
{
    struct rig *rig = arg;
    assert_true(job->is_signed);
    sg_hsm_job_free(job);
    rig->done++;
}

static void settle(struct rig *rig)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
}

static void begin(struct rig *rig)
{
    const struct sg_hsm_events events = {.arg = rig, .done = on_job};
    size_t index;

    *rig = (struct rig){.clock = {mono_ns, mono_ns}};
    assert_int_equal(sg_loop_new(&rig->clock, &rig->loop, NULL), SG_OK);
    fake_token_start(&rig->token, rig->loop);
    rig->token.keys[rig->token.key_count++] = (struct fake_token_key){
        {key_id, sizeof(key_id)}, {key_spki, sizeof(key_spki)}, SG_KEY_EC_P256};
    /* This process must not be taken for one that hangs. */
    const struct sg_hsm_token_config token = {
        .name = "t", .socket = rig->token.path, .uid = -1, .queue_max = 1024, .hang_ms = 600000};
    const struct sg_hsm_key_config key = {
        .name = "k", .id = {key_id, sizeof(key_id)}, .type = SG_KEY_EC_P256};
    assert_int_equal(sg_hsm_new(rig->loop, &rig->clock, &events, &rig->hsm, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_key(rig->hsm, &key, &rig->key, NULL), SG_OK);
    assert_int_equal(sg_hsm_start(rig->hsm, NULL), SG_OK);
    int64_t until_ns = sg_mono_ns(&sg_clock_system) + 30 * SG_NS_PER_S;
    while (rig->hsm->keys[rig->key]->state != SG_KEY_READY) {
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        assert_int_equal(sg_loop_turn(rig->loop, 1, NULL), SG_OK);
    }
    settle(rig);
}

static void end(struct rig *rig)
{
    sg_hsm_free(rig->hsm);
    fake_token_stop(&rig->token);
    sg_loop_free(rig->loop);
}

/* How many packets that made. */
static size_t submit(struct rig *rig, size_t count)
{
    size_t before = rig->token.packets;
    for (size_t i = 0; i < count; i++) {
        struct sg_hsm_job *job = sg_hsm_job_new(sg_slice_of(digest, sizeof(digest)));
        assert_non_null(job);
        job->key = rig->key;
        job->scheme = SG_SCHEME_ECDSA;
        job->digest_alg = SG_DIGEST_SHA256;
        assert_int_equal(sg_hsm_submit(rig->hsm, job, NULL), SG_OK);
    }
    settle(rig);
    return rig->token.packets - before;
}

/* So many of those at the token, each said to have taken so long; how many packets came of it. */
static size_t answer(struct rig *rig, size_t count, int64_t took_ns)
{
    static const uint8_t signature[64] = {1};
    size_t before = rig->token.packets;
    rig->ahead_ns += took_ns; /* the engine believes nothing that cannot be */
    for (size_t i = 0; i < count; i++)
        fake_token_answer(&rig->token, 0,
                          (struct sg_answer){.outcome = SG_OUT_OK,
                                             .hsm_ns = took_ns,
                                             .signature = {signature, sizeof(signature)}});
    settle(rig);
    return rig->token.packets - before;
}

/* One after the other, until the engine has no doubt. */
static void teach(struct rig *rig, int64_t took_ns)
{
    for (int i = 0; i < 100; i++) {
        assert_int_equal(submit(rig, 1), 1);
        answer(rig, 1, took_ns);
    }
    rig->done = 0;
}

static const struct packing {
    const char *name;
    int64_t took_ns;
    size_t jobs, packets, sent;
} packings[] = {
    {"a slow token gets one job to a packet", 2 * SG_NS_PER_MS, 10, WINDOW_PACKETS, WINDOW_PACKETS},
    {"a job alone does not wait", 400 * us, 1, 1, 1},
    {"two are dealt out to two workers", 400 * us, 2, 2, 2},
    {"half of three is two", 400 * us, 3, 2, 3},
    {"twelve fit into two packets of ten", 400 * us, 12, 2, 12},
    {"no packet of two behind two of ten", 400 * us, 22, 3, 22},
    {"no more than the window", 400 * us, 60, WINDOW_PACKETS, WINDOW_PACKETS *PACKET_MS * 10 / 4},
};

static void jobs_leave_in_packets_by_what_they_take(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(packings); i++) {
        const struct packing *packing = &packings[i];
        struct rig rig;
        begin(&rig);
        teach(&rig, packing->took_ns);
        size_t packets = submit(&rig, packing->jobs);
        if (packets != packing->packets || rig.token.held_count != packing->sent)
            fail_msg("%s: %zu in %zu packets", packing->name, rig.token.held_count, packets);
        end(&rig);
    }
}

static void what_waits_leaves_when_there_is_room_for_a_packet(void **state)
{
    (void)state;
    struct rig rig;
    begin(&rig);
    teach(&rig, 400 * us);
    submit(&rig, 60);
    assert_int_equal(rig.token.held_count, 40);
    assert_int_equal(answer(&rig, 9, 400 * us), 0);
    assert_int_equal(answer(&rig, 1, 400 * us), 2); /* five for each worker */
    assert_int_equal(rig.token.held_count, 40);
    while (rig.token.held_count > 0)
        answer(&rig, 1, 400 * us);
    assert_int_equal(rig.done, 60);
    end(&rig);
}

/* Where cores are short one in a few signatures waits for a processor, many times its own time. */
static void a_slow_signature_among_fast_ones_does_not_part_them(void **state)
{
    (void)state;
    struct rig rig;
    begin(&rig);
    teach(&rig, 400 * us);
    for (int i = 0; i < 5; i++) {
        submit(&rig, 3);
        answer(&rig, 1, 20 * SG_NS_PER_MS);
        answer(&rig, 2, 400 * us);
    }
    assert_in_range(submit(&rig, 40), 1, WINDOW_PACKETS);
    assert_int_equal(rig.token.held_count, 40);
    end(&rig);
}

static void a_token_that_became_slow_is_found_out(void **state)
{
    (void)state;
    struct rig rig;
    begin(&rig);
    teach(&rig, 400 * us);
    teach(&rig, 2 * SG_NS_PER_MS);
    assert_int_equal(submit(&rig, 10), WINDOW_PACKETS);
    assert_int_equal(rig.token.held_count, WINDOW_PACKETS);
    end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_leave_in_packets_by_what_they_take),
        cmocka_unit_test(what_waits_leaves_when_there_is_room_for_a_packet),
        cmocka_unit_test(a_slow_signature_among_fast_ones_does_not_part_them),
        cmocka_unit_test(a_token_that_became_slow_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
