#include "gateway/audit/log_tree.h"

#include <stdlib.h>

enum {
    SPAN = 8,                     /* levels of the tree to a level of tiles */
    WIDTH = SG_STORE_TILE_HASHES, /* 1 << SPAN */
    TILE_LEVELS = 8,              /* a size has 64 bits */
    NODES = 2 * WIDTH,            /* of a tile and the levels above it, below its root */
    CACHED = 8,                   /* tiles that were read and may be wanted again */
    READ_AGAIN_MAX = 1 << 16,     /* leaves; more are cheaper by their tiles */
};

/* One tile with what lies between it and its root. */
struct tile {
    bool is_set;
    unsigned level;
    uint64_t index;
    struct sg_tree_hash nodes[NODES];
};

struct sg_log_tree {
    struct sg_store *store;
    uint64_t log_id;
    struct sg_tree_hasher *hasher;
    struct sg_tree_edge edge, kept; /* as it is; as the store has it */

    /* The last tile of each level and the one before it, placed by its number: what was appended
     * last, and all that a proof of it needs. What a group that was dropped has left in them lies
     * behind the edge, and is written again before it is read. */
    struct tile tip[TILE_LEVELS][2];
    struct tile cached[CACHED];
    size_t cached_next;

    struct sg_store_tile filled[TILE_LEVELS]; /* by one group: at most one of a level */
    size_t filled_count;
};

/* Where the nodes of a level, counted from the tile's own, begin. */
static size_t first_node(unsigned level)
{
    return (size_t)NODES - ((size_t)NODES >> level);
}

/* Which node of which tile a place is. */
struct node {
    unsigned level; /* of the tile */
    uint64_t index; /* of the tile */
    size_t at;
};

static struct node node_of(struct sg_tree_place place)
{
    const unsigned within = place.level % SPAN;
    const uint64_t mask = (UINT64_C(1) << (SPAN - within)) - 1;
    return (struct node){.level = place.level / SPAN,
                         .index = place.index >> (SPAN - within),
                         .at = first_node(within) + (size_t)(place.index & mask)};
}

enum sg_rc sg_log_tree_new(struct sg_store *store, uint64_t log_id, struct sg_log_tree **ret,
                           struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = calloc(1, sizeof(*tree));
    if (tree == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the tree of a log");
    tree->store = store;
    tree->log_id = log_id;
    SG_TRY(sg_tree_hasher_new(&tree->hasher, err));
    *ret = SG_STEAL(tree);
    return SG_OK;
}

void sg_log_tree_free(struct sg_log_tree *tree)
{
    if (tree == NULL)
        return;
    sg_tree_hasher_free(tree->hasher);
    free(tree);
}

uint64_t sg_log_tree_size(const struct sg_log_tree *tree)
{
    return tree->edge.size;
}

void sg_log_tree_root(struct sg_log_tree *tree, struct sg_tree_hash *ret)
{
    sg_tree_root(tree->hasher, &tree->edge, ret);
}

/* Tiles ------------------------------------------------------------------------------------ */

/* What sg_tree_append() tells of while a tile is computed from its hashes alone. */
static void keep_in_tile(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    struct tile *tile = arg;
    if (place.level < SPAN)
        tile->nodes[first_node(place.level) + (size_t)place.index] = *hash;
}

/* Fills in `count` hashes and what follows from them. `ret_root` is that of a full tile. */
static void compute(struct sg_log_tree *tree, struct tile *tile, const struct sg_tree_hash *hashes,
                    size_t count, struct sg_tree_hash *ret_root)
{
    struct sg_tree_edge edge = {0};

    for (size_t i = 0; i < count; i++)
        sg_tree_append(tree->hasher, &edge, &hashes[i], keep_in_tile, tile);
    *ret_root = edge.complete[SPAN];
}

static enum sg_rc broken(const struct sg_log_tree *tree, const char *what, uint64_t index,
                         struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_STORE_BROKEN, "log %llu of the store has no %s %llu",
                     (unsigned long long)tree->log_id, what, (unsigned long long)index);
}

static enum sg_rc read_tile(struct sg_log_tree *tree, unsigned level, uint64_t index,
                            struct tile *ret, struct sg_tree_hash *ret_root, struct sg_err *err)
{
    uint8_t bytes[SG_STORE_TILE_BYTES];
    struct sg_tree_hash hashes[WIDTH];

    enum sg_rc rc = sg_store_find_tile(tree->store, tree->log_id, level, index, bytes, err);
    if (rc == SG_E_NOT_FOUND)
        return broken(tree, "tile", index, err);
    SG_TRY(rc);
    memcpy(hashes, bytes, sizeof(hashes));
    *ret = (struct tile){.is_set = true, .level = level, .index = index};
    compute(tree, ret, hashes, WIDTH, ret_root);
    return SG_OK;
}

/* A tile of the tips, of those that were read before, or read now. */
static enum sg_rc find_tile(struct sg_log_tree *tree, unsigned level, uint64_t index,
                            const struct tile **ret, struct sg_err *err)
{
    struct tile *tile = &tree->tip[level][index & 1];
    struct sg_tree_hash root;

    *ret = tile;
    if (tile->is_set && tile->index == index)
        return SG_OK;
    for (size_t i = 0; i < CACHED; i++) {
        *ret = tile = &tree->cached[i];
        if (tile->is_set && tile->level == level && tile->index == index)
            return SG_OK;
    }
    *ret = tile = &tree->cached[tree->cached_next++ % CACHED];
    tile->is_set = false;
    return read_tile(tree, level, index, tile, &root, err);
}

static enum sg_rc find_node(void *arg, struct sg_tree_place place, struct sg_tree_hash *ret,
                            struct sg_err *err)
{
    const struct node node = node_of(place);
    const struct tile *tile;

    SG_TRY(find_tile(arg, node.level, node.index, &tile, err));
    *ret = tile->nodes[node.at];
    return SG_OK;
}

/* Growing ---------------------------------------------------------------------------------- */

/* Into the tips; a tile that is full now is to be written. */
static void keep_node(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    struct sg_log_tree *tree = arg;
    const struct node node = node_of(place);
    struct tile *tile = &tree->tip[node.level][node.index & 1];

    tile->is_set = true;
    tile->level = node.level;
    tile->index = node.index;
    tile->nodes[node.at] = *hash;
    if (node.at != WIDTH - 1)
        return;
    SG_ASSERT(tree->filled_count < SG_COUNT(tree->filled));
    struct sg_store_tile *filled = &tree->filled[tree->filled_count++];
    filled->level = node.level;
    filled->index = node.index;
    memcpy(filled->hashes, tile->nodes, sizeof(filled->hashes));
}

void sg_log_tree_append(struct sg_log_tree *tree, struct sg_slice record,
                        struct sg_tree_hash *ret_leaf)
{
    SG_ASSERT(tree->edge.size - tree->kept.size < SG_LOG_TREE_GROUP_MAX);
    sg_tree_hash_leaf(tree->hasher, record, ret_leaf);
    sg_tree_append(tree->hasher, &tree->edge, ret_leaf, keep_node, tree);
}

const struct sg_store_tile *sg_log_tree_filled(const struct sg_log_tree *tree, size_t *ret_count)
{
    *ret_count = tree->filled_count;
    return tree->filled;
}

void sg_log_tree_keep(struct sg_log_tree *tree)
{
    tree->kept = tree->edge;
    tree->filled_count = 0;
}

void sg_log_tree_drop(struct sg_log_tree *tree)
{
    tree->edge = tree->kept;
    tree->filled_count = 0;
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        for (size_t i = 0; i < 2; i++) {
            struct tile *tile = &tree->tip[level][i];
            if (tile->index * WIDTH >= tree->edge.size >> (level * SPAN))
                tile->is_set = false; /* it would begin behind the edge */
        }
}

/* Loading ---------------------------------------------------------------------------------- */

struct reading {
    struct sg_log_tree *tree;
    uint64_t next; /* leaf */
};

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice record, struct sg_err *err)
{
    struct reading *reading = arg;
    struct sg_log_tree *tree = reading->tree;
    struct sg_tree_hash leaf;

    if (seq != reading->next)
        return broken(tree, "leaf", reading->next, err);
    if (tree->edge.size - tree->kept.size == SG_LOG_TREE_GROUP_MAX)
        sg_log_tree_keep(tree); /* whoever appended them wrote their tiles */
    sg_log_tree_append(tree, record, &leaf);
    reading->next++;
    return SG_OK;
}

static enum sg_rc read_leaves(struct sg_log_tree *tree, uint64_t size, struct sg_err *err)
{
    struct reading reading = {.tree = tree, .next = tree->edge.size};

    SG_TRY(sg_store_read_leaves(tree->store, tree->log_id, reading.next, size - reading.next,
                                on_leaf, &reading, err));
    if (reading.next != size)
        return broken(tree, "leaf", reading.next, err);
    sg_log_tree_keep(tree);
    return SG_OK;
}

/* To a size at which no tile of leaves is begun. Level by level: what the last tile, which is not
 * full, has are the roots of tiles below. */
static enum sg_rc read_tiles(struct sg_log_tree *tree, uint64_t size, struct sg_err *err)
{
    struct sg_tree_hash roots[WIDTH], root;
    struct tile child;

    memset(tree->tip, 0, sizeof(tree->tip));
    for (unsigned level = 1; level < TILE_LEVELS && size >> (SPAN * level) != 0; level++) {
        const uint64_t entries = size >> (SPAN * level), index = entries / WIDTH;
        const size_t count = (size_t)(entries % WIDTH);
        for (size_t i = 0; i < count; i++)
            SG_TRY(read_tile(tree, level - 1, index * WIDTH + i, &child, &roots[i], err));
        struct tile *tile = &tree->tip[level][index & 1];
        *tile = (struct tile){.is_set = count > 0, .level = level, .index = index};
        compute(tree, tile, roots, count, &root);
    }
    SG_TRY(sg_tree_find_edge(size, find_node, tree, &tree->edge, err));
    sg_log_tree_keep(tree);
    return SG_OK;
}

static enum sg_rc load(struct sg_log_tree *tree, uint64_t size, struct sg_err *err)
{
    if (size < tree->edge.size)
        return SG_REFUSE(err, SG_R_STORE_BROKEN,
                         "log %llu of the store has %llu leaves, and had %llu",
                         (unsigned long long)tree->log_id, (unsigned long long)size,
                         (unsigned long long)tree->edge.size);
    /* From nothing always by tiles: the leaves that they hold may have gone to an archive. */
    if (tree->edge.size == 0 || size - tree->edge.size > READ_AGAIN_MAX)
        SG_TRY(read_tiles(tree, size / WIDTH * WIDTH, err));
    return read_leaves(tree, size, err);
}

enum sg_rc sg_log_tree_load(struct sg_log_tree *tree, uint64_t size, struct sg_err *err)
{
    SG_ASSERT(tree->edge.size == tree->kept.size);
    enum sg_rc rc = load(tree, size, err);
    if (rc == SG_OK)
        return SG_OK;
    tree->edge = (struct sg_tree_edge){0};
    memset(tree->tip, 0, sizeof(tree->tip));
    sg_log_tree_keep(tree);
    return rc;
}

/* Asking ----------------------------------------------------------------------------------- */

enum sg_rc sg_log_tree_edge_at(struct sg_log_tree *tree, uint64_t size, struct sg_tree_edge *ret,
                               struct sg_err *err)
{
    SG_ASSERT(size <= tree->edge.size);
    return sg_tree_find_edge(size, find_node, tree, ret, err);
}

enum sg_rc sg_log_tree_node(struct sg_log_tree *tree, struct sg_tree_place place,
                            struct sg_tree_hash *ret, struct sg_err *err)
{
    SG_ASSERT((place.index + 1) << place.level <= tree->edge.size);
    return find_node(tree, place, ret, err);
}

enum sg_rc sg_log_tree_root_at(struct sg_log_tree *tree, uint64_t size, struct sg_tree_hash *ret,
                               struct sg_err *err)
{
    struct sg_tree_edge edge;

    SG_TRY(sg_log_tree_edge_at(tree, size, &edge, err));
    sg_tree_root(tree->hasher, &edge, ret);
    return SG_OK;
}

enum sg_rc sg_log_tree_prove_leaf(struct sg_log_tree *tree, uint64_t index,
                                  struct sg_tree_proof *ret, struct sg_err *err)
{
    return sg_tree_prove_leaf(tree->hasher, index, tree->edge.size, find_node, tree, ret, err);
}

enum sg_rc sg_log_tree_prove_growth(struct sg_log_tree *tree, uint64_t old_size, uint64_t new_size,
                                    struct sg_tree_proof *ret, struct sg_err *err)
{
    SG_ASSERT(new_size <= tree->edge.size);
    return sg_tree_prove_growth(tree->hasher, old_size, new_size, find_node, tree, ret, err);
}

void sg_log_tree_hash(struct sg_log_tree *tree, struct sg_slice record, struct sg_tree_hash *ret)
{
    sg_tree_hash_leaf(tree->hasher, record, ret);
}

enum sg_rc sg_log_tree_leaf(struct sg_log_tree *tree, uint64_t index, struct sg_tree_hash *ret,
                            struct sg_err *err)
{
    SG_ASSERT(index < tree->edge.size);
    return find_node(tree, (struct sg_tree_place){.level = 0, .index = index}, ret, err);
}
