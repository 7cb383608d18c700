#ifndef SG_GATEWAY_AUDIT_ARCHIVE_FILES_H
#define SG_GATEWAY_AUDIT_ARCHIVE_FILES_H

#include "formats/audit/export.h"
#include "gateway/store/store.h"

/*
 * The files of an archive (gateway/audit/archive.h), found by their names:
 * LOG-EPOCH-FIRST-END.export, of the leaves from FIRST up to END. Two may hold the same leaves:
 * whoever made the first was killed while these left the store.
 */
struct sg_archive_folders {
    const char *const *paths;
    size_t count;
};

struct sg_archive_file {
    char *path;
    uint64_t first, end;
};

struct sg_archive_files {
    struct sg_archive_file *files; /* in the order of their leaves */
    size_t count;
};

/* All files of the log in the folders. `ret` is to be done with, whatever came. Blocks. Errors:
 * SG_E_UNAVAILABLE: a folder cannot be read; SG_E_LIMIT. */
SG_MUST_USE enum sg_rc sg_archive_files_find(const struct sg_archive_folders *folders,
                                             const struct sg_store_log *log,
                                             struct sg_archive_files *ret, struct sg_err *err);
void sg_archive_files_done(struct sg_archive_files *files);

/* The name that a file has in its folder. */
enum { SG_ARCHIVE_NAME_BYTES = SG_STORE_NAME_LEN_MAX + 80 };
void sg_archive_file_name(const struct sg_store_log *log, uint64_t first, uint64_t end,
                          char ret[SG_ARCHIVE_NAME_BYTES]);

/* What a file proves. */
struct sg_archive_proof {
    struct sg_tree_head end;        /* the tree of the leaves up to its end */
    struct sg_tree_head checkpoint; /* that the log's key has signed, which grew from it */
};

/* Reads a whole file from the disk, and not from what the kernel remembers of it: SG_OK means that
 * it has the leaves that its name says, of this log. `fn` may be NULL; what it is told of is not
 * proved before the end. Blocks. Errors: SG_E_INVALID: it does not prove itself, or is of another
 * log; SG_E_UNAVAILABLE: it cannot be read; those of `fn`. */
SG_MUST_USE enum sg_rc sg_archive_file_read(const struct sg_archive_file *file,
                                            const struct sg_store_log *log,
                                            const struct sg_note_key *key, sg_export_leaf_fn fn,
                                            void *arg, struct sg_archive_proof *ret,
                                            struct sg_err *err);

#endif
