#include <poll.h>

#include "client/lib/client_priv.h"
#include "proto/pb/unpack.h"

/*
 * One call: packed, queued, run, answered. A call belongs to the client until it is finished; it
 * is finished in one place, sg_client_call_finish().
 */

/* Unpacked, a message takes more than its bytes: pointers, lengths, alignment. */
static size_t arena_max(const struct sealgate_client *client)
{
    return client->config.limits.message_bytes_max * 8 + (64 << 10);
}

enum sealgate_code sg_client_call_new(struct sealgate_client *client,
                                      const struct sg_client_method *method, uint32_t timeout_ms,
                                      struct sealgate_call **ret, struct sealgate_error *error)
{
    struct sealgate_call *call;
    int64_t timeout_ns = timeout_ms == 0 ? client->timeout_ns : timeout_ms * SG_NS_PER_MS;

    if (sealgate_client_open_calls(client) >= client->calls_max)
        return sg_client_fail(error, SG_CLIENT_TOO_MUCH_WAITING, SEALGATE_OUTCOME_NOT_DONE,
                              "there are %zu calls under way, as many as calls_max allows",
                              client->calls_max);
    call = calloc(1, sizeof(*call));
    if (call == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a call: out of memory");
    call->client = client;
    call->method = method;
    call->deadline_ns = sg_mono_ns(client->clock) + timeout_ns;
    sg_buf_init(&call->request, SG_CLIENT_SEND_BYTES_MAX);
    *ret = call;
    return SEALGATE_OK;
}

void sg_client_call_free(struct sealgate_call *call)
{
    if (call == NULL)
        return;
    sg_box_free(call->body);
    sg_buf_done(&call->request);
    free(call->asked);
    free(call->audit);
    for (struct sg_client_item *item = call->items.first, *next; item != NULL; item = next) {
        next = item->next;
        free(item);
    }
    free(call);
}

enum sealgate_code sg_client_call_submit(struct sealgate_call *call, struct sealgate_call **ret,
                                         struct sealgate_error *error)
{
    if (call->request.failed) {
        sg_client_call_free(call);
        return sg_client_fail(error, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "the request is over %d bytes", SG_CLIENT_SEND_BYTES_MAX);
    }
    sg_client_list_push(&call->client->waiting, call);
    call->client->has_news = true;
    if (ret != NULL)
        *ret = call;
    return SEALGATE_OK;
}

enum sealgate_code sg_client_unary(struct sealgate_client *client,
                                   const struct sg_client_method *method,
                                   const ProtobufCMessage *request, uint32_t timeout_ms,
                                   union sg_client_fn fn, void *user, struct sealgate_call **ret,
                                   struct sealgate_error *error)
{
    struct sealgate_call *call;
    enum sealgate_code code = sg_client_call_new(client, method, timeout_ms, &call, error);

    if (code != SEALGATE_OK)
        return code;
    call->fn = fn;
    call->user = user;
    sg_pb_pack(request, &call->request);
    return sg_client_call_submit(call, ret, error);
}

void sg_client_call_finish(struct sealgate_call *call, const struct sealgate_error *error)
{
    sg_client_list_remove(call->conn == NULL ? &call->client->waiting : &call->client->running,
                          call);
    if (call->waiter == NULL) {
        call->method->deliver(call, error, error == NULL ? call->body : NULL);
    } else {
        call->waiter->is_over = true;
        if (error != NULL)
            call->waiter->error = *error;
        else
            call->waiter->body = SG_STEAL(call->body);
    }
    sg_client_call_free(call);
}

/* ---- What the server says ------------------------------------------------------------------- */

/* Unpacks and judges one message. NULL: `error` says what is wrong with it. */
static void *body_of(struct sealgate_call *call, struct sg_slice message,
                     struct sealgate_error *error)
{
    void *body = sg_box_new(call->method->body_len, arena_max(call->client));
    ProtobufCMessage *answer;
    struct sg_err err;

    if (body == NULL) {
        (void)sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_ANSWERED,
                             "could not keep the answer: out of memory");
        return NULL;
    }
    if (sg_pb_unpack(call->method->output, message, sg_box_arena(body), SG_PB_LENIENT, &answer,
                     &err) != SG_OK)
        (void)sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                             "could not read the answer: %s", err.msg);
    else if (call->method->decode(call, answer, sg_box_arena(body), body, error) == SEALGATE_OK)
        return body;
    sg_box_free(body);
    return NULL;
}

static void on_message(void *arg, struct sg_rpc_client_call *rpc, struct sg_slice message)
{
    struct sealgate_call *call = arg;
    void *body;

    /* Now, not at the call's end: a stream may have none before its connection is lost. */
    sg_client_conn_answered(call->client, call->conn);
    if (call->spoilt.code != SEALGATE_OK || call->is_cancelled)
        return;
    if (call->body != NULL) {
        (void)sg_client_fail(&call->spoilt, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                             "the server answered more than once");
        sg_rpc_client_cancel(rpc);
        return;
    }
    body = body_of(call, message, &call->spoilt);
    if (body == NULL) {
        sg_rpc_client_cancel(rpc);
    } else if (call->method->item != NULL) {
        call->method->item(call, body);
        sg_box_free(body);
    } else {
        call->body = body;
    }
}

static void on_writable(void *arg, struct sg_rpc_client_call *rpc)
{
    struct sealgate_call *call = arg;

    (void)rpc;
    if (!call->is_full)
        return;
    call->is_full = false;
    if (call->fn.stream.writable != NULL)
        call->fn.stream.writable(call->user);
}

/* What has to hold of every call that goes back into the queue. */
static bool has_time(const struct sealgate_call *call)
{
    return call->method->item == NULL && !call->is_cancelled && call->spoilt.code == SEALGATE_OK &&
           sg_mono_ns(call->client->clock) < call->deadline_ns;
}

/* Whether the call goes back because it surely was not done. */
static bool may_run_again(const struct sealgate_call *call, enum sg_rpc_outcome outcome)
{
    return outcome == SG_RPC_UNPROCESSED && has_time(call) &&
           (call->client->is_patient || call->retries < SG_CLIENT_RETRIES_MAX);
}

/* Puts it back. The first time it may go at once, and to another endpoint if this one, though it
 * stays open, took none of ours; then after a while that grows. */
static void run_again(struct sealgate_call *call)
{
    struct sealgate_client *client = call->client;

    sg_client_list_remove(&client->running, call);
    sg_box_free(SG_STEAL(call->body));
    if (call->conn == client->conn && sg_conn_is_ready(call->conn))
        client->conn_refused = client->is_patient;
    call->conn = NULL;
    if (call->retries++ > 0)
        call->not_before_ns =
            sg_mono_ns(client->clock) + sg_backoff_ns(&client->targets.random, call->retries - 1);
    sg_client_list_push_first(&client->waiting, call);
    client->has_news = true;
}

/* Back into the queue, not to be sent before then. */
static void put_back(struct sealgate_call *call, int64_t not_before_ns)
{
    sg_client_list_remove(&call->client->running, call);
    sg_box_free(SG_STEAL(call->body));
    call->conn = NULL;
    call->not_before_ns = not_before_ns;
    sg_client_list_push_first(&call->client->waiting, call);
    call->client->has_news = true;
}

/*
 * A call that the server knows by its request_id may be sent again though it may have been done.
 * Not before the server wants it, and not when that is too late: then its answer is the caller's.
 */
static bool repeat(struct sealgate_call *call, const struct sg_status *status,
                   enum sg_rpc_outcome outcome)
{
    struct sealgate_error error;
    int64_t now_ns = sg_mono_ns(call->client->clock), wait_ns;

    if (!call->is_repeatable || status->code != SG_GRPC_UNAVAILABLE || !has_time(call) ||
        call->retries >= SG_CLIENT_REPEATS_MAX)
        return false;
    if (outcome == SG_RPC_UNPROCESSED && may_run_again(call, outcome))
        return false; /* that goes at once */
    wait_ns = sg_backoff_ns(&call->client->targets.random, call->retries + 1);
    (void)sg_client_fail_status(&error, status, SEALGATE_OUTCOME_ANSWERED);
    if (outcome == SG_RPC_ANSWERED && error.retry_after_ms * SG_NS_PER_MS > wait_ns)
        wait_ns = error.retry_after_ms * SG_NS_PER_MS;
    if (now_ns + wait_ns >= call->deadline_ns)
        return false;
    call->maybe_done =
        call->maybe_done || (outcome != SG_RPC_ANSWERED && outcome != SG_RPC_UNPROCESSED);
    call->retries++;
    put_back(call, now_ns + wait_ns);
    return true;
}

/*
 * A stream that goes on: the connection is gone, the server ended it in order or has to be left.
 * What else the server says is the caller's; so is the end of its time.
 */
static bool resume(struct sealgate_call *call, const struct sg_status *status,
                   enum sg_rpc_outcome outcome)
{
    struct sealgate_error error;
    int64_t now_ns = sg_mono_ns(call->client->clock), wait_ns;

    if (call->method->resume == NULL || call->is_cancelled || call->spoilt.code != SEALGATE_OK ||
        (status->code != SG_GRPC_UNAVAILABLE && status->code != SG_GRPC_OK))
        return false;
    wait_ns = sg_backoff_ns(&call->client->targets.random, ++call->retries);
    if (status->code != SG_GRPC_OK && outcome == SG_RPC_ANSWERED) {
        (void)sg_client_fail_status(&error, status, SEALGATE_OUTCOME_ANSWERED);
        if (error.retry_after_ms * SG_NS_PER_MS > wait_ns)
            wait_ns = error.retry_after_ms * SG_NS_PER_MS;
    }
    if (now_ns + wait_ns >= call->deadline_ns || !call->method->resume(call))
        return false;
    put_back(call, now_ns + wait_ns);
    return true;
}

/* A server without request ids refuses calls for ours: what it did not do goes again without. */
static bool go_without_ids(struct sealgate_call *call, const struct sg_status *status,
                           enum sg_rpc_outcome outcome)
{
    struct sealgate_error error;

    if (outcome != SG_RPC_ANSWERED || call->asked == NULL || !has_time(call))
        return false;
    if (status->code != SG_GRPC_OK) {
        (void)sg_client_fail_status(&error, status, SEALGATE_OUTCOME_ANSWERED);
        call->has_refused_id = call->item_count == 1 && call->asked[0].is_made &&
                               strcmp(error.reason, "FIELD_NOT_SERVED") == 0 &&
                               strstr(error.field, "request_id") != NULL;
    }
    if (!call->has_refused_id || !sg_client_sign_strip(call))
        return false;
    call->client->ids_refused = true;
    put_back(call, 0);
    return true;
}

static enum sealgate_outcome outcome_of(enum sg_rpc_outcome outcome)
{
    return outcome == SG_RPC_UNPROCESSED ? SEALGATE_OUTCOME_NOT_DONE : SEALGATE_OUTCOME_UNKNOWN;
}

static void explain(const struct sealgate_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome, struct sealgate_error *error)
{
    const struct sealgate_error *lost = sg_conn_failure(call->conn);
    int len = (int)(status->message.len < 300 ? status->message.len : 300);
    const char *text = (const char *)status->message.ptr;

    if (call->is_cancelled)
        (void)sg_client_fail(error, SG_CLIENT_CANCELLED, outcome_of(outcome),
                             "the call was cancelled");
    else if (call->spoilt.code != SEALGATE_OK)
        *error = call->spoilt;
    else if (status->code == SG_GRPC_OK)
        (void)sg_client_fail(error, SG_CLIENT_RESPONSE_MALFORMED, SEALGATE_OUTCOME_ANSWERED,
                             "the server said OK but gave no answer");
    else if (outcome == SG_RPC_ANSWERED)
        (void)sg_client_fail_status(error, status, SEALGATE_OUTCOME_ANSWERED);
    else if (status->code == SG_GRPC_DEADLINE_EXCEEDED)
        (void)sg_client_fail(error, SG_CLIENT_DEADLINE, outcome_of(outcome),
                             "the time was up before the answer came");
    else if (outcome == SG_RPC_UNPROCESSED)
        (void)sg_client_fail(error, SG_CLIENT_NOT_PROCESSED, SEALGATE_OUTCOME_NOT_DONE, "%.*s", len,
                             len == 0 ? "" : text);
    else if (status->code == SG_GRPC_UNAVAILABLE && lost != NULL)
        *error = *lost;
    else if (status->code == SG_GRPC_UNAVAILABLE)
        (void)sg_client_fail(error, SG_CLIENT_CONNECTION_LOST, SEALGATE_OUTCOME_UNKNOWN, "%.*s",
                             len, len == 0 ? "" : text);
    else
        (void)sg_client_fail_status(error, status, SEALGATE_OUTCOME_UNKNOWN);
}

/*
 * For half of the time that the call had, nothing came from the server, not even for another call:
 * it hangs, or the network swallows everything. New calls go elsewhere when there is an elsewhere;
 * those under way stay, for they may be answered yet.
 */
static void leave_if_silent(const struct sealgate_call *call)
{
    struct sealgate_client *client = call->client;
    int64_t heard_ns;

    if (call->conn != client->conn || client->targets.count < 2 || !sg_conn_is_ready(call->conn))
        return;
    heard_ns = sg_rpc_client_heard_ns(sg_conn_rpc(call->conn));
    if (call->deadline_ns - heard_ns >= (call->deadline_ns - call->begun_ns) / 2)
        client->conn_refused = true;
}

static void on_done(void *arg, struct sg_rpc_client_call *rpc, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    struct sealgate_call *call = arg;
    struct sealgate_client *client = call->client;
    struct sealgate_error error;
    bool is_stream = call->method->item != NULL;

    (void)rpc;
    call->rpc = NULL;
    if (outcome == SG_RPC_ANSWERED)
        sg_client_conn_answered(client, call->conn);
    else if (status->code == SG_GRPC_DEADLINE_EXCEEDED)
        leave_if_silent(call);
    if (go_without_ids(call, status, outcome) || repeat(call, status, outcome) ||
        resume(call, status, outcome))
        return;
    if (status->code != SG_GRPC_OK && may_run_again(call, outcome)) {
        run_again(call);
        return;
    }
    if (status->code == SG_GRPC_OK && (is_stream || call->body != NULL) && !call->is_cancelled &&
        call->spoilt.code == SEALGATE_OK) {
        sg_client_call_finish(call, NULL);
        return;
    }
    explain(call, status, outcome, &error);
    if (call->maybe_done) /* by an earlier attempt, whatever this one says */
        error.outcome = SEALGATE_OUTCOME_UNKNOWN;
    sg_client_call_finish(call, &error);
}

/* ---- Running -------------------------------------------------------------------------------- */

/* Sends what a stream's caller gave before there was a connection. */
static enum sg_rc send_early(struct sealgate_call *call, struct sg_err *err)
{
    struct sg_slice rest = sg_buf_slice(&call->request);

    while (rest.len > 0) {
        struct sg_slice prefix = sg_slice_take(&rest, 4);
        SG_TRY(
            sg_rpc_client_send(call->rpc, sg_slice_take(&rest, sg_be32(prefix.ptr)), false, err));
    }
    sg_buf_clear(&call->request);
    if (call->is_closed)
        sg_rpc_client_half_close(call->rpc);
    return SG_OK;
}

/* What a header takes (RFC 9110 section 5.5), in one line and without blanks at its ends. */
static bool is_header_value(const char *text, size_t len)
{
    if (len == 0 || len > SEALGATE_AUTHORIZATION_BYTES_MAX || text[0] == ' ' ||
        text[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

/* Asks the application for the token of this attempt. */
static enum sealgate_code take_token(struct sealgate_call *call, struct sg_rpc_metadata *ret,
                                     struct sealgate_error *error)
{
    struct sealgate_client *client = call->client;
    size_t room = SEALGATE_AUTHORIZATION_BYTES_MAX + 1, len;
    char *value = (char *)sg_secret_room(client->token);
    enum sealgate_code code = client->authorization(client->authorization_user, value, room);

    if (code != SEALGATE_OK) {
        (void)sg_client_fail(error, SG_CLIENT_TOKEN_NOT_GIVEN, SEALGATE_OUTCOME_NOT_DONE,
                             "the authorization callback gave no token (%s)",
                             sealgate_code_name(code));
        return error->code = code;
    }
    len = strnlen(value, room);
    if (!is_header_value(value, len))
        return sg_client_fail(error, SG_CLIENT_TOKEN_NOT_GIVEN, SEALGATE_OUTCOME_NOT_DONE,
                              "the authorization callback gave what no header can hold: it is "
                              "empty, over %d bytes, or not printable ASCII",
                              SEALGATE_AUTHORIZATION_BYTES_MAX);
    *ret = (struct sg_rpc_metadata){"authorization", sg_slice_of(value, len)};
    return SEALGATE_OK;
}

/* Begins the call on the wire, with the token of the moment when there is one. */
static enum sg_rc start_call(struct sealgate_call *call, struct sg_conn *conn, int64_t now_ns,
                             const struct sg_rpc_client_events *events,
                             struct sealgate_error *error, struct sg_err *err)
{
    struct sealgate_client *client = call->client;
    struct sg_rpc_metadata token;
    enum sg_rc rc = SG_OK;

    error->code = SEALGATE_OK;
    if (client->authorization != NULL && !sg_rpc_client_has_room(sg_conn_rpc(conn)))
        return SG_FAIL(err, SG_E_LIMIT, 0, "the server takes no more calls now");
    if (client->authorization == NULL || take_token(call, &token, error) == SEALGATE_OK)
        rc = sg_rpc_client_start(sg_conn_rpc(conn), call->method->path, now_ns, call->deadline_ns,
                                 &token, client->authorization == NULL ? 0 : 1, events, &call->rpc,
                                 err);
    if (client->authorization != NULL)
        sg_wipe(sg_secret_room(client->token), SEALGATE_AUTHORIZATION_BYTES_MAX + 1);
    return rc;
}

enum sg_rc sg_client_call_run(struct sealgate_call *call, struct sg_conn *conn, int64_t now_ns,
                              struct sg_err *err)
{
    const struct sg_rpc_client_events events = {
        .arg = call, .message = on_message, .writable = on_writable, .done = on_done};
    struct sealgate_client *client = call->client;
    struct sealgate_error error;
    enum sg_rc rc;

    SG_TRY(start_call(call, conn, now_ns, &events, &error, err));
    if (error.code != SEALGATE_OK) {
        sg_client_call_finish(call, &error);
        return SG_OK;
    }
    sg_client_list_remove(&client->waiting, call);
    call->conn = conn;
    call->begun_ns = now_ns;
    sg_client_list_push(&client->running, call);

    if (call->method->item == NULL || call->method->sends_once)
        rc = sg_rpc_client_send(call->rpc, sg_buf_slice(&call->request), true, err);
    else
        rc = send_early(call, err);
    if (rc != SG_OK) { /* it has begun, so its end comes through `done` */
        (void)sg_client_fail(&call->spoilt, SG_CLIENT_BAD_ARGUMENT, SEALGATE_OUTCOME_NOT_DONE,
                             "could not send the request: %s", err->msg);
        sg_rpc_client_cancel(call->rpc);
        return SG_OK;
    }
    on_writable(call, call->rpc);
    return SG_OK;
}

void sealgate_call_cancel(struct sealgate_call *call)
{
    call->is_cancelled = true;
    call->client->has_news = true;
    if (call->rpc != NULL)
        sg_rpc_client_cancel(call->rpc);
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* Waits on the sockets themselves: one descriptor less for the kernel to look through. */
static void wait_for_news(struct sealgate_client *client)
{
    struct pollfd fds[1 + SG_CLIENT_DRAINING_MAX];
    nfds_t count = 0;

    if (client->conn != NULL) {
        fds[count].fd = sg_conn_fd(client->conn, &fds[count].events);
        count++;
    }
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++)
        if (client->draining[i] != NULL) {
            fds[count].fd = sg_conn_fd(client->draining[i], &fds[count].events);
            count++;
        }
    /* An interrupted wait is a wait that ended early. */
    (void)poll(fds, count, sealgate_client_timeout_ms(client));
}

enum sealgate_code sg_client_wait(enum sealgate_code started, struct sealgate_call *call,
                                  void **ret_body, struct sealgate_error *error)
{
    struct sealgate_client *client;
    struct sg_client_waiter waiter = {0};

    if (started != SEALGATE_OK)
        return started;
    client = call->client;
    if (client->in_step) {
        sg_client_list_remove(&client->waiting, call);
        sg_client_call_free(call);
        return sg_client_fail(error, SG_CLIENT_WRONG_MOMENT, SEALGATE_OUTCOME_NOT_DONE,
                              "a blocking call was made from a callback");
    }
    call->waiter = &waiter;
    for (;;) {
        sealgate_client_step(client);
        if (waiter.is_over)
            break;
        wait_for_news(client);
    }
    if (waiter.error.code == SEALGATE_OK)
        *ret_body = waiter.body;
    else if (error != NULL)
        *error = waiter.error;
    return waiter.error.code;
}
