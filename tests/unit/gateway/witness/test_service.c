#include <pthread.h>

#include "gateway/rpc/rpc.h"
#include "gateway/witness/service.h"
#include "proto/h1/h1.h"
#include "tests/unit/gateway/witness/folder.h"

/*
 * Requests to a witness on their way between the loop and the one thread that cosigns: the real
 * keeper, the real HTTP, and a thread that the test can hold.
 */
#define ORIGIN "log.example/main/1"

enum { WAITING_MAX = 64, CLIENTS_MAX = WAITING_MAX + 3, NOW_S = 1700000000 };

struct client {
    struct sg_rpc_connection connection;
    struct sg_h1 *h1;
    struct sg_buf out;
    unsigned wants; /* times that it was told that there is something to write */
};

static struct audit_maker *maker, *stranger, *thief, *forked;
static struct folder folder;
static struct sg_witness_keeper *keeper;
static struct sg_witness_service *service;
static struct sg_loop *loop;
static struct client clients[CLIENTS_MAX];
static unsigned told, told_status[600];
static char last_from[48];

/* The thread asks for the time before it cosigns: there it is held. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static bool is_held; /* by the test */

static void hold_thread(void)
{
    pthread_mutex_lock(&gate);
    is_held = true;
}

static void release_thread(void)
{
    if (is_held)
        pthread_mutex_unlock(&gate);
    is_held = false;
}

static int64_t wall_ns(const struct sg_clock *clock)
{
    (void)clock;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return NOW_S * SG_NS_PER_S;
}

static int64_t mono_ns(const struct sg_clock *clock)
{
    (void)clock;
    return sg_mono_ns(&sg_clock_system);
}

static const struct sg_clock clock_held = {.mono_ns = mono_ns, .wall_ns = wall_ns};

static void on_told(void *arg, const char *from, const struct sg_witness_reply *reply)
{
    (void)arg;
    told++;
    told_status[reply->status]++;
    snprintf(last_from, sizeof(last_from), "%s", from);
}

static void wants_write(void *arg)
{
    ((struct client *)arg)->wants++;
}

/* Clients ------------------------------------------------------------------------------------ */

static void connect_client(struct client *client, const char *from)
{
    *client = (struct client){
        .connection = {.from = from, .wants_write = wants_write, .wants_write_arg = client}};
    sg_buf_init(&client->out, 1 << 20);
    assert_int_equal(sg_h1_new(&sg_rpc_limits_default, &sg_witness_methods,
                               sg_witness_service_handler(service), &client->connection, 1,
                               &client->h1, NULL),
                     SG_OK);
}

static void leave(struct client *client)
{
    sg_h1_free(client->h1);
    sg_buf_done(&client->out);
    client->h1 = NULL;
}

static void post(struct client *client, struct sg_slice body)
{
    struct sg_buf request;

    sg_buf_init(&request, 1 << 20);
    sg_buf_printf(&request,
                  "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: %zu\r\n\r\n",
                  body.len);
    sg_buf_add_slice(&request, body);
    assert_int_equal(sg_h1_feed(client->h1, 1, sg_buf_slice(&request), NULL), SG_OK);
    sg_buf_done(&request);
}

/* That the tree of `size` leaves grew from that of `old`. */
static void post_growth(struct client *client, struct audit_maker *of, uint64_t old, uint64_t size)
{
    struct sg_witness_request request = {.old_size = old};
    struct sg_buf checkpoint, text;

    sg_buf_init(&checkpoint, SG_NOTE_BYTES_MAX);
    sg_buf_init(&text, SG_WITNESS_REQUEST_BYTES_MAX);
    if (old > 0 && old < size)
        audit_maker_growth(of, old, size, &request.proof);
    audit_maker_checkpoint(of, size, &checkpoint);
    request.checkpoint = sg_buf_slice(&checkpoint);
    sg_witness_request_write(&request, &text);
    post(client, sg_buf_slice(&text));
    sg_buf_done(&checkpoint);
    sg_buf_done(&text);
}

/* What the client has by now. */
static const char *answer(struct client *client)
{
    assert_int_equal(sg_h1_pull(client->h1, 1 << 20, &client->out, NULL), SG_OK);
    sg_buf_add_u8(&client->out, '\0');
    client->out.len--;
    return (const char *)client->out.ptr;
}

static bool has_answer(struct client *client, const char *status)
{
    return strstr(answer(client), status) == (const char *)client->out.ptr;
}

static void run_until_told(unsigned wanted)
{
    for (int i = 0; i < 1000 && told < wanted; i++)
        assert_int_equal(sg_loop_turn(loop, 20, NULL), SG_OK);
    assert_int_equal(told, wanted);
}

/* The whole ---------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;

    maker = audit_maker_new(ORIGIN, 7);
    audit_maker_grow(maker, 100);
    forked = audit_maker_new(ORIGIN, 7);
    audit_maker_add(forked, SG_SLICE("something else"));
    audit_maker_grow(forked, 99);
    thief = audit_maker_new(ORIGIN, 9);
    audit_maker_grow(thief, 3);
    stranger = audit_maker_new("stranger.example/1", 8);
    audit_maker_grow(stranger, 3);
    folder_make(&folder, ORIGIN, maker);
    assert_int_equal(
        sg_witness_keeper_open(folder.key, folder.memory, &folder.trusted, 1, &keeper, NULL),
        SG_OK);
    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    const struct sg_witness_service_options options = {
        .loop = loop, .clock = &clock_held, .keeper = keeper, .told = on_told};
    assert_int_equal(sg_witness_service_new(&options, &service, NULL), SG_OK);
    told = 0;
    memset(told_status, 0, sizeof(told_status));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    release_thread();
    sg_witness_service_free(service);
    sg_witness_keeper_close(keeper);
    sg_loop_free(loop);
    audit_maker_free(maker);
    audit_maker_free(forked);
    audit_maker_free(thief);
    audit_maker_free(stranger);
    folder_remove(&folder);
    return 0;
}

static void each_answer_has_its_status(void **state)
{
    const struct {
        const char *name;
        struct audit_maker *of; /* NULL: `body` as it is */
        uint64_t old, size;
        const char *body, *status, *has;
    } rows[] = {
        {"the first of a log", maker, 0, 10, "", "HTTP/1.1 200 ",
         "\r\n\r\n\xe2\x80\x94 witness.example/w1 "},
        {"it grew", maker, 10, 20, "", "HTTP/1.1 200 ", "\r\n\r\n\xe2\x80\x94 witness.example/w1 "},
        {"from another size", maker, 10, 30, "", "HTTP/1.1 409 ",
         "content-type: text/x.tlog.size\r\n"},
        {"and which", maker, 0, 30, "", "HTTP/1.1 409 ", "\r\n\r\n20\n"},
        {"it did not grow", forked, 20, 30, "", "HTTP/1.1 422 ", ""},
        {"another tree of one size", forked, 20, 20, "", "HTTP/1.1 409 ", "\r\n\r\n20\n"},
        {"another's key", thief, 0, 3, "", "HTTP/1.1 403 ", ""},
        {"another log", stranger, 0, 3, "", "HTTP/1.1 404 ", ""},
        {"no request", NULL, 0, 0, "old five\n", "HTTP/1.1 400 ", ""},
        {"nothing", NULL, 0, 0, "", "HTTP/1.1 400 ", ""},
        {"and it goes on", maker, 20, 30, "", "HTTP/1.1 200 ",
         "\r\n\r\n\xe2\x80\x94 witness.example/w1 "},
    };
    (void)state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct client *client = &clients[0];
        print_message("  %s\n", rows[i].name);
        connect_client(client, "192.0.2.7");
        if (rows[i].of != NULL)
            post_growth(client, rows[i].of, rows[i].old, rows[i].size);
        else
            post(client, sg_slice_str(rows[i].body));
        assert_string_equal(answer(client), ""); /* the loop waits for nobody */
        run_until_told((unsigned)i + 1);
        assert_int_equal(client->wants, 1);
        if (!has_answer(client, rows[i].status) ||
            strstr((const char *)client->out.ptr, rows[i].has) == NULL)
            fail_msg("%s: %s", rows[i].name, (const char *)client->out.ptr);
        assert_string_equal(last_from, "192.0.2.7");
        leave(client);
    }
    /* Longer than any request: nobody reads it. */
    static uint8_t much[SG_WITNESS_REQUEST_BYTES_MAX + 1];
    connect_client(&clients[0], "192.0.2.7");
    memset(much, 'x', sizeof(much));
    post(&clients[0], sg_slice_of(much, sizeof(much)));
    assert_true(has_answer(&clients[0], "HTTP/1.1 503 "));
    leave(&clients[0]);
}

static void too_many_are_refused_and_the_others_answered(void **state)
{
    (void)state;

    hold_thread();
    for (size_t i = 0; i < WAITING_MAX + 2; i++) {
        connect_client(&clients[i], "");
        post_growth(&clients[i], maker, 0, i + 1);
    }
    for (size_t i = 0; i < WAITING_MAX; i++)
        assert_string_equal(answer(&clients[i]), "");
    for (size_t i = WAITING_MAX; i < WAITING_MAX + 2; i++)
        assert_true(has_answer(&clients[i], "HTTP/1.1 503 "));
    assert_int_equal(told, 0);
    release_thread();
    run_until_told(WAITING_MAX);
    /* One after the other: the first is cosigned, and the others are told of it. */
    assert_true(has_answer(&clients[0], "HTTP/1.1 200 "));
    for (size_t i = 1; i < WAITING_MAX; i++)
        assert_true(has_answer(&clients[i], "HTTP/1.1 409 "));
    assert_int_equal(told_status[200], 1);
    /* There is room again, for whoever was refused too. */
    sg_buf_clear(&clients[WAITING_MAX].out);
    post_growth(&clients[WAITING_MAX], maker, 1, 50);
    run_until_told(WAITING_MAX + 1);
    assert_true(has_answer(&clients[WAITING_MAX], "HTTP/1.1 200 "));
    for (size_t i = 0; i < WAITING_MAX + 2; i++)
        leave(&clients[i]);
}

static void who_leaves_meanwhile_leaves_nothing_behind(void **state)
{
    (void)state;

    hold_thread();
    for (size_t i = 0; i < 3; i++) {
        connect_client(&clients[i], "");
        post_growth(&clients[i], maker, i == 2 ? 10 : 0, i == 2 ? 20 : 10);
    }
    leave(&clients[0]); /* before its turn, or in it */
    leave(&clients[1]);
    release_thread();
    run_until_told(3);
    /* What it asked for was done all the same, and is what is known now. */
    assert_true(has_answer(&clients[2], "HTTP/1.1 200 "));
    assert_int_equal(told_status[200], 2);
    leave(&clients[2]);
}

static void it_ends_with_requests_that_nobody_waits_for(void **state)
{
    (void)state;

    hold_thread();
    for (size_t i = 0; i < 10; i++) {
        connect_client(&clients[i], "");
        post_growth(&clients[i], maker, 0, 10);
        leave(&clients[i]);
    }
    release_thread();
    sg_witness_service_free(service);
    service = NULL;
    assert_true(told <= 10);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SERVICE_TEST(each_answer_has_its_status),
        SERVICE_TEST(too_many_are_refused_and_the_others_answered),
        SERVICE_TEST(who_leaves_meanwhile_leaves_nothing_behind),
        SERVICE_TEST(it_ends_with_requests_that_nobody_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
