#include <poll.h>

#include "base/clock.h"
#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"
#include "tests/unit/client/audit_script.h"
#include "tests/unit/client/server.h"

/*
 * The library with each of its allocations failing in turn: making a client, connecting, asking,
 * answering, freeing. Whatever fails, every call that was started is answered once, nothing leaks,
 * and success means a whole answer. The server is a thread of its own and has all the memory it
 * wants.
 */

static struct test_server *server;
static struct sg_buf kept; /* an early checkpoint of the server's log */

static int start(void **state)
{
    struct audit_maker *maker = audit_script_log();
    (void)state;
    sg_buf_init(&kept, SG_NOTE_BYTES_MAX);
    audit_maker_checkpoint(maker, 65, &kept);
    audit_maker_free(maker);
    server = test_server_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    test_server_stop(server);
    sg_buf_done(&kept);
    return 0;
}

enum { TIMEOUT_MS = 20000 };

static const uint8_t digest[32] = {1, 2, 3, [31] = 32};

static struct sealgate_sign_request request_by(const char *key)
{
    return (struct sealgate_sign_request){
        .key = key, .digest = SEALGATE_DIGEST_SHA256, .content = {digest, sizeof(digest)}};
}

static void assert_signature(const struct sealgate_signature *signature)
{
    assert_int_equal(signature->signature.len, sizeof(digest));
    for (size_t i = 0; i < sizeof(digest); i++)
        assert_int_equal(signature->signature.ptr[i], digest[sizeof(digest) - 1 - i]);
    assert_string_equal(signature->key_version, "keys/ok");
}

/* The code is always there. Details for which there was no memory may be missing, and not half
 * there. */
static void assert_denied(const struct sealgate_error *error)
{
    assert_int_equal(error->code, SEALGATE_NOT_FOUND);
    if (error->reason[0] != '\0')
        assert_string_equal(error->reason, "KEY_NOT_FOUND");
}

/* Each asks, and checks what came when it was OK. */

static enum sealgate_code sign(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_sign_request request = request_by("keys/ok");
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, TIMEOUT_MS, &signature, error);

    assert_int_equal(code == SEALGATE_OK, signature != NULL);
    if (code == SEALGATE_OK)
        assert_signature(signature);
    sealgate_free(signature);
    return code;
}

/* An error with every detail there is. */
static enum sealgate_code be_denied(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_sign_request request = request_by("keys/denied");
    struct sealgate_signature *signature = NULL;
    enum sealgate_code code = sealgate_sign(client, &request, TIMEOUT_MS, &signature, error);

    assert_int_not_equal(code, SEALGATE_OK);
    assert_null(signature);
    if (code == SEALGATE_NOT_FOUND)
        assert_denied(error);
    return code == SEALGATE_NOT_FOUND ? SEALGATE_OK : code;
}

static enum sealgate_code batch_sign(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_sign_request requests[] = {
        request_by("keys/ok"), request_by("keys/denied"), request_by("keys/ok")};
    struct sealgate_batch *batch = NULL;
    enum sealgate_code code =
        sealgate_batch_sign(client, requests, SG_COUNT(requests), TIMEOUT_MS, &batch, error);

    assert_int_equal(code == SEALGATE_OK, batch != NULL);
    if (code == SEALGATE_OK) {
        assert_int_equal(batch->count, SG_COUNT(requests));
        for (size_t i = 0; i < batch->count; i++) {
            assert_int_equal(batch->items[i].error == NULL, i != 1);
            if (i != 1)
                assert_signature(batch->items[i].signature);
            else
                assert_denied(batch->items[i].error);
        }
    }
    sealgate_free(batch);
    return code;
}

static enum sealgate_code verify(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_verify_request request = {.key = "keys/ok",
                                                    .digest = SEALGATE_DIGEST_SHA256,
                                                    .content = {digest, sizeof(digest)},
                                                    .signature = {digest, sizeof(digest)}};
    struct sealgate_verdict *verdict = NULL;
    enum sealgate_code code = sealgate_verify(client, &request, TIMEOUT_MS, &verdict, error);

    assert_int_equal(code == SEALGATE_OK, verdict != NULL);
    sealgate_free(verdict);
    return code;
}

static enum sealgate_code list_keys(struct sealgate_client *client, struct sealgate_error *error)
{
    struct sealgate_key_list *list = NULL;
    enum sealgate_code code = sealgate_list_keys(client, 2, NULL, TIMEOUT_MS, &list, error);

    assert_int_equal(code == SEALGATE_OK, list != NULL);
    if (code == SEALGATE_OK) {
        assert_int_equal(list->count, 2);
        for (size_t i = 0; i < list->count; i++)
            assert_non_null(list->keys[i].name);
    }
    sealgate_free(list);
    return code;
}

static enum sealgate_code get_public_key(struct sealgate_client *client,
                                         struct sealgate_error *error)
{
    struct sealgate_public_key *key = NULL;
    enum sealgate_code code = sealgate_get_public_key(client, "keys/x", TIMEOUT_MS, &key, error);

    assert_int_equal(code == SEALGATE_OK, key != NULL);
    if (code == SEALGATE_OK)
        assert_non_null(strstr(key->pem, "-----END PUBLIC KEY-----"));
    sealgate_free(key);
    return code;
}

static enum sealgate_code server_info(struct sealgate_client *client, struct sealgate_error *error)
{
    struct sealgate_server_info *info = NULL;
    enum sealgate_code code = sealgate_server_info(client, TIMEOUT_MS, &info, error);

    assert_int_equal(code == SEALGATE_OK, info != NULL);
    sealgate_free(info);
    return code;
}

static enum sealgate_code health_check(struct sealgate_client *client, struct sealgate_error *error)
{
    enum sealgate_health health;
    return sealgate_health_check(client, NULL, TIMEOUT_MS, &health, error);
}

/* The audit log ------------------------------------------------------------------------------- */

static enum sealgate_code list_leaves(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_leaf_query query = {.page_size = 3, .caller = "x", .since_ns = 5};
    struct sealgate_leaf_list *list = NULL;
    enum sealgate_code code = sealgate_list_leaves(client, &query, TIMEOUT_MS, &list, error);

    assert_int_equal(code == SEALGATE_OK, list != NULL);
    if (code == SEALGATE_OK)
        assert_int_equal(list->count, 3);
    sealgate_free(list);
    return code;
}

static enum sealgate_code get_receipt(struct sealgate_client *client, struct sealgate_error *error)
{
    struct sealgate_receipt *receipt = NULL;
    enum sealgate_code code =
        sealgate_get_receipt(client, "audit/log-1/leaves/9", TIMEOUT_MS, &receipt, error);

    assert_int_equal(code == SEALGATE_OK, receipt != NULL);
    if (code == SEALGATE_OK)
        assert_int_equal(receipt->leaf_index, 9);
    sealgate_free(receipt);
    return code;
}

/* Proved again offline, which allocates too. */
static enum sealgate_code get_growth(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_bytes old = {kept.ptr, kept.len};
    struct sealgate_checkpoint *newest = NULL, *grown = NULL, *again = NULL;
    enum sealgate_code code = sealgate_get_checkpoint(client, NULL, TIMEOUT_MS, &newest, error);

    if (code == SEALGATE_OK)
        code = sealgate_get_growth(client, NULL, old, TIMEOUT_MS, &grown, error);
    if (code == SEALGATE_OK)
        code = sealgate_growth_verify(old, grown->growth, NULL, &again, error);
    assert_int_equal(code == SEALGATE_OK, again != NULL);
    if (code == SEALGATE_OK)
        assert_int_equal(again->size, AUDIT_SCRIPT_LEAVES);
    sealgate_free(newest);
    sealgate_free(grown);
    sealgate_free(again);
    return code;
}

/* Streams: the non-blocking core --------------------------------------------------------------- */

struct tally {
    unsigned items, done, changes;
    struct sealgate_error error; /* of the end; code OK: in order */
    struct sealgate_call *call;
};

static void on_item(void *user, const char *item_id, const struct sealgate_error *error,
                    const struct sealgate_signature *signature)
{
    struct tally *tally = user;
    tally->items++;
    assert_int_equal(item_id[0], 'i');
    assert_int_equal(error == NULL, signature != NULL);
    if (signature != NULL)
        assert_signature(signature);
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct tally *tally = user;
    tally->done++;
    tally->error = error == NULL ? (struct sealgate_error){0} : *error;
}

static void on_changed(void *user, enum sealgate_health health)
{
    struct tally *tally = user;
    (void)health;
    tally->changes++;
    sealgate_call_cancel(tally->call);
}

/* As an application's loop does. */
static void run(struct sealgate_client *client, const struct tally *tally)
{
    const int64_t until_ns = sg_mono_ns(&sg_clock_system) + TIMEOUT_MS * SG_NS_PER_MS;
    while (tally->done == 0) {
        struct pollfd news = {.fd = sealgate_client_fd(client), .events = POLLIN};
        int timeout_ms = sealgate_client_timeout_ms(client);
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        assert_true(poll(&news, 1, timeout_ms < 0 || timeout_ms > 100 ? 100 : timeout_ms) >= 0);
        sealgate_client_step(client);
    }
    assert_int_equal(tally->done, 1);
}

static enum sealgate_code sign_stream(struct sealgate_client *client, struct sealgate_error *error)
{
    static const char *const ids[] = {"i0", "i1", "i2"};
    const struct sealgate_stream_events events = {on_item, NULL, on_done};
    const struct sealgate_sign_request request = request_by("keys/ok");
    struct tally tally = {0};
    unsigned sent = 0;

    enum sealgate_code code =
        sealgate_sign_stream_start(client, TIMEOUT_MS, &events, &tally, &tally.call, error);
    if (code != SEALGATE_OK)
        return code;
    enum sealgate_code send_code = SEALGATE_OK;
    for (size_t i = 0; i < SG_COUNT(ids) && send_code == SEALGATE_OK; i++) {
        send_code = sealgate_stream_send(tally.call, ids[i], &request, error);
        sent += send_code == SEALGATE_OK;
    }
    sealgate_stream_close(tally.call);
    run(client, &tally);
    if (tally.error.code != SEALGATE_OK) {
        *error = tally.error;
        return tally.error.code;
    }
    assert_int_equal(tally.items, sent); /* in order, so none is missing */
    return send_code;
}

static enum sealgate_code health_watch(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_watch_events events = {on_changed, on_done};
    struct tally tally = {0};
    enum sealgate_code code =
        sealgate_health_watch_start(client, NULL, TIMEOUT_MS, &events, &tally, &tally.call, error);
    if (code != SEALGATE_OK)
        return code;
    run(client, &tally);
    *error = tally.error;
    return tally.changes > 0 ? SEALGATE_OK : tally.error.code;
}

static void on_leaf(void *user, const struct sealgate_record *record)
{
    struct tally *tally = user;
    assert_int_equal(record->leaf_index, tally->items);
    if (++tally->items == 10)
        sealgate_call_cancel(tally->call);
}

/* Ten of them, where the server ends the watch behind seven. */
static enum sealgate_code watch_leaves(struct sealgate_client *client, struct sealgate_error *error)
{
    const struct sealgate_leaf_events events = {on_leaf, on_done};
    const struct sealgate_leaf_query query = {.log = "audit/ends"};
    struct tally tally = {0};
    enum sealgate_code code = sealgate_watch_leaves_start(client, &query, TIMEOUT_MS, &events,
                                                          &tally, &tally.call, error);
    if (code != SEALGATE_OK)
        return code;
    run(client, &tally);
    *error = tally.error;
    return tally.items == 10 ? SEALGATE_OK : tally.error.code;
}

static const struct {
    const char *name;
    enum sealgate_code (*ask)(struct sealgate_client *client, struct sealgate_error *error);
} calls[] = {
    {"sign", sign},
    {"an error with details", be_denied},
    {"batch_sign", batch_sign},
    {"verify", verify},
    {"list_keys", list_keys},
    {"get_public_key", get_public_key},
    {"server_info", server_info},
    {"health_check", health_check},
    {"sign_stream", sign_stream},
    {"health_watch", health_watch},
    {"list_leaves", list_leaves},
    {"get_receipt", get_receipt},
    {"get_growth", get_growth},
    {"watch_leaves", watch_leaves},
};

/* A client, two calls on it, and its end. The second call finds whatever the first has left. */
static enum sealgate_code use(size_t i, struct sealgate_error *error)
{
    const struct sealgate_options options = test_server_options(server);
    struct sealgate_client *client = NULL;

    enum sealgate_code code = sealgate_client_new(&options, &client, error);
    assert_int_equal(code == SEALGATE_OK, client != NULL);
    if (code == SEALGATE_OK) {
        struct sealgate_error second;
        code = calls[i].ask(client, error);
        /* One allocation fails: after a call that failed for it nothing is in the way of another.
         */
        const bool has_failed = code != SEALGATE_OK;
        const enum sealgate_code second_code = calls[i].ask(client, &second);
        if (has_failed) {
            assert_int_equal(second_code, SEALGATE_OK);
        } else if (second_code != SEALGATE_OK) {
            code = second_code;
            *error = second;
        }
        assert_int_equal(sealgate_client_open_calls(client), 0);
    }
    sealgate_client_free(client);
    return code;
}

/* Every allocation in builds by gcc with AddressSanitizer, which looks for leaks as well. Every
 * seventh elsewhere: it is the same code there, and each run makes a connection. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 1 };
#else
enum { STRIDE = 7 };
#endif

static void the_library_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(calls); i++) {
        size_t nth = 1 + i % STRIDE;
        bool has_failed;
        do {
            struct sealgate_error error = {0};
            sg_failmalloc_arm(nth);
            enum sealgate_code code = use(i, &error);
            has_failed = sg_failmalloc_disarm();
            if (!has_failed)
                assert_int_equal(code, SEALGATE_OK);
            if (code != SEALGATE_OK) {
                assert_int_equal(error.code, code);
                assert_string_not_equal(error.message, "");
                /* Told at once, and not found out by waiting. */
                assert_int_not_equal(code, SEALGATE_DEADLINE_EXCEEDED);
            }
            nth += STRIDE;
        } while (has_failed);
        print_message("  %s: up to allocation %zu\n", calls[i].name, nth - STRIDE);
        assert_in_range(nth, 10, 2000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_library_survives_the_failure_of_any_allocation, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
