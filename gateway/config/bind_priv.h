#ifndef SG_GATEWAY_CONFIG_BIND_PRIV_H
#define SG_GATEWAY_CONFIG_BIND_PRIV_H

#include "gateway/config/config_yaml_priv.h"
#include "gateway/config/table_priv.h"

/* From the tree of a file to struct sg_config; collects what is wrong and goes on. */
struct sg_config_bind {
    const char *shown;        /* the file's name, as in messages */
    const char *folder;       /* where relative paths begin */
    struct sg_arena *arena;   /* what the config lives in */
    struct sg_arena *scratch; /* what is forgotten when it is read */
    struct sg_buf *report;    /* or NULL */
    struct sg_err *err;       /* gets the first complaint */
    size_t complaints;
    bool no_memory;
};

enum { SG_CONFIG_REPORT_MAX = 20 };

/* Says what is wrong at this place, and what would be right. */
void sg_config_complain(struct sg_config_bind *bind, struct sg_yaml_pos pos, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the member of `base` to its default. Then reads its value from `node`; complains and
 * leaves the default when it is not what the field wants. */
void sg_config_set_default(const struct sg_field *field, void *base);
void sg_config_bind_field(struct sg_config_bind *bind, const struct sg_field *field,
                          const struct sg_yaml_node *node, void *base);

/* Fills in `config`: options and lists by the tables, defaults for what is not given. */
void sg_config_bind(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                    struct sg_config *config);

/* What no single field can tell: names that must exist, and what must fit together. `root` tells
 * where things stand. */
void sg_config_check(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                     struct sg_config *config);

/* Whether the files named in the configuration are there and not open to everybody. */
void sg_config_check_files(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                           const struct sg_config *config);

/* The word nearest to a mistyped one, or NULL when none is near. */
const char *sg_config_suggest(const char *word, const char *const *known, size_t count);

/* Memory of the config, cleared; NULL is noted in `bind`. */
void *sg_config_alloc(struct sg_config_bind *bind, size_t len);

#endif
