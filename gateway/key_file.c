#include "gateway/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/secret.h"

enum { PATH_BYTES_MAX = 4096 };

static enum sg_rc failed(const char *what, const char *path, struct sg_err *err)
{
    return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not %s \"%s\": %s", what,
                   path, strerror(errno));
}

enum sg_rc sg_file_read(const char *path, struct sg_buf *out, struct sg_err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return failed("open", path, err);
    uint8_t *room = sg_buf_room(out, out->max - out->len);
    const size_t len = room == NULL ? 0 : fread(room, 1, out->max - out->len, file);
    const bool is_whole = room != NULL && fgetc(file) == EOF && ferror(file) == 0;
    fclose(file);
    sg_buf_claim(out, len);
    if (len == 0 || !is_whole)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%s\" is empty, or larger than what it should be",
                       path);
    return SG_OK;
}

static bool folder_of(const char *path, char folder[PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (size_t)(slash - path) >= PATH_BYTES_MAX)
        return false;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    return true;
}

enum sg_rc sg_file_make_folder(const char *path, struct sg_err *err)
{
    char folder[PATH_BYTES_MAX];

    if (!folder_of(path, folder))
        return SG_OK;
    return mkdir(folder, 0700) == 0 || errno == EEXIST ? SG_OK : failed("make", folder, err);
}

enum sg_rc sg_file_replace(const char *beside, const char *path, const char *kept,
                           struct sg_err *err)
{
    if (access(beside, F_OK) != 0 && errno == ENOENT)
        return access(path, F_OK) == 0 ? SG_OK : failed("find", path, err);
    if (link(path, kept) != 0 && errno != EEXIST && errno != ENOENT)
        return failed("keep", path, err);
    if (rename(beside, path) != 0)
        return failed("replace", path, err);
    return sg_folder_sync_of(path, err);
}

/* Whole or not at all: written beside it, then linked to its name, which nobody else has. */
static enum sg_rc write_secret(const char *path, struct sg_slice bytes, struct sg_err *err)
{
    char beside[PATH_BYTES_MAX];

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
    return rc == SG_OK ? sg_folder_sync_of(path, err) : rc;
}

enum sg_rc sg_key_file_read(const char *path, struct sg_note_signer **ret, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    SG_TRY(sg_secret_read_file(path, SG_NOTE_PRIVATE_BYTES_MAX, &secret, err));
    return sg_note_signer_new(sg_secret_bytes(secret), ret, err);
}

enum sg_rc sg_key_file_make(const char *path, const char *name, enum sg_note_kind kind,
                            struct sg_note_signer **ret, struct sg_err *err)
{
    SG_AUTO(sg_secret_free) struct sg_secret *secret = NULL;

    enum sg_rc rc = sg_key_file_read(path, ret, err);
    if (rc == SG_E_NOT_FOUND) {
        SG_TRY(sg_note_private_new(sg_slice_str(name), kind, &secret, err));
        SG_TRY(write_secret(path, sg_secret_bytes(secret), err));
        rc = sg_note_signer_new(sg_secret_bytes(secret), ret, err);
    }
    SG_TRY(rc);
    const struct sg_note_key *key = sg_note_signer_key(*ret);
    if (sg_slice_is(sg_note_key_name(key), name) && sg_note_key_kind(key) == kind)
        return SG_OK;
    sg_note_signer_free(*ret);
    *ret = NULL;
    return SG_FAIL(err, SG_E_CONFLICT, 0, "\"%s\" holds another key than that of \"%s\"", path,
                   name);
}
