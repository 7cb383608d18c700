#include <unistd.h>

#include "base/base64.h"
#include "client/cli/content.h"
#include "client/cli/sign_many.h"
#include "client/cli/text.h"

static const struct sg_option options[] = {
    {"key", "NAME", "the key that signs: dev-p256, or keys/dev-p256/versions/1", false},
    SG_CONTENT_OPTIONS,
    {"scheme", "SCHEME", "rsa-pkcs1, rsa-pss, ecdsa, ed25519 (default: the key's)", false},
    {"encoding", "FORM", "of an ECDSA signature: der (default) or raw (r and s)", false},
    {"out", "FILE", "write the signature there, as bytes", false},
    {"format", "FORM",
     "on standard output: bytes, hex or base64 (default: base64\non a terminal, bytes otherwise)",
     false},
    {"purpose", "TEXT", "why, for the record", false},
    {"request-id", "UUID", "makes the call idempotent, where the gateway serves it", false},
    {"receipt", "FILE", "write the receipt there, which proves that it was recorded", false},
    {"dry-run", NULL, "decide and check everything, sign nothing", false},
    {"manifest", "FILE", "sign many: a file with the path of a document in each line", false},
    {"results", "FILE", "where a line of JSON for each of them goes", false},
    {"resume", NULL, "go on with --results, and sign only what it lacks", false},
    {"concurrency", "N", "documents under way at once, with --manifest (default 32)", false},
    {0},
};

/* ---- The request ---------------------------------------------------------------------------- */

static enum sg_exit encoding_of(const struct sg_cli *cli, enum sealgate_encoding *ret)
{
    const char *name = sg_args_get(&cli->args, "encoding");

    *ret = SEALGATE_ENCODING_UNSET;
    if (name == NULL || strcmp(name, "der") == 0)
        return SG_EXIT_OK;
    if (strcmp(name, "raw") != 0)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--encoding is der or raw");
    *ret = SEALGATE_ENCODING_RAW;
    return SG_EXIT_OK;
}

/*
 * Whether the key signs messages. A caller that may sign but not look keys up is told nothing
 * here; it is taken for a key that signs digests, and Sign itself says so when that is wrong.
 */
static enum sg_exit ask_key(struct sg_cli *cli, const char *key, bool *ret_is_message)
{
    struct sealgate_key *found = NULL;
    struct sealgate_error error;
    char name[256];
    char *version;

    *ret_is_message = false;
    (void)snprintf(name, sizeof(name), "%s", key);
    version = strstr(name, "/versions/"); /* GetKey takes keys, not versions */
    if (version != NULL)
        *version = '\0';
    switch ((int)sealgate_get_key(cli->client, name, cli->timeout_ms, &found, &error)) {
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

static enum sg_exit read_content(struct sg_cli *cli, const char *key, struct sg_content *ret)
{
    enum sg_content_kind kind;
    enum sg_exit code = sg_content_kind(cli, &kind);
    bool is_message = kind == SG_CONTENT_MESSAGE;

    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code == SG_EXIT_OK && kind == SG_CONTENT_BY_KEY)
        code = ask_key(cli, key, &is_message);
    return code != SG_EXIT_OK ? code : sg_content_read(cli, is_message, ret);
}

/* ---- The answer ----------------------------------------------------------------------------- */

static enum sg_exit print_json(const struct sg_cli *cli, const struct sealgate_signature *signature)
{
    struct sg_buf out;
    struct sg_json json;

    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_base64(&json, "signature",
                   sg_slice_of(signature->signature.ptr, signature->signature.len));
    sg_json_str(&json, "key_version", signature->key_version);
    sg_json_str(&json, "scheme", sg_scheme_name((enum sg_scheme)signature->scheme));
    sg_json_str(&json, "digest",
                signature->digest == SEALGATE_DIGEST_UNSET
                    ? ""
                    : sg_digest_name((enum sg_digest_alg)signature->digest));
    sg_json_str(&json, "encoding",
                signature->encoding == SEALGATE_ENCODING_UNSET
                    ? ""
                    : sg_cli_encoding_name((int)signature->encoding));
    sg_json_time(&json, "sign_time", signature->sign_time_ns);
    sg_json_str(&json, "rule_set", signature->rule_set);
    sg_json_str(&json, "rule", signature->rule);
    sg_json_bool(&json, "replayed", signature->replayed);
    if (signature->receipt != NULL)
        sg_json_text(&json, "receipt",
                     sg_slice_of(signature->receipt->file.ptr, signature->receipt->file.len));
    sg_json_begin_object(&json, "timing");
    sg_json_int(&json, "queue_us", signature->queue_us);
    sg_json_int(&json, "hsm_us", signature->hsm_us);
    sg_json_int(&json, "total_us", signature->total_us);
    sg_json_end(&json);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit print_bytes(const struct sg_cli *cli, struct sg_slice bytes)
{
    const char *format = sg_args_get(&cli->args, "format");
    struct sg_buf out;

    if (format == NULL)
        format = isatty(STDOUT_FILENO) == 1 ? "base64" : "bytes";
    sg_buf_init(&out, bytes.len * 2 + 16);
    if (strcmp(format, "bytes") == 0) {
        sg_buf_add_slice(&out, bytes);
    } else if (strcmp(format, "hex") == 0) {
        sg_cli_hex(bytes, &out);
        sg_buf_add_u8(&out, '\n');
    } else {
        sg_base64_encode(bytes, SG_BASE64_STD, SG_BASE64_PADDED, &out);
        sg_buf_add_u8(&out, '\n');
    }
    (void)fwrite(out.ptr, 1, out.len, stdout);
    sg_buf_done(&out);
    return sg_cli_flush(cli, SG_EXIT_OK);
}

static enum sg_exit print_text(const struct sg_cli *cli, const struct sg_content *content,
                               const struct sealgate_signature *signature)
{
    const char *out = sg_args_get(&cli->args, "out");
    const char *digest = sg_digest_name((enum sg_digest_alg)signature->digest);

    if (sg_args_has(&cli->args, "dry-run")) {
        printf("would be signed: %s\n", content->what);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    if (out == NULL)
        return print_bytes(cli, sg_slice_of(signature->signature.ptr, signature->signature.len));
    if (strcmp(out, "-") == 0)
        return SG_EXIT_OK; /* the bytes are there already, and nothing belongs behind them */
    printf("signed %s by ", content->what);
    sg_cli_put(stdout, signature->key_version);
    printf(" (%s%s%s): %zu bytes in %s\n", sg_scheme_name((enum sg_scheme)signature->scheme),
           signature->digest == SEALGATE_DIGEST_UNSET ? "" : ", ",
           signature->digest == SEALGATE_DIGEST_UNSET ? "" : digest, signature->signature.len, out);
    return sg_cli_flush(cli, SG_EXIT_OK);
}

static enum sg_exit keep_receipt(const struct sg_cli *cli, const struct sealgate_receipt *receipt)
{
    const char *path = sg_args_get(&cli->args, "receipt");

    if (path == NULL)
        return SG_EXIT_OK;
    if (receipt == NULL)
        return sg_cli_fail(cli, SG_EXIT_REFUSED, "RECEIPT_MISSING",
                           "the gateway signed, but gave no receipt: it keeps no audit log");
    return sg_cli_write_file(cli, path, sg_slice_of(receipt->file.ptr, receipt->file.len));
}

static enum sg_exit hand_out(const struct sg_cli *cli, const struct sg_content *content,
                             const struct sealgate_signature *signature)
{
    const char *path = sg_args_get(&cli->args, "out");
    enum sg_exit code = SG_EXIT_OK;

    if (path != NULL && signature->signature.len > 0)
        code = sg_cli_write_file(cli, path,
                                 sg_slice_of(signature->signature.ptr, signature->signature.len));
    if (code == SG_EXIT_OK && signature->signature.len > 0)
        code = keep_receipt(cli, signature->receipt);
    if (code != SG_EXIT_OK)
        return code;
    return cli->is_json ? print_json(cli, signature) : print_text(cli, content, signature);
}

static enum sg_exit check_format(const struct sg_cli *cli)
{
    const char *format = sg_args_get(&cli->args, "format");

    if (format == NULL || strcmp(format, "bytes") == 0 || strcmp(format, "hex") == 0 ||
        strcmp(format, "base64") == 0)
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--format is bytes, hex or base64");
}

/* The key decides how documents are read, unless an option does. */
static enum sg_exit run_many(struct sg_cli *cli, struct sealgate_sign_request *request)
{
    enum sg_content_kind kind;
    enum sg_exit code = sg_sign_many_check(cli);
    bool is_message;

    if (code == SG_EXIT_OK && sg_args_has(&cli->args, "receipt"))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--receipt is for one document: with --manifest receipts are in "
                           "--results");
    if (code == SG_EXIT_OK)
        code = sg_content_kind(cli, &kind);
    if (code != SG_EXIT_OK)
        return code;
    cli->is_patient = true;
    code = sg_cli_connect(cli);
    is_message = kind == SG_CONTENT_MESSAGE;
    if (code == SG_EXIT_OK && kind == SG_CONTENT_BY_KEY)
        code = ask_key(cli, request->key, &is_message);
    return code == SG_EXIT_OK ? sg_sign_many(cli, request, is_message) : code;
}

static bool is_many(const struct sg_cli *cli)
{
    return sg_args_has(&cli->args, "manifest") || sg_args_has(&cli->args, "results") ||
           sg_args_has(&cli->args, "resume") || sg_args_has(&cli->args, "concurrency");
}

static enum sg_exit run(struct sg_cli *cli)
{
    const char *name = sg_args_get(&cli->args, "key");
    const char *scheme = sg_args_get(&cli->args, "scheme");
    struct sealgate_sign_request request = {.dry_run = sg_args_has(&cli->args, "dry-run")};
    struct sealgate_signature *signature = NULL;
    struct sealgate_error error;
    struct sg_content content;
    char key[256];
    enum sg_exit code;

    if (name == NULL || !sg_cli_key_name(name, key))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--key NAME is missing or too long");
    code = encoding_of(cli, &request.encoding);
    if (code == SG_EXIT_OK)
        code = check_format(cli);
    if (code != SG_EXIT_OK)
        return code;
    request.key = key;
    request.scheme =
        scheme == NULL ? SEALGATE_SCHEME_UNSET : (enum sealgate_scheme)sg_scheme_find(scheme);
    request.purpose = sg_args_get(&cli->args, "purpose");
    request.request_id = sg_args_get(&cli->args, "request-id");
    if (is_many(cli))
        return run_many(cli, &request);

    code = read_content(cli, key, &content);
    if (code != SG_EXIT_OK)
        return code;
    request.digest = (enum sealgate_digest)content.alg;
    request.content = (struct sealgate_bytes){content.bytes, content.len};
    if (sealgate_sign(cli->client, &request, cli->timeout_ms, &signature, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = hand_out(cli, &content, signature);
    sealgate_free(signature);
    return code;
}

const struct sg_command sg_cmd_sign = {
    .name = "sign",
    .synopsis = "--key NAME [--file FILE | --digest HEX --algorithm ALG] [--out FILE]\n"
                "                     --key NAME --manifest FILE --results FILE [--resume]",
    .summary = "sign a document or a digest, or many documents",
    .text =
        "The document is hashed here, while it is read; only its digest goes to the gateway. Keys\n"
        "of type Ed25519 sign the document itself, which may have at most 4,096 bytes.\n"
        "\n"
        "With --manifest every document that the file names, one path a line, is signed, several "
        "at\n"
        "once. --results gets a line of JSON for each: \"file\", \"signed\", and then the "
        "signature\n"
        "(base64) with what belongs to it and the receipt, or the error. What became of a document "
        "is on the disk\n"
        "before another is begun; after a crash --resume signs what has no signature in "
        "--results,\n"
        "the failed ones too, and with them again the few that were under way. A gateway that is\n"
        "away or busy is waited for, for as long as --timeout says; when it stays away the run "
        "ends\n"
        "with exit code 3 and can be resumed. Exit code 1: all were tried, and some failed.\n"
        "\n"
        "Examples:\n"
        "  sealgate sign --key dev-p256 --file README.md --out README.sig\n"
        "  sealgate sign --key dev-rsa2048 --scheme rsa-pss --hash sha512 < report.pdf > "
        "report.sig\n"
        "  find contracts -name '*.pdf' > list && sealgate sign --key dev-p256 --manifest list "
        "--results signed.jsonl\n",
    .options = options,
    .run = run,
};
