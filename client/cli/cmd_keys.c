#include "client/cli/cli.h"
#include "client/cli/subject.h"
#include "client/cli/text.h"

/* ---- Printing keys -------------------------------------------------------------------------- */

static void json_key(struct sg_json *json, const struct sealgate_key *key)
{
    sg_json_begin_object(json, NULL);
    sg_json_str(json, "name", key->name);
    sg_json_str(json, "primary_version", key->primary_version);
    sg_json_str(json, "type", sg_key_type_name((enum sg_key_type)key->type));
    sg_json_str(json, "state", sg_cli_key_state_name((int)key->state));
    sg_json_str(json, "state_message", key->state_message);
    sg_json_str(json, "token", key->token);
    sg_json_begin_array(json, "schemes");
    for (size_t i = 0; i < key->scheme_count; i++)
        sg_json_str(json, NULL, sg_scheme_name((enum sg_scheme)key->schemes[i]));
    sg_json_end(json);
    sg_json_begin_array(json, "digests");
    for (size_t i = 0; i < key->digest_count; i++)
        sg_json_str(json, NULL, sg_digest_name((enum sg_digest_alg)key->digests[i]));
    sg_json_end(json);
    sg_json_hex(json, "public_key_sha256",
                sg_slice_of(key->public_key_sha256.ptr, key->public_key_sha256.len));
    sg_json_time(json, "create_time", key->create_time_ns);
    sg_json_end(json);
}

static void row(const struct sealgate_key *key)
{
    int len = (int)strlen(key->name);

    sg_cli_put(stdout, key->name);
    (void)printf("%*s %-9s %-12s ", len < 28 ? 28 - len : 0, "",
                 sg_key_type_name((enum sg_key_type)key->type),
                 sg_cli_key_state_name((int)key->state));
    sg_cli_put(stdout, key->token);
    (void)fputc('\n', stdout);
}

static void line(const char *label, const char *text)
{
    (void)printf("%-18s ", label);
    sg_cli_put(stdout, text[0] == '\0' ? "-" : text);
    (void)fputc('\n', stdout);
}

static void sheet(const struct sealgate_key *key)
{
    char time[SG_CLI_TIME_BYTES];
    struct sg_buf hex;

    line("name", key->name);
    line("primary version", key->primary_version);
    line("type", sg_key_type_name((enum sg_key_type)key->type));
    line("state", sg_cli_key_state_name((int)key->state));
    if (key->state_message[0] != '\0')
        line("", key->state_message);
    line("token", key->token);
    (void)printf("%-18s", "schemes");
    for (size_t i = 0; i < key->scheme_count; i++)
        (void)printf(" %s", sg_scheme_name((enum sg_scheme)key->schemes[i]));
    (void)printf("\n%-18s", "digests");
    for (size_t i = 0; i < key->digest_count; i++)
        (void)printf(" %s", sg_digest_name((enum sg_digest_alg)key->digests[i]));
    (void)fputc('\n', stdout);
    sg_buf_init(&hex, 256);
    sg_cli_hex(sg_slice_of(key->public_key_sha256.ptr, key->public_key_sha256.len), &hex);
    (void)printf("%-18s %.*s\n", "public key sha256", (int)hex.len,
                 hex.len == 0 ? "" : (const char *)hex.ptr);
    sg_buf_done(&hex);
    line("created", sg_cli_time(key->create_time_ns, time));
}

/* ---- keys list ------------------------------------------------------------------------------ */

static const struct sg_option no_options[] = {{0}};

/* Pages come until the server has no more; a server that repeats its token for ever is stopped by
 * the bound. */
enum { PAGES_MAX = 10000, PAGE_SIZE = 500 };

static enum sg_exit list_page(struct sg_cli *cli, struct sg_json *json, char token[1024],
                              bool is_first)
{
    struct sealgate_key_list *list = NULL;
    struct sealgate_error error;

    if (sealgate_list_keys(cli->client, PAGE_SIZE, token, cli->timeout_ms, &list, &error) !=
        SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (is_first && !cli->is_json && list->count > 0)
        (void)printf("%-28s %-9s %-12s %s\n", "NAME", "TYPE", "STATE", "TOKEN");
    if (is_first && !cli->is_json && list->count == 0)
        (void)fputs("no keys that this identity may use\n", stdout);
    for (size_t i = 0; i < list->count; i++)
        if (cli->is_json)
            json_key(json, &list->keys[i]);
        else
            row(&list->keys[i]);
    if (snprintf(token, 1024, "%s", list->next_page_token) >= 1024) {
        sealgate_free(list);
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "RESPONSE_MALFORMED",
                           "the server's page token is too long");
    }
    sealgate_free(list);
    return SG_EXIT_OK;
}

static enum sg_exit run_list(struct sg_cli *cli)
{
    char token[1024] = "";
    enum sg_exit code = sg_cli_connect(cli);
    struct sg_buf out;
    struct sg_json json;

    sg_buf_init(&out, 256 << 20);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_begin_array(&json, "keys");
    for (int pages = 0; code == SG_EXIT_OK && pages < PAGES_MAX; pages++) {
        code = list_page(cli, &json, token, pages == 0);
        if (token[0] == '\0')
            break;
    }
    sg_json_end(&json);
    sg_json_end(&json);
    if (code == SG_EXIT_OK && cli->is_json)
        return sg_cli_print_json(cli, &out, code);
    sg_buf_done(&out);
    return code == SG_EXIT_OK ? sg_cli_flush(cli, code) : code;
}

const struct sg_command sg_cmd_keys_list = {
    .group = "keys",
    .name = "list",
    .synopsis = "",
    .summary = "list the keys that you may use",
    .text = "",
    .options = no_options,
    .run = run_list,
};

/* ---- keys show ------------------------------------------------------------------------------ */

static enum sg_exit run_show(struct sg_cli *cli)
{
    struct sealgate_key *key = NULL;
    struct sealgate_error error;
    char name[256];
    struct sg_buf out;
    struct sg_json json;
    enum sg_exit code;

    if (!sg_cli_key_name(cli->args.words[0], name))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "the name of the key is too long");
    code = sg_cli_connect(cli);
    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_get_key(cli->client, name, cli->timeout_ms, &key, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    if (cli->is_json) {
        sg_buf_init(&out, 64 << 10);
        json = sg_json_of(&out);
        json_key(&json, key);
        code = sg_cli_print_json(cli, &out, SG_EXIT_OK);
    } else {
        sheet(key);
        code = sg_cli_flush(cli, SG_EXIT_OK);
    }
    sealgate_free(key);
    return code;
}

const struct sg_command sg_cmd_keys_show = {
    .group = "keys",
    .name = "show",
    .synopsis = "NAME",
    .summary = "show one key",
    .text = "",
    .options = no_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_show,
};

/* ---- keys public-key ------------------------------------------------------------------------ */

static const struct sg_option public_key_options[] = {
    {"format", "FORM", "pem (default) or der", false},
    {"out", "FILE", "write it there; default: standard output", false},
    {0},
};

/* PEM or DER to where the options say. */
static enum sg_exit write_either(const struct sg_cli *cli, const char *pem, struct sg_slice der)
{
    const char *format = sg_args_get(&cli->args, "format");
    const char *path = sg_args_get(&cli->args, "out");
    bool is_der = format != NULL && strcmp(format, "der") == 0;

    return sg_cli_write_file(cli, path == NULL ? "-" : path, is_der ? der : sg_slice_str(pem));
}

static enum sg_exit check_format(const struct sg_cli *cli)
{
    const char *format = sg_args_get(&cli->args, "format");

    if (format == NULL || strcmp(format, "pem") == 0 || strcmp(format, "der") == 0)
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--format is pem or der");
}

static enum sg_exit print_public_key(const struct sg_cli *cli,
                                     const struct sealgate_public_key *key)
{
    struct sg_slice spki = sg_slice_of(key->spki.ptr, key->spki.len);
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json)
        return write_either(cli, key->pem, spki);
    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "key_version", key->key_version);
    sg_json_str(&json, "type", sg_key_type_name((enum sg_key_type)key->type));
    sg_json_base64(&json, "spki", spki);
    sg_json_str(&json, "pem", key->pem);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit run_public_key(struct sg_cli *cli)
{
    struct sealgate_public_key *key = NULL;
    struct sealgate_error error;
    char name[256];
    enum sg_exit code = check_format(cli);

    if (code == SG_EXIT_OK && !sg_cli_key_name(cli->args.words[0], name))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "the name of the key is too long");
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_get_public_key(cli->client, name, cli->timeout_ms, &key, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = print_public_key(cli, key);
    sealgate_free(key);
    return code;
}

const struct sg_command sg_cmd_keys_public_key = {
    .group = "keys",
    .name = "public-key",
    .synopsis = "NAME [--format pem|der] [--out FILE]",
    .summary = "print the public key, as OpenSSL reads it",
    .text = "",
    .options = public_key_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_public_key,
};

/* ---- keys csr ------------------------------------------------------------------------------- */

static const struct sg_option csr_options[] = {
    {"subject", "NAME",
     "CN=Department,O=Agency,C=VN: the attributes as they are to\nstand, a CN among them; a comma "
     "in a value is \\, (repeats)",
     true},
    {"dns", "NAME", "a DNS name of the subject (repeats)", true},
    {"uri", "URI", "a URI of the subject (repeats)", true},
    {"email", "ADDRESS", "an e-mail address of the subject (repeats)", true},
    {"hash", "ALG", "sha256, sha384, ... (default: the gateway's choice)", false},
    {"format", "FORM", "pem (default) or der", false},
    {"out", "FILE", "write it there; default: standard output", false},
    {0},
};

static enum sg_exit csr_request(const struct sg_cli *cli, struct sg_subject *subject,
                                struct sealgate_csr_request *ret)
{
    const char *hash = sg_args_get(&cli->args, "hash");
    const char *const *subjects;
    size_t count = sg_args_all(&cli->args, "subject", &subjects);
    struct sg_err err;

    if (count == 0)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_SUBJECT", "--subject CN=... is missing");
    for (size_t i = 0; i < count; i++)
        if (sg_subject_add(subject, subjects[i], &err) != SG_OK)
            return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_SUBJECT", "%s", err.msg);
    ret->subject = subject->attributes;
    ret->subject_count = subject->count;
    ret->dns_name_count = sg_args_all(&cli->args, "dns", &ret->dns_names);
    ret->uri_count = sg_args_all(&cli->args, "uri", &ret->uris);
    ret->email_count = sg_args_all(&cli->args, "email", &ret->emails);
    if (hash != NULL)
        ret->digest = (enum sealgate_digest)sg_digest_find(hash);
    if (hash != NULL && ret->digest == SEALGATE_DIGEST_UNSET)
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "--hash is not a hash known here");
    return SG_EXIT_OK;
}

static enum sg_exit print_csr(const struct sg_cli *cli, const struct sealgate_csr *csr)
{
    struct sg_slice der = sg_slice_of(csr->der.ptr, csr->der.len);
    struct sg_buf out;
    struct sg_json json;

    if (!cli->is_json)
        return write_either(cli, csr->pem, der);
    sg_buf_init(&out, 256 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "key_version", csr->key_version);
    sg_json_base64(&json, "der", der);
    sg_json_str(&json, "pem", csr->pem);
    sg_json_end(&json);
    return sg_cli_print_json(cli, &out, SG_EXIT_OK);
}

static enum sg_exit run_csr(struct sg_cli *cli)
{
    struct sealgate_csr_request request = {0};
    struct sealgate_csr *csr = NULL;
    struct sealgate_error error;
    struct sg_subject subject = {0};
    char name[256];
    enum sg_exit code = check_format(cli);

    if (code == SG_EXIT_OK)
        code = csr_request(cli, &subject, &request);
    if (code == SG_EXIT_OK && !sg_cli_key_name(cli->args.words[0], name))
        code = sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS", "the name of the key is too long");
    if (code == SG_EXIT_OK)
        code = sg_cli_connect(cli);
    if (code != SG_EXIT_OK)
        return code;
    request.key = name;
    if (sealgate_create_csr(cli->client, &request, cli->timeout_ms, &csr, &error) != SEALGATE_OK)
        return sg_cli_failed(cli, &error);
    code = print_csr(cli, csr);
    sealgate_free(csr);
    return code;
}

const struct sg_command sg_cmd_keys_csr = {
    .group = "keys",
    .name = "csr",
    .synopsis = "NAME --subject CN=...,O=... [--dns NAME] [--out FILE]",
    .summary = "make a certificate request (PKCS#10), signed by the key",
    .text = "For RSA and ECDSA keys.\n",
    .options = csr_options,
    .words_min = 1,
    .words_max = 1,
    .run = run_csr,
};
