#include "gateway/main_verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/secret.h"
#include "formats/audit/signer.h"
#include "gateway/audit/anchor.h"
#include "gateway/audit/examine.h"
#include "gateway/audit/verify.h"
#include "gateway/certify.h"
#include "gateway/key_file.h"
#include "gateway/main_store.h"

struct verifying {
    struct sg_store *store;
    const struct sg_archive_folders *archives; /* NULL: none were named */
    bool is_without_archive;
    struct sg_slice certifier; /* empty: nobody asks who certified the log's key */
    uint64_t unseen;           /* leaves, of all epochs */
};

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

/* "proved" is said of a log of which every leaf was read, and of no other. */
static const char *how(const struct sg_audit_verified *verified)
{
    return verified->unseen == 0 ? "proved" : "proved in part";
}

static void print_archived(const struct sg_audit_verified *verified)
{
    if (verified->files > 0)
        printf("  %" PRIu64 " files of its archive, with leaves 0 to %" PRIu64
               "; the store has those from %" PRIu64 " on\n",
               verified->files, verified->filed - 1, verified->first);
    if (verified->unseen > 0)
        printf("  not looked at: leaves %d to %" PRIu64
               ", which are not in the store; their hashes are in the tree\n",
               SG_STORE_BEGINNING, verified->first - 1);
}

static enum sg_rc verify_certified(const struct verifying *verifying,
                                   const struct sg_store_log *log, const struct sg_note_key *key,
                                   struct sg_err *err)
{
    if (verifying->certifier.len == 0)
        return SG_OK;
    SG_TRY(sg_certify_verify(verifying->store, log, key, verifying->certifier, err));
    printf("  its key is certified by the key that was given\n");
    return SG_OK;
}

/* An epoch that has ended, by what the next one, which was proved, says of it. A broken one is what
 * two administrators accepted. */
static enum sg_rc verify_ended(struct verifying *verifying, const struct sg_store_log *log,
                               const struct sg_audit_ended *ended, struct sg_err *err)
{
    const struct sg_audit_verify_options options = {.log = log,
                                                    .key = ended->key,
                                                    .anchored =
                                                        ended->is_stored ? &ended->head : NULL,
                                                    .archives = verifying->archives};
    struct sg_audit_verified verified;
    struct sg_err why = {0};

    enum sg_rc rc = sg_audit_verify(verifying->store, &options, &verified, &why);
    if (rc == SG_OK && options.anchored != NULL && verified.size != ended->head.size)
        rc = SG_REFUSE(&why, SG_R_STORE_BROKEN,
                       "log \"%s\" has %" PRIu64 " leaves, and ended with %" PRIu64, log->name,
                       verified.size, ended->head.size);
    if (rc == SG_OK) {
        printf("%s: log %s, epoch %" PRIu32 ", %" PRIu64 " leaves, origin %s, ended: %s\n",
               how(&verified), log->name, log->epoch, verified.size, log->origin,
               sg_epoch_state_name(ended->state));
        print_archived(&verified);
        /* It may be older than the certifier: the newest epoch is what has to have it. */
        if (verify_certified(verifying, log, ended->key, &why) != SG_OK)
            printf("  not certified: %s\n", why.msg);
        if (ended->state != SG_EPOCH_BROKEN)
            verifying->unseen += verified.unseen;
        return SG_OK;
    }
    if (ended->state == SG_EPOCH_BROKEN &&
        (why.reason == SG_R_STORE_BROKEN || rc == SG_E_NOT_FOUND)) {
        printf("not proved, as was accepted: log %s, epoch %" PRIu32 ": %s\n", log->name,
               log->epoch, why.msg);
        return SG_OK;
    }
    if (err != NULL)
        *err = why;
    return rc;
}

/* Every epoch before `log`, the newest of them first. */
static enum sg_rc verify_before(struct verifying *verifying, struct sg_store_log log,
                                struct sg_err *err)
{
    while (log.epoch > 1) {
        struct sg_audit_ended ended;
        SG_TRY(sg_audit_ended_read(verifying->store, &log, &ended, err));
        enum sg_rc rc = sg_store_find_epoch(verifying->store, log.name, ended.epoch, &log, err);
        if (rc == SG_OK)
            rc = verify_ended(verifying, &log, &ended, err);
        sg_note_key_free(ended.key);
        SG_TRY(rc);
    }
    return SG_OK;
}

static enum sg_rc verify_all(const struct sg_config *config, struct verifying *verifying,
                             struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    struct sg_audit_verified verified;
    struct sg_tree_head anchored;
    struct sg_store_log log;

    SG_TRY(sg_store_find_log(verifying->store, config->audit_log, &log, err));
    SG_TRY(read_promises(config, &log, &signer, &anchored, err));
    const struct sg_audit_verify_options options = {.log = &log,
                                                    .key = sg_note_signer_key(signer),
                                                    .anchored = &anchored,
                                                    .archives = verifying->archives};
    SG_TRY(sg_audit_verify(verifying->store, &options, &verified, err));
    printf("%s: log %s, %" PRIu64 " leaves, origin %s, anchor at %" PRIu64 "\n", how(&verified),
           log.name, verified.size, log.origin, anchored.size);
    print_archived(&verified);
    verifying->unseen += verified.unseen;
    SG_TRY(verify_certified(verifying, &log, options.key, err));
    SG_TRY(verify_before(verifying, log, err));
    if (verifying->unseen == 0 || verifying->is_without_archive)
        return SG_OK;
    return SG_REFUSE(
        err, SG_R_LEAF_ARCHIVED,
        "%" PRIu64 " leaves of log \"%s\" are not in the store, and nothing here proves "
        "that they are anywhere: --archive FOLDER reads them, --without-archive leaves "
        "them out",
        verifying->unseen, log.name);
}

static enum sg_rc verify_store(const struct sg_config *config, struct verifying *verifying,
                               struct sg_err *err)
{
    SG_AUTO(sg_store_close) struct sg_store *store = NULL;

    SG_TRY(sg_main_become_gateway(config, err));
    SG_TRY(sg_store_open_read(config->store, &store, err));
    verifying->store = store;
    return verify_all(config, verifying, err);
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

enum sg_rc sg_main_verify(const struct sg_config *config, const struct sg_main_verify *verify,
                          struct sg_err *err)
{
    const struct sg_archive_folders folders = {.paths = verify->folders,
                                               .count = verify->folder_count};
    struct verifying verifying = {.archives = folders.count > 0 ? &folders : NULL,
                                  .is_without_archive = verify->is_without_archive};
    enum sg_rc rc = SG_OK;
    struct sg_buf spki;

    sg_buf_init(&spki, SG_CERTIFIER_FILE_BYTES_MAX);
    if (verify->certified_by != NULL) /* as who started it, who may read it */
        rc = read_certifier(verify->certified_by, &spki, err);
    verifying.certifier = sg_buf_slice(&spki);
    if (rc == SG_OK)
        rc = verify_store(config, &verifying, err);
    sg_buf_done(&spki);
    return rc;
}
