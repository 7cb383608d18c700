#ifndef SG_CLI_KEPT_H
#define SG_CLI_KEPT_H

#include "client/cli/cli.h"
#include "formats/audit/checkpoint.h"
#include "formats/audit/witness.h"

/*
 * A checkpoint that was kept (--since), and what is held against it: a log that has lied shows
 * here, however well everything else fits together. Between two sizes that needs proofs of growth
 * (--growth), of which each may lead on from what another has shown.
 */
enum { SG_KEPT_GROWTHS_MAX = SG_ARGS_VALUES_MAX };

struct sg_kept {
    bool is_given; /* --since was */
    char origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX + 1];
    struct {
        uint64_t old_size;
        struct sg_tree_proof proof;
        struct sg_tree_head head;
    } growths[SG_KEPT_GROWTHS_MAX];
    size_t growth_count;
    /* Trees that are shown to be one log: that of --since, and those it grew to. */
    struct sg_tree_head heads[1 + SG_KEPT_GROWTHS_MAX];
    size_t head_count;
};

/* The row of the option for the tables of commands. */
#define SG_KEPT_SINCE_OPTION                                                                       \
    {                                                                                              \
        "since", "FILE", "a checkpoint that was kept, or a receipt with one in it", false          \
    }

/* Appends the checkpoint in the file: a note by itself, that of a receipt or of a proof of growth.
 * `out` needs room for SG_RECEIPT_BYTES_MAX and one. */
enum sg_exit sg_cli_read_checkpoint(const struct sg_cli *cli, const char *path, struct sg_buf *out);

/* Reads a checkpoint, which one of the keys has signed where there are any. Errors: SG_E_INVALID,
 * SG_E_LIMIT: it is none, or nobody has; SG_E_INTERNAL. `ret->origin` is part of `bytes`. */
SG_MUST_USE enum sg_rc sg_cli_judge_checkpoint(struct sg_slice bytes,
                                               struct sg_note_key *const *keys, size_t key_count,
                                               struct sg_checkpoint *ret, struct sg_err *err);

/* Takes the options --since and --growth; files that prove nothing end it. */
enum sg_exit sg_kept_read(const struct sg_cli *cli, struct sg_note_key *const *keys,
                          size_t key_count, struct sg_tree_hasher *hasher, struct sg_kept *ret);

/* Whether the checkpoint is of the log that was kept; anything is where nothing was. Errors:
 * SG_E_INVALID: it is not, or that is not shown, and the message says which. */
SG_MUST_USE enum sg_rc sg_kept_check(const struct sg_kept *kept, struct sg_tree_hasher *hasher,
                                     struct sg_slice origin, const struct sg_tree_head *head,
                                     struct sg_err *err);

#endif
