/*
 * Prints docs/metrics.md: every row of gateway/metrics/metrics.def. The test docs.metrics holds the
 * file to it; after a change of the table:
 *
 *     build/dev/tests/metrics_md > docs/metrics.md
 */
#include <stdio.h>

#include "gateway/metrics/metrics.h"

/* As the page of the daemon calls them (gateway/metrics/metrics.c). */
static const char *const label_names[SG_LABEL_COUNT] = {
    [SG_LABEL_NONE] = "",
    [SG_LABEL_METHOD] = "`method`",
    [SG_LABEL_CODE] = "`code`",
    [SG_LABEL_REASON] = "`reason`",
    [SG_LABEL_SCHEME] = "`scheme`",
    [SG_LABEL_TOKEN] = "`token`",
    [SG_LABEL_TOKEN_STATE] = "`state`",
    [SG_LABEL_KEY_STATE] = "`state`",
    [SG_LABEL_WHY] = "`why`",
    [SG_LABEL_LISTENER] = "`listener`",
    [SG_LABEL_PROTOCOL] = "`protocol`",
    [SG_LABEL_WITNESS] = "`witness`",
    [SG_LABEL_WITNESS_STATE] = "`state`",
};

enum { COUNTER, GAUGE, HISTOGRAM };
static const char *const type_names[] = {"counter", "gauge", "histogram"};

static const struct {
    int type;
    const char *name, *help;
    enum sg_metric_label a, b;
} metrics[] = {
#define METRIC(id, type, name, a, b, help) {type, name, help, SG_LABEL_##a, SG_LABEL_##b},
#include "gateway/metrics/metrics.def"
#undef METRIC
};

int main(void)
{
    fputs(
        "<!-- Generated from gateway/metrics/metrics.def by tests/docs/metrics_md.c; a test "
        "compares. -->\n"
        "# Metrics\n\n"
        "`metrics_listen` serves these in Prometheus' text format at `/metrics`, and whether this\n"
        "instance is healthy at `/healthz`; plain HTTP, no authentication: bind it to a private\n"
        "address.\n\n"
        "| metric | type | labels | what |\n|---|---|---|---|\n",
        stdout);
    for (size_t i = 0; i < SG_COUNT(metrics); i++) {
        const char *a = label_names[metrics[i].a], *b = label_names[metrics[i].b];
        printf("| `%s` | %s | %s%s%s | %s |\n", metrics[i].name, type_names[metrics[i].type], a,
               *b == '\0' ? "" : ", ", b, metrics[i].help);
    }
    return 0;
}
