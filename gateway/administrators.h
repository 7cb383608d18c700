#ifndef SG_GATEWAY_ADMINISTRATORS_H
#define SG_GATEWAY_ADMINISTRATORS_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/tls/peer.h"

/*
 * Who may accept a new epoch of a log, as its leaf 0 names them, one line for each:
 *
 *     administrator: sha256:HEX                        by a key: its SubjectPublicKeyInfo
 *     administrator: sha256:HEX ca:NAME uri:URI        by identity, whatever key they have by then
 */

enum { SG_ADMINISTRATOR_FILE_BYTES_MAX = 64 << 10 };

/* The SHA-256 of a public key, DER SubjectPublicKeyInfo. */
struct sg_key_hash {
    uint8_t bytes[32];
};

/* Appends a line; `peer` NULL: by the key alone. */
void sg_administrator_write(const struct sg_key_hash *key, const struct sg_tls_peer *peer,
                            struct sg_buf *out);
/* The same of a file: a certificate or a public key, PEM or DER. By identity where a CA of `trust`
 * issued the certificate. Errors: SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_administrator_add(struct sg_slice file, struct sg_tls_trust *trust,
                                            struct sg_buf *out, struct sg_err *err);
/* Copies the lines of them to `out`, as they stand. */
void sg_administrators_copy(struct sg_slice detail, struct sg_buf *out);
/* Which one it is, from 0 on, who has this key or is this peer; SG_E_DENIED: none of them. */
SG_MUST_USE enum sg_rc sg_administrators_find(struct sg_slice detail, const struct sg_key_hash *key,
                                              const struct sg_tls_peer *peer, size_t *ret,
                                              struct sg_err *err);

#endif
