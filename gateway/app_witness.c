#include "gateway/app_witness.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_limit.h"
#include "gateway/app_priv.h"
#include "gateway/init.h"
#include "gateway/witness/service.h"

enum { POOL_WAITING_MAX = 4096, DRAIN_LOOK_MS = 20 };

struct witness {
    const struct sg_config *config;
    const struct sg_notify *notify;
    struct sg_loop *loop;
    struct sg_watch signals;
    struct sg_timer drain;
    struct sg_log_limit refusals;
    struct sg_witness_keeper *keeper;
    struct sg_witness_service *service;
    struct sg_crypto *crypto;
    struct sg_net *net;
    bool is_stopping;
    int64_t stop_until_ns;
};

/* What is told ------------------------------------------------------------------------------- */

/*
 * That the log has signed two trees of one size is proved by what was asked, and kept. A proof that
 * does not hold may be anybody's, who has seen a checkpoint: it proves nothing but that it is none.
 */
static void told(void *arg, const char *from, const struct sg_witness_reply *reply)
{
    struct witness *witness = arg;

    if (reply->verdict == SG_WITNESS_COSIGN) {
        sg_log(SG_LOG_INFO, NULL, "witness.cosigned", SG_F_STR("origin", reply->origin),
               SG_F_INT("size", reply->size), SG_F_INT("known", reply->known),
               SG_F_STR("from", from));
    } else if (reply->verdict == SG_WITNESS_FORKED) {
        sg_log(SG_LOG_ERROR, NULL, "witness.log_forked", SG_F_STR("origin", reply->origin),
               SG_F_INT("size", reply->size), SG_F_STR("from", from),
               SG_F_STR("hint", "two trees of one size are signed by this log: it has lied; both "
                                "checkpoints are in the witness's folder"),
               SG_F_ERR(reply->err.rc == SG_OK ? NULL : &reply->err));
    } else if (reply->status == 500) {
        sg_log(SG_LOG_ERROR, NULL, "witness.failed", SG_F_STR("origin", reply->origin),
               SG_F_ERR(&reply->err));
    } else if (sg_log_limit_take(&witness->refusals)) {
        sg_log(reply->verdict == SG_WITNESS_NOT_PROVED ? SG_LOG_WARNING : SG_LOG_INFO, NULL,
               "witness.refused", SG_F_INT("status", reply->status),
               SG_F_STR("origin", reply->origin), SG_F_INT("size", reply->size),
               SG_F_INT("known", reply->known), SG_F_STR("from", from),
               SG_F_ERR(reply->err.rc == SG_OK ? NULL : &reply->err));
    }
}

/* TLS ---------------------------------------------------------------------------------------- */

static enum sg_rc load_tls(struct witness *witness, struct sg_err *err)
{
    static const char *const alpn[] = {"h2", "http/1.1"};
    const struct sg_tls_server_options options = {
        .cert_file = witness->config->tls_certificate_file,
        .key_file = witness->config->tls_key_file,
        .alpn = alpn,
        .alpn_count = SG_COUNT(alpn),
        .key_updates_max = (unsigned)witness->config->key_updates_max,
    };
    struct sg_tls_ctx *ctx;

    SG_TRY(sg_tls_server_ctx_new(&options, &ctx, err));
    sg_net_set_tls(witness->net, ctx);
    return SG_OK;
}

static void reload(struct witness *witness)
{
    struct sg_err err;

    sg_notify_reloading(witness->notify, sg_mono_ns(&sg_clock_system));
    if (load_tls(witness, &err) != SG_OK)
        sg_log(SG_LOG_ERROR, NULL, "witness.reload_failed", SG_F_ERR(&err));
    else
        sg_log(SG_LOG_INFO, NULL, "witness.reloaded");
    sg_notify(witness->notify, "READY=1\nSTATUS=serving");
}

/* The end ------------------------------------------------------------------------------------ */

static void on_drain(void *arg)
{
    struct witness *witness = arg;
    const int64_t now = sg_loop_now(witness->loop);

    if (sg_net_connections(witness->net) == 0 || now >= witness->stop_until_ns ||
        sg_timer_set(witness->loop, &witness->drain, now + DRAIN_LOOK_MS * SG_NS_PER_MS, NULL) !=
            SG_OK)
        sg_loop_stop(witness->loop);
}

static void stop(struct witness *witness)
{
    if (witness->is_stopping)
        return;
    witness->is_stopping = true;
    witness->stop_until_ns = sg_loop_now(witness->loop) + witness->config->drain_ms * SG_NS_PER_MS;
    sg_notify(witness->notify, "STOPPING=1");
    sg_net_drain_notice(witness->net);
    sg_net_drain(witness->net);
    on_drain(witness);
}

static void on_signal(void *arg, uint32_t events)
{
    struct witness *witness = arg;
    struct signalfd_siginfo info;
    (void)events;

    while (read(witness->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload(witness);
        else
            stop(witness);
    }
}

/* The beginning ------------------------------------------------------------------------------ */

static enum sg_rc open_signals(struct witness *witness, struct sg_err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    witness->signals =
        (struct sg_watch){.fd = -1, .fn = on_signal, .arg = witness, .events = EPOLLIN};
    /* Before any thread exists, so that all of them inherit the mask. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 ||
        (witness->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not open a signal fd");
    return sg_watch_add(witness->loop, &witness->signals, err);
}

static enum sg_rc open_keeper(struct witness *witness, struct sg_err *err)
{
    const struct sg_config *config = witness->config;
    char path[PATH_MAX];
    struct sg_witness_trusted *logs = calloc(config->witnessed_log_count + 1, sizeof(*logs));
    if (logs == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the logs");
    for (size_t i = 0; i < config->witnessed_log_count; i++)
        logs[i] = (struct sg_witness_trusted){.origin = config->witnessed_logs[i].origin,
                                              .keys = config->witnessed_logs[i].keys,
                                              .key_count = config->witnessed_logs[i].key_count};
    enum sg_rc rc = sg_witness_key_path(config, path, sizeof(path), err);
    if (rc == SG_OK)
        rc = sg_witness_keeper_open(path, config->witness_folder, logs, config->witnessed_log_count,
                                    &witness->keeper, err);
    free(logs);
    return rc;
}

static enum sg_rc open_net(struct witness *witness, struct sg_err *err)
{
    struct sg_net_options options = sg_app_net_options(witness->config);
    int fd = -1;

    options.listener = SG_LISTENER_BEARER; /* asks for no certificate */
    options.rpc.message_bytes_max = SG_WITNESS_REQUEST_BYTES_MAX;
    options.rpc.cors = (struct sg_cors){0};
    SG_TRY(sg_net_new(witness->loop, &options, &sg_witness_methods,
                      sg_witness_service_handler(witness->service), witness->crypto, &witness->net,
                      err));
    SG_TRY(load_tls(witness, err));
    SG_TRY(sg_socket_open(SG_SOCKET_SERVICES, witness->config->witness_listen, &fd, err));
    return sg_net_start(witness->net, fd, err);
}

static enum sg_rc start(struct witness *witness, struct sg_err *err)
{
    const struct sg_config *config = witness->config;

    if (config->witness_listen[0] == '\0')
        return SG_FAIL(err, SG_E_INVALID, 0, "\"witness_listen\" says no address to listen on");
    if (config->witnessed_log_count == 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "\"witnessed_logs\" names no log to cosign");
    SG_TRY(sg_loop_new(&sg_clock_system, &witness->loop, err));
    sg_log_limit_init(&witness->refusals, witness->loop, "witness.refused");
    witness->drain = (struct sg_timer){.fn = on_drain, .arg = witness};
    SG_TRY(open_signals(witness, err));
    SG_TRY(open_keeper(witness, err));
    const struct sg_witness_service_options options = {.loop = witness->loop,
                                                       .clock = &sg_clock_system,
                                                       .keeper = witness->keeper,
                                                       .told = told,
                                                       .arg = witness};
    SG_TRY(sg_witness_service_new(&options, &witness->service, err));
    SG_TRY(sg_crypto_new(witness->loop, (size_t)config->crypto_threads, POOL_WAITING_MAX,
                         &witness->crypto, err));
    return open_net(witness, err);
}

/* In reverse order of start; half-built objects too. */
static void end(struct witness *witness)
{
    sg_net_free(witness->net);
    sg_crypto_free(witness->crypto);
    sg_witness_service_free(witness->service);
    sg_witness_keeper_close(witness->keeper);
    if (witness->loop != NULL) {
        sg_timer_cancel(witness->loop, &witness->drain);
        sg_watch_remove(witness->loop, &witness->signals);
        if (witness->signals.fd > 0)
            close(witness->signals.fd);
    }
    sg_log_limit_done(&witness->refusals);
    sg_loop_free(witness->loop);
}

static void tell_start(const struct witness *witness)
{
    struct sg_buf key;

    sg_buf_init(&key, SG_NOTE_NAME_BYTES_MAX + 128);
    sg_note_key_write(sg_witness_keeper_key(witness->keeper), &key);
    sg_log(SG_LOG_INFO, NULL, "witness.started", SG_F_STR("version", SG_VERSION),
           SG_F_STR("listen", witness->config->witness_listen),
           SG_F_INT("logs", witness->config->witnessed_log_count),
           SG_F_SLICE("key", sg_buf_slice(&key)));
    sg_buf_done(&key);
    sg_notify(witness->notify, "READY=1\nSTATUS=serving");
}

enum sg_rc sg_app_witness_run(const struct sg_config *config, const struct sg_notify *notify,
                              struct sg_err *err)
{
    struct witness witness = {.config = config, .notify = notify};

    enum sg_rc rc = start(&witness, err);
    if (rc == SG_OK) {
        tell_start(&witness);
        rc = sg_loop_run(witness.loop, err);
    }
    end(&witness);
    if (rc == SG_OK)
        sg_log(SG_LOG_INFO, NULL, "witness.stopped");
    return rc;
}
