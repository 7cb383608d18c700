/*
 * The client that the conformance suite judges: libsealgate's connections and its gRPC, under calls
 * of the suite's service. Reads ClientCompatRequests from standard input, makes each call, one
 * after the other, and says in a ClientCompatResponse what came of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "client/lib/conn.h"
#include "client/lib/targets.h"
#include "proto/grpc/client_priv.h"
#include "proto/grpc/metadata.h"
#include "proto/pb/unpack.h"
#include "proto/pb/wire.h"
#include "proto/tls/tls.h"
#include "tests/interop/conformance/messages.h"

typedef CONF(ClientCompatRequest) request_t;
typedef CONF(ClientResponseResult) result_t;

enum { ARENA_MAX = 256 << 20, HEADERS_MAX = 64, PAYLOADS_MAX = 64 };

struct headers {
    CONF(Header) * at[HEADERS_MAX];
    size_t count;
};

/* The call under way; there is one at a time. */
static struct run {
    struct sg_arena arena;
    const request_t *request;
    struct sg_target target;
    struct sg_conn_config config;
    struct sg_conn *conn;
    int epoll_fd;
    struct sg_rpc_client_call *call;
    int64_t cancel_ns; /* INT64_MAX: not by time */
    struct headers head, trailers;
    bool has_head; /* the block of the headers is complete */
    CONF(ConformancePayload) * payloads[PAYLOADS_MAX];
    size_t payload_count;
    bool is_done, is_cancelled;
    CONF(Error) * error;
    struct sealgate_error failure; /* of the connection */
} run;

static int64_t now(void)
{
    return sg_mono_ns(&sg_clock_system);
}

static struct sg_slice slice_of(ProtobufCBinaryData bytes)
{
    return sg_slice_of(bytes.data, bytes.len);
}

/* --- what the library does not keep: it is seen on its way in --- */

static void add_value(struct headers *headers, struct sg_slice name, struct sg_slice value)
{
    CONF(Header) *header = NULL;

    for (size_t i = 0; i < headers->count && header == NULL; i++)
        if (sg_slice_eq(sg_slice_str(headers->at[i]->name), name))
            header = headers->at[i];
    if (header == NULL) {
        REQUIRE(headers->count < HEADERS_MAX);
        header = headers->at[headers->count++] = CONF_NEW(&run.arena, Header, header);
        header->name = sg_arena_strdup(&run.arena, name);
        header->value = conf_alloc(&run.arena, HEADERS_MAX * sizeof(*header->value));
    }
    REQUIRE(header->n_value < HEADERS_MAX);
    header->value[header->n_value++] = sg_arena_strdup(&run.arena, value);
}

static void see_field(void *arg, struct sg_h2_stream *stream, struct sg_slice name,
                      struct sg_slice value)
{
    if (name.ptr[0] != ':')
        add_value(run.has_head ? &run.trailers : &run.head, name, value);
    sg_rpc_client_call_field(arg, stream, name, value);
}

static void see_headers(void *arg, struct sg_h2_stream *stream)
{
    run.has_head = true;
    if (stream->is_block_last && run.trailers.count == 0) { /* Trailers-Only */
        run.trailers = run.head;
        run.head.count = 0;
    }
    sg_rpc_client_call_headers(arg, stream);
}

/* --- what the call tells --- */

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    ProtobufCMessage *answer;
    CONF(ConformancePayload) * payload;

    (void)arg, (void)call;
    /* Every answer has its payload as field 1. */
    REQUIRE(sg_pb_unpack(CONF_DESC(unary_response), message, &run.arena, SG_PB_LENIENT, &answer,
                         NULL) == SG_OK);
    payload = ((CONF(UnaryResponse) *)answer)->payload;
    if (payload == NULL)
        payload = CONF_NEW(&run.arena, ConformancePayload, conformance_payload);
    REQUIRE(run.payload_count < PAYLOADS_MAX);
    run.payloads[run.payload_count++] = payload;
    if (run.request->cancel != NULL &&
        run.request->cancel->cancel_timing_case ==
            CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_REQUEST__CANCEL__CANCEL_TIMING_AFTER_NUM_RESPONSES &&
        run.payload_count == run.request->cancel->after_num_responses)
        sg_rpc_client_cancel(call);
}

static void take_details(CONF(Error) * error, struct sg_slice details)
{
    struct sg_slice value;
    uint32_t number;
    unsigned wire_type;

    error->details = conf_alloc(&run.arena, (details.len + 1) * sizeof(*error->details));
    while (details.len > 0 && sg_pb_take_field(&details, &number, &wire_type, &value)) {
        ProtobufCMessage *any;
        if (number == 3 && sg_pb_unpack(&google__protobuf__any__descriptor, value, &run.arena,
                                        SG_PB_LENIENT, &any, NULL) == SG_OK)
            error->details[error->n_details++] = (Google__Protobuf__Any *)any;
    }
}

static void set_error(int code, struct sg_slice message)
{
    run.error = CONF_NEW(&run.arena, Error, error);
    run.error->code = (CONF(Code))code;
    run.error->has_message_case = CONNECTRPC__CONFORMANCE__V1__ERROR__HAS_MESSAGE_MESSAGE;
    run.error->message = sg_arena_strdup(&run.arena, message);
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)arg, (void)call, (void)outcome;
    run.is_done = true;
    run.call = NULL;
    if (status->code == SG_GRPC_OK)
        return;
    set_error((int)status->code, status->message);
    take_details(run.error, status->details);
}

/* --- time --- */

static bool is_failed(void)
{
    return run.failure.code != SEALGATE_OK;
}

/* Lets the connection work until the time, or until the call has that many answers or is over. */
static void work(int64_t until_ns, size_t payloads)
{
    while (!run.is_done && !is_failed() && run.payload_count < payloads) {
        struct epoll_event event;
        int64_t now_ns = now(), due_ns = sg_conn_due(run.conn);

        if (now_ns >= until_ns)
            return;
        if (now_ns >= run.cancel_ns) {
            run.cancel_ns = INT64_MAX;
            sg_rpc_client_cancel(run.call);
        }
        due_ns = due_ns < until_ns ? due_ns : until_ns;
        due_ns = due_ns < run.cancel_ns ? due_ns : run.cancel_ns;
        if (sg_conn_step(run.conn, now_ns, &run.failure) != SEALGATE_OK)
            return;
        if (run.is_done || run.payload_count >= payloads)
            return;
        due_ns = sg_conn_due(run.conn) < due_ns ? sg_conn_due(run.conn) : due_ns;
        int wait_ms = due_ns <= now_ns ? 0
                      : due_ns - now_ns > 1000 * SG_NS_PER_MS
                          ? 1000
                          : (int)((due_ns - now_ns) / SG_NS_PER_MS) + 1;
        REQUIRE(epoll_wait(run.epoll_fd, &event, 1, wait_ms) >= 0 || errno == EINTR);
    }
}

static void wait_ms(uint32_t ms)
{
    if (ms > 0)
        work(now() + ms * SG_NS_PER_MS, SIZE_MAX);
}

/* --- one call --- */

static bool connect_to_server(void)
{
    const int64_t limit_ns = 10 * SG_NS_PER_S;

    if (sg_conn_new(&run.config, &run.target, limit_ns, run.epoll_fd, now(), &run.conn,
                    &run.failure) != SEALGATE_OK)
        return false;
    while (!sg_conn_is_ready(run.conn)) {
        struct epoll_event event;
        if (sg_conn_step(run.conn, now(), &run.failure) != SEALGATE_OK)
            return false;
        if (!sg_conn_is_ready(run.conn))
            REQUIRE(epoll_wait(run.epoll_fd, &event, 1, 100) >= 0 || errno == EINTR);
    }
    sg_conn_rpc(run.conn)->events.field = see_field;
    sg_conn_rpc(run.conn)->events.headers = see_headers;
    return true;
}

/* The suite says what is to be on the wire; the library is told what the bytes are. */
static struct sg_slice own_value(struct sg_slice name, struct sg_slice value)
{
    struct sg_buf bytes;
    char *copy;
    size_t len;

    if (!sg_metadata_name_is_bin(name))
        return value;
    sg_buf_init(&bytes, SIZE_MAX);
    REQUIRE(sg_base64_decode(value, SG_BASE64_STD, SG_BASE64_EITHER, &bytes, NULL) == SG_OK);
    copy = sg_arena_strdup(&run.arena, sg_buf_slice(&bytes));
    len = bytes.len;
    sg_buf_done(&bytes);
    return sg_slice_of(copy, len);
}

static bool start_call(struct sg_err *err)
{
    static const struct sg_rpc_client_events events = {.message = on_message, .done = on_done};
    const request_t *request = run.request;
    struct sg_rpc_metadata metadata[HEADERS_MAX];
    size_t count = 0;
    struct sg_buf path;
    int64_t deadline_ns = 0;
    enum sg_rc rc;

    for (size_t i = 0; i < request->n_request_headers; i++)
        for (size_t v = 0; v < request->request_headers[i]->n_value; v++) {
            const char *name = request->request_headers[i]->name;
            char *lower = sg_arena_strdup(&run.arena, sg_slice_str(name));
            REQUIRE(count < HEADERS_MAX);
            for (char *c = lower; *c != '\0'; c++)
                *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
            metadata[count++] = (struct sg_rpc_metadata){
                lower, own_value(sg_slice_str(lower),
                                 sg_slice_str(request->request_headers[i]->value[v]))};
        }
    if (request->has_timeout_ms_case ==
        CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_REQUEST__HAS_TIMEOUT_MS_TIMEOUT_MS)
        deadline_ns = now() + request->timeout_ms * SG_NS_PER_MS;
    sg_buf_init(&path, 1024);
    sg_buf_printf(&path, "/%s/%s", request->service, request->method);
    rc =
        sg_rpc_client_start(sg_conn_rpc(run.conn), sg_arena_strdup(&run.arena, sg_buf_slice(&path)),
                            now(), deadline_ns, metadata, count, &events, &run.call, err);
    sg_buf_done(&path);
    return rc == SG_OK;
}

static bool is_timed(CONF(ClientCompatRequest__Cancel__CancelTimingCase) timing)
{
    return run.request->cancel != NULL && run.request->cancel->cancel_timing_case == timing;
}

/* Sends all messages and closes; returns how many could not be sent. */
static int32_t send_all(void)
{
    const request_t *request = run.request;
    const bool sends_once =
        request->stream_type == CONNECTRPC__CONFORMANCE__V1__STREAM_TYPE__STREAM_TYPE_UNARY ||
        request->stream_type == CONNECTRPC__CONFORMANCE__V1__STREAM_TYPE__STREAM_TYPE_SERVER_STREAM;
    const bool is_full =
        request->stream_type ==
        CONNECTRPC__CONFORMANCE__V1__STREAM_TYPE__STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM;
    struct sg_err err;

    for (size_t i = 0; i < request->n_request_messages; i++) {
        if (!sends_once)
            wait_ms(request->request_delay_ms);
        if (run.is_done || is_failed() ||
            sg_rpc_client_send(run.call, slice_of(request->request_messages[i]->value), sends_once,
                               &err) != SG_OK)
            return (int32_t)(request->n_request_messages - i);
        if (is_full)
            work(INT64_MAX, run.payload_count + 1);
    }
    if (run.is_done || is_failed())
        return 0;
    if (is_timed(
            CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_REQUEST__CANCEL__CANCEL_TIMING_BEFORE_CLOSE_SEND)) {
        wait_ms(1); /* so that the call is on the wire */
        if (!run.is_done)
            sg_rpc_client_cancel(run.call);
    }
    if (!sends_once && !run.is_done)
        sg_rpc_client_half_close(run.call);
    if (is_timed(
            CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_REQUEST__CANCEL__CANCEL_TIMING_AFTER_CLOSE_SEND_MS))
        run.cancel_ns = now() + request->cancel->after_close_send_ms * SG_NS_PER_MS;
    return 0;
}

/* What libsealgate makes of an answer that is not one message (client/lib/call.c). */
static void judge_count(void)
{
    const request_t *request = run.request;
    const bool takes_once =
        request->stream_type == CONNECTRPC__CONFORMANCE__V1__STREAM_TYPE__STREAM_TYPE_UNARY ||
        request->stream_type == CONNECTRPC__CONFORMANCE__V1__STREAM_TYPE__STREAM_TYPE_CLIENT_STREAM;

    if (!takes_once)
        return;
    if (run.error == NULL && run.payload_count != 1)
        set_error(SG_GRPC_INTERNAL, SG_SLICE("not one answer"));
    if (run.error != NULL)
        run.payload_count = 0;
}

static void make_call(CONF(ClientCompatResponse) * response)
{
    CONF(ClientErrorResult) *failure = CONF_NEW(&run.arena, ClientErrorResult, client_error_result);
    result_t *result = CONF_NEW(&run.arena, ClientResponseResult, client_response_result);
    struct sg_err err;

    response->result_case = CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_RESPONSE__RESULT_ERROR;
    response->error = failure;
    if (!connect_to_server()) {
        failure->message = sg_arena_strdup(&run.arena, sg_slice_str(run.failure.message));
        return;
    }
    if (!start_call(&err)) {
        failure->message = sg_arena_strdup(&run.arena, sg_slice_str(err.msg));
        return;
    }
    result->num_unsent_requests = send_all();
    work(INT64_MAX, SIZE_MAX);
    sg_conn_free(SG_STEAL(run.conn)); /* ends the call, if nothing else has */
    judge_count();

    result->response_headers = run.head.at;
    result->n_response_headers = run.head.count;
    result->response_trailers = run.trailers.at;
    result->n_response_trailers = run.trailers.count;
    result->payloads = run.payloads;
    result->n_payloads = run.payload_count;
    result->error = run.error;
    response->result_case = CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_RESPONSE__RESULT_RESPONSE;
    response->response = result;
}

/* --- requests and responses of the suite --- */

/* A file of these bytes, which is gone when the process ends: NULL for none. */
static const char *file_of(const char *name, ProtobufCBinaryData bytes)
{
    struct sg_buf path;
    const char *copy;
    FILE *file;

    sg_buf_init(&path, 256);
    sg_buf_printf(&path, "/tmp/sealgate-conformance-%d-%s", (int)getpid(), name);
    copy = sg_arena_strdup(&run.arena, sg_buf_slice(&path));
    sg_buf_done(&path);
    file = fopen(copy, "w");
    REQUIRE(file != NULL && fwrite(bytes.data, 1, bytes.len, file) == bytes.len);
    REQUIRE(fclose(file) == 0);
    return copy;
}

static void make_tls(void)
{
    static const char *const alpn[] = {"h2"};
    const request_t *request = run.request;
    struct sg_tls_client_options options = {.alpn = alpn, .alpn_count = SG_COUNT(alpn)};
    struct sg_err err;

    options.ca_file = file_of("ca", request->server_tls_cert);
    if (request->client_tls_creds != NULL) {
        options.cert_file = file_of("cert", request->client_tls_creds->cert);
        options.key_file = file_of("key", request->client_tls_creds->key);
    }
    if (sg_tls_client_ctx_new(&options, &run.config.tls, &err) != SG_OK) {
        fprintf(stderr, "TLS: %s\n", err.msg);
        abort();
    }
    unlink(options.ca_file);
    if (options.cert_file != NULL)
        REQUIRE(unlink(options.cert_file) == 0 && unlink(options.key_file) == 0);
}

static void set_up(void)
{
    static char user_agent[] = "sealgate-conformance";
    const request_t *request = run.request;
    struct sg_targets targets = {0};
    struct sg_buf endpoint;
    struct sg_err err;

    run.cancel_ns = INT64_MAX;
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    REQUIRE(run.epoll_fd >= 0);
    run.config.user_agent = user_agent;
    run.config.limits = sg_rpc_client_limits_default;
    if (request->message_receive_limit > 0)
        run.config.limits.message_bytes_max = request->message_receive_limit;
    make_tls();
    sg_buf_init(&endpoint, 300);
    sg_buf_printf(&endpoint, "%s:%u", request->host, request->port);
    REQUIRE(sg_targets_parse(sg_buf_slice(&endpoint), NULL, &targets, &err) == SG_OK);
    sg_buf_done(&endpoint);
    run.target = targets.at[0];
}

static void write_response(const CONF(ClientCompatResponse) * response)
{
    struct sg_buf packed;
    uint8_t prefix[4];

    sg_buf_init(&packed, SIZE_MAX);
    sg_pb_pack(&response->base, &packed);
    REQUIRE(!packed.failed);
    sg_put_be32(prefix, (uint32_t)packed.len);
    REQUIRE(fwrite(prefix, 1, sizeof(prefix), stdout) == sizeof(prefix));
    REQUIRE(fwrite(packed.ptr, 1, packed.len, stdout) == packed.len && fflush(stdout) == 0);
    sg_buf_done(&packed);
}

/* False: there are no more. */
static bool serve_one(void)
{
    uint8_t prefix[4], *bytes;
    ProtobufCMessage *request;
    CONF(ClientCompatResponse) response = CONNECTRPC__CONFORMANCE__V1__CLIENT_COMPAT_RESPONSE__INIT;

    if (fread(prefix, 1, sizeof(prefix), stdin) != sizeof(prefix))
        return false;
    memset(&run, 0, sizeof(run));
    sg_arena_init(&run.arena, ARENA_MAX);
    bytes = conf_alloc(&run.arena, sg_be32(prefix) + 1);
    REQUIRE(fread(bytes, 1, sg_be32(prefix), stdin) == sg_be32(prefix));
    REQUIRE(sg_pb_unpack(CONF_DESC(client_compat_request), sg_slice_of(bytes, sg_be32(prefix)),
                         &run.arena, SG_PB_LENIENT, &request, NULL) == SG_OK);
    run.request = (const request_t *)request;
    response.test_name = run.request->test_name;
    set_up();
    make_call(&response);
    write_response(&response);
    sg_conn_free(run.conn);
    sg_tls_ctx_free(run.config.tls);
    close(run.epoll_fd);
    sg_arena_done(&run.arena);
    return true;
}

int main(void)
{
    while (serve_one())
        continue;
    return 0;
}
