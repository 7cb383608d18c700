#include <stdlib.h>

#include "hsm/hsm_priv.h"
#include "tests/support/unit.h"

static void on_job(void *arg, struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    fail();
}

static void on_csr(void *arg, uint64_t tag, struct sg_slice csr, const struct sg_err *err)
{
    int *told = arg;
    assert_int_equal(tag, 7);
    assert_int_equal(csr.len, 0);
    assert_int_equal(err->reason, SG_R_DRAINING);
    ++*told;
}

/* Whoever asked keeps something until it is answered. */
static void a_request_under_way_is_answered_when_the_engine_goes(void **state)
{
    (void)state;
    const struct sg_hsm_events events = {.done = on_job};
    const struct sg_hsm_token_config token = {
        .name = "t", .socket = "/nonexistent", .uid = -1, .queue_max = 1, .hang_ms = 1};
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    size_t index;
    int told = 0;

    assert_int_equal(sg_loop_new(&sg_clock_system, &loop, NULL), SG_OK);
    assert_int_equal(sg_hsm_new(loop, &sg_clock_system, &events, &hsm, NULL), SG_OK);
    assert_int_equal(sg_hsm_add_token(hsm, &token, &index, NULL), SG_OK);
    struct sg_engine_csr *csr = calloc(1, sizeof(*csr));
    assert_non_null(csr);
    *csr = (struct sg_engine_csr){.serial = 1, .tag = 7, .done = on_csr, .arg = &told};
    hsm->backends[index]->csrs = csr;
    hsm->backends[index]->csr_count = 1;
    sg_hsm_free(hsm);
    assert_int_equal(told, 1);
    sg_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_under_way_is_answered_when_the_engine_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
