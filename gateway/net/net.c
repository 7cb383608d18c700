#include "gateway/net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/net/net_priv.h"
#include "gateway/sockets/sockets.h"

enum { ACCEPTS_PER_TURN = 64, ACCEPT_PAUSE_MS = 100 };

enum sg_rc sg_net_new(struct sg_loop *loop, const struct sg_net_options *options,
                      const struct sg_method_table *methods, const struct sg_call_handler *handler,
                      struct sg_crypto *crypto, struct sg_net **ret, struct sg_err *err)
{
    uint64_t first_id;
    if (getrandom(&first_id, sizeof(first_id), 0) != (ssize_t)sizeof(first_id))
        return SG_FAIL(err, SG_E_INTERNAL, (unsigned long)errno, "could not get random bytes");
    struct sg_net *net = calloc(1, sizeof(*net));
    if (net == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the listener");

    enum sg_rc rc = sg_proxies_init(&net->proxies, options->proxy_from, err);
    if (rc != SG_OK) {
        free(net);
        return rc;
    }
    net->next_id = first_id >> 4; /* does not come around */
    sg_log_limit_init(&net->failures, loop, "conn.failed");
    net->loop = loop;
    net->options = *options;
    net->methods = methods;
    net->handler = handler;
    net->watch.fd = -1;
    sg_handshakes_init(&net->handshakes, crypto, options->handshakes_max);
    sg_buf_init(&net->plain, PLAIN_BYTES_MAX);
    /* A pull may go over its mark by a frame. */
    sg_buf_init(&net->pulled, KEPT_BYTES + 2 * PULL_BYTES);
    TAILQ_INIT(&net->inputs);
    TAILQ_INIT(&net->outputs);
    net->input = (struct sg_hook){.fn = sg_conns_on_input, .arg = net, .stage = SG_STAGE_INPUT};
    net->output = (struct sg_hook){.fn = sg_conns_on_output, .arg = net, .stage = SG_STAGE_OUTPUT};
    *ret = net;
    return SG_OK;
}

static void stop_accepting(struct sg_net *net)
{
    if (net->watch.fd < 0)
        return;
    sg_timer_cancel(net->loop, &net->accept_pause);
    sg_watch_remove(net->loop, &net->watch);
    close(net->watch.fd);
    net->watch.fd = -1;
}

void sg_net_free(struct sg_net *net)
{
    if (net == NULL)
        return;
    stop_accepting(net);
    while (net->conns != NULL)
        sg_conn_free(net->conns);
    sg_hook_disarm(&net->input);
    sg_hook_disarm(&net->output);
    sg_handshakes_done(&net->handshakes);
    sg_proxies_done(&net->proxies);
    sg_log_limit_done(&net->failures);
    sg_tls_ctx_free(net->tls);
    sg_buf_done(&net->pulled);
    sg_buf_done(&net->plain);
    free(net);
}

void sg_net_set_tls(struct sg_net *net, struct sg_tls_ctx *tls)
{
    sg_tls_ctx_free(net->tls);
    net->tls = tls;
}

/* Out of descriptors or memory: accepting again at once would only spin. */
static void pause_accepting(struct sg_net *net)
{
    sg_log(SG_LOG_WARNING, NULL, "net.accept_paused", SG_F_INT("errno", errno),
           SG_F_INT("connections", net->conn_count),
           SG_F_STR("listener", sg_listener_name(net->options.listener)));
    if (sg_timer_set(net->loop, &net->accept_pause,
                     sg_loop_now(net->loop) + ACCEPT_PAUSE_MS * SG_NS_PER_MS, NULL) == SG_OK)
        sg_watch_set(net->loop, &net->watch, 0);
}

static void on_accept_again(void *arg)
{
    struct sg_net *net = arg;
    sg_watch_set(net->loop, &net->watch, EPOLLIN);
}

/* SG_WHY_OPEN, or why this connection is not served. */
static enum sg_why take_in(struct sg_net *net, const struct sockaddr_storage *address,
                           struct sg_source **ret)
{
    const struct sg_net_options *options = &net->options;

    if (net->conn_count >= options->connections_max)
        return SG_WHY_FULL;
    *ret = NULL;
    if (sg_proxies_have(&net->proxies, address))
        return SG_WHY_OPEN; /* it counts for whom it is, when that is known */
    enum sg_rc rc =
        sg_sources_enter(&net->sources, address, options->connections_per_source_max, ret, NULL);
    return rc == SG_OK ? SG_WHY_OPEN : rc == SG_E_LIMIT ? SG_WHY_ADDRESS : SG_WHY_MEMORY;
}

static void on_accept(void *arg, uint32_t events)
{
    struct sg_net *net = arg;
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof(address);
        int fd =
            accept4(net->watch.fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(net);
            if (errno != ECONNABORTED && errno != EINTR)
                return;
            continue;
        }
        net->totals.accepted++;
        struct sg_source *source;
        enum sg_why why = take_in(net, &address, &source);
        if (why == SG_WHY_OPEN) {
            sg_conn_open(net, fd, &address, source);
            continue;
        }
        net->totals.ended[why]++;
        close(fd);
    }
}

enum sg_rc sg_net_start(struct sg_net *net, int listener, struct sg_err *err)
{
    SG_ASSERT(net->tls != NULL && net->watch.fd < 0 && listener >= 0);
    char address[SG_SOCKET_TEXT_MAX];

    net->watch = (struct sg_watch){.fd = listener, .fn = on_accept, .arg = net, .events = EPOLLIN};
    net->accept_pause = (struct sg_timer){.fn = on_accept_again, .arg = net};
    enum sg_rc rc = sg_watch_add(net->loop, &net->watch, err);
    if (rc != SG_OK) {
        close(listener);
        net->watch.fd = -1;
        return rc;
    }
    sg_socket_text(listener, address);
    sg_log(SG_LOG_INFO, NULL, "net.listening", SG_F_STR("address", address),
           SG_F_STR("listener", sg_listener_name(net->options.listener)));
    return SG_OK;
}

void sg_net_drain_notice(struct sg_net *net)
{
    net->phase = SG_NET_NOTICED;
    stop_accepting(net);
    for (struct sg_conn *conn = net->conns; conn != NULL; conn = sg_conn_next(conn))
        sg_conn_drain_notice(conn);
}

void sg_net_drain(struct sg_net *net)
{
    net->phase = SG_NET_DRAINING;
    for (struct sg_conn *conn = net->conns; conn != NULL; conn = sg_conn_next(conn))
        sg_conn_drain(conn);
}

size_t sg_net_connections(const struct sg_net *net)
{
    return net->conn_count;
}

struct sg_net_totals sg_net_totals(const struct sg_net *net)
{
    return net->totals;
}
