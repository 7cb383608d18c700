#ifndef SG_FORMATS_AUDIT_WITNESS_H
#define SG_FORMATS_AUDIT_WITNESS_H

#include "formats/audit/checkpoint.h"

/*
 * What logs and witnesses say to each other (c2sp.org/tlog-witness): a log sends its checkpoint
 * with the proof that it grew from the one that the witness cosigned last, and the witness, which
 * remembers that one, cosigns it or says why not. Two trees of one log cannot both be cosigned, so
 * nobody can be shown another log than everybody else, and no log can be put back unnoticed.
 *
 * What is said here is pure: it keeps nothing and sends nothing. A witness must keep what it is
 * about to cosign, durably, before the signature leaves.
 */

enum {
    SG_WITNESS_PROOF_MAX = 63, /* lines of a proof */
    SG_WITNESS_REQUEST_BYTES_MAX = SG_NOTE_BYTES_MAX + 4096,
    SG_WITNESS_ANSWER_BYTES_MAX = 16 * 1024,
};

/* The body of POST PREFIX/add-checkpoint. */
struct sg_witness_request {
    uint64_t old_size; /* of the tree that the proof begins with */
    struct sg_tree_proof proof;
    struct sg_slice checkpoint; /* the whole note */

    /* What parsing finds in the note; nobody has judged its signatures. */
    struct sg_note note;
    struct sg_checkpoint claimed;
};

/* Appends it; reads old_size, proof and checkpoint alone. */
void sg_witness_request_write(const struct sg_witness_request *request, struct sg_buf *out);
/* Judges the form alone; `ret` has parts of `text`. Errors: SG_E_INVALID; SG_E_LIMIT: it is too
 * long. */
SG_MUST_USE enum sg_rc sg_witness_request_parse(struct sg_slice text,
                                                struct sg_witness_request *ret, struct sg_err *err);

/* The witness -------------------------------------------------------------------------------- */

/* A log that a witness knows. */
struct sg_witness_log {
    const struct sg_note_key *const *keys; /* any of them may have signed */
    size_t key_count;
    struct sg_tree_head known; /* what was cosigned last; zeroed: nothing was */
};

/* Zero means no. */
enum sg_witness_verdict {
    SG_WITNESS_MALFORMED = 0, /* also: the old size is more than the new one */
    SG_WITNESS_UNKNOWN_LOG,
    SG_WITNESS_NOT_SIGNED, /* by none of the log's keys */
    SG_WITNESS_CONFLICT,   /* the old size is not the known one: ask again from there */
    SG_WITNESS_FORKED,     /* another tree of the size that is known: the log has lied */
    SG_WITNESS_NOT_PROVED, /* that it grew from what is known */
    SG_WITNESS_COSIGN,     /* once request->claimed.head is durably what is known */
};

/*
 * What a witness that knows `log` (NULL: it does not) answers to the request. With
 * SG_WITNESS_COSIGN
 * `*ret_signed` is the line by which the log has signed.
 *
 * SG_OK means judged. Errors: SG_E_INTERNAL.
 */
SG_MUST_USE enum sg_rc sg_witness_judge(struct sg_tree_hasher *hasher,
                                        const struct sg_witness_log *log,
                                        const struct sg_witness_request *request,
                                        enum sg_witness_verdict *ret, struct sg_slice *ret_signed,
                                        struct sg_err *err);
/* The HTTP status of it. */
unsigned sg_witness_status(enum sg_witness_verdict verdict);
/* "text/x.tlog.size", of the body of a 409: a size and a newline. */
extern const char sg_witness_size_type[];

/* The log ------------------------------------------------------------------------------------ */

enum sg_witness_answer_kind {
    SG_WITNESS_ANSWER_NONE = 0, /* not one that the protocol has, or not a body that it has */
    SG_WITNESS_ANSWER_COSIGNED,
    SG_WITNESS_ANSWER_SIZE,    /* it cosigned a tree of this size last; may be the old size itself,
                                  and then it knows another tree of it */
    SG_WITNESS_ANSWER_FORKED,  /* 422: our tree did not grow from what it cosigned */
    SG_WITNESS_ANSWER_REFUSED, /* it does not know the log or its key, or takes no such request */
};

struct sg_witness_answer {
    enum sg_witness_answer_kind kind;
    struct sg_slice line; /* of COSIGNED: the witness's, judged; part of the body */
    uint64_t time;        /* of it, in seconds since 1970 */
    uint64_t size;        /* of SIZE */
};

/*
 * What a witness with this key has answered about a checkpoint (a whole note). Lines by other keys
 * are left alone, and one that says it is by this key and is not makes the answer NONE. SG_OK means
 * read. Errors: SG_E_INTERNAL, SG_E_LIMIT: no memory.
 */
SG_MUST_USE enum sg_rc sg_witness_answer_read(unsigned status, struct sg_slice body,
                                              struct sg_slice checkpoint,
                                              const struct sg_note_key *witness,
                                              struct sg_witness_answer *ret, struct sg_err *err);
/* The reader of a checkpoint ------------------------------------------------------------------ */

/* How many of these witnesses have cosigned a note. Errors: SG_E_INVALID: a line says that it is
 * one of theirs and is not, or one of the keys is no witness's; SG_E_INTERNAL. */
SG_MUST_USE enum sg_rc sg_witness_count(const struct sg_note *note,
                                        struct sg_note_key *const *witnesses, size_t count,
                                        size_t *ret, struct sg_err *err);

#endif
