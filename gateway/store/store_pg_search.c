/*
 * The search index in PostgreSQL: runs and their chunks (runs.h). Whoever adds claims the log's row
 * first, so two never add at once. Its end may be lost with a server that crashes, as a whole
 * transaction at a time: nobody waits for it to be synced.
 */
#include "gateway/store/runs.h"
#include "gateway/store/store_pg_priv.h"

static const char writing[] = "write the search index", reading[] = "read the search index";

/* Of log and number, which every statement about runs begins with. */
static void begin(struct sg_pg_params *params, uint64_t log_id, uint64_t number, size_t bytes_max)
{
    sg_pg_params_init(params, bytes_max);
    sg_pg_add_int(params, (int64_t)log_id);
    sg_pg_add_int(params, (int64_t)number);
}

/* Within a transaction: it does not connect anew. */
static enum sg_rc run(struct sg_pg *pg, enum sg_pg_statement number, struct sg_pg_params *params,
                      const char *what, PGresult **ret, struct sg_err *err)
{
    enum sg_rc rc = sg_pg_run(pg, number, params, what, ret, err);
    sg_pg_params_done(params);
    return rc;
}

/* Ends what was begun, or the connection with it. */
static enum sg_rc end(struct sg_pg *pg, enum sg_rc rc, const char *what, struct sg_err *err)
{
    if (rc == SG_OK)
        return sg_pg_exec(pg, "COMMIT", what, NULL, err);
    if (pg->conn != NULL && PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        sg_pg_close(pg);
    return rc;
}

enum sg_rc sg_store_pg_indexed(struct sg_store *base, uint64_t log_id, uint64_t *ret,
                               struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SG_PG_SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    SG_TRY(
        sg_store_pg_ask((struct sg_store_pg *)base, SG_PG_INDEXED, &params, reading, &result, err));
    *ret = PQntuples(result) == 1 ? (uint64_t)sg_pg_int(result, 0, 0) : 0;
    return SG_OK;
}

/* Adding ----------------------------------------------------------------------------------- */

static enum sg_rc claim(struct sg_pg *pg, uint64_t log_id, uint64_t from, uint64_t to, bool *ret,
                        struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;

    begin(&params, log_id, from, SG_PG_SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)to);
    SG_TRY(run(pg, SG_PG_CLAIM, &params, writing, &result, err));
    *ret = PQntuples(result) == 1;
    return SG_OK;
}

static enum sg_rc newest_runs(struct sg_pg *pg, uint64_t log_id, struct sg_run runs[SG_RUNS_NEWEST],
                              size_t *ret, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;

    begin(&params, log_id, SG_RUNS_NEWEST, SG_PG_SMALL_BYTES_MAX);
    SG_TRY(run(pg, SG_PG_RUN_NEWEST, &params, writing, &result, err));
    const int count = PQntuples(result) < SG_RUNS_NEWEST ? PQntuples(result) : SG_RUNS_NEWEST;
    for (int row = 0; row < count; row++)
        runs[row] = (struct sg_run){.first = (uint64_t)sg_pg_int(result, row, 0),
                                    .upto = (uint64_t)sg_pg_int(result, row, 1),
                                    .count = (uint64_t)sg_pg_int(result, row, 2)};
    *ret = (size_t)count;
    return SG_OK;
}

static enum sg_rc swallow(struct sg_pg *pg, uint64_t log_id, uint64_t first,
                          struct sg_run_entries *entries, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    SG_AUTO(sg_run_entries_done) struct sg_run_entries older = {0};
    struct sg_pg_params params;

    begin(&params, log_id, first, SG_PG_SMALL_BYTES_MAX);
    SG_TRY(run(pg, SG_PG_CHUNK_LIST, &params, writing, &result, err));
    for (int row = 0; row < PQntuples(result); row++)
        SG_TRY(sg_run_entries_add(&older, sg_pg_bytes(result, row, 0), err));
    return sg_run_entries_merge(entries, &older, err);
}

static enum sg_rc drop_runs(struct sg_pg *pg, uint64_t log_id, uint64_t first, struct sg_err *err)
{
    struct sg_pg_params params;

    begin(&params, log_id, first, SG_PG_SMALL_BYTES_MAX);
    SG_TRY(run(pg, SG_PG_CHUNK_DROP, &params, writing, NULL, err));
    begin(&params, log_id, first, SG_PG_SMALL_BYTES_MAX);
    return run(pg, SG_PG_RUN_DROP, &params, writing, NULL, err);
}

static enum sg_rc write_run(struct sg_pg *pg, uint64_t log_id, uint64_t first, uint64_t upto,
                            const struct sg_run_entries *entries, struct sg_err *err)
{
    const size_t count = (entries->count + SG_RUN_CHUNK_ENTRIES - 1) / SG_RUN_CHUNK_ENTRIES;
    struct sg_pg_params params;

    begin(&params, log_id, first, SG_PG_SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)upto);
    sg_pg_add_int(&params, (int64_t)entries->count);
    SG_TRY(run(pg, SG_PG_RUN_ADD, &params, writing, NULL, err));

    begin(&params, log_id, first,
          SG_PG_SMALL_BYTES_MAX + entries->count * SG_RUN_ENTRY_BYTES +
              count * (SG_RUN_ENTRY_BYTES + 2 * sizeof(uint32_t)));
    sg_pg_begin_blobs(&params, count);
    for (size_t i = 0; i < count; i++)
        sg_pg_item_blob(&params, sg_run_head(sg_run_chunk(entries, i)));
    sg_pg_end_array(&params);
    sg_pg_begin_blobs(&params, count);
    for (size_t i = 0; i < count; i++)
        sg_pg_item_blob(&params, sg_run_chunk(entries, i));
    sg_pg_end_array(&params);
    return run(pg, SG_PG_CHUNK_ADD, &params, writing, NULL, err);
}

static enum sg_rc add_facts(struct sg_pg *pg, uint64_t log_id, uint64_t from, uint64_t to,
                            struct sg_run_entries *entries, struct sg_err *err)
{
    struct sg_run runs[SG_RUNS_NEWEST] = {0};
    size_t known;
    bool is_ours;

    SG_TRY(claim(pg, log_id, from, to, &is_ours, err));
    if (!is_ours || entries->count == 0)
        return SG_OK;
    SG_TRY(newest_runs(pg, log_id, runs, &known, err));
    const size_t swallowed = sg_runs_swallowed(runs, known, entries->count);
    for (size_t i = 0; i < swallowed; i++)
        SG_TRY(swallow(pg, log_id, runs[i].first, entries, err));
    if (swallowed > 0) {
        from = runs[swallowed - 1].first;
        SG_TRY(drop_runs(pg, log_id, from, err));
    }
    return write_run(pg, log_id, from, to, entries, err);
}

enum sg_rc sg_store_pg_index(struct sg_store *base, uint64_t log_id, uint64_t from, uint64_t to,
                             const struct sg_store_fact *facts, size_t count, struct sg_err *err)
{
    SG_AUTO(sg_run_entries_done) struct sg_run_entries entries = {0};
    struct sg_store_pg *store = (struct sg_store_pg *)base;

    SG_TRY(sg_run_entries_of(facts, count, &entries, err));
    SG_TRY(sg_store_pg_ready(store, err));
    enum sg_rc rc =
        sg_pg_exec(&store->pg, "BEGIN; SET LOCAL synchronous_commit = off", writing, NULL, err);
    if (rc == SG_OK)
        rc = add_facts(&store->pg, log_id, from, to, &entries, err);
    return end(&store->pg, rc, writing, err);
}

/* Searching -------------------------------------------------------------------------------- */

static enum sg_rc find_more(struct sg_pg *pg, uint64_t log_id, uint64_t first,
                            struct sg_run_search *search, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    bool is_more = true;

    begin(&params, log_id, first, SG_PG_SMALL_BYTES_MAX);
    sg_pg_add_bytes(&params, sg_slice_of(search->from, sizeof(search->from)));
    sg_pg_add_bytes(&params, sg_slice_of(search->to, sizeof(search->to)));
    sg_pg_add_int(&params, (int64_t)(search->max - search->count)); /* one in each at least */
    SG_TRY(run(pg, SG_PG_CHUNK_MORE, &params, reading, &result, err));
    for (int row = 0; is_more && row < PQntuples(result); row++)
        SG_TRY(sg_run_look(search, sg_pg_bytes(result, row, 0), &is_more, err));
    return SG_OK;
}

static enum sg_rc find(struct sg_pg *pg, uint64_t log_id, struct sg_run_search *search,
                       struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;

    begin(&params, log_id, search->first, SG_PG_SMALL_BYTES_MAX);
    sg_pg_add_bytes(&params, sg_slice_of(search->from, sizeof(search->from)));
    sg_pg_add_bytes(&params, sg_slice_of(search->fact, SG_STORE_FACT_BYTES));
    SG_TRY(run(pg, SG_PG_CHUNK_FIRST, &params, reading, &result, err));
    for (int row = 0; row < PQntuples(result) && search->count < search->max; row++) {
        const struct sg_slice chunk = sg_pg_bytes(result, row, 1);
        bool is_more = true;
        if (chunk.len > 0) /* or the run begins behind what is looked for */
            SG_TRY(sg_run_look(search, chunk, &is_more, err));
        if (is_more)
            SG_TRY(find_more(pg, log_id, (uint64_t)sg_pg_int(result, row, 0), search, err));
    }
    return SG_OK;
}

/* In one view of the index, while others may be adding to it. */
enum sg_rc sg_store_pg_find(struct sg_store *base, uint64_t log_id, const uint8_t fact[],
                            uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                            struct sg_err *err)
{
    struct sg_run_search search = {.fact = fact, .first = first, .seqs = ret_seqs, .max = max};
    struct sg_store_pg *store = (struct sg_store_pg *)base;

    *ret_count = 0;
    sg_run_search_begin(&search);
    SG_TRY(sg_store_pg_ready(store, err));
    enum sg_rc rc = sg_pg_exec(&store->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                               reading, NULL, err);
    if (rc == SG_OK)
        rc = find(&store->pg, log_id, &search, err);
    SG_TRY(end(&store->pg, rc, reading, err));
    *ret_count = search.count;
    return SG_OK;
}
