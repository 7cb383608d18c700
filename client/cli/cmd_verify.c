#include "client/cli/content.h"
#include "client/cli/text.h"
#include "formats/raw/spki_file.h"
#include "formats/raw/verify.h"

static const struct sg_option options[] = {
    {"key", "NAME", "a key of the gateway", false},
    {"public-key", "FILE", "or a public key, PEM or DER", false},
    {"certificate", "FILE", "or the key in a certificate, PEM or DER", false},
    {"signature", "FILE", "the signature, as bytes (needed)", false},
    SG_CONTENT_OPTIONS,
    {"scheme", "SCHEME", "rsa-pkcs1, rsa-pss, ecdsa, ed25519 (default: the key's)", false},
    {"encoding", "FORM", "of an ECDSA signature: der (default) or raw", false},
    {"offline", NULL, "judge here, without the gateway; needs --public-key or\n--certificate",
     false},
    {0},
};

enum { KEY_FILE_BYTES_MAX = 64 << 10 };

/* What is to be verified, and with what. */
struct question {
    char key[256]; /* empty: by spki */
    struct sg_buf spki, signature;
    struct sg_public_key *parsed; /* of spki */
    enum sg_scheme scheme;
    enum sg_sig_encoding encoding;
    struct sg_content content;
};

/* The answer, whoever gave it. */
struct answer {
    bool is_valid;
    const char *reason;
    enum sg_scheme scheme;
    enum sg_digest_alg digest;
    enum sg_key_type key_type;
    const char *key_version;
};

/* ---- The question --------------------------------------------------------------------------- */

static enum sg_exit check_options(const struct sg_cli *cli)
{
    const struct sg_args *args = &cli->args;
    const char *encoding = sg_args_get(args, "encoding");
    int verifiers = sg_args_has(args, "key") + sg_args_has(args, "public-key") +
                    sg_args_has(args, "certificate");

    if (verifiers != 1)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "one of --key, --public-key and --certificate is needed");
    if (sg_args_has(args, "offline") && sg_args_has(args, "key"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--offline cannot ask the gateway for its key: save it with "
                           "sealgate keys public-key, and give it as --public-key");
    if (!sg_args_has(args, "signature"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--signature FILE is missing");
    if (encoding != NULL && strcmp(encoding, "der") != 0 && strcmp(encoding, "raw") != 0)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--encoding is der or raw");
    return SG_EXIT_OK;
}

/* The key out of the file, parsed here in any case: its type says what the document is. */
static enum sg_exit read_key_file(const struct sg_cli *cli, struct question *question)
{
    const char *path = sg_args_get(&cli->args, "public-key");
    bool is_certificate = path == NULL;
    struct sg_buf file;
    struct sg_err err;
    enum sg_exit code;
    enum sg_rc rc;

    if (is_certificate)
        path = sg_args_get(&cli->args, "certificate");
    sg_buf_init(&file, KEY_FILE_BYTES_MAX + 1);
    code = sg_cli_read_file(cli, path, KEY_FILE_BYTES_MAX, &file);
    if (code == SG_EXIT_OK) {
        rc = is_certificate ? sg_spki_of_certificate(sg_buf_slice(&file), &question->spki, &err)
                            : sg_spki_of_public_key(sg_buf_slice(&file), &question->spki, &err);
        if (rc == SG_OK)
            rc = sg_public_key_parse(sg_buf_slice(&question->spki), &question->parsed, &err);
        if (rc != SG_OK)
            code = sg_cli_fail(cli, SG_EXIT_FILE, "BAD_PUBLIC_KEY", "%s: %s", path, err.msg);
    }
    sg_buf_done(&file);
    return code;
}

static enum sg_exit ask_key_type(struct sg_cli *cli, const char *key, bool *ret_is_message)
{
    struct sealgate_public_key *found = NULL;
    struct sealgate_error error;

    switch ((int)sealgate_get_public_key(cli->client, key, cli->timeout_ms, &found, &error)) {
    case SEALGATE_OK:
        *ret_is_message = found->type == SEALGATE_KEY_TYPE_ED25519;
        sealgate_free(found);
        return SG_EXIT_OK;
    case SEALGATE_PERMISSION_DENIED:
    case SEALGATE_UNIMPLEMENTED:
        return SG_EXIT_OK;
    default:
        return sg_cli_failed(cli, &error);
    }
}

static enum sg_exit read_question(struct sg_cli *cli, struct question *question)
{
    const char *name = sg_args_get(&cli->args, "key");
    const char *scheme = sg_args_get(&cli->args, "scheme");
    const char *encoding = sg_args_get(&cli->args, "encoding");
    enum sg_content_kind kind;
    enum sg_exit code = sg_content_kind(cli, &kind);
    bool is_message = kind == SG_CONTENT_MESSAGE;

    if (code != SG_EXIT_OK)
        return code;
    if (name != NULL && !sg_cli_key_name(name, question->key))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "the name of the key is too long");
    question->scheme = scheme == NULL ? SG_SCHEME_UNSET : sg_scheme_find(scheme);
    question->encoding =
        encoding != NULL && strcmp(encoding, "raw") == 0 ? SG_ENCODING_RAW : SG_ENCODING_UNSET;
    if (name == NULL)
        code = read_key_file(cli, question);
    if (code == SG_EXIT_OK)
        code = sg_cli_read_file(cli, sg_args_get(&cli->args, "signature"), SG_SIGNATURE_BYTES_MAX,
                                &question->signature);
    if (code == SG_EXIT_OK && !sg_args_has(&cli->args, "offline"))
        code = sg_cli_connect(cli);
    if (code == SG_EXIT_OK && kind == SG_CONTENT_BY_KEY) {
        if (name == NULL)
            is_message = sg_public_key_type(question->parsed) == SG_KEY_ED25519;
        else
            code = ask_key_type(cli, question->key, &is_message);
    }
    return code != SG_EXIT_OK ? code : sg_content_read(cli, is_message, &question->content);
}

/* ---- The answer ----------------------------------------------------------------------------- */

static enum sg_exit print_answer(const struct sg_cli *cli, const struct question *question,
                                 const struct answer *answer)
{
    enum sg_exit code = answer->is_valid ? SG_EXIT_OK : SG_EXIT_NO;
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json) {
        printf("%s: ", answer->is_valid ? "valid" : "NOT VALID");
        sg_cli_put(stdout, question->content.what);
        printf(" (%s", sg_key_type_name(answer->key_type));
        if (answer->key_version[0] != '\0') {
            (void)fputs(", ", stdout);
            sg_cli_put(stdout, answer->key_version);
        }
        (void)fputs(")\n", stdout);
        if (!answer->is_valid) {
            (void)fputs("  reason: ", stdout);
            sg_cli_put(stdout, answer->reason);
            (void)fputc('\n', stdout);
        }
        return sg_cli_flush(cli, code);
    }
    sg_buf_init(&out, 16 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_bool(&json, "valid", answer->is_valid);
    sg_json_str(&json, "reason", answer->reason);
    sg_json_str(&json, "scheme", sg_scheme_name(answer->scheme));
    sg_json_str(&json, "digest",
                answer->digest == SG_DIGEST_UNSET ? "" : sg_digest_name(answer->digest));
    sg_json_str(&json, "key_type", sg_key_type_name(answer->key_type));
    sg_json_str(&json, "key_version", answer->key_version);
    sg_json_bool(&json, "offline", sg_args_has(&cli->args, "offline"));
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, code);
}

static enum sg_exit judge_here(const struct sg_cli *cli, const struct question *question)
{
    enum sg_key_type type = sg_public_key_type(question->parsed);
    struct sg_raw_signature signature = {
        .scheme =
            question->scheme == SG_SCHEME_UNSET ? sg_key_type_default(type) : question->scheme,
        .digest_alg = question->content.alg,
        .content = sg_slice_of(question->content.bytes, question->content.len),
        .encoding = question->encoding,
        .signature = sg_buf_slice(&question->signature),
    };
    enum sg_raw_verdict verdict = SG_RAW_INVALID;
    struct sg_err err;

    if (sg_raw_verify(question->parsed, &signature, &verdict, &err) != SG_OK)
        return sg_cli_fail(cli, SG_EXIT_REFUSED, "BAD_OPTIONS", "%s", err.msg);
    return print_answer(cli, question,
                        &(struct answer){
                            .is_valid = verdict == SG_RAW_VALID,
                            .reason = verdict == SG_RAW_VALID       ? ""
                                      : verdict == SG_RAW_MALFORMED ? "SIGNATURE_MALFORMED"
                                                                    : "SIGNATURE_INVALID",
                            .scheme = signature.scheme,
                            .digest = signature.digest_alg,
                            .key_type = type,
                            .key_version = "",
                        });
}

static enum sg_exit judge_there(struct sg_cli *cli, const struct question *question)
{
    struct sealgate_verify_request request = {
        .key = question->key[0] == '\0' ? NULL : question->key,
        .public_key = {question->spki.ptr, question->spki.len},
        .digest = (enum sealgate_digest)question->content.alg,
        .content = {question->content.bytes, question->content.len},
        .signature = {question->signature.ptr, question->signature.len},
        .scheme = (enum sealgate_scheme)question->scheme,
        .encoding = (enum sealgate_encoding)question->encoding,
    };
    struct sealgate_verdict *verdict = NULL;
    struct sealgate_error error;
    enum sg_exit code;

    if (sealgate_verify(cli->client, &request, cli->timeout_ms, &verdict, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = print_answer(cli, question,
                        &(struct answer){
                            .is_valid = verdict->valid,
                            .reason = verdict->reason,
                            .scheme = (enum sg_scheme)verdict->scheme,
                            .digest = (enum sg_digest_alg)verdict->digest,
                            .key_type = (enum sg_key_type)verdict->key_type,
                            .key_version = verdict->key_version,
                        });
    sealgate_free(verdict);
    return code;
}

static enum sg_exit run(struct sg_cli *cli)
{
    struct question question = {0};
    enum sg_exit code = check_options(cli);

    sg_buf_init(&question.spki, KEY_FILE_BYTES_MAX);
    sg_buf_init(&question.signature, SG_SIGNATURE_BYTES_MAX + 1);
    if (code == SG_EXIT_OK)
        code = read_question(cli, &question);
    if (code == SG_EXIT_OK)
        code = sg_args_has(&cli->args, "offline") ? judge_here(cli, &question)
                                                  : judge_there(cli, &question);
    sg_public_key_free(question.parsed);
    sg_buf_done(&question.spki);
    sg_buf_done(&question.signature);
    return code;
}

const struct sg_command sg_cmd_verify = {
    .name = "verify",
    .synopsis = "(--key NAME | --public-key FILE | --certificate FILE) --signature FILE\n"
                "                       [--file FILE | --digest HEX --algorithm ALG] [--offline]",
    .summary = "verify a signature, by the gateway or here",
    .text = "Exit code 0: the signature is valid; 1: it is not.\n"
            "\n"
            "Of a certificate only the key is taken: who issued it, whether it has expired or was\n"
            "revoked is not looked at.\n"
            "\n"
            "Examples:\n"
            "  sealgate verify --key dev-p256 --file README.md --signature README.sig\n"
            "  sealgate verify --offline --public-key pub.pem --file README.md --signature "
            "README.sig\n",
    .options = options,
    .run = run,
};
