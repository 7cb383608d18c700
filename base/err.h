#ifndef SG_BASE_ERR_H
#define SG_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How a call went, as far as its caller may act on it.
 *
 * The list is closed and short on purpose: code branches on the class, people
 * read the message, programs outside read the reason. Each class has exactly one
 * gRPC status, in a switch without a default (proto/grpc/status.c), so adding a
 * class here stops the build there.
 */
enum sg_rc {
    SG_OK = 0,
    SG_E_AGAIN,           /* not an error: more input is needed */
    SG_E_INVALID,         /* the input is malformed; a retry cannot help */
    SG_E_UNAUTHENTICATED, /* we do not know who asks, or no longer accept the proof */
    SG_E_DENIED,          /* policy said no */
    SG_E_NOT_FOUND,       /* no such key, method or record, or not visible to the caller */
    SG_E_CONFLICT,        /* the thing is not in a state that allows it */
    SG_E_LIMIT,           /* a configured bound was reached */
    SG_E_TIMEOUT,         /* the deadline passed first */
    SG_E_UNSUPPORTED,     /* well formed, but not offered here */
    SG_E_UNAVAILABLE,     /* the token or the store is away; a retry may help */
    SG_E_INTERNAL,        /* a bug here, or the machine is failing */
};

/*
 * The stable word for what went wrong, as it stands in google.rpc.ErrorInfo. One row of
 * base/reason.def each: the class, and what the caller can do about it.
 */
enum sg_reason {
    SG_R_NONE = 0, /* the class is all there is to say */
#define REASON(name, rc, next) SG_R_##name,
#include "base/reason.def"
#undef REASON
    SG_R_COUNT,
};

#define SG_MUST_USE __attribute__((warn_unused_result))

/* What went wrong, for the operator. Written once, where the cause is known. */
struct sg_err {
    enum sg_rc rc;
    enum sg_reason reason;
    unsigned long native; /* CK_RV, errno or OpenSSL's code; 0 if none */
    const char *where;    /* "file.c:123" of the failing check, static storage */
    char msg[192];        /* could not <do what>: <why>; never key material */
};

/* Fills `*err` (NULL: nothing to fill) and returns `rc`, so a check is one line. */
enum sg_rc sg_fail(struct sg_err *err, enum sg_rc rc, enum sg_reason reason, unsigned long native,
                   const char *where, const char *fmt, ...)
    __attribute__((format(printf, 6, 7), cold));

/* The class of a reason, and its name and advice as the client sees them; static storage. */
enum sg_rc sg_reason_rc(enum sg_reason reason);
const char *sg_reason_name(enum sg_reason reason); /* "DIGEST_LENGTH"; "" for SG_R_NONE */
const char *sg_reason_next(enum sg_reason reason); /* what to do next; "" for SG_R_NONE */

/* "invalid", "unavailable": for logs and metrics labels. */
const char *sg_rc_name(enum sg_rc rc);

#define SG_STR_(x) #x
#define SG_STR(x) SG_STR_(x)
#define SG_WHERE __FILE__ ":" SG_STR(__LINE__)

/* clang's analyzer sees one file at a time, and would follow the paths on which a failure is none.
 */
#ifdef __clang_analyzer__
#define sg_fail(err, rc, ...)                                                                      \
    __extension__({                                                                                \
        enum sg_rc failed_rc_ = sg_fail((err), (rc), __VA_ARGS__);                                 \
        if (failed_rc_ == SG_OK)                                                                   \
            __builtin_unreachable();                                                               \
        failed_rc_;                                                                                \
    })
#endif

/* Fails with a class alone: for causes no client can name. */
#define SG_FAIL(err, rc, native, ...)                                                              \
    sg_fail((err), (rc), SG_R_NONE, (native), SG_WHERE, __VA_ARGS__)

/* Fails with a stable reason, which brings its class along. */
#define SG_REFUSE(err, reason, ...)                                                                \
    sg_fail((err), sg_reason_rc(reason), (reason), 0, SG_WHERE, __VA_ARGS__)

/* The one macro that returns. Only in functions whose locals clean themselves up. */
#define SG_TRY(call)                                                                               \
    do {                                                                                           \
        enum sg_rc try_rc_ = (call);                                                               \
        if (__builtin_expect(try_rc_ != SG_OK, 0))                                                 \
            return try_rc_;                                                                        \
    } while (0)

/* Ignores a result that must be used. Say why in a comment beside it. */
#define SG_IGNORE(call)                                                                            \
    do {                                                                                           \
        __typeof__(call) ignored_ = (call);                                                        \
        (void)ignored_;                                                                            \
    } while (0)

/* For what only a bug can cause. On in release builds: prints, aborts. Never on a peer's bytes. */
#define SG_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            sg_assert_failed(#cond, SG_WHERE);                                                     \
    } while (0)

void sg_assert_failed(const char *cond, const char *where) __attribute__((noreturn, cold));

#define SG_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
