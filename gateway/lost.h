#ifndef SG_GATEWAY_LOST_H
#define SG_GATEWAY_LOST_H

#include "gateway/config/config.h"

/*
 * For whoever found the store without its log, AUDIT_NOT_INITIALISED in `err`: says whether `init`
 * is what is missing, as before a first start, or the store itself, which then is told with what to
 * do, by STORE_ROLLED_BACK. The log's anchor and its key know; `init` refuses by them, too. Another
 * error is left as it is. Blocks.
 */
void sg_lost_explain(const struct sg_config *config, struct sg_err *err);

#endif
