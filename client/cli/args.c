#include "client/cli/args.h"

#include <string.h>

#include "base/slice.h"

static const struct sg_option *find(const struct sg_option *const *tables, struct sg_slice name)
{
    for (; *tables != NULL; tables++)
        for (const struct sg_option *option = *tables; option->name != NULL; option++)
            if (sg_slice_is(name, option->name))
                return option;
    return NULL;
}

static enum sg_rc keep(struct sg_args *args, const struct sg_option *option, const char *value,
                       struct sg_err *err)
{
    size_t i = 0;

    while (i < args->given_count && args->given[i].option != option)
        i++;
    SG_ASSERT(i < SG_ARGS_OPTIONS_MAX);
    if (i == args->given_count) {
        args->given[args->given_count].option = option;
        args->given[args->given_count++].count = 0;
    } else if (!option->repeats) {
        return SG_FAIL(err, SG_E_INVALID, 0, "--%s was given twice", option->name);
    }
    if (args->given[i].count == SG_ARGS_VALUES_MAX)
        return SG_FAIL(err, SG_E_INVALID, 0, "--%s was given more than %d times", option->name,
                       SG_ARGS_VALUES_MAX);
    args->given[i].values[args->given[i].count++] = value;
    return SG_OK;
}

/* One "--name", and `next` behind it, which may be its value. `*ret_used`: it was. */
static enum sg_rc parse_option(struct sg_args *args, const char *text, const char *next,
                               bool *ret_used, struct sg_err *err)
{
    const char *equals = strchr(text, '=');
    struct sg_slice name = equals == NULL ? sg_slice_str(text + 2)
                                          : sg_slice_of(text + 2, (size_t)(equals - text - 2));
    const struct sg_option *option = find(args->tables, name);

    *ret_used = false;
    if (option == NULL)
        return SG_FAIL(err, SG_E_INVALID, 0, "there is no option \"--%.*s\" here",
                       name.len > 60 ? 60 : (int)name.len, (const char *)name.ptr);
    if (option->value == NULL) {
        if (equals != NULL)
            return SG_FAIL(err, SG_E_INVALID, 0, "--%s takes no value", option->name);
        return keep(args, option, "", err);
    }
    if (equals != NULL)
        return keep(args, option, equals + 1, err);
    if (next == NULL)
        return SG_FAIL(err, SG_E_INVALID, 0, "--%s needs a value: %s", option->name, option->value);
    *ret_used = true;
    return keep(args, option, next, err);
}

enum sg_rc sg_args_parse(const struct sg_option *const *tables, int argc, const char *const *argv,
                         struct sg_args *ret, struct sg_err *err)
{
    bool options_ended = false;

    *ret = (struct sg_args){.tables = tables};
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        bool used = false;

        if (!options_ended && strcmp(text, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            ret->wants_help = true;
        } else if (!options_ended && strncmp(text, "--", 2) == 0) {
            SG_TRY(parse_option(ret, text, i + 1 < argc ? argv[i + 1] : NULL, &used, err));
            i += used ? 1 : 0;
        } else if (!options_ended && text[0] == '-' && text[1] != '\0') {
            return SG_FAIL(err, SG_E_INVALID, 0, "there is no option \"%.60s\" here", text);
        } else if (ret->word_count == SG_ARGS_WORDS_MAX) {
            return SG_FAIL(err, SG_E_INVALID, 0, "\"%.60s\" is one word too many", text);
        } else {
            ret->words[ret->word_count++] = text;
        }
    }
    return SG_OK;
}

size_t sg_args_all(const struct sg_args *args, const char *name, const char *const **ret)
{
    SG_ASSERT(find(args->tables, sg_slice_str(name)) != NULL);
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, name) == 0) {
            *ret = args->given[i].values;
            return args->given[i].count;
        }
    *ret = NULL;
    return 0;
}

const char *sg_args_get(const struct sg_args *args, const char *name)
{
    const char *const *values;

    return sg_args_all(args, name, &values) == 0 ? NULL : values[0];
}

bool sg_args_has(const struct sg_args *args, const char *name)
{
    return sg_args_get(args, name) != NULL;
}

void sg_args_help(const struct sg_option *table, FILE *file)
{
    enum { COLUMN = 26 };

    for (; table->name != NULL; table++) {
        int width = fprintf(file, "  --%s%s%s", table->name, table->value == NULL ? "" : " ",
                            table->value == NULL ? "" : table->value);
        if (width < COLUMN)
            (void)fprintf(file, "%*s", COLUMN - width, "");
        else
            (void)fprintf(file, "\n%*s", COLUMN, "");
        for (const char *c = table->help; *c != '\0'; c++)
            if (*c == '\n')
                (void)fprintf(file, "\n%*s", COLUMN, "");
            else
                (void)fputc(*c, file);
        (void)fputc('\n', file);
    }
}
