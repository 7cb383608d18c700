#ifndef SG_PROTO_TLS_TRUST_PRIV_H
#define SG_PROTO_TLS_TRUST_PRIV_H

#include <openssl/x509.h>
#include <stdatomic.h>

#include "proto/tls/peer.h"

/* Filled by trust.c, read by peer.c. */
struct sg_tls_trust_ca {
    char name[SG_TLS_CA_NAME_MAX + 1];
    X509 *cert;
    uint8_t fingerprint[32];
    int64_t not_before_s, not_after_s;
    bool has_crl;
    int64_t crl_this_s, crl_next_s;
    struct sg_tls_serial *revoked; /* sorted */
    size_t revoked_count;
};

struct sg_tls_trust {
    atomic_uint owners;
    bool crl_required;
    X509_STORE *store;
    struct sg_tls_trust_ca *cas;
    size_t count;
};

/* Orders whole structs; for qsort() and bsearch(). */
int sg_tls_serial_compare(const void *a, const void *b);
/* False when OpenSSL's value does not fit or is malformed. */
bool sg_tls_copy_serial(const ASN1_INTEGER *serial, struct sg_tls_serial *ret);
bool sg_tls_copy_time(const ASN1_TIME *time, int64_t *ret_s);
bool sg_tls_copy_fingerprint(const X509 *cert, uint8_t out[32]);

#endif
