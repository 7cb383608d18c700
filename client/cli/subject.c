#include "client/cli/subject.h"

#include <string.h>

/* Keeps one character; false when there is no room for it. */
static bool keep(struct sg_subject *subject, char c)
{
    if (subject->used == sizeof(subject->text))
        return false;
    subject->text[subject->used++] = c;
    return true;
}

/* Ends what was kept since `start` with a NUL, without blanks at its end; NULL when there is no
 * room for it. */
static char *end(struct sg_subject *subject, size_t start)
{
    while (subject->used > start && subject->text[subject->used - 1] == ' ')
        subject->used--;
    return keep(subject, '\0') ? subject->text + start : NULL;
}

/* Copies up to `stop` or the end, taking backslashes away where they may stand. Returns where it
 * stopped, NULL when the text is malformed or too long. */
static const char *copy_until(struct sg_subject *subject, const char *text, char stop,
                              bool has_escapes)
{
    while (*text == ' ')
        text++;
    while (*text != '\0' && *text != stop) {
        if (has_escapes && *text == '\\') {
            text++;
            if (*text != ',' && *text != '\\')
                return NULL;
        }
        if (!keep(subject, *text++))
            return NULL;
    }
    return text;
}

/* One "TYPE=VALUE". Returns where it ended, NULL when it is none. */
static const char *add_one(struct sg_subject *subject, const char *text)
{
    struct sealgate_name_attribute *attribute = &subject->attributes[subject->count];
    size_t start = subject->used;

    text = copy_until(subject, text, '=', false);
    if (text == NULL || *text != '=')
        return NULL;
    attribute->type = end(subject, start);
    start = subject->used;
    text = copy_until(subject, text + 1, ',', true);
    if (text == NULL)
        return NULL;
    attribute->value = end(subject, start);
    if (attribute->type == NULL || attribute->value == NULL)
        return NULL;
    if (attribute->type[0] == '\0' || strchr(attribute->type, ',') != NULL ||
        attribute->value[0] == '\0')
        return NULL;
    subject->count++;
    return text;
}

enum sg_rc sg_subject_add(struct sg_subject *subject, const char *text, struct sg_err *err)
{
    const char *rest = text;

    do {
        if (subject->count == SG_SUBJECT_ATTRIBUTES_MAX)
            return SG_FAIL(err, SG_E_INVALID, 0, "the subject has more than %d attributes",
                           SG_SUBJECT_ATTRIBUTES_MAX);
        rest = add_one(subject, rest);
        if (rest == NULL)
            return SG_FAIL(err, SG_E_INVALID, 0,
                           "the subject \"%.60s\" is not written CN=name,O=organisation", text);
    } while (*rest++ == ',');
    return SG_OK;
}
