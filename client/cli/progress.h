#ifndef SG_CLI_PROGRESS_H
#define SG_CLI_PROGRESS_H

#include "base/buf.h"

/* One line that says how far something is; pure, so that it can be tested. */
struct sg_progress {
    uint64_t total, done, failed; /* done: the failed too */
    uint64_t before;              /* of `done`, what was so from the beginning */
    int64_t elapsed_ns;
};

/* "[#####.....]  512/1000  51 %  1024/s  1 s left  3 failed" */
void sg_progress_line(const struct sg_progress *progress, struct sg_buf *out);

#endif
