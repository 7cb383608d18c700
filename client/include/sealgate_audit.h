#ifndef SEALGATE_AUDIT_H
#define SEALGATE_AUDIT_H

/*
 * libsealgate for auditors: what is in a gateway's audit log, and what proves it.
 *
 * sealgate.h has the rest of the library and says what holds of both: threads, memory, errors,
 * limits. docs/audit.md has the formats for programs that are not ours.
 */

#include "sealgate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Records of the audit log --------------------------------------------------------------- */

/* What a record tells of; numbers of sealgate.v1.AuditEvent. */
enum sealgate_event {
    SEALGATE_EVENT_UNSET = 0,
    SEALGATE_EVENT_LOG_STARTED = 1,
    SEALGATE_EVENT_SIGNATURE = 2,
    SEALGATE_EVENT_DENIAL = 3,
    SEALGATE_EVENT_DENIALS = 4,
    SEALGATE_EVENT_GATEWAY_STARTED = 5,
    SEALGATE_EVENT_CSR = 6,
};

/*
 * "signature", "denial"; "" for a number that is none. Static.
 *
 * Thread: any. Owns: nothing to free.
 */
SEALGATE_API const char *sealgate_event_name(enum sealgate_event event);

/* A record of the log. What is empty or zero is not in it. */
struct sealgate_record {
    const char *origin; /* of the log; "" where only the server's word tells which it is */
    uint64_t leaf_index, tree_size;
    bool is_signed; /* a log_key vouches for the tree that it is in */

    enum sealgate_event event;
    int64_t time_ns;
    const char *authority, *caller, *source, *method, *request_id;
    struct sealgate_bytes request_sha256;
    const char *rule_set, *rule;
    const char *const *grants;
    size_t grant_count;

    const char *key_version;
    struct sealgate_bytes public_key_sha256;
    enum sealgate_scheme scheme;
    enum sealgate_encoding encoding;
    enum sealgate_digest digest;
    struct sealgate_bytes hash; /* what was signed; without `digest` the SHA-256 of the message */
    enum sealgate_digest document_digest;
    struct sealgate_bytes document_hash;
    const char *document_number, *purpose;
    struct sealgate_bytes signature;
    const char *token;

    const char *reason; /* of a denial */
    uint64_t count;
    const char *detail;

    struct sealgate_bytes bytes; /* the record itself, which is hashed */
};

/* ---- Proving, offline ------------------------------------------------------------------------ */

/*
 * Offline: what the receipt in `file` (the text of a file, at most 160 KiB) proves. `log_key` is as
 * in the options; with NULL nobody vouches for the checkpoint, and is_signed is false. `ret` may be
 * NULL.
 *
 * Errors: DATA_LOSS with reason RECEIPT_WRONG: it proves nothing, and the message says why;
 * BAD_OPTIONS: the key is none; OUT_OF_MEMORY.
 *
 * Thread: any. Owns: `*ret` is the caller's, for sealgate_free().
 */
SEALGATE_API enum sealgate_code sealgate_receipt_verify(struct sealgate_bytes file,
                                                        const char *log_key,
                                                        struct sealgate_record **ret,
                                                        struct sealgate_error *error);

#ifdef __cplusplus
}
#endif

#endif
