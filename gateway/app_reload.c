#include <stdio.h>
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

/* Reloading ------------------------------------------------------------------------------- */

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

/* Owns: takes the list. */
static enum sg_rc set_callers(struct sg_app *app, struct sg_authz *list, struct sg_err *err)
{
    SG_AUTO(sg_authz_free) struct sg_authz *authz = list;

    SG_TRY(sg_rpc_set_authz(app->rpc, authz, err));
    sg_authz_free(app->authz);
    app->authz = SG_STEAL(authz);
    return SG_OK;
}

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

/*
 * What an operator asks for. The files and the list of callers take effect each by itself: a
 * mistake in the one must not keep what is revoked by the other in force. The list is read now and
 * never by the timer, which would apply what somebody is still writing; by a thread, for a long
 * configuration is not read in a moment. It may be told when we have begun to end: calls that are
 * still open are judged by it, too.
 */
static void on_callers_read(void *arg, const struct sg_callers_reading *reading)
{
    struct sg_app *app = arg;
    struct sg_err err = reading->err;

    const enum sg_rc rc =
        reading->rc == SG_OK ? set_callers(app, reading->authz, &err) : reading->rc;
    const bool has_callers = is_reloaded(rc, "callers", &err);
    app->callers_failed = has_callers ? (struct sg_err){0} : err;
    if (has_callers && app->has_files)
        sg_log(SG_LOG_INFO, NULL, "app.reloaded");
    if (!reading->is_last)
        return;
    if (app->phase == SG_APP_SERVING)
        tell_status(app, app->is_reloading_told ? "READY=1\n" : "");
    app->is_reloading_told = false;
}

void sg_app_reload(struct sg_app *app)
{
    struct sg_callers_reading failed = {.is_last = true};

    if (app->phase == SG_APP_SERVING) { /* else it must not sound like it */
        sg_notify_reloading(&app->notify, sg_mono_ns(&sg_clock_system));
        app->is_reloading_told = true;
    }
    app->has_files = reload_files(app);
    failed.rc = sg_callers_reader_ask(app->callers_reader, &failed.err);
    if (failed.rc != SG_OK)
        on_callers_read(app, &failed);
}

enum sg_rc sg_app_watch_files(struct sg_app *app, struct sg_err *err)
{
    const struct sg_callers_reader_options options = {
        .loop = app->loop, .path = app->config_path, .told = on_callers_read, .arg = app};

    SG_TRY(sg_callers_reader_new(&options, &app->callers_reader, err));
    app->crl_timer = (struct sg_timer){.fn = on_crl_timer, .arg = app};
    return sg_timer_set(app->loop, &app->crl_timer,
                        sg_loop_now(app->loop) + app->config->crl_reload_s * SG_NS_PER_S, err);
}
