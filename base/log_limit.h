#ifndef SG_BASE_LOG_LIMIT_H
#define SG_BASE_LOG_LIMIT_H

#include "base/log.h"
#include "base/loop.h"

/*
 * How often an event that strangers cause may be logged: so many lines in a window of ten seconds.
 * What is over that is counted, and the count is logged when the window ends, so that a flood
 * costs a few lines and still shows how large it was.
 *
 *     if (sg_log_limit_take(&limit))
 *         sg_log(SG_LOG_INFO, NULL, "rpc.refused", ...);
 *
 * Thread: loop.
 */
struct sg_log_limit {
    const char *event; /* static */
    struct sg_loop *loop;
    struct sg_timer timer; /* the end of the window; runs while something is suppressed */
    int64_t until_ns;      /* of the window */
    unsigned taken;
    uint64_t suppressed;
};

enum { SG_LOG_LIMIT_LINES = 50, SG_LOG_LIMIT_WINDOW_S = 10 };

/* What is suppressed is told as "log.suppressed", of=`event`, lines=how many. */
void sg_log_limit_init(struct sg_log_limit *limit, struct sg_loop *loop, const char *event);
/* Logs what it still has to tell. Also of one that is zeroed. */
void sg_log_limit_done(struct sg_log_limit *limit);

/* Whether a line may be logged now. */
bool sg_log_limit_take(struct sg_log_limit *limit);

#endif
