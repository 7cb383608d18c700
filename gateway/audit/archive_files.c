#include "gateway/audit/archive_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 1 << 20, PIECE_BYTES = 256 << 10, DIGITS_MAX = 19 };

static enum sg_rc failed(const char *what, const char *path, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s \"%s\": %s", what,
                   path, strerror(errno));
}

/* Names ------------------------------------------------------------------------------------- */

void sg_archive_file_name(const struct sg_store_log *log, uint64_t first, uint64_t end,
                          char ret[SG_ARCHIVE_NAME_BYTES])
{
    snprintf(ret, SG_ARCHIVE_NAME_BYTES, "%s-%u-%012llu-%012llu.export", log->name,
             (unsigned)log->epoch, (unsigned long long)first, (unsigned long long)end);
}

static bool read_number(const char **at, uint64_t *ret)
{
    const size_t digits = strspn(*at, "0123456789");

    *ret = strtoull(*at, NULL, 10);
    *at += digits;
    return digits > 0 && digits <= DIGITS_MAX;
}

/* Only what the name would be written as: "main-1" is no log's name before "-1-...". */
static bool read_name(const char *name, const struct sg_store_log *log, struct sg_archive_file *ret)
{
    char expected[SG_ARCHIVE_NAME_BYTES];
    const size_t len = strlen(log->name);
    uint64_t epoch;

    if (strncmp(name, log->name, len) != 0 || name[len] != '-')
        return false;
    const char *at = name + len + 1;
    if (!read_number(&at, &epoch) || *at++ != '-' || !read_number(&at, &ret->first) ||
        *at++ != '-' || !read_number(&at, &ret->end))
        return false;
    sg_archive_file_name(log, ret->first, ret->end, expected);
    return strcmp(name, expected) == 0;
}

/* Finding ----------------------------------------------------------------------------------- */

static enum sg_rc add(struct sg_archive_files *files, const char *folder, const char *name,
                      struct sg_archive_file file, struct sg_err *err)
{
    const size_t count = files->count;

    if (count == FILES_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "an archive of more than %d files", FILES_MAX);
    if ((count & (count - 1)) == 0) { /* room for twice as many, from one on */
        struct sg_archive_file *more =
            realloc(files->files, (count == 0 ? 1 : 2 * count) * sizeof(*more));
        if (more == NULL)
            return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for the files of an archive");
        files->files = more;
    }
    if (asprintf(&file.path, "%s/%s", folder, name) < 0)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory for the files of an archive");
    files->files[files->count++] = file;
    return SG_OK;
}

static enum sg_rc find_in(const char *path, const struct sg_store_log *log,
                          struct sg_archive_files *files, struct sg_err *err)
{
    struct sg_archive_file file = {0};
    const struct dirent *entry;
    DIR *folder = opendir(path);
    enum sg_rc rc = SG_OK;

    if (folder == NULL)
        return failed("open", path, err);
    while (rc == SG_OK && (errno = 0, entry = readdir(folder)) != NULL)
        if (read_name(entry->d_name, log, &file))
            rc = add(files, path, entry->d_name, file, err);
    if (rc == SG_OK && errno != 0)
        rc = failed("read", path, err);
    closedir(folder);
    return rc;
}

static int compare(const void *one, const void *two)
{
    const struct sg_archive_file *a = one, *b = two;

    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

enum sg_rc sg_archive_files_find(const struct sg_archive_folders *folders,
                                 const struct sg_store_log *log, struct sg_archive_files *ret,
                                 struct sg_err *err)
{
    *ret = (struct sg_archive_files){0};
    for (size_t i = 0; i < folders->count; i++)
        SG_TRY(find_in(folders->paths[i], log, ret, err));
    if (ret->count > 0)
        qsort(ret->files, ret->count, sizeof(*ret->files), compare);
    return SG_OK;
}

void sg_archive_files_done(struct sg_archive_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->files[i].path);
    free(files->files);
    *files = (struct sg_archive_files){0};
}

/* Proving ----------------------------------------------------------------------------------- */

struct reading {
    const struct sg_archive_file *file;
    const struct sg_store_log *log;
    struct sg_export_reader *reader;
    sg_export_leaf_fn fn;
    void *arg;
};

/* Before any leaf is told: a file of another log would be told as a fault of this one. */
static enum sg_rc check_head(const struct reading *reading, struct sg_err *err)
{
    const struct sg_export_head *head = sg_export_reader_head(reading->reader);

    if (head == NULL || head->first != reading->file->first || head->end != reading->file->end)
        return SG_FAIL(err, SG_E_INVALID, 0, "it has other leaves than its name says");
    if (!sg_slice_is(head->origin, reading->log->origin))
        return SG_FAIL(err, SG_E_INVALID, 0, "it is of another log");
    return SG_OK;
}

static enum sg_rc on_leaf(void *arg, uint64_t index, struct sg_slice bytes,
                          const struct sg_audit_record *record, struct sg_err *err)
{
    const struct reading *reading = arg;

    if (index == reading->file->first)
        SG_TRY(check_head(reading, err));
    return reading->fn == NULL ? SG_OK : reading->fn(reading->arg, index, bytes, record, err);
}

static enum sg_rc feed(int fd, const char *path, struct sg_export_reader *reader,
                       struct sg_err *err)
{
    uint8_t *piece = malloc(PIECE_BYTES);
    enum sg_rc rc =
        piece == NULL ? SG_FAIL(err, SG_E_LIMIT, 0, "no memory to read an archive") : SG_OK;
    ssize_t len = 1;

    while (rc == SG_OK && len > 0) {
        len = read(fd, piece, PIECE_BYTES);
        if (len < 0)
            rc = failed("read", path, err);
        else if (len > 0)
            rc = sg_export_read(reader, sg_slice_of(piece, (size_t)len), err);
    }
    free(piece);
    return rc == SG_OK ? sg_export_finish(reader, err) : rc;
}

static enum sg_rc open_file(const char *path, int *ret, struct sg_err *err)
{
    struct stat status;
    /* What is no file must not keep us waiting. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return failed("open", path, err);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is no file", path);
    }
    SG_IGNORE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)); /* it is a wish */
    *ret = fd;
    return SG_OK;
}

enum sg_rc sg_archive_file_read(const struct sg_archive_file *file, const struct sg_store_log *log,
                                const struct sg_note_key *key, sg_export_leaf_fn fn, void *arg,
                                struct sg_archive_proof *ret, struct sg_err *err)
{
    SG_AUTO(sg_export_reader_free) struct sg_export_reader *reader = NULL;
    struct reading reading = {.file = file, .log = log, .fn = fn, .arg = arg};
    struct sg_export_result result;
    struct sg_err why = {0};
    int fd = -1;

    SG_TRY(open_file(file->path, &fd, err));
    enum sg_rc rc = sg_export_reader_new(key, on_leaf, &reading, &reader, &why);
    reading.reader = reader;
    if (rc == SG_OK)
        rc = feed(fd, file->path, reader, &why);
    close(fd);
    if (rc == SG_OK) /* one without leaves has not been looked at */
        rc = check_head(&reading, &why);
    if (rc != SG_OK)
        return SG_FAIL(err, rc, 0, "the archive \"%s\" is not proved: %s", file->path, why.msg);
    const struct sg_export_head *head = sg_export_reader_head(reader);
    sg_export_result(reader, &result);
    *ret = (struct sg_archive_proof){.end = {.size = head->end, .root = head->root},
                                     .checkpoint = result.head};
    return SG_OK;
}
