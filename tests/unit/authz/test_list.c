#include "authz/authz.h"

#include <stdio.h>

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

#define SIGN "sealgate.v1.SigningService/Sign"
#define BATCH "sealgate.v1.SigningService/BatchSign"
#define LIST "sealgate.v1.KeyService/ListKeys"

#define ROW(n, c, u, m, k)                                                                         \
    {                                                                                              \
        .name = (n), .ca = (c), .uri = (u), .methods = (m), .method_count = SG_COUNT(m),           \
        .keys = (k), .key_count = SG_COUNT(k)                                                      \
    }

static const char *const sign_only[] = {SIGN};
static const char *const services[] = {"sealgate.v1.SigningService", LIST};
static const char *const one_key[] = {"tax-2026"};
static const char *const three_keys[] = {"tax-2026", "land", "a"};

static const struct sg_authz_caller callers[] = {
    ROW("tax-portal", "main", "urn:portal:tax", sign_only, one_key),
    ROW("land-portal", "main", "urn:portal:land", services, three_keys),
    ROW("guest", "other", "urn:portal:tax", services, one_key),
    {.name = "nothing", .ca = "main", .uri = "urn:portal:none"},
};

static struct sg_authz *compile(const struct sg_authz_caller *rows, size_t count)
{
    struct sg_authz *authz = NULL;
    struct sg_err err = {0};
    if (sg_authz_new(rows, count, &authz, &err) != SG_OK)
        fail_msg("%s", err.msg);
    return authz;
}

static struct sg_authz_identity identity(const char *ca, struct sg_slice uri)
{
    return sg_authz_identity_of(sg_slice_str(ca), uri);
}

static const struct {
    const char *name, *ca;
    struct sg_slice uri;
    const char *method;
    struct sg_slice key;
    enum sg_reason reason; /* none: allowed */
    const char *rule;
} cases[] = {
    {"a listed method with a listed key", "main", SG_SLICE("urn:portal:tax"), SIGN,
     SG_SLICE("tax-2026"), SG_R_NONE, "tax-portal"},
    {"a method of a listed service", "main", SG_SLICE("urn:portal:land"), BATCH, SG_SLICE("land"),
     SG_R_NONE, "land-portal"},
    {"a key of one letter", "main", SG_SLICE("urn:portal:land"), SIGN, SG_SLICE("a"), SG_R_NONE,
     "land-portal"},
    {"a method about no one key",
     "main",
     SG_SLICE("urn:portal:land"),
     LIST,
     {0},
     SG_R_NONE,
     "land-portal"},
    {"the same URI from another CA is another row",
     "other",
     SG_SLICE("urn:portal:tax"),
     LIST,
     {0},
     SG_R_NONE,
     "guest"},
    {"an unknown URI", "main", SG_SLICE("urn:portal:what"), SIGN, SG_SLICE("tax-2026"),
     SG_R_CALLER_UNKNOWN, "default-deny"},
    {"an unknown CA", "third", SG_SLICE("urn:portal:tax"), SIGN, SG_SLICE("tax-2026"),
     SG_R_CALLER_UNKNOWN, "default-deny"},
    {"no identity at all",
     NULL,
     {0},
     SIGN,
     SG_SLICE("tax-2026"),
     SG_R_CALLER_UNKNOWN,
     "default-deny"},
    {"a URI in capitals", "main", SG_SLICE("URN:portal:tax"), SIGN, SG_SLICE("tax-2026"),
     SG_R_CALLER_UNKNOWN, "default-deny"},
    {"a URI that a listed one begins with", "main", SG_SLICE("urn:portal:ta"), SIGN,
     SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN, "default-deny"},
    {"a URI that begins with a listed one", "main", SG_SLICE("urn:portal:tax2"), SIGN,
     SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN, "default-deny"},
    {"a URI with a NUL behind a listed one", "main", SG_SLICE("urn:portal:tax\0x"), SIGN,
     SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN, "default-deny"},
    {"a method that is not listed", "main", SG_SLICE("urn:portal:tax"), BATCH, SG_SLICE("tax-2026"),
     SG_R_METHOD_NOT_ALLOWED, "tax-portal"},
    {"a service whose name begins with a listed one", "main", SG_SLICE("urn:portal:land"),
     "sealgate.v1.SigningServiceX/Sign", SG_SLICE("land"), SG_R_METHOD_NOT_ALLOWED, "land-portal"},
    {"a service is no method", "main", SG_SLICE("urn:portal:land"), "sealgate.v1.SigningService",
     SG_SLICE("land"), SG_R_METHOD_NOT_ALLOWED, "land-portal"},
    {"no method",
     "main",
     SG_SLICE("urn:portal:land"),
     "",
     {0},
     SG_R_METHOD_NOT_ALLOWED,
     "land-portal"},
    {"a row without methods",
     "main",
     SG_SLICE("urn:portal:none"),
     SIGN,
     {0},
     SG_R_METHOD_NOT_ALLOWED,
     "nothing"},
    {"a key that is not listed", "main", SG_SLICE("urn:portal:tax"), SIGN, SG_SLICE("land"),
     SG_R_KEY_NOT_FOUND, "tax-portal"},
    {"a key that begins with a listed one", "main", SG_SLICE("urn:portal:tax"), SIGN,
     SG_SLICE("tax-20267"), SG_R_KEY_NOT_FOUND, "tax-portal"},
    {"a key that a listed one begins with", "main", SG_SLICE("urn:portal:tax"), SIGN,
     SG_SLICE("tax-202"), SG_R_KEY_NOT_FOUND, "tax-portal"},
    {"a method denied is said before a key denied", "main", SG_SLICE("urn:portal:tax"), BATCH,
     SG_SLICE("land"), SG_R_METHOD_NOT_ALLOWED, "tax-portal"},
};

static void decide_follows_the_table(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_authz_request request = {identity(cases[i].ca, cases[i].uri), cases[i].method,
                                           cases[i].key};
        struct sg_authz_decision decision = {0};
        print_message("  %s\n", cases[i].name);
        sg_authz_decide(authz, &request, &decision);
        assert_int_equal(decision.is_allowed, cases[i].reason == SG_R_NONE);
        assert_int_equal(decision.reason, cases[i].reason);
        assert_string_equal(decision.rule, cases[i].rule);
    }
}

static void a_zeroed_decision_is_a_denial(void **state)
{
    (void)state;
    struct sg_authz_decision decision;
    memset(&decision, 0, sizeof(decision));
    assert_false(decision.is_allowed);
}

static void a_decision_is_written_whole_also_over_an_old_yes(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));
    struct sg_authz_request request = {identity("main", SG_SLICE("urn:x")), SIGN, {0}};
    struct sg_authz_decision decision = {.is_allowed = true, .rule = "old"};
    sg_authz_decide(authz, &request, &decision);
    assert_false(decision.is_allowed);
    assert_int_equal(decision.reason, SG_R_CALLER_UNKNOWN);
}

static void an_identity_that_was_never_made_is_nobody(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));
    struct sg_authz_request request = {.method = SIGN};
    struct sg_authz_decision decision;
    sg_authz_decide(authz, &request, &decision);
    assert_false(decision.is_allowed);
    /* Nor is one whose parts were changed behind its hash. */
    request.caller = identity("main", SG_SLICE("urn:portal:none"));
    request.caller.uri = SG_SLICE("urn:portal:tax");
    sg_authz_decide(authz, &request, &decision);
    assert_false(decision.is_allowed);
    assert_int_equal(decision.reason, SG_R_CALLER_UNKNOWN);
}

static void an_empty_list_denies_everybody(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(NULL, 0);
    struct sg_authz_request request = {identity("main", SG_SLICE("urn:portal:tax")), SIGN, {0}};
    struct sg_authz_decision decision;
    sg_authz_decide(authz, &request, &decision);
    assert_false(decision.is_allowed);
    assert_string_equal(decision.rule, "default-deny");
}

/* "land" is in another caller's row, "ghost" in none: this caller must not see a difference. */
static void a_denied_key_looks_like_one_that_does_not_exist(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));
    struct sg_authz_request denied = {identity("main", SG_SLICE("urn:portal:tax")), SIGN,
                                      SG_SLICE("land")};
    struct sg_authz_request absent = {identity("main", SG_SLICE("urn:portal:tax")), SIGN,
                                      SG_SLICE("ghost")};
    struct sg_authz_decision a, b;
    memset(&a, 0, sizeof(a));
    memset(&b, 0xff, sizeof(b));
    sg_authz_decide(authz, &denied, &a);
    sg_authz_decide(authz, &absent, &b);
    assert_int_equal(a.is_allowed, b.is_allowed);
    assert_int_equal(a.reason, b.reason);
    assert_ptr_equal(a.rule, b.rule);
    assert_int_equal(sg_reason_rc(a.reason), SG_E_NOT_FOUND);
}

static void the_names_of_a_row_are_told_in_order(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 3, 1, 0};
    static const char *const in_order[] = {"a", "land", "tax-2026"};
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));

    assert_int_equal(sg_authz_row_count(authz), SG_COUNT(callers));
    for (size_t i = 0; i < SG_COUNT(callers); i++) {
        size_t count = 99;
        (void)sg_authz_row_keys(authz, i, &count);
        assert_int_equal(count, counts[i]);
    }
    struct sg_authz_request request = {identity("main", SG_SLICE("urn:portal:land")), LIST, {0}};
    struct sg_authz_decision decision;
    sg_authz_decide(authz, &request, &decision);
    assert_int_equal(decision.row, 1);
    size_t count;
    const struct sg_slice *names = sg_authz_row_keys(authz, decision.row, &count);
    for (size_t i = 0; i < SG_COUNT(in_order); i++)
        assert_slice_equal(names[i], sg_slice_str(in_order[i]));
}

static void the_list_is_a_copy(void **state)
{
    (void)state;
    char name[] = "tax", ca[] = "main", uri[] = "urn:a", method[] = SIGN, key[] = "k";
    const char *methods[] = {method}, *keys[] = {key};
    struct sg_authz_caller row = ROW(name, ca, uri, methods, keys);
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(&row, 1);
    name[0] = ca[0] = uri[0] = method[0] = key[0] = 'x';
    methods[0] = keys[0] = NULL;

    struct sg_authz_request request = {identity("main", SG_SLICE("urn:a")), SIGN, SG_SLICE("k")};
    struct sg_authz_decision decision;
    sg_authz_decide(authz, &request, &decision);
    assert_true(decision.is_allowed);
    assert_string_equal(decision.rule, "tax");
}

static void two_rows_with_one_identity_are_refused(void **state)
{
    (void)state;
    const struct sg_authz_caller twice[] = {
        ROW("first", "main", "urn:a", sign_only, one_key),
        ROW("other", "main", "urn:b", sign_only, one_key),
        ROW("second", "main", "urn:a", services, three_keys),
    };
    struct sg_authz *authz = NULL;
    struct sg_err err = {0};
    assert_int_equal(sg_authz_new(twice, SG_COUNT(twice), &authz, &err), SG_E_INVALID);
    assert_null(authz);
    assert_non_null(strstr(err.msg, "\"first\" and \"second\""));
    assert_int_equal(sg_authz_new(twice, 2, &authz, &err), SG_OK);
    sg_authz_free(authz);
}

static const struct {
    const char *name, *row, *ca, *uri, *method, *key;
    enum sg_rc rc;
} rows[] = {
    {"a method", "r", "c", "u", SIGN, "k", SG_OK},
    {"a service", "r", "c", "u", "grpc.health.v1.Health", "k", SG_OK},
    {"no name", NULL, "c", "u", SIGN, "k", SG_E_INVALID},
    {"an empty name", "", "c", "u", SIGN, "k", SG_E_INVALID},
    {"an empty CA", "r", "", "u", SIGN, "k", SG_E_INVALID},
    {"an empty URI", "r", "c", "", SIGN, "k", SG_E_INVALID},
    {"an empty key", "r", "c", "u", SIGN, "", SG_E_INVALID},
    {"an empty method", "r", "c", "u", "", "k", SG_E_INVALID},
    {"a method without its service", "r", "c", "u", "Sign", "k", SG_E_INVALID},
    {"a service without its package", "r", "c", "u", "SigningService/Sign", "k", SG_E_INVALID},
    {"a path", "r", "c", "u", "/sealgate.v1.SigningService/Sign", "k", SG_E_INVALID},
    {"a wildcard", "r", "c", "u", "sealgate.v1.SigningService/*", "k", SG_E_INVALID},
    {"an empty method of a service", "r", "c", "u", "a.B/", "k", SG_E_INVALID},
    {"two slashes", "r", "c", "u", "a.B/C/D", "k", SG_E_INVALID},
    {"a dot behind the slash", "r", "c", "u", "a.B/C.D", "k", SG_E_INVALID},
    {"two dots", "r", "c", "u", "a..B/C", "k", SG_E_INVALID},
    {"a digit first", "r", "c", "u", "a.1B/C", "k", SG_E_INVALID},
    {"a space", "r", "c", "u", "a.B/C ", "k", SG_E_INVALID},
};

static void malformed_rows_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        const char *methods[] = {rows[i].method}, *keys[] = {rows[i].key};
        struct sg_authz_caller row = ROW(rows[i].row, rows[i].ca, rows[i].uri, methods, keys);
        struct sg_authz *authz = NULL;
        struct sg_err err = {0};
        print_message("  %s\n", rows[i].name);
        assert_int_equal(sg_authz_new(&row, 1, &authz, &err), rows[i].rc);
        assert_int_equal(authz == NULL, rows[i].rc != SG_OK);
        sg_authz_free(authz);
    }
}

static bool compile_callers(void *arg)
{
    (void)arg;
    struct sg_authz *authz = NULL;
    enum sg_rc rc = sg_authz_new(callers, SG_COUNT(callers), &authz, NULL);
    assert_true(rc == SG_OK || rc == SG_E_LIMIT);
    sg_authz_free(authz);
    return rc == SG_OK;
}

static void memory_that_runs_out_anywhere_is_an_error(void **state)
{
    (void)state;
    assert_true(sg_failmalloc_each(compile_callers, NULL) >= 3);
}

static void deciding_takes_no_memory(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(callers, SG_COUNT(callers));
    sg_failmalloc_arm(1);
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_authz_request request = {identity(cases[i].ca, cases[i].uri), cases[i].method,
                                           cases[i].key};
        struct sg_authz_decision decision;
        sg_authz_decide(authz, &request, &decision);
        assert_int_equal(decision.is_allowed, cases[i].reason == SG_R_NONE);
    }
    assert_false(sg_failmalloc_disarm());
}

/* A small generator of its own, so that a failure comes again. */
static uint32_t next_number(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

static const char *const cas[] = {"a", "b", "ab"};
static const char *const uris[] = {"u:1", "u:11", "u:2", "b", "bu:1"};
static const char *const methods[] = {"p.S/A", "p.S/B", "p.T/A", "p.S", "p.T"};
static const char *const keys[] = {"k", "kk", "key", "l"};

/* What the list means, written as plainly as can be. */
static bool reference(const struct sg_authz_caller *list, size_t count,
                      const struct sg_authz_request *request)
{
    for (size_t i = 0; i < count; i++) {
        bool has_method = false, has_key = request->key.len == 0;
        if (!sg_slice_is(request->caller.ca, list[i].ca) ||
            !sg_slice_is(request->caller.uri, list[i].uri))
            continue;
        for (size_t m = 0; m < list[i].method_count; m++) {
            size_t len = strlen(list[i].methods[m]);
            if (strcmp(list[i].methods[m], request->method) == 0 ||
                (strncmp(list[i].methods[m], request->method, len) == 0 &&
                 request->method[len] == '/'))
                has_method = true;
        }
        for (size_t k = 0; k < list[i].key_count; k++)
            has_key = has_key || sg_slice_is(request->key, list[i].keys[k]);
        return has_method && has_key;
    }
    return false;
}

static void compare_all_requests(const struct sg_authz_caller *list, size_t count)
{
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(list, count);
    for (size_t n = 0; n < 3 * 5 * 3 * 5; n++) {
        struct sg_authz_request request = {
            identity(cas[n % 3], sg_slice_str(uris[n / 3 % 5])), methods[n / 15 % 3], {0}};
        if (n / 45 > 0)
            request.key = sg_slice_str(keys[n / 45 - 1]);
        struct sg_authz_decision decision;
        sg_authz_decide(authz, &request, &decision);
        assert_int_equal(decision.is_allowed, reference(list, count, &request));
        assert_int_equal(decision.is_allowed, decision.reason == SG_R_NONE);
    }
}

static void random_lists_decide_as_the_plain_reading_does(void **state)
{
    (void)state;
    uint32_t seed = 2026;
    for (int round = 0; round < 300; round++) {
        const char *names[15][8];
        struct sg_authz_caller list[15];
        size_t count = 0;
        for (uint32_t i = 0; i < 15; i++) { /* each identity at most once */
            if (next_number(&seed, 2) == 0)
                continue;
            struct sg_authz_caller *row = &list[count];
            *row = (struct sg_authz_caller){.name = "r", .ca = cas[i % 3], .uri = uris[i / 3]};
            row->method_count = next_number(&seed, 4);
            row->key_count = next_number(&seed, 4);
            for (size_t m = 0; m < row->method_count; m++)
                names[count][m] = methods[next_number(&seed, 5)];
            for (size_t k = 0; k < row->key_count; k++)
                names[count][4 + k] = keys[next_number(&seed, 4)];
            row->methods = names[count];
            row->keys = names[count] + 4;
            count++;
        }
        compare_all_requests(list, count);
    }
}

static void many_callers_are_told_apart(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    char(*texts)[32] = calloc(COUNT, sizeof(*texts));
    const char **own = calloc(COUNT, sizeof(*own));
    struct sg_authz_caller *list = calloc(COUNT, sizeof(*list));
    assert_true(texts != NULL && own != NULL && list != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof(texts[i]), "urn:caller:%zu", i);
        own[i] = texts[i] + 4;
        list[i] = (struct sg_authz_caller){.name = texts[i],
                                           .ca = "main",
                                           .uri = texts[i],
                                           .methods = sign_only,
                                           .method_count = 1,
                                           .keys = &own[i],
                                           .key_count = 1};
    }
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(list, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct sg_authz_request request = {identity("main", sg_slice_str(texts[i])), SIGN,
                                           sg_slice_str(own[i])};
        struct sg_authz_decision decision;
        sg_authz_decide(authz, &request, &decision);
        assert_true(decision.is_allowed);
        request.key = sg_slice_str(own[(i + 1) % COUNT]);
        sg_authz_decide(authz, &request, &decision);
        assert_false(decision.is_allowed);
    }
    free(list);
    free(own);
    free(texts);
}

/* By bearer tokens ---------------------------------------------------------------------------- */

static const struct sg_slice hashes[] = {
    SG_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), SG_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
    SG_SLICE("baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), SG_SLICE("cccccccccccccccccccccccccccccccc")};

#define BY_TOKENS(n, t, c, expire)                                                                 \
    {                                                                                              \
        .name = (n), .methods = sign_only, .method_count = 1, .keys = one_key, .key_count = 1,     \
        .tokens = (t), .token_count = (c), .tokens_expire_s = (expire)                             \
    }

static const struct sg_authz_caller with_tokens[] = {
    ROW("tax-portal", "main", "urn:portal:tax", sign_only, one_key),
    BY_TOKENS("app", &hashes[0], 2, 0),
    BY_TOKENS("short", &hashes[2], 1, 1000),
};

static const struct {
    const char *name;
    struct sg_slice sha256;
    int64_t now_s;
    enum sg_reason reason;
    const char *row;
} shown[] = {
    {"the first", SG_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 5000, SG_R_NONE, "app"},
    {"the second, of a rotation", SG_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 5000, SG_R_NONE,
     "app"},
    {"the last second", SG_SLICE("baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 999, SG_R_NONE, "short"},
    {"the second after", SG_SLICE("baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 1000, SG_R_BEARER_EXPIRED,
     NULL},
    {"nobody's", SG_SLICE("cccccccccccccccccccccccccccccccc"), 1, SG_R_BEARER_UNKNOWN, NULL},
    {"the beginning of one", SG_SLICE("aaaaaaaaaaaaaaaa"), 1, SG_R_BEARER_UNKNOWN, NULL},
    {"nothing", {0}, 1, SG_R_BEARER_UNKNOWN, NULL},
};

static void tokens_are_known_as_the_table_says(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(with_tokens, SG_COUNT(with_tokens));
    for (size_t i = 0; i < SG_COUNT(shown); i++) {
        const char *name = NULL;
        struct sg_err err = {0};
        print_message("  %s\n", shown[i].name);
        enum sg_rc rc = sg_authz_bearer(authz, shown[i].sha256, shown[i].now_s, &name, &err);
        assert_int_equal(err.reason, shown[i].reason);
        assert_int_equal(rc, shown[i].row == NULL ? SG_E_UNAUTHENTICATED : SG_OK);
        if (shown[i].row == NULL)
            assert_null(name);
        else
            assert_string_equal(name, shown[i].row);
    }
}

static void a_token_decides_as_its_row_and_no_certificate_reaches_that(void **state)
{
    (void)state;
    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(with_tokens, SG_COUNT(with_tokens));
    static const struct {
        const char *ca;
        struct sg_slice uri, key;
        enum sg_reason reason;
    } asks[] = {
        {"", SG_SLICE("app"), SG_SLICE("tax-2026"), SG_R_NONE},
        {"", SG_SLICE("app"), SG_SLICE("land"), SG_R_KEY_NOT_FOUND},
        {"", SG_SLICE("tax-portal"), SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN}, /* has no token */
        {"", SG_SLICE("urn:portal:tax"), SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN},
        {"main", SG_SLICE("app"), SG_SLICE("tax-2026"), SG_R_CALLER_UNKNOWN},
    };
    for (size_t i = 0; i < SG_COUNT(asks); i++) {
        struct sg_authz_request request = {identity(asks[i].ca, asks[i].uri), SIGN, asks[i].key};
        struct sg_authz_decision decision = {0};
        sg_authz_decide(authz, &request, &decision);
        assert_int_equal(decision.reason, asks[i].reason);
        assert_int_equal(decision.is_allowed, asks[i].reason == SG_R_NONE);
    }
}

static void one_token_for_two_rows_and_malformed_ones_are_refused(void **state)
{
    (void)state;
    const struct sg_authz_caller bad[][2] = {
        {BY_TOKENS("a", &hashes[0], 2, 0), BY_TOKENS("b", &hashes[1], 2, 0)},
        {BY_TOKENS("a", &hashes[0], 1, 0), BY_TOKENS("a", &hashes[1], 1, 0)},
        {BY_TOKENS("a", &hashes[0], 1, 0), BY_TOKENS("b", NULL, 0, 0)},
        {BY_TOKENS("a", &hashes[0], 1, 0), BY_TOKENS("b", &SG_SLICE("short"), 1, 0)},
    };
    for (size_t i = 0; i < SG_COUNT(bad); i++) {
        struct sg_authz *authz = NULL;
        assert_int_equal(sg_authz_new(bad[i], 2, &authz, NULL), SG_E_INVALID);
        assert_null(authz);
        assert_int_equal(sg_authz_new(bad[i], 1, &authz, NULL), SG_OK);
        sg_authz_free(authz);
    }
}

static void a_name_may_have_63_bytes_and_no_more(void **state)
{
    (void)state;
    char longest[SG_AUTHZ_NAME_LEN_MAX + 1], too_long[SG_AUTHZ_NAME_LEN_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[SG_AUTHZ_NAME_LEN_MAX] = '\0';
    memset(too_long, 'a', sizeof(too_long));
    too_long[SG_AUTHZ_NAME_LEN_MAX + 1] = '\0';
    const struct sg_authz_caller fits = BY_TOKENS(longest, &hashes[0], 1, 0);
    const struct sg_authz_caller over[] = {ROW(too_long, "main", "urn:a", sign_only, one_key),
                                           BY_TOKENS(too_long, &hashes[0], 1, 0)};
    const char *name = NULL;

    SG_AUTO(sg_authz_free) struct sg_authz *authz = compile(&fits, 1);
    assert_int_equal(sg_authz_bearer(authz, hashes[0], 1, &name, NULL), SG_OK);
    assert_string_equal(name, longest);
    for (size_t i = 0; i < SG_COUNT(over); i++) {
        struct sg_authz *none = NULL;
        assert_int_equal(sg_authz_new(&over[i], 1, &none, NULL), SG_E_INVALID);
        assert_null(none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decide_follows_the_table),
        cmocka_unit_test(a_zeroed_decision_is_a_denial),
        cmocka_unit_test(a_decision_is_written_whole_also_over_an_old_yes),
        cmocka_unit_test(an_identity_that_was_never_made_is_nobody),
        cmocka_unit_test(an_empty_list_denies_everybody),
        cmocka_unit_test(a_denied_key_looks_like_one_that_does_not_exist),
        cmocka_unit_test(the_names_of_a_row_are_told_in_order),
        cmocka_unit_test(the_list_is_a_copy),
        cmocka_unit_test(two_rows_with_one_identity_are_refused),
        cmocka_unit_test(malformed_rows_are_refused),
        cmocka_unit_test(memory_that_runs_out_anywhere_is_an_error),
        cmocka_unit_test(deciding_takes_no_memory),
        cmocka_unit_test(random_lists_decide_as_the_plain_reading_does),
        cmocka_unit_test(many_callers_are_told_apart),
        cmocka_unit_test(tokens_are_known_as_the_table_says),
        cmocka_unit_test(a_token_decides_as_its_row_and_no_certificate_reaches_that),
        cmocka_unit_test(one_token_for_two_rows_and_malformed_ones_are_refused),
        cmocka_unit_test(a_name_may_have_63_bytes_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
