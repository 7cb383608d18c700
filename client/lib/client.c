#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/lib/client_priv.h"

/*
 * A client: calls that wait or run, and the connections they run on. One takes new calls; older
 * ones that the server is closing (GOAWAY) may still finish theirs. Where the one goes is decided
 * by targets.c; it stays there as long as it works.
 */

/* Turns of one step; more is left for the next, so that a fast server cannot hold the caller. */
enum { STEP_TURNS_MAX = 16 };

void sg_client_list_push(struct sg_client_list *list, struct sealgate_call *call)
{
    call->prev = list->last;
    call->next = NULL;
    *(list->last == NULL ? &list->first : &list->last->next) = call;
    list->last = call;
    list->len++;
}

void sg_client_list_push_first(struct sg_client_list *list, struct sealgate_call *call)
{
    call->prev = NULL;
    call->next = list->first;
    *(list->first == NULL ? &list->last : &list->first->prev) = call;
    list->first = call;
    list->len++;
}

void sg_client_list_remove(struct sg_client_list *list, struct sealgate_call *call)
{
    *(call->prev == NULL ? &list->first : &call->prev->next) = call->next;
    *(call->next == NULL ? &list->last : &call->next->prev) = call->prev;
    call->prev = call->next = NULL;
    list->len--;
}

/* It may be sent again for as long as it has time, whatever the client is. */
static bool is_repeating(const struct sealgate_call *call)
{
    return call->is_repeatable && call->retries > 0;
}

static bool any_is_repeating(const struct sealgate_client *client)
{
    const struct sealgate_call *call = client->waiting.first;
    while (call != NULL && !is_repeating(call))
        call = call->next;
    return call != NULL;
}

/* Ends the waiting calls by `error`, those that are repeated only when it is final. */
static void fail_waiting(struct sealgate_client *client, const struct sealgate_error *error,
                         bool is_final)
{
    struct sealgate_error not_done = *error;
    size_t count = client->waiting.len; /* callbacks may add more, which wait on */

    while (count-- > 0) {
        struct sealgate_call *call = client->waiting.first;
        if (!is_final && is_repeating(call)) { /* it waits on, as if it came last */
            sg_client_list_remove(&client->waiting, call);
            sg_client_list_push(&client->waiting, call);
            continue;
        }
        not_done.outcome = sg_client_undone(call);
        sg_client_call_finish(call, &not_done);
    }
}

/* The time of a call was up because no connection came about: the cause says more than that. */
static void why_no_connection(const struct sealgate_client *client, struct sealgate_error *error)
{
    int len = (int)strnlen(client->no_conn.message, sizeof(client->no_conn.message) - 60);

    *error = client->no_conn;
    (void)snprintf(error->message + len, sizeof(error->message) - (size_t)len,
                   " (tried again until the time was up)");
}

/* Ends the waiting calls whose time is up or whose caller has changed its mind. */
static void expire_waiting(struct sealgate_client *client, int64_t now_ns)
{
    struct sealgate_error error;

    for (struct sealgate_call *call = client->waiting.first, *next; call != NULL; call = next) {
        next = call->next;
        if (call->is_cancelled)
            (void)sg_client_fail(&error, SG_CLIENT_CANCELLED, SEALGATE_OUTCOME_NOT_DONE,
                                 call->maybe_done ? "the call was cancelled before it was repeated"
                                                  : "the call was cancelled before it was sent");
        else if (call->deadline_ns <= now_ns && client->no_conn.code != SEALGATE_OK)
            why_no_connection(client, &error);
        else if (call->deadline_ns <= now_ns)
            (void)sg_client_fail(&error, SG_CLIENT_DEADLINE, SEALGATE_OUTCOME_NOT_DONE,
                                 "the time was up before the call could be sent");
        else {
            if (call->not_before_ns <= now_ns)
                call->not_before_ns = 0;
            continue;
        }
        error.outcome = sg_client_undone(call);
        sg_client_call_finish(call, &error);
        /* The callback may have ended or cancelled nothing of ours (ends come from here alone),
         * but `next` stays valid only because of that. */
    }
}

/* Another certificate, or another CA file, is needed; time is not. */
static bool is_hopeless(const struct sealgate_error *error)
{
    return error->code == SEALGATE_UNAUTHENTICATED || strcmp(error->reason, "TLS_FAILED") == 0;
}

/* The endpoint did not do. A patient client leaves it alone for a while and tries the others. */
static void target_failed(struct sealgate_client *client, int64_t now_ns,
                          const struct sealgate_error *error)
{
    client->no_conn = *error;
    if (client->is_patient || any_is_repeating(client))
        sg_targets_failed(&client->targets, client->target, now_ns, is_hopeless(error));
    if (!client->is_patient || sg_targets_are_hopeless(&client->targets))
        fail_waiting(client, error, is_hopeless(error));
}

/* The server found that we ping too often: half as often from now on (gRFC A8). */
static void heed_pings(struct sealgate_client *client)
{
    int64_t *interval_ns = &client->config.limits.ping_interval_ns;

    if (sg_conn_pinged_too_often(client->conn) && *interval_ns <= INT64_MAX / 2)
        *interval_ns *= 2;
}

/* The connection is over. The calls on it are told; those that wait try another one, unless that
 * has failed too often. */
static void drop(struct sealgate_client *client, int64_t now_ns, const struct sealgate_error *error,
                 bool was_ready)
{
    bool was_fruitful = client->conn_answered;

    heed_pings(client);
    sg_conn_free(SG_STEAL(client->conn));
    if (was_ready && was_fruitful) {
        client->fruitless = 0;
        return;
    }
    if (!was_ready || client->is_patient || ++client->fruitless >= SG_CLIENT_FRUITLESS_MAX) {
        client->fruitless = 0;
        target_failed(client, now_ns, error);
    }
}

/* Moves the connection aside when it takes no more calls, or none of ours. */
static void retire(struct sealgate_client *client, int64_t now_ns)
{
    struct sealgate_error error;

    if (client->conn == NULL || !(client->conn_refused || sg_conn_is_draining(client->conn)))
        return;
    if (client->conn_refused) {
        (void)sg_client_fail(&error, SG_CLIENT_NOT_PROCESSED, SEALGATE_OUTCOME_NOT_DONE,
                             "%s takes no calls", client->targets.at[client->target].authority);
        client->conn_answered = false;
    } else {
        (void)sg_client_fail(&error, SG_CLIENT_CONNECTION_LOST, SEALGATE_OUTCOME_NOT_DONE,
                             "%s closes every connection before it takes a call",
                             client->targets.at[client->target].authority);
    }
    if (sg_conn_open_calls(client->conn) == 0) {
        drop(client, now_ns, &error, true);
        return;
    }
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++)
        if (client->draining[i] == NULL) {
            heed_pings(client);
            client->draining[i] = SG_STEAL(client->conn);
            if (client->conn_refused)
                target_failed(client, now_ns, &error);
            return;
        }
    /* All places taken: new calls wait until one of the old connections has finished. */
}

void sg_client_conn_answered(struct sealgate_client *client, const struct sg_conn *conn)
{
    if (conn != client->conn)
        return;
    client->conn_answered = true;
    client->no_conn.code = SEALGATE_OK;
    sg_targets_worked(&client->targets, client->target);
}

/* How long a connection may take: each endpoint gets its share of what the oldest call has left,
 * so that a dead first one does not eat all; enough for a handshake in any case. */
static int64_t connect_time(const struct sealgate_client *client, int64_t now_ns)
{
    enum { HANDSHAKE_MS = 250 };
    int64_t limit_ns = client->connect_timeout_ns, least_ns = HANDSHAKE_MS * SG_NS_PER_MS;
    int64_t open = (int64_t)sg_targets_open(&client->targets, now_ns), share_ns;

    if (client->targets.count < 2 || open == 0)
        return limit_ns;
    share_ns = (client->waiting.first->deadline_ns - now_ns) / open;
    if (share_ns < least_ns)
        share_ns = least_ns;
    return share_ns < limit_ns ? share_ns : limit_ns;
}

/* Begins a connection to the first endpoint that may be tried. False: none may be yet. */
static bool begin(struct sealgate_client *client, int64_t now_ns)
{
    size_t target = sg_targets_pick(&client->targets, now_ns);
    struct sealgate_error error;

    if (target == client->targets.count)
        return false;
    client->target = target;
    client->conn_answered = client->conn_refused = client->ids_refused = false;
    if (sg_conn_new(&client->config, &client->targets.at[target], connect_time(client, now_ns),
                    client->epoll_fd, now_ns, &client->conn, &error) != SEALGATE_OK)
        target_failed(client, now_ns, &error);
    return true;
}

static void step_draining(struct sealgate_client *client, int64_t now_ns)
{
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++) {
        struct sg_conn *conn = client->draining[i];
        if (conn == NULL)
            continue;
        if (sg_conn_step(conn, now_ns, NULL) != SEALGATE_OK || sg_conn_open_calls(conn) == 0) {
            client->draining[i] = NULL;
            sg_conn_free(conn);
        }
    }
}

/* Starts what waits, as far as the connection takes it. Whether anything was started. */
static bool run_waiting(struct sealgate_client *client, int64_t now_ns)
{
    bool any = false;

    for (struct sealgate_call *call = client->waiting.first, *next; call != NULL; call = next) {
        struct sealgate_error error;
        struct sg_err err;

        if (client->conn == NULL || client->conn_refused || !sg_conn_is_ready(client->conn))
            return any;
        next = call->next;
        if (call->not_before_ns > now_ns)
            continue;
        switch (sg_client_call_run(call, client->conn, now_ns, &err)) {
        case SG_OK:
            any = true;
            continue;
        case SG_E_LIMIT:
        case SG_E_UNAVAILABLE:
        case SG_E_AGAIN:
            return any;
        case SG_E_INVALID:
        case SG_E_UNAUTHENTICATED:
        case SG_E_DENIED:
        case SG_E_NOT_FOUND:
        case SG_E_CONFLICT:
        case SG_E_TIMEOUT:
        case SG_E_UNSUPPORTED:
        case SG_E_INTERNAL:
            break;
        }
        (void)sg_client_fail(&error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE, "%s",
                             err.msg);
        sg_client_call_finish(call, &error);
    }
    return any;
}

/* One turn: time, sockets, and what waits. Whether another turn could do more at once. */
static bool turn(struct sealgate_client *client)
{
    int64_t now_ns = sg_mono_ns(client->clock);
    struct sealgate_error error;
    bool more = false;

    step_draining(client, now_ns);
    if (client->conn != NULL) {
        bool was_ready = sg_conn_is_ready(client->conn);
        if (sg_conn_step(client->conn, now_ns, &error) != SEALGATE_OK) {
            drop(client, now_ns, &error, was_ready);
            more = true;
        }
    }
    retire(client, now_ns);
    expire_waiting(client, now_ns);
    if (client->waiting.first != NULL && client->conn == NULL && begin(client, now_ns))
        more = true;
    if (run_waiting(client, now_ns))
        more = true;
    return more;
}

void sealgate_client_step(struct sealgate_client *client)
{
    SG_ASSERT(!client->in_step);
    client->in_step = true;
    for (int turns = 0; turns < STEP_TURNS_MAX; turns++) {
        client->has_news = false;
        if (!turn(client) && !client->has_news)
            break;
        client->has_news = true; /* stays, when the turns run out first */
    }
    client->in_step = false;
}

int sealgate_client_fd(const struct sealgate_client *client)
{
    return client->epoll_fd;
}

size_t sealgate_client_open_calls(const struct sealgate_client *client)
{
    return client->waiting.len + client->running.len;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int sealgate_client_timeout_ms(const struct sealgate_client *client)
{
    int64_t due = INT64_MAX, now_ns;

    if (client->has_news)
        return 0;
    for (const struct sealgate_call *call = client->waiting.first; call != NULL;
         call = call->next) {
        due = call->is_cancelled ? 0 : earlier(due, call->deadline_ns);
        if (call->not_before_ns > 0) /* 0 once it has passed: expire_waiting() */
            due = earlier(due, call->not_before_ns);
    }
    if (client->conn != NULL)
        due = earlier(due, sg_conn_due(client->conn));
    else if (client->waiting.first != NULL)
        due = earlier(due, sg_targets_due(&client->targets));
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++)
        if (client->draining[i] != NULL)
            due = earlier(due, sg_conn_due(client->draining[i]));
    if (due == INT64_MAX)
        return -1;
    now_ns = sg_mono_ns(client->clock);
    if (due <= now_ns)
        return 0;
    due = (due - now_ns + SG_NS_PER_MS - 1) / SG_NS_PER_MS; /* up: waking early would spin */
    return due > INT_MAX ? INT_MAX : (int)due;
}
