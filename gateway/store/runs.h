#ifndef SG_GATEWAY_STORE_RUNS_H
#define SG_GATEWAY_STORE_RUNS_H

#include "gateway/store/store.h"

/*
 * The form of the search index, the same in every store.
 *
 * Facts that were added together are a run: sorted, and cut into chunks. A chunk is one row of the
 * store, with its first entry as its key. Adding costs little, because a row holds many facts and
 * rows are written in the order in which they lie; were each fact a row where it belongs, each
 * would land on a page of its own once the log is long.
 *
 * A search looks into each run. So that they stay few, a new run swallows the newest ones before
 * it, as long as these are not much larger than it: a fact is written again some times while the
 * runs around it grow, and never once its run is full.
 */
enum {
    SG_RUN_ENTRY_BYTES = SG_STORE_FACT_BYTES + 8, /* the fact, then the leaf's number, big-endian */
    SG_RUN_CHUNK_ENTRIES = 46, /* with them a row of SQLite lies on one page, four to a page */
    SG_RUN_ENTRIES_MAX = 1 << 18,
    SG_RUNS_NEWEST = 32, /* so many are looked at for swallowing; more are hardly that small */
};

/* The facts of leaves from `first` to before `upto`. */
struct sg_run {
    uint64_t first, upto, count;
};

/* How many of the newest runs, the newest first, one of `added` entries is to swallow. */
size_t sg_runs_swallowed(const struct sg_run *runs, size_t count, uint64_t added);

/* The entries of a run, in order. Zeroed memory holds none. */
struct sg_run_entries {
    uint8_t *bytes;
    size_t count, room;
};
void sg_run_entries_done(struct sg_run_entries *entries);
static inline void sg_run_entries_donep(struct sg_run_entries *entries)
{
    sg_run_entries_done(entries);
}

/* Of facts that are sorted; one that comes twice is taken once. */
SG_MUST_USE enum sg_rc sg_run_entries_of(const struct sg_store_fact *facts, size_t count,
                                         struct sg_run_entries *ret, struct sg_err *err);
/* Adds the next chunk of a run that is read. Errors: SG_E_INTERNAL STORE_BROKEN for one that was
 * not written so. */
SG_MUST_USE enum sg_rc sg_run_entries_add(struct sg_run_entries *entries, struct sg_slice chunk,
                                          struct sg_err *err);
/* Takes what `other` holds in. */
SG_MUST_USE enum sg_rc sg_run_entries_merge(struct sg_run_entries *entries,
                                            struct sg_run_entries *other, struct sg_err *err);
/* The chunk with this number, from 0; empty: there are no more. */
struct sg_slice sg_run_chunk(const struct sg_run_entries *entries, size_t number);
/* A chunk's first entry. */
struct sg_slice sg_run_head(struct sg_slice chunk);

/* A search: leaves from `first` on with this fact, in order. */
struct sg_run_search {
    const uint8_t *fact;
    uint64_t first;
    uint64_t *seqs;
    size_t max, count;
    /* Between these two lie the entries that are wanted. In each run the first is in the chunk with
     * the greatest head that is not above `from`; more are in those that follow, up to `to`. */
    uint8_t from[SG_RUN_ENTRY_BYTES], to[SG_RUN_ENTRY_BYTES];
};
void sg_run_search_begin(struct sg_run_search *search);
/* Takes what is wanted out of a chunk. `*ret_more`: it may go on in the run's next one. Errors as
 * for sg_run_entries_add(). */
SG_MUST_USE enum sg_rc sg_run_look(struct sg_run_search *search, struct sg_slice chunk,
                                   bool *ret_more, struct sg_err *err);

#endif
