#include "gateway/launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/launcher_priv.h"
#include "gateway/user.h"

/* A role that dies again at once waits before it is started anew; one that ran well does not. */
enum { DELAY_MS_FIRST = 50, DELAY_MS_MAX = 5000, STEADY_MS = 10000 };

enum {
    /* To stop in, once told: a token process; and a gateway beyond what it may wait for calls. */
    STOP_MS_MAX = 5000,
    STOP_POLL_MS = 100,
    ABORT_MS_MAX = 1000, /* for a process that hangs to leave a core */
    OLD_MAX = 16,        /* gateways that were replaced and still have calls */
};

struct role {
    const char *name; /* "gateway", or the token's name */
    const char *user; /* to become; NULL: stay */
    bool is_token;
    struct sg_process process;
    int64_t start_ms; /* when to start it; only while not running */
    int64_t delay_ms;
};

struct launcher {
    const struct sg_config *config;
    struct sg_launcher_options options;
    int signals; /* signalfd */
    bool is_stopping;
    struct sg_err failed; /* why all of it stops, when nobody asked for it */
    int64_t stop_ms;      /* since when; of the tokens, once the gateway has gone */
    int64_t stop_ms_max;  /* of the gateway */

    struct sg_sockets sockets;
    bool is_ours[SG_SOCKET_COUNT]; /* else whoever started us keeps it open too */

    struct sg_process next;         /* the gateway that is to take over */
    int64_t next_until_ms;          /* for it to become ready */
    struct sg_process old[OLD_MAX]; /* those that were taken over from */
    bool is_ready_told, is_reloading;
    int64_t fed_ms; /* the watchdog over us */

    size_t count;
    struct role roles[]; /* the first is the gateway */
};

static int64_t now_ms(void)
{
    return sg_mono_ns(&sg_clock_system) / SG_NS_PER_MS;
}

static int64_t watchdog_ms(const struct launcher *launcher)
{
    return launcher->options.notify->watchdog_ns / SG_NS_PER_MS;
}

/* The processes: of the roles, then the next gateway, then the old ones. */
static size_t process_count(const struct launcher *launcher)
{
    return launcher->count + 1 + OLD_MAX;
}

static struct sg_process *process_at(struct launcher *launcher, size_t i)
{
    if (i < launcher->count)
        return &launcher->roles[i].process;
    return i == launcher->count ? &launcher->next : &launcher->old[i - launcher->count - 1];
}

static bool is_of_token(const struct launcher *launcher, size_t i)
{
    return i > 0 && i < launcher->count;
}

/* Starting --------------------------------------------------------------------------------- */

static bool spawn(struct launcher *launcher, const struct role *role, bool is_successor,
                  struct sg_process *ret)
{
    const struct sg_launcher_options *options = &launcher->options;
    const char *const token_args[] = {options->program,     "token", role->name, "--config",
                                      options->config_path, NULL};
    const char *const gateway_args[] = {options->program, "gateway", "--config",
                                        options->config_path, NULL};
    const struct sg_process_spec spec = {
        .role = role->name,
        .user = role->user,
        .args = role->is_token ? token_args : gateway_args,
        .sockets = role->is_token ? NULL : &launcher->sockets,
        .watchdog_ns = options->notify->watchdog_ns,
        .is_gateway = !role->is_token,
        .is_successor = is_successor,
    };
    if (sg_process_start(&spec, now_ms(), ret)) {
        sg_log(SG_LOG_INFO, NULL, "launcher.started", SG_F_STR("role", role->name),
               SG_F_INT("pid", ret->pid));
        return true;
    }
    sg_log(SG_LOG_ERROR, NULL, "launcher.fork_failed", SG_F_STR("role", role->name),
           SG_F_INT("errno", errno));
    return false;
}

/* Ever later, unless it ran well. */
static void start_later(struct role *role, int64_t ran_ms)
{
    role->delay_ms = ran_ms >= STEADY_MS                 ? 0
                     : role->delay_ms == 0               ? DELAY_MS_FIRST
                     : role->delay_ms * 2 > DELAY_MS_MAX ? DELAY_MS_MAX
                                                         : role->delay_ms * 2;
    role->start_ms = now_ms() + role->delay_ms;
}

static enum sg_rc open_sockets(struct launcher *launcher, struct sg_err *err)
{
    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        const char *wanted = sg_socket_wanted(launcher->config, (enum sg_socket)i);
        int *fd = &launcher->sockets.fds[i];
        if (*fd < 0 && wanted[0] != '\0')
            SG_TRY(sg_socket_open((enum sg_socket)i, wanted, fd, err));
    }
    return SG_OK;
}

static void start_role(struct launcher *launcher, struct role *role)
{
    struct sg_err err;

    if (!role->is_token && open_sockets(launcher, &err) != SG_OK) {
        start_later(role, 0);
        sg_log(SG_LOG_ERROR, NULL, "launcher.not_listening", SG_F_ERR(&err),
               SG_F_INT("restart_in_ms", role->delay_ms));
        return;
    }
    if (!spawn(launcher, role, false, &role->process))
        role->start_ms = now_ms() + DELAY_MS_MAX;
}

/* Stopping --------------------------------------------------------------------------------- */

static size_t running(struct launcher *launcher, bool tokens)
{
    size_t count = 0;
    for (size_t i = 0; i < process_count(launcher); i++)
        count += is_of_token(launcher, i) == tokens && process_at(launcher, i)->pid != 0;
    return count;
}

static bool is_a_gateway_running(struct launcher *launcher)
{
    return running(launcher, false) > 0;
}

static bool is_stopping_late(struct launcher *launcher)
{
    return now_ms() - launcher->stop_ms >
           (is_a_gateway_running(launcher) ? launcher->stop_ms_max : STOP_MS_MAX);
}

/* The gateways first, which let their calls end; then the tokens, which they need for that. */
static void stop_next(struct launcher *launcher)
{
    const bool tokens = !is_a_gateway_running(launcher);
    const int number = is_stopping_late(launcher) ? SIGKILL : SIGTERM;

    for (size_t i = 0; i < process_count(launcher); i++)
        if (is_of_token(launcher, i) == tokens && process_at(launcher, i)->pid != 0)
            kill(process_at(launcher, i)->pid, number);
}

/* Callers that nobody will serve are to be told so. What was inherited stays: its address could not
 * be had again. */
static void close_sockets(struct launcher *launcher)
{
    struct sg_sockets ours = SG_SOCKETS_NONE;

    for (size_t i = 0; i < SG_SOCKET_COUNT; i++) {
        if (!launcher->is_ours[i])
            continue;
        ours.fds[i] = launcher->sockets.fds[i];
        launcher->sockets.fds[i] = -1;
    }
    sg_sockets_close(&ours);
}

static void begin_stop(struct launcher *launcher)
{
    if (launcher->is_stopping)
        return;
    launcher->is_stopping = true;
    launcher->stop_ms = now_ms();
    sg_notify(launcher->options.notify, "STOPPING=1\nSTATUS=letting open calls end");
    close_sockets(launcher);
    stop_next(launcher);
}

/* Being ready ------------------------------------------------------------------------------ */

/* What the gateway says of itself, where there is one. */
static const char *status_of(struct launcher *launcher)
{
    struct sg_process *gateway = &launcher->roles[0].process;
    gateway->is_status_new = false;
    return gateway->pid != 0 && gateway->status[0] != '\0' ? gateway->status : "serving";
}

static void tell_ready(struct launcher *launcher)
{
    launcher->is_reloading = false;
    launcher->is_ready_told = true;
    sg_notify(launcher->options.notify, "READY=1\nSTATUS=%s", status_of(launcher));
}

/* Taking over ------------------------------------------------------------------------------ */

static void refuse_takeover(const char *why)
{
    sg_log(SG_LOG_WARNING, NULL, "launcher.takeover_refused", SG_F_STR("why", why));
}

static void fail_takeover(struct launcher *launcher, const char *why)
{
    sg_log(SG_LOG_ERROR, NULL, "launcher.takeover_failed", SG_F_INT("pid", launcher->next.pid),
           SG_F_STR("why", why), SG_F_STR("effect", "the gateway that serves goes on"));
    sg_notify(launcher->options.notify, "STATUS=serving; the last takeover failed: %s", why);
}

static struct sg_process *free_place(struct launcher *launcher)
{
    for (size_t i = 0; i < OLD_MAX; i++)
        if (launcher->old[i].pid == 0)
            return &launcher->old[i];
    return NULL;
}

static void begin_takeover(struct launcher *launcher)
{
    if (launcher->is_stopping)
        return;
    if (launcher->next.pid != 0) {
        refuse_takeover("one is under way");
    } else if (launcher->roles[0].process.pid == 0) {
        refuse_takeover("there is no gateway to take over from; one is about to be started");
    } else if (free_place(launcher) == NULL) {
        refuse_takeover("too many gateways that were replaced still have open calls");
    } else if (spawn(launcher, &launcher->roles[0], true, &launcher->next)) {
        launcher->next_until_ms = now_ms() + launcher->config->takeover_ms;
        sg_log(SG_LOG_INFO, NULL, "launcher.takeover_begun", SG_F_INT("pid", launcher->next.pid),
               SG_F_INT("from", launcher->roles[0].process.pid));
        sg_notify(launcher->options.notify, "STATUS=serving; gateway %d is to take over",
                  (int)launcher->next.pid);
    }
}

/* The next gateway serves: from here on it is the gateway. */
static void end_takeover(struct launcher *launcher)
{
    struct role *role = &launcher->roles[0];
    struct sg_process *place = free_place(launcher);

    sg_log(SG_LOG_INFO, NULL, "launcher.takeover_done", SG_F_INT("pid", launcher->next.pid),
           SG_F_INT("from", role->process.pid));
    if (role->process.pid != 0) {
        SG_ASSERT(place != NULL); /* looked for when it began, and one takeover runs at a time */
        kill(role->process.pid, SIGUSR2);
        *place = role->process;
    }
    role->process = launcher->next;
    launcher->next = SG_PROCESS_NONE;
    /* What the old one was yet to say is not waited for. */
    if (launcher->is_reloading || !launcher->is_ready_told)
        tell_ready(launcher);
    sg_notify(launcher->options.notify, "STATUS=serving; gateway %d has taken over",
              (int)role->process.pid);
}

static void look_at_takeover(struct launcher *launcher)
{
    struct sg_process *next = &launcher->next;

    if (next->pid == 0 || next->is_given_up || now_ms() < launcher->next_until_ms)
        return;
    fail_takeover(launcher, "it was not ready in time (takeover_ms)");
    next->is_given_up = true;
    kill(next->pid, SIGKILL);
}

/* Ends of processes ------------------------------------------------------------------------ */

static void log_end(const struct launcher *launcher, const char *role, pid_t pid, int status,
                    bool is_expected, int64_t delay_ms)
{
    sg_log(is_expected || launcher->is_stopping ? SG_LOG_INFO : SG_LOG_WARNING, NULL,
           "launcher.ended", SG_F_STR("role", role), SG_F_INT("pid", pid),
           SG_F_INT("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
           SG_F_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
           SG_F_INT("restart_in_ms", launcher->is_stopping ? -1 : delay_ms));
}

static void on_role_ended(struct launcher *launcher, struct role *role, int status)
{
    const pid_t pid = role->process.pid;

    start_later(role, now_ms() - role->process.started_ms);
    sg_process_forget(&role->process);
    log_end(launcher, role->name, pid, status, false, role->delay_ms);
    if (launcher->is_stopping)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SG_EXIT_NO_USER) {
        SG_IGNORE(SG_FAIL(&launcher->failed, SG_E_DENIED, 0, /* told when all has stopped */
                          "could not run \"%s\" as user \"%s\"", role->name, role->user));
        begin_stop(launcher);
        return;
    }
    sg_notify(launcher->options.notify, "STATUS=%s ended and is started again in %lld ms",
              role->name, (long long)role->delay_ms);
    /* Shortly callers may wait for it; from one that dies again and again they must go elsewhere.
     */
    if (!role->is_token && role->delay_ms > DELAY_MS_FIRST && launcher->next.pid == 0)
        close_sockets(launcher);
}

static void on_exit_of(struct launcher *launcher, pid_t pid, int status)
{
    for (size_t i = 0; i < process_count(launcher); i++) {
        struct sg_process *process = process_at(launcher, i);
        if (process->pid != pid)
            continue;
        if (i < launcher->count) {
            on_role_ended(launcher, &launcher->roles[i], status);
        } else {
            log_end(launcher, "gateway", pid, status, i > launcher->count, -1);
            if (process == &launcher->next && !process->is_given_up && !launcher->is_stopping)
                fail_takeover(launcher, "it ended before it was ready");
            sg_process_forget(process);
        }
        return;
    }
}

static void reap(struct launcher *launcher)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        on_exit_of(launcher, pid, status);
}

/* What is heard ---------------------------------------------------------------------------- */

static void reload(struct launcher *launcher)
{
    if (launcher->is_stopping)
        return;
    sg_notify_reloading(launcher->options.notify, sg_mono_ns(&sg_clock_system));
    launcher->is_reloading = true;
    /* One that is to take over may have read the files before they changed. */
    if (launcher->next.pid != 0)
        kill(launcher->next.pid, SIGHUP);
    if (launcher->roles[0].process.pid != 0)
        kill(launcher->roles[0].process.pid, SIGHUP);
    else /* the gateway that is about to be started reads everything */
        tell_ready(launcher);
}

static void hear(struct launcher *launcher)
{
    const int64_t now = now_ms();

    for (size_t i = 0; i < process_count(launcher); i++) {
        struct sg_process *process = process_at(launcher, i);
        if (process->pid == 0 || !sg_process_hear(process, now))
            continue;
        if (i == 0 && (launcher->is_reloading || !launcher->is_ready_told))
            tell_ready(launcher);
        if (process == &launcher->next && !process->is_given_up)
            end_takeover(launcher);
    }
    if (launcher->roles[0].process.is_status_new && launcher->is_ready_told &&
        !launcher->is_stopping)
        sg_notify(launcher->options.notify, "STATUS=%s", status_of(launcher));
}

/* How long it may be silent: until it is ready, and then by the watchdog. -1: for ever, or it is
 * looked at elsewhere. */
static int64_t silence_ms_max(struct launcher *launcher, size_t i)
{
    const struct sg_process *process = process_at(launcher, i);

    if (process->is_ready)
        return watchdog_ms(launcher) > 0 ? watchdog_ms(launcher) : -1;
    return i < launcher->count ? launcher->config->start_ms_max : -1; /* else look_at_takeover() */
}

/* A process that falls silent, or never says that it is ready, is ended: first so that it leaves a
 * core, then in a way that also one that was stopped cannot outlast. */
static bool is_a_process_hung(struct launcher *launcher)
{
    const int64_t now = now_ms();
    bool is_hung = false;

    for (size_t i = 0; i < process_count(launcher); i++) {
        struct sg_process *process = process_at(launcher, i);
        const int64_t limit = silence_ms_max(launcher, i);
        if (process->pid == 0 || limit < 0 || now - process->heard_ms <= limit)
            continue;
        is_hung = true;
        if (now - process->heard_ms > limit + ABORT_MS_MAX) {
            kill(process->pid, SIGKILL);
        } else if (!process->is_given_up) {
            sg_log(SG_LOG_ERROR, NULL, "launcher.hung",
                   SG_F_STR("role", i < launcher->count ? launcher->roles[i].name : "gateway"),
                   SG_F_INT("pid", process->pid), SG_F_INT("silent_ms", now - process->heard_ms),
                   SG_F_INT("was_ready", process->is_ready));
            kill(process->pid, SIGABRT);
            process->is_given_up = true;
        }
    }
    return is_hung;
}

/* Fed while each process either turns or is not there and will be started: ending one that hangs
 * is our part, and only when it does not succeed shall all of it be ended. */
static void feed_watchdog(struct launcher *launcher)
{
    const int64_t limit = watchdog_ms(launcher), now = now_ms();
    const bool is_hung = is_a_process_hung(launcher);

    if (limit == 0 || is_hung || now - launcher->fed_ms < limit / 3)
        return;
    launcher->fed_ms = now;
    sg_notify(launcher->options.notify, "WATCHDOG=1");
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
            reload(launcher);
            break;
        case SIGUSR2:
            begin_takeover(launcher);
            break;
        default: /* SIGCHLD: reaped, whatever came */
            break;
        }
    }
}

/* The loop --------------------------------------------------------------------------------- */

static void earlier(int64_t *wait, int64_t ms)
{
    if (*wait < 0 || ms < *wait)
        *wait = ms > 0 ? ms : 1;
}

/* Starts what is due; returns how long to wait for the next thing to do, -1 without bound. */
static int start_due(struct launcher *launcher)
{
    const int64_t now = now_ms();
    int64_t wait = -1;

    for (size_t i = 0; i < launcher->count; i++) {
        struct role *role = &launcher->roles[i];
        if (role->process.pid == 0 && role->start_ms <= now)
            start_role(launcher, role);
        if (role->process.pid == 0)
            earlier(&wait, role->start_ms - now);
    }
    if (launcher->next.pid != 0 && !launcher->next.is_given_up)
        earlier(&wait, launcher->next_until_ms - now);
    return (int)wait;
}

static enum sg_rc open_signals(struct launcher *launcher, struct sg_err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SG_COUNT(numbers); i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (launcher->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a signal fd");
    return SG_OK;
}

static void wait_for_events(struct launcher *launcher, struct pollfd *fds, int64_t wait)
{
    nfds_t count = 0;

    fds[count++] = (struct pollfd){.fd = launcher->signals, .events = POLLIN};
    for (size_t i = 0; i < process_count(launcher); i++)
        if (process_at(launcher, i)->pid != 0)
            fds[count++] =
                (struct pollfd){.fd = process_at(launcher, i)->channel, .events = POLLIN};
    for (size_t i = 0; i < process_count(launcher); i++) {
        const int64_t part = silence_ms_max(launcher, i) / 6;
        if (process_at(launcher, i)->pid != 0 && part > 0)
            earlier(&wait, part < ABORT_MS_MAX ? part : ABORT_MS_MAX);
    }
    poll(fds, count, (int)wait);
}

static void serve(struct launcher *launcher, struct pollfd *fds)
{
    while (!launcher->is_stopping || running(launcher, true) + running(launcher, false) > 0) {
        const int wait = launcher->is_stopping ? STOP_POLL_MS : start_due(launcher);
        wait_for_events(launcher, fds, wait);
        const bool had_gateway = is_a_gateway_running(launcher);
        hear(launcher); /* before its end is heard of, which may have come after */
        read_signals(launcher);
        reap(launcher);
        feed_watchdog(launcher);
        look_at_takeover(launcher);
        if (!launcher->is_stopping)
            continue;
        /* Again when the gateways have gone, and to those who take too long. */
        const bool is_tokens_turn = had_gateway && !is_a_gateway_running(launcher);
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

static struct launcher *launcher_new(const struct sg_config *config,
                                     const struct sg_launcher_options *options)
{
    const size_t count = options->is_gateway_only ? 1 : config->token_count + 1;
    struct launcher *launcher = calloc(1, sizeof(*launcher) + count * sizeof(launcher->roles[0]));
    if (launcher == NULL)
        return NULL;
    launcher->config = config;
    launcher->options = *options;
    launcher->signals = -1;
    launcher->stop_ms_max = config->drain_ms + STOP_MS_MAX;
    launcher->sockets = options->sockets;
    for (size_t i = 0; i < SG_SOCKET_COUNT; i++)
        launcher->is_ours[i] = options->sockets.fds[i] < 0;
    launcher->count = count;
    launcher->roles[0] = (struct role){.name = "gateway", .user = config->gateway_user};
    for (size_t i = 1; i < count; i++)
        launcher->roles[i] = (struct role){.name = config->tokens[i - 1].name,
                                           .user = config->tokens[i - 1].user,
                                           .is_token = true};
    for (size_t i = 0; i < process_count(launcher); i++)
        *process_at(launcher, i) = SG_PROCESS_NONE;
    return launcher;
}

enum sg_rc sg_launcher_run(const struct sg_config *config,
                           const struct sg_launcher_options *options, struct sg_err *err)
{
    struct launcher *launcher = launcher_new(config, options);
    struct pollfd *fds =
        launcher == NULL ? NULL : calloc(1 + process_count(launcher), sizeof(*fds));
    if (fds == NULL) {
        free(launcher);
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the launcher");
    }
    enum sg_rc rc = check_users(launcher, err);
    if (rc == SG_OK)
        rc = open_signals(launcher, err);
    if (rc == SG_OK) {
        serve(launcher, fds);
        close(launcher->signals);
        rc = launcher->failed.rc;
        if (rc != SG_OK && err != NULL)
            *err = launcher->failed;
    }
    sg_sockets_close(&launcher->sockets);
    free(fds);
    free(launcher);
    return rc;
}
