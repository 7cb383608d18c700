#include <signal.h>

#include "base/log.h"
#include "gateway/app_priv.h"

enum {
    NOTICE_MS = 500, /* between the two GOAWAYs: more than one round trip */
    DRAIN_LOOK_MS = 20,
    READY_LOOK_MS = 10,
    READY_MS_MAX = 3000, /* for tokens that are away: the gateway serves without them */
};

static int64_t now(const struct sg_app *app)
{
    return sg_loop_now(app->loop);
}

/* Being ready ------------------------------------------------------------------------------ */

static bool is_a_token_up(const struct sg_app *app)
{
    for (size_t i = 0; i < sg_hsm_token_count(app->hsm); i++) {
        struct sg_hsm_token_info info;
        sg_hsm_token_info(app->hsm, i, &info);
        if (info.state == SG_TOKEN_UP)
            return true;
    }
    return sg_hsm_token_count(app->hsm) == 0;
}

/* Whether each key has been looked for. From where the last look ended: there may be very many. */
static bool are_keys_loaded(struct sg_app *app)
{
    struct sg_hsm_key_info info;

    for (; app->keys_loaded < sg_hsm_key_count(app->hsm); app->keys_loaded++) {
        sg_hsm_key_info(app->hsm, app->keys_loaded, &info);
        if (info.state == SG_KEY_LOADING)
            return false;
    }
    return true;
}

/*
 * The first gateway serves what there is once it has looked for it. One that is to take over from
 * another waits for a token that signs: with none it would serve worse than the one that does.
 */
static bool is_ready(struct sg_app *app)
{
    const bool is_late = now(app) >= app->ready_until_ns;
    return (are_keys_loaded(app) || is_late) && (!app->is_successor || is_a_token_up(app));
}

static void on_ready_timer(void *arg)
{
    struct sg_app *app = arg;
    struct sg_err err;

    if (app->phase != SG_APP_STARTING)
        return;
    if (!is_ready(app)) {
        /* The place in the heap that it just left is still there, so this cannot fail. */
        SG_IGNORE(sg_timer_set(app->loop, &app->ready_timer,
                               now(app) + READY_LOOK_MS * SG_NS_PER_MS, NULL));
        return;
    }
    if (app->is_waiting && sg_app_serve(app, &err) != SG_OK) {
        app->failed = err;
        sg_loop_stop(app->loop);
        return;
    }
    app->phase = SG_APP_SERVING;
    sg_log(SG_LOG_INFO, NULL, "app.ready");
    sg_notify(&app->notify, "READY=1\nSTATUS=serving");
}

/* Fed by a timer of the loop, so by nothing but a loop that turns. */
static void on_watchdog_timer(void *arg)
{
    struct sg_app *app = arg;
    sg_notify(&app->notify, "WATCHDOG=1");
    SG_IGNORE(sg_timer_set(app->loop, &app->watchdog_timer, /* as above */
                           now(app) + app->notify.watchdog_ns / 3, NULL));
}

/* The end ---------------------------------------------------------------------------------- */

static void look_again_in(struct sg_app *app, int64_t ms)
{
    if (sg_timer_set(app->loop, &app->drain_timer, now(app) + ms * SG_NS_PER_MS, NULL) != SG_OK)
        sg_loop_stop(app->loop);
}

static void on_drain_timer(void *arg)
{
    struct sg_app *app = arg;

    if (app->phase == SG_APP_NOTICED) {
        app->phase = SG_APP_DRAINING;
        if (app->is_yielding) /* else it was done before the notice */
            sg_rpc_drain(app->rpc);
        sg_app_each_net(app, sg_net_drain);
    }
    const bool is_idle = sg_app_connections(app) == 0 && sg_signings_pending(app->signings) == 0;
    const bool is_over = is_idle || now(app) >= app->drain_until_ns;
    if (is_over)
        sg_loop_stop(app->loop);
    else
        look_again_in(app, DRAIN_LOOK_MS);
}

static void begin_drain(struct sg_app *app, const char *event, int64_t wait_ms)
{
    sg_log(SG_LOG_INFO, NULL, event, SG_F_INT("connections", sg_app_connections(app)));
    app->phase = SG_APP_NOTICED;
    app->drain_until_ns = now(app) + wait_ms * SG_NS_PER_MS;
    sg_app_each_net(app, sg_net_drain_notice);
    look_again_in(app, sg_app_connections(app) == 0 ? 0 : NOTICE_MS);
}

void sg_app_stop(struct sg_app *app)
{
    const int64_t wait_ms = app->config->drain_ms;

    if (app->phase == SG_APP_STARTING && app->is_waiting) {
        sg_loop_stop(app->loop);
    } else if (app->phase <= SG_APP_SERVING) {
        sg_notify(&app->notify, "STOPPING=1\nSTATUS=letting open calls end");
        /* Whoever balances must hear of it while there is still time to go elsewhere. */
        sg_rpc_drain(app->rpc);
        begin_drain(app, "app.draining", wait_ms);
    } else if (now(app) + wait_ms * SG_NS_PER_MS < app->drain_until_ns) {
        app->drain_until_ns = now(app) + wait_ms * SG_NS_PER_MS;
    }
}

void sg_app_yield(struct sg_app *app)
{
    if (app->phase == SG_APP_STARTING)
        sg_loop_stop(app->loop);
    if (app->phase != SG_APP_SERVING)
        return;
    app->is_yielding = true;
    /* Nobody waits for our end, so it has as long as the longest call. */
    const struct sg_config *config = app->config;
    const int64_t wait_ms =
        NOTICE_MS +
        (config->drain_ms > config->deadline_ms_max ? config->drain_ms : config->deadline_ms_max);
    /* The metrics are those of the one that follows from here on. */
    sg_metrics_http_free(app->metrics_http);
    app->metrics_http = NULL;
    sg_notify(&app->notify, "STATUS=another gateway has taken over; letting open calls end");
    begin_drain(app, "app.yielding", wait_ms);
}

/* The beginning ---------------------------------------------------------------------------- */

enum sg_rc sg_app_begin_life(struct sg_app *app, struct sg_err *err)
{
    app->drain_timer = (struct sg_timer){.fn = on_drain_timer, .arg = app};
    app->ready_timer = (struct sg_timer){.fn = on_ready_timer, .arg = app};
    app->watchdog_timer = (struct sg_timer){.fn = on_watchdog_timer, .arg = app};
    app->ready_until_ns = now(app) + READY_MS_MAX * SG_NS_PER_MS;
    if (app->notify.watchdog_ns > 0)
        SG_TRY(sg_timer_set(app->loop, &app->watchdog_timer, now(app), err));
    return sg_timer_set(app->loop, &app->ready_timer, now(app), err);
}

void sg_app_end_life(struct sg_app *app)
{
    sg_timer_cancel(app->loop, &app->drain_timer);
    sg_timer_cancel(app->loop, &app->ready_timer);
    sg_timer_cancel(app->loop, &app->watchdog_timer);
}
