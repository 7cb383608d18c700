#include <openssl/x509.h>

#include "base/crc32c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "hsm/hsm_priv.h"
#include "sealgate/v1/info.pb-c.h"
#include "sealgate/v1/keys.pb-c.h"
#include "sealgate/v1/verification.pb-c.h"
#include "tests/integration/gateway/rig.h"

/* The methods that sign nothing. */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig_start(rig, &(struct rig_options){.reflection = true, .many_keys = 120});
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    rig_stop(*state);
    free(*state);
    return 0;
}

/* Verify ---------------------------------------------------------------------------------- */

struct question {
    Sealgate__V1__VerifyRequest request;
    Sealgate__V1__Digest digest;
    uint8_t bytes[32], signature[512], spki[512];
};

/* What `key` of the rig signed, in order, asked about with its public key. */
static void question_init(struct rig *rig, struct question *q, enum rig_key key)
{
    uint8_t *spki = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(rig->pkeys[key], NULL);
    size_t len = sizeof(q->signature);

    memset(q, 0, sizeof(*q));
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, q->signature, &len, q->bytes, sizeof(q->bytes)), 1);
    EVP_PKEY_CTX_free(ctx);
    int spki_len = i2d_PUBKEY(rig->pkeys[key], &spki);
    assert_true(spki_len > 0 && (size_t)spki_len <= sizeof(q->spki));
    memcpy(q->spki, spki, (size_t)spki_len);
    OPENSSL_free(spki);

    sealgate__v1__digest__init(&q->digest);
    q->digest.algorithm = SEALGATE__V1__DIGEST_ALGORITHM__DIGEST_ALGORITHM_SHA256;
    q->digest.value = (ProtobufCBinaryData){sizeof(q->bytes), q->bytes};
    sealgate__v1__verify_request__init(&q->request);
    q->request.content_case = SEALGATE__V1__VERIFY_REQUEST__CONTENT_DIGEST;
    q->request.digest = &q->digest;
    q->request.signature = (ProtobufCBinaryData){len, q->signature};
    q->request.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_PUBLIC_KEY;
    q->request.public_key = (ProtobufCBinaryData){(size_t)spki_len, q->spki};
}

static void by_name(struct question *q, const char *key)
{
    q->request.verifier_case = SEALGATE__V1__VERIFY_REQUEST__VERIFIER_KEY;
    q->request.key = (char *)(uintptr_t)key;
}

static void in_order(struct question *q)
{
    (void)q;
}
static void named(struct question *q)
{
    by_name(q, "keys/alpha");
}
static void other_bytes(struct question *q)
{
    q->bytes[0] ^= 1;
}
static void cut_signature(struct question *q)
{
    q->request.signature.len--;
}
static void no_signature(struct question *q)
{
    q->request.signature.len = 0;
}
static void anothers(struct question *q)
{
    by_name(q, "keys/beta");
}
static void cut_spki(struct question *q)
{
    q->request.public_key.len--;
}
static void empty_spki(struct question *q)
{
    q->request.public_key.len = 0;
}
static void off_curve(struct question *q)
{
    q->spki[q->request.public_key.len - 1] ^= 1;
}
static void nobody(struct question *q)
{
    q->request.verifier_case = 0;
}
static void no_content(struct question *q)
{
    q->request.content_case = 0;
}
static void odd_scheme(struct question *q)
{
    q->request.scheme = 9;
}
static void long_signature(struct question *q)
{
    static uint8_t bytes[SG_SIGNATURE_BYTES_MAX + 1];
    q->request.signature = (ProtobufCBinaryData){sizeof(bytes), bytes};
}
static void bad_crc(struct question *q)
{
    q->request.signature_crc32c_presence_case =
        SEALGATE__V1__VERIFY_REQUEST__SIGNATURE_CRC32C_PRESENCE_SIGNATURE_CRC32C;
    q->request.signature_crc32c = 5;
}

static const struct {
    const char *name;
    void (*spoil)(struct question *q);
    enum sg_grpc_code code;
    const char *reason; /* of the error; or of the answer */
    bool valid;
} questions[] = {
    {"in order", in_order, SG_GRPC_OK, "", true},
    {"by the name of a key", named, SG_GRPC_OK, "", true},
    {"other bytes", other_bytes, SG_GRPC_OK, "SIGNATURE_INVALID", false},
    {"a signature that was cut", cut_signature, SG_GRPC_OK, "SIGNATURE_MALFORMED", false},
    {"no signature", no_signature, SG_GRPC_INVALID_ARGUMENT, "FIELD_REQUIRED", false},
    {"a signature of any length", long_signature, SG_GRPC_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
     false},
    {"another caller's key", anothers, SG_GRPC_NOT_FOUND, "KEY_NOT_FOUND", false},
    {"a public key that was cut", cut_spki, SG_GRPC_INVALID_ARGUMENT, "BAD_PUBLIC_KEY", false},
    {"no public key", empty_spki, SG_GRPC_INVALID_ARGUMENT, "BAD_PUBLIC_KEY", false},
    {"a point off the curve", off_curve, SG_GRPC_INVALID_ARGUMENT, "BAD_PUBLIC_KEY", false},
    {"nothing to verify by", nobody, SG_GRPC_INVALID_ARGUMENT, "FIELD_REQUIRED", false},
    {"nothing to verify", no_content, SG_GRPC_INVALID_ARGUMENT, "FIELD_REQUIRED", false},
    {"a scheme of no name", odd_scheme, SG_GRPC_INVALID_ARGUMENT, "ALGORITHM_NOT_ALLOWED", false},
    {"a wrong crc", bad_crc, SG_GRPC_INVALID_ARGUMENT, "CRC_MISMATCH", false},
};

static void signatures_of_anybody_are_verified(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(questions); i++) {
        struct question q;
        print_message("  %s\n", questions[i].name);
        question_init(rig, &q, ALPHA);
        questions[i].spoil(&q);
        struct rig_call *call = rig_get(client, VERIFY, &q.request.base);
        assert_int_equal(call->code, questions[i].code);
        if (call->code == SG_GRPC_OK) {
            Sealgate__V1__VerifyResponse *response =
                rig_message(call, 0, &sealgate__v1__verify_response__descriptor);
            assert_int_equal(response->valid, questions[i].valid);
            assert_string_equal(response->reason, questions[i].reason);
            sealgate__v1__verify_response__free_unpacked(response, NULL);
        } else {
            assert_string_equal(call->reason, questions[i].reason);
        }
        rig_call_free(call);
    }
}

/* What is to be released is verified by the same threads. */
static void a_flood_of_verifications_leaves_room_for_signatures(void **state)
{
    enum { CLIENTS = 3, EACH = 100 };
    struct rig *rig = *state;
    struct rig_client *clients[CLIENTS];
    struct rig_call *calls[CLIENTS][EACH];
    struct question q;
    struct rig_sign sign;
    size_t refused = 0;

    question_init(rig, &q, ALPHA);
    rig_sign_init(&sign, "keys/alpha");
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = rig_connect(rig, A);
    RIG_UNTIL(rig, rig_client_is_ready(clients[CLIENTS - 1]));
    rig_settle(rig);
    struct rig_call *signing = rig_ask(clients[0], SIGN, &sign.request.base);
    RIG_UNTIL(rig, rig->job_count == 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        for (size_t j = 0; j < EACH; j++)
            calls[i][j] = rig_ask(clients[i], VERIFY, &q.request.base);
        rig_client_turn(clients[i]);
    }
    assert_int_equal(sg_loop_turn(rig->loop, 10, NULL), SG_OK);
    rig_jobs(rig, WELL);
    for (size_t i = 0; i < CLIENTS; i++) {
        for (size_t j = 0; j < EACH; j++) {
            RIG_UNTIL(rig, calls[i][j]->done > 0);
            if (calls[i][j]->code != SG_GRPC_OK) {
                assert_string_equal(calls[i][j]->reason, "QUEUE_FULL");
                assert_true(calls[i][j]->has_retry);
                refused++;
            }
            rig_call_free(calls[i][j]);
        }
    }
    assert_int_equal(refused, CLIENTS * EACH - 256);
    RIG_UNTIL(rig, signing->done > 0);
    assert_int_equal(signing->code, SG_GRPC_OK);
    rig_call_free(signing);
}

static void a_client_may_vanish_while_it_is_verified_for(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct question q;

    RIG_UNTIL(rig, rig_client_is_ready(client));
    rig_settle(rig);
    question_init(rig, &q, ALPHA);
    struct rig_call *call = rig_ask(client, VERIFY, &q.request.base);
    rig_client_turn(client);
    rig_disconnect(client, false);
    rig_call_free(call);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 0);
    rig_settle(rig);
}

/* Keys ------------------------------------------------------------------------------------ */

static Sealgate__V1__ListKeysResponse *list(struct rig_client *client, uint32_t size,
                                            const char *token)
{
    Sealgate__V1__ListKeysRequest request = SEALGATE__V1__LIST_KEYS_REQUEST__INIT;
    request.page_size = size;
    request.page_token = (char *)(uintptr_t)token;
    struct rig_call *call = rig_get(client, LIST_KEYS, &request.base);
    assert_int_equal(call->code, SG_GRPC_OK);
    void *response = rig_message(call, 0, &sealgate__v1__list_keys_response__descriptor);
    rig_call_free(call);
    return response;
}

static void pages_show_every_visible_key_once_and_in_order(void **state)
{
    static const uint32_t sizes[] = {0, 1, 7, 122, 123, 124, 5000, UINT32_MAX};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    for (size_t i = 0; i < SG_COUNT(sizes); i++) {
        char token[128] = "", last[128] = "";
        size_t seen = 0;
        do {
            Sealgate__V1__ListKeysResponse *page = list(client, sizes[i], token);
            assert_true(page->n_keys <= (sizes[i] == 0 ? 50 : sizes[i]));
            for (size_t j = 0; j < page->n_keys; j++) {
                assert_true(strcmp(last, page->keys[j]->name) < 0);
                assert_string_not_equal(page->keys[j]->name, "keys/beta");
                snprintf(last, sizeof(last), "%s", page->keys[j]->name);
            }
            seen += page->n_keys;
            snprintf(token, sizeof(token), "%s", page->next_page_token);
            sealgate__v1__list_keys_response__free_unpacked(page, NULL);
        } while (token[0] != '\0');
        assert_int_equal(seen, 123);
    }
}

static void a_page_token_of_anothers_key_tells_nothing(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    Sealgate__V1__ListKeysResponse *theirs = list(client, 2, "keys/beta");
    Sealgate__V1__ListKeysResponse *none = list(client, 2, "keys/betb");

    assert_string_equal(theirs->keys[0]->name, "keys/edward");
    assert_string_equal(theirs->keys[0]->name, none->keys[0]->name);
    sealgate__v1__list_keys_response__free_unpacked(theirs, NULL);
    sealgate__v1__list_keys_response__free_unpacked(none, NULL);

    Sealgate__V1__ListKeysRequest request = SEALGATE__V1__LIST_KEYS_REQUEST__INIT;
    request.page_token = (char *)(uintptr_t) "7";
    struct rig_call *call = rig_get(client, LIST_KEYS, &request.base);
    assert_int_equal(call->code, SG_GRPC_INVALID_ARGUMENT);
    assert_string_equal(call->reason, "BAD_PAGE_TOKEN");
    rig_call_free(call);
}

/* As a reload does. */
static void set_keys(struct rig *rig, const char *const *keys, size_t count)
{
    static const char *const methods[] = {"sealgate.v1.KeyService", "sealgate.v1.InfoService"};
    const struct sg_authz_caller callers[] = {
        {.name = "row-other",
         .ca = "tests",
         .uri = "https://tests/other",
         .methods = methods,
         .method_count = SG_COUNT(methods),
         .keys = (const char *const[]){"alpha"},
         .key_count = 1},
        {.name = "row-a",
         .ca = "tests",
         .uri = "https://tests/a",
         .methods = methods,
         .method_count = SG_COUNT(methods),
         .keys = keys,
         .key_count = count},
    };
    struct sg_authz *old = rig->authz;
    assert_int_equal(sg_authz_new(callers, SG_COUNT(callers), &rig->authz, NULL), SG_OK);
    assert_int_equal(sg_rpc_set_authz(rig->rpc, rig->authz, NULL), SG_OK);
    sg_authz_free(old);
}

/* The key that ended a page may be another's when the next page is asked for, and keys may be named
 * that are not served before a restart. */
static void pages_go_on_over_a_reload(void **state)
{
    static const char *const before[] = {"alpha", "many-0001", "many-0003", "ron"};
    static const char *const after[] = {"ron", "many-0002", "many-0000", "many-0002a", "beta"};
    static const struct {
        uint32_t size;
        const char *token, *first, *next;
    } pages[] = {{1, "keys/many-0001", "keys/many-0002", "keys/many-0002"},
                 {1, "keys/many-0002", "keys/ron", ""},
                 {2, "keys/many-0001", "keys/many-0002", ""},
                 {3, "", "keys/beta", "keys/many-0002"},
                 {1, "keys/many-0002a", "keys/ron", ""},
                 {1, "keys/ron", NULL, ""},
                 {1, "keys/z", NULL, ""}};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    set_keys(rig, before, SG_COUNT(before));
    Sealgate__V1__ListKeysResponse *page = list(client, 2, "");
    assert_int_equal(page->n_keys, 2);
    assert_string_equal(page->next_page_token, "keys/many-0001");
    sealgate__v1__list_keys_response__free_unpacked(page, NULL);
    set_keys(rig, after, SG_COUNT(after));
    for (size_t i = 0; i < SG_COUNT(pages); i++) {
        page = list(client, pages[i].size, pages[i].token);
        assert_string_equal(page->n_keys == 0 ? "" : page->keys[0]->name,
                            pages[i].first == NULL ? "" : pages[i].first);
        assert_string_equal(page->next_page_token, pages[i].next);
        sealgate__v1__list_keys_response__free_unpacked(page, NULL);
    }
    set_keys(rig, NULL, 0);
    page = list(client, 1, "");
    assert_int_equal(page->n_keys, 0);
    assert_string_equal(page->next_page_token, "");
    sealgate__v1__list_keys_response__free_unpacked(page, NULL);
}

static void the_public_key_is_that_of_the_key(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    Sealgate__V1__GetPublicKeyRequest request = SEALGATE__V1__GET_PUBLIC_KEY_REQUEST__INIT;
    uint8_t *spki = NULL;

    request.name = (char *)(uintptr_t) "keys/ron";
    struct rig_call *call = rig_get(client, GET_PUBLIC_KEY, &request.base);
    Sealgate__V1__PublicKey *key = rig_message(call, 0, &sealgate__v1__public_key__descriptor);
    int len = i2d_PUBKEY(rig->pkeys[RON], &spki);
    assert_slice_equal(sg_slice_of(key->spki.data, key->spki.len), sg_slice_of(spki, (size_t)len));
    assert_int_equal(key->spki_crc32c, sg_crc32c(sg_slice_of(spki, (size_t)len)));
    OPENSSL_free(spki);
    sealgate__v1__public_key__free_unpacked(key, NULL);
    rig_call_free(call);
}

/* Info ------------------------------------------------------------------------------------ */

static void expect_capacities(struct rig_client *client, const char *const *tokens, size_t count)
{
    const Sealgate__V1__GetCapacityRequest request = SEALGATE__V1__GET_CAPACITY_REQUEST__INIT;
    struct rig_call *call = rig_get(client, GET_CAPACITY, &request.base);
    Sealgate__V1__Capacities *capacities =
        rig_message(call, 0, &sealgate__v1__capacities__descriptor);

    assert_int_equal(capacities->n_tokens, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(capacities->tokens[i]->token, tokens[i]);
    sealgate__v1__capacities__free_unpacked(capacities, NULL);
    rig_call_free(call);
}

static void capacity_shows_the_tokens_of_ones_own_keys(void **state)
{
    static const char *const tokens[] = {"t1", "t2"}, *const keys[] = {"edward", "beta"};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);

    expect_capacities(client, tokens, 1);
    set_keys(rig, keys, 2);
    expect_capacities(client, tokens, 2);
    set_keys(rig, &keys[1], 1);
    expect_capacities(client, &tokens[1], 1);
    set_keys(rig, NULL, 0);
    expect_capacities(client, NULL, 0);
}

static Sealgate__V1__TokenState told_state(struct rig_client *client)
{
    const Sealgate__V1__GetServerInfoRequest request = SEALGATE__V1__GET_SERVER_INFO_REQUEST__INIT;
    struct rig_call *call = rig_get(client, GET_SERVER_INFO, &request.base);
    Sealgate__V1__ServerInfo *info = rig_message(call, 0, &sealgate__v1__server_info__descriptor);

    assert_int_equal(info->n_tokens, 1);
    assert_string_equal(info->tokens[0]->token, "t1");
    const Sealgate__V1__TokenState told = info->tokens[0]->state;
    sealgate__v1__server_info__free_unpacked(info, NULL);
    rig_call_free(call);
    return told;
}

static void server_info_tells_the_states_of_the_same_tokens(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct sg_backend *backend = rig->hsm->backends[0];

    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_UP);
    backend->is_suspect = true;
    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_SUSPECT);
    backend->is_draining = true;
    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DRAINING);
    backend->breaker.state = SG_BREAKER_PROBING;
    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_PROBING);
    backend->breaker.state = SG_BREAKER_DOWN;
    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_DOWN);
    backend->is_pin_latched = true;
    assert_int_equal(told_state(client), SEALGATE__V1__TOKEN_STATE__TOKEN_STATE_PIN_LATCHED);
}

static void a_dry_run_tells_of_a_key_that_cannot_sign(void **state)
{
    static const enum sg_hsm_key_state states[] = {SG_KEY_LOADING, SG_KEY_UNUSABLE,
                                                   SG_KEY_QUARANTINED};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_sign sign;

    rig_sign_init(&sign, "keys/alpha");
    sign.request.dry_run = true;
    for (size_t i = 0; i < SG_COUNT(states); i++) {
        rig_set_key(rig, ALPHA, states[i]);
        struct rig_call *call = rig_get(client, SIGN, &sign.request.base);
        assert_int_not_equal(call->code, SG_GRPC_OK);
        rig_call_free(call);
    }
}

/* Health ---------------------------------------------------------------------------------- */

static struct rig_call *check(struct rig_client *client, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)(uintptr_t)service;
    return rig_get(client, HEALTH_CHECK, &request.base);
}

static int health_of(const struct rig_call *call, size_t n)
{
    Grpc__Health__V1__HealthCheckResponse *response =
        rig_message(call, n, &grpc__health__v1__health_check_response__descriptor);
    int status = (int)response->status;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return status;
}

static const struct {
    const char *service;
    enum sg_grpc_code code;
    int up, down;
} services[] = {
    {"", SG_GRPC_OK, 1, 2},
    {"sealgate.v1.SigningService", SG_GRPC_OK, 1, 2},
    {"sealgate.v1.KeyService", SG_GRPC_OK, 1, 1},
    {"sealgate.v1.Other", SG_GRPC_NOT_FOUND, 0, 0},
};

static void health_follows_the_tokens(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, NOBODY);

    for (int is_up = 1; is_up >= 0; is_up--) {
        for (size_t i = 0; i < rig->hsm->backend_count; i++)
            rig->hsm->backends[i]->breaker.state = is_up ? SG_BREAKER_UP : SG_BREAKER_DOWN;
        for (size_t i = 0; i < SG_COUNT(services); i++) {
            struct rig_call *call = check(client, services[i].service);
            assert_int_equal(call->code, services[i].code);
            if (call->code == SG_GRPC_OK)
                assert_int_equal(health_of(call, 0), is_up ? services[i].up : services[i].down);
            rig_call_free(call);
        }
    }
}

static void watchers_are_told_of_changes_only(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, NOBODY);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct rig_call *call = rig_ask(client, HEALTH_WATCH, &request.base);
    request.service = (char *)(uintptr_t) "no.such";
    struct rig_call *unknown = rig_ask(client, HEALTH_WATCH, &request.base);

    RIG_UNTIL(rig, call->message_count == 1 && unknown->message_count == 1);
    assert_int_equal(health_of(unknown, 0), 3);
    sg_rpc_health_changed(rig->rpc); /* and nothing has */
    rig_settle(rig);
    assert_int_equal(call->message_count, 1);
    for (size_t i = 0; i < rig->hsm->backend_count; i++)
        rig->hsm->backends[i]->breaker.state = SG_BREAKER_DOWN;
    sg_rpc_health_changed(rig->rpc);
    RIG_UNTIL(rig, call->message_count == 2);
    assert_int_equal(health_of(call, 1), 2);
    assert_int_equal(unknown->message_count, 1);
    sg_rpc_client_cancel(call->call);
    sg_rpc_client_cancel(unknown->call);
    RIG_UNTIL(rig, call->done > 0 && unknown->done > 0);
    rig_settle(rig);
    sg_rpc_health_changed(rig->rpc); /* nobody is left to tell */
    rig_call_free(call);
    rig_call_free(unknown);
}

/* Nobody has had to say who he is, and what a watch was asked for is kept for as long as it is
 * open. */
static void a_request_for_health_may_not_be_large(void **state)
{
    static const char *const paths[] = {HEALTH_CHECK, HEALTH_WATCH};
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, NOBODY);
    char *service = calloc(1, 500001);

    memset(service, 'x', 500000);
    for (size_t i = 0; i < SG_COUNT(paths); i++) {
        Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        request.service = service;
        struct rig_call *call = rig_ask(client, paths[i], &request.base);
        RIG_UNTIL(rig, call->done > 0);
        assert_int_equal(call->code, SG_GRPC_RESOURCE_EXHAUSTED);
        assert_string_equal(call->reason, "MESSAGE_TOO_LARGE");
        assert_int_equal(call->message_count, 0);
        rig_call_free(call);
    }
    free(service);
}

static void reflection_answers_in_the_stream(void **state)
{
    struct rig *rig = *state;
    struct rig_client *client = rig_connect(rig, A);
    struct rig_call *call = rig_begin(client, REFLECTION, 0);

    rig_send_bytes(call, SG_SLICE("\x3a\x01*"), false);                              /* list */
    rig_send_bytes(call, SG_SLICE("\x22\x1bsealgate.v1.SigningService\x00"), false); /* no name */
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_INTERNAL); /* NUL in a string */
    assert_int_equal(call->message_count, 1);
    rig_call_free(call);

    call = rig_begin(client, REFLECTION, 0);
    rig_send_bytes(call, SG_SLICE("\x22\x1asealgate.v1.SigningService"), false);
    rig_send_bytes(call, SG_SLICE("\x22\x06nobody"), true);
    RIG_UNTIL(rig, call->done > 0);
    assert_int_equal(call->code, SG_GRPC_OK);
    assert_int_equal(call->message_count, 2);
    Grpc__Reflection__V1__ServerReflectionResponse *response =
        rig_message(call, 0, &grpc__reflection__v1__server_reflection_response__descriptor);
    assert_int_equal(
        response->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE);
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
    response = rig_message(call, 1, &grpc__reflection__v1__server_reflection_response__descriptor);
    assert_int_equal(
        response->message_response_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE);
    grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
    rig_call_free(call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signatures_of_anybody_are_verified),
        TEST(a_flood_of_verifications_leaves_room_for_signatures),
        TEST(a_client_may_vanish_while_it_is_verified_for),
        TEST(pages_show_every_visible_key_once_and_in_order),
        TEST(a_page_token_of_anothers_key_tells_nothing),
        TEST(pages_go_on_over_a_reload),
        TEST(the_public_key_is_that_of_the_key),
        TEST(capacity_shows_the_tokens_of_ones_own_keys),
        TEST(server_info_tells_the_states_of_the_same_tokens),
        TEST(a_dry_run_tells_of_a_key_that_cannot_sign),
        TEST(health_follows_the_tokens),
        TEST(watchers_are_told_of_changes_only),
        TEST(a_request_for_health_may_not_be_large),
        TEST(reflection_answers_in_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
