#ifndef SG_GATEWAY_SERVICE_DENIALS_H
#define SG_GATEWAY_SERVICE_DENIALS_H

#include "base/cleanup.h"
#include "formats/audit/record.h"

/*
 * How often a caller's denials are recorded one by one: a caller that asks in a loop for what it
 * may not have must not fill the log. What is more is counted, and the number recorded.
 */
struct sg_denials;

enum { SG_DENIALS_BURST = 10, SG_DENIALS_PER_S = 1, SG_DENIALS_NAME_LEN_MAX = 300 };

SG_MUST_USE enum sg_rc sg_denials_new(struct sg_denials **ret, struct sg_err *err);
void sg_denials_free(struct sg_denials *denials);
SG_DEFINE_AUTO(struct sg_denials, sg_denials_free);

/* Denials that were counted and are to be recorded as one. */
struct sg_denials_counted {
    char authority[SG_DENIALS_NAME_LEN_MAX + 1], caller[SG_DENIALS_NAME_LEN_MAX + 1];
    uint64_t count;
};

/* Whether this denial is recorded by itself. `caller` is a hash. `ret_evicted->count` is not zero
 * where another caller's number must be recorded now, since there is no place to keep it. */
bool sg_denials_take(struct sg_denials *denials, uint64_t caller,
                     const struct sg_audit_record *record, int64_t now_ns,
                     struct sg_denials_counted *ret_evicted);
/* One number that is due; false: there is none. */
bool sg_denials_next(struct sg_denials *denials, int64_t now_ns, struct sg_denials_counted *ret);

#endif
