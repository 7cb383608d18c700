#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "gateway/app_priv.h"

/* Those who watch our log. */

static const char *const state_names[SG_WITNESS_STATES] = {
    [SG_WITNESS_UNHEARD] = "unheard", [SG_WITNESS_CURRENT] = "current", [SG_WITNESS_AWAY] = "away",
    [SG_WITNESS_REFUSES] = "refuses", [SG_WITNESS_DENIES] = "denies",
};

/* On the witnesses' thread. They say something when something has changed, so it needs no limit. */
static void told(void *arg, const struct sg_witness_news *news)
{
    (void)arg;
    if (news->state == SG_WITNESS_DENIES)
        sg_log(
            SG_LOG_ERROR, NULL, "audit.witness_denies", SG_F_STR("witness", news->name),
            SG_F_INT("size", news->size),
            SG_F_STR("hint", "the store was put back or forked: docs/administration.md, Witnesses"),
            SG_F_ERR(news->err));
    else
        sg_log(news->state == SG_WITNESS_CURRENT ? SG_LOG_INFO : SG_LOG_WARNING, NULL,
               "audit.witness", SG_F_STR("witness", news->name),
               SG_F_STR("state", state_names[news->state]), SG_F_INT("size", news->size),
               SG_F_ERR(news->err));
}

static enum sg_rc take_peers(struct sg_app *app, struct sg_err *err)
{
    const struct sg_config *config = app->config;

    app->witness_peers = calloc(config->witness_count, sizeof(*app->witness_peers));
    if (app->witness_peers == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the witnesses");
    for (size_t i = 0; i < config->witness_count; i++) {
        const struct sg_config_witness *from = &config->witnesses[i];
        struct sg_witness_peer *peer = &app->witness_peers[i];
        peer->name = from->name;
        peer->key = from->key;
        peer->fetch.ca_file = from->ca_file;
        peer->fetch.cert_file = from->certificate_file;
        peer->fetch.key_file = from->key_file;
        SG_TRY(sg_url_parse(from->url, &peer->fetch.url, err));
    }
    return SG_OK;
}

enum sg_rc sg_app_open_witnesses(struct sg_app *app, struct sg_err *err)
{
    const struct sg_config *config = app->config;

    if (config->witness_count == 0)
        return SG_OK;
    if (asprintf(&app->cosigned_file, "%s.cosigned", config->audit_anchor_file) < 0) {
        app->cosigned_file = NULL;
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the witnesses");
    }
    SG_TRY(take_peers(app, err));
    const struct sg_witnesses_options options = {
        .clock = &sg_clock_system,
        .store = config->store,
        .log = config->audit_log,
        .key = sg_audit_key(app->audit),
        .cosigned_file = app->cosigned_file,
        .peers = app->witness_peers,
        .peer_count = config->witness_count,
        .interval_ns = config->witnesses_interval_s * SG_NS_PER_S,
        .told = told,
        .arg = app,
    };
    SG_TRY(sg_witnesses_new(&options, &app->witnesses, err));
    SG_TRY(sg_witnesses_check(app->witnesses, config->witnesses_required, err));
    return sg_witnesses_start(app->witnesses, err);
}

void sg_app_close_witnesses(struct sg_app *app)
{
    sg_witnesses_free(app->witnesses);
    free(app->witness_peers);
    free(app->cosigned_file);
}

void sg_app_fill_witnesses(const struct sg_app *app)
{
    for (size_t i = 0; app->witnesses != NULL && i < app->config->witness_count; i++) {
        struct sg_witness_stats stats;
        sg_witnesses_stats(app->witnesses, i, &stats);
        for (int state = 0; state < SG_WITNESS_STATES; state++)
            sg_metrics_set(app->metrics, SG_METRIC_WITNESS_STATE, i, (size_t)state,
                           (int)stats.state == state);
        sg_metrics_set(app->metrics, SG_METRIC_WITNESS_SIZE, i, 0, (int64_t)stats.size);
        sg_metrics_set(app->metrics, SG_METRIC_WITNESS_TIME, i, 0, stats.time_s);
        sg_metrics_set(app->metrics, SG_METRIC_WITNESS_FAILURES, i, 0, (int64_t)stats.failures);
    }
}
