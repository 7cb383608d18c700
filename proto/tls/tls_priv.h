#ifndef SG_PROTO_TLS_TLS_PRIV_H
#define SG_PROTO_TLS_TLS_PRIV_H

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>

#include "proto/tls/tls.h"

struct sg_tls_ctx {
    SSL_CTX *ssl;
    bool is_server, alpn_is_optional;
    struct sg_tls_trust *trust; /* of a server that asks for certificates; counted */
    uint8_t alpn[64];           /* ProtocolNameList of RFC 7301 §3.1, without its length */
    unsigned alpn_len;
    unsigned key_updates_max;
    atomic_uint owners;
};

struct sg_tls_ctx *sg_tls_ctx_hold(struct sg_tls_ctx *ctx);

struct sg_tls_conn {
    SSL *ssl;
    struct sg_tls_ctx *ctx; /* counted */
    struct sg_slice in;     /* what sg_tls_feed() was given and OpenSSL has not read; borrowed */
    struct sg_buf out;
    bool is_ready, is_failed, is_closed, peer_has_closed;
    unsigned late_handshakes; /* handshake records after the handshake was over */
    uint64_t plain_bytes;     /* received */
    struct sg_tls_peer peer;
};

/* A BIO that reads conn->in and writes conn->out, without copies of its own; NULL: no memory. */
BIO *sg_tls_bio_new(struct sg_tls_conn *conn);

/* Fails with OpenSSL's reason behind `what`, and empties OpenSSL's queue of errors. */
enum sg_rc sg_tls_fail(struct sg_err *err, enum sg_rc rc, const char *where, const char *what,
                       const char *name);
/* Is `rc`, and not what the function returns: so it is seen in each file that this fails. */
#define SG_TLS_FAIL(err, rc, what, name)                                                           \
    ((void)sg_tls_fail((err), (rc), SG_WHERE, (what), (name)), (rc))

/* For a server's SSL_CTX: whom to ask for and how to verify. */
bool sg_tls_trust_install(struct sg_tls_trust *trust, SSL_CTX *ssl);
/* The facts of a certificate that sg_tls_trust_install()'s check has let through. */
SG_MUST_USE enum sg_rc sg_tls_trust_describe(const struct sg_tls_trust *trust, const SSL *ssl,
                                             struct sg_tls_peer *ret, struct sg_err *err);

#endif
