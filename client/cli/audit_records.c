#include "client/cli/audit_records.h"

#include "client/cli/record.h"
#include "client/cli/text.h"

enum { PAGE_SIZE = 1000, TOKEN_BYTES = 1024 };

enum sg_exit sg_cli_log_name(const struct sg_cli *cli, char out[SG_CLI_LOG_BYTES], const char **ret)
{
    const char *log = sg_args_get(&cli->args, "log");

    *ret = NULL;
    if (log == NULL)
        return SG_EXIT_OK;
    if (snprintf(out, SG_CLI_LOG_BYTES, "%s%s", strncmp(log, "audit/", 6) == 0 ? "" : "audit/",
                 log) >= SG_CLI_LOG_BYTES)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--log is too long");
    *ret = out;
    return SG_EXIT_OK;
}

enum sg_exit sg_cli_put_leaf(const struct sg_cli *cli, const struct sealgate_record *record)
{
    struct sg_audit_record content;
    struct sg_json json;
    struct sg_buf out;
    struct sg_err err;

    /* The library has read it before: what does not parse does not come here. */
    if (sg_audit_record_parse(sg_slice_of(record->bytes.ptr, record->bytes.len), &content, &err) !=
        SG_OK)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED", "%s", err.msg);
    if (!cli->is_json) {
        sg_cli_put_record(record->leaf_index, &content);
        return SG_EXIT_OK;
    }
    sg_buf_init(&out, 16 * SG_AUDIT_RECORD_BYTES_MAX);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "name", record->name);
    sg_cli_json_record(&json, record->leaf_index, &content);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

enum sg_exit sg_cli_each_leaf(struct sg_cli *cli, struct sealgate_leaf_query *query,
                              sg_cli_leaf_fn fn, void *arg)
{
    char token[TOKEN_BYTES] = "";
    enum sg_exit code = SG_EXIT_OK;
    bool is_more = true;

    query->page_size = PAGE_SIZE;
    while (code == SG_EXIT_OK && is_more) {
        struct sealgate_leaf_list *list = NULL;
        struct sealgate_error error;
        query->page_token = token;
        if (sealgate_list_leaves(cli->client, query, cli->timeout_ms, &list, &error) != SEALGATE_OK)
            return sg_cli_failed(cli, &error);
        for (size_t i = 0; i < list->count && code == SG_EXIT_OK; i++)
            code = fn(arg, &list->records[i]);
        is_more = list->next_page_token[0] != '\0';
        const bool is_same = is_more && strcmp(token, list->next_page_token) == 0;
        const int len = snprintf(token, sizeof(token), "%s", list->next_page_token);
        sealgate_free(list);
        if (is_same || len >= TOKEN_BYTES)
            return sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED",
                               "the server's page token leads nowhere");
    }
    return code;
}

struct printing {
    struct sg_cli *cli;
    uint64_t end, count;
    bool is_over;
};

static enum sg_exit print_leaf(void *arg, const struct sealgate_record *record)
{
    struct printing *printing = arg;

    if (record->leaf_index >= printing->end) {
        printing->is_over = true;
        return SG_EXIT_NO; /* as good as the last */
    }
    printing->count++;
    return sg_cli_put_leaf(printing->cli, record);
}

enum sg_exit sg_cli_put_leaves(struct sg_cli *cli, struct sealgate_leaf_query *query, uint64_t end,
                               uint64_t *ret_count)
{
    struct printing printing = {.cli = cli, .end = end};
    enum sg_exit code = sg_cli_each_leaf(cli, query, print_leaf, &printing);

    *ret_count = printing.count;
    if (printing.is_over)
        code = SG_EXIT_OK;
    return code == SG_EXIT_OK ? sg_cli_flush(cli, code) : code;
}
