#ifndef SG_GATEWAY_METRICS_METRICS_H
#define SG_GATEWAY_METRICS_METRICS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Numbers for operators, in the text format of Prometheus. metrics.def holds one row per metric.
 *
 * All series exist from the start and are found by index, so counting is an addition: no memory,
 * no name looked up.
 *
 * Thread: one at a time, the loop's in the gateway, where all that is counted happens.
 */
struct sg_metrics;

enum sg_metric {
#define METRIC(id, type, name, a, b, help) SG_METRIC_##id,
#include "gateway/metrics/metrics.def"
#undef METRIC
    SG_METRIC_COUNT,
};

/* What a label can be, and what its index means. */
enum sg_metric_label {
    SG_LABEL_NONE = 0,
    SG_LABEL_METHOD,        /* enum sg_method_id; 0 is a method that is not served */
    SG_LABEL_CODE,          /* enum sg_grpc_code */
    SG_LABEL_REASON,        /* enum sg_reason; 0 is none that a client can name */
    SG_LABEL_SCHEME,        /* enum sg_scheme */
    SG_LABEL_TOKEN,         /* place in the configuration */
    SG_LABEL_TOKEN_STATE,   /* enum sg_hsm_token_state */
    SG_LABEL_KEY_STATE,     /* enum sg_hsm_key_state */
    SG_LABEL_WHY,           /* enum sg_why */
    SG_LABEL_LISTENER,      /* enum sg_listener */
    SG_LABEL_PROTOCOL,      /* enum sg_protocol */
    SG_LABEL_WITNESS,       /* place in the configuration */
    SG_LABEL_WITNESS_STATE, /* enum sg_witness_state */
    SG_LABEL_COUNT,
};

struct sg_metrics_names {
    const char *const *methods; /* by enum sg_method_id from 1 on, "sealgate.v1.X/Y" */
    size_t method_count;
    const char *const *tokens; /* names, in the order of the configuration */
    size_t token_count;
    const char *const *witnesses; /* the same */
    size_t witness_count;
};

/* Copies the names. Errors: SG_E_INTERNAL, no memory. */
SG_MUST_USE enum sg_rc sg_metrics_new(const struct sg_metrics_names *names, struct sg_metrics **ret,
                                      struct sg_err *err);
void sg_metrics_free(struct sg_metrics *metrics);
SG_DEFINE_AUTO(struct sg_metrics, sg_metrics_free);

/*
 * `a` and `b` are the indexes of the metric's labels, 0 where it has none. One out of range is a
 * bug and aborts.
 */

/* Adds to a counter. */
void sg_metrics_add(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, uint64_t n);
/* Sets a gauge; or a counter to a total that is counted elsewhere and never falls. */
void sg_metrics_set(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, int64_t v);
/* Adds to a gauge; `n` may be negative. */
void sg_metrics_move(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b, int64_t n);
/* Puts a time into a histogram; a negative one counts as 0. */
void sg_metrics_observe(struct sg_metrics *metrics, enum sg_metric id, size_t a, size_t b,
                        int64_t ns);

/* Appends the page: text format 0.0.4, UTF-8. */
void sg_metrics_write(const struct sg_metrics *metrics, struct sg_buf *out);

#endif
