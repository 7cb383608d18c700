#ifndef SG_TESTS_SUPPORT_AUDIT_MAKER_H
#define SG_TESTS_SUPPORT_AUDIT_MAKER_H

#include "formats/audit/export.h"

/*
 * A log in memory, by a key that is the same in every run: what tests take receipts and exports
 * from. Aborts when it cannot.
 */
struct audit_maker;

/* `seed` is each byte of the private key. */
struct audit_maker *audit_maker_new(const char *origin, uint8_t seed);
void audit_maker_free(struct audit_maker *maker);

/* Appends so many records: the log's beginning, then signatures and a denial now and then. */
void audit_maker_grow(struct audit_maker *maker, uint64_t count);
/* Appends the encoding of this one, or any bytes. */
void audit_maker_add(struct audit_maker *maker, struct sg_slice record);

const struct sg_note_key *audit_maker_key(const struct audit_maker *maker);
struct sg_slice audit_maker_record(const struct audit_maker *maker, uint64_t index);

/* That the tree of `size` leaves grew from that of `old`, which is not 0. */
void audit_maker_growth(struct audit_maker *maker, uint64_t old, uint64_t size,
                        struct sg_tree_proof *ret);

/* Each appends to `out`; of the tree as it was with `size` leaves. */
void audit_maker_checkpoint(struct audit_maker *maker, uint64_t size, struct sg_buf *out);
void audit_maker_receipt(struct audit_maker *maker, uint64_t index, uint64_t size,
                         struct sg_buf *out);
/* From the tree of `old_size` leaves (at least 1) to that of `size`, as witnesses are sent it. */
void audit_maker_growth_file(struct audit_maker *maker, uint64_t old_size, uint64_t size,
                             struct sg_buf *out);
void audit_maker_export(struct audit_maker *maker, uint64_t first, uint64_t end, uint64_t size,
                        struct sg_buf *out);

#endif
