/*
 * Prints what is said about the command line elsewhere, from the tables that the program itself
 * goes by: its manual page (man) or its completion for bash (bash). The tests docs.sealgate_1 and
 * docs.sealgate_bash hold the files to it; after a change of a command:
 *
 *     build/dev/tests/cli_docs man > client/package/sealgate.1
 *     build/dev/tests/cli_docs bash > client/package/sealgate.bash
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"

/* ---- The manual page: man(7), which every troff and mandoc reads --------------------------- */

/* Text of a line of roff: dashes that can be copied, and nothing that is taken for a command. */
static void roff(const char *text, const char *end)
{
    if (text != end && (*text == '.' || *text == '\''))
        fputs("\\&", stdout);
    for (; text != end; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    }
}

static void roff_all(const char *text)
{
    roff(text, text + strlen(text));
}

/* As it stands, line by line; `flowing`: into one paragraph, with the breaks of the table gone. */
static void lines(const char *text, bool flowing)
{
    while (*text != '\0') {
        const char *end = strchr(text, '\n');

        if (end == NULL)
            end = text + strlen(text);
        if (end == text && flowing)
            puts(".PP");
        else {
            roff(text, end);
            putchar('\n');
        }
        text = *end == '\0' ? end : end + 1;
    }
}

static void options_of(const struct sg_option *option)
{
    for (; option->name != NULL; option++) {
        printf(".TP\n\\fB\\-\\-");
        roff_all(option->name);
        printf("\\fR");
        if (option->value != NULL) {
            printf(" \\fI");
            roff_all(option->value);
            printf("\\fR");
        }
        putchar('\n');
        lines(option->help, true);
        if (option->repeats)
            puts("May be given several times.");
    }
}

static const char *name_of(const struct sg_command *command, char out[40])
{
    (void)snprintf(out, 40, "%s%s%s", command->group == NULL ? "" : command->group,
                   command->group == NULL ? "" : " ", command->name);
    return out;
}

static void command_page(const struct sg_command *command)
{
    char name[40];

    printf(".SS sealgate ");
    roff_all(name_of(command, name));
    printf("\n.nf\n\\fBsealgate ");
    roff_all(name);
    printf("\\fR ");
    lines(command->synopsis, false);
    puts(".fi\n.PP");
    printf("%c", command->summary[0] - 'a' + 'A');
    roff_all(command->summary + 1);
    puts(".");
    if (command->text[0] != '\0') {
        puts(".PP\n.nf");
        lines(command->text, false);
        puts(".fi");
    }
    options_of(command->options);
}

static void man(void)
{
    puts(".\\\" From the tables of client/cli/, by tests/docs/cli_docs.c: change those.");
    printf(".TH SEALGATE 1 \"\" \"sealgate %s\" \"User Commands\"\n", SG_VERSION);
    puts(".SH NAME\nsealgate \\- sign and verify with keys that a Sealgate gateway guards");
    puts(".SH SYNOPSIS\n\\fBsealgate\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]");
    puts(".SH DESCRIPTION");
    puts("The keys stay in the token behind the gateway; documents stay here and only their "
         "digests");
    puts("leave.  Who may use which key is decided by the gateway, from the certificate.");
    puts(".SH OPTIONS OF EVERY COMMAND");
    options_of(sg_cli_common_options);
    puts(".PP\nAn option may be written \\fB\\-\\-name\\fR \\fIVALUE\\fR or "
         "\\fB\\-\\-name=\\fR\\fIVALUE\\fR.\nA flag beats its environment variable.");
    puts(".SH COMMANDS");
    for (size_t i = 0; i < sg_command_count; i++)
        command_page(sg_commands[i]);
    puts(".SH EXIT STATUS\n.nf");
    lines(strchr(sg_exit_codes, '\n') + 1, false);
    puts(".fi");
    puts(".SH ENVIRONMENT\n.TP\n\\fBSEALGATE_ENDPOINT\\fR, \\fBSEALGATE_CA\\fR, "
         "\\fBSEALGATE_CERT\\fR, \\fBSEALGATE_KEY\\fR, \\fBSEALGATE_SERVER_NAME\\fR\n"
         "What \\fB\\-\\-endpoint\\fR, \\fB\\-\\-ca\\fR, \\fB\\-\\-cert\\fR, "
         "\\fB\\-\\-cert\\-key\\fR "
         "and \\fB\\-\\-server\\-name\\fR\nare when they are not given.");
    puts(".SH SEE ALSO\n\\fBlibsealgate\\fR(3)");
}

/* ---- Completion ----------------------------------------------------------------------------- */

static bool takes_file(const struct sg_option *option)
{
    return option->value != NULL && strcmp(option->value, "FILE") == 0;
}

static void words_of(const struct sg_option *option)
{
    for (; option->name != NULL; option++)
        printf(" --%s", option->name);
}

/* A case branch of the options that take a value: files are completed, other values are not. */
static void values_of(bool files)
{
    static const char *seen[256];
    size_t count = 0;

    for (size_t c = 0; c <= sg_command_count; c++) {
        const struct sg_option *option =
            c == 0 ? sg_cli_common_options : sg_commands[c - 1]->options;
        for (; option->name != NULL; option++) {
            size_t i = 0;
            if (option->value == NULL || takes_file(option) != files)
                continue;
            while (i < count && strcmp(seen[i], option->name) != 0)
                i++;
            if (i < count || count == SG_COUNT(seen))
                continue;
            printf("%s--%s", count == 0 ? "" : "|", option->name);
            seen[count++] = option->name;
        }
    }
}

/* Whether no command before this one has its group. */
static bool begins_group(size_t i)
{
    const char *group = sg_commands[i]->group;

    if (group == NULL)
        return false;
    while (i-- > 0)
        if (sg_commands[i]->group != NULL && strcmp(sg_commands[i]->group, group) == 0)
            return false;
    return true;
}

static void groups(const char *separator)
{
    for (size_t i = 0, count = 0; i < sg_command_count; i++)
        if (begins_group(i))
            printf("%s%s", count++ == 0 ? "" : separator, sg_commands[i]->group);
}

/* What may follow the name of each group. */
static void members(void)
{
    for (size_t i = 0; i < sg_command_count; i++) {
        const char *group = sg_commands[i]->group;
        if (!begins_group(i))
            continue;
        printf("    if [ \"$COMP_CWORD\" = 2 ] && [ \"${COMP_WORDS[1]}\" = %s ]; then\n"
               "        COMPREPLY=($(compgen -W '--help",
               group);
        for (size_t j = i; j < sg_command_count; j++)
            if (sg_commands[j]->group != NULL && strcmp(sg_commands[j]->group, group) == 0)
                printf(" %s", sg_commands[j]->name);
        puts("' -- \"$word\"))\n        return\n    fi");
    }
}

static void bash(void)
{
    char name[40];

    puts("# bash completion for sealgate. From the tables of client/cli/, by "
         "tests/docs/cli_docs.c.\n"
         "_sealgate() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command "
         "options\n"
         "    command=${COMP_WORDS[1]-}\n"
         "    case \"$command\" in");
    printf("    ");
    groups("|");
    puts(") command=\"$command ${COMP_WORDS[2]-}\" ;;\n"
         "    esac\n"
         "    compopt +o default 2>/dev/null\n"
         "    COMPREPLY=()\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then");
    printf("        COMPREPLY=($(compgen -W '--help --version");
    for (size_t i = 0; i < sg_command_count; i++)
        if (sg_commands[i]->group == NULL)
            printf(" %s", sg_commands[i]->name);
    putchar(' ');
    groups(" ");
    puts("' -- \"$word\"))\n        return\n    fi");
    members();
    puts("    case \"$before\" in");
    printf("    ");
    values_of(true);
    puts(")\n        compopt -o filenames 2>/dev/null\n"
         "        COMPREPLY=($(compgen -f -- \"$word\"))\n        return\n        ;;\n"
         "    --output)\n        COMPREPLY=($(compgen -W 'text json' -- \"$word\"))\n"
         "        return\n        ;;");
    printf("    ");
    values_of(false);
    puts(") return ;;\n    esac\n    case \"$command\" in");
    for (size_t i = 0; i < sg_command_count; i++) {
        printf("    '%s') options='", name_of(sg_commands[i], name));
        words_of(sg_commands[i]->options);
        puts("' ;;");
    }
    printf("    *) return ;;\n    esac\n    COMPREPLY=($(compgen -W \"$options");
    words_of(sg_cli_common_options);
    puts("\" -- \"$word\"))\n}\ncomplete -F _sealgate sealgate");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "man") == 0)
        man();
    else if (argc == 2 && strcmp(argv[1], "bash") == 0)
        bash();
    else
        return fputs("usage: cli_docs man|bash\n", stderr), 2;
    return ferror(stdout) != 0;
}
