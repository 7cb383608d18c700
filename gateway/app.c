#include "gateway/app.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/app_priv.h"
#include "gateway/service/drained.h"
#include "gateway/user.h"
#include "methods.h"

/* Bounded before by what the tokens may have in flight. */
enum { POOL_WAITING_MAX = 65536 };

/* What the engine tells ------------------------------------------------------------------- */

static void on_job_done(void *arg, struct sg_hsm_job *job)
{
    (void)arg;
    sg_sign_job_done(job);
}

static const char *state_name(enum sg_hsm_token_state state)
{
    switch (state) {
    case SG_TOKEN_UP:
        return "up";
    case SG_TOKEN_PROBING:
        return "probing";
    case SG_TOKEN_PIN_LATCHED:
        return "pin_latched";
    case SG_TOKEN_SUSPECT:
        return "suspect";
    case SG_TOKEN_DRAINING:
        return "draining";
    case SG_TOKEN_DOWN:
    case SG_TOKEN_STATE_COUNT:
        break;
    }
    return "down";
}

static void on_token_changed(void *arg, size_t token, const struct sg_err *err)
{
    struct sg_app *app = arg;
    struct sg_hsm_token_info info;

    sg_hsm_token_info(app->hsm, token, &info);
    const bool is_up = info.state == SG_TOKEN_UP || info.state == SG_TOKEN_SUSPECT ||
                       info.state == SG_TOKEN_DRAINING;
    if (!is_up && app->was_up[token])
        sg_metrics_add(app->metrics, SG_METRIC_TOKEN_BREAKER_TRIPS, token, 0, 1);
    app->was_up[token] = is_up;
    if (info.state == SG_TOKEN_UP)
        sg_log(SG_LOG_INFO, NULL, "hsm.token_up", SG_F_STR("token", info.name),
               SG_F_INT("workers", info.workers));
    else if (err != NULL && err->rc != SG_OK)
        sg_log(SG_LOG_WARNING, NULL, "hsm.token_not_up", SG_F_STR("token", info.name),
               SG_F_STR("state", state_name(info.state)), SG_F_ERR(err));
    else
        sg_log(SG_LOG_INFO, NULL, "hsm.token_not_up", SG_F_STR("token", info.name),
               SG_F_STR("state", state_name(info.state)));
    sg_rpc_health_changed(app->rpc);
}

static void on_key_changed(void *arg, size_t key, size_t copy)
{
    struct sg_app *app = arg;
    struct sg_hsm_key_info info;
    struct sg_hsm_copy_info on_token;

    sg_keys_changed(app->keys, key);
    sg_hsm_key_info(app->hsm, key, &info);
    sg_hsm_copy_info(app->hsm, key, copy, &on_token);
    const char *token = app->config->tokens[on_token.token].name;
    if (on_token.state == SG_KEY_UNUSABLE || on_token.state == SG_KEY_QUARANTINED)
        sg_log(SG_LOG_ERROR, NULL, "hsm.key_not_usable", SG_F_STR("key", info.name),
               SG_F_STR("token", token), SG_F_ERR(&on_token.err));
    else
        sg_log(SG_LOG_DEBUG, NULL, "hsm.key", SG_F_STR("key", info.name), SG_F_STR("token", token),
               SG_F_INT("ready", on_token.state == SG_KEY_READY));
}

static void on_rpc_error(void *arg, const char *request_id, const char *method,
                         const struct sg_err *err)
{
    struct sg_app *app = arg;
    enum sg_log_level level = SG_LOG_DEBUG;
    struct sg_log_limit *limit = NULL;

    /* Each has a limit of its own: whoever floods one must not hide the others. */
    if (err->rc == SG_E_UNAUTHENTICATED) {
        level = SG_LOG_INFO;
        limit = &app->unauthenticated;
    } else if (err->rc == SG_E_DENIED) {
        level = SG_LOG_INFO;
        limit = &app->denied;
    } else if (err->rc == SG_E_INTERNAL && err->reason != SG_R_MALFORMED_MESSAGE) {
        level = SG_LOG_ERROR;
        limit = &app->internal;
    }
    if (limit != NULL && !sg_log_limit_take(limit))
        return;
    sg_log(level, NULL, "rpc.refused", SG_F_STR("request", request_id), SG_F_STR("method", method),
           SG_F_ERR(err));
}

static enum sg_rc submit(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    return sg_hsm_submit(arg, job, err);
}

static enum sg_rc report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    return sg_hsm_report_bad(arg, job, err);
}

/* Listeners ------------------------------------------------------------------------------- */

size_t sg_app_connections(const struct sg_app *app)
{
    size_t count = 0;
    for (size_t i = 0; i < SG_LISTENER_COUNT; i++)
        count += app->nets[i] == NULL ? 0 : sg_net_connections(app->nets[i]);
    return count;
}

void sg_app_each_net(const struct sg_app *app, void (*fn)(struct sg_net *net))
{
    for (size_t i = 0; i < SG_LISTENER_COUNT; i++)
        if (app->nets[i] != NULL)
            fn(app->nets[i]);
}

/* Signals --------------------------------------------------------------------------------- */

static void on_signal(void *arg, uint32_t events)
{
    struct sg_app *app = arg;
    struct signalfd_siginfo info;
    (void)events;

    while (read(app->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            sg_app_stop(app);
        else if (info.ssi_signo == SIGUSR2 && info.ssi_pid == (uint32_t)getppid())
            sg_app_yield(app);
        else if (info.ssi_signo == SIGUSR2)
            sg_log(SG_LOG_WARNING, NULL, "app.signal_ignored", SG_F_INT("pid", info.ssi_pid),
                   SG_F_STR("hint", "to have a new gateway take over, tell the launcher"));
        else
            sg_app_reload(app);
    }
}

/* The beginning --------------------------------------------------------------------------- */

static enum sg_rc open_signals(struct sg_app *app, struct sg_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    app->signals = (struct sg_watch){.fn = on_signal, .arg = app, .events = EPOLLIN};
    /* Before any thread exists, so that all of them inherit the mask. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (app->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a signal fd");
    return sg_watch_add(app->loop, &app->signals, err);
}

static enum sg_rc start_hsm(struct sg_app *app, struct sg_err *err)
{
    const struct sg_hsm_events events = {.arg = app,
                                         .done = on_job_done,
                                         .token_changed = on_token_changed,
                                         .key_changed = on_key_changed};
    app->was_up = calloc(app->config->token_count, sizeof(*app->was_up));
    if (app->was_up == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the tokens");
    SG_TRY(sg_hsm_new(app->loop, &sg_clock_system, &events, &app->hsm, err));
    for (size_t i = 0; i < app->config->token_count; i++) {
        const struct sg_config_token *token = &app->config->tokens[i];
        struct sg_hsm_token_config config = {.name = token->name,
                                             .socket = token->socket,
                                             .queue_max = (size_t)token->queue_max,
                                             .hang_ms = token->hang_ms};
        size_t index;
        int64_t gid;
        struct sg_hsm_probe_key probe_keys[SG_HSM_PROBE_KEYS_MAX];
        SG_ASSERT(token->probe_key_count <= SG_HSM_PROBE_KEYS_MAX); /* the table's bound */
        for (size_t j = 0; j < token->probe_key_count; j++)
            probe_keys[j] =
                (struct sg_hsm_probe_key){token->probe_keys[j].id, token->probe_keys[j].type};
        config.probe_keys = probe_keys;
        config.probe_key_count = token->probe_key_count;
        if (token->probe_key_count == 0)
            sg_log(SG_LOG_WARNING, NULL, "hsm.no_probe_key", SG_F_STR("token", token->name),
                   SG_F_STR("hint", "that it signs is believed, not proven: set probe_keys"));
        SG_TRY(sg_user_ids(token->user, &config.uid, &gid, err));
        SG_TRY(sg_hsm_add_token(app->hsm, &config, &index, err));
    }
    return sg_keys_new(app->config, app->hsm, &app->keys, err);
}

static enum sg_rc start_rpc(struct sg_app *app, struct sg_tls_trust *trust, struct sg_err *err)
{
    const struct sg_sign_engine engine = {app->hsm, submit, report_bad};

    SG_TRY(sg_crypto_new(app->loop, (size_t)app->config->crypto_threads, POOL_WAITING_MAX,
                         &app->crypto, err));
    SG_TRY(sg_signer_new(&engine, app->crypto, &sg_clock_system, &app->signer, err));
    const struct sg_signing_options signing = {.signer = app->signer,
                                               .audit = app->audit,
                                               .clock = &sg_clock_system,
                                               .retention_s = app->config->request_id_retention_s};
    SG_TRY(sg_signings_new(&signing, &app->signings, err));
    const struct sg_rpc_deps deps = {.loop = app->loop,
                                     .clock = &sg_clock_system,
                                     .config = app->config,
                                     .authz = app->authz,
                                     .hsm = app->hsm,
                                     .keys = app->keys,
                                     .crypto = app->crypto,
                                     .signings = app->signings,
                                     .audit = app->audit,
                                     .metrics = app->metrics,
                                     .on_error = on_rpc_error,
                                     .on_error_arg = app};
    return sg_rpc_new(&deps, trust, &app->rpc, err);
}

/* As many descriptors as we may have; and fewer connections of each listener where that is too few,
 * so that there is one left to reach a token by and to read a CRL. */
static void allow_descriptors(size_t listeners, size_t *connections_max)
{
    enum { OTHERS = 64 };
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const size_t all = limit.rlim_cur > 2 * OTHERS ? limit.rlim_cur - OTHERS : OTHERS;
    const size_t room = all / listeners;
    if (*connections_max <= room)
        return;
    sg_log(SG_LOG_WARNING, NULL, "app.connections_limited", SG_F_INT("connections_max", room),
           SG_F_INT("descriptors", limit.rlim_cur));
    *connections_max = room;
}

static struct sg_h2_rate rate(int64_t burst, int64_t per_s)
{
    return (struct sg_h2_rate){.burst = (uint32_t)burst, .per_s = (uint32_t)per_s};
}

static struct sg_h2_flood flood_of(const struct sg_config *config)
{
    return (struct sg_h2_flood){
        .continuations_max = (uint32_t)config->continuations_max,
        .resets = rate(config->resets_burst, config->resets_per_s),
        .stream_errors = rate(config->stream_errors_burst, config->stream_errors_per_s),
        .glitches = rate(config->glitches_burst, config->glitches_per_s),
        .empty_bytes = rate(config->empty_bytes_burst, config->empty_bytes_per_s),
        .settings_max = (uint32_t)config->settings_max,
        .acks_max = (uint32_t)config->acks_max,
    };
}

struct sg_net_options sg_app_net_options(const struct sg_config *config)
{
    struct sg_net_options options = {
        .connections_max = (size_t)config->connections_max,
        .connections_per_source_max = (size_t)config->connections_per_source_max,
        .handshakes_max = (size_t)config->handshakes_max,
        .handshake_ns_max = config->handshake_ms_max * SG_NS_PER_MS,
        .write_stall_ns_max = config->write_stall_ms_max * SG_NS_PER_MS,
        .rpc = sg_rpc_limits_default,
    };
    options.rpc.message_bytes_max = (size_t)config->message_bytes_max;
    options.rpc.call_bytes_max = (size_t)config->call_bytes_max;
    options.rpc.header_bytes_max = (size_t)config->header_bytes_max;
    options.rpc.streams_max = (uint32_t)config->streams_max;
    options.rpc.deadline_ns_max = config->deadline_ms_max * SG_NS_PER_MS;
    options.rpc.header_ns_max = config->header_ms_max * SG_NS_PER_MS;
    options.rpc.connect_version_required = config->connect_version_required;
    options.rpc.cors = (struct sg_cors){config->cors_origins, config->cors_headers};
    options.rpc.connection_bytes_max = (size_t)config->connection_bytes_max;
    options.rpc.client_ping_ns_min = config->client_ping_s_min * SG_NS_PER_S;
    options.rpc.allow_ping_without_calls = config->client_ping_without_calls;
    options.rpc.stall_ns_max = config->write_stall_ms_max * SG_NS_PER_MS;
    options.rpc.flood = flood_of(config);
    options.rpc.idle_ns_max = config->idle_s_max * SG_NS_PER_S;

    return options;
}

/* One of the listeners; it accepts nothing yet. */
static enum sg_rc start_net(struct sg_app *app, const struct sg_net_options *options,
                            struct sg_tls_trust *trust, struct sg_err *err)
{
    struct sg_net **net = &app->nets[options->listener];
    struct sg_tls_ctx *tls;

    SG_TRY(sg_net_new(app->loop, options, &sg_methods, sg_rpc_handler(app->rpc), app->crypto, net,
                      err));
    SG_TRY(sg_app_load_tls(app, trust, &tls, err));
    sg_net_set_tls(*net, tls);
    return SG_OK;
}

static const enum sg_socket socket_of[SG_LISTENER_COUNT] = {
    [SG_LISTENER_CERTIFICATE] = SG_SOCKET_SERVICES,
    [SG_LISTENER_BEARER] = SG_SOCKET_BEARER,
};

static enum sg_rc start_nets(struct sg_app *app, struct sg_tls_trust *trust, struct sg_err *err)
{
    struct sg_net_options options = sg_app_net_options(app->config);
    const bool has_bearer = app->sockets.fds[SG_SOCKET_BEARER] >= 0;

    allow_descriptors(has_bearer ? 2 : 1, &options.connections_max);
    options.listener = SG_LISTENER_CERTIFICATE;
    options.proxy_from = app->config->proxy_from;
    SG_TRY(start_net(app, &options, trust, err));
    options.listener = SG_LISTENER_BEARER;
    options.proxy_from = app->config->proxy_from_bearer;
    return has_bearer ? start_net(app, &options, NULL, err) : SG_OK;
}

/* The launcher keeps the sockets: one that a gateway opened itself would be in its successor's way.
 */
static bool has_launcher(const struct sg_app *app)
{
    return app->notify.fd >= 0 && app->notify.address_len == 0;
}

/* What was inherited is where whoever started us wants us to be; it need not be where the
 * configuration says, but somebody may have thought that it is. */
static enum sg_rc open_sockets(struct sg_app *app, struct sg_err *err)
{
    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        const char *wanted = sg_socket_wanted(app->config, (enum sg_socket)i);
        int *fd = &app->sockets.fds[i];
        char text[SG_SOCKET_TEXT_MAX];
        if (*fd < 0 && wanted[0] != '\0' && has_launcher(app)) {
            sg_log(SG_LOG_WARNING, NULL, "app.socket_missing", SG_F_STR("name", sg_socket_names[i]),
                   SG_F_STR("configured", wanted),
                   SG_F_STR("hint", "a new address takes a restart of the launcher"));
            continue;
        }
        if (*fd < 0) {
            if (wanted[0] != '\0')
                SG_TRY(sg_socket_open((enum sg_socket)i, wanted, fd, err));
            continue;
        }
        app->is_waiting = true;
        sg_socket_text(*fd, text);
        sg_log(strcmp(text, wanted) == 0 ? SG_LOG_DEBUG : SG_LOG_WARNING, NULL,
               "app.socket_inherited", SG_F_STR("name", sg_socket_names[i]),
               SG_F_STR("address", text), SG_F_STR("configured", wanted));
    }
    return SG_OK;
}

/* The socket, which is the caller's from here on; -1: there is none. */
static int take_socket(struct sg_app *app, enum sg_socket which)
{
    const int fd = app->sockets.fds[which];
    app->sockets.fds[which] = -1;
    return fd;
}

enum sg_rc sg_app_serve(struct sg_app *app, struct sg_err *err)
{
    /* As late as this: until now another gateway may have been told. */
    SG_TRY(sg_drained_read(app->config->drained_file, app->hsm, err));
    sg_app_record_start(app);
    for (size_t i = 0; i < SG_LISTENER_COUNT; i++)
        if (app->nets[i] != NULL)
            SG_TRY(sg_net_start(app->nets[i], take_socket(app, socket_of[i]), err));
    const int fd = take_socket(app, SG_SOCKET_METRICS);
    return fd >= 0 ? sg_app_serve_metrics(app, fd, err) : SG_OK;
}

static enum sg_rc start(struct sg_app *app, struct sg_err *err)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;

    SG_TRY(sg_loop_new(&sg_clock_system, &app->loop, err));
    sg_log_limit_init(&app->unauthenticated, app->loop, "rpc.refused unauthenticated");
    sg_log_limit_init(&app->denied, app->loop, "rpc.refused denied");
    sg_log_limit_init(&app->internal, app->loop, "rpc.refused internal");
    SG_TRY(open_signals(app, err));
    SG_TRY(sg_app_load_trust(app, &trust, err));
    SG_TRY(sg_callers_of(app->config, &app->authz, err));
    SG_TRY(start_hsm(app, err));
    SG_TRY(sg_app_start_metrics(app, err));
    SG_TRY(sg_app_open_audit(app, err));
    SG_TRY(sg_app_open_witnesses(app, err));
    SG_TRY(start_rpc(app, trust, err));
    SG_TRY(open_sockets(app, err));
    SG_TRY(start_nets(app, trust, err));
    if (!app->is_waiting)
        SG_TRY(sg_app_serve(app, err));
    SG_TRY(sg_app_watch_files(app, err));
    SG_TRY(sg_app_begin_life(app, err));
    return sg_hsm_start(app->hsm, err);
}

/* In reverse order of start; half-built objects too. Connections go first, then whatever still
 * works for them, so that every operation finds its owner. */
static void stop(struct sg_app *app)
{
    sg_metrics_http_free(app->metrics_http);
    sg_app_each_net(app, sg_net_free);
    if (app->loop != NULL) {
        sg_loop_tell_turns(app->loop, NULL, NULL); /* the metrics go before it */
        sg_app_end_life(app);
        sg_callers_reader_free(app->callers_reader);
        sg_timer_cancel(app->loop, &app->crl_timer);
        sg_timer_cancel(app->loop, &app->audit_timer);
        sg_watch_remove(app->loop, &app->signals);
    }
    if (app->signals.fd > 0)
        close(app->signals.fd);
    sg_signings_stop(app->signings);
    sg_crypto_free(app->crypto);
    sg_signer_abandon(app->signer);
    sg_app_close_witnesses(app);
    sg_audit_close(app->audit);
    sg_hsm_free(app->hsm);
    sg_rpc_free(app->rpc);
    sg_signings_free(app->signings);
    sg_signer_free(app->signer);
    sg_keys_free(app->keys);
    sg_authz_free(app->authz);
    sg_metrics_free(app->metrics);
    free(app->was_up);
    sg_log_limit_done(&app->unauthenticated);
    sg_log_limit_done(&app->denied);
    sg_log_limit_done(&app->internal);
    sg_loop_free(app->loop);
    sg_sockets_close(&app->sockets);
    sg_notify_close(&app->notify);
}

enum sg_rc sg_app_run(const struct sg_config *config, const char *path, struct sg_app_start *from,
                      struct sg_err *err)
{
    struct sg_app app = {.config = config,
                         .config_path = path,
                         .notify = from->notify,
                         .sockets = from->sockets,
                         .is_successor = from->is_successor};

    enum sg_rc rc = start(&app, err);
    if (rc == SG_OK) {
        sg_log(SG_LOG_INFO, NULL, "app.started", SG_F_STR("version", SG_VERSION));
        rc = sg_loop_run(app.loop, err);
    }
    if (rc == SG_OK && app.failed.rc != SG_OK) {
        rc = app.failed.rc;
        if (err != NULL)
            *err = app.failed;
    }
    stop(&app);
    if (rc == SG_OK)
        sg_log(SG_LOG_INFO, NULL, "app.stopped");
    return rc;
}
