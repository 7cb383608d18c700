#include "hsm/pool.h"

#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hsm/job.h"
#include "tests/support/unit.h"

enum { MESSAGE_MAX = 64, WAIT_MS = 5000, MANY = 2000 };

/*
 * One thread that answers with what it is sent, and what it does before, by the first byte of the
 * text. A message is a header, of which the pool reads the length, and a text.
 */
struct rig {
    struct sg_pool *pool;
    int fd; /* the gateway's end */
    sem_t gate;
    atomic_uint shut;                  /* threads that may not serve, bit 1 << i */
    uint8_t packet[SG_JOB_PACKET_MAX]; /* the last that was heard */
    struct sg_slice unread;            /* what is left of it */
};

static bool handle(void *arg, size_t i, struct sg_slice message, struct sg_buf *out)
{
    struct rig *rig = arg;
    switch (message.ptr[SG_JOB_HEADER_LEN]) {
    case 's': /* slow: longer than an answer may be held */
        usleep(2000);
        break;
    case 'g': /* waits at the gate */
        while (sem_wait(&rig->gate) != 0)
            continue;
        break;
    case 'p':
        sg_pool_pause(rig->pool, i, 60000);
        break;
    case 'l': /* too long an answer */
        sg_buf_add(out, "0123456789", 10);
        sg_buf_add(out, (const uint8_t[MESSAGE_MAX]){0}, MESSAGE_MAX);
        break;
    case 'e':
        return false;
    default:
        break;
    }
    sg_buf_add_slice(out, message);
    return true;
}

static bool may_serve(void *arg, size_t i, int64_t *ret_again_ns)
{
    struct rig *rig = arg;
    *ret_again_ns = SG_NS_PER_S;
    return (atomic_load(&rig->shut) & 1u << i) == 0;
}

static void rig_start_with(struct rig *rig, size_t threads, unsigned shut)
{
    int fds[2];
    const struct sg_pool_config config = {.name = "test",
                                          .threads = threads,
                                          .answer_max = MESSAGE_MAX,
                                          .arg = rig,
                                          .handle = handle,
                                          .may_serve = may_serve};
    atomic_store(&rig->shut, shut);
    assert_int_equal(sem_init(&rig->gate, 0, 0), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(sg_pool_start(&config, &rig->pool, NULL), SG_OK);
    assert_int_equal(sg_pool_add(rig->pool, fds[1], NULL), SG_OK);
    rig->fd = fds[0];
    rig->unread = (struct sg_slice){0};
}

static void rig_start(struct rig *rig, size_t threads)
{
    rig_start_with(rig, threads, 0);
}

static void rig_stop(struct rig *rig)
{
    sg_pool_stop(rig->pool);
    close(rig->fd);
    sem_destroy(&rig->gate);
}

static void put(struct sg_buf *packet, const char *text)
{
    uint8_t header[SG_JOB_HEADER_LEN] = {0};
    sg_put_be32(header + 4, (uint32_t)(sizeof(header) + strlen(text)));
    sg_buf_add(packet, header, sizeof(header));
    sg_buf_add_str(packet, text);
}

/* One packet of a message for each text. */
static void say_together(struct rig *rig, const char *const *texts, size_t count)
{
    struct sg_buf packet;
    sg_buf_init(&packet, SG_JOB_PACKET_MAX);
    for (size_t i = 0; i < count; i++)
        put(&packet, texts[i]);
    assert_int_equal(send(rig->fd, packet.ptr, packet.len, 0), packet.len);
    sg_buf_done(&packet);
}

static void say(struct rig *rig, const char *text)
{
    say_together(rig, &text, 1);
}

/* The text of the next message that comes; empty when the connection is over. */
static const char *hear(struct rig *rig)
{
    static char text[MESSAGE_MAX + 1];
    struct pollfd in = {.fd = rig->fd, .events = POLLIN};

    if (rig->unread.len == 0) {
        assert_int_equal(poll(&in, 1, WAIT_MS), 1);
        ssize_t len = recv(rig->fd, rig->packet, sizeof(rig->packet), 0);
        if (len <= 0)
            return "";
        rig->unread = sg_slice_of(rig->packet, (size_t)len);
    }
    struct sg_slice message = sg_job_cut(rig->unread, &rig->unread);
    assert_in_range(message.len, SG_JOB_HEADER_LEN + 1, MESSAGE_MAX);
    size_t len = message.len - SG_JOB_HEADER_LEN;
    memcpy(text, message.ptr + SG_JOB_HEADER_LEN, len);
    text[len] = '\0';
    return text;
}

static void every_message_gets_an_answer_of_its_own_and_in_order(void **state)
{
    (void)state;
    struct rig rig;
    char text[16];
    rig_start(&rig, 1);
    /* More than are held, and fewer than the socket's buffer takes without anybody reading. */
    for (int burst = 0; burst < MANY / 20; burst++) {
        for (int i = 0; i < 20; i++) {
            snprintf(text, sizeof(text), "%d", burst * 20 + i);
            say(&rig, text);
        }
        for (int i = 0; i < 20; i++) {
            snprintf(text, sizeof(text), "%d", burst * 20 + i);
            assert_string_equal(hear(&rig), text);
        }
    }
    rig_stop(&rig);
}

static void messages_of_one_packet_are_answered_in_their_order(void **state)
{
    (void)state;
    const char *const texts[] = {"first", "slow", "third", "fourth"};
    struct rig rig;
    rig_start(&rig, 2);
    say_together(&rig, texts, SG_COUNT(texts));
    for (size_t i = 0; i < SG_COUNT(texts); i++)
        assert_string_equal(hear(&rig), texts[i]);
    rig_stop(&rig);
}

static void answers_that_need_several_packets_all_come(void **state)
{
    (void)state;
    const char *texts[SG_JOB_PACKET_MAX / MESSAGE_MAX];
    struct rig rig;
    rig_start(&rig, 1);
    for (size_t i = 0; i < SG_COUNT(texts); i++)
        texts[i] = "the longest text of which so many fit, 48 bytes!";
    for (int i = 0; i < 3; i++)
        say_together(&rig, texts, SG_COUNT(texts));
    for (size_t i = 0; i < 3 * SG_COUNT(texts); i++)
        assert_string_equal(hear(&rig), texts[0]);
    rig_stop(&rig);
}

static void an_answer_does_not_wait_when_there_is_no_message(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 2);
    for (int i = 0; i < 100; i++) {
        say(&rig, "one");
        assert_string_equal(hear(&rig), "one");
    }
    rig_stop(&rig);
}

static void a_slow_answer_does_not_wait_for_the_next(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1);
    say(&rig, "slow");
    say(&rig, "gate");
    assert_string_equal(hear(&rig), "slow"); /* while the other stands at the gate */
    sem_post(&rig.gate);
    assert_string_equal(hear(&rig), "gate");
    rig_stop(&rig);
}

static void a_pause_comes_after_the_answer_and_ends_with_the_pool(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1);
    const char *const texts[] = {"pause", "after"};
    say(&rig, "first");
    say_together(&rig, texts, SG_COUNT(texts));
    say(&rig, "never");
    assert_string_equal(hear(&rig), "first");
    assert_string_equal(hear(&rig), "pause");
    assert_string_equal(hear(&rig), "after"); /* a packet is never answered by half */
    struct pollfd in = {.fd = rig.fd, .events = POLLIN};
    assert_int_equal(poll(&in, 1, 50), 0);
    rig_stop(&rig);
}

static void what_cannot_be_answered_ends_the_connection(void **state)
{
    (void)state;
    const char *const cases[] = {"end", "long"};
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct rig rig;
        rig_start(&rig, 1);
        say(&rig, cases[i]);
        assert_string_equal(hear(&rig), "");
        rig_stop(&rig);
    }
}

/* Each a packet that is no row of messages, behind one that is. */
static void what_cannot_be_cut_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t tails[][SG_JOB_HEADER_LEN] = {
        {[7] = 0},                      /* no length */
        {[7] = SG_JOB_HEADER_LEN - 1},  /* less than its own header */
        {[7] = SG_JOB_HEADER_LEN + 1},  /* more than there is */
        {[4] = 0xff, 0xff, 0xff, 0xff}, /* far more */
    };
    for (size_t i = 0; i < SG_COUNT(tails); i++) {
        struct rig rig;
        struct sg_buf packet;
        rig_start(&rig, 1);
        sg_buf_init(&packet, SG_JOB_PACKET_MAX);
        put(&packet, "fine");
        sg_buf_add(&packet, tails[i], sizeof(tails[i]));
        assert_int_equal(send(rig.fd, packet.ptr, packet.len, 0), packet.len);
        sg_buf_done(&packet);
        const char *heard = hear(&rig);
        if (strcmp(heard, "fine") == 0) /* it is not held where the machine is slow */
            heard = hear(&rig);
        assert_string_equal(heard, "");
        rig_stop(&rig);
    }
}

static void half_a_header_ends_the_connection(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 1);
    assert_int_equal(send(rig.fd, "half", 4, 0), 4);
    assert_string_equal(hear(&rig), "");
    rig_stop(&rig);
}

/* Threads ---------------------------------------------------------------------------------------
 */

static void a_thread_that_is_stuck_holds_up_nobody(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 3);
    say(&rig, "gate");
    say(&rig, "gate");
    for (int i = 0; i < 100; i++) {
        say(&rig, "one");
        assert_string_equal(hear(&rig), "one");
    }
    sem_post(&rig.gate);
    sem_post(&rig.gate);
    assert_string_equal(hear(&rig), "gate");
    assert_string_equal(hear(&rig), "gate");
    rig_stop(&rig);
}

static void a_thread_that_may_not_serve_leaves_all_to_the_others(void **state)
{
    (void)state;
    struct rig rig;
    rig_start_with(&rig, 2, 1u << 0);
    say(&rig, "gate"); /* only the other can be standing there */
    say(&rig, "wait");
    struct pollfd in = {.fd = rig.fd, .events = POLLIN};
    assert_int_equal(poll(&in, 1, 50), 0);
    atomic_store(&rig.shut, 0); /* asked again a little later, without being told */
    assert_string_equal(hear(&rig), "wait");
    sem_post(&rig.gate);
    assert_string_equal(hear(&rig), "gate");
    rig_stop(&rig);
}

static void what_waits_does_not_keep_the_pool_from_ending(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 2);
    for (int i = 0; i < 50; i++)
        say(&rig, "slow");
    rig_stop(&rig);
}

/* Connections -----------------------------------------------------------------------------------
 */

/* The test's end of another one. */
static int connect_again(struct rig *rig, enum sg_rc expected)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(sg_pool_add(rig->pool, fds[1], NULL), expected);
    return fds[0];
}

static void the_end_of_one_connection_is_no_others_concern(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 2);
    int first = rig.fd, second = connect_again(&rig, SG_OK);

    say(&rig, "end");
    assert_string_equal(hear(&rig), "");
    rig.fd = second;
    say(&rig, "one");
    assert_string_equal(hear(&rig), "one");
    close(first);
    rig_stop(&rig);
}

static void a_peer_that_goes_leaves_a_place(void **state)
{
    enum { FAR_MORE_THAN_PLACES = 100 };
    (void)state;
    struct rig rig;
    rig_start(&rig, 1);
    int first = rig.fd;
    for (int i = 0; i < FAR_MORE_THAN_PLACES; i++) {
        rig.fd = connect_again(&rig, SG_OK);
        say(&rig, "one");
        assert_string_equal(hear(&rig), "one");
        say(&rig, "end"); /* so that it is known when the place is free */
        assert_string_equal(hear(&rig), "");
        close(rig.fd);
    }
    rig.fd = first;
    rig_stop(&rig);
}

/* A thread finds it ended while others are still to get it: its descriptor, which may be another
 * connection's by then, must stay until all have. TSan and a place that is lost would tell. */
static void connections_that_end_at_once_leave_their_places(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, 8);
    for (int i = 0; i < 500; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
        close(fds[0]);
        for (int tries = 0; sg_pool_add(rig.pool, fds[1], NULL) != SG_OK; tries++) {
            assert_true(tries < 1000); /* the threads have not come to the earlier ones yet */
            poll(NULL, 0, 5);
            assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
            close(fds[0]);
        }
    }
    say(&rig, "a");
    assert_string_equal(hear(&rig), "a");
    rig_stop(&rig);
}

/* Without it, it would be asked again after a second. */
static void a_thread_that_may_serve_again_does_when_stirred(void **state)
{
    (void)state;
    struct rig rig;
    rig_start_with(&rig, 1, 1);
    say(&rig, "a");
    struct pollfd in = {.fd = rig.fd, .events = POLLIN};
    assert_int_equal(poll(&in, 1, 100), 0);
    atomic_store(&rig.shut, 0);
    sg_pool_stir(rig.pool);
    assert_int_equal(poll(&in, 1, 500), 1);
    assert_string_equal(hear(&rig), "a");
    rig_stop(&rig);
}

static void one_connection_too_many_is_closed(void **state)
{
    enum { PLACES = 16 };
    (void)state;
    struct rig rig;
    int fds[PLACES];
    rig_start(&rig, 1);
    for (size_t i = 1; i < PLACES; i++)
        fds[i] = connect_again(&rig, SG_OK);
    fds[0] = connect_again(&rig, SG_E_LIMIT);
    uint8_t byte;
    assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
    say(&rig, "one"); /* and the others serve */
    assert_string_equal(hear(&rig), "one");
    for (size_t i = 0; i < PLACES; i++)
        close(fds[i]);
    rig_stop(&rig);
}

static void a_packet_that_is_too_large_ends_the_connection(void **state)
{
    static uint8_t packet[SG_JOB_PACKET_MAX + 1];
    (void)state;
    struct rig rig;
    rig_start(&rig, 1);
    assert_int_equal(send(rig.fd, packet, sizeof(packet), 0), sizeof(packet));
    assert_string_equal(hear(&rig), "");
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_gets_an_answer_of_its_own_and_in_order),
        cmocka_unit_test(messages_of_one_packet_are_answered_in_their_order),
        cmocka_unit_test(answers_that_need_several_packets_all_come),
        cmocka_unit_test(an_answer_does_not_wait_when_there_is_no_message),
        cmocka_unit_test(a_slow_answer_does_not_wait_for_the_next),
        cmocka_unit_test(a_pause_comes_after_the_answer_and_ends_with_the_pool),
        cmocka_unit_test(what_cannot_be_answered_ends_the_connection),
        cmocka_unit_test(what_cannot_be_cut_ends_the_connection),
        cmocka_unit_test(half_a_header_ends_the_connection),
        cmocka_unit_test(a_thread_that_is_stuck_holds_up_nobody),
        cmocka_unit_test(a_thread_that_may_not_serve_leaves_all_to_the_others),
        cmocka_unit_test(what_waits_does_not_keep_the_pool_from_ending),
        cmocka_unit_test(the_end_of_one_connection_is_no_others_concern),
        cmocka_unit_test(a_peer_that_goes_leaves_a_place),
        cmocka_unit_test(connections_that_end_at_once_leave_their_places),
        cmocka_unit_test(a_thread_that_may_serve_again_does_when_stirred),
        cmocka_unit_test(one_connection_too_many_is_closed),
        cmocka_unit_test(a_packet_that_is_too_large_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
