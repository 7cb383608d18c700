#ifndef SG_GATEWAY_CERTIFY_H
#define SG_GATEWAY_CERTIFY_H

#include "formats/audit/certified.h"
#include "gateway/config/config.h"
#include "gateway/store/store.h"

/*
 * Has a key in a token certify the log's key (formats/audit/certified.h): for the commands that
 * begin a log. The process of that token must run, which signs for the gateway's user alone. The
 * gateway itself knows nothing of the key, so no caller sees it or has anything signed by it.
 * Both block, for seconds at most.
 */

/* The token whose `log_certifier` is set; NULL: the log's key is not to be certified. */
const struct sg_config_token *sg_certify_token(const struct sg_config *config);

/* That it could be done now: before anything is made. Errors: SG_E_UNAVAILABLE: the token's process
 * does not run, or cannot use the token; SG_E_CONFLICT: there is no such key, or it may do more
 * than sign. */
SG_MUST_USE enum sg_rc sg_certify_check(const struct sg_config *config, struct sg_err *err);
/* Does it; what the token gives is verified. Errors: as above; SG_E_INTERNAL: it does not verify.
 */
SG_MUST_USE enum sg_rc sg_certify(const struct sg_config *config, const struct sg_note_key *log_key,
                                  struct sg_certification *ret, struct sg_err *err);

/* Appends, for people, by which key leaf 0 of the log has that of the log certified, or that it has
 * not. Errors: the store's. */
SG_MUST_USE enum sg_rc sg_certify_report(struct sg_store *store, const struct sg_store_log *log,
                                         struct sg_buf *report, struct sg_err *err);

/* That leaf 0 of the log, which was proved, has its key certified by the key in `spki`. Errors:
 * SG_E_NOT_FOUND: it has no certification; SG_E_INVALID: it is not by that key, or not of this one;
 * the store's. */
SG_MUST_USE enum sg_rc sg_certify_verify(struct sg_store *store, const struct sg_store_log *log,
                                         const struct sg_note_key *log_key, struct sg_slice spki,
                                         struct sg_err *err);

#endif
