#include "base/clock.h"
#include "proto/grpc/server.h"
#include "tests/support/failmalloc.h"
#include "tests/support/rpc_echo.h"
#include "tests/support/unit.h"

/*
 * One call by each protocol, byte by byte, with each allocation failing in turn. The client is made
 * of bytes alone, so that the allocations are the server's.
 */
struct script {
    const char *name, *method, *path, *content_type;
    struct sg_slice body;
    struct sg_slice answer; /* is in what the server sends */
};

static const struct script scripts[] = {
    {"gRPC, JSON", "POST", "/echo.Echo/Unary", "application/grpc+json",
     SG_SLICE("\0\0\0\0\x0d{\"name\":\"ab\"}"), SG_SLICE("\0\0\0\0\x0d{\"name\":\"ab\"}")},
    {"gRPC-Web", "POST", "/echo.Echo/Unary", "application/grpc-web", SG_SLICE("\0\0\0\0\4tail"),
     SG_SLICE("\0\0\0\0\4tail\x80\0\0\0\x23grpc-status: 0\r\necho-tail-bin: /w\r\n")},
    {"gRPC-Web, text", "POST", "/echo.Echo/Bidi", "application/grpc-web-text",
     SG_SLICE("AAAAAAFhAAAAAAFi"), SG_SLICE("AAAAAAE=YQ==AAAAAAE=Yg==gAAAABBncnBj")},
    {"Connect, JSON", "POST", "/echo.Echo/Unary", "application/json",
     SG_SLICE("{\"name\":\"tail\"}"), SG_SLICE("{\"name\":\"tail\"}")},
    {"Connect, a GET", "GET", "/echo.Echo/Read?base64=1&encoding=proto&message=CgVoZWxsbw", "",
     SG_SLICE(""), SG_SLICE("\x0a\5hello")},
    {"Connect, a stream", "POST", "/echo.Echo/Bidi", "application/connect+json",
     SG_SLICE("\0\0\0\0\x0c{\"name\":\"a\"}\0\0\0\0\2{}"),
     SG_SLICE("\0\0\0\0\x0c{\"name\":\"a\"}\0\0\0\0\2{}\2\0\0\0\2{}")},
};

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };

/* RFC 7541 §6.2.2: a literal without indexing, its name and value as they are. */
static void put_field(struct sg_buf *out, const char *name, const char *value)
{
    assert_true(strlen(name) < 127 && strlen(value) < 127);
    sg_buf_add_u8(out, 0);
    sg_buf_add_u8(out, (uint8_t)strlen(name));
    sg_buf_add_str(out, name);
    sg_buf_add_u8(out, (uint8_t)strlen(value));
    sg_buf_add_str(out, value);
}

static void put_frame(struct sg_buf *out, uint8_t type, uint8_t flags, uint32_t stream,
                      struct sg_slice payload)
{
    sg_buf_add_be32(out, (uint32_t)payload.len << 8 | type);
    sg_buf_add_u8(out, flags);
    sg_buf_add_be32(out, stream);
    sg_buf_add_slice(out, payload);
}

/* All that the client sends. */
static void write_script(const struct script *script, struct sg_buf *out)
{
    static uint8_t store[1000];
    struct sg_buf block = {.ptr = store, .cap = sizeof(store), .max = sizeof(store)};
    put_field(&block, ":method", script->method);
    put_field(&block, ":scheme", "https");
    put_field(&block, ":path", script->path);
    put_field(&block, ":authority", "test");
    if (script->content_type[0] != '\0')
        put_field(&block, "content-type", script->content_type);
    sg_buf_add_str(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(out, SETTINGS, 0, 0, SG_SLICE(""));
    put_frame(out, HEADERS, END_HEADERS, 1, sg_buf_slice(&block));
    put_frame(out, DATA, END_STREAM, 1, script->body);
}

static bool serve(const struct script *script)
{
    static uint8_t sent[4096], received[65536];
    struct sg_buf in = {.ptr = sent, .cap = sizeof(sent), .max = sizeof(sent)};
    struct sg_buf out = {.ptr = received, .cap = sizeof(received), .max = sizeof(received)};
    struct sg_rpc_server *server = NULL;
    struct echo echo;
    echo_init(&echo);
    write_script(script, &in);
    bool ok = sg_rpc_server_new(&sg_rpc_limits_default, &echo_methods, &echo.handler, NULL,
                                SG_NS_PER_S, &server, NULL) == SG_OK;
    for (size_t i = 0; ok && i < in.len; i++)
        ok = sg_rpc_server_feed(server, SG_NS_PER_S, sg_slice_of(in.ptr + i, 1), NULL) == SG_OK;
    while (ok && sg_rpc_server_wants_pull(server))
        ok = sg_rpc_server_pull(server, 60000, &out, NULL) == SG_OK;

    /* DATA frames carry it, perhaps in several; and it must have ended. */
    bool has_ended = false;
    static uint8_t body_store[65536];
    struct sg_buf body = {.ptr = body_store, .cap = sizeof(body_store), .max = sizeof(body_store)};
    for (struct sg_slice frames = sg_buf_slice(&out); ok && frames.len >= 9;) {
        size_t len = sg_be32(frames.ptr) >> 8;
        struct sg_slice frame = sg_slice_take(&frames, 9 + len);
        if (frame.ptr[3] == DATA)
            sg_buf_add(&body, frame.ptr + 9, len);
        has_ended |=
            (frame.ptr[3] == DATA || frame.ptr[3] == HEADERS) && (frame.ptr[4] & END_STREAM) != 0;
    }
    ok = ok && has_ended && body.len >= script->answer.len &&
         memcmp(body.ptr, script->answer.ptr, script->answer.len) == 0;
    sg_rpc_server_free(server);
    assert_int_equal(echo.begun, echo.closed);
    return ok;
}

static void each_protocol_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(scripts); i++) {
        size_t nth = 0, served = 0;
        bool has_failed = true;
        while (has_failed) {
            sg_failmalloc_arm(++nth);
            bool ok = serve(&scripts[i]);
            has_failed = sg_failmalloc_disarm();
            served += ok;
            assert_true(ok || has_failed);
        }
        /* Of what the HTTP/2 library wants behind the answer, some may be lacking. */
        print_message("  %s: %zu allocations, %zu to spare\n", scripts[i].name, nth - 1,
                      served - 1);
        assert_true(nth > 10 && served - 1 < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_protocol_survives_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
