#include "client/cli/audit_records.h"
#include "client/cli/content.h"
#include "client/cli/text.h"
#include "formats/audit/record.h"
#include "formats/raw/digest.h"
#include "formats/raw/spki_file.h"

/* sealgate audit find: who signed this, with what, when. */

enum { KEY_FILE_BYTES_MAX = 64 << 10, SIGNATURE_BYTES_MAX = 8192 };

static const struct sg_option options[] = {
    {"file", "FILE", "what was signed: this document, hashed here; - is standard\ninput", false},
    {"hash", "ALG", "how to hash it (default sha256)", false},
    {"digest", "HEX", "what was signed: this digest, or that of its document", false},
    {"number", "TEXT", "the number of the document", false},
    {"certificate", "FILE", "signed with the key of this certificate (PEM or DER)", false},
    {"signature", "FILE", "this signature, as bytes", false},
    {"key", "NAME", "signed by this key, or by one version of it", false},
    {"caller", "URI", "for this caller", false},
    {"request-id", "UUID", "by this request", false},
    {"event", "NAME",
     "signature, denial, denials, csr, gateway-started, log-started,\nepoch-stated, "
     "epoch-approved, "
     "token-drained, token-resumed,\nleaves-archived",
     false},
    {"since", "TIME", "not before: 2026-01-31, or 2026-01-31T09:05:07+07:00 (UTC\nwithout a zone)",
     false},
    {"until", "TIME", "before", false},
    SG_CLI_LOG_OPTION,
    {0},
};

/* The query with what it points to. */
struct question {
    struct sealgate_leaf_query query;
    char log[SG_CLI_LOG_BYTES], key[256];
    struct sg_content content;
    struct sg_buf digest, signature;
    uint8_t key_sha256[SG_DIGEST_BYTES_MAX];
};

static enum sg_exit bad(const struct sg_cli *cli, const char *what)
{
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "%s", what);
}

static enum sg_exit take_digest(const struct sg_cli *cli, struct question *question)
{
    const char *digest = sg_args_get(&cli->args, "digest");
    const char *file = sg_args_get(&cli->args, "file");
    struct sg_err err;

    if (digest != NULL && file != NULL)
        return bad(cli, "--file and --digest exclude each other");
    if (file == NULL && sg_args_has(&cli->args, "hash"))
        return bad(cli, "--hash says how --file is hashed, which is missing");
    if (digest != NULL) {
        if (sg_cli_unhex(digest, &question->digest, &err) != SG_OK || question->digest.len == 0)
            return bad(cli, "--digest is no digest in hex");
        question->query.hash = (struct sealgate_bytes){question->digest.ptr, question->digest.len};
    }
    if (file == NULL)
        return SG_EXIT_OK;
    enum sg_exit code = sg_content_read_file(cli, file, false, &question->content);
    question->query.hash = (struct sealgate_bytes){question->content.bytes, question->content.len};
    return code;
}

static enum sg_exit take_certificate(const struct sg_cli *cli, struct question *question)
{
    const char *path = sg_args_get(&cli->args, "certificate");
    struct sg_buf file, spki;
    struct sg_err err;

    if (path == NULL)
        return SG_EXIT_OK;
    sg_buf_init(&file, KEY_FILE_BYTES_MAX + 1);
    sg_buf_init(&spki, KEY_FILE_BYTES_MAX);
    enum sg_exit code = sg_cli_read_file(cli, path, KEY_FILE_BYTES_MAX, &file);
    if (code == SG_EXIT_OK &&
        (sg_spki_of_certificate(sg_buf_slice(&file), &spki, &err) != SG_OK ||
         sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&spki), question->key_sha256, &err) != SG_OK))
        code = sg_cli_fail(cli, SG_EXIT_FILE, "BAD_PUBLIC_KEY", "%s: %s", path, err.msg);
    question->query.public_key_sha256 = (struct sealgate_bytes){question->key_sha256, 32};
    sg_buf_done(&spki);
    sg_buf_done(&file);
    return code;
}

static enum sg_exit take_signature(const struct sg_cli *cli, struct question *question)
{
    const char *path = sg_args_get(&cli->args, "signature");

    if (path == NULL)
        return SG_EXIT_OK;
    enum sg_exit code = sg_cli_read_file(cli, path, SIGNATURE_BYTES_MAX, &question->signature);
    if (code == SG_EXIT_OK && question->signature.len == 0)
        return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ", "%s is empty", path);
    question->query.signature =
        (struct sealgate_bytes){question->signature.ptr, question->signature.len};
    return code;
}

static enum sg_exit take_time(const struct sg_cli *cli, const char *option, int64_t *ret)
{
    const char *text = sg_args_get(&cli->args, option);

    if (text == NULL || sg_cli_read_time(text, ret))
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                       "--%s is a day or a moment: 2026-01-31, 2026-01-31T09:05:07+07:00", option);
}

/* What stands in the options as it is meant. */
static enum sg_exit take_words(const struct sg_cli *cli, struct question *question)
{
    struct sealgate_leaf_query *query = &question->query;
    const char *key = sg_args_get(&cli->args, "key"), *event = sg_args_get(&cli->args, "event");

    if (key != NULL && !sg_cli_key_name(key, question->key))
        return bad(cli, "--key is too long");
    query->key = key == NULL ? NULL : question->key;
    if (event != NULL)
        query->event = (enum sealgate_event)sg_audit_event_find(event);
    if (event != NULL && query->event == SEALGATE_EVENT_UNSET)
        return bad(cli, "--event is one of signature, denial, denials, csr, gateway-started, "
                        "log-started, epoch-stated, epoch-approved, token-drained, "
                        "token-resumed, leaves-archived");
    query->caller = sg_args_get(&cli->args, "caller");
    query->request_id = sg_args_get(&cli->args, "request-id");
    query->document_number = sg_args_get(&cli->args, "number");
    enum sg_exit code = sg_cli_log_name(cli, question->log, &query->log);
    if (code == SG_EXIT_OK)
        code = take_time(cli, "since", &query->since_ns);
    return code == SG_EXIT_OK ? take_time(cli, "until", &query->until_ns) : code;
}

static bool asks_anything(const struct sg_cli *cli)
{
    for (const struct sg_option *option = options; option->name != NULL; option++)
        if (strcmp(option->name, "log") != 0 && sg_args_has(&cli->args, option->name))
            return true;
    return false;
}

static enum sg_exit take_question(const struct sg_cli *cli, struct question *question)
{
    if (!asks_anything(cli))
        return bad(cli, "say what to find: a --file, --digest, --number, --certificate, "
                        "--signature, --key, --caller, --request-id, --event, --since or --until");
    enum sg_exit code = take_words(cli, question);
    if (code == SG_EXIT_OK)
        code = take_digest(cli, question);
    if (code == SG_EXIT_OK)
        code = take_certificate(cli, question);
    return code == SG_EXIT_OK ? take_signature(cli, question) : code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct question question = {0};
    uint64_t count = 0;

    sg_buf_init(&question.digest, SG_DIGEST_BYTES_MAX);
    sg_buf_init(&question.signature, SIGNATURE_BYTES_MAX + 1);
    enum sg_exit code = take_question(cli, &question);
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code == SG_EXIT_OK)
        code = sg_cli_put_leaves(cli, &question.query, UINT64_MAX, &count);
    if (code == SG_EXIT_OK && count == 0) {
        if (!cli->is_json)
            (void)fputs("no such record\n", stderr);
        code = SG_EXIT_NO;
    }
    sg_buf_done(&question.digest);
    sg_buf_done(&question.signature);
    return code;
}

const struct sg_command sg_cmd_audit_find = {
    .group = "audit",
    .name = "find",
    .synopsis = "[--file FILE | --digest HEX] [--number TEXT] [--certificate FILE] ...",
    .summary = "find records of an audit log: who signed this, when",
    .text =
        "Shows the records that match all that is given, the oldest first; in JSON an object on\n"
        "a line for each. Exit code 1: there is none. That these are the log's records, and that\n"
        "there are no others, is the gateway's word: `sealgate audit show` proves one of them,\n"
        "`sealgate audit export` all.\n"
        "\n"
        "Examples:\n"
        "  sealgate audit find --file notice.pdf\n"
        "  sealgate audit find --number 12/TB-CCT --since 2026-01-01\n",
    .options = options,
    .run = run,
};
