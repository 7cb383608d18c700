#include "gateway/init.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/epoch.h"
#include "gateway/administrators.h"
#include "gateway/audit/anchor.h"
#include "gateway/audit/create.h"
#include "gateway/certify.h"
#include "gateway/key_file.h"
#include "gateway/trust.h"

enum { FIRST_EPOCH = 1 };

/* Leaf 0 ----------------------------------------------------------------------------------- */

/* What the log begins with, for people and for whoever accepts a new epoch. */
static enum sg_rc describe(const struct sg_config *config, const struct sg_init_options *options,
                           const struct sg_note_key *key,
                           const struct sg_certification *certification, struct sg_buf *detail,
                           struct sg_err *err)
{
    SG_AUTO(sg_tls_trust_free) struct sg_tls_trust *trust = NULL;

    SG_TRY(sg_trust_of(config, &trust, err));
    sg_buf_add_str(detail, "log key: ");
    sg_note_key_write(key, detail);
    sg_buf_add_str(detail, "\n");
    if (certification != NULL)
        sg_certification_describe(certification, detail);
    const size_t begin = detail->len;
    for (size_t i = 0; i < options->administrator_count; i++)
        SG_TRY(sg_administrator_add(options->administrators[i], trust, detail, err));
    SG_TRY(sg_buf_check(detail, err));
    struct sg_slice administrators = sg_buf_slice(detail);
    (void)sg_slice_take(&administrators, begin);
    SG_TRY(sg_epoch_administrators_check(administrators, err));
    for (size_t i = 0; i < config->token_count; i++)
        sg_buf_printf(detail, "token: %s %s\n", config->tokens[i].name, config->tokens[i].uri);
    return sg_buf_check(detail, err);
}

/* `certification` NULL: it has none. */
static enum sg_rc start_log(struct sg_store *store, const struct sg_config *config,
                            const struct sg_init_options *options, struct sg_note_signer *signer,
                            const struct sg_certification *certification, struct sg_store_log *log,
                            struct sg_err *err)
{
    struct sg_buf detail;

    sg_buf_init(&detail, SG_AUDIT_TEXT_BYTES_MAX);
    enum sg_rc rc =
        describe(config, options, sg_note_signer_key(signer), certification, &detail, err);
    struct sg_audit_record record = {.event = SG_AUDIT_LOG_STARTED,
                                     .time_ns = sg_wall_ns(&sg_clock_system),
                                     .detail = sg_buf_slice(&detail)};
    if (certification != NULL)
        sg_certification_put(certification, &record);
    const struct sg_audit_beginning beginning = {.records = &record, .count = 1};
    if (rc == SG_OK)
        rc = sg_audit_create(store, log, signer, config->audit_anchor_file, &beginning, err);
    sg_buf_done(&detail);
    return rc;
}

/* The whole ---------------------------------------------------------------------------------- */

static enum sg_rc check(const struct sg_init_options *options, struct sg_err *err)
{
    if (options->administrator_count < 2)
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "name two administrators at least: --administrator FILE, twice");
    return SG_OK;
}

static enum sg_rc set_names(const struct sg_config *config, const struct sg_init_options *options,
                            struct sg_store_log *log, struct sg_err *err)
{
    char host[SG_STORE_ORIGIN_LEN_MAX + 1] = "";

    if (options->origin == NULL && gethostname(host, sizeof(host) - 1) != 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno,
                       "could not find the host's name: %s", strerror(errno));
    log->epoch = FIRST_EPOCH;
    int name = snprintf(log->name, sizeof(log->name), "%s", config->audit_log);
    int origin =
        snprintf(log->origin, sizeof(log->origin), "%s/%s/%d",
                 options->origin == NULL ? host : options->origin, config->audit_log, FIRST_EPOCH);
    if ((size_t)name >= sizeof(log->name) || (size_t)origin >= sizeof(log->origin) ||
        !sg_checkpoint_origin_is_good(sg_slice_str(log->origin)))
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "\"%s\" is no origin of a log: a name of at most %d letters, without spaces",
                       log->origin, SG_STORE_ORIGIN_LEN_MAX);
    return SG_OK;
}

/*
 * That no log is made in the place of one that was lost: it would promise a second history by the
 * same key, and take the anchor, which alone remembers the first. An anchor of leaf 0 alone, or an
 * empty one, is what an attempt before this one left.
 */
static enum sg_rc check_anchor(const struct sg_config *config, const struct sg_store_log *log,
                               struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;
    const char *path = config->audit_anchor_file;
    struct sg_tree_head head = {0};
    struct stat st;

    if (stat(path, &st) != 0 ? errno == ENOENT : st.st_size == 0)
        return SG_OK;
    SG_TRY(sg_anchor_open(path, &anchor, err));
    enum sg_rc rc = sg_key_file_read(config->audit_key_file, &signer, err);
    if (rc == SG_OK)
        rc = sg_anchor_read(anchor, sg_slice_str(log->origin), sg_note_signer_key(signer), &head,
                            err);
    if (rc == SG_E_NOT_FOUND)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                         "\"%.100s\" is the anchor of another log, or by a key that is not there",
                         path);
    SG_TRY(rc);
    if (head.size > 1)
        return SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                         "the store has no log \"%s\", and its anchor remembers %llu leaves of it: "
                         "put the store back",
                         log->name, (unsigned long long)head.size);
    return SG_OK;
}

static enum sg_rc check_new(const struct sg_config *config, const struct sg_init_options *options,
                            struct sg_store_log *log, struct sg_err *err)
{
    SG_TRY(set_names(config, options, log, err));
    return check_anchor(config, log, err);
}

/* Errors: SG_E_NOT_FOUND: there is no such log. */
static enum sg_rc find_log(const struct sg_config *config, struct sg_store **ret_store,
                           struct sg_store_log *log, struct sg_err *err)
{
    SG_TRY(sg_store_open(config->store, ret_store, err));
    return sg_store_find_log(*ret_store, config->audit_log, log, err);
}

/* Before a store is made: one that is put back wants its place empty, and where the log's key
 * cannot be certified there is to be no log. */
static enum sg_rc check_store(const struct sg_config *config, const struct sg_init_options *options,
                              struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_store_log log = {0};
    struct sg_err why = {0};

    enum sg_rc rc = find_log(config, &store, &log, &why);
    if (rc == SG_E_NOT_FOUND || why.reason == SG_R_AUDIT_NOT_INITIALISED) {
        SG_TRY(check_new(config, options, &log, err));
        return sg_certify_token(config) == NULL ? SG_OK : sg_certify_check(config, err);
    }
    return SG_OK; /* whatever else is wrong is found again, or mended by migrating */
}

enum sg_rc sg_init(const struct sg_config *config, const struct sg_init_options *options,
                   struct sg_buf *report, struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    const struct sg_certification *certified = NULL;
    struct sg_certification certification;
    struct sg_store_log log = {0};
    unsigned version = 0;

    SG_TRY(check(options, err));
    SG_TRY(check_store(config, options, err));
    SG_TRY(sg_file_make_folder(config->audit_key_file, err));
    SG_TRY(sg_file_make_folder(config->audit_anchor_file, err));
    SG_TRY(sg_store_migrate(config->store, &version, err));
    enum sg_rc rc = find_log(config, &store, &log, err);
    const bool is_new = rc == SG_E_NOT_FOUND;
    if (is_new)
        rc = check_new(config, options, &log, err);
    SG_TRY(rc);
    SG_TRY(sg_key_file_make(config->audit_key_file, log.origin, SG_NOTE_ED25519, &signer, err));
    if (is_new && sg_certify_token(config) != NULL) {
        SG_TRY(sg_certify(config, sg_note_signer_key(signer), &certification, err));
        certified = &certification;
    }
    if (is_new)
        SG_TRY(start_log(store, config, options, signer, certified, &log, err));
    sg_buf_printf(report, "%s the audit log \"%s\", origin %s\nits key, for those who verify: ",
                  is_new ? "made" : "kept", log.name, log.origin);
    sg_note_key_write(sg_note_signer_key(signer), report);
    sg_buf_add_str(report, "\n");
    SG_TRY(sg_certify_report(store, &log, report, err));
    return sg_buf_check(report, err);
}

/* A witness --------------------------------------------------------------------------------- */

enum sg_rc sg_witness_key_path(const struct sg_config *config, char *ret, size_t cap,
                               struct sg_err *err)
{
    if ((size_t)snprintf(ret, cap, "%s/key", config->witness_folder) >= cap)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"witness_folder\" is too long a path");
    return SG_OK;
}

enum sg_rc sg_init_witness(const struct sg_config *config, const char *name, struct sg_buf *report,
                           struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    char host[SG_STORE_ORIGIN_LEN_MAX + 1] = "", whole[sizeof(host) + 16], path[4096];

    if (name == NULL && gethostname(host, sizeof(host) - 1) != 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno,
                       "could not find the host's name: %s", strerrordesc_np(errno));
    snprintf(whole, sizeof(whole), "%s%s", name == NULL ? host : name,
             name == NULL ? "/witness" : "");
    if (!sg_checkpoint_origin_is_good(sg_slice_str(whole)))
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is no name of a witness", whole);
    SG_TRY(sg_witness_key_path(config, path, sizeof(path), err));
    SG_TRY(sg_file_make_folder(path, err));
    SG_TRY(sg_key_file_make(path, whole, SG_NOTE_COSIGNATURE, &signer, err));
    sg_buf_printf(report,
                  "the witness \"%s\" has its key in %s\nits public key, for the logs that it "
                  "watches: ",
                  whole, path);
    sg_note_key_write(sg_note_signer_key(signer), report);
    sg_buf_add_str(report, "\n");
    return sg_buf_check(report, err);
}
