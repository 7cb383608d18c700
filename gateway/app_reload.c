#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "gateway/app_priv.h"
#include "gateway/trust.h"

/* Certificates and CRLs ------------------------------------------------------------------- */

/* A number that changes when one of the CRL files does. */
static uint64_t look_at_files(const struct sg_app *app)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < app->config->client_ca_count; i++) {
        const char *path = app->config->client_cas[i].crl_file;
        struct stat st;
        if (path == NULL || stat(path, &st) != 0)
            continue;
        seen = seen * 31 + (uint64_t)st.st_mtim.tv_sec;
        seen = seen * 31 + (uint64_t)st.st_mtim.tv_nsec;
        seen = seen * 31 + (uint64_t)st.st_ino;
        seen = seen * 31 + (uint64_t)st.st_size;
    }
    return seen;
}

enum sg_rc sg_app_load_trust(struct sg_app *app, struct sg_tls_trust **ret, struct sg_err *err)
{
    /* Before they are read: what changes meanwhile is read again. */
    app->files_seen = look_at_files(app);
    return sg_trust_of(app->config, ret, err);
}

enum sg_rc sg_app_load_tls(const struct sg_app *app, struct sg_tls_trust *trust,
                           struct sg_tls_ctx **ret, struct sg_err *err)
{
    static const char *const alpn[] = {"h2", "http/1.1"};
    const struct sg_tls_server_options options = {
        .cert_file = app->config->tls_certificate_file,
        .key_file = app->config->tls_key_file,
        .client_trust = trust,
        .alpn = alpn,
        .alpn_count = SG_COUNT(alpn),
        .key_updates_max = (unsigned)app->config->key_updates_max,
    };
    return sg_tls_server_ctx_new(&options, ret, err);
}

/* Callers --------------------------------------------------------------------------------- */

enum sg_rc sg_app_make_authz(const struct sg_config *config, struct sg_authz **ret,
                             struct sg_err *err)
{
    const size_t count = config->caller_count;
    struct sg_authz_caller *callers = calloc(count == 0 ? 1 : count, sizeof(*callers));
    if (callers == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the list of callers");
    for (size_t i = 0; i < count; i++) {
        const struct sg_config_caller *from = &config->callers[i];
        callers[i] = (struct sg_authz_caller){.name = from->name,
                                              .ca = from->ca,
                                              .uri = from->uri,
                                              .methods = from->methods,
                                              .method_count = from->method_count,
                                              .keys = from->keys,
                                              .key_count = from->key_count,
                                              .tokens = from->token_sha256,
                                              .token_count = from->token_count,
                                              .tokens_expire_s = from->token_expires};
    }
    enum sg_rc rc = sg_authz_new(callers, count, ret, err);
    free(callers);
    return rc;
}

/* The list as the file says now; whatever else it says takes a restart. */
static enum sg_rc read_callers(const struct sg_app *app, struct sg_authz **ret, struct sg_err *err)
{
    SG_AUTO(sg_config_free) const struct sg_config *config = NULL;

    SG_TRY(sg_config_load(app->config_path, NULL, &config, err));
    return sg_app_make_authz(config, ret, err);
}

/* Calls are judged by the new CRLs even where the server's certificate is broken. */
static enum sg_rc reload_trust(struct sg_app *app, struct sg_tls_trust **ret, struct sg_err *err)
{
    SG_TRY(sg_app_load_trust(app, ret, err));
    sg_rpc_set_trust(app->rpc, *ret);
    return SG_OK;
}

static enum sg_rc reload_tls(struct sg_app *app, struct sg_tls_trust *trust, struct sg_err *err)
{
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *asking = NULL;
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *not_asking = NULL;

    SG_TRY(sg_app_load_tls(app, trust, &asking, err));
    SG_TRY(sg_app_load_tls(app, NULL, &not_asking, err));
    sg_net_set_tls(app->nets[SG_LISTENER_CERTIFICATE], SG_STEAL(asking));
    if (app->nets[SG_LISTENER_BEARER] != NULL)
        sg_net_set_tls(app->nets[SG_LISTENER_BEARER], SG_STEAL(not_asking));
    return SG_OK;
}

static enum sg_rc reload_callers(struct sg_app *app, struct sg_err *err)
{
    SG_AUTO(sg_authz_free) struct sg_authz *authz = NULL;

    SG_TRY(read_callers(app, &authz, err));
    SG_TRY(sg_rpc_set_authz(app->rpc, authz, err));
    sg_authz_free(app->authz);
    app->authz = SG_STEAL(authz);
    return SG_OK;
}

/* Reloading ------------------------------------------------------------------------------- */

static bool is_reloaded(enum sg_rc rc, const char *what, const struct sg_err *err)
{
    if (rc != SG_OK)
        sg_log(SG_LOG_ERROR, NULL, "app.reload_failed", SG_F_STR("what", what), SG_F_ERR(err),
               SG_F_STR("effect", "what was loaded before stays in force"));
    return rc == SG_OK;
}

/* Certificates, keys and CRLs. What fails is tried again by the timer: it may have been a file half
 * written, or want of descriptors, and a revocation must not wait for the next change of the file.
 */
static bool reload_files(struct sg_app *app)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;
    struct sg_err err = {0};

    const bool is_done =
        is_reloaded(reload_trust(app, &trust, &err), "client CAs and CRLs", &err) &&
        is_reloaded(reload_tls(app, trust, &err), "server certificate", &err);
    app->is_reload_due = !is_done;
    app->files_failed = is_done ? (struct sg_err){0} : err;
    return is_done;
}

/*
 * What an operator asks for. The files and the list of callers take effect each by itself: a
 * mistake in the one must not keep what is revoked by the other in force. The list is read now and
 * never by the timer, which would apply what somebody is still writing.
 */
static void reload_all(struct sg_app *app)
{
    struct sg_err err = {0};
    const bool has_files = reload_files(app);
    const bool has_callers = is_reloaded(reload_callers(app, &err), "callers", &err);
    app->callers_failed = has_callers ? (struct sg_err){0} : err;

    if (has_files && has_callers)
        sg_log(SG_LOG_INFO, NULL, "app.reloaded");
}

/* That it serves, and what of the last reload failed. */
static void describe(const struct sg_app *app, char *ret, size_t size)
{
    const struct sg_err *files = &app->files_failed, *callers = &app->callers_failed;

    if (files->rc == SG_OK && callers->rc == SG_OK)
        snprintf(ret, size, "serving");
    else if (callers->rc == SG_OK)
        snprintf(ret, size, "serving by what was loaded before: %s", files->msg);
    else if (files->rc == SG_OK)
        snprintf(ret, size, "serving the callers that were listed before: %s", callers->msg);
    else
        snprintf(ret, size, "serving by what was loaded before: %s; %s", files->msg, callers->msg);
}

static void tell_status(const struct sg_app *app, const char *before)
{
    char status[SG_NOTIFY_BYTES_MAX];

    describe(app, status, sizeof(status));
    sg_notify(&app->notify, "%sSTATUS=%s", before, status);
}

static void on_crl_timer(void *arg)
{
    struct sg_app *app = arg;
    const bool is_due = app->is_reload_due;

    if (is_due || look_at_files(app) != app->files_seen) {
        if (reload_files(app))
            sg_log(SG_LOG_INFO, NULL, "app.reloaded");
        /* Only what has changed: it is tried again and again. */
        if (app->is_reload_due != is_due && app->phase == SG_APP_SERVING)
            tell_status(app, "");
    }
    /* Setting the timer that has just fired needs no memory. */
    SG_IGNORE(sg_timer_set(app->loop, &app->crl_timer,
                           sg_loop_now(app->loop) + app->config->crl_reload_s * SG_NS_PER_S, NULL));
}

enum sg_rc sg_app_watch_files(struct sg_app *app, struct sg_err *err)
{
    app->crl_timer = (struct sg_timer){.fn = on_crl_timer, .arg = app};
    return sg_timer_set(app->loop, &app->crl_timer,
                        sg_loop_now(app->loop) + app->config->crl_reload_s * SG_NS_PER_S, err);
}

void sg_app_reload(struct sg_app *app)
{
    const bool is_serving = app->phase == SG_APP_SERVING; /* else it must not sound like it */

    if (is_serving)
        sg_notify_reloading(&app->notify, sg_mono_ns(&sg_clock_system));
    reload_all(app);
    if (is_serving)
        tell_status(app, "READY=1\n");
}
