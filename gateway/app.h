#ifndef SG_GATEWAY_APP_H
#define SG_GATEWAY_APP_H

#include "base/notify.h"
#include "gateway/config/config.h"
#include "gateway/sockets/sockets.h"

/* What the gateway was started with. */
struct sg_app_start {
    struct sg_notify notify;
    struct sg_sockets sockets; /* inherited; those that are missing are opened */
    bool is_successor;         /* another gateway serves on the same sockets until we are ready */
};

/* The variable by which the launcher says that a gateway is to take over from another. */
#define SG_APP_SUCCESSOR "SEALGATED_SUCCESSOR"

/*
 * The gateway: owns every long-lived object, starts them in order, serves until SIGTERM or
 * SIGINT, lets open calls end, and frees them in reverse order. SIGHUP reads the server's
 * certificate, the CRLs, and from the configuration at `path` the callers anew. SIGUSR2 from the
 * launcher says that another gateway has taken over: it then ends as on SIGTERM, but with as much
 * time as its longest call may take, and health is told well until the connections go.
 *
 * On inherited sockets nothing is accepted before the tokens have been looked at, for at most
 * three seconds: callers wait in the kernel's queue, or are served by the gateway before us.
 *
 * Blocks. Logs. Thread: main, before any other exists. Owns: `start`, what is in it.
 */
SG_MUST_USE enum sg_rc sg_app_run(const struct sg_config *config, const char *path,
                                  struct sg_app_start *start, struct sg_err *err);

#endif
