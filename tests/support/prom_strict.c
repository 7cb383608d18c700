#include "tests/support/prom_strict.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"

enum { NAME_MAX_LEN = 128, FAMILIES_MAX = 128 };

/* The family whose samples are being read, and what was seen of all. */
struct check {
    struct sg_slice page;
    char name[NAME_MAX_LEN], type[16];
    bool has_type;
    char seen[FAMILIES_MAX][NAME_MAX_LEN];
    size_t seen_count;
    /* The histogram series under way: its labels without le, its last bucket. */
    struct sg_slice labels;
    double last_le, last_count;
    bool has_inf;
    const char *fault;
};

static bool fail(struct check *check, const char *fault)
{
    if (check->fault == NULL)
        check->fault = fault;
    return false;
}

static bool is_name_char(char c, bool is_first, bool takes_colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (takes_colon && c == ':') || (!is_first && c >= '0' && c <= '9');
}

static struct sg_slice take_name(struct sg_slice *line, bool takes_colon)
{
    size_t len = 0;
    while (len < line->len && is_name_char((char)line->ptr[len], len == 0, takes_colon))
        len++;
    return sg_slice_take(line, len);
}

static bool take(struct sg_slice *line, const char *text)
{
    if (!sg_slice_starts(*line, sg_slice_str(text)))
        return false;
    (void)sg_slice_take(line, strlen(text));
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* "HELP name text", "TYPE name type" -------------------------------------------------------- */

static bool histogram_is_whole(struct check *check)
{
    return strcmp(check->type, "histogram") != 0 || check->labels.ptr == NULL || check->has_inf ||
           fail(check, "a histogram without le=\"+Inf\"");
}

static bool begin_family(struct check *check, struct sg_slice line)
{
    struct sg_slice name = take_name(&line, true);
    if (name.len == 0 || name.len >= NAME_MAX_LEN || !take(&line, " ") || line.len == 0)
        return fail(check, "HELP without a name or a text");
    if (!histogram_is_whole(check))
        return false;
    snprintf(check->name, sizeof(check->name), "%.*s", (int)name.len, (const char *)name.ptr);
    for (size_t i = 0; i < check->seen_count; i++) {
        if (strcmp(check->seen[i], check->name) == 0)
            return fail(check, "a family twice");
    }
    if (check->seen_count == FAMILIES_MAX)
        return fail(check, "more families than the checker has room for");
    memcpy(check->seen[check->seen_count++], check->name, NAME_MAX_LEN);
    check->has_type = false;
    check->type[0] = '\0';
    check->labels = (struct sg_slice){0};
    return true;
}

static bool set_type(struct check *check, struct sg_slice line)
{
    struct sg_slice name = take_name(&line, true);
    if (check->has_type || !sg_slice_is(name, check->name) || !take(&line, " "))
        return fail(check, "TYPE does not follow its HELP");
    snprintf(check->type, sizeof(check->type), "%.*s", (int)line.len, (const char *)line.ptr);
    check->has_type = true;
    bool is_counter = strcmp(check->type, "counter") == 0;
    bool is_histogram = strcmp(check->type, "histogram") == 0;
    if (!is_counter && !is_histogram && strcmp(check->type, "gauge") != 0)
        return fail(check, "a type that is none");
    if (is_counter != ends_with(check->name, "_total"))
        return fail(check, "counters, and only they, end in _total");
    if (ends_with(check->name, "_count") || ends_with(check->name, "_sum") ||
        ends_with(check->name, "_bucket") || ends_with(check->name, "_milliseconds"))
        return fail(check, "a name that ends like a part of a histogram, or not in a base unit");
    return true;
}

/* Samples ---------------------------------------------------------------------------------------
 */

/* name="value" pairs; `*ret_le` is the value of le, `*ret_rest` what is before it. */
static bool take_labels(struct check *check, struct sg_slice *line, struct sg_slice *ret_le,
                        struct sg_slice *ret_rest)
{
    struct sg_slice names[8];
    size_t count = 0;
    *ret_rest = sg_slice_of(line->ptr, 0);
    do {
        struct sg_slice name = take_name(line, false);
        if (name.len == 0 || sg_slice_starts(name, SG_SLICE("__")) || !take(line, "=\""))
            return fail(check, "a label without a proper name");
        for (size_t i = 0; i < count; i++) {
            if (sg_slice_eq(names[i], name))
                return fail(check, "a label twice");
        }
        if (count == SG_COUNT(names))
            return fail(check, "more labels than the checker has room for");
        names[count++] = name;
        const uint8_t *start = line->ptr;
        while (line->len > 0 && line->ptr[0] != '"') {
            if (line->ptr[0] == '\\' &&
                (line->len < 2 || strchr("\\\"n", (char)line->ptr[1]) == NULL))
                return fail(check, "an escape that is none");
            (void)sg_slice_take(line, line->ptr[0] == '\\' ? 2 : 1);
        }
        struct sg_slice value = sg_slice_of(start, (size_t)(line->ptr - start));
        if (!take(line, "\""))
            return fail(check, "a label value without its end");
        if (sg_slice_is(name, "le"))
            *ret_le = value;
        else
            ret_rest->len = (size_t)(line->ptr - ret_rest->ptr);
    } while (take(line, ","));
    return take(line, "}") || fail(check, "labels without their end");
}

static bool check_bucket(struct check *check, struct sg_slice labels, struct sg_slice le,
                         double count)
{
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)le.len, (const char *)le.ptr);
    char *end = NULL;
    double bound = strtod(text, &end);
    bool is_same = check->labels.ptr != NULL && sg_slice_eq(check->labels, labels);
    if (le.len == 0 || *end != '\0')
        return fail(check, "a bucket without a bound");
    if (!is_same && !histogram_is_whole(check))
        return false;
    if (is_same && (bound <= check->last_le || count < check->last_count || check->has_inf))
        return fail(check, "buckets that do not rise");
    check->labels = labels;
    check->last_le = bound;
    check->last_count = count;
    check->has_inf = sg_slice_is(le, "+Inf");
    return true;
}

static bool check_sample(struct check *check, struct sg_slice line)
{
    struct sg_slice whole = line, le = {0}, labels = {0};
    struct sg_slice name = take_name(&line, true);
    char part[NAME_MAX_LEN + 16], number[64], *end = NULL;
    if (take(&line, "{") && !take_labels(check, &line, &le, &labels))
        return false;
    struct sg_slice series = sg_slice_of(whole.ptr, (size_t)(line.ptr - whole.ptr));
    if (!take(&line, " ") || line.len == 0 || line.len >= sizeof(number))
        return fail(check, "a sample without a value");
    snprintf(number, sizeof(number), "%.*s", (int)line.len, (const char *)line.ptr);
    double value = strtod(number, &end);
    if (*end != '\0' || number[0] == ' ')
        return fail(check, "a value that is no number");

    /* The same series must not come again further down. */
    const uint8_t *rest = line.ptr + line.len;
    size_t rest_len = (size_t)(check->page.ptr + check->page.len - rest);
    for (const uint8_t *at = rest; at != NULL;) {
        at = memmem(at, rest_len - (size_t)(at - rest), series.ptr, series.len);
        if (at != NULL && at[-1] == '\n' && at[series.len] == ' ')
            return fail(check, "a series twice");
        at = at == NULL ? NULL : at + 1;
    }
    if (!check->has_type)
        return fail(check, "a sample before its TYPE");
    if (strcmp(check->type, "histogram") != 0) {
        if (!sg_slice_is(name, check->name) || le.ptr != NULL)
            return fail(check, "a sample of another family");
        return strcmp(check->type, "counter") != 0 || value >= 0 ||
               fail(check, "a counter below zero");
    }
    snprintf(part, sizeof(part), "%s_bucket", check->name);
    if (sg_slice_is(name, part))
        return check_bucket(check, labels, le, value);
    if (le.ptr != NULL || !sg_slice_eq(labels, check->labels) || !check->has_inf)
        return fail(check, "a sum or count that does not follow its buckets");
    snprintf(part, sizeof(part), "%s_count", check->name);
    if (sg_slice_is(name, part))
        return value == check->last_count || fail(check, "a count that is not the last bucket");
    snprintf(part, sizeof(part), "%s_sum", check->name);
    return sg_slice_is(name, part) || fail(check, "a sample of another family");
}

static bool check_line(struct check *check, struct sg_slice line)
{
    if (take(&line, "# HELP "))
        return begin_family(check, line);
    if (take(&line, "# TYPE "))
        return set_type(check, line);
    return check_sample(check, line);
}

bool sg_prom_is_valid(struct sg_slice page, char *why, size_t room)
{
    struct check *check = calloc(1, sizeof(*check));
    struct sg_slice rest = page;
    size_t line_no = 0;
    if (check == NULL)
        abort();
    check->page = page;
    if (!sg_utf8_is_valid(page))
        fail(check, "not UTF-8");
    while (rest.len > 0 && check->fault == NULL) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        line_no++;
        if (end == NULL) {
            fail(check, "a line without its end");
            break;
        }
        struct sg_slice line = sg_slice_take(&rest, (size_t)(end - rest.ptr));
        (void)sg_slice_take(&rest, 1);
        check_line(check, line);
    }
    if (check->fault == NULL)
        histogram_is_whole(check);
    bool is_valid = check->fault == NULL;
    snprintf(why, room, "line %zu: %s", line_no, is_valid ? "" : check->fault);
    free(check);
    return is_valid;
}

double sg_prom_value(struct sg_slice page, const char *series)
{
    size_t len = strlen(series);
    while (page.len > 0) {
        const uint8_t *end = memchr(page.ptr, '\n', page.len);
        if (end == NULL)
            break;
        struct sg_slice line = sg_slice_take(&page, (size_t)(end - page.ptr));
        (void)sg_slice_take(&page, 1);
        if (line.len > len + 1 && sg_slice_starts(line, sg_slice_str(series)) &&
            line.ptr[len] == ' ')
            return strtod((const char *)line.ptr + len + 1, NULL);
    }
    return -1;
}
