#ifndef SG_GATEWAY_AUDIT_ARCHIVE_H
#define SG_GATEWAY_AUDIT_ARCHIVE_H

#include "formats/audit/note.h"
#include "gateway/audit/audit.h"

/*
 * Old leaves leave the store for files that prove themselves (formats/audit/export.h). Nothing
 * leaves it before it is in a file, on the disk, read back and proved by the log's key, and before
 * the log itself says so (archived.h); so whenever this is killed, each leaf is in the store or in
 * a file or in both, and the next call goes on.
 *
 * The log may grow meanwhile, by a gateway that runs. What the log begins with, its tiles and its
 * request keys stay.
 */
struct sg_audit_archiver;

/* Opens the newest epoch of the log as a gateway does (sg_audit_open), to write to it; `loop` and
 * the limits of the options are not used. Blocks. Errors: those of sg_audit_open(). */
SG_MUST_USE enum sg_rc sg_audit_archiver_new(const struct sg_audit_options *options,
                                             struct sg_audit_archiver **ret, struct sg_err *err);
void sg_audit_archiver_free(struct sg_audit_archiver *archiver);
SG_DEFINE_AUTO(struct sg_audit_archiver, sg_audit_archiver_free);
/* Of it; for the thread that has it. */
struct sg_store *sg_audit_archiver_store(struct sg_audit_archiver *archiver);
const struct sg_store_log *sg_audit_archiver_log(const struct sg_audit_archiver *archiver);
const struct sg_note_key *sg_audit_archiver_key(const struct sg_audit_archiver *archiver);

struct sg_audit_archive_options {
    const char *folder; /* that there is; files in it are never overwritten */
    int64_t before_ns;  /* leaves whose time is earlier */
    uint64_t count_max; /* leaves */
};

enum {
    SG_AUDIT_ARCHIVE_FILE_LEAVES = 65536, /* at most in one file */
    SG_AUDIT_ARCHIVE_LEFT_MIN = 256,      /* the newest leaves, which always stay */
};

/* Is told of each file, once its leaves have left the store. */
typedef void (*sg_audit_archived_fn)(void *arg, const char *path, uint64_t first, uint64_t end);

/* Of one epoch of the log, which has this key. Blocks. Errors: those of the store;
 * SG_E_UNAVAILABLE, SG_E_INVALID: a file cannot be written, or one that is there already does not
 * prove itself: what it says is in the store still. */
SG_MUST_USE enum sg_rc sg_audit_archive(struct sg_audit_archiver *archiver,
                                        const struct sg_store_log *log,
                                        const struct sg_note_key *key,
                                        const struct sg_audit_archive_options *options,
                                        sg_audit_archived_fn fn, void *arg, struct sg_err *err);

#endif
