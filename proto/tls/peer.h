#ifndef SG_PROTO_TLS_PEER_H
#define SG_PROTO_TLS_PEER_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Who is at the other end, and whether that still holds.
 *
 * The identity of a client is the name of the CA that issued its certificate, and its one SAN
 * URI. The handshake proves that a configured CA issued the certificate and that the client has
 * its key; everything that changes with time (validity, revocation, the CA still being trusted)
 * is judged anew for every call, so that a long connection outlives no revocation, and so that
 * the caller hears a reason instead of a broken handshake.
 */

/*
 * The client CAs and their CRLs. Immutable and counted: a reload makes another and swaps it
 * whole; connections made under the old one are judged by the new one from their next call on.
 *
 * Thread: any.
 */
struct sg_tls_trust;

struct sg_tls_ca {
    const char *name;     /* 1 to 63 characters; part of the identities it issues */
    const char *file;     /* PEM: exactly one certificate, of the CA that issues itself */
    const char *crl_file; /* PEM or DER, signed by this CA; NULL: none */
};

/*
 * Reads the files; nothing is kept open.
 *
 * With `crl_required`, certificates of a CA without a CRL, or with one outside of its validity,
 * are refused (CLIENT_CRL_STALE); without it only what a CRL lists as revoked is. Delta,
 * partitioned and indirect CRLs are refused here: all that has a critical extension.
 *
 * Errors: SG_E_INVALID, with the file in the message
 */
SG_MUST_USE enum sg_rc sg_tls_trust_load(const struct sg_tls_ca *cas, size_t count,
                                         bool crl_required, struct sg_tls_trust **ret,
                                         struct sg_err *err);
/* One more owner. */
struct sg_tls_trust *sg_tls_trust_hold(struct sg_tls_trust *trust);
/* One owner less; the last frees it. */
void sg_tls_trust_free(struct sg_tls_trust *trust);
SG_DEFINE_AUTO(struct sg_tls_trust, sg_tls_trust_free);

/* The earliest nextUpdate of the CRLs, in seconds since 1970; INT64_MAX without any. For an
 * alarm before callers are refused. */
int64_t sg_tls_trust_crl_next_update(const struct sg_tls_trust *trust);

/* RFC 5280 §4.1.2.2 allows 20 octets; some room beyond it. Compared as it stands. */
enum { SG_TLS_SERIAL_BYTES_MAX = 32, SG_TLS_CA_NAME_MAX = 63, SG_TLS_URI_MAX = 255 };

struct sg_tls_serial {
    uint8_t len;
    bool is_negative;
    uint8_t bytes[SG_TLS_SERIAL_BYTES_MAX]; /* big-endian; zeros behind */
};

/* What is kept of a verified client certificate. Zero is nobody. */
struct sg_tls_peer {
    bool is_present;                 /* the client showed a certificate, and it verified */
    char ca[SG_TLS_CA_NAME_MAX + 1]; /* configured name of the CA that issued it */
    char uri[SG_TLS_URI_MAX + 1];    /* empty unless there is exactly one, of printable ASCII */
    struct sg_tls_serial serial;
    int64_t not_before_s, not_after_s; /* seconds since 1970, both inclusive */
    uint8_t fingerprint[32];           /* SHA-256 of the certificate */
    uint8_t ca_fingerprint[32];
};

/*
 * The same of a certificate that comes by another way than a handshake, in DER: a configured CA
 * issued it, for clients. That somebody has its key, and whether it may be believed now
 * (sg_tls_peer_check), is the caller's to find out.
 *
 * Errors: SG_E_INVALID, it is no certificate; SG_E_UNAUTHENTICATED, not of a configured CA
 */
SG_MUST_USE enum sg_rc sg_tls_trust_judge(const struct sg_tls_trust *trust, struct sg_slice der,
                                          struct sg_tls_peer *ret, struct sg_err *err);

/*
 * Whether `peer` may be believed now; `wall_ns` is wall time. Does not allocate.
 *
 * Errors: SG_E_UNAUTHENTICATED with CERT_REQUIRED (no certificate, or its CA is not trusted any
 *         more), CLIENT_CERT_NO_URI, CLIENT_CERT_EXPIRED (or not valid yet, or its CA),
 *         CLIENT_CERT_REVOKED, CLIENT_CRL_STALE
 */
SG_MUST_USE enum sg_rc sg_tls_peer_check(const struct sg_tls_trust *trust,
                                         const struct sg_tls_peer *peer, int64_t wall_ns,
                                         struct sg_err *err);

#endif
