/*
 * The gateway without its token, for the benchmark `rpc`: listener, TLS, HTTP/2, gRPC, the check of
 * the client's certificate and CRL, authorisation, the Sign handler, the signer and the metrics are
 * those of sealgated. In the place of hsm/ there is an engine that gives the same signature back
 * for every job, at the end of the turn of the loop in which it was submitted.
 *
 * Left out, therefore: the way to the token process and back, C_Sign, and the verification before
 * release. The last by a key that is verified once in 64 signatures, and an engine that sets the
 * count of that key so that none is the 64th; what else the signer does for a signature is done.
 *
 *     null_gateway PORT PKI-FOLDER SECONDS
 *
 * Serves the key "dev-p256" to the client "dev" of ops/lib/pki.sh's PKI; prints "ready"; ends by
 * itself after so many seconds.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/net/net.h"
#include "gateway/rpc/rpc.h"
#include "gateway/sockets/sockets.h"
#include "methods.h"

enum { RAW_BYTES = 64 };

struct null_engine {
    struct sg_loop *loop;
    struct sg_keys *keys;
    struct sg_hook hook;
    struct sg_hsm_job *first, **last; /* waiting for the end of the turn */
    uint8_t signature[RAW_BYTES];
};

static void die(const char *what)
{
    fprintf(stderr, "null_gateway: %s\n", what);
    exit(1);
}

static void must(enum sg_rc rc, const struct sg_err *err)
{
    if (rc != SG_OK)
        die(err->msg);
}

/* The engine ------------------------------------------------------------------------------- */

static void on_turn_over(void *arg)
{
    struct null_engine *engine = arg;
    struct sg_hsm_job *job = engine->first;
    engine->first = NULL;
    engine->last = &engine->first;
    while (job != NULL) {
        struct sg_hsm_job *next = job->next;
        sg_keys_at(engine->keys, 0)->sample = 1; /* not the one in 64 */
        sg_sign_job_done(job);
        job = next;
    }
}

static enum sg_rc submit(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    (void)err;
    struct null_engine *engine = arg;
    memcpy(job->signature, engine->signature, RAW_BYTES);
    job->signature_len = RAW_BYTES;
    job->is_signed = true;
    job->queue_ns = job->hsm_ns = 0;
    job->next = NULL;
    *engine->last = job;
    engine->last = &job->next;
    sg_hook_arm(engine->loop, &engine->hook);
    return SG_OK;
}

static enum sg_rc report_bad(void *arg, struct sg_hsm_job *job, struct sg_err *err)
{
    (void)arg, (void)job, (void)err;
    die("a signature was verified, and it was bad");
    return SG_E_INTERNAL;
}

/* Makes a key pair and the one signature, by it and of a digest of zeros. */
static void make_signature(struct null_engine *engine)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    EVP_PKEY_CTX *ctx = pair == NULL ? NULL : EVP_PKEY_CTX_new(pair, NULL);
    uint8_t digest[32] = {0}, der[SG_ECDSA_DER_MAX], *spki = NULL;
    size_t der_len = sizeof(der);
    struct sg_err err;

    if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_sign(ctx, der, &der_len, digest, sizeof(digest)) != 1)
        die("could not make a signature");
    must(sg_ecdsa_from_der(sg_slice_of(der, der_len), RAW_BYTES / 2, engine->signature, &err),
         &err);
    int spki_len = i2d_PUBKEY(pair, &spki);
    if (spki_len <= 0)
        die("could not encode a public key");
    must(sg_public_key_parse(sg_slice_of(spki, (size_t)spki_len),
                             &sg_keys_at(engine->keys, 0)->public_key, &err),
         &err);
    OPENSSL_free(spki);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pair);
}

/* The gateway ------------------------------------------------------------------------------ */

static const struct sg_config_token token = {.name = "none", .queue_max = 1024};

static const struct sg_config_key key = {
    .name = "dev-p256",
    .token = "none",
    .id = {(const uint8_t *)"\1", 1},
    .type = SG_KEY_EC_P256,
    .schemes = 1u << SG_SCHEME_ECDSA,
    .digests = 1u << SG_DIGEST_SHA256,
    .default_scheme = SG_SCHEME_ECDSA,
    .verify_sampled = true,
};

static const struct sg_config config = {
    .batch_items_max = 1000,
    .stream_items_max = 256,
    .connection_jobs_max = 4096,
    .tokens = &token,
    .token_count = 1,
    .keys = &key,
    .key_count = 1,
};

static struct sg_authz *make_authz(void)
{
    static const char *const methods[] = {"sealgate.v1.SigningService", "sealgate.v1.KeyService"};
    static const char *const keys[] = {"dev-p256", "dev-rsa2048"};
    static const struct sg_authz_caller callers[] = {
        {.name = "dev",
         .ca = "dev-ca",
         .uri = "spiffe://dev.sealgate.local/client/dev",
         .methods = methods,
         .method_count = SG_COUNT(methods),
         .keys = keys,
         .key_count = SG_COUNT(keys)},
        {.name = "guest",
         .ca = "dev-ca",
         .uri = "spiffe://dev.sealgate.local/client/guest",
         .methods = methods,
         .method_count = SG_COUNT(methods),
         .keys = keys,
         .key_count = 1},
    };
    struct sg_authz *authz;
    struct sg_err err;
    must(sg_authz_new(callers, SG_COUNT(callers), &authz, &err), &err);
    return authz;
}

static struct sg_tls_trust *load_trust(const char *pki)
{
    char ca[256], crl[256];
    snprintf(ca, sizeof(ca), "%s/ca.pem", pki);
    snprintf(crl, sizeof(crl), "%s/ca.crl", pki);
    const struct sg_tls_ca cas[] = {{.name = "dev-ca", .file = ca, .crl_file = crl}};
    struct sg_tls_trust *trust;
    struct sg_err err;
    must(sg_tls_trust_load(cas, SG_COUNT(cas), true, &trust, &err), &err);
    return trust;
}

static struct sg_tls_ctx *load_tls(const char *pki, struct sg_tls_trust *trust)
{
    static const char *const alpn[] = {"h2"};
    char cert[256], pkey[256];
    snprintf(cert, sizeof(cert), "%s/server.pem", pki);
    snprintf(pkey, sizeof(pkey), "%s/server.key", pki);
    const struct sg_tls_server_options options = {.cert_file = cert,
                                                  .key_file = pkey,
                                                  .client_trust = trust,
                                                  .alpn = alpn,
                                                  .alpn_count = SG_COUNT(alpn)};
    struct sg_tls_ctx *tls;
    struct sg_err err;
    must(sg_tls_server_ctx_new(&options, &tls, &err), &err);
    return tls;
}

static void on_rpc_error(void *arg, const char *request_id, const char *method,
                         const struct sg_err *err)
{
    (void)arg, (void)request_id, (void)method;
    fprintf(stderr, "null_gateway: refused: %s\n", err->msg);
}

/* The engine proper has the list of keys and is never started. */
static void on_hsm_done(void *arg, struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    die("a job went to the engine proper");
}

static void start_keys(struct null_engine *engine, struct sg_hsm **ret_hsm)
{
    const struct sg_hsm_events events = {.done = on_hsm_done};
    const struct sg_hsm_token_config on = {
        .name = token.name, .socket = "/nonexistent", .uid = -1, .queue_max = 1, .hang_ms = 1000};
    size_t index;
    struct sg_err err;
    must(sg_hsm_new(engine->loop, &sg_clock_system, &events, ret_hsm, &err), &err);
    must(sg_hsm_add_token(*ret_hsm, &on, &index, &err), &err);
    must(sg_keys_new(&config, *ret_hsm, &engine->keys, &err), &err);
    make_signature(engine);
}

static struct sg_metrics *make_metrics(void)
{
    static const char *methods[SG_METHOD_COUNT];
    static const char *const tokens[] = {"none"};
    for (size_t i = 0; i < sg_methods.count; i++)
        methods[sg_methods.methods[i].id - 1] = sg_methods.methods[i].path + 1;
    const struct sg_metrics_names names = {.methods = methods,
                                           .method_count = sg_methods.count,
                                           .tokens = tokens,
                                           .token_count = SG_COUNT(tokens)};
    struct sg_metrics *metrics;
    struct sg_err err;
    must(sg_metrics_new(&names, &metrics, &err), &err);
    return metrics;
}

static void serve(const char *listen, const char *pki)
{
    struct null_engine engine = {.hook = {.fn = on_turn_over, .arg = &engine}};
    struct sg_rpc_deps deps = {.clock = &sg_clock_system,
                               .config = &config,
                               .authz = make_authz(),
                               .metrics = make_metrics(),
                               .on_error = on_rpc_error};
    struct sg_tls_trust *trust = load_trust(pki);
    struct sg_net_options options = {.connections_per_source_max = 1000000,
                                     .connections_max = 1024,
                                     .handshakes_max = 4,
                                     .handshake_ns_max = 5 * SG_NS_PER_S,
                                     .write_stall_ns_max = 30 * SG_NS_PER_S,
                                     .rpc = sg_rpc_limits_default};
    const struct sg_sign_engine functions = {&engine, submit, report_bad};
    struct sg_rpc *rpc;
    struct sg_net *net;
    struct sg_err err;

    engine.last = &engine.first;
    must(sg_loop_new(&sg_clock_system, &engine.loop, &err), &err);
    start_keys(&engine, &deps.hsm);
    deps.loop = engine.loop;
    deps.keys = engine.keys;
    must(sg_crypto_new(engine.loop, 1, 1024, &deps.crypto, &err), &err);
    struct sg_signing_options signing = {.clock = deps.clock};
    must(sg_signer_new(&functions, deps.crypto, deps.clock, &signing.signer, &err), &err);
    must(sg_signings_new(&signing, &deps.signings, &err), &err);
    must(sg_rpc_new(&deps, trust, &rpc, &err), &err);
    must(sg_net_new(engine.loop, &options, &sg_methods, sg_rpc_handler(rpc), deps.crypto, &net,
                    &err),
         &err);
    sg_net_set_tls(net, load_tls(pki, trust));
    int listener;
    must(sg_socket_open(SG_SOCKET_SERVICES, listen, &listener, &err), &err);
    must(sg_net_start(net, listener, &err), &err);
    puts("ready");
    fflush(stdout);
    must(sg_loop_run(engine.loop, &err), &err); /* until a signal */
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: null_gateway PORT PKI-FOLDER SECONDS\n", stderr);
        return 2;
    }
    char listen[64];
    snprintf(listen, sizeof(listen), "127.0.0.1:%s", argv[1]);
    alarm((unsigned)strtoul(argv[3], NULL, 10));
    sg_log_setup(SG_LOG_WARNING, SG_LOG_KEY_VALUE, "null_gateway");
    serve(listen, argv[2]);
    return 0;
}
