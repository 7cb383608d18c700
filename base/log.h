#ifndef SG_BASE_LOG_H
#define SG_BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Structured events for operators: a level, a stable event name, fields. One line each, JSON or
 * key=value, on standard error (which systemd takes). Only gateway/net, gateway/app, the token
 * process's main and the CLI log; everything below them returns an sg_err instead.
 *
 *     sg_log(SG_LOG_WARNING, NULL, "hsm.token_lost", SG_F_STR("token", name), SG_F_ERR(&err));
 */
enum sg_log_level { SG_LOG_DEBUG, SG_LOG_INFO, SG_LOG_WARNING, SG_LOG_ERROR };
enum sg_log_format { SG_LOG_KEY_VALUE, SG_LOG_JSON };

/* No line is longer, its end included. A write of PIPE_BUF is whole, so the lines of processes
 * that share standard error never mix. */
enum { SG_LOG_LINE_BYTES_MAX = 4096 };

struct sg_log_field {
    const char *key; /* NULL ends a list */
    enum { SG_LOG_STR, SG_LOG_INT, SG_LOG_SLICE, SG_LOG_ERR } kind;
    union {
        const char *str;
        int64_t num;
        struct sg_slice slice;
        const struct sg_err *err;
    } u;
};

#define SG_F_STR(k, v) ((struct sg_log_field){(k), SG_LOG_STR, {.str = (v)}})
#define SG_F_INT(k, v) ((struct sg_log_field){(k), SG_LOG_INT, {.num = (int64_t)(v)}})
#define SG_F_SLICE(k, v) ((struct sg_log_field){(k), SG_LOG_SLICE, {.slice = (v)}})
/* Becomes error=…, class=…, reason=…, native=…, where=…; NULL becomes nothing. */
#define SG_F_ERR(e) ((struct sg_log_field){"error", SG_LOG_ERR, {.err = (e)}})

/*
 * Fields that every event of a connection or a request carries; children inherit their
 * parent's. Borrowed: a scope outlives the events logged in it.
 */
struct sg_log_scope {
    const struct sg_log_scope *parent;
    const struct sg_log_field *fields; /* ended by a NULL key */
};

/* Set once at start, before threads. Every line begins with time (RFC 3339, UTC), level, process
 * and event. `process` is copied. */
void sg_log_setup(enum sg_log_level least, enum sg_log_format format, const char *process);

#define sg_log(level, scope, event, ...)                                                           \
    sg_log_((level), (scope), (event),                                                             \
            (const struct sg_log_field[]){__VA_ARGS__ __VA_OPT__(, ) SG_F_STR(NULL, NULL)})

/*
 * Use sg_log(). Writes one line with one write(2); leaves errno alone. Thread: any.
 *
 * No value can forge a field or a line: what could is escaped (as in JSON; in key=value a byte
 * that is not UTF-8 is \xHH). A value over 512 bytes is cut and says so; a field that no longer
 * fits is left out, and the line then ends with truncated=true.
 */
void sg_log_(enum sg_log_level level, const struct sg_log_scope *scope, const char *event,
             const struct sg_log_field *fields);

/* Formats a line as sg_log_ would, for tests; `out` gets no NUL. Returns its length; 0 when
 * `cap` is too small for any line. */
size_t sg_log_format_line(char *out, size_t cap, enum sg_log_format format, int64_t wall_ns,
                          const char *process, enum sg_log_level level,
                          const struct sg_log_scope *scope, const char *event,
                          const struct sg_log_field *fields);

#endif
