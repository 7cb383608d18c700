#include "gateway/launcher.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/user.h"

/* A role that dies again at once waits before it is started anew; one that ran well does not. */
enum { DELAY_MS_FIRST = 50, DELAY_MS_MAX = 5000, STEADY_MS = 10000 };

/* To stop in, once told: a token process; and a gateway beyond what it may wait for open calls. */
enum { STOP_MS_MAX = 5000 };

/* What a child that cannot become its user ends with; exec itself ends with 127. */
enum { EXIT_NO_USER = 126 };

struct role {
    const char *name; /* "gateway", or the token's name */
    const char *user; /* to become; NULL: stay */
    bool is_token;
    pid_t pid; /* 0: not running */
    int64_t started_ms;
    int64_t start_ms; /* when to start it; only while not running */
    int64_t delay_ms;
};

struct launcher {
    const char *program, *config_path;
    int signals; /* signalfd */
    bool is_stopping;
    struct sg_err failed; /* why all of it stops, when nobody asked for it */
    int64_t stop_ms;      /* since when; of the tokens, once the gateway has gone */
    int64_t stop_ms_max;  /* of the gateway */
    size_t count;
    struct role roles[];
};

static int64_t now_ms(void)
{
    return sg_mono_ns(&sg_clock_system) / SG_NS_PER_MS;
}

static bool become(const char *user)
{
    const struct passwd *pw = getpwnam(user);
    return pw != NULL && initgroups(user, pw->pw_gid) == 0 && setgid(pw->pw_gid) == 0 &&
           setuid(pw->pw_uid) == 0;
}

/* The child: becomes its user, gets its signals back, dies with the launcher. */
__attribute__((noreturn)) static void run_child(const struct role *role, const char *program,
                                                const char *const *args, pid_t launcher_pid)
{
    sigset_t none;
    sigemptyset(&none);
    if (role->user != NULL && !become(role->user)) {
        sg_log(SG_LOG_ERROR, NULL, "launcher.no_user", SG_F_STR("role", role->name),
               SG_F_STR("user", role->user), SG_F_INT("errno", errno));
        _exit(EXIT_NO_USER);
    }
    /* After setuid, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == launcher_pid &&
        sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        execv(program, (char *const *)(uintptr_t)args);
    sg_log(SG_LOG_ERROR, NULL, "launcher.exec_failed", SG_F_STR("role", role->name),
           SG_F_STR("program", program), SG_F_INT("errno", errno));
    _exit(127);
}

static void start_role(struct launcher *launcher, struct role *role)
{
    const pid_t self = getpid();
    const char *const token_args[] = {launcher->program,     "token", role->name, "--config",
                                      launcher->config_path, NULL};
    const char *const gateway_args[] = {launcher->program, "gateway", "--config",
                                        launcher->config_path, NULL};

    pid_t pid = fork();
    if (pid == 0)
        run_child(role, launcher->program, role->is_token ? token_args : gateway_args, self);
    role->started_ms = now_ms();
    if (pid < 0) {
        sg_log(SG_LOG_ERROR, NULL, "launcher.fork_failed", SG_F_STR("role", role->name),
               SG_F_INT("errno", errno));
        role->start_ms = role->started_ms + DELAY_MS_MAX;
        return;
    }
    role->pid = pid;
    sg_log(SG_LOG_INFO, NULL, "launcher.started", SG_F_STR("role", role->name),
           SG_F_INT("pid", pid));
}

static size_t running(const struct launcher *launcher)
{
    size_t count = 0;
    for (size_t i = 0; i < launcher->count; i++)
        count += launcher->roles[i].pid != 0;
    return count;
}

static void signal_roles(const struct launcher *launcher, bool tokens, int number)
{
    for (size_t i = 0; i < launcher->count; i++) {
        const struct role *role = &launcher->roles[i];
        if (role->pid != 0 && role->is_token == tokens)
            kill(role->pid, number);
    }
}

static bool is_gateway_running(const struct launcher *launcher)
{
    return launcher->roles[0].pid != 0;
}

static bool is_stopping_late(const struct launcher *launcher)
{
    return now_ms() - launcher->stop_ms >
           (is_gateway_running(launcher) ? launcher->stop_ms_max : STOP_MS_MAX);
}

/* The gateway first, which lets its calls end; then the tokens, which it needs for that. */
static void stop_next(struct launcher *launcher)
{
    signal_roles(launcher, !is_gateway_running(launcher),
                 is_stopping_late(launcher) ? SIGKILL : SIGTERM);
}

static void begin_stop(struct launcher *launcher)
{
    if (launcher->is_stopping)
        return;
    launcher->is_stopping = true;
    launcher->stop_ms = now_ms();
    stop_next(launcher);
}

static void on_exit_of(struct launcher *launcher, pid_t pid, int status)
{
    for (size_t i = 0; i < launcher->count; i++) {
        struct role *role = &launcher->roles[i];
        if (role->pid != pid)
            continue;
        const int64_t now = now_ms();
        role->pid = 0;
        role->delay_ms = now - role->started_ms >= STEADY_MS ? 0
                         : role->delay_ms == 0               ? DELAY_MS_FIRST
                         : role->delay_ms * 2 > DELAY_MS_MAX ? DELAY_MS_MAX
                                                             : role->delay_ms * 2;
        role->start_ms = now + role->delay_ms;
        sg_log(launcher->is_stopping ? SG_LOG_INFO : SG_LOG_WARNING, NULL, "launcher.ended",
               SG_F_STR("role", role->name), SG_F_INT("pid", pid),
               SG_F_INT("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
               SG_F_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
               SG_F_INT("restart_in_ms", launcher->is_stopping ? -1 : role->delay_ms));
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_USER && !launcher->is_stopping) {
            SG_IGNORE(SG_FAIL(&launcher->failed, SG_E_DENIED, 0, /* told when all has stopped */
                              "could not run \"%s\" as user \"%s\"", role->name, role->user));
            begin_stop(launcher);
        }
    }
}

static void reap(struct launcher *launcher)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        on_exit_of(launcher, pid, status);
}

static void read_signals(struct launcher *launcher)
{
    struct signalfd_siginfo info;
    while (read(launcher->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            begin_stop(launcher);
            break;
        case SIGHUP:
            signal_roles(launcher, false, SIGHUP);
            break;
        default: /* SIGCHLD: reaped below, whatever came */
            break;
        }
    }
}

/* Starts what is due; returns how long to wait for the next, -1 without bound. */
static int start_due(struct launcher *launcher)
{
    const int64_t now = now_ms();
    int64_t wait = -1;

    for (size_t i = 0; i < launcher->count; i++) {
        struct role *role = &launcher->roles[i];
        if (role->pid == 0 && role->start_ms <= now)
            start_role(launcher, role);
        if (role->pid == 0 && (wait < 0 || role->start_ms - now < wait))
            wait = role->start_ms > now ? role->start_ms - now : 1;
    }
    return (int)wait;
}

static enum sg_rc open_signals(struct launcher *launcher, struct sg_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (launcher->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a signal fd");
    return SG_OK;
}

static void serve(struct launcher *launcher)
{
    enum { STOP_POLL_MS = 100 };

    while (!launcher->is_stopping || running(launcher) > 0) {
        int wait = launcher->is_stopping ? STOP_POLL_MS : start_due(launcher);
        struct pollfd fd = {.fd = launcher->signals, .events = POLLIN};
        poll(&fd, 1, wait);
        bool had_gateway = is_gateway_running(launcher);
        read_signals(launcher);
        reap(launcher);
        if (!launcher->is_stopping)
            continue;
        /* Again when the gateway has gone, and to those who take too long. */
        const bool is_tokens_turn = had_gateway && !is_gateway_running(launcher);
        if (is_tokens_turn)
            launcher->stop_ms = now_ms();
        if (is_tokens_turn || is_stopping_late(launcher))
            stop_next(launcher);
    }
}

/* Who each role is to become: found out before anything is started, since no time will help. */
static enum sg_rc check_users(struct launcher *launcher, struct sg_err *err)
{
    for (size_t i = 0; i < launcher->count; i++) {
        struct role *role = &launcher->roles[i];
        int64_t uid, gid;
        SG_TRY(sg_user_ids(role->user, &uid, &gid, err));
        if (uid < 0 || uid == (int64_t)geteuid())
            role->user = NULL;
        else if (geteuid() != 0)
            return SG_FAIL(err, SG_E_DENIED, 0,
                           "could not run \"%s\" as user \"%s\": only root can; start as root, or "
                           "leave the user out of the configuration",
                           role->name, role->user);
    }
    return SG_OK;
}

enum sg_rc sg_launcher_run(const struct sg_config *config, const char *program,
                           const char *config_path, struct sg_err *err)
{
    const size_t count = config->token_count + 1;
    struct launcher *launcher = calloc(1, sizeof(*launcher) + count * sizeof(launcher->roles[0]));
    if (launcher == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the launcher");

    launcher->program = program;
    launcher->config_path = config_path;
    launcher->count = count;
    launcher->stop_ms_max = config->drain_ms + STOP_MS_MAX;
    launcher->roles[0] = (struct role){.name = "gateway", .user = config->gateway_user};
    for (size_t i = 0; i < config->token_count; i++)
        launcher->roles[i + 1] = (struct role){
            .name = config->tokens[i].name, .user = config->tokens[i].user, .is_token = true};

    enum sg_rc rc = check_users(launcher, err);
    if (rc == SG_OK)
        rc = open_signals(launcher, err);
    if (rc == SG_OK) {
        serve(launcher);
        close(launcher->signals);
        rc = launcher->failed.rc;
        if (rc != SG_OK && err != NULL)
            *err = launcher->failed;
    }
    free(launcher);
    return rc;
}
