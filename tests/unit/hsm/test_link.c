#include "hsm/link.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

/* One link, and in place of the token process the test itself, packet by packet. */

enum { SEEN_MAX = 4096 };

struct rig {
    struct sg_loop *loop;
    struct sg_link link;
    char dir[32], path[64];
    int listener, fd; /* the other end */

    /* What the owner was told. */
    unsigned ready, closed, drained;
    size_t answers;
    uint64_t serials[SEEN_MAX];
    size_t workers; /* of the greeting */
    struct sg_err err;
    /* What the owner does. */
    bool refuses;         /* answers make no sense */
    size_t closes_before; /* closes the link in the callback of this answer, counted from 1 */
};

static void on_ready(void *arg, const struct sg_answer *hello)
{
    struct rig *rig = arg;
    rig->ready++;
    rig->workers = hello->workers;
}

static bool on_answer(void *arg, const struct sg_answer *answer)
{
    struct rig *rig = arg;
    assert_true(rig->answers < SEEN_MAX);
    rig->serials[rig->answers++] = answer->serial;
    if (rig->answers == rig->closes_before)
        sg_link_close(&rig->link);
    return !rig->refuses;
}

static void on_closed(void *arg, const struct sg_err *err)
{
    struct rig *rig = arg;
    rig->closed++;
    rig->err = *err;
    assert_int_equal(rig->link.state, SG_LINK_CLOSED);
}

static void on_drained(void *arg)
{
    struct rig *rig = arg;
    rig->drained++;
}

static void init_link(struct rig *rig, const char *path, int64_t uid)
{
    const struct sg_link_events events = {rig, on_ready, on_answer, on_closed, on_drained};
    assert_int_equal(
        sg_link_init(&rig->link, rig->loop, path, uid, SG_JOB_ROLE_SIGN, &events, NULL), SG_OK);
}

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct rig *rig = calloc(1, sizeof(*rig));

    *rig = (struct rig){.dir = "/tmp/sg-link-XXXXXX", .fd = -1};
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->dir);
    memcpy(address.sun_path, rig->path, strlen(rig->path));
    rig->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(rig->listener, 4), 0);
    assert_int_equal(sg_loop_new(&sg_clock_system, &rig->loop, NULL), SG_OK);
    init_link(rig, rig->path, -1);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    sg_link_done(&rig->link);
    sg_loop_free(rig->loop);
    if (rig->fd >= 0)
        close(rig->fd);
    close(rig->listener);
    unlink(rig->path);
    rmdir(rig->dir);
    free(rig);
    return 0;
}

static void turn(struct rig *rig)
{
    assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
}

/* The next packet that the link has sent; 0 bytes when there is none. */
static struct sg_slice receive(struct rig *rig)
{
    static uint8_t bytes[2 * SG_JOB_PACKET_MAX];
    ssize_t len = recv(rig->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    return sg_slice_of(bytes, len < 0 ? 0 : (size_t)len);
}

static void send_bytes(struct rig *rig, struct sg_slice bytes)
{
    assert_int_equal(send(rig->fd, bytes.ptr, bytes.len, 0), (ssize_t)bytes.len);
}

static void encode(const struct sg_answer *answer, struct sg_buf *out)
{
    sg_answer_encode(answer, out);
    assert_false(out->failed);
}

static void send_answers(struct rig *rig, const struct sg_answer *answers, size_t count)
{
    struct sg_buf out;
    sg_buf_init(&out, SG_JOB_PACKET_MAX);
    for (size_t i = 0; i < count; i++)
        encode(&answers[i], &out);
    send_bytes(rig, sg_buf_slice(&out));
    sg_buf_done(&out);
}

static const struct sg_answer hello = {.kind = SG_JOB_HELLO,
                                       .outcome = SG_OUT_OK,
                                       .workers = 7,
                                       .pin = SG_PIN_ACCEPTED,
                                       .label = {(const uint8_t *)"t", 1}};

static struct sg_answer failure(uint64_t serial)
{
    return (struct sg_answer){
        .kind = SG_JOB_SIGN, .serial = serial, .outcome = SG_OUT_TOKEN, .text = SG_SLICE("away")};
}

/* Opened, accepted and its greeting taken, but not answered. */
static void open_link(struct rig *rig)
{
    struct sg_request request;
    assert_int_equal(sg_link_open(&rig->link, NULL), SG_OK);
    assert_int_equal(rig->link.state, SG_LINK_GREETING);
    rig->fd = accept(rig->listener, NULL, NULL);
    assert_true(rig->fd >= 0);
    assert_int_equal(sg_request_decode(receive(rig), &request, NULL), SG_OK);
    assert_int_equal(request.kind, SG_JOB_HELLO);
    assert_int_equal(request.role, SG_JOB_ROLE_SIGN);
}

static void greet(struct rig *rig)
{
    open_link(rig);
    send_answers(rig, &hello, 1);
    turn(rig);
    assert_int_equal(rig->link.state, SG_LINK_READY);
    assert_int_equal(rig->ready, 1);
    assert_int_equal(rig->workers, 7);
    assert_int_equal(rig->drained, 1);
    rig->drained = 0;
}

/* Connecting ----------------------------------------------------------------------------------- */

static void nobody_there_is_unavailable(void **state)
{
    struct rig *rig = *state;
    struct sg_err err;
    close(rig->listener);
    assert_int_equal(sg_link_open(&rig->link, &err), SG_E_UNAVAILABLE);
    assert_int_equal(err.reason, SG_R_TOKEN_LOST);
    assert_non_null(strstr(err.msg, rig->path));
    unlink(rig->path);
    assert_int_equal(sg_link_open(&rig->link, &err), SG_E_UNAVAILABLE);
    assert_int_equal(rig->link.state, SG_LINK_CLOSED);
    assert_int_equal(rig->closed, 0);
    rig->listener = -1;
}

static void a_path_that_no_socket_can_have_is_refused(void **state)
{
    struct rig *rig = *state;
    char path[200];
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    sg_link_done(&rig->link);
    init_link(rig, path, -1);
    assert_int_equal(sg_link_open(&rig->link, NULL), SG_E_INVALID);
}

static void another_users_process_is_not_spoken_to(void **state)
{
    struct rig *rig = *state;
    struct sg_err err;
    sg_link_done(&rig->link);
    init_link(rig, rig->path, (int64_t)geteuid() + 1);
    assert_int_equal(sg_link_open(&rig->link, &err), SG_E_DENIED);
    assert_int_equal(rig->link.state, SG_LINK_CLOSED);
    assert_false(sg_link_kill(&rig->link));
    rig->fd = accept(rig->listener, NULL, NULL);
    assert_int_equal(receive(rig).len, 0);
}

/* Its own user named by number is no other. */
static void the_user_that_is_expected_is_spoken_to(void **state)
{
    struct rig *rig = *state;
    sg_link_done(&rig->link);
    init_link(rig, rig->path, (int64_t)geteuid());
    greet(rig);
}

/* As when the process is another user's: it is asked by a connection of its own. */
static void a_process_that_may_not_be_killed_is_asked_to_end(void **state)
{
    struct rig *rig = *state;
    uint8_t bytes[64];
    struct sg_request request;

    greet(rig);
    close(rig->link.pid_fd);
    rig->link.pid_fd = -1;
    assert_true(sg_link_kill(&rig->link));
    int fd = accept(rig->listener, NULL, NULL);
    assert_true(fd >= 0);
    ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
    assert_true(len > 0);
    assert_int_equal(sg_request_decode(sg_slice_of(bytes, (size_t)len), &request, NULL), SG_OK);
    assert_int_equal(request.kind, SG_JOB_HELLO);
    assert_int_equal(request.role, SG_JOB_ROLE_END);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 0);
    close(fd);

    sg_link_close(&rig->link);
    assert_false(sg_link_kill(&rig->link)); /* nobody was greeted */
}

/* Answers -------------------------------------------------------------------------------------- */

static void answers_are_told_one_by_one_however_they_are_packed(void **state)
{
    struct rig *rig = *state;
    struct sg_answer answers[6];

    greet(rig);
    for (size_t i = 0; i < SG_COUNT(answers); i++)
        answers[i] = failure(i + 1);
    send_answers(rig, answers, 1);
    send_answers(rig, answers + 1, 4);
    send_answers(rig, answers + 5, 1);
    turn(rig);
    assert_int_equal(rig->answers, SG_COUNT(answers));
    for (size_t i = 0; i < SG_COUNT(answers); i++)
        assert_int_equal(rig->serials[i], i + 1);
    assert_int_equal(rig->drained, 1);
    assert_int_equal(rig->closed, 0);
}

/* Whatever comes in place of the greeting ends the link, and nobody is told that it is ready. */
static void what_is_no_greeting_closes_the_link(void **state)
{
    (void)state;
    const struct sg_answer odd[] = {
        failure(0),
        {.kind = SG_JOB_HELLO, .outcome = SG_OUT_PIN, .text = SG_SLICE("no")},
        {.kind = SG_JOB_PROBE, .outcome = SG_OUT_OK, .workers = 1, .pin = SG_PIN_ACCEPTED},
    };
    for (size_t i = 0; i < SG_COUNT(odd); i++) {
        void *own;
        setup(&own);
        struct rig *rig = own;
        open_link(rig);
        send_answers(rig, &odd[i], 1);
        turn(rig);
        assert_int_equal(rig->ready, 0);
        assert_int_equal(rig->closed, 1);
        assert_int_equal(rig->link.state, SG_LINK_CLOSED);
        teardown(&own);
    }
}

/* A whole answer that is spoilt, cut, or has more behind it. */
static void bytes_that_are_no_answer_close_the_link(void **state)
{
    struct sg_buf good;
    (void)state;

    sg_buf_init(&good, SG_JOB_PACKET_MAX);
    const struct sg_answer answer = failure(1);
    encode(&answer, &good);
    const size_t whole = good.len;
    sg_buf_add_u8(&good, 0);
    for (size_t len = 1; len <= whole + 1; len++) {
        void *own;
        if (len == whole)
            continue;
        setup(&own);
        struct rig *rig = own;
        greet(rig);
        send_bytes(rig, sg_slice_of(good.ptr, len));
        turn(rig);
        assert_int_equal(rig->closed, 1);
        assert_int_equal(rig->answers, len > whole ? 1 : 0);
        assert_int_equal(rig->err.rc, SG_E_INVALID);
        teardown(&own);
    }
    sg_buf_done(&good);
}

/* What fits ends where an answer does, so that only the kernel knows that one is lost. */
static void a_packet_that_does_not_fit_closes_the_link(void **state)
{
    struct rig *rig = *state;
    struct sg_answer answer = failure(1);
    struct sg_buf packet;

    greet(rig);
    sg_buf_init(&packet, 2 * SG_JOB_PACKET_MAX);
    encode(&answer, &packet);
    const size_t each = packet.len;
    while (SG_JOB_PACKET_MAX - packet.len >= 2 * each)
        encode(&answer, &packet);
    char text[SG_JOB_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    answer.text =
        sg_slice_of((const uint8_t *)text, answer.text.len + SG_JOB_PACKET_MAX - packet.len - each);
    encode(&answer, &packet);
    assert_int_equal(packet.len, SG_JOB_PACKET_MAX);
    encode(&answer, &packet);
    send_bytes(rig, sg_buf_slice(&packet));
    turn(rig);
    assert_int_equal(rig->answers, 0);
    assert_int_equal(rig->closed, 1);
    assert_non_null(strstr(rig->err.msg, "too long"));
    sg_buf_done(&packet);
}

static void an_answer_that_the_owner_refuses_closes_the_link(void **state)
{
    struct rig *rig = *state;
    const struct sg_answer answers[] = {failure(1), failure(2)};
    greet(rig);
    rig->refuses = true;
    send_answers(rig, answers, 2);
    turn(rig);
    assert_int_equal(rig->answers, 1);
    assert_int_equal(rig->closed, 1);
    assert_non_null(strstr(rig->err.msg, "nothing was asked"));
}

static void an_owner_who_closes_hears_nothing_more(void **state)
{
    struct rig *rig = *state;
    const struct sg_answer answers[] = {failure(1), failure(2), failure(3)};
    greet(rig);
    rig->closes_before = 2;
    send_answers(rig, answers, 3);
    send_answers(rig, answers, 3);
    turn(rig);
    turn(rig);
    assert_int_equal(rig->answers, 2);
    assert_int_equal(rig->closed, 0); /* it knows */
    assert_int_equal(rig->link.state, SG_LINK_CLOSED);
}

static void the_end_of_the_process_is_told(void **state)
{
    struct rig *rig = *state;
    greet(rig);
    close(rig->fd);
    rig->fd = -1;
    turn(rig);
    assert_int_equal(rig->closed, 1);
    assert_int_equal(rig->err.reason, SG_R_TOKEN_LOST);
    turn(rig);
    assert_int_equal(rig->closed, 1);
}

/* What came before the end counts. */
static void answers_before_the_end_are_told(void **state)
{
    struct rig *rig = *state;
    const struct sg_answer answer = failure(5);
    greet(rig);
    send_answers(rig, &answer, 1);
    close(rig->fd);
    rig->fd = -1;
    for (int i = 0; i < 3; i++)
        turn(rig);
    assert_int_equal(rig->answers, 1);
    assert_int_equal(rig->closed, 1);
}

/* Requests ------------------------------------------------------------------------------------- */

static void put(struct rig *rig, uint64_t serial, struct sg_slice tbs)
{
    static const uint8_t id[] = {1};
    sg_link_put(&rig->link, &(struct sg_request){.kind = SG_JOB_SIGN,
                                                 .serial = serial,
                                                 .id = {id, sizeof(id)},
                                                 .scheme = SG_SCHEME_ED25519,
                                                 .tbs = tbs});
}

/* How many requests a packet holds; their serials follow `*serial`. */
static size_t count_in(struct sg_slice packet, uint64_t *serial)
{
    size_t count = 0;
    while (packet.len > 0) {
        struct sg_request request;
        struct sg_slice message = sg_job_cut(packet, &packet);
        assert_int_equal(sg_request_decode(message, &request, NULL), SG_OK);
        assert_int_equal(request.serial, ++*serial);
        count++;
    }
    return count;
}

static const struct {
    size_t group, tbs_len, requests;
    size_t packets[8]; /* requests in each */
} packings[] = {
    {0, 32, 3, {1, 1, 1}},
    {1, 32, 3, {1, 1, 1}},
    {3, 32, 7, {3, 3, 1}},
    {32, 32, 5, {5}},
    /* No packet is larger than the other end takes, whatever the group. */
    {32, SG_TBS_BYTES_MAX, 7, {3, 3, 1}},
};

static void requests_leave_in_packets_of_the_owners_size(void **state)
{
    static const uint8_t tbs[SG_TBS_BYTES_MAX];
    struct rig *rig = *state;
    uint64_t serial = 0, seen = 0;

    greet(rig);
    for (size_t i = 0; i < SG_COUNT(packings); i++) {
        rig->link.group = packings[i].group;
        for (size_t j = 0; j < packings[i].requests; j++)
            put(rig, ++serial, sg_slice_of(tbs, packings[i].tbs_len));
        assert_int_equal(receive(rig).len, 0); /* not before the flush */
        sg_link_flush(&rig->link);
        for (size_t j = 0; packings[i].packets[j] > 0; j++) {
            struct sg_slice packet = receive(rig);
            assert_in_range(packet.len, 1, SG_JOB_PACKET_MAX);
            assert_int_equal(count_in(packet, &seen), packings[i].packets[j]);
        }
        assert_int_equal(receive(rig).len, 0);
        assert_int_equal(seen, serial);
    }
}

/* A token process that takes nothing for a while loses nothing, and what waits keeps its order. */
static void what_the_socket_does_not_take_leaves_later(void **state)
{
    enum { MANY = 500 };
    static const uint8_t tbs[SG_TBS_BYTES_MAX];
    struct rig *rig = *state;
    uint64_t seen = 0;

    greet(rig);
    for (uint64_t i = 1; i <= MANY; i++) {
        put(rig, i, sg_slice_of(tbs, sizeof(tbs)));
        sg_link_flush(&rig->link);
    }
    assert_true(rig->link.out.len > 0);
    for (int i = 0; i < 100000 && seen < MANY; i++) {
        struct sg_slice packet = receive(rig);
        if (packet.len > 0)
            count_in(packet, &seen);
        turn(rig);
    }
    assert_int_equal(seen, MANY);
    assert_int_equal(rig->link.out.len, 0);
    rig->drained = 0;
    turn(rig);
    assert_int_equal(rig->drained, 0); /* and it does not spin on a socket that has room */
}

/* Memory --------------------------------------------------------------------------------------- */

static void without_memory_for_a_request_the_link_is_closed(void **state)
{
    static const uint8_t tbs[SG_TBS_BYTES_MAX];
    struct rig *rig = *state;

    greet(rig);
    sg_failmalloc_arm(1);
    for (uint64_t i = 1; i <= 16; i++)
        put(rig, i, sg_slice_of(tbs, sizeof(tbs)));
    assert_true(sg_failmalloc_disarm());
    sg_link_flush(&rig->link);
    assert_int_equal(rig->closed, 0); /* never from inside a function of ours */
    turn(rig);
    assert_int_equal(rig->closed, 1);
    assert_int_equal(receive(rig).len, 0); /* half of them would be worse than none */

    close(rig->fd);
    rig->ready = rig->drained = 0;
    greet(rig); /* and it can be opened again */
}

static bool init_and_done(void *arg)
{
    struct rig *rig = arg;
    struct sg_link link;
    const struct sg_link_events events = {rig, on_ready, on_answer, on_closed, on_drained};
    bool is_ok =
        sg_link_init(&link, rig->loop, rig->path, -1, SG_JOB_ROLE_ADMIN, &events, NULL) == SG_OK;
    sg_link_done(&link);
    return is_ok;
}

static void a_link_is_made_whole_or_not_at_all(void **state)
{
    assert_true(sg_failmalloc_each(init_and_done, *state) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_there_is_unavailable),
        TEST(a_path_that_no_socket_can_have_is_refused),
        TEST(another_users_process_is_not_spoken_to),
        TEST(the_user_that_is_expected_is_spoken_to),
        TEST(a_process_that_may_not_be_killed_is_asked_to_end),
        TEST(answers_are_told_one_by_one_however_they_are_packed),
        cmocka_unit_test(what_is_no_greeting_closes_the_link),
        cmocka_unit_test(bytes_that_are_no_answer_close_the_link),
        TEST(a_packet_that_does_not_fit_closes_the_link),
        TEST(an_answer_that_the_owner_refuses_closes_the_link),
        TEST(an_owner_who_closes_hears_nothing_more),
        TEST(the_end_of_the_process_is_told),
        TEST(answers_before_the_end_are_told),
        TEST(requests_leave_in_packets_of_the_owners_size),
        TEST(what_the_socket_does_not_take_leaves_later),
        TEST(without_memory_for_a_request_the_link_is_closed),
        TEST(a_link_is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
