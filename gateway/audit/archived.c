#include "gateway/audit/archived.h"

#include <stdio.h>

#include "formats/raw/digest.h"

/* Statements there are fewer of than leaves. */
static const uint64_t number_max = UINT64_C(1) << 40;

static size_t write_detail(const char *origin, uint64_t number,
                           char ret[SG_AUDIT_ARCHIVED_BYTES_MAX])
{
    const int len = snprintf(ret, SG_AUDIT_ARCHIVED_BYTES_MAX, "archive %llu of %s",
                             (unsigned long long)number, origin);
    SG_ASSERT(len > 0 && len < SG_AUDIT_ARCHIVED_BYTES_MAX);
    return (size_t)len;
}

enum sg_rc sg_audit_archived_key(struct sg_slice detail, uint8_t ret[SG_STORE_REQUEST_KEY_BYTES],
                                 struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];

    /* No caller's request has this key: what is hashed for one begins with a length of four bytes,
     * of which the first is zero. */
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, detail, hash, err));
    memcpy(ret, hash, SG_STORE_REQUEST_KEY_BYTES);
    return SG_OK;
}

enum sg_rc sg_audit_archived_write(const char *origin, uint64_t number,
                                   const struct sg_tree_head *head,
                                   char detail[SG_AUDIT_ARCHIVED_BYTES_MAX],
                                   struct sg_audit_record *ret,
                                   uint8_t ret_key[SG_STORE_REQUEST_KEY_BYTES], struct sg_err *err)
{
    const size_t len = write_detail(origin, number, detail);

    *ret = (struct sg_audit_record){
        .event = SG_AUDIT_LEAVES_ARCHIVED,
        .count = head->size,
        .digest_alg = SG_DIGEST_SHA256,
        .digest = sg_slice_of(head->root.bytes, sizeof(head->root.bytes)),
        .detail = sg_slice_of((const uint8_t *)detail, len),
    };
    return sg_audit_archived_key(ret->detail, ret_key, err);
}

/* Finding ----------------------------------------------------------------------------------- */

/* Which statements count: those in one log, up to a size of it; or all. */
struct finding {
    struct sg_store *store;
    const char *origin;
    const struct sg_store_log *log; /* NULL: any */
    uint64_t size;
};

/* `ret->number` is set when there is one with this number. */
static enum sg_rc find(const struct finding *finding, uint64_t number,
                       struct sg_audit_archived *ret, struct sg_err *err)
{
    char detail[SG_AUDIT_ARCHIVED_BYTES_MAX];
    uint8_t key[SG_STORE_REQUEST_KEY_BYTES];
    const size_t len = write_detail(finding->origin, number, detail);
    struct sg_err why = {0}; /* that there is none is no error */

    *ret = (struct sg_audit_archived){0};
    SG_TRY(sg_audit_archived_key(sg_slice_of((const uint8_t *)detail, len), key, err));
    enum sg_rc rc = sg_store_find_request(finding->store, key, &ret->log_id, &ret->seq, &why);
    if (rc == SG_E_NOT_FOUND)
        return SG_OK;
    if (rc != SG_OK && err != NULL)
        *err = why;
    SG_TRY(rc);
    if (finding->log == NULL || (ret->log_id == finding->log->id && ret->seq < finding->size))
        ret->number = number;
    return SG_OK;
}

/* Doubling, and then halving what lies between: there are no holes in the numbers. */
static enum sg_rc find_last(const struct finding *finding, struct sg_audit_archived *ret,
                            struct sg_err *err)
{
    struct sg_audit_archived last = {0}, found;
    uint64_t none = 1;

    for (; none < number_max; none *= 2) {
        SG_TRY(find(finding, none, &found, err));
        if (found.number == 0)
            break;
        last = found;
    }
    while (none - last.number > 1) {
        const uint64_t middle = last.number + (none - last.number) / 2;
        SG_TRY(find(finding, middle, &found, err));
        if (found.number == 0)
            none = middle;
        else
            last = found;
    }
    *ret = last;
    return SG_OK;
}

struct reading {
    const char *origin;
    struct sg_tree_hasher *hasher;
    struct sg_audit_archived *found;
};

static enum sg_rc on_statement(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    const struct reading *reading = arg;
    struct sg_audit_archived *found = reading->found;
    char detail[SG_AUDIT_ARCHIVED_BYTES_MAX];
    struct sg_audit_record record;
    (void)err;

    write_detail(reading->origin, found->number, detail);
    if (seq != found->seq || sg_audit_record_parse(bytes, &record, NULL) != SG_OK ||
        record.event != SG_AUDIT_LEAVES_ARCHIVED || record.digest.len != SG_TREE_HASH_BYTES ||
        !sg_slice_is(record.detail, detail))
        return SG_OK;
    found->is_read = true;
    found->head.size = record.count;
    memcpy(found->head.root.bytes, record.digest.ptr, record.digest.len);
    sg_tree_hash_leaf(reading->hasher, bytes, &found->leaf);
    return SG_OK;
}

static enum sg_rc find_and_read(const struct finding *finding, struct sg_audit_archived *ret,
                                struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;

    SG_TRY(find_last(finding, ret, err));
    if (ret->number == 0)
        return SG_OK;
    SG_TRY(sg_tree_hasher_new(&hasher, err));
    struct reading reading = {.origin = finding->origin, .hasher = hasher, .found = ret};
    return sg_store_read_leaves(finding->store, ret->log_id, ret->seq, 1, on_statement, &reading,
                                err);
}

enum sg_rc sg_audit_archived_find(struct sg_store *store, const char *origin,
                                  struct sg_audit_archived *ret, struct sg_err *err)
{
    const struct finding finding = {.store = store, .origin = origin};
    return find_and_read(&finding, ret, err);
}

/* Checking ---------------------------------------------------------------------------------- */

/* Whether the statement is a leaf of the tree and speaks of it. */
static enum sg_rc is_proved(const struct sg_audit_archived *found, struct sg_log_tree *tree,
                            bool *ret, struct sg_err *err)
{
    struct sg_tree_hash hash;

    *ret = false;
    if (!found->is_read || found->head.size > found->seq)
        return SG_OK;
    SG_TRY(sg_log_tree_leaf(tree, found->seq, &hash, err));
    if (!sg_tree_hash_eq(&hash, &found->leaf))
        return SG_OK;
    SG_TRY(sg_log_tree_root_at(tree, found->head.size, &hash, err));
    *ret = sg_tree_hash_eq(&hash, &found->head.root);
    return SG_OK;
}

enum sg_rc sg_audit_archived_check(struct sg_store *store, const struct sg_store_log *log,
                                   struct sg_log_tree *tree, struct sg_err *err)
{
    const struct finding finding = {
        .store = store, .origin = log->origin, .log = log, .size = sg_log_tree_size(tree)};
    struct sg_audit_archived found;
    bool is_good = false;

    if (log->first == 0)
        return SG_OK;
    SG_TRY(find_and_read(&finding, &found, err));
    if (found.number != 0)
        SG_TRY(is_proved(&found, tree, &is_good, err));
    if (is_good && found.head.size >= log->first)
        return SG_OK;
    if (!is_good)
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log \"%s\": its leaves before %llu are not in the store, and it does not "
                         "prove that they were archived",
                         log->name, (unsigned long long)log->first);
    return SG_REFUSE(err, SG_R_STORE_BROKEN,
                     "log \"%s\": its leaves before %llu are not in the store, and it proves of "
                     "those before %llu alone that they were archived",
                     log->name, (unsigned long long)log->first,
                     (unsigned long long)found.head.size);
}
