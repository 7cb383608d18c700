#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "hsm/pin.h"
#include "hsm/pkcs11/p11.h"
#include "hsm/pool.h"
#include "hsm/token.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/*
 * Three kinds of thread. Main accepts connections, greets them, and watches over the others; it
 * never calls the module. Workers take SIGN jobs, each with a session of its own. One admin thread
 * opens and recovers the token, loads keys and makes requests, all of which may take long.
 *
 * A call into the module cannot be ended, but a process can: when one hangs, the process ends
 * itself and whoever watches over it starts it anew (a hung call of libraries over the network has
 * been seen to hang for ever).
 */
enum {
    GREETING_MAX = 16,
    GREETING_MS = 5000, /* from connecting to HELLO */
    TICK_MS = 250,
    WORKERS = 32, /* for a network HSM of which nothing else is known */
    HANG_MS = 5000,
    /* Of that: longer than the gateway's own limits, which are tried first. Opening a token and
     * searching it take longer than a signature. */
    WORKER_HANG_FACTOR = 2,
    ADMIN_HANG_FACTOR = 6,
    FAILURES_MAX = 8, /* recoveries in a row; some libraries need a new process */
    CAPACITY_PAUSE_MS = 100,
    STOP_S = 5,
    EXIT_STUCK = 70, /* EX_SOFTWARE */
};

struct greeting {
    struct token *token;
    struct sg_watch watch;
    int64_t since_ns;
};

struct token {
    const struct sg_token_config *config;
    size_t workers, workers_software; /* threads, and how many of them serve SoftHSM */
    struct sg_p11 *p11;
    struct sg_p11_session **sessions; /* one for each worker */
    struct sg_p11_session *admin;
    struct sg_pool *worker_pool, *admin_pool;

    /* The admin thread's. */
    size_t failures;
    bool was_open, is_told;

    /* Main's. */
    struct sg_loop *loop;
    struct sg_watch listener, signals;
    struct sg_timer tick;
    struct greeting greetings[GREETING_MAX];
};

/* Answers ---------------------------------------------------------------------------------- */

static struct sg_answer answer_of(const struct sg_request *request, enum sg_outcome outcome,
                                  const struct sg_err *err)
{
    struct sg_answer answer = {
        .kind = request->kind, .serial = request->serial, .outcome = outcome};
    if (outcome != SG_OUT_OK) {
        answer.native = err->native;
        answer.text = sg_slice_str(err->msg);
        if (answer.text.len > SG_JOB_TEXT_MAX)
            answer.text.len = SG_JOB_TEXT_MAX;
    }
    return answer;
}

/* The strings of the answer borrow from `info`. */
static void put_info(struct token *token, struct sg_p11_info *info, struct sg_answer *answer)
{
    sg_p11_info(token->p11, info);
    answer->workers = sg_p11_workers(token->p11);
    answer->pin = info->pin;
    answer->label = sg_slice_str(info->label);
    answer->model = sg_slice_str(info->model);
    answer->number = sg_slice_str(info->number);
}

/* Workers ---------------------------------------------------------------------------------- */

static bool worker_may_serve(void *arg, size_t i, int64_t *ret_again_ns)
{
    struct token *token = arg;
    if (i < sg_p11_workers(token->p11))
        return true;
    if (sg_p11_session_grow(token->sessions[i], i, ret_again_ns)) {
        sg_pool_stir(token->worker_pool); /* the next may try */
        return true;
    }
    sg_p11_session_park(token->sessions[i]);
    return false;
}

static bool worker_handle(void *arg, size_t i, struct sg_slice message, struct sg_buf *out)
{
    struct token *token = arg;
    struct sg_request request;
    struct sg_p11_signature signature;
    struct sg_err err = {0};

    if (sg_request_decode(message, &request, NULL) != SG_OK || request.kind != SG_JOB_SIGN)
        return false;
    enum sg_outcome outcome = sg_p11_sign(token->sessions[i], &request, &signature, &err);
    struct sg_answer answer = answer_of(&request, outcome, &err);
    if (outcome == SG_OUT_OK) {
        answer.start_ns = signature.start_ns;
        answer.hsm_ns = signature.hsm_ns;
        answer.workers = sg_p11_workers(token->p11);
        answer.signature = sg_slice_of(signature.bytes, signature.len);
    }
    sg_answer_encode(&answer, out);
    /* Others may have the sessions that this one does not get: let them take the work. */
    if (outcome == SG_OUT_CAPACITY)
        sg_pool_pause(token->worker_pool, i, CAPACITY_PAUSE_MS);
    return true;
}

/* The admin thread ------------------------------------------------------------------------- */

static void end_process(struct token *token, const char *event, const struct sg_err *err)
{
    sg_log(SG_LOG_ERROR, NULL, event, SG_F_STR("token", token->config->name), SG_F_ERR(err));
    _exit(EXIT_STUCK);
}

static enum sg_outcome open_token(struct token *token, struct sg_err *err)
{
    bool is_stuck;
    enum sg_outcome outcome = sg_p11_open(token->p11, token->admin, &is_stuck, err);

    if (is_stuck)
        end_process(token, "token.stuck", err);
    if (outcome == SG_OUT_OK && !token->was_open)
        sg_log(SG_LOG_INFO, NULL, "token.ready", SG_F_STR("token", token->config->name));
    else if (outcome != SG_OUT_OK && (token->was_open || !token->is_told))
        sg_log(SG_LOG_WARNING, NULL, "token.down", SG_F_STR("token", token->config->name),
               SG_F_STR("outcome", sg_outcome_name(outcome)), SG_F_ERR(err));
    token->was_open = outcome == SG_OUT_OK;
    token->is_told = true;
    if (outcome == SG_OUT_OK)
        sg_pool_stir(token->worker_pool); /* it may bear more than before */

    token->failures = outcome == SG_OUT_OK || outcome == SG_OUT_PIN ? 0 : token->failures + 1;
    if (token->failures >= FAILURES_MAX)
        end_process(token, "token.given_up", err);
    return outcome;
}

static void admin_begin(void *arg, size_t i)
{
    (void)i;
    struct sg_err err;
    open_token(arg, &err); /* logs how it went; a gateway asks again by PROBE */
}

static bool admin_handle(void *arg, size_t i, struct sg_slice message, struct sg_buf *out)
{
    (void)i;
    struct token *token = arg;
    struct sg_request request;
    struct sg_p11_info info;
    struct sg_answer answer;
    struct sg_err err = {0};
    uint8_t spki[SG_JOB_SPKI_MAX];
    size_t spki_len = 0;
    struct sg_buf csr;
    enum sg_outcome outcome;

    if (sg_request_decode(message, &request, NULL) != SG_OK)
        return false;
    sg_buf_init(&csr, SG_SIGNATURE_BYTES_MAX);
    switch (request.kind) {
    case SG_JOB_PROBE:
        outcome = open_token(token, &err);
        answer = answer_of(&request, outcome, &err);
        if (outcome == SG_OUT_OK)
            put_info(token, &info, &answer);
        break;
    case SG_JOB_LOAD_KEY:
        outcome = sg_p11_load_key(token->admin, &request, spki, &spki_len, &err);
        answer = answer_of(&request, outcome, &err);
        answer.type = request.type;
        answer.spki = sg_slice_of(spki, spki_len);
        break;
    case SG_JOB_CSR:
        outcome = sg_p11_csr(token->admin, &request, &csr, &err);
        answer = answer_of(&request, outcome, &err);
        answer.csr = sg_buf_slice(&csr);
        break;
    case SG_JOB_HELLO:
    case SG_JOB_SIGN:
    case SG_JOB_UNSET:
    case SG_JOB_KIND_COUNT:
        return false;
    }
    sg_answer_encode(&answer, out);
    sg_buf_done(&csr);
    return true;
}

/* Main: connections -------------------------------------------------------------------------- */

static void greeting_end(struct greeting *greeting)
{
    sg_watch_remove(greeting->token->loop, &greeting->watch);
    greeting->watch.fd = -1;
}

static bool answer_hello(struct token *token, int fd, const struct sg_request *request)
{
    struct sg_p11_info info;
    struct sg_buf out;
    struct sg_answer answer = answer_of(request, SG_OUT_OK, NULL);

    put_info(token, &info, &answer);
    sg_buf_init(&out, SG_JOB_MESSAGE_MAX);
    sg_answer_encode(&answer, &out);
    bool is_sent =
        !out.failed && send(fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)out.len;
    sg_buf_done(&out);
    return is_sent;
}

static void on_greeting(void *arg, uint32_t events)
{
    (void)events;
    struct greeting *greeting = arg;
    struct token *token = greeting->token;
    struct sg_request request;
    struct sg_err err;
    uint8_t bytes[64];
    int fd = greeting->watch.fd;

    ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    greeting_end(greeting);
    if (len <= 0 || (size_t)len > sizeof(bytes) ||
        sg_request_decode(sg_slice_of(bytes, (size_t)len), &request, NULL) != SG_OK ||
        request.kind != SG_JOB_HELLO ||
        (request.role != SG_JOB_ROLE_END && !answer_hello(token, fd, &request))) {
        close(fd);
        return;
    }
    if (request.role == SG_JOB_ROLE_END) {
        SG_IGNORE(SG_FAIL(&err, SG_E_TIMEOUT, 0, "the gateway found that it hangs")); /* logged */
        end_process(token, "token.ended", &err);
    }
    struct sg_pool *pool =
        request.role == SG_JOB_ROLE_SIGN ? token->worker_pool : token->admin_pool;
    if (sg_pool_add(pool, fd, &err) != SG_OK)
        sg_log(SG_LOG_WARNING, NULL, "token.connection_refused",
               SG_F_STR("token", token->config->name), SG_F_ERR(&err));
}

static bool is_gateway(struct token *token, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    uid_t want = token->config->gateway_uid < 0 ? geteuid() : (uid_t)token->config->gateway_uid;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == want)
        return true;
    sg_log(SG_LOG_WARNING, NULL, "token.stranger_refused", SG_F_STR("token", token->config->name),
           SG_F_INT("uid", peer.uid), SG_F_INT("pid", peer.pid));
    return false;
}

static void on_listener(void *arg, uint32_t events)
{
    (void)events;
    struct token *token = arg;
    struct greeting *free_place = NULL;

    int fd = accept4(token->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (size_t i = 0; i < GREETING_MAX && free_place == NULL; i++)
        if (token->greetings[i].watch.fd < 0)
            free_place = &token->greetings[i];
    if (free_place == NULL || !is_gateway(token, fd)) {
        close(fd);
        return;
    }
    free_place->since_ns = sg_loop_now(token->loop);
    free_place->watch =
        (struct sg_watch){.fd = fd, .fn = on_greeting, .arg = free_place, .events = EPOLLIN};
    if (sg_watch_add(token->loop, &free_place->watch, NULL) != SG_OK) {
        free_place->watch.fd = -1;
        close(fd);
    }
}

static void on_signals(void *arg, uint32_t events)
{
    (void)events;
    struct token *token = arg;
    sg_loop_stop(token->loop);
}

static void check_hang(struct token *token, const struct sg_p11_session *session, int64_t max_ms)
{
    struct sg_err err;
    int64_t since_ns = sg_p11_session_busy_since(session);
    int64_t age_ms = (sg_loop_now(token->loop) - since_ns) / SG_NS_PER_MS;

    if (since_ns == 0 || age_ms < max_ms)
        return;
    SG_IGNORE(SG_FAIL(&err, SG_E_TIMEOUT, 0, "a call into the module took over %lld ms",
                      (long long)age_ms)); /* made to be logged */
    end_process(token, "token.hung", &err);
}

static void on_tick(void *arg)
{
    struct token *token = arg;
    int64_t now = sg_loop_now(token->loop);

    int64_t hang_ms = token->config->hang_ms > 0 ? token->config->hang_ms : HANG_MS;
    for (size_t i = 0; i < token->workers; i++)
        check_hang(token, token->sessions[i], WORKER_HANG_FACTOR * hang_ms);
    check_hang(token, token->admin, ADMIN_HANG_FACTOR * hang_ms);
    for (size_t i = 0; i < GREETING_MAX; i++) {
        struct greeting *greeting = &token->greetings[i];
        int fd = greeting->watch.fd;
        if (fd < 0 || now - greeting->since_ns < GREETING_MS * SG_NS_PER_MS)
            continue;
        greeting_end(greeting);
        close(fd);
    }
    if (token->config->notify->watchdog_ns > 0)
        sg_notify(token->config->notify, "WATCHDOG=1");
    /* The place in the heap that it just left is still there, so this cannot fail. */
    SG_IGNORE(sg_timer_set(token->loop, &token->tick, now + TICK_MS * SG_NS_PER_MS, NULL));
}

/* Main: start and end ------------------------------------------------------------------------ */

static enum sg_rc fail_errno(struct sg_err *err, const char *what)
{
    return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not %s: %s", what,
                   strerror(errno));
}

/* Removes what a dead process left; a living one is not pushed aside. */
static enum sg_rc clear_address(const struct sockaddr_un *address, struct sg_err *err)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(err, "open a socket");
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int cause = errno;
    close(fd);
    if (rc == 0)
        return SG_FAIL(err, SG_E_CONFLICT, 0,
                       "could not listen on \"%s\": another token process does", address->sun_path);
    if (cause == ECONNREFUSED)
        unlink(address->sun_path);
    return SG_OK;
}

static enum sg_rc listen_on(const struct sg_token_config *config, int *ret_fd, struct sg_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(config->socket) >= sizeof(address.sun_path))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not listen on \"%s\": the path is too long",
                       config->socket);
    memcpy(address.sun_path, config->socket, strlen(config->socket));
    SG_TRY(clear_address(&address, err));

    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(err, "open a socket");
    *ret_fd = fd;
    mode_t old = umask(0117); /* 0660 from its first moment */
    int rc = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    umask(old);
    if (rc != 0)
        return fail_errno(err, "bind the socket");
    if (config->gateway_gid >= 0 &&
        chown(config->socket, (uid_t)-1, (gid_t)config->gateway_gid) != 0)
        return fail_errno(err, "give the socket its group");
    if (listen(fd, 16) != 0)
        return fail_errno(err, "listen on the socket");
    return SG_OK;
}

static enum sg_rc harden(struct sg_err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail_errno(err, "give up new privileges");
        /* No core dump and no debugger, either of which would show the PIN. A sanitized build needs
         * to trace itself when it ends. */
#if !IS_SANITIZED
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail_errno(err, "forbid dumping");
#endif
    return SG_OK;
}

static enum sg_rc watch_signals(struct token *token, struct sg_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before there are threads: they inherit it */
    /* They mean something to the other roles, and would end this one. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    token->signals = (struct sg_watch){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
                                       .fn = on_signals,
                                       .arg = token,
                                       .events = EPOLLIN};
    if (token->signals.fd < 0)
        return fail_errno(err, "watch for signals");
    return sg_watch_add(token->loop, &token->signals, err);
}

static enum sg_rc start_pools(struct token *token, struct sg_err *err)
{
    struct sg_pool_config workers = {
        .name = "token-worker",
        .threads = token->workers,
        .answer_max = SG_JOB_MESSAGE_MAX,
        .arg = token,
        .handle = worker_handle,
        .may_serve = worker_may_serve,
    };
    struct sg_pool_config admin = {
        .name = "token-admin",
        .threads = 1,
        .answer_max = SG_JOB_MESSAGE_MAX,
        .arg = token,
        .begin = admin_begin,
        .handle = admin_handle,
    };
    token->sessions = calloc(token->workers, sizeof(struct sg_p11_session *));
    token->admin = sg_p11_session_new(token->p11);
    bool has_all = token->sessions != NULL && token->admin != NULL;
    for (size_t i = 0; has_all && i < token->workers; i++)
        has_all = (token->sessions[i] = sg_p11_session_new(token->p11)) != NULL;
    if (!has_all)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate %zu sessions", token->workers);
    SG_TRY(
        sg_pool_start(&workers, &token->worker_pool, err)); /* first: the admin thread stirs it */
    return sg_pool_start(&admin, &token->admin_pool, err);
}

static enum sg_rc start(struct token *token, struct sg_err *err)
{
    const struct sg_token_config *config = token->config;
    struct sg_p11_config p11 = {
        .module = config->module,
        .uri = config->uri,
        .pin_file = config->pin_file,
        .state_dir = config->state_dir,
        .workers = token->workers,
        .workers_software = token->workers_software,
        .allow_extractable = config->allow_extractable,
    };
    SG_TRY(harden(err));
    sg_pin_setup();
    if (mkdir(config->state_dir, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, "make the state folder");
    SG_TRY(sg_loop_new(&sg_clock_system, &token->loop, err));
    SG_TRY(watch_signals(token, err));
    SG_TRY(sg_p11_new(&p11, &token->p11, err));
    SG_TRY(listen_on(config, &token->listener.fd, err));
    SG_TRY(start_pools(token, err));

    token->listener.fn = on_listener;
    token->listener.arg = token;
    token->listener.events = EPOLLIN;
    SG_TRY(sg_watch_add(token->loop, &token->listener, err));
    return sg_timer_set(token->loop, &token->tick, sg_loop_now(token->loop), err);
}

static void end(struct token *token)
{
    /* Threads may hang in the module and would be waited for: the signal ends that. */
    alarm(STOP_S);
    if (token->listener.fd >= 0) {
        sg_watch_remove(token->loop, &token->listener);
        close(token->listener.fd);
        unlink(token->config->socket);
    }
    sg_pool_stop(token->admin_pool); /* first: it stirs the workers */
    sg_pool_stop(token->worker_pool);
    for (size_t i = 0; i < GREETING_MAX; i++) {
        int fd = token->greetings[i].watch.fd;
        if (fd < 0)
            continue;
        greeting_end(&token->greetings[i]);
        close(fd);
    }
    for (size_t i = 0; token->sessions != NULL && i < token->workers; i++)
        sg_p11_session_free(token->sessions[i]);
    free(token->sessions);
    sg_p11_session_free(token->admin);
    sg_p11_free(token->p11);
    if (token->loop != NULL) {
        sg_timer_cancel(token->loop, &token->tick);
        sg_watch_remove(token->loop, &token->signals);
    }
    if (token->signals.fd >= 0)
        close(token->signals.fd);
    sg_loop_free(token->loop);
    alarm(0);
}

enum sg_rc sg_token_run(const struct sg_token_config *config, struct sg_err *err)
{
    struct token token = {.config = config};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    token.workers_software = config->workers > 0 ? config->workers : cores > 0 ? (size_t)cores : 1;
    token.workers = config->workers > 0 ? config->workers : WORKERS;
    if (token.workers < token.workers_software)
        token.workers = token.workers_software;
    token.listener.fd = token.signals.fd = -1;
    token.tick = (struct sg_timer){.fn = on_tick, .arg = &token};
    for (size_t i = 0; i < GREETING_MAX; i++) {
        token.greetings[i].token = &token;
        token.greetings[i].watch.fd = -1;
    }
    enum sg_rc rc = start(&token, err);
    if (rc == SG_OK) {
        sg_log(SG_LOG_INFO, NULL, "token.started", SG_F_STR("token", config->name),
               SG_F_STR("socket", config->socket), SG_F_INT("workers", token.workers));
        sg_notify(config->notify, "READY=1\nSTATUS=serving token %s", config->name);
        rc = sg_loop_run(token.loop, err);
        sg_notify(config->notify, "STOPPING=1");
        sg_log(SG_LOG_INFO, NULL, "token.stopped", SG_F_STR("token", config->name));
    }
    end(&token);
    return rc;
}
