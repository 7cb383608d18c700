#ifndef SG_HSM_LANE_H
#define SG_HSM_LANE_H

#include "hsm/fair.h"

/*
 * What signatures cost a token, by type of key. Each class waits in a lane of its own, so that a
 * flood of the costly ones neither fills the queue of the others nor takes all workers: they take
 * turns by the time that they use, and while a cheaper class is or was lately active, as many
 * workers are held back from the costlier ones as it needs, up to half of them.
 */
enum sg_cost { SG_COST_LOW = 0, SG_COST_MIDDLE, SG_COST_HIGH, SG_COST_COUNT };

struct sg_lane {
    struct sg_fair queue;
    struct sg_job_list retries; /* before the queue: they have waited once */
    size_t retry_count;
    size_t in_flight;
    int64_t in_flight_ns; /* what they were expected to take, together */
    int64_t used_ns;      /* of the workers' time; counted up to the others' when it was idle */
    int64_t turn_ns;      /* the same before its last job: all that begin now begin there */
    /* The most that were waiting or in flight at a time, in this window of time and in the last. */
    size_t peak, peak_before;
    int64_t window_ns; /* when this one began; 0: never */
};

enum sg_cost sg_cost_of(enum sg_key_type type);

static inline size_t sg_lane_waiting(const struct sg_lane *lane)
{
    return lane->queue.len + lane->retry_count;
}

/* False: no memory. */
SG_MUST_USE bool sg_lane_push(struct sg_lane lanes[SG_COST_COUNT], enum sg_cost cost,
                              struct sg_hsm_job *job, bool is_retry, int64_t now);
/* The next job, of the class whose turn it is among those that have one and room; NULL: none. */
struct sg_hsm_job *sg_lane_pop(struct sg_lane lanes[SG_COST_COUNT], size_t workers,
                               int64_t packet_ns, int64_t now);
size_t sg_lane_take(struct sg_lane *lane, sg_job_test_fn test, void *arg, struct sg_job_list *out);

/* A job was sent that is expected to take `cost_ns` of the window and `usual_ns` of a worker. */
void sg_lane_sent(struct sg_lane *lane, int64_t cost_ns, int64_t usual_ns, int64_t now);
void sg_lane_left(struct sg_lane *lane, int64_t cost_ns);

/* How many workers a class must leave alone now. */
size_t sg_lane_held_back(const struct sg_lane lanes[SG_COST_COUNT], enum sg_cost cost,
                         size_t workers, int64_t now);

#endif
