#ifndef SG_GATEWAY_WITNESS_MEMORY_H
#define SG_GATEWAY_WITNESS_MEMORY_H

#include "formats/audit/witness.h"

/*
 * What a witness cosigned last of each log: a folder with a file for each, named after its origin's
 * hash, which holds the checkpoint as the log has signed it. So it proves by itself what it says,
 * and is what to show when the log later denies it.
 *
 * A file is replaced whole, and it and its folder are on the disk when a call returns. The folder
 * is held by a lock: a second witness on it would forget what the first one knows.
 *
 * Blocks. Thread: one at a time.
 */
struct sg_witness_memory;

/* Makes the folder, not those above it. Errors: SG_E_CONFLICT, another process holds it;
 * SG_E_UNAVAILABLE. */
SG_MUST_USE enum sg_rc sg_witness_memory_open(const char *folder, struct sg_witness_memory **ret,
                                              struct sg_err *err);
void sg_witness_memory_close(struct sg_witness_memory *memory);
SG_DEFINE_AUTO(struct sg_witness_memory, sg_witness_memory_close);

/* What is known of the log with this origin; zeroed where nothing ever was. Errors: SG_E_INTERNAL
 * STORE_BROKEN: what is there is not what was written, or none of the keys has signed it;
 * SG_E_UNAVAILABLE: it cannot be read. */
SG_MUST_USE enum sg_rc sg_witness_memory_read(struct sg_witness_memory *memory,
                                              struct sg_slice origin,
                                              const struct sg_note_key *const *keys,
                                              size_t key_count, struct sg_tree_head *ret,
                                              struct sg_err *err);
/* Remembers a checkpoint: its text and the line by which the log has signed it. Errors:
 * SG_E_UNAVAILABLE: it is not known whether it is remembered, and it must not be cosigned. */
SG_MUST_USE enum sg_rc sg_witness_memory_write(struct sg_witness_memory *memory,
                                               struct sg_slice origin, struct sg_slice text,
                                               struct sg_slice line, struct sg_err *err);
/* Keeps a checkpoint that contradicts what is known, in a file beside it that ends in ".fork": two
 * trees of one size, both signed by the log, are what proves that it has lied. The first one stays.
 */
SG_MUST_USE enum sg_rc sg_witness_memory_keep_fork(struct sg_witness_memory *memory,
                                                   struct sg_slice origin,
                                                   struct sg_slice checkpoint, struct sg_err *err);

#endif
