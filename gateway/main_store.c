#include "gateway/main_store.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "formats/audit/signer.h"
#include "gateway/audit/anchor.h"
#include "gateway/audit/examine.h"
#include "gateway/audit/verify.h"
#include "gateway/certify.h"
#include "gateway/key_file.h"
#include "gateway/lost.h"
#include "gateway/store/store.h"
#include "gateway/user.h"

static const char sqlite[] = "sqlite:";

static bool is_sqlite(const struct sg_config *config)
{
    return strncmp(config->store, sqlite, sizeof(sqlite) - 1) == 0;
}

static enum sg_rc owner_of(const char *folder, int64_t *ret_uid, int64_t *ret_gid,
                           struct sg_err *err)
{
    struct stat st;
    char parent[PATH_MAX];
    const char *path = folder;
    if (stat(folder, &st) != 0) {
        snprintf(parent, sizeof(parent), "%s", folder);
        path = dirname(parent);
        if (stat(path, &st) != 0)
            return SG_FAIL(err, SG_E_NOT_FOUND, (unsigned long)errno,
                           "could not find the folder \"%.100s\": %s", path, strerror(errno));
    }
    *ret_uid = st.st_uid;
    *ret_gid = st.st_gid;
    return SG_OK;
}

/* What root would make, the gateway could not write. */
enum sg_rc sg_main_become_gateway(const struct sg_config *config, struct sg_err *err)
{
    int64_t uid = -1, gid = -1;

    if (geteuid() != 0)
        return SG_OK;
    SG_TRY(sg_user_ids(config->gateway_user, &uid, &gid, err));
    if (uid < 0 && !is_sqlite(config))
        return SG_OK;
    if (uid < 0)
        SG_TRY(owner_of(config->store + sizeof(sqlite) - 1, &uid, &gid, err));
    if (uid == 0)
        return SG_OK;
    gid_t group = (gid_t)gid;
    if (setgroups(1, &group) != 0 || setgid(group) != 0 || setuid((uid_t)uid) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not become the user of the gateway: %s", strerror(errno));
    return SG_OK;
}

enum sg_rc sg_main_migrate(const struct sg_config *config, struct sg_err *err)
{
    unsigned from = 0;
    SG_TRY(sg_main_become_gateway(config, err));
    SG_TRY(sg_store_migrate(config->store, &from, err));
    if (from == SG_STORE_SCHEMA)
        printf("the store has version %d already\n", SG_STORE_SCHEMA);
    else if (from == 0)
        printf("the store was made, version %d\n", SG_STORE_SCHEMA);
    else
        printf("the store was brought from version %u to %d\n", from, SG_STORE_SCHEMA);
    return SG_OK;
}

static enum sg_rc print_log(void *arg, const struct sg_store_log *log, struct sg_err *err)
{
    (void)arg, (void)err;
    printf("  log %s, epoch %" PRIu32 ": %" PRIu64 " leaves\n", log->name, log->epoch, log->size);
    return SG_OK;
}

static enum sg_rc print_logs(const char *what, const char *where, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    SG_TRY(sg_store_open_read(where, &store, err));
    printf("%s:\n", what);
    return sg_store_each_log(store, print_log, NULL, err);
}

static enum sg_rc url_of(const char *folder, char **ret, struct sg_err *err)
{
    if (asprintf(ret, "%s%s", sqlite, folder) < 0) {
        *ret = NULL;
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory");
    }
    return SG_OK;
}

enum sg_rc sg_main_backup(const struct sg_config *config, const char *folder, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    char *url = NULL;

    if (!is_sqlite(config))
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0,
                       "a store in PostgreSQL is copied by pg_dump and put back by pg_restore");
    SG_TRY(sg_store_open_read(config->store, &store, err));
    SG_TRY(sg_store_backup(store, folder, err));
    SG_TRY(url_of(folder, &url, err));
    enum sg_rc rc = print_logs("the store was copied", url, err);
    free(url);
    return rc;
}

enum sg_rc sg_main_restore(const struct sg_config *config, const char *folder, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    char *url = NULL;

    if (!is_sqlite(config))
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0,
                       "a store in PostgreSQL is copied by pg_dump and put back by pg_restore");
    SG_TRY(url_of(folder, &url, err));
    enum sg_rc rc = sg_store_open_read(url, &store, err); /* as root, who may see it */
    free(url);
    if (rc == SG_OK)
        rc = sg_main_become_gateway(config, err);
    if (rc == SG_OK)
        rc = sg_store_backup(store, config->store + sizeof(sqlite) - 1, err);
    if (rc == SG_OK)
        rc = print_logs("the store was put back", config->store, err);
    return rc;
}

enum sg_rc sg_main_check_store(const struct sg_config *config, struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_err why = {0};

    enum sg_rc rc = sg_store_open_read(config->store, &store, &why);
    if (rc == SG_OK)
        rc = sg_store_check_safe(store, &why);
    sg_lost_explain(config, &why);
    if (why.reason == SG_R_AUDIT_NOT_INITIALISED) {
        puts("there is no store yet: sealgated init makes it");
        return SG_OK;
    }
    if (rc == SG_E_UNAVAILABLE) {
        printf("the store could not be looked at: %s\n", why.msg);
        return SG_OK;
    }
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

/* The log's key, and what its anchor remembers. */
static enum sg_rc read_promises(const struct sg_config *config, const struct sg_store_log *log,
                                struct sg_note_signer **ret, struct sg_tree_head *ret_anchored,
                                struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;

    SG_TRY(sg_secret_read_file(config->audit_key_file, SG_NOTE_PRIVATE_BYTES_MAX, &secret, err));
    SG_TRY(sg_note_signer_new(sg_secret_bytes(secret), ret, err));
    SG_TRY(sg_anchor_open(config->audit_anchor_file, &anchor, err));
    return sg_anchor_read(anchor, sg_slice_str(log->origin), sg_note_signer_key(*ret), ret_anchored,
                          err);
}

static void print_archived(const struct sg_audit_verified *verified)
{
    if (verified->first > 0)
        printf("  its first %" PRIu64
               " leaves are in an archive, which proves itself: sealgate audit "
               "verify\n",
               verified->first);
}

/* `certifier` empty: nobody asks who certified its key. */
static enum sg_rc verify_certified(struct sg_store *store, const struct sg_store_log *log,
                                   const struct sg_note_key *key, struct sg_slice certifier,
                                   struct sg_err *err)
{
    if (certifier.len == 0)
        return SG_OK;
    SG_TRY(sg_certify_verify(store, log, key, certifier, err));
    printf("  its key is certified by the key that was given\n");
    return SG_OK;
}

/* An epoch that has ended, by what the next one, which was proved, says of it. A broken one is what
 * two administrators accepted. */
static enum sg_rc verify_ended(struct sg_store *store, const struct sg_store_log *log,
                               const struct sg_audit_ended *ended, struct sg_slice certifier,
                               struct sg_err *err)
{
    const struct sg_tree_head *head = ended->is_stored ? &ended->head : NULL;
    struct sg_audit_verified verified;
    struct sg_err why = {0};

    enum sg_rc rc = sg_audit_verify(store, log, ended->key, head, &verified, &why);
    if (rc == SG_OK && head != NULL && verified.size != head->size)
        rc = SG_REFUSE(&why, SG_R_STORE_BROKEN,
                       "log \"%s\" has %" PRIu64 " leaves, and ended with %" PRIu64, log->name,
                       verified.size, head->size);
    if (rc == SG_OK)
        printf("proved: log %s, epoch %" PRIu32 ", %" PRIu64 " leaves, origin %s, ended: %s\n",
               log->name, log->epoch, verified.size, log->origin,
               sg_epoch_state_name(ended->state));
    if (rc == SG_OK) {
        print_archived(&verified);
        /* It may be older than the certifier: the newest epoch is what has to have it. */
        if (verify_certified(store, log, ended->key, certifier, &why) != SG_OK)
            printf("  not certified: %s\n", why.msg);
    } else if (ended->state == SG_EPOCH_BROKEN && why.reason == SG_R_STORE_BROKEN)
        printf("not proved, as was accepted: log %s, epoch %" PRIu32 ": %s\n", log->name,
               log->epoch, why.msg);
    else if (err != NULL)
        *err = why;
    return ended->state == SG_EPOCH_BROKEN && why.reason == SG_R_STORE_BROKEN ? SG_OK : rc;
}

/* Every epoch before `log`, the newest of them first. */
static enum sg_rc verify_before(struct sg_store *store, struct sg_store_log log,
                                struct sg_slice certifier, struct sg_err *err)
{
    while (log.epoch > 1) {
        struct sg_audit_ended ended;
        SG_TRY(sg_audit_ended_read(store, &log, &ended, err));
        enum sg_rc rc = sg_store_find_epoch(store, log.name, ended.epoch, &log, err);
        if (rc == SG_OK)
            rc = verify_ended(store, &log, &ended, certifier, err);
        sg_note_key_free(ended.key);
        SG_TRY(rc);
    }
    return SG_OK;
}

static enum sg_rc verify(const struct sg_config *config, struct sg_slice certifier,
                         struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;
    struct sg_audit_verified verified;
    struct sg_tree_head anchored;
    struct sg_store_log log;

    SG_TRY(sg_main_become_gateway(config, err));
    SG_TRY(sg_store_open_read(config->store, &store, err));
    SG_TRY(sg_store_find_log(store, config->audit_log, &log, err));
    SG_TRY(read_promises(config, &log, &signer, &anchored, err));
    SG_TRY(sg_audit_verify(store, &log, sg_note_signer_key(signer), &anchored, &verified, err));
    printf("proved: log %s, %" PRIu64 " leaves, origin %s, anchor at %" PRIu64 "\n", log.name,
           verified.size, log.origin, anchored.size);
    print_archived(&verified);
    SG_TRY(verify_certified(store, &log, sg_note_signer_key(signer), certifier, err));
    return verify_before(store, log, certifier, err);
}

static enum sg_rc read_certifier(const char *path, struct sg_buf *spki, struct sg_err *err)
{
    struct sg_err why = {0};
    struct sg_buf file;

    sg_buf_init(&file, SG_CERTIFIER_FILE_BYTES_MAX);
    enum sg_rc rc = sg_file_read(path, &file, err);
    if (rc == SG_OK && sg_certifier_read(sg_buf_slice(&file), spki, &why) != SG_OK)
        rc = SG_FAIL(err, SG_E_INVALID, 0, "could not use \"%.100s\": %s", path, why.msg);
    sg_buf_done(&file);
    return rc;
}

enum sg_rc sg_main_verify(const struct sg_config *config, const char *certified_by,
                          struct sg_err *err)
{
    enum sg_rc rc = SG_OK;
    struct sg_buf spki;

    sg_buf_init(&spki, SG_CERTIFIER_FILE_BYTES_MAX);
    if (certified_by != NULL) /* as who started it, who may read it */
        rc = read_certifier(certified_by, &spki, err);
    if (rc == SG_OK)
        rc = verify(config, sg_buf_slice(&spki), err);
    sg_buf_done(&spki);
    return rc;
}
