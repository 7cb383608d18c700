/* A connection of SQLite: how it is opened, what its codes mean, its statements. */
#include "gateway/store/store_sqlite_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUSY_MS = 5000,
    BUSY_STEP_US = 250,
    CELL_BYTES_MAX = 1 << 20, /* of one text or blob: more than anything that is written */
};

static bool is_no_room(const struct sg_sqlite *sqlite, int code)
{
    const int system = sqlite->db == NULL ? 0 : sqlite3_system_errno(sqlite->db);
    const int primary = code & 0xff;
    return primary == SQLITE_FULL || ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) &&
                                      (system == ENOSPC || system == EDQUOT));
}

/* Of what cannot be opened SQLite tells no more than that, and its last errno may be of another
 * try. */
static const char *why_not_written(const struct sg_sqlite *sqlite, int code)
{
    return (code & 0xff) == SQLITE_CANTOPEN && sqlite->path != NULL &&
                   access(sqlite->path, W_OK) != 0
               ? strerrordesc_np(errno)
               : NULL;
}

enum sg_rc sg_sqlite_fail(struct sg_sqlite *sqlite, int code, const char *what, struct sg_err *err)
{
    const char *why = sqlite->db != NULL ? sqlite3_errmsg(sqlite->db) : sqlite3_errstr(code & 0xff);
    const char *system = why_not_written(sqlite, code);
    int primary = code & 0xff;
    enum sg_reason reason = SG_R_STORE_UNAVAILABLE;

    if (is_no_room(sqlite, code)) {
        reason = SG_R_STORE_FULL;
    } else if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_TOOBIG ||
               primary == SQLITE_MISMATCH || primary == SQLITE_CONSTRAINT ||
               primary == SQLITE_ERROR) {
        reason = SG_R_STORE_BROKEN; /* SQLITE_ERROR: a table is not there; our SQL is tested */
    } else if (primary == SQLITE_NOMEM) {
        return SG_FAIL(err, SG_E_LIMIT, (unsigned long)code, "could not %s: no memory", what);
    }
    if (primary != SQLITE_BUSY && primary != SQLITE_LOCKED && primary != SQLITE_CONSTRAINT &&
        reason != SG_R_STORE_FULL)
        sqlite->is_stale = true;
    return sg_fail(err, sg_reason_rc(reason), reason, (unsigned long)code, SG_WHERE,
                   "could not %s: %s%s%s", what, why, system == NULL ? "" : ": ",
                   system == NULL ? "" : system);
}

enum sg_rc sg_sqlite_exec(struct sg_sqlite *sqlite, const char *sql, const char *what,
                          struct sg_err *err)
{
    int code = sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? SG_OK : sg_sqlite_fail(sqlite, code, what, err);
}

enum sg_rc sg_sqlite_statement(struct sg_sqlite *sqlite, size_t number, sqlite3_stmt **ret,
                               struct sg_err *err)
{
    SG_ASSERT(number < SG_SQLITE_STATEMENTS_MAX);
    sqlite3_stmt **statement = &sqlite->statements[number];
    if (*statement == NULL) {
        int code = sqlite3_prepare_v3(sqlite->db, sqlite->sql[number], -1,
                                      SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (code != SQLITE_OK)
            return sg_sqlite_fail(sqlite, code, "ask the store", err);
    }
    *ret = *statement;
    return SG_OK;
}

enum sg_rc sg_sqlite_row(struct sg_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                         bool *ret, struct sg_err *err)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sg_sqlite_fail(sqlite, code, what, err);
    *ret = code == SQLITE_ROW;
    return SG_OK;
}

enum sg_rc sg_sqlite_run(struct sg_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                         struct sg_err *err)
{
    int code = sqlite3_step(statement);
    enum sg_rc rc =
        code == SQLITE_DONE || code == SQLITE_ROW ? SG_OK : sg_sqlite_fail(sqlite, code, what, err);
    sg_sqlite_reset(statement);
    return rc;
}

enum sg_rc sg_sqlite_number(struct sg_sqlite *sqlite, const char *sql, const char *what,
                            int64_t *ret, struct sg_err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL);
    enum sg_rc rc = SG_OK;
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        rc = SG_FAIL(err, SG_E_NOT_FOUND, 0, "could not %s: it is not there", what);
    else
        rc = sg_sqlite_fail(sqlite, code, what, err);
    sqlite3_finalize(statement);
    return rc;
}

void sg_sqlite_rollback(struct sg_sqlite *sqlite)
{
    if (sqlite->db != NULL && !sqlite3_get_autocommit(sqlite->db) &&
        sqlite3_exec(sqlite->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        sqlite->is_stale = true;
}

void sg_sqlite_close(struct sg_sqlite *sqlite)
{
    for (size_t i = 0; i < SG_SQLITE_STATEMENTS_MAX; i++) {
        sqlite3_finalize(sqlite->statements[i]);
        sqlite->statements[i] = NULL;
    }
    sqlite3_close(sqlite->db);
    sqlite->db = NULL;
    sqlite->is_stale = false;
}

bool sg_sqlite_is_same_file(const struct sg_sqlite *sqlite)
{
    struct stat st;
    return stat(sqlite->path, &st) == 0 && st.st_dev == sqlite->dev && st.st_ino == sqlite->ino;
}

enum sg_rc sg_sqlite_make_file(const char *path, struct sg_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 && errno == EEXIST)
        return SG_OK;
    if (fd < 0) {
        enum sg_reason reason =
            errno == ENOSPC || errno == EDQUOT ? SG_R_STORE_FULL : SG_R_STORE_UNAVAILABLE;
        return SG_REFUSE(err, reason, "could not make \"%.100s\": %s", path, strerror(errno));
    }
    close(fd);
    return SG_OK;
}

/* The file's name as a URI, whose special signs would otherwise be understood. */
static char *uri_of(const char *path, const char *query)
{
    static const char hex[] = "0123456789ABCDEF";
    struct sg_buf uri;
    sg_buf_init(&uri, 4 * 4096 + 64);
    sg_buf_add_str(&uri, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '%' || *c == '?' || *c == '#') {
            sg_buf_add_u8(&uri, '%');
            sg_buf_add_u8(&uri, (uint8_t)hex[(uint8_t)*c >> 4]);
            sg_buf_add_u8(&uri, (uint8_t)hex[(uint8_t)*c & 15]);
        } else {
            sg_buf_add_u8(&uri, (uint8_t)*c);
        }
    }
    sg_buf_add_str(&uri, query);
    sg_buf_add_u8(&uri, '\0');
    char *copy = uri.failed ? NULL : strdup((const char *)uri.ptr);
    sg_buf_done(&uri);
    return copy;
}

/*
 * Who waits for another's commit looks often: SQLite's own steps grow to 100 ms, and one who
 * commits without pause would keep another out for seconds.
 */
static int wait_for_lock(void *arg, int tries)
{
    (void)arg;
    if (tries >= BUSY_MS * 1000 / BUSY_STEP_US)
        return 0;
    usleep(BUSY_STEP_US);
    return 1;
}

static enum sg_rc open_uri(struct sg_sqlite *sqlite, const char *query, struct sg_err *err)
{
    char *uri = uri_of(sqlite->path, query);
    if (uri == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not open the store: no memory");
    int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= sqlite->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    int code = sqlite3_open_v2(uri, &sqlite->db, flags, NULL);
    free(uri);
    if (code != SQLITE_OK)
        return sg_sqlite_fail(sqlite, code, "open the store", err);
    sqlite3_busy_handler(sqlite->db, wait_for_lock, NULL);
    sqlite3_limit(sqlite->db, SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX);
    sqlite3_limit(sqlite->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* We make neither: one that is there is somebody's who wants the log to be another. */
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return SG_OK;
}

/* The first look into the file, which is where SQLite finds out what it is. */
static enum sg_rc look(struct sg_sqlite *sqlite, struct sg_err *err)
{
    int64_t tables;
    return sg_sqlite_number(sqlite, "SELECT count(*) FROM sqlite_schema", "open the store", &tables,
                            err);
}

static bool is_not_empty(const char *path, const char *suffix)
{
    struct stat st;
    char *name = NULL;
    bool is = asprintf(&name, "%s%s", path, suffix) >= 0 && stat(name, &st) == 0 && st.st_size > 0;
    free(name);
    return is;
}

/*
 * SQLite keeps the state of its write-ahead log in a file beside it, which cannot be made in a
 * folder that may not be written. Nobody else has the store open then, or the file would be there:
 * so it may be read without locks, with the write-ahead log if one was left behind.
 */
static enum sg_rc open_alone(struct sg_sqlite *sqlite, struct sg_err *err)
{
    sg_sqlite_close(sqlite);
    if (!is_not_empty(sqlite->path, "-wal")) {
        SG_TRY(open_uri(sqlite, "?immutable=1", err));
    } else {
        SG_TRY(open_uri(sqlite, "?vfs=unix-none", err));
        SG_TRY(sg_sqlite_exec(sqlite, "PRAGMA locking_mode = EXCLUSIVE", "open the store", err));
    }
    return look(sqlite, err);
}

static enum sg_rc set_up_writing(struct sg_sqlite *sqlite, enum sg_sqlite_safety safety,
                                 struct sg_err *err)
{
    if (sqlite3_db_readonly(sqlite->db, "main") != 0) /* what SQLite makes of it in silence */
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE,
                         "could not open \"%.100s\": it may not be "
                         "written",
                         sqlite->path);
    SG_TRY(sg_sqlite_exec(sqlite, "PRAGMA journal_mode = WAL", "open the store", err));
    return sg_sqlite_exec(sqlite,
                          safety == SG_SQLITE_FULL
                              ? "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864"
                              : "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864",
                          "open the store", err);
}

enum sg_rc sg_sqlite_open(struct sg_sqlite *sqlite, enum sg_sqlite_safety safety,
                          struct sg_err *err)
{
    struct stat st;
    struct sg_err first = {0};

    if (stat(sqlite->path, &st) != 0)
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not open \"%.100s\": %s", sqlite->path,
                         strerror(errno));
    sqlite->dev = st.st_dev;
    sqlite->ino = st.st_ino;
    enum sg_rc rc = open_uri(sqlite, "", &first);
    if (rc == SG_OK)
        rc = look(sqlite, &first);
    unsigned long code = first.native & 0xff;
    if (rc != SG_OK && sqlite->is_read_only &&
        (code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !is_not_empty(sqlite->path, "-shm"))
        rc = open_alone(sqlite, &first);
    if (rc == SG_OK && !sqlite->is_read_only)
        rc = set_up_writing(sqlite, safety, &first);
    if (rc != SG_OK) {
        sg_sqlite_close(sqlite);
        if (err != NULL)
            *err = first;
    }
    return rc;
}
