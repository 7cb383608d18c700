#ifndef SG_GATEWAY_STORE_STORE_PRIV_H
#define SG_GATEWAY_STORE_STORE_PRIV_H

#include "gateway/store/store.h"

/* What is to be read of a log. */
struct sg_store_reading {
    uint64_t log_id, first, count_max;
    bool with_keys; /* else all are told as empty */
    sg_store_keyed_fn fn;
    void *arg;
};

/*
 * What a backend does; the calls are those of store.h, which has judged their arguments: no number
 * of leaves, tiles or bytes is over its limit, and no place in a log over 2^40.
 */
struct sg_store_backend {
    const char *scheme; /* of its URLs: "sqlite:" */
    enum sg_rc (*open)(const char *url, bool is_read_only, struct sg_store **ret,
                       struct sg_err *err);
    enum sg_rc (*migrate)(const char *url, unsigned *ret_from, struct sg_err *err);
    void (*close)(struct sg_store *store);
    enum sg_rc (*check_safe)(struct sg_store *store, struct sg_err *err);
    enum sg_rc (*seal_key)(struct sg_store *store, uint8_t ret[32], struct sg_err *err);
    /* Every log in the order of their ids; or, with a name, the newest epoch of that one. */
    enum sg_rc (*each_log)(struct sg_store *store, const char *name, sg_store_log_fn fn, void *arg,
                           struct sg_err *err);
    enum sg_rc (*append)(struct sg_store *store, struct sg_store_group *group,
                         enum sg_store_outcome *ret, struct sg_err *err);
    /* SG_STORE_MOVED: name and epoch exist, or `ends` is not as it is told. Sets `log->id`. */
    enum sg_rc (*create_log)(struct sg_store *store, struct sg_store_log *log,
                             const struct sg_store_log *ends, struct sg_store_group *group,
                             enum sg_store_outcome *ret, struct sg_err *err);
    enum sg_rc (*read_checkpoint)(struct sg_store *store, uint64_t log_id, struct sg_buf *ret,
                                  struct sg_err *err);
    enum sg_rc (*set_checkpoint)(struct sg_store *store, uint64_t log_id, uint64_t size,
                                 struct sg_slice checkpoint, struct sg_err *err);
    enum sg_rc (*read_leaves)(struct sg_store *store, const struct sg_store_reading *reading,
                              struct sg_err *err);
    enum sg_rc (*find_tile)(struct sg_store *store, uint64_t log_id, unsigned level, uint64_t index,
                            uint8_t ret[SG_STORE_TILE_BYTES], struct sg_err *err);
    enum sg_rc (*find_request)(struct sg_store *store, const uint8_t key[], uint64_t *ret_log_id,
                               uint64_t *ret_seq, struct sg_err *err);
    enum sg_rc (*indexed)(struct sg_store *store, uint64_t log_id, uint64_t *ret,
                          struct sg_err *err);
    /* The facts are sorted. */
    enum sg_rc (*index)(struct sg_store *store, uint64_t log_id, uint64_t from, uint64_t indexed,
                        const struct sg_store_fact *facts, size_t count, struct sg_err *err);
    enum sg_rc (*search)(struct sg_store *store, uint64_t log_id, const uint8_t fact[],
                         uint64_t first, uint64_t *ret_seqs, size_t max, size_t *ret_count,
                         struct sg_err *err);
    /* Of the leaves before `first` some thousands at once, until `*ret_is_done`. */
    enum sg_rc (*drop_leaves)(struct sg_store *store, uint64_t log_id, uint64_t first,
                              bool *ret_is_done, struct sg_err *err);
    enum sg_rc (*backup)(struct sg_store *store, const char *folder, struct sg_err *err);
    enum sg_rc (*room)(struct sg_store *store, uint64_t *ret, struct sg_err *err);
};

extern const struct sg_store_backend sg_store_sqlite, sg_store_pg;

/* The beginning of what a backend calls a store. */
struct sg_store {
    const struct sg_store_backend *backend;
    bool is_read_only;
};

enum {
    SG_STORE_SEQ_BITS = 40,
    SG_STORE_LOG_BITS = 22,
    SG_STORE_LEVEL_MAX = 5, /* 256^5 leaves are 2^40 */
    SG_STORE_DROP_AT_ONCE = 2048,
};

/* The number under which the store has a leaf: in the order of logs, then of leaves. */
static inline int64_t sg_store_leaf_id(uint64_t log_id, uint64_t seq)
{
    return (int64_t)(log_id << SG_STORE_SEQ_BITS | seq);
}

/* The first that is dropped of the leaves from `from` on. */
static inline int64_t sg_store_drop_id(uint64_t log_id, uint64_t from)
{
    return sg_store_leaf_id(log_id, from < SG_STORE_BEGINNING ? SG_STORE_BEGINNING : from);
}

static inline uint64_t sg_store_leaf_seq(int64_t leaf_id)
{
    return (uint64_t)leaf_id & ((UINT64_C(1) << SG_STORE_SEQ_BITS) - 1);
}

static inline bool sg_store_has_request_key(const struct sg_store_leaf *leaf)
{
    static const uint8_t none[SG_STORE_REQUEST_KEY_BYTES];
    return memcmp(leaf->request_key, none, sizeof(none)) != 0;
}

/* Tells of a leaf; `found_id` is the leaf that its key is found under, 0: none. */
enum sg_rc sg_store_tell_leaf(const struct sg_store_reading *reading, int64_t leaf_id,
                              struct sg_slice record, struct sg_slice key, int64_t found_id,
                              struct sg_err *err);

/*
 * What the store says of itself, judged: whether this program may use it. `schema` is the version
 * that it has, `serves` the oldest version that a program may have been written for.
 */
enum sg_rc sg_store_judge_schema(int64_t schema, int64_t serves, struct sg_err *err);

/* Random bytes of the kernel. */
enum sg_rc sg_store_random(uint8_t *ret, size_t len, struct sg_err *err);

#endif
