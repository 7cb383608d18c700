#ifndef SG_GATEWAY_STORE_STORE_H
#define SG_GATEWAY_STORE_STORE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * What Sealgate keeps, in its own terms: logs, their leaves, tiles and checkpoints. SQLite and
 * PostgreSQL are behind it, and nobody above knows which.
 *
 * A store that is open is one connection. Thread: one at a time for each; every call blocks, so
 * none is made on the loop, and one that has to find PostgreSQL's address by its name for as long
 * as the C library takes. Everything that SG_OK is returned for is on the disk.
 *
 * Several processes may be open on one store: two gateways while one takes over from the other,
 * and gateways with a log each on one PostgreSQL. A log that somebody else has appended to is told
 * (SG_STORE_MOVED), never overwritten.
 *
 * Errors of all calls: SG_E_UNAVAILABLE STORE_UNAVAILABLE, the store is away, try again (the
 * connection is made anew by the next call); SG_E_UNAVAILABLE STORE_FULL, there is no room;
 * SG_E_CONFLICT AUDIT_NOT_INITIALISED, there is none yet; STORE_SCHEMA, another version, `sealgated
 * migrate`; SG_E_INTERNAL STORE_BROKEN, it is not what was written.
 */
struct sg_store;

enum {
    SG_STORE_SCHEMA = 2, /* the version that this program writes */
    SG_STORE_NAME_LEN_MAX = 63,
    SG_STORE_ORIGIN_LEN_MAX = 255,
    SG_STORE_TILE_HASHES = 256,
    SG_STORE_TILE_BYTES = SG_STORE_TILE_HASHES * 32,
    SG_STORE_REQUEST_KEY_BYTES = 24,
    SG_STORE_FACT_BYTES = 12,
    SG_STORE_CHECKPOINT_BYTES_MAX = 128 * 1024,
    SG_STORE_GROUP_MAX = 1024,
    SG_STORE_BEGINNING = 8, /* leaves that a log begins with, which are never dropped */
    SG_STORE_RECORD_BYTES_MAX = 64 * 1024,
    SG_STORE_FACTS_MAX = 64 * SG_STORE_GROUP_MAX, /* that are indexed at once */
    SG_STORE_FOUND_MAX = 4096,                    /* that a search gives at once */
};

/*
 * `url`: "sqlite:FOLDER", or a libpq URI "postgresql://...". Of SQLite the folder holds store.db
 * and, rebuilt from it whenever it is lost, search.db.
 */
SG_MUST_USE enum sg_rc sg_store_open(const char *url, struct sg_store **ret, struct sg_err *err);
/* For reading alone: works on a folder that may not be written. */
SG_MUST_USE enum sg_rc sg_store_open_read(const char *url, struct sg_store **ret,
                                          struct sg_err *err);
void sg_store_close(struct sg_store *store);
SG_DEFINE_AUTO(struct sg_store, sg_store_close);

/* Makes the store, or brings it from any earlier version to this one, a numbered step at a time.
 * `ret_from` is the version that it had, 0: none. Changes nothing where there is nothing to do. */
SG_MUST_USE enum sg_rc sg_store_migrate(const char *url, unsigned *ret_from, struct sg_err *err);

/* Refuses settings of the store, by what it says itself, that can lose what was acknowledged:
 * synchronous_commit, fsync, full_page_writes. Errors: SG_E_CONFLICT STORE_UNSAFE names them. */
SG_MUST_USE enum sg_rc sg_store_check_safe(struct sg_store *store, struct sg_err *err);

/* The key that page tokens are sealed with: made with the store, the same for all who share it. */
SG_MUST_USE enum sg_rc sg_store_seal_key(struct sg_store *store, uint8_t ret[32],
                                         struct sg_err *err);

/* A log. Its id is the store's; a new epoch of a log is another log with a higher one. */
struct sg_store_log {
    uint64_t id;
    char name[SG_STORE_NAME_LEN_MAX + 1];
    char origin[SG_STORE_ORIGIN_LEN_MAX + 1];
    uint32_t epoch; /* from 1 */
    uint64_t size;  /* leaves */
    uint64_t first; /* leaves before it are archived, but for what the log begins with */
};

/* The newest epoch of the log with this name. Errors: SG_E_NOT_FOUND. */
SG_MUST_USE enum sg_rc sg_store_find_log(struct sg_store *store, const char *name,
                                         struct sg_store_log *ret, struct sg_err *err);
/* One epoch of it; 0: the newest. Errors: SG_E_NOT_FOUND. */
SG_MUST_USE enum sg_rc sg_store_find_epoch(struct sg_store *store, const char *name, uint32_t epoch,
                                           struct sg_store_log *ret, struct sg_err *err);
/* Every log and epoch, oldest first. */
typedef enum sg_rc (*sg_store_log_fn)(void *arg, const struct sg_store_log *log,
                                      struct sg_err *err);
SG_MUST_USE enum sg_rc sg_store_each_log(struct sg_store *store, sg_store_log_fn fn, void *arg,
                                         struct sg_err *err);

/* One leaf that is to be appended. */
struct sg_store_leaf {
    struct sg_slice record;
    /* No two leaves of the store may have the same; all zero: none. The first six bytes grow with
     * time where the caller's id does, so that an index over them grows at its end. */
    uint8_t request_key[SG_STORE_REQUEST_KEY_BYTES];
    bool is_taken; /* out, with SG_STORE_TAKEN: somebody else has it */
};

/* 256 complete hashes of one level; level n has the roots of full tiles of level n - 1. */
struct sg_store_tile {
    unsigned level;
    uint64_t index;
    uint8_t hashes[SG_STORE_TILE_BYTES];
};

struct sg_store_group {
    uint64_t log_id;
    uint64_t old_size; /* that the caller knows; the first leaf gets this number */
    struct sg_store_leaf *leaves;
    size_t leaf_count;
    const struct sg_store_tile *tiles; /* that these leaves fill */
    size_t tile_count;
    struct sg_slice checkpoint; /* of the new size */
};

enum sg_store_outcome {
    SG_STORE_UNSET = 0,
    SG_STORE_WRITTEN,
    SG_STORE_MOVED, /* the log has another size by now, or a new epoch; nothing was written */
    SG_STORE_TAKEN, /* some leaves' keys are taken, and are marked; nothing was written */
};

/* All of it or nothing, in one commit. */
SG_MUST_USE enum sg_rc sg_store_append(struct sg_store *store, struct sg_store_group *group,
                                       enum sg_store_outcome *ret, struct sg_err *err);
/* A new log with its first leaves, of which `group->log_id` and old_size are ignored; `log->id`,
 * size and first are set. `ends` (NULL: none) is the epoch before it, which nothing is appended to
 * from that commit on: whoever tries is told SG_STORE_MOVED. Errors: SG_E_CONFLICT: name and epoch
 * exist, or `ends` has another size by now or is not the epoch before. */
SG_MUST_USE enum sg_rc sg_store_create_log(struct sg_store *store, struct sg_store_log *log,
                                           const struct sg_store_log *ends,
                                           const struct sg_store_group *group, struct sg_err *err);

/* Appends the newest checkpoint, a signed note; whatever it was written with. */
SG_MUST_USE enum sg_rc sg_store_read_checkpoint(struct sg_store *store, uint64_t log_id,
                                                struct sg_buf *ret, struct sg_err *err);
/* Adds witnesses' signatures to it; nothing happens when the log is not of this size any more. */
SG_MUST_USE enum sg_rc sg_store_set_checkpoint(struct sg_store *store, uint64_t log_id,
                                               uint64_t size, struct sg_slice checkpoint,
                                               struct sg_err *err);

/* Leaves from `first` on, in order, at most `count_max`. What `fn` fails with ends it and is
 * returned. `record` lives for the call. */
typedef enum sg_rc (*sg_store_leaf_fn)(void *arg, uint64_t seq, struct sg_slice record,
                                       struct sg_err *err);
SG_MUST_USE enum sg_rc sg_store_read_leaves(struct sg_store *store, uint64_t log_id, uint64_t first,
                                            uint64_t count_max, sg_store_leaf_fn fn, void *arg,
                                            struct sg_err *err);
/* The same with the request key that each has in the store (empty: none), for whoever proves the
 * log. Errors: also SG_E_INTERNAL STORE_BROKEN: sg_store_find_request() would not find one. */
typedef enum sg_rc (*sg_store_keyed_fn)(void *arg, uint64_t seq, struct sg_slice record,
                                        struct sg_slice request_key, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_store_read_keyed(struct sg_store *store, uint64_t log_id, uint64_t first,
                                           uint64_t count_max, sg_store_keyed_fn fn, void *arg,
                                           struct sg_err *err);
/* Errors: SG_E_NOT_FOUND. */
SG_MUST_USE enum sg_rc sg_store_find_tile(struct sg_store *store, uint64_t log_id, unsigned level,
                                          uint64_t index, uint8_t ret[SG_STORE_TILE_BYTES],
                                          struct sg_err *err);
/* The leaf that has this key. Errors: SG_E_NOT_FOUND. */
SG_MUST_USE enum sg_rc sg_store_find_request(struct sg_store *store,
                                             const uint8_t key[SG_STORE_REQUEST_KEY_BYTES],
                                             uint64_t *ret_log_id, uint64_t *ret_seq,
                                             struct sg_err *err);

/*
 * Finding leaves by what they say. A fact is a kind and the beginning of a hash, so what is found
 * must be read and compared. The index is derived and may lag: `sg_store_indexed()` leaves of a
 * log are in it, and the others are for the caller to look through.
 */
struct sg_store_fact {
    uint8_t bytes[SG_STORE_FACT_BYTES];
    uint64_t seq;
};
SG_MUST_USE enum sg_rc sg_store_indexed(struct sg_store *store, uint64_t log_id, uint64_t *ret,
                                        struct sg_err *err);
/* Adds facts of the leaves from sg_store_indexed() to `indexed`, which it moves there. Sorts them:
 * neighbours cost less. Nothing happens when somebody else has moved it (SG_OK). */
SG_MUST_USE enum sg_rc sg_store_index(struct sg_store *store, uint64_t log_id, uint64_t from,
                                      uint64_t indexed, struct sg_store_fact *facts, size_t count,
                                      struct sg_err *err);
/* Leaves from `first` on with this fact, in order; at most `max`, `*ret_count` of them. */
SG_MUST_USE enum sg_rc sg_store_search(struct sg_store *store, uint64_t log_id,
                                       const uint8_t fact[SG_STORE_FACT_BYTES], uint64_t first,
                                       uint64_t *ret_seqs, size_t max, size_t *ret_count,
                                       struct sg_err *err);

/* Takes the leaves before `first` out of the store, once they are elsewhere; tiles stay, and so do
 * the request keys, and the SG_STORE_BEGINNING first leaves, which say whose log it is. */
SG_MUST_USE enum sg_rc sg_store_drop_leaves(struct sg_store *store, uint64_t log_id, uint64_t first,
                                            struct sg_err *err);

/* A copy of the whole store, while it is in use, into a folder that it makes (SQLite). Of
 * PostgreSQL: SG_E_UNSUPPORTED, pg_dump does it. */
SG_MUST_USE enum sg_rc sg_store_backup(struct sg_store *store, const char *folder,
                                       struct sg_err *err);

/* Bytes that are free where it is kept; UINT64_MAX where that cannot be known. */
SG_MUST_USE enum sg_rc sg_store_room(struct sg_store *store, uint64_t *ret, struct sg_err *err);

#endif
