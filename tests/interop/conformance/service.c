#include "tests/interop/conformance/service.h"

#include "base/base64.h"
#include "proto/grpc/call_priv.h"
#include "proto/pb/unpack.h"
#include "proto/pb/wire.h"
#include "tests/interop/conformance/messages.h"

/* The service must tell all that it saw of a request, which no handler of the gateway's may: for
 * that it looks into the call (call_priv.h). */

typedef CONF(ConformancePayload) payload_t;
typedef CONF(ConformancePayload__RequestInfo) info_t;

/* One call; in its arena. */
struct state {
    struct service *service;
    struct sg_call *call;
    struct sg_timer timer;
    Google__Protobuf__Any **requests; /* those not told of yet, oldest first */
    size_t request_count, request_cap;
    size_t message_count; /* all that came */
    const CONF(UnaryResponseDefinition) * unary;
    const CONF(StreamResponseDefinition) * stream;
    bool is_full_duplex, is_half_closed, is_waiting;
    size_t sent;
};

/* --- what the client is told of its request --- */

static CONF(Header) * add_header(struct sg_arena *arena, size_t *count, CONF(Header) * **headers,
                                 struct sg_slice name, size_t values_max)
{
    CONF(Header) *header = CONF_NEW(arena, Header, header);
    header->name = sg_arena_strdup(arena, name);
    header->value = conf_alloc(arena, values_max * sizeof(*header->value));
    (*headers)[(*count)++] = header;
    return header;
}

/* A value as it was on the wire: those of "-bin" names have been decoded. */
static char *wire_value(struct sg_arena *arena, const struct sg_metadata_entry *entry)
{
    struct sg_buf text;
    char *value;

    if (!sg_metadata_name_is_bin(entry->name))
        return sg_arena_strdup(arena, entry->value);
    sg_buf_init(&text, SIZE_MAX);
    sg_base64_encode(entry->value, SG_BASE64_STD, SG_BASE64_UNPADDED, &text);
    value = sg_arena_strdup(arena, sg_buf_slice(&text));
    sg_buf_done(&text);
    return value;
}

static bool is_first_of_name(const struct sg_metadata *metadata,
                             const struct sg_metadata_entry *entry)
{
    for (const struct sg_metadata_entry *e = metadata->first; e != entry; e = e->next)
        if (sg_slice_eq(e->name, entry->name))
            return false;
    return true;
}

static void tell_headers(struct sg_call *call, info_t *info)
{
    const struct sg_metadata *metadata = &call->request;

    info->request_headers =
        conf_alloc(&call->arena, (metadata->count + 1) * sizeof(*info->request_headers));
    for (const struct sg_metadata_entry *e = metadata->first; e != NULL; e = e->next) {
        if (e->name.ptr[0] == ':' || !is_first_of_name(metadata, e))
            continue;
        CONF(Header) *header = add_header(&call->arena, &info->n_request_headers,
                                          &info->request_headers, e->name, metadata->count);
        for (const struct sg_metadata_entry *same = e; same != NULL; same = same->next)
            if (sg_slice_eq(same->name, e->name))
                header->value[header->n_value++] = wire_value(&call->arena, same);
    }
}

static void tell_timeout(struct sg_call *call, info_t *info)
{
    if (sg_call_metadata(call, "grpc-timeout").len == 0 &&
        sg_call_metadata(call, "connect-timeout-ms").len == 0)
        return;
    info->has_timeout_ms_case =
        CONNECTRPC__CONFORMANCE__V1__CONFORMANCE_PAYLOAD__REQUEST_INFO__HAS_TIMEOUT_MS_TIMEOUT_MS;
    info->timeout_ms = (sg_call_deadline(call) - sg_call_started(call)) / SG_NS_PER_MS;
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Of a query that has been read already, so it is well formed. */
static char *unescape(struct sg_arena *arena, struct sg_slice raw)
{
    char *text = conf_alloc(arena, raw.len + 1), *to = text;

    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] == '%' && raw.len - i > 2) {
            *to++ = (char)(hex(raw.ptr[i + 1]) << 4 | hex(raw.ptr[i + 2]));
            i += 2;
        } else {
            *to++ = raw.ptr[i] == '+' ? ' ' : (char)raw.ptr[i];
        }
    }
    return text;
}

static struct sg_slice take_until(struct sg_slice *in, char mark)
{
    const uint8_t *at = in->len == 0 ? NULL : memchr(in->ptr, mark, in->len);
    struct sg_slice part = sg_slice_take(in, at == NULL ? in->len : (size_t)(at - in->ptr));

    if (at != NULL)
        (void)sg_slice_take(in, 1);
    return part;
}

static void tell_query(struct sg_call *call, info_t *info)
{
    struct sg_slice query = call->query;
    CONF(ConformancePayload__ConnectGetInfo) * get;

    if (call->http_method != SG_HTTP_GET)
        return;
    get = CONF_NEW(&call->arena, ConformancePayload__ConnectGetInfo,
                   conformance_payload__connect_get_info);
    get->query_params = conf_alloc(&call->arena, (query.len + 1) * sizeof(*get->query_params));
    while (query.len > 0) {
        struct sg_slice value = take_until(&query, '&');
        struct sg_slice name = take_until(&value, '=');
        CONF(Header) *header =
            add_header(&call->arena, &get->n_query_params, &get->query_params, name, 1);
        header->value[header->n_value++] = unescape(&call->arena, value);
    }
    info->connect_get_info = get;
}

/* With all of it, or with the requests only; with one of them, or all. */
static info_t *make_info(struct state *state, bool is_whole, bool is_one)
{
    struct sg_call *call = state->call;
    info_t *info =
        CONF_NEW(&call->arena, ConformancePayload__RequestInfo, conformance_payload__request_info);
    const size_t count = is_one && state->request_count > 1 ? 1 : state->request_count;

    if (is_whole) {
        tell_headers(call, info);
        tell_timeout(call, info);
        tell_query(call, info);
    }
    info->requests = state->requests;
    info->n_requests = count;
    state->requests += count;
    state->request_count -= count;
    state->request_cap -= count;
    return info;
}

/* --- answers --- */

typedef enum sg_rc (*add_fn)(struct sg_call *call, const char *name, struct sg_slice value,
                             struct sg_err *err);

static void put_headers(struct state *state, add_fn add, CONF(Header) * *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const CONF(Header) *header = headers[i];
        struct sg_slice name = sg_slice_str(header->name);
        for (size_t v = 0; v < header->n_value; v++) {
            struct sg_slice value = sg_slice_str(header->value[v]);
            struct sg_buf bytes;
            /* The suite says what is to be on the wire. */
            sg_buf_init(&bytes, SIZE_MAX);
            if (sg_metadata_name_is_bin(name)) {
                REQUIRE(sg_base64_decode(value, SG_BASE64_STD, SG_BASE64_EITHER, &bytes, NULL) ==
                        SG_OK);
                value = sg_buf_slice(&bytes);
            }
            REQUIRE(add(state->call, header->name, value, NULL) == SG_OK);
            sg_buf_done(&bytes);
        }
    }
}

static void add_definition_headers(struct state *state)
{
    if (state->unary != NULL) {
        put_headers(state, sg_call_add_metadata, state->unary->response_headers,
                    state->unary->n_response_headers);
        put_headers(state, sg_call_add_trailer, state->unary->response_trailers,
                    state->unary->n_response_trailers);
    }
    if (state->stream != NULL) {
        put_headers(state, sg_call_add_metadata, state->stream->response_headers,
                    state->stream->n_response_headers);
        put_headers(state, sg_call_add_trailer, state->stream->response_trailers,
                    state->stream->n_response_trailers);
    }
}

static void put_any(struct sg_buf *out, const char *url, struct sg_slice value)
{
    size_t from;

    sg_pb_put_tag(out, 3, SG_PB_BYTES); /* of google.rpc.Status */
    from = out->len;
    sg_pb_put_tag(out, 1, SG_PB_BYTES);
    sg_pb_put_bytes(out, sg_slice_str(url));
    sg_pb_put_tag(out, 2, SG_PB_BYTES);
    sg_pb_put_bytes(out, value);
    sg_pb_put_length_before(out, from);
}

/* Ends the call with `error`; `info`, if any, is among its details. */
static void finish_error(struct state *state, const CONF(Error) * error, info_t *info)
{
    struct sg_status status = {.code = (enum sg_grpc_code)error->code};
    struct sg_buf details, packed;

    sg_buf_init(&details, SIZE_MAX);
    sg_buf_init(&packed, SIZE_MAX);
    if (error->has_message_case == CONNECTRPC__CONFORMANCE__V1__ERROR__HAS_MESSAGE_MESSAGE)
        status.message = sg_slice_str(error->message);
    sg_pb_put_tag(&details, 1, SG_PB_VARINT);
    sg_pb_put_varint(&details, (uint64_t)error->code);
    sg_pb_put_tag(&details, 2, SG_PB_BYTES);
    sg_pb_put_bytes(&details, status.message);
    for (size_t i = 0; i < error->n_details; i++)
        put_any(&details, error->details[i]->type_url,
                sg_slice_of(error->details[i]->value.data, error->details[i]->value.len));
    if (info != NULL) {
        sg_pb_pack(&info->base, &packed);
        put_any(&details,
                "type.googleapis.com/connectrpc.conformance.v1.ConformancePayload.RequestInfo",
                sg_buf_slice(&packed));
    }
    REQUIRE(!details.failed && !packed.failed);
    status.details = sg_buf_slice(&details);
    sg_call_finish(state->call, &status);
    sg_buf_done(&details);
    sg_buf_done(&packed);
}

static void finish_ok(struct state *state)
{
    sg_call_finish(state->call, &(struct sg_status){.code = SG_GRPC_OK});
}

/* Every answer has its payload as field 1. */
static void send_payload(struct state *state, const payload_t *payload)
{
    struct sg_buf packed, answer;
    struct sg_err err;
    bool is_full;

    sg_buf_init(&packed, SIZE_MAX);
    sg_buf_init(&answer, SIZE_MAX);
    sg_pb_pack(&payload->base, &packed);
    sg_pb_put_tag(&answer, 1, SG_PB_BYTES);
    sg_pb_put_bytes(&answer, sg_buf_slice(&packed));
    REQUIRE(!packed.failed && !answer.failed);
    if (sg_call_send(state->call, sg_buf_slice(&answer), &is_full, &err) != SG_OK)
        sg_call_fail(state->call, &err);
    sg_buf_done(&packed);
    sg_buf_done(&answer);
}

static payload_t *make_payload(struct state *state, ProtobufCBinaryData data, info_t *info)
{
    payload_t *payload = CONF_NEW(&state->call->arena, ConformancePayload, conformance_payload);

    payload->data = data;
    payload->request_info = info;
    return payload;
}

static void answer_unary(struct state *state)
{
    const CONF(UnaryResponseDefinition) *definition = state->unary;
    info_t *info = make_info(state, true, false);
    ProtobufCBinaryData data = {0};

    add_definition_headers(state);
    if (definition != NULL &&
        definition->response_case ==
            CONNECTRPC__CONFORMANCE__V1__UNARY_RESPONSE_DEFINITION__RESPONSE_ERROR) {
        finish_error(state, definition->error, info);
        return;
    }
    if (definition != NULL &&
        definition->response_case ==
            CONNECTRPC__CONFORMANCE__V1__UNARY_RESPONSE_DEFINITION__RESPONSE_RESPONSE_DATA)
        data = definition->response_data;
    send_payload(state, make_payload(state, data, info));
    finish_ok(state);
}

static size_t answers_max(const struct state *state)
{
    return state->stream == NULL ? 0 : state->stream->n_response_data;
}

static void send_next(struct state *state)
{
    info_t *info = NULL;

    if (state->sent == 0)
        info = make_info(state, true, state->is_full_duplex);
    else if (state->is_full_duplex && state->request_count > 0)
        info = make_info(state, false, true);
    send_payload(state, make_payload(state, state->stream->response_data[state->sent], info));
    state->sent++;
}

static void finish_stream(struct state *state)
{
    if (state->stream == NULL || state->stream->error == NULL) {
        finish_ok(state);
        return;
    }
    finish_error(state, state->stream->error,
                 state->sent == 0 ? make_info(state, true, false) : NULL);
}

/* --- the order of things --- */

static bool is_stream(const struct state *state)
{
    return sg_call_method(state->call)->server_streaming;
}

static void act(struct state *state)
{
    if (!is_stream(state))
        answer_unary(state);
    else
        send_next(state);
}

/* What comes next, unless it has to wait for the client or for a delay to pass. */
static void step(struct state *state)
{
    while (!state->is_waiting && !sg_call_is_over(state->call)) {
        uint32_t delay_ms = 0;
        const bool has_turn =
            state->is_half_closed || (state->is_full_duplex && state->request_count > 0);

        if (!has_turn)
            return;
        if (is_stream(state) && state->sent == answers_max(state)) {
            finish_stream(state);
            return;
        }
        if (state->unary != NULL)
            delay_ms = state->unary->response_delay_ms;
        else if (state->stream != NULL)
            delay_ms = state->stream->response_delay_ms;
        if (delay_ms > 0) {
            struct sg_loop *loop = rpc_host_loop(state->service->host);
            state->is_waiting = true;
            REQUIRE(sg_timer_set(loop, &state->timer,
                                 sg_mono_ns(&sg_clock_system) + delay_ms * SG_NS_PER_MS,
                                 NULL) == SG_OK);
            return;
        }
        act(state);
    }
}

static void on_timer(void *arg)
{
    struct state *state = arg;

    state->is_waiting = false;
    act(state);
    step(state);
    rpc_host_flush(state->service->host);
}

static enum sg_rc begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    struct service *service = arg;
    struct state *state;

    if (strcmp(sg_call_method(call)->name, "Unimplemented") == 0)
        return SG_FAIL(err, SG_E_UNSUPPORTED, 0, "as its name says");
    state = conf_alloc(sg_call_arena(call), sizeof(*state));
    state->service = service;
    state->call = call;
    state->timer = (struct sg_timer){.fn = on_timer, .arg = state};
    sg_call_set_user(call, state);
    return SG_OK;
}

static void keep_request(struct state *state, struct sg_slice message)
{
    struct sg_arena *arena = sg_call_arena(state->call);
    Google__Protobuf__Any *any = conf_new(arena, &google__protobuf__any__descriptor);
    const char *name = sg_call_method(state->call)->input->name;
    struct sg_buf url;

    if (state->request_count == state->request_cap) {
        Google__Protobuf__Any **more;
        state->request_cap = 2 * state->request_cap + 8;
        more = conf_alloc(arena, state->request_cap * sizeof(*more));
        if (state->request_count > 0)
            memcpy(more, state->requests, state->request_count * sizeof(*more));
        state->requests = more;
    }
    sg_buf_init(&url, 256);
    sg_buf_printf(&url, "type.googleapis.com/%s", name);
    any->type_url = sg_arena_strdup(arena, sg_buf_slice(&url));
    any->value = conf_bytes(arena, message);
    sg_buf_done(&url);
    state->requests[state->request_count++] = any;
}

/* Only the first message says how to answer. False: it is not a message; the call is over. */
static bool take_definition(struct state *state, struct sg_slice message)
{
    struct sg_call *call = state->call;
    const ProtobufCMessageDescriptor *input = sg_call_method(call)->input;
    ProtobufCMessage *request;
    struct sg_err err;

    if (sg_pb_unpack(input, message, sg_call_arena(call), SG_PB_LENIENT, &request, &err) != SG_OK) {
        sg_call_fail(call, &err);
        return false;
    }
    if (state->message_count++ > 0)
        return true;
    if (input == CONF_DESC(bidi_stream_request)) {
        const CONF(BidiStreamRequest) *bidi = (const void *)request;
        state->stream = bidi->response_definition;
        state->is_full_duplex = bidi->full_duplex;
    } else if (input == CONF_DESC(server_stream_request)) {
        state->stream =
            ((const CONF(ServerStreamRequest) *)(const void *)request)->response_definition;
    } else if (input == CONF_DESC(client_stream_request)) {
        state->unary =
            ((const CONF(ClientStreamRequest) *)(const void *)request)->response_definition;
    } else if (input == CONF_DESC(unary_request)) {
        state->unary = ((const CONF(UnaryRequest) *)(const void *)request)->response_definition;
    } else {
        state->unary =
            ((const CONF(IdempotentUnaryRequest) *)(const void *)request)->response_definition;
    }
    if (is_stream(state))
        add_definition_headers(state);
    return true;
}

static void on_message(void *arg, struct sg_call *call, struct sg_slice message)
{
    struct state *state = sg_call_user(call);

    (void)arg;
    if (!take_definition(state, message))
        return;
    keep_request(state, message);
    step(state);
}

static void on_half_close(void *arg, struct sg_call *call)
{
    struct state *state = sg_call_user(call);

    (void)arg;
    state->is_half_closed = true;
    step(state);
}

static void on_writable(void *arg, struct sg_call *call)
{
    (void)arg, (void)call;
}

static void on_closed(void *arg, struct sg_call *call)
{
    struct state *state = sg_call_user(call);

    (void)arg;
    sg_timer_cancel(rpc_host_loop(state->service->host), &state->timer);
}

static void describe(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details)
{
    (void)arg, (void)call, (void)err, (void)details;
}

struct sg_call_handler service_handler(struct service *service)
{
    return (struct sg_call_handler){
        .arg = service,
        .begin = begin,
        .message = on_message,
        .half_close = on_half_close,
        .writable = on_writable,
        .closed = on_closed,
        .describe = describe,
    };
}
