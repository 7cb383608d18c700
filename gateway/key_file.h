#ifndef SG_GATEWAY_KEY_FILE_H
#define SG_GATEWAY_KEY_FILE_H

#include "formats/audit/signer.h"

/* Files that the commands of sealgated read and make. They block. */

/* Appends a whole file, of at most as much as `out` may have. Errors: SG_E_UNAVAILABLE: it cannot
 * be read; SG_E_INVALID: it is empty or too long. */
SG_MUST_USE enum sg_rc sg_file_read(const char *path, struct sg_buf *out, struct sg_err *err);
/* The folder that the file is to be in, of mode 0700; those above it are the operator's. */
SG_MUST_USE enum sg_rc sg_file_make_folder(const char *path, struct sg_err *err);
/* Puts `beside` in the place of `path`, which stays as `kept`; what is done already is not done
 * again. Errors: SG_E_UNAVAILABLE. */
SG_MUST_USE enum sg_rc sg_file_replace(const char *beside, const char *path, const char *kept,
                                       struct sg_err *err);

/* A log's or a witness's private key. Errors: SG_E_NOT_FOUND: there is no such file; those of
 * sg_secret_read_file() and sg_note_signer_new(). */
SG_MUST_USE enum sg_rc sg_key_file_read(const char *path, struct sg_note_signer **ret,
                                        struct sg_err *err);
/* The same, or a new one where there is none; of an earlier, unfinished attempt it is kept. Errors:
 * SG_E_CONFLICT: it is a key of another name, or kind. */
SG_MUST_USE enum sg_rc sg_key_file_make(const char *path, const char *name, enum sg_note_kind kind,
                                        struct sg_note_signer **ret, struct sg_err *err);

#endif
