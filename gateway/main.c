#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/administrators.h"
#include "gateway/app.h"
#include "gateway/app_witness.h"
#include "gateway/config/config.h"
#include "gateway/init.h"
#include "gateway/key_file.h"
#include "gateway/launcher.h"
#include "gateway/lost.h"
#include "gateway/main_archive.h"
#include "gateway/main_epoch.h"
#include "gateway/main_store.h"
#include "gateway/main_verify.h"
#include "gateway/trust.h"
#include "gateway/user.h"
#include "hsm/token.h"
#include "methods.h"
#include "proto/tls/tls.h"

enum exit_status { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNSEEN = 3 };

static const char usage[] =
    "Usage: sealgated ROLE --config FILE\n"
    "       sealgated verify [--archive FOLDER ... | --without-archive] --config FILE\n"
    "       sealgated migrate --config FILE\n"
    "       sealgated backup --to FOLDER --config FILE\n"
    "       sealgated restore --from FOLDER --config FILE\n"
    "       sealgated archive --to FOLDER [--before TIME] [--leaves N] --config FILE\n"
    "       sealgated verify [--certified-by FILE] --config FILE\n"
    "       sealgated --check-config --config FILE\n"
    "       sealgated init --config FILE --administrator FILE --administrator FILE\n"
    "       sealgated init witness --config FILE [--origin NAME]\n"
    "       sealgated epoch state --why TEXT [--administrator FILE ...] --config FILE\n"
    "       sealgated epoch accept --statement FILE --approval FILE --approval FILE --config FILE\n"
    "\n"
    "The Sealgate signing gateway: signs with keys in a PKCS#11 token, over gRPC.\n"
    "\n"
    "Roles:\n"
    "  run             starts the gateway and each token as a process of its own, and watches over "
    "them\n"
    "  run gateway     the same for the gateway alone, where token processes have their own units\n"
    "  gateway         serves callers; holds no PIN and no PKCS#11 module\n"
    "  witness         cosigns checkpoints of other audit logs; has no token, no PIN and no store\n"
    "  token NAME      serves one token of the configuration; loads its module and its PIN\n"
    "\n"
    "Commands:\n"
    "  init            makes the store, the audit log, its key and its anchor; once, before the "
    "first start\n"
    "  init witness    makes the key of the role witness, called NAME; once\n"
    "  verify          proves the whole audit log: each leaf, the tree, its checkpoint, its "
    "anchor,\n                  its archive\n"
    "  migrate         brings the store to the version that this program needs\n"
    "  backup          copies the store, in SQLite, while it is in use, into a new folder\n"
    "  restore         puts such a copy where the configuration says, if nothing is there\n"
    "  archive         moves old leaves of the audit log to files that prove themselves\n"
    "  epoch state     states what the audit log is like, for two administrators to approve of\n"
    "  epoch accept    ends the log that was stated and begins its next epoch, with a new key\n"
    "\n"
    "Options:\n"
    "  --config FILE   the configuration (YAML)\n"
    "  --to FOLDER     where backup makes its copy; where archive makes its files\n"
    "  --before TIME   archive: leaves before 2027-01-31T00:00:00Z, or older than 90d, 12h, 600s\n"
    "  --leaves N      archive: at most so many, the oldest\n"
    "  --archive FOLDER  verify: where files of the archive are; may be given again\n"
    "  --without-archive  verify: leaves that are in an archive are not looked at\n"
    "  --from FOLDER   the copy that restore puts back\n"
    "  --certified-by FILE  verify: what certified the log's key: certificate or public key\n"
    "  --check-config  reads and checks the configuration, says what is wrong with it, and ends\n"
    "  --example       prints a commented example of the configuration\n"
    "  --help-config   explains every option of the configuration\n"
    "  --administrator FILE  init: certificate or public key of an administrator; two at least\n"
    "                  epoch state: the same, of the new epoch in the place of the old one's\n"
    "  --why TEXT      epoch state: what happened, in a line\n"
    "  --statement FILE  epoch accept: what epoch state printed\n"
    "  --approval FILE  epoch accept: what \"sealgate audit approve\" made of it; two\n"
    "  --origin NAME   init: what the audit log is called outside; else the name of this host\n"
    "  --help          this text\n"
    "  --version       the version\n"
    "\n"
    "Signals: SIGTERM lets open calls end and stops; SIGHUP reads certificates, CRLs\n    and the "
    "list of callers anew; SIGUSR2, to run, has a new gateway take over.\n"
    "Exit status: 0 stopped as asked or configuration in order, 1 failed, 2 wrong usage,\n    3 "
    "verify: what the store has is proved; archived leaves were not looked at.\n";

struct arguments {
    const char *program;
    const char *role, *name, *config; /* name: of the token, or of what to run */
    const char *to, *from;            /* folders of backup and restore */
    struct sg_main_archive archive;
    struct sg_main_verify verify;
    struct sg_main_epoch epoch;
    const char *origin, *administrators[SG_INIT_ADMINISTRATORS_MAX + 1]; /* for init */
    size_t administrator_count;
    bool check_config, example, help_config, help, version;
};

static bool parse_flag(struct arguments *arguments, const char *flag)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = {
        {"--check-config", &arguments->check_config},
        {"--without-archive", &arguments->verify.is_without_archive},
        {"--example", &arguments->example},
        {"--help-config", &arguments->help_config},
        {"--help", &arguments->help},
        {"-h", &arguments->help},
        {"--version", &arguments->version},
    };
    for (size_t i = 0; i < SG_COUNT(flags); i++) {
        if (strcmp(flags[i].name, flag) == 0) {
            *flags[i].value = true;
            return true;
        }
    }
    return false;
}

static int fail_usage(const char *what, const char *word)
{
    fprintf(stderr, "sealgated: %s%s%s%s; --help says what there is\n", what,
            word == NULL ? "" : " \"", word == NULL ? "" : word, word == NULL ? "" : "\"");
    return EXIT_USAGE;
}

/* Where the value of an option belongs; NULL: it is none that takes a value. */
static const char **place_of(struct arguments *arguments, const char *word, size_t *ret_len)
{
    const struct {
        const char *name;
        const char **place;
    } options[] = {
        {"--config", &arguments->config},
        {"--to", &arguments->to},
        {"--from", &arguments->from},
        {"--origin", &arguments->origin},
        {"--certified-by", &arguments->verify.certified_by},
        {"--before", &arguments->archive.before},
        {"--leaves", &arguments->archive.leaves},
        {"--why", &arguments->epoch.why},
        {"--statement", &arguments->epoch.statement},
        {"--approval", &arguments->epoch.approvals[arguments->epoch.approvals[0] != NULL]},
        {"--administrator", &arguments->administrators[arguments->administrator_count]},
        {"--archive", &arguments->verify.folders[arguments->verify.folder_count]},
    };
    for (size_t i = 0; i < SG_COUNT(options); i++) {
        *ret_len = strlen(options[i].name);
        if (strncmp(word, options[i].name, *ret_len) == 0 &&
            (word[*ret_len] == '=' || word[*ret_len] == '\0'))
            return options[i].place;
    }
    return NULL;
}

/* `*at` is moved past the value. 0, or an exit status with the reason told; -1: it takes none. */
static int parse_value(struct arguments *arguments, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    size_t len;
    const char **place = place_of(arguments, word, &len);

    if (place == NULL)
        return -1;
    if (word[len] == '\0' && *at + 1 == argc)
        return fail_usage("a value is missing behind", word);
    *place = word[len] == '=' ? word + len + 1 : argv[++*at];
    if (place == &arguments->verify.folders[arguments->verify.folder_count] &&
        ++arguments->verify.folder_count > SG_MAIN_VERIFY_FOLDERS_MAX)
        return fail_usage("too many folders:", *place);
    if (place != &arguments->administrators[arguments->administrator_count])
        return 0;
    if (arguments->administrator_count == SG_INIT_ADMINISTRATORS_MAX)
        return fail_usage("too many administrators:", *place);
    arguments->administrator_count++;
    return 0;
}

/* Whether `word` is an option with a value, here or in the next word; NULL in `*ret`: it lacks. */
/* 0, or an exit status with the reason told. */
static int parse(int argc, char **argv, struct arguments *ret)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        int status = parse_value(ret, argc, argv, &i);
        if (status > 0)
            return status;
        if (status == 0 || parse_flag(ret, word)) {
            continue;
        } else if (word[0] == '-') {
            return fail_usage("there is no option", word);
        } else if (ret->role == NULL) {
            ret->role = word;
        } else if (ret->name == NULL &&
                   (strcmp(ret->role, "token") == 0 || strcmp(ret->role, "epoch") == 0 ||
                    (strcmp(ret->role, "init") == 0 && strcmp(word, "witness") == 0) ||
                    (strcmp(ret->role, "run") == 0 && strcmp(word, "gateway") == 0))) {
            ret->name = word;
        } else {
            return fail_usage("one word too many:", word);
        }
    }
    return 0;
}

static void print_error(const struct sg_err *err)
{
    fprintf(stderr, "sealgated: %s\n", err->msg);
}

static int print(void (*fill)(struct sg_buf *out))
{
    struct sg_buf out;
    sg_buf_init(&out, 1 << 20);
    fill(&out);
    bool written =
        !out.failed && fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    sg_buf_done(&out);
    return written ? EXIT_OK : EXIT_FAILED;
}

static const struct sg_config *load(const char *path)
{
    const struct sg_config *config = NULL;
    struct sg_err err;
    struct sg_buf report;

    sg_buf_init(&report, 65536);
    if (sg_config_load(path, &report, &config, &err) != SG_OK) {
        if (report.len > 0)
            fprintf(stderr, "%.*s", (int)report.len, (const char *)report.ptr);
        else
            print_error(&err);
    }
    sg_buf_done(&report);
    return config;
}

static void setup_log(const struct sg_config *config, const char *process)
{
    sg_log_setup((enum sg_log_level)config->log_level,
                 config->log_format == 1 ? SG_LOG_JSON : SG_LOG_KEY_VALUE, process);
}

static enum sg_rc run_token(const struct sg_config *config, const char *name,
                            const struct sg_notify *notify, struct sg_err *err)
{
    for (size_t i = 0; i < config->token_count; i++) {
        const struct sg_config_token *token = &config->tokens[i];
        if (strcmp(token->name, name) != 0)
            continue;
        struct sg_token_config token_config = {
            .name = token->name,
            .module = token->module,
            .uri = token->uri,
            .pin_file = token->pin_file,
            .socket = token->socket,
            .state_dir = token->state_dir,
            .workers = (size_t)token->workers,
            .hang_ms = token->hang_ms,
            .allow_extractable = token->allow_extractable,
            .notify = notify,
        };
        SG_TRY(sg_user_ids(config->gateway_user, &token_config.gateway_uid,
                           &token_config.gateway_gid, err));
        return sg_token_run(&token_config, err);
    }
    return SG_FAIL(err, SG_E_INVALID, 0, "the configuration has no token \"%s\"", name);
}

/*
 * The path by which we were started, for the launcher to execute: another program may stand there
 * later, and links in it may lead elsewhere, which is how programs are replaced. NULL: none is
 * known to lead to us.
 */
static char *own_path(const char *name)
{
    struct stat own, named;
    char *path = NULL;

    if (strchr(name, '/') == NULL || stat("/proc/self/exe", &own) != 0 || stat(name, &named) != 0 ||
        own.st_dev != named.st_dev || own.st_ino != named.st_ino)
        return realpath("/proc/self/exe", NULL);
    if (name[0] == '/')
        return strdup(name);
    char *folder = getcwd(NULL, 0);
    if (folder != NULL && asprintf(&path, "%s/%s", folder, name) < 0)
        path = NULL;
    free(folder);
    return path;
}

static enum sg_rc run_launcher(const struct sg_config *config, const struct arguments *arguments,
                               const struct sg_notify *notify, struct sg_err *err)
{
    struct sg_launcher_options options = {
        .config_path = arguments->config,
        .is_gateway_only = arguments->name != NULL,
        .notify = notify,
    };
    SG_TRY(sg_sockets_inherit(&options.sockets, err));
    char *program = own_path(arguments->program);
    if (program == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not find our own program");
    options.program = program;
    enum sg_rc rc = sg_launcher_run(config, &options, err);
    free(program);
    return rc;
}

static enum sg_rc run_gateway(const struct sg_config *config, const char *path,
                              const struct sg_notify *notify, struct sg_err *err)
{
    struct sg_app_start start = {.notify = *notify,
                                 .is_successor = getenv(SG_APP_SUCCESSOR) != NULL};
    unsetenv(SG_APP_SUCCESSOR);
    SG_TRY(sg_sockets_inherit(&start.sockets, err));
    return sg_app_run(config, path, &start, err);
}

/* As who started it, who may read them; the gateway's user need not. */
static enum sg_rc init_log(const struct arguments *arguments, const struct sg_config *config,
                           struct sg_buf *report, struct sg_err *err)
{
    struct sg_slice administrators[SG_INIT_ADMINISTRATORS_MAX];
    struct sg_buf files[SG_INIT_ADMINISTRATORS_MAX];
    const struct sg_init_options options = {.origin = arguments->origin,
                                            .administrators = administrators,
                                            .administrator_count = arguments->administrator_count};
    enum sg_rc rc = SG_OK;

    for (size_t i = 0; i < options.administrator_count; i++) {
        sg_buf_init(&files[i], SG_ADMINISTRATOR_FILE_BYTES_MAX);
        if (rc == SG_OK)
            rc = sg_file_read(arguments->administrators[i], &files[i], err);
        administrators[i] = sg_buf_slice(&files[i]);
    }
    if (rc == SG_OK)
        rc = sg_main_become_gateway(config, err);
    if (rc == SG_OK)
        rc = sg_init(config, &options, report, err);
    for (size_t i = 0; i < options.administrator_count; i++)
        sg_buf_done(&files[i]);
    return rc;
}

static int run_init(const struct arguments *arguments, const struct sg_config *config)
{
    struct sg_err err = {0};
    struct sg_buf report;

    sg_buf_init(&report, 1 << 20);
    umask(077);
    enum sg_rc rc = arguments->name != NULL
                        ? sg_init_witness(config, arguments->origin, &report, &err)
                        : init_log(arguments, config, &report, &err);
    if (rc == SG_OK)
        printf("%.*s", (int)report.len, (const char *)report.ptr);
    else
        print_error(&err);
    sg_buf_done(&report);
    return rc == SG_OK ? EXIT_OK : EXIT_FAILED;
}

static int run_epoch(const struct arguments *arguments, const struct sg_config *config)
{
    struct sg_main_epoch wish = arguments->epoch;
    const struct sg_main_epoch *epoch = &wish;
    const char *step = arguments->name == NULL ? "" : arguments->name;
    struct sg_err err = {0};
    enum sg_rc rc;

    wish.administrators = arguments->administrators;
    wish.administrator_count = arguments->administrator_count;
    umask(077);
    if (strcmp(step, "state") == 0) {
        if (epoch->why == NULL)
            return fail_usage("why? sealgated epoch state --why TEXT", NULL);
        rc = sg_main_epoch_state(config, epoch, &err);
    } else if (strcmp(step, "accept") == 0) {
        if (epoch->statement == NULL || epoch->approvals[1] == NULL)
            return fail_usage("by what? sealgated epoch accept --statement FILE --approval FILE "
                              "--approval FILE",
                              NULL);
        rc = sg_main_epoch_accept(config, epoch, &err);
    } else {
        return fail_usage("what of the epoch? sealgated epoch state, sealgated epoch accept", NULL);
    }
    if (rc == SG_OK && fflush(stdout) == 0)
        return EXIT_OK;
    sg_lost_explain(config, &err);
    print_error(&err);
    return EXIT_FAILED;
}

static int run_role(const struct arguments *arguments, const struct sg_config *config)
{
    enum sg_rc rc;
    struct sg_err err = {0};
    struct sg_notify notify;
    const char *role = arguments->role;

    /* A log that nobody reads any more must not end the process. */
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(role, "token") == 0 && arguments->name == NULL)
        return fail_usage("which token? sealgated token NAME", NULL);
    if (strcmp(role, "run") != 0 && strcmp(role, "gateway") != 0 && strcmp(role, "token") != 0 &&
        strcmp(role, "witness") != 0)
        return fail_usage("there is no role", role);
    setup_log(config, strcmp(role, "run") == 0 ? "launcher" : role);
    rc = sg_notify_open(&notify, &err);
    if (rc == SG_OK && strcmp(role, "run") == 0)
        rc = run_launcher(config, arguments, &notify, &err);
    else if (rc == SG_OK && strcmp(role, "gateway") == 0)
        rc = run_gateway(config, arguments->config, &notify, &err);
    else if (rc == SG_OK && strcmp(role, "witness") == 0)
        rc = sg_app_witness_run(config, &notify, &err);
    else if (rc == SG_OK)
        rc = run_token(config, arguments->name, &notify, &err);
    if (rc == SG_OK)
        return EXIT_OK;
    sg_lost_explain(config, &err);
    sg_log(SG_LOG_ERROR, NULL, "process.failed", SG_F_ERR(&err));
    return EXIT_FAILED;
}

/* What is done with the store and then ends; -1: the role is none of these. */
static int run_command(const struct arguments *arguments, const struct sg_config *config)
{
    const char *role = arguments->role;
    struct sg_err err = {0};
    enum sg_rc rc;

    if (strcmp(role, "init") == 0)
        return run_init(arguments, config);
    if (strcmp(role, "epoch") == 0)
        return run_epoch(arguments, config);
    if (strcmp(role, "backup") == 0) {
        if (arguments->to == NULL)
            return fail_usage("whereto? sealgated backup --to FOLDER", NULL);
        rc = sg_main_backup(config, arguments->to, &err);
    } else if (strcmp(role, "restore") == 0) {
        if (arguments->from == NULL)
            return fail_usage("from where? sealgated restore --from FOLDER", NULL);
        rc = sg_main_restore(config, arguments->from, &err);
    } else if (strcmp(role, "archive") == 0) {
        struct sg_main_archive archive = arguments->archive;
        archive.folder = arguments->to;
        if (archive.folder == NULL)
            return fail_usage("whereto? sealgated archive --to FOLDER", NULL);
        rc = sg_main_archive(config, &archive, &err);
    } else if (strcmp(role, "verify") == 0) {
        rc = sg_main_verify(config, &arguments->verify, &err);
    } else if (strcmp(role, "migrate") == 0) {
        rc = sg_main_migrate(config, &err);
    } else {
        return -1;
    }
    if (fflush(stdout) == 0 && rc == SG_OK)
        return EXIT_OK;
    if (strcmp(role, "restore") != 0) /* it looks at a copy */
        sg_lost_explain(config, &err);
    print_error(&err);
    return strcmp(role, "verify") == 0 && err.reason == SG_R_LEAF_ARCHIVED ? EXIT_UNSEEN
                                                                           : EXIT_FAILED;
}

/* That the gateway would start with these certificates, of its own and of clients' CAs. */
static enum sg_rc check_tls(const struct sg_config *config, struct sg_err *err)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;
    static const char *const alpn[] = {"h2"};
    struct sg_tls_ctx *ctx = NULL;
    const struct sg_tls_server_options options = {.cert_file = config->tls_certificate_file,
                                                  .key_file = config->tls_key_file,
                                                  .alpn = alpn,
                                                  .alpn_count = SG_COUNT(alpn)};

    if (config->client_ca_count > 0) /* a witness's has none */
        SG_TRY(sg_trust_of(config, &trust, err));
    SG_TRY(sg_tls_server_ctx_new(&options, &ctx, err));
    sg_tls_ctx_free(ctx);
    return SG_OK;
}

static bool is_served(const char *name)
{
    for (size_t i = 0; i < sg_methods.count; i++)
        if (strcmp(sg_methods.methods[i].service, name) == 0 ||
            strcmp(sg_methods.methods[i].path + 1, name) == 0)
            return true;
    return false;
}

/* A start takes what a newer program serves, so that a configuration can be there before it. */
static enum sg_rc check_methods(const struct sg_config *config, struct sg_err *err)
{
    for (size_t i = 0; i < config->caller_count; i++)
        for (size_t j = 0; j < config->callers[i].method_count; j++)
            if (!is_served(config->callers[i].methods[j]))
                return SG_FAIL(err, SG_E_INVALID, 0,
                               "caller \"%.60s\": there is no service and no method \"%.90s\"",
                               config->callers[i].name, config->callers[i].methods[j]);
    return SG_OK;
}

static int check_config(const char *path, const struct sg_config *config)
{
    struct sg_err err = {0};
    if (check_methods(config, &err) != SG_OK || check_tls(config, &err) != SG_OK ||
        sg_main_check_store(config, &err) != SG_OK) {
        print_error(&err);
        return EXIT_FAILED;
    }
    printf("%s is in order: %zu tokens, %zu keys, %zu callers\n", path, config->token_count,
           config->key_count, config->caller_count);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.program = argv[0]};
    int status = parse(argc, argv, &arguments);
    if (status != 0)
        return status;
    if (arguments.help || argc == 1) {
        fputs(usage, argc == 1 ? stderr : stdout);
        return argc == 1 ? EXIT_USAGE : EXIT_OK;
    }
    if (arguments.version) {
        puts("sealgated " SG_VERSION);
        return EXIT_OK;
    }
    if (arguments.help_config)
        return print(sg_config_help);
    if (arguments.example)
        return print(sg_config_example);
    if (arguments.config == NULL)
        return fail_usage("which configuration? --config FILE", NULL);
    if (arguments.role == NULL && !arguments.check_config)
        return fail_usage("which role? run, gateway, witness or token NAME", NULL);
    const char *role = arguments.role == NULL ? "" : arguments.role;
    if ((arguments.to != NULL && strcmp(role, "backup") != 0 && strcmp(role, "archive") != 0) ||
        (arguments.from != NULL && strcmp(role, "restore") != 0))
        return fail_usage("--to goes with backup and archive, --from with restore", NULL);
    if (arguments.verify.certified_by != NULL && strcmp(role, "verify") != 0)
        return fail_usage("--certified-by goes with verify", NULL);
    const struct sg_main_verify *verify = &arguments.verify;
    if ((verify->folder_count > 0 || verify->is_without_archive) && strcmp(role, "verify") != 0)
        return fail_usage("--archive and --without-archive go with verify", NULL);
    if (verify->folder_count > 0 && verify->is_without_archive)
        return fail_usage("with --archive or --without-archive?", NULL);

    SG_AUTO(sg_config_free) const struct sg_config *config = load(arguments.config);
    if (config == NULL)
        return EXIT_FAILED;
    if (arguments.check_config)
        return check_config(arguments.config, config);
    status = run_command(&arguments, config);
    return status >= 0 ? status : run_role(&arguments, config);
}
