#include "gateway/net/net_priv.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "hsm/hsm_priv.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"
#include "sealgate/v1/verification.pb-c.h"
#include "tests/integration/gateway/rig.h"
#include "tests/support/failmalloc.h"

/*
 * Each allocation that the gateway makes for a call, failing in turn. Whatever fails, the call ends
 * once, nothing leaks, nobody is told OK with half an answer, and the gateway serves on. Only the
 * loop's turns count: the client and the token beside it have all the memory they want.
 */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.reflection = true, .has_token = true});
    rig->is_quick = true;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

/* Asking and checking -------------------------------------------------------------------------- */

static struct rig_call *ask_sign(struct rig_client *client)
{
    struct rig_sign sign;
    rig_sign_init(&sign, "keys/alpha");
    return rig_ask(client, SIGN, &sign.request.base);
}

static void check_sign(struct rig *rig, const struct rig_call *call)
{
    struct rig_sign sign;
    rig_sign_init(&sign, "keys/alpha");
    Sealgate__V1__SignResponse *response =
        rig_message(call, 0, &sealgate__v1__sign_response__descriptor);
    rig_sign_check(rig, ALPHA, &sign, response);
    assert_string_equal(response->key_version, "keys/alpha/versions/1");
    assert_non_null(response->decision);
    assert_non_null(response->sign_time);
    sealgate__v1__sign_response__free_unpacked(response, NULL);
}

static struct rig_call *ask_unknown_key(struct rig_client *client)
{
    struct rig_sign sign;
    rig_sign_init(&sign, "keys/none");
    return rig_ask(client, SIGN, &sign.request.base);
}

enum { ITEMS = 3 };

/* Two good items with one between them that is refused. */
static struct rig_call *ask_batch(struct rig_client *client)
{
    Sealgate__V1__BatchSignRequest request = SEALGATE__V1__BATCH_SIGN_REQUEST__INIT;
    Sealgate__V1__BatchSignItem items[ITEMS], *pointers[ITEMS];
    struct rig_sign signs[ITEMS];
    char ids[ITEMS][8];

    for (size_t i = 0; i < ITEMS; i++) {
        rig_sign_init(&signs[i], i == 1 ? "keys/none" : "keys/alpha");
        snprintf(ids[i], sizeof(ids[i]), "i%zu", i);
        sealgate__v1__batch_sign_item__init(&items[i]);
        items[i].item_id = ids[i];
        items[i].request = &signs[i].request;
        pointers[i] = &items[i];
    }
    request.n_items = ITEMS;
    request.items = pointers;
    return rig_ask(client, BATCH_SIGN, &request.base);
}

/* An item for which there was no memory may be empty, which is no signature; none may be missing.
 */
static void check_batch(struct rig *rig, const struct rig_call *call)
{
    struct rig_sign sign;
    rig_sign_init(&sign, "keys/alpha");
    Sealgate__V1__BatchSignResponse *response =
        rig_message(call, 0, &sealgate__v1__batch_sign_response__descriptor);
    assert_int_equal(response->n_results, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        const Sealgate__V1__BatchSignResult *result = response->results[i];
        assert_int_equal(result->item_id[1], '0' + (int)i);
        if (result->result_case != SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE)
            continue;
        assert_int_not_equal(i, 1);
        rig_sign_check(rig, ALPHA, &sign, result->response);
    }
    sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
}

static struct rig_call *ask_stream(struct rig_client *client)
{
    struct rig_call *call = rig_begin(client, SIGN_STREAM, 0);
    for (size_t i = 0; i < ITEMS; i++) {
        Sealgate__V1__SignStreamRequest request = SEALGATE__V1__SIGN_STREAM_REQUEST__INIT;
        struct rig_sign sign;
        rig_sign_init(&sign, i == 1 ? "keys/none" : "keys/alpha");
        request.item_id = (char *)(uintptr_t)(i == 0 ? "i0" : i == 1 ? "i1" : "i2");
        request.request = &sign.request;
        rig_send(call, &request.base, i == ITEMS - 1);
    }
    return call;
}

static void check_stream(struct rig *rig, const struct rig_call *call)
{
    struct rig_sign sign;
    rig_sign_init(&sign, "keys/alpha");
    assert_int_equal(call->message_count, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        Sealgate__V1__SignStreamResponse *response =
            rig_message(call, i, &sealgate__v1__sign_stream_response__descriptor);
        if (response->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE)
            rig_sign_check(rig, ALPHA, &sign, response->response);
        sealgate__v1__sign_stream_response__free_unpacked(response, NULL);
    }
}

static struct rig_call *ask_verify(struct rig_client *client, bool has_own_key)
{
    Sealgate__V1__VerifyRequest request = SEALGATE__V1__VERIFY_REQUEST__INIT;
    Sealgate__V1__Digest digest = SEALGATE__V1__DIGEST__INIT;
    uint8_t bytes[32] = {1}, signature[80], *spki = NULL;
    size_t signature_len = sizeof(signature);
    EVP_PKEY *pkey = client->rig->pkeys[ALPHA];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &signature_len, bytes, sizeof(bytes)), 1);
    int len = i2d_PUBKEY(pkey, &spki);
    digest.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    digest.value = (ProtobufCBinaryData){sizeof(bytes), bytes};
    if (has_own_key) {
        request.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_PUBLIC_KEY;
        request.public_key = (ProtobufCBinaryData){(size_t)len, spki};
    } else {
        request.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_KEY;
        request.key = (char *)(uintptr_t) "keys/alpha";
    }
    request.content_case = SEALGATE__V1__VERIFY_REQUEST__CONTENT_DIGEST;
    request.digest = &digest;
    request.signature = (ProtobufCBinaryData){signature_len, signature};
    struct rig_call *call = rig_ask(client, VERIFY, &request.base);
    EVP_PKEY_CTX_free(ctx);
    OPENSSL_free(spki);
    return call;
}

static struct rig_call *ask_verify_by_name(struct rig_client *client)
{
    return ask_verify(client, false);
}

static struct rig_call *ask_verify_by_key(struct rig_client *client)
{
    return ask_verify(client, true);
}

static void check_verdict(const struct rig_call *call, const char *version)
{
    Sealgate__V1__VerifyResponse *response =
        rig_message(call, 0, &sealgate__v1__verify_response__descriptor);
    assert_true(response->valid);
    assert_string_equal(response->key_version, version);
    sealgate__v1__verify_response__free_unpacked(response, NULL);
}

static void check_verify_by_name(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    check_verdict(call, "keys/alpha/versions/1");
}

static void check_verify_by_key(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    check_verdict(call, "");
}

static struct rig_call *ask_list(struct rig_client *client)
{
    const Sealgate__V1__ListKeysRequest request = SEALGATE__V1__LIST_KEYS_REQUEST__INIT;
    return rig_ask(client, LIST_KEYS, &request.base);
}

static void assert_whole(const Sealgate__V1__Key *key)
{
    assert_true(strncmp(key->name, "keys/", 5) == 0);
    assert_true(strncmp(key->primary_version, "keys/", 5) == 0);
    assert_int_equal(key->state, SEALGATE__V1__KEY_STATE__KEY_STATE_ACTIVE);
    assert_int_equal(key->n_schemes, 1);
    assert_int_equal(key->public_key_sha256.len, 32);
}

static void check_list(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Sealgate__V1__ListKeysResponse *response =
        rig_message(call, 0, &sealgate__v1__list_keys_response__descriptor);
    assert_int_equal(response->n_keys, 3);
    for (size_t i = 0; i < response->n_keys; i++)
        assert_whole(response->keys[i]);
    sealgate__v1__list_keys_response__free_unpacked(response, NULL);
}

static struct rig_call *ask_get_key(struct rig_client *client)
{
    Sealgate__V1__GetKeyRequest request = SEALGATE__V1__GET_KEY_REQUEST__INIT;
    request.name = (char *)(uintptr_t) "keys/ron";
    return rig_ask(client, GET_KEY, &request.base);
}

static void check_get_key(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Sealgate__V1__Key *key = rig_message(call, 0, &sealgate__v1__key__descriptor);
    assert_whole(key);
    sealgate__v1__key__free_unpacked(key, NULL);
}

static struct rig_call *ask_public_key(struct rig_client *client)
{
    Sealgate__V1__GetPublicKeyRequest request = SEALGATE__V1__GET_PUBLIC_KEY_REQUEST__INIT;
    request.name = (char *)(uintptr_t) "keys/ron";
    return rig_ask(client, GET_PUBLIC_KEY, &request.base);
}

static void check_public_key(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Sealgate__V1__PublicKey *key = rig_message(call, 0, &sealgate__v1__public_key__descriptor);
    assert_true(key->spki.len > 200);
    assert_non_null(strstr(key->pem, "-----END PUBLIC KEY-----"));
    sealgate__v1__public_key__free_unpacked(key, NULL);
}

/* The token's answer is one for another name: judged, and not released. */
static struct rig_call *ask_csr(struct rig_client *client)
{
    Sealgate__V1__CreateCsrRequest request = SEALGATE__V1__CREATE_CSR_REQUEST__INIT;
    Sealgate__V1__NameAttribute common_name = SEALGATE__V1__NAME_ATTRIBUTE__INIT;
    Sealgate__V1__NameAttribute *subject[] = {&common_name};
    char *dns_names[] = {(char *)(uintptr_t) "sign.example"};

    request.name = (char *)(uintptr_t) "keys/alpha";
    common_name.type = (char *)(uintptr_t) "CN";
    common_name.value = (char *)(uintptr_t) "sign.example";
    request.subject = subject;
    request.n_subject = 1;
    request.dns_names = dns_names;
    request.n_dns_names = 1;
    return rig_ask(client, CREATE_CSR, &request.base);
}

static struct rig_call *ask_info(struct rig_client *client)
{
    const Sealgate__V1__GetServerInfoRequest request = SEALGATE__V1__GET_SERVER_INFO_REQUEST__INIT;
    return rig_ask(client, GET_SERVER_INFO, &request.base);
}

static void check_info(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Sealgate__V1__ServerInfo *info = rig_message(call, 0, &sealgate__v1__server_info__descriptor);
    assert_true(info->n_services > 5);
    assert_int_equal(info->n_tokens, 1);
    sealgate__v1__server_info__free_unpacked(info, NULL);
}

static struct rig_call *ask_capacity(struct rig_client *client)
{
    const Sealgate__V1__GetCapacityRequest request = SEALGATE__V1__GET_CAPACITY_REQUEST__INIT;
    return rig_ask(client, GET_CAPACITY, &request.base);
}

static void check_capacity(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Sealgate__V1__Capacities *capacities =
        rig_message(call, 0, &sealgate__v1__capacities__descriptor);
    assert_int_equal(capacities->n_tokens, 1);
    assert_string_equal(capacities->tokens[0]->token, "t1");
    sealgate__v1__capacities__free_unpacked(capacities, NULL);
}

static struct rig_call *ask_health(struct rig_client *client)
{
    const Grpc__Health__V1__HealthCheckRequest request =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    return rig_ask(client, HEALTH_CHECK, &request.base);
}

static struct rig_call *ask_watch(struct rig_client *client)
{
    const Grpc__Health__V1__HealthCheckRequest request =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    return rig_ask(client, HEALTH_WATCH, &request.base);
}

static void check_health(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    Grpc__Health__V1__HealthCheckResponse *response =
        rig_message(call, 0, &grpc__health__v1__health_check_response__descriptor);
    assert_int_equal(response->status,
                     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
}

static struct rig_call *ask_reflection(struct rig_client *client)
{
    struct rig_call *call = rig_begin(client, REFLECTION, 0);
    rig_send_bytes(call, SG_SLICE("\x3a\x01*"), false);
    rig_send_bytes(call, SG_SLICE("\x22\x1asealgate.v1.SigningService"), true);
    return call;
}

static void check_reflection(struct rig *rig, const struct rig_call *call)
{
    (void)rig;
    static const int kinds[] = {
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE};
    assert_int_equal(call->message_count, SG_COUNT(kinds));
    for (size_t i = 0; i < SG_COUNT(kinds); i++) {
        Grpc__Reflection__V1__ServerReflectionResponse *response =
            rig_message(call, i, &grpc__reflection__v1__server_reflection_response__descriptor);
        assert_int_equal(response->message_response_case, kinds[i]);
        grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
    }
}

static const struct {
    const char *name;
    struct rig_call *(*ask)(struct rig_client *client);
    void (*check)(struct rig *rig, const struct rig_call *call); /* of a call that ends with OK */
    enum sg_grpc_code code;                                      /* without want */
    bool is_watch; /* does not end by itself: the first message is enough */
} calls[] = {
    {"Sign", ask_sign, check_sign, SG_GRPC_OK, false},
    {"Sign by a key that there is not", ask_unknown_key, NULL, SG_GRPC_NOT_FOUND, false},
    {"BatchSign", ask_batch, check_batch, SG_GRPC_OK, false},
    {"SignStream", ask_stream, check_stream, SG_GRPC_OK, false},
    {"Verify by a key's name", ask_verify_by_name, check_verify_by_name, SG_GRPC_OK, false},
    {"Verify by a key sent along", ask_verify_by_key, check_verify_by_key, SG_GRPC_OK, false},
    {"ListKeys", ask_list, check_list, SG_GRPC_OK, false},
    {"GetKey", ask_get_key, check_get_key, SG_GRPC_OK, false},
    {"GetPublicKey", ask_public_key, check_public_key, SG_GRPC_OK, false},
    {"CreateCsr", ask_csr, NULL, SG_GRPC_INTERNAL, false},
    {"GetServerInfo", ask_info, check_info, SG_GRPC_OK, false},
    {"GetCapacity", ask_capacity, check_capacity, SG_GRPC_OK, false},
    {"Check", ask_health, check_health, SG_GRPC_OK, false},
    {"Watch", ask_watch, check_health, SG_GRPC_OK, true},
    {"ServerReflectionInfo", ask_reflection, check_reflection, SG_GRPC_OK, false},
};

/* Running -------------------------------------------------------------------------------------- */

/* A turn in which the gateway's allocations count. */
static void counted_turn(struct rig *rig)
{
    static const uint8_t noise[] = {0x30, 0x00};

    sg_failmalloc_resume();
    assert_int_equal(sg_loop_turn(rig->loop, 1, NULL), SG_OK);
    sg_failmalloc_pause();
    if (rig->token.held_count > 0)
        fake_token_answer(&rig->token, 0,
                          (struct sg_answer){.outcome = SG_OUT_OK, .csr = {noise, sizeof(noise)}});
    for (struct rig_client *client = rig->clients; client != NULL; client = client->next)
        rig_client_turn(client);
}

static bool is_over(size_t i, const struct rig_client *client, const struct rig_call *call)
{
    return client->is_over || call->done > 0 || (calls[i].is_watch && call->message_count > 0);
}

struct outcome {
    bool has_failed; /* an allocation */
    bool is_good;    /* the call ended as it does without want */
};

/* The call with the n-th allocation failing; 0: none. */
static struct outcome run(struct rig *rig, size_t i, size_t nth)
{
    enum { TURNS_AFTER = 4 };
    const int64_t until_ns = sg_mono_ns(&sg_clock_system) + 20 * SG_NS_PER_S;

    /* A new one each time: what a connection has learnt of headers it keeps, and then allocates
     * less. */
    struct rig_client *client = rig_connect(rig, A);
    RIG_UNTIL(rig, rig_client_is_ready(client) && rig->hsm->keys[ALPHA]->state == SG_KEY_READY);
    sg_failmalloc_arm(nth);
    sg_failmalloc_pause();
    struct rig_call *call = calls[i].ask(client);
    for (int after = 0; after < TURNS_AFTER; after += is_over(i, client, call)) {
        assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
        counted_turn(rig);
    }
    struct outcome outcome = {.has_failed = sg_failmalloc_disarm()};

    if (call->done == 0 && !client->is_over) {
        sg_rpc_client_cancel(call->call);
        RIG_UNTIL(rig, call->done > 0);
        assert_true(call->message_count > 0);
        calls[i].check(rig, call);
        outcome.is_good = true;
    }
    rig_disconnect(client, false); /* which ends its calls, where it is over */
    assert_int_equal(call->done, 1);
    outcome.is_good |= call->code == calls[i].code;
    if (call->code == SG_GRPC_OK)
        calls[i].check(rig, call);
    rig_call_free(call);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 0 && sg_signer_pending(rig->signer) == 0);
    return outcome;
}

static void calls_survive_the_failure_of_any_allocation(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < SG_COUNT(calls); i++) {
        struct outcome outcome;
        size_t nth = 0;
        do
            outcome = run(rig, i, ++nth);
        while (outcome.has_failed);
        assert_true(outcome.is_good);
        print_message("  %s: %zu allocations\n", calls[i].name, nth - 1);
        assert_in_range(nth, 3, 1000);
    }
}

/* The memory of a call has a bound, which is reached in other places than malloc's end: at every
 * size shortly below the one that is enough. */
static void calls_survive_every_bound_of_their_memory(void **state)
{
    enum { STEP = 16, STEPS = 30 }; /* an arena's pieces are multiples of it */
    struct rig *rig = *state;
    size_t *bound = &rig->net->options.rpc.call_bytes_max;

    for (size_t i = 0; i < SG_COUNT(calls); i++) {
        size_t too_small = 0, enough = 16384;
        while (enough - too_small > STEP) {
            *bound = (too_small + enough) / 2 / STEP * STEP;
            if (run(rig, i, 0).is_good)
                enough = *bound;
            else
                too_small = *bound;
        }
        print_message("  %s: %zu bytes\n", calls[i].name, enough);
        assert_in_range(enough, 64, 10000);
        for (*bound = enough - STEP; enough - *bound <= STEPS * STEP && *bound >= STEP;
             *bound -= STEP)
            run(rig, i, 0);
        *bound = (size_t)rig->config.call_bytes_max;
        assert_true(run(rig, i, 0).is_good);
    }
}

/* From accepting it on: who is at the other end, and the first call. */
static void connections_survive_the_failure_of_any_allocation(void **state)
{
    struct rig *rig = *state;
    bool has_failed = true;
    size_t nth = 0;

    while (has_failed) {
        const int64_t until_ns = sg_mono_ns(&sg_clock_system) + 20 * SG_NS_PER_S;
        sg_failmalloc_arm(++nth);
        sg_failmalloc_pause();
        struct rig_client *client = rig_connect(rig, A);
        struct rig_call *call = ask_info(client);
        while (!client->is_over && call->done == 0) {
            assert_true(sg_mono_ns(&sg_clock_system) < until_ns);
            counted_turn(rig);
        }
        has_failed = sg_failmalloc_disarm();
        rig_disconnect(client, false);
        assert_int_equal(call->done, 1);
        if (call->code == SG_GRPC_OK)
            check_info(rig, call);
        else
            assert_true(has_failed);
        rig_call_free(call);
        RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
    }
    print_message("  %zu allocations\n", nth - 1);
    assert_in_range(nth, 5, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_survive_the_failure_of_any_allocation),
        TEST(calls_survive_every_bound_of_their_memory),
        TEST(connections_survive_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
