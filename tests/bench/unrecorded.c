/*
 * In the place of gateway/app_audit.c: a sealgated that records nothing, for the benchmark `audit`,
 * which says by it what recording costs. Its answers have no receipts and it knows no request_id.
 */
#include "gateway/app_priv.h"

enum sg_rc sg_app_open_audit(struct sg_app *app, struct sg_err *err)
{
    (void)app, (void)err;
    return SG_OK;
}

void sg_app_record_start(struct sg_app *app)
{
    (void)app;
}
