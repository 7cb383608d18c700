/* The tables of store.db, how they came to be step by step, and copies of the whole. */
#include "gateway/store/store_sqlite_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"

/*
 * Step n makes version n out of version n - 1, in a transaction. `serves` is the oldest version
 * for which a program that uses the result may have been written: at least the one before, so that
 * gateways of both run while one replaces the other. A step that is released never changes.
 */
static const struct step {
    unsigned serves;
    const char *sql;
} steps[] = {
    {1, "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;"
        "CREATE TABLE logs ("
        " id INTEGER PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, epoch INTEGER NOT NULL,"
        " size INTEGER NOT NULL, first INTEGER NOT NULL, checkpoint BLOB NOT NULL,"
        " UNIQUE (name, epoch)) STRICT;"
        /* The id is log << 40 | number, so that leaves lie in their order, at the end of the file.
         * Without a record: archived, and kept for its request. */
        "CREATE TABLE leaves (id INTEGER PRIMARY KEY, request BLOB, record BLOB) STRICT;"
        "CREATE UNIQUE INDEX leaves_request ON leaves (request) WHERE request IS NOT NULL;"
        /* log << 40 | level << 36 | index */
        "CREATE TABLE tiles (id INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;"},
    {1, ""}, /* PostgreSQL's search index; ours is a file of its own */
};
_Static_assert(SG_COUNT(steps) == SG_STORE_SCHEMA, "a version for each step");

enum { APPLICATION_ID = 0x53675374 /* "SgSt" */ };

char *sg_store_sqlite_path(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* 0: there is nothing in it yet. */
static enum sg_rc read_version(struct sg_sqlite *sqlite, int64_t *ret_schema, int64_t *ret_serves,
                               struct sg_err *err)
{
    int64_t tables, application;
    SG_TRY(sg_sqlite_number(sqlite, "SELECT count(*) FROM sqlite_schema", "read the store", &tables,
                            err));
    *ret_schema = *ret_serves = 0;
    if (tables == 0)
        return SG_OK;
    SG_TRY(sg_sqlite_number(sqlite, "PRAGMA application_id", "read the store", &application, err));
    if (application != APPLICATION_ID)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "\"%.120s\" is not a store of Sealgate",
                         sqlite->path);
    enum sg_rc rc = sg_sqlite_number(sqlite, "SELECT value FROM meta WHERE name = 'schema'",
                                     "read the store's version", ret_schema, err);
    if (rc == SG_OK)
        rc = sg_sqlite_number(sqlite, "SELECT value FROM meta WHERE name = 'serves'",
                              "read the store's version", ret_serves, err);
    if (rc == SG_E_NOT_FOUND || (rc == SG_OK && *ret_schema < 1))
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store does not say which version it has");
    return rc;
}

enum sg_rc sg_store_sqlite_judge(struct sg_sqlite *sqlite, struct sg_err *err)
{
    int64_t schema, serves;
    SG_TRY(read_version(sqlite, &schema, &serves, err));
    if (schema == 0)
        return SG_REFUSE(err, SG_R_AUDIT_NOT_INITIALISED,
                         "there is no store in \"%.100s\" yet: run sealgated init", sqlite->path);
    return sg_store_judge_schema(schema, serves, err);
}

static enum sg_rc set_meta(struct sg_sqlite *sqlite, const char *name, int64_t number,
                           struct sg_slice bytes, struct sg_err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, "INSERT OR REPLACE INTO meta VALUES (?1, ?2)", -1,
                                  &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        if (bytes.ptr != NULL)
            sqlite3_bind_blob(statement, 2, bytes.ptr, (int)bytes.len, SQLITE_STATIC);
        else
            sqlite3_bind_int64(statement, 2, number);
        code = sqlite3_step(statement);
    }
    enum sg_rc rc =
        code == SQLITE_DONE ? SG_OK : sg_sqlite_fail(sqlite, code, "write the store", err);
    sqlite3_finalize(statement);
    return rc;
}

static enum sg_rc fill_meta(struct sg_sqlite *sqlite, struct sg_err *err)
{
    char pragma[64];
    uint8_t random[32];
    snprintf(pragma, sizeof(pragma), "PRAGMA application_id = %d", APPLICATION_ID);
    SG_TRY(sg_sqlite_exec(sqlite, pragma, "write the store", err));
    SG_TRY(sg_store_random(random, sizeof(random), err));
    SG_TRY(set_meta(sqlite, "seal_key", 0, sg_slice_of(random, sizeof(random)), err));
    SG_TRY(sg_store_random(random, SG_SQLITE_STORE_ID_BYTES, err));
    return set_meta(sqlite, "id", 0, sg_slice_of(random, SG_SQLITE_STORE_ID_BYTES), err);
}

/* One step, unless somebody else has made it meanwhile. */
static enum sg_rc make_step(struct sg_sqlite *sqlite, int64_t from, struct sg_err *err)
{
    int64_t schema, serves;
    const struct step *step = &steps[from];

    SG_TRY(sg_sqlite_exec(sqlite, "BEGIN IMMEDIATE", "write the store", err));
    enum sg_rc rc = read_version(sqlite, &schema, &serves, err);
    if (rc == SG_OK && schema == from) {
        rc = sg_sqlite_exec(sqlite, step->sql, "change the tables of the store", err);
        if (rc == SG_OK && from == 0)
            rc = fill_meta(sqlite, err);
        if (rc == SG_OK)
            rc = set_meta(sqlite, "schema", from + 1, (struct sg_slice){0}, err);
        if (rc == SG_OK)
            rc = set_meta(sqlite, "serves", step->serves, (struct sg_slice){0}, err);
    }
    if (rc == SG_OK)
        rc = sg_sqlite_exec(sqlite, "COMMIT", "write the store", err);
    sg_sqlite_rollback(sqlite);
    return rc;
}

static enum sg_rc make_steps(struct sg_sqlite *sqlite, unsigned *ret_from, struct sg_err *err)
{
    int64_t from, schema, serves;
    SG_TRY(read_version(sqlite, &from, &serves, err));
    schema = from;
    while (schema < SG_STORE_SCHEMA) {
        SG_TRY(make_step(sqlite, schema, err));
        SG_TRY(read_version(sqlite, &schema, &serves, err));
    }
    SG_TRY(sg_store_judge_schema(schema, serves, err));
    *ret_from = (unsigned)from;
    return SG_OK;
}

/* What was made in a folder is there after a power cut only when the folder is on the disk too. */
static enum sg_rc sync_folder(const char *folder, struct sg_err *err)
{
    struct sg_err why;
    if (sg_folder_sync(folder, &why) != SG_OK)
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "%s", why.msg);
    return SG_OK;
}

static enum sg_rc make_folder(const char *folder, struct sg_err *err)
{
    if (mkdir(folder, 0750) != 0 && errno != EEXIST) {
        enum sg_reason reason =
            errno == ENOSPC || errno == EDQUOT ? SG_R_STORE_FULL : SG_R_STORE_UNAVAILABLE;
        return SG_REFUSE(err, reason, "could not make \"%.100s\": %s", folder, strerror(errno));
    }
    char *parent = sg_store_sqlite_path(folder, "..");
    if (parent == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not make the store: no memory");
    enum sg_rc rc = sync_folder(parent, err);
    free(parent);
    return rc;
}

enum sg_rc sg_store_sqlite_migrate(const char *url, unsigned *ret_from, struct sg_err *err)
{
    const char *folder = url + strlen(sg_store_sqlite.scheme);
    struct sg_sqlite sqlite = {.path = sg_store_sqlite_path(folder, "store.db")};

    if (sqlite.path == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not make the store: no memory");
    enum sg_rc rc = make_folder(folder, err);
    if (rc == SG_OK)
        rc = sg_sqlite_make_file(sqlite.path, err);
    if (rc == SG_OK)
        rc = sg_sqlite_open(&sqlite, SG_SQLITE_FULL, err);
    if (rc == SG_OK)
        rc = make_steps(&sqlite, ret_from, err);
    if (rc == SG_OK)
        rc = sync_folder(folder, err);
    sg_sqlite_close(&sqlite);
    free(sqlite.path);
    return rc;
}

/* ---- copies ---- */

static enum sg_rc check_empty(const char *folder, struct sg_err *err)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    bool is_empty = true;

    if (entries == NULL)
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not read \"%.100s\": %s", folder,
                         strerror(errno));
    while ((entry = readdir(entries)) != NULL)
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    if (!is_empty)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "\"%.100s\" is not empty, and nothing is written over", folder);
    return SG_OK;
}

/* All pages at one moment: whoever appends meanwhile is not stopped. */
static enum sg_rc copy_pages(struct sg_sqlite *from, struct sg_sqlite *to, struct sg_err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
    if (backup == NULL)
        return sg_sqlite_fail(to, sqlite3_extended_errcode(to->db), "copy the store", err);
    int code = sqlite3_backup_step(backup, -1);
    int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_DONE && finished == SQLITE_OK)
        return SG_OK;
    return sg_sqlite_fail(to, finished != SQLITE_OK ? finished : code, "copy the store", err);
}

static enum sg_rc copy_to(struct sg_store_sqlite *store, char *path, struct sg_err *err)
{
    struct sg_sqlite copy = {.path = path};
    enum sg_rc rc = sg_sqlite_make_file(path, err);
    if (rc == SG_OK)
        rc = sg_sqlite_open(&copy, SG_SQLITE_FULL, err);
    if (rc == SG_OK)
        rc = copy_pages(&store->main, &copy, err);
    if (rc == SG_OK)
        rc = sg_store_sqlite_judge(&copy, err);
    sg_sqlite_close(&copy); /* with it goes the write-ahead log, into the file */
    return rc;
}

static enum sg_rc rename_file(const char *from, const char *to, struct sg_err *err)
{
    if (rename(from, to) != 0)
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not make \"%.100s\": %s", to,
                         strerror(errno));
    return SG_OK;
}

enum sg_rc sg_store_sqlite_backup(struct sg_store *base, const char *folder, struct sg_err *err)
{
    struct sg_store_sqlite *store = (struct sg_store_sqlite *)base;
    char *part = sg_store_sqlite_path(folder, "store.db.part");
    char *whole = sg_store_sqlite_path(folder, "store.db");
    enum sg_rc rc = SG_OK;

    if (part == NULL || whole == NULL)
        rc = SG_FAIL(err, SG_E_LIMIT, 0, "could not copy the store: no memory");
    if (rc == SG_OK)
        rc = sg_store_sqlite_ready(store, err);
    if (rc == SG_OK)
        rc = make_folder(folder, err);
    if (rc == SG_OK)
        rc = check_empty(folder, err);
    if (rc == SG_OK) {
        rc = copy_to(store, part, err);
        if (rc == SG_OK)
            rc = sync_folder(folder, err);
        if (rc == SG_OK)
            rc = rename_file(part, whole, err);
        if (rc != SG_OK)
            unlink(part);
    }
    if (rc == SG_OK)
        rc = sync_folder(folder, err);
    free(part);
    free(whole);
    return rc;
}
