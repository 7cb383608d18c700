#include "base/clock.h"
#include "proto/h1/h1.h"
#include "tests/support/failmalloc.h"
#include "tests/support/rpc_echo.h"
#include "tests/support/unit.h"

/*
 * Two calls on one connection, byte by byte, with each allocation failing in turn. Whatever fails,
 * every call ends once, nothing leaks, and no part of an answer looks whole.
 */

static const char request[] = "POST /echo.Echo/Unary HTTP/1.1\r\nHost: h\r\n"
                              "Content-Type: application/json\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n"
                              "d\r\n{\"name\":\"ab\"}\r\n0\r\n\r\n"
                              "POST /echo.Echo/ClientStream HTTP/1.1\r\nHost: h\r\n"
                              "Content-Type: application/connect+proto\r\n"
                              "Content-Length: 10\r\n\r\n%%%%\5hello";

static const char answer[] = "HTTP/1.1 200 \r\ncontent-type: application/json\r\n"
                             "content-length: 13\r\n\r\n{\"name\":\"ab\"}"
                             "HTTP/1.1 200 \r\ncontent-type: application/connect+proto\r\n"
                             "content-length: 13\r\n\r\n%%%%\0015\2%%%\2{}";

static bool serve(void)
{
    static uint8_t store[65536];
    struct sg_buf out = {.ptr = store, .cap = sizeof(store), .max = sizeof(store)};
    struct sg_h1 *h1 = NULL;
    struct echo echo;
    echo_init(&echo);
    bool ok = sg_h1_new(&sg_rpc_limits_default, &echo_methods, &echo.handler, NULL, SG_NS_PER_S,
                        &h1, NULL) == SG_OK;
    for (size_t i = 0; ok && i + 1 < sizeof(request); i++) {
        uint8_t byte = request[i] == '%' ? 0 : (uint8_t)request[i];
        ok = sg_h1_feed(h1, SG_NS_PER_S, sg_slice_of(&byte, 1), NULL) == SG_OK &&
             sg_h1_pull(h1, 60000, &out, NULL) == SG_OK;
    }
    bool is_whole = out.len == sizeof(answer) - 1;
    for (size_t i = 0; is_whole && i < out.len; i++)
        is_whole = out.ptr[i] == (answer[i] == '%' ? 0 : (uint8_t)answer[i]);
    sg_h1_free(h1);
    assert_int_equal(echo.begun, echo.closed);
    return ok && is_whole;
}

static void calls_survive_the_failure_of_any_allocation(void **state)
{
    (void)state;
    size_t nth = 0, served = 0;
    bool has_failed = true;
    while (has_failed) {
        sg_failmalloc_arm(++nth);
        bool ok = serve();
        has_failed = sg_failmalloc_disarm();
        served += ok;
        assert_true(ok || has_failed);
    }
    /* Of what the HTTP/2 library wants behind an answer, some may be lacking. */
    print_message("  %zu allocations, %zu to spare\n", nth - 1, served - 1);
    assert_true(nth > 50 && served - 1 < nth / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_survive_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
