#ifndef SG_HSM_TOKEN_H
#define SG_HSM_TOKEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/notify.h"

/*
 * The token process: the only one that loads a vendor's PKCS#11 module and knows the PIN. It
 * serves jobs on a unix socket until it is told to stop (SIGTERM), outlives gateway restarts,
 * and may be killed at any instant: whoever watches over it starts it anew.
 */
struct sg_token_config {
    const char *name;
    const char *module;    /* path of the PKCS#11 module */
    const char *uri;       /* RFC 7512: which token in it, by token= and serial=, never by slot */
    const char *pin_file;  /* or the name of a systemd credential ("credential:NAME") */
    const char *socket;    /* where to listen, mode 0660; replaced if a dead process left it */
    const char *state_dir; /* keeps the PIN latch across restarts */
    size_t workers;        /* 0: for SoftHSM as many as there are cores, 32 for others */
    int64_t hang_ms;       /* after which the gateway takes a call to hang; 0: 5000 */
    int64_t gateway_uid;   /* who may connect; -1: our own uid */
    int64_t gateway_gid;   /* group of the socket; -1: ours */
    const struct sg_notify *notify; /* who watches over the process; borrowed */
    bool allow_extractable;         /* keys imported into SoftHSM for development are not LOCAL */
};

/* Serves until SIGTERM or SIGINT. Blocks. Logs. Thread: main, before any other exists. */
SG_MUST_USE enum sg_rc sg_token_run(const struct sg_token_config *config, struct sg_err *err);

#endif
