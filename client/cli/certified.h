#ifndef SG_CLI_CERTIFIED_H
#define SG_CLI_CERTIFIED_H

#include "client/cli/cli.h"
#include "formats/audit/note.h"

/* --certified-by: which logs' keys a key in a token has certified, as the leaves 0 in files say. */

/* Reads the certificate or public key in `path` as SubjectPublicKeyInfo. */
enum sg_exit sg_cli_read_certifier(const struct sg_cli *cli, const char *path, struct sg_buf *spki);

/* The log's key that the leaf 0 in this file, a receipt or an export, names and has certified by
 * the key in `spki`. The file itself is not proved by this. Errors: SG_E_UNSUPPORTED: it has no
 * leaf 0; SG_E_INVALID, SG_E_NOT_FOUND: that has no such certification; SG_E_UNAVAILABLE: it cannot
 * be read.
 */
SG_MUST_USE enum sg_rc sg_cli_certified_key(const char *path, struct sg_slice spki,
                                            struct sg_note_key **ret, struct sg_err *err);

#endif
