#ifndef SG_CLI_FILE_OUT_H
#define SG_CLI_FILE_OUT_H

#include "client/cli/cli.h"

/*
 * A file that is written in pieces, beside its place, and is there whole or not at all: in the end
 * it takes its name, over what was there, so that nobody ever reads half of it. "-" is standard
 * output, and a device or a pipe is written as it is.
 */
struct sg_file_out {
    const char *path;
    char beside[4096]; /* empty: it is written in its place */
    int fd;
};

/* Each says on stderr what went wrong, with SG_EXIT_FILE. After a failed open nothing is to be
 * ended; after a failed write, sg_file_out_abandon(). */
enum sg_exit sg_file_out_open(const struct sg_cli *cli, const char *path, struct sg_file_out *ret);
enum sg_exit sg_file_out_write(const struct sg_cli *cli, struct sg_file_out *out,
                               struct sg_slice bytes);
/* The end, whatever it gives. `is_durable`: it returns when the file is on the disk. */
enum sg_exit sg_file_out_commit(const struct sg_cli *cli, struct sg_file_out *out, bool is_durable);
void sg_file_out_abandon(struct sg_file_out *out);

#endif
