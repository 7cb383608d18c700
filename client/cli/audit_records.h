#ifndef SG_CLI_AUDIT_RECORDS_H
#define SG_CLI_AUDIT_RECORDS_H

#include "client/cli/cli.h"
#include "client/include/sealgate_audit.h"

/* What the commands that ask a gateway for its audit log share: names of logs, and records on
 * stdout as they come, a line for each; in JSON an object for each. */

enum { SG_CLI_LOG_BYTES = 256 };

/* The row of the option for the tables of commands. */
#define SG_CLI_LOG_OPTION                                                                          \
    {                                                                                              \
        "log", "NAME", "which log, or NAME/epochs/N (default: that of the gateway that\nanswers)", \
            false                                                                                  \
    }

/* --log as audit/NAME into `out`; `*ret` is NULL when it was not given. */
enum sg_exit sg_cli_log_name(const struct sg_cli *cli, char out[SG_CLI_LOG_BYTES],
                             const char **ret);

/* One record. */
enum sg_exit sg_cli_put_leaf(const struct sg_cli *cli, const struct sealgate_record *record);

/* Every page of the query, but no leaf from `end` on. `*ret_count` is how many records there were.
 */
enum sg_exit sg_cli_put_leaves(struct sg_cli *cli, struct sealgate_leaf_query *query, uint64_t end,
                               uint64_t *ret_count);

/* Asks for each page of the query in turn and hands over its records. `fn` ends it by another code
 * than SG_EXIT_OK. */
typedef enum sg_exit (*sg_cli_leaf_fn)(void *arg, const struct sealgate_record *record);
enum sg_exit sg_cli_each_leaf(struct sg_cli *cli, struct sealgate_leaf_query *query,
                              sg_cli_leaf_fn fn, void *arg);

#endif
