#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "gateway/audit/audit.h"
#include "gateway/audit/facts.h"
#include "tests/unit/gateway/audit/folder.h"

/* The log over a real SQLite store: what comes back can be proved, and what was tampered with is
 * noticed at the start. */

enum { ENTRIES_MAX = 1500 };

static const int64_t epoch_ns = INT64_C(1790000000) * SG_NS_PER_S;

struct settable {
    struct sg_clock clock;
    _Atomic int64_t wall_ns;
    /* Not 0: the monotonic time stands still here, but for each look that another thread takes. */
    _Atomic int64_t still_ns;
    pthread_t owner;
};

struct rig {
    struct folder folder;
    struct settable clock;
    struct sg_loop *loop;
    struct sg_audit *audit;
    size_t done, wanted;
    struct sg_audit_entry entries[ENTRIES_MAX];
};

static struct rig rig; /* entries find it by this */

static int64_t mono_ns(const struct sg_clock *clock)
{
    (void)clock;
    if (atomic_load(&rig.clock.still_ns) == 0)
        return sg_mono_ns(&sg_clock_system);
    if (pthread_equal(pthread_self(), rig.clock.owner))
        return atomic_load(&rig.clock.still_ns);
    return atomic_fetch_add(&rig.clock.still_ns, 10 * SG_NS_PER_MS);
}

static int64_t wall_ns(const struct sg_clock *clock)
{
    return atomic_load(&((const struct settable *)(const void *)clock)->wall_ns);
}

static enum sg_rc open_audit(struct sg_err *err)
{
    const struct sg_audit_options options = {.loop = rig.loop,
                                             .clock = &rig.clock.clock,
                                             .store = rig.folder.url,
                                             .log = "main",
                                             .key_file = rig.folder.key,
                                             .anchor_file = rig.folder.anchor,
                                             .waiting_max = ENTRIES_MAX - 1};
    return sg_audit_open(&options, &rig.audit, err);
}

static void start(void)
{
    memset(&rig, 0, sizeof(rig));
    rig.clock.clock = (struct sg_clock){.mono_ns = mono_ns, .wall_ns = wall_ns};
    atomic_store(&rig.clock.wall_ns, epoch_ns);
    folder_make(&rig.folder, epoch_ns);
    rig.clock.owner = pthread_self();
    assert_int_equal(sg_loop_new(&rig.clock.clock, &rig.loop, NULL), SG_OK);
    assert_int_equal(open_audit(NULL), SG_OK);
}

static void close_audit(void)
{
    sg_audit_close(rig.audit);
    rig.audit = NULL;
}

static void stop(void)
{
    close_audit();
    sg_loop_free(rig.loop);
    folder_remove(&rig.folder);
}

static void on_done(struct sg_audit_entry *entry)
{
    (void)entry;
    if (++rig.done == rig.wanted)
        sg_loop_stop(rig.loop);
}

static void name(size_t i, char out[40])
{
    snprintf(out, 40, "request %zu", i);
}

static enum sg_rc submit(size_t i, struct sg_err *err)
{
    char id[40];
    name(i, id);
    const struct sg_audit_record record = {.event = SG_AUDIT_SIGNATURE,
                                           .time_ns = wall_ns(&rig.clock.clock),
                                           .caller = SG_SLICE("urn:caller"),
                                           .request_id = sg_slice_str(id),
                                           .signature = SG_SLICE("signature")};
    rig.entries[i].done = on_done;
    return sg_audit_submit(rig.audit, &record, &rig.entries[i], err);
}

/* `count` of them at once, from `first` on; their keys are theirs. */
static void write_some(size_t first, size_t count)
{
    rig.done = 0;
    rig.wanted = count;
    for (size_t i = first; i < first + count; i++)
        assert_int_equal(submit(i, NULL), SG_OK);
    assert_int_equal(sg_loop_run(rig.loop, NULL), SG_OK);
}

/* As somebody does who has the receipt, the record and the log's key, and nothing else. */
static uint64_t prove(const struct sg_audit_receipt *receipt)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;
    const struct sg_receipt plain = {.index = receipt->index,
                                     .proof = receipt->proof,
                                     .checkpoint = sg_audit_note_text(receipt->checkpoint)};
    struct sg_tree_head head = {0};
    struct sg_buf text;

    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    sg_buf_init(&text, SG_RECEIPT_BYTES_MAX);
    sg_receipt_write(&plain, &text);
    assert_int_equal(sg_receipt_check(hasher, sg_buf_slice(&text), sg_buf_slice(&receipt->record),
                                      SG_SLICE("test.example/main/1"),
                                      sg_note_signer_key(rig.folder.signer), &head, NULL),
                     SG_OK);
    sg_buf_done(&text);
    return head.size;
}

static void prove_written(size_t i)
{
    struct sg_audit_record record;
    char id[40];

    name(i, id);
    assert_int_equal(rig.entries[i].outcome, SG_AUDIT_WRITTEN);
    prove(&rig.entries[i].receipt);
    assert_int_equal(
        sg_audit_record_parse(sg_buf_slice(&rig.entries[i].receipt.record), &record, NULL), SG_OK);
    assert_true(sg_slice_is(record.request_id, id));
}

static void done_with(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        sg_audit_entry_done(&rig.entries[i]);
}

static void every_record_comes_back_with_its_proof(void **state)
{
    static const size_t counts[] = {1, 1, 5, 300, 256, 1, 700};
    struct sg_audit_stats stats;
    size_t first = 0;
    (void)state;

    start();
    for (size_t i = 0; i < SG_COUNT(counts); i++) {
        write_some(first, counts[i]);
        for (size_t j = first; j < first + counts[i]; j++) {
            prove_written(j);
            assert_int_equal(rig.entries[j].receipt.index, j + 1); /* behind leaf 0 */
        }
        done_with(first, counts[i]);
        first += counts[i];
        if (i % 2 == 1) { /* and after a restart */
            close_audit();
            assert_int_equal(open_audit(NULL), SG_OK);
        }
    }
    sg_audit_stats(rig.audit, &stats);
    assert_int_equal(stats.size, first + 1);
    stop();
}

static void whoever_comes_second_gets_the_first_ones_receipt(void **state)
{
    (void)state;

    start();
    memset(rig.entries[0].request_key, 7, sizeof(rig.entries[0].request_key));
    write_some(0, 1);
    prove_written(0);
    /* Among others that are written all the same. */
    memset(rig.entries[3].request_key, 7, sizeof(rig.entries[3].request_key));
    memset(rig.entries[4].request_key, 8, sizeof(rig.entries[4].request_key));
    write_some(1, 5);
    assert_int_equal(rig.entries[3].outcome, SG_AUDIT_TAKEN);
    assert_int_equal(rig.entries[3].receipt.index, 1);
    assert_true(sg_slice_eq(sg_buf_slice(&rig.entries[3].receipt.record),
                            sg_buf_slice(&rig.entries[0].receipt.record)));
    prove(&rig.entries[3].receipt);
    for (size_t i = 1; i < 6; i++)
        if (i != 3)
            prove_written(i);
    done_with(0, 6);
    stop();
}

/* While one gateway takes over from another, both write. */
static void two_gateways_write_to_one_log(void **state)
{
    struct sg_audit *first;
    (void)state;

    start();
    first = rig.audit;
    assert_int_equal(open_audit(NULL), SG_OK);
    struct sg_audit *second = rig.audit;
    for (size_t i = 0; i < 300; i += 30) {
        rig.audit = i % 20 == 0 ? first : second;
        write_some(i, 30);
    }
    for (size_t i = 0; i < 300; i++) {
        prove_written(i);
        assert_int_equal(rig.entries[i].receipt.index, i + 1);
    }
    done_with(0, 300);
    rig.audit = first;
    close_audit();
    rig.audit = second;
    stop();
}

static void a_store_that_was_put_back_is_noticed(void **state)
{
    struct sg_err err;
    (void)state;

    start();
    write_some(0, 10);
    done_with(0, 10);
    close_audit();
    shell(&rig.folder, "cp -a $FOLDER/store $FOLDER/kept");
    assert_int_equal(open_audit(NULL), SG_OK);
    write_some(10, 1);
    done_with(10, 1);
    close_audit();
    shell(&rig.folder, "rm -r $FOLDER/store && mv $FOLDER/kept $FOLDER/store");
    assert_int_equal(open_audit(&err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_ROLLED_BACK);

    /* An anchor that is gone is no reason to believe the store. */
    assert_int_equal(unlink(rig.folder.anchor), 0);
    assert_int_equal(open_audit(&err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_ROLLED_BACK);
    sg_loop_free(rig.loop);
    folder_remove(&rig.folder);
}

/* Under a gateway that runs: nothing is signed on top of it, however often it is tried. */
static void a_store_that_is_put_back_meanwhile_gets_no_second_history(void **state)
{
    static const char put_back[] =
        "python3 -c 'import sqlite3, sys; "
        "old, now = (sqlite3.connect(path) for path in sys.argv[1:]); old.backup(now)' "
        "$FOLDER/old/store.db $FOLDER/store/store.db";
    (void)state;

    start();
    write_some(0, 10);
    close_audit();
    shell(&rig.folder, "cp -a $FOLDER/store $FOLDER/old");
    assert_int_equal(open_audit(NULL), SG_OK);
    write_some(10, 5);
    shell(&rig.folder, put_back);
    for (size_t i = 15; i < 18; i++) {
        write_some(i, 1);
        assert_int_equal(rig.entries[i].outcome, SG_AUDIT_FAILED);
        assert_int_equal(rig.entries[i].err.reason, SG_R_STORE_ROLLED_BACK);
    }
    done_with(0, 18);
    close_audit();
    struct sg_err err;
    assert_int_equal(open_audit(&err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_STORE_ROLLED_BACK);
    stop();
}

static void another_key_opens_nothing(void **state)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    struct sg_err err;
    (void)state;

    start();
    close_audit();
    assert_int_equal(
        sg_note_private_new(SG_SLICE("test.example/main/1"), SG_NOTE_ED25519, &secret, NULL),
        SG_OK);
    FILE *file = fopen(rig.folder.key, "w");
    assert_non_null(file);
    struct sg_slice bytes = sg_secret_bytes(secret);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(open_audit(&err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    sg_loop_free(rig.loop);
    folder_remove(&rig.folder);
}

static void a_clock_that_was_put_back_stops_signing(void **state)
{
    struct sg_err err;
    int64_t retry_ms;
    (void)state;

    start();
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, &err), SG_OK);
    atomic_store(&rig.clock.wall_ns, epoch_ns + 60 * SG_NS_PER_S);
    write_some(0, 1);
    done_with(0, 1);
    atomic_store(&rig.clock.wall_ns, epoch_ns + 59 * SG_NS_PER_S); /* as clocks are corrected */
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, &err), SG_OK);
    atomic_store(&rig.clock.wall_ns, epoch_ns + 50 * SG_NS_PER_S);
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_CLOCK_OUT_OF_ACCURACY);
    /* After a restart too. */
    close_audit();
    assert_int_equal(open_audit(NULL), SG_OK);
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, &err), SG_E_CONFLICT);
    stop();
}

static void more_than_may_wait_is_refused(void **state)
{
    struct sg_err err;
    (void)state;

    start();
    rig.done = 0;
    rig.wanted = ENTRIES_MAX - 1;
    for (size_t i = 0; i < ENTRIES_MAX - 1; i++)
        assert_int_equal(submit(i, NULL), SG_OK);
    assert_int_equal(submit(ENTRIES_MAX - 1, &err), SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_QUEUE_FULL);
    assert_int_equal(sg_loop_run(rig.loop, NULL), SG_OK);
    done_with(0, ENTRIES_MAX - 1);
    stop();
}

/* What was submitted is written, and told, by the close. */
static void closing_loses_nothing(void **state)
{
    (void)state;

    start();
    rig.done = 0;
    rig.wanted = ENTRIES_MAX;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(submit(i, NULL), SG_OK);
    close_audit();
    assert_int_equal(rig.done, 100);
    for (size_t i = 0; i < 100; i++)
        prove_written(i);
    done_with(0, 100);
    assert_int_equal(open_audit(NULL), SG_OK);
    stop();
}

/* Beginning -------------------------------------------------------------------------------- */

static enum sg_rc on_first(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct sg_audit_record record;
    char(*seen)[64] = arg;
    (void)err;

    assert_in_range(seq, 1, 3);
    assert_int_equal(sg_audit_record_parse(bytes, &record, NULL), SG_OK);
    snprintf(seen[seq], sizeof(seen[seq]), "%s %.*s", sg_audit_event_name(record.event),
             (int)record.detail.len, record.detail.len == 0 ? "" : (const char *)record.detail.ptr);
    return SG_OK;
}

/* Leaves 1 to 3, by event and detail. */
static void read_first(char seen[4][64])
{
    struct sg_store_log log;
    struct sg_store *store;

    memset(seen, 0, 4 * sizeof(*seen));
    assert_int_equal(sg_store_open(rig.folder.url, &store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(store, "main", &log, NULL), SG_OK);
    assert_int_equal(sg_store_read_leaves(store, log.id, 1, 3, on_first, seen, NULL), SG_OK);
    sg_store_close(store);
}

static void the_beginning_is_in_front_of_what_follows(void **state)
{
    char seen[4][64];
    int64_t retry_ms;
    (void)state;

    start();
    sg_audit_begin(rig.audit, SG_SLICE("version: 7\n"));
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, NULL), SG_OK); /* no call is lost */
    write_some(0, 2);
    read_first(seen);
    assert_string_equal(seen[1], "gateway-started version: 7\n");
    assert_string_equal(seen[2], "signature ");
    assert_string_equal(seen[3], "signature ");
    done_with(0, 2);
    stop();
}

static void set_file_limit(rlim_t bytes)
{
    static rlim_t max;
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    max = max == 0 ? limit.rlim_cur : max;
    limit.rlim_cur = bytes == 0 ? 0 : max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void turn_until_ready(bool is_wanted)
{
    const int64_t until_ns = sg_mono_ns(&sg_clock_system) + 20 * SG_NS_PER_S;
    int64_t retry_ms;

    while ((sg_audit_is_ready(rig.audit, &retry_ms, NULL) == SG_OK) != is_wanted) {
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        assert_int_equal(sg_loop_turn(rig.loop, 50, NULL), SG_OK);
    }
}

/* The start goes on, and nothing is signed before it is known that there was one. */
static void a_beginning_that_cannot_be_written_is_made_up_for(void **state)
{
    struct sg_audit_stats stats;
    struct sg_err err = {0};
    char seen[4][64];
    int64_t retry_ms, since_ns;
    (void)state;

    start();
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    set_file_limit(0);
    sg_audit_begin(rig.audit, SG_SLICE("version: 7\n"));
    turn_until_ready(false);
    since_ns = sg_mono_ns(&sg_clock_system);
    while (sg_mono_ns(&sg_clock_system) - since_ns < 3 * SG_NS_PER_S) { /* longer than a failure */
        assert_int_equal(sg_loop_turn(rig.loop, 50, NULL), SG_OK);
        assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, &err), SG_E_UNAVAILABLE);
        assert_int_equal(retry_ms, 1000);
    }
    sg_audit_stats(rig.audit, &stats);
    assert_in_range(stats.failures, 2, 10);
    assert_int_equal(stats.size, 1);
    set_file_limit(1);
    turn_until_ready(true);
    write_some(0, 1);
    read_first(seen);
    assert_string_equal(seen[1], "gateway-started version: 7\n");
    assert_string_equal(seen[2], "signature ");
    assert_string_equal(seen[3], "");
    done_with(0, 1);
    stop();
}

static void balancers_are_told_longer_of_a_commit_that_failed(void **state)
{
    int64_t retry_ms;
    (void)state;

    start();
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    atomic_store(&rig.clock.still_ns, sg_mono_ns(&sg_clock_system));
    assert_true(sg_audit_is_well(rig.audit));
    set_file_limit(0);
    write_some(0, 1);
    assert_int_equal(rig.entries[0].outcome, SG_AUDIT_FAILED);
    assert_false(sg_audit_is_well(rig.audit));
    atomic_fetch_add(&rig.clock.still_ns, 2 * SG_NS_PER_S);
    assert_int_equal(sg_audit_is_ready(rig.audit, &retry_ms, NULL), SG_OK); /* to try again */
    assert_false(sg_audit_is_well(rig.audit));
    atomic_fetch_add(&rig.clock.still_ns, 9 * SG_NS_PER_S);
    assert_true(sg_audit_is_well(rig.audit));
    write_some(1, 1);
    assert_false(sg_audit_is_well(rig.audit));
    set_file_limit(1);
    write_some(2, 1);
    assert_true(sg_audit_is_well(rig.audit)); /* at once */
    done_with(0, 3);
    stop();
}

/* Holding back ----------------------------------------------------------------------------- */

static uint64_t commits(void)
{
    struct sg_audit_stats stats;
    sg_audit_stats(rig.audit, &stats);
    return stats.commits;
}

static void expect(enum sg_key_type type, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sg_audit_expect(rig.audit, type);
}

/* One that was expected. */
static void bring(enum sg_key_type type, size_t i)
{
    sg_audit_expect_none(rig.audit, type);
    rig.entries[i].key_type = type;
    assert_int_equal(submit(i, NULL), SG_OK);
}

static void assert_held(void)
{
    struct timespec while_ = {.tv_nsec = 20 * SG_NS_PER_MS};

    rig.done = rig.wanted = 0;
    assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    nanosleep(&while_, NULL);
    assert_int_equal(sg_loop_turn(rig.loop, 0, NULL), SG_OK);
    assert_int_equal(rig.done, 0);
}

static void assert_written(size_t count)
{
    rig.done = 0;
    rig.wanted = count;
    assert_int_equal(sg_loop_run(rig.loop, NULL), SG_OK);
}

static void many_on_their_way_share_a_commit(void **state)
{
    (void)state;

    start();
    atomic_store(&rig.clock.still_ns, sg_mono_ns(&sg_clock_system));
    write_some(0, 1); /* tells that a commit takes long */

    expect(SG_KEY_RSA_2048, 4);
    bring(SG_KEY_RSA_2048, 1);
    assert_held();
    bring(SG_KEY_RSA_2048, 2); /* as many as are still to come */
    assert_written(2);
    assert_int_equal(commits(), 2);
    bring(SG_KEY_RSA_2048, 3);
    assert_written(1);
    bring(SG_KEY_RSA_2048, 4);
    assert_written(1);

    expect(SG_KEY_RSA_2048, 9); /* who do not come: the first waits no longer than this */
    bring(SG_KEY_RSA_2048, 5);
    assert_held();
    atomic_fetch_add(&rig.clock.still_ns, 10 * SG_NS_PER_MS);
    assert_written(1);
    bring(SG_KEY_RSA_2048, 6);
    assert_held();
    for (size_t i = 0; i < 6; i++) /* or who will not come: 1 is left */
        sg_audit_expect_none(rig.audit, SG_KEY_RSA_2048);
    assert_written(1);
    sg_audit_expect_none(rig.audit, SG_KEY_RSA_2048);
    assert_int_equal(commits(), 6);
    done_with(0, 7);
    stop();
}

static void of_many_on_their_way_more_share_a_commit(void **state)
{
    (void)state;

    start();
    atomic_store(&rig.clock.still_ns, sg_mono_ns(&sg_clock_system));
    write_some(0, 1); /* tells that a commit takes long */

    expect(SG_KEY_RSA_2048, 100);
    for (size_t i = 1; i <= 74; i++)
        bring(SG_KEY_RSA_2048, i); /* 26 are still to come, and 74 are not three times as many */
    assert_held();
    bring(SG_KEY_RSA_2048, 75);
    assert_written(75);
    for (size_t i = 76; i <= 83; i++)
        bring(SG_KEY_RSA_2048, i);
    assert_held(); /* beside 17 */
    for (size_t i = 84; i <= 88; i++)
        bring(SG_KEY_RSA_2048,
              i); /* 16 and fewer are what keeps a token at work: as many as these are enough */
    assert_written(13);
    assert_int_equal(commits(), 3);
    done_with(0, 89);
    stop();
}

static void what_is_made_fast_does_not_wait_for_a_flood_of_what_is_slow(void **state)
{
    (void)state;

    start();
    atomic_store(&rig.clock.still_ns, sg_mono_ns(&sg_clock_system));
    write_some(0, 1); /* tells that a commit takes long */

    expect(SG_KEY_RSA_4096, 200);
    expect(SG_KEY_EC_P256, 4);
    bring(SG_KEY_RSA_4096, 1);
    bring(SG_KEY_EC_P256, 2);
    assert_held();
    bring(SG_KEY_EC_P256, 3); /* as many as are still to come of these */
    assert_written(3);
    bring(SG_KEY_RSA_4096, 4);
    assert_held(); /* as without the others */
    assert_int_equal(commits(), 2);
    close_audit();
    done_with(0, 5);
    assert_int_equal(open_audit(NULL), SG_OK);
    stop();
}

static void what_is_held_back_is_written_by_the_close(void **state)
{
    (void)state;

    start();
    atomic_store(&rig.clock.still_ns, sg_mono_ns(&sg_clock_system));
    write_some(0, 1);
    expect(SG_KEY_RSA_2048, 3);
    bring(SG_KEY_RSA_2048, 1);
    assert_held();
    close_audit();
    assert_int_equal(rig.done, 1);
    prove_written(1);
    done_with(0, 2);
    assert_int_equal(open_audit(NULL), SG_OK);
    stop();
}

/* Questions -------------------------------------------------------------------------------- */

struct question {
    struct sg_audit_task task;
    uint64_t index;
    struct sg_audit_receipt receipt;
    enum sg_rc rc;
    uint64_t seqs[4];
    size_t count;
};

static void on_answered(struct sg_audit_task *task)
{
    (void)task;
    sg_loop_stop(rig.loop);
}

static void run_receipt(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);
    question->rc = sg_audit_receipt_read(reader->store, reader->tree, reader->log, reader->log->id,
                                         question->index, &question->receipt, NULL);
}

static void run_search(struct sg_audit_task *task, struct sg_audit_reader *reader)
{
    struct question *question = SG_CONTAINER(task, struct question, task);
    uint8_t fact[SG_STORE_FACT_BYTES];

    assert_int_equal(sg_audit_fact(SG_AUDIT_FACT_REQUEST, SG_SLICE("request 321"), fact, NULL),
                     SG_OK);
    question->rc = sg_store_search(reader->store, reader->log->id, fact, 0, question->seqs,
                                   SG_COUNT(question->seqs), &question->count, NULL);
}

static void ask(struct question *question,
                void (*run)(struct sg_audit_task *, struct sg_audit_reader *))
{
    question->task = (struct sg_audit_task){.run = run, .done = on_answered};
    assert_int_equal(sg_audit_ask(rig.audit, &question->task, NULL), SG_OK);
    assert_int_equal(sg_loop_run(rig.loop, NULL), SG_OK);
}

static void any_leaf_has_a_receipt(void **state)
{
    static const uint64_t indexes[] = {0, 1, 255, 256, 257, 400, 0};
    (void)state;

    start();
    write_some(0, 400);
    done_with(0, 400);
    for (size_t i = 0; i < SG_COUNT(indexes); i++) {
        struct question question = {.index = indexes[i]};
        ask(&question, run_receipt);
        assert_int_equal(question.rc, SG_OK);
        assert_int_equal(prove(&question.receipt), 401 + i);
        sg_audit_receipt_done(&question.receipt);
        write_some(400 + i, 1);
        done_with(400 + i, 1);
    }
    struct question question = {.index = 500};
    ask(&question, run_receipt);
    assert_int_equal(question.rc, SG_E_NOT_FOUND);
    stop();
}

static void a_leaf_is_found_by_what_it_says(void **state)
{
    struct question question = {.count = 0};
    (void)state;

    start();
    write_some(0, 400);
    done_with(0, 400);
    for (int i = 0; i < 50 && question.count == 0; i++) {
        ask(&question, run_search);
        assert_int_equal(question.rc, SG_OK);
        if (question.count == 0)
            write_some(400 + (size_t)i, 1), done_with(400 + (size_t)i, 1), usleep(100000);
    }
    assert_int_equal(question.count, 1);
    assert_int_equal(question.seqs[0], 322);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_back_with_its_proof),
        cmocka_unit_test(whoever_comes_second_gets_the_first_ones_receipt),
        cmocka_unit_test(two_gateways_write_to_one_log),
        cmocka_unit_test(a_store_that_was_put_back_is_noticed),
        cmocka_unit_test(a_store_that_is_put_back_meanwhile_gets_no_second_history),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(a_clock_that_was_put_back_stops_signing),
        cmocka_unit_test(more_than_may_wait_is_refused),
        cmocka_unit_test(closing_loses_nothing),
        cmocka_unit_test(the_beginning_is_in_front_of_what_follows),
        cmocka_unit_test(a_beginning_that_cannot_be_written_is_made_up_for),
        cmocka_unit_test(balancers_are_told_longer_of_a_commit_that_failed),
        cmocka_unit_test(many_on_their_way_share_a_commit),
        cmocka_unit_test(of_many_on_their_way_more_share_a_commit),
        cmocka_unit_test(what_is_made_fast_does_not_wait_for_a_flood_of_what_is_slow),
        cmocka_unit_test(what_is_held_back_is_written_by_the_close),
        cmocka_unit_test(any_leaf_has_a_receipt),
        cmocka_unit_test(a_leaf_is_found_by_what_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
