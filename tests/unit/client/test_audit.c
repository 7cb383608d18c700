#include <poll.h>

#include "base/clock.h"
#include "client/include/sealgate_audit.h"
#include "formats/audit/witness.h"
#include "tests/support/unit.h"
#include "tests/unit/client/audit_script.h"
#include "tests/unit/client/server.h"

/* What auditors ask of a gateway, and that nothing a gateway could say against its log is taken. */

enum { TIMEOUT_MS = 10000 };

static struct test_server *server;
static struct audit_maker *maker;
static struct sealgate_client *client; /* with the log's key */
static char log_key[512];

static struct sealgate_client *client_new(const char *key)
{
    struct sealgate_options options = test_server_options(server);
    struct sealgate_client *made = NULL;
    options.log_key = key;
    assert_int_equal(sealgate_client_new(&options, &made, NULL), SEALGATE_OK);
    return made;
}

static int start(void **state)
{
    struct sg_buf text;
    (void)state;
    server = test_server_start();
    maker = audit_script_log();
    sg_buf_init(&text, sizeof(log_key));
    sg_note_key_write(audit_maker_key(maker), &text);
    snprintf(log_key, sizeof(log_key), "%.*s", (int)text.len, (const char *)text.ptr);
    sg_buf_done(&text);
    client = client_new(log_key);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sealgate_client_free(client);
    audit_maker_free(maker);
    test_server_stop(server);
    return 0;
}

static struct sealgate_bytes bytes_of(const struct sg_buf *buf)
{
    return (struct sealgate_bytes){buf->ptr, buf->len};
}

static void checkpoint_at(uint64_t size, struct sg_buf *out)
{
    sg_buf_init(out, SG_NOTE_BYTES_MAX);
    audit_maker_checkpoint(maker, size, out);
}

static void assert_record(const struct sealgate_record *record, uint64_t index)
{
    char name[64];
    snprintf(name, sizeof(name), "/leaves/%llu", (unsigned long long)index);
    assert_int_equal(record->leaf_index, index);
    assert_non_null(strstr(record->name, name));
    assert_string_equal(record->origin, "");
    assert_false(record->is_signed);
    assert_slice_equal(sg_slice_of(record->bytes.ptr, record->bytes.len),
                       audit_maker_record(maker, index));
}

/* Lists ------------------------------------------------------------------------------------ */

static void pages_are_followed_to_the_end(void **state)
{
    static const uint64_t firsts[] = {0, 1, 299, 300, 12345};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(firsts); i++) {
        struct sealgate_leaf_query query = {.first = firsts[i], .page_size = 77};
        uint64_t next = firsts[i];
        char token[64] = "";
        do {
            struct sealgate_leaf_list *list = NULL;
            query.page_token = token;
            assert_int_equal(sealgate_list_leaves(client, &query, TIMEOUT_MS, &list, NULL),
                             SEALGATE_OK);
            for (size_t at = 0; at < list->count; at++)
                assert_record(&list->records[at], next++);
            snprintf(token, sizeof(token), "%s", list->next_page_token);
            sealgate_free(list);
        } while (token[0] != '\0');
        assert_int_equal(next, firsts[i] < AUDIT_SCRIPT_LEAVES ? AUDIT_SCRIPT_LEAVES : firsts[i]);
    }
}

static void every_part_of_a_query_comes_across(void **state)
{
    static const uint8_t bytes[64] = {1};
    const struct {
        struct sealgate_leaf_query query;
        const char *said;
    } rows[] = {
        {{.log = "audit/echo", .first = 5},
         "0  5 filter 0 0    0 0 0  since -1.000000000 until -1.000000000"},
        {{.log = "audit/echo", .page_size = 9, .page_token = "t", .event = SEALGATE_EVENT_CSR},
         "9 t 0 filter 1 6    0 0 0  since -1.000000000 until -1.000000000"},
        {{.log = "audit/echo",
          .caller = "spiffe://x",
          .key = "keys/thue",
          .request_id = "r",
          .hash = {bytes, 32},
          .signature = {bytes, 64},
          .public_key_sha256 = {bytes, 31},
          .document_number = "12/TB",
          .since_ns = 1500000007,
          .until_ns = 3000000000},
         "0  0 filter 1 0 spiffe://x keys/thue r 32 64 31 12/TB since 1.500000007 "
         "until 3.000000000"},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sealgate_leaf_list *list = NULL;
        assert_int_equal(sealgate_list_leaves(client, &rows[i].query, TIMEOUT_MS, &list, NULL),
                         SEALGATE_OK);
        assert_int_equal(list->count, 1);
        assert_string_equal(list->records[0].detail, rows[i].said);
        sealgate_free(list);
    }
}

static void a_list_that_is_not_the_logs_is_refused(void **state)
{
    static const struct {
        const char *log, *reason;
    } rows[] = {
        {"audit/swapped", "RESPONSE_MALFORMED"},  {"audit/gap", "RESPONSE_MALFORMED"},
        {"audit/twice", "RESPONSE_MALFORMED"},    {"audit/no-record", "RESPONSE_MALFORMED"},
        {"audit/misnamed", "RESPONSE_MALFORMED"}, {"audit/denied", "METHOD_NOT_ALLOWED"},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        const struct sealgate_leaf_query query = {.log = rows[i].log};
        struct sealgate_leaf_list *list = NULL;
        struct sealgate_error error;
        assert_int_not_equal(sealgate_list_leaves(client, &query, TIMEOUT_MS, &list, &error),
                             SEALGATE_OK);
        assert_string_equal(error.reason, rows[i].reason);
        print_message("  %s: %s\n", rows[i].log, error.message);
        assert_null(list);
    }
}

/* Receipts --------------------------------------------------------------------------------- */

static void a_receipt_of_any_leaf_proves_itself(void **state)
{
    static const uint64_t leaves[] = {0, 1, 6, 255, 256, 299};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(leaves); i++) {
        struct sealgate_receipt *receipt = NULL;
        struct sealgate_record *record = NULL;
        char name[64];
        snprintf(name, sizeof(name), "audit/log-1/leaves/%llu", (unsigned long long)leaves[i]);
        assert_int_equal(sealgate_get_receipt(client, name, TIMEOUT_MS, &receipt, NULL),
                         SEALGATE_OK);
        assert_true(receipt->is_signed);
        assert_int_equal(receipt->leaf_index, leaves[i]);
        assert_int_equal(receipt->tree_size, AUDIT_SCRIPT_LEAVES);
        assert_int_equal(sealgate_receipt_verify(receipt->file, log_key, &record, NULL),
                         SEALGATE_OK);
        assert_int_equal(record->leaf_index, leaves[i]);
        sealgate_free(record);
        sealgate_free(receipt);
    }
}

static void a_receipt_of_something_else_is_refused(void **state)
{
    static const struct {
        const char *name, *reason;
    } rows[] = {
        {"audit/other-leaf/leaves/3", "RECEIPT_WRONG"},
        {"audit/forged/leaves/3", "RECEIPT_WRONG"},
        {NULL, "BAD_ARGUMENT"},
        {"", "BAD_ARGUMENT"},
        {"audit/log-1", "BAD_ARGUMENT"},
        {"audit/log-1/leaves/", "BAD_ARGUMENT"},
        {"audit/log-1/leaves/3x", "BAD_ARGUMENT"},
        {"audit/log-1/leaves/1000000000000000000", "BAD_ARGUMENT"},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sealgate_receipt *receipt = NULL;
        struct sealgate_error error;
        assert_int_not_equal(
            sealgate_get_receipt(client, rows[i].name, TIMEOUT_MS, &receipt, &error), SEALGATE_OK);
        assert_string_equal(error.reason, rows[i].reason);
        assert_null(receipt);
    }
}

/* Checkpoints and growth ------------------------------------------------------------------- */

static void a_checkpoint_is_believed_by_its_signature_alone(void **state)
{
    struct sealgate_client *trusting = client_new(NULL);
    struct sealgate_checkpoint *checkpoint = NULL;
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sealgate_get_checkpoint(client, NULL, TIMEOUT_MS, &checkpoint, NULL),
                     SEALGATE_OK);
    assert_string_equal(checkpoint->log, "audit/log-1");
    assert_string_equal(checkpoint->origin, AUDIT_SCRIPT_ORIGIN);
    assert_string_equal(checkpoint->key, log_key);
    assert_int_equal(checkpoint->size, AUDIT_SCRIPT_LEAVES);
    assert_int_equal(checkpoint->root.len, 32);
    assert_int_equal(checkpoint->growth.len, 0);
    assert_true(checkpoint->is_signed);
    sealgate_free(checkpoint);

    checkpoint = NULL;
    assert_int_equal(
        sealgate_get_checkpoint(client, "audit/forged", TIMEOUT_MS, &checkpoint, &error),
        SEALGATE_DATA_LOSS);
    assert_string_equal(error.reason, "CHECKPOINT_WRONG");
    assert_int_equal(
        sealgate_get_checkpoint(client, "audit/garbage", TIMEOUT_MS, &checkpoint, &error),
        SEALGATE_DATA_LOSS);
    assert_null(checkpoint);
    assert_int_equal(
        sealgate_get_checkpoint(trusting, "audit/forged", TIMEOUT_MS, &checkpoint, &error),
        SEALGATE_OK);
    assert_false(checkpoint->is_signed);
    sealgate_free(checkpoint);
    sealgate_client_free(trusting);
}

/* Signed by the right key both times: only who has seen the other can tell. */
static void a_log_that_shows_another_tree_is_caught(void **state)
{
    struct sealgate_client *fresh = client_new(log_key);
    struct sealgate_checkpoint *checkpoint = NULL;
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sealgate_get_checkpoint(fresh, "audit/split", TIMEOUT_MS, &checkpoint, NULL),
                     SEALGATE_OK);
    sealgate_free(checkpoint);
    assert_int_equal(sealgate_get_checkpoint(fresh, NULL, TIMEOUT_MS, &checkpoint, &error),
                     SEALGATE_DATA_LOSS);
    assert_non_null(strstr(error.message, "two trees"));
    sealgate_client_free(fresh);
}

static const uint8_t no_root[32];

static void growth_from_any_kept_checkpoint_is_proved(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= AUDIT_SCRIPT_LEAVES; size += size < 20 ? 1 : 47) {
        struct sealgate_checkpoint *grown = NULL, *again = NULL;
        struct sg_buf old;
        checkpoint_at(size, &old);
        assert_int_equal(
            sealgate_get_growth(client, NULL, bytes_of(&old), TIMEOUT_MS, &grown, NULL),
            SEALGATE_OK);
        assert_int_equal(grown->size, AUDIT_SCRIPT_LEAVES);
        assert_true(grown->is_signed);
        assert_int_equal(
            sealgate_growth_verify(bytes_of(&old), grown->growth, log_key, &again, NULL),
            SEALGATE_OK);
        assert_int_equal(again->size, AUDIT_SCRIPT_LEAVES);
        assert_slice_equal(sg_slice_of(again->note.ptr, again->note.len),
                           sg_slice_of(grown->note.ptr, grown->note.len));
        assert_slice_equal(sg_slice_of(again->growth.ptr, again->growth.len),
                           sg_slice_of(grown->growth.ptr, grown->growth.len));
        sealgate_free(again);
        sealgate_free(grown);

        assert_int_equal(sealgate_checkpoint_verify(bytes_of(&old), log_key, &again, NULL),
                         SEALGATE_OK);
        assert_int_equal(
            sealgate_get_growth_from(client, NULL, size, again->root, TIMEOUT_MS, &grown, NULL),
            SEALGATE_OK);
        assert_int_equal(grown->size, AUDIT_SCRIPT_LEAVES);
        sealgate_free(grown);
        again->root.len--;
        assert_int_equal(
            sealgate_get_growth_from(client, NULL, size, again->root, TIMEOUT_MS, &grown, NULL),
            SEALGATE_INVALID_ARGUMENT);
        again->root = (struct sealgate_bytes){no_root, 32};
        assert_int_equal(
            sealgate_get_growth_from(client, NULL, size, again->root, TIMEOUT_MS, &grown, NULL),
            SEALGATE_DATA_LOSS);
        sealgate_free(again);
        sg_buf_done(&old);
    }
}

static void growth_that_is_not_shown_is_refused(void **state)
{
    static const char *const logs[] = {"audit/forged", "audit/split", "audit/garbage",
                                       "audit/long"};
    struct sealgate_client *fresh = client_new(log_key);
    struct sealgate_checkpoint *grown = NULL;
    struct sealgate_error error;
    struct sg_buf old;
    (void)state;
    checkpoint_at(200, &old);
    for (size_t i = 0; i < SG_COUNT(logs); i++) {
        assert_int_equal(
            sealgate_get_growth(fresh, logs[i], bytes_of(&old), TIMEOUT_MS, &grown, &error),
            SEALGATE_DATA_LOSS);
        assert_string_equal(error.reason, "CHECKPOINT_WRONG");
        print_message("  %s: %s\n", logs[i], error.message);
        assert_null(grown);
    }
    old.len--;
    assert_int_equal(
        sealgate_get_growth_start(fresh, NULL, bytes_of(&old), 0, NULL, NULL, NULL, &error),
        SEALGATE_DATA_LOSS);
    sg_buf_done(&old);
    checkpoint_at(0, &old);
    assert_int_equal(
        sealgate_get_growth_start(fresh, NULL, bytes_of(&old), 0, NULL, NULL, NULL, &error),
        SEALGATE_INVALID_ARGUMENT);
    sg_buf_done(&old);
    sealgate_client_free(fresh);
}

/* Offline ---------------------------------------------------------------------------------- */

static void no_byte_of_what_is_kept_may_differ(void **state)
{
    struct sg_buf old, growth;
    (void)state;
    checkpoint_at(65, &old);
    sg_buf_init(&growth, SG_WITNESS_REQUEST_BYTES_MAX);
    audit_maker_growth_file(maker, 65, AUDIT_SCRIPT_LEAVES, &growth);
    assert_int_equal(sealgate_growth_verify(bytes_of(&old), bytes_of(&growth), log_key, NULL, NULL),
                     SEALGATE_OK);
    struct sg_buf *const files[] = {&old, &growth};
    for (size_t i = 0; i < SG_COUNT(files); i++)
        for (size_t at = 0; at < files[i]->len; at++) {
            struct sealgate_error error;
            files[i]->ptr[at] ^= 0x10;
            assert_int_equal(
                sealgate_growth_verify(bytes_of(&old), bytes_of(&growth), log_key, NULL, &error),
                SEALGATE_DATA_LOSS);
            assert_string_equal(error.reason, "CHECKPOINT_WRONG");
            files[i]->ptr[at] ^= 0x10;
        }
    for (size_t at = 0; at < old.len; at++) {
        old.ptr[at] ^= 1;
        assert_int_equal(sealgate_checkpoint_verify(bytes_of(&old), log_key, NULL, NULL),
                         SEALGATE_DATA_LOSS);
        old.ptr[at] ^= 1;
    }
    sg_buf_done(&old);
    sg_buf_done(&growth);
}

static void a_checkpoint_is_held_against_one_that_was_kept(void **state)
{
    struct sg_buf small, same, large, other;
    struct audit_maker *stranger = audit_maker_new("sealgate.example/log-2", 1);
    struct sealgate_checkpoint *checkpoint = NULL;
    struct sealgate_error error;
    (void)state;
    checkpoint_at(9, &small);
    checkpoint_at(9, &same);
    checkpoint_at(10, &large);
    sg_buf_init(&other, SG_NOTE_BYTES_MAX);
    audit_maker_grow(stranger, 10);
    audit_maker_checkpoint(stranger, 10, &other);

    assert_int_equal(sealgate_checkpoint_verify(bytes_of(&small), log_key, &checkpoint, NULL),
                     SEALGATE_OK);
    assert_int_equal(checkpoint->size, 9);
    assert_true(checkpoint->is_signed);
    sealgate_free(checkpoint);
    assert_int_equal(sealgate_checkpoint_verify(bytes_of(&small), NULL, &checkpoint, NULL),
                     SEALGATE_OK);
    assert_false(checkpoint->is_signed);
    sealgate_free(checkpoint);
    assert_int_equal(sealgate_checkpoint_verify(bytes_of(&small), "x", NULL, &error),
                     SEALGATE_INVALID_ARGUMENT);
    assert_string_equal(error.reason, "BAD_OPTIONS");

    const struct {
        const char *name;
        const struct sg_buf *old, *later;
        enum sealgate_code code;
        const char *says;
    } rows[] = {
        {"itself", &small, &same, SEALGATE_OK, ""},
        {"larger, without a proof", &small, &large, SEALGATE_DATA_LOSS, "no proof"},
        {"smaller", &large, &small, SEALGATE_DATA_LOSS,
         "of 9 leaves, and the one that was kept of 10"},
        {"another log", &large, &other, SEALGATE_DATA_LOSS, ""},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  %s\n", rows[i].name);
        error = (struct sealgate_error){0};
        assert_int_equal(sealgate_growth_verify(bytes_of(rows[i].old), bytes_of(rows[i].later),
                                                log_key, NULL, &error),
                         rows[i].code);
        assert_non_null(strstr(error.message, rows[i].says));
    }
    assert_int_equal(sealgate_growth_verify(bytes_of(&large), bytes_of(&other), NULL, NULL, &error),
                     SEALGATE_DATA_LOSS);
    assert_non_null(strstr(error.message, "not of the same log"));
    audit_maker_free(stranger);
    sg_buf_done(&small);
    sg_buf_done(&same);
    sg_buf_done(&large);
    sg_buf_done(&other);
}

/* Watches ---------------------------------------------------------------------------------- */

struct watch {
    uint64_t next;  /* the leaf that must come */
    unsigned step;  /* and how far from each other they are */
    uint64_t until; /* cancelled before this one */
    struct sealgate_call *call;
    unsigned done;
    struct sealgate_error error;
};

static void on_leaf(void *user, const struct sealgate_record *record)
{
    struct watch *watch = user;
    assert_record(record, watch->next);
    watch->next += watch->step;
    if (watch->next >= watch->until)
        sealgate_call_cancel(watch->call);
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct watch *watch = user;
    assert_non_null(error);
    watch->error = *error;
    watch->done++;
}

static void run(struct sealgate_client *by, struct watch *watch)
{
    const int64_t until_ns = sg_mono_ns(&sg_clock_system) + 4 * TIMEOUT_MS * SG_NS_PER_MS;
    while (watch->done == 0) {
        struct pollfd news = {.fd = sealgate_client_fd(by), .events = POLLIN};
        int timeout_ms = sealgate_client_timeout_ms(by);
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        assert_true(poll(&news, 1, timeout_ms < 0 || timeout_ms > 100 ? 100 : timeout_ms) >= 0);
        sealgate_client_step(by);
    }
    assert_int_equal(watch->done, 1);
}

static const struct sealgate_leaf_events events = {on_leaf, on_done};

static void watch_from(const char *log, struct watch *watch, enum sealgate_event event)
{
    const struct sealgate_leaf_query query = {.log = log, .first = watch->next, .event = event};
    assert_int_equal(
        sealgate_watch_leaves_start(client, &query, TIMEOUT_MS, &events, watch, &watch->call, NULL),
        SEALGATE_OK);
    run(client, watch);
}

/* Also where the server ends it, is away or drops the connection behind each seven leaves. */
static void each_leaf_comes_once_whatever_happens_to_the_watch(void **state)
{
    static const char *const logs[] = {"audit/log-1", "audit/ends", "audit/away", "audit/cuts"};
    static const uint64_t firsts[] = {0, 1, 200};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(logs); i++)
        for (size_t at = 0; at < SG_COUNT(firsts); at++) {
            struct watch watch = {.next = firsts[at], .step = 1, .until = firsts[at] + 23};
            print_message("  %s from %llu\n", logs[i], (unsigned long long)firsts[at]);
            watch_from(logs[i], &watch, SEALGATE_EVENT_UNSET);
            assert_int_equal(watch.next, firsts[at] + 23);
            assert_int_equal(watch.error.code, SEALGATE_CANCELLED);
            watch = (struct watch){.next = 3, .step = 3, .until = 60};
            watch_from(logs[i], &watch, SEALGATE_EVENT_SIGNATURE);
            assert_int_equal(watch.next, 60);
        }
}

/* What brings leaves works, however often it is cut: nothing is held against the endpoint. */
static void a_watch_that_is_cut_again_and_again_goes_on_at_once(void **state)
{
    const int64_t since_ns = sg_mono_ns(&sg_clock_system);
    struct watch watch = {.step = 1, .until = 210};
    (void)state;
    watch_from("audit/cuts", &watch, SEALGATE_EVENT_UNSET);
    assert_int_equal(watch.next, 210);
    assert_int_equal(watch.error.code, SEALGATE_CANCELLED);
    /* 29 cuts of 50 to 100 ms each; the waits of an endpoint that fails grow to 5 s. */
    assert_true(sg_mono_ns(&sg_clock_system) - since_ns < TIMEOUT_MS * SG_NS_PER_MS);
}

static void a_watch_of_what_is_not_the_log_ends(void **state)
{
    static const struct {
        const char *log, *reason;
        uint64_t next;
    } rows[] = {
        {"audit/gap", "RESPONSE_MALFORMED", 3},    {"audit/twice", "RESPONSE_MALFORMED", 4},
        {"audit/empty", "RESPONSE_MALFORMED", 0},  {"audit/no-record", "RESPONSE_MALFORMED", 0},
        {"audit/denied", "METHOD_NOT_ALLOWED", 0},
    };
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct watch watch = {.step = 1, .until = UINT64_MAX};
        print_message("  %s\n", rows[i].log);
        watch_from(rows[i].log, &watch, SEALGATE_EVENT_UNSET);
        assert_int_equal(watch.next, rows[i].next);
        assert_string_equal(watch.error.reason, rows[i].reason);
    }
}

static void a_watch_outlives_a_server_that_is_away_for_a_while(void **state)
{
    struct watch watch = {.step = 1, .until = UINT64_MAX};
    const struct sealgate_leaf_query query = {.log = "audit/ends"};
    const int64_t since_ns = sg_mono_ns(&sg_clock_system);
    (void)state;
    assert_int_equal(sealgate_watch_leaves_start(client, &query, 4 * TIMEOUT_MS, &events, &watch,
                                                 &watch.call, NULL),
                     SEALGATE_OK);
    while (watch.next < 7)
        sealgate_client_step(client);
    test_server_set_down(server, true);
    while (sg_mono_ns(&sg_clock_system) - since_ns < 500 * SG_NS_PER_MS) {
        sealgate_client_step(client);
        assert_int_equal(watch.done, 0);
        (void)poll(NULL, 0, 1);
    }
    test_server_set_down(server, false);
    watch.until = AUDIT_SCRIPT_LEAVES;
    run(client, &watch);
    assert_int_equal(watch.next, AUDIT_SCRIPT_LEAVES);
    assert_int_equal(watch.error.code, SEALGATE_CANCELLED);
}

static void a_watch_ends_when_its_time_is_up(void **state)
{
    struct watch watch = {.next = 290, .step = 1, .until = UINT64_MAX};
    const struct sealgate_leaf_query query = {.first = 290};
    struct sealgate_error error;
    (void)state;
    assert_int_equal(sealgate_watch_leaves_start(client, &query, 2000, &events, &watch, NULL, NULL),
                     SEALGATE_OK);
    run(client, &watch);
    assert_int_equal(watch.next, AUDIT_SCRIPT_LEAVES);
    assert_int_equal(watch.error.code, SEALGATE_DEADLINE_EXCEEDED);
    assert_int_equal(sealgate_watch_leaves_start(client, &(struct sealgate_leaf_query){0}, 0,
                                                 &(struct sealgate_leaf_events){0}, NULL, NULL,
                                                 &error),
                     SEALGATE_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_followed_to_the_end),
        cmocka_unit_test(every_part_of_a_query_comes_across),
        cmocka_unit_test(a_list_that_is_not_the_logs_is_refused),
        cmocka_unit_test(a_receipt_of_any_leaf_proves_itself),
        cmocka_unit_test(a_receipt_of_something_else_is_refused),
        cmocka_unit_test(a_checkpoint_is_believed_by_its_signature_alone),
        cmocka_unit_test(a_log_that_shows_another_tree_is_caught),
        cmocka_unit_test(growth_from_any_kept_checkpoint_is_proved),
        cmocka_unit_test(growth_that_is_not_shown_is_refused),
        cmocka_unit_test(no_byte_of_what_is_kept_may_differ),
        cmocka_unit_test(a_checkpoint_is_held_against_one_that_was_kept),
        cmocka_unit_test(each_leaf_comes_once_whatever_happens_to_the_watch),
        cmocka_unit_test(a_watch_that_is_cut_again_and_again_goes_on_at_once),
        cmocka_unit_test(a_watch_of_what_is_not_the_log_ends),
        cmocka_unit_test(a_watch_outlives_a_server_that_is_away_for_a_while),
        cmocka_unit_test(a_watch_ends_when_its_time_is_up),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
