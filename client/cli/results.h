#ifndef SG_CLI_RESULTS_H
#define SG_CLI_RESULTS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

/*
 * The results of signing many files: a file of JSON lines that only grows. The first line says by
 * what the files are signed, each other one what became of one file:
 *
 *     {"sealgate_results":1,"key":"keys/dev-p256",...}
 *     {"file":"a.pdf","signed":true,...}
 *     {"file":"b.pdf","signed":false,"error":{...}}
 *
 * What was committed survives a crash; a line that a crash cut is removed when the file is opened
 * again. A file that failed may come again; it is signed when any of its lines says so.
 */
struct sg_results;

/*
 * Makes the file, which must not exist, with `head` as its first line; or, to resume, opens it
 * when there is one, which begins with the same `head` and which nobody else has open.
 *
 * Errors:  SG_E_CONFLICT   it is there already, or begins otherwise, or is in use
 *          SG_E_INVALID    a line of it is no result
 *          SG_E_INTERNAL   the system failed
 */
SG_MUST_USE enum sg_rc sg_results_open(const char *path, struct sg_slice head, bool resume,
                                       struct sg_results **ret, struct sg_err *err);
/* What was not committed is lost. */
void sg_results_close(struct sg_results *results);
SG_DEFINE_AUTO(struct sg_results, sg_results_close);

/* Whether this file had been signed when the results were opened. */
bool sg_results_has(const struct sg_results *results, const char *file);

/* Where the lines of results are appended, each with its line end, until they are committed. */
struct sg_buf *sg_results_lines(struct sg_results *results);
/* Writes them and waits until they would survive a crash. */
SG_MUST_USE enum sg_rc sg_results_commit(struct sg_results *results, struct sg_err *err);

/* Takes a line of a result apart: the file's name as JSON has it, without the quotes, and whether
 * it was signed. False: it is none. */
bool sg_results_line(struct sg_slice line, struct sg_slice *ret_file, bool *ret_signed);

#endif
