#include "hsm/breaker.h"

#include "base/clock.h"

static const int64_t pause_min_ns = 50 * SG_NS_PER_MS, pause_max_ns = 5 * SG_NS_PER_S,
                     well_ns = 10 * SG_NS_PER_S;

void sg_breaker_init(struct sg_breaker *breaker, uint64_t seed, int64_t now_ns)
{
    *breaker = (struct sg_breaker){
        .state = SG_BREAKER_DOWN, .since_ns = now_ns, .due_ns = now_ns, .random = seed | 1};
}

/* xorshift64: good enough to spread probes. */
static uint64_t draw(struct sg_breaker *breaker)
{
    breaker->random ^= breaker->random << 13;
    breaker->random ^= breaker->random >> 7;
    breaker->random ^= breaker->random << 17;
    return breaker->random;
}

void sg_breaker_trip(struct sg_breaker *breaker, int64_t now_ns)
{
    if (breaker->state == SG_BREAKER_DOWN)
        return;
    if (breaker->state == SG_BREAKER_UP) {
        if (now_ns - breaker->since_ns >= well_ns)
            breaker->pause_ns = 0;
        breaker->since_ns = now_ns;
    }
    breaker->state = SG_BREAKER_DOWN;
    breaker->pause_ns = breaker->pause_ns == 0 ? pause_min_ns : breaker->pause_ns * 2;
    if (breaker->pause_ns > pause_max_ns)
        breaker->pause_ns = pause_max_ns;
    /* Between three quarters of the pause and the whole of it. */
    int64_t jitter = (int64_t)(draw(breaker) % (uint64_t)(breaker->pause_ns / 4));
    breaker->due_ns = now_ns + breaker->pause_ns - jitter;
}

void sg_breaker_lost(struct sg_breaker *breaker, int64_t now_ns)
{
    if (breaker->state == SG_BREAKER_UP)
        breaker->since_ns = now_ns;
    breaker->state = SG_BREAKER_DOWN;
    breaker->due_ns = now_ns;
}

void sg_breaker_hasten(struct sg_breaker *breaker, int64_t now_ns)
{
    if (breaker->state == SG_BREAKER_DOWN && breaker->due_ns > now_ns)
        breaker->due_ns = now_ns;
}

bool sg_breaker_is_due(const struct sg_breaker *breaker, int64_t now_ns)
{
    return breaker->state == SG_BREAKER_DOWN && now_ns >= breaker->due_ns;
}

void sg_breaker_probe(struct sg_breaker *breaker)
{
    if (breaker->state == SG_BREAKER_DOWN)
        breaker->state = SG_BREAKER_PROBING;
}

void sg_breaker_up(struct sg_breaker *breaker, int64_t now_ns)
{
    if (breaker->state == SG_BREAKER_UP)
        return;
    breaker->state = SG_BREAKER_UP;
    breaker->since_ns = now_ns;
}
