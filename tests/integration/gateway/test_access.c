#include "grpc/health/v1/health.pb-c.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"
#include "tests/integration/gateway/rig.h"

/* Who is let in, to what, and what those who are not learn. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, NULL);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

static const struct {
    const char *name;
    enum rig_caller caller;
    const char *path;
    enum sg_grpc_code code;
    const char *reason;
} rows[] = {
    {"nobody signs", NOBODY, SIGN, SG_GRPC_UNAUTHENTICATED, "CERT_REQUIRED"},
    {"nobody lists", NOBODY, LIST_KEYS, SG_GRPC_UNAUTHENTICATED, "CERT_REQUIRED"},
    {"nobody streams", NOBODY, SIGN_STREAM, SG_GRPC_UNAUTHENTICATED, "CERT_REQUIRED"},
    {"nobody may ask for health", NOBODY, HEALTH_CHECK, SG_GRPC_OK, ""},
    {"a stranger signs", STRANGER, SIGN, SG_GRPC_PERMISSION_DENIED, "CALLER_UNKNOWN"},
    {"a stranger asks what there is", STRANGER, GET_SERVER_INFO, SG_GRPC_PERMISSION_DENIED,
     "CALLER_UNKNOWN"},
    {"a stranger may ask for health", STRANGER, HEALTH_CHECK, SG_GRPC_OK, ""},
    {"B may sign, and not in batches", B, BATCH_SIGN, SG_GRPC_PERMISSION_DENIED,
     "METHOD_NOT_ALLOWED"},
    {"B may not list", B, LIST_KEYS, SG_GRPC_PERMISSION_DENIED, "METHOD_NOT_ALLOWED"},
    {"B may not verify", B, VERIFY, SG_GRPC_PERMISSION_DENIED, "METHOD_NOT_ALLOWED"},
    {"a method there is not", A, "/sealgate.v1.SigningService/Forge", SG_GRPC_UNIMPLEMENTED,
     "METHOD_NOT_SERVED"},
    {"reflection is off", A, REFLECTION, SG_GRPC_UNIMPLEMENTED, "REFLECTION_OFF"},
};

static void each_is_let_in_to_what_is_theirs(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        struct rig_client *client = rig_connect(rig, rows[i].caller);
        struct rig_call *call = rig_begin(client, rows[i].path, 0);
        print_message("  %s\n", rows[i].name);
        rig_send_bytes(call, SG_SLICE(""), true);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, rows[i].code);
        assert_string_equal(call->reason, rows[i].reason);
        assert_int_equal(rig->submitted, 0);
        rig_disconnect(client, true);
        rig_call_free(call);
    }
}

/* Blanks every occurrence of `what`. */
static void blank(struct sg_buf *buf, const char *what)
{
    const size_t len = strlen(what);
    uint8_t *at = buf->ptr;
    assert_true(len > 0);
    while ((at = memmem(at, buf->len - (size_t)(at - buf->ptr), what, len)) != NULL)
        memset(at, '*', len);
}

static struct rig_call *sign_with(struct rig_client *client, const char *key)
{
    struct rig_sign sign;
    rig_sign_init(&sign, key);
    return rig_get(client, SIGN, &sign.request.base);
}

static struct rig_call *get_key(struct rig_client *client, const char *key)
{
    Sealgate__V1__GetKeyRequest request = SEALGATE__V1__GET_KEY_REQUEST__INIT;
    request.name = (char *)(uintptr_t)key;
    return rig_get(client, GET_KEY, &request.base);
}

static struct rig_call *create_csr(struct rig_client *client, const char *key)
{
    Sealgate__V1__CreateCsrRequest request = SEALGATE__V1__CREATE_CSR_REQUEST__INIT;
    request.name = (char *)(uintptr_t)key;
    return rig_get(client, CREATE_CSR, &request.base);
}

/* Byte by byte, but for the name that was asked for and the request's number. */
static void anothers_key_looks_like_one_there_is_not(void **state)
{
    static struct rig_call *(*const ask[])(struct rig_client *, const char *) = {sign_with, get_key,
                                                                                 create_csr};
    static const char *const names[][2] = {{"keys/beta", "keys/none"},
                                           {"keys/beta/versions/1", "keys/none/versions/1"}};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(ask); i++) {
        for (size_t j = 0; j < SG_COUNT(names); j++) {
            struct rig_call *theirs = ask[i](client, names[j][0]);
            struct rig_call *none = ask[i](client, names[j][1]);
            assert_int_equal(theirs->code, SG_GRPC_NOT_FOUND);
            assert_string_equal(theirs->reason, "KEY_NOT_FOUND");
            blank(&theirs->details, theirs->request_id);
            blank(&none->details, none->request_id);
            blank(&theirs->details, names[j][0]);
            blank(&none->details, names[j][1]);
            blank(&theirs->message, names[j][0]);
            blank(&none->message, names[j][1]);
            assert_slice_equal(sg_buf_slice(&theirs->details), sg_buf_slice(&none->details));
            assert_slice_equal(sg_buf_slice(&theirs->message), sg_buf_slice(&none->message));
            assert_int_equal(theirs->code, none->code);
            rig_call_free(theirs);
            rig_call_free(none);
        }
    }
}

static void a_certificate_revoked_while_connected_is_refused_from_the_next_call_on(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_client *other = rig_connect(rig, B);
    const struct sg_pki_crl_spec spec = {
        .name = "a", .issuer = rig->ca, .revoked = &rig->ids[A], .revoked_count = 1};

    rig->is_quick = true;
    struct rig_call *before = sign_with(client, "keys/alpha");
    rig_set_crl(rig, sg_pki_crl(rig->pki, &spec));
    struct rig_call *after = sign_with(client, "keys/alpha");
    struct rig_call *others = sign_with(other, "keys/beta");
    assert_int_equal(before->code, SG_GRPC_OK);
    assert_int_equal(after->code, SG_GRPC_UNAUTHENTICATED);
    assert_string_equal(after->reason, "CLIENT_CERT_REVOKED");
    assert_int_equal(others->code, SG_GRPC_OK);
    assert_int_equal(rig->submitted, 2);
    rig_call_free(before);
    rig_call_free(after);
    rig_call_free(others);
}

static void a_certificate_that_expires_while_connected_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, EXPIRING);

    rig->is_quick = true;
    struct rig_call *before = sign_with(client, "keys/alpha");
    rig->clock.ahead_ns += 601 * SG_NS_PER_S;
    struct rig_call *after = sign_with(rig_connect(rig, EXPIRING), "keys/alpha");
    assert_int_equal(before->code, SG_GRPC_OK);
    assert_int_equal(after->code, SG_GRPC_UNAUTHENTICATED);
    assert_string_equal(after->reason, "CLIENT_CERT_EXPIRED");
    rig_call_free(before);
    rig_call_free(after);
}

static void a_stale_crl_refuses_everybody(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    const struct sg_pki_crl_spec spec = {
        .name = "old", .issuer = rig->ca, .from_s = -60, .to_s = 600};

    rig->is_quick = true;
    rig_set_crl(rig, sg_pki_crl(rig->pki, &spec));
    struct rig_call *before = sign_with(client, "keys/alpha");
    rig->clock.ahead_ns += 601 * SG_NS_PER_S;
    struct rig_call *after = sign_with(rig_connect(rig, A), "keys/alpha");
    assert_int_equal(before->code, SG_GRPC_OK);
    assert_int_equal(after->code, SG_GRPC_UNAUTHENTICATED);
    assert_string_equal(after->reason, "CLIENT_CRL_STALE");
    rig_call_free(before);
    rig_call_free(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_is_let_in_to_what_is_theirs),
        TEST(anothers_key_looks_like_one_there_is_not),
        TEST(a_certificate_revoked_while_connected_is_refused_from_the_next_call_on),
        TEST(a_certificate_that_expires_while_connected_is_refused),
        TEST(a_stale_crl_refuses_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
