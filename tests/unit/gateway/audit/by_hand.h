#ifndef SG_TESTS_UNIT_GATEWAY_AUDIT_BY_HAND_H
#define SG_TESTS_UNIT_GATEWAY_AUDIT_BY_HAND_H

#include <libpq-fe.h>
#include <sqlite3.h>

#include "tests/unit/gateway/audit/folder.h"

/* What somebody who can write the store, and has no key, does to it. Tables are named without
 * their schema. */

static inline bool is_pg(const struct folder *folder)
{
    return strncmp(folder->url, "postgresql:", 11) == 0;
}

static inline void run_sqlite(const struct folder *folder, const char *sql)
{
    sqlite3 *db = NULL;
    char path[128];

    snprintf(path, sizeof(path), "%s/store/store.db", folder->path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void run_pg(const struct folder *folder, const char *sql)
{
    PGconn *conn = PQconnectdb(folder->url);
    PQclear(PQexec(conn, "SET search_path = sealgate; SET client_min_messages = error"));
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
}

static inline void run_sql(const struct folder *folder, const char *sql)
{
    (is_pg(folder) ? run_pg : run_sqlite)(folder, sql);
}

#endif
