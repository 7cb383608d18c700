#ifndef SG_GATEWAY_MAIN_EPOCH_H
#define SG_GATEWAY_MAIN_EPOCH_H

#include "gateway/epoch.h"

/* `sealgated epoch`: the statement goes to standard output, so that it lies where its caller may
 * write, what it means to standard error. Files that are named are read as their caller, who then
 * becomes the gateway's user. Block. */
struct sg_main_epoch {
    const char *why, *statement, *approvals[SG_EPOCH_APPROVALS];
    const char *const *administrators; /* files */
    size_t administrator_count;        /* SG_INIT_ADMINISTRATORS_MAX at most */
};

SG_MUST_USE enum sg_rc sg_main_epoch_state(const struct sg_config *config,
                                           const struct sg_main_epoch *epoch, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_main_epoch_accept(const struct sg_config *config,
                                            const struct sg_main_epoch *epoch, struct sg_err *err);

#endif
