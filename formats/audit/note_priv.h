#ifndef SG_FORMATS_AUDIT_NOTE_PRIV_H
#define SG_FORMATS_AUDIT_NOTE_PRIV_H

#include "base/slice.h"

/* Cuts the first line off, without its newline; false when there is none. */
bool sg_note_take_line(struct sg_slice *in, struct sg_slice *ret);

#endif
