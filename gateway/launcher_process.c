#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/app.h"
#include "gateway/launcher_priv.h"

enum {
    /* Above every descriptor that a child is to inherit at a place of its own. */
    ASIDE_FD = SG_SOCKETS_FIRST_FD + SG_SOCKET_COUNT + 1,
};

/* The child -------------------------------------------------------------------------------- */

static bool become(const char *user)
{
    const struct passwd *pw = getpwnam(user);
    return pw != NULL && initgroups(user, pw->pw_gid) == 0 && setgid(pw->pw_gid) == 0 &&
           setuid(pw->pw_uid) == 0;
}

static bool set_number(const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)value);
    return setenv(name, text, 1) == 0;
}

/* Puts the descriptor at the next place, where it survives exec. */
static bool put(int aside, int *next)
{
    return dup2(aside, (*next)++) >= 0; /* the places are below ASIDE_FD, so it is another */
}

/* Lays out what is inherited: the sockets from descriptor 3 on, as systemd does, then the channel.
 * First all of it is put aside, since it may lie where something else is to be. */
static bool hand_over(const struct sg_process_spec *spec, int channel)
{
    int aside[SG_SOCKET_COUNT], next = SG_SOCKETS_FIRST_FD;
    char names[64] = "";

    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        aside[i] = -1;
        if (spec->sockets == NULL || spec->sockets->fds[i] < 0)
            continue;
        aside[i] = fcntl(spec->sockets->fds[i], F_DUPFD_CLOEXEC, ASIDE_FD);
        if (aside[i] < 0)
            return false;
    }
    if ((channel = fcntl(channel, F_DUPFD_CLOEXEC, ASIDE_FD)) < 0)
        return false;
    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        if (aside[i] < 0)
            continue;
        const size_t len = strlen(names);
        snprintf(names + len, sizeof(names) - len, "%s%s", len > 0 ? ":" : "", sg_socket_names[i]);
        if (!put(aside[i], &next))
            return false;
    }
    const int count = next - SG_SOCKETS_FIRST_FD;
    if (count > 0 && (!set_number("LISTEN_FDS", count) || !set_number("LISTEN_PID", getpid()) ||
                      setenv("LISTEN_FDNAMES", names, 1) != 0))
        return false;
    return set_number(SG_NOTIFY_FD, next) && put(channel, &next);
}

static bool prepare(const struct sg_process_spec *spec, int channel)
{
    if (!hand_over(spec, channel))
        return false;
    if (spec->watchdog_ns > 0 && (!set_number("WATCHDOG_USEC", spec->watchdog_ns / 1000) ||
                                  !set_number("WATCHDOG_PID", getpid())))
        return false;
    if (spec->is_successor && setenv(SG_APP_SUCCESSOR, "1", 1) != 0)
        return false;
    /* The way to the PINs: the gateway has no business there. */
    return !spec->is_gateway || unsetenv("CREDENTIALS_DIRECTORY") == 0;
}

/* Becomes its user, gets its signals back, dies with the launcher. */
__attribute__((noreturn)) static void run_child(const struct sg_process_spec *spec, int channel,
                                                pid_t launcher_pid)
{
    sigset_t mask;

    if (spec->user != NULL && !become(spec->user)) {
        sg_log(SG_LOG_ERROR, NULL, "launcher.no_user", SG_F_STR("role", spec->role),
               SG_F_STR("user", spec->user), SG_F_INT("errno", errno));
        _exit(SG_EXIT_NO_USER);
    }
    /* The gateway takes these up itself; until it does, they must not end it. */
    sigemptyset(&mask);
    if (spec->is_gateway) {
        sigaddset(&mask, SIGHUP);
        sigaddset(&mask, SIGUSR2);
    }
    /* PR_SET_PDEATHSIG after setuid, which clears it. */
    if (prepare(spec, channel) && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
        getppid() == launcher_pid && sigprocmask(SIG_SETMASK, &mask, NULL) == 0)
        execv(spec->args[0], (char *const *)(uintptr_t)spec->args);
    sg_log(SG_LOG_ERROR, NULL, "launcher.exec_failed", SG_F_STR("role", spec->role),
           SG_F_STR("program", spec->args[0]), SG_F_INT("errno", errno));
    _exit(127);
}

/* The launcher's side ---------------------------------------------------------------------- */

bool sg_process_start(const struct sg_process_spec *spec, int64_t now_ms, struct sg_process *ret)
{
    const pid_t self = getpid();
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        run_child(spec, pair[1], self);
    const int cause = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = cause;
        return false;
    }
    *ret = (struct sg_process){
        .pid = pid, .channel = pair[0], .started_ms = now_ms, .heard_ms = now_ms};
    return true;
}

/* It is passed on in our own name, so it must be one line and readable. */
static void take_status(struct sg_process *process, struct sg_slice status)
{
    const size_t len = status.len < SG_STATUS_MAX ? status.len : SG_STATUS_MAX - 1;

    if (len == 0)
        return;
    for (size_t i = 0; i < len; i++)
        process->status[i] = status.ptr[i] < ' ' || status.ptr[i] > '~' ? '?' : (char)status.ptr[i];
    process->status[len] = '\0';
    process->is_status_new = true;
}

bool sg_process_hear(struct sg_process *process, int64_t now_ms)
{
    enum { MESSAGES_MAX = 64 }; /* a turn; whoever floods us must not keep us from the others */
    uint8_t bytes[SG_NOTIFY_BYTES_MAX];
    bool says_ready = false;

    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t len = recv(process->channel, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (len < 0)
            break;
        const struct sg_notice notice = sg_notice_read(sg_slice_of(bytes, (size_t)len));
        /* Before it is ready, whatever else it says buys it no time. */
        if (notice.is_ready || (notice.is_watchdog && process->is_ready))
            process->heard_ms = now_ms;
        says_ready |= notice.is_ready;
        take_status(process, notice.status);
    }
    process->is_ready |= says_ready;
    return says_ready;
}

void sg_process_forget(struct sg_process *process)
{
    if (process->channel >= 0)
        close(process->channel);
    *process = SG_PROCESS_NONE;
}
