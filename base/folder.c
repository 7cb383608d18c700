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
