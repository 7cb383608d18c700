#include "gateway/audit/verify.h"

#include "formats/audit/record.h"
#include "formats/audit/request_id.h"
#include "gateway/audit/archived.h"
#include "gateway/audit/receipt.h"

enum { WIDTH = SG_STORE_TILE_HASHES, SPAN = 8, TILE_LEVELS = 8 };

/* The log as it is read: the tiles of each level as they should be, until they are full. */
struct reading {
    struct sg_store *store;
    const struct sg_store_log *log;
    struct sg_tree_hasher *hasher;
    struct sg_tree_edge edge;
    uint8_t tiles[TILE_LEVELS][SG_STORE_TILE_BYTES];
    struct sg_tree_hash beginning[SG_STORE_BEGINNING]; /* the first leaves */
    const struct sg_note_key *key;
    const struct sg_tree_head *anchored;
    struct sg_log_tree *tree; /* as the tiles have it: what is compared before all is read */
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
    return sg_tree_hash_eq(&root, &reading->anchored->root) ? SG_OK
                                                            : other_than_anchored(reading, err);
}

static enum sg_rc add_leaf(struct reading *reading, const struct sg_tree_hash *leaf,
                           struct sg_err *err)
{
    if (reading->edge.size < SG_STORE_BEGINNING)
        reading->beginning[reading->edge.size] = *leaf;
    sg_tree_append(reading->hasher, &reading->edge, leaf, on_node, reading);
    if (reading->rc == SG_OK)
        return check_anchor(reading, err);
    if (err != NULL)
        *err = reading->err;
    return reading->rc;
}

/* Records ----------------------------------------------------------------------------------- */

/* A signature that was asked for by an id has its key, by which it is found when it is asked for
 * again, and so has what the log says of its archive; nothing else has any, or it would stand in
 * somebody's way. */
static enum sg_rc key_of(const struct reading *reading, uint64_t seq,
                         const struct sg_audit_record *record, struct sg_request_id *key,
                         struct sg_slice *ret, struct sg_err *err)
{
    *ret = (struct sg_slice){0};
    if (record->event == SG_AUDIT_LEAVES_ARCHIVED)
        SG_TRY(sg_audit_archived_key(record->detail, key->key, err));
    else if (record->event != SG_AUDIT_SIGNATURE || record->request_id.len == 0)
        return SG_OK;
    else if (sg_request_id_read(record->request_id, record->authority, record->caller,
                                record->method, key, NULL) != SG_OK)
        return broken(reading, "there cannot be a request key of leaf", seq, err);
    *ret = sg_slice_of(key->key, sizeof(key->key));
    return SG_OK;
}

/* The record of a leaf that is in its place. */
static enum sg_rc read_record(struct reading *reading, uint64_t seq, struct sg_slice bytes,
                              struct sg_audit_record *ret, struct sg_err *err)
{
    struct sg_audit_verified *found = &reading->found;

    if (sg_audit_record_parse(bytes, ret, NULL) != SG_OK)
        return broken(reading, "there is no record in leaf", seq, err);
    if (found->begin_ns == 0 || ret->time_ns < found->begin_ns)
        found->begin_ns = ret->time_ns;
    if (ret->time_ns > found->end_ns)
        found->end_ns = ret->time_ns;
    return SG_OK;
}

static enum sg_rc check_key(const struct reading *reading, uint64_t seq,
                            const struct sg_audit_record *record, struct sg_slice key,
                            struct sg_err *err)
{
    struct sg_request_id id;
    struct sg_slice expected;

    SG_TRY(key_of(reading, seq, record, &id, &expected, err));
    return sg_slice_eq(key, expected)
               ? SG_OK
               : broken(reading, "another request key stands beside leaf", seq, err);
}

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_slice key,
                          struct sg_err *err)
{
    struct reading *reading = arg;
    struct sg_audit_record record;
    struct sg_tree_hash leaf;

    if (seq != reading->edge.size)
        return broken(reading, "there is no leaf", reading->edge.size, err);
    SG_TRY(read_record(reading, seq, bytes, &record, err));
    SG_TRY(check_key(reading, seq, &record, key, err));
    sg_tree_hash_leaf(reading->hasher, bytes, &leaf);
    return add_leaf(reading, &leaf, err);
}

/* Archived leaves --------------------------------------------------------------------------- */

/* The leaves before the first of the store as the tiles know them: what they say is not looked at.
 */
static enum sg_rc add_tiles(struct reading *reading, struct sg_err *err)
{
    const uint64_t first = reading->log->first;
    uint8_t tile[SG_STORE_TILE_BYTES];
    struct sg_tree_hash leaf;

    while (reading->edge.size < first) {
        const uint64_t begin = reading->edge.size;
        enum sg_rc rc =
            sg_store_find_tile(reading->store, reading->log->id, 0, begin / WIDTH, tile, err);
        if (rc == SG_E_NOT_FOUND)
            return broken(reading, "there is no tile for the leaves from", begin, err);
        SG_TRY(rc);
        for (size_t i = 0; i < WIDTH && reading->edge.size < first; i++) {
            memcpy(leaf.bytes, tile + i * SG_TREE_HASH_BYTES, SG_TREE_HASH_BYTES);
            SG_TRY(add_leaf(reading, &leaf, err));
        }
    }
    if (first > SG_STORE_BEGINNING)
        reading->found.unseen = first - SG_STORE_BEGINNING;
    return SG_OK;
}

/* Its request is still known, though its record is not in the store. */
static enum sg_rc check_known(const struct reading *reading, uint64_t seq,
                              const struct sg_audit_record *record, struct sg_err *err)
{
    struct sg_request_id id;
    uint64_t log_id = 0, found = 0;
    struct sg_slice key;

    SG_TRY(key_of(reading, seq, record, &id, &key, err));
    if (key.len == 0)
        return SG_OK;
    enum sg_rc rc = sg_store_find_request(reading->store, id.key, &log_id, &found, err);
    if (rc == SG_E_NOT_FOUND || (rc == SG_OK && (log_id != reading->log->id || found != seq)))
        return broken(reading, "its request key does not lead to archived leaf", seq, err);
    return rc;
}

static enum sg_rc add_archived(struct reading *reading, uint64_t seq, struct sg_slice bytes,
                               struct sg_err *err)
{
    struct sg_audit_record record;
    struct sg_tree_hash leaf;

    SG_TRY(read_record(reading, seq, bytes, &record, err));
    SG_TRY(check_known(reading, seq, &record, err));
    sg_tree_hash_leaf(reading->hasher, bytes, &leaf);
    return add_leaf(reading, &leaf, err);
}

/* One leaf of a file. What does not fit to the store waits until the file has proved itself: if it
 * does not, that is the fault. */
static enum sg_rc on_filed(void *arg, uint64_t seq, struct sg_slice bytes,
                           const struct sg_audit_record *record, struct sg_err *err)
{
    struct reading *reading = arg;
    (void)record, (void)err;

    /* Another file had it, or the store has it: the file's root tells whether it is the same. */
    if (reading->rc != SG_OK || seq != reading->edge.size || seq >= reading->log->first)
        return SG_OK;
    reading->rc = add_archived(reading, seq, bytes, &reading->err);
    return SG_OK;
}

/* What a file proves is a part of the log that the store has. */
static enum sg_rc check_file(const struct reading *reading, const struct sg_archive_file *file,
                             const struct sg_archive_proof *proof, struct sg_err *err)
{
    const struct sg_tree_head *heads[] = {&proof->end, &proof->checkpoint};
    const uint64_t size = reading->found.head.size;
    struct sg_tree_hash root;

    for (size_t i = 0; i < SG_COUNT(heads); i++) {
        if (heads[i]->size > size)
            return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                             "log \"%s\" has %llu leaves, and had %llu, as \"%s\" proves",
                             reading->log->name, (unsigned long long)size,
                             (unsigned long long)heads[i]->size, file->path);
        SG_TRY(sg_log_tree_root_at(reading->tree, heads[i]->size, &root, err));
        if (!sg_tree_hash_eq(&root, &heads[i]->root))
            return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                             "log \"%s\": its first %llu leaves are not those that \"%s\" proves",
                             reading->log->name, (unsigned long long)heads[i]->size, file->path);
    }
    return SG_OK;
}

static enum sg_rc missing(const struct reading *reading, uint64_t end, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_NOT_FOUND, 0,
                   "leaves %llu to %llu of log \"%s\", epoch %u, are neither in the store nor in a "
                   "file of the folders: name all that have some of its archive",
                   (unsigned long long)reading->edge.size, (unsigned long long)end - 1,
                   reading->log->name, (unsigned)reading->log->epoch);
}

static enum sg_rc add_file(struct reading *reading, const struct sg_archive_file *file,
                           struct sg_err *err)
{
    const uint64_t first = reading->log->first;
    struct sg_archive_proof proof;

    if (file->first > reading->edge.size && reading->edge.size < first)
        return missing(reading, file->first < first ? file->first : first, err);
    SG_TRY(sg_archive_file_read(file, reading->log, reading->key, on_filed, reading, &proof, err));
    if (reading->rc != SG_OK) {
        if (err != NULL)
            *err = reading->err;
        return reading->rc;
    }
    SG_TRY(check_file(reading, file, &proof, err));
    reading->found.files++;
    if (file->end > reading->found.filed)
        reading->found.filed = file->end;
    return SG_OK;
}

static enum sg_rc add_files(struct reading *reading, const struct sg_archive_files *files,
                            struct sg_err *err)
{
    for (size_t i = 0; i < files->count; i++)
        SG_TRY(add_file(reading, &files->files[i], err));
    return reading->edge.size < reading->log->first ? missing(reading, reading->log->first, err)
                                                    : SG_OK;
}

/* One of the leaves that the log begins with, which stay in the store as well. */
static enum sg_rc on_beginning(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_slice key,
                               struct sg_err *err)
{
    struct reading *reading = arg;
    struct sg_audit_record record;
    struct sg_tree_hash leaf;

    if (seq >= SG_STORE_BEGINNING)
        return SG_OK;
    SG_TRY(read_record(reading, seq, bytes, &record, err));
    SG_TRY(check_key(reading, seq, &record, key, err));
    sg_tree_hash_leaf(reading->hasher, bytes, &leaf);
    if (!sg_tree_hash_eq(&leaf, &reading->beginning[seq]))
        return broken(reading, "the store has another leaf", seq, err);
    memset(&reading->beginning[seq], 0, sizeof(leaf)); /* which no leaf has */
    return SG_OK;
}

static enum sg_rc check_beginning(struct reading *reading, struct sg_err *err)
{
    static const struct sg_tree_hash none;
    const uint64_t first = reading->log->first;
    const uint64_t count = first < SG_STORE_BEGINNING ? first : SG_STORE_BEGINNING;

    SG_TRY(sg_store_read_keyed(reading->store, reading->log->id, 0, count, on_beginning, reading,
                               err));
    for (uint64_t i = 0; i < count; i++)
        if (!sg_tree_hash_eq(&reading->beginning[i], &none))
            return broken(reading, "there is no leaf", i, err);
    return SG_OK;
}

/* The whole --------------------------------------------------------------------------------- */

/* What is known before any leaf is read; `*ret_is_newest`: no epoch has begun behind it. */
static enum sg_rc read_head(struct reading *reading, bool *ret_is_newest, struct sg_err *err)
{
    struct sg_tree_head *head = &reading->found.head;
    const struct sg_store_log *log = reading->log;
    struct sg_store_log now;

    SG_TRY(sg_audit_head_read(reading->store, log, reading->key, head, err));
    if (reading->anchored != NULL && reading->anchored->size > head->size)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                         "log \"%s\" has %llu leaves, and the anchor remembers %llu", log->name,
                         (unsigned long long)head->size,
                         (unsigned long long)reading->anchored->size);
    SG_TRY(sg_store_find_log(reading->store, log->name, &now, err));
    *ret_is_newest = now.id == log->id;
    if (log->size > head->size || (*ret_is_newest && now.size < head->size))
        return broken(reading, "there is no checkpoint of its size", log->size, err);
    return SG_OK;
}

/* The leaves before the store's first one. That the log says nothing of an archive is worse than
 * that there are no files of one; what is wrong with a tile is told before what it proves. */
static enum sg_rc add_before(struct reading *reading, const struct sg_archive_files *files,
                             bool is_newest, struct sg_err *err)
{
    if (files == NULL && reading->log->first == 0)
        return SG_OK;
    SG_TRY(sg_log_tree_load(reading->tree, reading->found.head.size, err));
    enum sg_rc rc = files == NULL ? add_tiles(reading, err) : add_files(reading, files, err);
    if (is_newest && (rc == SG_OK || rc == SG_E_NOT_FOUND))
        SG_TRY(sg_audit_archived_check(reading->store, reading->log, reading->tree, err));
    SG_TRY(rc);
    return check_beginning(reading, err);
}

static enum sg_rc verify(struct reading *reading, const struct sg_archive_files *files,
                         struct sg_err *err)
{
    const struct sg_tree_head *head = &reading->found.head;
    struct sg_tree_hash root;
    bool is_newest = false;

    SG_TRY(read_head(reading, &is_newest, err));
    SG_TRY(add_before(reading, files, is_newest, err));
    SG_TRY(sg_store_read_keyed(reading->store, reading->log->id, reading->edge.size,
                               head->size - reading->edge.size, on_leaf, reading, err));
    if (reading->edge.size != head->size)
        return broken(reading, "there is no leaf", reading->edge.size, err);
    sg_tree_root(reading->hasher, &reading->edge, &root);
    if (!sg_tree_hash_eq(&root, &head->root))
        return broken(reading, "its leaves are not those of the checkpoint of", head->size, err);
    reading->found.size = head->size;
    reading->found.first = reading->log->first;
    return SG_OK;
}

/* The files are listed before the checkpoint is read: none of them is of a longer log then. */
static enum sg_rc verify_with(struct reading *reading, const struct sg_archive_folders *folders,
                              struct sg_err *err)
{
    struct sg_archive_files files;

    enum sg_rc rc = sg_archive_files_find(folders, reading->log, &files, err);
    if (rc == SG_OK)
        rc = verify(reading, &files, err);
    sg_archive_files_done(&files);
    return rc;
}

enum sg_rc sg_audit_verify(struct sg_store *store, const struct sg_audit_verify_options *options,
                           struct sg_audit_verified *ret, struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free) struct sg_tree_hasher *hasher = NULL;
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct reading reading = {
        .store = store, .log = options->log, .key = options->key, .anchored = options->anchored};

    SG_TRY(sg_tree_hasher_new(&hasher, err));
    SG_TRY(sg_log_tree_new(store, options->log->id, &tree, err));
    reading.hasher = hasher;
    reading.tree = tree;
    SG_TRY(options->archives == NULL ? verify(&reading, NULL, err)
                                     : verify_with(&reading, options->archives, err));
    *ret = reading.found;
    return SG_OK;
}
