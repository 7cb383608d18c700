#ifndef SG_CLI_SIGN_MANY_H
#define SG_CLI_SIGN_MANY_H

#include "client/cli/cli.h"

/*
 * sealgate sign --manifest: many files, side by side, with a line of results for each
 * (client/cli/results.h). Before a file is begun, what became of those before it is on the disk;
 * so a run that was cut signs again at most those that it had begun.
 */

/* Checks the options that only this way has against the others. */
enum sg_exit sg_sign_many_check(const struct sg_cli *cli);

/* `request` has all that the files share; `is_message`: each is signed as it is, unhashed. The
 * client is connected by this. SG_EXIT_NO: some files were not signed, and the results say why. */
enum sg_exit sg_sign_many(struct sg_cli *cli, const struct sealgate_sign_request *request,
                          bool is_message);

#endif
