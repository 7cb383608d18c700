#ifndef SG_GATEWAY_CONFIG_CONFIG_YAML_PRIV_H
#define SG_GATEWAY_CONFIG_CONFIG_YAML_PRIV_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * A YAML document as a tree, without what makes YAML surprising: no anchors, aliases, tags, merge
 * keys, directives or second documents, no key twice, no text that is not UTF-8. Scalars stay
 * text; what they mean is the table's business.
 *
 * Positions are those of a text editor: lines and characters, from 1.
 */
struct sg_yaml_pos {
    size_t line, column;
};

enum sg_yaml_kind { SG_YAML_NOTHING = 0, SG_YAML_SCALAR, SG_YAML_LIST, SG_YAML_MAP };

struct sg_yaml_node {
    enum sg_yaml_kind kind;
    struct sg_yaml_pos pos;
    const char *text; /* of a scalar: UTF-8 without control characters */
    bool is_plain;    /* of a scalar: written without quotes */
    const char *key;  /* of a value in a map */
    struct sg_yaml_pos key_pos;
    struct sg_yaml_node *children, *next; /* in the order of the file */
    size_t count;                         /* of children */
};

enum {
    SG_YAML_BYTES_MAX = 24 << 20, /* 100,000 keys take 12 MiB, with copies 20 */
    SG_YAML_NODES_MAX = 2000000,
    SG_YAML_DEPTH_MAX = 8,  /* maps and lists inside each other */
    SG_YAML_KEYS_MAX = 256, /* of one map */
};

/*
 * Builds the tree in `arena`. An empty document gives a map without keys. On failure `*ret_pos`
 * says where, and the message does not.
 * Errors: SG_E_INVALID; SG_E_LIMIT for one of the limits above, or the arena's.
 */
SG_MUST_USE enum sg_rc sg_yaml_parse(struct sg_slice text, struct sg_arena *arena,
                                     const struct sg_yaml_node **ret, struct sg_yaml_pos *ret_pos,
                                     struct sg_err *err);

/* The value of this key, or NULL. */
const struct sg_yaml_node *sg_yaml_get(const struct sg_yaml_node *map, const char *key);
/* Where the value of this key stands, or the map when it is not given. Any node may be asked. */
struct sg_yaml_pos sg_yaml_pos_of(const struct sg_yaml_node *map, const char *key);
/* The first of the list that this key has, or NULL. */
const struct sg_yaml_node *sg_yaml_items(const struct sg_yaml_node *map, const char *key);

#endif
