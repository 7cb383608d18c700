#ifndef SG_GATEWAY_APP_PRIV_H
#define SG_GATEWAY_APP_PRIV_H

#include "base/log_limit.h"
#include "gateway/app.h"
#include "gateway/audit/witnesses.h"
#include "gateway/config/callers.h"
#include "gateway/metrics/http.h"
#include "gateway/metrics/metrics.h"
#include "gateway/net/net.h"
#include "gateway/rpc/rpc.h"
#include "hsm/hsm.h"

enum sg_app_phase { SG_APP_STARTING = 0, SG_APP_SERVING, SG_APP_NOTICED, SG_APP_DRAINING };

struct sg_app {
    const struct sg_config *config;
    const char *config_path;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct sg_keys *keys;
    struct sg_authz *authz;
    struct sg_crypto *crypto;
    struct sg_signer *signer;
    struct sg_audit *audit;
    struct sg_witnesses *witnesses; /* NULL: none are configured */
    struct sg_witness_peer *witness_peers;
    char *cosigned_file;
    struct sg_signings *signings;
    struct sg_rpc *rpc;
    struct sg_net *nets[SG_LISTENER_COUNT]; /* NULL: not configured */
    struct sg_metrics *metrics;
    struct sg_metrics_http *metrics_http;
    struct sg_watch signals;
    struct sg_timer audit_timer, crl_timer, drain_timer, ready_timer, watchdog_timer;
    bool *was_up;        /* of each token, when it was last heard of */
    uint64_t files_seen; /* of the CRL files: changes whenever one of them does */
    bool is_reload_due;  /* the last one of certificates, keys and CRLs failed */
    struct sg_callers_reader *callers_reader;
    bool has_files;         /* of the last that an operator asked for */
    bool is_reloading_told; /* and its end is not */
    /* Why the last one of each failed; zero: it did not. */
    struct sg_err files_failed, callers_failed;
    /* Calls that are refused, in the log. */
    struct sg_log_limit unauthenticated, denied, internal;
    struct sg_notify notify;
    struct sg_sockets sockets; /* those that are not served on yet */
    bool is_successor;         /* another gateway serves until we are ready */
    bool is_waiting;           /* accepts nothing until it is ready */
    bool is_yielding;          /* ends because another has taken over */
    enum sg_app_phase phase;
    struct sg_err failed; /* why it ends, when nobody asked for it */
    size_t keys_loaded;   /* so many have been looked for */
    int64_t ready_until_ns, drain_until_ns;
};

/* app.c: over both listeners. */
size_t sg_app_connections(const struct sg_app *app);
void sg_app_each_net(const struct sg_app *app, void (*fn)(struct sg_net *net));
/* Begins to accept, on what it does not accept on yet. */
SG_MUST_USE enum sg_rc sg_app_serve(struct sg_app *app, struct sg_err *err);

/* app.c: the limits of a listener, as they are configured. */
struct sg_net_options sg_app_net_options(const struct sg_config *config);

/* app_life.c: being ready, being watched over, and the two ends. */
SG_MUST_USE enum sg_rc sg_app_begin_life(struct sg_app *app, struct sg_err *err);
void sg_app_end_life(struct sg_app *app);
void sg_app_stop(struct sg_app *app);
void sg_app_yield(struct sg_app *app);

/* app_reload.c: certificates, CRLs and the list of callers, when it starts and while it runs. */
SG_MUST_USE enum sg_rc sg_app_load_trust(struct sg_app *app, struct sg_tls_trust **ret,
                                         struct sg_err *err);
/* `trust` NULL: for a listener that asks for no client certificate. */
SG_MUST_USE enum sg_rc sg_app_load_tls(const struct sg_app *app, struct sg_tls_trust *trust,
                                       struct sg_tls_ctx **ret, struct sg_err *err);
/* From now on, CRLs that change are loaded anew, and what an operator asks for may come. */
SG_MUST_USE enum sg_rc sg_app_watch_files(struct sg_app *app, struct sg_err *err);
/* What an operator asks for. */
void sg_app_reload(struct sg_app *app);

/* app_audit.c: the log; every signature goes through it. */
SG_MUST_USE enum sg_rc sg_app_open_audit(struct sg_app *app, struct sg_err *err);
/* Records that this gateway starts; just before it serves, so that one that never did is not there.
 */
void sg_app_record_start(struct sg_app *app);

/* app_witnesses.c: those who watch the log; before anything is signed they are asked whether it is
 * the one that they have seen. */
SG_MUST_USE enum sg_rc sg_app_open_witnesses(struct sg_app *app, struct sg_err *err);
void sg_app_close_witnesses(struct sg_app *app);
void sg_app_fill_witnesses(const struct sg_app *app);

/* app_metrics.c: the numbers, before anybody counts; and the listener that shows them. */
SG_MUST_USE enum sg_rc sg_app_start_metrics(struct sg_app *app, struct sg_err *err);
SG_MUST_USE enum sg_rc sg_app_serve_metrics(struct sg_app *app, int listener, struct sg_err *err);

#endif
