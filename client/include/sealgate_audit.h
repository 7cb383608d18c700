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
    SEALGATE_EVENT_EPOCH_STATED = 7,
    SEALGATE_EVENT_EPOCH_APPROVED = 8,
    SEALGATE_EVENT_TOKEN_DRAINED = 9,
    SEALGATE_EVENT_TOKEN_RESUMED = 10,
    SEALGATE_EVENT_LEAVES_ARCHIVED = 11,
};

/*
 * "signature", "denial"; "" for a number that is none. Static.
 *
 * Thread: any. Owns: nothing to free.
 */
SEALGATE_API const char *sealgate_event_name(enum sealgate_event event);

/*
 * A record of the log. What is empty or zero is not in it. The first members tell where it is:
 * those of a receipt are proved; of a list only `name` and `leaf_index` are set, which are the
 * server's word, as is that there is no other record.
 */
struct sealgate_record {
    const char *name;   /* audit/{log}/epochs/{n}/leaves/{leaf_index}; "" from a receipt's file */
    const char *origin; /* of the log; "" from a list */
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

/* What a log has promised: so many leaves, and the hash of them all. */
struct sealgate_checkpoint {
    const char *log; /* audit/{log}; "" from a file */
    const char *origin;
    uint64_t size;
    struct sealgate_bytes root; /* 32 bytes */
    struct sealgate_bytes note; /* the signed note itself: keep the newest of each log */
    /* Of sealgate_get_growth(): the proof that the log grew to it, as a text that stands alone
     * (docs/audit.md). */
    struct sealgate_bytes growth;
    /* The server's word on the log's key: believe it when the log's operator says the same. "": it
     * does not know it. */
    const char *key;
    bool is_signed; /* a log_key vouches for it */
};

/*
 * Offline: whether `note` is a checkpoint, and of a log that is believed. `log_key` is as in the
 * options; with NULL nobody vouches for it, and is_signed is false. `ret` may be NULL.
 *
 * Errors: DATA_LOSS with reason CHECKPOINT_WRONG, and the message says why; BAD_OPTIONS: the key is
 * none; OUT_OF_MEMORY.
 *
 * Thread: any. Owns: `*ret` is the caller's, for sealgate_free().
 */
SEALGATE_API enum sealgate_code sealgate_checkpoint_verify(struct sealgate_bytes note,
                                                           const char *log_key,
                                                           struct sealgate_checkpoint **ret,
                                                           struct sealgate_error *error);

/*
 * Offline: how many of the witnesses with these keys (NAME+ID+BASE64, with blanks between them, at
 * most 16) have cosigned the checkpoint in `file`: a checkpoint itself, or a receipt with one. Who
 * signed it for the log is judged by the functions above and not here.
 *
 * Errors: DATA_LOSS with reason CHECKPOINT_WRONG: it is no such file, or a signature that says it
 * is of one of the witnesses is not; BAD_OPTIONS: a key is none, or no witness's; OUT_OF_MEMORY.
 *
 * Thread: any.
 */
SEALGATE_API enum sealgate_code sealgate_witnesses_count(struct sealgate_bytes file,
                                                         const char *witness_keys, size_t *ret,
                                                         struct sealgate_error *error);

/*
 * Offline: whether a log only grew since the checkpoint `old`, which was kept. `later` is what
 * sealgate_get_growth() gave as `growth`; or a checkpoint of the same size, which then has to have
 * the same root: any other needs the proof. `*ret` (NULL: not wanted) is the later checkpoint.
 *
 * Errors: DATA_LOSS with reason CHECKPOINT_WRONG: it did not, or it is not proved, and the message
 * says why; BAD_OPTIONS: the key is none; OUT_OF_MEMORY.
 *
 * Thread: any. Owns: `*ret` is the caller's, for sealgate_free().
 */
SEALGATE_API enum sealgate_code
sealgate_growth_verify(struct sealgate_bytes old, struct sealgate_bytes later, const char *log_key,
                       struct sealgate_checkpoint **ret, struct sealgate_error *error);

/*
 * Offline: whether the key of a log is certified by a key in a token, so that nobody else has to
 * vouch for it. `first` is the receipt of the log's leaf 0, and `certifier` the certificate of the
 * token's key or that key itself, in PEM or DER; who issued a certificate, and until when, is for
 * the caller to judge. `*ret` (NULL: not wanted) is the checkpoint of the receipt, and its `key`
 * the log's key, a log_key for all other functions; `origin` names the log.
 *
 * Errors: DATA_LOSS with reason LOG_KEY_NOT_CERTIFIED: it is not, by this key, and the message says
 * why; BAD_OPTIONS: `certifier` is neither; OUT_OF_MEMORY.
 *
 * Thread: any. Owns: `*ret` is the caller's, for sealgate_free().
 */
SEALGATE_API enum sealgate_code sealgate_log_key_verify(struct sealgate_bytes first,
                                                        struct sealgate_bytes certifier,
                                                        struct sealgate_checkpoint **ret,
                                                        struct sealgate_error *error);

/* ---- Asking a gateway for its log ------------------------------------------------------------ */

/* Which records: every member that is set must match. Zeroed, it is all of them. */
struct sealgate_leaf_query {
    const char *log; /* audit/{log}; NULL: that of the gateway which answers */
    uint64_t first;  /* begin at this leaf; for a first page */
    uint32_t page_size;
    const char *page_token; /* NULL or "": the first page */

    enum sealgate_event event;
    const char *caller;
    const char *key; /* keys/{key}, or one version */
    const char *request_id;
    struct sealgate_bytes hash; /* that was signed, or of the document */
    struct sealgate_bytes signature;
    struct sealgate_bytes public_key_sha256; /* of the DER SubjectPublicKeyInfo */
    const char *document_number;
    int64_t since_ns, until_ns; /* from, and before; 0: any */
};

/* One page. There may be none on it and more behind it all the same. */
struct sealgate_leaf_list {
    const struct sealgate_record *records; /* in the log's order */
    size_t count;
    const char *next_page_token; /* empty: that was all */
};

typedef void sealgate_list_leaves_fn(void *user, const struct sealgate_error *error,
                                     const struct sealgate_leaf_list *list);
typedef void sealgate_get_receipt_fn(void *user, const struct sealgate_error *error,
                                     const struct sealgate_receipt *receipt);
typedef void sealgate_get_checkpoint_fn(void *user, const struct sealgate_error *error,
                                        const struct sealgate_checkpoint *checkpoint);

/*
 * A page of a log's records. They are read from their own bytes, and not proved: a receipt proves
 * one, an export all of them.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call.
 */
SEALGATE_API enum sealgate_code sealgate_list_leaves(struct sealgate_client *client,
                                                     const struct sealgate_leaf_query *query,
                                                     uint32_t timeout_ms,
                                                     struct sealgate_leaf_list **ret,
                                                     struct sealgate_error *error);

/* sealgate_list_leaves() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_list_leaves_start(struct sealgate_client *client, const struct sealgate_leaf_query *query,
                           uint32_t timeout_ms, sealgate_list_leaves_fn *fn, void *user,
                           struct sealgate_call **ret, struct sealgate_error *error);

/*
 * The receipt of any leaf, audit/{log}/leaves/{seq}, checked as those of signatures are.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call,
 * and DATA_LOSS with RECEIPT_WRONG.
 */
SEALGATE_API enum sealgate_code sealgate_get_receipt(struct sealgate_client *client,
                                                     const char *name, uint32_t timeout_ms,
                                                     struct sealgate_receipt **ret,
                                                     struct sealgate_error *error);

/* sealgate_get_receipt() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code sealgate_get_receipt_start(struct sealgate_client *client,
                                                           const char *name, uint32_t timeout_ms,
                                                           sealgate_get_receipt_fn *fn, void *user,
                                                           struct sealgate_call **ret,
                                                           struct sealgate_error *error);

/*
 * The newest checkpoint of a log, audit/{log} (NULL: of the gateway which answers).
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call,
 * and DATA_LOSS with CHECKPOINT_WRONG: it is not signed by a known log, or it contradicts what this
 * client was shown before.
 */
SEALGATE_API enum sealgate_code sealgate_get_checkpoint(struct sealgate_client *client,
                                                        const char *log, uint32_t timeout_ms,
                                                        struct sealgate_checkpoint **ret,
                                                        struct sealgate_error *error);

/* sealgate_get_checkpoint() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_get_checkpoint_start(struct sealgate_client *client, const char *log, uint32_t timeout_ms,
                              sealgate_get_checkpoint_fn *fn, void *user,
                              struct sealgate_call **ret, struct sealgate_error *error);

/*
 * The newest checkpoint of a log, proved to have grown from `old`, a checkpoint that was kept and
 * has at least one leaf.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as every call,
 * and DATA_LOSS with CHECKPOINT_WRONG: it did not grow from there, or it is not proved, or `old` is
 * none itself. NOT_FOUND with LEAF_NOT_FOUND: the server says that its log is shorter than `old`.
 */
SEALGATE_API enum sealgate_code sealgate_get_growth(struct sealgate_client *client, const char *log,
                                                    struct sealgate_bytes old, uint32_t timeout_ms,
                                                    struct sealgate_checkpoint **ret,
                                                    struct sealgate_error *error);

/* sealgate_get_growth() without blocking: `fn` brings the answer. Thread: the client's. Owns:
 * `*ret` is the client's, good until `fn` has returned. Errors: BAD_ARGUMENT, TOO_MUCH_WAITING,
 * OUT_OF_MEMORY, CHECKPOINT_WRONG of `old`; all others come to `fn`. */
SEALGATE_API enum sealgate_code
sealgate_get_growth_start(struct sealgate_client *client, const char *log,
                          struct sealgate_bytes old, uint32_t timeout_ms,
                          sealgate_get_checkpoint_fn *fn, void *user, struct sealgate_call **ret,
                          struct sealgate_error *error);

/*
 * The same from a tree of which no checkpoint was kept, but its size (at least 1) and its root (32
 * bytes) are known otherwise: computed from leaves, for one.
 *
 * Thread: the client's. Owns: `*ret` is the caller's, for sealgate_free(). Errors: as
 * sealgate_get_growth().
 */
SEALGATE_API enum sealgate_code
sealgate_get_growth_from(struct sealgate_client *client, const char *log, uint64_t old_size,
                         struct sealgate_bytes old_root, uint32_t timeout_ms,
                         struct sealgate_checkpoint **ret, struct sealgate_error *error);

/* Watches: `leaf` for each record from query->first on, in the log's order, until `done`, which
 * always comes with an error. */
struct sealgate_leaf_events {
    void (*leaf)(void *user, const struct sealgate_record *record);
    void (*done)(void *user, const struct sealgate_error *error);
};

/*
 * Watches a log until it is cancelled or its time is up; page_size and page_token are not looked
 * at. When the connection is lost, or the server ends the watch or is away for a while, it goes on
 * from the leaf behind the last that came, at the next endpoint or the same: `leaf` is told of each
 * record once and of all.
 *
 * Thread: the client's. Owns: `*ret` is the client's, good until `done` has returned.
 * Errors: BAD_ARGUMENT, TOO_MUCH_WAITING, OUT_OF_MEMORY; all others come to `done`.
 */
SEALGATE_API enum sealgate_code
sealgate_watch_leaves_start(struct sealgate_client *client, const struct sealgate_leaf_query *query,
                            uint32_t timeout_ms, const struct sealgate_leaf_events *events,
                            void *user, struct sealgate_call **ret, struct sealgate_error *error);

#ifdef __cplusplus
}
#endif

#endif
