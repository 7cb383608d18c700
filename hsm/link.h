#ifndef SG_HSM_LINK_H
#define SG_HSM_LINK_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/loop.h"
#include "hsm/job.h"

/*
 * One connection of the gateway to a token process, in one of the two roles. It connects, checks
 * who is at the other end, greets, and then passes requests one way and answers the other; what
 * they mean is its owner's business.
 *
 * Requests are collected and leave together when flushed, several to a packet if the owner says
 * so; answers come likewise. The kernel keeps packets whole, and tells by end-of-file that the
 * process is gone.
 */
enum sg_link_state { SG_LINK_CLOSED = 0, SG_LINK_GREETING, SG_LINK_READY };

struct sg_link_events {
    void *arg;
    /* Greeted; `hello` lives for the call. */
    void (*ready)(void *arg, const struct sg_answer *hello);
    /* False: the answer makes no sense, and the link is closed for it. */
    bool (*answer)(void *arg, const struct sg_answer *answer);
    /* It was open and is not any more; not called for sg_link_close(). */
    void (*closed)(void *arg, const struct sg_err *err);
    /* All that had come was told; the last act of a callback from the loop. */
    void (*drained)(void *arg);
};

struct sg_link {
    struct sg_loop *loop;
    const char *path;
    int64_t uid; /* who must be at the other end; -1: our own uid */
    enum sg_job_role role;
    struct sg_link_events events;

    enum sg_link_state state;
    int pid_fd; /* the process at the other end; -1: not known */
    struct sg_watch watch;
    struct sg_buf out; /* requests that are not sent yet, one after the other */
    size_t group;      /* requests to a packet, the owner's to set; 0: 1 */
    struct sg_link_batch *batch;
};

/* `path` is borrowed for the life of the link. Opens nothing yet. */
SG_MUST_USE enum sg_rc sg_link_init(struct sg_link *link, struct sg_loop *loop, const char *path,
                                    int64_t uid, enum sg_job_role role,
                                    const struct sg_link_events *events, struct sg_err *err);
void sg_link_done(struct sg_link *link);

/* Connects and greets. Errors: SG_E_UNAVAILABLE, nobody listens; SG_E_DENIED, somebody else. */
SG_MUST_USE enum sg_rc sg_link_open(struct sg_link *link, struct sg_err *err);
/* Also when it is closed. */
void sg_link_close(struct sg_link *link);

/* Adds a request to those that leave at the next flush. */
void sg_link_put(struct sg_link *link, const struct sg_request *request);
/*
 * Sends what was put, up to `link->group` of them in a packet, which one thread at the other end
 * takes as a whole. What the socket does not take now leaves when it has room.
 */
void sg_link_flush(struct sg_link *link);

/*
 * Ends the process at the other end: by SIGKILL where that is permitted, and otherwise by asking it
 * (SG_JOB_ROLE_END), which a process that is stopped as a whole does not hear. False: neither.
 */
bool sg_link_kill(struct sg_link *link);

#endif
