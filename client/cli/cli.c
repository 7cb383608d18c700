#include "client/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "client/cli/bearer.h"
#include "client/cli/file_out.h"
#include "client/cli/text.h"

const struct sg_option sg_cli_common_options[] = {
    {"endpoint", "HOST:PORT,...",
     "the gateway, or several in the order of preference\n(SEALGATE_ENDPOINT)", false},
    {"ca", "FILE", "PEM: who issued its certificate (SEALGATE_CA)", false},
    {"cert", "FILE", "PEM: your certificate (SEALGATE_CERT)", false},
    {"cert-key", "FILE", "PEM: your certificate's key (SEALGATE_KEY)", false},
    {"token-file", "FILE",
     "a bearer token, beside the certificate or instead of it; of mode\n0600 "
     "(SEALGATE_TOKEN_FILE)",
     false},
    {"server-name", "NAME", "the name to expect in the gateway's certificate\n(default: the host)",
     false},
    {"log-key", "KEY",
     "the key of an audit log that is believed; may be repeated. With one\na signature without a "
     "receipt is refused (SEALGATE_LOG_KEY)",
     true},
    {"timeout", "SECONDS", "for one call, connecting included (default 30)", false},
    {"output", "FORM", "text (default) or json", false},
    {"help", NULL, "this text", false},
    {0},
};

/* ---- Options -------------------------------------------------------------------------------- */

const char *sg_cli_value(const struct sg_cli *cli, const char *flag, const char *variable)
{
    const char *value = sg_args_get(&cli->args, flag);

    if (value == NULL)
        value = getenv(variable);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static enum sg_exit read_bearer(struct sg_cli *cli, const char *path)
{
    struct sg_err err;

    if (path == NULL || cli->bearer != NULL)
        return SG_EXIT_OK;
    enum sg_rc rc = sg_bearer_file_read(path, &cli->bearer, &err);
    if (rc == SG_OK)
        return SG_EXIT_OK;
    return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ", "%s%s", err.msg,
                       rc == SG_E_DENIED ? " (it should be yours, of mode 0600)" : "");
}

const char *sg_cli_log_keys(struct sg_cli *cli)
{
    const char *const *values;
    size_t count = sg_args_all(&cli->args, "log-key", &values);
    const char *variable = getenv("SEALGATE_LOG_KEY");

    if (count == 0)
        return variable == NULL || variable[0] == '\0' ? NULL : variable;
    sg_buf_done(&cli->log_keys);
    sg_buf_init(&cli->log_keys, 64 << 10);
    for (size_t i = 0; i < count; i++)
        sg_buf_printf(&cli->log_keys, "%s%s", i == 0 ? "" : " ", values[i]);
    sg_buf_add_u8(&cli->log_keys, '\0');
    return cli->log_keys.failed ? "" : (const char *)cli->log_keys.ptr;
}

enum sg_exit sg_cli_options(struct sg_cli *cli, struct sealgate_options *ret)
{
    static const struct {
        const char *flag, *variable;
    } needed[] = {{"endpoint", "SEALGATE_ENDPOINT"},
                  {"ca", "SEALGATE_CA"},
                  {"cert", "SEALGATE_CERT"},
                  {"cert-key", "SEALGATE_KEY"}};
    enum { CERT = 2, KEY = 3 };
    const char *values[SG_COUNT(needed)];
    enum sg_exit code = read_bearer(cli, sg_cli_value(cli, "token-file", "SEALGATE_TOKEN_FILE"));

    if (code != SG_EXIT_OK)
        return code;
    for (size_t i = 0; i < SG_COUNT(needed); i++)
        values[i] = sg_cli_value(cli, needed[i].flag, needed[i].variable);
    const bool needs_certificate =
        cli->bearer == NULL || values[CERT] != NULL || values[KEY] != NULL;
    for (size_t i = 0; i < SG_COUNT(needed); i++) {
        if (values[i] == NULL && (i < CERT || needs_certificate))
            return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                               "--%s is missing, and %s is not set", needed[i].flag,
                               needed[i].variable);
    }
    *ret = (struct sealgate_options){
        .endpoint = values[0],
        .ca_file = values[1],
        .cert_file = values[2],
        .key_file = values[3],
        .authorization = cli->bearer == NULL ? NULL : sg_bearer_file_authorize,
        .authorization_user = cli->bearer,
        .server_name = sg_cli_value(cli, "server-name", "SEALGATE_SERVER_NAME"),
        .user_agent = "sealgate-cli",
        .timeout_ms = cli->timeout_ms,
        .wait_for_ready = cli->is_patient,
        .keepalive_ms =
            300000, /* who follows a log would wait for ever for a network that is gone */
        .log_key = sg_cli_log_keys(cli),
    };
    return SG_EXIT_OK;
}

enum sg_exit sg_cli_connect(struct sg_cli *cli)
{
    struct sealgate_options options;
    struct sealgate_error error;
    enum sg_exit code = sg_cli_options(cli, &options);

    if (code != SG_EXIT_OK)
        return code;
    if (sealgate_client_new(&options, &cli->client, &error) != SEALGATE_OK) {
        (void)sg_cli_failed(cli, &error);
        return SG_EXIT_USAGE;
    }
    return SG_EXIT_OK;
}

bool sg_cli_key_name(const char *text, char out[256])
{
    bool is_full = strncmp(text, "keys/", 5) == 0;

    return snprintf(out, 256, "%s%s", is_full ? "" : "keys/", text) < 256;
}

/* ---- Failures ------------------------------------------------------------------------------- */

enum sg_exit sg_cli_exit_of(const struct sealgate_error *error)
{
    /* Whatever the code: who asks must know first that it may have been done. */
    if (error->outcome == SEALGATE_OUTCOME_UNKNOWN)
        return SG_EXIT_NO_ANSWER;
    switch (error->code) {
    case SEALGATE_OK:
        return SG_EXIT_OK;
    case SEALGATE_UNAVAILABLE:
    case SEALGATE_DEADLINE_EXCEEDED:
    case SEALGATE_CANCELLED:
        return SG_EXIT_UNAVAILABLE;
    case SEALGATE_UNAUTHENTICATED:
    case SEALGATE_PERMISSION_DENIED:
        return SG_EXIT_DENIED;
    case SEALGATE_NOT_FOUND:
        return SG_EXIT_NOT_FOUND;
    case SEALGATE_RESOURCE_EXHAUSTED:
        return SG_EXIT_BUSY;
    case SEALGATE_INVALID_ARGUMENT:
    case SEALGATE_ALREADY_EXISTS:
    case SEALGATE_FAILED_PRECONDITION:
    case SEALGATE_ABORTED:
    case SEALGATE_OUT_OF_RANGE:
    case SEALGATE_UNIMPLEMENTED:
        return SG_EXIT_REFUSED;
    case SEALGATE_UNKNOWN:
    case SEALGATE_INTERNAL:
    case SEALGATE_DATA_LOSS:
        break;
    }
    return SG_EXIT_INTERNAL;
}

static const char *outcome_name(enum sealgate_outcome outcome)
{
    switch (outcome) {
    case SEALGATE_OUTCOME_ANSWERED:
        return "answered";
    case SEALGATE_OUTCOME_NOT_DONE:
        return "not-done";
    case SEALGATE_OUTCOME_UNKNOWN:
        return "unknown";
    case SEALGATE_OUTCOME_UNSET:
        break;
    }
    return "unset";
}

void sg_cli_json_error(struct sg_json *json, const struct sealgate_error *error)
{
    sg_json_str(json, "code", sealgate_code_name(error->code));
    sg_json_str(json, "reason", error->reason);
    sg_json_str(json, "message", error->message);
    sg_json_str(json, "next", error->next);
    sg_json_str(json, "outcome", outcome_name(error->outcome));
    if (error->field[0] != '\0')
        sg_json_str(json, "field", error->field);
    if (error->request_id[0] != '\0')
        sg_json_str(json, "request_id", error->request_id);
    if (error->retry_after_ms > 0)
        sg_json_int(json, "retry_after_ms", error->retry_after_ms);
}

static void line(const char *label, const char *text)
{
    if (text[0] == '\0')
        return;
    (void)fprintf(stderr, "  %s: ", label);
    sg_cli_put(stderr, text);
    (void)fputc('\n', stderr);
}

static void print_text(const struct sealgate_error *error)
{
    (void)fputs("sealgate: ", stderr);
    sg_cli_put(stderr,
               error->message[0] == '\0' ? sealgate_code_name(error->code) : error->message);
    (void)fputc('\n', stderr);
    line("reason", error->reason[0] == '\0' ? sealgate_code_name(error->code) : error->reason);
    line("field", error->field);
    line("next", error->next);
    if (error->retry_after_ms > 0)
        (void)fprintf(stderr, "  retry after: %u ms\n", error->retry_after_ms);
    if (error->outcome == SEALGATE_OUTCOME_UNKNOWN)
        line("outcome", "unknown: the request was sent, and may have been done");
    line("request id", error->request_id);
}

enum sg_exit sg_cli_failed(const struct sg_cli *cli, const struct sealgate_error *error)
{
    struct sg_buf out;
    struct sg_json json;

    if (cli->collect != NULL) {
        *cli->collect = *error;
        return sg_cli_exit_of(error);
    }
    if (!cli->is_json) {
        print_text(error);
        return sg_cli_exit_of(error);
    }
    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_begin_object(&json, "error");
    sg_cli_json_error(&json, error);
    sg_json_end(&json);
    sg_json_end(&json);
    sg_buf_add_u8(&out, '\n');
    (void)fwrite(out.ptr, 1, out.len, stderr);
    sg_buf_done(&out);
    return sg_cli_exit_of(error);
}

enum sg_exit sg_cli_fail(const struct sg_cli *cli, enum sg_exit exit_code, const char *reason,
                         const char *fmt, ...)
{
    struct sealgate_error error = {
        .code = SEALGATE_INVALID_ARGUMENT, .outcome = SEALGATE_OUTCOME_NOT_DONE, .is_local = true};
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(error.message, sizeof(error.message), fmt, args);
    va_end(args);
    (void)snprintf(error.reason, sizeof(error.reason), "%s", reason);
    /* What the server would refuse by the same name is advised on in the same words. */
    for (int i = SG_R_NONE + 1; i < SG_R_COUNT; i++)
        if (strcmp(sg_reason_name((enum sg_reason)i), reason) == 0)
            (void)snprintf(error.next, sizeof(error.next), "%s", sg_reason_next((enum sg_reason)i));
    if (exit_code == SG_EXIT_USAGE && cli->command != NULL)
        (void)snprintf(error.next, sizeof(error.next), "See sealgate %s%s%s --help.",
                       cli->command->group == NULL ? "" : cli->command->group,
                       cli->command->group == NULL ? "" : " ", cli->command->name);
    (void)sg_cli_failed(cli, &error);
    return exit_code;
}

/* ---- Files and output ----------------------------------------------------------------------- */

enum sg_exit sg_cli_flush(const struct sg_cli *cli, enum sg_exit exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_WRITTEN",
                           "could not write to standard output: %s", strerror(errno));
    return exit_code;
}

enum sg_exit sg_cli_print_json(const struct sg_cli *cli, struct sg_buf *out, enum sg_exit exit_code)
{
    sg_buf_add_u8(out, '\n');
    if (out->failed)
        exit_code = sg_cli_fail(cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY",
                                "could not write the answer: out of memory");
    else
        (void)fwrite(out->ptr, 1, out->len, stdout);
    sg_buf_done(out);
    return sg_cli_flush(cli, exit_code);
}

enum sg_exit sg_cli_write_file(const struct sg_cli *cli, const char *path, struct sg_slice bytes)
{
    struct sg_file_out out;

    if (strcmp(path, "-") == 0) {
        (void)fwrite(bytes.ptr, 1, bytes.len, stdout);
        return sg_cli_flush(cli, SG_EXIT_OK);
    }
    enum sg_exit code = sg_file_out_open(cli, path, &out);
    if (code != SG_EXIT_OK)
        return code;
    code = sg_file_out_write(cli, &out, bytes);
    if (code == SG_EXIT_OK)
        return sg_file_out_commit(cli, &out, false);
    sg_file_out_abandon(&out);
    return code;
}

enum sg_exit sg_cli_read_file(const struct sg_cli *cli, const char *path, size_t bytes_max,
                              struct sg_buf *out)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : 1;

    while (len > 0 && out->len <= bytes_max) {
        uint8_t *room = sg_buf_room(out, bytes_max + 1 - out->len);
        if (room == NULL)
            break;
        len = read(fd, room, bytes_max + 1 - out->len);
        if (len < 0 && errno == EINTR)
            len = 1;
        else if (len > 0)
            sg_buf_claim(out, (size_t)len);
    }
    if (!is_stdin && fd >= 0)
        (void)close(fd); /* read only: nothing can be lost */
    if (len < 0)
        return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ", "could not read %s: %s", path,
                           strerror(errno));
    if (out->failed || out->len > bytes_max)
        return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_READ",
                           "could not read %s: it is over %zu bytes", path, bytes_max);
    return SG_EXIT_OK;
}
