#ifndef SG_CLI_CLI_H
#define SG_CLI_CLI_H

#include "base/algorithm.h"
#include "client/cli/args.h"
#include "client/cli/json.h"
#include "client/include/sealgate.h"

/*
 * The command line program: what its commands share. A command is a row; main.c finds it, parses
 * its options, prints its help, and runs it. A command returns its exit code and has said on
 * stderr why, when it is not 0.
 */

/* Documented in `sealgate --help`. */
enum sg_exit {
    SG_EXIT_OK = 0,
    SG_EXIT_NO = 1,          /* answered, and the answer is no: not valid, not serving, not all */
    SG_EXIT_USAGE = 2,       /* the command line is wrong */
    SG_EXIT_UNAVAILABLE = 3, /* no connection, or the gateway or its token is away */
    SG_EXIT_DENIED = 4,      /* not authenticated, or not allowed */
    SG_EXIT_NOT_FOUND = 5,   /* no such key, or not visible to this caller */
    SG_EXIT_REFUSED = 6,     /* refused for another reason; the request has to change */
    SG_EXIT_BUSY = 7,        /* a limit was reached; try again later */
    SG_EXIT_NO_ANSWER = 8,   /* it was sent and not answered: it may have been done */
    SG_EXIT_FILE = 9,        /* a file here could not be read or written */
    SG_EXIT_INTERNAL = 10,   /* the server failed, or its answer was damaged */
};

struct sg_cli;
struct sg_bearer_file;

struct sg_command {
    const char *group; /* "keys", or NULL */
    const char *name;
    const char *synopsis; /* behind the name */
    const char *summary;  /* one line */
    const char *text;     /* the rest of the help */
    const struct sg_option *options;
    size_t words_min, words_max;
    bool is_local; /* may do without a server: the common options are not needed */
    enum sg_exit (*run)(struct sg_cli *cli);
};

struct sg_cli {
    const struct sg_command *command;
    struct sg_args args;
    bool is_json; /* --output json */
    uint32_t timeout_ms;
    struct sealgate_client *client; /* NULL until sg_cli_connect() */
    struct sg_bearer_file *bearer;  /* NULL: there is none, or it was not needed yet */
    bool is_patient;                /* it waits for a gateway to come back */
    struct sg_buf log_keys;         /* of the options or the environment, with blanks between */
    struct sealgate_error *collect; /* where failures go instead of stderr; NULL: stderr */
};

/* --endpoint, --ca, --cert, --cert-key ... and --output: every command has them. */
extern const struct sg_option sg_cli_common_options[];

/* Fills sealgate_options from the options and the environment; a flag beats a variable. They are
 * good as long as the program's bearer token is, which is its end. */
enum sg_exit sg_cli_options(struct sg_cli *cli, struct sealgate_options *ret);
/* The keys of logs, NAME+ID+BASE64 with blanks between them; NULL: none is given. Good as long as
 * `cli`. */
const char *sg_cli_log_keys(struct sg_cli *cli);
/* An option, or where it is not given the variable; NULL: neither. */
const char *sg_cli_value(const struct sg_cli *cli, const char *flag, const char *variable);
/* Makes cli->client. Nothing is sent yet. */
enum sg_exit sg_cli_connect(struct sg_cli *cli);

/* The exit code that an error of the library stands for. */
enum sg_exit sg_cli_exit_of(const struct sealgate_error *error);
/* Says on stderr what happened, the reason and what to do next; returns the exit code. */
enum sg_exit sg_cli_failed(const struct sg_cli *cli, const struct sealgate_error *error);
/* The error as JSON members of the object that is open. */
void sg_cli_json_error(struct sg_json *json, const struct sealgate_error *error);
/* The same for what the program itself finds: `exit_code` as given. */
enum sg_exit sg_cli_fail(const struct sg_cli *cli, enum sg_exit exit_code, const char *reason,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* "dev-p256" is short for "keys/dev-p256"; false when it does not fit into `out`. */
bool sg_cli_key_name(const char *text, char out[256]);

/* Prints the JSON in `out` with a line end, frees it, and gives `exit_code`, or SG_EXIT_FILE when
 * stdout does not take it. */
enum sg_exit sg_cli_print_json(const struct sg_cli *cli, struct sg_buf *out,
                               enum sg_exit exit_code);
/* The same for text that was printed with stdio. */
enum sg_exit sg_cli_flush(const struct sg_cli *cli, enum sg_exit exit_code);

/* Writes all of `bytes` to a new file beside `path` and renames it, so that nobody ever reads half
 * of it; "-" is stdout. */
enum sg_exit sg_cli_write_file(const struct sg_cli *cli, const char *path, struct sg_slice bytes);
/* Appends a whole file, which must fit; "-" is stdin. */
enum sg_exit sg_cli_read_file(const struct sg_cli *cli, const char *path, size_t bytes_max,
                              struct sg_buf *out);

/* Every command, in the order of the help; from the table come the help, the manual page and the
 * completion of shells. */
extern const struct sg_command *const sg_commands[];
extern const size_t sg_command_count;
/* The lines about enum sg_exit, as people read them. */
extern const char sg_exit_codes[];

extern const struct sg_command sg_cmd_sign, sg_cmd_verify, sg_cmd_keys_list, sg_cmd_keys_show,
    sg_cmd_keys_public_key, sg_cmd_keys_csr, sg_cmd_info, sg_cmd_health, sg_cmd_bench,
    sg_cmd_token_new, sg_cmd_tokens_list, sg_cmd_tokens_show, sg_cmd_tokens_drain,
    sg_cmd_tokens_resume, sg_cmd_tokens_compare, sg_cmd_audit_verify, sg_cmd_audit_find,
    sg_cmd_audit_show, sg_cmd_audit_tail, sg_cmd_audit_export, sg_cmd_audit_checkpoint,
    sg_cmd_audit_approve;

#endif
