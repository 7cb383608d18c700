#ifndef SG_GATEWAY_APP_H
#define SG_GATEWAY_APP_H

#include "gateway/config/config.h"

/*
 * The gateway: owns every long-lived object, starts them in order, serves until SIGTERM or
 * SIGINT, lets open calls end, and frees them in reverse order. SIGHUP reads the server's
 * certificate, the CRLs, and from the configuration at `path` the callers anew. Blocks. Logs.
 * Thread: main, before any other exists.
 */
SG_MUST_USE enum sg_rc sg_app_run(const struct sg_config *config, const char *path,
                                  struct sg_err *err);

#endif
