#ifndef SG_CLI_ARGS_H
#define SG_CLI_ARGS_H

#include <stdio.h>

#include "base/err.h"

/*
 * The command line: one row per option, from which parsing and --help both come.
 *
 * "--name VALUE" and "--name=VALUE"; options and words in any order; "--" ends the options. An
 * option that takes one value and is given twice is refused: which one counts would be a guess.
 */
struct sg_option {
    const char *name;  /* without the dashes */
    const char *value; /* what to call its value in the help; NULL: it takes none */
    const char *help;
    bool repeats;
};

enum { SG_ARGS_VALUES_MAX = 16, SG_ARGS_OPTIONS_MAX = 40, SG_ARGS_WORDS_MAX = 256 };

struct sg_args {
    const struct sg_option *const *tables; /* NULL-ended list of tables, each ended by a zero row */
    struct {
        const struct sg_option *option;
        const char *values[SG_ARGS_VALUES_MAX]; /* borrowed from argv; "" for a flag */
        size_t count;
    } given[SG_ARGS_OPTIONS_MAX];
    size_t given_count;
    const char *words[SG_ARGS_WORDS_MAX]; /* what is no option */
    size_t word_count;
    bool wants_help; /* --help or -h stood somewhere */
};

/* `argv` without the program's name. Errors: SG_E_INVALID, with what is wrong for a person. */
SG_MUST_USE enum sg_rc sg_args_parse(const struct sg_option *const *tables, int argc,
                                     const char *const *argv, struct sg_args *ret,
                                     struct sg_err *err);

/* The value of an option of the tables (any other name is a bug); NULL: not given. */
const char *sg_args_get(const struct sg_args *args, const char *name);
bool sg_args_has(const struct sg_args *args, const char *name);
/* All values of an option that repeats; returns how many. */
size_t sg_args_all(const struct sg_args *args, const char *name, const char *const **ret);

/* The options' part of a help text. */
void sg_args_help(const struct sg_option *table, FILE *file);

#endif
