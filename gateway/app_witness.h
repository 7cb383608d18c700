#ifndef SG_GATEWAY_APP_WITNESS_H
#define SG_GATEWAY_APP_WITNESS_H

#include "base/notify.h"
#include "gateway/config/config.h"

/*
 * The role witness: serves POST /add-checkpoint of c2sp.org/tlog-witness over TLS, for the logs
 * that are configured, until SIGTERM or SIGINT. SIGHUP reads its certificate anew.
 *
 * It asks for no client certificate: what counts is that the log's key has signed, and whoever
 * brings that may ask.
 *
 * Blocks. Logs. Thread: main, before any other exists.
 */
SG_MUST_USE enum sg_rc sg_app_witness_run(const struct sg_config *config,
                                          const struct sg_notify *notify, struct sg_err *err);

#endif
