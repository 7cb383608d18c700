#include <poll.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"

static const struct sg_option options[] = {
    {"service", "NAME", "full name of a gRPC service (default: the whole gateway)", false},
    {"watch", NULL, "print every change until interrupted or the connection ends", false},
    {0},
};

/* No watch lasts longer than what the options can say. */
enum { WATCH_MS = 86400000 };

struct watch {
    const struct sg_cli *cli;
    bool is_over;
    struct sealgate_error error;
};

static enum sg_exit print_health(const struct sg_cli *cli, enum sealgate_health health)
{
    enum sg_exit code = health == SEALGATE_HEALTH_SERVING ? SG_EXIT_OK : SG_EXIT_NO;
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json) {
        (void)puts(sg_cli_health_name((int)health));
        return sg_cli_flush(cli, code);
    }
    sg_buf_init(&out, 1024);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "status", sg_cli_health_name((int)health));
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, code);
}

static void on_changed(void *user, enum sealgate_health health)
{
    const struct watch *watch = user;

    /* A closed pipe ends the program by the next write's failure, not here. */
    (void)print_health(watch->cli, health);
}

static void on_done(void *user, const struct sealgate_error *error)
{
    struct watch *watch = user;

    watch->is_over = true;
    watch->error = *error;
}

static enum sg_exit run_watch(struct sg_cli *cli)
{
    static const struct sealgate_watch_events events = {.changed = on_changed, .done = on_done};
    struct watch watch = {.cli = cli};
    struct sealgate_error error;

    if (sealgate_health_watch_start(cli->client, sg_args_get(&cli->args, "service"),
                                    sg_args_has(&cli->args, "timeout") ? cli->timeout_ms : WATCH_MS,
                                    &events, &watch, NULL, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    while (!watch.is_over) {
        struct pollfd news = {.fd = sealgate_client_fd(cli->client), .events = POLLIN};
        sealgate_client_step(cli->client);
        if (!watch.is_over)
            (void)poll(&news, 1, sealgate_client_timeout_ms(cli->client));
    }
    return sg_cli_failed(cli, &watch.error);
}

static enum sg_exit run(struct sg_cli *cli)
{
    enum sealgate_health health;
    struct sealgate_error error;
    enum sg_exit code = sg_cli_connect(cli);

    if (code != SG_EXIT_OK)
        return code;
    if (sg_args_has(&cli->args, "watch"))
        return run_watch(cli);
    if (sealgate_health_check(cli->client, sg_args_get(&cli->args, "service"), cli->timeout_ms,
                              &health, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    return print_health(cli, health);
}

const struct sg_command sg_cmd_health = {
    .name = "health",
    .synopsis = "[--service NAME] [--watch]",
    .summary = "whether the gateway serves (grpc.health.v1)",
    .text = "Exit code 0: SERVING; 1: it answered something else.\n",
    .options = options,
    .run = run,
};
