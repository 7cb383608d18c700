#ifndef SG_FORMATS_AUDIT_NOTE_PRIV_H
#define SG_FORMATS_AUDIT_NOTE_PRIV_H

#include "base/buf.h"
#include "formats/audit/tree.h"

/* What the texts of the log have in common: lines, numbers and hashes in them. */

/* Cuts the first line off, without its newline; false when there is none. */
bool sg_note_take_line(struct sg_slice *in, struct sg_slice *ret);
/* "NAME VALUE": leaves the value; `name` has the space. */
bool sg_note_is_field(struct sg_slice *line, const char *name);
/* Digits without a zero before them. */
bool sg_note_is_number(struct sg_slice text, uint64_t *ret);
bool sg_note_is_hash(struct sg_slice text, struct sg_tree_hash *ret);
/* Appends a line with it. */
void sg_note_add_hash(const struct sg_tree_hash *hash, struct sg_buf *out);

#endif
