#include "gateway/main_epoch.h"

#include <stdio.h>

#include "formats/audit/epoch.h"
#include "gateway/administrators.h"
#include "gateway/init.h"
#include "gateway/key_file.h"
#include "gateway/main_store.h"

enum { REPORT_BYTES_MAX = 64 << 10 };

static void print(FILE *to, const struct sg_buf *text)
{
    fprintf(to, "%.*s", (int)text->len, (const char *)text->ptr);
}

enum sg_rc sg_main_epoch_state(const struct sg_config *config, const struct sg_main_epoch *epoch,
                               struct sg_err *err)
{
    struct sg_slice administrators[SG_INIT_ADMINISTRATORS_MAX];
    struct sg_buf files[SG_INIT_ADMINISTRATORS_MAX], statement, report;
    const struct sg_epoch_wish wish = {.why = epoch->why,
                                       .administrators = administrators,
                                       .administrator_count = epoch->administrator_count};
    enum sg_rc rc = SG_OK;

    for (size_t i = 0; i < epoch->administrator_count; i++) {
        sg_buf_init(&files[i], SG_ADMINISTRATOR_FILE_BYTES_MAX);
        if (rc == SG_OK)
            rc = sg_file_read(epoch->administrators[i], &files[i], err);
        administrators[i] = sg_buf_slice(&files[i]);
    }
    sg_buf_init(&statement, SG_EPOCH_STATEMENT_BYTES_MAX);
    sg_buf_init(&report, REPORT_BYTES_MAX);
    if (rc == SG_OK)
        rc = sg_main_become_gateway(config, err);
    if (rc == SG_OK)
        rc = sg_epoch_state(config, &wish, &statement, &report, err);
    if (rc == SG_OK) {
        print(stdout, &statement);
        print(stderr, &report);
    }
    for (size_t i = 0; i < epoch->administrator_count; i++)
        sg_buf_done(&files[i]);
    sg_buf_done(&report);
    sg_buf_done(&statement);
    return rc;
}

enum sg_rc sg_main_epoch_accept(const struct sg_config *config, const struct sg_main_epoch *epoch,
                                struct sg_err *err)
{
    struct sg_slice approvals[SG_EPOCH_APPROVALS];
    struct sg_buf files[SG_EPOCH_APPROVALS], statement, report;
    enum sg_rc rc;

    sg_buf_init(&statement, SG_EPOCH_STATEMENT_BYTES_MAX);
    sg_buf_init(&report, REPORT_BYTES_MAX);
    rc = sg_file_read(epoch->statement, &statement, err);
    for (size_t i = 0; i < SG_EPOCH_APPROVALS; i++) {
        sg_buf_init(&files[i], SG_APPROVAL_BYTES_MAX);
        if (rc == SG_OK)
            rc = sg_file_read(epoch->approvals[i], &files[i], err);
        approvals[i] = sg_buf_slice(&files[i]);
    }
    if (rc == SG_OK)
        rc = sg_main_become_gateway(config, err);
    if (rc == SG_OK)
        rc = sg_epoch_accept(config, sg_buf_slice(&statement), approvals, &report, err);
    if (rc == SG_OK)
        print(stdout, &report);
    for (size_t i = 0; i < SG_EPOCH_APPROVALS; i++)
        sg_buf_done(&files[i]);
    sg_buf_done(&report);
    sg_buf_done(&statement);
    return rc;
}
