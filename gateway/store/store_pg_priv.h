#ifndef SG_GATEWAY_STORE_STORE_PG_PRIV_H
#define SG_GATEWAY_STORE_STORE_PG_PRIV_H

#include <libpq-fe.h>

#include "gateway/store/store_priv.h"

/*
 * A connection to PostgreSQL. Everything is sent without blocking and waited for until a deadline,
 * because a server that is frozen, or a network that swallows, would otherwise hold a thread for
 * ever. After a failure that may be the connection's own it is closed, and the next call makes
 * another; what the server still does with an append that nobody waits for cannot harm, since it
 * compares the log's size under the row's lock.
 */
enum { SG_PG_STATEMENTS_MAX = 25, SG_PG_PARAMS_MAX = 13, SG_PG_SMALL_BYTES_MAX = 256 };

/* The statements of a store; their SQL is in store_pg.c. */
enum sg_pg_statement {
    SG_PG_SEAL_KEY,
    SG_PG_LOG_LIST,
    SG_PG_LOG_FIND,
    SG_PG_LOG_SIZE,
    SG_PG_APPEND,
    SG_PG_APPEND_TILES,
    SG_PG_LOG_ADD,
    SG_PG_TAKEN,
    SG_PG_CHECKPOINT_READ,
    SG_PG_CHECKPOINT_SET,
    SG_PG_LEAF_LIST,
    SG_PG_LEAF_KEYED,
    SG_PG_TILE_FIND,
    SG_PG_LEAF_REQUEST,
    SG_PG_DROP,
    SG_PG_INDEXED,
    SG_PG_CLAIM,
    SG_PG_RUN_NEWEST,
    SG_PG_RUN_ADD,
    SG_PG_RUN_DROP,
    SG_PG_CHUNK_ADD,
    SG_PG_CHUNK_LIST,
    SG_PG_CHUNK_DROP,
    SG_PG_CHUNK_FIRST,
    SG_PG_CHUNK_MORE,
    SG_PG_STATEMENT_COUNT,
};
_Static_assert((int)SG_PG_STATEMENT_COUNT <= (int)SG_PG_STATEMENTS_MAX, "room for all statements");

struct sg_pg {
    char *url;
    PGconn *conn;
    bool is_read_only;
    const char *const *sql;
    bool is_prepared[SG_PG_STATEMENTS_MAX];
};

/* Parameters of a statement, all binary. Their bytes are copied, but for those of texts and blobs
 * that are no array: these must live until it is run. */
struct sg_pg_params {
    struct sg_buf bytes;
    int count;
    struct {
        const void *ptr; /* NULL: `at` is where it begins in `bytes` */
        size_t at, len;
    } params[SG_PG_PARAMS_MAX];
    size_t array_at; /* of the array that is being written */
};

/* Connects, unless it is connected. `*ret_is_new`: it was not. */
enum sg_rc sg_pg_ready(struct sg_pg *pg, bool *ret_is_new, struct sg_err *err);
void sg_pg_close(struct sg_pg *pg);

/* Runs a command without parameters, or several. */
enum sg_rc sg_pg_exec(struct sg_pg *pg, const char *sql, const char *what, PGresult **ret,
                      struct sg_err *err);
/* Runs the statement with this number, prepared when it is first used; what it gives is binary. */
enum sg_rc sg_pg_run(struct sg_pg *pg, size_t number, const struct sg_pg_params *params,
                     const char *what, PGresult **ret, struct sg_err *err);
/* The constraint that the last failure was about; "": none. */
const char *sg_pg_violated(const struct sg_err *err, const PGresult *result);

static inline void sg_pg_clearp(PGresult **slot)
{
    PQclear(*slot);
    *slot = NULL;
}

void sg_pg_params_init(struct sg_pg_params *params, size_t bytes_max);
void sg_pg_params_done(struct sg_pg_params *params);
void sg_pg_add_int(struct sg_pg_params *params, int64_t value);
void sg_pg_add_bytes(struct sg_pg_params *params, struct sg_slice bytes);
void sg_pg_begin_ints(struct sg_pg_params *params, size_t count);
void sg_pg_begin_blobs(struct sg_pg_params *params, size_t count);
void sg_pg_item_int(struct sg_pg_params *params, int64_t value);
void sg_pg_item_blob(struct sg_pg_params *params, struct sg_slice bytes); /* NULL: null */
void sg_pg_end_array(struct sg_pg_params *params);

/* -1: there is no such number. */
int64_t sg_pg_int(const PGresult *result, int row, int column);
struct sg_slice sg_pg_bytes(const PGresult *result, int row, int column);

struct sg_store_pg {
    struct sg_store base;
    struct sg_pg pg;
};

/* Connected, to a store of a version that we know. */
enum sg_rc sg_store_pg_ready(struct sg_store_pg *store, struct sg_err *err);
/* Connects, runs a statement whose parameters are few, and forgets these. */
enum sg_rc sg_store_pg_ask(struct sg_store_pg *store, enum sg_pg_statement number,
                           struct sg_pg_params *params, const char *what, PGresult **ret,
                           struct sg_err *err);

/* store_pg_search.c */
enum sg_rc sg_store_pg_indexed(struct sg_store *base, uint64_t log_id, uint64_t *ret,
                               struct sg_err *err);
enum sg_rc sg_store_pg_index(struct sg_store *base, uint64_t log_id, uint64_t from, uint64_t to,
                             const struct sg_store_fact *facts, size_t count, struct sg_err *err);
enum sg_rc sg_store_pg_find(struct sg_store *base, uint64_t log_id, const uint8_t fact[],
                            uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                            struct sg_err *err);

/* store_pg_migrate.c */
enum sg_rc sg_store_pg_migrate(const char *url, unsigned *ret_from, struct sg_err *err);
enum sg_rc sg_store_pg_judge(struct sg_pg *pg, struct sg_err *err);
enum sg_rc sg_store_pg_check_safe(struct sg_pg *pg, struct sg_err *err);

#endif
