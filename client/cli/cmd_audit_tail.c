#include <poll.h>

#include "client/cli/audit_records.h"
#include "client/cli/text.h"

/* sealgate audit tail: the end of the log, and what comes. */

enum { LINES_DEFAULT = 10, WATCH_MS = 86400000 };

static const struct sg_option options[] = {
    {"lines", "N", "how many (default 10)", false},
    {"follow", NULL, "and every one that comes, until it is interrupted or --timeout is up", false},
    SG_CLI_LOG_OPTION,
    {0},
};

struct watch {
    struct sg_cli *cli;
    struct sealgate_call *call;
    uint64_t next; /* behind the last that was shown */
    enum sg_exit code;
    bool is_of_epoch; /* --log names one: nothing comes behind its end */
    bool is_over;
    struct sealgate_error error;
};

static void on_leaf(void *user, const struct sealgate_record *record)
{
    struct watch *watch = user;

    if (watch->code != SG_EXIT_OK)
        return;
    watch->code = sg_cli_flush(watch->cli, sg_cli_put_leaf(watch->cli, record));
    watch->next = record->leaf_index + 1;
    if (watch->code != SG_EXIT_OK)
        sealgate_call_cancel(watch->call);
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct watch *watch = user;

    watch->is_over = true;
    watch->error = *error;
}

/* Until it ends. SG_EXIT_OK: its time was up. */
static enum sg_exit watch_once(struct watch *watch, const struct sealgate_leaf_query *query,
                               uint32_t timeout_ms)
{
    static const struct sealgate_leaf_events events = {.leaf = on_leaf, .done = on_done};
    struct sealgate_client *client = watch->cli->client;
    struct sealgate_error error;

    watch->is_over = false;
    if (sealgate_watch_leaves_start(client, query, timeout_ms, &events, watch, &watch->call,
                                    &error) != SEALGATE_OK)
        return sg_cli_failed(watch->cli, &error);
    while (!watch->is_over) {
        struct pollfd news = {.fd = sealgate_client_fd(client), .events = POLLIN};
        sealgate_client_step(client);
        if (!watch->is_over) /* an interrupted wait is a wait that ended early */
            (void)poll(&news, 1, sealgate_client_timeout_ms(client));
    }
    if (watch->code != SG_EXIT_OK)
        return watch->code;
    if (strcmp(watch->error.reason, "EPOCH_ENDED") == 0 && !watch->is_of_epoch) {
        watch->next = 0; /* the next epoch is another log */
        (void)fputs("sealgate: the log goes on in a new epoch, from leaf 0\n", stderr);
        return SG_EXIT_OK;
    }
    return watch->error.code == SEALGATE_DEADLINE_EXCEEDED
               ? SG_EXIT_OK
               : sg_cli_failed(watch->cli, &watch->error);
}

static enum sg_exit follow(struct sg_cli *cli, struct sealgate_leaf_query *query)
{
    const bool has_time = sg_args_has(&cli->args, "timeout");
    struct watch watch = {
        .cli = cli,
        .next = query->first,
        .is_of_epoch = query->log != NULL && strstr(query->log, "/epochs/") != NULL,
    };
    enum sg_exit code;

    do { /* no watch is endless */
        query->first = watch.next;
        code = watch_once(&watch, query, has_time ? cli->timeout_ms : WATCH_MS);
    } while (code == SG_EXIT_OK && !has_time);
    return code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    const char *text = sg_args_get(&cli->args, "lines");
    struct sealgate_checkpoint *checkpoint = NULL;
    struct sealgate_leaf_query query = {0};
    struct sealgate_error error;
    uint64_t lines = LINES_DEFAULT, size, count;
    char log[SG_CLI_LOG_BYTES];

    enum sg_exit code = sg_cli_log_name(cli, log, &query.log);
    if (code == SG_EXIT_OK && text != NULL && !sg_cli_number(text, 0, INT64_MAX, &lines))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--lines is a number");
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_get_checkpoint(cli->client, query.log, cli->timeout_ms, &checkpoint, &error) !=
        SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    size = checkpoint->size;
    sealgate_free(checkpoint);
    query.first = size > lines ? size - lines : 0;
    if (sg_args_has(&cli->args, "follow"))
        return follow(cli, &query);
    return lines == 0 ? SG_EXIT_OK : sg_cli_put_leaves(cli, &query, size, &count);
}

const struct sg_command sg_cmd_audit_tail = {
    .group = "audit",
    .name = "tail",
    .synopsis = "[--lines N] [--follow]",
    .summary = "show the last records of an audit log, and those that come",
    .text = "A line for each record; in JSON an object on a line. With --follow each record comes\n"
            "as soon as it is durable, once, also when the gateway is restarted or another takes\n"
            "its place meanwhile. What is shown is the gateway's word: `sealgate audit show`\n"
            "proves a record.\n",
    .options = options,
    .run = run,
};
