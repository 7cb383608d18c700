#include <unistd.h>

#include "base/log.h"
#include "gateway/app_priv.h"

enum { FLUSH_MS = 1000 };

static void flush_later(struct sg_app *app)
{
    /* A timer that has just run finds its place again. */
    SG_IGNORE(sg_timer_set(app->loop, &app->audit_timer,
                           sg_mono_ns(&sg_clock_system) + FLUSH_MS * SG_NS_PER_MS, NULL));
}

static void on_flush(void *arg)
{
    struct sg_app *app = arg;
    sg_signings_flush(app->signings);
    sg_rpc_health_changed(app->rpc);
    flush_later(app);
}

enum sg_rc sg_app_open_audit(struct sg_app *app, struct sg_err *err)
{
    const struct sg_config *config = app->config;
    const struct sg_audit_options options = {
        .loop = app->loop,
        .clock = &sg_clock_system,
        .store = config->store,
        .log = config->audit_log,
        .key_file = config->audit_key_file,
        .anchor_file = config->audit_anchor_file,
        .waiting_max = (size_t)config->audit_waiting_max,
        .room_bytes_min = (uint64_t)config->audit_room_mib_min << 20,
        .clock_sync_required = config->clock_sync_required,
    };

    SG_TRY(sg_audit_open(&options, &app->audit, err));
    app->audit_timer = (struct sg_timer){.fn = on_flush, .arg = app};
    SG_TRY(sg_timer_set(app->loop, &app->audit_timer,
                        sg_mono_ns(&sg_clock_system) + FLUSH_MS * SG_NS_PER_MS, err));
    sg_log(SG_LOG_INFO, NULL, "audit.opened", SG_F_STR("origin", sg_audit_origin(app->audit)));
    return SG_OK;
}

/* A line for each thing, as in leaf 0 of a log. */
void sg_app_record_start(struct sg_app *app)
{
    char host[256] = "";
    struct sg_buf detail;

    if (gethostname(host, sizeof(host) - 1) != 0)
        host[0] = '\0';
    sg_buf_init(&detail, SG_AUDIT_TEXT_BYTES_MAX);
    sg_buf_printf(&detail, "version: %s\ninstance: %s %ld\nconfiguration: sha256:", SG_VERSION,
                  host, (long)getpid());
    for (size_t i = 0; i < sizeof(app->config->sha256); i++)
        sg_buf_printf(&detail, "%02x", app->config->sha256[i]);
    sg_buf_printf(&detail, "\n%s", app->is_successor ? "takes over: yes\n" : "");
    /* A start without memory for this is one without memory. */
    sg_audit_begin(app->audit,
                   detail.failed ? SG_SLICE("version: " SG_VERSION "\n") : sg_buf_slice(&detail));
    sg_buf_done(&detail);
}
