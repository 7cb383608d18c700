#ifndef SG_GATEWAY_WITNESS_KEEPER_H
#define SG_GATEWAY_WITNESS_KEEPER_H

#include "formats/audit/signer.h"
#include "gateway/witness/memory.h"

/*
 * A witness without sockets and threads: request in, answer out, one after the other. It cosigns
 * only what is durably what it knows.
 *
 * Blocks. Thread: one at a time.
 */
struct sg_witness_keeper;

/* A log whose checkpoints may be cosigned. */
struct sg_witness_trusted {
    const char *origin;
    const char *const *keys; /* NAME+ID+BASE64; any may have signed */
    size_t key_count;
};

enum { SG_WITNESS_KEYS_MAX = 4 }; /* of one log */

/* `folder` is the memory's. Errors: those of it; SG_E_INVALID: the key file holds no witness's key,
 * or a key of a log cannot be read. */
SG_MUST_USE enum sg_rc sg_witness_keeper_open(const char *key_file, const char *folder,
                                              const struct sg_witness_trusted *logs,
                                              size_t log_count, struct sg_witness_keeper **ret,
                                              struct sg_err *err);
void sg_witness_keeper_close(struct sg_witness_keeper *keeper);
SG_DEFINE_AUTO(struct sg_witness_keeper, sg_witness_keeper_close);

/* By which its signatures are judged; lives as long as the keeper. */
const struct sg_note_key *sg_witness_keeper_key(const struct sg_witness_keeper *keeper);

/* What is answered, and what is to be said of it in a log. */
struct sg_witness_reply {
    unsigned status;
    const char *type; /* of the body; static */
    char body[768];   /* a line, a size, or a sentence */
    size_t body_len;
    enum sg_witness_verdict verdict;
    char origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX + 1]; /* "": the request has none */
    uint64_t known, size;                            /* what was known, and what was claimed */
    struct sg_err err;                               /* of a 4xx that is malformed, and of a 500 */
};

/* Answers the body of a request; `time_s` is now, in seconds since 1970. */
void sg_witness_keeper_answer(struct sg_witness_keeper *keeper, struct sg_slice body,
                              uint64_t time_s, struct sg_witness_reply *ret);

#endif
