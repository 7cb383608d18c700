#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"
/* cmocka's header comes first */
#include "tests/unit/gateway/store/suite.h"

struct sg_err suite_err;

static struct sg_store_leaf leaves[SG_STORE_GROUP_MAX];
static char records[SG_STORE_GROUP_MAX][64];
static struct sg_store_tile tiles[8];
static char checkpoint[64];

static void set_key(uint8_t *key, uint64_t number)
{
    memset(key, 0, SG_STORE_REQUEST_KEY_BYTES);
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(number >> (56 - 8 * i));
    if (number != 0)
        memset(key + 8, 0xee, SG_STORE_REQUEST_KEY_BYTES - 8);
}

static size_t make_record(const struct sg_store_log *log, uint64_t seq, char ret[64])
{
    return (size_t)snprintf(ret, 64, "%s of epoch %u, leaf %llu", log->name, log->epoch,
                            (unsigned long long)seq);
}

struct sg_store_group *suite_group(const struct sg_store_log *log, uint64_t old_size, size_t count,
                                   uint64_t key)
{
    static struct sg_store_group group;
    assert_true(count <= SG_STORE_GROUP_MAX);
    for (size_t i = 0; i < count; i++) {
        leaves[i] = (struct sg_store_leaf){0};
        leaves[i].record = sg_slice_of(records[i], make_record(log, old_size + i, records[i]));
        set_key(leaves[i].request_key, key == 0 ? 0 : key + i);
    }
    size_t tile_count = 0;
    for (uint64_t full = old_size / 256; full < (old_size + count) / 256; full++) {
        tiles[tile_count] = (struct sg_store_tile){.index = full};
        memset(tiles[tile_count].hashes, (int)(full & 0xff), SG_STORE_TILE_BYTES);
        tile_count++;
    }
    unsigned long long new_size = old_size + count;
    int len = snprintf(checkpoint, sizeof(checkpoint), "checkpoint of %llu", new_size);
    group = (struct sg_store_group){
        .log_id = log->id,
        .old_size = old_size,
        .leaves = leaves,
        .leaf_count = count,
        .tiles = tiles,
        .tile_count = tile_count,
        .checkpoint = sg_slice_of(checkpoint, (size_t)len),
    };
    return &group;
}

struct sg_store *suite_open(const char *url)
{
    struct sg_store *store = NULL;
    assert_ok(sg_store_open(url, &store, &suite_err));
    return store;
}

int suite_setup(void **state)
{
    struct store_suite *suite = calloc(1, sizeof(*suite));
    unsigned from = 99;
    assert_non_null(suite);
    suite->url = suite_backend_new();
    assert_ok(sg_store_migrate(suite->url, &from, &suite_err));
    assert_int_equal(from, 0);
    suite->store = suite_open(suite->url);
    suite->log = (struct sg_store_log){.name = "log", .origin = "sealgate.test/log", .epoch = 1};
    assert_ok(sg_store_create_log(suite->store, &suite->log, NULL,
                                  suite_group(&suite->log, 0, 1, 0), &suite_err));
    *state = suite;
    return 0;
}

int suite_teardown(void **state)
{
    struct store_suite *suite = *state;
    sg_store_close(suite->store);
    suite_backend_drop(suite->url);
    free(suite->url);
    free(suite);
    return 0;
}

uint64_t suite_size(struct sg_store *store)
{
    struct sg_store_log log;
    assert_ok(sg_store_find_log(store, "log", &log, &suite_err));
    return log.size;
}

void suite_append(struct store_suite *suite, struct sg_store *store, size_t count, uint64_t key)
{
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    assert_ok(sg_store_append(store, suite_group(&suite->log, suite_size(store), count, key),
                              &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_WRITTEN);
}

struct check {
    const struct sg_store_log *log;
    uint64_t next;
};

static enum sg_rc check_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    struct check *check = arg;
    char expected[64];
    (void)err;
    assert_int_equal(seq, check->next);
    check->next++;
    assert_slice_equal(record, sg_slice_of(expected, make_record(check->log, seq, expected)));
    return SG_OK;
}

uint64_t suite_check_leaves(struct sg_store *store, const struct sg_store_log *log, uint64_t first)
{
    struct check check = {log, first};
    assert_ok(
        sg_store_read_leaves(store, log->id, first, UINT64_MAX, check_leaf, &check, &suite_err));
    return check.next;
}

void suite_check(struct sg_store *store, const struct sg_store_log *log, uint64_t first,
                 uint64_t size)
{
    assert_int_equal(suite_check_leaves(store, log, first), size);
}

pid_t suite_appender(const char *url, uint64_t first_key, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0) {
        close(fds[1]);
        *ret_fd = fds[0];
        return child;
    }
    struct sg_store *store = NULL;
    struct sg_store_log log;
    if (sg_store_open(url, &store, NULL) != SG_OK ||
        sg_store_find_log(store, "log", &log, NULL) != SG_OK)
        _exit(1);
    for (uint64_t size = log.size, key = first_key;;) {
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        enum sg_rc rc = sg_store_append(store, suite_group(&log, size, 1, key), &outcome, NULL);
        if (rc == SG_OK && outcome == SG_STORE_WRITTEN) {
            if (write(fds[1], &size, sizeof(size)) != sizeof(size))
                _exit(0);
            size++;
            key++;
            usleep(500); /* or the other one would never know the size before it has changed */
        } else if (rc == SG_E_UNAVAILABLE || (rc == SG_OK && outcome == SG_STORE_MOVED)) {
            if (rc != SG_OK)
                usleep(1000);
            if (sg_store_find_log(store, "log", &log, NULL) == SG_OK) {
                /* What nobody was told may be there all the same: then its key is taken. */
                size = log.size;
            }
        } else if (rc == SG_OK && outcome == SG_STORE_TAKEN) {
            key++;
        } else {
            _exit(2);
        }
    }
}

int64_t suite_last_told(int fd)
{
    uint64_t told;
    int64_t last = -1;
    while (read(fd, &told, sizeof(told)) == sizeof(told))
        last = (int64_t)told;
    close(fd);
    return last;
}

void suite_make(const char *url)
{
    struct store_suite suite = {.log = {.name = "log", .origin = "sealgate.test/log", .epoch = 1}};
    unsigned from;
    assert_ok(sg_store_migrate(url, &from, &suite_err));
    suite.store = suite_open(url);
    assert_ok(sg_store_create_log(suite.store, &suite.log, NULL, suite_group(&suite.log, 0, 1, 0),
                                  &suite_err));
    suite_append(&suite, suite.store, 257, 50);
    sg_store_close(suite.store);
}

void suite_check_made(const char *url)
{
    static uint8_t key[SG_STORE_REQUEST_KEY_BYTES], hashes[SG_STORE_TILE_BYTES], seal[32];
    struct store_suite suite = {.store = suite_open(url)};
    uint64_t log_id = 0, seq = 0;
    assert_ok(sg_store_find_log(suite.store, "log", &suite.log, &suite_err));
    assert_int_equal(suite.log.size, 258);
    suite_check(suite.store, &suite.log, 0, 258);
    set_key(key, 50);
    assert_ok(sg_store_find_request(suite.store, key, &log_id, &seq, &suite_err));
    assert_int_equal(seq, 1);
    assert_ok(sg_store_find_tile(suite.store, suite.log.id, 0, 0, hashes, &suite_err));
    assert_ok(sg_store_seal_key(suite.store, seal, &suite_err));
    suite_append(&suite, suite.store, 300, 5000);
    suite_check(suite.store, &suite.log, 0, 558);
    sg_store_close(suite.store);
}

/* ---- the tests ---- */

static void what_was_appended_is_read_again(void **state)
{
    struct store_suite *suite = *state;
    struct sg_buf note;
    assert_int_equal(suite->log.size, 1);
    suite_append(suite, suite->store, 3, 0);
    suite_append(suite, suite->store, 2, 77);
    suite_check(suite->store, &suite->log, 0, 6);
    suite_check(suite->store, &suite->log, 4, 6);
    suite_check(suite->store, &suite->log, 6, 6);

    struct check check = {&suite->log, 2};
    assert_ok(
        sg_store_read_leaves(suite->store, suite->log.id, 2, 3, check_leaf, &check, &suite_err));
    assert_int_equal(check.next, 5);

    sg_buf_init(&note, SG_STORE_CHECKPOINT_BYTES_MAX);
    assert_ok(sg_store_read_checkpoint(suite->store, suite->log.id, &note, &suite_err));
    assert_slice_equal(sg_buf_slice(&note), SG_SLICE("checkpoint of 6"));
    sg_buf_done(&note);

    sg_store_close(suite->store);
    suite->store = suite_open(suite->url);
    suite_check(suite->store, &suite->log, 0, 6);
    assert_ok(sg_store_check_safe(suite->store, &suite_err));
}

static enum sg_rc check_key(void *arg, uint64_t seq, struct sg_slice record, struct sg_slice key,
                            struct sg_err *err)
{
    struct check *check = arg;
    uint8_t expected[SG_STORE_REQUEST_KEY_BYTES];

    set_key(expected, seq);
    assert_slice_equal(key, sg_slice_of(expected, seq < 4 ? 0 : sizeof(expected)));
    return check_leaf(check, seq, record, err);
}

static void each_leaf_is_read_with_its_key(void **state)
{
    struct store_suite *suite = *state;
    struct check check = {&suite->log, 0};

    suite_append(suite, suite->store, 3, 0);
    suite_append(suite, suite->store, 900, 4);
    assert_ok(sg_store_read_keyed(suite->store, suite->log.id, 0, UINT64_MAX, check_key, &check,
                                  &suite_err));
    assert_int_equal(check.next, 904);
    check.next = 700;
    assert_ok(
        sg_store_read_keyed(suite->store, suite->log.id, 700, 100, check_key, &check, &suite_err));
    assert_int_equal(check.next, 800);
}

static enum sg_rc stop_at_two(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    (void)record;
    ++*(int *)arg;
    return seq == 2 ? SG_FAIL(err, SG_E_DENIED, 0, "enough") : SG_OK;
}

static void a_reader_that_fails_ends_the_reading(void **state)
{
    struct store_suite *suite = *state;
    int calls = 0;
    suite_append(suite, suite->store, 10, 0);
    assert_int_equal(
        sg_store_read_leaves(suite->store, suite->log.id, 0, 100, stop_at_two, &calls, NULL),
        SG_E_DENIED);
    assert_int_equal(calls, 3);
    suite_append(suite, suite->store, 1, 0); /* nothing is left open */
    suite_check(suite->store, &suite->log, 0, 12);
}

static void an_append_at_another_size_is_told_and_writes_nothing(void **state)
{
    struct store_suite *suite = *state;
    static const uint64_t sizes[] = {0, 2, 1000};
    for (size_t i = 0; i < SG_COUNT(sizes); i++) {
        enum sg_store_outcome outcome = SG_STORE_UNSET;
        assert_ok(sg_store_append(suite->store, suite_group(&suite->log, sizes[i], 2, 5), &outcome,
                                  &suite_err));
        assert_int_equal(outcome, SG_STORE_MOVED);
    }
    suite_check(suite->store, &suite->log, 0, 1);
    suite_append(suite, suite->store, 2, 5);

    struct sg_store_log none = suite->log;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    none.id = 7;
    enum sg_rc rc = sg_store_append(suite->store, suite_group(&none, 0, 1, 0), &outcome, NULL);
    assert_true(rc == SG_E_NOT_FOUND || (rc == SG_OK && outcome == SG_STORE_MOVED));
}

static void taken_keys_are_marked_and_nothing_is_written(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    uint64_t log_id = 0, seq = 0;
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES];

    suite_append(suite, suite->store, 4, 100); /* keys 100 to 103 in leaves 1 to 4 */
    struct sg_store_group *group = suite_group(&suite->log, 5, 6, 98);
    group->leaves[0].is_taken = true; /* from an earlier try */
    assert_ok(sg_store_append(suite->store, group, &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_TAKEN);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(leaves[i].is_taken, i >= 2);
    suite_check(suite->store, &suite->log, 0, 5);

    set_key(key, 102);
    assert_ok(sg_store_find_request(suite->store, key, &log_id, &seq, &suite_err));
    assert_int_equal(log_id, suite->log.id);
    assert_int_equal(seq, 3);
    set_key(key, 98);
    assert_int_equal(sg_store_find_request(suite->store, key, &log_id, &seq, NULL), SG_E_NOT_FOUND);
    suite_append(suite, suite->store, 2, 98);
    assert_ok(sg_store_find_request(suite->store, key, &log_id, &seq, &suite_err));
    assert_int_equal(seq, 5);
}

static void two_leaves_of_a_group_with_one_key_are_not_both_written(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_store_group *group = suite_group(&suite->log, 1, 3, 50);
    memcpy(group->leaves[2].request_key, group->leaves[0].request_key, SG_STORE_REQUEST_KEY_BYTES);
    assert_ok(sg_store_append(suite->store, group, &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_TAKEN);
    assert_false(group->leaves[0].is_taken);
    assert_false(group->leaves[1].is_taken);
    assert_true(group->leaves[2].is_taken);
    suite_check(suite->store, &suite->log, 0, 1);
}

static void keys_are_unique_in_all_logs(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_store_log other = {.name = "other", .origin = "sealgate.test/other", .epoch = 1};
    assert_ok(
        sg_store_create_log(suite->store, &other, NULL, suite_group(&other, 0, 1, 0), &suite_err));
    suite_append(suite, suite->store, 1, 10);
    assert_ok(sg_store_append(suite->store, suite_group(&other, 1, 2, 9), &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_TAKEN);
    assert_false(leaves[0].is_taken);
    assert_true(leaves[1].is_taken);
}

struct seen {
    int count;
    struct sg_store_log logs[8];
};

static enum sg_rc see(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct seen *seen = arg;
    (void)err;
    assert_true(seen->count < 8);
    seen->logs[seen->count++] = *log;
    return SG_OK;
}

static void logs_and_epochs_are_told_apart(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store_log log = {.name = "log", .origin = "sealgate.test/log/2", .epoch = 2}, found;
    struct seen seen = {0};
    struct sg_err err = {0};

    assert_ok(
        sg_store_create_log(suite->store, &log, NULL, suite_group(&log, 0, 5, 0), &suite_err));
    assert_true(log.id > suite->log.id);
    assert_int_equal(log.size, 5);
    assert_ok(sg_store_find_log(suite->store, "log", &found, &suite_err));
    assert_int_equal(found.id, log.id);
    assert_string_equal(found.origin, "sealgate.test/log/2");
    suite_check(suite->store, &log, 0, 5);
    suite_check(suite->store, &suite->log, 0, 1);

    uint64_t id = log.id;
    assert_int_equal(
        sg_store_create_log(suite->store, &log, NULL, suite_group(&log, 0, 1, 0), &err),
        SG_E_CONFLICT);
    assert_int_equal(log.id, id);
    assert_int_equal(sg_store_find_log(suite->store, "none", &found, &err), SG_E_NOT_FOUND);
    for (uint32_t epoch = 0; epoch <= 2; epoch++) {
        assert_ok(sg_store_find_epoch(suite->store, "log", epoch, &found, &suite_err));
        assert_int_equal(found.epoch, epoch == 0 ? 2 : epoch);
    }
    assert_int_equal(sg_store_find_epoch(suite->store, "log", 3, &found, &err), SG_E_NOT_FOUND);
    assert_int_equal(sg_store_find_epoch(suite->store, "none", 1, &found, &err), SG_E_NOT_FOUND);
    assert_ok(sg_store_each_log(suite->store, see, &seen, &suite_err));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.logs[0].epoch, 1);
    assert_int_equal(seen.logs[1].epoch, 2);
}

static void a_new_epoch_ends_the_one_before_it(void **state)
{
    struct store_suite *suite = *state;
    SG_AUTO(sg_store_close) struct sg_store *other = suite_open(suite->url);
    struct sg_store_log log = {.name = "log", .origin = "sealgate.test/log/2", .epoch = 2}, next;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_store_log ends = suite->log, wrong = suite->log;

    /* It has grown since somebody looked. */
    suite_append(suite, other, 2, 10);
    assert_int_equal(
        sg_store_create_log(suite->store, &log, &ends, suite_group(&log, 0, 2, 0), NULL),
        SG_E_CONFLICT);
    suite_append(suite, other, 1, 0);
    ends.size = wrong.size = 4;
    wrong.epoch = 2;
    assert_int_equal(
        sg_store_create_log(suite->store, &log, &wrong, suite_group(&log, 0, 2, 0), NULL),
        SG_E_INVALID);
    assert_ok(
        sg_store_create_log(suite->store, &log, &ends, suite_group(&log, 0, 2, 0), &suite_err));

    /* A writer that knows the right size is told nevertheless, and has written nothing. */
    assert_ok(sg_store_append(other, suite_group(&ends, 4, 1, 0), &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_MOVED);
    suite_check(suite->store, &ends, 0, 4);
    assert_ok(sg_store_append(other, suite_group(&log, 2, 1, 0), &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_WRITTEN);
    suite_check(suite->store, &log, 0, 3);

    /* One that has ended cannot end again, and the next can. */
    next = log;
    next.epoch = 3;
    assert_int_equal(
        sg_store_create_log(suite->store, &log, &ends, suite_group(&log, 0, 1, 0), NULL),
        SG_E_CONFLICT);
    log.size = 3;
    assert_ok(
        sg_store_create_log(suite->store, &next, &log, suite_group(&next, 0, 1, 0), &suite_err));
    /* The keys of the ended log are taken in the new one too. */
    assert_ok(sg_store_append(other, suite_group(&next, 1, 1, 10), &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_TAKEN);
}

static void a_log_whose_first_leaf_has_a_taken_key_is_not_created(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store_log log = {.name = "new", .origin = "sealgate.test/new", .epoch = 1}, found;
    suite_append(suite, suite->store, 1, 10);
    assert_int_equal(
        sg_store_create_log(suite->store, &log, NULL, suite_group(&log, 0, 1, 10), NULL),
        SG_E_CONFLICT);
    assert_int_equal(sg_store_find_log(suite->store, "new", &found, NULL), SG_E_NOT_FOUND);
}

static void tiles_are_kept_by_level_and_index(void **state)
{
    struct store_suite *suite = *state;
    static uint8_t hashes[SG_STORE_TILE_BYTES];
    suite_append(suite, suite->store, 1000, 0);
    for (uint64_t i = 0; i < 3; i++) {
        assert_ok(sg_store_find_tile(suite->store, suite->log.id, 0, i, hashes, &suite_err));
        assert_int_equal(hashes[0], i);
        assert_int_equal(hashes[SG_STORE_TILE_BYTES - 1], i);
    }
    assert_int_equal(sg_store_find_tile(suite->store, suite->log.id, 0, 3, hashes, NULL),
                     SG_E_NOT_FOUND);
    assert_int_equal(sg_store_find_tile(suite->store, suite->log.id, 1, 0, hashes, NULL),
                     SG_E_NOT_FOUND);
    assert_int_equal(sg_store_find_tile(suite->store, suite->log.id, 99, 0, hashes, NULL),
                     SG_E_NOT_FOUND);
}

static void a_group_over_a_limit_is_refused(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    char *large = calloc(1, SG_STORE_CHECKPOINT_BYTES_MAX + 1);
    assert_non_null(large);

    suite_append(suite, suite->store, SG_STORE_GROUP_MAX, 1);
    struct sg_store_group *group = suite_group(&suite->log, suite_size(suite->store), 1, 0);
    group->leaf_count = SG_STORE_GROUP_MAX + 1;
    assert_int_equal(sg_store_append(suite->store, group, &outcome, NULL), SG_E_LIMIT);
    group->leaf_count = 0;
    assert_int_equal(sg_store_append(suite->store, group, &outcome, NULL), SG_E_LIMIT);
    group->leaf_count = 1;
    group->leaves[0].record = sg_slice_of(large, SG_STORE_RECORD_BYTES_MAX + 1);
    assert_int_equal(sg_store_append(suite->store, group, &outcome, NULL), SG_E_LIMIT);
    group->leaves[0].record = sg_slice_of(large, SG_STORE_RECORD_BYTES_MAX);
    group->checkpoint = sg_slice_of(large, SG_STORE_CHECKPOINT_BYTES_MAX + 1);
    assert_int_equal(sg_store_append(suite->store, group, &outcome, NULL), SG_E_LIMIT);
    group->checkpoint = sg_slice_of(large, SG_STORE_CHECKPOINT_BYTES_MAX);
    group->tile_count = 1000;
    assert_int_equal(sg_store_append(suite->store, group, &outcome, NULL), SG_E_LIMIT);
    group->tile_count = 0;
    assert_ok(sg_store_append(suite->store, group, &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_WRITTEN);
    free(large);
}

static void a_checkpoint_is_replaced_while_the_log_has_its_size(void **state)
{
    struct store_suite *suite = *state;
    struct sg_buf note;
    sg_buf_init(&note, 1000);
    assert_ok(
        sg_store_set_checkpoint(suite->store, suite->log.id, 1, SG_SLICE("witnessed"), &suite_err));
    assert_ok(
        sg_store_set_checkpoint(suite->store, suite->log.id, 2, SG_SLICE("too early"), &suite_err));
    assert_ok(sg_store_read_checkpoint(suite->store, suite->log.id, &note, &suite_err));
    assert_slice_equal(sg_buf_slice(&note), SG_SLICE("witnessed"));
    suite_append(suite, suite->store, 1, 0);
    assert_ok(
        sg_store_set_checkpoint(suite->store, suite->log.id, 1, SG_SLICE("too late"), &suite_err));
    sg_buf_clear(&note);
    assert_ok(sg_store_read_checkpoint(suite->store, suite->log.id, &note, &suite_err));
    assert_slice_equal(sg_buf_slice(&note), SG_SLICE("checkpoint of 2"));
    sg_buf_done(&note);
}

static void dropped_leaves_go_and_their_keys_stay(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES];
    static uint8_t hashes[SG_STORE_TILE_BYTES];
    struct sg_store_log log;
    uint64_t log_id, seq;

    for (int i = 0; i < 5; i++)
        suite_append(suite, suite->store, 1000, i == 2 ? 0 : 1000 * (uint64_t)(i + 1));
    assert_ok(sg_store_drop_leaves(suite->store, suite->log.id, 4500, &suite_err));
    assert_ok(sg_store_find_log(suite->store, "log", &log, &suite_err));
    assert_int_equal(log.first, 4500);
    assert_int_equal(log.size, 5001);
    suite_check(suite->store, &log, 4500, 5001);
    struct check check = {&log, 4500};
    assert_ok(sg_store_read_leaves(suite->store, log.id, 8, 4592, check_leaf, &check, &suite_err));
    assert_int_equal(check.next, 4600);
    check.next = 8;
    assert_ok(sg_store_read_leaves(suite->store, log.id, 8, 4492, check_leaf, &check, &suite_err));
    assert_int_equal(check.next, 8);
    /* What it begins with stays. */
    check.next = 0;
    assert_ok(sg_store_read_leaves(suite->store, log.id, 0, 4500, check_leaf, &check, &suite_err));
    assert_int_equal(check.next, SG_STORE_BEGINNING);
    check.next = 3;
    assert_ok(sg_store_read_leaves(suite->store, log.id, 3, 1, check_leaf, &check, &suite_err));
    assert_int_equal(check.next, 4);

    set_key(key, 1000);
    assert_ok(sg_store_find_request(suite->store, key, &log_id, &seq, &suite_err));
    assert_int_equal(seq, 1);
    assert_ok(
        sg_store_append(suite->store, suite_group(&log, 5001, 1, 2500), &outcome, &suite_err));
    assert_int_equal(outcome, SG_STORE_TAKEN);
    assert_ok(sg_store_find_tile(suite->store, log.id, 0, 0, hashes, &suite_err));
    assert_ok(sg_store_drop_leaves(suite->store, log.id, 10, &suite_err)); /* done already */
    assert_int_equal(sg_store_drop_leaves(suite->store, log.id, 5002, NULL), SG_E_INVALID);
    suite_append(suite, suite->store, 1, 9000);
    suite_check(suite->store, &log, 4500, 5002);
}

static void migrating_again_changes_nothing(void **state)
{
    struct store_suite *suite = *state;
    uint8_t before[32], after[32], zero[32] = {0};
    unsigned from = 99;
    assert_ok(sg_store_seal_key(suite->store, before, &suite_err));
    assert_memory_not_equal(before, zero, sizeof(zero));
    assert_ok(sg_store_migrate(suite->url, &from, &suite_err));
    assert_int_equal(from, SG_STORE_SCHEMA);
    assert_ok(sg_store_seal_key(suite->store, after, &suite_err));
    assert_memory_equal(before, after, sizeof(before));
    suite_check(suite->store, &suite->log, 0, 1);
}

static void a_store_that_was_not_made_is_refused(void **state)
{
    struct sg_store *store = NULL;
    struct sg_err err = {0};
    char *url = suite_backend_new();
    (void)state;
    assert_int_equal(sg_store_open(url, &store, &err), SG_E_CONFLICT);
    assert_int_equal(err.reason, SG_R_AUDIT_NOT_INITIALISED);
    suite_backend_drop(url);
    free(url);
    assert_int_equal(sg_store_open("mysql:x", &store, &err), SG_E_INVALID);
    assert_int_equal(sg_store_open("sqlite:", &store, &err), SG_E_INVALID);
}

static void a_store_opened_for_reading_is_not_written(void **state)
{
    struct store_suite *suite = *state;
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_store *store = NULL;
    suite_append(suite, suite->store, 2, 0);
    assert_ok(sg_store_open_read(suite->url, &store, &suite_err));
    suite_check(store, &suite->log, 0, 3);
    assert_int_equal(sg_store_append(store, suite_group(&suite->log, 3, 1, 0), &outcome, NULL),
                     SG_E_CONFLICT);
    suite_append(suite, suite->store, 2, 0);
    suite_check(store, &suite->log, 0, 5);
    sg_store_close(store);
}

/* ---- the index ---- */

static void set_fact(struct sg_store_fact *fact, int kind, uint64_t seq)
{
    memset(fact->bytes, kind, sizeof(fact->bytes));
    fact->seq = seq;
}

static void facts_are_found_in_order_from_a_place_on(void **state)
{
    struct store_suite *suite = *state;
    struct sg_store_fact facts[40];
    uint64_t indexed = 99, seqs[16];
    size_t count = 99;

    suite_append(suite, suite->store, 30, 0);
    assert_ok(sg_store_indexed(suite->store, suite->log.id, &indexed, &suite_err));
    assert_int_equal(indexed, 0);
    for (uint64_t i = 0; i < 20; i++) { /* unsorted, with every second of one kind */
        set_fact(&facts[2 * i], (int)(i % 2) + 1, 19 - i);
        set_fact(&facts[2 * i + 1], 9, i);
    }
    assert_ok(sg_store_index(suite->store, suite->log.id, 0, 20, facts, 40, &suite_err));
    assert_ok(sg_store_indexed(suite->store, suite->log.id, &indexed, &suite_err));
    assert_int_equal(indexed, 20);

    set_fact(&facts[0], 1, 0);
    assert_ok(sg_store_search(suite->store, suite->log.id, facts[0].bytes, 4, seqs, 3, &count,
                              &suite_err));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(seqs[i], 5 + 2 * i);
    assert_ok(sg_store_search(suite->store, suite->log.id, facts[0].bytes, 4, seqs, 16, &count,
                              &suite_err));
    assert_int_equal(count, 8);
    set_fact(&facts[0], 5, 0);
    assert_ok(sg_store_search(suite->store, suite->log.id, facts[0].bytes, 0, seqs, 16, &count,
                              &suite_err));
    assert_int_equal(count, 0);

    /* From where it is not: somebody else has moved it. */
    set_fact(&facts[0], 5, 7);
    assert_ok(sg_store_index(suite->store, suite->log.id, 10, 21, facts, 1, &suite_err));
    assert_ok(sg_store_indexed(suite->store, suite->log.id, &indexed, &suite_err));
    assert_int_equal(indexed, 20);
    assert_ok(sg_store_search(suite->store, suite->log.id, facts[0].bytes, 0, seqs, 16, &count,
                              &suite_err));
    assert_int_equal(count, 0);
    assert_ok(sg_store_index(suite->store, suite->log.id, 20, 31, NULL, 0, &suite_err));
    assert_ok(sg_store_indexed(suite->store, suite->log.id, &indexed, &suite_err));
    assert_int_equal(indexed, 31);
    assert_int_equal(sg_store_index(suite->store, suite->log.id, 31, 31, NULL, 0, NULL),
                     SG_E_INVALID);
}

/* What a search must find, as plainly as it can be said: all facts in the order of their leaves. */
struct index_model {
    struct sg_store_fact facts[20000];
    size_t count;
};

static void check_search(struct store_suite *suite, const struct index_model *model, int kind,
                         uint64_t first, size_t max)
{
    uint64_t seqs[256];
    struct sg_store_fact fact;
    size_t count = 99, found = 0;

    set_fact(&fact, kind, 0);
    assert_ok(sg_store_search(suite->store, suite->log.id, fact.bytes, first, seqs, max, &count,
                              &suite_err));
    for (size_t i = 0; i < model->count && found < max; i++) {
        const struct sg_store_fact *wanted = &model->facts[i];
        if (wanted->seq < first || wanted->bytes[0] != kind)
            continue;
        if (found > 0 && seqs[found - 1] == wanted->seq)
            continue; /* said twice, found once */
        assert_true(found < count);
        assert_int_equal(seqs[found++], wanted->seq);
    }
    assert_int_equal(count, found);
}

static void facts_that_came_bit_by_bit_are_all_found(void **state)
{
    enum { LEAVES = 600, COMMON = 1, RARE = 60, ABSENT = 200 };
    struct store_suite *suite = *state;
    struct index_model *model = calloc(1, sizeof(*model));
    struct sg_store_fact batch[LEAVES * 16];
    unsigned random = 7;

    assert_non_null(model);
    for (uint64_t size = 0; size < LEAVES; size += 100)
        suite_append(suite, suite->store, 100, 0);
    for (uint64_t from = 0, to; from < LEAVES; from = to) {
        const size_t begin = model->count;
        /* Now one leaf, now many: runs of all sizes, that swallow one another and do not. */
        to = from + 1 + (uint64_t)rand_r(&random) % (from % 7 == 0 ? 120 : 9);
        to = to < LEAVES ? to : LEAVES;
        for (uint64_t seq = from; seq < to; seq++) {
            set_fact(&model->facts[model->count++], COMMON, seq);
            for (int i = rand_r(&random) % 12; i > 0; i--)
                set_fact(&model->facts[model->count++], 2 + rand_r(&random) % RARE, seq);
        }
        memcpy(batch, &model->facts[begin], (model->count - begin) * sizeof(*batch));
        assert_ok(sg_store_index(suite->store, suite->log.id, from, to, batch, model->count - begin,
                                 &suite_err));
        check_search(suite, model, COMMON, from / 2, 256);
        check_search(suite, model, 2 + rand_r(&random) % RARE, 0, 256);
    }
    for (int kind = COMMON; kind < 2 + RARE; kind++) {
        check_search(suite, model, kind, 0, 256);
        check_search(suite, model, kind, (uint64_t)rand_r(&random) % LEAVES, 1);
        check_search(suite, model, kind, (uint64_t)rand_r(&random) % LEAVES, 47);
    }
    check_search(suite, model, ABSENT, 0, 256);
    check_search(suite, model, COMMON, LEAVES, 256);
    free(model);
}

/* ---- several processes ---- */

static void two_processes_that_append_overwrite_nothing(void **state)
{
    struct store_suite *suite = *state;
    int fds[2];
    pid_t children[2];
    sg_store_close(SG_STEAL(suite->store)); /* nothing of ours is shared by the fork */
    for (int i = 0; i < 2; i++)
        children[i] = suite_appender(suite->url, (uint64_t)(i + 1) << 40, &fds[i]);
    sleep(1);
    uint8_t taken[65536] = {0};
    uint64_t told, count = 0;
    for (int i = 0; i < 2; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < 2; i++) {
        uint64_t own = 0;
        int status;
        waitpid(children[i], &status, 0);
        assert_true(WIFSIGNALED(status)); /* it did not give up by itself */
        while (read(fds[i], &told, sizeof(told)) == sizeof(told)) {
            assert_true(told < sizeof(taken));
            assert_int_equal(taken[told]++, 0); /* no leaf was given to both */
            own++;
        }
        close(fds[i]);
        assert_true(own > 0);
        count += own;
    }
    suite->store = suite_open(suite->url);
    uint64_t size = suite_size(suite->store);
    assert_true(size >= count + 1 && size <= count + 3);
    assert_true(suite_check_leaves(suite->store, &suite->log, 0) >= size); /* see below */
}

static void a_killed_process_loses_nothing_that_it_acknowledged(void **state)
{
    struct store_suite *suite = *state;
    sg_store_close(SG_STEAL(suite->store));
    for (uint64_t round = 0; round < 20; round++) {
        int fd;
        uint64_t first;
        pid_t child = suite_appender(suite->url, (round + 1) << 32, &fd);
        assert_int_equal(read(fd, &first, sizeof(first)), sizeof(first)); /* it has begun */
        usleep((useconds_t)(7919 * round % 60000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        int64_t last = suite_last_told(fd);
        if (last < 0)
            last = (int64_t)first;
        struct sg_store *store = suite_open(suite->url);
        uint64_t size = suite_size(store);
        assert_true((int64_t)size > last);
        /* A server may not have noticed that who asked is dead, and write its leaf only now. */
        assert_true(suite_check_leaves(store, &suite->log, 0) >= size);
        sg_store_close(store);
    }
    suite->store = suite_open(suite->url);
    assert_true(suite_size(suite->store) > 20);
    suite_append(suite, suite->store, 1, 0);
}

const struct CMUnitTest suite_tests[] = {
    SUITE_TEST(what_was_appended_is_read_again),
    SUITE_TEST(each_leaf_is_read_with_its_key),
    SUITE_TEST(a_reader_that_fails_ends_the_reading),
    SUITE_TEST(an_append_at_another_size_is_told_and_writes_nothing),
    SUITE_TEST(taken_keys_are_marked_and_nothing_is_written),
    SUITE_TEST(two_leaves_of_a_group_with_one_key_are_not_both_written),
    SUITE_TEST(keys_are_unique_in_all_logs),
    SUITE_TEST(logs_and_epochs_are_told_apart),
    SUITE_TEST(a_new_epoch_ends_the_one_before_it),
    SUITE_TEST(a_log_whose_first_leaf_has_a_taken_key_is_not_created),
    SUITE_TEST(tiles_are_kept_by_level_and_index),
    SUITE_TEST(a_group_over_a_limit_is_refused),
    SUITE_TEST(a_checkpoint_is_replaced_while_the_log_has_its_size),
    SUITE_TEST(dropped_leaves_go_and_their_keys_stay),
    SUITE_TEST(migrating_again_changes_nothing),
    SUITE_TEST(a_store_that_was_not_made_is_refused),
    SUITE_TEST(a_store_opened_for_reading_is_not_written),
    SUITE_TEST(facts_are_found_in_order_from_a_place_on),
    SUITE_TEST(facts_that_came_bit_by_bit_are_all_found),
    SUITE_TEST(two_processes_that_append_overwrite_nothing),
    SUITE_TEST(a_killed_process_loses_nothing_that_it_acknowledged),
};
const size_t suite_test_count = SG_COUNT(suite_tests);
