#ifndef SG_GATEWAY_MAIN_VERIFY_H
#define SG_GATEWAY_MAIN_VERIFY_H

#include "gateway/audit/archive_files.h"
#include "gateway/config/config.h"

enum { SG_MAIN_VERIFY_FOLDERS_MAX = 64 };

/* `sealgated verify`: the whole of the gateway's own log, every epoch of it. Blocks. */
struct sg_main_verify {
    const char *folders[SG_MAIN_VERIFY_FOLDERS_MAX + 1]; /* of its archive */
    size_t folder_count;
    bool is_without_archive; /* whoever asks knows that archived leaves are not looked at */
    /* A file with the certificate or public key that has to have certified the log's key; NULL:
     * nobody asks. */
    const char *certified_by;
};

/* Prints what was proved, and what was not looked at. Errors: those of sg_audit_verify();
 * SG_E_NOT_FOUND LEAF_ARCHIVED: all that is in the store is proved, and leaves that are not were
 * not looked at. */
SG_MUST_USE enum sg_rc sg_main_verify(const struct sg_config *config,
                                      const struct sg_main_verify *verify, struct sg_err *err);

#endif
