#ifndef SG_FORMATS_AUDIT_TREE_H
#define SG_FORMATS_AUDIT_TREE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1) over SHA-256: what makes it provable that a
 * record is in the log, and that a longer log is the same log.
 *
 * A tree of any size is a row of complete subtrees, which never change once they are complete. A
 * log keeps their hashes and can prove everything from them; it never reads a record to do so.
 */

enum {
    SG_TREE_HASH_BYTES = 32,
    SG_TREE_LEVELS_MAX = 64, /* a size has 64 bits */
};

struct sg_tree_hash {
    uint8_t bytes[SG_TREE_HASH_BYTES];
};

static inline bool sg_tree_hash_eq(const struct sg_tree_hash *a, const struct sg_tree_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* The complete subtree over the leaves from `index << level` on, `1 << level` of them. */
struct sg_tree_place {
    unsigned level;
    uint64_t index;
};

/* Hashes from the leaf's side to the root's. */
struct sg_tree_proof {
    size_t count;
    struct sg_tree_hash hashes[SG_TREE_LEVELS_MAX];
};

/* SHA-256, set up once. Thread: one at a time. */
struct sg_tree_hasher;
SG_MUST_USE enum sg_rc sg_tree_hasher_new(struct sg_tree_hasher **ret, struct sg_err *err);
void sg_tree_hasher_free(struct sg_tree_hasher *hasher);
SG_DEFINE_AUTO(struct sg_tree_hasher, sg_tree_hasher_free);

void sg_tree_hash_leaf(struct sg_tree_hasher *hasher, struct sg_slice record,
                       struct sg_tree_hash *ret);

/* What a log needs in order to grow: the complete subtrees of a tree of this size, one for each
 * bit that is set in it. Zeroed, it is the empty tree. */
struct sg_tree_edge {
    uint64_t size;
    struct sg_tree_hash complete[SG_TREE_LEVELS_MAX]; /* [level] */
};

/* Is told of a complete subtree, to keep it; a leaf is one of level 0. */
typedef void (*sg_tree_keep_fn)(void *arg, struct sg_tree_place place,
                                const struct sg_tree_hash *hash);
/* Appends one leaf, telling of each subtree that it completes, itself first; `keep` may be NULL. */
void sg_tree_append(struct sg_tree_hasher *hasher, struct sg_tree_edge *edge,
                    const struct sg_tree_hash *leaf, sg_tree_keep_fn keep, void *arg);
/* The Merkle tree hash: what a checkpoint signs. */
void sg_tree_root(struct sg_tree_hasher *hasher, const struct sg_tree_edge *edge,
                  struct sg_tree_hash *ret);

/* Finds what was kept. What it fails with is what the caller gets. */
typedef enum sg_rc (*sg_tree_find_fn)(void *arg, struct sg_tree_place place,
                                      struct sg_tree_hash *ret, struct sg_err *err);

/* The way from a leaf to the root of the tree of `size` leaves (RFC 6962 §2.1.1). `index < size`.
 */
SG_MUST_USE enum sg_rc sg_tree_prove_leaf(struct sg_tree_hasher *hasher, uint64_t index,
                                          uint64_t size, sg_tree_find_fn find, void *arg,
                                          struct sg_tree_proof *ret, struct sg_err *err);
/* That a tree is the beginning of another (RFC 6962 §2.1.2). `0 < old_size <= size`. */
SG_MUST_USE enum sg_rc sg_tree_prove_growth(struct sg_tree_hasher *hasher, uint64_t old_size,
                                            uint64_t size, sg_tree_find_fn find, void *arg,
                                            struct sg_tree_proof *ret, struct sg_err *err);
/* The edge of a tree of `size`, from what was kept: where a log goes on after a restart. */
SG_MUST_USE enum sg_rc sg_tree_find_edge(uint64_t size, sg_tree_find_fn find, void *arg,
                                         struct sg_tree_edge *ret, struct sg_err *err);

/* The edge of the tree of `index` leaves, out of the way from leaf `index` to the root of a tree of
 * `size`: what stands to the left of the way. A proof that sg_tree_check_leaf() has taken is
 * needed; of any other the hashes are anybody's. Errors: SG_E_INVALID: no such way. */
SG_MUST_USE enum sg_rc sg_tree_edge_of_proof(uint64_t index, uint64_t size,
                                             const struct sg_tree_proof *proof,
                                             struct sg_tree_edge *ret, struct sg_err *err);

/* What somebody claims of a tree. */
struct sg_tree_head {
    uint64_t size;
    struct sg_tree_hash root;
};

/* SG_OK means proved (RFC 9162 §2.1.3.2). Errors: SG_E_INVALID, it is not; any numbers and any
 * proof may be given. */
SG_MUST_USE enum sg_rc sg_tree_check_leaf(struct sg_tree_hasher *hasher,
                                          const struct sg_tree_hash *leaf, uint64_t index,
                                          const struct sg_tree_head *head,
                                          const struct sg_tree_proof *proof, struct sg_err *err);
/* SG_OK means that `head` is the tree of `old`, perhaps with more leaves (RFC 9162 §2.1.4.2);
 * every tree begins with the empty one. Errors: as above. */
SG_MUST_USE enum sg_rc sg_tree_check_growth(struct sg_tree_hasher *hasher,
                                            const struct sg_tree_head *old,
                                            const struct sg_tree_head *head,
                                            const struct sg_tree_proof *proof, struct sg_err *err);

#endif
