#include "sealgate/v1/audit.pb-c.h"
#include "tests/integration/gateway/newest.h"

/* Who is denied something is told so by a receipt: of a key, and of a method that never begins. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.has_audit = true});
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static uint64_t size(struct rig *rig)
{
    struct sg_audit_stats stats;
    sg_audit_stats(rig->audit, &stats);
    return stats.size;
}

static const struct {
    const char *name;
    enum rig_caller caller;
    const char *path, *uri, *reason;
    enum sg_grpc_code code;
} rows[] = {
    {"B may not list", B, LIST_KEYS, "https://tests/b", "METHOD_NOT_ALLOWED",
     SG_GRPC_PERMISSION_DENIED},
    {"B may not sign in batches", B, BATCH_SIGN, "https://tests/b", "METHOD_NOT_ALLOWED",
     SG_GRPC_PERMISSION_DENIED},
    {"B may not stream, which both sides do", B, SIGN_STREAM, "https://tests/b",
     "METHOD_NOT_ALLOWED", SG_GRPC_PERMISSION_DENIED},
    {"B may not watch, which is a stream too", B, WATCH_LEAVES, "https://tests/b",
     "METHOD_NOT_ALLOWED", SG_GRPC_PERMISSION_DENIED},
    {"a stranger may nothing", STRANGER, SIGN, "https://tests/stranger", "CALLER_UNKNOWN",
     SG_GRPC_PERMISSION_DENIED},
};

static void a_method_that_is_denied_is_told_by_a_receipt(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        const uint64_t before = size(rig);
        struct rig_call *call = rig_begin(rig_connect(rig, rows[i].caller), rows[i].path, 0);
        print_message("  %s\n", rows[i].name);
        rig_send_bytes(call, SG_SLICE(""), true);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, rows[i].code);
        assert_string_equal(call->reason, rows[i].reason);
        assert_true(call->has_receipt);
        assert_int_equal(call->message_count, 0);
        assert_int_equal(size(rig), before + 1); /* once, and no longer than the answer waits */
        const struct newest newest = read_newest(rig);
        assert_int_equal(newest.seq, before);
        assert_int_equal(newest.event, SG_AUDIT_DENIAL);
        assert_string_equal(newest.caller, rows[i].uri);
        assert_string_equal(newest.method, rows[i].path + 1);
        assert_string_equal(newest.reason, rows[i].reason);
        rig_call_free(call);
    }
    assert_int_equal(rig->submitted, 0);
    assert_int_equal(rig->errors, SG_COUNT(rows));
}

static void a_key_that_is_denied_is_told_by_a_receipt(void **state)
{
    struct rig *rig = *state;
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    struct rig_call *call = rig_get(rig_connect(rig, B), SIGN, &sign.request.base);
    assert_int_equal(call->code, SG_GRPC_NOT_FOUND);
    assert_true(call->has_receipt);
    assert_string_equal(read_newest(rig).reason, "KEY_NOT_FOUND");
    rig_call_free(call);
}

/* The message, or the half-close, is on its way when the denial is. */
static void what_a_denied_caller_sends_reaches_nobody(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = rig_begin(rig_connect(rig, B), SIGN_STREAM, 0);
    Sealgate__V1__SignStreamRequest item = SEALGATE__V1__SIGN_STREAM_REQUEST__INIT;
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/beta");
    item.item_id = (char *)(uintptr_t) "one";
    item.request = &sign.request;
    for (size_t i = 0; i < 50; i++)
        rig_send(call, &item.base, false);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_PERMISSION_DENIED);
    assert_true(call->has_receipt);
    assert_int_equal(rig->submitted, 0);
    rig_call_free(call);
}

/* They get their answer, and the log a number. */
static void many_denials_of_one_caller_are_not_all_recorded(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, B);
    const uint64_t before = size(rig);
    size_t receipts = 0;

    for (size_t i = 0; i < 30; i++) {
        struct rig_call *call = rig_begin(client, LIST_KEYS, 0);
        rig_send_bytes(call, SG_SLICE(""), true);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, SG_GRPC_PERMISSION_DENIED);
        assert_string_equal(call->reason, "METHOD_NOT_ALLOWED");
        receipts += call->has_receipt;
        rig_call_free(call);
    }
    assert_in_range(receipts, 10, 12); /* ten, and one for each second that it took */
    assert_int_equal(size(rig), before + receipts);
    assert_int_equal(rig->errors, 30);
}

static void who_leaves_before_the_record_is_written_leaves_the_record(void **state)
{
    struct rig *rig = *state;

    for (size_t turns = 0; turns < 12; turns++) {
        const uint64_t before = size(rig);
        struct rig_client *client = rig_connect(rig, turns % 2 == 0 ? B : STRANGER);
        RIG_UNTIL(rig, rig_client_is_ready(client));
        rig_settle(rig);
        struct rig_call *call = rig_begin(client, LIST_KEYS, 0);
        rig_send_bytes(call, SG_SLICE(""), true);
        rig_turn(rig);
        for (size_t i = 0; i < turns / 4; i++)
            rig_turn(rig);
        rig_disconnect(client, turns % 3 == 0);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
        RIG_UNTIL(rig, sg_signings_pending(rig->signings) == 0);
        assert_in_range(size(rig), before, before + 1);
        assert_int_equal(call->done, 1);
        rig_call_free(call);
    }
    assert_true(size(rig) > 1);
}

static void without_a_log_the_answer_is_the_same_but_for_the_receipt(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    (void)state;

    rig_start(rig, NULL);
    struct rig_call *call = rig_begin(rig_connect(rig, B), LIST_KEYS, 0);
    rig_send_bytes(call, SG_SLICE(""), true);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_PERMISSION_DENIED);
    assert_string_equal(call->reason, "METHOD_NOT_ALLOWED");
    assert_false(call->has_receipt);
    rig_call_free(call);
    rig_stop(rig);
    free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_method_that_is_denied_is_told_by_a_receipt),
        TEST(a_key_that_is_denied_is_told_by_a_receipt),
        TEST(what_a_denied_caller_sends_reaches_nobody),
        TEST(many_denials_of_one_caller_are_not_all_recorded),
        TEST(who_leaves_before_the_record_is_written_leaves_the_record),
        cmocka_unit_test(without_a_log_the_answer_is_the_same_but_for_the_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
