#include "sealgate/v1/audit.pb-c.h"
#include "tests/integration/gateway/rig.h"

/* WatchLeaves over a log in a real store: leaves as they are committed, to each at its own speed,
 * and the ends that a watch can have. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.has_audit = true, .audit_watchers_max = 20});
    rig->is_quick = true;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

/* Records that are written without anybody who signs. */
struct written {
    struct sg_audit_entry entry;
    size_t *left;
};

static void on_written(struct sg_audit_entry *entry)
{
    struct written *written = SG_CONTAINER(entry, struct written, entry);
    assert_int_equal(entry->outcome, SG_AUDIT_WRITTEN);
    --*written->left;
    sg_audit_entry_done(entry);
    free(written);
}

static void write_one(struct rig *rig, struct sg_audit *audit, enum sg_audit_event event,
                      const char *caller, size_t detail_len, size_t *left)
{
    static char detail[SG_AUDIT_TEXT_BYTES_MAX];
    struct written *written = calloc(1, sizeof(*written));
    const struct sg_audit_record record = {.event = event,
                                           .time_ns = sg_wall_ns(&rig->clock.clock),
                                           .caller = sg_slice_str(caller),
                                           .detail = sg_slice_of(detail, detail_len)};

    memset(detail, 'x', sizeof(detail));
    written->entry.done = on_written;
    written->left = left;
    ++*left;
    assert_int_equal(sg_audit_submit(audit, &record, &written->entry, NULL), SG_OK);
}

static void write_to(struct rig *rig, struct sg_audit *audit, size_t count, size_t detail_len)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        write_one(rig, audit, SG_AUDIT_GATEWAY_STARTED, "urn:writer", detail_len, &left);
    RIG_UNTIL(rig, left == 0);
}

static void write_some(struct rig *rig, size_t count)
{
    write_to(rig, rig->audit, count, 10);
}

static struct rig_call *watch_log(struct rig_client *client, const char *log, uint64_t first,
                                  Sealgate__V1__AuditFilter *filter)
{
    Sealgate__V1__WatchLeavesRequest request = SEALGATE__V1__WATCH_LEAVES_REQUEST__INIT;
    request.log = (char *)(uintptr_t)log;
    request.first = first;
    request.filter = filter;
    return rig_ask(client, WATCH_LEAVES, &request.base);
}

static struct rig_call *watch(struct rig_client *client, uint64_t first)
{
    return watch_log(client, "", first, NULL);
}

static uint64_t leaf_of(const struct rig_call *call, size_t n)
{
    Sealgate__V1__WatchLeavesResponse *response =
        rig_message(call, n, &sealgate__v1__watch_leaves_response__descriptor);
    const uint64_t index = response->leaf->leaf_index;
    sealgate__v1__watch_leaves_response__free_unpacked(response, NULL);
    return index;
}

/* Nothing is left out, and nothing comes twice. */
static void check_leaves(const struct rig_call *call, uint64_t first, size_t count)
{
    assert_int_equal(call->message_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(leaf_of(call, i), first + i);
}

static void end(struct rig_call *call, enum sg_grpc_code code, const char *reason)
{
    RIG_UNTIL(call->client->rig, call->done > 0);
    assert_int_equal(call->code, code);
    assert_string_equal(call->reason, reason);
    rig_call_free(call);
}

static void cancel(struct rig_call *call)
{
    struct rig *rig = call->client->rig;
    rig_disconnect(call->client, true);
    RIG_UNTIL(rig, call->done > 0);
    rig_call_free(call);
}

static void leaves_come_from_the_first_on_and_then_as_they_are_committed(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = watch(rig_connect(rig, A), 0);
    struct rig_sign sign;

    RIG_UNTIL(rig, call->message_count == 1); /* leaf 0, of the log's beginning */
    rig_sign_init(&sign, "keys/alpha");
    for (size_t i = 2; i < 5; i++) {
        struct rig_call *signing = rig_get(rig_connect(rig, A), SIGN, &sign.request.base);
        assert_int_equal(signing->code, SG_GRPC_OK);
        rig_call_free(signing);
        RIG_UNTIL(rig, call->message_count == i); /* time stands still: nobody looks */
    }
    check_leaves(call, 0, 4);
    Sealgate__V1__WatchLeavesResponse *response =
        rig_message(call, 3, &sealgate__v1__watch_leaves_response__descriptor);
    assert_string_equal(response->leaf->name, "audit/main/epochs/1/leaves/3");
    assert_int_equal(response->leaf->content->event,
                     SEALGATE__V1__AUDIT_EVENT__AUDIT_EVENT_SIGNATURE);
    assert_string_equal(response->leaf->content->caller, "https://tests/a");
    assert_string_equal(response->leaf->content->key_version, "keys/alpha/versions/1");
    struct sg_audit_record record;
    assert_int_equal(
        sg_audit_record_parse(sg_slice_of(response->leaf->record.data, response->leaf->record.len),
                              &record, NULL),
        SG_OK);
    sealgate__v1__watch_leaves_response__free_unpacked(response, NULL);
    cancel(call);
}

static void a_first_that_is_still_to_come_is_waited_for(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = watch_log(rig_connect(rig, A), "audit/main", 5, NULL);

    write_some(rig, 4);
    rig_settle(rig);
    assert_int_equal(call->message_count, 0);
    write_some(rig, 3);
    RIG_UNTIL(rig, call->message_count == 3);
    check_leaves(call, 5, 3);
    cancel(call);
}

/* More than a round has room for, and while more is written. */
static void who_begins_far_behind_catches_up(void **state)
{
    struct rig *rig = *state;

    write_some(rig, 500);
    struct rig_call *call = watch(rig_connect(rig, A), 3);
    struct rig_call *other = watch(rig_connect(rig, A), 100);
    write_some(rig, 300);
    RIG_UNTIL(rig, call->message_count == 798 && other->message_count == 701);
    check_leaves(call, 3, 798);
    check_leaves(other, 100, 701);
    cancel(call);
    cancel(other);
}

static void each_gets_what_its_filter_lets_through(void **state)
{
    struct rig *rig = *state;
    Sealgate__V1__AuditFilter denials = SEALGATE__V1__AUDIT_FILTER__INIT;
    Sealgate__V1__AuditFilter callers = SEALGATE__V1__AUDIT_FILTER__INIT;
    Sealgate__V1__AuditFilter nobody = SEALGATE__V1__AUDIT_FILTER__INIT;
    size_t left = 0;

    denials.event = SEALGATE__V1__AUDIT_EVENT__AUDIT_EVENT_DENIAL;
    callers.caller = (char *)(uintptr_t) "urn:one";
    nobody.digest =
        (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t) "0123456789abcdef0123456789abcde"};
    struct rig_call *all = watch(rig_connect(rig, A), 0);
    struct rig_call *some = watch_log(rig_connect(rig, A), "", 0, &denials);
    struct rig_call *one = watch_log(rig_connect(rig, A), "", 0, &callers);
    struct rig_call *none = watch_log(rig_connect(rig, A), "", 0, &nobody);
    for (size_t i = 0; i < 300; i++) {
        write_one(rig, rig->audit, i % 3 == 0 ? SG_AUDIT_DENIAL : SG_AUDIT_DENIALS,
                  i % 2 == 0 ? "urn:one" : "urn:two", 0, &left);
        if (i % 50 == 49)
            RIG_UNTIL(rig, left == 0);
    }
    RIG_UNTIL(rig, all->message_count == 301);
    RIG_UNTIL(rig, some->message_count == 100 && one->message_count == 150);
    rig_settle(rig);
    check_leaves(all, 0, 301);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(leaf_of(some, i), 1 + 3 * i);
    for (size_t i = 0; i < 150; i++)
        assert_int_equal(leaf_of(one, i), 1 + 2 * i);
    assert_int_equal(none->message_count, 0);
    cancel(all);
    cancel(some);
    cancel(one);
    cancel(none);
}

/* By the index, once it is made. */
static void a_filter_that_the_index_knows_finds_what_is_far_away(void **state)
{
    struct rig *rig = *state;
    Sealgate__V1__AuditFilter filter = SEALGATE__V1__AUDIT_FILTER__INIT;
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    for (size_t i = 0; i < 2; i++) {
        write_some(rig, 40);
        struct rig_call *signing = rig_get(rig_connect(rig, A), SIGN, &sign.request.base);
        rig_call_free(signing);
    }
    rig_wait(rig, SG_NS_PER_S);
    rig_wait(rig, SG_NS_PER_S);
    filter.digest = sign.digest.value;
    struct rig_call *call = watch_log(rig_connect(rig, A), "", 0, &filter);
    RIG_UNTIL(rig, call->message_count == 2);
    rig_call_free(rig_get(rig_connect(rig, A), SIGN, &sign.request.base));
    RIG_UNTIL(rig, call->message_count == 3);
    assert_int_equal(leaf_of(call, 0), 41);
    assert_int_equal(leaf_of(call, 1), 82);
    assert_int_equal(leaf_of(call, 2), 83);
    cancel(call);
}

/* What it does not take is not kept for it, and does not keep others waiting. */
static void a_slow_reader_loses_nothing_and_holds_up_nobody(void **state)
{
    enum { COUNT = 3000 }; /* with 4 KiB twice in each message: far more than any buffer takes */
    struct rig *rig = *state;
    struct rig_client *slow_client = rig_connect(rig, A);
    struct rig_call *slow = watch(slow_client, 1), *quick = watch(rig_connect(rig, A), 1);

    write_some(rig, 1);
    RIG_UNTIL(rig, slow->message_count == 1);
    slow_client->does_not_read = true;
    for (size_t i = 0; i < COUNT / 500; i++)
        write_to(rig, rig->audit, 500, SG_AUDIT_TEXT_BYTES_MAX);
    RIG_UNTIL(rig, quick->message_count == COUNT + 1);
    assert_int_equal(slow->message_count, 1);
    slow_client->does_not_read = false;
    RIG_UNTIL(rig, slow->message_count == COUNT + 1);
    check_leaves(quick, 1, COUNT + 1);
    check_leaves(slow, 1, COUNT + 1);
    cancel(slow);
    cancel(quick);
}

/* What went to an archive while somebody was too slow for it is not left out in silence. */
static void leaves_that_left_the_store_end_the_watch(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_call *call = watch(client, 1);
    struct sg_store_log log;
    struct sg_store *store;

    write_some(rig, 1);
    RIG_UNTIL(rig, call->message_count == 1);
    client->does_not_read = true;
    for (size_t i = 0; i < 6; i++)
        write_to(rig, rig->audit, 500, SG_AUDIT_TEXT_BYTES_MAX);
    rig_settle(rig);
    assert_int_equal(sg_store_open(rig->folder.url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &log, NULL), SG_OK);
    assert_int_equal(sg_store_drop_leaves(store, log.id, 2999, NULL), SG_OK);
    sg_store_close(store);
    client->does_not_read = false;
    RIG_UNTIL(rig, call->done > 0);
    assert_in_range(call->message_count, 2, 2900);
    check_leaves(call, 1, call->message_count);
    end(call, SG_GRPC_NOT_FOUND, "LEAF_ARCHIVED");

    /* Who begins there begins with what there is. */
    call = watch(client, 1);
    RIG_UNTIL(rig, call->message_count == 3);
    check_leaves(call, 2999, 3);
    cancel(call);
}

static void no_more_may_watch_than_are_allowed(void **state)
{
    struct rig *rig = *state;
    struct rig_call *calls[20];

    for (size_t i = 0; i < SG_COUNT(calls); i++)
        calls[i] = watch(rig_connect(rig, A), 0);
    for (size_t i = 0; i < SG_COUNT(calls); i++)
        RIG_UNTIL(rig, calls[i]->message_count == 1);
    end(watch(rig_connect(rig, A), 0), SG_GRPC_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS");
    write_some(rig, 70);
    for (size_t i = 0; i < SG_COUNT(calls); i++)
        RIG_UNTIL(rig, calls[i]->message_count == 71);
    cancel(calls[7]);
    rig_settle(rig);
    calls[7] = watch(rig_connect(rig, A), 0);
    RIG_UNTIL(rig, calls[7]->message_count == 71);
    for (size_t i = 0; i < SG_COUNT(calls); i++)
        cancel(calls[i]);
}

/* At each moment of a round. */
static void clients_come_and_go(void **state)
{
    struct rig *rig = *state;
    struct rig_call *lasting = watch(rig_connect(rig, A), 0);
    size_t left = 0;

    for (size_t i = 0; i < 60; i++) {
        struct rig_client *client = rig_connect(rig, A);
        struct rig_call *call = watch(client, i);
        RIG_UNTIL(rig, rig_client_is_ready(client));
        for (size_t turns = 0; turns < i % 6; turns++)
            rig_turn(rig);
        write_one(rig, rig->audit, SG_AUDIT_DENIAL, "urn:x", 0, &left);
        for (size_t turns = 0; turns < i % 4; turns++)
            rig_turn(rig);
        rig_disconnect(client, i % 2 == 0);
        rig_turn(rig);
        rig_call_free(call);
    }
    RIG_UNTIL(rig, left == 0 && lasting->message_count == 61);
    check_leaves(lasting, 0, 61);
    cancel(lasting);
}

/* Another gateway's log in the same store. */
static struct sg_audit *open_other(struct rig *rig, const char *log, const char *origin,
                                   uint32_t epoch, char key[128])
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_note_signer *signer;
    struct sg_store_log made = {.epoch = epoch};
    struct sg_audit *audit;

    snprintf(made.name, sizeof(made.name), "%s", log);
    snprintf(made.origin, sizeof(made.origin), "%s", origin);
    assert_int_equal(sg_note_private_new(sg_slice_str(origin), SG_NOTE_ED25519, &secret, NULL),
                     SG_OK);
    struct sg_slice bytes = sg_secret_bytes(secret);
    snprintf(key, 128, "%s/%s-%u.key", rig->folder.path, log, (unsigned)epoch);
    FILE *file = fopen(key, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    shell(&rig->folder, "chmod 600 $FOLDER/*.key");
    assert_int_equal(sg_note_signer_new(bytes, &signer, NULL), SG_OK);
    assert_int_equal(sg_store_open(rig->folder.url, &store, NULL), SG_OK);
    folder_begin(store, &made, signer, NULL, sg_wall_ns(&rig->clock.clock));
    sg_note_signer_free(signer);
    const struct sg_audit_options options = {.loop = rig->loop,
                                             .clock = &rig->clock.clock,
                                             .store = rig->folder.url,
                                             .log = log,
                                             .key_file = key,
                                             .waiting_max = RIG_JOBS_MAX};
    assert_int_equal(sg_audit_open(&options, &audit, NULL), SG_OK);
    return audit;
}

static void anothers_log_is_looked_at_once_a_second(void **state)
{
    struct rig *rig = *state;
    char key[128];
    struct sg_audit *other = open_other(rig, "other", "test.example/other/1", 1, key);
    struct rig_call *call = watch_log(rig_connect(rig, A), "audit/other", 0, NULL);
    struct rig_call *own = watch(rig_connect(rig, A), 0);

    RIG_UNTIL(rig, call->message_count == 1 && own->message_count == 1);
    write_to(rig, other, 5, 0);
    write_some(rig, 2);
    RIG_UNTIL(rig, own->message_count == 3);
    rig_wait(rig, SG_NS_PER_S);
    RIG_UNTIL(rig, call->message_count == 6);
    check_leaves(call, 0, 6);
    check_leaves(own, 0, 3);
    Sealgate__V1__WatchLeavesResponse *response =
        rig_message(call, 5, &sealgate__v1__watch_leaves_response__descriptor);
    assert_string_equal(response->leaf->name, "audit/other/epochs/1/leaves/5");
    sealgate__v1__watch_leaves_response__free_unpacked(response, NULL);
    sg_audit_close(other);
    cancel(call);
    cancel(own);
}

static void a_watch_ends_behind_the_last_leaf_of_its_epoch(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = watch(rig_connect(rig, A), 0);
    char key[128];

    write_some(rig, 200);
    RIG_UNTIL(rig, call->message_count == 201);
    struct sg_audit *other = open_other(rig, "main", "test.example/main/2", 2, key);
    struct rig_call *late = watch(rig_connect(rig, A), 0);
    write_to(rig, other, 3, 0);
    RIG_UNTIL(rig, late->message_count > 0);
    rig_wait(rig, SG_NS_PER_S);
    check_leaves(call, 0, 201);
    end(call, SG_GRPC_FAILED_PRECONDITION, "EPOCH_ENDED");
    RIG_UNTIL(rig, late->message_count == 4);
    check_leaves(late, 0, 4); /* of the new epoch */
    sg_audit_close(other);
    cancel(late);
}

static void a_drain_ends_all_of_them_and_lets_nobody_in(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_call *call = watch(client, 0), *other = watch(client, 100);

    RIG_UNTIL(rig, call->message_count == 1);
    sg_rpc_drain(rig->rpc);
    struct rig_call *late = watch(client, 0);
    end(call, SG_GRPC_UNAVAILABLE, "DRAINING");
    end(other, SG_GRPC_UNAVAILABLE, "DRAINING");
    end(late, SG_GRPC_UNAVAILABLE, "DRAINING");
}

static void a_deadline_ends_it(void **state)
{
    struct rig *rig = *state;
    Sealgate__V1__WatchLeavesRequest request = SEALGATE__V1__WATCH_LEAVES_REQUEST__INIT;
    struct rig_call *call = rig_begin(rig_connect(rig, A), WATCH_LEAVES, 2 * SG_NS_PER_S);

    rig_send(call, &request.base, true);
    RIG_UNTIL(rig, call->message_count == 1);
    rig_wait(rig, 3 * SG_NS_PER_S);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_DEADLINE_EXCEEDED);
    rig_call_free(call);
}

static void whose_certificate_is_revoked_sees_no_further_leaf(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = watch(rig_connect(rig, A), 0);
    const struct sg_pki_crl_spec spec = {
        .name = "a", .issuer = rig->ca, .revoked = &rig->ids[A], .revoked_count = 1};

    RIG_UNTIL(rig, call->message_count == 1);
    rig_set_crl(rig, sg_pki_crl(rig->pki, &spec));
    write_some(rig, 3);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->message_count, 1);
    end(call, SG_GRPC_UNAUTHENTICATED, "CLIENT_CERT_REVOKED");
}

static void whose_row_is_gone_is_denied_within_a_second(void **state)
{
    struct rig *rig = *state;
    struct rig_call *call = watch(rig_connect(rig, A), 0);
    struct sg_authz *old = rig->authz;

    RIG_UNTIL(rig, call->message_count == 1);
    assert_int_equal(sg_authz_new(NULL, 0, &rig->authz, NULL), SG_OK);
    assert_int_equal(sg_rpc_set_authz(rig->rpc, rig->authz, NULL), SG_OK);
    sg_authz_free(old);
    rig_wait(rig, SG_NS_PER_S);
    RIG_UNTIL(rig, call->done > 0);
    assert_true(call->has_receipt);
    end(call, SG_GRPC_PERMISSION_DENIED, "CALLER_UNKNOWN");
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    Sealgate__V1__AuditFilter filter = SEALGATE__V1__AUDIT_FILTER__INIT;
    static char text[40000];

    end(watch_log(client, "keys/x", 0, NULL), SG_GRPC_INVALID_ARGUMENT, "BAD_NAME");
    end(watch_log(client, "audit/main/leaves/1", 0, NULL), SG_GRPC_INVALID_ARGUMENT, "BAD_NAME");
    end(watch_log(client, "audit/none", 0, NULL), SG_GRPC_NOT_FOUND, "LEAF_NOT_FOUND");
    memset(text, 'x', sizeof(text) - 1);
    filter.caller = text;
    end(watch_log(client, "", 0, &filter), SG_GRPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE");
    text[20000] = '\0';
    end(watch_log(client, "", 0, &filter), SG_GRPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE");
    struct rig_call *call = rig_begin(client, WATCH_LEAVES, 0);
    rig_send_bytes(call, SG_SLICE("\xff"), true);
    end(call, SG_GRPC_INTERNAL, "MALFORMED_MESSAGE");
}

static void without_a_log_there_is_nothing_to_watch(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    (void)state;

    rig_start(rig, NULL);
    end(watch(rig_connect(rig, A), 0), SG_GRPC_UNIMPLEMENTED, "METHOD_NOT_SERVED");
    rig_stop(rig);
    free(rig);
}

/* As gateway/app.c stops, whatever is under way. */
static void the_end_waits_for_nobody_who_watches(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct rig_call *calls[5];
    (void)state;

    rig_start(rig, &(struct rig_options){.has_audit = true});
    for (size_t i = 0; i < SG_COUNT(calls); i++)
        calls[i] = watch(rig_connect(rig, A), i);
    RIG_UNTIL(rig, calls[0]->message_count == 1);
    size_t left = 0;
    write_one(rig, rig->audit, SG_AUDIT_DENIAL, "urn:x", 0, &left);
    rig_turn(rig);
    rig_stop_now(rig);
    for (size_t i = 0; i < SG_COUNT(calls); i++)
        rig_call_free(calls[i]);
    free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leaves_come_from_the_first_on_and_then_as_they_are_committed),
        TEST(a_first_that_is_still_to_come_is_waited_for),
        TEST(who_begins_far_behind_catches_up),
        TEST(each_gets_what_its_filter_lets_through),
        TEST(a_filter_that_the_index_knows_finds_what_is_far_away),
        TEST(a_slow_reader_loses_nothing_and_holds_up_nobody),
        TEST(leaves_that_left_the_store_end_the_watch),
        TEST(no_more_may_watch_than_are_allowed),
        TEST(clients_come_and_go),
        TEST(anothers_log_is_looked_at_once_a_second),
        TEST(a_watch_ends_behind_the_last_leaf_of_its_epoch),
        TEST(a_drain_ends_all_of_them_and_lets_nobody_in),
        TEST(a_deadline_ends_it),
        TEST(whose_certificate_is_revoked_sees_no_further_leaf),
        TEST(whose_row_is_gone_is_denied_within_a_second),
        TEST(what_cannot_be_watched_is_refused),
        cmocka_unit_test(without_a_log_there_is_nothing_to_watch),
        cmocka_unit_test(the_end_waits_for_nobody_who_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
