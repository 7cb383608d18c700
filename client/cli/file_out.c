#include "client/cli/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sg_exit failed(const struct sg_cli *cli, const struct sg_file_out *out)
{
    return sg_cli_fail(cli, SG_EXIT_FILE, "FILE_NOT_WRITTEN", "could not write %s: %s", out->path,
                       strerror(errno));
}

enum sg_exit sg_file_out_open(const struct sg_cli *cli, const char *path, struct sg_file_out *ret)
{
    struct stat st;
    const bool is_stdout = strcmp(path, "-") == 0;

    *ret = (struct sg_file_out){.path = path, .fd = STDOUT_FILENO};
    if (is_stdout)
        return SG_EXIT_OK;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        ret->fd = open(path, O_WRONLY | O_CLOEXEC);
        return ret->fd < 0 ? failed(cli, ret) : SG_EXIT_OK;
    }
    if (snprintf(ret->beside, sizeof(ret->beside), "%s.%ld.tmp", path, (long)getpid()) >=
        (int)sizeof(ret->beside)) {
        errno = ENAMETOOLONG;
        return failed(cli, ret);
    }
    ret->fd = open(ret->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return ret->fd < 0 ? failed(cli, ret) : SG_EXIT_OK;
}

enum sg_exit sg_file_out_write(const struct sg_cli *cli, struct sg_file_out *out,
                               struct sg_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t len = write(out->fd, bytes.ptr, bytes.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return failed(cli, out);
        (void)sg_slice_take(&bytes, (size_t)len);
    }
    return SG_EXIT_OK;
}

void sg_file_out_abandon(struct sg_file_out *out)
{
    if (out->fd != STDOUT_FILENO && out->fd >= 0)
        (void)close(out->fd); /* it is thrown away */
    if (out->beside[0] != '\0')
        (void)unlink(out->beside);
    out->fd = -1;
}

enum sg_exit sg_file_out_commit(const struct sg_cli *cli, struct sg_file_out *out, bool is_durable)
{
    const int fd = out->fd;
    bool is_whole = fd == STDOUT_FILENO;

    if (!is_whole) {
        is_whole = !is_durable || out->beside[0] == '\0' || fsync(fd) == 0;
        is_whole = close(fd) == 0 && is_whole;
        is_whole = is_whole && (out->beside[0] == '\0' || rename(out->beside, out->path) == 0);
    }
    out->fd = -1;
    if (is_whole)
        return SG_EXIT_OK;
    const enum sg_exit code = failed(cli, out);
    sg_file_out_abandon(out);
    return code;
}
