#include "gateway/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/record.h"
#include "formats/raw/digest.h"
#include "formats/raw/spki_file.h"
#include "gateway/audit/create.h"

enum { FILE_BYTES_MAX = 65536, FIRST_EPOCH = 1 };

static enum sg_rc failed(const char *what, const char *path, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s \"%s\": errno %d",
                   what, path, errno);
}

/* Files ------------------------------------------------------------------------------------ */

static enum sg_rc read_file(const char *path, struct sg_buf *out, struct sg_err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return failed("open", path, err);
    uint8_t *room = sg_buf_room(out, FILE_BYTES_MAX);
    const size_t len = room == NULL ? 0 : fread(room, 1, FILE_BYTES_MAX, file);
    fclose(file);
    sg_buf_claim(out, len);
    if (len == 0 || len == FILE_BYTES_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is no certificate and no public key", path);
    return SG_OK;
}

/* The one that the file is to be in; those above it are the operator's. */
static enum sg_rc make_folder(const char *path, struct sg_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof(folder))
        return SG_OK;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return mkdir(folder, 0700) == 0 || errno == EEXIST ? SG_OK : failed("make", folder, err);
}

/* Whole or not at all: written beside it, then linked to its name, which nobody else has. */
static enum sg_rc write_secret(const char *path, struct sg_slice bytes, struct sg_err *err)
{
    char beside[4096];

    if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside))
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is too long a path", path);
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("make", beside, err);
    errno = EIO; /* of a write that is short */
    bool is_written = write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len && fsync(fd) == 0;
    is_written = close(fd) == 0 && is_written;
    enum sg_rc rc = is_written && link(beside, path) == 0 ? SG_OK : failed("write", path, err);
    unlink(beside);
    return rc;
}

/* The log's key: that of an earlier, unfinished attempt, or a new one. */
static enum sg_rc make_key(const char *path, const char *origin, struct sg_note_signer **ret,
                           struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    enum sg_rc rc = sg_secret_read_file(path, SG_NOTE_PRIVATE_BYTES_MAX, &secret, err);
    if (rc == SG_E_NOT_FOUND) {
        SG_TRY(sg_note_private_new(sg_slice_str(origin), SG_NOTE_ED25519, &secret, err));
        rc = write_secret(path, sg_secret_bytes(secret), err);
    }
    SG_TRY(rc);
    SG_TRY(sg_note_signer_new(sg_secret_bytes(secret), ret, err));
    if (sg_slice_is(sg_note_key_name(sg_note_signer_key(*ret)), origin))
        return SG_OK;
    sg_note_signer_free(*ret);
    *ret = NULL;
    return SG_FAIL(err, SG_E_CONFLICT, 0, "\"%s\" holds the key of another log than \"%s\"", path,
                   origin);
}

/* Leaf 0 ----------------------------------------------------------------------------------- */

static enum sg_rc add_administrator(const char *path, struct sg_buf *detail, struct sg_err *err)
{
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_buf file, spki;

    sg_buf_init(&file, FILE_BYTES_MAX);
    sg_buf_init(&spki, FILE_BYTES_MAX);
    enum sg_rc rc = read_file(path, &file, err);
    if (rc == SG_OK && sg_spki_of_certificate(sg_buf_slice(&file), &spki, NULL) != SG_OK)
        rc = sg_spki_of_public_key(sg_buf_slice(&file), &spki, err);
    if (rc == SG_OK)
        rc = sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&spki), hash, err);
    if (rc == SG_OK) {
        sg_buf_add_str(detail, "administrator: sha256:");
        for (size_t i = 0; i < 32; i++)
            sg_buf_printf(detail, "%02x", hash[i]);
        sg_buf_add_str(detail, "\n");
    }
    sg_buf_done(&spki);
    sg_buf_done(&file);
    return rc;
}

/* What the log begins with, for people and for whoever accepts a new epoch. */
static enum sg_rc describe(const struct sg_config *config, const struct sg_init_options *options,
                           const struct sg_note_key *key, struct sg_buf *detail, struct sg_err *err)
{
    sg_buf_add_str(detail, "log key: ");
    sg_note_key_write(key, detail);
    sg_buf_add_str(detail, "\n");
    for (size_t i = 0; i < options->administrator_count; i++)
        SG_TRY(add_administrator(options->administrators[i], detail, err));
    for (size_t i = 0; i < config->token_count; i++)
        sg_buf_printf(detail, "token: %s %s\n", config->tokens[i].name, config->tokens[i].uri);
    return sg_buf_check(detail, err);
}

static enum sg_rc start_log(struct sg_store *store, const struct sg_config *config,
                            const struct sg_init_options *options, struct sg_note_signer *signer,
                            struct sg_store_log *log, struct sg_err *err)
{
    struct sg_buf detail;

    sg_buf_init(&detail, SG_AUDIT_TEXT_BYTES_MAX);
    enum sg_rc rc = describe(config, options, sg_note_signer_key(signer), &detail, err);
    if (rc == SG_OK)
        rc = sg_audit_create(store, log, signer, config->audit_anchor_file,
                             sg_wall_ns(&sg_clock_system), sg_buf_slice(&detail), err);
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
        return failed("find", "the host's name", err);
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

enum sg_rc sg_init(const struct sg_config *config, const struct sg_init_options *options,
                   struct sg_buf *report, struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_store_log log = {0};
    unsigned version = 0;

    SG_TRY(check(options, err));
    SG_TRY(make_folder(config->audit_key_file, err));
    SG_TRY(make_folder(config->audit_anchor_file, err));
    SG_TRY(sg_store_migrate(config->store, &version, err));
    SG_TRY(sg_store_open(config->store, &store, err));
    enum sg_rc rc = sg_store_find_log(store, config->audit_log, &log, err);
    const bool is_new = rc == SG_E_NOT_FOUND;
    if (is_new)
        rc = set_names(config, options, &log, err);
    SG_TRY(rc);
    SG_TRY(make_key(config->audit_key_file, log.origin, &signer, err));
    if (is_new)
        SG_TRY(start_log(store, config, options, signer, &log, err));
    sg_buf_printf(report, "%s the audit log \"%s\", origin %s\nits key, for those who verify: ",
                  is_new ? "made" : "kept", log.name, log.origin);
    sg_note_key_write(sg_note_signer_key(signer), report);
    sg_buf_add_str(report, "\n");
    return sg_buf_check(report, err);
}
