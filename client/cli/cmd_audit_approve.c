#include "base/secret.h"
#include "client/cli/cli.h"
#include "client/cli/text.h"
#include "formats/audit/epoch.h"

/* An administrator's approval of a new epoch of a log, made where the administrator's key is: no
 * gateway is asked. */

static const struct sg_option options[] = {
    {"out", "FILE", "where the approval goes (default: the standard output)", false},
    {0},
};

enum { KEY_BYTES_MAX = 64 << 10, CERTIFICATES_BYTES_MAX = 256 << 10 };

/* What is approved of, for who is about to: on stderr, since the approval may go to stdout. */
static void show(struct sg_slice text, const struct sg_epoch_statement *statement)
{
    fprintf(stderr, "%.*s\n", (int)text.len, (const char *)text.ptr); /* printable, by its form */
    fprintf(stderr, "You approve of this: the log is %s: %s.\n",
            sg_epoch_state_name(statement->state), sg_epoch_state_meaning(statement->state));
    if (statement->state == SG_EPOCH_BEHIND && statement->anchor.size > statement->store.size)
        fprintf(stderr, "%llu leaves, from %llu on, are given up as lost.\n",
                (unsigned long long)(statement->anchor.size - statement->store.size),
                (unsigned long long)statement->store.size);
    if (statement->administrators.len > 0)
        fprintf(stderr,
                "From then on its administrators are those that it names, and no others.\n");
    fprintf(stderr, "Whoever believed log-key is to believe new-log-key from then on: compare "
                    "log-key with the\none that was published.\n");
}

static enum sg_exit make(struct sg_cli *cli, const struct sealgate_options *who,
                         struct sg_slice statement, struct sg_buf *out)
{
    SG_AUTO(sg_secret_free) struct sg_secret *key = NULL;
    enum sg_exit code = SG_EXIT_OK;
    struct sg_buf certificates;
    struct sg_err err;

    sg_buf_init(&certificates, CERTIFICATES_BYTES_MAX + 1);
    code = sg_cli_read_file(cli, who->cert_file, CERTIFICATES_BYTES_MAX, &certificates);
    if (code == SG_EXIT_OK &&
        sg_secret_read_file(who->key_file, KEY_BYTES_MAX, &key, &err) != SG_OK)
        code = sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ", "could not read %s: %s",
                           who->key_file, err.msg);
    if (code == SG_EXIT_OK && sg_approval_make(sg_secret_bytes(key), sg_buf_slice(&certificates),
                                               statement, out, &err) != SG_OK)
        code = sg_cli_fail(cli, SG_EXIT_FILE, "NOT_SIGNED", "could not sign with %s for %s: %s",
                           who->key_file, who->cert_file, err.msg);
    sg_buf_done(&certificates);
    return code;
}

static enum sg_exit approve(struct sg_cli *cli, const struct sealgate_options *who,
                            struct sg_buf *file, struct sg_buf *out)
{
    const char *path = cli->args.words[0], *to = sg_args_get(&cli->args, "out");
    struct sg_epoch_statement statement;
    struct sg_err err;

    enum sg_exit code = sg_cli_read_file(cli, path, SG_EPOCH_STATEMENT_BYTES_MAX, file);
    if (code != SG_EXIT_OK)
        return code;
    if (sg_epoch_statement_parse(sg_buf_slice(file), &statement, NULL, &err) != SG_OK)
        return sg_cli_fail(cli, SG_EXIT_FILE, "BAD_STATEMENT", "%s: %s", path, err.msg);
    show(sg_buf_slice(file), &statement);
    code = make(cli, who, sg_buf_slice(file), out);
    return code != SG_EXIT_OK ? code
                              : sg_cli_write_file(cli, to == NULL ? "-" : to, sg_buf_slice(out));
}

static enum sg_exit run(struct sg_cli *cli)
{
    const struct sealgate_options who = {.cert_file = sg_cli_value(cli, "cert", "SEALGATE_CERT"),
                                         .key_file = sg_cli_value(cli, "cert-key", "SEALGATE_KEY")};
    struct sg_buf file, out;

    if (who.cert_file == NULL || who.key_file == NULL)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--cert and --cert-key name your client certificate and its key");
    sg_buf_init(&file, SG_EPOCH_STATEMENT_BYTES_MAX + 1);
    sg_buf_init(&out, SG_APPROVAL_BYTES_MAX);
    enum sg_exit code = approve(cli, &who, &file, &out);
    sg_buf_done(&out);
    sg_buf_done(&file);
    return code;
}

const struct sg_command sg_cmd_audit_approve = {
    .group = "audit",
    .name = "approve",
    .synopsis = "STATEMENT --cert FILE --cert-key FILE [--out FILE]",
    .summary = "approve of a new epoch of an audit log, as its administrator",
    .text =
        "STATEMENT is what \"sealgated epoch state\" printed. It is shown, and signed with the "
        "key\n"
        "of the client certificate; two administrators, each with a file like this one, let\n"
        "\"sealgated epoch accept\" begin the epoch. No gateway is asked, and the key stays here.\n"
        "\n"
        "Examples:\n"
        "  sealgate audit approve statement --cert me.pem --cert-key me.key --out approval\n",
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .is_local = true,
    .run = run,
};
