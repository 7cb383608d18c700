#ifndef SG_GATEWAY_LAUNCHER_H
#define SG_GATEWAY_LAUNCHER_H

#include "gateway/config/config.h"

/*
 * Starts every role of the configuration as a process of its own (the gateway, a token process
 * for each token), starts one anew when it dies, and stops all on SIGTERM or SIGINT, the gateway
 * first. Small on purpose: it holds no secret and opens no socket. Where systemd runs, units take
 * its place.
 *
 * `program` is our own path, `config_path` what each role is told to read. Blocks. Logs. Where a
 * role is to run as another user and cannot, nothing is started, or all of it stopped: trying again
 * would not help.
 *
 * Errors: SG_E_INVALID, a user that does not exist; SG_E_DENIED, only root becomes another.
 * Thread: main, before any other exists.
 */
SG_MUST_USE enum sg_rc sg_launcher_run(const struct sg_config *config, const char *program,
                                       const char *config_path, struct sg_err *err);

#endif
