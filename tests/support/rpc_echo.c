#include "tests/support/rpc_echo.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/all_types.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s: the echo handler saw: not %s\n", SG_WHERE, #cond);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum method { BIDI, CLIENT_STREAM, READ, SERVER_STREAM, UNARY };

#define MESSAGES .input = &test__inner__descriptor, .output = &test__inner__descriptor

static const struct sg_method methods[] = {
    {.id = BIDI,
     .path = "/echo.Echo/Bidi",
     .service = "echo.Echo",
     .name = "Bidi",
     .client_streaming = true,
     .server_streaming = true,
     MESSAGES},
    {.id = CLIENT_STREAM,
     .path = "/echo.Echo/ClientStream",
     .service = "echo.Echo",
     .name = "ClientStream",
     .client_streaming = true,
     MESSAGES},
    {.id = READ,
     .path = "/echo.Echo/Read",
     .service = "echo.Echo",
     .name = "Read",
     .no_side_effects = true,
     MESSAGES},
    {.id = SERVER_STREAM,
     .path = "/echo.Echo/ServerStream",
     .service = "echo.Echo",
     .name = "ServerStream",
     .server_streaming = true,
     MESSAGES},
    {.id = UNARY, .path = "/echo.Echo/Unary", .service = "echo.Echo", .name = "Unary", MESSAGES},
};
const struct sg_method_table echo_methods = {
    .methods = methods, .count = SG_COUNT(methods), .types = &all_types};

/* What is kept with a call, in its arena. */
struct echo_call {
    size_t messages, sum, left;
    bool is_half_closed, is_over;
};

static struct echo_call *state_of(struct sg_call *call)
{
    struct echo_call *state = sg_call_user(call);
    REQUIRE(state != NULL && !state->is_over);
    return state;
}

static enum sg_rc begin(void *arg, struct sg_call *call, struct sg_err *err)
{
    struct echo *echo = arg;
    REQUIRE(sg_call_user(call) == NULL && sg_call_method(call) != NULL);
    if (echo->refuse_begin) {
        echo->refused_by_begin++;
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "not for the client's eyes");
    }
    struct echo_call *state = sg_arena_zalloc(sg_call_arena(call), sizeof(*state));
    if (state == NULL)
        return SG_FAIL(err, SG_E_LIMIT, 0, "no memory");
    sg_call_set_user(call, state);
    echo->begun++;
    return SG_OK;
}

static void finish(struct sg_call *call, enum sg_grpc_code code, const char *message)
{
    struct sg_status status = {.code = code, .message = sg_slice_str(message)};
    sg_call_finish(call, &status);
}

static void reply(struct sg_call *call, struct sg_slice message)
{
    bool full;
    struct sg_err err;
    if (sg_call_send(call, message, &full, &err) != SG_OK)
        sg_call_fail(call, &err);
}

/* A word as it is, or as the first field of a message. */
static bool says(struct sg_slice message, const char *word)
{
    if (message.len > 2 && message.ptr[0] == (1 << 3 | 2) && message.ptr[1] == message.len - 2)
        (void)sg_slice_take(&message, 2);
    return sg_slice_is(message, word);
}

static void unary(struct echo *echo, struct sg_call *call, struct sg_slice message)
{
    struct sg_err err;
    if (says(message, "refuse")) {
        SG_IGNORE(SG_REFUSE(&err, SG_R_BAD_NAME, "not for the client's eyes"));
        sg_call_fail(call, &err);
        return;
    }
    if (says(message, "only-tail") || says(message, "only-both")) {
        if ((says(message, "only-both") &&
             sg_call_add_metadata(call, "echo-head", SG_SLICE("first"), &err) != SG_OK) ||
            sg_call_add_trailer(call, "echo-tail", SG_SLICE("last"), &err) != SG_OK)
            sg_call_fail(call, &err);
        finish(call, SG_GRPC_ABORTED, "");
        return;
    }
    if (says(message, "later")) {
        echo->later = call;
        return;
    }
    if (says(message, "head") &&
        sg_call_add_metadata(call, "echo-head", SG_SLICE("first"), &err) != SG_OK) {
        sg_call_fail(call, &err);
        return;
    }
    reply(call, message);
    if (says(message, "tail") &&
        sg_call_add_metadata(call, "echo-tail-bin", SG_SLICE("\xff"), &err) != SG_OK) {
        sg_call_fail(call, &err);
        return;
    }
    finish(call, SG_GRPC_OK, "");
}

/* As many messages as are left and find room. */
static void stream(struct echo *echo, struct sg_call *call)
{
    struct echo_call *state = state_of(call);
    struct sg_err err;
    bool full = false;
    uint8_t *bytes = malloc(echo->stream_message_len + 1);
    REQUIRE(bytes != NULL);
    memset(bytes, 'x', echo->stream_message_len);
    while (state->left > 0 && !full) {
        state->left--;
        struct sg_slice message = sg_slice_of(bytes, echo->stream_message_len);
        if (sg_call_send(call, message, &full, &err) != SG_OK) {
            sg_call_fail(call, &err);
            break;
        }
    }
    free(bytes);
    if (state->left == 0)
        finish(call, SG_GRPC_OK, "");
}

static void message(void *arg, struct sg_call *call, struct sg_slice message)
{
    struct echo *echo = arg;
    struct echo_call *state = state_of(call);
    REQUIRE(!state->is_half_closed && !sg_call_is_over(call));
    echo->messages++;
    state->messages++;
    REQUIRE(state->messages == 1 || sg_call_method(call)->client_streaming);

    switch ((enum method)sg_call_method(call)->id) {
    case READ:
    case UNARY:
        unary(echo, call, message);
        break;
    case SERVER_STREAM:
        state->left = message.len;
        stream(echo, call);
        break;
    case CLIENT_STREAM:
        state->sum += message.len;
        break;
    case BIDI:
        REQUIRE(echo->paused != call);
        if (says(message, "stop")) {
            finish(call, SG_GRPC_ABORTED, "stopped");
            break;
        }
        reply(call, message);
        if (says(message, "pause")) {
            echo->paused = call;
            sg_call_pause(call);
        }
        break;
    }
}

static void half_close(void *arg, struct sg_call *call)
{
    struct echo *echo = arg;
    struct echo_call *state = state_of(call);
    REQUIRE(!state->is_half_closed);
    state->is_half_closed = true;
    echo->half_closed++;
    if (sg_call_method(call)->id == CLIENT_STREAM) {
        char text[24];
        snprintf(text, sizeof(text), "%zu", state->sum);
        reply(call, sg_slice_str(text));
    }
    if (sg_call_method(call)->client_streaming)
        finish(call, SG_GRPC_OK, "");
}

static void writable(void *arg, struct sg_call *call)
{
    struct echo *echo = arg;
    REQUIRE(!sg_call_is_over(call));
    echo->writables++;
    if (state_of(call)->left > 0)
        stream(echo, call);
}

static void closed(void *arg, struct sg_call *call)
{
    struct echo *echo = arg;
    struct echo_call *state = state_of(call);
    state->is_over = true;
    if (echo->later == call)
        echo->later = NULL;
    if (echo->paused == call)
        echo->paused = NULL;
    echo->closed++;
    REQUIRE(echo->closed <= echo->begun);
}

/* google.rpc.Status {code, message}, message = the reason's name. */
static void describe(void *arg, struct sg_call *call, const struct sg_err *err,
                     struct sg_buf *details)
{
    (void)arg, (void)call;
    const char *name = sg_reason_name(err->reason);
    if (err->reason == SG_R_NONE)
        return;
    sg_buf_add_u8(details, 1 << 3);
    sg_buf_add_u8(details, (uint8_t)sg_grpc_code_of(err->rc));
    sg_buf_add_u8(details, 2 << 3 | 2);
    sg_buf_add_u8(details, (uint8_t)strlen(name));
    sg_buf_add_str(details, name);
}

void echo_init(struct echo *echo)
{
    *echo = (struct echo){
        .handler = {.arg = echo,
                    .begin = begin,
                    .message = message,
                    .half_close = half_close,
                    .writable = writable,
                    .closed = closed,
                    .describe = describe},
        .stream_message_len = 1000,
    };
}

void echo_answer_later(struct echo *echo)
{
    struct sg_call *call = echo->later;
    REQUIRE(call != NULL);
    echo->later = NULL;
    reply(call, SG_SLICE("at last"));
    finish(call, SG_GRPC_OK, "");
}
