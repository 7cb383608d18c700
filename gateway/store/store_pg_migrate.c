/* The tables in PostgreSQL, how they came to be step by step, and the server's settings. */
#include <stdlib.h>

#include "gateway/store/store_pg_priv.h"

/* As in store_sqlite_migrate.c: a step makes version n out of version n - 1, and a step that is
 * released never changes. */
static const struct step {
    unsigned serves;
    const char *sql;
} steps[] = {
    {1,
     "CREATE SCHEMA IF NOT EXISTS sealgate;"
     "CREATE TABLE sealgate.meta (one bool PRIMARY KEY DEFAULT true CHECK (one),"
     " schema int8 NOT NULL, serves int8 NOT NULL, seal_key bytea NOT NULL);"
     "CREATE TABLE sealgate.logs ("
     " id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, origin text NOT NULL,"
     " epoch int8 NOT NULL, size int8 NOT NULL, first int8 NOT NULL, checkpoint bytea NOT NULL,"
     " CONSTRAINT logs_name_epoch UNIQUE (name, epoch)) WITH (fillfactor = 50);"
     /* log << 40 | number, as in SQLite; without a record: archived, and kept for its request */
     "CREATE TABLE sealgate.leaves (id int8 PRIMARY KEY, request bytea, record bytea);"
     "CREATE UNIQUE INDEX leaves_request ON sealgate.leaves (request) WHERE request IS NOT NULL;"
     "CREATE TABLE sealgate.tiles (log int8, level int8, index int8, hashes bytea NOT NULL,"
     " PRIMARY KEY (log, level, index));"
     "ALTER TABLE sealgate.tiles ALTER hashes SET STORAGE EXTERNAL;" /* hashes do not shrink */
     "CREATE TABLE sealgate.indexed (log int8 PRIMARY KEY, upto int8 NOT NULL);"
     "CREATE TABLE sealgate.facts (log int8, fact bytea, seq int8, PRIMARY KEY (log, fact, seq));"},
    /* The search index in runs: runs.h. `facts` and `indexed` are those of gateways of version 1,
     * and go with the step after this one. */
    {1,
     "CREATE TABLE sealgate.searchable (log int8 PRIMARY KEY, upto int8 NOT NULL);"
     "CREATE TABLE sealgate.runs (log int8, first int8, upto int8 NOT NULL, entries int8 NOT NULL,"
     " PRIMARY KEY (log, first));"
     "CREATE TABLE sealgate.chunks (log int8, run int8, head bytea, body bytea NOT NULL,"
     " PRIMARY KEY (log, run, head));"},
};
_Static_assert(SG_COUNT(steps) == SG_STORE_SCHEMA, "a version for each step");

enum statement { META_ADD, META_SET };

static const char *const sql[] = {
    [META_ADD] = "INSERT INTO sealgate.meta (schema, serves, seal_key)"
                 " VALUES ($1::int8, $2::int8, $3::bytea)",
    [META_SET] = "UPDATE sealgate.meta SET schema = $1::int8, serves = $2::int8",
};

/* 0: there is nothing yet. */
static enum sg_rc read_version(struct sg_pg *pg, int64_t *ret_schema, int64_t *ret_serves,
                               struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *there = NULL, *meta = NULL;

    SG_TRY(sg_pg_exec(pg, "SELECT (to_regclass('sealgate.meta') IS NOT NULL)::int",
                      "read the store's version", &there, err));
    *ret_schema = *ret_serves = 0;
    if (PQntuples(there) != 1 || strcmp(PQgetvalue(there, 0, 0), "1") != 0)
        return SG_OK;
    SG_TRY(sg_pg_exec(pg, "SELECT schema, serves FROM sealgate.meta", "read the store's version",
                      &meta, err));
    if (PQntuples(meta) != 1)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store does not say which version it has");
    *ret_schema = strtoll(PQgetvalue(meta, 0, 0), NULL, 10);
    *ret_serves = strtoll(PQgetvalue(meta, 0, 1), NULL, 10);
    if (*ret_schema < 1)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store does not say which version it has");
    return SG_OK;
}

enum sg_rc sg_store_pg_judge(struct sg_pg *pg, struct sg_err *err)
{
    int64_t schema, serves;
    SG_TRY(read_version(pg, &schema, &serves, err));
    if (schema == 0)
        return SG_REFUSE(err, SG_R_AUDIT_NOT_INITIALISED,
                         "there is no store in the database yet: run sealgated init");
    return sg_store_judge_schema(schema, serves, err);
}

static enum sg_rc set_version(struct sg_pg *pg, int64_t from, struct sg_err *err)
{
    struct sg_pg_params params;
    uint8_t key[32];

    sg_pg_params_init(&params, 256);
    sg_pg_add_int(&params, from + 1);
    sg_pg_add_int(&params, steps[from].serves);
    enum sg_rc rc = SG_OK;
    if (from == 0) {
        rc = sg_store_random(key, sizeof(key), err);
        sg_pg_add_bytes(&params, sg_slice_of(key, sizeof(key)));
    }
    if (rc == SG_OK)
        rc = sg_pg_run(pg, from == 0 ? META_ADD : META_SET, &params, "write the store", NULL, err);
    sg_pg_params_done(&params);
    return rc;
}

/* One step, unless somebody else has made it meanwhile. */
static enum sg_rc make_step(struct sg_pg *pg, int64_t from, struct sg_err *err)
{
    int64_t schema, serves;
    SG_TRY(sg_pg_exec(pg, "BEGIN; SELECT pg_advisory_xact_lock(6003450827465)", "write the store",
                      NULL, err));
    SG_TRY(read_version(pg, &schema, &serves, err));
    if (schema == from) {
        SG_TRY(sg_pg_exec(pg, steps[from].sql, "change the tables of the store", NULL, err));
        SG_TRY(set_version(pg, from, err));
    }
    return sg_pg_exec(pg, "COMMIT", "write the store", NULL, err);
}

static enum sg_rc make_steps(struct sg_pg *pg, unsigned *ret_from, struct sg_err *err)
{
    int64_t from, schema, serves;
    bool is_new;
    SG_TRY(sg_pg_ready(pg, &is_new, err));
    /* Changing a large table takes its time. */
    SG_TRY(sg_pg_exec(pg, "SET statement_timeout = 0", "write the store", NULL, err));
    SG_TRY(read_version(pg, &from, &serves, err));
    schema = from;
    while (schema < SG_STORE_SCHEMA) {
        SG_TRY(make_step(pg, schema, err));
        SG_TRY(read_version(pg, &schema, &serves, err));
    }
    SG_TRY(sg_store_judge_schema(schema, serves, err));
    *ret_from = (unsigned)from;
    return SG_OK;
}

enum sg_rc sg_store_pg_migrate(const char *url, unsigned *ret_from, struct sg_err *err)
{
    struct sg_pg pg = {.url = strdup(url), .sql = sql};
    if (pg.url == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not make the store: no memory");
    enum sg_rc rc = make_steps(&pg, ret_from, err);
    sg_pg_close(&pg); /* and with it a transaction that came to nothing */
    free(pg.url);
    return rc;
}

enum sg_rc sg_store_pg_check_safe(struct sg_pg *pg, struct sg_err *err)
{
    static const struct {
        const char *name, *show;
        bool is_remote_apply_fine;
    } settings[] = {
        {"fsync", "SHOW fsync", false},
        {"full_page_writes", "SHOW full_page_writes", false},
        {"synchronous_commit", "SHOW synchronous_commit", true},
    };
    for (size_t i = 0; i < SG_COUNT(settings); i++) {
        SG_AUTO(sg_pg_clear) PGresult *result = NULL;
        SG_TRY(sg_pg_exec(pg, settings[i].show, "read the store's settings", &result, err));
        const char *value = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";
        bool is_safe = strcmp(value, "on") == 0 ||
                       (settings[i].is_remote_apply_fine && strcmp(value, "remote_apply") == 0);
        if (!is_safe)
            return SG_REFUSE(err, SG_R_STORE_UNSAFE,
                             "PostgreSQL can lose what it acknowledged: %s is \"%.20s\"",
                             settings[i].name, value);
    }
    return SG_OK;
}
