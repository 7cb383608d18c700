#include "gateway/rpc/audit_leaves.h"

#include <stdlib.h>

#include "gateway/audit/facts.h"

enum {
    SCANNED_MAX = 20000, /* leaves that are looked through for one page */
    FOUND_MAX = 256,     /* of the index, at once */
};

static bool is_or_unset(struct sg_slice wanted, struct sg_slice value)
{
    return wanted.len == 0 || sg_slice_eq(wanted, value);
}

/* "keys/x" means each of its versions. */
static bool is_key(struct sg_slice wanted, struct sg_slice version)
{
    return is_or_unset(wanted, version) ||
           (version.len > wanted.len && version.ptr[wanted.len] == '/' &&
            memcmp(version.ptr, wanted.ptr, wanted.len) == 0);
}

bool sg_leaves_match(const struct sg_leaves_filter *filter, const struct sg_audit_record *record)
{
    return (filter->event == SG_AUDIT_UNSET || filter->event == record->event) &&
           is_or_unset(filter->caller, record->caller) &&
           is_key(filter->key, record->key_version) &&
           is_or_unset(filter->request_id, record->request_id) &&
           (is_or_unset(filter->digest, record->digest) ||
            is_or_unset(filter->digest, record->document_digest)) &&
           is_or_unset(filter->signature, record->signature) &&
           is_or_unset(filter->public_key_sha256, record->public_key_sha256) &&
           is_or_unset(filter->document_number, record->document_number) &&
           (filter->since_ns == 0 || record->time_ns >= filter->since_ns) &&
           (filter->until_ns == 0 || record->time_ns < filter->until_ns);
}

/* The question while it is answered. */
struct page {
    const struct sg_leaves_filter *filter;
    struct sg_leaves *leaves;
    size_t max;
};

static bool is_full(const struct page *page)
{
    return page->leaves->count == page->max ||
           page->leaves->bytes.len + SG_AUDIT_RECORD_BYTES_MAX > page->leaves->bytes.max;
}

/* SG_E_AGAIN: the page is full, and this leaf is the next one's. */
static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct page *page = arg;
    struct sg_leaves *leaves = page->leaves;
    struct sg_audit_record record;

    if (is_full(page))
        return SG_E_AGAIN;
    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    leaves->next = seq + 1;
    if (!sg_leaves_match(page->filter, &record))
        return SG_OK;
    sg_buf_add_slice(&leaves->bytes, bytes);
    SG_TRY(sg_buf_check(&leaves->bytes, err));
    leaves->seqs[leaves->count] = seq;
    leaves->ends[leaves->count++] = leaves->bytes.len;
    return SG_OK;
}

/* The one field of the filter that the index knows, if it has one. */
static enum sg_audit_fact_kind indexed_field(const struct sg_leaves_filter *filter,
                                             struct sg_slice *ret)
{
    const struct {
        enum sg_audit_fact_kind kind;
        struct sg_slice value;
    } fields[] = {
        {SG_AUDIT_FACT_SIGNATURE, filter->signature},
        {SG_AUDIT_FACT_DIGEST, filter->digest},
        {SG_AUDIT_FACT_REQUEST, filter->request_id},
        {SG_AUDIT_FACT_NUMBER, filter->document_number},
        {SG_AUDIT_FACT_PUBLIC_KEY, filter->public_key_sha256},
    };
    for (size_t i = 0; i < SG_COUNT(fields); i++) {
        *ret = fields[i].value;
        if (ret->len > 0)
            return fields[i].kind;
    }
    return SG_AUDIT_FACT_UNSET;
}

/* The next leaves, each in turn. */
static enum sg_rc scan(struct sg_audit_reader *reader, uint64_t log_id, struct page *page,
                       uint64_t count, struct sg_err *err)
{
    enum sg_rc rc =
        sg_store_read_leaves(reader->store, log_id, page->leaves->next, count, on_leaf, page, err);
    return rc == SG_E_AGAIN ? SG_OK : rc;
}

/* By the index, as far as it goes. */
static enum sg_rc search(struct sg_audit_reader *reader, uint64_t log_id, struct page *page,
                         enum sg_audit_fact_kind kind, struct sg_slice value, struct sg_err *err)
{
    uint8_t fact[SG_STORE_FACT_BYTES];
    uint64_t seqs[FOUND_MAX], indexed = 0;
    size_t count = FOUND_MAX;

    SG_TRY(sg_audit_fact(kind, value, fact, err));
    SG_TRY(sg_store_indexed(reader->store, log_id, &indexed, err));
    while (count == FOUND_MAX && !is_full(page) && page->leaves->next < indexed) {
        SG_TRY(sg_store_search(reader->store, log_id, fact, page->leaves->next, seqs, FOUND_MAX,
                               &count, err));
        for (size_t i = 0; i < count; i++) {
            enum sg_rc rc =
                sg_store_read_leaves(reader->store, log_id, seqs[i], 1, on_leaf, page, err);
            if (rc == SG_E_AGAIN)
                return SG_OK;
            SG_TRY(rc);
            if (page->leaves->next <= seqs[i]) /* it has left the store meanwhile */
                page->leaves->next = seqs[i] + 1;
        }
    }
    if (!is_full(page) && page->leaves->next < indexed)
        page->leaves->next = indexed;
    return SG_OK;
}

enum sg_rc sg_leaves_skip(struct sg_audit_reader *reader, uint64_t log_id,
                          const struct sg_leaves_filter *filter, uint64_t *place,
                          struct sg_err *err)
{
    struct sg_slice value;
    uint8_t fact[SG_STORE_FACT_BYTES];
    uint64_t indexed = 0, found;
    size_t count = 0;
    const enum sg_audit_fact_kind kind = indexed_field(filter, &value);

    if (kind == SG_AUDIT_FACT_UNSET)
        return SG_OK;
    SG_TRY(sg_audit_fact(kind, value, fact, err));
    SG_TRY(sg_store_indexed(reader->store, log_id, &indexed, err));
    if (*place >= indexed)
        return SG_OK;
    SG_TRY(sg_store_search(reader->store, log_id, fact, *place, &found, 1, &count, err));
    *place = count == 1 ? found : indexed;
    return SG_OK;
}

static enum sg_rc read_page(struct sg_audit_reader *reader, uint64_t log_id, struct page *page,
                            uint64_t size, struct sg_err *err)
{
    struct sg_slice value;
    const enum sg_audit_fact_kind kind = indexed_field(page->filter, &value);

    if (kind != SG_AUDIT_FACT_UNSET)
        SG_TRY(search(reader, log_id, page, kind, value, err));
    if (!is_full(page) && page->leaves->next < size) {
        const uint64_t left = size - page->leaves->next;
        SG_TRY(scan(reader, log_id, page, left < SCANNED_MAX ? left : SCANNED_MAX, err));
    }
    page->leaves->is_more = page->leaves->next < size;
    return SG_OK;
}

static enum sg_rc on_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    struct sg_store_log *wanted = arg;
    (void)err;
    if (log->id == wanted->id)
        *wanted = *log;
    return SG_OK;
}

enum sg_rc sg_leaves_read(struct sg_audit_reader *reader, uint64_t log_id,
                          const struct sg_leaves_filter *filter, uint64_t first, size_t max,
                          struct sg_leaves *ret, struct sg_err *err)
{
    struct page page = {.filter = filter, .leaves = ret, .max = max};
    struct sg_store_log log = {.id = log_id};

    SG_ASSERT(max <= SG_LEAVES_PAGE_MAX);
    SG_TRY(sg_store_each_log(reader->store, on_log, &log, err));
    *ret = (struct sg_leaves){.next = first > log.first ? first : log.first};
    sg_buf_init(&ret->bytes, SG_LEAVES_BYTES_MAX);
    ret->seqs = calloc(max, sizeof(*ret->seqs));
    ret->ends = calloc(max, sizeof(*ret->ends));
    enum sg_rc rc = ret->seqs == NULL || ret->ends == NULL
                        ? SG_FAIL(err, SG_E_LIMIT, 0, "no memory for leaves")
                        : read_page(reader, log_id, &page, log.size, err);
    if (rc != SG_OK)
        sg_leaves_done(ret);
    return rc;
}

void sg_leaves_done(struct sg_leaves *leaves)
{
    free(leaves->seqs);
    free(leaves->ends);
    sg_buf_done(&leaves->bytes);
    *leaves = (struct sg_leaves){0};
}

struct sg_slice sg_leaves_record(const struct sg_leaves *leaves, size_t i)
{
    const size_t begin = i == 0 ? 0 : leaves->ends[i - 1];
    return sg_slice_of(leaves->bytes.ptr + begin, leaves->ends[i] - begin);
}
