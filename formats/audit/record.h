#ifndef SG_FORMATS_AUDIT_RECORD_H
#define SG_FORMATS_AUDIT_RECORD_H

#include "base/algorithm.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * What a leaf of the audit log says: sealgate.v1.AuditRecord (proto/sealgate/v1/audit.proto) in its
 * canonical encoding. There is exactly one encoding of each record, and the parser takes no other,
 * so that the bytes that are hashed, shown and searched always mean the same.
 *
 * Written here and not by a protobuf library: none promises the same bytes from one version to the
 * next, and the offline verifier needs none.
 */

enum {
    SG_AUDIT_FORMAT = 1,
    SG_AUDIT_RECORD_BYTES_MAX = 16 * 1024,
    SG_AUDIT_GRANTS_MAX = 8,
    SG_AUDIT_TEXT_BYTES_MAX = 4096, /* one text; names have less */
};

/* Numbers of sealgate.v1.AuditEvent. */
enum sg_audit_event {
    SG_AUDIT_UNSET = 0,
    SG_AUDIT_LOG_STARTED,
    SG_AUDIT_SIGNATURE,
    SG_AUDIT_DENIAL,
    SG_AUDIT_DENIALS,
    SG_AUDIT_GATEWAY_STARTED,
    SG_AUDIT_CSR,
    SG_AUDIT_EPOCH_STATED,
    SG_AUDIT_EPOCH_APPROVED,
    SG_AUDIT_TOKEN_DRAINED,
    SG_AUDIT_TOKEN_RESUMED,
    SG_AUDIT_LEAVES_ARCHIVED,
    SG_AUDIT_EVENT_COUNT,
};

/*
 * The fields of the message, borrowed. What is empty or zero is not in the record. A digest is
 * empty or as long as its algorithm says: `digest` without one has 32 bytes (Ed25519),
 * `document_digest` is there exactly when its algorithm is.
 */
struct sg_audit_record {
    enum sg_audit_event event; /* never unset */
    int64_t time_ns;           /* wall time, not before 1970 */

    struct sg_slice authority, caller, source, method, request_id;
    struct sg_slice request_sha256; /* 32 bytes */
    struct sg_slice rule_set, rule;
    struct sg_slice grants[SG_AUDIT_GRANTS_MAX];
    size_t grant_count;

    struct sg_slice key_version;
    struct sg_slice public_key_sha256; /* 32 bytes */
    enum sg_scheme scheme;
    enum sg_sig_encoding encoding;
    enum sg_digest_alg digest_alg;
    struct sg_slice digest;
    enum sg_digest_alg document_digest_alg;
    struct sg_slice document_digest, document_number, purpose, signature, token;

    struct sg_slice reason;
    uint64_t count;
    struct sg_slice detail;
};

/* Appends the encoding. The caller keeps the limits above; texts are UTF-8 without NUL. A record
 * that sg_audit_record_parse() would not take fails `out`, so what is written can be read. */
void sg_audit_record_write(const struct sg_audit_record *record, struct sg_buf *out);

/* `ret` borrows `bytes`. Errors: SG_E_INVALID: not the canonical encoding of a record of this
 * format: unknown or repeated fields, another order, defaults, long varints, numbers that mean
 * nothing, text that is no UTF-8 or has a NUL, digests of another length, a part that is over its
 * limit. SG_E_LIMIT: too long. */
SG_MUST_USE enum sg_rc sg_audit_record_parse(struct sg_slice bytes, struct sg_audit_record *ret,
                                             struct sg_err *err);

/* A copy in one piece of memory, which free() frees; NULL: no memory. */
SG_MUST_USE struct sg_audit_record *sg_audit_record_copy(const struct sg_audit_record *record);

/* What stands behind `name` and a colon in the first line of a detail that begins so: "log key". It
 * borrows; empty: there is none. */
struct sg_slice sg_audit_detail_find(struct sg_slice detail, const char *name);

/* "signature", "denial"; "" for what is unset or unknown. */
const char *sg_audit_event_name(enum sg_audit_event event);
enum sg_audit_event sg_audit_event_find(const char *name);

#endif
