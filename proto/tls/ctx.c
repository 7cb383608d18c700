#include <openssl/err.h>
#include <stdlib.h>

#include "proto/tls/tls_priv.h"

/* RFC 9113 appendix A forbids every other TLS 1.2 suite of OpenSSL's for HTTP/2. */
static const char tls12_suites[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char tls13_suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/* Level 2: 112 bits; RSA keys of 2048 bits and more, no SHA-1 in certificates. */
enum { SECURITY_LEVEL = 2, PEER_CHAIN_BYTES_MAX = 32768 };

enum sg_rc sg_tls_fail(struct sg_err *err, enum sg_rc rc, const char *where, const char *what,
                       const char *name)
{
    /* Of a file that cannot be opened the first error has errno, and those behind it say "system
     * lib". */
    unsigned long code = ERR_peek_error();
    if (ERR_GET_LIB(code) != ERR_LIB_SYS)
        code = ERR_peek_last_error();
    const char *reason = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code))
                                                          : ERR_reason_error_string(code);
    ERR_clear_error();
    return sg_fail(err, rc, SG_R_NONE, code, where, name != NULL ? "%s \"%s\": %s" : "%s%s: %s",
                   what, name != NULL ? name : "", reason != NULL ? reason : "no reason given");
}

static int alpn_select(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    const struct sg_tls_ctx *ctx = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ctx->alpn, ctx->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 §3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A client that does not speak of ALPN at all never gets to alpn_select(). */
static int require_alpn(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    const unsigned char *extension;
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &extension, &len) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* An encrypted key must fail, not ask the terminal. */
static int no_passphrase(char *buf, int size, int for_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    (void)arg;
    return -1;
}

static bool set_alpn(struct sg_tls_ctx *ctx, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        if (len == 0 || len > 255 || ctx->alpn_len + 1 + len > sizeof(ctx->alpn))
            return false;
        ctx->alpn[ctx->alpn_len++] = (uint8_t)len;
        memcpy(ctx->alpn + ctx->alpn_len, names[i], len);
        ctx->alpn_len += (unsigned)len;
    }
    return ctx->alpn_len > 0;
}

/* What both ends have in common. */
static enum sg_rc make(const SSL_METHOD *method, const char *const *alpn, size_t alpn_count,
                       struct sg_tls_ctx **ret, struct sg_err *err)
{
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *ctx = calloc(1, sizeof(*ctx));
    if (ctx == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate a TLS context");
    atomic_init(&ctx->owners, 1);
    if (!set_alpn(ctx, alpn, alpn_count))
        return SG_FAIL(err, SG_E_INVALID, 0, "could not set ALPN: no protocols, or too many");

    int groups[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};
    ctx->ssl = SSL_CTX_new(method);
    if (ctx->ssl == NULL || SSL_CTX_set_min_proto_version(ctx->ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx->ssl, 0) != 1 ||
        SSL_CTX_set_cipher_list(ctx->ssl, tls12_suites) != 1 ||
        SSL_CTX_set_ciphersuites(ctx->ssl, tls13_suites) != 1 ||
        SSL_CTX_set1_groups(ctx->ssl, groups, SG_COUNT(groups)) != 1)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not make a TLS context", NULL);

    SSL_CTX_set_security_level(ctx->ssl, SECURITY_LEVEL);
    SSL_CTX_set_options(ctx->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                      SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_cert_list(ctx->ssl, PEER_CHAIN_BYTES_MAX);
    SSL_CTX_set_default_passwd_cb(ctx->ssl, no_passphrase);
    *ret = SG_STEAL(ctx);
    return SG_OK;
}

static enum sg_rc load_pair(SSL_CTX *ssl, const char *cert_file, const char *key_file,
                            struct sg_err *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not use the certificate", cert_file);
    if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) != 1)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not use the private key", key_file);
    return SG_OK;
}

enum sg_rc sg_tls_server_ctx_new(const struct sg_tls_server_options *options,
                                 struct sg_tls_ctx **ret, struct sg_err *err)
{
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *ctx = NULL;
    SG_TRY(make(TLS_server_method(), options->alpn, options->alpn_count, &ctx, err));
    SG_TRY(load_pair(ctx->ssl, options->cert_file, options->key_file, err));
    ctx->is_server = true;
    ctx->key_updates_max = options->key_updates_max;
    SSL_CTX_set_alpn_select_cb(ctx->ssl, alpn_select, ctx);
    SSL_CTX_set_client_hello_cb(ctx->ssl, require_alpn, NULL);
    SSL_CTX_set_max_early_data(ctx->ssl, 0);
    /* TLS 1.3 sends tickets even under SSL_OP_NO_TICKET, only of another kind. */
    if (SSL_CTX_set_num_tickets(ctx->ssl, 0) != 1)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not turn tickets off", NULL);

    if (options->client_trust != NULL) {
        ctx->trust = sg_tls_trust_hold(options->client_trust);
        if (!sg_tls_trust_install(ctx->trust, ctx->ssl))
            return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not set the client CAs", NULL);
    }
    *ret = SG_STEAL(ctx);
    return SG_OK;
}

enum sg_rc sg_tls_client_ctx_new(const struct sg_tls_client_options *options,
                                 struct sg_tls_ctx **ret, struct sg_err *err)
{
    SG_AUTO(sg_tls_ctx_free) struct sg_tls_ctx *ctx = NULL;
    SG_TRY(make(TLS_client_method(), options->alpn, options->alpn_count, &ctx, err));
    ctx->key_updates_max = SG_TLS_KEY_UPDATES_DEFAULT;
    ctx->alpn_is_optional = options->alpn_is_optional;
    if (options->cert_file != NULL)
        SG_TRY(load_pair(ctx->ssl, options->cert_file, options->key_file, err));
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(ctx->ssl, options->ca_file) != 1)
        return SG_TLS_FAIL(err, SG_E_INVALID, "could not use the CA certificates",
                           options->ca_file);
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    if (X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx->ssl), X509_V_FLAG_PARTIAL_CHAIN) != 1 ||
        /* This one function returns 0 for success. */
        SSL_CTX_set_alpn_protos(ctx->ssl, ctx->alpn, ctx->alpn_len) != 0)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not make a TLS context", NULL);
    *ret = SG_STEAL(ctx);
    return SG_OK;
}

struct sg_tls_ctx *sg_tls_ctx_hold(struct sg_tls_ctx *ctx)
{
    atomic_fetch_add_explicit(&ctx->owners, 1, memory_order_relaxed);
    return ctx;
}

void sg_tls_ctx_free(struct sg_tls_ctx *ctx)
{
    if (ctx == NULL || atomic_fetch_sub_explicit(&ctx->owners, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(ctx->ssl);
    sg_tls_trust_free(ctx->trust);
    free(ctx);
}
