#ifndef SG_CLI_BEARER_H
#define SG_CLI_BEARER_H

#include "base/cleanup.h"
#include "base/err.h"
#include "client/include/sealgate.h"

/*
 * A bearer token from a file, as the library asks for it. In locked memory; the file is not read
 * again.
 */
struct sg_bearer_file;

/* Reads it. Errors: those of sg_secret_read_file(); SG_E_INVALID: what is there is no token. */
SG_MUST_USE enum sg_rc sg_bearer_file_read(const char *path, struct sg_bearer_file **ret,
                                           struct sg_err *err);
void sg_bearer_file_free(struct sg_bearer_file *file);

/* For sealgate_options.authorization; `user` is the file. */
enum sealgate_code sg_bearer_file_authorize(void *user, char *value, size_t room);

#endif
