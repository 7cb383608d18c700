#ifndef SG_GATEWAY_AUDIT_LOG_TREE_H
#define SG_GATEWAY_AUDIT_LOG_TREE_H

#include "formats/audit/tree.h"
#include "gateway/store/store.h"

/*
 * The Merkle tree of one log over a store: its edge and the tiles that are not full in memory, all
 * else read when it is asked for. It grows by what is appended here, or by what somebody else has
 * appended to the store.
 *
 * Tiles are as in c2sp.org/tlog-tiles: 256 hashes of one level, from which the seven levels above
 * are computed. Thread: one at a time.
 */
struct sg_log_tree;

enum { SG_LOG_TREE_GROUP_MAX = 256 }; /* leaves that may be appended before they are kept */

/* An empty tree of the log. `store` outlives it. */
SG_MUST_USE enum sg_rc sg_log_tree_new(struct sg_store *store, uint64_t log_id,
                                       struct sg_log_tree **ret, struct sg_err *err);
void sg_log_tree_free(struct sg_log_tree *tree);
SG_DEFINE_AUTO(struct sg_log_tree, sg_log_tree_free);

/* Brings it to a size that the store has: reads what is new to it. After a failure it is empty, and
 * may be loaded again. Blocks. Errors: the store's; SG_E_INTERNAL STORE_BROKEN: leaves or tiles are
 * missing, or it would shrink. */
SG_MUST_USE enum sg_rc sg_log_tree_load(struct sg_log_tree *tree, uint64_t size,
                                        struct sg_err *err);

uint64_t sg_log_tree_size(const struct sg_log_tree *tree);
void sg_log_tree_root(struct sg_log_tree *tree, struct sg_tree_hash *ret);
/* Of a smaller or the same size. Blocks. */
SG_MUST_USE enum sg_rc sg_log_tree_root_at(struct sg_log_tree *tree, uint64_t size,
                                           struct sg_tree_hash *ret, struct sg_err *err);

/* The edge that it had at a smaller or the same size. Blocks. */
SG_MUST_USE enum sg_rc sg_log_tree_edge_at(struct sg_log_tree *tree, uint64_t size,
                                           struct sg_tree_edge *ret, struct sg_err *err);
/* The hash of a complete subtree of it. Blocks. */
SG_MUST_USE enum sg_rc sg_log_tree_node(struct sg_log_tree *tree, struct sg_tree_place place,
                                        struct sg_tree_hash *ret, struct sg_err *err);

/* Appends one record; its leaf hash is `ret_leaf`. At most SG_LOG_TREE_GROUP_MAX between two calls
 * of sg_log_tree_keep() or sg_log_tree_drop(). */
void sg_log_tree_append(struct sg_log_tree *tree, struct sg_slice record,
                        struct sg_tree_hash *ret_leaf);
/* What the appended leaves have filled, to be written beside them; lives until the next call. */
const struct sg_store_tile *sg_log_tree_filled(const struct sg_log_tree *tree, size_t *ret_count);
/* The appended leaves are in the store; or they are not, and the tree is as before them. */
void sg_log_tree_keep(struct sg_log_tree *tree);
void sg_log_tree_drop(struct sg_log_tree *tree);

/* Proofs towards the tree as it is. `index` < size; `old_size` from 1 to `new_size`, which is at
 * most the size. They block where tiles must be read: not for what was appended last. */
SG_MUST_USE enum sg_rc sg_log_tree_prove_leaf(struct sg_log_tree *tree, uint64_t index,
                                              struct sg_tree_proof *ret, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_log_tree_prove_growth(struct sg_log_tree *tree, uint64_t old_size,
                                                uint64_t new_size, struct sg_tree_proof *ret,
                                                struct sg_err *err);

/* The leaf hash of any record. */
void sg_log_tree_hash(struct sg_log_tree *tree, struct sg_slice record, struct sg_tree_hash *ret);
/* The hash of a leaf as the tiles have it, whatever its record says by now. Blocks. */
SG_MUST_USE enum sg_rc sg_log_tree_leaf(struct sg_log_tree *tree, uint64_t index,
                                        struct sg_tree_hash *ret, struct sg_err *err);

#endif
