#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096 };

enum sg_rc sg_folder_sync(const char *folder, struct sg_err *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = fd >= 0 && fsync(fd) == 0;
    const int failed = errno;

    if (fd >= 0)
        close(fd);
    if (!is_synced)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)failed, "could not sync \"%s\": %s",
                       folder, strerror(failed));
    return SG_OK;
}

enum sg_rc sg_folder_sync_of(const char *path, struct sg_err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_BYTES_MAX];

    if (slash == NULL)
        return sg_folder_sync(".", err);
    /* With the slash, which is all there is of "/". */
    const int len = snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
    if (len < 0 || (size_t)len >= sizeof(folder))
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%.100s...\" is too long a path", path);
    return sg_folder_sync(folder, err);
}

static bool write_whole(const char *path, struct sg_slice bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return false;
    errno = EIO; /* of a write that is short */
    const bool is_written = write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len && fsync(fd) == 0;
    const int failed = errno;
    if (close(fd) == 0 && is_written)
        return true;
    errno = is_written ? errno : failed;
    return false;
}

enum sg_rc sg_folder_put(const char *path, struct sg_slice bytes, struct sg_err *err)
{
    char beside[PATH_BYTES_MAX];

    const int len = snprintf(beside, sizeof(beside), "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof(beside))
        return SG_FAIL(err, SG_E_INVALID, 0, "\"%.100s...\" is too long a path", path);
    if (!write_whole(beside, bytes) || rename(beside, path) != 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)errno, "could not write \"%s\": %s",
                       path, strerror(errno));
    return sg_folder_sync_of(path, err);
}
