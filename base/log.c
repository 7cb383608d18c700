#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

enum { VALUE_BYTES_MAX = 512, PROCESS_BYTES_MAX = 64 };

/* Set once at start, before threads. */
static struct {
    enum sg_log_level least;
    enum sg_log_format format;
    char process[PROCESS_BYTES_MAX];
} setup = {SG_LOG_INFO, SG_LOG_KEY_VALUE, "sealgate"};

/* A line as it grows. What no longer fits is left out by whole fields, so that every line can
 * be read by a program. */
struct line {
    char *out;
    size_t len, cap;
    enum sg_log_format format;
    bool is_over; /* the field being written did not fit */
    bool is_cut;  /* a field was left out */
};

static const char *const level_names[] = {
    [SG_LOG_DEBUG] = "debug",
    [SG_LOG_INFO] = "info",
    [SG_LOG_WARNING] = "warning",
    [SG_LOG_ERROR] = "error",
};

static void put(struct line *line, const void *ptr, size_t len)
{
    if (len > line->cap - line->len) {
        line->is_over = true;
        return;
    }
    if (len > 0) /* the empty slice has no pointer */
        memcpy(line->out + line->len, ptr, len);
    line->len += len;
}

static void put_str(struct line *line, const char *str)
{
    put(line, str, strlen(str));
}

__attribute__((format(printf, 2, 3))) static void put_f(struct line *line, const char *fmt, ...)
{
    char text[64];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    SG_ASSERT(len >= 0 && (size_t)len < sizeof(text));
    put(line, text, (size_t)len);
}

/* Characters that end a line, steer a terminal or turn the direction of the text around: with
 * any of them a value could look like something else than a value. */
static bool is_tricky(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0x200e ||
           c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0xfeff;
}

static void put_char(struct line *line, uint32_t c, struct sg_slice bytes)
{
    if (c == '"' || c == '\\')
        put_f(line, "\\%c", (char)c);
    else if (c == '\n')
        put_str(line, "\\n");
    else if (c == '\r')
        put_str(line, "\\r");
    else if (c == '\t')
        put_str(line, "\\t");
    else if (is_tricky(c))
        put_f(line, "\\u%04" PRIx32, c);
    else
        put(line, bytes.ptr, bytes.len);
}

/* The inside of a pair of quotes. JSON knows no bytes, so there a byte that is not UTF-8 becomes
 * the replacement character; in key=value it stays what it was, as \xHH. */
static void put_escaped(struct line *line, struct sg_slice value)
{
    size_t budget = VALUE_BYTES_MAX;
    while (value.len > 0 && budget > 0) {
        uint32_t c;
        size_t len = sg_utf8_next(value, &c);
        if (len > budget)
            break;
        if (len > 0) {
            put_char(line, c, sg_slice_take(&value, len));
            budget -= len;
            continue;
        }
        if (line->format == SG_LOG_JSON)
            put_str(line, "\\ufffd");
        else
            put_f(line, "\\x%02x", value.ptr[0]);
        (void)sg_slice_take(&value, 1);
        budget--;
    }
    if (value.len > 0)
        put_f(line, "\u2026[%zu more bytes]", value.len);
}

/* Whether key=value can show it without quotes. */
static bool is_bare(struct sg_slice value)
{
    if (value.len == 0 || value.len > VALUE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return true;
}

static void put_value(struct line *line, struct sg_slice value)
{
    if (line->format == SG_LOG_KEY_VALUE && is_bare(value)) {
        put(line, value.ptr, value.len);
        return;
    }
    put_str(line, "\"");
    put_escaped(line, value);
    put_str(line, "\"");
}

/* Keys are words of our own; were one ever not, it could still not forge anything. */
static void put_key(struct line *line, const char *key)
{
    bool is_json = line->format == SG_LOG_JSON;
    if (line->len > 0)
        put_str(line, is_json ? "," : " ");
    else if (is_json)
        put_str(line, "{");
    if (is_json)
        put_str(line, "\"");
    for (const char *c = key; *c != '\0'; c++) {
        bool is_word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                       (*c >= '0' && *c <= '9') || *c == '_' || *c == '.' || *c == '-';
        put(line, is_word ? c : "_", 1);
    }
    put_str(line, is_json ? "\":" : "=");
}

/* Takes the field back that began at `start` when it did not fit. */
static void end_field(struct line *line, size_t start)
{
    if (!line->is_over)
        return;
    line->len = start;
    line->is_over = false;
    line->is_cut = true;
}

static void add_slice(struct line *line, const char *key, struct sg_slice value)
{
    size_t start = line->len;
    put_key(line, key);
    put_value(line, value);
    end_field(line, start);
}

static void add_str(struct line *line, const char *key, const char *value)
{
    add_slice(line, key, sg_slice_str(value));
}

static void add_int(struct line *line, const char *key, int64_t value)
{
    size_t start = line->len;
    put_key(line, key);
    put_f(line, "%" PRId64, value);
    end_field(line, start);
}

static void add_err(struct line *line, const char *key, const struct sg_err *err)
{
    if (err == NULL)
        return;
    add_str(line, key, err->msg);
    add_str(line, "class", sg_rc_name(err->rc));
    if (err->reason != SG_R_NONE)
        add_str(line, "reason", sg_reason_name(err->reason));
    if (err->native != 0)
        add_int(line, "native", (int64_t)err->native);
    if (err->where != NULL)
        add_str(line, "where", err->where);
}

static void add_fields(struct line *line, const struct sg_log_field *fields)
{
    for (const struct sg_log_field *field = fields; field != NULL && field->key != NULL; field++) {
        switch (field->kind) {
        case SG_LOG_STR:
            add_str(line, field->key, field->u.str);
            break;
        case SG_LOG_INT:
            add_int(line, field->key, field->u.num);
            break;
        case SG_LOG_SLICE:
            add_slice(line, field->key, field->u.slice);
            break;
        case SG_LOG_ERR:
            add_err(line, field->key, field->u.err);
            break;
        }
    }
}

/* The outermost first: a connection's fields stand before its request's. */
static void add_scope(struct line *line, const struct sg_log_scope *scope)
{
    if (scope == NULL)
        return;
    add_scope(line, scope->parent);
    add_fields(line, scope->fields);
}

/* RFC 3339 §5.6, UTC, milliseconds. */
static void add_time(struct line *line, int64_t wall_ns)
{
    int64_t ms = wall_ns / SG_NS_PER_MS - (wall_ns % SG_NS_PER_MS < 0);
    time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
    struct tm tm;
    char text[40];

    gmtime_r(&seconds, &tm); /* the years that 64 bits of nanoseconds reach all fit */
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(ms - (int64_t)seconds * 1000));
    add_str(line, "time", text);
}

size_t sg_log_format_line(char *out, size_t cap, enum sg_log_format format, int64_t wall_ns,
                          const char *process, enum sg_log_level level,
                          const struct sg_log_scope *scope, const char *event,
                          const struct sg_log_field *fields)
{
    static const char cut_json[] = ",\"truncated\":true", cut_key_value[] = " truncated=true";
    enum { END_LEN = 2, LEAST = sizeof(cut_json) + END_LEN + 64 };
    if (cap < LEAST)
        return 0;

    struct line line = {out, 0, cap - sizeof(cut_json) - END_LEN, format, false, false};
    add_time(&line, wall_ns);
    add_str(&line, "level", level_names[level]);
    add_str(&line, "process", process);
    add_str(&line, "event", event);
    add_scope(&line, scope);
    add_fields(&line, fields);

    line.cap = cap;
    if (line.is_cut)
        put_str(&line, format == SG_LOG_JSON ? cut_json : cut_key_value);
    put_str(&line, format == SG_LOG_JSON ? "}\n" : "\n");
    return line.len;
}

void sg_log_setup(enum sg_log_level least, enum sg_log_format format, const char *process)
{
    setup.least = least;
    setup.format = format;
    snprintf(setup.process, sizeof(setup.process), "%s", process);
}

void sg_log_(enum sg_log_level level, const struct sg_log_scope *scope, const char *event,
             const struct sg_log_field *fields)
{
    if (level < setup.least)
        return;

    int error = errno; /* the caller may not have looked at it yet */
    char line[SG_LOG_LINE_BYTES_MAX];
    size_t len = sg_log_format_line(line, sizeof(line), setup.format, sg_wall_ns(&sg_clock_system),
                                    setup.process, level, scope, event, fields);
    ssize_t written;
    do
        written = write(STDERR_FILENO, line, len);
    while (written < 0 && errno == EINTR);
    /* A line that nobody takes is lost: there is nowhere left to say so. */
    errno = error;
}
