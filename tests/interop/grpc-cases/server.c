/*
 * grpc.testing.TestService on the gateway's own TLS, HTTP/2 and gRPC: the server of gRPC's
 * interoperability tests. Prints its port and the file of its CA, and serves until it is told to
 * stop.
 */
#include <stdio.h>
#include <stdlib.h>

#include "grpc/testing/test.pb-c.h"
#include "methods.h"
#include "proto/pb/unpack.h"
#include "tests/support/pki.h"
#include "tests/support/rpc_host.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: not %s\n", SG_WHERE, #cond);                                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { PAYLOAD_MAX = 8 << 20 };

static struct rpc_host *host;

/* An answer that is owed. */
struct answer {
    struct answer *next;
    size_t size;
    uint32_t interval_us; /* to wait before it */
};

/* One call; in its arena. */
struct state {
    struct sg_call *call;
    struct sg_timer timer;
    struct answer *first, **last; /* owed, in order */
    size_t received;              /* bytes of payloads */
    bool is_waiting, is_half_closed;
};

static void finish(struct sg_call *call, int code, const char *message)
{
    sg_call_finish(call, &(struct sg_status){.code = (enum sg_grpc_code)code,
                                             .message = sg_slice_str(message)});
}

static void send_message(struct state *state, const ProtobufCMessage *message)
{
    struct sg_buf packed;
    struct sg_err err;
    bool is_full;

    sg_buf_init(&packed, SIZE_MAX);
    sg_pb_pack(message, &packed);
    REQUIRE(!packed.failed);
    if (sg_call_send(state->call, sg_buf_slice(&packed), &is_full, &err) != SG_OK)
        sg_call_fail(state->call, &err);
    sg_buf_done(&packed);
}

/* Zeros, as the descriptions have it; the message is SimpleResponse or another with the same field.
 */
static void send_payload(struct state *state, size_t size)
{
    static uint8_t zeros[PAYLOAD_MAX];
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__SimpleResponse response = GRPC__TESTING__SIMPLE_RESPONSE__INIT;

    payload.body = (ProtobufCBinaryData){.len = size, .data = zeros};
    response.payload = &payload;
    send_message(state, &response.base);
}

/* --- streams of answers --- */

static bool is_method(const struct sg_call *call, const char *name)
{
    return strcmp(sg_call_method(call)->name, name) == 0;
}

static void step(struct state *state)
{
    while (!state->is_waiting && !sg_call_is_over(state->call)) {
        const struct answer *answer = state->first;

        if (is_method(state->call, "HalfDuplexCall") && !state->is_half_closed)
            return;
        if (answer == NULL) {
            if (state->is_half_closed)
                finish(state->call, SG_GRPC_OK, "");
            return;
        }
        if (answer->interval_us > 0) {
            state->is_waiting = true;
            REQUIRE(sg_timer_set(rpc_host_loop(host), &state->timer,
                                 sg_mono_ns(&sg_clock_system) + answer->interval_us * INT64_C(1000),
                                 NULL) == SG_OK);
            state->first->interval_us = 0;
            return;
        }
        state->first = answer->next;
        if (state->first == NULL)
            state->last = &state->first;
        send_payload(state, answer->size);
    }
}

static void on_timer(void *arg)
{
    struct state *state = arg;

    state->is_waiting = false;
    step(state);
    rpc_host_flush(host);
}

static void take_output(struct state *state,
                        const Grpc__Testing__StreamingOutputCallRequest *request)
{
    for (size_t i = 0; i < request->n_response_parameters; i++) {
        const Grpc__Testing__ResponseParameters *wanted = request->response_parameters[i];
        struct answer *answer = sg_arena_zalloc(sg_call_arena(state->call), sizeof(*answer));

        REQUIRE(answer != NULL);
        if (wanted->size < 0 || wanted->size > PAYLOAD_MAX || wanted->interval_us < 0) {
            finish(state->call, SG_GRPC_INVALID_ARGUMENT, "no such size or interval");
            return;
        }
        answer->size = (size_t)wanted->size;
        answer->interval_us = (uint32_t)wanted->interval_us;
        *state->last = answer;
        state->last = &answer->next;
    }
    if (request->response_status != NULL && request->response_status->code != 0)
        finish(state->call, request->response_status->code, request->response_status->message);
}

/* --- the others --- */

static void unary(struct state *state, const Grpc__Testing__SimpleRequest *request)
{
    if (request->response_status != NULL && request->response_status->code != 0) {
        finish(state->call, request->response_status->code, request->response_status->message);
    } else if (request->response_size < 0 || request->response_size > PAYLOAD_MAX) {
        finish(state->call, SG_GRPC_INVALID_ARGUMENT, "no such size");
    } else {
        send_payload(state, (size_t)request->response_size);
        finish(state->call, SG_GRPC_OK, "");
    }
}

static void answer_input(struct state *state)
{
    Grpc__Testing__StreamingInputCallResponse response =
        GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;

    response.aggregated_payload_size = (int32_t)state->received;
    send_message(state, &response.base);
    finish(state->call, SG_GRPC_OK, "");
}

/* --- events --- */

static enum sg_rc begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    static const char initial[] = "x-grpc-test-echo-initial";
    static const char trailing[] = "x-grpc-test-echo-trailing-bin";
    struct sg_slice echo;
    struct state *state = sg_arena_zalloc(sg_call_arena(call), sizeof(*state));

    (void)arg;
    REQUIRE(state != NULL);
    state->call = call;
    state->timer = (struct sg_timer){.fn = on_timer, .arg = state};
    state->last = &state->first;
    sg_call_set_user(call, state);
    echo = sg_call_metadata(call, initial);
    if (echo.len > 0)
        SG_TRY(sg_call_add_metadata(call, initial, echo, err));
    echo = sg_call_metadata(call, trailing);
    if (echo.len > 0)
        SG_TRY(sg_call_add_trailer(call, trailing, echo, err));
    return SG_OK;
}

static void on_message(void *arg, struct sg_call *call, struct sg_slice bytes)
{
    struct state *state = sg_call_user(call);
    ProtobufCMessage *message;
    struct sg_err err;

    (void)arg;
    if (sg_pb_unpack(sg_call_method(call)->input, bytes, sg_call_arena(call), SG_PB_LENIENT,
                     &message, &err) != SG_OK) {
        sg_call_fail(call, &err);
    } else if (is_method(call, "EmptyCall")) {
        send_message(state, message);
        finish(call, SG_GRPC_OK, "");
    } else if (is_method(call, "UnaryCall")) {
        unary(state, (const Grpc__Testing__SimpleRequest *)message);
    } else if (is_method(call, "StreamingInputCall")) {
        const Grpc__Testing__StreamingInputCallRequest *request =
            (const Grpc__Testing__StreamingInputCallRequest *)message;
        state->received += request->payload == NULL ? 0 : request->payload->body.len;
    } else {
        take_output(state, (const Grpc__Testing__StreamingOutputCallRequest *)message);
        step(state);
    }
}

static void on_half_close(void *arg, struct sg_call *call)
{
    struct state *state = sg_call_user(call);

    (void)arg;
    state->is_half_closed = true;
    if (is_method(call, "StreamingInputCall"))
        answer_input(state);
    else
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
    sg_timer_cancel(rpc_host_loop(host), &state->timer);
}

static void describe(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details)
{
    (void)arg, (void)call, (void)err, (void)details;
}

int main(void)
{
    static const struct sg_call_handler handler = {.begin = begin,
                                                   .message = on_message,
                                                   .half_close = on_half_close,
                                                   .writable = on_writable,
                                                   .closed = on_closed,
                                                   .describe = describe};
    struct sg_pki *pki = sg_pki_new();
    const struct sg_pki_id *ca =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    const struct sg_pki_id *id = sg_pki_make(
        pki, &(struct sg_pki_spec){
                 .name = "server", .issuer = ca, .san = "DNS:localhost", .eku = "serverAuth"});
    struct rpc_host_options options = {
        .wire = RPC_HOST_TLS,
        .cert_file = id->cert_file,
        .key_file = id->key_file,
        .limits = sg_rpc_limits_default,
        .table = &sg_methods,
        .handler = &handler,
    };

    options.limits.call_bytes_max = 4 * PAYLOAD_MAX;
    options.limits.send_bytes_max = 2 * PAYLOAD_MAX;
    host = rpc_host_new(&options);
    printf("%u %s\n", rpc_host_port(host), ca->cert_file);
    REQUIRE(fflush(stdout) == 0);
    rpc_host_run(host);
    rpc_host_free(host);
    sg_pki_free(pki);
    return 0;
}
