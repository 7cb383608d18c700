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
#include "gateway/store/store_sqlite_priv.h"

enum statement { BEGIN, COMMIT, LOG_READ, LOG_SET, LOG_FORGET, FACT_FORGET, FACT_ADD, FACT_FIND };

static const char *const sql[] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [LOG_READ] = "SELECT indexed, mark FROM logs WHERE log = ?1",
    [LOG_SET] = "INSERT OR REPLACE INTO logs (log, indexed, mark) VALUES (?1, ?2, ?3)",
    [LOG_FORGET] = "DELETE FROM logs WHERE log = ?1",
    [FACT_FORGET] = "DELETE FROM facts WHERE log = ?1",
    [FACT_ADD] = "INSERT OR IGNORE INTO facts (log, part, fact, seq) VALUES (?1, ?2, ?3, ?4)",
    [FACT_FIND] = ("SELECT seq FROM facts WHERE log = ?1 AND part = ?2 AND fact = ?3"
                   " AND seq >= ?4 ORDER BY seq LIMIT ?5"),
};

enum {
    VERSION = 2, /* of this file alone: it has no steps from one to the next, but is made anew */
    /*
     * Facts lie together by parts of so many leaves, 2^16. In one tree of all of them each fact of
     * a new leaf lands on a page of its own, which is written twice: 40 KiB for a leaf, once the
     * log is long. In the newest part neighbours share pages, however long the log is. A search
     * looks into each part: 153 for ten million leaves, some microseconds each.
     */
    PART_BITS = 16,
};

static const char tables[] =
    "DROP TABLE IF EXISTS facts; DROP TABLE IF EXISTS logs; DROP TABLE IF EXISTS meta;"
    "CREATE TABLE meta (store BLOB NOT NULL) STRICT;"
    "CREATE TABLE logs (log INTEGER PRIMARY KEY, indexed INTEGER NOT NULL,"
    " mark INTEGER NOT NULL) STRICT;"
    "CREATE TABLE facts (log INTEGER NOT NULL, part INTEGER NOT NULL, fact BLOB NOT NULL,"
    " seq INTEGER NOT NULL, PRIMARY KEY (log, part, fact, seq)) STRICT, WITHOUT ROWID;";

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
    SG_TRY(sg_sqlite_number(search, "PRAGMA user_version", "read the search index", &version, err));
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
                        : sg_sqlite_fail(search, code, "read the search index", err);
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
    static const enum statement forget[] = {BEGIN, FACT_FORGET, LOG_FORGET, COMMIT};
    enum sg_rc rc = SG_OK;
    for (size_t i = 0; rc == SG_OK && i < SG_COUNT(forget); i++) {
        sqlite3_stmt *statement;
        rc = sg_sqlite_statement(search, forget[i], &statement, err);
        if (rc != SG_OK)
            break;
        if (sqlite3_bind_parameter_count(statement) > 0)
            sqlite3_bind_int64(statement, 1, (int64_t)log_id);
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
    SG_TRY(sg_sqlite_row(&store->search, statement, "read the search index", &is_row, err));
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

static enum sg_rc add_facts(struct sg_sqlite *search, uint64_t log_id,
                            const struct sg_store_fact *facts, size_t count, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(search, FACT_ADD, &statement, err));
    for (size_t i = 0; i < count; i++) {
        sqlite3_bind_int64(statement, 1, (int64_t)log_id);
        sqlite3_bind_int64(statement, 2, (int64_t)(facts[i].seq >> PART_BITS));
        sqlite3_bind_blob(statement, 3, facts[i].bytes, SG_STORE_FACT_BYTES, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 4, (int64_t)facts[i].seq);
        SG_TRY(sg_sqlite_run(search, statement, "write the search index", err));
    }
    return SG_OK;
}

static enum sg_rc step(struct sg_sqlite *search, enum statement number, struct sg_err *err)
{
    sqlite3_stmt *statement;
    SG_TRY(sg_sqlite_statement(search, number, &statement, err));
    return sg_sqlite_run(search, statement, "write the search index", err);
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
    SG_TRY(add_facts(search, log_id, facts, count, err));
    SG_TRY(sg_sqlite_statement(search, LOG_SET, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)log_id);
    sqlite3_bind_int64(statement, 2, (int64_t)to);
    sqlite3_bind_int64(statement, 3, mark);
    SG_TRY(sg_sqlite_run(search, statement, "write the search index", err));
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

/* What a search looks for, and what it has found. */
struct search {
    uint64_t log_id, first;
    const uint8_t *fact;
    uint64_t *seqs;
    size_t max, count;
};

static enum sg_rc find_in_part(struct sg_sqlite *index, uint64_t part, struct search *search,
                               struct sg_err *err)
{
    SG_AUTO(sg_sqlite_reset) sqlite3_stmt *statement = NULL;
    bool is_row = true;

    SG_TRY(sg_sqlite_statement(index, FACT_FIND, &statement, err));
    sqlite3_bind_int64(statement, 1, (int64_t)search->log_id);
    sqlite3_bind_int64(statement, 2, (int64_t)part);
    sqlite3_bind_blob(statement, 3, search->fact, SG_STORE_FACT_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, (int64_t)search->first);
    sqlite3_bind_int64(statement, 5, (int64_t)(search->max - search->count));
    while (search->count < search->max) {
        SG_TRY(sg_sqlite_row(index, statement, "read the search index", &is_row, err));
        if (!is_row)
            break;
        search->seqs[search->count++] = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    return SG_OK;
}

static enum sg_rc find(struct sg_store_sqlite *store, struct search *search, struct sg_err *err)
{
    bool is_there;
    uint64_t indexed;
    uint32_t mark;

    search->count = 0;
    SG_TRY(ready(store, &is_there, err));
    if (!is_there)
        return SG_OK;
    SG_TRY(read_log(store, search->log_id, &indexed, &mark, err));
    for (uint64_t part = search->first >> PART_BITS;
         part <= indexed >> PART_BITS && search->count < search->max; part++)
        SG_TRY(find_in_part(&store->search, part, search, err));
    return SG_OK;
}

enum sg_rc sg_store_sqlite_find(struct sg_store *base, uint64_t log_id, const uint8_t fact[],
                                uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                                struct sg_err *err)
{
    struct sg_store_sqlite *store = (struct sg_store_sqlite *)base;
    struct search search = {
        .log_id = log_id, .first = first, .fact = fact, .seqs = ret_seqs, .max = max};
    struct sg_err why = {0};
    enum sg_rc rc = find(store, &search, &why);
    if (is_broken(store, rc, &why))
        rc = find(store, &search, &why);
    *ret_count = search.count;
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}
