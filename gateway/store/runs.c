#include "gateway/store/runs.h"

#include <stdlib.h>

enum { CHUNK_BYTES_MAX = SG_RUN_CHUNK_ENTRIES * SG_RUN_ENTRY_BYTES };

size_t sg_runs_swallowed(const struct sg_run *runs, size_t count, uint64_t added)
{
    size_t swallowed = 0;

    while (swallowed < count && runs[swallowed].count <= 2 * added &&
           runs[swallowed].count + added <= SG_RUN_ENTRIES_MAX)
        added += runs[swallowed++].count;
    return swallowed;
}

/* Entries ---------------------------------------------------------------------------------- */

void sg_run_entries_done(struct sg_run_entries *entries)
{
    free(entries->bytes);
    *entries = (struct sg_run_entries){0};
}

static uint8_t *entry_at(const struct sg_run_entries *entries, size_t number)
{
    return entries->bytes + number * SG_RUN_ENTRY_BYTES;
}

static enum sg_rc make_room(struct sg_run_entries *entries, size_t added, struct sg_err *err)
{
    if (added <= entries->room - entries->count)
        return SG_OK;
    size_t room = entries->room * 2;
    if (room < entries->count + added)
        room = entries->count + added;
    uint8_t *bytes = realloc(entries->bytes, room * SG_RUN_ENTRY_BYTES);
    if (bytes == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for the search index");
    entries->bytes = bytes;
    entries->room = room;
    return SG_OK;
}

enum sg_rc sg_run_entries_of(const struct sg_store_fact *facts, size_t count,
                             struct sg_run_entries *ret, struct sg_err *err)
{
    SG_TRY(make_room(ret, count, err));
    for (size_t i = 0; i < count; i++) {
        uint8_t *entry = entry_at(ret, ret->count);
        memcpy(entry, facts[i].bytes, SG_STORE_FACT_BYTES);
        sg_put_be64(entry + SG_STORE_FACT_BYTES, facts[i].seq);
        /* A leaf may say one thing twice. */
        const bool is_again =
            ret->count > 0 && memcmp(entry_at(ret, ret->count - 1), entry, SG_RUN_ENTRY_BYTES) == 0;
        ret->count += is_again ? 0 : 1;
    }
    return SG_OK;
}

static enum sg_rc judge(struct sg_slice chunk, struct sg_err *err)
{
    if (chunk.len == 0 || chunk.len > CHUNK_BYTES_MAX || chunk.len % SG_RUN_ENTRY_BYTES != 0)
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "a row of the search index is not what was written");
    return SG_OK;
}

enum sg_rc sg_run_entries_add(struct sg_run_entries *entries, struct sg_slice chunk,
                              struct sg_err *err)
{
    SG_TRY(judge(chunk, err));
    const size_t count = chunk.len / SG_RUN_ENTRY_BYTES;
    if (count > SG_RUN_ENTRIES_MAX - entries->count)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "a run of the search index is too long");
    SG_TRY(make_room(entries, count, err));
    memcpy(entry_at(entries, entries->count), chunk.ptr, chunk.len);
    entries->count += count;
    return SG_OK;
}

/* From the end, so that no room is needed but its own: what is behind the place that is written is
 * merged, and what is before it is not yet. */
enum sg_rc sg_run_entries_merge(struct sg_run_entries *entries, struct sg_run_entries *other,
                                struct sg_err *err)
{
    SG_TRY(make_room(entries, other->count, err));
    size_t ours = entries->count, theirs = other->count, at = ours + theirs;

    entries->count = at;
    while (theirs > 0) {
        const bool is_ours =
            ours > 0 && memcmp(entry_at(entries, ours - 1), entry_at(other, theirs - 1),
                               SG_RUN_ENTRY_BYTES) > 0;
        const uint8_t *last = is_ours ? entry_at(entries, --ours) : entry_at(other, --theirs);
        memcpy(entry_at(entries, --at), last, SG_RUN_ENTRY_BYTES);
    }
    sg_run_entries_done(other);
    return SG_OK;
}

struct sg_slice sg_run_chunk(const struct sg_run_entries *entries, size_t number)
{
    const size_t first = number * SG_RUN_CHUNK_ENTRIES;
    if (first >= entries->count)
        return SG_SLICE("");
    const size_t left = entries->count - first;
    return sg_slice_of(entry_at(entries, first),
                       (left < SG_RUN_CHUNK_ENTRIES ? left : SG_RUN_CHUNK_ENTRIES) *
                           SG_RUN_ENTRY_BYTES);
}

struct sg_slice sg_run_head(struct sg_slice chunk)
{
    return sg_slice_of(chunk.ptr, SG_RUN_ENTRY_BYTES);
}

/* Searching -------------------------------------------------------------------------------- */

void sg_run_search_begin(struct sg_run_search *search)
{
    memcpy(search->from, search->fact, SG_STORE_FACT_BYTES);
    sg_put_be64(search->from + SG_STORE_FACT_BYTES, search->first);
    memcpy(search->to, search->fact, SG_STORE_FACT_BYTES);
    sg_put_be64(search->to + SG_STORE_FACT_BYTES, UINT64_MAX);
    search->count = 0;
}

enum sg_rc sg_run_look(struct sg_run_search *search, struct sg_slice chunk, bool *ret_more,
                       struct sg_err *err)
{
    SG_TRY(judge(chunk, err));
    *ret_more = true;
    while (chunk.len > 0) {
        const uint8_t *entry = sg_slice_take(&chunk, SG_RUN_ENTRY_BYTES).ptr;
        if (memcmp(entry, search->from, SG_RUN_ENTRY_BYTES) < 0)
            continue;
        *ret_more =
            memcmp(entry, search->to, SG_RUN_ENTRY_BYTES) <= 0 && search->count < search->max;
        if (!*ret_more)
            break;
        search->seqs[search->count++] = sg_be64(entry + SG_STORE_FACT_BYTES);
    }
    return SG_OK;
}
