#ifndef SG_GATEWAY_LAUNCHER_H
#define SG_GATEWAY_LAUNCHER_H

#include "base/notify.h"
#include "gateway/config/config.h"
#include "gateway/sockets/sockets.h"

struct sg_launcher_options {
    const char *program;            /* the path to execute, whatever program stands there by then */
    const char *config_path;        /* what each role is told to read */
    bool is_gateway_only;           /* the token processes are somebody else's */
    const struct sg_notify *notify; /* who watches over the launcher; borrowed */
    struct sg_sockets sockets;      /* inherited; those that are missing are opened; owned */
};

/*
 * Starts the roles of the configuration as processes of their own (the gateway, a token process
 * for each token), starts one anew when it dies, and stops all on SIGTERM or SIGINT, the gateway
 * first. Small on purpose: it holds no secret, and of the sockets that it opens it reads nothing.
 *
 * It keeps the listening sockets, and each gateway inherits them. So callers that come while a
 * gateway is started anew wait instead of being refused; and on SIGUSR2 another gateway is started
 * from the program and the configuration as they are then, beside the one that serves, which goes
 * when the new one says that it is ready and stays when it does not.
 *
 * Blocks. Logs. Where a role is to run as another user and cannot, nothing is started, or all of it
 * stopped: trying again would not help.
 *
 * Errors: SG_E_INVALID, a user that does not exist; SG_E_DENIED, only root becomes another.
 * Thread: main, before any other exists.
 */
SG_MUST_USE enum sg_rc sg_launcher_run(const struct sg_config *config,
                                       const struct sg_launcher_options *options,
                                       struct sg_err *err);

#endif
