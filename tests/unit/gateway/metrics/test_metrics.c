#include "gateway/metrics/metrics.h"

#include "base/clock.h"
#include "hsm/hsm.h"
#include "proto/grpc/status.h"
#include "proto/h2/why.h"
#include "tests/support/failmalloc.h"
#include "tests/support/prom_strict.h"
#include "tests/support/unit.h"

static const char *const methods[] = {"sealgate.v1.SigningService/Sign",
                                      "grpc.health.v1.Health/Check"};
static const char *const tokens[] = {"hsm", "other"};
static const struct sg_metrics_names names = {.methods = methods,
                                              .method_count = 2,
                                              .tokens = tokens,
                                              .token_count = 2,
                                              .witnesses = tokens,
                                              .witness_count = 2};

static struct sg_metrics *new_metrics(const struct sg_metrics_names *of)
{
    struct sg_metrics *metrics = NULL;
    assert_int_equal(sg_metrics_new(of, &metrics, NULL), SG_OK);
    return metrics;
}

/* The page, judged by the strict reader; lives until the next call. */
static struct sg_slice page_of(const struct sg_metrics *metrics)
{
    static uint8_t bytes[1 << 20];
    struct sg_buf out;
    char why[128];
    sg_buf_init(&out, sizeof(bytes));
    sg_metrics_write(metrics, &out);
    assert_int_equal(sg_buf_check(&out, NULL), SG_OK);
    memcpy(bytes, out.ptr, out.len);
    struct sg_slice page = sg_slice_of(bytes, out.len);
    sg_buf_done(&out);
    if (!sg_prom_is_valid(page, why, sizeof(why)))
        fail_msg("%s", why);
    return page;
}

#define assert_series(metrics, series, value)                                                      \
    do {                                                                                           \
        double value_ = sg_prom_value(page_of(metrics), (series));                                 \
        if (value_ != (double)(value))                                                             \
            fail_msg("%s is %f", (series), value_);                                                \
    } while (0)

static bool page_has(const struct sg_metrics *metrics, const char *text)
{
    struct sg_slice page = page_of(metrics);
    return memmem(page.ptr, page.len, text, strlen(text)) != NULL;
}

static void a_fresh_page_is_well_formed_and_names_every_metric(void **state)
{
    (void)state;
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
#define METRIC(id, type, name, a, b, help)                                                         \
    assert_true(page_has(metrics, "# HELP " name " " help "\n# TYPE " name " "));
#include "gateway/metrics/metrics.def"
#undef METRIC
    /* An alert on a rise must see a counter of one label at zero before. */
    assert_series(metrics, "sealgate_verify_failures_total{token=\"hsm\"}", 0);
    assert_series(metrics, "sealgate_authz_denials_total{reason=\"KEY_NOT_FOUND\"}", 0);
    assert_series(metrics, "sealgate_sign_hsm_seconds_count{token=\"other\"}", 0);
    assert_false(page_has(metrics, "sealgate_rpcs_total{"));
    assert_false(page_has(metrics, "sealgate_rpc_seconds_count{"));
}

static void counters_and_gauges_show_what_was_counted(void **state)
{
    (void)state;
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
    sg_metrics_add(metrics, SG_METRIC_RPCS, 1, SG_GRPC_OK, 3);
    sg_metrics_add(metrics, SG_METRIC_RPCS, 1, SG_GRPC_OK, 4);
    sg_metrics_add(metrics, SG_METRIC_RPCS, 0, SG_GRPC_UNIMPLEMENTED, 1);
    sg_metrics_add(metrics, SG_METRIC_RPCS, 2, SG_GRPC_UNAUTHENTICATED, 1);
    assert_series(metrics,
                  "sealgate_rpcs_total{method=\"sealgate.v1.SigningService/Sign\",code=\"OK\"}", 7);
    assert_series(metrics, "sealgate_rpcs_total{method=\"unknown\",code=\"UNIMPLEMENTED\"}", 1);
    assert_series(
        metrics,
        "sealgate_rpcs_total{method=\"grpc.health.v1.Health/Check\",code=\"UNAUTHENTICATED\"}", 1);

    sg_metrics_set(metrics, SG_METRIC_CONNECTIONS, 0, 0, 17);
    assert_series(metrics, "sealgate_connections{listener=\"certificate\"}", 17);
    sg_metrics_set(metrics, SG_METRIC_CONNECTIONS, 0, 0, 0);
    assert_series(metrics, "sealgate_connections{listener=\"certificate\"}", 0);
    sg_metrics_move(metrics, SG_METRIC_RPCS_IN_FLIGHT, 1, 0, 2);
    sg_metrics_move(metrics, SG_METRIC_RPCS_IN_FLIGHT, 1, 0, -1);
    assert_series(metrics, "sealgate_rpcs_in_flight{method=\"sealgate.v1.SigningService/Sign\"}",
                  1);
    sg_metrics_move(metrics, SG_METRIC_RPCS_IN_FLIGHT, 2, 0, -1); /* shows a bug, not 2^64 - 1 */
    assert_true(page_has(metrics, "{method=\"grpc.health.v1.Health/Check\"} -1\n"));
    sg_metrics_set(metrics, SG_METRIC_CONNECTIONS_ACCEPTED, 0, 0, INT64_MAX);
    assert_true(page_has(
        metrics,
        "sealgate_connections_accepted_total{listener=\"certificate\"} 9223372036854775807\n"));
}

static void labels_come_from_the_enums_they_stand_for(void **state)
{
    (void)state;
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
    sg_metrics_set(metrics, SG_METRIC_TOKEN_STATE, 1, SG_TOKEN_UP, 1);
    assert_series(metrics, "sealgate_token_state{token=\"other\",state=\"up\"}", 1);
    assert_series(metrics, "sealgate_token_state{token=\"other\",state=\"down\"}", 0);
    assert_series(metrics, "sealgate_token_state{token=\"hsm\",state=\"pin_latched\"}", 0);
    sg_metrics_set(metrics, SG_METRIC_KEYS, SG_KEY_QUARANTINED, 0, 2);
    assert_series(metrics, "sealgate_keys{state=\"quarantined\"}", 2);
    sg_metrics_add(metrics, SG_METRIC_REFUSALS, SG_R_QUEUE_FULL, 0, 1);
    assert_series(metrics, "sealgate_refusals_total{reason=\"QUEUE_FULL\"}", 1);
    sg_metrics_add(metrics, SG_METRIC_SIGNATURES, SG_SCHEME_RSA_PSS, 0, 1);
    assert_series(metrics, "sealgate_signatures_total{scheme=\"rsa-pss\"}", 1);
    sg_metrics_add(metrics, SG_METRIC_CONNECTIONS_ENDED, SG_WHY_CERTIFICATE, 0, 1);
    assert_series(metrics,
                  "sealgate_connections_ended_total{why=\"certificate\",listener=\"certificate\"}",
                  1);
    assert_series(metrics,
                  "sealgate_connections_ended_total{why=\"certificate\",listener=\"bearer\"}", 0);
}

static const struct {
    int64_t ns;
    const char *le, *below; /* the first bucket that has it, and the last that has not */
} times[] = {
    {-5, "5e-05", NULL},
    {0, "5e-05", NULL},
    {50000, "5e-05", NULL},
    {50001, "0.0001", "5e-05"},
    {1000000, "0.001", "0.0005"},
    {20000000, "0.025", "0.01"},
    {INT64_C(30000000000), "30", "10"},
    {INT64_C(30000000001), "+Inf", "30"},
    {INT64_MAX / 2, "+Inf", "30"},
};

static void a_time_falls_into_the_bucket_of_its_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(times); i++) {
        SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
        char series[128];
        print_message("  %lld\n", (long long)times[i].ns);
        sg_metrics_observe(metrics, SG_METRIC_SIGN_HSM_SECONDS, 1, 0, times[i].ns);
        snprintf(series, sizeof(series),
                 "sealgate_sign_hsm_seconds_bucket{token=\"other\",le=\"%s\"}", times[i].le);
        assert_series(metrics, series, 1);
        assert_series(metrics, "sealgate_sign_hsm_seconds_count{token=\"other\"}", 1);
        assert_series(metrics, "sealgate_sign_hsm_seconds_count{token=\"hsm\"}", 0);
        if (times[i].below == NULL)
            continue;
        snprintf(series, sizeof(series),
                 "sealgate_sign_hsm_seconds_bucket{token=\"other\",le=\"%s\"}", times[i].below);
        assert_series(metrics, series, 0);
    }
}

static void a_histogram_adds_up(void **state)
{
    (void)state;
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
    for (int i = 0; i < 5; i++)
        sg_metrics_observe(metrics, SG_METRIC_RPC_SECONDS, 1, SG_GRPC_OK, 1500000000);
    sg_metrics_observe(metrics, SG_METRIC_RPC_SECONDS, 1, SG_GRPC_OK, 1);
    assert_true(page_has(metrics,
                         "sealgate_rpc_seconds_sum{method=\"sealgate.v1.SigningService/Sign\","
                         "code=\"OK\"} 7.500000001\n"));
    assert_series(
        metrics,
        "sealgate_rpc_seconds_bucket{method=\"sealgate.v1.SigningService/Sign\",code=\"OK\","
        "le=\"1\"}",
        1);
    assert_series(
        metrics,
        "sealgate_rpc_seconds_bucket{method=\"sealgate.v1.SigningService/Sign\",code=\"OK\","
        "le=\"2.5\"}",
        6);
}

static void names_of_the_configuration_are_escaped(void **state)
{
    (void)state;
    const char *const strange[] = {"a\"b\\c\nd", "chữ ký"};
    const struct sg_metrics_names of = {
        .methods = methods, .method_count = 2, .tokens = strange, .token_count = 2};
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&of);
    assert_series(metrics, "sealgate_token_workers{token=\"a\\\"b\\\\c\\nd\"}", 0);
    assert_series(metrics, "sealgate_token_workers{token=\"chữ ký\"}", 0);
}

static void no_token_and_no_method_give_a_page_too(void **state)
{
    (void)state;
    const struct sg_metrics_names of = {0};
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&of);
    assert_true(page_has(metrics, "sealgate_connections{listener=\"bearer\"} 0\n"));
    assert_false(page_has(metrics, "sealgate_token_workers{"));
}

static void a_page_that_does_not_fit_says_so(void **state)
{
    (void)state;
    SG_AUTO(sg_metrics_free) struct sg_metrics *metrics = new_metrics(&names);
    struct sg_buf out;
    sg_buf_init(&out, 100);
    sg_metrics_write(metrics, &out);
    assert_int_equal(sg_buf_check(&out, NULL), SG_E_LIMIT);
    sg_buf_done(&out);
}

static bool make_metrics(void *arg)
{
    struct sg_metrics *metrics = NULL;
    (void)arg;
    enum sg_rc rc = sg_metrics_new(&names, &metrics, NULL);
    sg_metrics_free(metrics);
    return rc == SG_OK;
}

static void memory_that_runs_out_anywhere_is_an_error(void **state)
{
    (void)state;
    assert_true(sg_failmalloc_each(make_metrics, NULL) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_page_is_well_formed_and_names_every_metric),
        cmocka_unit_test(counters_and_gauges_show_what_was_counted),
        cmocka_unit_test(labels_come_from_the_enums_they_stand_for),
        cmocka_unit_test(a_time_falls_into_the_bucket_of_its_bound),
        cmocka_unit_test(a_histogram_adds_up),
        cmocka_unit_test(names_of_the_configuration_are_escaped),
        cmocka_unit_test(no_token_and_no_method_give_a_page_too),
        cmocka_unit_test(a_page_that_does_not_fit_says_so),
        cmocka_unit_test(memory_that_runs_out_anywhere_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
