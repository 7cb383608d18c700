#ifndef SG_GATEWAY_MAIN_ARCHIVE_H
#define SG_GATEWAY_MAIN_ARCHIVE_H

#include "gateway/config/config.h"

/* `sealgated archive`: old leaves of the gateway's log, of every epoch of it, go to files. Prints
 * each file. Blocks. */
struct sg_main_archive {
    const char *folder;
    const char *before; /* a time in UTC, or an age: 90d, 12h; NULL: as old as may be */
    const char *leaves; /* at most so many, the oldest; NULL: all that are old enough */
};

/* Errors: SG_E_INVALID: not a time, not a number; those of sg_audit_archive(). */
SG_MUST_USE enum sg_rc sg_main_archive(const struct sg_config *config,
                                       const struct sg_main_archive *archive, struct sg_err *err);

#endif
