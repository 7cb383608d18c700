#ifndef SG_GATEWAY_EPOCH_H
#define SG_GATEWAY_EPOCH_H

#include "gateway/config/config.h"

/*
 * The end of a log and the beginning of the next epoch of it: when the store is not what the log
 * promised, or when the log's key is to be replaced. Nobody begins one alone: the first command
 * states what is found, two administrators of leaf 0 sign that statement wherever their keys are,
 * and the second command checks both and begins the epoch. Both block.
 */

/* What `sealgated epoch state` is told. */
struct sg_epoch_wish {
    const char *why;
    /* Of the new epoch, in the place of those that the old one has: a file's content for each.
     * None: they stay. */
    const struct sg_slice *administrators;
    size_t administrator_count;
};

/* `sealgated epoch state`: appends the statement (formats/audit/epoch.h) to `statement`, and what
 * it means to `report`. Makes the new epoch's key beside the old one, as the file NAME.epoch-N; a
 * key that an earlier statement named is kept. Changes nothing else. */
SG_MUST_USE enum sg_rc sg_epoch_state(const struct sg_config *config,
                                      const struct sg_epoch_wish *wish, struct sg_buf *statement,
                                      struct sg_buf *report, struct sg_err *err);

enum { SG_EPOCH_APPROVALS = 2 };

/*
 * `sealgated epoch accept`: what is found must still be what is stated (a sound log may have
 * grown), and the approvals must be of two different administrators, by certificates that would let
 * them in now. Then the new log is there, whose leaves 0 to 3 are its start, the statement with the
 * old log's last checkpoint, and the approvals; and key and anchor take the places of the old ones,
 * which stay as NAME.epoch-N. Killed before its end, it is run again.
 *
 * Where the configuration has a log_certifier, its token's process must run: it certifies the new
 * log's key before anything is begun.
 *
 * Errors: SG_E_CONFLICT: what is found is not what is stated; SG_E_DENIED, SG_E_UNAUTHENTICATED,
 * SG_E_INVALID: an approval does not count.
 */
SG_MUST_USE enum sg_rc sg_epoch_accept(const struct sg_config *config, struct sg_slice statement,
                                       const struct sg_slice approvals[SG_EPOCH_APPROVALS],
                                       struct sg_buf *report, struct sg_err *err);

#endif
