#ifndef SG_FORMATS_AUDIT_EXPORT_H
#define SG_FORMATS_AUDIT_EXPORT_H

#include "formats/audit/checkpoint.h"
#include "formats/audit/record.h"

/*
 * A piece of a log as a file: the leaves from `first` up to `end`, and what proves that they are
 * those of the log. What an auditor takes away, and what is kept of leaves that leave the store;
 * docs/audit.md has the format for programs that are not ours.
 *
 * A head of lines, the newest checkpoint, and then the leaves, each with its number and its hash:
 * so that a fault that befell the file is found at its leaf. One that somebody made, who computed
 * the hashes anew, is found at the root and cannot be placed.
 */

/* Borrowed. The proof shows that the tree of `end` leaves grew to the checkpoint's. */
struct sg_export_head {
    struct sg_slice origin;
    uint64_t first, end;
    struct sg_tree_hash root;    /* of the tree of `end` leaves */
    struct sg_tree_edge edge;    /* of the tree of `first` leaves */
    struct sg_tree_proof growth; /* no hashes when `end` is 0 or the checkpoint's size */
    struct sg_slice checkpoint;  /* the whole note */
};

enum { SG_EXPORT_LEAF_BYTES_MAX = SG_AUDIT_RECORD_BYTES_MAX + 8 + 4 + SG_TREE_HASH_BYTES };

/* Writing: the head, then each leaf in its order, appended to `out`, which the caller empties into
 * the file as he likes. */
void sg_export_write_head(const struct sg_export_head *head, struct sg_buf *out);
void sg_export_write_leaf(struct sg_tree_hasher *hasher, uint64_t index, struct sg_slice record,
                          struct sg_buf *out);

/* What is wrong with a file. Zero: it has not been judged to its end. */
enum sg_export_verdict {
    SG_EXPORT_UNJUDGED = 0,
    SG_EXPORT_PROVED,
    SG_EXPORT_NOT_SIGNED,  /* the log's key did not sign the checkpoint */
    SG_EXPORT_NOT_GROWN,   /* the checkpoint's tree does not begin with that of `end` leaves */
    SG_EXPORT_WRONG_ROOT,  /* these leaves, or those before them, are not those of the tree */
    SG_EXPORT_WRONG_LEAF,  /* `leaf` is not what its hash says, or is no record */
    SG_EXPORT_WRONG_ORDER, /* another leaf stands where `leaf` should */
    SG_EXPORT_CUT,         /* it ends before `leaf` is whole, or before there was any */
    SG_EXPORT_MALFORMED,   /* it is no such file, or there is more behind the last leaf */
};

/* For people: "the growth of the log is not proved". Static. */
const char *sg_export_verdict_text(enum sg_export_verdict verdict);

struct sg_export_result {
    enum sg_export_verdict verdict;
    uint64_t leaf;            /* of WRONG_LEAF, WRONG_ORDER, CUT */
    bool is_signed;           /* by the key that was given; false without one */
    struct sg_tree_head head; /* what the checkpoint promises, when it could be read */
};

/* Is told of each leaf whose hash is right: nothing of it is proved before the end. What it fails
 * with ends the reading and is returned. `bytes` and `record` live for the call. */
typedef enum sg_rc (*sg_export_leaf_fn)(void *arg, uint64_t index, struct sg_slice bytes,
                                        const struct sg_audit_record *record, struct sg_err *err);

/* Reads and proves a file that comes in pieces of any size. Keeps one leaf at a time. */
struct sg_export_reader;

/* `log_key` may be NULL: then nobody vouches for the checkpoint. `fn` may be NULL. Both must
 * outlive the reader. */
SG_MUST_USE enum sg_rc sg_export_reader_new(const struct sg_note_key *log_key, sg_export_leaf_fn fn,
                                            void *arg, struct sg_export_reader **ret,
                                            struct sg_err *err);
void sg_export_reader_free(struct sg_export_reader *reader);
SG_DEFINE_AUTO(struct sg_export_reader, sg_export_reader_free);

/* Errors: SG_E_INVALID: the file is not what it should be, and the result says why; SG_E_INTERNAL.
 * After either nothing more may be fed. */
SG_MUST_USE enum sg_rc sg_export_read(struct sg_export_reader *reader, struct sg_slice bytes,
                                      struct sg_err *err);
/* The file is over. SG_OK means proved. Errors: as above. */
SG_MUST_USE enum sg_rc sg_export_finish(struct sg_export_reader *reader, struct sg_err *err);

/* What is known by now. */
void sg_export_result(const struct sg_export_reader *reader, struct sg_export_result *ret);
/* The head, once the first leaf or the end has come; NULL before. Lives as long as the reader. */
const struct sg_export_head *sg_export_reader_head(const struct sg_export_reader *reader);

#endif
