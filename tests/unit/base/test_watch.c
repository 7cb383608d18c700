#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/base/loop_story.h"

/* A pair of sockets, one end watched. */
struct end {
    struct sg_watch watch;
    int far;
    char letter;
    uint32_t got;
    struct end *removes, *sets; /* what its callback does to another */
};

static void end_ready(void *arg, uint32_t events)
{
    struct end *end = arg;
    tell(end->letter);
    end->got = events;
    if (end->removes != NULL)
        sg_watch_remove(loop, &end->removes->watch);
    if (end->sets != NULL)
        sg_watch_set(loop, &end->sets->watch, 0);
}

static void end_open(struct end *end, char letter, uint32_t events)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *end = (struct end){{.fd = fds[0], .fn = end_ready, .arg = end, .events = events},
                        fds[1],
                        letter,
                        0,
                        NULL,
                        NULL};
    assert_int_equal(sg_watch_add(loop, &end->watch, NULL), SG_OK);
}

static void end_close(struct end *end)
{
    sg_watch_remove(loop, &end->watch);
    close(end->watch.fd);
    if (end->far >= 0)
        close(end->far);
}

static void end_send(struct end *end)
{
    assert_int_equal(write(end->far, "x", 1), 1);
}

static void a_watch_is_told_while_it_is_ready(void **state)
{
    (void)state;
    struct end end;
    char byte;
    end_open(&end, 'a', EPOLLIN);
    one_turn();
    assert_string_equal(story, "");
    end_send(&end);
    one_turn();
    one_turn(); /* level-triggered: nobody has read yet */
    assert_string_equal(story, "aa");
    assert_int_equal(end.got, EPOLLIN);
    assert_int_equal(read(end.watch.fd, &byte, 1), 1);
    one_turn();
    assert_string_equal(story, "aa");
    end_close(&end);
}

static void an_edge_is_told_once_and_what_is_left_when_asked_again(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', EPOLLIN | EPOLLET);
    end_send(&end);
    one_turn();
    one_turn(); /* nobody has read, and nothing more has come */
    assert_string_equal(story, "a");
    sg_watch_again(loop, &end.watch);
    one_turn();
    one_turn();
    assert_string_equal(story, "aa");
    end_send(&end);
    one_turn();
    assert_string_equal(story, "aaa");
    sg_watch_set(loop, &end.watch, EPOLLIN | EPOLLOUT | EPOLLET); /* a change asks again */
    one_turn();
    assert_string_equal(story, "aaaa");
    assert_int_equal(end.got, EPOLLIN | EPOLLOUT);
    end_close(&end);
}

static void a_watch_is_told_only_what_it_wants(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', 0);
    end_send(&end);
    one_turn();
    assert_string_equal(story, "");
    sg_watch_set(loop, &end.watch, EPOLLOUT);
    one_turn();
    assert_int_equal(end.got, EPOLLOUT);
    sg_watch_set(loop, &end.watch, EPOLLIN | EPOLLOUT);
    one_turn();
    assert_int_equal(end.got, EPOLLIN | EPOLLOUT);
    assert_string_equal(story, "aa");
    end_close(&end);
}

static void a_hang_up_is_told_unasked(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', 0);
    close(end.far);
    end.far = -1;
    one_turn();
    assert_true((end.got & EPOLLHUP) != 0);
    end_close(&end);
}

static void a_removed_watch_is_silent_though_its_event_was_fetched(void **state)
{
    (void)state;
    struct end a, b;
    end_open(&a, 'a', EPOLLIN);
    end_open(&b, 'b', EPOLLIN);
    a.removes = &b;
    b.removes = &a;
    end_send(&a);
    end_send(&b);
    one_turn();
    assert_int_equal(story_len, 1); /* whichever came first removed the other */
    end_close(&a);
    end_close(&b);
}

static struct end *reborn;

static void remove_and_add_again(void *arg, uint32_t events)
{
    (void)events;
    struct end *dying = arg;
    if (reborn == NULL)
        return;
    /* The new watch takes the slot of the old one, whose event may lie behind this one. */
    struct end *other = reborn;
    reborn = NULL;
    tell('r');
    sg_watch_remove(loop, &dying[1].watch);
    close(dying[1].watch.fd);
    close(dying[1].far);
    end_open(other, 'n', EPOLLIN);
}

static void a_new_watch_does_not_inherit_the_event_of_the_old(void **state)
{
    (void)state;
    struct end both[2], other;
    end_open(&both[0], 'a', EPOLLIN);
    end_open(&both[1], 'b', EPOLLIN);
    both[0].watch.fn = remove_and_add_again;
    both[0].watch.arg = both;
    reborn = &other;
    end_send(&both[0]); /* first: epoll gives ready descriptors in the order they became so */
    end_send(&both[1]);
    uint32_t slot = both[1].watch.slot;
    one_turn();
    assert_string_equal(story, "r");
    assert_int_equal(other.watch.slot, slot);
    one_turn();
    assert_string_equal(story, "r");
    end_close(&both[0]);
    end_close(&other);
}

static void what_is_no_longer_wanted_is_not_told_in_the_same_turn(void **state)
{
    (void)state;
    struct end a, b;
    end_open(&a, 'a', EPOLLIN);
    end_open(&b, 'b', EPOLLIN);
    a.sets = &b;
    b.sets = &a;
    end_send(&a);
    end_send(&b);
    one_turn();
    assert_int_equal(story_len, 1);
    end_close(&a);
    end_close(&b);
}

static void a_watch_may_remove_itself_and_removing_twice_is_nothing(void **state)
{
    (void)state;
    struct end end;
    end_open(&end, 'a', EPOLLIN);
    end.removes = &end;
    end_send(&end);
    one_turn();
    one_turn();
    assert_string_equal(story, "a");
    sg_watch_remove(loop, &end.watch);
    end_close(&end);
}

static size_t told_count;

static void count_and_remove(void *arg, uint32_t events)
{
    (void)events;
    struct end *end = arg;
    told_count++;
    sg_watch_remove(loop, &end->watch);
}

static void many_watches_are_each_told(void **state)
{
    (void)state;
    enum { MANY = 300 }; /* more than the first slots, and more than one fetch */
    static struct end ends[MANY];
    told_count = 0;
    for (size_t i = 0; i < MANY; i++) {
        end_open(&ends[i], 'm', EPOLLIN);
        ends[i].watch.fn = count_and_remove;
        end_send(&ends[i]);
    }
    for (size_t turns = 0; turns < 3; turns++)
        one_turn();
    assert_int_equal(told_count, MANY);
    for (size_t i = 0; i < MANY; i++)
        end_close(&ends[i]);
}

static void what_epoll_refuses_is_not_added(void **state)
{
    (void)state;
    struct sg_err err;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* always ready: epoll does not take it */
    struct sg_watch watch = {.fd = fd, .fn = end_ready, .events = EPOLLIN};
    assert_int_equal(sg_watch_add(loop, &watch, &err), SG_E_INTERNAL);
    assert_false(watch.is_added);
    close(fd);
    watch.fd = -1;
    assert_int_equal(sg_watch_add(loop, &watch, &err), SG_E_INTERNAL);
    sg_watch_remove(loop, &watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_watch_is_told_while_it_is_ready),
        LOOP_TEST(an_edge_is_told_once_and_what_is_left_when_asked_again),
        LOOP_TEST(a_watch_is_told_only_what_it_wants),
        LOOP_TEST(a_hang_up_is_told_unasked),
        LOOP_TEST(a_removed_watch_is_silent_though_its_event_was_fetched),
        LOOP_TEST(a_new_watch_does_not_inherit_the_event_of_the_old),
        LOOP_TEST(what_is_no_longer_wanted_is_not_told_in_the_same_turn),
        LOOP_TEST(a_watch_may_remove_itself_and_removing_twice_is_nothing),
        LOOP_TEST(many_watches_are_each_told),
        LOOP_TEST(what_epoll_refuses_is_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
