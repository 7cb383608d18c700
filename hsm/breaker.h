#ifndef SG_HSM_BREAKER_H
#define SG_HSM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether a token is to be used: UP, or DOWN until a moment, then PROBING, then UP or DOWN again.
 * The pause doubles from 50 ms to 5 s, with jitter so that several gateways do not probe at once,
 * and is kept over a recovery until the token has been well for 10 s: a token that fails every
 * other second is not asked every 50 ms. Times are monotonic nanoseconds and come from outside.
 */
enum sg_breaker_state { SG_BREAKER_DOWN = 0, SG_BREAKER_PROBING, SG_BREAKER_UP };

struct sg_breaker {
    enum sg_breaker_state state;
    int64_t since_ns; /* in this state; DOWN and PROBING count as one */
    int64_t due_ns;   /* DOWN: when to probe */
    int64_t pause_ns; /* the next one; 0: the first */
    uint64_t random;  /* of the jitter; no secret */
};

/* Starts DOWN and due at once: a token is probed before it is used. */
void sg_breaker_init(struct sg_breaker *breaker, uint64_t seed, int64_t now_ns);
/* The token failed, or a probe did. When DOWN already nothing changes. */
void sg_breaker_trip(struct sg_breaker *breaker, int64_t now_ns);
/* The connection broke: DOWN, but due at once, since whoever restarts processes has a pause of
 * its own. */
void sg_breaker_lost(struct sg_breaker *breaker, int64_t now_ns);
/* The token is needed: when it waits to be probed that is due now. The next pause stays as it is.
 */
void sg_breaker_hasten(struct sg_breaker *breaker, int64_t now_ns);
bool sg_breaker_is_due(const struct sg_breaker *breaker, int64_t now_ns);
/* A probe is on its way. */
void sg_breaker_probe(struct sg_breaker *breaker);
/* The probe succeeded. */
void sg_breaker_up(struct sg_breaker *breaker, int64_t now_ns);

#endif
