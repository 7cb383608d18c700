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
