#include "tests/integration/gateway/rig.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <sys/socket.h>

#include "base/log.h"
#include "gateway/net/net_priv.h"
#include "gateway/sockets/sockets.h"
#include "hsm/hsm_priv.h"
#include "methods.h"

static int64_t mono_ns(const struct sg_clock *clock)
{
    return sg_mono_ns(&sg_clock_system) + ((const struct rig_clock *)(const void *)clock)->ahead_ns;
}

static int64_t wall_ns(const struct sg_clock *clock)
{
    return sg_wall_ns(&sg_clock_system) + ((const struct rig_clock *)(const void *)clock)->ahead_ns;
}

/* People ---------------------------------------------------------------------------------- */

static const struct sg_pki_id *make_client(struct rig *rig, const char *name, const char *san,
                                           long to_s)
{
    return sg_pki_make(rig->pki, &(struct sg_pki_spec){.name = name,
                                                       .issuer = rig->ca,
                                                       .san = san,
                                                       .eku = "clientAuth",
                                                       .from_s = to_s == 0 ? 0 : -60,
                                                       .to_s = to_s});
}

static void make_people(struct rig *rig)
{
    rig->pki = sg_pki_new();
    rig->ca = sg_pki_make(rig->pki, &(struct sg_pki_spec){.name = "ca", .is_ca = true});
    rig->server_id = sg_pki_make(rig->pki, &(struct sg_pki_spec){.name = "server",
                                                                 .issuer = rig->ca,
                                                                 .san = "IP:127.0.0.1",
                                                                 .eku = "serverAuth"});
    rig->ids[A] = make_client(rig, "a", "URI:https://tests/a", 0);
    rig->ids[B] = make_client(rig, "b", "URI:https://tests/b", 0);
    rig->ids[STRANGER] = make_client(rig, "stranger", "URI:https://tests/stranger", 0);
    rig->ids[EXPIRING] = make_client(rig, "expiring", "URI:https://tests/a", 600);
}

static void load_trust(struct rig *rig, const char *crl_file)
{
    const struct sg_tls_ca ca = {.name = "tests", .file = rig->ca->cert_file, .crl_file = crl_file};
    sg_tls_trust_free(rig->trust);
    assert_int_equal(sg_tls_trust_load(&ca, 1, crl_file != NULL, &rig->trust, NULL), SG_OK);
}

static void set_tls(struct rig *rig)
{
    static const char *const alpn[] = {"h2"};
    const struct sg_tls_server_options options = {.cert_file = rig->server_id->cert_file,
                                                  .key_file = rig->server_id->key_file,
                                                  .client_trust = rig->trust,
                                                  .alpn = alpn,
                                                  .alpn_count = 1,
                                                  .key_updates_max = SG_TLS_KEY_UPDATES_DEFAULT};
    struct sg_tls_ctx *tls;
    assert_int_equal(sg_tls_server_ctx_new(&options, &tls, NULL), SG_OK);
    sg_net_set_tls(rig->net, tls);
}

void rig_set_crl(struct rig *rig, const char *crl_file)
{
    load_trust(rig, crl_file);
    sg_rpc_set_trust(rig->rpc, rig->trust);
    set_tls(rig);
}

static void start_authz(struct rig *rig, size_t many)
{
    static const char *const all[] = {
        "sealgate.v1.SigningService", "sealgate.v1.VerificationService",
        "sealgate.v1.KeyService",     "sealgate.v1.InfoService",
        "sealgate.v1.AuditService",   "sealgate.v1.TokenService"};
    static const char *const only_sign[] = {"sealgate.v1.SigningService/Sign"};
    static const char *const b_keys[] = {"beta"};

    rig->key_names = calloc(3 + many, sizeof(*rig->key_names));
    rig->key_names[0] = "alpha";
    rig->key_names[1] = "edward";
    rig->key_names[2] = "ron";
    for (size_t i = 0; i < many; i++)
        rig->key_names[3 + i] = rig->config_keys[RIG_KEY_COUNT + i].name;
    const struct sg_authz_caller callers[] = {
        {.name = "row-a",
         .ca = "tests",
         .uri = "https://tests/a",
         .methods = all,
         .method_count = SG_COUNT(all),
         .keys = rig->key_names,
         .key_count = 3 + many},
        {.name = "row-b",
         .ca = "tests",
         .uri = "https://tests/b",
         .methods = only_sign,
         .method_count = 1,
         .keys = b_keys,
         .key_count = 1},
    };
    assert_int_equal(sg_authz_new(callers, SG_COUNT(callers), &rig->authz, NULL), SG_OK);
}

/* Keys ------------------------------------------------------------------------------------ */

static const char *write_public_key(struct rig *rig, const char *name, EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    long len = BIO_get_mem_data(bio, &bytes);
    const char *path = sg_pki_file(rig->pki, name, bytes, (size_t)len);
    BIO_free(bio);
    return path;
}

static const struct {
    const char *name, *token;
    enum sg_key_type type;
    uint32_t schemes;
    enum sg_scheme scheme;
} key_rows[RIG_KEY_COUNT] = {
    [ALPHA] = {"alpha", "t1", SG_KEY_EC_P256, 1u << SG_SCHEME_ECDSA, SG_SCHEME_ECDSA},
    [BETA] = {"beta", "t2", SG_KEY_EC_P256, 1u << SG_SCHEME_ECDSA, SG_SCHEME_ECDSA},
    [EDWARD] = {"edward", "t1", SG_KEY_ED25519, 1u << SG_SCHEME_ED25519, SG_SCHEME_ED25519},
    [RON] = {"ron", "t1", SG_KEY_RSA_2048, 1u << SG_SCHEME_RSA_PKCS1, SG_SCHEME_RSA_PKCS1},
};

static void make_keys(struct rig *rig, size_t many)
{
    static EVP_PKEY *ron; /* takes long to make: one for all rigs */
    static const uint8_t ids[RIG_KEY_COUNT] = {1, 2, 3, 4};
    rig->pkeys[ALPHA] = EVP_EC_gen("P-256");
    rig->pkeys[BETA] = EVP_EC_gen("P-256");
    rig->pkeys[EDWARD] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (ron == NULL)
        ron = EVP_RSA_gen(2048);
    rig->pkeys[RON] = ron;
    assert_int_equal(EVP_PKEY_up_ref(ron), 1);
    rig->config_keys = calloc(RIG_KEY_COUNT + many, sizeof(*rig->config_keys));
    assert_non_null(rig->config_keys);
    for (size_t i = 0; i < RIG_KEY_COUNT; i++) {
        char file[32];
        snprintf(file, sizeof(file), "%s.pub", key_rows[i].name);
        rig->config_keys[i] = (struct sg_config_key){
            .name = key_rows[i].name,
            .token = key_rows[i].token,
            .id = {&ids[i], 1},
            .type = key_rows[i].type,
            .schemes = key_rows[i].schemes,
            .digests = i == EDWARD ? 0 : 1u << SG_DIGEST_SHA256 | 1u << SG_DIGEST_SHA384,
            .default_scheme = key_rows[i].scheme,
            .public_key_file = write_public_key(rig, file, rig->pkeys[i]),
        };
    }
    for (size_t i = 0; i < many; i++) {
        char *name = NULL;
        assert_true(asprintf(&name, "many-%04zu", i) > 0);
        rig->config_keys[RIG_KEY_COUNT + i] = rig->config_keys[ALPHA];
        rig->config_keys[RIG_KEY_COUNT + i].name = name;
    }
    rig->config.keys = rig->config_keys;
    rig->config.key_count = RIG_KEY_COUNT + many;
}

void rig_set_key(struct rig *rig, size_t key, enum sg_hsm_key_state state)
{
    struct sg_copy *copy = &rig->hsm->keys[key]->copies[0];

    sg_copy_set(copy, state, NULL);
    copy->is_changed = false; /* nobody is told, and the engine does not begin to connect */
    rig->hsm->changed = NULL;
    sg_hook_disarm(&rig->hsm->hook);
}

static void start_keys(struct rig *rig)
{
    static const char *const names[] = {"t1", "t2"};

    for (size_t i = 0; i < SG_COUNT(names); i++) {
        /* Whoever hangs is killed, and that would be this process: never. */
        const struct sg_hsm_token_config token = {
            .name = names[i],
            .socket = i == 0 && rig->has_token ? rig->token.path : "/nonexistent",
            .uid = -1,
            .queue_max = 16,
            .hang_ms = 600000};
        size_t index;
        rig->config_tokens[i] = (struct sg_config_token){.name = names[i]};
        assert_int_equal(sg_hsm_add_token(rig->hsm, &token, &index, NULL), SG_OK);
        rig->hsm->backends[index]->breaker.state = SG_BREAKER_UP;
    }
    rig->config.tokens = rig->config_tokens;
    rig->config.token_count = SG_COUNT(names);
    assert_int_equal(sg_keys_new(&rig->config, rig->hsm, &rig->keys, NULL), SG_OK);
    for (size_t i = 0; i < rig->hsm->key_count; i++) {
        rig_set_key(rig, i, SG_KEY_READY);
        sg_keys_changed(rig->keys, i);
    }
}

static void fill_token(struct rig *rig)
{
    for (size_t i = 0; i < RIG_KEY_COUNT; i++) {
        struct sg_hsm_key_info info;
        struct sg_hsm_copy_info copy;
        sg_hsm_key_info(rig->hsm, i, &info);
        sg_hsm_copy_info(rig->hsm, i, 0, &copy);
        if (strcmp(info.token, "t1") == 0)
            rig->token.keys[rig->token.key_count++] =
                (struct fake_token_key){copy.id, info.spki, info.type};
    }
}

static void start_engine(struct rig *rig)
{
    for (size_t i = 0; i < rig->hsm->key_count; i++)
        rig_set_key(rig, i, SG_KEY_LOADING);
    for (size_t i = 0; i < rig->hsm->backend_count; i++)
        rig->hsm->backends[i]->breaker.state = SG_BREAKER_DOWN;
    fill_token(rig);
    assert_int_equal(sg_hsm_start(rig->hsm, NULL), SG_OK);
    for (size_t i = 0; i < RIG_KEY_COUNT; i++) {
        if (strcmp(key_rows[i].token, "t1") == 0)
            RIG_UNTIL(rig, rig->hsm->keys[i]->state == SG_KEY_READY);
    }
}

/* The gateway ----------------------------------------------------------------------------- */

static void on_hsm_done(void *arg, struct sg_hsm_job *job)
{
    (void)arg, (void)job;
    fail_msg("the engine was given a job");
}

static void on_error(void *arg, const char *request_id, const char *method,
                     const struct sg_err *err)
{
    struct rig *rig = arg;
    assert_non_null(request_id);
    assert_non_null(method);
    assert_int_not_equal(err->rc, SG_OK);
    rig->errors++;
}

static void start_audit(struct rig *rig)
{
    folder_make(&rig->folder, sg_wall_ns(&rig->clock.clock));
    snprintf(rig->drained_file, sizeof(rig->drained_file), "%s/drained", rig->folder.path);
    rig->config.drained_file = rig->drained_file;
    const struct sg_audit_options options = {.loop = rig->loop,
                                             .clock = &rig->clock.clock,
                                             .store = rig->folder.url,
                                             .log = "main",
                                             .key_file = rig->folder.key,
                                             .anchor_file = rig->folder.anchor,
                                             .waiting_max = RIG_JOBS_MAX};
    assert_int_equal(sg_audit_open(&options, &rig->audit, NULL), SG_OK);
}

static void start_rpc(struct rig *rig)
{
    const struct sg_sign_engine engine = {rig, rig_engine_submit, rig_engine_report_bad};
    assert_int_equal(sg_crypto_new(rig->loop, 2, 65536, &rig->crypto, NULL), SG_OK);
    assert_int_equal(sg_signer_new(&engine, rig->crypto, &rig->clock.clock, &rig->signer, NULL),
                     SG_OK);
    const struct sg_signing_options signing = {
        .signer = rig->signer, .audit = rig->audit, .clock = &rig->clock.clock};
    assert_int_equal(sg_signings_new(&signing, &rig->signings, NULL), SG_OK);
    const struct sg_rpc_deps deps = {.loop = rig->loop,
                                     .clock = &rig->clock.clock,
                                     .config = &rig->config,
                                     .authz = rig->authz,
                                     .hsm = rig->hsm,
                                     .keys = rig->keys,
                                     .crypto = rig->crypto,
                                     .signings = rig->signings,
                                     .audit = rig->audit,
                                     .on_error = on_error,
                                     .on_error_arg = rig};
    assert_int_equal(sg_rpc_new(&deps, rig->trust, &rig->rpc, NULL), SG_OK);
}

static void start_net(struct rig *rig, const struct rig_options *wanted)
{
    struct sg_net_options options = {
        .connections_max = wanted->connections_max == 0 ? 100 : wanted->connections_max,
        .connections_per_source_max =
            wanted->connections_per_source_max == 0 ? 100 : wanted->connections_per_source_max,
        .handshakes_max = 4,
        .handshake_ns_max = 5 * SG_NS_PER_S,
        .write_stall_ns_max = 30 * SG_NS_PER_S,
        .rpc = sg_rpc_limits_default,
    };
    options.rpc.call_bytes_max = (size_t)rig->config.call_bytes_max;
    options.rpc.deadline_ns_max = rig->config.deadline_ms_max * SG_NS_PER_MS;
    struct sockaddr_in address;
    socklen_t len = sizeof(address);

    assert_int_equal(sg_net_new(rig->loop, &options, &sg_methods, sg_rpc_handler(rig->rpc),
                                rig->crypto, &rig->net, NULL),
                     SG_OK);
    set_tls(rig);
    int listener;
    assert_int_equal(sg_socket_open(SG_SOCKET_SERVICES, "127.0.0.1:0", &listener, NULL), SG_OK);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(sg_net_start(rig->net, listener, NULL), SG_OK);
    snprintf(rig->endpoint, sizeof(rig->endpoint), "%u", ntohs(address.sin_port));
}

void rig_start(struct rig *rig, const struct rig_options *options)
{
    static const struct rig_options none;
    const struct sg_hsm_events events = {.arg = rig, .done = on_hsm_done};

    if (options == NULL)
        options = &none;
    *rig = (struct rig){.clock = {.clock = {mono_ns, wall_ns}},
                        .jobs_max = RIG_JOBS_MAX,
                        .hook = {.fn = rig_engine_on_hook, .arg = rig}};
    rig->config = (struct sg_config){
        .reflection = options->reflection,
        .message_bytes_max = 1 << 20,
        .call_bytes_max = 8 << 20,
        .deadline_ms_max = 30000,
        .batch_items_max = options->batch_items_max == 0 ? 1000 : options->batch_items_max,
        .connection_jobs_max =
            options->connection_jobs_max == 0 ? 4096 : options->connection_jobs_max,
        .stream_items_max = options->stream_items_max == 0 ? 256 : options->stream_items_max,
        .audit_watchers_max = options->audit_watchers_max == 0 ? 100 : options->audit_watchers_max,
    };
    sg_log_setup(SG_LOG_ERROR, SG_LOG_KEY_VALUE, "test");
    make_people(rig);
    make_keys(rig, options->many_keys);
    load_trust(rig, NULL);
    start_authz(rig, options->many_keys);
    assert_int_equal(sg_loop_new(&rig->clock.clock, &rig->loop, NULL), SG_OK);
    rig->has_token = options->has_token;
    if (rig->has_token)
        fake_token_start(&rig->token, rig->loop);
    assert_int_equal(sg_hsm_new(rig->loop, &rig->clock.clock, &events, &rig->hsm, NULL), SG_OK);
    start_keys(rig);
    if (options->has_audit)
        start_audit(rig);
    start_rpc(rig);
    start_net(rig, options);
    if (rig->has_token)
        start_engine(rig);
}

/* As stop() of gateway/app.c. */
void rig_stop_now(struct rig *rig)
{
    sg_net_free(rig->net);
    while (rig->clients != NULL)
        rig_disconnect(rig->clients, false);
    sg_hook_disarm(&rig->hook);
    sg_crypto_free(rig->crypto);
    sg_signer_abandon(rig->signer);
    rig_engine_drop(rig);
    sg_audit_close(rig->audit);
    sg_hsm_free(rig->hsm);
    if (rig->has_token)
        fake_token_stop(&rig->token);
    sg_rpc_free(rig->rpc);
    sg_signings_free(rig->signings);
    sg_signer_free(rig->signer);
    sg_keys_free(rig->keys);
    sg_authz_free(rig->authz);
    sg_loop_free(rig->loop);
    sg_tls_trust_free(rig->trust);
    for (size_t i = RIG_KEY_COUNT; i < rig->config.key_count; i++)
        free((char *)(uintptr_t)rig->config_keys[i].name);
    free(rig->config_keys);
    free(rig->key_names);
    for (size_t i = 0; i < RIG_KEY_COUNT; i++)
        EVP_PKEY_free(rig->pkeys[i]);
    sg_pki_free(rig->pki);
    if (rig->audit != NULL)
        folder_remove(&rig->folder);
}

void rig_stop(struct rig *rig)
{
    assert_int_equal(rig->job_count, 0);
    while (rig->clients != NULL)
        rig_disconnect(rig->clients, true);
    RIG_UNTIL(rig, sg_net_connections(rig->net) == 0 && sg_signer_pending(rig->signer) == 0 &&
                       sg_signings_pending(rig->signings) == 0);
    rig_stop_now(rig);
}

void rig_turn(struct rig *rig)
{
    assert_int_equal(sg_loop_turn(rig->loop, 1, NULL), SG_OK);
    for (struct rig_client *client = rig->clients; client != NULL; client = client->next)
        rig_client_turn(client);
}

void rig_settle(struct rig *rig)
{
    enum { QUIET_TURNS = 12 };
    for (int i = 0; i < QUIET_TURNS; i++)
        rig_turn(rig);
}

void rig_wait(struct rig *rig, int64_t ns)
{
    rig->clock.ahead_ns += ns;
    rig_settle(rig);
}
