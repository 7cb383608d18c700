#include "client/cli/cli.h"
#include "client/cli/text.h"

/* `info` and `health`: what the gateway is, and whether it serves. */

/* ---- info ----------------------------------------------------------------------------------- */

static const struct sg_option no_options[] = {{0}};

static void json_info(struct sg_json *json, const struct sealgate_server_info *info)
{
    sg_json_str(json, "version", info->version);
    sg_json_str(json, "client_version", sealgate_version());
    sg_json_str(json, "caller", info->caller);
    sg_json_time(json, "server_time", info->server_time_ns);
    sg_json_time(json, "start_time", info->start_time_ns);
    sg_json_begin_array(json, "services");
    for (size_t i = 0; i < info->service_count; i++)
        sg_json_str(json, NULL, info->services[i]);
    sg_json_end(json);
    sg_json_begin_array(json, "schemes");
    for (size_t i = 0; i < info->scheme_count; i++)
        sg_json_str(json, NULL, sg_scheme_name((enum sg_scheme)info->schemes[i]));
    sg_json_end(json);
    sg_json_begin_array(json, "digests");
    for (size_t i = 0; i < info->digest_count; i++)
        sg_json_str(json, NULL, sg_digest_name((enum sg_digest_alg)info->digests[i]));
    sg_json_end(json);
    sg_json_begin_object(json, "limits");
    sg_json_int(json, "message_bytes_max", info->message_bytes_max);
    sg_json_int(json, "batch_items_max", info->batch_items_max);
    sg_json_int(json, "stream_items_max", info->stream_items_max);
    sg_json_int(json, "ed25519_bytes_max", info->ed25519_bytes_max);
    sg_json_int(json, "deadline_max_ms", info->deadline_max_ms);
    sg_json_end(json);
}

/* With `capacity`, which whoever may not ask for it lacks, or with the states alone. */
static void json_tokens(struct sg_json *json, const struct sealgate_server_info *info,
                        const struct sealgate_capacity *capacity)
{
    sg_json_begin_array(json, "tokens");
    for (size_t i = 0; capacity == NULL && i < info->token_count; i++) {
        sg_json_begin_object(json, NULL);
        sg_json_str(json, "token", info->tokens[i].name);
        sg_json_str(json, "state", sg_cli_token_state_name((int)info->tokens[i].state));
        sg_json_end(json);
    }
    for (size_t i = 0; capacity != NULL && i < capacity->count; i++) {
        const struct sealgate_token *token = &capacity->tokens[i];
        sg_json_begin_object(json, NULL);
        sg_json_str(json, "token", token->name);
        sg_json_str(json, "state", sg_cli_token_state_name((int)token->state));
        sg_json_int(json, "workers", token->workers);
        sg_json_int(json, "in_flight", token->in_flight);
        sg_json_int(json, "waiting", token->waiting);
        sg_json_int(json, "estimated_wait_ms", token->estimated_wait_ms);
        sg_json_end(json);
    }
    sg_json_end(json);
}

static void line(const char *label, const char *text)
{
    (void)printf("%-10s ", label);
    sg_cli_put(stdout, text[0] == '\0' ? "-" : text);
    (void)fputc('\n', stdout);
}

static void text_info(const struct sealgate_server_info *info)
{
    char time[SG_CLI_TIME_BYTES];

    line("version", info->version);
    line("caller", info->caller);
    line("time", sg_cli_time(info->server_time_ns, time));
    line("started", sg_cli_time(info->start_time_ns, time));
    for (size_t i = 0; i < info->service_count; i++)
        line(i == 0 ? "services" : "", info->services[i]);
    (void)printf("%-10s", "schemes");
    for (size_t i = 0; i < info->scheme_count; i++)
        (void)printf(" %s", sg_scheme_name((enum sg_scheme)info->schemes[i]));
    (void)printf("\n%-10s", "digests");
    for (size_t i = 0; i < info->digest_count; i++)
        (void)printf(" %s", sg_digest_name((enum sg_digest_alg)info->digests[i]));
    (void)printf("\n%-10s %u bytes a message, %u items a batch, %u items under way on a stream,\n"
                 "%-10s %u bytes for Ed25519, %u ms the longest deadline\n",
                 "limits", info->message_bytes_max, info->batch_items_max, info->stream_items_max,
                 "", info->ed25519_bytes_max, info->deadline_max_ms);
}

static void text_tokens(const struct sealgate_server_info *info,
                        const struct sealgate_capacity *capacity)
{
    for (size_t i = 0; capacity == NULL && i < info->token_count; i++) {
        (void)printf("%-10s ", i == 0 ? "tokens" : "");
        sg_cli_put(stdout, info->tokens[i].name);
        (void)printf(": %s\n", sg_cli_token_state_name((int)info->tokens[i].state));
    }
    for (size_t i = 0; capacity != NULL && i < capacity->count; i++) {
        const struct sealgate_token *token = &capacity->tokens[i];
        (void)printf("%-10s ", i == 0 ? "tokens" : "");
        sg_cli_put(stdout, token->name);
        (void)printf(": %s, %u workers, %u in flight, %u waiting, about %u ms to wait\n",
                     sg_cli_token_state_name((int)token->state), token->workers, token->in_flight,
                     token->waiting, token->estimated_wait_ms);
    }
}

static enum sg_exit print_info(const struct sg_cli *cli, const struct sealgate_server_info *info,
                               const struct sealgate_capacity *capacity)
{
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json) {
        text_info(info);
        text_tokens(info, capacity);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    sg_buf_init(&out, 1 << 20);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    json_info(&json, info);
    json_tokens(&json, info, capacity);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit run_info(struct sg_cli *cli)
{
    struct sealgate_server_info *info = NULL;
    struct sealgate_capacity *capacity = NULL;
    struct sealgate_error error;
    enum sealgate_code code;
    enum sg_exit exit_code = sg_cli_connect(cli);

    if (exit_code != SG_EXIT_OK)
        return exit_code;
    code = sealgate_server_info(cli->client, cli->timeout_ms, &info, &error);
    if (code == SEALGATE_OK)
        code = sealgate_capacity(cli->client, cli->timeout_ms, &capacity, &error);
    /* Who may not see how busy the tokens are still sees the server. */
    if (code == SEALGATE_OK || (info != NULL && code == SEALGATE_PERMISSION_DENIED))
        exit_code = print_info(cli, info, capacity);
    else
        exit_code = sg_cli_failed(cli, &error);
    sealgate_free(info);
    sealgate_free(capacity);
    return exit_code;
}

const struct sg_command sg_cmd_info = {
    .name = "info",
    .synopsis = "",
    .summary = "what the gateway is, what it can do, how busy it is",
    .text = "",
    .options = no_options,
    .run = run_info,
};
