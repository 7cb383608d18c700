#include <stdlib.h>

#include "gateway/audit/audit_priv.h"
#include "gateway/audit/facts.h"

/*
 * What leaves can be found by, beside their numbers. It is added behind the log, some thousands at
 * a time: so costs of a call and of sorting are shared.
 */
enum { LEAVES_MAX = 8192 };
_Static_assert(LEAVES_MAX *SG_AUDIT_FACTS_MAX <= SG_STORE_FACTS_MAX, "all are indexed at once");

struct indexing {
    struct sg_store_fact *facts;
    size_t count;
    uint64_t next;
};

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct indexing *indexing = arg;
    struct sg_audit_record record;

    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    SG_TRY(
        sg_audit_facts_of(&record, seq, &indexing->facts[indexing->count], &indexing->count, err));
    indexing->next = seq + 1;
    return SG_OK;
}

enum sg_rc sg_audit_index_some(struct sg_store *store, const struct sg_store_log *log,
                               uint64_t size, bool *ret_more, struct sg_err *err)
{
    struct sg_store_log now;
    uint64_t from = 0;

    *ret_more = false;
    SG_TRY(sg_store_indexed(store, log->id, &from, err));
    if (from >= size)
        return SG_OK;
    SG_TRY(sg_store_find_epoch(store, log->name, log->epoch, &now, err));
    if (from < now.first) { /* those are in an archive: there is nothing to find */
        *ret_more = true;
        return sg_store_index(store, log->id, from, now.first, NULL, 0, err);
    }
    struct indexing indexing = {.next = from};
    indexing.facts = malloc(LEAVES_MAX * SG_AUDIT_FACTS_MAX * sizeof(*indexing.facts));
    if (indexing.facts == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory to index the log");
    const uint64_t count = size - from < LEAVES_MAX ? size - from : LEAVES_MAX;
    enum sg_rc rc = sg_store_read_leaves(store, log->id, from, count, on_leaf, &indexing, err);
    if (rc == SG_OK && indexing.next > from)
        rc = sg_store_index(store, log->id, from, indexing.next, indexing.facts, indexing.count,
                            err);
    free(indexing.facts);
    *ret_more = rc == SG_OK && indexing.next < size && indexing.next > from;
    return rc;
}
