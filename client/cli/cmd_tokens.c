#include <inttypes.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"
#include "client/include/sealgate_tokens.h"

/* `tokens`: list, show, drain, resume and compare, for operators. */

enum { NAME_BYTES = 128, PAGE_SIZE = 500, PAGES_MAX = 10000 };

/* "hsm" is short for "tokens/hsm". */
static enum sg_exit token_name(struct sg_cli *cli, const char *text, char out[NAME_BYTES])
{
    const char *prefix = strncmp(text, "tokens/", 7) == 0 ? "" : "tokens/";
    if (snprintf(out, NAME_BYTES, "%s%s", prefix, text) < NAME_BYTES)
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "the name of the token is too long");
}

/* ---- Printing tokens ------------------------------------------------------------------------ */

static void json_token(struct sg_json *json, const struct sealgate_token_info *token)
{
    sg_json_begin_object(json, NULL);
    sg_json_str(json, "name", token->name);
    sg_json_str(json, "state", sg_cli_token_state_name((int)token->state));
    sg_json_str(json, "state_message", token->state_message);
    sg_json_int(json, "workers", token->workers);
    sg_json_int(json, "in_flight", token->in_flight);
    sg_json_int(json, "waiting", token->waiting);
    sg_json_int(json, "estimated_wait_ms", token->estimated_wait_ms);
    sg_json_int(json, "keys_active", token->keys_active);
    sg_json_int(json, "keys_loading", token->keys_loading);
    sg_json_int(json, "keys_unusable", token->keys_unusable);
    sg_json_int(json, "keys_quarantined", token->keys_quarantined);
    sg_json_int(json, "signed_count", (int64_t)token->signed_count);
    sg_json_int(json, "failed_count", (int64_t)token->failed_count);
    sg_json_int(json, "retried_count", (int64_t)token->retried_count);
    sg_json_int(json, "hedged_count", (int64_t)token->hedged_count);
    sg_json_int(json, "refuted_count", (int64_t)token->refuted_count);
    sg_json_int(json, "restart_count", (int64_t)token->restart_count);
    sg_json_end(json);
}

static void padded(const char *text, int width)
{
    const int len = (int)strlen(text);
    sg_cli_put(stdout, text);
    (void)printf("%*s ", len < width ? width - len : 0, "");
}

static void row(const struct sealgate_token_info *token)
{
    padded(token->name, 24);
    padded(sg_cli_token_state_name((int)token->state), 12);
    (void)printf("%7u %9u %7u %6u %7u  ", token->workers, token->in_flight, token->waiting,
                 token->keys_active,
                 token->keys_loading + token->keys_unusable + token->keys_quarantined);
    sg_cli_put(stdout, token->state_message);
    (void)fputc('\n', stdout);
}

static void line(const char *label, const char *text)
{
    (void)printf("%-12s ", label);
    sg_cli_put(stdout, text);
    (void)fputc('\n', stdout);
}

static void sheet(const struct sealgate_token_info *token)
{
    line("name", token->name);
    line("state", sg_cli_token_state_name((int)token->state));
    if (token->state_message[0] != '\0')
        line("", token->state_message);
    (void)printf("%-12s %u workers, %u in flight, %u waiting, about %u ms to wait\n", "load",
                 token->workers, token->in_flight, token->waiting, token->estimated_wait_ms);
    (void)printf("%-12s %u active, %u loading, %u unusable, %u quarantined\n", "keys",
                 token->keys_active, token->keys_loading, token->keys_unusable,
                 token->keys_quarantined);
    (void)printf("%-12s %" PRIu64 " signed, %" PRIu64 " failed, %" PRIu64 " tried again, %" PRIu64
                 " given to another token,\n%-12s %" PRIu64 " that did not verify, %" PRIu64
                 " restarts of its process\n",
                 "since start", token->signed_count, token->failed_count, token->retried_count,
                 token->hedged_count, "", token->refuted_count, token->restart_count);
}

static enum sg_exit print_token(const struct sg_cli *cli, const struct sealgate_token_info *token)
{
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json) {
        sheet(token);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    json_token(&json, token);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

/* ---- tokens list ---------------------------------------------------------------------------- */

static const struct sg_option no_options[] = {{0}};

static enum sg_exit print_list(const struct sg_cli *cli, const struct sealgate_token_list *list)
{
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json) {
        (void)printf("%-24s %-12s %7s %9s %7s %6s %7s\n", "NAME", "STATE", "WORKERS", "IN FLIGHT",
                     "WAITING", "KEYS", "NOT OK");
        for (size_t i = 0; i < list->count; i++)
            row(&list->tokens[i]);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    sg_buf_init(&out, 4 << 20);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_begin_array(&json, "tokens");
    for (size_t i = 0; i < list->count; i++)
        json_token(&json, &list->tokens[i]);
    sg_json_end(&json);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit run_list(struct sg_cli *cli)
{
    struct sealgate_token_list *list = NULL;
    struct sealgate_error error;
    enum sg_exit code = sg_cli_connect(cli);

    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_list_tokens(cli->client, cli->timeout_ms, &list, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = print_list(cli, list);
    sealgate_free(list);
    return code;
}

const struct sg_command sg_cmd_tokens_list = {
    .group = "tokens",
    .name = "list",
    .synopsis = "",
    .summary = "list the tokens behind the gateway, for operators",
    .text = "",
    .options = no_options,
    .run = run_list,
};

/* ---- tokens show, drain, resume ------------------------------------------------------------- */

enum change { NOTHING, DRAIN, RESUME };

static enum sg_exit run_one(struct sg_cli *cli, enum change change)
{
    const char *reason = change == NOTHING ? NULL : sg_args_get(&cli->args, "reason");
    struct sealgate_token_info *token = NULL;
    enum sealgate_code said = SEALGATE_OK;
    struct sealgate_error error;
    char name[NAME_BYTES];

    enum sg_exit code = token_name(cli, cli->args.words[0], name);
    if (code == SG_EXIT_OK && change != NOTHING && (reason == NULL || reason[0] == '\0'))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--reason TEXT is needed: the audit log keeps it");
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code != SG_EXIT_OK)
        return code;
    switch (change) {
    case NOTHING:
        said = sealgate_get_token(cli->client, name, cli->timeout_ms, &token, &error);
        break;
    case DRAIN:
        said = sealgate_drain_token(cli->client, name, reason, cli->timeout_ms, &token, &error);
        break;
    case RESUME:
        said = sealgate_resume_token(cli->client, name, reason, cli->timeout_ms, &token, &error);
        break;
    }
    if (said != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = print_token(cli, token);
    sealgate_free(token);
    return code;
}

static enum sg_exit run_show(struct sg_cli *cli)
{
    return run_one(cli, NOTHING);
}

static enum sg_exit run_drain(struct sg_cli *cli)
{
    return run_one(cli, DRAIN);
}

static enum sg_exit run_resume(struct sg_cli *cli)
{
    return run_one(cli, RESUME);
}

static const struct sg_option change_options[] = {
    {"reason", "TEXT", "why; the audit log keeps it (needed)", false},
    {0},
};

const struct sg_command sg_cmd_tokens_show = {
    .group = "tokens",
    .name = "show",
    .synopsis = "NAME",
    .summary = "show one token",
    .text = "",
    .options = no_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_show,
};

const struct sg_command sg_cmd_tokens_drain = {
    .group = "tokens",
    .name = "drain",
    .synopsis = "NAME --reason TEXT",
    .summary = "take a token out of service, without losing a call",
    .text = "It gets no more work; what waits for it goes to other tokens that hold the keys, and\n"
            "what it is at, it ends: it is done when \"tokens show\" says 0 in flight. It holds "
            "for the\n"
            "gateway that is asked, until it is resumed or that gateway is started again.\n",
    .options = change_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_drain,
};

const struct sg_command sg_cmd_tokens_resume = {
    .group = "tokens",
    .name = "resume",
    .synopsis = "NAME --reason TEXT",
    .summary = "put a token back into service",
    .text = "Keys that were quarantined on it are tried anew.\n",
    .options = change_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_resume,
};

/* ---- tokens compare ------------------------------------------------------------------------- */

static const char *state_of(enum sealgate_key_state state)
{
    return state == SEALGATE_KEY_STATE_UNSET ? "absent" : sg_cli_key_state_name((int)state);
}

static void json_difference(struct sg_json *json, const struct sealgate_token_difference *it)
{
    sg_json_begin_object(json, NULL);
    sg_json_str(json, "key", it->key);
    sg_json_str(json, "state", state_of(it->state));
    sg_json_str(json, "state_message", it->state_message);
    sg_json_str(json, "other_state", state_of(it->other_state));
    sg_json_str(json, "other_state_message", it->other_state_message);
    sg_json_end(json);
}

static void difference_row(const struct sealgate_token_difference *it)
{
    padded(it->key, 28);
    padded(state_of(it->state), 12);
    padded(state_of(it->other_state), 12);
    sg_cli_put(stdout,
               it->other_state_message[0] != '\0' ? it->other_state_message : it->state_message);
    (void)fputc('\n', stdout);
}

/* What the pages say together; the counts are those of the last. */
struct comparison {
    char one[NAME_BYTES], other[NAME_BYTES], page_token[1024];
    uint32_t keys, keys_not_ready;
    bool has_rows;
};

static enum sg_exit compare_page(struct sg_cli *cli, struct comparison *comparison,
                                 struct sg_json *json)
{
    struct sealgate_token_comparison *page = NULL;
    struct sealgate_error error;

    if (sealgate_compare_tokens(cli->client, comparison->one, comparison->other, PAGE_SIZE,
                                comparison->page_token, cli->timeout_ms, &page,
                                &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (!cli->is_json && page->count > 0 && !comparison->has_rows)
        (void)printf("%-28s %-12s %-12s\n", "KEY", "ON THE ONE", "ON THE OTHER");
    comparison->has_rows |= page->count > 0;
    for (size_t i = 0; i < page->count; i++)
        if (cli->is_json)
            json_difference(json, &page->differences[i]);
        else
            difference_row(&page->differences[i]);
    comparison->keys = page->keys;
    comparison->keys_not_ready = page->keys_not_ready;
    const int len = snprintf(comparison->page_token, sizeof(comparison->page_token), "%s",
                             page->next_page_token);
    sealgate_free(page);
    if (len >= (int)sizeof(comparison->page_token))
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED",
                           "the server's page token is too long");
    return SG_EXIT_OK;
}

static enum sg_exit run_compare(struct sg_cli *cli)
{
    struct comparison comparison = {0};
    struct sg_buf out;
    struct sg_json json;

    enum sg_exit code = token_name(cli, cli->args.words[0], comparison.one);
    if (code == SG_EXIT_OK)
        code = token_name(cli, cli->args.words[1], comparison.other);
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    sg_buf_init(&out, 64 << 20);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_begin_array(&json, "differences");
    for (int pages = 0; code == SG_EXIT_OK && pages < PAGES_MAX; pages++) {
        code = compare_page(cli, &comparison, &json);
        if (comparison.page_token[0] == '\0')
            break;
    }
    sg_json_end(&json);
    sg_json_int(&json, "keys", comparison.keys);
    sg_json_int(&json, "keys_not_ready", comparison.keys_not_ready);
    sg_json_end(&json);
    if (code == SG_EXIT_OK && comparison.keys_not_ready > 0)
        code = SG_EXIT_NO;
    const bool is_answered = code == SG_EXIT_OK || code == SG_EXIT_NO;
    if (is_answered && cli->is_json)
        return sg_cli_print_json(cli, &out, code);
    sg_buf_done(&out);
    if (!is_answered)
        return code;
    (void)printf("%u keys on %s; %s can do without it for %u of them\n", comparison.keys,
                 comparison.one, comparison.other, comparison.keys - comparison.keys_not_ready);
    return sg_cli_flush(cli, code);
}

const struct sg_command sg_cmd_tokens_compare = {
    .group = "tokens",
    .name = "compare",
    .synopsis = "ONE OTHER",
    .summary = "what another token could not do in the place of one",
    .text =
        "Lists the keys that are not as well off on the other token. Exit code 0: each key that\n"
        "signs on the one signs on the other, too; 1: some do not. Ask before \"tokens drain\".\n",
    .options = no_options,
    .words_min = 2,
    .words_max = 2,
    .run = run_compare,
};
