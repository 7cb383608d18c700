#include <stdlib.h>

#include "gateway/app_priv.h"
#include "methods.h"

static void fill_token(const struct sg_app *app, size_t token)
{
    struct sg_metrics *metrics = app->metrics;
    struct sg_hsm_token_info info;

    sg_hsm_token_info(app->hsm, token, &info);
    for (int state = SG_TOKEN_DOWN; state < SG_TOKEN_STATE_COUNT; state++)
        sg_metrics_set(metrics, SG_METRIC_TOKEN_STATE, token, (size_t)state,
                       (int)info.state == state);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_WORKERS, token, 0, (int64_t)info.workers);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_IN_FLIGHT, token, 0, (int64_t)info.in_flight);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_WAITING, token, 0, (int64_t)info.waiting);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_SIGNED, token, 0, (int64_t)info.signed_total);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_FAILED, token, 0, (int64_t)info.failed_total);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_RETRIED, token, 0, (int64_t)info.retried_total);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_HEDGED, token, 0, (int64_t)info.hedged_total);
    sg_metrics_set(metrics, SG_METRIC_VERIFY_FAILURES, token, 0, (int64_t)info.refuted_total);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_RESTARTS, token, 0, (int64_t)info.restarts_total);
}

static void fill_keys(const struct sg_app *app)
{
    for (size_t state = 0; state < SG_KEY_STATE_COUNT; state++)
        sg_metrics_set(app->metrics, SG_METRIC_KEYS, state, 0,
                       (int64_t)sg_hsm_keys_in(app->hsm, (enum sg_hsm_key_state)state));
}

static void fill_audit(const struct sg_app *app)
{
    struct sg_metrics *metrics = app->metrics;
    struct sg_audit_stats stats;

    if (app->audit == NULL)
        return;
    sg_audit_stats(app->audit, &stats);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_LEAVES, 0, 0, (int64_t)stats.leaves);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_COMMITS, 0, 0, (int64_t)stats.commits);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_FAILURES, 0, 0, (int64_t)stats.failures);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_SIZE, 0, 0, (int64_t)stats.size);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_WAITING, 0, 0, (int64_t)stats.waiting);
    sg_metrics_set(metrics, SG_METRIC_AUDIT_ROOM_BYTES, 0, 0, (int64_t)stats.room_bytes);
}

static void fill_net(struct sg_metrics *metrics, size_t listener, const struct sg_net *net)
{
    const struct sg_net_totals totals = sg_net_totals(net);

    sg_metrics_set(metrics, SG_METRIC_CONNECTIONS, listener, 0, (int64_t)sg_net_connections(net));
    sg_metrics_set(metrics, SG_METRIC_CONNECTIONS_ACCEPTED, listener, 0, (int64_t)totals.accepted);
    for (size_t why = 0; why < SG_WHY_COUNT; why++)
        sg_metrics_set(metrics, SG_METRIC_CONNECTIONS_ENDED, why, listener,
                       (int64_t)totals.ended[why]);
    sg_metrics_set(metrics, SG_METRIC_CALLS_STALLED, listener, 0, (int64_t)totals.calls_stalled);
}

/* What is counted elsewhere is copied when somebody asks. */
static void fill_metrics(void *arg, struct sg_buf *out)
{
    const struct sg_app *app = arg;

    for (size_t i = 0; i < SG_LISTENER_COUNT; i++)
        if (app->nets[i] != NULL)
            fill_net(app->metrics, i, app->nets[i]);
    for (size_t i = 0; i < sg_hsm_token_count(app->hsm); i++)
        fill_token(app, i);
    fill_keys(app);
    fill_audit(app);
    sg_app_fill_witnesses(app);
    sg_metrics_write(app->metrics, out);
}

static bool is_healthy(void *arg)
{
    const struct sg_app *app = arg;
    return app->phase == SG_APP_SERVING || app->phase == SG_APP_STARTING;
}

static void on_turn(void *arg, int64_t took_ns)
{
    sg_metrics_observe(arg, SG_METRIC_LOOP_TURN_SECONDS, 0, 0, took_ns);
}

enum sg_rc sg_app_start_metrics(struct sg_app *app, struct sg_err *err)
{
    const size_t token_count = app->config->token_count;
    const char *methods[SG_METHOD_COUNT];
    const size_t witness_count = app->config->witness_count;
    const char *witnesses[SG_CONFIG_WITNESSES_MAX];
    const char **tokens = calloc(token_count, sizeof(*tokens));
    if (tokens == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the metrics");

    for (size_t i = 0; i < sg_methods.count; i++)
        methods[sg_methods.methods[i].id - 1] = sg_methods.methods[i].path + 1;
    for (size_t i = 0; i < token_count; i++)
        tokens[i] = app->config->tokens[i].name;
    for (size_t i = 0; i < witness_count; i++)
        witnesses[i] = app->config->witnesses[i].name;
    const struct sg_metrics_names names = {.methods = methods,
                                           .method_count = sg_methods.count,
                                           .tokens = tokens,
                                           .token_count = token_count,
                                           .witnesses = witnesses,
                                           .witness_count = witness_count};
    enum sg_rc rc = sg_metrics_new(&names, &app->metrics, err);
    free(tokens);
    if (rc != SG_OK)
        return rc;
    sg_metrics_set(app->metrics, SG_METRIC_START_TIME, 0, 0,
                   sg_wall_ns(&sg_clock_system) / SG_NS_PER_S);
    sg_loop_tell_turns(app->loop, on_turn, app->metrics);
    return SG_OK;
}

enum sg_rc sg_app_serve_metrics(struct sg_app *app, int listener, struct sg_err *err)
{
    const struct sg_metrics_http_options options = {
        .listener = listener, .arg = app, .fill = fill_metrics, .is_healthy = is_healthy};
    return sg_metrics_http_new(app->loop, &options, &app->metrics_http, err);
}
