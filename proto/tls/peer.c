#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/tls/tls_priv.h"
#include "proto/tls/trust_priv.h"

/* ---- at the handshake --------------------------------------------------------------------- */

static const struct sg_tls_trust_ca *find_issuer(const struct sg_tls_trust *trust,
                                                 const STACK_OF(X509) * chain)
{
    /* The certificate and the CA that issued it: nothing in between. */
    if (chain == NULL || sk_X509_num(chain) != 2)
        return NULL;
    for (size_t i = 0; i < trust->count; i++)
        if (X509_cmp(trust->cas[i].cert, sk_X509_value(chain, 1)) == 0)
            return &trust->cas[i];
    return NULL;
}

/* Validity in time is judged per call, where the caller can be told of it. */
enum { VERIFY_FLAGS = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME };

/* Instead of X509_verify_cert() alone, which lets a certificate without any EKU be a client's. */
static int verify_client(X509_STORE_CTX *store, void *arg)
{
    if (X509_verify_cert(store) != 1)
        return 0;
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    if ((X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) == 0 ||
        (X509_get_extended_key_usage(cert) & XKU_SSL_CLIENT) == 0) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
        return 0;
    }
    if (find_issuer(arg, X509_STORE_CTX_get0_chain(store)) == NULL) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
        return 0;
    }
    return 1;
}

bool sg_tls_trust_install(struct sg_tls_trust *trust, SSL_CTX *ssl)
{
    for (size_t i = 0; i < trust->count; i++)
        if (SSL_CTX_add_client_CA(ssl, trust->cas[i].cert) != 1)
            return false;
    if (SSL_CTX_set1_verify_cert_store(ssl, trust->store) != 1 ||
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), VERIFY_FLAGS) != 1)
        return false;
    SSL_CTX_set_verify_depth(ssl, 0); /* no certificates between a client's and its CA's */
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, verify_client, trust);
    return true;
}

/* The one SAN URI; `out` stays empty when there is none, or more, or it is not plain ASCII. */
static void copy_uri(const X509 *cert, char out[SG_TLS_URI_MAX + 1])
{
    /* Also NULL when the extension is there twice. */
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t found = 0;
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const uint8_t *bytes = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        int len = ASN1_STRING_length(name->d.uniformResourceIdentifier);
        bool is_plain = len > 0 && len <= SG_TLS_URI_MAX;
        for (int j = 0; is_plain && j < len; j++)
            is_plain = bytes[j] > ' ' && bytes[j] < 0x7F;
        out[0] = '\0';
        if (++found == 1 && is_plain) {
            memcpy(out, bytes, (size_t)len);
            out[len] = '\0';
        }
    }
    GENERAL_NAMES_free(names);
}

static enum sg_rc describe(const X509 *cert, const struct sg_tls_trust_ca *ca,
                           struct sg_tls_peer *ret, struct sg_err *err)
{
    struct sg_tls_peer peer = {0};

    if (!sg_tls_copy_serial(X509_get0_serialNumber(cert), &peer.serial) ||
        !sg_tls_copy_time(X509_get0_notBefore(cert), &peer.not_before_s) ||
        !sg_tls_copy_time(X509_get0_notAfter(cert), &peer.not_after_s) ||
        !sg_tls_copy_fingerprint(cert, peer.fingerprint))
        return SG_FAIL(err, SG_E_UNAUTHENTICATED, 0, "the client certificate is malformed");
    copy_uri(cert, peer.uri);
    memcpy(peer.ca, ca->name, sizeof(peer.ca));
    memcpy(peer.ca_fingerprint, ca->fingerprint, sizeof(peer.ca_fingerprint));
    peer.is_present = true;
    *ret = peer;
    return SG_OK;
}

enum sg_rc sg_tls_trust_describe(const struct sg_tls_trust *trust, const SSL *ssl,
                                 struct sg_tls_peer *ret, struct sg_err *err)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert == NULL)
        return SG_OK; /* nobody */
    const struct sg_tls_trust_ca *ca = find_issuer(trust, SSL_get0_verified_chain(ssl));
    if (ca == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return SG_FAIL(err, SG_E_UNAUTHENTICATED, 0, "the client certificate has no known issuer");
    return describe(cert, ca, ret, err);
}

/* As a server's handshake does it: the same checks of a client's certificate, and the same flags.
 */
static enum sg_rc judge(const struct sg_tls_trust *trust, X509 *cert, X509_STORE_CTX *ctx,
                        struct sg_tls_peer *ret, struct sg_err *err)
{
    if (X509_STORE_CTX_init(ctx, trust->store, cert, NULL) != 1 ||
        X509_STORE_CTX_set_default(ctx, "ssl_client") != 1)
        return SG_TLS_FAIL(err, SG_E_INTERNAL, "could not judge", "a certificate");
    X509_STORE_CTX_set_flags(ctx, VERIFY_FLAGS);
    X509_STORE_CTX_set_depth(ctx, 0);
    if (verify_client(ctx, (void *)(uintptr_t)trust) != 1) {
        ERR_clear_error();
        return SG_FAIL(err, SG_E_UNAUTHENTICATED, 0,
                       "the certificate is not one that a configured client CA issued to a client: "
                       "%s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    const struct sg_tls_trust_ca *ca = find_issuer(trust, X509_STORE_CTX_get0_chain(ctx));
    if (ca == NULL)
        return SG_FAIL(err, SG_E_UNAUTHENTICATED, 0, "the certificate has no known issuer");
    return describe(cert, ca, ret, err);
}

enum sg_rc sg_tls_trust_judge(const struct sg_tls_trust *trust, struct sg_slice der,
                              struct sg_tls_peer *ret, struct sg_err *err)
{
    const uint8_t *at = der.ptr;
    X509 *cert = der.len > LONG_MAX ? NULL : d2i_X509(NULL, &at, (long)der.len);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    enum sg_rc rc;

    if (cert == NULL || at != der.ptr + der.len) {
        ERR_clear_error();
        rc = SG_FAIL(err, SG_E_INVALID, 0, "this is no certificate");
    } else {
        rc = ctx == NULL ? SG_FAIL(err, SG_E_INTERNAL, 0, "no memory to judge a certificate")
                         : judge(trust, cert, ctx, ret, err);
    }
    X509_STORE_CTX_free(ctx);
    X509_free(cert);
    return rc;
}

/* ---- at every call ------------------------------------------------------------------------ */

static const struct sg_tls_trust_ca *find_ca(const struct sg_tls_trust *trust,
                                             const struct sg_tls_peer *peer)
{
    for (size_t i = 0; i < trust->count; i++)
        if (memcmp(trust->cas[i].fingerprint, peer->ca_fingerprint, 32) == 0 &&
            strcmp(trust->cas[i].name, peer->ca) == 0)
            return &trust->cas[i];
    return NULL;
}

static enum sg_rc check_revocation(const struct sg_tls_trust *trust,
                                   const struct sg_tls_trust_ca *ca, const struct sg_tls_peer *peer,
                                   int64_t now_s, struct sg_err *err)
{
    if (ca->revoked_count > 0 && bsearch(&peer->serial, ca->revoked, ca->revoked_count,
                                         sizeof(*ca->revoked), sg_tls_serial_compare) != NULL)
        return SG_REFUSE(err, SG_R_CLIENT_CERT_REVOKED, "the client certificate is revoked");
    if (!trust->crl_required)
        return SG_OK;
    if (!ca->has_crl)
        return SG_REFUSE(err, SG_R_CLIENT_CRL_STALE, "there is no CRL of the client CA \"%s\"",
                         ca->name);
    if (now_s < ca->crl_this_s || now_s > ca->crl_next_s)
        return SG_REFUSE(err, SG_R_CLIENT_CRL_STALE, "the CRL of the client CA \"%s\" is %s",
                         ca->name,
                         now_s < ca->crl_this_s ? "not valid yet" : "past its next update");
    return SG_OK;
}

enum sg_rc sg_tls_peer_check(const struct sg_tls_trust *trust, const struct sg_tls_peer *peer,
                             int64_t wall_ns, struct sg_err *err)
{
    if (!peer->is_present)
        return SG_REFUSE(err, SG_R_CERT_REQUIRED, "the client showed no certificate");
    const struct sg_tls_trust_ca *ca = find_ca(trust, peer);
    if (ca == NULL)
        return SG_REFUSE(err, SG_R_CERT_REQUIRED, "the client CA \"%s\" is not trusted any more",
                         peer->ca);
    if (peer->uri[0] == '\0')
        return SG_REFUSE(err, SG_R_CLIENT_CERT_NO_URI,
                         "the client certificate does not have exactly one SAN URI");

    int64_t now_s = wall_ns / SG_NS_PER_S;
    if (now_s < peer->not_before_s || now_s > peer->not_after_s)
        return SG_REFUSE(err, SG_R_CLIENT_CERT_EXPIRED, "the client certificate is %s",
                         now_s < peer->not_before_s ? "not valid yet" : "expired");
    if (now_s < ca->not_before_s || now_s > ca->not_after_s)
        return SG_REFUSE(err, SG_R_CLIENT_CERT_EXPIRED, "the client CA \"%s\" is %s", ca->name,
                         now_s < ca->not_before_s ? "not valid yet" : "expired");
    return check_revocation(trust, ca, peer, now_s, err);
}
