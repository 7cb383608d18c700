#include <ctype.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "client/lib/client_priv.h"
#include "tests/support/unit.h"
#include "tests/unit/client/server.h"

/* Signing calls that are known by their request_id: sent again when they may have been done, and
 * without one where the server has none. */

static struct test_server *server;
static struct sealgate_options options;
static struct sealgate_client *client;
static const uint8_t digest[32] = {7};

static int start(void **state)
{
    (void)state;
    server = test_server_start();
    options = test_server_options(server);
    options.no_repeat = false;
    return sealgate_client_new(&options, &client, NULL) == SEALGATE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    test_server_stop(server);
    return 0;
}

/* `seen` gets the request_id that the server saw; 64 bytes. */
static enum sealgate_code sign(const char *key, const char *request_id, uint32_t timeout_ms,
                               char *seen, struct sealgate_error *error)
{
    struct sealgate_sign_request request = {.key = key,
                                            .digest = SEALGATE_DIGEST_SHA256,
                                            .content = {digest, sizeof(digest)},
                                            .request_id = request_id};
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, timeout_ms, &signature, error);
    if (code == SEALGATE_OK && seen != NULL)
        snprintf(seen, 64, "%s", signature->key_version);
    sealgate_free(signature);
    return code;
}

static void ids_are_uuids_of_version_7_that_grow(void **state)
{
    char last[SEALGATE_REQUEST_ID_BYTES] = "", id[SEALGATE_REQUEST_ID_BYTES];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(sealgate_request_id(id));
        assert_int_equal(strlen(id), 36);
        for (size_t at = 0; at < 36; at++) {
            bool is_dash = at == 8 || at == 13 || at == 18 || at == 23;
            assert_true(is_dash ? id[at] == '-'
                                : isdigit(id[at]) || (id[at] >= 'a' && id[at] <= 'f'));
        }
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(strncmp(id, last, 13) >= 0);
        assert_string_not_equal(id, last);
        memcpy(last, id, sizeof(last));
    }
}

static void every_call_has_an_id(void **state)
{
    char one[64], two[64];
    (void)state;
    assert_int_equal(sign("keys/ids", NULL, 0, one, NULL), SEALGATE_OK);
    assert_int_equal(sign("keys/ids", NULL, 0, two, NULL), SEALGATE_OK);
    assert_int_equal(strlen(one), 36);
    assert_string_not_equal(one, two);
    assert_int_equal(sign("keys/ids", "mine", 0, one, NULL), SEALGATE_OK);
    assert_string_equal(one, "mine");
}

static void a_lost_call_is_sent_again_with_the_same_id(void **state)
{
    static const char *const given[] = {NULL, "0193526e-8c00-7abc-8def-0123456789ab"};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(given); i++) {
        char seen[64];
        atomic_store(&server->calls, 0);
        assert_int_equal(sign("keys/ids-close", given[i], 0, seen, NULL), SEALGATE_OK);
        assert_int_equal(atomic_load(&server->calls), 3);
        if (given[i] != NULL)
            assert_string_equal(seen, given[i]);
    }
}

static void a_busy_server_is_waited_for_as_long_as_it_says(void **state)
{
    int64_t begun_ns = sg_mono_ns(&sg_clock_system);
    (void)state;
    assert_int_equal(sign("keys/ids-busy", NULL, 0, NULL, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 3);
    assert_true(sg_mono_ns(&sg_clock_system) - begun_ns >= 2 * 251 * SG_NS_PER_MS);
}

static void there_is_no_waiting_beyond_the_time_of_the_call(void **state)
{
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sign("keys/ids-busy", NULL, 200, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_string_equal(error.reason, "TOKEN_LOST");
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_ANSWERED);
    assert_int_equal(atomic_load(&server->calls), 1);

    assert_int_equal(sign("keys/close", NULL, 600, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_in_range(atomic_load(&server->calls), 3, 1 + SG_CLIENT_REPEATS_MAX + 1);
}

static void a_killed_server_may_come_back_in_time(void **state)
{
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sign("keys/ids", NULL, 0, NULL, NULL), SEALGATE_OK);
    test_server_set_down(server, true);
    /* Nothing was sent: there is no connection, and it is told at once, as without ids. */
    assert_int_equal(sign("keys/ids", NULL, 300, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_NOT_DONE);
    test_server_set_down(server, false);
    assert_int_equal(sign("keys/ids", NULL, 0, NULL, NULL), SEALGATE_OK);
}

static void a_server_without_ids_is_served_without(void **state)
{
    struct sealgate_error error;
    char seen[64];
    (void)state;
    assert_int_equal(sign("keys/ids-refused", NULL, 0, seen, NULL), SEALGATE_OK);
    assert_string_equal(seen, "");
    assert_int_equal(atomic_load(&server->calls), 2);
    assert_int_equal(sign("keys/ids-refused", NULL, 0, seen, NULL), SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 3); /* it is remembered */
    /* Now nothing is known by an id, so nothing is repeated. */
    assert_int_equal(sign("keys/close", NULL, 0, NULL, &error), SEALGATE_UNAVAILABLE);
    assert_int_equal(error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(atomic_load(&server->calls), 4);
    /* Whoever gave an id relies on it: he is told. */
    assert_int_equal(sign("keys/ids-refused", "mine", 0, seen, &error), SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "FIELD_NOT_SERVED");
}

static void a_batch_goes_without_ids_too(void **state)
{
    struct sealgate_sign_request requests[3];
    struct sealgate_batch *batch = NULL;
    (void)state;
    for (size_t i = 0; i < SG_COUNT(requests); i++)
        requests[i] =
            (struct sealgate_sign_request){.key = i == 1 ? "keys/ids" : "keys/ids-refused",
                                           .digest = SEALGATE_DIGEST_SHA256,
                                           .content = {digest, sizeof(digest)}};
    assert_int_equal(sealgate_batch_sign(client, requests, SG_COUNT(requests), 0, &batch, NULL),
                     SEALGATE_OK);
    assert_int_equal(atomic_load(&server->calls), 2);
    for (size_t i = 0; i < SG_COUNT(requests); i++) {
        assert_non_null(batch->items[i].signature);
        assert_string_equal(batch->items[i].signature->key_version, "");
    }
    sealgate_free(batch);
}

/* Streams -------------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 64 };

struct stream {
    struct sealgate_call *call;
    unsigned results[ITEMS_MAX]; /* of each item */
    char seen[ITEMS_MAX][64];    /* the request_id that the server saw */
    size_t signed_count, failed_count, writable_count;
    struct sealgate_error failed;
    unsigned done;
    struct sealgate_error error; /* of the whole */
};

static void on_item(void *user, const char *item_id, const struct sealgate_error *error,
                    const struct sealgate_signature *signature)
{
    struct stream *stream = user;
    const size_t i = (size_t)strtoul(item_id, NULL, 10);

    assert_in_range(i, 0, ITEMS_MAX - 1);
    stream->results[i]++;
    if (error != NULL) {
        stream->failed = *error;
        stream->failed_count++;
    } else {
        snprintf(stream->seen[i], sizeof(stream->seen[i]), "%s", signature->key_version);
        stream->signed_count++;
    }
}

static void on_room(void *user)
{
    ((struct stream *)user)->writable_count++;
}

static void on_end(void *user, const struct sealgate_error *error)
{
    struct stream *stream = user;
    stream->done++;
    if (error != NULL)
        stream->error = *error;
}

static void open_stream(struct stream *stream, uint32_t timeout_ms)
{
    static const struct sealgate_stream_events events = {
        .item = on_item, .writable = on_room, .done = on_end};

    *stream = (struct stream){0};
    assert_int_equal(
        sealgate_sign_stream_start(client, timeout_ms, &events, stream, &stream->call, NULL),
        SEALGATE_OK);
}

static enum sealgate_code send_item(struct stream *stream, size_t i, const char *key,
                                    const char *request_id)
{
    const struct sealgate_sign_request request = {.key = key,
                                                  .digest = SEALGATE_DIGEST_SHA256,
                                                  .content = {digest, sizeof(digest)},
                                                  .request_id = request_id};
    char id[24];
    snprintf(id, sizeof(id), "%zu", i);
    return sealgate_stream_send(stream->call, id, &request, NULL);
}

static void step_until(const bool *is_over, const unsigned *count, unsigned wanted)
{
    const int64_t until_ns = sg_mono_ns(&sg_clock_system) + 20 * SG_NS_PER_S;
    while ((is_over == NULL || !*is_over) && (count == NULL || *count < wanted)) {
        struct pollfd fd = {.fd = sealgate_client_fd(client), .events = POLLIN};
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        (void)poll(&fd, 1, sealgate_client_timeout_ms(client));
        sealgate_client_step(client);
    }
}

static void wait_for_end(struct stream *stream)
{
    step_until(NULL, &stream->done, 1);
}

static void items_have_ids_and_a_lost_stream_goes_on_with_the_same(void **state)
{
    static const char given[] = "0193526e-8c00-7abc-8def-0123456789ab";
    struct stream stream;
    (void)state;

    open_stream(&stream, 0);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(send_item(&stream, i, "keys/ids", i == 7 ? given : NULL), SEALGATE_OK);
    assert_int_equal(send_item(&stream, 20, "keys/ids-close", NULL), SEALGATE_OK);
    for (size_t i = 21; i < 30; i++)
        assert_int_equal(send_item(&stream, i, "keys/ids", NULL), SEALGATE_OK);
    sealgate_stream_close(stream.call);
    wait_for_end(&stream);
    assert_int_equal(stream.error.code, SEALGATE_OK);
    assert_int_equal(stream.signed_count, 30);
    assert_int_equal(atomic_load(&server->calls), 3);
    for (size_t i = 0; i < 30; i++) {
        assert_int_equal(stream.results[i], 1);
        assert_int_equal(strlen(stream.seen[i]), 36);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(stream.seen[i], stream.seen[j]);
    }
    assert_string_equal(stream.seen[7], given);
}

/* Nothing was closed: it stays open over lost connections, and is written to between them. */
static void an_open_stream_outlives_its_connection(void **state)
{
    struct stream stream;
    (void)state;

    open_stream(&stream, 0);
    assert_int_equal(send_item(&stream, 0, "keys/ids-close", NULL), SEALGATE_OK);
    step_until(NULL, &stream.results[0], 1);
    assert_int_equal(send_item(&stream, 1, "keys/ids", NULL), SEALGATE_OK);
    step_until(NULL, &stream.results[1], 1);
    sealgate_stream_close(stream.call);
    wait_for_end(&stream);
    assert_int_equal(stream.error.code, SEALGATE_OK);
    assert_int_equal(stream.signed_count, 2);
}

static void a_busy_server_ends_no_stream_that_has_time(void **state)
{
    int64_t begun_ns = sg_mono_ns(&sg_clock_system);
    struct stream stream;
    (void)state;

    open_stream(&stream, 0);
    assert_int_equal(send_item(&stream, 0, "keys/ids-busy", NULL), SEALGATE_OK);
    sealgate_stream_close(stream.call);
    wait_for_end(&stream);
    assert_int_equal(stream.error.code, SEALGATE_OK);
    assert_int_equal(stream.results[0], 1);
    assert_true(sg_mono_ns(&sg_clock_system) - begun_ns >= 2 * 251 * SG_NS_PER_MS);

    open_stream(&stream, 600); /* and one that has none ends by what may have been done */
    assert_int_equal(send_item(&stream, 0, "keys/close", NULL), SEALGATE_OK);
    wait_for_end(&stream);
    assert_int_not_equal(stream.error.code, SEALGATE_OK);
    assert_int_equal(stream.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(stream.results[0], 0);
}

static void without_ids_a_lost_stream_is_not_repeated(void **state)
{
    struct stream stream;
    (void)state;

    sealgate_client_free(client);
    options.no_repeat = true;
    assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_OK);
    open_stream(&stream, 0);
    assert_int_equal(send_item(&stream, 0, "keys/ids-close", NULL), SEALGATE_OK);
    wait_for_end(&stream);
    assert_int_equal(stream.error.code, SEALGATE_UNAVAILABLE);
    assert_int_equal(stream.error.outcome, SEALGATE_OUTCOME_UNKNOWN);
    assert_int_equal(atomic_load(&server->calls), 1);
}

/* Of a stream that is open and of one that was closed at once. */
static void a_stream_to_a_server_without_ids_goes_on_without(void **state)
{
    (void)state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        struct stream stream;
        sealgate_client_free(client);
        assert_int_equal(sealgate_client_new(&options, &client, NULL), SEALGATE_OK);
        open_stream(&stream, 0);
        for (size_t i = 0; i < 10; i++)
            assert_int_equal(
                send_item(&stream, i, i % 2 == 0 ? "keys/ids-refused" : "keys/ids", NULL),
                SEALGATE_OK);
        if (is_closed)
            sealgate_stream_close(stream.call);
        else
            for (size_t i = 0; i < 10; i++)
                step_until(NULL, &stream.results[i], 1);
        if (!is_closed)
            sealgate_stream_close(stream.call);
        wait_for_end(&stream);
        assert_int_equal(stream.error.code, SEALGATE_OK);
        assert_int_equal(stream.signed_count, 10);
        for (size_t i = 0; i < 10; i++) {
            assert_int_equal(stream.results[i], 1);
            if (i % 2 == 0)
                assert_string_equal(stream.seen[i], "");
        }
    }
}

/* What has no result is kept, so there is a bound, and a word when there is room again. */
static void what_is_kept_of_a_stream_has_a_bound(void **state)
{
    static uint8_t large[4096];
    struct sealgate_sign_request request = {.key = "keys/ids", .content = {large, sizeof(large)}};
    struct stream stream;
    enum sealgate_code code = SEALGATE_OK;
    size_t sent = 0;
    (void)state;

    open_stream(&stream, 0);
    while (code == SEALGATE_OK && sent < 5000) {
        code = sealgate_stream_send(stream.call, "0", &request, NULL);
        sent += code == SEALGATE_OK;
    }
    assert_int_equal(code, SEALGATE_RESOURCE_EXHAUSTED);
    assert_in_range(sent, 1000, SG_CLIENT_SEND_BYTES_MAX / sizeof(large));
    step_until(NULL, &stream.results[0], (unsigned)sent);
    assert_true(stream.writable_count > 0);
    assert_int_equal(sealgate_stream_send(stream.call, "0", &request, NULL), SEALGATE_OK);
    sealgate_stream_close(stream.call);
    wait_for_end(&stream);
    assert_int_equal(stream.signed_count, sent + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_are_uuids_of_version_7_that_grow, start, stop),
        cmocka_unit_test_setup_teardown(every_call_has_an_id, start, stop),
        cmocka_unit_test_setup_teardown(a_lost_call_is_sent_again_with_the_same_id, start, stop),
        cmocka_unit_test_setup_teardown(a_busy_server_is_waited_for_as_long_as_it_says, start,
                                        stop),
        cmocka_unit_test_setup_teardown(there_is_no_waiting_beyond_the_time_of_the_call, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_killed_server_may_come_back_in_time, start, stop),
        cmocka_unit_test_setup_teardown(a_server_without_ids_is_served_without, start, stop),
        cmocka_unit_test_setup_teardown(a_batch_goes_without_ids_too, start, stop),
        cmocka_unit_test_setup_teardown(items_have_ids_and_a_lost_stream_goes_on_with_the_same,
                                        start, stop),
        cmocka_unit_test_setup_teardown(an_open_stream_outlives_its_connection, start, stop),
        cmocka_unit_test_setup_teardown(a_busy_server_ends_no_stream_that_has_time, start, stop),
        cmocka_unit_test_setup_teardown(without_ids_a_lost_stream_is_not_repeated, start, stop),
        cmocka_unit_test_setup_teardown(a_stream_to_a_server_without_ids_goes_on_without, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_is_kept_of_a_stream_has_a_bound, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
