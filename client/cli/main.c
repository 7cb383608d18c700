#include "client/cli/bearer.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"

/* Finds the command, parses its options, prints its help, runs it. */

static void print_name(const struct sg_command *command, FILE *file)
{
    (void)fprintf(file, "%s%s%s", command->group == NULL ? "" : command->group,
                  command->group == NULL ? "" : " ", command->name);
}

/* Those of a group; NULL: all. */
static void list_commands(const char *group, FILE *file)
{
    for (size_t i = 0; i < sg_command_count; i++) {
        const struct sg_command *command = sg_commands[i];
        char name[40];

        if (group != NULL && (command->group == NULL || strcmp(command->group, group) != 0))
            continue;
        (void)snprintf(name, sizeof(name), "%s%s%s", command->group == NULL ? "" : command->group,
                       command->group == NULL ? "" : " ", command->name);
        (void)fprintf(file, "  %-18s %s\n", name, command->summary);
    }
}

static void overview(FILE *file)
{
    (void)fputs("Usage: sealgate COMMAND [OPTIONS]\n"
                "Signs and verifies with keys that a Sealgate gateway guards.\n\nCommands:\n",
                file);
    list_commands(NULL, file);
    (void)fputs("\nsealgate COMMAND --help says more; sealgate --version names the version.\n\n"
                "Options of every command:\n",
                file);
    sg_args_help(sg_cli_common_options, file);
    (void)fputs("\nA flag beats its environment variable.\n\n", file);
    (void)fputs(sg_exit_codes, file);
}

static void help(const struct sg_command *command)
{
    (void)fputs("Usage: sealgate ", stdout);
    print_name(command, stdout);
    (void)printf("%s%s\n%c%s.\n", command->synopsis[0] != '\0' ? " " : "", command->synopsis,
                 command->summary[0] - 'a' + 'A', command->summary + 1);
    if (command->text[0] != '\0')
        (void)printf("\n%s", command->text);
    if (command->options[0].name != NULL) {
        (void)fputs("\nOptions:\n", stdout);
        sg_args_help(command->options, stdout);
    }
    (void)fputs("\nOptions of every command:\n", stdout);
    sg_args_help(sg_cli_common_options, stdout);
    (void)fputs("\n", stdout);
    (void)fputs(sg_exit_codes, stdout);
}

static bool is_group_name(const char *word)
{
    for (size_t i = 0; i < sg_command_count; i++)
        if (sg_commands[i]->group != NULL && strcmp(sg_commands[i]->group, word) == 0)
            return true;
    return false;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void group_overview(const char *group, FILE *file)
{
    (void)fprintf(file, "Usage: sealgate %s COMMAND [OPTIONS]\n\nCommands:\n", group);
    list_commands(group, file);
    (void)fprintf(file, "\nsealgate %s COMMAND --help says more.\n", group);
}

/* In a few lines, so that it is seen. */
static enum sg_exit fail_command(int argc, const char *const *words)
{
    if (argc == 0) {
        overview(stderr);
    } else if (!is_group_name(words[0])) {
        (void)fprintf(stderr,
                      "sealgate: there is no command \"%.60s%s%.60s\"\n"
                      "  next: sealgate --help lists them.\n",
                      words[0], argc > 1 ? " " : "", argc > 1 ? words[1] : "");
    } else if (argc == 1 || words[1][0] == '-') {
        group_overview(words[0], stderr);
    } else {
        (void)fprintf(stderr,
                      "sealgate: there is no command \"%s %.60s\"\n"
                      "  next: sealgate %s --help lists those of \"%s\".\n",
                      words[0], words[1], words[0], words[0]);
    }
    return SG_EXIT_USAGE;
}

/* The command that the first words name, and how many words that took; NULL: none. */
static const struct sg_command *find(int argc, const char *const *argv, int *ret_words)
{
    for (size_t i = 0; i < sg_command_count; i++) {
        const struct sg_command *command = sg_commands[i];
        int words = command->group == NULL ? 1 : 2;

        if (argc < words || strcmp(argv[words - 1], command->name) != 0)
            continue;
        if (command->group != NULL && strcmp(argv[0], command->group) != 0)
            continue;
        *ret_words = words;
        return command;
    }
    return NULL;
}

/* What every command has: the form of the output first, because failures are told in it too. */
static enum sg_exit take_common(struct sg_cli *cli)
{
    const char *output = sg_args_get(&cli->args, "output");
    const char *timeout = sg_args_get(&cli->args, "timeout");

    cli->is_json = output != NULL && strcmp(output, "json") == 0;
    if (output != NULL && !cli->is_json && strcmp(output, "text") != 0)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--output is text or json");
    cli->timeout_ms = 30000;
    if (timeout != NULL && !sg_cli_seconds(timeout, &cli->timeout_ms))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--timeout is seconds, from 0.001 to 86400");
    if (cli->args.word_count < cli->command->words_min)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "%s is missing",
                           cli->command->synopsis);
    if (cli->args.word_count > cli->command->words_max)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "\"%.100s\" is one word too many",
                           cli->args.words[cli->command->words_max]);
    return SG_EXIT_OK;
}

static enum sg_exit run(struct sg_cli *cli, int argc, const char *const *argv)
{
    const struct sg_option *tables[] = {cli->command->options, sg_cli_common_options, NULL};
    struct sg_err err;
    enum sg_exit code;

    if (sg_args_parse(tables, argc, argv, &cli->args, &err) != SG_OK)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "%s", err.msg);
    if (cli->args.wants_help) {
        help(cli->command);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    code = take_common(cli);
    if (code == SG_EXIT_OK)
        code = cli->command->run(cli);
    sealgate_client_free(cli->client);
    sg_bearer_file_free(cli->bearer);
    sg_buf_done(&cli->log_keys);
    return code;
}

int main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv + 1;
    struct sg_cli cli = {0};
    int used = 0;

    argc--;
    if (argc > 0 && (is_help(words[0]) || strcmp(words[0], "help") == 0)) {
        overview(stdout);
        return (int)sg_cli_flush(&cli, SG_EXIT_OK);
    }
    if (argc > 1 && is_group_name(words[0]) && is_help(words[1])) {
        group_overview(words[0], stdout);
        return (int)sg_cli_flush(&cli, SG_EXIT_OK);
    }
    if (argc > 0 && strcmp(words[0], "--version") == 0) {
        (void)printf("sealgate %s\n", sealgate_version());
        return (int)sg_cli_flush(&cli, SG_EXIT_OK);
    }
    cli.command = find(argc, words, &used);
    if (cli.command == NULL)
        return (int)fail_command(argc, words);
    return (int)run(&cli, argc - used, words + used);
}
