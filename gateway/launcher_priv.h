#ifndef SG_GATEWAY_LAUNCHER_PRIV_H
#define SG_GATEWAY_LAUNCHER_PRIV_H

#include <sys/types.h>

#include "base/notify.h"
#include "gateway/sockets/sockets.h"

/* What a child that cannot become its user ends with; exec itself ends with 127. */
enum { SG_EXIT_NO_USER = 126 };

/* A status with its NUL; the rest of a longer one is left out. */
enum { SG_STATUS_MAX = 256 };

/* A process of a role, and what is known of it. */
struct sg_process {
    pid_t pid;   /* 0: none */
    int channel; /* what it notifies us by; -1: none */
    bool is_ready;
    bool is_given_up; /* it was told to end for good */
    int64_t started_ms, heard_ms;
    char status[SG_STATUS_MAX]; /* what it said last of how it is; "": nothing yet */
    bool is_status_new;         /* it was not passed on */
};

#define SG_PROCESS_NONE ((struct sg_process){.channel = -1})

struct sg_process_spec {
    const char *role;                 /* for the log */
    const char *user;                 /* to become; NULL: stay */
    const char *const *args;          /* ended by NULL; the first is the program's path */
    const struct sg_sockets *sockets; /* to inherit; NULL: none */
    int64_t watchdog_ns;              /* what it is judged by; 0: nothing */
    bool is_gateway, is_successor;
};

/*
 * Starts a process that dies with us and notifies us by a channel of its own. Its environment is
 * ours, but for what concerns us alone. False: it could not be started, errno says why.
 */
bool sg_process_start(const struct sg_process_spec *spec, int64_t now_ms, struct sg_process *ret);
/* Takes in what it has notified. True: it says that it is ready. */
bool sg_process_hear(struct sg_process *process, int64_t now_ms);
/* It was reaped. */
void sg_process_forget(struct sg_process *process);

#endif
