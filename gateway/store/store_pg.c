/* The store in PostgreSQL: each call that writes is one statement, and so one round trip. */
#include <stdlib.h>

#include "gateway/store/store_pg_priv.h"

/*
 * Parts of one statement see each other's results alone: leaves go in only where the log had the
 * size that its writer knows, which is compared under the lock of the log's row.
 */
#define MOVED                                                                                      \
    "WITH moved AS (UPDATE sealgate.logs AS l SET size = $3::int8, checkpoint = $4::bytea"         \
    " WHERE l.id = $1::int8 AND l.size = $2::int8 AND NOT EXISTS (SELECT 1 FROM sealgate.logs"     \
    " AS later WHERE later.name = l.name AND later.epoch > l.epoch) RETURNING l.id),"              \
    " put AS (INSERT INTO sealgate.leaves (id, request, record)"                                   \
    " SELECT * FROM unnest($5::int8[], $6::bytea[], $7::bytea[])"                                  \
    " WHERE EXISTS (SELECT 1 FROM moved))"

static const char *const sql[SG_PG_STATEMENT_COUNT] = {
    [SG_PG_SEAL_KEY] = "SELECT seal_key FROM sealgate.meta",
    [SG_PG_LOG_LIST] = "SELECT id, name, origin, epoch, size, first FROM sealgate.logs ORDER BY id",
    [SG_PG_LOG_FIND] = "SELECT id, name, origin, epoch, size, first FROM sealgate.logs"
                       " WHERE name = $1::text ORDER BY epoch DESC LIMIT 1",
    [SG_PG_LOG_SIZE] = "SELECT size, first FROM sealgate.logs WHERE id = $1::int8",
    [SG_PG_APPEND] = MOVED " SELECT count(*) FROM moved",
    [SG_PG_APPEND_TILES] =
        MOVED ", filled AS (INSERT INTO sealgate.tiles (log, level, index, hashes)"
              " SELECT $1::int8, * FROM unnest($8::int8[], $9::int8[], $10::bytea[])"
              " WHERE EXISTS (SELECT 1 FROM moved)) SELECT count(*) FROM moved",
    [SG_PG_LOG_ADD] =
        "WITH made AS (INSERT INTO sealgate.logs"
        " (name, origin, epoch, size, first, checkpoint)"
        " SELECT $1::text, $2::text, $3::int8, $4::int8, 0, $5::bytea"
        " WHERE $12::int8 = 0 OR EXISTS (SELECT 1 FROM sealgate.logs"
        " WHERE id = $12::int8 AND size = $13::int8)"
        " ON CONFLICT ON CONSTRAINT logs_name_epoch DO NOTHING RETURNING id),"
        " put AS (INSERT INTO sealgate.leaves (id, request, record)"
        " SELECT made.id << 40 | l.seq, l.request, l.record FROM made,"
        " unnest($6::int8[], $7::bytea[], $8::bytea[]) AS l (seq, request, record)),"
        " filled AS (INSERT INTO sealgate.tiles (log, level, index, hashes)"
        " SELECT made.id, t.* FROM made, unnest($9::int8[], $10::int8[], $11::bytea[]) AS t)"
        " SELECT id FROM made",
    [SG_PG_TAKEN] = "SELECT request FROM sealgate.leaves WHERE request = ANY ($1::bytea[])",
    [SG_PG_CHECKPOINT_READ] = "SELECT checkpoint FROM sealgate.logs WHERE id = $1::int8",
    [SG_PG_CHECKPOINT_SET] = "UPDATE sealgate.logs SET checkpoint = $3::bytea"
                             " WHERE id = $1::int8 AND size = $2::int8",
    [SG_PG_LEAF_LIST] =
        "SELECT id, record FROM sealgate.leaves WHERE id >= $1::int8 AND id < $2::int8"
        " AND record IS NOT NULL ORDER BY id LIMIT $3::int8",
    [SG_PG_LEAF_KEYED] =
        "SELECT id, record, request, (SELECT found.id FROM sealgate.leaves AS found"
        " WHERE found.request = leaves.request) FROM sealgate.leaves AS leaves"
        " WHERE id >= $1::int8 AND id < $2::int8"
        " AND record IS NOT NULL ORDER BY leaves.id LIMIT $3::int8",
    [SG_PG_TILE_FIND] = "SELECT hashes FROM sealgate.tiles"
                        " WHERE log = $1::int8 AND level = $2::int8 AND index = $3::int8",
    [SG_PG_LEAF_REQUEST] = "SELECT id FROM sealgate.leaves WHERE request = $1::bytea",
    [SG_PG_DROP] =
        "WITH moved AS (UPDATE sealgate.logs SET first = $3::int8"
        " WHERE id = $1::int8 AND first = $2::int8 RETURNING id),"
        " gone AS (DELETE FROM sealgate.leaves WHERE id >= $4::int8 AND id < $5::int8"
        " AND request IS NULL AND EXISTS (SELECT 1 FROM moved))"
        " UPDATE sealgate.leaves SET record = NULL WHERE id >= $4::int8 AND id < $5::int8"
        " AND request IS NOT NULL AND EXISTS (SELECT 1 FROM moved)",
    [SG_PG_INDEXED] = "SELECT upto FROM sealgate.searchable WHERE log = $1::int8",
    [SG_PG_CLAIM] = "INSERT INTO sealgate.searchable AS i (log, upto)"
                    " SELECT $1::int8, $3::int8 WHERE $2::int8 = 0"
                    " OR EXISTS (SELECT 1 FROM sealgate.searchable WHERE log = $1::int8)"
                    " ON CONFLICT (log) DO UPDATE SET upto = $3::int8 WHERE i.upto = $2::int8"
                    " RETURNING log",
    [SG_PG_RUN_NEWEST] = "SELECT first, upto, entries FROM sealgate.runs WHERE log = $1::int8"
                         " ORDER BY first DESC LIMIT $2::int8",
    [SG_PG_RUN_ADD] = "INSERT INTO sealgate.runs (log, first, upto, entries)"
                      " VALUES ($1::int8, $2::int8, $3::int8, $4::int8)",
    [SG_PG_RUN_DROP] = "DELETE FROM sealgate.runs WHERE log = $1::int8 AND first >= $2::int8",
    [SG_PG_CHUNK_ADD] = "INSERT INTO sealgate.chunks (log, run, head, body)"
                        " SELECT $1::int8, $2::int8, * FROM unnest($3::bytea[], $4::bytea[])",
    [SG_PG_CHUNK_LIST] = "SELECT body FROM sealgate.chunks WHERE log = $1::int8 AND run = $2::int8"
                         " ORDER BY head",
    [SG_PG_CHUNK_DROP] = "DELETE FROM sealgate.chunks WHERE log = $1::int8 AND run >= $2::int8",
    /* Of each run the chunk that the first entry is in, if it is there: one that holds the fact, or
     * ends before it, so that the next may. */
    [SG_PG_CHUNK_FIRST] = "SELECT r.first, c.body FROM sealgate.runs r LEFT JOIN LATERAL"
                          " (SELECT body FROM sealgate.chunks WHERE log = $1::int8"
                          " AND run = r.first AND head <= $3::bytea ORDER BY head DESC LIMIT 1) c"
                          " ON true WHERE r.log = $1::int8 AND r.upto > $2::int8"
                          " AND (c.body IS NULL OR position($4::bytea IN c.body) > 0"
                          " OR substring(c.body FROM length(c.body) - 19 FOR 12) <= $4::bytea)"
                          " ORDER BY r.first",
    [SG_PG_CHUNK_MORE] = "SELECT body FROM sealgate.chunks WHERE log = $1::int8 AND run = $2::int8"
                         " AND head > $3::bytea AND head <= $4::bytea ORDER BY head LIMIT $5::int8",
};

enum {
    SMALL_BYTES_MAX = SG_PG_SMALL_BYTES_MAX,
    LEAVES_AT_ONCE = 256,
    GROUP_BYTES_MAX = SG_STORE_GROUP_MAX * (SG_STORE_RECORD_BYTES_MAX + 64) +
                      16 * (SG_STORE_TILE_BYTES + 64) + 4096,
};

static struct sg_store_pg *pg_of(struct sg_store *store)
{
    return (struct sg_store_pg *)store;
}

/* Connected, to a store of a version that we know. */
enum sg_rc sg_store_pg_ready(struct sg_store_pg *store, struct sg_err *err)
{
    bool is_new;
    SG_TRY(sg_pg_ready(&store->pg, &is_new, err));
    if (!is_new)
        return SG_OK;
    enum sg_rc rc = sg_store_pg_judge(&store->pg, err);
    if (rc != SG_OK)
        sg_pg_close(&store->pg);
    return rc;
}

static void close_store(struct sg_store *base)
{
    struct sg_store_pg *store = pg_of(base);
    sg_pg_close(&store->pg);
    free(store->pg.url);
    free(store);
}

static enum sg_rc open_store(const char *url, bool is_read_only, struct sg_store **ret,
                             struct sg_err *err)
{
    struct sg_store_pg *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not open the store: no memory");
    store->base.backend = &sg_store_pg;
    store->base.is_read_only = store->pg.is_read_only = is_read_only;
    store->pg.sql = sql;
    store->pg.url = strdup(url);
    enum sg_rc rc = store->pg.url != NULL
                        ? sg_store_pg_ready(store, err)
                        : SG_FAIL(err, SG_E_LIMIT, 0, "could not open the store: no memory");
    if (rc != SG_OK) {
        close_store(&store->base);
        return rc;
    }
    *ret = &store->base;
    return SG_OK;
}

static enum sg_rc check_safe(struct sg_store *base, struct sg_err *err)
{
    SG_TRY(sg_store_pg_ready(pg_of(base), err));
    return sg_store_pg_check_safe(&pg_of(base)->pg, err);
}

/* Connects, runs a statement whose parameters are few, and forgets these. */
enum sg_rc sg_store_pg_ask(struct sg_store_pg *store, enum sg_pg_statement number,
                           struct sg_pg_params *params, const char *what, PGresult **ret,
                           struct sg_err *err)
{
    enum sg_rc rc = sg_store_pg_ready(store, err);
    if (rc == SG_OK)
        rc = sg_pg_run(&store->pg, number, params, what, ret, err);
    sg_pg_params_done(params);
    return rc;
}

static enum sg_rc seal_key(struct sg_store *base, uint8_t ret[32], struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    SG_TRY(sg_store_pg_ask(pg_of(base), SG_PG_SEAL_KEY, &params, "read the store", &result, err));
    struct sg_slice key = sg_pg_bytes(result, 0, 0);
    if (key.len != 32)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "the store has lost its \"seal_key\"");
    memcpy(ret, key.ptr, key.len);
    return SG_OK;
}

static bool take_text(const PGresult *result, int row, int column, char *ret, size_t size)
{
    struct sg_slice text = sg_pg_bytes(result, row, column);
    if (text.len >= size)
        return false;
    if (text.len > 0)
        memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return true;
}

static bool take_log(const PGresult *result, int row, struct sg_store_log *ret)
{
    int64_t id = sg_pg_int(result, row, 0), epoch = sg_pg_int(result, row, 3);
    int64_t size = sg_pg_int(result, row, 4), first = sg_pg_int(result, row, 5);
    if (id < 1 || id >> SG_STORE_LOG_BITS != 0 || epoch < 1 || epoch > UINT32_MAX || first < 0 ||
        first > size || size >> SG_STORE_SEQ_BITS != 0)
        return false;
    ret->id = (uint64_t)id;
    ret->epoch = (uint32_t)epoch;
    ret->size = (uint64_t)size;
    ret->first = (uint64_t)first;
    return take_text(result, row, 1, ret->name, sizeof(ret->name)) &&
           take_text(result, row, 2, ret->origin, sizeof(ret->origin));
}

static enum sg_rc each_log(struct sg_store *base, const char *name, sg_store_log_fn fn, void *arg,
                           struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    if (name != NULL)
        sg_pg_add_bytes(&params, sg_slice_str(name));
    SG_TRY(sg_store_pg_ask(pg_of(base), name == NULL ? SG_PG_LOG_LIST : SG_PG_LOG_FIND, &params,
                           "read the store's logs", &result, err));
    for (int row = 0; row < PQntuples(result); row++) {
        struct sg_store_log log = {0};
        if (!take_log(result, row, &log))
            return SG_REFUSE(err, SG_R_STORE_BROKEN, "a log of the store is not what was written");
        SG_TRY(fn(arg, &log, err));
    }
    return SG_OK;
}

/* ---- appending ---- */

struct in_order {
    const uint8_t *key;
    size_t at;
};

static int compare_keys(const void *a, const void *b)
{
    const struct in_order *left = a, *right = b;
    int order = memcmp(left->key, right->key, SG_STORE_REQUEST_KEY_BYTES);
    return order != 0 ? order : (left->at > right->at) - (left->at < right->at);
}

/*
 * Two gateways that put the same keys in by different orders would each wait for the other, until
 * PostgreSQL ends one of them after a second: so everybody goes in the order of the keys.
 */
static void sort_keys(const struct sg_store_group *group, struct in_order *ret)
{
    bool is_sorted = true;
    for (size_t i = 0; i < group->leaf_count; i++) {
        ret[i] = (struct in_order){group->leaves[i].request_key, i};
        is_sorted &= i == 0 || compare_keys(&ret[i - 1], &ret[i]) < 0;
    }
    if (!is_sorted)
        qsort(ret, group->leaf_count, sizeof(*ret), compare_keys);
}

/* Of two leaves of the group with one key the later one comes too late. */
static bool mark_twins(struct sg_store_group *group, const struct in_order *order)
{
    bool is_any = false;
    for (size_t i = 1; i < group->leaf_count; i++) {
        struct sg_store_leaf *leaf = &group->leaves[order[i].at];
        leaf->is_taken = sg_store_has_request_key(leaf) &&
                         memcmp(order[i].key, order[i - 1].key, SG_STORE_REQUEST_KEY_BYTES) == 0;
        is_any |= leaf->is_taken;
    }
    return is_any;
}

static struct sg_slice key_of(const struct sg_store_leaf *leaf)
{
    return sg_store_has_request_key(leaf)
               ? sg_slice_of(leaf->request_key, SG_STORE_REQUEST_KEY_BYTES)
               : (struct sg_slice){0};
}

static void add_leaves(struct sg_pg_params *params, const struct sg_store_group *group,
                       const struct in_order *order)
{
    sg_pg_begin_ints(params, group->leaf_count);
    for (size_t i = 0; i < group->leaf_count; i++)
        sg_pg_item_int(params, sg_store_leaf_id(group->log_id, group->old_size + order[i].at));
    sg_pg_end_array(params);
    sg_pg_begin_blobs(params, group->leaf_count);
    for (size_t i = 0; i < group->leaf_count; i++)
        sg_pg_item_blob(params, key_of(&group->leaves[order[i].at]));
    sg_pg_end_array(params);
    sg_pg_begin_blobs(params, group->leaf_count);
    for (size_t i = 0; i < group->leaf_count; i++)
        sg_pg_item_blob(params, group->leaves[order[i].at].record);
    sg_pg_end_array(params);
}

static void add_tiles(struct sg_pg_params *params, const struct sg_store_group *group)
{
    sg_pg_begin_ints(params, group->tile_count);
    for (size_t i = 0; i < group->tile_count; i++)
        sg_pg_item_int(params, group->tiles[i].level);
    sg_pg_end_array(params);
    sg_pg_begin_ints(params, group->tile_count);
    for (size_t i = 0; i < group->tile_count; i++)
        sg_pg_item_int(params, (int64_t)group->tiles[i].index);
    sg_pg_end_array(params);
    sg_pg_begin_blobs(params, group->tile_count);
    for (size_t i = 0; i < group->tile_count; i++)
        sg_pg_item_blob(params, sg_slice_of(group->tiles[i].hashes, SG_STORE_TILE_BYTES));
    sg_pg_end_array(params);
}

static void mark_key(struct sg_store_group *group, const struct in_order *order,
                     struct sg_slice key)
{
    if (key.len != SG_STORE_REQUEST_KEY_BYTES)
        return;
    for (size_t low = 0, high = group->leaf_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int way = memcmp(key.ptr, order[middle].key, SG_STORE_REQUEST_KEY_BYTES);
        if (way == 0) {
            /* Its twins, if there are any, stand beside it. */
            while (middle > 0 && memcmp(key.ptr, order[middle - 1].key, key.len) == 0)
                middle--;
            for (; middle < group->leaf_count && memcmp(key.ptr, order[middle].key, key.len) == 0;
                 middle++)
                group->leaves[order[middle].at].is_taken = true;
            return;
        }
        if (way < 0)
            high = middle;
        else
            low = middle + 1;
    }
}

/* Asks which keys somebody else has. */
static enum sg_rc mark_taken(struct sg_store_pg *store, struct sg_store_group *group,
                             const struct in_order *order, bool *ret_is_any, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;

    sg_pg_params_init(&params, SG_STORE_GROUP_MAX * 32 + SMALL_BYTES_MAX);
    sg_pg_begin_blobs(&params, group->leaf_count);
    for (size_t i = 0; i < group->leaf_count; i++)
        sg_pg_item_blob(&params, key_of(&group->leaves[i]));
    sg_pg_end_array(&params);
    SG_TRY(sg_store_pg_ask(store, SG_PG_TAKEN, &params, "look for requests", &result, err));
    for (int row = 0; row < PQntuples(result); row++)
        mark_key(group, order, sg_pg_bytes(result, row, 0));
    *ret_is_any |= PQntuples(result) > 0;
    return SG_OK;
}

/* Runs a statement that puts leaves in; it gives one number, or is stopped by a key. */
static enum sg_rc put(struct sg_store_pg *store, enum sg_pg_statement number,
                      struct sg_pg_params *params, struct sg_store_group *group,
                      const struct in_order *order, int64_t *ret, enum sg_store_outcome *outcome,
                      struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_err why = {0};
    bool is_any = false;

    enum sg_rc rc = sg_store_pg_ask(store, number, params, "append to the log", &result, &why);
    if (rc == SG_OK) {
        *ret = sg_pg_int(result, 0, 0);
        *outcome = *ret >= 1 ? SG_STORE_WRITTEN : SG_STORE_MOVED;
        return SG_OK;
    }
    if (strcmp(sg_pg_violated(&why, result), "leaves_request") == 0) {
        rc = mark_taken(store, group, order, &is_any, &why);
        *outcome = SG_STORE_TAKEN;
        if (rc == SG_OK && !is_any)
            rc = SG_REFUSE(&why, SG_R_STORE_UNAVAILABLE,
                           "could not append to the log: a key was "
                           "taken and is not there");
    }
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

static enum sg_rc prepare_group(struct sg_store_pg *store, struct sg_store_group *group,
                                struct in_order **ret_order, bool *ret_is_taken, struct sg_err *err)
{
    struct in_order *order = calloc(group->leaf_count, sizeof(*order));
    enum sg_rc rc = SG_OK;
    if (order == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not append to the log: no memory");
    sort_keys(group, order);
    *ret_is_taken = mark_twins(group, order);
    if (*ret_is_taken)
        rc = mark_taken(store, group, order, ret_is_taken, err);
    *ret_order = order;
    return rc;
}

static enum sg_rc append(struct sg_store *base, struct sg_store_group *group,
                         enum sg_store_outcome *ret, struct sg_err *err)
{
    struct sg_store_pg *store = pg_of(base);
    struct in_order *order = NULL;
    struct sg_pg_params params;
    bool is_taken = false;
    int64_t moved;

    if (group->log_id == 0 || group->log_id >> SG_STORE_LOG_BITS != 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    enum sg_rc rc = prepare_group(store, group, &order, &is_taken, err);
    if (rc == SG_OK && is_taken) {
        *ret = SG_STORE_TAKEN;
    } else if (rc == SG_OK) {
        sg_pg_params_init(&params, GROUP_BYTES_MAX);
        sg_pg_add_int(&params, (int64_t)group->log_id);
        sg_pg_add_int(&params, (int64_t)group->old_size);
        sg_pg_add_int(&params, (int64_t)(group->old_size + group->leaf_count));
        sg_pg_add_bytes(&params, group->checkpoint);
        add_leaves(&params, group, order);
        if (group->tile_count > 0)
            add_tiles(&params, group);
        rc = put(store, group->tile_count > 0 ? SG_PG_APPEND_TILES : SG_PG_APPEND, &params, group,
                 order, &moved, ret, err);
    }
    free(order);
    return rc;
}

/* The first leaves of a new epoch, which have no request keys. Nobody who appends is between
 * looking for a later epoch and committing while one is made: they are waited for, and wait. */
static enum sg_rc put_epoch(struct sg_store_pg *store, struct sg_pg_params *params,
                            struct sg_store_group *group, const struct in_order *order,
                            int64_t *ret, enum sg_store_outcome *outcome, struct sg_err *err)
{
    static const char lock[] = "BEGIN; LOCK TABLE sealgate.logs IN SHARE ROW EXCLUSIVE MODE";

    enum sg_rc rc = sg_store_pg_ready(store, err);
    if (rc == SG_OK)
        rc = sg_pg_exec(&store->pg, lock, "create a log", NULL, err);
    if (rc != SG_OK) {
        sg_pg_params_done(params);
        return rc;
    }
    rc = put(store, SG_PG_LOG_ADD, params, group, order, ret, outcome, err);
    if (rc == SG_OK)
        rc = sg_pg_exec(&store->pg, "COMMIT", "create a log", NULL, err);
    if (store->pg.conn != NULL && PQtransactionStatus(store->pg.conn) != PQTRANS_IDLE)
        sg_pg_close(&store->pg);
    return rc;
}

static enum sg_rc create_log(struct sg_store *base, struct sg_store_log *log,
                             const struct sg_store_log *ends, struct sg_store_group *group,
                             enum sg_store_outcome *ret, struct sg_err *err)
{
    struct sg_store_pg *store = pg_of(base);
    struct in_order *order = NULL;
    struct sg_pg_params params;
    bool is_taken = false;
    int64_t id = 0;

    group->log_id = 0;
    /* Which of its keys are taken is not asked: for whom would they be marked? */
    struct sg_store_group unmarked = *group;
    enum sg_rc rc = prepare_group(store, &unmarked, &order, &is_taken, err);
    if (rc == SG_OK && is_taken) {
        *ret = SG_STORE_TAKEN;
    } else if (rc == SG_OK) {
        sg_pg_params_init(&params, GROUP_BYTES_MAX);
        sg_pg_add_bytes(&params, sg_slice_str(log->name));
        sg_pg_add_bytes(&params, sg_slice_str(log->origin));
        sg_pg_add_int(&params, log->epoch);
        sg_pg_add_int(&params, (int64_t)group->leaf_count);
        sg_pg_add_bytes(&params, group->checkpoint);
        add_leaves(&params, group, order);
        add_tiles(&params, group);
        sg_pg_add_int(&params, ends == NULL ? 0 : (int64_t)ends->id);
        sg_pg_add_int(&params, ends == NULL ? 0 : (int64_t)ends->size);
        rc = ends == NULL ? put(store, SG_PG_LOG_ADD, &params, group, order, &id, ret, err)
                          : put_epoch(store, &params, group, order, &id, ret, err);
        if (rc == SG_OK && *ret == SG_STORE_WRITTEN)
            log->id = (uint64_t)id;
    }
    free(order);
    return rc;
}

/* ---- reading ---- */

static enum sg_rc read_checkpoint(struct sg_store *base, uint64_t log_id, struct sg_buf *ret,
                                  struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    SG_TRY(sg_store_pg_ask(pg_of(base), SG_PG_CHECKPOINT_READ, &params, "read the checkpoint",
                           &result, err));
    if (PQntuples(result) != 1)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    sg_buf_add_slice(ret, sg_pg_bytes(result, 0, 0));
    return sg_buf_check(ret, err);
}

static enum sg_rc set_checkpoint(struct sg_store *base, uint64_t log_id, uint64_t size,
                                 struct sg_slice checkpoint, struct sg_err *err)
{
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    sg_pg_add_int(&params, (int64_t)size);
    sg_pg_add_bytes(&params, checkpoint);
    return sg_store_pg_ask(pg_of(base), SG_PG_CHECKPOINT_SET, &params, "store a checkpoint", NULL,
                           err);
}

static enum sg_rc log_size(struct sg_store_pg *store, uint64_t log_id, uint64_t *ret_size,
                           uint64_t *ret_first, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    if (log_id == 0 || log_id >> SG_STORE_LOG_BITS != 0)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    SG_TRY(sg_store_pg_ask(store, SG_PG_LOG_SIZE, &params, "read the log", &result, err));
    if (PQntuples(result) != 1)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such log");
    *ret_size = (uint64_t)sg_pg_int(result, 0, 0);
    *ret_first = (uint64_t)sg_pg_int(result, 0, 1);
    return SG_OK;
}

static enum sg_rc tell_leaves(const struct sg_store_reading *reading, const PGresult *result,
                              uint64_t *ret_next, struct sg_err *err)
{
    for (int row = 0; row < PQntuples(result); row++) {
        const int64_t id = sg_pg_int(result, row, 0);
        struct sg_slice key = {0};
        if (reading->with_keys)
            key = sg_pg_bytes(result, row, 2);
        SG_TRY(sg_store_tell_leaf(reading, id, sg_pg_bytes(result, row, 1), key,
                                  reading->with_keys ? sg_pg_int(result, row, 3) : 0, err));
        *ret_next = sg_store_leaf_seq(id) + 1;
    }
    return SG_OK;
}

static enum sg_rc read_leaves(struct sg_store *base, const struct sg_store_reading *reading,
                              struct sg_err *err)
{
    const enum sg_pg_statement list = reading->with_keys ? SG_PG_LEAF_KEYED : SG_PG_LEAF_LIST;
    const uint64_t end = reading->first + reading->count_max;
    uint64_t first = reading->first, size, archived;
    struct sg_store_pg *store = pg_of(base);

    SG_TRY(log_size(store, reading->log_id, &size, &archived, err));
    if (first >= SG_STORE_BEGINNING && first < archived)
        first = archived;
    while (first < end) {
        SG_AUTO(sg_pg_clear) PGresult *result = NULL;
        struct sg_pg_params params;
        sg_pg_params_init(&params, SMALL_BYTES_MAX);
        sg_pg_add_int(&params, sg_store_leaf_id(reading->log_id, first));
        sg_pg_add_int(&params, sg_store_leaf_id(reading->log_id, end));
        sg_pg_add_int(&params, LEAVES_AT_ONCE);
        SG_TRY(sg_store_pg_ask(store, list, &params, "read the log", &result, err));
        SG_TRY(tell_leaves(reading, result, &first, err));
        if (PQntuples(result) < LEAVES_AT_ONCE)
            break;
    }
    return SG_OK;
}

static enum sg_rc find_tile(struct sg_store *base, uint64_t log_id, unsigned level, uint64_t index,
                            uint8_t ret[SG_STORE_TILE_BYTES], struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    sg_pg_add_int(&params, level);
    sg_pg_add_int(&params, (int64_t)index);
    SG_TRY(sg_store_pg_ask(pg_of(base), SG_PG_TILE_FIND, &params, "read a tile", &result, err));
    if (PQntuples(result) != 1)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such tile");
    struct sg_slice hashes = sg_pg_bytes(result, 0, 0);
    if (hashes.len != SG_STORE_TILE_BYTES)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "a tile of the store is not what was written");
    memcpy(ret, hashes.ptr, hashes.len);
    return SG_OK;
}

static enum sg_rc find_request(struct sg_store *base, const uint8_t key[], uint64_t *ret_log_id,
                               uint64_t *ret_seq, struct sg_err *err)
{
    SG_AUTO(sg_pg_clear) PGresult *result = NULL;
    struct sg_pg_params params;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_bytes(&params, sg_slice_of(key, SG_STORE_REQUEST_KEY_BYTES));
    SG_TRY(sg_store_pg_ask(pg_of(base), SG_PG_LEAF_REQUEST, &params, "look for a request", &result,
                           err));
    if (PQntuples(result) != 1)
        return SG_FAIL(err, SG_E_NOT_FOUND, 0, "the store has no such request");
    int64_t id = sg_pg_int(result, 0, 0);
    *ret_log_id = (uint64_t)id >> SG_STORE_SEQ_BITS;
    *ret_seq = sg_store_leaf_seq(id);
    return SG_OK;
}

/* ---- the rest ---- */

static enum sg_rc drop_leaves(struct sg_store *base, uint64_t log_id, uint64_t first,
                              bool *ret_is_done, struct sg_err *err)
{
    struct sg_store_pg *store = pg_of(base);
    uint64_t size, from;
    struct sg_pg_params params;

    SG_TRY(log_size(store, log_id, &size, &from, err));
    if (first > size)
        return SG_FAIL(err, SG_E_INVALID, 0, "the log has no such leaf");
    if (first <= from) {
        *ret_is_done = true;
        return SG_OK;
    }
    uint64_t to = first - from > SG_STORE_DROP_AT_ONCE ? from + SG_STORE_DROP_AT_ONCE : first;
    sg_pg_params_init(&params, SMALL_BYTES_MAX);
    sg_pg_add_int(&params, (int64_t)log_id);
    sg_pg_add_int(&params, (int64_t)from);
    sg_pg_add_int(&params, (int64_t)to);
    sg_pg_add_int(&params, sg_store_drop_id(log_id, from));
    sg_pg_add_int(&params, sg_store_leaf_id(log_id, to));
    return sg_store_pg_ask(store, SG_PG_DROP, &params, "drop archived leaves", NULL, err);
}

static enum sg_rc backup(struct sg_store *base, const char *folder, struct sg_err *err)
{
    (void)base, (void)folder;
    return SG_FAIL(err, SG_E_UNSUPPORTED, 0,
                   "a store in PostgreSQL is copied by pg_dump and put back by pg_restore");
}

static enum sg_rc room(struct sg_store *base, uint64_t *ret, struct sg_err *err)
{
    (void)base, (void)err;
    *ret = UINT64_MAX;
    return SG_OK;
}

const struct sg_store_backend sg_store_pg = {
    .scheme = "postgresql://",
    .open = open_store,
    .migrate = sg_store_pg_migrate,
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
    .indexed = sg_store_pg_indexed,
    .index = sg_store_pg_index,
    .search = sg_store_pg_find,
    .drop_leaves = drop_leaves,
    .backup = backup,
    .room = room,
};
