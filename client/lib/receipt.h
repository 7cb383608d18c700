#ifndef SG_CLIENT_RECEIPT_H
#define SG_CLIENT_RECEIPT_H

#include "base/arena.h"
#include "client/include/sealgate_audit.h"
#include "client/lib/error.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/record.h"
#include "sealgate/v1/signing.pb-c.h"

/*
 * Judging receipts: whether a record is in the log, and says what was asked and answered. What a
 * client has to remember for it: the logs' keys, and the newest head of each log that it was shown.
 */
struct sg_client_receipts;

enum { SG_CLIENT_LOG_KEYS_MAX = 16, SG_CLIENT_HEADS_MAX = 64 };

/* `log_keys` as in the options. Errors: BAD_OPTIONS, OUT_OF_MEMORY. */
enum sealgate_code sg_client_receipts_new(const char *log_keys, enum sealgate_receipts policy,
                                          struct sg_client_receipts **ret,
                                          struct sealgate_error *error);
void sg_client_receipts_free(struct sg_client_receipts *receipts);
SG_DEFINE_AUTO(struct sg_client_receipts, sg_client_receipts_free);

/* Whose tree it is: a pinned key, or else as much of a key's id as five letters of base64 have.
 * Logs that have a name in common are told apart by it. */
enum { SG_CLIENT_SIGNER_BYTES = 5 };

/* What a checkpoint that may be believed says. */
struct sg_client_head {
    char signer[SG_CLIENT_SIGNER_BYTES];
    char origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX + 1];
    struct sg_tree_head head;
};

/* Judges a checkpoint that came by itself, and remembers it. Errors: CHECKPOINT_WRONG,
 * OUT_OF_MEMORY. */
enum sealgate_code sg_client_checkpoint_judge(struct sg_client_receipts *receipts,
                                              struct sg_slice note, struct sg_client_head *ret,
                                              struct sealgate_error *error);
/* Whether a key is pinned, which has then signed all that was judged. */
bool sg_client_receipts_are_pinned(const struct sg_client_receipts *receipts);
struct sg_tree_hasher *sg_client_receipts_hasher(struct sg_client_receipts *receipts);

/* What the record of an answer must say. */
struct sg_client_asked {
    uint8_t request_sha256[SG_TREE_HASH_BYTES];
    char request_id[64]; /* what is longer is compared so far */
    bool is_made;        /* the id, by this library */
    uint8_t digest[SG_DIGEST_BYTES_MAX];
    size_t digest_len; /* of a message: 32, its SHA-256 */
};
enum sealgate_code sg_client_asked_of(const struct sealgate_sign_request *request,
                                      struct sg_client_asked *ret, struct sealgate_error *error);

/* An item of a stream that has no answer yet, as it was sent, to be sent again. */
struct sg_client_item {
    struct sg_client_item *next;
    char id[65];
    struct sg_client_asked asked;
    bool is_repeatable; /* the server tells it from a new one */
    bool is_unsent;     /* waits for the next connection */
    size_t len;
    uint8_t bytes[];
};

/* In the order in which they were sent, in which most are answered. */
struct sg_client_items {
    struct sg_client_item *first, **end; /* `end` NULL: empty */
    size_t bytes;                        /* that are kept, with lengths */
    bool has_unsent;                     /* one of them finds no room on the open stream */
};

/*
 * The receipt of an answer; `*ret` is NULL when there is none and none is required. Errors:
 * RECEIPT_MISSING, RECEIPT_WRONG, OUT_OF_MEMORY.
 */
enum sealgate_code sg_client_receipt_decode(struct sg_client_receipts *receipts,
                                            const Sealgate__V1__SignResponse *answer,
                                            const struct sg_client_asked *asked,
                                            struct sg_arena *arena,
                                            const struct sealgate_receipt **ret,
                                            struct sealgate_error *error);
/* The same for a receipt that was asked for by itself. */
enum sealgate_code sg_client_receipt_read(struct sg_client_receipts *receipts,
                                          const Sealgate__V1__AuditReceipt *in,
                                          struct sg_arena *arena, struct sealgate_receipt *ret,
                                          struct sg_audit_record *ret_record,
                                          struct sealgate_error *error);

/* What a record says, with text that ends with a NUL, in the arena. */
enum sealgate_code sg_client_record_of(const struct sg_audit_record *in, struct sg_slice bytes,
                                       struct sg_arena *arena, struct sealgate_record *ret,
                                       struct sealgate_error *error);

#endif
