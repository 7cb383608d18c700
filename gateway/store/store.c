#include "gateway/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "gateway/store/store_priv.h"

static const struct sg_store_backend *const backends[] = {&sg_store_sqlite, &sg_store_pg};

#define SEQ_MAX ((UINT64_C(1) << SG_STORE_SEQ_BITS) - 1)

static enum sg_rc find_backend(const char *url, const struct sg_store_backend **ret,
                               struct sg_err *err)
{
    for (size_t i = 0; i < SG_COUNT(backends); i++) {
        size_t len = strlen(backends[i]->scheme);
        if (strncmp(url, backends[i]->scheme, len) == 0 && url[len] != '\0') {
            *ret = backends[i];
            return SG_OK;
        }
    }
    /* Not the URL itself: it may hold a password. */
    return SG_FAIL(err, SG_E_INVALID, 0,
                   "could not open the store: its address must be sqlite:FOLDER or postgresql://");
}

enum sg_rc sg_store_judge_schema(int64_t schema, int64_t serves, struct sg_err *err)
{
    if (schema < 1 || serves < 1 || serves > schema)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store does not say which version it has");
    if (schema < SG_STORE_SCHEMA)
        return SG_REFUSE(err, SG_R_STORE_SCHEMA,
                         "the store has version %lld, and this program needs %d: run "
                         "sealgated migrate",
                         (long long)schema, SG_STORE_SCHEMA);
    if (serves > SG_STORE_SCHEMA)
        return SG_REFUSE(err, SG_R_STORE_SCHEMA,
                         "the store has version %lld, for programs from %lld on, and this program "
                         "knows %d: use a newer one",
                         (long long)schema, (long long)serves, SG_STORE_SCHEMA);
    return SG_OK;
}

enum sg_rc sg_store_random(uint8_t *ret, size_t len, struct sg_err *err)
{
    if (getrandom(ret, len, 0) != (ssize_t)len)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not get random bytes");
    return SG_OK;
}

static enum sg_rc open_store(const char *url, bool is_read_only, struct sg_store **ret,
                             struct sg_err *err)
{
    const struct sg_store_backend *backend;
    SG_TRY(find_backend(url, &backend, err));
    return backend->open(url, is_read_only, ret, err);
}

enum sg_rc sg_store_open(const char *url, struct sg_store **ret, struct sg_err *err)
{
    return open_store(url, false, ret, err);
}

enum sg_rc sg_store_open_read(const char *url, struct sg_store **ret, struct sg_err *err)
{
    return open_store(url, true, ret, err);
}

void sg_store_close(struct sg_store *store)
{
    if (store != NULL)
        store->backend->close(store);
}

enum sg_rc sg_store_migrate(const char *url, unsigned *ret_from, struct sg_err *err)
{
    const struct sg_store_backend *backend;
    SG_TRY(find_backend(url, &backend, err));
    return backend->migrate(url, ret_from, err);
}

enum sg_rc sg_store_check_safe(struct sg_store *store, struct sg_err *err)
{
    return store->backend->check_safe(store, err);
}

enum sg_rc sg_store_seal_key(struct sg_store *store, uint8_t ret[32], struct sg_err *err)
{
    return store->backend->seal_key(store, ret, err);
}

static enum sg_rc take_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    (void)err;
    *(struct sg_store_log *)arg = *log;
    return SG_OK;
}

enum sg_rc sg_store_find_log(struct sg_store *store, const char *name, struct sg_store_log *ret,
                             struct sg_err *err)
{
    struct sg_store_log found = {0};
    SG_TRY(store->backend->each_log(store, name, take_log, &found, err));
    if (found.epoch == 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no log \"%.63s\"", name);
    *ret = found;
    return SG_OK;
}

struct wanted_epoch {
    const char *name;
    uint32_t epoch;
    struct sg_store_log found;
};

static enum sg_rc take_epoch(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct wanted_epoch *wanted = arg;
    (void)err;
    if (log->epoch == wanted->epoch && strcmp(log->name, wanted->name) == 0)
        wanted->found = *log;
    return SG_OK;
}

enum sg_rc sg_store_find_epoch(struct sg_store *store, const char *name, uint32_t epoch,
                               struct sg_store_log *ret, struct sg_err *err)
{
    struct wanted_epoch wanted = {.name = name, .epoch = epoch};
    if (epoch == 0)
        return sg_store_find_log(store, name, ret, err);
    SG_TRY(sg_store_each_log(store, take_epoch, &wanted, err));
    if (wanted.found.epoch == 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no epoch %u of log \"%.63s\"",
                       (unsigned)epoch, name);
    *ret = wanted.found;
    return SG_OK;
}

enum sg_rc sg_store_each_log(struct sg_store *store, sg_store_log_fn fn, void *arg,
                             struct sg_err *err)
{
    return store->backend->each_log(store, NULL, fn, arg, err);
}

static enum sg_rc check_writable(const struct sg_store *store, struct sg_err *err)
{
    if (store->is_read_only)
        return SG_FAIL(err, SG_E_CONFLICT, 0, "the store was opened for reading alone");
    return SG_OK;
}

static enum sg_rc check_checkpoint(struct sg_slice checkpoint, struct sg_err *err)
{
    if (checkpoint.len == 0 || checkpoint.len > SG_STORE_CHECKPOINT_BYTES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "a checkpoint of %zu bytes cannot be stored",
                       checkpoint.len);
    return SG_OK;
}

static enum sg_rc check_group(const struct sg_store_group *group, struct sg_err *err)
{
    if (group->leaf_count == 0 || group->leaf_count > SG_STORE_GROUP_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "a group of %zu leaves cannot be stored",
                       group->leaf_count);
    /* A group fills a tile of the lowest level for each 256 leaves, and one more; fewer above. */
    if (group->tile_count > 2 * (SG_STORE_GROUP_MAX / SG_STORE_TILE_HASHES + 1))
        return SG_FAIL(err, SG_E_LIMIT, 0, "a group of %zu tiles cannot be stored",
                       group->tile_count);
    if (group->old_size > SEQ_MAX - group->leaf_count)
        return SG_FAIL(err, SG_E_LIMIT, 0, "the log is full");
    for (size_t i = 0; i < group->leaf_count; i++) {
        size_t len = group->leaves[i].record.len;
        if (len == 0 || len > SG_STORE_RECORD_BYTES_MAX)
            return SG_FAIL(err, SG_E_LIMIT, 0, "a record of %zu bytes cannot be stored", len);
    }
    for (size_t i = 0; i < group->tile_count; i++) {
        if (group->tiles[i].level > SG_STORE_LEVEL_MAX || group->tiles[i].index > SEQ_MAX / 256)
            return SG_FAIL(err, SG_E_LIMIT, 0, "there cannot be such a tile");
    }
    return check_checkpoint(group->checkpoint, err);
}

enum sg_rc sg_store_append(struct sg_store *store, struct sg_store_group *group,
                           enum sg_store_outcome *ret, struct sg_err *err)
{
    SG_TRY(check_writable(store, err));
    SG_TRY(check_group(group, err));
    for (size_t i = 0; i < group->leaf_count; i++)
        group->leaves[i].is_taken = false;
    return store->backend->append(store, group, ret, err);
}

enum sg_rc sg_store_create_log(struct sg_store *store, struct sg_store_log *log,
                               const struct sg_store_log *ends, const struct sg_store_group *group,
                               struct sg_err *err)
{
    struct sg_store_group first = *group;
    enum sg_store_outcome outcome = SG_STORE_UNSET;

    SG_TRY(check_writable(store, err));
    first.old_size = 0;
    SG_TRY(check_group(&first, err));
    if (log->name[0] == '\0' || log->epoch == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "a log needs a name and an epoch");
    if (ends != NULL && (strcmp(ends->name, log->name) != 0 || ends->epoch != log->epoch - 1))
        return SG_FAIL(err, SG_E_INVALID, 0, "a new epoch ends the one before it");
    SG_TRY(store->backend->create_log(store, log, ends, &first, &outcome, err));
    if (outcome == SG_STORE_MOVED)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "the store has log \"%s\" of epoch %u already, or the one before it has "
                       "grown",
                       log->name, log->epoch);
    if (outcome != SG_STORE_WRITTEN)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "could not create log \"%s\": a request key of its leaves is taken",
                       log->name);
    log->size = first.leaf_count;
    log->first = 0;
    return SG_OK;
}

enum sg_rc sg_store_read_checkpoint(struct sg_store *store, uint64_t log_id, struct sg_buf *ret,
                                    struct sg_err *err)
{
    return store->backend->read_checkpoint(store, log_id, ret, err);
}

enum sg_rc sg_store_set_checkpoint(struct sg_store *store, uint64_t log_id, uint64_t size,
                                   struct sg_slice checkpoint, struct sg_err *err)
{
    SG_TRY(check_writable(store, err));
    SG_TRY(check_checkpoint(checkpoint, err));
    return store->backend->set_checkpoint(store, log_id, size, checkpoint, err);
}

enum sg_rc sg_store_tell_leaf(const struct sg_store_reading *reading, int64_t leaf_id,
                              struct sg_slice record, struct sg_slice key, int64_t found_id,
                              struct sg_err *err)
{
    const uint64_t seq = sg_store_leaf_seq(leaf_id);

    if (key.len > 0 && found_id != leaf_id)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "leaf %llu is not found by its request key",
                         (unsigned long long)seq);
    return reading->fn(reading->arg, seq, record, key, err);
}

static enum sg_rc read_leaves(struct sg_store *store, struct sg_store_reading reading,
                              struct sg_err *err)
{
    if (reading.first > SEQ_MAX || reading.count_max == 0)
        return SG_OK;
    if (reading.count_max > SEQ_MAX - reading.first)
        reading.count_max = SEQ_MAX - reading.first;
    /* What is archived may lie between these and the others. */
    if (reading.first < SG_STORE_BEGINNING &&
        reading.count_max > SG_STORE_BEGINNING - reading.first) {
        struct sg_store_reading beginning = reading;
        beginning.count_max = SG_STORE_BEGINNING - reading.first;
        SG_TRY(store->backend->read_leaves(store, &beginning, err));
        reading.first += beginning.count_max;
        reading.count_max -= beginning.count_max;
    }
    return store->backend->read_leaves(store, &reading, err);
}

struct unkeyed {
    sg_store_leaf_fn fn;
    void *arg;
};

static enum sg_rc on_unkeyed(void *arg, uint64_t seq, struct sg_slice record, struct sg_slice key,
                             struct sg_err *err)
{
    const struct unkeyed *unkeyed = arg;
    (void)key;
    return unkeyed->fn(unkeyed->arg, seq, record, err);
}

enum sg_rc sg_store_read_leaves(struct sg_store *store, uint64_t log_id, uint64_t first,
                                uint64_t count_max, sg_store_leaf_fn fn, void *arg,
                                struct sg_err *err)
{
    struct unkeyed unkeyed = {fn, arg};
    const struct sg_store_reading reading = {.log_id = log_id,
                                             .first = first,
                                             .count_max = count_max,
                                             .fn = on_unkeyed,
                                             .arg = &unkeyed};
    return read_leaves(store, reading, err);
}

enum sg_rc sg_store_read_keyed(struct sg_store *store, uint64_t log_id, uint64_t first,
                               uint64_t count_max, sg_store_keyed_fn fn, void *arg,
                               struct sg_err *err)
{
    const struct sg_store_reading reading = {.log_id = log_id,
                                             .first = first,
                                             .count_max = count_max,
                                             .with_keys = true,
                                             .fn = fn,
                                             .arg = arg};
    return read_leaves(store, reading, err);
}

enum sg_rc sg_store_find_tile(struct sg_store *store, uint64_t log_id, unsigned level,
                              uint64_t index, uint8_t ret[SG_STORE_TILE_BYTES], struct sg_err *err)
{
    if (level > SG_STORE_LEVEL_MAX || index > SEQ_MAX / 256)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "there cannot be such a tile");
    return store->backend->find_tile(store, log_id, level, index, ret, err);
}

enum sg_rc sg_store_find_request(struct sg_store *store,
                                 const uint8_t key[SG_STORE_REQUEST_KEY_BYTES],
                                 uint64_t *ret_log_id, uint64_t *ret_seq, struct sg_err *err)
{
    return store->backend->find_request(store, key, ret_log_id, ret_seq, err);
}

enum sg_rc sg_store_indexed(struct sg_store *store, uint64_t log_id, uint64_t *ret,
                            struct sg_err *err)
{
    return store->backend->indexed(store, log_id, ret, err);
}

static int compare_facts(const void *a, const void *b)
{
    const struct sg_store_fact *left = a, *right = b;
    int order = memcmp(left->bytes, right->bytes, sizeof(left->bytes));
    return order != 0 ? order : (left->seq > right->seq) - (left->seq < right->seq);
}

enum sg_rc sg_store_index(struct sg_store *store, uint64_t log_id, uint64_t from, uint64_t indexed,
                          struct sg_store_fact *facts, size_t count, struct sg_err *err)
{
    SG_TRY(check_writable(store, err));
    if (indexed <= from || indexed > SEQ_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "the index can only move forward");
    if (count > SG_STORE_FACTS_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "%zu facts cannot be indexed at once", count);
    if (count > 0)
        qsort(facts, count, sizeof(*facts), compare_facts);
    return store->backend->index(store, log_id, from, indexed, facts, count, err);
}

enum sg_rc sg_store_search(struct sg_store *store, uint64_t log_id,
                           const uint8_t fact[SG_STORE_FACT_BYTES], uint64_t first,
                           uint64_t *ret_seqs, size_t max, size_t *ret_count, struct sg_err *err)
{
    if (first > SEQ_MAX || max == 0) {
        *ret_count = 0;
        return SG_OK;
    }
    if (max > SG_STORE_FOUND_MAX)
        max = SG_STORE_FOUND_MAX;
    return store->backend->search(store, log_id, fact, first, ret_seqs, max, ret_count, err);
}

enum sg_rc sg_store_drop_leaves(struct sg_store *store, uint64_t log_id, uint64_t first,
                                struct sg_err *err)
{
    bool is_done = false;
    SG_TRY(check_writable(store, err));
    if (first > SEQ_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "the log has no such leaf");
    while (!is_done)
        SG_TRY(store->backend->drop_leaves(store, log_id, first, &is_done, err));
    return SG_OK;
}

enum sg_rc sg_store_backup(struct sg_store *store, const char *folder, struct sg_err *err)
{
    return store->backend->backup(store, folder, err);
}

enum sg_rc sg_store_room(struct sg_store *store, uint64_t *ret, struct sg_err *err)
{
    return store->backend->room(store, ret, err);
}
