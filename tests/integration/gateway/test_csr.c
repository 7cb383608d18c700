#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "hsm/hsm_priv.h"
#include "sealgate/v1/keys.pb-c.h"
#include "tests/integration/gateway/rig.h"

enum { ROOM = 4096 };

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.has_token = true});
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

/* What the token makes of a question, true or not. */
struct made {
    EVP_PKEY *key, *signer;
    const char *common_name;
    const EVP_MD *md;
    size_t spoilt_at; /* counted from the end; 0: nowhere */
    size_t cut;
};

static size_t make(const struct made *made, uint8_t der[ROOM])
{
    X509_REQ *req = X509_REQ_new();
    X509_NAME *name = X509_NAME_new();
    uint8_t *at = der;

    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                (const uint8_t *)made->common_name, -1, -1, 0),
                     1);
    assert_int_equal(X509_REQ_set_version(req, X509_REQ_VERSION_1), 1);
    assert_int_equal(X509_REQ_set_subject_name(req, name), 1);
    assert_int_equal(X509_REQ_set_pubkey(req, made->key), 1);
    assert_true(X509_REQ_sign(req, made->signer, made->md) > 0);
    int len = i2d_X509_REQ(req, NULL);
    assert_true(len > 0 && len <= ROOM);
    assert_int_equal(i2d_X509_REQ(req, &at), len);
    if (made->spoilt_at > 0)
        der[(size_t)len - made->spoilt_at] ^= 1;
    X509_NAME_free(name);
    X509_REQ_free(req);
    return (size_t)len - made->cut;
}

static struct rig_call *ask(struct rig_client *client, const char *key)
{
    Sealgate__V1__CreateCsrRequest request = SEALGATE__V1__CREATE_CSR_REQUEST__INIT;
    Sealgate__V1__NameAttribute common_name = SEALGATE__V1__NAME_ATTRIBUTE__INIT;
    Sealgate__V1__NameAttribute *subject[] = {&common_name};

    request.name = (char *)(uintptr_t)key;
    common_name.type = (char *)(uintptr_t) "CN";
    common_name.value = (char *)(uintptr_t) "sign.example";
    request.subject = subject;
    request.n_subject = 1;
    return rig_ask(client, CREATE_CSR, &request.base);
}

/* Gives the token's answer to the request that waits at it. */
static void answer(struct rig *rig, struct sg_slice der)
{
    RIG_UNTIL(rig, rig->token.held_count > 0);
    fake_token_answer(&rig->token, 0, (struct sg_answer){.outcome = SG_OUT_OK, .csr = der});
}

static void a_request_as_asked_for_is_released(void **state)
{
    static const enum rig_key keys[] = {ALPHA, RON};
    static const char *const names[] = {"keys/alpha", "keys/ron"};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(keys); i++) {
        uint8_t der[ROOM];
        const struct made made = {
            rig->pkeys[keys[i]], rig->pkeys[keys[i]], "sign.example", EVP_sha256(), 0, 0};
        size_t len = make(&made, der);
        struct rig_call *call = ask(client, names[i]);
        answer(rig, sg_slice_of(der, len));
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, SG_GRPC_OK);
        Sealgate__V1__CreateCsrResponse *response =
            rig_message(call, 0, &sealgate__v1__create_csr_response__descriptor);
        assert_slice_equal(sg_slice_of(response->csr.data, response->csr.len),
                           sg_slice_of(der, len));
        BIO *bio = BIO_new_mem_buf(response->pem, -1);
        X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
        assert_int_equal(X509_REQ_verify(req, rig->pkeys[keys[i]]), 1);
        X509_REQ_free(req);
        BIO_free(bio);
        sealgate__v1__create_csr_response__free_unpacked(response, NULL);
        rig_call_free(call);
    }
}

static void a_request_that_lies_is_not_released(void **state)
{
    struct rig *rig = *state;
    EVP_PKEY *ours = rig->pkeys[ALPHA], *others = rig->pkeys[BETA];
    const struct {
        const char *name;
        struct made made;
    } lies[] = {
        {"another's key", {others, others, "sign.example", EVP_sha256(), 0, 0}},
        {"another's signature", {ours, others, "sign.example", EVP_sha256(), 0, 0}},
        {"another subject", {ours, ours, "sign.example.org", EVP_sha256(), 0, 0}},
        {"another digest", {ours, ours, "sign.example", EVP_sha384(), 0, 0}},
        {"a signature spoilt", {ours, ours, "sign.example", EVP_sha256(), 1, 0}},
        {"a request cut", {ours, ours, "sign.example", EVP_sha256(), 0, 1}},
    };
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(lies); i++) {
        uint8_t der[ROOM];
        print_message("  %s\n", lies[i].name);
        size_t len = make(&lies[i].made, der);
        struct rig_call *call = ask(client, "keys/alpha");
        answer(rig, sg_slice_of(der, len));
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, SG_GRPC_INTERNAL);
        assert_string_equal(call->reason, "HSM_FAULT");
        assert_int_equal(call->message_count, 0);
        rig_call_free(call);
    }
    assert_int_equal(rig->errors, SG_COUNT(lies));
}

static void noise_is_not_released(void **state)
{
    static const uint8_t noise[] = {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t len = 1; len <= sizeof(noise); len++) {
        struct rig_call *call = ask(client, "keys/alpha");
        answer(rig, sg_slice_of(noise, len));
        RIG_UNTIL(rig, call->done > 0);
        assert_string_equal(call->reason, "HSM_FAULT");
        rig_call_free(call);
    }
}

/* While the token works, and while its answer is judged. */
static void a_client_may_vanish_at_any_time(void **state)
{
    struct rig *rig = *state;
    uint8_t der[ROOM];
    const struct made made = {
        rig->pkeys[ALPHA], rig->pkeys[ALPHA], "sign.example", EVP_sha256(), 0, 0};
    size_t len = make(&made, der);

    for (int is_answered = 0; is_answered < 2; is_answered++) {
        struct rig_client *client = rig_connect(rig, A);
        struct rig_call *call = ask(client, "keys/alpha");
        RIG_UNTIL(rig, rig->token.held_count > 0);
        if (is_answered)
            answer(rig, sg_slice_of(der, len));
        rig_disconnect(client, false);
        rig_call_free(call);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
        if (!is_answered)
            answer(rig, sg_slice_of(der, len));
        rig_settle(rig);
    }
}

/* Where the token is, is for the log. */
static void a_token_that_is_away_is_not_named_by_its_socket(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct sg_hsm_token_info info;

    RIG_UNTIL(rig, rig_client_is_ready(client));
    fake_token_die(&rig->token);
    do {
        rig_wait(rig, SG_NS_PER_S); /* until its jobs are not kept waiting any more */
        sg_hsm_token_info(rig->hsm, 0, &info);
    } while (sg_health_is_patient(rig->hsm->backends[0], sg_loop_now(rig->loop)));
    assert_int_equal(info.state, SG_TOKEN_DOWN);
    assert_non_null(strstr(rig->hsm->backends[0]->err.msg, rig->token.path));

    struct rig_call *call = ask(client, "keys/alpha");
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_UNAVAILABLE);
    assert_string_equal(call->reason, "TOKEN_BREAKER_OPEN");
    assert_true(call->has_retry);
    sg_buf_add_u8(&call->message, 0);
    assert_null(strchr((const char *)call->message.ptr, '/'));
    assert_null(
        memmem(call->details.ptr, call->details.len, rig->token.dir, strlen(rig->token.dir)));
    rig_call_free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_as_asked_for_is_released),
        TEST(a_request_that_lies_is_not_released),
        TEST(noise_is_not_released),
        TEST(a_client_may_vanish_at_any_time),
        TEST(a_token_that_is_away_is_not_named_by_its_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
