#include "client/cli/audit_records.h"
#include "client/cli/kept.h"
#include "client/cli/text.h"

/* sealgate audit checkpoint: what the log has promised by now, and that it kept what it promised.
 */

static const struct sg_option options[] = {
    SG_KEPT_SINCE_OPTION,
    {"out", "FILE", "write the newest checkpoint there, to be kept", false},
    {"growth", "FILE", "write the proof that it grew from --since there", false},
    SG_CLI_LOG_OPTION,
    {0},
};

static enum sg_exit print(const struct sg_cli *cli, const struct sealgate_checkpoint *newest)
{
    const struct sg_slice root = sg_slice_of(newest->root.ptr, newest->root.len);
    const bool has_grown = newest->growth.len > 0;
    struct sg_json json;
    struct sg_buf out;
    char size[24];

    (void)snprintf(size, sizeof(size), "%llu", (unsigned long long)newest->size);
    sg_buf_init(&out, 4096);
    if (!cli->is_json) {
        sg_cli_put(stdout, newest->origin);
        sg_cli_hex(root, &out);
        printf(": %s leaves, root %.*s, signed by %s%s\n", size, (int)out.len,
               (const char *)out.ptr, newest->is_signed ? "the log" : "anybody",
               has_grown ? "; it only grew since the checkpoint that was kept" : "");
        sg_buf_done(&out);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "origin", newest->origin);
    sg_json_str(&json, "tree_size", size);
    sg_json_hex(&json, "root", root);
    sg_json_bool(&json, "signed_by_log", newest->is_signed);
    sg_json_bool(&json, "growth_proved", has_grown);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit hand_out(const struct sg_cli *cli, const struct sealgate_checkpoint *newest)
{
    const struct {
        const char *path;
        struct sealgate_bytes bytes;
    } files[] = {{sg_args_get(&cli->args, "growth"), newest->growth},
                 {sg_args_get(&cli->args, "out"), newest->note}};
    enum sg_exit code = SG_EXIT_OK;

    for (size_t i = 0; i < SG_COUNT(files) && code == SG_EXIT_OK; i++)
        if (files[i].path != NULL)
            code = sg_cli_write_file(cli, files[i].path,
                                     sg_slice_of(files[i].bytes.ptr, files[i].bytes.len));
    return code == SG_EXIT_OK ? print(cli, newest) : code;
}

/* The newest one; where one was kept, proved to have grown from it. */
static enum sg_exit get(struct sg_cli *cli, const char *log, struct sealgate_checkpoint **ret)
{
    const char *since = sg_args_get(&cli->args, "since");
    struct sealgate_error error;
    enum sealgate_code failure;
    struct sg_buf old;

    if (since == NULL)
        return sealgate_get_checkpoint(cli->client, log, cli->timeout_ms, ret, &error) ==
                       SEALGATE_OK
                   ? SG_EXIT_OK
                   : sg_cli_failed(cli, &error);
    sg_buf_init(&old, SG_RECEIPT_BYTES_MAX + 1);
    enum sg_exit code = sg_cli_read_checkpoint(cli, since, &old);
    if (code == SG_EXIT_OK) {
        failure = sealgate_get_growth(cli->client, log, (struct sealgate_bytes){old.ptr, old.len},
                                      cli->timeout_ms, ret, &error);
        if (failure != SEALGATE_OK)
            code = sg_cli_failed(cli, &error);
        if (failure == SEALGATE_DATA_LOSS)
            code = SG_EXIT_NO;
    }
    sg_buf_done(&old);
    return code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct sealgate_checkpoint *newest = NULL;
    char text[SG_CLI_LOG_BYTES];
    const char *log;

    if (sg_args_has(&cli->args, "growth") && !sg_args_has(&cli->args, "since"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--growth is what proves growth from --since, which is missing");
    enum sg_exit code = sg_cli_log_name(cli, text, &log);
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code == SG_EXIT_OK)
        code = get(cli, log, &newest);
    if (code == SG_EXIT_OK)
        code = hand_out(cli, newest);
    sealgate_free(newest);
    return code;
}

const struct sg_command sg_cmd_audit_checkpoint = {
    .group = "audit",
    .name = "checkpoint",
    .synopsis = "[--since FILE] [--out FILE] [--growth FILE]",
    .summary = "get the newest checkpoint of an audit log, proved to have grown",
    .text =
        "Keep the newest checkpoint that you have seen: nobody can show you a log that was\n"
        "changed or cut since, for it would not have grown from there. Exit code 1: it did not,\n"
        "or that is not proved. With --growth FILE the proof is kept too, for\n"
        "`sealgate audit verify --since`, which needs no gateway.\n"
        "\n"
        "Examples:\n"
        "  sealgate audit checkpoint --out main.checkpoint\n"
        "  sealgate audit checkpoint --since main.checkpoint --out main.checkpoint\n",
    .options = options,
    .run = run,
};
