#include "gateway/audit/log_tree.h"
#include "tests/unit/gateway/audit/folder.h"

/* A tree over a store: the same as one that was never written, however it came to its size. */

struct rig {
    struct folder folder;
    struct sg_store *store;
    struct sg_store_log log;
    struct sg_log_tree *tree;
    struct sg_tree_hasher *hasher;
    struct sg_tree_edge model; /* of the same records */
};

static void record(uint64_t seq, char out[32])
{
    snprintf(out, 32, "record %llu", (unsigned long long)seq);
}

static enum sg_rc on_first(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct rig *rig = arg;
    struct sg_tree_hash leaf;
    (void)err;
    assert_int_equal(seq, 0);
    sg_tree_hash_leaf(rig->hasher, bytes, &leaf);
    sg_tree_append(rig->hasher, &rig->model, &leaf, NULL, NULL);
    return SG_OK;
}

static void start(struct rig *rig)
{
    *rig = (struct rig){0};
    folder_make(&rig->folder, 1);
    assert_int_equal(sg_store_open(rig->folder.url, &rig->store, NULL), SG_OK);
    assert_int_equal(sg_store_find_log(rig->store, "main", &rig->log, NULL), SG_OK);
    assert_int_equal(sg_log_tree_new(rig->store, rig->log.id, &rig->tree, NULL), SG_OK);
    assert_int_equal(sg_log_tree_load(rig->tree, 1, NULL), SG_OK);
    assert_int_equal(sg_tree_hasher_new(&rig->hasher, NULL), SG_OK);
    assert_int_equal(sg_store_read_leaves(rig->store, rig->log.id, 0, 1, on_first, rig, NULL),
                     SG_OK);
}

static void stop(struct rig *rig)
{
    sg_tree_hasher_free(rig->hasher);
    sg_log_tree_free(rig->tree);
    sg_store_close(rig->store);
    folder_remove(&rig->folder);
}

static void append(struct rig *rig, size_t count)
{
    static char records[SG_LOG_TREE_GROUP_MAX][32];
    struct sg_store_leaf leaves[SG_LOG_TREE_GROUP_MAX] = {0};
    enum sg_store_outcome outcome = SG_STORE_UNSET;
    struct sg_store_group group = {.log_id = rig->log.id,
                                   .old_size = sg_log_tree_size(rig->tree),
                                   .leaves = leaves,
                                   .leaf_count = count,
                                   .checkpoint = SG_SLICE("c")};

    for (size_t i = 0; i < count; i++) {
        struct sg_tree_hash leaf;
        record(group.old_size + i, records[i]);
        leaves[i].record = sg_slice_str(records[i]);
        sg_log_tree_append(rig->tree, leaves[i].record, &leaf);
        sg_tree_append(rig->hasher, &rig->model, &leaf, NULL, NULL);
    }
    group.tiles = sg_log_tree_filled(rig->tree, &group.tile_count);
    assert_int_equal(sg_store_append(rig->store, &group, &outcome, NULL), SG_OK);
    assert_int_equal(outcome, SG_STORE_WRITTEN);
    sg_log_tree_keep(rig->tree);
}

static void check(struct rig *rig, struct sg_log_tree *tree, uint64_t index)
{
    struct sg_tree_proof proof;
    struct sg_tree_head head = {.size = sg_log_tree_size(tree)};
    struct sg_tree_hash leaf, wanted;
    char text[32];

    sg_log_tree_root(tree, &head.root);
    sg_tree_root(rig->hasher, &rig->model, &wanted);
    assert_memory_equal(head.root.bytes, wanted.bytes, sizeof(wanted.bytes));
    assert_int_equal(sg_log_tree_leaf(tree, index, &leaf, NULL), SG_OK);
    if (index > 0) {
        record(index, text);
        sg_log_tree_hash(tree, sg_slice_str(text), &wanted);
        assert_memory_equal(leaf.bytes, wanted.bytes, sizeof(wanted.bytes));
    }
    assert_int_equal(sg_log_tree_prove_leaf(tree, index, &proof, NULL), SG_OK);
    assert_int_equal(sg_tree_check_leaf(rig->hasher, &leaf, index, &head, &proof, NULL), SG_OK);
}

static void check_growth(struct rig *rig, struct sg_log_tree *tree, uint64_t from)
{
    struct sg_tree_head old = {.size = from}, head = {.size = sg_log_tree_size(tree)};
    struct sg_tree_proof proof;

    sg_log_tree_root(tree, &head.root);
    assert_int_equal(sg_log_tree_root_at(tree, from, &old.root, NULL), SG_OK);
    assert_int_equal(sg_log_tree_prove_growth(tree, from, head.size, &proof, NULL), SG_OK);
    assert_int_equal(sg_tree_check_growth(rig->hasher, &old, &head, &proof, NULL), SG_OK);
}

/* Groups of every kind of length, over the ends of tiles of two levels. */
static void every_leaf_is_proved_as_it_grows_and_after_it_is_loaded(void **state)
{
    static const size_t counts[] = {1, 3, 250, 1, 1, 255, 256, 256, 7, 120, 256, 256, 64, 1, 199};
    struct rig rig;
    (void)state;

    start(&rig);
    for (size_t i = 0; i < SG_COUNT(counts); i++) {
        SG_AUTO(sg_log_tree_free) struct sg_log_tree *loaded = NULL;
        const uint64_t before = sg_log_tree_size(rig.tree);
        append(&rig, counts[i]);
        const uint64_t size = sg_log_tree_size(rig.tree);
        assert_int_equal(sg_log_tree_new(rig.store, rig.log.id, &loaded, NULL), SG_OK);
        assert_int_equal(sg_log_tree_load(loaded, before, NULL), SG_OK);
        assert_int_equal(sg_log_tree_load(loaded, size, NULL), SG_OK);
        for (uint64_t index = before; index < size; index++) {
            check(&rig, rig.tree, index);
            check(&rig, loaded, index);
        }
        for (uint64_t index = 0; index < size; index += 37) {
            check(&rig, rig.tree, index);
            check_growth(&rig, loaded, index + 1);
        }
    }
    stop(&rig);
}

static void what_was_not_written_leaves_nothing_behind(void **state)
{
    struct sg_tree_hash leaf;
    struct rig rig;
    (void)state;

    start(&rig);
    for (size_t round = 0; round < 6; round++) {
        append(&rig, 101);
        /* Over the end of a tile, and given up. */
        for (size_t i = 0; i < SG_LOG_TREE_GROUP_MAX; i++)
            sg_log_tree_append(rig.tree, SG_SLICE("never"), &leaf);
        sg_log_tree_drop(rig.tree);
        for (uint64_t index = 0; index < sg_log_tree_size(rig.tree); index++)
            check(&rig, rig.tree, index);
    }
    stop(&rig);
}

/* More than can be read leaf by leaf, and three levels of tiles. */
static void a_large_log_is_loaded_by_its_tiles(void **state)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *loaded = NULL;
    struct rig rig;
    (void)state;

    start(&rig);
    for (size_t i = 0; i < 300; i++)
        append(&rig, SG_LOG_TREE_GROUP_MAX);
    append(&rig, 77);
    const uint64_t size = sg_log_tree_size(rig.tree);
    assert_int_equal(sg_log_tree_new(rig.store, rig.log.id, &loaded, NULL), SG_OK);
    assert_int_equal(sg_log_tree_load(loaded, size, NULL), SG_OK);
    for (uint64_t index = 0; index < size; index += 997) {
        check(&rig, loaded, index);
        check_growth(&rig, loaded, index + 1);
    }
    check(&rig, loaded, size - 1);
    append(&rig, 200);
    assert_int_equal(sg_log_tree_load(loaded, size + 200, NULL), SG_OK);
    check(&rig, loaded, size + 199);
    stop(&rig);
}

static void a_log_that_shrinks_or_has_holes_is_broken(void **state)
{
    struct sg_err err;
    struct rig rig;
    (void)state;

    start(&rig);
    append(&rig, 10);
    assert_int_equal(sg_log_tree_load(rig.tree, 12, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    assert_int_equal(sg_log_tree_load(rig.tree, 11, &err), SG_OK);
    check(&rig, rig.tree, 10);
    assert_int_equal(sg_log_tree_load(rig.tree, 10, &err), SG_E_INTERNAL);
    assert_int_equal(err.reason, SG_R_STORE_BROKEN);
    stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_leaf_is_proved_as_it_grows_and_after_it_is_loaded),
        cmocka_unit_test(what_was_not_written_leaves_nothing_behind),
        cmocka_unit_test(a_large_log_is_loaded_by_its_tiles),
        cmocka_unit_test(a_log_that_shrinks_or_has_holes_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
