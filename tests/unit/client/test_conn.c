#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Connections: how they begin, how they end, and what then becomes of the calls on them. */

static struct test_server *server;

static int start(void **state)
{
    (void)state;
    server = test_server_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    test_server_stop(server);
    return 0;
}

static const uint8_t digest[32] = {7};

static struct sealgate_client *client_of(const struct sealgate_options *options)
{
    struct sealgate_client *client = NULL;

    assert_int_equal(sealgate_client_new(options, &client, NULL), SEALGATE_OK);
    return client;
}

static enum sealgate_code sign(struct sealgate_client *client, const char *key, uint32_t timeout_ms,
                               struct sealgate_error *error)
{
    struct sealgate_sign_request request = {
        .key = key, .digest = SEALGATE_DIGEST_SHA256, .content = {digest, sizeof(digest)}};
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, timeout_ms, &signature, error);

    assert_int_equal(signature != NULL, code == SEALGATE_OK);
    sealgate_free(signature);
    return code;
}

/* ---- Options -------------------------------------------------------------------------------- */

static void options_that_cannot_work_are_refused_at_once(void **state)
{
    static const char *const endpoints[] = {"", ":1", "host:0", "host:65536", "[::1", "a b"};
    struct sealgate_options options;
    struct sealgate_client *client = NULL;
    struct sealgate_error error;

    (void)state;
    for (size_t i = 0; i < SG_COUNT(endpoints); i++) {
        print_message("  \"%s\"\n", endpoints[i]);
        options = test_server_options(server);
        options.endpoint = endpoints[i];
        assert_int_equal(sealgate_client_new(&options, &client, &error), SEALGATE_INVALID_ARGUMENT);
        assert_string_equal(error.reason, "BAD_OPTIONS");
    }
    for (int i = 0; i < 3; i++) {
        options = test_server_options(server);
        *(i == 0   ? &options.ca_file
          : i == 1 ? &options.cert_file
                   : &options.key_file) = "/nonexistent.pem";
        assert_int_equal(sealgate_client_new(&options, &client, &error), SEALGATE_INVALID_ARGUMENT);
        assert_string_equal(error.reason, "BAD_OPTIONS");
        assert_non_null(strstr(error.message, "/nonexistent.pem"));
        assert_non_null(strstr(error.message, "No such file"));
    }
    options = test_server_options(server);
    options.key_file = NULL;
    assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_INVALID_ARGUMENT);
    assert_null(client);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

static void a_port_where_nobody_listens_is_not_done(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, and not listening */
    char endpoint[32];
    struct sealgate_client *client;
    struct sealgate_error error;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", ntohs(address.sin_port));
    options.endpoint = endpoint;
    client = client_of(&options);
    assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "CONNECT_FAILED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_non_null(strstr(error.message, endpoint));
    sealgate_client_free(client);
    close(fd);
}

static void a_name_that_nobody_knows_is_not_done(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client;
    struct sealgate_error error;

    (void)state;
    options.endpoint = "no-such-host.invalid:1"; /* RFC 6761 section 6.4 */
    client = client_of(&options);
    assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "NAME_NOT_RESOLVED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    sealgate_client_free(client);
}

static void a_name_is_tried_at_each_of_its_addresses(void **state)
{
    struct sealgate_options options = test_server_options(server);
    char endpoint[40];
    struct sealgate_client *client;

    (void)state;
    /* Where localhost is ::1 too, nobody listens there, and 127.0.0.1 comes next. */
    snprintf(endpoint, sizeof(endpoint), "localhost%s", strchr(server->endpoint, ':'));
    options.endpoint = endpoint;
    client = client_of(&options);
    assert_int_equal(sign(client, "keys/ok", 0, NULL), SEALGATE_OK);
    sealgate_client_free(client);
}

static void a_server_by_another_name_is_refused(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client;
    struct sealgate_error error;

    (void)state;
    options.server_name = "elsewhere.example";
    client = client_of(&options);
    assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "TLS_FAILED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_int_equal(atomic_load(&server->calls), 0);
    sealgate_client_free(client);
}

static void a_refused_certificate_is_unauthenticated_and_not_done(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client;
    struct sealgate_error error;

    (void)state;
    options.cert_file = server->other_cert_file;
    options.key_file = server->other_key_file;
    client = client_of(&options);
    for (int i = 0; i < 10; i++) { /* whichever of alert and end of file comes first */
        assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAUTHENTICATED);
        assert_string_equal(error.reason, "CLIENT_CERT_REFUSED");
        assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    }
    assert_int_equal(atomic_load(&server->calls), 0);
    sealgate_client_free(client);
}

static void a_server_that_says_nothing_costs_the_time_to_connect_only(void **state)
{
    struct sealgate_options options = test_server_options(server);
    int64_t begin_ns = sg_mono_ns(&sg_clock_system), took_ms;
    struct sealgate_client *client;
    struct sealgate_error error;

    (void)state;
    atomic_store(&server->mute, true);
    options.connect_timeout_ms = 150;
    client = client_of(&options);
    assert_int_equal(sign(client, "keys/ok", 5000, &error), SEALGATE_UNAVAILABLE);
    took_ms = (sg_mono_ns(&sg_clock_system) - begin_ns) / SG_NS_PER_MS;
    assert_string_equal(error.reason, "CONNECT_FAILED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_in_range(took_ms, 140, 3000);
    sealgate_client_free(client);
}

static void a_deadline_shorter_than_connecting_is_not_done(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = client_of(&options);
    struct sealgate_error error;

    (void)state;
    atomic_store(&server->mute, true);
    assert_int_equal(sign(client, "keys/ok", 60, &error), SEALGATE_DEADLINE_EXCEEDED);
    assert_string_equal(error.reason, "DEADLINE");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    sealgate_client_free(client);
}

static void a_connection_cut_while_it_is_made_is_not_done(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = client_of(&options);
    struct sealgate_error error;

    (void)state;
    atomic_store(&server->cut, 1);
    assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_int_equal(sign(client, "keys/ok", 0, NULL), SEALGATE_OK);
    sealgate_client_free(client);
}

/* ---- The end of a connection ---------------------------------------------------------------- */

static void a_lost_connection_is_made_anew_by_the_next_call(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = client_of(&options);

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(sign(client, "keys/ok", 0, NULL), SEALGATE_OK);
        assert_int_equal(sign(client, "keys/close", 0, NULL), SEALGATE_UNAVAILABLE);
    }
    assert_int_equal(atomic_load(&server->connections), 5);
    assert_int_equal(atomic_load(&server->calls), 10); /* none was sent twice */
    sealgate_client_free(client);
}

static void what_goaway_left_undone_is_sent_again_once(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = client_of(&options);
    struct sealgate_error error;

    (void)state;
    atomic_store(&server->refuse, 1);
    assert_int_equal(sign(client, "keys/ok", 0, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 1);
    assert_int_equal(atomic_load(&server->connections), 2);

    assert_int_equal(sign(client, "keys/close", 0, NULL), SEALGATE_UNAVAILABLE);
    atomic_store(&server->refuse, 2);
    assert_int_equal(sign(client, "keys/ok", 0, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "NOT_PROCESSED");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    assert_int_equal(sign(client, "keys/ok", 0, NULL), SEALGATE_OK);
    sealgate_client_free(client);
}

static void an_answer_before_goaway_is_kept(void **state)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = client_of(&options);

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(sign(client, "keys/drain", 0, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 5);
    assert_int_equal(atomic_load(&server->connections), 5);
    sealgate_client_free(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_that_cannot_work_are_refused_at_once),
        TEST(a_port_where_nobody_listens_is_not_done),
        TEST(a_name_that_nobody_knows_is_not_done),
        TEST(a_name_is_tried_at_each_of_its_addresses),
        TEST(a_server_by_another_name_is_refused),
        TEST(a_refused_certificate_is_unauthenticated_and_not_done),
        TEST(a_server_that_says_nothing_costs_the_time_to_connect_only),
        TEST(a_deadline_shorter_than_connecting_is_not_done),
        TEST(a_connection_cut_while_it_is_made_is_not_done),
        TEST(a_lost_connection_is_made_anew_by_the_next_call),
        TEST(what_goaway_left_undone_is_sent_again_once),
        TEST(an_answer_before_goaway_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
