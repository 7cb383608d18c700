#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct reason {
    enum sg_rc rc;
    const char *name, *next;
} reasons[SG_R_COUNT] = {
    [SG_R_NONE] = {SG_E_INTERNAL, "", ""},
#define REASON(name, rc, next) [SG_R_##name] = {rc, #name, next},
#include "base/reason.def"
#undef REASON
};

#undef sg_fail /* what clang's analyzer is told of it */
enum sg_rc sg_fail(struct sg_err *err, enum sg_rc rc, enum sg_reason reason, unsigned long native,
                   const char *where, const char *fmt, ...)
{
    if (err == NULL)
        return rc;

    va_list args;
    va_start(args, fmt);
    *err = (struct sg_err){.rc = rc, .reason = reason, .native = native, .where = where};
    vsnprintf(err->msg, sizeof(err->msg), fmt, args);
    va_end(args);
    return rc;
}

enum sg_rc sg_reason_rc(enum sg_reason reason)
{
    SG_ASSERT(reason < SG_R_COUNT);
    return reasons[reason].rc;
}

const char *sg_reason_name(enum sg_reason reason)
{
    SG_ASSERT(reason < SG_R_COUNT);
    return reasons[reason].name;
}

const char *sg_reason_next(enum sg_reason reason)
{
    SG_ASSERT(reason < SG_R_COUNT);
    return reasons[reason].next;
}

const char *sg_rc_name(enum sg_rc rc)
{
    switch (rc) {
    case SG_OK:
        return "ok";
    case SG_E_AGAIN:
        return "again";
    case SG_E_INVALID:
        return "invalid";
    case SG_E_UNAUTHENTICATED:
        return "unauthenticated";
    case SG_E_DENIED:
        return "denied";
    case SG_E_NOT_FOUND:
        return "not_found";
    case SG_E_CONFLICT:
        return "conflict";
    case SG_E_LIMIT:
        return "limit";
    case SG_E_TIMEOUT:
        return "timeout";
    case SG_E_UNSUPPORTED:
        return "unsupported";
    case SG_E_UNAVAILABLE:
        return "unavailable";
    case SG_E_INTERNAL:
        break;
    }
    return "internal";
}

void sg_assert_failed(const char *cond, const char *where)
{
    fprintf(stderr, "sealgate: assertion failed at %s: %s\n", where, cond);
    abort();
}
