#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client/lib/client_priv.h"

/*
 * A client: calls that wait or run, and the connections they run on. One takes new calls; older
 * ones that the server is closing (GOAWAY) may still finish theirs.
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

/* Ends every waiting call by `error`: none of them was sent. */
static void fail_waiting(struct sealgate_client *client, const struct sealgate_error *error)
{
    struct sealgate_error not_done = *error;
    size_t count = client->waiting.len; /* callbacks may add more, which wait on */

    not_done.outcome = SEALGATE_OUTCOME_NOT_DONE;
    while (count-- > 0)
        sg_client_call_finish(client->waiting.first, &not_done);
}

/* Ends the waiting calls whose time is up or whose caller has changed its mind. */
static void expire_waiting(struct sealgate_client *client, int64_t now_ns)
{
    struct sealgate_error error;

    for (struct sealgate_call *call = client->waiting.first, *next; call != NULL; call = next) {
        next = call->next;
        if (call->is_cancelled)
            (void)sg_client_fail(&error, SG_CLIENT_CANCELLED, SEALGATE_OUTCOME_NOT_DONE,
                                 "the call was cancelled before it was sent");
        else if (call->deadline_ns <= now_ns)
            (void)sg_client_fail(&error, SG_CLIENT_DEADLINE, SEALGATE_OUTCOME_NOT_DONE,
                                 "the time was up before the call could be sent");
        else
            continue;
        sg_client_call_finish(call, &error);
        /* The callback may have ended or cancelled nothing of ours (ends come from here alone),
         * but `next` stays valid only because of that. */
    }
}

/* A connection is over. The calls on it are told; those that wait try another one, unless that
 * has failed too often. */
static void drop(struct sealgate_client *client, struct sg_conn **slot,
                 const struct sealgate_error *error, bool was_ready)
{
    struct sg_conn *conn = *slot;

    *slot = NULL;
    sg_conn_free(conn);
    if (!was_ready || ++client->fruitless >= SG_CLIENT_FRUITLESS_MAX) {
        client->fruitless = 0;
        fail_waiting(client, error);
    }
}

/* Moves the connection aside when it takes no more calls. */
static void retire(struct sealgate_client *client)
{
    struct sealgate_error error;

    if (client->conn == NULL || !sg_conn_is_draining(client->conn))
        return;
    if (sg_conn_open_calls(client->conn) == 0) {
        (void)sg_client_fail(&error, SG_CLIENT_CONNECTION_LOST, SEALGATE_OUTCOME_NOT_DONE,
                             "the server closes every connection before it takes a call");
        drop(client, &client->conn, &error, true);
        return;
    }
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++)
        if (client->draining[i] == NULL) {
            client->draining[i] = client->conn;
            client->conn = NULL;
            return;
        }
    /* All places taken: new calls wait until one of the old connections has finished. */
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

    while (client->waiting.first != NULL && client->conn != NULL &&
           sg_conn_is_ready(client->conn)) {
        struct sealgate_call *call = client->waiting.first;
        struct sealgate_error error;
        struct sg_err err;

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
            drop(client, &client->conn, &error, was_ready);
            more = true;
        }
    }
    retire(client);
    expire_waiting(client, now_ns);
    if (client->waiting.first != NULL && client->conn == NULL) {
        if (sg_conn_new(&client->config, &client->endpoint, client->epoll_fd, now_ns, &client->conn,
                        &error) != SEALGATE_OK)
            fail_waiting(client, &error);
        more = true;
    }
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
    for (const struct sealgate_call *call = client->waiting.first; call != NULL; call = call->next)
        due = call->is_cancelled ? 0 : earlier(due, call->deadline_ns);
    if (client->conn != NULL)
        due = earlier(due, sg_conn_due(client->conn));
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
