#include "formats/audit/tree.h"
#include "formats/raw/digest.h"
#include "tests/support/unit.h"

/* The Merkle tree: hashes that others publish, and all proofs of all small trees. */

enum { LEAVES = 70 };

static struct sg_tree_hasher *hasher;
/* What a log would have kept: [level][index]. */
static struct sg_tree_hash kept[8][LEAVES];
static struct sg_tree_head heads[LEAVES + 1]; /* by size */
static struct sg_tree_hash leaves[LEAVES];

static void keep(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    assert_null(arg);
    kept[place.level][place.index] = *hash;
}

/* Only what was complete in a tree of this size may be asked for. */
static enum sg_rc find(void *arg, struct sg_tree_place place, struct sg_tree_hash *ret,
                       struct sg_err *err)
{
    const uint64_t *size = arg;
    (void)err;
    assert_true((place.index + 1) << place.level <= *size);
    *ret = kept[place.level][place.index];
    return SG_OK;
}

static enum sg_rc find_nothing(void *arg, struct sg_tree_place place, struct sg_tree_hash *ret,
                               struct sg_err *err)
{
    (void)arg;
    (void)place;
    (void)ret;
    return SG_FAIL(err, SG_E_NOT_FOUND, 0, "nothing is kept here");
}

static int setup(void **state)
{
    struct sg_tree_edge edge = {0};
    (void)state;
    assert_int_equal(sg_tree_hasher_new(&hasher, NULL), SG_OK);
    sg_tree_root(hasher, &edge, &heads[0].root);
    for (unsigned i = 0; i < LEAVES; i++) {
        uint8_t record[] = {'r', (uint8_t)i};
        sg_tree_hash_leaf(hasher, sg_slice_of(record, sizeof(record)), &leaves[i]);
        sg_tree_append(hasher, &edge, &leaves[i], keep, NULL);
        heads[i + 1].size = i + 1;
        sg_tree_root(hasher, &edge, &heads[i + 1].root);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sg_tree_hasher_free(hasher);
    return 0;
}

static void assert_hash(const struct sg_tree_hash *hash, const char *hex)
{
    char text[2 * SG_TREE_HASH_BYTES + 1];
    for (size_t i = 0; i < sizeof(hash->bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", hash->bytes[i]);
    assert_string_equal(text, hex);
}

/* The inputs and roots that implementations of Certificate Transparency test each other with. */
static void roots_are_those_of_other_implementations(void **state)
{
    static const struct {
        struct sg_slice record;
        const char *root; /* after it */
    } rows[] = {
        {{(const uint8_t *)"", 0},
         "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {{(const uint8_t *)"\x00", 1},
         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {{(const uint8_t *)"\x10", 1},
         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {{(const uint8_t *)"\x20\x21", 2},
         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {{(const uint8_t *)"\x30\x31", 2},
         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {{(const uint8_t *)"\x40\x41\x42\x43", 4},
         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {{(const uint8_t *)"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {{(const uint8_t *)"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct sg_tree_edge edge = {0};
    struct sg_tree_hash hash;
    (void)state;

    sg_tree_root(hasher, &edge, &hash);
    assert_hash(&hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        sg_tree_hash_leaf(hasher, rows[i].record, &hash);
        sg_tree_append(hasher, &edge, &hash, NULL, NULL);
        sg_tree_root(hasher, &edge, &hash);
        assert_hash(&hash, rows[i].root);
    }
}

/* By the definition of RFC 6962 §2.1, which is not how the code under test goes about it. */
static void defined_root(unsigned begin, unsigned end, struct sg_tree_hash *ret)
{
    if (end - begin == 1) {
        *ret = leaves[begin];
        return;
    }
    unsigned half = 1;
    while (2 * half < end - begin)
        half *= 2;
    uint8_t node[1 + 2 * SG_TREE_HASH_BYTES] = {1};
    struct sg_tree_hash left, right;
    defined_root(begin, begin + half, &left);
    defined_root(begin + half, end, &right);
    memcpy(node + 1, left.bytes, sizeof(left.bytes));
    memcpy(node + 1 + SG_TREE_HASH_BYTES, right.bytes, sizeof(right.bytes));
    assert_int_equal(
        sg_digest_of(SG_DIGEST_SHA256, sg_slice_of(node, sizeof(node)), ret->bytes, NULL), SG_OK);
}

static void roots_follow_the_definition(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= LEAVES; size++) {
        struct sg_tree_hash root;
        defined_root(0, size, &root);
        assert_memory_equal(root.bytes, heads[size].root.bytes, sizeof(root.bytes));
    }
}

static void every_leaf_of_every_tree_is_proved_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= LEAVES; size++) {
        for (uint64_t index = 0; index < size; index++) {
            struct sg_tree_proof proof;
            assert_int_equal(sg_tree_prove_leaf(hasher, index, size, find, &size, &proof, NULL),
                             SG_OK);
            assert_int_equal(
                sg_tree_check_leaf(hasher, &leaves[index], index, &heads[size], &proof, NULL),
                SG_OK);
            /* Another place, another record, another tree. */
            for (uint64_t other = 0; other < size + 2; other++)
                if (other != index)
                    assert_int_equal(sg_tree_check_leaf(hasher, &leaves[index], other, &heads[size],
                                                        &proof, NULL),
                                     SG_E_INVALID);
            assert_int_equal(sg_tree_check_leaf(hasher, &leaves[(index + 1) % LEAVES], index,
                                                &heads[size], &proof, NULL),
                             SG_E_INVALID);
            for (uint64_t other = 0; other <= LEAVES; other++)
                if (other != size)
                    assert_int_equal(sg_tree_check_leaf(hasher, &leaves[index], index,
                                                        &heads[other], &proof, NULL),
                                     SG_E_INVALID);
        }
    }
}

static void every_growth_is_proved_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= LEAVES; size++) {
        for (uint64_t old = 1; old <= size; old++) {
            struct sg_tree_proof proof;
            assert_int_equal(sg_tree_prove_growth(hasher, old, size, find, &size, &proof, NULL),
                             SG_OK);
            assert_int_equal(sg_tree_check_growth(hasher, &heads[old], &heads[size], &proof, NULL),
                             SG_OK);
            for (uint64_t other = 1; other <= LEAVES; other++)
                if (other != old)
                    assert_int_equal(
                        sg_tree_check_growth(hasher, &heads[other], &heads[size], &proof, NULL),
                        SG_E_INVALID);
            /* A tree of the same size that is another. */
            struct sg_tree_head forged = heads[old];
            forged.root.bytes[31] ^= 1;
            assert_int_equal(sg_tree_check_growth(hasher, &forged, &heads[size], &proof, NULL),
                             SG_E_INVALID);
            forged = heads[size];
            forged.root.bytes[0] ^= 0x80;
            assert_int_equal(sg_tree_check_growth(hasher, &heads[old], &forged, &proof, NULL),
                             SG_E_INVALID);
        }
    }
}

static void a_proof_that_was_touched_proves_nothing(void **state)
{
    uint64_t size = 45;
    struct sg_tree_proof leaf, growth;
    (void)state;
    assert_int_equal(sg_tree_prove_leaf(hasher, 19, size, find, &size, &leaf, NULL), SG_OK);
    assert_int_equal(sg_tree_prove_growth(hasher, 19, size, find, &size, &growth, NULL), SG_OK);

    for (size_t i = 0; i < leaf.count; i++) {
        struct sg_tree_proof bad = leaf;
        bad.hashes[i].bytes[i] ^= 1;
        assert_int_equal(sg_tree_check_leaf(hasher, &leaves[19], 19, &heads[size], &bad, NULL),
                         SG_E_INVALID);
    }
    for (size_t i = 0; i < growth.count; i++) {
        struct sg_tree_proof bad = growth;
        bad.hashes[i].bytes[i] ^= 1;
        assert_int_equal(sg_tree_check_growth(hasher, &heads[19], &heads[size], &bad, NULL),
                         SG_E_INVALID);
    }
    /* Every other length, longer than any too. */
    for (size_t count = 0; count <= SG_TREE_LEVELS_MAX; count++) {
        struct sg_tree_proof bad = leaf;
        memset(bad.hashes + leaf.count, 0x5a, sizeof(bad.hashes[0]) * (64 - leaf.count));
        bad.count = count;
        if (count != leaf.count)
            assert_int_equal(sg_tree_check_leaf(hasher, &leaves[19], 19, &heads[size], &bad, NULL),
                             SG_E_INVALID);
        bad = growth;
        memset(bad.hashes + growth.count, 0x5a, sizeof(bad.hashes[0]) * (64 - growth.count));
        bad.count = count;
        if (count != growth.count)
            assert_int_equal(sg_tree_check_growth(hasher, &heads[19], &heads[size], &bad, NULL),
                             SG_E_INVALID);
    }
}

static void every_tree_begins_with_the_empty_one(void **state)
{
    struct sg_tree_proof none = {0}, some = {.count = 1};
    struct sg_tree_head forged = heads[0];
    (void)state;
    assert_int_equal(sg_tree_check_growth(hasher, &heads[0], &heads[7], &none, NULL), SG_OK);
    assert_int_equal(sg_tree_check_growth(hasher, &heads[0], &heads[0], &none, NULL), SG_OK);
    assert_int_equal(sg_tree_check_growth(hasher, &heads[0], &heads[7], &some, NULL), SG_E_INVALID);
    assert_int_equal(sg_tree_check_growth(hasher, &heads[7], &heads[0], &none, NULL), SG_E_INVALID);
    forged.root.bytes[0] ^= 1;
    assert_int_equal(sg_tree_check_growth(hasher, &forged, &heads[7], &none, NULL), SG_E_INVALID);
    assert_int_equal(sg_tree_check_leaf(hasher, &leaves[0], 0, &heads[0], &none, NULL),
                     SG_E_INVALID);
}

static void a_log_goes_on_from_what_it_kept(void **state)
{
    (void)state;
    for (uint64_t size = 0; size < LEAVES; size++) {
        struct sg_tree_edge edge;
        struct sg_tree_hash root;
        assert_int_equal(sg_tree_find_edge(size, find, &size, &edge, NULL), SG_OK);
        sg_tree_append(hasher, &edge, &leaves[size], NULL, NULL);
        sg_tree_root(hasher, &edge, &root);
        assert_memory_equal(root.bytes, heads[size + 1].root.bytes, sizeof(root.bytes));
    }
}

/* Who has a proof for a leaf can go on where the log was before it. */
static void the_way_of_a_leaf_has_the_edge_of_what_was_before_it(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= LEAVES; size++)
        for (uint64_t index = 0; index < size; index++) {
            struct sg_tree_edge edge, wanted;
            struct sg_tree_proof proof;
            struct sg_tree_hash root;
            assert_int_equal(sg_tree_prove_leaf(hasher, index, size, find, &size, &proof, NULL),
                             SG_OK);
            assert_int_equal(sg_tree_edge_of_proof(index, size, &proof, &edge, NULL), SG_OK);
            assert_int_equal(sg_tree_find_edge(index, find, &size, &wanted, NULL), SG_OK);
            assert_memory_equal(&edge, &wanted, sizeof(edge));
            sg_tree_append(hasher, &edge, &leaves[index], NULL, NULL);
            sg_tree_root(hasher, &edge, &root);
            assert_memory_equal(&root, &heads[index + 1].root, sizeof(root));
            if (proof.count > 0) {
                proof.count--; /* the way does not end at the root */
                assert_int_equal(sg_tree_edge_of_proof(index, size, &proof, &edge, NULL),
                                 SG_E_INVALID);
            }
        }
    struct sg_tree_proof proof = {.count = SG_TREE_LEVELS_MAX + 1};
    struct sg_tree_edge edge;
    assert_int_equal(sg_tree_edge_of_proof(0, 1, &proof, &edge, NULL), SG_E_INVALID);
    proof.count = 0;
    assert_int_equal(sg_tree_edge_of_proof(1, 1, &proof, &edge, NULL), SG_E_INVALID);
}

static void what_cannot_be_found_is_not_proved(void **state)
{
    struct sg_tree_proof proof;
    struct sg_tree_edge edge;
    (void)state;
    assert_int_equal(sg_tree_prove_leaf(hasher, 3, 9, find_nothing, NULL, &proof, NULL),
                     SG_E_NOT_FOUND);
    assert_int_equal(sg_tree_prove_growth(hasher, 3, 9, find_nothing, NULL, &proof, NULL),
                     SG_E_NOT_FOUND);
    assert_int_equal(sg_tree_find_edge(9, find_nothing, NULL, &edge, NULL), SG_E_NOT_FOUND);
}

/* Sizes near the end of what 64 bits hold: nothing may overflow or go on for ever. */
static void sizes_that_no_log_has_are_judged(void **state)
{
    static const uint64_t sizes[] = {(uint64_t)1 << 63, UINT64_MAX - 1, UINT64_MAX};
    struct sg_tree_proof proof = {.count = SG_TREE_LEVELS_MAX}, too_long = {.count = SIZE_MAX};
    (void)state;
    for (size_t i = 0; i < SG_COUNT(sizes); i++) {
        struct sg_tree_head head = {.size = sizes[i]};
        struct sg_tree_head old = {.size = sizes[i] - 1};
        assert_int_equal(sg_tree_check_leaf(hasher, &leaves[0], sizes[i] - 1, &head, &proof, NULL),
                         SG_E_INVALID);
        assert_int_equal(sg_tree_check_growth(hasher, &old, &head, &proof, NULL), SG_E_INVALID);
        assert_int_equal(
            sg_tree_check_leaf(hasher, &leaves[0], sizes[i] - 1, &head, &too_long, NULL),
            SG_E_INVALID);
        assert_int_equal(sg_tree_check_growth(hasher, &old, &head, &too_long, NULL), SG_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_other_implementations),
        cmocka_unit_test(roots_follow_the_definition),
        cmocka_unit_test(every_leaf_of_every_tree_is_proved_and_nothing_else),
        cmocka_unit_test(every_growth_is_proved_and_nothing_else),
        cmocka_unit_test(a_proof_that_was_touched_proves_nothing),
        cmocka_unit_test(every_tree_begins_with_the_empty_one),
        cmocka_unit_test(a_log_goes_on_from_what_it_kept),
        cmocka_unit_test(the_way_of_a_leaf_has_the_edge_of_what_was_before_it),
        cmocka_unit_test(what_cannot_be_found_is_not_proved),
        cmocka_unit_test(sizes_that_no_log_has_are_judged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
