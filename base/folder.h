#ifndef SG_BASE_FOLDER_H
#define SG_BASE_FOLDER_H

#include "base/err.h"
#include "base/slice.h"

/*
 * Names on the disk. A file that was synced has its bytes there; that it has its name is written in
 * the folder, and after a power cut is known only when the folder was synced, too.
 */

/* Blocks. Thread: any. Errors: SG_E_UNAVAILABLE. */
SG_MUST_USE enum sg_rc sg_folder_sync(const char *folder, struct sg_err *err);
/* The same for the folder that `path` names something in: what stands before its last slash, or
 * where the process is. Errors: SG_E_INVALID too, the path is too long. */
SG_MUST_USE enum sg_rc sg_folder_sync_of(const char *path, struct sg_err *err);

/* Puts a file of these bytes, mode 0600, in the place of what `path` names. Whatever happens, one
 * or the other is there, whole; on SG_OK the new one, after a power cut too. `path` with ".new" is
 * used on the way. Blocks. Thread: any, one for each path. Errors: SG_E_UNAVAILABLE; SG_E_INVALID,
 * the path is too long. */
SG_MUST_USE enum sg_rc sg_folder_put(const char *path, struct sg_slice bytes, struct sg_err *err);

#endif
