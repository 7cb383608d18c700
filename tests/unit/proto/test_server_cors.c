#include "proto/grpc/cors.h"

#include "proto/grpc/server.h"
#include "tests/support/rpc_peer.h"
#include "tests/support/unit.h"

/* What browsers are told about pages of other origins. */

static const struct sg_cors cors = {"https://a.example http://localhost:8088", "x-request-id"};

static const struct {
    const char *name, *origin;
    bool is_allowed;
} origins[] = {
    {"the first", "https://a.example", true},
    {"the second", "http://localhost:8088", true},
    {"none", "", false},
    {"a space", " ", false},
    {"both", "https://a.example http://localhost:8088", false},
    {"another scheme", "http://a.example", false},
    {"another port", "https://a.example:8443", false},
    {"a longer name", "https://a.example.evil", false},
    {"a shorter name", "https://a.exampl", false},
    {"a name within", "https://evil-https://a.example", false},
    {"capitals", "https://A.example", false},
    {"a sandboxed page", "null", false},
};

static void origins_are_allowed_by_the_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(origins); i++) {
        print_message("  %s\n", origins[i].name);
        assert_int_equal(sg_cors_allows(&cors, sg_slice_str(origins[i].origin)),
                         origins[i].is_allowed);
    }
    assert_false(sg_cors_is_on(&sg_rpc_limits_default.cors));
}

#define ALLOW "access-control-allow-origin: https://a.example"

static const struct {
    const char *name;
    bool is_off;
    struct peer_request request;
    const char *has[5], *has_not;
} rows[] = {
    {"a preflight",
     false,
     {.method = "OPTIONS",
      .path = "/echo.Echo/Unary",
      .content_type = "",
      .extra = {"origin", "https://a.example", "access-control-request-method", "POST"},
      .is_headers_only = true},
     {":status: 204", ALLOW, "access-control-allow-credentials: true",
      "access-control-allow-methods: GET, POST",
      "vary: origin, access-control-request-method, access-control-request-headers"},
     NULL},
    {"a preflight of a path that is none, which the call itself will tell",
     false,
     {.method = "OPTIONS",
      .path = "/",
      .content_type = "",
      .extra = {"origin", "https://a.example", "access-control-request-method", "GET"},
      .is_headers_only = true},
     {":status: 204", ALLOW, "access-control-max-age: 7200"},
     NULL},
    {"a preflight of another origin",
     false,
     {.method = "OPTIONS",
      .path = "/echo.Echo/Unary",
      .content_type = "",
      .extra = {"origin", "https://evil.example", "access-control-request-method", "POST"},
      .is_headers_only = true},
     {":status: 403",
      "vary: origin, access-control-request-method, access-control-request-headers"},
     "access-control-allow"},
    {"a preflight for another method",
     false,
     {.method = "OPTIONS",
      .path = "/echo.Echo/Unary",
      .content_type = "",
      .extra = {"origin", "https://a.example", "access-control-request-method", "DELETE"},
      .is_headers_only = true},
     {":status: 403"},
     "access-control-allow"},
    {"no preflight, but OPTIONS",
     false,
     {.method = "OPTIONS",
      .path = "/echo.Echo/Unary",
      .content_type = "",
      .extra = {"origin", "https://a.example"},
      .is_headers_only = true},
     {":status: 403"},
     "access-control-allow"},
    {"a preflight where it is off",
     true,
     {.method = "OPTIONS",
      .path = "/echo.Echo/Unary",
      .content_type = "",
      .extra = {"origin", "https://a.example", "access-control-request-method", "POST"},
      .is_headers_only = true},
     {":status: 405"},
     "access-control"},
    {"a call",
     false,
     {.path = "/echo.Echo/Unary",
      .content_type = "application/grpc-web",
      .extra = {"origin", "https://a.example"},
      .body = SG_SLICE("\0\0\0\0\4head")},
     {":status: 200", ALLOW, "access-control-allow-credentials: true", "vary: origin",
      "echo-head: first"},
     NULL},
    {"a call that is refused",
     false,
     {.path = "/echo.Echo/Unary",
      .content_type = "application/json",
      .extra = {"origin", "https://a.example"},
      .body = SG_SLICE("x")},
     {":status: 400", ALLOW},
     NULL},
    {"what is no call",
     false,
     {.path = "/echo.Echo/Unary",
      .content_type = "text/plain",
      .extra = {"origin", "https://a.example"},
      .body = SG_SLICE("x")},
     {":status: 415", ALLOW},
     NULL},
    {"a call of another origin, which its browser will not let read",
     false,
     {.path = "/echo.Echo/Unary",
      .content_type = "application/json",
      .extra = {"origin", "https://evil.example"},
      .body = SG_SLICE("{}")},
     {":status: 200", "vary: origin"},
     "access-control"},
    {"a call of no page",
     false,
     {.path = "/echo.Echo/Unary", .content_type = "application/json", .body = SG_SLICE("{}")},
     {":status: 200", "vary: origin"},
     "access-control"},
    {"a call where it is off",
     true,
     {.path = "/echo.Echo/Unary",
      .content_type = "application/json",
      .extra = {"origin", "https://a.example"},
      .body = SG_SLICE("{}")},
     {":status: 200"},
     "vary"},
    {"a GET is kept by nobody",
     true,
     {.method = "GET",
      .path = "/echo.Echo/Read?encoding=json&message=%7B%7D",
      .content_type = "",
      .is_headers_only = true},
     {":status: 200", "cache-control: no-store"},
     NULL},
};

static void answers_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct sg_rpc_limits limits = sg_rpc_limits_default;
        struct peer peer;
        print_message("  %s\n", rows[i].name);
        if (!rows[i].is_off)
            limits.cors = cors;
        peer_start(&peer, &limits, 0);
        struct peer_answer *answer = peer_request(&peer, rows[i].request);
        peer_run(&peer);
        for (size_t k = 0; k < SG_COUNT(rows[i].has) && rows[i].has[k] != NULL; k++)
            if (!peer_has(answer, rows[i].has[k]))
                fail_msg("no \"%s\" in:\n%.*s", rows[i].has[k], (int)answer->text.len,
                         (const char *)answer->text.ptr);
        if (rows[i].has_not != NULL)
            assert_null(memmem(answer->text.ptr, answer->text.len, rows[i].has_not,
                               strlen(rows[i].has_not)));
        assert_true(answer->is_closed);
        peer_stop(&peer);
    }
}

/* No call begins, so nobody is asked for a certificate. */
static void a_preflight_is_no_call(void **state)
{
    (void)state;
    struct sg_rpc_limits limits = sg_rpc_limits_default;
    struct peer peer;
    limits.cors = cors;
    peer_start(&peer, &limits, 1);
    struct peer_answer *answer = peer_request(
        &peer, (struct peer_request){.method = "OPTIONS",
                                     .path = "/echo.Echo/Unary",
                                     .content_type = "",
                                     .extra = {"origin", "http://localhost:8088",
                                               "access-control-request-method", "POST"},
                                     .is_headers_only = true});
    peer_run(&peer);
    assert_int_equal(peer.echo.begun, 0);
    const char *allowed = "authorization, x-request-id\n";
    assert_non_null(memmem(answer->text.ptr, answer->text.len, allowed, strlen(allowed)));
    peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_allowed_by_the_list),
        cmocka_unit_test(answers_follow_the_table),
        cmocka_unit_test(a_preflight_is_no_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
