#include "formats/audit/tree.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct sg_tree_hasher {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

enum { LEAF_PREFIX = 0x00, NODE_PREFIX = 0x01 }; /* RFC 6962 §2.1 */

enum sg_rc sg_tree_hasher_new(struct sg_tree_hasher **ret, struct sg_err *err)
{
    SG_AUTO(sg_tree_hasher_free)
    struct sg_tree_hasher *hasher = calloc(1, sizeof(*hasher));
    if (hasher == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not hash: out of memory");
    hasher->md = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    hasher->ctx = EVP_MD_CTX_new();
    if (hasher->md == NULL || hasher->ctx == NULL ||
        EVP_DigestInit_ex2(hasher->ctx, hasher->md, NULL) != 1)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not hash: OpenSSL gives no SHA-256");
    *ret = SG_STEAL(hasher);
    return SG_OK;
}

void sg_tree_hasher_free(struct sg_tree_hasher *hasher)
{
    if (hasher == NULL)
        return;
    EVP_MD_CTX_free(hasher->ctx);
    EVP_MD_free(hasher->md);
    free(hasher);
}

/* With a context that is set up there is nothing left that could fail but by a bug. */
static void hash(struct sg_tree_hasher *hasher, uint8_t prefix, struct sg_slice left,
                 struct sg_slice right, struct sg_tree_hash *ret)
{
    EVP_MD_CTX *ctx = hasher->ctx;
    SG_ASSERT(EVP_DigestInit_ex2(ctx, NULL, NULL) == 1 && EVP_DigestUpdate(ctx, &prefix, 1) == 1 &&
              EVP_DigestUpdate(ctx, left.ptr, left.len) == 1 &&
              EVP_DigestUpdate(ctx, right.ptr, right.len) == 1 &&
              EVP_DigestFinal_ex(ctx, ret->bytes, NULL) == 1);
}

static struct sg_slice bytes_of(const struct sg_tree_hash *hash)
{
    return sg_slice_of(hash->bytes, sizeof(hash->bytes));
}

void sg_tree_hash_leaf(struct sg_tree_hasher *hasher, struct sg_slice record,
                       struct sg_tree_hash *ret)
{
    hash(hasher, LEAF_PREFIX, record, SG_SLICE(""), ret);
}

/* `ret` may be one of the two. */
static void join(struct sg_tree_hasher *hasher, const struct sg_tree_hash *left,
                 const struct sg_tree_hash *right, struct sg_tree_hash *ret)
{
    hash(hasher, NODE_PREFIX, bytes_of(left), bytes_of(right), ret);
}

void sg_tree_append(struct sg_tree_hasher *hasher, struct sg_tree_edge *edge,
                    const struct sg_tree_hash *leaf, sg_tree_keep_fn keep, void *arg)
{
    struct sg_tree_hash carry = *leaf;
    unsigned level = 0;

    SG_ASSERT(edge->size < UINT64_MAX);
    for (;; level++) {
        if (keep != NULL)
            keep(arg, (struct sg_tree_place){level, edge->size >> level}, &carry);
        if ((edge->size >> level & 1) == 0)
            break;
        join(hasher, &edge->complete[level], &carry, &carry);
    }
    edge->complete[level] = carry;
    edge->size++;
}

void sg_tree_root(struct sg_tree_hasher *hasher, const struct sg_tree_edge *edge,
                  struct sg_tree_hash *ret)
{
    if (edge->size == 0) {
        unsigned len = 0;
        SG_ASSERT(EVP_Digest("", 0, ret->bytes, &len, hasher->md, NULL) == 1);
        return;
    }
    bool is_first = true;
    for (unsigned level = 0; level < SG_TREE_LEVELS_MAX; level++) {
        if ((edge->size >> level & 1) == 0)
            continue;
        if (is_first)
            *ret = edge->complete[level];
        else
            join(hasher, &edge->complete[level], ret, ret);
        is_first = false;
    }
}

/* Proving --------------------------------------------------------------------------------- */

/* Where the hashes for a proof come from. */
struct source {
    struct sg_tree_hasher *hasher;
    sg_tree_find_fn find;
    void *arg;
    uint64_t size;
};

/*
 * The subtree at a place of the tree of this size, which ends before the place does when it is the
 * last: then it is put together of the complete ones in it, the smallest first.
 */
static enum sg_rc subtree(const struct source *source, struct sg_tree_place place,
                          struct sg_tree_hash *ret, struct sg_err *err)
{
    uint64_t begin = place.index << place.level, len = source->size - begin;
    if (len >> place.level != 0)
        return source->find(source->arg, place, ret, err);

    bool is_first = true;
    for (unsigned level = 0; level < place.level; level++) {
        if ((len >> level & 1) == 0)
            continue;
        /* What is to the right of it is smaller: it ends where its bit of the length does. */
        struct sg_tree_place part = {level, ((begin + (len >> level << level)) >> level) - 1};
        struct sg_tree_hash found;
        SG_TRY(source->find(source->arg, part, is_first ? ret : &found, err));
        if (!is_first)
            join(source->hasher, &found, ret, ret);
        is_first = false;
    }
    return SG_OK;
}

static enum sg_rc add(const struct source *source, struct sg_tree_place place,
                      struct sg_tree_proof *proof, struct sg_err *err)
{
    SG_TRY(subtree(source, place, &proof->hashes[proof->count], err));
    proof->count++;
    return SG_OK;
}

/* The siblings on the way up from a node. */
static enum sg_rc climb(const struct source *source, struct sg_tree_place node,
                        struct sg_tree_proof *proof, struct sg_err *err)
{
    uint64_t last = (source->size - 1) >> node.level;
    for (; last > 0; node.level++, node.index >>= 1, last >>= 1) {
        struct sg_tree_place sibling = {node.level, node.index ^ 1};
        if (sibling.index <= last)
            SG_TRY(add(source, sibling, proof, err));
    }
    return SG_OK;
}

enum sg_rc sg_tree_prove_leaf(struct sg_tree_hasher *hasher, uint64_t index, uint64_t size,
                              sg_tree_find_fn find, void *arg, struct sg_tree_proof *ret,
                              struct sg_err *err)
{
    SG_ASSERT(index < size);
    struct source source = {hasher, find, arg, size};
    ret->count = 0;
    return climb(&source, (struct sg_tree_place){0, index}, ret, err);
}

enum sg_rc sg_tree_prove_growth(struct sg_tree_hasher *hasher, uint64_t old_size, uint64_t size,
                                sg_tree_find_fn find, void *arg, struct sg_tree_proof *ret,
                                struct sg_err *err)
{
    SG_ASSERT(0 < old_size && old_size <= size);
    struct source source = {hasher, find, arg, size};
    ret->count = 0;
    if (old_size == size)
        return SG_OK;

    /* The last complete subtree of the old tree; who checks knows it when it is all of the tree. */
    struct sg_tree_place node = {0, old_size - 1};
    for (; (node.index & 1) != 0; node.index >>= 1)
        node.level++;
    if (node.index > 0)
        SG_TRY(add(&source, node, ret, err));
    return climb(&source, node, ret, err);
}

enum sg_rc sg_tree_find_edge(uint64_t size, sg_tree_find_fn find, void *arg,
                             struct sg_tree_edge *ret, struct sg_err *err)
{
    struct sg_tree_edge edge = {.size = size};
    for (unsigned level = 0; level < SG_TREE_LEVELS_MAX; level++) {
        struct sg_tree_place place = {level, (size >> level) - 1};
        if ((size >> level & 1) != 0)
            SG_TRY(find(arg, place, &edge.complete[level], err));
    }
    *ret = edge;
    return SG_OK;
}

/* Checking -------------------------------------------------------------------------------- */

/* A node on its way up: where it is in its level, and the last of that level. */
struct climber {
    uint64_t node, last;
};

static void up(struct climber *climber)
{
    climber->node >>= 1;
    climber->last >>= 1;
}

/* Whether the next hash of a proof stands to the left, where levels without a sibling are passed.
 */
static bool step_is_left(struct climber *climber)
{
    bool is_left = (climber->node & 1) != 0 || climber->node == climber->last;
    if (is_left)
        while ((climber->node & 1) == 0 && climber->node != 0)
            up(climber);
    up(climber);
    return is_left;
}

static enum sg_rc not_proved(struct sg_err *err, const char *what)
{
    return SG_FAIL(err, SG_E_INVALID, 0, "the proof does not show that %s", what);
}

enum sg_rc sg_tree_check_leaf(struct sg_tree_hasher *hasher, const struct sg_tree_hash *leaf,
                              uint64_t index, const struct sg_tree_head *head,
                              const struct sg_tree_proof *proof, struct sg_err *err)
{
    static const char what[] = "the record is in the log";
    if (index >= head->size || proof->count > SG_TREE_LEVELS_MAX)
        return not_proved(err, what);

    struct climber at = {index, head->size - 1};
    struct sg_tree_hash root = *leaf;
    for (size_t i = 0; i < proof->count; i++) {
        const struct sg_tree_hash *next = &proof->hashes[i];
        if (at.last == 0)
            return not_proved(err, what);
        if (step_is_left(&at))
            join(hasher, next, &root, &root);
        else
            join(hasher, &root, next, &root);
    }
    if (at.last != 0 || !sg_tree_hash_eq(&root, &head->root))
        return not_proved(err, what);
    return SG_OK;
}

enum sg_rc sg_tree_edge_of_proof(uint64_t index, uint64_t size, const struct sg_tree_proof *proof,
                                 struct sg_tree_edge *ret, struct sg_err *err)
{
    struct sg_tree_edge edge = {.size = index};
    uint64_t left = index;

    if (index >= size || proof->count > SG_TREE_LEVELS_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "a proof is not of a leaf of that tree");
    struct climber at = {index, size - 1};
    for (size_t i = 0; i < proof->count && at.last != 0; i++)
        if (step_is_left(&at)) { /* of the lowest bit that has not had its subtree */
            if (left == 0)
                break;
            edge.complete[__builtin_ctzll(left)] = proof->hashes[i];
            left &= left - 1;
        }
    if (left != 0 || at.last != 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "a proof is not of a leaf of that tree");
    *ret = edge;
    return SG_OK;
}

enum sg_rc sg_tree_check_growth(struct sg_tree_hasher *hasher, const struct sg_tree_head *old,
                                const struct sg_tree_head *head, const struct sg_tree_proof *proof,
                                struct sg_err *err)
{
    static const char what[] = "the log only grew";
    if (old->size > head->size || proof->count > SG_TREE_LEVELS_MAX)
        return not_proved(err, what);
    if (old->size == 0 || old->size == head->size) {
        struct sg_tree_edge empty = {0};
        struct sg_tree_hash root = head->root;
        if (old->size == 0)
            sg_tree_root(hasher, &empty, &root);
        return proof->count == 0 && sg_tree_hash_eq(&old->root, &root) ? SG_OK
                                                                       : not_proved(err, what);
    }

    struct climber at = {old->size - 1, head->size - 1};
    while ((at.node & 1) != 0)
        up(&at);
    size_t i = 0;
    struct sg_tree_hash before = old->root; /* when the old tree is complete, this is the node */
    if (at.node > 0) {
        if (proof->count == 0)
            return not_proved(err, what);
        before = proof->hashes[i++];
    }
    struct sg_tree_hash after = before;
    for (; i < proof->count; i++) {
        const struct sg_tree_hash *next = &proof->hashes[i];
        if (at.last == 0)
            return not_proved(err, what);
        if (step_is_left(&at)) {
            join(hasher, next, &before, &before);
            join(hasher, next, &after, &after);
        } else {
            join(hasher, &after, next, &after);
        }
    }
    if (at.last != 0 || !sg_tree_hash_eq(&before, &old->root) ||
        !sg_tree_hash_eq(&after, &head->root))
        return not_proved(err, what);
    return SG_OK;
}
