#include "gateway/audit/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/folder.h"
#include "gateway/audit/archive_files.h"
#include "gateway/audit/archived.h"
#include "gateway/audit/audit_priv.h"

enum {
    PATH_BYTES_MAX = 4096,
    PIECE_BYTES = 256 << 10,
    ALIGN = SG_STORE_TILE_HASHES,
    STATE_TRIES_MAX = 200, /* where gateways write to the log all the time, */
    STATE_PAUSE_US = 10000 /* and so long in between */
};

struct sg_audit_archiver {
    struct sg_audit_writer writer;
    const struct sg_clock *clock;
};

struct archive {
    struct sg_audit_archiver *archiver;
    struct sg_store *store;
    struct sg_store_log log;
    const struct sg_note_key *key;
    const struct sg_audit_archive_options *options;
    uint64_t left; /* leaves that may still be taken */
};

/* One file while it is written. */
struct file {
    int fd;
    char path[PATH_BYTES_MAX], part[PATH_BYTES_MAX];
    struct sg_tree_hasher *hasher;
    struct sg_buf out;
    uint64_t next;
};

static enum sg_rc failed(const char *what, const char *path, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s \"%s\": %s", what,
                   path, strerror(errno));
}

/* What may go ------------------------------------------------------------------------------- */

struct looking {
    int64_t before_ns;
    uint64_t next;
};

/* SG_E_AGAIN: this one stays, and so does what comes behind it. */
static enum sg_rc on_old(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct looking *looking = arg;
    struct sg_audit_record record;

    if (seq != looking->next)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "there is no leaf %llu",
                         (unsigned long long)looking->next);
    SG_TRY(sg_audit_record_parse(bytes, &record, err));
    if (record.time_ns >= looking->before_ns)
        return SG_E_AGAIN;
    looking->next = seq + 1;
    return SG_OK;
}

/* The end of the next file; the beginning, when there is none to be made. Whole tiles go, so that
 * the tree is always made of tiles that are full and leaves that are there. */
static enum sg_rc find_end(const struct archive *archive, uint64_t *ret, struct sg_err *err)
{
    const uint64_t first = archive->log.first;
    uint64_t count = archive->log.size - first;

    *ret = first;
    if (count <= SG_AUDIT_ARCHIVE_LEFT_MIN)
        return SG_OK;
    count -= SG_AUDIT_ARCHIVE_LEFT_MIN;
    if (count > archive->left)
        count = archive->left;
    if (count > SG_AUDIT_ARCHIVE_FILE_LEAVES)
        count = SG_AUDIT_ARCHIVE_FILE_LEAVES;
    if (count == 0)
        return SG_OK;
    struct looking looking = {.before_ns = archive->options->before_ns, .next = first};
    enum sg_rc rc =
        sg_store_read_leaves(archive->store, archive->log.id, first, count, on_old, &looking, err);
    if (rc != SG_OK && rc != SG_E_AGAIN)
        return rc;
    const uint64_t end = looking.next / ALIGN * ALIGN;
    *ret = end > first ? end : first;
    return SG_OK;
}

/* Writing ----------------------------------------------------------------------------------- */

static enum sg_rc flush(struct file *file, struct sg_err *err)
{
    struct sg_slice bytes = sg_buf_slice(&file->out);

    SG_TRY(sg_buf_check(&file->out, err));
    while (bytes.len > 0) {
        const ssize_t len = write(file->fd, bytes.ptr, bytes.len);
        if (len < 0 && errno != EINTR)
            return failed("write", file->part, err);
        if (len > 0)
            (void)sg_slice_take(&bytes, (size_t)len);
    }
    sg_buf_clear(&file->out);
    return SG_OK;
}

static enum sg_rc on_leaf(void *arg, uint64_t seq, struct sg_slice bytes, struct sg_err *err)
{
    struct file *file = arg;

    if (seq != file->next)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "there is no leaf %llu",
                         (unsigned long long)file->next);
    file->next++;
    sg_export_write_leaf(file->hasher, seq, bytes, &file->out);
    return file->out.len < PIECE_BYTES ? SG_OK : flush(file, err);
}

/* The newest checkpoint, which must be by the log's key, and all that proves [first, end) to it. */
static enum sg_rc write_head(const struct archive *archive, uint64_t end, struct sg_buf *note,
                             struct sg_buf *out, struct sg_err *err)
{
    SG_AUTO(sg_log_tree_free) struct sg_log_tree *tree = NULL;
    struct sg_export_head head = {.first = archive->log.first, .end = end};
    struct sg_checkpoint checkpoint;
    struct sg_note parts;

    SG_TRY(sg_store_read_checkpoint(archive->store, archive->log.id, note, err));
    SG_TRY(sg_note_parse(sg_buf_slice(note), &parts, err));
    SG_TRY(sg_checkpoint_parse(parts.text, &checkpoint, err));
    head.origin = checkpoint.origin;
    head.checkpoint = sg_buf_slice(note);
    SG_TRY(sg_log_tree_new(archive->store, archive->log.id, &tree, err));
    SG_TRY(sg_log_tree_load(tree, checkpoint.head.size, err));
    SG_TRY(sg_log_tree_edge_at(tree, head.first, &head.edge, err));
    SG_TRY(sg_log_tree_root_at(tree, end, &head.root, err));
    if (end < checkpoint.head.size)
        SG_TRY(sg_log_tree_prove_growth(tree, end, checkpoint.head.size, &head.growth, err));
    sg_export_write_head(&head, out);
    return SG_OK;
}

static enum sg_rc write_leaves(const struct archive *archive, uint64_t end, struct file *file,
                               struct sg_err *err)
{
    struct sg_buf note;

    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    enum sg_rc rc = write_head(archive, end, &note, &file->out, err);
    sg_buf_done(&note);
    SG_TRY(rc);
    file->next = archive->log.first;
    SG_TRY(sg_store_read_leaves(archive->store, archive->log.id, file->next, end - file->next,
                                on_leaf, file, err));
    if (file->next != end)
        return SG_REFUSE(err, SG_R_STORE_BROKEN, "there is no leaf %llu",
                         (unsigned long long)file->next);
    SG_TRY(flush(file, err));
    return fsync(file->fd) == 0 ? SG_OK : failed("sync", file->part, err);
}

static enum sg_rc write_file(const struct archive *archive, uint64_t end, struct file *file,
                             struct sg_err *err)
{
    file->fd = open(file->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file->fd < 0)
        return failed("make", file->part, err);
    sg_buf_init(&file->out, PIECE_BYTES + SG_NOTE_BYTES_MAX + 2 * SG_EXPORT_LEAF_BYTES_MAX);
    enum sg_rc rc = sg_tree_hasher_new(&file->hasher, err);
    if (rc == SG_OK)
        rc = write_leaves(archive, end, file, err);
    if (close(file->fd) != 0 && rc == SG_OK)
        rc = failed("write", file->part, err);
    sg_tree_hasher_free(file->hasher);
    sg_buf_done(&file->out);
    return rc;
}

/* Proving ----------------------------------------------------------------------------------- */

/* That the file has the leaves from `first` up to `end` of this log. */
static enum sg_rc prove(const struct archive *archive, char *path, uint64_t end,
                        struct sg_tree_head *ret, struct sg_err *err)
{
    const struct sg_archive_file file = {.path = path, .first = archive->log.first, .end = end};
    struct sg_archive_proof proof;
    struct sg_err why = {0};

    enum sg_rc rc =
        sg_archive_file_read(&file, &archive->log, archive->key, NULL, NULL, &proof, &why);
    if (rc != SG_OK)
        return SG_FAIL(err, rc, why.native, "nothing left the store: %s", why.msg);
    *ret = proof.end;
    return SG_OK;
}

/* Stating ----------------------------------------------------------------------------------- */

static enum sg_rc write_statement(const struct archive *archive, uint64_t number,
                                  const struct sg_tree_head *head, enum sg_audit_outcome *ret,
                                  struct sg_err *err)
{
    struct sg_audit_writer *writer = &archive->archiver->writer;
    struct sg_audit_entry entry = {0}, *entries[] = {&entry};
    char detail[SG_AUDIT_ARCHIVED_BYTES_MAX];
    struct sg_audit_record record;
    struct sg_err why = {0};

    SG_TRY(sg_audit_archived_write(archive->log.origin, number, head, detail, &record,
                                   entry.request_key, err));
    record.time_ns = entry.time_ns = sg_wall_ns(archive->archiver->clock);
    sg_buf_init(&entry.bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(&record, &entry.bytes);
    enum sg_rc rc = sg_buf_check(&entry.bytes, &why);
    if (rc == SG_OK)
        rc = sg_audit_write(writer, entries, SG_COUNT(entries), &why);
    *ret = entry.outcome;
    if (rc == SG_OK && entry.outcome == SG_AUDIT_FAILED) {
        rc = entry.err.rc;
        why = entry.err;
    }
    sg_audit_entry_done(&entry);
    if (rc != SG_OK && err != NULL)
        *err = why;
    return rc;
}

/* The log says that the leaves of `head` are in files, before any of them leaves the store.
 * Gateways that write to it come first: it is tried again. */
static enum sg_rc state(const struct archive *archive, const struct sg_tree_head *head,
                        struct sg_err *err)
{
    enum sg_audit_outcome outcome = SG_AUDIT_FAILED;
    struct sg_audit_archived last;
    enum sg_rc rc = SG_OK;

    for (unsigned tries = 0; tries < STATE_TRIES_MAX; tries++) {
        SG_TRY(sg_audit_archived_find(archive->store, archive->log.origin, &last, err));
        if (last.is_read && last.head.size >= head->size)
            return SG_OK; /* whoever said so was killed */
        rc = write_statement(archive, last.number + 1, head, &outcome, err);
        if (rc == SG_OK && outcome == SG_AUDIT_WRITTEN)
            return SG_OK;
        if (rc != SG_OK && rc != SG_E_UNAVAILABLE)
            return rc;
        usleep(STATE_PAUSE_US);
    }
    return rc != SG_OK ? rc
                       : SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "others archive log \"%s\", too",
                                   archive->log.name);
}

/* The whole --------------------------------------------------------------------------------- */

/* A file that begins at the first leaf of the store: whoever made it was killed before its leaves
 * left. `ret` is empty where there is none. */
static enum sg_rc find_left(const struct archive *archive, char ret[PATH_BYTES_MAX],
                            uint64_t *ret_end, struct sg_err *err)
{
    const struct sg_archive_folders folders = {.paths = &archive->options->folder, .count = 1};
    struct sg_archive_files files;

    ret[0] = '\0';
    enum sg_rc rc = sg_archive_files_find(&folders, &archive->log, &files, err);
    for (size_t i = 0; rc == SG_OK && i < files.count; i++) {
        if (files.files[i].first != archive->log.first)
            continue;
        *ret_end = files.files[i].end;
        if ((size_t)snprintf(ret, PATH_BYTES_MAX, "%s", files.files[i].path) >= PATH_BYTES_MAX)
            ret[0] = '\0';
    }
    sg_archive_files_done(&files);
    return rc;
}

static enum sg_rc name_file(const struct archive *archive, uint64_t end, struct file *file,
                            struct sg_err *err)
{
    char name[SG_ARCHIVE_NAME_BYTES];

    sg_archive_file_name(&archive->log, archive->log.first, end, name);
    if ((size_t)snprintf(file->path, sizeof(file->path), "%s/%s", archive->options->folder, name) >=
            sizeof(file->path) ||
        (size_t)snprintf(file->part, sizeof(file->part), "%s.part", file->path) >=
            sizeof(file->part))
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is too long a path", archive->options->folder);
    return SG_OK;
}

/* Into a file, and proved under its name: from here on the leaves are in it. */
static enum sg_rc make_file(const struct archive *archive, uint64_t end, char ret[PATH_BYTES_MAX],
                            struct sg_tree_head *ret_head, struct sg_err *err)
{
    struct file *file = calloc(1, sizeof(*file));

    if (file == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for an archive");
    enum sg_rc rc = name_file(archive, end, file, err);
    if (rc == SG_OK)
        rc = write_file(archive, end, file, err);
    if (rc == SG_OK)
        rc = prove(archive, file->part, end, ret_head, err);
    if (rc == SG_OK && link(file->part, file->path) != 0)
        rc = failed("make", file->path, err);
    if (rc == SG_OK)
        rc = sg_folder_sync(archive->options->folder, err);
    unlink(file->part);
    memcpy(ret, file->path, PATH_BYTES_MAX);
    free(file);
    return rc;
}

/* One file; `*ret_is_done`: there is nothing more to take. */
static enum sg_rc archive_some(struct archive *archive, char path[PATH_BYTES_MAX],
                               bool *ret_is_done, struct sg_err *err)
{
    struct sg_tree_head head;
    uint64_t end = 0;

    SG_TRY(sg_store_find_epoch(archive->store, archive->log.name, archive->log.epoch, &archive->log,
                               err));
    SG_TRY(find_left(archive, path, &end, err));
    if (path[0] == '\0') {
        SG_TRY(find_end(archive, &end, err));
        *ret_is_done = end == archive->log.first;
        if (*ret_is_done)
            return SG_OK;
        SG_TRY(make_file(archive, end, path, &head, err));
    } else {
        SG_TRY(prove(archive, path, end, &head, err));
    }
    if (end % ALIGN != 0 || end <= archive->log.first ||
        end + SG_AUDIT_ARCHIVE_LEFT_MIN > archive->log.size)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is no archive that was made here", path);
    SG_TRY(state(archive, &head, err));
    return sg_store_drop_leaves(archive->store, archive->log.id, end, err);
}

enum sg_rc sg_audit_archive(struct sg_audit_archiver *archiver, const struct sg_store_log *log,
                            const struct sg_note_key *key,
                            const struct sg_audit_archive_options *options, sg_audit_archived_fn fn,
                            void *arg, struct sg_err *err)
{
    struct archive archive = {.archiver = archiver,
                              .store = archiver->writer.store,
                              .log = *log,
                              .key = key,
                              .options = options,
                              .left = options->count_max};
    char path[PATH_BYTES_MAX];

    for (;;) {
        bool is_done = false;
        SG_TRY(archive_some(&archive, path, &is_done, err));
        if (is_done)
            return SG_OK;
        const uint64_t first = archive.log.first;
        SG_TRY(sg_store_find_epoch(archive.store, log->name, log->epoch, &archive.log, err));
        const uint64_t count = archive.log.first - first;
        archive.left -= count < archive.left ? count : archive.left;
        fn(arg, path, first, archive.log.first);
    }
}

/* The archiver ------------------------------------------------------------------------------ */

enum sg_rc sg_audit_archiver_new(const struct sg_audit_options *options,
                                 struct sg_audit_archiver **ret, struct sg_err *err)
{
    SG_AUTO(sg_audit_archiver_free)
    struct sg_audit_archiver *archiver = calloc(1, sizeof(*archiver));

    if (archiver == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for an archive");
    archiver->clock = options->clock;
    SG_TRY(sg_audit_writer_open(&archiver->writer, options, err));
    *ret = SG_STEAL(archiver);
    return SG_OK;
}

void sg_audit_archiver_free(struct sg_audit_archiver *archiver)
{
    if (archiver == NULL)
        return;
    sg_audit_writer_close(&archiver->writer);
    free(archiver);
}

struct sg_store *sg_audit_archiver_store(struct sg_audit_archiver *archiver)
{
    return archiver->writer.store;
}

const struct sg_store_log *sg_audit_archiver_log(const struct sg_audit_archiver *archiver)
{
    return &archiver->writer.log;
}

const struct sg_note_key *sg_audit_archiver_key(const struct sg_audit_archiver *archiver)
{
    return sg_note_signer_key(archiver->writer.signer);
}
