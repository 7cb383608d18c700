/*
 * search.db: which leaves say what. Derived from store.db, so a power cut may cost its end and a
 * broken one is thrown away; it is bound to its store by the store's id and, for each log, by a
 * checksum of the last leaf that is in it: an older copy of store.db that was put back, and has
 * grown since, gets a new index.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "gateway/store/runs.h"
#include "gateway/store/store_sqlite_priv.h"

static const char writing[] = "write the search index", reading[] = "read the search index";

enum statement {
    BEGIN,
    COMMIT,
    LOG_READ,
    LOG_SET,
    LOG_FORGET,
    RUN_NEWEST,
    RUN_LIST,
    RUN_ADD,
    RUN_DROP,
    CHUNK_ADD,
    CHUNK_LIST,
    CHUNK_DROP,
    CHUNK_FIRST,
    CHUNK_MORE,
};

static const char *const sql[] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [LOG_READ] = "SELECT indexed, mark FROM logs WHERE log = ?1",
    [LOG_SET] = "INSERT OR REPLACE INTO logs (log, indexed, mark) VALUES (?1, ?2, ?3)",
    [LOG_FORGET] = "DELETE FROM logs WHERE log = ?1",
    [RUN_NEWEST] = ("SELECT first, upto, entries FROM runs WHERE log = ?1"
                    " ORDER BY first DESC LIMIT ?2"),
    [RUN_LIST] = "SELECT first FROM runs WHERE log = ?1 AND upto > ?2 ORDER BY first",
    [RUN_ADD] = "INSERT INTO runs (log, first, upto, entries) VALUES (?1, ?2, ?3, ?4)",
    [RUN_DROP] = "DELETE FROM runs WHERE log = ?1 AND first >= ?2",
    [CHUNK_ADD] = "INSERT INTO chunks (log, run, head, body) VALUES (?1, ?2, ?3, ?4)",
    [CHUNK_LIST] = "SELECT body FROM chunks WHERE log = ?1 AND run = ?2 ORDER BY head",
    [CHUNK_DROP] = "DELETE FROM chunks WHERE log = ?1 AND run >= ?2",
    [CHUNK_FIRST] = ("SELECT body FROM chunks WHERE log = ?1 AND run = ?2 AND head <= ?3"
                     " ORDER BY head DESC LIMIT 1"),
    [CHUNK_MORE] = ("SELECT body FROM chunks WHERE log = ?1 AND run = ?2 AND head > ?3"
                    " AND head <= ?4 ORDER BY head"),
};

enum {
    VERSION = 3
}; /* of this file alone: it has no steps from one to the next, but is made anew */

/* What runs and chunks are: runs.h. A run is named by its first leaf. */
static const char tables[] =
    "DROP TABLE IF EXISTS facts; DROP TABLE IF EXISTS chunks; DROP TABLE IF EXISTS runs;"
    "DROP TABLE IF EXISTS logs; DROP TABLE IF EXISTS meta;"
    "CREATE TABLE meta (store BLOB NOT NULL) STRICT;"
    "CREATE TABLE logs (log INTEGER PRIMARY KEY, indexed INTEGER NOT NULL,"
    " mark INTEGER NOT NULL) STRICT;"
    "CREATE TABLE runs (log INTEGER NOT NULL, first INTEGER NOT NULL, upto INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, PRIMARY KEY (log, first)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE chunks (log INTEGER NOT NULL, run INTEGER NOT NULL, head BLOB NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY (log, run, head)) STRICT, WITHOUT ROWID;";

static enum sg_rc bind_to_store(struct sg_sqlite *search, const uint8_t *id, struct sg_err *err)
{
    sqlite3_stmt *statement = NULL;
    char pragma[64];
    snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", VERSION);
    SG_TRY(sg_sqlite_exec(search, pragma, "make the search index", err));
    int code = sqlite3_prepare_v2(search->db, "INSERT INTO meta VALUES (?1)", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_blob(statement, 1, id, SG_SQLITE_STORE_ID_BYTES, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    enum sg_rc rc =
        code == SQLITE_DONE ? SG_OK : sg_sqlite_fail(search, code, "make the search index", err);
    sqlite3_finalize(statement);
    return rc;
}

/* Whether it is an index of this version, for this store. */
static enum sg_rc is_ours(struct sg_sqlite *search, const uint8_t *id, bool *ret,
                          struct sg_err *err)
{
    int64_t version;
    sqlite3_stmt *statement = NULL;
    *ret = false;
    SG_TRY(sg_sqlite_number(search, "PRAGMA user_version", reading, &version, err));
    if (version != VERSION)
        return SG_OK;
    int code = sqlite3_prepare_v2(search->db, "SELECT store FROM meta", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret =
            sg_slice_eq(sg_sqlite_bytes(statement, 0), sg_slice_of(id, SG_SQLITE_STORE_ID_BYTES));
    enum sg_rc rc = code == SQLITE_ROW || code == SQLITE_DONE
                        ? SG_OK
                        : sg_sqlite_fail(search, code, reading, err);
    sqlite3_finalize(statement);
    return rc;
}

static enum sg_rc make_tables(struct sg_store_sqlite *store, struct sg_err *err)
{
    struct sg_sqlite *search = &store->search;
    bool is;
    SG_TRY(sg_sqlite_exec(search, "BEGIN IMMEDIATE", "make the search index", err));
    enum sg_rc rc = is_ours(search, store->id, &is, err); /* another may have been faster */
    if (rc == SG_OK && !is) {
        rc = sg_sqlite_exec(search, tables, "make the search index", err);
        if (rc == SG_OK)
            rc = bind_to_store(search, store->id, err);
        if (rc == SG_OK)
            rc = sg_sqlite_exec(search, "COMMIT", "make the search index", err);
    }
    sg_sqlite_rollback(search);
    return rc;
}

static enum sg_rc open_file(struct sg_store_sqlite *store, bool *ret_is_ours, struct sg_err *err)
{
    struct sg_sqlite *search = &store->search;
    search->sql = sql;
    if (!search->is_read_only)
        SG_TRY(sg_sqlite_make_file(search->path, err));
    SG_TRY(sg_sqlite_open(search, SG_SQLITE_NORMAL, err));
    enum sg_rc rc = is_ours(search, store->id, ret_is_ours, err);
    if (rc == SG_OK && !*ret_is_ours && !search->is_read_only) {
        rc = make_tables(store, err);
        *ret_is_ours = rc == SG_OK;
    }
    return rc;
}

static void remove_file(const struct sg_sqlite *search)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < SG_COUNT(suffixes); i++) {
        char *name = NULL;
        if (asprintf(&name, "%s%s", search->path, suffixes[i]) >= 0) {
            unlink(name);
            free(name);
        }
    }
}

/* Forgets what is indexed of a log, when that log is not the one that it was. */
static enum sg_rc forget_log(struct sg_sqlite *search, uint64_t log_id, struct sg_err *err)
{
    static const enum statement forget[] = {BEGIN, CHUNK_DROP, RUN_DROP, LOG_FORGET, COMMIT};
    enum sg_rc rc = SG_OK;
    for (size_t i = 0; rc == SG_OK && i < SG_COUNT(forget); i++) {
        sqlite3_stmt *statement;
        rc = sg_sqlite_statement(search, forget[i], &statement, err);
        if (rc != SG_OK)
            break;
        if (sqlite3_bind_parameter_count(statement) > 0)
            sqlite3_bind_int64(statement, 1, (int64_t)log_id);
        if (sqlite3_bind_parameter_count(statement) > 1)
            sqlite3_bind_int64(statement, 2, 0); /* from the first leaf on */
        rc = sg_sqlite_run(search, statement, "make the search index anew", err);
    }
    sg_sqlite_rollback(search);
    return rc;
}

static enum sg_rc mark_of(struct sg_store_sqlite *store, uint64_t log_id, uint64_t indexed,
                          uint32_t *ret, struct sg_err *err)
{
    struct sg_buf record;
    sg_buf_init(&record, SG_STORE_RECORD_BYTES_MAX);
    enum sg_rc rc = sg_store_sqlite_record(store, log_id, indexed - 1, &record, err);
    if (rc == SG_OK)
        *ret = sg_crc32c(sg_buf_slice(&record));
    sg_buf_done(&record);
    return rc;
}

static enum sg_rc read_log(struct sg_store_sqlite *store, uint64_t log_id, uint64_t *ret_indexed,
                           uint32_t *ret_mark, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;
    *ret_indexed = 0;
    SG_TRY(sg_sqlite_statement(&store->search, LOG_READ, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    SG_TRY(sg_sqlite_row(&store->search, statement, reading, &is_row, err));
    if (!is_row)
        return SG_OK;
    *ret_indexed = (uint64_t)sqlite3_column_int64(statement, 0);
    *ret_mark = (uint32_t)sqlite3_column_int64(statement, 1);
    return SG_OK;
}

static enum sg_rc take_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct sg_store_log *of = arg;
    (void)err;
    if (log->id == of->id)
        *of = *log;
    return SG_OK;
}

/* Once for each connection: that what is indexed of a log is this log. */
static enum sg_rc check_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct sg_store_sqlite *store = arg;
    uint64_t indexed;
    uint32_t mark, now = 0;

    SG_TRY(read_log(store, log->id, &indexed, &mark, err));
    if (indexed == 0 || (indexed <= log->size && indexed <= log->first))
        return SG_OK; /* the leaf to compare with is archived */
    if (indexed <= log->size) {
        SG_TRY(mark_of(store, log->id, indexed, &now, err));
        if (mark == now)
            return SG_OK;
    }
    return forget_log(&store->search, log->id, err);
}

/* `*ret`: whether there is an index that may be asked. */
static enum sg_rc ready(struct sg_store_sqlite *store, bool *ret, struct sg_err *err)
{
    struct sg_sqlite *search = &store->search;
    SG_TRY(sg_store_sqlite_ready(store, err));
    if (search->db != NULL && !search->is_stale && sg_sqlite_is_same_file(search)) {
        *ret = true;
        return SG_OK;
    }
    sg_sqlite_close(search);
    *ret = false;
    if (search->is_read_only && access(search->path, F_OK) != 0)
        return SG_OK;
    struct sg_err why = {0};
    enum sg_rc rc = open_file(store, ret, &why);
    if (rc != SG_OK && why.reason == SG_R_STORE_BROKEN && !search->is_read_only) {
        sg_sqlite_close(search);
        remove_file(search);
        rc = open_file(store, ret, &why);
    }
    if (rc == SG_OK && *ret && !search->is_read_only)
        rc = store->base.backend->each_log(&store->base, NULL, check_log, store, &why);
    if (rc != SG_OK || !*ret)
        sg_sqlite_close(search);
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

/* What a broken index answers is no failure of the store's: it is thrown away, and grows again. */
static bool is_broken(struct sg_store_sqlite *store, enum sg_rc rc, const struct sg_err *why)
{
    if (rc == SG_OK || why->reason != SG_R_STORE_BROKEN || !store->search.is_stale ||
        store->search.is_read_only)
        return false;
    sg_sqlite_close(&store->search);
    remove_file(&store->search);
    return true;
}

static enum sg_rc indexed(struct sg_store_sqlite *store, uint64_t log_id, uint64_t *ret,
                          struct sg_err *err)
{
    struct sg_store_log log = {.id = log_id};
    uint32_t mark;
    bool is_there;

    SG_TRY(ready(store, &is_there, err));
    if (!is_there) {
        *ret = 0;
        return SG_OK;
    }
    uint64_t count;
    SG_TRY(read_log(store, log_id, &count, &mark, err));
    SG_TRY(store->base.backend->each_log(&store->base, NULL, take_log, &log, err));
    *ret = count <= log.size ? count : 0; /* it is for reading alone, or it would be forgotten */
    return SG_OK;
}

enum sg_rc sg_store_sqlite_indexed(struct sg_store *base, uint64_t log_id, uint64_t *ret,
                                   struct sg_err *err)
{
    struct sg_store_sqlite *store = (struct sg_store_sqlite *)base;
    struct sg_err why = {0};
    enum sg_rc rc = indexed(store, log_id, ret, &why);
    if (is_broken(store, rc, &why))
        rc = indexed(store, log_id, ret, &why);
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

/* Of log and run, which every statement about a run begins with. */
static enum sg_rc run_statement(struct sg_sqlite *search, enum statement number, uint64_t log_id,
                                uint64_t run, sqlite3_stmt **ret, struct sg_err *err)
{
    SG_TRY(sg_sqlite_statement(search, number, ret, err));
    sqlite3_bind_int64(*ret, 1, (int64_t)log_id);
    sqlite3_bind_int64(*ret, 2, (int64_t)run);
    return SG_OK;
}

static enum sg_rc newest_runs(struct sg_sqlite *search, uint64_t log_id,
                              struct sg_run runs[SG_RUNS_NEWEST], size_t *ret, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row;

    *ret = 0;
    SG_TRY(run_statement(search, RUN_NEWEST, log_id, SG_RUNS_NEWEST, &statement, err));
    for (;;) {
        SG_TRY(sg_sqlite_row(search, statement, reading, &is_row, err));
        if (!is_row || *ret == SG_RUNS_NEWEST)
            return SG_OK;
        runs[(*ret)++] = (struct sg_run){.first = (uint64_t)sqlite3_column_int64(statement, 0),
                                         .upto = (uint64_t)sqlite3_column_int64(statement, 1),
                                         .count = (uint64_t)sqlite3_column_int64(statement, 2)};
    }
}

static enum sg_rc swallow(struct sg_sqlite *search, uint64_t log_id, uint64_t run,
                          struct sg_run_entries *entries, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    SG_AUTO(sg_run_entries_done) struct sg_run_entries older = {0};
    bool is_row;

    SG_TRY(run_statement(search, CHUNK_LIST, log_id, run, &statement, err));
    for (;;) {
        SG_TRY(sg_sqlite_row(search, statement, reading, &is_row, err));
        if (!is_row)
            return sg_run_entries_merge(entries, &older, err);
        SG_TRY(sg_run_entries_add(&older, sg_sqlite_bytes(statement, 0), err));
    }
}

static enum sg_rc drop_runs(struct sg_sqlite *search, uint64_t log_id, uint64_t first,
                            struct sg_err *err)
{
    sqlite3_stmt *statement;

    SG_TRY(run_statement(search, CHUNK_DROP, log_id, first, &statement, err));
    SG_TRY(sg_sqlite_run(search, statement, writing, err));
    SG_TRY(run_statement(search, RUN_DROP, log_id, first, &statement, err));
    return sg_sqlite_run(search, statement, writing, err);
}

static enum sg_rc write_run(struct sg_sqlite *search, uint64_t log_id, uint64_t first,
                            uint64_t upto, const struct sg_run_entries *entries, struct sg_err *err)
{
    sqlite3_stmt *statement;
    struct sg_slice chunk;

    SG_TRY(run_statement(search, RUN_ADD, log_id, first, &statement, err));
    sqlite3_bind_int64(statement, 3, (int64_t)upto);
    sqlite3_bind_int64(statement, 4, (int64_t)entries->count);
    SG_TRY(sg_sqlite_run(search, statement, writing, err));
    for (size_t i = 0; (chunk = sg_run_chunk(entries, i)).len > 0; i++) {
        SG_TRY(run_statement(search, CHUNK_ADD, log_id, first, &statement, err));
        sqlite3_bind_blob(statement, 3, chunk.ptr, SG_RUN_ENTRY_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob(statement, 4, chunk.ptr, (int)chunk.len, SQLITE_STATIC);
        SG_TRY(sg_sqlite_run(search, statement, writing, err));
    }
    return SG_OK;
}

static enum sg_rc add_facts(struct sg_sqlite *search, uint64_t log_id, uint64_t from, uint64_t to,
                            const struct sg_store_fact *facts, size_t count, struct sg_err *err)
{
    SG_AUTO(sg_run_entries_done) struct sg_run_entries entries = {0};
    struct sg_run runs[SG_RUNS_NEWEST] = {0};
    size_t known = 0;

    if (count == 0)
        return SG_OK;
    SG_TRY(sg_run_entries_of(facts, count, &entries, err));
    SG_TRY(newest_runs(search, log_id, runs, &known, err));
    const size_t swallowed = sg_runs_swallowed(runs, known, entries.count);
    for (size_t i = 0; i < swallowed; i++)
        SG_TRY(swallow(search, log_id, runs[i].first, &entries, err));
    if (swallowed > 0) {
        from = runs[swallowed - 1].first;
        SG_TRY(drop_runs(search, log_id, from, err));
    }
    return write_run(search, log_id, from, to, &entries, err);
}

static enum sg_rc step(struct sg_sqlite *search, enum statement number, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(search, number, &statement, err));
    return sg_sqlite_run(search, statement, writing, err);
}

static enum sg_rc index_locked(struct sg_store_sqlite *store, uint64_t log_id, uint64_t from,
                               uint64_t to, const struct sg_store_fact *facts, size_t count,
                               struct sg_err *err)
{
    struct sg_sqlite *search = &store->search;
    uint64_t now;
    uint32_t mark = 0;
    sqlite3_stmt *statement;

    SG_TRY(read_log(store, log_id, &now, &mark, err));
    if (now != from)
        return SG_OK;
    enum sg_rc rc = mark_of(store, log_id, to, &mark, err);
    if (rc != SG_OK && rc != SG_E_NOT_FOUND) /* archived: nothing to compare with, and no need */
        return rc;
    SG_TRY(add_facts(search, log_id, from, to, facts, count, err));
    SG_TRY(sg_sqlite_statement(search, LOG_SET, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    sqlite3_bind_int64(statement, 2, (int64_t)to);
    sqlite3_bind_int64(statement, 3, mark);
    SG_TRY(sg_sqlite_run(search, statement, writing, err));
    return step(search, COMMIT, err);
}

enum sg_rc sg_store_sqlite_index(struct sg_store *base, uint64_t log_id, uint64_t from, uint64_t to,
                                 const struct sg_store_fact *facts, size_t count,
                                 struct sg_err *err)
{
    struct sg_store_sqlite *store = (struct sg_store_sqlite *)base;
    struct sg_err why = {0};
    bool is_there;

    enum sg_rc rc = ready(store, &is_there, &why);
    if (rc == SG_OK)
        rc = step(&store->search, BEGIN, &why);
    if (rc == SG_OK)
        rc = index_locked(store, log_id, from, to, facts, count, &why);
    sg_sqlite_rollback(&store->search);
    if (is_broken(store, rc, &why))
        rc = SG_OK; /* as if somebody else had moved it: back to the beginning */
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

static enum sg_rc find_in_run(struct sg_sqlite *index, uint64_t log_id, uint64_t run,
                              struct sg_run_search *search, struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *first = NULL;
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *more = NULL;
    bool is_row, is_more = true;

    SG_TRY(run_statement(index, CHUNK_FIRST, log_id, run, &first, err));
    sqlite3_bind_blob(first, 3, search->from, sizeof(search->from), SQLITE_STATIC);
    SG_TRY(sg_sqlite_row(index, first, reading, &is_row, err));
    if (is_row)
        SG_TRY(sg_run_look(search, sg_sqlite_bytes(first, 0), &is_more, err));
    if (!is_more)
        return SG_OK;
    SG_TRY(run_statement(index, CHUNK_MORE, log_id, run, &more, err));
    sqlite3_bind_blob(more, 3, search->from, sizeof(search->from), SQLITE_STATIC);
    sqlite3_bind_blob(more, 4, search->to, sizeof(search->to), SQLITE_STATIC);
    while (is_more) {
        SG_TRY(sg_sqlite_row(index, more, reading, &is_row, err));
        if (!is_row)
            break;
        SG_TRY(sg_run_look(search, sg_sqlite_bytes(more, 0), &is_more, err));
    }
    return SG_OK;
}

static enum sg_rc find(struct sg_store_sqlite *store, uint64_t log_id, struct sg_run_search *search,
                       struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *runs = NULL;
    bool is_there, is_row;

    sg_run_search_begin(search);
    SG_TRY(ready(store, &is_there, err));
    if (!is_there)
        return SG_OK;
    /* Open until the end: so all of it is one view of the index. */
    SG_TRY(run_statement(&store->search, RUN_LIST, log_id, search->first, &runs, err));
    while (search->count < search->max) {
        SG_TRY(sg_sqlite_row(&store->search, runs, reading, &is_row, err));
        if (!is_row)
            break;
        SG_TRY(find_in_run(&store->search, log_id, (uint64_t)sqlite3_column_int64(runs, 0), search,
                           err));
    }
    return SG_OK;
}

enum sg_rc sg_store_sqlite_find(struct sg_store *base, uint64_t log_id, const uint8_t fact[],
                                uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                                struct sg_err *err)
{
    struct sg_store_sqlite *store = (struct sg_store_sqlite *)base;
    struct sg_run_search search = {.fact = fact, .first = first, .seqs = ret_seqs, .max = max};
    struct sg_err why = {0};
    enum sg_rc rc = find(store, log_id, &search, &why);
    if (is_broken(store, rc, &why))
        rc = find(store, log_id, &search, &why);
    *ret_count = search.count;
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}
