#ifndef SG_CLIENT_TARGETS_H
#define SG_CLIENT_TARGETS_H

#include "client/lib/endpoint.h"

/*
 * The endpoints of one client, in the order of preference, and how each has behaved. Pure: it is
 * told the time and decides which one to try; client.c connects.
 *
 * One that failed is left alone for a while that doubles with each failure in a row. The while is
 * jittered, so that the clients of a gateway that died do not come back in step.
 */
enum { SG_TARGETS_MAX = 16 };

struct sg_target {
    struct sg_endpoint endpoint;
    char authority[300];
    char server_name[256]; /* to expect in the certificate */

    unsigned failures;     /* in a row */
    int64_t not_before_ns; /* leave it alone until then */
    bool is_hopeless;      /* it failed in a way that waiting does not mend */
};

struct sg_targets {
    struct sg_target at[SG_TARGETS_MAX];
    size_t count;
    uint64_t random; /* state of the jitter; any number */
};

/*
 * "host:port,host:port", each as sg_endpoint_parse() has it, blanks around the commas allowed.
 * `server_name` is for all of them; NULL or "": each one's own host. Errors: SG_E_INVALID, also
 * for an endpoint that stands there twice or a list over SG_TARGETS_MAX.
 */
SG_MUST_USE enum sg_rc sg_targets_parse(struct sg_slice text, const char *server_name,
                                        struct sg_targets *ret, struct sg_err *err);

/* The first that may be tried now; `count`: none yet. */
size_t sg_targets_pick(const struct sg_targets *targets, int64_t now_ns);
/* How many may be tried now. */
size_t sg_targets_open(const struct sg_targets *targets, int64_t now_ns);
/* When the next one may be tried; not after now: one may. */
int64_t sg_targets_due(const struct sg_targets *targets);

void sg_targets_failed(struct sg_targets *targets, size_t i, int64_t now_ns, bool is_hopeless);
void sg_targets_worked(struct sg_targets *targets, size_t i);
/* Every one has failed in a way that waiting does not mend. */
bool sg_targets_are_hopeless(const struct sg_targets *targets);

/* How long to leave something alone after its nth failure in a row (from 1): 100 ms, doubled up to
 * 5 s, less up to a half at random. */
int64_t sg_backoff_ns(uint64_t *random, unsigned failures);

#endif
