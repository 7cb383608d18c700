/*
 * Property: whatever a caller sends to Sign, BatchSign or SignStream, and whatever the token makes
 * of it, the call ends once; every item of a batch and every message of a stream that ends well is
 * answered once; there are as many signatures in the answers as the token made good ones, and the
 * lies it told are not among them; nothing stays behind.
 *
 * Input: method, a number that decides what the token does, then the message; for SignStream
 * messages, each behind two bytes of length.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/rpc/rpc.h"
#include "methods.h"
#include "proto/grpc/client.h"
#include "proto/grpc/server.h"
#include "sealgate/v1/signing.pb-c.h"
#include "tests/support/pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { JOBS_MAX = 1024, BUFFER_MAX = 8 << 20 };

static const char *const paths[] = {"/sealgate.v1.SigningService/Sign",
                                    "/sealgate.v1.SigningService/BatchSign",
                                    "/sealgate.v1.SigningService/SignStream"};

/* Made once. */
static struct {
    struct sg_config config;
    struct sg_loop *loop;
    struct sg_hsm *hsm;
    struct sg_keys *keys;
    struct sg_authz *authz;
    struct sg_crypto *crypto;
    struct sg_signer *signer;
    struct sg_signings *signings;
    struct sg_rpc *rpc;
    struct sg_tls_peer peer;
    EVP_PKEY *pkeys[2];
} gw;

/* Of one input. */
static struct {
    struct sg_hsm_job *jobs[JOBS_MAX];
    size_t job_count, good, bad;
    uint32_t random;
    size_t messages, signatures, results;
    unsigned done;
    enum sg_grpc_code code;
} run;

static void require_at(bool condition, int line)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_gateway_sign.c:%d\n", line);
    abort();
}
#define REQUIRE(condition) require_at((condition), __LINE__)

static uint32_t next_random(void)
{
    run.random = run.random * 1664525u + 1013904223u;
    return run.random >> 16;
}

/* The token ------------------------------------------------------------------------------- */

static enum sg_rc submit(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    (void)arg;
    if (run.job_count == JOBS_MAX || next_random() % 16 == 0)
        return SG_REFUSE(err, SG_R_QUEUE_FULL, "full");
    run.jobs[run.job_count++] = job;
    return SG_OK;
}

static enum sg_rc report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    (void)arg, (void)job;
    run.bad++;
    return SG_REFUSE(err, SG_R_HSM_FAULT, "it did not verify");
}

static void sign(struct sg_hsm_job *job)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey_ctx = EVP_PKEY_CTX_new(gw.pkeys[0], NULL);
    size_t len = sizeof(job->signature);

    if (job->scheme == SG_SCHEME_ED25519) {
        REQUIRE(EVP_DigestSignInit(ctx, NULL, NULL, NULL, gw.pkeys[1]) == 1 &&
                EVP_DigestSign(ctx, job->signature, &len, job->tbs, job->tbs_len) == 1);
    } else {
        uint8_t der[SG_ECDSA_DER_MAX];
        len = sizeof(der);
        REQUIRE(EVP_PKEY_sign_init(pkey_ctx) == 1 &&
                EVP_PKEY_sign(pkey_ctx, der, &len, job->tbs, job->tbs_len) == 1);
        REQUIRE(sg_ecdsa_from_der(sg_slice_of(der, len), 32, job->signature, NULL) == SG_OK);
        len = 64;
    }
    job->signature_len = len;
    job->is_signed = true;
    EVP_PKEY_CTX_free(pkey_ctx);
    EVP_MD_CTX_free(ctx);
}

static void answer_one(void)
{
    size_t at = next_random() % run.job_count;
    struct sg_hsm_job *job = run.jobs[at];
    run.jobs[at] = run.jobs[--run.job_count];

    switch (next_random() % 4) {
    case 0:
        SG_IGNORE(SG_REFUSE(&job->err, SG_R_TOKEN_LOST, "gone")); /* handed back */
        break;
    case 1: /* a lie, of any length that fits */
        job->signature_len = next_random() % 2 == 0 ? 64 : next_random() % 600;
        memset(job->signature, (int)next_random(), sizeof(job->signature));
        job->is_signed = true;
        break;
    default:
        sign(job);
        run.good++;
        break;
    }
    sg_sign_job_done(job);
}

/* The gateway ----------------------------------------------------------------------------- */

static void on_error(void *arg, const char *request_id, const char *method,
                     const struct sg_err *err)
{
    (void)arg, (void)request_id, (void)method;
    REQUIRE(err->rc != SG_OK);
}

static void on_job(void *arg, struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    abort();
}

static const char *public_key_file(struct sg_pki *pki, const char *name, EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    REQUIRE(PEM_write_bio_PUBKEY(bio, pkey) == 1);
    long len = BIO_get_mem_data(bio, &bytes);
    const char *path = sg_pki_file(pki, name, bytes, (size_t)len);
    BIO_free(bio);
    return path;
}

static void start_keys(struct sg_pki *pki)
{
    static const uint8_t id[] = {1};
    static const struct sg_config_token tokens[] = {{.name = "t"}};
    static struct sg_config_key keys[] = {
        {.name = "alpha",
         .token = "t",
         .id = {id, 1},
         .type = SG_KEY_EC_P256,
         .schemes = 1u << SG_SCHEME_ECDSA,
         .digests = 1u << SG_DIGEST_SHA256,
         .default_scheme = SG_SCHEME_ECDSA},
        {.name = "edward",
         .token = "t",
         .id = {id, 1},
         .type = SG_KEY_ED25519,
         .schemes = 1u << SG_SCHEME_ED25519,
         .default_scheme = SG_SCHEME_ED25519},
    };
    const struct sg_hsm_token_config token = {
        .name = "t", .socket = "/nonexistent", .uid = -1, .queue_max = 16, .hang_ms = 100};
    const struct sg_hsm_events events = {.done = on_job};
    size_t index;

    gw.pkeys[0] = EVP_EC_gen("P-256");
    gw.pkeys[1] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    for (size_t i = 0; i < SG_COUNT(keys); i++)
        keys[i].public_key_file = public_key_file(pki, keys[i].name, gw.pkeys[i]);
    gw.config = (struct sg_config){.batch_items_max = 100,
                                   .stream_items_max = 8,
                                   .connection_jobs_max = 12,
                                   .deadline_ms_max = 30000,
                                   .keys = keys,
                                   .key_count = SG_COUNT(keys),
                                   .tokens = tokens,
                                   .token_count = 1};
    REQUIRE(sg_hsm_new(gw.loop, &sg_clock_system, &events, &gw.hsm, NULL) == SG_OK);
    REQUIRE(sg_hsm_add_token(gw.hsm, &token, &index, NULL) == SG_OK);
    REQUIRE(sg_keys_new(&gw.config, gw.hsm, &gw.keys, NULL) == SG_OK);
    for (size_t i = 0; i < SG_COUNT(keys); i++)
        sg_keys_changed(gw.keys, i);
}

/* A peer as the handshake would have told of it. */
static struct sg_tls_trust *make_peer(struct sg_pki *pki)
{
    const struct sg_pki_id *ca =
        sg_pki_make(pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    const struct sg_tls_ca row = {"tests", ca->cert_file, NULL};
    struct sg_tls_trust *trust;
    unsigned len = sizeof(gw.peer.ca_fingerprint);

    REQUIRE(sg_tls_trust_load(&row, 1, false, &trust, NULL) == SG_OK);
    gw.peer = (struct sg_tls_peer){.is_present = true,
                                   .ca = "tests",
                                   .uri = "https://tests/a",
                                   .serial = {.len = 1, .bytes = {7}},
                                   .not_after_s = INT64_MAX};
    REQUIRE(X509_digest(ca->cert, EVP_sha256(), gw.peer.ca_fingerprint, &len) == 1);
    REQUIRE(sg_tls_peer_check(trust, &gw.peer, sg_wall_ns(&sg_clock_system), NULL) == SG_OK);
    return trust;
}

static void start(void)
{
    static const char *const methods[] = {"sealgate.v1.SigningService"};
    static const char *const keys[] = {"alpha", "edward"};
    const struct sg_authz_caller caller = {.name = "a",
                                           .ca = "tests",
                                           .uri = "https://tests/a",
                                           .methods = methods,
                                           .method_count = 1,
                                           .keys = keys,
                                           .key_count = 2};
    const struct sg_sign_engine engine = {NULL, submit, report_bad};

    if (gw.loop != NULL)
        return;
    struct sg_pki *pki = sg_pki_new();
    struct sg_tls_trust *trust = make_peer(pki);
    REQUIRE(sg_loop_new(&sg_clock_system, &gw.loop, NULL) == SG_OK);
    start_keys(pki);
    REQUIRE(sg_authz_new(&caller, 1, &gw.authz, NULL) == SG_OK);
    REQUIRE(sg_crypto_new(gw.loop, 1, 65536, &gw.crypto, NULL) == SG_OK);
    REQUIRE(sg_signer_new(&engine, gw.crypto, &sg_clock_system, &gw.signer, NULL) == SG_OK);
    const struct sg_signing_options signing = {.signer = gw.signer, .clock = &sg_clock_system};
    REQUIRE(sg_signings_new(&signing, &gw.signings, NULL) == SG_OK);
    const struct sg_rpc_deps deps = {.loop = gw.loop,
                                     .clock = &sg_clock_system,
                                     .config = &gw.config,
                                     .authz = gw.authz,
                                     .hsm = gw.hsm,
                                     .keys = gw.keys,
                                     .crypto = gw.crypto,
                                     .signings = gw.signings,
                                     .on_error = on_error};
    REQUIRE(sg_rpc_new(&deps, trust, &gw.rpc, NULL) == SG_OK);
    sg_tls_trust_free(trust);
    sg_pki_free(pki);
}

/* The caller ------------------------------------------------------------------------------ */

static bool is_signature(const Sealgate__V1__SignResponse *response)
{
    return response != NULL && response->signature.len > 0;
}

static void on_message(void *arg, struct sg_rpc_client_call *call, struct sg_slice message)
{
    const size_t method = *(const size_t *)arg;
    (void)call;

    run.messages++;
    if (method == 0) {
        Sealgate__V1__SignResponse *response =
            sealgate__v1__sign_response__unpack(NULL, message.len, message.ptr);
        REQUIRE(response != NULL);
        run.signatures += is_signature(response);
        sealgate__v1__sign_response__free_unpacked(response, NULL);
    } else if (method == 1) {
        Sealgate__V1__BatchSignResponse *response =
            sealgate__v1__batch_sign_response__unpack(NULL, message.len, message.ptr);
        REQUIRE(response != NULL);
        run.results = response->n_results;
        for (size_t i = 0; i < response->n_results; i++) {
            const Sealgate__V1__BatchSignResult *result = response->results[i];
            REQUIRE(result->result_case != SEALGATE__V1__BATCH_SIGN_RESULT__RESULT__NOT_SET);
            if (result->result_case == SEALGATE__V1__BATCH_SIGN_RESULT__RESULT_RESPONSE)
                run.signatures += is_signature(result->response);
        }
        sealgate__v1__batch_sign_response__free_unpacked(response, NULL);
    } else {
        Sealgate__V1__SignStreamResponse *response =
            sealgate__v1__sign_stream_response__unpack(NULL, message.len, message.ptr);
        REQUIRE(response != NULL);
        REQUIRE(response->result_case != SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT__NOT_SET);
        if (response->result_case == SEALGATE__V1__SIGN_STREAM_RESPONSE__RESULT_RESPONSE)
            run.signatures += is_signature(response->response);
        sealgate__v1__sign_stream_response__free_unpacked(response, NULL);
    }
}

static void on_done(void *arg, struct sg_rpc_client_call *call, const struct sg_status *status,
                    enum sg_rpc_outcome outcome)
{
    (void)arg, (void)call, (void)outcome;
    run.done++;
    run.code = status->code;
}

static void wants_write(void *arg)
{
    (void)arg;
}

/* Both ends take what the other has to say. */
static void exchange(struct sg_rpc_client *client, struct sg_rpc_server *server)
{
    const int64_t now_ns = sg_mono_ns(&sg_clock_system);
    struct sg_buf bytes;
    bool has_moved = true;

    sg_buf_init(&bytes, BUFFER_MAX);
    while (has_moved) {
        REQUIRE(sg_rpc_client_pull(client, BUFFER_MAX / 2, &bytes, NULL) == SG_OK);
        has_moved = bytes.len > 0;
        REQUIRE(sg_rpc_server_feed(server, now_ns, sg_buf_slice(&bytes), NULL) == SG_OK);
        sg_buf_clear(&bytes);
        REQUIRE(sg_rpc_server_pull(server, BUFFER_MAX / 2, &bytes, NULL) == SG_OK);
        has_moved |= bytes.len > 0;
        REQUIRE(sg_rpc_client_feed(client, now_ns, sg_buf_slice(&bytes), NULL) == SG_OK);
        sg_buf_clear(&bytes);
    }
    sg_buf_done(&bytes);
}

/* Returns how many messages were sent. */
static size_t send_all(struct sg_rpc_client_call *call, size_t method, struct sg_slice in)
{
    size_t sent = 0;

    if (method < 2) {
        REQUIRE(sg_rpc_client_send(call, in, true, NULL) == SG_OK);
        return 1;
    }
    while (in.len >= 2) {
        size_t len = (size_t)in.ptr[0] << 8 | in.ptr[1];
        (void)sg_slice_take(&in, 2);
        REQUIRE(sg_rpc_client_send(call, sg_slice_take(&in, len < in.len ? len : in.len), false,
                                   NULL) == SG_OK);
        sent++;
    }
    sg_rpc_client_half_close(call);
    return sent;
}

static void check(size_t method, size_t sent, struct sg_slice in)
{
    REQUIRE(run.done == 1);
    REQUIRE(run.code != SG_GRPC_DEADLINE_EXCEEDED && run.code != SG_GRPC_UNKNOWN);
    REQUIRE(sg_signer_pending(gw.signer) == 0);
    if (method == 2 && run.code != SG_GRPC_OK)
        return; /* items under way when the call ended are nobody's */
    REQUIRE(run.signatures == run.good);
    if (method == 2)
        REQUIRE(run.messages == sent);
    else
        REQUIRE(run.messages == (run.code == SG_GRPC_OK));
    if (method == 1 && run.code == SG_GRPC_OK) {
        Sealgate__V1__BatchSignRequest *request =
            sealgate__v1__batch_sign_request__unpack(NULL, in.len, in.ptr);
        REQUIRE(request != NULL && run.results == request->n_items);
        sealgate__v1__batch_sign_request__free_unpacked(request, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 200000)
        return 0;
    start();
    size_t method = data[0] % SG_COUNT(paths);
    const bool vanishes = data[0] >= 0x80;
    const struct sg_slice in = sg_slice_of(data + 2, size - 2);
    const struct sg_rpc_client_events events = {&method, on_message, NULL, on_done};
    struct sg_rpc_connection connection = {.id = 1, .wants_write = wants_write};
    const int64_t now_ns = sg_mono_ns(&sg_clock_system);
    struct sg_rpc_client *client;
    struct sg_rpc_client_call *call;
    struct sg_rpc_server *server;

    sg_rpc_connection_set_peer(&connection, &gw.peer);
    memset(&run, 0, sizeof(run));
    run.random = data[1];
    REQUIRE(sg_rpc_client_new(&sg_rpc_client_limits_default, "x", "x", now_ns, &client, NULL) ==
            SG_OK);
    REQUIRE(sg_rpc_server_new(&sg_rpc_limits_default, &sg_methods, sg_rpc_handler(gw.rpc),
                              &connection, now_ns, &server, NULL) == SG_OK);
    REQUIRE(sg_rpc_client_start(client, paths[method], now_ns, 0, NULL, 0, &events, &call, NULL) ==
            SG_OK);
    const size_t sent = send_all(call, method, in);
    exchange(client, server);
    if (vanishes) { /* in the middle of whatever there is */
        sg_rpc_server_free(server);
        sg_sign_tally_free(connection.tally);
        server = NULL;
        connection.tally = NULL;
    }
    while (run.job_count > 0 || sg_signer_pending(gw.signer) > 0) {
        if (run.job_count > 0)
            answer_one();
        REQUIRE(sg_loop_turn(gw.loop, run.job_count > 0 ? 0 : 100, NULL) == SG_OK);
        if (server != NULL)
            exchange(client, server);
    }
    if (server != NULL)
        check(method, sent, in);
    sg_rpc_server_free(server);
    sg_sign_tally_free(connection.tally);
    sg_rpc_client_free(client);
    REQUIRE(run.done == 1 && sg_signer_pending(gw.signer) == 0);
    return 0;
}
