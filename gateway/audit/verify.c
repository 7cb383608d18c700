#include "gateway/audit/verify.h"

#include "formats/audit/record.h"
#include "formats/audit/request_id.h"
#include "gateway/audit/receipt.h"

enum { WIDTH = SG_STORE_TILE_HASHES, SPAN = 8, TILE_LEVELS = 8 };

/* The log as it is read: the tiles of each level as they should be, until they are full. */
struct reading {
    struct sg_store *store;
    const struct sg_store_log *log;
    struct sg_tree_hasher *hasher;
    struct sg_tree_edge edge;
    uint8_t tiles[TILE_LEVELS][SG_STORE_TILE_BYTES];
    const struct sg_tree_head *anchored;
    struct sg_audit_verified found;
    struct sg_err err; /* of what cannot fail there */
    enum sg_rc rc;
};

static enum sg_rc broken(const struct reading *reading, const char *what, uint64_t index,
                         struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_BROKEN, "log \"%s\": %s %llu", reading->log->name, what,
                     (unsigned long long)index);
}

static bool same(const struct sg_tree_hash *a, const struct sg_tree_hash *b)
{
    return sg_slice_eq(sg_slice_of(a->bytes, sizeof(a->bytes)),
                       sg_slice_of(b->bytes, sizeof(b->bytes)));
}

/* The first hash of a full tile that is not what the leaves make it. */
static enum sg_rc check_tile(struct reading *reading, unsigned level, uint64_t index,
                             struct sg_err *err)
{
    uint8_t stored[SG_STORE_TILE_BYTES];

    enum sg_rc rc = sg_store_find_tile(reading->store, reading->log->id, level, index, stored, err);
    if (rc == SG_E_NOT_FOUND)
        return broken(reading, "there is no tile for the leaves from",
                      (index * WIDTH) << (SPAN * level), err);
    SG_TRY(rc);
    for (size_t i = 0; i < WIDTH; i++) {
        if (memcmp(stored + i * SG_TREE_HASH_BYTES, reading->tiles[level] + i * SG_TREE_HASH_BYTES,
                   SG_TREE_HASH_BYTES) == 0)
            continue;
        const uint64_t leaf = (index * WIDTH + i) << (SPAN * level);
        return level == 0 ? broken(reading, "its tile knows another leaf", leaf, err)
                          : broken(reading, "a tile knows other leaves from", leaf, err);
    }
    return SG_OK;
}

static void on_node(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    struct reading *reading = arg;
    const unsigned level = place.level / SPAN;
    const size_t at = (size_t)(place.index % WIDTH);

    if (place.level % SPAN != 0 || reading->rc != SG_OK)
        return;
    memcpy(reading->tiles[level] + at * SG_TREE_HASH_BYTES, hash->bytes, SG_TREE_HASH_BYTES);
    if (at == WIDTH - 1)
        reading->rc = check_tile(reading, level, place.index / WIDTH, &reading->err);
}

static enum sg_rc other_than_anchored(const struct reading *reading, struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                     "log \"%s\": its first %llu leaves are not those that the anchor remembers",
                     reading->log->name, (unsigned long long)reading->anchored->size);
}

static enum sg_rc check_anchor(struct reading *reading, struct sg_err *err)
{
    struct sg_tree_hash root;

    if (reading->anchored == NULL || reading->edge.size != reading->anchored->size)
        return SG_OK;
    sg_tree_root(reading->hasher, &reading->edge, &root);
    return same(&root, &reading->anchored->root) ? SG_OK : other_than_anchored(reading, err);
}

/* A signature that was asked for by an id has its key, by which it is found when it is asked for
 * again; nothing else has any, or it would stand in somebody's way. */
static enum sg_rc check_key(const struct reading *reading, uint64_t seq,
                            const struct sg_audit_record *record, struct sg_slice key,
                            struct sg_err *err)
{
    struct sg_slice expected = {0};
    struct sg_request_id id;

    if (record->event == SG_AUDIT_SIGNATURE && record->request_id.len > 0) {
        if (sg_request_id_read(record->request_id, record->authority, record->caller,
                               record->method, &id, NULL) != SG_OK)
            return broken(reading, "there cannot be a request key of leaf", seq, err);
        expected = sg_slice_of(id.key, sizeof(id.key));
    }
    return sg_slice_eq(key, expected)
               ? SG_OK
               : broken(reading, "another request key stands beside leaf", seq, err);
}

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_slice key,
                          struct sg_err *err)
{
    struct reading *reading = arg;
    struct sg_audit_verified *found = &reading->found;
    struct sg_audit_record record;
    struct sg_tree_hash leaf;

    if (seq != reading->edge.size)
        return broken(reading, "there is no leaf", reading->edge.size, err);
    if (sg_audit_record_parse(bytes, &record, NULL) != SG_OK)
        return broken(reading, "there is no record in leaf", seq, err);
    if (found->begin_ns == 0 || record.time_ns < found->begin_ns)
        found->begin_ns = record.time_ns;
    if (record.time_ns > found->end_ns)
        found->end_ns = record.time_ns;
    SG_TRY(check_key(reading, seq, &record, key, err));
    sg_tree_hash_leaf(reading->hasher, bytes, &leaf);
    sg_tree_append(reading->hasher, &reading->edge, &leaf, on_node, reading);
    if (reading->rc != SG_OK) {
        *err = reading->err;
        return reading->rc;
    }
    return check_anchor(reading, err);
}

/* What the tiles say of the leaves before `first`, which are in an archive: it must fit to the
 * leaves behind them, or the root will be another. */
static enum sg_rc skip_archived(struct reading *reading, const struct sg_tree_head *head,
                                struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    const struct sg_tree_head *anchored = reading->anchored;
    const uint64_t first = reading->log->first;
    struct sg_tree_hash root;

    SG_TRY(sg_log_tree_new(reading->store, reading->log->id, &tree, err));
    SG_TRY(sg_log_tree_load(tree, head->size, err));
    SG_TRY(sg_log_tree_edge_at(tree, first, &reading->edge, err));
    for (unsigned level = 0; level < TILE_LEVELS && first >> (SPAN * level) > 0; level++) {
        const uint64_t complete = first >> (SPAN * level);
        for (uint64_t index = complete / WIDTH * WIDTH; index < complete; index++) {
            const struct sg_tree_place place = {.level = SPAN * level, .index = index};
            SG_TRY(sg_log_tree_node(tree, place, &root, err));
            memcpy(reading->tiles[level] + index % WIDTH * SG_TREE_HASH_BYTES, root.bytes,
                   SG_TREE_HASH_BYTES);
        }
    }
    if (anchored == NULL || anchored->size > first)
        return SG_OK;
    SG_TRY(sg_log_tree_root_at(tree, anchored->size, &root, err));
    return same(&root, &anchored->root) ? SG_OK : other_than_anchored(reading, err);
}

static enum sg_rc verify(struct reading *reading, const struct sg_note_key *key, struct sg_err *err)
{
    struct sg_tree_head *head = &reading->found.head;
    struct sg_tree_hash root;
    struct sg_store_log now;

    SG_TRY(sg_audit_head_read(reading->store, reading->log, key, head, err));
    if (reading->anchored != NULL && reading->anchored->size > head->size)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                         "log \"%s\" has %llu leaves, and the anchor remembers %llu",
                         reading->log->name, (unsigned long long)head->size,
                         (unsigned long long)reading->anchored->size);
    SG_TRY(sg_store_find_log(reading->store, reading->log->name, &now, err));
    if (reading->log->size > head->size || (now.id == reading->log->id && now.size < head->size))
        return broken(reading, "there is no checkpoint of its size", reading->log->size, err);
    if (reading->log->first > 0)
        SG_TRY(skip_archived(reading, head, err));
    SG_TRY(sg_store_read_keyed(reading->store, reading->log->id, reading->edge.size,
                               head->size - reading->edge.size, on_leaf, reading, err));
    if (reading->edge.size != head->size)
        return broken(reading, "there is no leaf", reading->edge.size, err);
    sg_tree_root(reading->hasher, &reading->edge, &root);
    if (!same(&root, &head->root))
        return broken(reading, "its leaves are not those of the checkpoint of", head->size, err);
    reading->found.size = head->size;
    reading->found.first = reading->log->first;
    return SG_OK;
}

enum sg_rc sg_audit_verify(struct sg_store *store, const struct sg_store_log *log,
                           const struct sg_note_key *key, const struct sg_tree_head *anchored,
                           struct sg_audit_verified *ret, struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;
    struct reading reading = {.store = store, .log = log, .anchored = anchored};

    SG_TRY(sg_tree_hasher_new(&hasher, err));
    reading.hasher = hasher;
    SG_TRY(verify(&reading, key, err));
    *ret = reading.found;
    return SG_OK;
}
