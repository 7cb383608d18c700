#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/net/net_priv.h"
#include "sealgate/v1/info.pb-c.h"
#include "tests/integration/gateway/rig.h"

/* What a connection may cost, and how it ends. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.connections_max = 3, .reflection = true});
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static struct rig_call *get_info(struct rig_client *client)
{
    const Sealgate__V1__GetServerInfoRequest request = SEALGATE__V1__GET_SERVER_INFO_REQUEST__INIT;
    return rig_get(client, GET_SERVER_INFO, &request.base);
}

static void connections_over_the_limit_are_closed_and_the_others_serve(void **state)
{
    struct rig *rig = *state;
    struct rig_client *clients[5];

    for (size_t i = 0; i < SG_COUNT(clients); i++)
        clients[i] = rig_connect(rig, A);
    RIG_UNTIL(rig, clients[3]->is_over && clients[4]->is_over);
    RIG_UNTIL(rig, rig_client_is_ready(clients[2]));
    assert_int_equal(sg_net_connections(rig->net), 3);
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_FULL], 2);
    struct rig_call *call = get_info(clients[0]);
    assert_int_equal(call->code, SG_GRPC_OK);
    rig_call_free(call);

    rig_disconnect(clients[1], true);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 2);
    call = get_info(rig_connect(rig, A)); /* a place is a place again */
    assert_int_equal(call->code, SG_GRPC_OK);
    rig_call_free(call);
}

static void connections_of_one_source_are_counted(void **state)
{
    (void)state;
    struct rig *rig = calloc(1, sizeof(*rig));
    struct rig_client *clients[3];

    rig_start(rig, &(struct rig_options){.connections_per_source_max = 2});
    for (size_t i = 0; i < SG_COUNT(clients); i++)
        clients[i] = rig_connect(rig, A);
    RIG_UNTIL(rig, clients[2]->is_over && rig_client_is_ready(clients[0]) &&
                       rig_client_is_ready(clients[1]));
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_ADDRESS], 1);

    rig_disconnect(clients[1], true);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 1);
    struct rig_client *next = rig_connect(rig, A); /* a place is a place again */
    RIG_UNTIL(rig, rig_client_is_ready(next));
    rig_stop(rig);
    free(rig);
}

/* More at once than there are steps for; and some that go while a thread has their TLS. */
static void many_handshakes_at_once_all_end(void **state)
{
    enum { COUNT = 40 };
    (void)state;
    struct rig *rig = calloc(1, sizeof(*rig));
    struct rig_client *clients[COUNT];

    rig_start(rig, NULL);
    for (size_t i = 0; i < COUNT; i++)
        clients[i] = rig_connect(rig, A);
    for (int turns = 0; turns < 3; turns++)
        rig_turn(rig);
    for (size_t i = 0; i < COUNT; i += 4)
        rig_disconnect(clients[i], false);
    for (size_t i = 0; i < COUNT; i++)
        if (i % 4 != 0)
            RIG_UNTIL(rig, rig_client_is_ready(clients[i]));
    RIG_UNTIL(rig, sg_net_connections(rig->net) == COUNT - COUNT / 4);
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_SLOW_HANDSHAKE], 0);
    rig_stop(rig);
    free(rig);
}

static void the_end_comes_in_the_middle_of_handshakes(void **state)
{
    (void)state;
    struct rig *rig = calloc(1, sizeof(*rig));

    rig_start(rig, NULL);
    for (size_t i = 0; i < 20; i++)
        rig_connect(rig, A);
    for (int turns = 0; turns < 3; turns++)
        rig_turn(rig);
    rig_stop_now(rig); /* what a thread still has is freed when it comes back */
    free(rig);
}

/* How often `text` stands in the file. */
static size_t count_in(FILE *file, const char *text)
{
    char line[SG_LOG_LINE_BYTES_MAX + 1];
    size_t count = 0;

    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, text) != NULL;
    return count;
}

/* Whoever finds the port can make connections fail, as fast as he likes. */
static void connections_that_fail_do_not_fill_the_log(void **state)
{
    enum { FAILURES = SG_LOG_LIMIT_LINES + 7 };
    struct rig *rig = *state;
    FILE *log = tmpfile();
    int real_stderr = dup(STDERR_FILENO);

    assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
    sg_log_setup(SG_LOG_INFO, SG_LOG_KEY_VALUE, "test");
    for (int i = 0; i < FAILURES; i++) {
        struct rig_client *client = rig_connect_raw(rig);
        assert_int_equal(send(client->fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
        RIG_UNTIL(rig, client->is_over);
        rig_disconnect(client, false);
    }
    rig_wait(rig, SG_LOG_LIMIT_WINDOW_S * SG_NS_PER_S);
    sg_log_setup(SG_LOG_ERROR, SG_LOG_KEY_VALUE, "test");
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    assert_int_equal(count_in(log, "event=conn.handshake_failed"), SG_LOG_LIMIT_LINES);
    assert_int_equal(count_in(log, "event=log.suppressed of=conn.failed lines=7\n"), 1);
    fclose(log);
}

/* Connections are numbered from a number of chance on, which a request's id begins with. */
static void request_ids_do_not_come_again_after_a_restart(void **state)
{
    struct rig *rig = *state, *next = calloc(1, sizeof(*next));
    char ids[2][64];

    rig_start(next, NULL);
    struct rig *const rigs[] = {rig, next};
    for (size_t i = 0; i < SG_COUNT(rigs); i++) {
        struct rig_sign sign;
        rig_sign_init(&sign, "keys/none");
        struct rig_call *call = rig_get(rig_connect(rigs[i], A), SIGN, &sign.request.base);
        assert_int_equal(call->code, SG_GRPC_NOT_FOUND);
        snprintf(ids[i], sizeof(ids[i]), "%s", call->request_id);
        rig_call_free(call);
    }
    assert_non_null(strchr(ids[0], '-'));
    assert_true(strlen(ids[0]) > 8);
    assert_string_not_equal(ids[0], ids[1]);
    rig_stop(next);
    free(next);
}

static void a_handshake_that_takes_too_long_is_ended(void **state)
{
    struct rig *rig = *state;
    struct rig_client *silent = rig_connect_raw(rig);
    struct rig_client *slow = rig_connect_raw(rig);
    static const uint8_t record[] = {0x16, 3, 1, 2, 0};

    assert_int_equal(send(slow->fd, record, 3, 0), 3);
    rig_wait(rig, 4 * SG_NS_PER_S);
    assert_int_equal(send(slow->fd, record + 3, 2, 0), 2); /* does not buy time */
    rig_settle(rig);
    assert_int_equal(sg_net_connections(rig->net), 2);
    rig_wait(rig, SG_NS_PER_S);
    RIG_UNTIL(rig, silent->is_over && slow->is_over);
    assert_int_equal(sg_net_connections(rig->net), 0);
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_SLOW_HANDSHAKE], 2);
}

static void what_is_no_tls_is_closed(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect_raw(rig);

    assert_true(send(client->fd, "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
    RIG_UNTIL(rig, client->is_over);
    assert_int_equal(sg_net_connections(rig->net), 0);
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_HANDSHAKE], 1);
}

static void an_end_of_file_in_mid_handshake_closes(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect_raw(rig);

    RIG_UNTIL(rig, sg_net_connections(rig->net) == 1);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    RIG_UNTIL(rig, client->is_over);
    assert_int_equal(sg_net_connections(rig->net), 0);
}

static void a_close_notify_is_answered_and_ends_the_calls(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 1);
    sg_tls_close(client->tls);
    RIG_UNTIL(rig, client->is_over);
    assert_true(client->was_told);
    assert_int_equal(sg_net_connections(rig->net), 0);
    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
    rig_disconnect(client, false);
    rig_call_free(call);
}

static void an_idle_connection_is_closed_in_the_end(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    rig_call_free(get_info(client));
    rig_wait(rig, 299 * SG_NS_PER_S);
    assert_false(client->is_over);
    rig_wait(rig, 2 * SG_NS_PER_S);
    rig_wait(rig, 3 * SG_NS_PER_S);
    RIG_UNTIL(rig, client->is_over);
    assert_true(client->was_told);
    assert_int_equal(sg_net_connections(rig->net), 0);
}

/* A client that does not read -------------------------------------------------------------- */

/* Connections from now on: the kernel takes little of what is sent to a client that does not read.
 */
static void shrink(const struct rig *rig)
{
    const int bytes = 16384;
    assert_int_equal(setsockopt(rig->net->watch.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)),
                     0);
}

/* Asks for a few hundred KiB on each of so many streams: the list of services, again and again. */
static void ask_much(struct rig_client *client, struct rig_call **calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        calls[i] = rig_begin(client, REFLECTION, 0);
        for (int j = 0; j < 400; j++)
            rig_send_bytes(calls[i], SG_SLICE("\x3a\x01*"), false);
    }
}

static void a_client_that_takes_nothing_is_closed(void **state)
{
    enum { COUNT = 60 };
    struct rig *rig = *state;
    struct rig_call *calls[COUNT];

    shrink(rig);
    struct rig_client *client = rig_connect(rig, A);
    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    client->does_not_read = true;
    ask_much(client, calls, COUNT);
    rig_settle(rig);
    rig_wait(rig, 20 * SG_NS_PER_S);
    assert_int_equal(sg_net_connections(rig->net), 1);
    rig_wait(rig, 12 * SG_NS_PER_S);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
    assert_int_equal(sg_net_totals(rig->net).ended[SG_WHY_STALLED], 1);
    rig_disconnect(client, false);
    for (size_t i = 0; i < COUNT; i++)
        rig_call_free(calls[i]);
}

static void a_client_that_reads_slowly_gets_all_of_it(void **state)
{
    enum { COUNT = 10 };
    struct rig *rig = *state;
    struct rig_call *calls[COUNT];

    shrink(rig);
    struct rig_client *client = rig_connect(rig, A);
    RIG_UNTIL(rig, rig_client_is_ready(client));
    ask_much(client, calls, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        sg_rpc_client_half_close(calls[i]->call);
    for (int pause = 0; pause < 4; pause++) {
        client->does_not_read = true;
        rig_wait(rig, 20 * SG_NS_PER_S);
        client->does_not_read = false;
        rig_turn(rig);
    }
    for (size_t i = 0; i < COUNT; i++) {
        RIG_UNTIL(rig, calls[i]->done > 0);
        assert_int_equal(calls[i]->code, SG_GRPC_OK);
        assert_int_equal(calls[i]->message_count, 400);
        rig_call_free(calls[i]);
    }
}

/* Descriptors ------------------------------------------------------------------------------ */

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct rig *rig = *state;
    struct rlimit was, few;
    struct rig_client *client = rig_connect_raw(rig);

    RIG_UNTIL(rig, sg_net_connections(rig->net) == 1);
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = was;
    few.rlim_cur = (rlim_t)next + 1; /* the client's own, and none for the server */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct rig_client *second = rig_connect_raw(rig);
    rig_settle(rig);
    assert_int_equal(sg_net_connections(rig->net), 1);
    assert_int_equal(rig->net->watch.events, 0); /* does not spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    rig_wait(rig, 200 * SG_NS_PER_MS);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 2);
    assert_false(second->is_over);
    (void)client;
}

enum { MANY_CLIENTS = 3, CALLS_EACH = 10, MESSAGE_LEN = 3900 };

/* A message as no other. */
static void fill_message(uint8_t *message, size_t client, size_t call)
{
    for (size_t i = 0; i < MESSAGE_LEN; i++)
        message[i] = (uint8_t)(client * 67 + call * 5 + i * 3);
}

static bool is_signed(const struct rig *rig, const struct rig_call *call, const uint8_t *message)
{
    Sealgate__V1__SignResponse *response =
        rig_message(call, 0, &sealgate__v1__sign_response__descriptor);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool valid = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, rig->pkeys[EDWARD]) == 1 &&
                 EVP_DigestVerify(ctx, response->signature.data, response->signature.len, message,
                                  MESSAGE_LEN) == 1;
    EVP_MD_CTX_free(ctx);
    protobuf_c_message_free_unpacked(&response->base, NULL);
    return valid;
}

/* More than the listener keeps between reading and working: the rest is worked on at once. */
static void what_many_connections_send_in_one_turn_is_taken_for_each(void **state)
{
    struct rig *rig = *state;
    struct rig_client *clients[MANY_CLIENTS];
    struct rig_call *calls[MANY_CLIENTS][CALLS_EACH];
    uint8_t message[MESSAGE_LEN];
    struct rig_sign sign;

    assert_true(CALLS_EACH * MESSAGE_LEN < READ_BYTES);
    assert_true(MANY_CLIENTS * CALLS_EACH * MESSAGE_LEN > KEPT_BYTES);
    for (size_t i = 0; i < MANY_CLIENTS; i++) {
        clients[i] = rig_connect(rig, A);
        RIG_UNTIL(rig, rig_client_is_ready(clients[i]));
    }
    rig_settle(rig);
    for (size_t i = 0; i < MANY_CLIENTS; i++)
        for (size_t j = 0; j < CALLS_EACH; j++) {
            rig_sign_init(&sign, "keys/edward");
            fill_message(message, i, j);
            sign.request.message = (ProtobufCBinaryData){MESSAGE_LEN, message};
            calls[i][j] = rig_ask(clients[i], SIGN, &sign.request.base);
        }
    for (size_t i = 0; i < MANY_CLIENTS; i++)
        rig_client_turn(clients[i]);
    assert_int_equal(rig->job_count, 0);
    assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
    assert_int_equal(rig->job_count, MANY_CLIENTS * CALLS_EACH);

    rig_jobs(rig, WELL);
    for (size_t i = 0; i < MANY_CLIENTS; i++)
        for (size_t j = 0; j < CALLS_EACH; j++) {
            RIG_UNTIL(rig, calls[i][j]->done);
            assert_int_equal(calls[i][j]->code, SG_GRPC_OK);
            fill_message(message, i, j);
            assert_true(is_signed(rig, calls[i][j], message));
            rig_call_free(calls[i][j]);
        }
}

/* Turns of the listener alone: nothing that the clients would do wakes it. */
static void turn_alone(struct rig *rig)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
}

/* What comes at once is told of once, however many reads it takes. */
static void what_one_connection_sends_at_once_is_taken_to_its_end(void **state)
{
    enum { CALLS = 40 };
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_call *calls[CALLS];
    uint8_t message[MESSAGE_LEN];
    struct rig_sign sign;

    assert_true(CALLS * MESSAGE_LEN > 2 * READ_BYTES);
    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    for (size_t i = 0; i < CALLS; i++) {
        rig_sign_init(&sign, "keys/edward");
        fill_message(message, 0, i);
        sign.request.message = (ProtobufCBinaryData){MESSAGE_LEN, message};
        calls[i] = rig_ask(client, SIGN, &sign.request.base);
    }
    rig_client_turn(client);
    assert_int_equal(sg_tls_out(client->tls)->len, 0); /* all is in the socket */
    turn_alone(rig);
    assert_int_equal(rig->job_count, CALLS);

    rig_jobs(rig, WELL);
    for (size_t i = 0; i < CALLS; i++) {
        RIG_UNTIL(rig, calls[i]->done);
        assert_int_equal(calls[i]->code, SG_GRPC_OK);
        rig_call_free(calls[i]);
    }
}

/* The end comes with the bytes before it, and nothing more is told. */
static void an_end_behind_the_last_bytes_is_seen(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_ask(client, SIGN, &sign.request.base);
    rig_client_turn(client);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    assert_int_equal(sg_loop_turn(rig->loop, 0, NULL), SG_OK);
    assert_int_equal(rig->job_count, 1);
    turn_alone(rig);
    assert_int_equal(sg_net_connections(rig->net), 0);

    rig_jobs(rig, WELL);
    RIG_UNTIL(rig, sg_signer_pending(rig->signer) == 0);
    rig_disconnect(client, false);
    rig_call_free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connections_over_the_limit_are_closed_and_the_others_serve),
        cmocka_unit_test(connections_of_one_source_are_counted),
        cmocka_unit_test(many_handshakes_at_once_all_end),
        cmocka_unit_test(the_end_comes_in_the_middle_of_handshakes),
        TEST(connections_that_fail_do_not_fill_the_log),
        TEST(request_ids_do_not_come_again_after_a_restart),
        TEST(a_handshake_that_takes_too_long_is_ended),
        TEST(what_is_no_tls_is_closed),
        TEST(an_end_of_file_in_mid_handshake_closes),
        TEST(a_close_notify_is_answered_and_ends_the_calls),
        TEST(an_idle_connection_is_closed_in_the_end),
        TEST(a_client_that_takes_nothing_is_closed),
        TEST(a_client_that_reads_slowly_gets_all_of_it),
        TEST(what_many_connections_send_in_one_turn_is_taken_for_each),
        TEST(what_one_connection_sends_at_once_is_taken_to_its_end),
        TEST(an_end_behind_the_last_bytes_is_seen),
        TEST(without_descriptors_accepting_pauses_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
