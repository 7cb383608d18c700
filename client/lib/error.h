#ifndef SG_CLIENT_ERROR_H
#define SG_CLIENT_ERROR_H

#include "base/err.h"
#include "client/include/sealgate.h"
#include "proto/grpc/status.h"

/*
 * How everything that can go wrong becomes a struct sealgate_error. Every function fills `*error`
 * whole (NULL: nothing to fill) and returns the code, so that a check is one line.
 */

enum sg_client_reason {
#define LOCAL(name, code, next) SG_CLIENT_##name,
#include "client/lib/reason.def"
#undef LOCAL
    SG_CLIENT_REASON_COUNT,
};

/* What this library found itself. */
enum sealgate_code sg_client_fail(struct sealgate_error *error, enum sg_client_reason reason,
                                  enum sealgate_outcome outcome, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* As for sg_fail() (base/err.h): the analyzer sees one file at a time. */
#ifdef __clang_analyzer__
#define sg_client_fail(...)                                                                        \
    __extension__({                                                                                \
        enum sealgate_code failed_code_ = sg_client_fail(__VA_ARGS__);                             \
        if (failed_code_ == SEALGATE_OK)                                                           \
            __builtin_unreachable();                                                               \
        failed_code_;                                                                              \
    })
#endif

/*
 * What a server answered: a status with the encoded google.rpc.Status in its details. Details that
 * do not parse are left out; the code of the status always counts. An OK status is malformed here:
 * the caller asks only about failures.
 */
enum sealgate_code sg_client_fail_status(struct sealgate_error *error,
                                         const struct sg_status *status,
                                         enum sealgate_outcome outcome);

struct Google__Rpc__Status;
/* The same for a google.rpc.Status inside an answer: the item of a batch or a stream. */
enum sealgate_code sg_client_fail_item(struct sealgate_error *error,
                                       const struct Google__Rpc__Status *status);

#endif
