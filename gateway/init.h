#ifndef SG_GATEWAY_INIT_H
#define SG_GATEWAY_INIT_H

#include "gateway/config/config.h"

/*
 * `sealgated init`: makes what a gateway needs before it signs for the first time: the store, the
 * log's key, its anchor, and leaf 0, which names the log's key, the administrators and the tokens,
 * and has the certification of that key where the configuration has a log_certifier, whose token's
 * process must run then. Blocks.
 */
struct sg_init_options {
    const char *origin; /* of the log, without its epoch; NULL: the host's name */
    const struct sg_slice *administrators; /* of each a file's content: certificate or public key */
    size_t administrator_count;            /* two at least */
};

enum { SG_INIT_ADMINISTRATORS_MAX = 16 };

/* Appends what people should keep: the log's public key, and what was made. What is there already
 * is kept, and a log that is complete is not made again (SG_OK). Errors: SG_E_CONFLICT,
 * STORE_ROLLED_BACK: the log is not in the store, and its anchor remembers it; those of
 * sg_certify_check(): the key could not be certified. Then nothing is made. */
SG_MUST_USE enum sg_rc sg_init(const struct sg_config *config,
                               const struct sg_init_options *options, struct sg_buf *report,
                               struct sg_err *err);

/* `sealgated init witness`: makes the role witness's folder and its key in it, called `name` (NULL:
 * after the host). Appends its public key, which the logs that it is to watch are given. A key that
 * is there is kept. */
SG_MUST_USE enum sg_rc sg_init_witness(const struct sg_config *config, const char *name,
                                       struct sg_buf *report, struct sg_err *err);
/* Where the key is: in the folder. Errors: SG_E_INVALID: too long a path. */
SG_MUST_USE enum sg_rc sg_witness_key_path(const struct sg_config *config, char *ret, size_t cap,
                                           struct sg_err *err);

#endif
