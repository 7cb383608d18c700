#include "hsm/pool.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/unit.h"

enum { MESSAGE_MAX = 64, WAIT_MS = 5000, MANY = 2000 };

/* One thread that answers with what it is sent, and what it does before, by the first byte. */
struct rig {
    struct sg_pool *pool;
    int fd; /* the gateway's end */
    sem_t gate;
};

static bool handle(void *arg, size_t i, struct sg_slice message, struct sg_buf *out)
{
    struct rig *rig = arg;
    switch (message.ptr[0]) {
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

static void rig_start(struct rig *rig, size_t threads)
{
    int fds[2];
    const struct sg_pool_config config = {.name = "test",
                                          .threads = threads,
                                          .message_max = MESSAGE_MAX,
                                          .answer_max = MESSAGE_MAX,
                                          .arg = rig,
                                          .handle = handle};
    assert_int_equal(sem_init(&rig->gate, 0, 0), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(sg_pool_start(&config, &rig->pool, NULL), SG_OK);
    assert_int_equal(sg_pool_add(rig->pool, fds[1], NULL), SG_OK);
    rig->fd = fds[0];
}

static void rig_stop(struct rig *rig)
{
    sg_pool_stop(rig->pool);
    close(rig->fd);
    sem_destroy(&rig->gate);
}

static void say(struct rig *rig, const char *text)
{
    assert_int_equal(send(rig->fd, text, strlen(text), 0), strlen(text));
}

/* The next message that comes; empty when the connection is over. */
static const char *hear(struct rig *rig)
{
    static char text[MESSAGE_MAX + 1];
    struct pollfd in = {.fd = rig->fd, .events = POLLIN};
    assert_int_equal(poll(&in, 1, WAIT_MS), 1);
    ssize_t len = recv(rig->fd, text, MESSAGE_MAX, 0);
    text[len > 0 ? len : 0] = '\0';
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
    say(&rig, "first");
    say(&rig, "pause");
    say(&rig, "never");
    assert_string_equal(hear(&rig), "first");
    assert_string_equal(hear(&rig), "pause");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_gets_an_answer_of_its_own_and_in_order),
        cmocka_unit_test(an_answer_does_not_wait_when_there_is_no_message),
        cmocka_unit_test(a_slow_answer_does_not_wait_for_the_next),
        cmocka_unit_test(a_pause_comes_after_the_answer_and_ends_with_the_pool),
        cmocka_unit_test(what_cannot_be_answered_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
