#include "hsm/lane.h"

#include "base/clock.h"

/*
 * What a class needed counts for one to two such windows. Two, so that there is always a whole one
 * behind it: a peak that was forgotten at once would be what the class needs at that moment, which
 * is mostly less, and its next few jobs would wait for costly ones.
 */
static const int64_t peak_window_ns = SG_NS_PER_S / 2;

enum sg_cost sg_cost_of(enum sg_key_type type)
{
    switch (type) {
    case SG_KEY_RSA_3072:
    case SG_KEY_RSA_4096:
        return SG_COST_HIGH;
    case SG_KEY_RSA_2048:
        return SG_COST_MIDDLE;
    case SG_KEY_EC_P256:
    case SG_KEY_EC_P384:
    case SG_KEY_ED25519:
    case SG_KEY_UNSET:
    case SG_KEY_TYPE_COUNT:
        break;
    }
    return SG_COST_LOW;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What it needs now, or lately did; 0: it is not active. */
static size_t need_of(const struct sg_lane *lane, int64_t now)
{
    size_t need = sg_lane_waiting(lane) + lane->in_flight;
    if (lane->window_ns != 0 && now - lane->window_ns < 2 * peak_window_ns)
        need = larger(need, lane->peak);
    if (lane->window_ns != 0 && now - lane->window_ns < peak_window_ns)
        need = larger(need, lane->peak_before);
    return need;
}

static void note_peak(struct sg_lane *lane, int64_t now)
{
    if (lane->window_ns == 0 || now - lane->window_ns >= peak_window_ns) {
        bool is_next = lane->window_ns != 0 && now - lane->window_ns < 2 * peak_window_ns;
        lane->peak_before = is_next ? lane->peak : 0;
        lane->peak = 0;
        lane->window_ns = now;
    }
    lane->peak = larger(lane->peak, sg_lane_waiting(lane) + lane->in_flight);
}

/* One that was idle, or never was there, must not make up for it: it begins where the others are.
 */
static void begin_turn(struct sg_lane lanes[SG_COST_COUNT], struct sg_lane *lane)
{
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        if (lanes[i].turn_ns > lane->used_ns)
            lane->used_ns = lanes[i].turn_ns;
}

bool sg_lane_push(struct sg_lane lanes[SG_COST_COUNT], enum sg_cost cost, struct sg_hsm_job *job,
                  bool is_retry, int64_t now)
{
    struct sg_lane *lane = &lanes[cost];

    if (sg_lane_waiting(lane) == 0)
        begin_turn(lanes, lane);
    if (is_retry) {
        sg_job_list_push(&lane->retries, job);
        lane->retry_count++;
    } else if (!sg_fair_push(&lane->queue, job)) {
        return false;
    }
    note_peak(lane, now);
    return true;
}

size_t sg_lane_held_back(const struct sg_lane lanes[SG_COST_COUNT], enum sg_cost cost,
                         size_t workers, int64_t now)
{
    size_t held = 0;
    for (size_t i = 0; i < (size_t)cost; i++)
        held += need_of(&lanes[i], now);
    return held < workers / 2 ? held : workers / 2;
}

/* What it may still send, beside what the window as a whole has room for. */
static bool has_room(const struct sg_lane lanes[SG_COST_COUNT], size_t cost, size_t workers,
                     int64_t packet_ns, int64_t now)
{
    bool is_alone = true;
    for (size_t i = 0; i < cost; i++)
        is_alone = is_alone && need_of(&lanes[i], now) == 0;
    if (is_alone)
        return true;
    size_t room = workers - sg_lane_held_back(lanes, (enum sg_cost)cost, workers, now);
    size_t in_flight = 0;
    int64_t in_flight_ns = 0;
    for (size_t i = cost; i < SG_COST_COUNT; i++) {
        in_flight += lanes[i].in_flight;
        in_flight_ns += lanes[i].in_flight_ns;
    }
    return in_flight < room || in_flight_ns < (int64_t)room * packet_ns;
}

struct sg_hsm_job *sg_lane_pop(struct sg_lane lanes[SG_COST_COUNT], size_t workers,
                               int64_t packet_ns, int64_t now)
{
    struct sg_lane *next = NULL;
    for (size_t i = 0; i < SG_COST_COUNT; i++)
        if (sg_lane_waiting(&lanes[i]) > 0 && (next == NULL || lanes[i].used_ns < next->used_ns) &&
            has_room(lanes, i, workers, packet_ns, now))
            next = &lanes[i];
    if (next == NULL)
        return NULL;
    struct sg_hsm_job *job = sg_job_list_pop(&next->retries);
    if (job == NULL)
        return sg_fair_pop(&next->queue);
    next->retry_count--;
    return job;
}

size_t sg_lane_take(struct sg_lane *lane, sg_job_test_fn test, void *arg, struct sg_job_list *out)
{
    size_t taken = sg_job_list_take(&lane->retries, test, arg, out);
    lane->retry_count -= taken;
    return taken + sg_fair_take(&lane->queue, test, arg, out);
}

void sg_lane_sent(struct sg_lane *lane, int64_t cost_ns, int64_t usual_ns, int64_t now)
{
    lane->in_flight++;
    lane->in_flight_ns += cost_ns;
    lane->turn_ns = lane->used_ns;
    lane->used_ns += usual_ns;
    note_peak(lane, now);
}

void sg_lane_left(struct sg_lane *lane, int64_t cost_ns)
{
    lane->in_flight--;
    lane->in_flight_ns -= cost_ns;
}
