#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Bearer tokens: what the application gives reaches the server, once for each call, and nothing
 * that a header could not hold is sent. */

static struct test_server *server;
static struct sealgate_options options;
static struct sealgate_client *client;

static char given[SEALGATE_AUTHORIZATION_BYTES_MAX + 2];
static size_t given_len; /* written without a NUL when it fills all the room */
static enum sealgate_code answer;
static unsigned asked;

static enum sealgate_code authorize(void *user, char *value, size_t room)
{
    assert_ptr_equal(user, given);
    assert_int_equal(room, SEALGATE_AUTHORIZATION_BYTES_MAX + 1);
    for (size_t i = 0; i < room; i++)
        assert_int_equal(value[i], 0); /* nothing is left of the one before */
    memcpy(value, given, given_len < room ? given_len + 1 : room);
    asked++;
    return answer;
}

static void give(const char *text)
{
    given_len = strlen(text);
    assert_true(given_len < sizeof(given));
    memcpy(given, text, given_len + 1);
}

static int start(void **state)
{
    (void)state;
    server = test_server_start();
    options = test_server_options(server);
    options.authorization = authorize;
    options.authorization_user = given;
    give("Bearer abc.def");
    answer = SEALGATE_OK;
    asked = 0;
    return sealgate_client_new(&options, &client, NULL) == SEALGATE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    test_server_stop(server);
    return 0;
}

static void renew(void)
{
    sealgate_client_free(client);
    assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_OK);
}

/* Signs, and gives what the server saw. */
static enum sealgate_code sign(char *ret_seen, size_t room, struct sealgate_error *error)
{
    static const uint8_t digest[32] = {3};
    const struct sealgate_sign_request request = {
        .key = "keys/token", .digest = SEALGATE_DIGEST_SHA256, .content = {digest, 32}};
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, 0, &signature, error);

    if (code == SEALGATE_OK)
        snprintf(ret_seen, room, "%s", signature->key_version);
    sealgate_free(signature);
    return code;
}

static void every_call_has_the_token_of_its_moment(void **state)
{
    char seen[64], token[64];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(token, sizeof(token), "Bearer number-%u", i);
        give(token);
        assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK);
        assert_string_equal(seen, token);
        assert_int_equal(asked, i + 1);
    }
}

static void a_token_does_without_a_certificate(void **state)
{
    char seen[64];
    struct sealgate_error error;
    struct sealgate_client *none = NULL;

    (void)state;
    options.cert_file = options.key_file = NULL;
    renew();
    assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK);
    assert_string_equal(seen, "Bearer abc.def");

    options.authorization = NULL; /* neither of the two */
    assert_int_equal(sealgate_client_new(&options, &none, &error), SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_OPTIONS");
    options.authorization = authorize;
    options.key_file = server->key_file; /* half of one */
    assert_int_equal(sealgate_client_new(&options, &none, &error), SEALGATE_INVALID_ARGUMENT);
}

static void a_call_without_its_token_is_not_sent(void **state)
{
    static const enum sealgate_code codes[] = {SEALGATE_UNAUTHENTICATED, SEALGATE_UNAVAILABLE,
                                               SEALGATE_INTERNAL};
    struct sealgate_error error;
    char seen[64];

    (void)state;
    for (size_t i = 0; i < SG_COUNT(codes); i++) {
        answer = codes[i];
        assert_int_equal(sign(seen, sizeof(seen), &error), codes[i]);
        assert_int_equal(error.code, codes[i]);
        assert_string_equal(error.reason, "TOKEN_NOT_GIVEN");
        assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
        assert_null(strstr(error.message, "abc.def"));
    }
    assert_int_equal(atomic_load(&server->calls), 0);
    answer = SEALGATE_OK;
    assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK); /* the connection is whole */
}

static void what_no_header_can_hold_is_not_sent(void **state)
{
    static const char *const refused[] = {"",          " Bearer a",   "Bearer a ",
                                          "a\r\nb: c", "Bearer \x7f", "Bearer t\u00f4ken"};
    struct sealgate_error error;
    char seen[64];

    (void)state;
    for (size_t i = 0; i < SG_COUNT(refused); i++) {
        give(refused[i]);
        assert_int_equal(sign(seen, sizeof(seen), &error), SEALGATE_UNAUTHENTICATED);
        assert_string_equal(error.reason, "TOKEN_NOT_GIVEN");
    }
    assert_int_equal(atomic_load(&server->calls), 0);
}

static void the_longest_token_arrives_and_one_byte_more_does_not(void **state)
{
    static char seen[SEALGATE_AUTHORIZATION_BYTES_MAX + 2];
    struct sealgate_error error;

    (void)state;
    memset(given, 'x', SEALGATE_AUTHORIZATION_BYTES_MAX);
    given_len = SEALGATE_AUTHORIZATION_BYTES_MAX;
    given[given_len] = '\0';
    assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK);
    assert_string_equal(seen, given);

    given[given_len++] = 'x'; /* all the room, and no NUL in it */
    assert_int_equal(sign(seen, sizeof(seen), &error), SEALGATE_UNAUTHENTICATED);
    assert_string_equal(error.reason, "TOKEN_NOT_GIVEN");
}

static void count_signed(void *user, const struct sealgate_error *error,
                         const struct sealgate_signature *signature)
{
    (void)signature;
    *(unsigned *)user += error == NULL;
}

static void calls_that_wait_for_a_stream_ask_once_all_the_same(void **state)
{
    static const uint8_t digest[32] = {3};
    const struct sealgate_sign_request request = {
        .key = "keys/token", .digest = SEALGATE_DIGEST_SHA256, .content = {digest, 32}};
    unsigned good = 0;
    char seen[64];

    (void)state;
    for (int i = 0; i < 500; i++) /* more than the server takes at once */
        assert_int_equal(sealgate_sign_start(client, &request, 0, count_signed, &good, NULL, NULL),
                         SEALGATE_OK);
    while (good < 500)
        assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK);
    assert_int_equal(asked, atomic_load(&server->calls));
}

static void a_call_that_is_sent_again_asks_again(void **state)
{
    char seen[64];

    (void)state;
    atomic_store(&server->refuse, 1);
    assert_int_equal(sign(seen, sizeof(seen), NULL), SEALGATE_OK);
    assert_int_equal(asked, 2);
    assert_int_equal(atomic_load(&server->calls), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_call_has_the_token_of_its_moment),
        TEST(a_token_does_without_a_certificate),
        TEST(a_call_without_its_token_is_not_sent),
        TEST(what_no_header_can_hold_is_not_sent),
        TEST(the_longest_token_arrives_and_one_byte_more_does_not),
        TEST(calls_that_wait_for_a_stream_ask_once_all_the_same),
        TEST(a_call_that_is_sent_again_asks_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
