#include "gateway/metrics/metrics.h"

#include "base/algorithm.h"
#include "gateway/net/listener.h"
#include "hsm/hsm.h"
#include "proto/grpc/call.h"
#include "proto/grpc/status.h"
#include "proto/h2/why.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

static const struct metric {
    const char *name, *help;
    enum metric_type type;
    enum sg_metric_label a, b;
} table[SG_METRIC_COUNT] = {
#define METRIC(id, type, name, a, b, help)                                                         \
    [SG_METRIC_##id] = {name, help, type, SG_LABEL_##a, SG_LABEL_##b},
#include "gateway/metrics/metrics.def"
#undef METRIC
};

/* From a signature in software to the longest deadline: 1, 2.5 and 5 of each power of ten. */
static const struct bucket {
    int64_t ns;
    const char *le; /* upper bound in seconds, as it is written */
} buckets[] = {
    {50000, "5e-05"},    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},
    {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},
    {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"},
    {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},
    {10000000000, "10"}, {30000000000, "30"},
};

/* Cells of a histogram: its buckets, what is over the last of them, and the sum in nanoseconds. */
enum { OVER = SG_COUNT(buckets), SUM, HISTOGRAM_CELLS };

/* The values of a label. */
struct label {
    const char *name;
    char **values; /* owned */
    size_t count;
};

struct sg_metrics {
    struct label labels[SG_LABEL_COUNT];
    size_t first[SG_METRIC_COUNT]; /* cell of each metric's first series */
    uint64_t *cells;
};

/* Labels -------------------------------------------------------------------------------------- */

static const char *const label_names[SG_LABEL_COUNT] = {
    [SG_LABEL_NONE] = "",
    [SG_LABEL_METHOD] = "method",
    [SG_LABEL_CODE] = "code",
    [SG_LABEL_REASON] = "reason",
    [SG_LABEL_SCHEME] = "scheme",
    [SG_LABEL_TOKEN] = "token",
    [SG_LABEL_TOKEN_STATE] = "state",
    [SG_LABEL_KEY_STATE] = "state",
    [SG_LABEL_WHY] = "why",
    [SG_LABEL_LISTENER] = "listener",
    [SG_LABEL_PROTOCOL] = "protocol",
    [SG_LABEL_WITNESS] = "witness",
    [SG_LABEL_WITNESS_STATE] = "state",
};

static const char *const token_states[] = {
    [SG_TOKEN_DOWN] = "down",       [SG_TOKEN_PROBING] = "probing",
    [SG_TOKEN_UP] = "up",           [SG_TOKEN_PIN_LATCHED] = "pin_latched",
    [SG_TOKEN_SUSPECT] = "suspect", [SG_TOKEN_DRAINING] = "draining",
};
static const char *const protocols[SG_PROTOCOL_COUNT] = {
    [SG_PROTOCOL_NONE] = "none",
    [SG_PROTOCOL_GRPC] = "grpc",
    [SG_PROTOCOL_GRPC_WEB] = "grpc_web",
    [SG_PROTOCOL_CONNECT] = "connect",
};
static const char *const key_states[] = {
    [SG_KEY_LOADING] = "loading",
    [SG_KEY_READY] = "ready",
    [SG_KEY_UNUSABLE] = "unusable",
    [SG_KEY_QUARANTINED] = "quarantined",
};
static const char *const witness_states[] = {"unheard", "current", "away", "refuses", "denies"};
static const char *value_of(const struct sg_metrics_names *names, enum sg_metric_label label,
                            size_t i)
{
    switch (label) {
    case SG_LABEL_METHOD:
        return i == 0 ? "unknown" : names->methods[i - 1];
    case SG_LABEL_CODE:
        return sg_grpc_code_name((enum sg_grpc_code)i);
    case SG_LABEL_REASON:
        return i == 0 ? "NONE" : sg_reason_name((enum sg_reason)i);
    case SG_LABEL_SCHEME:
        return sg_scheme_name((enum sg_scheme)i);
    case SG_LABEL_TOKEN:
        return names->tokens[i];
    case SG_LABEL_TOKEN_STATE:
        return token_states[i];
    case SG_LABEL_KEY_STATE:
        return key_states[i];
    case SG_LABEL_WHY:
        return sg_why_name((enum sg_why)i);
    case SG_LABEL_LISTENER:
        return sg_listener_name((enum sg_listener)i);
    case SG_LABEL_PROTOCOL:
        return protocols[i];
    case SG_LABEL_WITNESS:
        return names->witnesses[i];
    case SG_LABEL_WITNESS_STATE:
        return witness_states[i];
    case SG_LABEL_NONE:
    case SG_LABEL_COUNT:
        break;
    }
    return "";
}

static size_t count_of(const struct sg_metrics_names *names, enum sg_metric_label label)
{
    switch (label) {
    case SG_LABEL_METHOD:
        return names->method_count + 1;
    case SG_LABEL_CODE:
        return SG_GRPC_UNAUTHENTICATED + 1;
    case SG_LABEL_REASON:
        return SG_R_COUNT;
    case SG_LABEL_SCHEME:
        return SG_SCHEME_COUNT;
    case SG_LABEL_TOKEN:
        return names->token_count;
    case SG_LABEL_TOKEN_STATE:
        return SG_COUNT(token_states);
    case SG_LABEL_KEY_STATE:
        return SG_COUNT(key_states);
    case SG_LABEL_WHY:
        return SG_WHY_COUNT;
    case SG_LABEL_LISTENER:
        return SG_LISTENER_COUNT;
    case SG_LABEL_PROTOCOL:
        return SG_PROTOCOL_COUNT;
    case SG_LABEL_WITNESS:
        return names->witness_count;
    case SG_LABEL_WITNESS_STATE:
        return SG_COUNT(witness_states);
    case SG_LABEL_NONE:
    case SG_LABEL_COUNT:
        break;
    }
    return 1;
}

static bool fill_label(struct label *label, enum sg_metric_label kind,
                       const struct sg_metrics_names *names)
{
    label->name = label_names[kind];
    label->count = count_of(names, kind);
    label->values = calloc(label->count + 1, sizeof(*label->values));
    for (size_t i = 0; label->values != NULL && i < label->count; i++) {
        label->values[i] = strdup(value_of(names, kind, i));
        if (label->values[i] == NULL)
            return false;
    }
    return label->values != NULL;
}

/* Cells --------------------------------------------------------------------------------------- */

static size_t cells_of(const struct metric *metric)
{
    return metric->type == HISTOGRAM ? HISTOGRAM_CELLS : 1;
}

static size_t series_of(const struct sg_metrics *metrics, const struct metric *metric)
{
    return metrics->labels[metric->a].count * metrics->labels[metric->b].count;
}

static size_t cell_of(const struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b)
{
    const struct metric *metric = &table[id];
    size_t a_count = metrics->labels[metric->a].count, b_count = metrics->labels[metric->b].count;
    SG_ASSERT(a < a_count && b < b_count);
    return metrics->first[id] + (a * b_count + b) * cells_of(metric);
}

static bool set_up(struct sg_metrics *metrics, const struct sg_metrics_names *names)
{
    for (unsigned kind = SG_LABEL_NONE; kind < SG_LABEL_COUNT; kind++) {
        if (!fill_label(&metrics->labels[kind], (enum sg_metric_label)kind, names))
            return false;
    }
    size_t count = 0;
    for (size_t id = 0; id < SG_METRIC_COUNT; id++) {
        metrics->first[id] = count;
        count += series_of(metrics, &table[id]) * cells_of(&table[id]);
    }
    metrics->cells = calloc(count, sizeof(*metrics->cells));
    return metrics->cells != NULL;
}

enum sg_rc sg_metrics_new(const struct sg_metrics_names *names, struct sg_metrics **ret,
                          struct sg_err *err)
{
    struct sg_metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL || !set_up(metrics, names)) {
        sg_metrics_free(metrics);
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not keep metrics: no memory");
    }
    *ret = metrics;
    return SG_OK;
}

void sg_metrics_free(struct sg_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (size_t kind = 0; kind < SG_LABEL_COUNT; kind++) {
        struct label *label = &metrics->labels[kind];
        for (size_t i = 0; label->values != NULL && i < label->count; i++)
            free(label->values[i]);
        free(label->values);
    }
    free(metrics->cells);
    free(metrics);
}

static void add(struct sg_metrics *metrics, size_t cell, uint64_t n)
{
    metrics->cells[cell] += n;
}

void sg_metrics_add(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, uint64_t n)
{
    SG_ASSERT(table[id].type == COUNTER);
    add(metrics, cell_of(metrics, id, a, b), n);
}

void sg_metrics_set(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, int64_t v)
{
    SG_ASSERT(table[id].type != HISTOGRAM);
    metrics->cells[cell_of(metrics, id, a, b)] = (uint64_t)v;
}

void sg_metrics_move(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, int64_t n)
{
    SG_ASSERT(table[id].type == GAUGE);
    add(metrics, cell_of(metrics, id, a, b), (uint64_t)n);
}

void sg_metrics_observe(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b,
                        int64_t ns)
{
    SG_ASSERT(table[id].type == HISTOGRAM);
    size_t cell = cell_of(metrics, id, a, b), bucket = 0;
    if (ns < 0)
        ns = 0;
    while (bucket < SG_COUNT(buckets) && ns > buckets[bucket].ns)
        bucket++;
    add(metrics, cell + bucket, 1);
    add(metrics, cell + SUM, (uint64_t)ns);
}

/* The page ------------------------------------------------------------------------------------ */

/* A label's value: backslash, quote and line end are escaped (the format's "Comments, help text,
 * and type information"). Help texts are ours, and have none of these. */
static void write_value(struct sg_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            sg_buf_add_str(out, "\\n");
        else if (*text == '\\' || *text == '"')
            sg_buf_printf(out, "\\%c", *text);
        else
            sg_buf_add_u8(out, (uint8_t)*text);
    }
}

/* name_suffix{a="x",b="y",le="1"}, without what there is none of. */
static void write_series(struct sg_buf *out, const struct sg_metrics *metrics,
                         const struct metric *metric, size_t series, const char *suffix,
                         const char *le)
{
    const struct label *a = &metrics->labels[metric->a], *b = &metrics->labels[metric->b];
    const char *separator = "{";
    sg_buf_printf(out, "%s%s", metric->name, suffix);
    if (metric->a != SG_LABEL_NONE) {
        sg_buf_printf(out, "%s%s=\"", separator, a->name);
        write_value(out, a->values[series / b->count]);
        sg_buf_add_u8(out, '"');
        separator = ",";
    }
    if (metric->b != SG_LABEL_NONE) {
        sg_buf_printf(out, "%s%s=\"", separator, b->name);
        write_value(out, b->values[series % b->count]);
        sg_buf_add_u8(out, '"');
        separator = ",";
    }
    if (le != NULL) {
        sg_buf_printf(out, "%sle=\"%s\"", separator, le);
        separator = ",";
    }
    sg_buf_add_str(out, separator[0] == '{' ? " " : "} ");
}

static void write_number(const struct sg_metrics *metrics, const struct metric *metric, size_t cell,
                         size_t series, struct sg_buf *out)
{
    uint64_t value = metrics->cells[cell];
    /* Of two labels most pairs never happen, so only those are shown that did; the listeners are
     * but two. One label is shown whole: an alert on a counter's rise must see it at zero before.
     */
    if (value == 0 && metric->b != SG_LABEL_NONE && metric->b != SG_LABEL_LISTENER &&
        metric->type == COUNTER)
        return;
    write_series(out, metrics, metric, series, "", NULL);
    if (metric->type == GAUGE)
        sg_buf_printf(out, "%lld\n", (long long)(int64_t)value);
    else
        sg_buf_printf(out, "%llu\n", (unsigned long long)value);
}

/* The count is the sum of what was read of the buckets, so that the two agree. */
static void write_histogram(const struct sg_metrics *metrics, const struct metric *metric,
                            size_t cell, size_t series, struct sg_buf *out)
{
    uint64_t counts[OVER + 1], total = 0, sum = metrics->cells[cell + SUM];
    for (size_t i = 0; i <= OVER; i++)
        total += counts[i] = metrics->cells[cell + i];
    if (total == 0 && metric->b != SG_LABEL_NONE)
        return;

    uint64_t seen = 0;
    for (size_t i = 0; i <= OVER; i++) {
        seen += counts[i];
        write_series(out, metrics, metric, series, "_bucket", i < OVER ? buckets[i].le : "+Inf");
        sg_buf_printf(out, "%llu\n", (unsigned long long)seen);
    }
    write_series(out, metrics, metric, series, "_sum", NULL);
    sg_buf_printf(out, "%llu.%09llu\n", (unsigned long long)(sum / 1000000000),
                  (unsigned long long)(sum % 1000000000));
    write_series(out, metrics, metric, series, "_count", NULL);
    sg_buf_printf(out, "%llu\n", (unsigned long long)total);
}

void sg_metrics_write(const struct sg_metrics *metrics, struct sg_buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (size_t id = 0; id < SG_METRIC_COUNT; id++) {
        const struct metric *metric = &table[id];
        sg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                      types[metric->type]);
        for (size_t i = 0; i < series_of(metrics, metric); i++) {
            size_t cell = metrics->first[id] + i * cells_of(metric);
            if (metric->type == HISTOGRAM)
                write_histogram(metrics, metric, cell, i, out);
            else
                write_number(metrics, metric, cell, i, out);
        }
    }
}
