#ifndef SG_GATEWAY_STORE_STORE_SQLITE_PRIV_H
#define SG_GATEWAY_STORE_STORE_SQLITE_PRIV_H

#include <sqlite3.h>
#include <sys/types.h>

#include "gateway/store/store_priv.h"

/*
 * One connection to one file, with its prepared statements. What says that the connection itself
 * is no good any more (an I/O error, a file that is not a database) marks it, and the next
 * sg_sqlite_ready() opens it anew: where a disk came back, so does the store.
 */
enum { SG_SQLITE_STATEMENTS_MAX = 24 };

struct sg_sqlite {
    sqlite3 *db;
    char *path;
    bool is_read_only, is_stale;
    const char *const *sql; /* by number; compiled when it is first used */
    sqlite3_stmt *statements[SG_SQLITE_STATEMENTS_MAX];
    /* The file that is open. Another under its name, and what we write would be lost unseen. */
    dev_t dev;
    ino_t ino;
};

enum sg_sqlite_safety { SG_SQLITE_FULL, SG_SQLITE_NORMAL };

/* Opens the file, which must be there. */
enum sg_rc sg_sqlite_open(struct sg_sqlite *sqlite, enum sg_sqlite_safety safety,
                          struct sg_err *err);
/* Closes the connection; path and sql stay. */
void sg_sqlite_close(struct sg_sqlite *sqlite);
/* Whether the file under our name is still the one that is open. */
bool sg_sqlite_is_same_file(const struct sg_sqlite *sqlite);
/* Makes an empty file that only its owner may write and its group read, where there is none. */
enum sg_rc sg_sqlite_make_file(const char *path, struct sg_err *err);

/* SQLite's code as our class and reason; `what` as in "could not <what>". */
enum sg_rc sg_sqlite_fail(struct sg_sqlite *sqlite, int code, const char *what, struct sg_err *err);
enum sg_rc sg_sqlite_exec(struct sg_sqlite *sqlite, const char *sql, const char *what,
                          struct sg_err *err);
/* The statement with this number, reset; the connection keeps it. */
enum sg_rc sg_sqlite_statement(struct sg_sqlite *sqlite, size_t number, sqlite3_stmt **ret,
                               struct sg_err *err);
/* The next row, or none. */
enum sg_rc sg_sqlite_row(struct sg_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                         bool *ret, struct sg_err *err);
/* For a statement without rows; whatever it was, it is reset. */
enum sg_rc sg_sqlite_run(struct sg_sqlite *sqlite, sqlite3_stmt *statement, const char *what,
                         struct sg_err *err);
/* The only number that `sql` gives; SG_E_NOT_FOUND: it gives no row. */
enum sg_rc sg_sqlite_number(struct sg_sqlite *sqlite, const char *sql, const char *what,
                            int64_t *ret, struct sg_err *err);
/* Ends a transaction that has come to nothing, if there is one. */
void sg_sqlite_rollback(struct sg_sqlite *sqlite);

/* A statement that stays in the middle of its rows would keep its view of the file. */
static inline void sg_sqlite_reset(sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}
static inline void sg_sqlite_resetp(sqlite3_stmt **slot)
{
    sg_sqlite_reset(*slot);
}

static inline struct sg_slice sg_sqlite_bytes(sqlite3_stmt *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    return sg_slice_of(bytes, (size_t)sqlite3_column_bytes(statement, column));
}

enum { SG_SQLITE_STORE_ID_BYTES = 16 };

/* store.db and, when it is first asked for, search.db. */
struct sg_store_sqlite {
    struct sg_store base;
    char *folder;
    struct sg_sqlite main;
    uint8_t id[SG_SQLITE_STORE_ID_BYTES];
    struct sg_sqlite search;
};

/* The connection to store.db, opened anew where it has to be. */
enum sg_rc sg_store_sqlite_ready(struct sg_store_sqlite *store, struct sg_err *err);
/* Appends the record of a leaf; SG_E_NOT_FOUND: it is not there, or archived. */
enum sg_rc sg_store_sqlite_record(struct sg_store_sqlite *store, uint64_t log_id, uint64_t seq,
                                  struct sg_buf *ret, struct sg_err *err);

/* store_sqlite_migrate.c */
enum sg_rc sg_store_sqlite_migrate(const char *url, unsigned *ret_from, struct sg_err *err);
enum sg_rc sg_store_sqlite_backup(struct sg_store *store, const char *folder, struct sg_err *err);
enum sg_rc sg_store_sqlite_judge(struct sg_sqlite *sqlite, struct sg_err *err);
char *sg_store_sqlite_path(const char *folder, const char *name);

/* store_sqlite_search.c */
enum sg_rc sg_store_sqlite_indexed(struct sg_store *store, uint64_t log_id, uint64_t *ret,
                                   struct sg_err *err);
enum sg_rc sg_store_sqlite_index(struct sg_store *store, uint64_t log_id, uint64_t from,
                                 uint64_t indexed, const struct sg_store_fact *facts, size_t count,
                                 struct sg_err *err);
enum sg_rc sg_store_sqlite_find(struct sg_store *store, uint64_t log_id, const uint8_t fact[],
                                uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                                struct sg_err *err);

#endif
