#ifndef SG_GATEWAY_CONFIG_TABLE_PRIV_H
#define SG_GATEWAY_CONFIG_TABLE_PRIV_H

#include "gateway/config/config.h"

/*
 * What the parser, the help, the example and their tests know of the options: options.def and
 * the fields of the lists, in one form.
 */
enum sg_field_kind {
    SG_FIELD_NONE = 0,
    SG_FIELD_INT,
    SG_FIELD_BOOL,
    SG_FIELD_TEXT,
    SG_FIELD_PATH,    /* made absolute */
    SG_FIELD_SECRET,  /* a path, or "credential:NAME" */
    SG_FIELD_STORE,   /* "sqlite:FOLDER", made absolute, or "postgresql://..." */
    SG_FIELD_NAME,    /* a lower-case id */
    SG_FIELD_HEX,     /* bytes; the member is a slice */
    SG_FIELD_CHOICE,  /* one word of several; the member is an int or an enum */
    SG_FIELD_CHOICES, /* some of them; the member is a uint32_t with a bit for each */
    SG_FIELD_TEXTS,   /* a list of texts */
    SG_FIELD_HASHES,  /* a list of SHA-256 values in hexadecimal; the members are slices */
    SG_FIELD_TIME,    /* RFC 3339, UTC; the member is an int64_t, seconds since 1970 */
    SG_FIELD_ITEMS,   /* a list of rows with fields of their own; the member is an array */
};

enum sg_config_when { SG_WHEN_BOOT, SG_WHEN_RELOAD };

struct sg_field {
    const char *name, *help;
    enum sg_field_kind kind;
    enum sg_config_when when;
    size_t offset;
    size_t count_offset; /* of the count that goes with SG_FIELD_TEXTS, _HASHES and _ITEMS */
    const struct sg_list *items; /* ITEMS: what a row is; `max`: how many */
    bool is_required;            /* of a list's field; for options see sg_option_is_required() */
    bool is_in_force;            /* in the example, although it may be left out */
    int64_t min, max;     /* INT: values; TEXT, HEX: bytes, where max is not 0; HASHES: how many */
    int64_t def;          /* INT, BOOL, CHOICE, CHOICES */
    const char *text_def; /* TEXT, PATH, STORE */
    const char *def_help; /* what happens when it is not given, where no value can say it */
    const char *words;    /* CHOICE, CHOICES: "a|b|c", the value is the place in it; or */
    const char *(*word)(int); /* the word of a value from 1 on, NULL behind the last */
    const char *example;      /* as it stands behind "name: " */
};

struct sg_list {
    const char *name, *help;
    const struct sg_field *fields;
    size_t field_count;
    size_t offset, count_offset; /* of the array and its count in what holds the list */
    size_t item_size;
    bool is_rare; /* in the example behind '#' as a whole */
};

extern const struct sg_field sg_config_options[];
extern const size_t sg_config_option_count;
extern const struct sg_list sg_config_lists[];
extern const size_t sg_config_list_count;

/* Whether the file must give it: a text without a default. */
static inline bool sg_option_is_required(const struct sg_field *option)
{
    return (option->kind == SG_FIELD_TEXT || option->kind == SG_FIELD_PATH) &&
           option->text_def == NULL;
}

/* The i-th word of a choice, from 0, and its value; the empty slice behind the last. */
struct sg_slice sg_field_word(const struct sg_field *field, size_t i, int *ret_value);

#endif
