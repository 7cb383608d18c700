#include "client/cli/audit_records.h"
#include "client/cli/record.h"
#include "client/cli/text.h"

/* sealgate audit show: one record with its proof. */

static const struct sg_option options[] = {
    {"receipt", "FILE", "write what proves it there; - is standard output", false},
    SG_CLI_LOG_OPTION,
    {0},
};

static void put_proof(const struct sealgate_record *record)
{
    printf("%-18s in the tree of %llu leaves of ", "proved", (unsigned long long)record->tree_size);
    sg_cli_put(stdout, record->origin);
    printf(record->is_signed ? ", signed by the log\n"
                             : ", signed by anybody: --log-key says whom to believe\n");
}

static enum sg_exit print(const struct sg_cli *cli, const struct sealgate_receipt *receipt,
                          const struct sealgate_record *record)
{
    struct sg_audit_record content;
    struct sg_json json;
    struct sg_buf out;
    struct sg_err err;
    char size[24];

    if (sg_audit_record_parse(sg_slice_of(record->bytes.ptr, record->bytes.len), &content, &err) !=
        SG_OK)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED", "%s", err.msg);
    if (!cli->is_json) {
        printf("%-18s ", "log");
        sg_cli_put(stdout, receipt->log);
        printf("\n");
        sg_cli_put_record_whole(record->leaf_index, &content);
        put_proof(record);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    (void)snprintf(size, sizeof(size), "%llu", (unsigned long long)record->tree_size);
    sg_buf_init(&out, 16 * SG_AUDIT_RECORD_BYTES_MAX);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "log", receipt->log);
    sg_json_str(&json, "origin", record->origin);
    sg_json_str(&json, "tree_size", size);
    sg_json_bool(&json, "signed_by_log", record->is_signed);
    sg_cli_json_record(&json, record->leaf_index, &content);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

/* What is shown is what the file says that would be kept, proved as it will be later. */
static enum sg_exit hand_out(struct sg_cli *cli, const struct sealgate_receipt *receipt)
{
    const char *path = sg_args_get(&cli->args, "receipt");
    struct sealgate_record *record = NULL;
    struct sealgate_error error;
    enum sg_exit code = SG_EXIT_OK;

    if (sealgate_receipt_verify(receipt->file, sg_cli_log_keys(cli), &record, &error) !=
        SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (path == NULL || strcmp(path, "-") != 0)
        code = print(cli, receipt, record);
    if (code == SG_EXIT_OK && path != NULL)
        code = sg_cli_write_file(cli, path, sg_slice_of(receipt->file.ptr, receipt->file.len));
    sealgate_free(record);
    return code;
}

/* "audit/{log}/leaves/{number}" of a number alone, whose log is --log or the gateway's. */
static enum sg_exit name_leaf(struct sg_cli *cli, uint64_t index, char *out, size_t room)
{
    struct sealgate_checkpoint *checkpoint = NULL;
    struct sealgate_error error;
    char text[SG_CLI_LOG_BYTES];
    const char *log;
    int len;

    enum sg_exit code = sg_cli_log_name(cli, text, &log);
    if (code != SG_EXIT_OK)
        return code;
    if (log == NULL && sealgate_get_checkpoint(cli->client, NULL, cli->timeout_ms, &checkpoint,
                                               &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    len = snprintf(out, room, "%s/leaves/%llu", log == NULL ? checkpoint->log : log,
                   (unsigned long long)index);
    sealgate_free(checkpoint);
    return len < (int)room ? SG_EXIT_OK
                           : sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED",
                                         "the name of the log is too long");
}

static enum sg_exit run(struct sg_cli *cli)
{
    const char *word = cli->args.words[0];
    struct sealgate_receipt *receipt = NULL;
    struct sealgate_error error;
    char name[SG_CLI_LOG_BYTES + 32];
    uint64_t index;
    enum sg_exit code = sg_cli_connect(cli);

    if (code == SG_EXIT_OK && sg_cli_number(word, 0, INT64_MAX, &index)) {
        code = name_leaf(cli, index, name, sizeof(name));
        word = name;
    } else if (code == SG_EXIT_OK && sg_args_has(&cli->args, "log")) {
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--log goes with the number of a "
                           "leaf alone");
    }
    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_get_receipt(cli->client, word, cli->timeout_ms, &receipt, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = hand_out(cli, receipt);
    sealgate_free(receipt);
    return code;
}

const struct sg_command sg_cmd_audit_show = {
    .group = "audit",
    .name = "show",
    .synopsis = "NAME|NUMBER [--receipt FILE]",
    .summary = "show one record of an audit log, proved",
    .text = "NAME is audit/{log}/leaves/{number}. The record is shown once its receipt has proved\n"
            "it; with --log-key, that the log has signed it. `sealgate audit verify` proves the\n"
            "receipt again, without any gateway.\n"
            "\n"
            "Examples:\n"
            "  sealgate audit show 17 --receipt 17.receipt --log-key \"$(cat log.key)\"\n",
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .run = run,
};
