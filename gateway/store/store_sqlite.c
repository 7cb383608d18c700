/* The store in a folder: store.db holds everything, in SQLite's WAL mode, synced at each commit. */
#include "gateway/store/store_sqlite_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum statement {
    BEGIN,
    COMMIT,
    LOG_SIZE,
    LOG_LAST,
    LOG_SET,
    LOG_ADD,
    LOG_LIST,
    LOG_FIND,
    LOG_DROPPED,
    LEAF_ADD,
    LEAF_LIST,
    LEAF_KEYED,
    LEAF_RECORD,
    LEAF_REQUEST,
    LEAF_DROP,
    LEAF_EMPTY,
    TILE_ADD,
    TILE_FIND,
    CHECKPOINT_READ,
    CHECKPOINT_SET,
    META_READ,
    STATEMENT_COUNT,
};
_Static_assert((int)STATEMENT_COUNT <= (int)SG_SQLITE_STATEMENTS_MAX, "room for all statements");

static const char *const sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [LOG_SIZE] = "SELECT size, first FROM logs WHERE id = ?1",
    [LOG_LAST] = ("SELECT 1 FROM logs WHERE id = ?1 AND size = ?2 AND NOT EXISTS (SELECT 1"
                  " FROM logs AS later WHERE later.name = logs.name AND later.epoch > logs.epoch)"),
    [LOG_SET] = "UPDATE logs SET size = ?2, checkpoint = ?3 WHERE id = ?1",
    [LOG_ADD] = ("INSERT INTO logs (id, name, origin, epoch, size, first, checkpoint)"
                 " SELECT coalesce(max(id), 0) + 1, ?1, ?2, ?3, ?4, 0, ?5 FROM logs"),
    [LOG_LIST] = "SELECT id, name, origin, epoch, size, first FROM logs ORDER BY id",
    [LOG_FIND] = ("SELECT id, name, origin, epoch, size, first FROM logs WHERE name = ?1"
                  " ORDER BY epoch DESC LIMIT 1"),
    [LOG_DROPPED] = "UPDATE logs SET first = ?2 WHERE id = ?1",
    [LEAF_ADD] = "INSERT INTO leaves (id, request, record) VALUES (?1, ?2, ?3)",
    [LEAF_LIST] = ("SELECT id, record FROM leaves WHERE id >= ?1 AND id < ?2"
                   " AND record IS NOT NULL ORDER BY id"),
    [LEAF_KEYED] = ("SELECT id, record, request, (SELECT id FROM leaves AS found"
                    " INDEXED BY leaves_request WHERE found.request = leaves.request)"
                    " FROM leaves WHERE id >= ?1 AND id < ?2 AND record IS NOT NULL ORDER BY id"),
    [LEAF_RECORD] = "SELECT record FROM leaves WHERE id = ?1 AND record IS NOT NULL",
    [LEAF_REQUEST] = "SELECT id FROM leaves WHERE request = ?1",
    [LEAF_DROP] = "DELETE FROM leaves WHERE id >= ?1 AND id < ?2 AND request IS NULL",
    [LEAF_EMPTY] = "UPDATE leaves SET record = NULL WHERE id >= ?1 AND id < ?2",
    [TILE_ADD] = "INSERT INTO tiles (id, hashes) VALUES (?1, ?2)",
    [TILE_FIND] = "SELECT hashes FROM tiles WHERE id = ?1",
    [CHECKPOINT_READ] = "SELECT checkpoint FROM logs WHERE id = ?1",
    [CHECKPOINT_SET] = "UPDATE logs SET checkpoint = ?3 WHERE id = ?1 AND size = ?2",
    [META_READ] = "SELECT value FROM meta WHERE name = ?1",
};

static struct sg_store_sqlite *sqlite_of(struct sg_store *store)
{
    return (struct sg_store_sqlite *)store;
}

static int64_t tile_id(uint64_t log_id, unsigned level, uint64_t index)
{
    return (int64_t)(log_id << SG_STORE_SEQ_BITS | (uint64_t)level << 36 | index);
}

static enum sg_rc check_log_id(uint64_t log_id, struct sg_err *err)
{
    if (log_id == 0 || log_id >> SG_STORE_LOG_BITS != 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    return SG_OK;
}

static enum sg_rc read_meta(struct sg_store_sqlite *store, const char *name, uint8_t *ret,
                            size_t len, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(sg_sqlite_statement(&store->main, META_READ, &statement, err));
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    SG_TRY(sg_sqlite_row(&store->main, statement, "read the store", &is_row, err));
    struct sg_slice value = is_row ? sg_sqlite_bytes(statement, 0) : (struct sg_slice){0};
    if (value.ptr == NULL || value.len != len)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store has lost its \"%s\"", name);
    memcpy(ret, value.ptr, len);
    return SG_OK;
}

enum sg_rc sg_store_sqlite_ready(struct sg_store_sqlite *store, struct sg_err *err)
{
    struct sg_sqlite *main = &store->main;
    if (main->db != NULL && !main->is_stale)
        return SG_OK;
    sg_sqlite_close(main);
    SG_TRY(sg_sqlite_open(main, SG_SQLITE_FULL, err));
    enum sg_rc rc = sg_store_sqlite_judge(main, err);
    if (rc == SG_OK)
        rc = read_meta(store, "id", store->id, sizeof(store->id), err);
    if (rc != SG_OK)
        sg_sqlite_close(main);
    return rc;
}

static void close_store(struct sg_store *base)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    sg_sqlite_close(&store->main);
    sg_sqlite_close(&store->search);
    free(store->main.path);
    free(store->search.path);
    free(store->folder);
    free(store);
}

static enum sg_rc open_store(const char *url, bool is_read_only, struct sg_store **ret,
                             struct sg_err *err)
{
    const char *folder = url + strlen(sg_store_sqlite.scheme);
    struct sg_store_sqlite *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not open the store: no memory");
    store->base.backend = &sg_store_sqlite;
    store->base.is_read_only = is_read_only;
    store->folder = strdup(folder);
    store->main.path = sg_store_sqlite_path(folder, "store.db");
    store->search.path = sg_store_sqlite_path(folder, "search.db");
    store->main.is_read_only = store->search.is_read_only = is_read_only;
    store->main.sql = sql;
    enum sg_rc rc = SG_OK;
    if (store->folder == NULL || store->main.path == NULL || store->search.path == NULL)
        rc = SG_FAIL(err, SG_E_LIMIT, 0, "could not open the store: no memory");
    else if (access(store->main.path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        rc = SG_REFUSE(err, SG_R_AUDIT_NOT_INITIALISED,
                       "there is no store in \"%.100s\" yet: run sealgated init", folder);
    else
        rc = sg_store_sqlite_ready(store, err);
    if (rc != SG_OK) {
        close_store(&store->base);
        return rc;
    }
    *ret = &store->base;
    return SG_OK;
}

static enum sg_rc check_safe(struct sg_store *base, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    int64_t is_wal, synchronous;
    SG_TRY(sg_store_sqlite_ready(store, err));
    if (base->is_read_only) /* the settings are a connection's own, and only one that writes counts
                             */
        return SG_OK;
    SG_TRY(sg_sqlite_number(&store->main, "SELECT journal_mode = 'wal' FROM pragma_journal_mode",
                            "read the store's settings", &is_wal, err));
    SG_TRY(sg_sqlite_number(&store->main, "PRAGMA synchronous", "read the store's settings",
                            &synchronous, err));
    if (is_wal != 1)
        return SG_REFUSE(err, SG_R_STORE_UNSAFE,
                         "the store keeps no write-ahead log: journal_mode");
    if (synchronous < 2)
        return SG_REFUSE(err, SG_R_STORE_UNSAFE,
                         "the store does not wait for the disk: "
                         "synchronous");
    return SG_OK;
}

static enum sg_rc seal_key(struct sg_store *base, uint8_t ret[32], struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_TRY(sg_store_sqlite_ready(store, err));
    return read_meta(store, "seal_key", ret, 32, err);
}

static bool take_text(sqlite3_stmt *statement, int column, char *ret, size_t size)
{
    struct sg_slice text = sg_sqlite_bytes(statement, column);
    if (text.len >= size)
        return false;
    if (text.len > 0)
        memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return true;
}

static bool take_log(sqlite3_stmt *statement, struct sg_store_log *ret)
{
    int64_t id = sqlite3_column_int64(statement, 0), epoch = sqlite3_column_int64(statement, 3);
    int64_t size = sqlite3_column_int64(statement, 4), first = sqlite3_column_int64(statement, 5);
    if (id < 1 || id >> SG_STORE_LOG_BITS != 0 || epoch < 1 || epoch > UINT32_MAX || first < 0 ||
        first > size || size >> SG_STORE_SEQ_BITS != 0)
        return false;
    ret->id = (uint64_t)id;
    ret->epoch = (uint32_t)epoch;
    ret->size = (uint64_t)size;
    ret->first = (uint64_t)first;
    return take_text(statement, 1, ret->name, sizeof(ret->name)) &&
           take_text(statement, 2, ret->origin, sizeof(ret->origin));
}

static enum sg_rc each_log(struct sg_store *base, const char *name, sg_store_log_fn fn, void *arg,
                           struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;

    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(sg_sqlite_statement(&store->main, name == NULL ? LOG_LIST : LOG_FIND, &statement, err));
    if (name != NULL)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    for (;;) {
        struct sg_store_log log = {0};
        bool is_row;
        SG_TRY(sg_sqlite_row(&store->main, statement, "read the store's logs", &is_row, err));
        if (!is_row)
            return SG_OK;
        if (!take_log(statement, &log))
            return SG_REFUSE(err, SG_R_STORE_BROKEN, "a log of the store is not what was written");
        SG_TRY(fn(arg, &log, err));
    }
}

/* ---- appending ---- */

static enum sg_rc log_size(struct sg_sqlite *main, uint64_t log_id, uint64_t *ret_size,
                           uint64_t *ret_first, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(check_log_id(log_id, err));
    SG_TRY(sg_sqlite_statement(main, LOG_SIZE, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    SG_TRY(sg_sqlite_row(main, statement, "read the log", &is_row, err));
    if (!is_row)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    *ret_size = (uint64_t)sqlite3_column_int64(statement, 0);
    if (ret_first != NULL)
        *ret_first = (uint64_t)sqlite3_column_int64(statement, 1);
    return SG_OK;
}

/* A key that is taken undoes that row alone: the others are tried too, to mark all of them. */
static enum sg_rc add_leaves(struct sg_sqlite *main, struct sg_store_group *group,
                             bool *ret_is_taken, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(main, LEAF_ADD, &statement, err));
    for (size_t i = 0; i < group->leaf_count; i++) {
        struct sg_store_leaf *leaf = &group->leaves[i];
        sqlite3_bind_int64(statement, 1, sg_store_leaf_id(group->log_id, group->old_size + i));
        if (sg_store_has_request_key(leaf))
            sqlite3_bind_blob(statement, 2, leaf->request_key, sizeof(leaf->request_key),
                              SQLITE_STATIC);
        else
            sqlite3_bind_null(statement, 2);
        sqlite3_bind_blob(statement, 3, leaf->record.ptr, (int)leaf->record.len, SQLITE_STATIC);
        int code = sqlite3_step(statement);
        if (code == SQLITE_CONSTRAINT_UNIQUE) {
            leaf->is_taken = *ret_is_taken = true;
        } else if (code != SQLITE_DONE) {
            enum sg_rc rc = sg_sqlite_fail(main, code, "append to the log", err);
            sg_sqlite_reset(statement);
            return rc;
        }
        sqlite3_reset(statement);
    }
    sqlite3_clear_bindings(statement);
    return SG_OK;
}

static enum sg_rc add_tiles(struct sg_sqlite *main, const struct sg_store_group *group,
                            struct sg_err *err)
{
    for (size_t i = 0; i < group->tile_count; i++) {
        const struct sg_store_tile *tile = &group->tiles[i];
        sqlite3_stmt *statement;
        SG_TRY(sg_sqlite_statement(main, TILE_ADD, &statement, err));
        sqlite3_bind_int64(statement, 1, tile_id(group->log_id, tile->level, tile->index));
        sqlite3_bind_blob(statement, 2, tile->hashes, sizeof(tile->hashes), SQLITE_STATIC);
        SG_TRY(sg_sqlite_run(main, statement, "append to the log", err));
    }
    return SG_OK;
}

static enum sg_rc set_log(struct sg_sqlite *main, const struct sg_store_group *group,
                          struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(main, LOG_SET, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)group->log_id);
    sqlite3_bind_int64(statement, 2, (int64_t)(group->old_size + group->leaf_count));
    sqlite3_bind_blob(statement, 3, group->checkpoint.ptr, (int)group->checkpoint.len,
                      SQLITE_STATIC);
    return sg_sqlite_run(main, statement, "append to the log", err);
}

static enum sg_rc step(struct sg_sqlite *main, enum statement number, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(main, number, &statement, err));
    return sg_sqlite_run(main, statement, "write the store", err);
}

/* Whether the log has this size and no later epoch. Under the write lock that stays so until the
 * commit. */
static enum sg_rc is_open_at(struct sg_sqlite *main, uint64_t log_id, uint64_t size, bool *ret,
                             struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    SG_TRY(check_log_id(log_id, err));
    SG_TRY(sg_sqlite_statement(main, LOG_LAST, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    sqlite3_bind_int64(statement, 2, (int64_t)size);
    return sg_sqlite_row(main, statement, "read the log", ret, err);
}

static enum sg_rc append_locked(struct sg_sqlite *main, struct sg_store_group *group,
                                enum sg_store_outcome *ret, struct sg_err *err)
{
    bool is_taken = false, is_open;

    SG_TRY(is_open_at(main, group->log_id, group->old_size, &is_open, err));
    if (!is_open) {
        uint64_t size;
        SG_TRY(log_size(main, group->log_id, &size, NULL, err)); /* that there is such a log */
        *ret = SG_STORE_MOVED;
        return SG_OK;
    }
    SG_TRY(add_leaves(main, group, &is_taken, err));
    if (is_taken) {
        *ret = SG_STORE_TAKEN;
        return SG_OK;
    }
    SG_TRY(add_tiles(main, group, err));
    SG_TRY(set_log(main, group, err));
    SG_TRY(step(main, COMMIT, err));
    *ret = SG_STORE_WRITTEN;
    return SG_OK;
}

static enum sg_rc begin(struct sg_store_sqlite *store, struct sg_err *err)
{
    SG_TRY(sg_store_sqlite_ready(store, err));
    if (!sg_sqlite_is_same_file(&store->main)) {
        store->main.is_stale = true;
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE,
                         "another file is where the store was, or none");
    }
    return step(&store->main, BEGIN, err);
}

static enum sg_rc append(struct sg_store *base, struct sg_store_group *group,
                         enum sg_store_outcome *ret, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_TRY(begin(store, err));
    enum sg_rc rc = append_locked(&store->main, group, ret, err);
    sg_sqlite_rollback(&store->main);
    return rc;
}

static enum sg_rc create_locked(struct sg_sqlite *main, struct sg_store_log *log,
                                const struct sg_store_log *ends, struct sg_store_group *group,
                                enum sg_store_outcome *ret, struct sg_err *err)
{
    sqlite3_stmt *statement;
    bool is_open = true;

    if (ends != NULL)
        SG_TRY(is_open_at(main, ends->id, ends->size, &is_open, err));
    if (!is_open) {
        *ret = SG_STORE_MOVED;
        return SG_OK;
    }
    SG_TRY(sg_sqlite_statement(main, LOG_ADD, &statement, err));
    sqlite3_bind_text(statement, 1, log->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, log->origin, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, log->epoch);
    sqlite3_bind_int64(statement, 4, 0);
    sqlite3_bind_zeroblob(statement, 5, 0);
    int code = sqlite3_step(statement);
    if (code == SQLITE_CONSTRAINT_UNIQUE) {
        sg_sqlite_reset(statement);
        *ret = SG_STORE_MOVED;
        return SG_OK;
    }
    enum sg_rc rc = code == SQLITE_DONE ? SG_OK : sg_sqlite_fail(main, code, "create a log", err);
    sg_sqlite_reset(statement);
    if (rc != SG_OK)
        return rc;
    group->log_id = (uint64_t)sqlite3_last_insert_rowid(main->db);
    SG_TRY(check_log_id(group->log_id, err));
    SG_TRY(append_locked(main, group, ret, err));
    if (*ret == SG_STORE_WRITTEN)
        log->id = group->log_id;
    return SG_OK;
}

static enum sg_rc create_log(struct sg_store *base, struct sg_store_log *log,
                             const struct sg_store_log *ends, struct sg_store_group *group,
                             enum sg_store_outcome *ret, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_TRY(begin(store, err));
    enum sg_rc rc = create_locked(&store->main, log, ends, group, ret, err);
    sg_sqlite_rollback(&store->main);
    return rc;
}

/* ---- reading ---- */

static enum sg_rc read_checkpoint(struct sg_store *base, uint64_t log_id, struct sg_buf *ret,
                                  struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(sg_sqlite_statement(&store->main, CHECKPOINT_READ, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    SG_TRY(sg_sqlite_row(&store->main, statement, "read the checkpoint", &is_row, err));
    if (!is_row)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    sg_buf_add_slice(ret, sg_sqlite_bytes(statement, 0));
    return sg_buf_check(ret, err);
}

static enum sg_rc set_checkpoint(struct sg_store *base, uint64_t log_id, uint64_t size,
                                 struct sg_slice checkpoint, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    sqlite3_stmt *statement;
    SG_TRY(begin(store, err));
    enum sg_rc rc = sg_sqlite_statement(&store->main, CHECKPOINT_SET, &statement, err);
    if (rc == SG_OK) {
        sqlite3_bind_int64(statement, 1, (int64_t)log_id);
        sqlite3_bind_int64(statement, 2, (int64_t)size);
        sqlite3_bind_blob(statement, 3, checkpoint.ptr, (int)checkpoint.len, SQLITE_STATIC);
        rc = sg_sqlite_run(&store->main, statement, "store a checkpoint", err);
    }
    if (rc == SG_OK)
        rc = step(&store->main, COMMIT, err);
    sg_sqlite_rollback(&store->main);
    return rc;
}

static enum sg_rc read_leaves(struct sg_store *base, const struct sg_store_reading *reading,
                              struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    const uint64_t end = reading->first + reading->count_max;
    uint64_t first = reading->first, size, archived;

    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(log_size(&store->main, reading->log_id, &size, &archived, err));
    if (first >= SG_STORE_BEGINNING && first < archived)
        first = archived; /* nothing is to be found there, and looking takes time */
    SG_TRY(sg_sqlite_statement(&store->main, reading->with_keys ? LEAF_KEYED : LEAF_LIST,
                               &statement, err));
    sqlite3_bind_int64(statement, 1, sg_store_leaf_id(reading->log_id, first));
    sqlite3_bind_int64(statement, 2, sg_store_leaf_id(reading->log_id, end));
    for (;;) {
        struct sg_slice key = {0};
        bool is_row;
        SG_TRY(sg_sqlite_row(&store->main, statement, "read the log", &is_row, err));
        if (!is_row)
            return SG_OK;
        if (reading->with_keys)
            key = sg_sqlite_bytes(statement, 2);
        SG_TRY(sg_store_tell_leaf(
            reading, sqlite3_column_int64(statement, 0), sg_sqlite_bytes(statement, 1), key,
            reading->with_keys ? sqlite3_column_int64(statement, 3) : 0, err));
    }
}

enum sg_rc sg_store_sqlite_record(struct sg_store_sqlite *store, uint64_t log_id, uint64_t seq,
                                  struct sg_buf *ret, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(check_log_id(log_id, err));
    SG_TRY(sg_sqlite_statement(&store->main, LEAF_RECORD, &statement, err));
    sqlite3_bind_int64(statement, 1, sg_store_leaf_id(log_id, seq));
    SG_TRY(sg_sqlite_row(&store->main, statement, "read the log", &is_row, err));
    if (!is_row)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such leaf");
    sg_buf_add_slice(ret, sg_sqlite_bytes(statement, 0));
    return sg_buf_check(ret, err);
}

static enum sg_rc find_tile(struct sg_store *base, uint64_t log_id, unsigned level, uint64_t index,
                            uint8_t ret[SG_STORE_TILE_BYTES], struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(check_log_id(log_id, err));
    SG_TRY(sg_sqlite_statement(&store->main, TILE_FIND, &statement, err));
    sqlite3_bind_int64(statement, 1, tile_id(log_id, level, index));
    SG_TRY(sg_sqlite_row(&store->main, statement, "read a tile", &is_row, err));
    if (!is_row)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such tile");
    struct sg_slice hashes = sg_sqlite_bytes(statement, 0);
    if (hashes.len != SG_STORE_TILE_BYTES)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "a tile of the store is not what was written");
    memcpy(ret, hashes.ptr, hashes.len);
    return SG_OK;
}

static enum sg_rc find_request(struct sg_store *base, const uint8_t key[], uint64_t *ret_log_id,
                               uint64_t *ret_seq, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    SG_TRY(sg_store_sqlite_ready(store, err));
    SG_TRY(sg_sqlite_statement(&store->main, LEAF_REQUEST, &statement, err));
    sqlite3_bind_blob(statement, 1, key, SG_STORE_REQUEST_KEY_BYTES, SQLITE_STATIC);
    SG_TRY(sg_sqlite_row(&store->main, statement, "look for a request", &is_row, err));
    if (!is_row)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such request");
    int64_t id = sqlite3_column_int64(statement, 0);
    *ret_log_id = (uint64_t)id >> SG_STORE_SEQ_BITS;
    *ret_seq = sg_store_leaf_seq(id);
    return SG_OK;
}

/* ---- the rest ---- */

static enum sg_rc drop_range(struct sg_sqlite *main, enum statement number, int64_t from,
                             int64_t to, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(main, number, &statement, err));
    sqlite3_bind_int64(statement, 1, from);
    sqlite3_bind_int64(statement, 2, to);
    return sg_sqlite_run(main, statement, "drop archived leaves", err);
}

static enum sg_rc drop_locked(struct sg_sqlite *main, uint64_t log_id, uint64_t first,
                              bool *ret_is_done, struct sg_err *err)
{
    uint64_t size, from;
    SG_TRY(log_size(main, log_id, &size, &from, err));
    if (first > size)
        return SG_FAIL(err, SG_E_INVALID, 0, "the log has no such leaf");
    uint64_t to =
        first > from && first - from > SG_STORE_DROP_AT_ONCE ? from + SG_STORE_DROP_AT_ONCE : first;
    if (to > from) {
        int64_t begin_id = sg_store_drop_id(log_id, from), end_id = sg_store_leaf_id(log_id, to);
        SG_TRY(drop_range(main, LEAF_DROP, begin_id, end_id, err));
        SG_TRY(drop_range(main, LEAF_EMPTY, begin_id, end_id, err));
        SG_TRY(drop_range(main, LOG_DROPPED, (int64_t)log_id, (int64_t)to, err));
        SG_TRY(step(main, COMMIT, err));
    }
    *ret_is_done = to >= first;
    return SG_OK;
}

static enum sg_rc drop_leaves(struct sg_store *base, uint64_t log_id, uint64_t first,
                              bool *ret_is_done, struct sg_err *err)
{
    struct sg_store_sqlite *store = sqlite_of(base);
    SG_TRY(begin(store, err));
    enum sg_rc rc = drop_locked(&store->main, log_id, first, ret_is_done, err);
    sg_sqlite_rollback(&store->main);
    return rc;
}

static enum sg_rc room(struct sg_store *base, uint64_t *ret, struct sg_err *err)
{
    struct statvfs st;
    if (statvfs(sqlite_of(base)->folder, &st) != 0)
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not ask for the room on the disk: %s",
                         strerror(errno));
    *ret = (uint64_t)st.f_bavail * st.f_frsize;
    return SG_OK;
}

const struct sg_store_backend sg_store_sqlite = {
    .scheme = "sqlite:",
    .open = open_store,
    .migrate = sg_store_sqlite_migrate,
    .close = close_store,
    .check_safe = check_safe,
    .seal_key = seal_key,
    .each_log = each_log,
    .append = append,
    .create_log = create_log,
    .read_checkpoint = read_checkpoint,
    .set_checkpoint = set_checkpoint,
    .read_leaves = read_leaves,
    .find_tile = find_tile,
    .find_request = find_request,
    .indexed = sg_store_sqlite_indexed,
    .index = sg_store_sqlite_index,
    .search = sg_store_sqlite_find,
    .drop_leaves = drop_leaves,
    .backup = sg_store_sqlite_backup,
    .room = room,
};
