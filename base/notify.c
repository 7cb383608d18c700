#include "base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

/* How long a send may wait for a watcher whose queue is full. */
enum { SEND_US_MAX = 200000 };

/* A decimal number without a sign; false: it is none, or larger than `max`. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (max - (uint64_t)(*text - '0')) / 10)
            return false;
        value = 10 * value + (uint64_t)(*text - '0');
    }
    *ret = value;
    return true;
}

static enum sg_rc open_path(struct sg_notify *notify, const char *path, struct sg_err *err)
{
    const struct timeval patience = {.tv_usec = SEND_US_MAX};
    const size_t len = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(notify->address.sun_path))
        return SG_FAIL(err, SG_E_INVALID, 0, "NOTIFY_SOCKET is no socket: \"%.64s\"", path);
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, len);
    if (path[0] == '@')
        notify->address.sun_path[0] = '\0';
    /* An abstract name ends with its length, a path with a zero byte. */
    notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (path[0] == '/')
        notify->address_len++;

    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd < 0 ||
        setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not make a socket to notify by");
    return SG_OK;
}

static enum sg_rc open_inherited(struct sg_notify *notify, const char *text, struct sg_err *err)
{
    const struct timeval patience = {.tv_usec = SEND_US_MAX};
    uint64_t fd;

    /* Asking for the type tells a socket from any other descriptor, and from none. */
    int type = 0;
    socklen_t len = sizeof(type);
    if (!parse_number(text, INT32_MAX, &fd) || fd <= STDERR_FILENO ||
        getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_DGRAM)
        return SG_FAIL(err, SG_E_INVALID, 0, SG_NOTIFY_FD " is no socket: \"%.64s\"", text);
    notify->fd = (int)fd;
    if (fcntl(notify->fd, F_SETFD, FD_CLOEXEC) != 0 ||
        setsockopt(notify->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno,
                       "could not keep the socket to notify by");
    return SG_OK;
}

static enum sg_rc read_watchdog(struct sg_notify *notify, struct sg_err *err)
{
    const char *pid_text = getenv("WATCHDOG_PID");
    const char *text = getenv("WATCHDOG_USEC");
    uint64_t pid, us;

    if (text == NULL)
        return SG_OK;
    if (pid_text != NULL && !parse_number(pid_text, INT32_MAX, &pid))
        return SG_FAIL(err, SG_E_INVALID, 0, "WATCHDOG_PID is no process: \"%.64s\"", pid_text);
    if (pid_text != NULL && (pid_t)pid != getpid())
        return SG_OK; /* meant for another */
    if (!parse_number(text, INT64_MAX / 1000, &us) || us == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "WATCHDOG_USEC is no time: \"%.64s\"", text);
    notify->watchdog_ns = (int64_t)us * 1000;
    return SG_OK;
}

static enum sg_rc open_any(struct sg_notify *notify, struct sg_err *err)
{
    const char *fd = getenv(SG_NOTIFY_FD), *path = getenv("NOTIFY_SOCKET");

    if (fd != NULL)
        SG_TRY(open_inherited(notify, fd, err));
    else if (path != NULL)
        SG_TRY(open_path(notify, path, err));
    return read_watchdog(notify, err);
}

enum sg_rc sg_notify_open(struct sg_notify *ret, struct sg_err *err)
{
    static const char *const names[] = {SG_NOTIFY_FD, "NOTIFY_SOCKET", "WATCHDOG_USEC",
                                        "WATCHDOG_PID"};
    struct sg_notify notify = {.fd = -1};

    enum sg_rc rc = open_any(&notify, err);
    for (size_t i = 0; i < SG_COUNT(names); i++)
        unsetenv(names[i]);
    if (rc == SG_OK)
        *ret = notify;
    else
        sg_notify_close(&notify);
    return rc;
}

void sg_notify_close(struct sg_notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

static void send_message(const struct sg_notify *notify, const char *text, size_t len)
{
    ssize_t sent;

    if (notify->fd < 0)
        return;
    do
        sent = notify->address_len == 0
                   ? send(notify->fd, text, len, MSG_NOSIGNAL)
                   : sendto(notify->fd, text, len, MSG_NOSIGNAL,
                            (const struct sockaddr *)&notify->address, notify->address_len);
    while (sent < 0 && errno == EINTR);
}

void sg_notify(const struct sg_notify *notify, const char *fmt, ...)
{
    char text[SG_NOTIFY_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len > 0)
        send_message(notify, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

void sg_notify_reloading(const struct sg_notify *notify, int64_t mono_ns)
{
    sg_notify(notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(mono_ns / 1000));
}

struct sg_notice sg_notice_read(struct sg_slice message)
{
    struct sg_notice notice = {0};

    while (message.len > 0) {
        const uint8_t *end = memchr(message.ptr, '\n', message.len);
        const size_t len = end == NULL ? message.len : (size_t)(end - message.ptr);
        const struct sg_slice line = sg_slice_of(message.ptr, len);
        notice.is_ready |= sg_slice_is(line, "READY=1");
        notice.is_watchdog |= sg_slice_is(line, "WATCHDOG=1");
        if (sg_slice_starts(line, SG_SLICE("STATUS=")))
            notice.status = sg_slice_of(line.ptr + strlen("STATUS="), len - strlen("STATUS="));
        message = sg_slice_of(message.ptr + len, message.len - len);
        if (message.len > 0)
            message = sg_slice_of(message.ptr + 1, message.len - 1);
    }
    return notice;
}
